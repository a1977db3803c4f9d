// What a model takes and gives, read from the manifest that is in every model file. C++17 standard library
// only.
//
//    const auto manifest = hepml_root::Manifest::Parse(TMVA_SOFIE_higgs::Session::manifest());
//    for (const auto &column : manifest.inputs[0].columns)
//       std::cout << column.label << " = " << column.expression << '\n';

#ifndef HEPML_ROOT_MANIFEST_HXX
#define HEPML_ROOT_MANIFEST_HXX

#include "json.hxx"

#include <cstddef>
#include <string>
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
};

/// Number of values of one event.
inline std::size_t Size(const std::vector<std::size_t>& shape) {
   std::size_t size = 1;
   for (const std::size_t length : shape)
      size *= length;
   return size;
}

/// The part of the manifest that is needed to apply a model; `json` holds all of it.
struct Manifest {
   std::string name, task;
   std::vector<InputBlock> inputs;
   std::vector<OutputBlock> outputs;
   Json json;

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
      return manifest;
   }

private:
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
