// Generated networks as functors for RDataFrame's DefineSlot, with compiled column types. Needs ROOT's RVec.
//
//    #include "higgs.hxx"                      // generated: hepml-root compile higgs.onnx -o higgs.hxx
//    #include "hepml_root/rdf/functor.hxx"
//    using hepml_root::rdf::Functor, hepml_root::rdf::SofieFunctor;
//
//    // N float columns, with SOFIE's name and arguments:
//    frame.DefineSlot("score", SofieFunctor<28, TMVA_SOFIE_higgs::Session>(frame.GetNSlots()), {"pt", ...});
//    // columns of any types in the order of the model's inputs, jagged ones padded and masked:
//    frame.DefineSlot("top", Functor<TMVA_SOFIE_jets::Session, ROOT::RVecF, ROOT::RVecF, double>(
//                               frame.GetNSlots()), {"jet_pt", "jet_eta", "met"});
//
// Each event is scored alone and by the same draws, if the network draws random numbers: define.hxx gives
// every event its own. Columns are named by hand here, as for SOFIE; hepml_root::rdf::Define (define.hxx)
// takes their names and expressions from the model.

#ifndef HEPML_ROOT_RDF_FUNCTOR_HXX
#define HEPML_ROOT_RDF_FUNCTOR_HXX

#include "../manifest.hxx"
#include "padding.hxx"
#include "sofie_functor.hxx"

#include <ROOT/RVec.hxx>

#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace hepml_root {
namespace rdf {

/// Scores one event of a slot: float for a model with one output value, RVec<float> for several, all outputs
/// one after the other.
///
/// `Columns` are the types of the columns in the order of the model's inputs: numbers of any type, and for
/// jagged inputs RVecs or vectors of any type. A mask is no column: it is made of the numbers of
/// constituents.
template <class Session, class... Columns> class Functor {
public:
   /// `slots` is the frame's GetNSlots(); `weights` the file of weights of a large network.
   ///
   /// Throws std::runtime_error if the columns are not those that the model takes.
   explicit Functor(unsigned int slots = 1, const std::string& weights = "")
       : fSession(weights.empty() ? Session() : Session(weights)) {
      const Manifest manifest = Manifest::Parse(Session::manifest());
      Room room;
      for (const InputBlock& block : manifest.inputs) {
         if (block.representation.name.size() || block.of.size())
            throw std::runtime_error("hepml_root: input '" + block.name + "' of model '" + manifest.name +
                                     "' is made by a representation: use hepml_root::rdf::Define");
         const std::size_t index = room.inputs.size();
         room.inputs.emplace_back(Size(block.shape));
         if (block.IsPadded()) {
            int mask = -1;
            for (std::size_t i = 0; i < manifest.inputs.size(); ++i)
               if (manifest.inputs[i].name == block.mask)
                  mask = static_cast<int>(i);
            for (std::size_t feature = 0; feature < block.shape.at(1); ++feature)
               fPlaces.push_back({index, feature, true, block.shape[0], block.shape[1], mask});
         } else if (block.kind != "mask") {
            for (std::size_t i = 0; i < room.inputs.back().size(); ++i)
               fPlaces.push_back({index, i, false, 0, 0, -1});
         }
      }
      constexpr bool jagged[] = {!std::is_arithmetic_v<Columns>...};
      if (fPlaces.size() != sizeof...(Columns))
         throw std::runtime_error("hepml_root: model '" + manifest.name + "' takes " +
                                  std::to_string(fPlaces.size()) + " columns, and " +
                                  std::to_string(sizeof...(Columns)) + " are given");
      for (std::size_t i = 0; i < fPlaces.size(); ++i)
         if (fPlaces[i].jagged != jagged[i])
            throw std::runtime_error("hepml_root: column " + std::to_string(i + 1) + " of model '" +
                                     manifest.name + "' has " +
                                     (jagged[i] ? "many values per event, and one is needed"
                                                : "one value per event, and many are needed"));
      room.padding.resize(room.inputs.size());
      for (const OutputBlock& output : manifest.outputs)
         room.outputs.emplace_back(Size(output.shape));
      fRooms.assign(slots > 0 ? slots : 1, room);
   }

   auto operator()(unsigned int slot, const Columns&... columns) const {
      Room& room = fRooms.at(slot);
      std::size_t column = 0;
      (Put(room, fPlaces[column++], columns), ...);
      const std::size_t inputs = room.inputs.size(), outputs = room.outputs.size();
      room.from.resize(inputs);
      for (std::size_t i = 0; i < inputs; ++i)
         room.from[i] = room.inputs[i].data();
      room.to.resize(outputs);
      for (std::size_t i = 0; i < outputs; ++i)
         room.to[i] = room.outputs[i].data();
      fSession.infer(room.from.data(), 1, room.to.data());
      if constexpr (values() == 1) {
         return room.outputs[0][0];
      } else {
         ROOT::RVecF scores(values());
         auto next = scores.begin();
         for (const auto& output : room.outputs)
            next = std::copy(output.begin(), output.end(), next);
         return scores;
      }
   }

   /// Number of values that the model gives for an event.
   static constexpr std::size_t values() {
      std::size_t sum = 0;
      for (const std::size_t size : Session::Sizes::output_sizes)
         sum += size;
      return sum;
   }

private:
   struct Place {
      std::size_t input, index;
      bool jagged;
      std::size_t length, features;
      int mask; ///< number of the input that takes the mask, or -1
   };

   /// What one slot works in; threads do not share it.
   struct alignas(128) Room {
      std::vector<std::vector<float>> inputs, outputs;
      std::vector<std::optional<Padding>> padding;
      std::vector<const float*> from;
      std::vector<float*> to;
   };

   template <class Column> static void Put(Room& room, const Place& place, const Column& value) {
      std::vector<float>& input = room.inputs[place.input];
      if constexpr (std::is_arithmetic_v<Column>) {
         input[place.index] = static_cast<float>(value);
      } else {
         std::optional<Padding>& padding = room.padding[place.input];
         if (place.index == 0)
            padding.emplace(input.data(), place.mask < 0 ? nullptr : room.inputs[place.mask].data(),
                            place.length, place.features);
         padding->Add(value);
      }
   }

   Session fSession; // serves any number of threads
   std::vector<Place> fPlaces;
   mutable std::vector<Room> fRooms;
};

} // namespace rdf
} // namespace hepml_root

#endif
