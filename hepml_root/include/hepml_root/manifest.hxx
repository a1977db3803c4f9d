// What a model takes and gives, read from the manifest that is in every model file. C++17 standard library
// only.
//
//    const auto manifest = hepml_root::Manifest::Parse(TMVA_SOFIE_higgs::Session::manifest());
//    for (const auto &column : manifest.inputs[0].columns)
//       std::cout << column.label << " = " << column.expression << '\n';
//    const auto &cut = manifest.GetWorkingPoint("tight");
//    if (cut.Passes(score)) ...

#ifndef HEPML_ROOT_MANIFEST_HXX
#define HEPML_ROOT_MANIFEST_HXX

#include "json.hxx"
#include "trained_ranges.hxx"

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hepml_root {

/// One input quantity: its name in the model, the ROOT expression it is read by, its units.
struct Column {
   std::string label, expression, units;
};

/// What makes tensors of jagged columns: its name, the columns it reads, the blocks it fills (of which a
/// model may take some only) with their sizes, and the text that representations::make
/// (representations/make.hxx) takes.
struct RepresentationText {
   std::string name, json;
   std::vector<Column> columns, scalars;
   std::vector<std::string> outputs;
   std::vector<std::size_t> sizes;
};

/// One input tensor. `kind` is "flat", "parameter", "jagged", "mask", "image", "index" or "edges"; `shape` is
/// that of one event; `mask` is, for a jagged block, the name of the block that takes its mask. A block that
/// a representation fills has it (`representation.name` is not empty), or names it (`of`).
struct InputBlock {
   std::string name, kind, mask;
   std::vector<std::size_t> shape;
   std::vector<Column> columns;
   RepresentationText representation = {};
   std::string of = {};

   /// Whether the block is of plain jagged columns, side by side.
   bool IsPadded() const { return kind == "jagged" && representation.name.empty() && of.empty(); }
};

/// One output tensor with a label for each value of an event.
struct OutputBlock {
   std::string name;
   std::vector<std::size_t> shape;
   std::vector<std::string> labels;

   /// Number of values of one event.
   std::size_t Values() const {
      std::size_t values = 1;
      for (const std::size_t length : shape)
         values *= length;
      return values;
   }

   /// Label of a value; the output's name, numbered if there are several values, where the file has no
   /// labels.
   std::string Label(std::size_t value) const {
      if (labels.size() == Values())
         return labels[value];
      return Values() == 1 ? name : name + "_" + std::to_string(value);
   }
};

/// Number of values of one event.
inline std::size_t Size(const std::vector<std::size_t>& shape) {
   std::size_t size = 1;
   for (const std::size_t length : shape)
      size *= length;
   return size;
}

/// A named cut on one output value. An event passes where score >= threshold, both of them float: the same
/// comparison as in Python and in RDataFrame, so that the same events pass. A NaN never passes.
struct WorkingPoint {
   std::string name, label;
   float threshold;
   int value; ///< position of the value among all output values; -1 where the file does not say it

   /// Of the value that is cut on.
   bool Passes(float score) const { return score >= threshold; }

   /// Of all output values of an event. Throws std::runtime_error where the file does not say which counts.
   bool Passes(const float* scores) const { return Passes(scores[Position()]); }

   /// Position of the value. Throws std::runtime_error where the file does not say it.
   std::size_t Position() const {
      if (value < 0)
         throw std::runtime_error("hepml_root: working point '" + name +
                                  "' does not say on which of several output values it cuts");
      return static_cast<std::size_t>(value);
   }
};

/// The part of the manifest that is needed to apply a model; `json` holds all of it.
struct Manifest {
   std::string name, task;
   std::vector<InputBlock> inputs;
   std::vector<OutputBlock> outputs;
   std::vector<WorkingPoint> working_points;
   Json json;

   /// The working point of that name. Throws std::runtime_error, with the names there are, if there is none.
   const WorkingPoint& GetWorkingPoint(const std::string& wanted) const {
      std::string names;
      for (const WorkingPoint& point : working_points) {
         if (point.name == wanted)
            return point;
         names += (names.empty() ? "" : ", ") + point.name;
      }
      throw std::runtime_error("hepml_root: model '" + name + "' has no working point '" + wanted +
                               "'. Available: " + (names.empty() ? "none" : names));
   }

   /// The ranges of its conditions that a generator of showers was trained in, in their order; none of other
   /// models. Throws std::runtime_error if the file does not say them.
   TrainedRanges GetTrainedRanges() const {
      const Json& made = json["generator"];
      std::vector<TrainedRange> ranges;
      if (!made.IsNull())
         for (const InputBlock& input : inputs)
            for (const Column& column : input.columns) {
               const Json& range = made["ranges"][column.label];
               if (range.IsNull() || range.List().size() != 2)
                  throw std::runtime_error("hepml_root: generator '" + name +
                                           "' does not say in which range of " + column.label +
                                           " it was trained");
               ranges.push_back({column.label, range.List()[0].Number(), range.List()[1].Number()});
            }
      return TrainedRanges(name, std::move(ranges));
   }

   /// Throws std::runtime_error if the text is no manifest of hepml_root.
   static Manifest Parse(const std::string& text) {
      Manifest manifest;
      manifest.json = Json::Parse(text);
      const Json& json = manifest.json;
      if (json["format"].IsNull() || json["format"].Text() != "hepml_root")
         throw std::runtime_error("hepml_root: the text is no manifest of hepml_root");
      if (json["version"].Number() > 1)
         throw std::runtime_error("hepml_root: the manifest is of a newer version; update hepml_root");
      manifest.name = json["name"].Text();
      manifest.task = json["task"].Text();
      for (const Json& block : json["inputs"].List()) {
         InputBlock input{block["name"].Text(), block["kind"].Text(), "", Shape(block["shape"]), {}};
         if (!block["mask"].IsNull())
            input.mask = block["mask"].Text();
         input.columns = Columns(block["columns"]);
         const Json& made = block["representation"];
         if (!made.IsNull()) {
            input.representation = {made["name"].Text(),      made.Write(), Columns(made["columns"]),
                                    Columns(made["scalars"]), {},           {}};
            for (const Json& output : made["outputs"].List()) {
               input.representation.outputs.push_back(output["name"].Text());
               input.representation.sizes.push_back(Size(Shape(output["shape"])));
            }
         }
         if (!block["of"].IsNull())
            input.of = block["of"].Text();
         manifest.inputs.push_back(std::move(input));
      }
      for (const Json& block : json["outputs"].List()) {
         OutputBlock output{block["name"].Text(), Shape(block["shape"]), {}};
         for (const Json& label : block["labels"].List())
            output.labels.push_back(label.Text());
         manifest.outputs.push_back(std::move(output));
      }
      if (!json["working_points"].IsNull())
         for (const Json& point : json["working_points"].List())
            manifest.working_points.push_back(manifest.PointOf(point));
      return manifest;
   }

private:
   WorkingPoint PointOf(const Json& json) const {
      const std::string output = json["output"].IsNull() ? "" : json["output"].Text();
      // Rounded to float once, from the same double as in Python.
      WorkingPoint point{json["name"].Text(), "", static_cast<float>(json["threshold"].Number()), -1};
      std::vector<std::string> labels, names; // of all values; an output of one value may go by its name
      for (const OutputBlock& block : outputs)
         for (std::size_t i = 0; i < block.Values(); ++i) {
            labels.push_back(block.Label(i));
            names.push_back(block.Values() == 1 ? block.name : "");
         }
      if (output.empty() && labels.size() == 1)
         point.value = 0;
      for (const auto& texts : {labels, names})
         for (std::size_t i = 0; i < texts.size() && !output.empty() && point.value < 0; ++i)
            if (texts[i] == output)
               point.value = static_cast<int>(i);
      if (point.value >= 0)
         point.label = labels[point.Position()];
      return point;
   }

   static std::vector<Column> Columns(const Json& json) {
      std::vector<Column> columns;
      for (const Json& column : json.List())
         columns.push_back({column["label"].Text(), column["expression"].Text(), column["units"].Text()});
      return columns;
   }

   static std::vector<std::size_t> Shape(const Json& json) {
      std::vector<std::size_t> shape;
      for (const Json& length : json.List())
         shape.push_back(static_cast<std::size_t>(length.Number()));
      return shape;
   }
};

} // namespace hepml_root

#endif
