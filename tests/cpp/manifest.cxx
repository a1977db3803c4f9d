// The manifest reader, on texts as Python's json writes them and on damaged ones.

#include "hepml_root/manifest.hxx"
#include "check.hxx"

#include <cmath>
#include <string>

using hepml_root::Json;
using hepml_root::Manifest;

namespace {

const std::string kManifest = R"({"format": "hepml_root", "version": 1, "name": "jets", "task": "multiclass",
 "inputs": [
  {"name": "constituents", "kind": "jagged", "shape": [30, 2], "mask": "constituents_mask",
   "columns": [{"label": "pt", "expression": "jet_pt / 1000.", "units": "GeV"},
               {"label": "b\u2011tag", "expression": "jet1_b-tag", "units": ""}]},
  {"name": "constituents_mask", "kind": "mask", "shape": [30], "columns": []}],
 "outputs": [{"name": "score", "shape": [2], "labels": ["top", "qcd \"light\""]}],
 "working_points": [{"name": "tight", "output": "qcd \"light\"", "threshold": 0.9, "signal": 12.5},
  {"name": "vague", "threshold": 0.5}],
 "signal": null, "yields": {"top": -1.5e-3, "ok": true}})";

void json() {
   const Json json = Json::Parse(R"( {"a": [1, -2.5e2, true, false, null, "x\ty\\"], "e": [], "o": {}} )");
   CHECK(json["a"].List().size() == 6);
   CHECK(json["a"].List()[1].Number() == -250.);
   CHECK(json["a"].List()[2].Bool() && !json["a"].List()[3].Bool());
   CHECK(json["a"].List()[4].IsNull());
   CHECK(json["a"].List()[5].Text() == "x\ty\\");
   CHECK(json["e"].List().empty());
   CHECK(json["absent"].IsNull());
   CHECK(Json::Parse(R"("\u00e9\ud83d\ude00")").Text() == "\xc3\xa9\xf0\x9f\x98\x80");
   CHECK_THROWS(Json::Parse("{\"a\": 1"), "byte 7: expected ',' or '}'");
   CHECK_THROWS(Json::Parse("[1, ]"), "expected a value");
   CHECK_THROWS(Json::Parse("[1] 2"), "expected nothing more");
   CHECK_THROWS(Json::Parse("\"open"), "expected the closing quote");
   CHECK_THROWS(Json::Parse("\"\\x\""), "expected an escape");
   CHECK_THROWS(Json::Parse("\"\\u12\""), "hexadecimal");
   CHECK_THROWS(Json::Parse(""), "expected a value");
   CHECK_THROWS(Json::Parse(std::string(1000, '[')), "less nesting");
   CHECK_THROWS(json["a"].Text(), "where a text is needed");
}

void manifest() {
   const Manifest manifest = Manifest::Parse(kManifest);
   CHECK(manifest.name == "jets");
   CHECK(manifest.inputs.size() == 2);
   CHECK(manifest.inputs[0].mask == "constituents_mask");
   CHECK(hepml_root::Size(manifest.inputs[0].shape) == 60);
   CHECK(manifest.inputs[0].columns[0].expression == "jet_pt / 1000.");
   CHECK(manifest.inputs[0].columns[1].label == "b\xe2\x80\x91tag");
   CHECK(manifest.inputs[1].columns.empty());
   CHECK(manifest.outputs[0].labels[1] == "qcd \"light\"");
   CHECK(manifest.json["yields"]["top"].Number() == -1.5e-3);
   CHECK_THROWS(Manifest::Parse("{}"), "no manifest of hepml_root");
   CHECK_THROWS(Manifest::Parse(R"({"format": "hepml_root", "version": 2})"), "newer version");
   CHECK_THROWS(Manifest::Parse(R"({"format": "hepml_root", "version": 1, "name": "x", "task": "binary"})"),
                "a list");
}

void working_points() {
   const Manifest manifest = Manifest::Parse(kManifest);
   const auto& tight = manifest.GetWorkingPoint("tight");
   CHECK(tight.value == 1 && tight.label == "qcd \"light\"");
   // 0.9 is no float: the nearest one passes, the one below it does not.
   CHECK(tight.Passes(0.9f) && !tight.Passes(std::nextafter(0.9f, 0.f)));
   CHECK(!tight.Passes(std::nanf("")));
   const float scores[] = {1.f, 0.2f}, others[] = {0.f, 0.95f};
   CHECK(!tight.Passes(scores) && tight.Passes(others));
   CHECK_THROWS(manifest.GetWorkingPoint("vague").Passes(scores), "several output values");
   CHECK_THROWS(manifest.GetWorkingPoint("loose"), "Available: tight, vague");
}

} // namespace

int main() {
   json();
   manifest();
   working_points();
   return failures == 0 ? 0 : 1;
}
