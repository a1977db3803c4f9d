// Calorimeter showers from a trained and exported generator, in C++17 programs and ROOT macros. Needs nothing
// of ROOT.
//
//    #include "hepml_root/generator.hxx"
//
//    const hepml_root::Generator generator("gen.onnx");
//    std::vector<float> cells;
//    generator.sample(50.f, 0.2f, *gRandom, cells);
//    generator.sample(50.f, 0.2f, hepml_root::Draws{1, event}, cells);
//    generator.sample(conditions.data(), n, seed, first_event, out.data());
//
// The numbers are the generator's conditions in their order, here energy [GeV] and eta. With Draws an event
// gives the same shower again; n showers at once are fastest. In place of the .onnx file a library may be
// given: hepml-root compile gen.onnx -o gen.so.
//
// With a generated header instead (hepml-root compile gen.onnx -o gen.hxx), nothing is loaded at run time:
//
//    const auto generator = hepml_root::GeneratorOf<TMVA_SOFIE_gen::Session>();

#ifndef HEPML_ROOT_GENERATOR_HXX
#define HEPML_ROOT_GENERATOR_HXX

#include "calorimeter.hxx"
#include "compiled_library.hxx"
#include "manifest.hxx"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace hepml_root {

/// What the random numbers of a shower are a function of: a seed and the number of the event. The same two
/// give the same shower, bit for bit, in Python, in RDataFrame and here, in any thread and block.
struct Draws {
   std::uint64_t seed = 0, event = 0;
};

namespace detail {

template <class T, class = void> struct IsTRandom : std::false_type {};
template <class T>
struct IsTRandom<T,
                 std::void_t<decltype(std::declval<T&>().Integer(1u)), decltype(std::declval<T&>().Rndm())>>
    : std::true_type {};

/// 64 bits of a random engine: of ROOT's TRandom and its children (or a pointer to one, as gRandom), or of
/// the standard library, where each call gives a whole number from min() to max().
template <class Engine> std::uint64_t seed_of(Engine& engine) {
   if constexpr (std::is_pointer_v<Engine>) {
      return seed_of(*engine);
   } else if constexpr (IsTRandom<Engine>::value) {
      constexpr std::uint64_t half = 1u << 16; // of a TRandom, all have 16 good bits
      std::uint64_t seed = 0;
      for (int i = 0; i < 4; ++i)
         seed = seed * half + engine.Integer(static_cast<unsigned int>(half));
      return seed;
   } else {
      // Done by hand: what std::uniform_int_distribution gives differs between standard libraries.
      constexpr std::uint64_t largest = Engine::max() - Engine::min();
      std::uint64_t seed = engine() - Engine::min();
      for (std::uint64_t known = largest; known < std::numeric_limits<std::uint64_t>::max();) {
         seed = seed * (largest + 1) + (engine() - Engine::min());
         const bool full = known > std::numeric_limits<std::uint64_t>::max() / (largest + 1) - 1;
         known = full ? std::numeric_limits<std::uint64_t>::max() : known * (largest + 1) + largest;
      }
      return seed;
   }
}

template <class Engine> Draws draws_of(Engine& engine) {
   if constexpr (std::is_same_v<std::remove_const_t<Engine>, Draws>)
      return engine;
   else
      return {seed_of(engine), 0};
}

} // namespace detail

/// A generator of showers.
///
/// `sample` changes nothing of it: one generator serves all threads, each with a random engine of its own.
/// Energies of cells are in GeV on the scale of the calorimeter, layer by layer, row by row; those without a
/// hit are exactly 0. Conditions are in the units of the training, energies in GeV.
class Generator {
public:
   /// Open an .onnx file, which the command hepml-root compiles (and keeps in its cache), or a library.
   ///
   /// Throws std::runtime_error if there is no such file, or it is no generator of showers.
   explicit Generator(const std::string& path) : Generator(CompiledLibrary::Open(path)) {}

   /// Of functions that are there already.
   explicit Generator(const CompiledLibrary& model)
       : fManifest(Manifest::Parse(model.manifest)), fInfer(model.infer) {
      const Json& made = fManifest.json["generator"];
      if (made.IsNull())
         throw std::runtime_error("hepml_root: '" + fManifest.name +
                                  "' is no generator of showers: its manifest says of no calorimeter");
      fCalorimeter = Calorimeter::Parse(made["geometry"]);
      fKind = made["kind"].IsNull() ? "" : made["kind"].Text();
      if (fManifest.inputs.size() != 1 || fManifest.outputs.size() != 1 ||
          fManifest.outputs[0].Values() != cells())
         throw std::runtime_error("hepml_root: the outputs of '" + fManifest.name + "' are not the " +
                                  std::to_string(cells()) + " cells of its calorimeter '" +
                                  fCalorimeter.name + "'");
      fRanges = fManifest.GetTrainedRanges();
      for (const TrainedRange& range : fRanges.ranges())
         fLabels.push_back(range.label);
   }

   const std::string& name() const { return fManifest.name; }
   /// A word for what it is: "flow", "gan", …
   const std::string& kind() const { return fKind; }
   const Calorimeter& calorimeter() const { return fCalorimeter; }
   /// Number of cells of a shower.
   std::size_t cells() const { return fCalorimeter.Cells(); }
   /// The conditions in their order, and the ranges that it was trained in.
   const std::vector<std::string>& labels() const { return fLabels; }
   const std::vector<TrainedRange>& ranges() const { return fRanges.ranges(); }
   const Manifest& manifest() const { return fManifest; }

   /// Whether conditions outside of the trained ranges are taken.
   void allow_extrapolation(bool allowed = true) { fExtrapolates = allowed; }

   /// Make one shower: `sample(energy, …, engine, out)`, with a number for each condition in their order.
   ///
   /// `engine` is a random engine, from which 64 bits are drawn as a seed: a TRandom, a pointer to one
   /// (gRandom), or one of the standard library; or Draws{seed, event}. `out` is a vector
   /// (std::vector<float>, ROOT::RVecF), which gets the size, or a float* to as many as cells().
   ///
   /// Throws std::invalid_argument if the conditions are not as many, std::out_of_range if one is outside of
   /// the trained range.
   template <class First, class... Rest,
             class = std::enable_if_t<std::is_arithmetic_v<std::remove_reference_t<First>>>>
   void sample(First&& first, Rest&&... rest) const {
      static_assert(sizeof...(Rest) >= 2, "sample(energy, …, engine, out)");
      auto given = std::forward_as_tuple(first, rest...);
      one(given, std::make_index_sequence<sizeof...(Rest) - 1>());
   }

   /// Make n showers of the conditions (n, conditions), row by row, into `out` (n, cells). The shower in row
   /// i has the draws of event `first_event` + i. All conditions are checked before the first shower is made.
   void sample(const float* conditions, std::size_t n, std::uint64_t seed, std::uint64_t first_event,
               float* out) const {
      for (std::size_t i = 0; i < n; ++i)
         fRanges.require(conditions + i * fLabels.size(), fExtrapolates);
      fInfer(&conditions, n, &out, seed, first_event);
   }

private:
   template <class Given, std::size_t... I> void one(Given& given, std::index_sequence<I...>) const {
      constexpr std::size_t count = sizeof...(I);
      static_assert((std::is_arithmetic_v<std::remove_reference_t<std::tuple_element_t<I, Given>>> && ...),
                    "the conditions are numbers, then comes the random engine, then what is filled");
      if (count != fLabels.size()) {
         std::string known;
         for (const std::string& label : fLabels)
            known += (known.empty() ? "" : ", ") + label;
         throw std::invalid_argument("hepml_root: generator '" + name() + "' takes " + known + "; " +
                                     std::to_string(count) + " numbers are given");
      }
      const float conditions[] = {static_cast<float>(std::get<I>(given))...};
      fRanges.require(conditions, fExtrapolates); // before a number is drawn
      const Draws draws = detail::draws_of(std::get<count>(given));
      auto& out = std::get<count + 1>(given);
      if constexpr (std::is_same_v<std::decay_t<decltype(out)>, float*>) {
         sample(conditions, 1, draws.seed, draws.event, out);
      } else {
         out.resize(cells());
         sample(conditions, 1, draws.seed, draws.event, out.data());
      }
   }

   Manifest fManifest;
   CompiledLibrary::Infer fInfer;
   Calorimeter fCalorimeter;
   TrainedRanges fRanges;
   std::vector<std::string> fLabels;
   std::string fKind;
   bool fExtrapolates = false;
};

/// The generator of a generated header, by its Session class.
template <class Session> Generator GeneratorOf() {
   // A Session holds nothing that infer() changes, so that one serves all threads.
   return Generator(CompiledLibrary{Session::manifest(),
                                    [](const float* const* inputs, std::size_t events, float* const* outputs,
                                       std::uint64_t seed, std::uint64_t event) {
                                       static const Session session;
                                       session.infer(inputs, events, outputs, seed, event);
                                    }});
}

} // namespace hepml_root

#endif
