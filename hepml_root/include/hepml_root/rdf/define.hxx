// Scores as columns of an RDataFrame, for C++ programs and ROOT macros. Needs ROOT.
//
//    #include "higgs.hxx"                      // generated: hepml-root compile higgs.onnx -o higgs.hxx
//    #include "hepml_root/rdf/define.hxx"
//    const auto higgs = hepml_root::rdf::ModelOf<TMVA_SOFIE_higgs::Session>();
//    auto scored = hepml_root::rdf::Define(frame, higgs, "score");
//
// Inputs are read by the expressions in the model's manifest. Python's hepml_root.define does the same.

#ifndef HEPML_ROOT_RDF_DEFINE_HXX
#define HEPML_ROOT_RDF_DEFINE_HXX

#include "../compiled_library.hxx"
#include "../manifest.hxx"
#include "../representations/make.hxx"
#include "padding.hxx"
#include "representing.hxx"

#include <ROOT/RDataFrame.hxx>
#include <TInterpreter.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hepml_root {
namespace rdf {

/// A compiled model: what its manifest says, and the function that scores n events.
struct Model {
   using Infer = CompiledLibrary::Infer;
   Manifest manifest;
   Infer infer;
};

/// The model of a generated header, by its Session class.
template <class Session> Model ModelOf() {
   // A Session holds nothing that infer() changes, so that one serves all threads.
   return {Manifest::Parse(Session::manifest()),
           [](const float* const* inputs, std::size_t events, float* const* outputs, std::uint64_t seed,
              std::uint64_t event) {
              static const Session session;
              session.infer(inputs, events, outputs, seed, event);
           }};
}

/// The model of a compiled library (hepml-root compile higgs.onnx -o higgs.so), or of an .onnx file or a
/// weight file of TMVA (.xml), which the command hepml-root then compiles.
///
/// Throws std::runtime_error if the file cannot be loaded or is no such library.
inline Model Load(const std::string& path) {
   const CompiledLibrary library = CompiledLibrary::Open(path);
   return {Manifest::Parse(library.manifest), library.infer};
}

/// The ranges that a generator was trained in; they live as long as the process, as what RDataFrame's code
/// has their address may do. Of other models none.
inline const TrainedRanges* RangesOf(const Manifest& manifest) {
   static std::mutex mutex;
   static std::map<std::string, std::unique_ptr<TrainedRanges>> made;
   TrainedRanges ranges = manifest.GetTrainedRanges();
   if (ranges.ranges().empty())
      return nullptr;
   const std::lock_guard<std::mutex> lock(mutex);
   auto& found = made[manifest.name + manifest.json["generator"]["ranges"].Write()];
   if (!found)
      found = std::make_unique<TrainedRanges>(std::move(ranges));
   return found.get();
}

/// The representation that a manifest describes, made once for each description; it lives as long as the
/// process, as what RDataFrame's code has its address may do.
inline const representations::Representation* Represent(const std::string& json) {
   static std::mutex mutex;
   static std::map<std::string, std::unique_ptr<representations::Representation>> made;
   const std::lock_guard<std::mutex> lock(mutex);
   auto& found = made[json];
   if (!found)
      found = representations::make(json);
   return found.get();
}

/// Fills the tensors of one event, in any thread: a `Representing::Event`.
inline long long RepresentEvent(const void* made, const float* const* columns, unsigned long long count,
                                const float* scalars, float* const* outputs, char* message,
                                std::size_t room) {
   static thread_local representations::Scratch scratch;
   try {
      static_cast<const representations::Representation*>(made)->fill(
          {columns, static_cast<std::size_t>(count), scalars}, outputs, scratch);
      return 0;
   } catch (const std::exception& error) {
      std::snprintf(message, room, "%s", error.what());
      return -1;
   }
}

/// Builds the C++ that scores one event, and the aliases for branches whose names are no C++ names.
class Caller {
public:
   Caller(ROOT::RDF::RNode node, const Model& model, const std::map<std::string, std::string>& expressions,
          std::uint64_t seed = 0, const std::string& event = "rdfentry_", bool allow_extrapolation = false)
       : fNode(node), fColumns(node.GetColumnNames()), fManifest(model.manifest) {
      // Longest first: "jet1_b-tag" is one name, and not "jet1_b" minus "tag".
      std::sort(fColumns.begin(), fColumns.end(),
                [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
      for (const InputBlock& block : fManifest.inputs) {
         if (!IsFilled(block))
            throw std::runtime_error("hepml_root: input '" + block.name + "' of model '" + fManifest.name +
                                     "' is of kind '" + block.kind +
                                     "', and the model does not say how it is made of columns");
         Declare(block, expressions);
      }
      for (std::size_t i = 0; i < fManifest.inputs.size(); ++i) {
         if (fManifest.inputs[i].IsPadded())
            Pad(i, expressions);
         if (!fManifest.inputs[i].representation.name.empty())
            Fill(i, expressions);
      }
      for (const auto& given : expressions)
         if (std::find(fLabels.begin(), fLabels.end(), given.first) == fLabels.end()) {
            std::string known;
            for (const std::string& label : fLabels)
               known += (known.empty() ? "" : ", ") + label;
            throw std::runtime_error("hepml_root: model '" + fManifest.name + "' has no input '" +
                                     given.first + "'; it has " + known + '.');
         }
      // By its address, too.
      if (const TrainedRanges* ranges = RangesOf(fManifest))
         fCode << "reinterpret_cast<const hepml_root::TrainedRanges *>("
               << reinterpret_cast<std::uintptr_t>(ranges) << "ULL)->require(" << Array(0) << ", "
               << (allow_extrapolation ? "true" : "false") << "); ";
      fCode << "const float *const hepml_inputs[] = {";
      for (std::size_t i = 0; i < fManifest.inputs.size(); ++i)
         fCode << (i ? ", " : "") << Array(i);
      fCode << "}; float hepml_scores[" << Labels().size() << "]; float *const hepml_outputs[] = {";
      std::size_t offset = 0;
      for (const OutputBlock& output : fManifest.outputs) {
         fCode << (offset ? ", " : "") << "hepml_scores + " << offset;
         offset += Size(output.shape);
      }
      // By its address: the interpreter need not know the function's name.
      fCode
          << "}; reinterpret_cast<void (*)(const float *const *, std::size_t, float *const *, std::uint64_t, "
             "std::uint64_t)>("
          << reinterpret_cast<std::uintptr_t>(model.infer) << "ULL)(hepml_inputs, 1, hepml_outputs, " << seed
          << "ULL, static_cast<std::uint64_t>(" << event << ")); ";
   }

   ROOT::RDF::RNode Node() const { return fNode; }
   std::string Code() const { return fCode.str(); }

   /// One label for each output value.
   std::vector<std::string> Labels() const {
      std::vector<std::string> labels;
      for (const OutputBlock& output : fManifest.outputs)
         for (std::size_t i = 0; i < Size(output.shape); ++i)
            labels.push_back(i < output.labels.size() ? output.labels[i]
                                                      : output.name + "_" + std::to_string(i));
      return labels;
   }

   static std::string Identifier(std::string text) {
      for (char& c : text)
         if (!std::isalnum(static_cast<unsigned char>(c)))
            c = '_';
      return text;
   }

private:
   static std::string Array(std::size_t block) { return "hepml_in" + std::to_string(block); }

   /// Whether columns, a representation, or the constituents of another block fill a block.
   bool IsFilled(const InputBlock& block) const {
      if (block.kind == "flat" || block.kind == "parameter" || block.IsPadded() || !block.of.empty() ||
          !block.representation.name.empty())
         return true;
      return std::any_of(fManifest.inputs.begin(), fManifest.inputs.end(), [&](const InputBlock& other) {
         return other.IsPadded() && other.mask == block.name;
      });
   }

   void Declare(const InputBlock& block, const std::map<std::string, std::string>& expressions) {
      const std::size_t index = static_cast<std::size_t>(&block - fManifest.inputs.data());
      const bool many = block.kind != "flat" && block.kind != "parameter";
      if (Size(block.shape) > most_on_stack) {
         fCode << "std::vector<float> " << Array(index) << "_values(" << Size(block.shape)
               << "); float *const " << Array(index) << " = " << Array(index) << "_values.data(); ";
         return;
      }
      fCode << (many ? "float " : "const float ") << Array(index) << '[' << Size(block.shape) << ']';
      if (!many) {
         fCode << " = {";
         for (std::size_t i = 0; i < block.columns.size(); ++i)
            fCode << (i ? ", " : "") << "static_cast<float>("
                  << Expression(block.columns[i], expressions, false) << ')';
         fCode << '}';
      }
      fCode << "; ";
   }

   void Pad(std::size_t index, const std::map<std::string, std::string>& expressions) {
      const InputBlock& block = fManifest.inputs[index];
      std::string mask = "nullptr";
      for (std::size_t i = 0; i < fManifest.inputs.size(); ++i)
         if (fManifest.inputs[i].name == block.mask)
            mask = Array(i);
      fCode << "hepml_root::rdf::Padding hepml_pad" << index << '(' << Array(index) << ", " << mask << ", "
            << block.shape.at(0) << ", " << block.shape.at(1) << "); ";
      for (const Column& column : block.columns)
         fCode << "hepml_pad" << index << ".Add(" << Expression(column, expressions, true) << "); ";
   }

   /// Fill all blocks of a representation.
   void Fill(std::size_t index, const std::map<std::string, std::string>& expressions) {
      const RepresentationText& made = fManifest.inputs[index].representation;
      const std::string name = "hepml_represented" + std::to_string(index);
      // By addresses: the interpreter need not know the representation's C++.
      fCode << "hepml_root::rdf::Representing " << name
            << "(reinterpret_cast<hepml_root::rdf::Representing::Event>("
            << reinterpret_cast<std::uintptr_t>(&RepresentEvent) << "ULL), reinterpret_cast<const void *>("
            << reinterpret_cast<std::uintptr_t>(Represent(made.json)) << "ULL), \"" << Identifier(made.name)
            << "\"); ";
      for (const Column& column : made.columns)
         fCode << name << ".Add(" << Expression(column, expressions, true) << "); ";
      for (const Column& scalar : made.scalars)
         fCode << name << ".AddScalar(static_cast<float>(" << Expression(scalar, expressions, false)
               << ")); ";
      std::ostringstream tensors;
      for (std::size_t i = 0; i < made.outputs.size(); ++i) {
         const auto block = std::find_if(fManifest.inputs.begin(), fManifest.inputs.end(),
                                         [&](const InputBlock& b) { return b.name == made.outputs[i]; });
         tensors << (i ? ", " : "");
         if (block != fManifest.inputs.end()) {
            tensors << Array(static_cast<std::size_t>(block - fManifest.inputs.begin()));
         } else { // a tensor that the model has no use for
            const std::string unused = name + "_unused" + std::to_string(i);
            fCode << "std::vector<float> " << unused << '(' << made.sizes[i] << "); ";
            tensors << unused << ".data()";
         }
      }
      fCode << "float *const " << name << "_tensors[] = {" << tensors.str();
      fCode << "}; " << name << ".Fill(" << name << "_tensors); ";
   }

   /// Floats of a block that are kept on the stack, which the threads of a loop have little of.
   static constexpr std::size_t most_on_stack = 16384;

   static bool IsWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

   /// Whether RDataFrame may take a column for another one in an expression of several columns: it replaces
   /// them by var0, var1, … one after the other, and so replaces a column of such a name again. An alias is
   /// resolved before; a Define of that column alone is not.
   static bool IsDummy(const std::string& name) {
      return name.size() > 3 && name.compare(0, 3, "var") == 0 &&
             std::all_of(name.begin() + 3, name.end(),
                         [](char c) { return std::isdigit(static_cast<unsigned char>(c)); });
   }

   static bool IsList(const std::string& type) {
      for (const char* list : {"RVec", "vector<", "array<", "deque<", "list<", "set<", "["})
         if (type.find(list) != std::string::npos)
            return true;
      return false;
   }

   /// The C++ of a column's expression, which gives one value per event or `many`.
   std::string Expression(const Column& column, const std::map<std::string, std::string>& expressions,
                          bool many) {
      fLabels.push_back(column.label);
      const auto replaced = expressions.find(column.label);
      std::string text = replaced == expressions.end() ? column.expression : replaced->second;
      const bool is_name =
          std::all_of(text.begin(), text.end(), [](char c) { return IsWord(c) || c == '.'; });
      if (is_name && !std::isdigit(static_cast<unsigned char>(text[0])) && !fNode.HasColumn(text))
         throw std::runtime_error("hepml_root: input '" + column.label + "' of model '" + fManifest.name +
                                  "' needs the column '" + text +
                                  "', which the data frame lacks. Define it, or name "
                                  "another expression for '" +
                                  column.label + "'.");
      if (fNode.HasColumn(text)) {
         const std::string type = fNode.GetColumnType(text);
         if (IsList(type) != many)
            throw std::runtime_error("hepml_root: input '" + column.label + "' of model '" + fManifest.name +
                                     "' needs " + (many ? "many values" : "one value") +
                                     " per event, and the column '" + text + "' is " + type + ".");
      }
      for (const std::string& name : fColumns) {
         if (!IsDummy(name) &&
             std::all_of(name.begin(), name.end(), [](char c) { return IsWord(c) || c == '.'; }))
            continue;
         for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
            const auto end = at + name.size();
            if ((at > 0 && IsWord(text[at - 1])) || (end < text.size() && IsWord(text[end])))
               continue;
            const std::string alias = Alias(name);
            text.replace(at, name.size(), alias);
            at += alias.size() - 1;
         }
      }
      return text;
   }

   std::string Alias(const std::string& name) {
      // RDataFrame keeps names of the form rdf..._ to itself: neither listed nor written by Snapshot.
      const std::string alias =
          "rdfalias_" + Identifier(name) + std::to_string(std::hash<std::string>{}(name)) + "_";
      if (!fNode.HasColumn(alias))
         fNode = IsDummy(name) ? fNode.Define(alias, name) : fNode.Alias(alias, name);
      return alias;
   }

   ROOT::RDF::RNode fNode;
   std::vector<std::string> fColumns, fLabels;
   const Manifest& fManifest;
   std::ostringstream fCode;
};

/// Define the outputs of a model as columns: `column`, or `column_<label>` for each of several output values;
/// with "column[]" one column `column` with an RVec<float> of all of them.
///
/// `expressions` gives other expressions for inputs, by label. Of a network that draws random numbers, the
/// draws of an event are a function of `seed` and of its number, the expression `event`: with implicit
/// multi-threading, name a column of the file there, since threads number the entries of a tree anew in each
/// run. A generator of showers ends the loop with std::out_of_range at conditions outside of the range that
/// it was trained in, unless `allow_extrapolation`. Throws std::runtime_error if a column is missing or of
/// the wrong type, or there is one of the new name already.
inline ROOT::RDF::RNode Define(ROOT::RDF::RNode node, const Model& model, const std::string& column = "score",
                               const std::map<std::string, std::string>& expressions = {},
                               std::uint64_t seed = 0, const std::string& event = "rdfentry_",
                               bool allow_extrapolation = false) {
   // Beside this file, wherever that is.
   const std::string here = __FILE__;
   for (const char* header : {"padding.hxx", "representing.hxx", "../trained_ranges.hxx"})
      gInterpreter->Declare(("#include \"" + here.substr(0, here.rfind('/') + 1) + header + '"').c_str());
   const Caller caller(node, model, expressions, seed, event, allow_extrapolation);
   if (caller.Code().find("hepml::") != std::string::npos)
      gInterpreter->Declare(
          ("#include \"" + here.substr(0, here.rfind('/') + 1) + "../observables.hxx\"").c_str());
   const std::vector<std::string> labels = caller.Labels();
   const bool as_one = column.size() > 2 && column.compare(column.size() - 2, 2, "[]") == 0;
   std::vector<std::string> names;
   if (as_one)
      names.push_back(column.substr(0, column.size() - 2));
   for (const std::string& label : as_one ? std::vector<std::string>{} : labels)
      names.push_back(labels.size() == 1 ? column : column + "_" + Caller::Identifier(label));
   for (const std::string& name : names)
      if (node.HasColumn(name))
         throw std::runtime_error("hepml_root: the data frame has a column '" + name + "' already");
   if (as_one)
      return caller.Node().Define(names[0], caller.Code() +
                                                "return ROOT::RVecF(hepml_scores, hepml_scores + " +
                                                std::to_string(labels.size()) + ");");
   if (names.size() == 1)
      return caller.Node().Define(names[0], caller.Code() + "return hepml_scores[0];");
   const std::string together = "rdfscores_" + Caller::Identifier(column) + "_";
   ROOT::RDF::RNode scored = caller.Node().Define(
       together, caller.Code() + "return std::vector<float>(hepml_scores, hepml_scores + " +
                     std::to_string(labels.size()) + ");");
   for (std::size_t i = 0; i < names.size(); ++i)
      scored = scored.Define(names[i], together + "[" + std::to_string(i) + "]");
   return scored;
}

/// Keep the events that pass a working point of the model, by a Filter of its name on the column that
/// Define() made; scores and threshold are compared as floats, as in Python. Of several values, `column` is
/// the name that Define() was given.
///
/// Throws std::runtime_error if the model has no such working point, or it does not say which value counts.
inline ROOT::RDF::RNode Select(ROOT::RDF::RNode node, const Model& model, const std::string& name,
                               const std::string& column = "score") {
   const WorkingPoint& point = model.manifest.GetWorkingPoint(name);
   point.Position();
   std::size_t values = 0;
   for (const OutputBlock& output : model.manifest.outputs)
      values += output.Values();
   const std::string cut_on = values == 1 ? column : column + "_" + Caller::Identifier(point.label);
   const float threshold = point.threshold;
   return node.Filter([threshold](float score) { return score >= threshold; }, {cut_on}, name);
}

} // namespace rdf
} // namespace hepml_root

#endif
