"""Working points of a model file: the same events pass in Python, in RDataFrame and in compiled C++."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import ROOT
import uproot
from model_files import HIGGS, runtime_scores, write_mlp, write_passing

import hepml_root as hr
from hepml_root.data.shipped import shipped_file
from hepml_root.errors import EmptySelectionError, SettingError, ShapeError
from hepml_root.export import manifest as manifests
from hepml_root.inference.working_points import working_point, working_points_of

INCLUDE = Path(hr.__file__).parent / "include"
# Scores on both sides of the threshold, by one bit.
EDGE = np.float32(0.9)
BELOW, ABOVE = np.nextafter(EDGE, np.float32(0)), np.nextafter(EDGE, np.float32(1))


def with_points(path, points):
    """Write working points into a model file."""
    proto, manifest = manifests.read_model(path)
    labels = [label for output in manifest["outputs"] for label in output["labels"]]
    manifest["working_points"] = manifests.working_points(points, ["score", *labels])
    return manifests.write_model(proto, manifest, path, overwrite=True)


@pytest.fixture(scope="module")
def passing(tmp_path_factory):
    """Return a model whose score is its one input, with a cut that is no float32, one that is, and more."""
    block = {
        "name": "features", "kind": "flat", "shape": [1],
        "columns": [{"label": "x", "expression": "x", "units": ""}],
    }  # fmt: skip
    path = write_passing(tmp_path_factory.mktemp("points") / "passing.onnx", [block])
    points = {"tight": 0.9, "bit": float(ABOVE), "negative": -0.5, "tiny": 1e-42, "all": -1e30}
    return with_points(path, points)


@pytest.fixture(scope="module")
def events():
    """Return scores with many ties at the thresholds, NaN and infinity, and weights whose sums are exact."""
    generator = np.random.default_rng(1)
    special = [EDGE, BELOW, ABOVE, -0.5, np.nextafter(np.float32(-0.5), np.float32(-1)), 1e-42, 0.0, np.nan,
               np.inf, -np.inf]  # fmt: skip
    x = np.concatenate([generator.choice(special, 5000), generator.normal(size=5000)]).astype(np.float32)
    return x, generator.integers(-8, 64, len(x)) / 8.0


@pytest.fixture(scope="module")
def table(passing, events):
    """Return {working point: (events that pass, their sum of weights)}, by Python."""
    x, weights = events
    session = hr.Session(passing)
    scores = session.infer(x[:, None])
    return {
        name: (int(point.passes(scores).sum()), float(weights[point.passes(scores)].sum()))
        for name, point in session.working_points.items()
    }


def test_python_by_hand(events, table):
    x, weights = events
    assert list(table) == ["tight", "bit", "negative", "tiny", "all"]
    assert table["tight"][0] == np.count_nonzero(x >= EDGE)
    # 0.9 in double precision would lose the events at the threshold.
    assert np.float64(0.9) > EDGE
    assert table["tight"][0] - table["bit"][0] == np.count_nonzero(x == EDGE) > 100
    assert table["all"][0] == np.count_nonzero(x > -1e30)
    assert table["tight"][1] == weights[x >= EDGE].sum()


def test_rdataframe_counts_the_same(passing, events, table):
    x, weights = events
    frame = ROOT.RDF.FromNumpy({"x": x, "w": weights})
    found = {}
    for name in table:
        node = hr.define(frame, passing, select=name, ahead=False)
        found[name] = node.Count(), node.Sum("w")
    report = hr.define(frame, passing, select="tight", ahead=False).Report()
    assert {name: (count.GetValue(), total.GetValue()) for name, (count, total) in found.items()} == table
    assert [str(cut.GetName()) for cut in report] == ["tight"]
    assert next(iter(report)).GetPass() == table["tight"][0]


PROGRAM = r"""
#include "passing.hxx"
#include "hepml_root/manifest.hxx"
#include <cstdio>
#include <iostream>
#include <vector>
int main(int, char **argv) {
   const auto manifest = hepml_root::Manifest::Parse(TMVA_SOFIE_passing::Session::manifest());
   const TMVA_SOFIE_passing::Session session;
   const std::size_t n = std::stoul(argv[2]);
   std::vector<float> x(n), scores(n);
   std::vector<double> w(n);
   std::FILE *file = std::fopen(argv[1], "rb");
   if (!file || std::fread(x.data(), 4, n, file) != n || std::fread(w.data(), 8, n, file) != n) return 1;
   session.infer(x.data(), n, scores.data());
   for (const auto &known : manifest.working_points) {
      const auto &point = manifest.GetWorkingPoint(known.name);
      std::size_t count = 0;
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i)
         if (point.Passes(&scores[i])) { ++count; sum += w[i]; }
      std::printf("%s %zu %.17g\n", point.name.c_str(), count, sum);
   }
   try { manifest.GetWorkingPoint("loose"); } catch (const std::exception &e) { std::puts(e.what()); }
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_compiled_cpp_counts_the_same(passing, events, table, tmp_path):
    from hepml_root.export.cpp import generate

    x, weights = events
    generate(passing, "passing").save(tmp_path)
    (tmp_path / "count.cxx").write_text(PROGRAM)
    (tmp_path / "events.bin").write_bytes(x.tobytes() + weights.tobytes())
    command = [
        "g++",
        "-std=c++17",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{INCLUDE}",
        "count.cxx",
        "-o",
        "count",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    done = subprocess.run(
        ["./count", "events.bin", str(len(x))], cwd=tmp_path, capture_output=True, text=True
    )
    *lines, refusal = done.stdout.splitlines()
    found = {name: (int(count), float(total)) for name, count, total in map(str.split, lines)}
    assert found == table
    assert refusal.endswith("has no working point 'loose'. Available: tight, bit, negative, tiny, all")


def test_cpp_data_frames_count_the_same(passing, events, table):
    """The C++ counterpart of `define`, as a macro would call it, interpreted."""
    from hepml_root.export.cpp import generate

    x, weights = events
    folder = passing.parent
    generate(passing, "passing").save(folder)
    for place in (folder, INCLUDE):
        ROOT.gInterpreter.AddIncludePath(str(place))
    assert ROOT.gInterpreter.Declare('#include "passing.hxx"\n#include "hepml_root/rdf/define.hxx"')
    model = ROOT.hepml_root.rdf.ModelOf[ROOT.TMVA_SOFIE_passing.Session]()
    frame = ROOT.RDF.FromNumpy({"x": x, "w": weights})
    node = ROOT.hepml_root.rdf.Define(ROOT.RDF.AsRNode(frame), model)
    for name in ("tight", "tiny"):
        kept = ROOT.hepml_root.rdf.Select(node, model, name)
        assert (kept.Count().GetValue(), kept.Sum("w").GetValue()) == table[name]


def test_apply_writes_the_events_that_pass(passing, events, table, tmp_path):
    x, weights = events
    with uproot.recreate(tmp_path / "events.root") as file:
        file.mktree("events", {"x": "float32", "w": "float64"}).extend({"x": x, "w": weights})
    source = f"{tmp_path / 'events.root'}:events"
    done = hr.apply(passing, source, tmp_path / "out.root", select="tight", keep=["w"], verbose=False)
    assert done.events == table["tight"][0]
    arrays = uproot.open(tmp_path / "out.root")["scores"].arrays(library="np")
    assert arrays["w"].sum() == table["tight"][1]
    np.testing.assert_array_equal(arrays["entry"], np.flatnonzero(x >= EDGE))
    with pytest.raises(SettingError, match=r"'tigth'.*Nearest: 'tight'"):
        hr.apply(passing, source, tmp_path / "not.root", select="tigth")
    with pytest.raises(EmptySelectionError, match="passes the cut 'x < 0' and the working point 'tight'"):
        hr.apply(passing, source, tmp_path / "not.root", select="tight", cut="x < 0", verbose=False)


def test_a_chosen_cut_goes_into_the_file_and_counts_everywhere(tmp_path):
    """Chosen on the scores of a network on real events, yields in the manifest; counted in RDataFrame."""
    from hepml_root.evaluation import choose_cut

    path = write_mlp(tmp_path / "higgs.onnx")
    session = hr.Session(path)
    features, labels = [], []
    for label, tree in enumerate(("bkg_tree", "sig_tree")):
        arrays = uproot.open(shipped_file("Higgs_data.root"))[tree].arrays(list(HIGGS), library="np")
        features.append(np.stack([arrays[name] for name in HIGGS], axis=1))
        labels.append(np.full(len(features[-1]), label))
    scores, labels = session.infer(np.concatenate(features))[:, 0], np.concatenate(labels)
    half = np.arange(len(labels)) % 2 == 0
    cut = choose_cut((scores[half], labels[half]), (scores, labels), bootstrap=0, systematic=0.05)
    gap = np.abs(scores - np.float32(cut.threshold)).min()
    assert gap > 2e-6  # no event on the test sample is so near that rounding decides
    with_points(path, [cut])
    (stored,) = manifests.read_manifest(path)["working_points"]
    assert stored == json.loads(json.dumps(cut.working_point()))
    assert stored["signal"] == np.count_nonzero((scores >= np.float32(cut.threshold)) & (labels == 1))
    for tree, expected in (("sig_tree", stored["signal"]), ("bkg_tree", stored["background"])):
        frame = ROOT.RDataFrame(tree, shipped_file("Higgs_data.root"))
        assert hr.define(frame, path, select="asimov_0.05").Count().GetValue() == expected


def test_several_outputs_say_which_is_cut_on(tmp_path):
    path = write_mlp(tmp_path / "classes.onnx", labels=("top", "qcd jet"))
    arrays = uproot.open(shipped_file("Higgs_data.root"))["sig_tree"].arrays(
        list(HIGGS), library="np", entry_stop=500
    )
    features = np.stack([arrays[name] for name in HIGGS], axis=1)
    ordered = np.sort(runtime_scores(path, features=features)[:, 1])
    half = np.float32(0.5 * (ordered[249] + ordered[250]))  # between two events, far beyond rounding
    assert ordered[250] - ordered[249] > 1e-5
    points = [{"name": "qcd", "threshold": half, "output": "qcd jet"}, {"name": "vague", "threshold": 0.5}]
    with_points(path, points)
    session = hr.Session(path)
    scores = session.infer(features)
    qcd = session.working_points["qcd"]
    assert (qcd.label, qcd.value) == ("qcd jet", 1)
    np.testing.assert_array_equal(qcd.passes(scores), scores[:, 1] >= half)
    np.testing.assert_array_equal(qcd.passes(scores[:, 1]), scores[:, 1] >= half)
    frame = ROOT.RDataFrame("sig_tree", shipped_file("Higgs_data.root")).Range(500)
    for column, name in (("score", "score_qcd_jet"), ("all[]", "all"), ("p_{label}", "p_qcd_jet")):
        found = hr.define(frame, path, column=column, select="qcd").AsNumpy([name])[name]
        values = np.array([value[1] if column == "all[]" else value for value in found])
        assert len(values) == 250
        assert values.min() >= half
    with pytest.raises(SettingError, match="does not say which one"):
        hr.define(frame, path, select="vague")
    with pytest.raises(SettingError, match="does not say which one"):
        session.working_points["vague"].passes(scores)
    with pytest.raises(SettingError, match=r"no working point 'quark'.*Available: qcd, vague"):
        hr.define(frame, path, select="quark")
    with pytest.raises(ShapeError, match=r"\(events, values\)"):
        qcd.passes(scores[None])


def test_files_without_working_points(tmp_path):
    path = write_mlp(tmp_path / "plain.onnx")
    assert hr.Session(path).working_points == {}
    assert working_points_of({"outputs": [{"name": "y", "shape": [3]}]}) == {}
    with pytest.raises(SettingError, match=r"hr\.export"):
        working_point(manifests.read_manifest(path), "tight")


def test_thresholds_beyond_float32_are_refused():
    with pytest.raises(SettingError, match="beyond float32"):
        manifests.working_points({"high": 1e40}, ["score"])
    kept = manifests.working_points([{"name": "a", "threshold": 1, "signal": np.float32(2), "x": np.nan}], [])
    assert kept == [{"name": "a", "threshold": 1.0, "signal": 2.0, "x": None}]
