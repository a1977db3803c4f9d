// SOFIE's functor for RDataFrame: N columns of one type, the first output value. Needs the standard library
// only.
//
//    #include "higgs.hxx"                      // generated: hepml-root compile higgs.onnx -o higgs.hxx
//    #include "hepml_root/rdf/sofie_functor.hxx"
//    using hepml_root::rdf::SofieFunctor;
//    frame.DefineSlot("score", SofieFunctor<28, TMVA_SOFIE_higgs::Session>(frame.GetNSlots()), {"pt", ...});
//
// Sessions of ROOT's own SOFIE are taken as well: each slot then has one of its own, since they are not to be
// shared by threads nor copied.

#ifndef HEPML_ROOT_RDF_SOFIE_FUNCTOR_HXX
#define HEPML_ROOT_RDF_SOFIE_FUNCTOR_HXX

#include <cstddef>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace hepml_root {
namespace rdf {
namespace detail {

template <class Session, class = void> struct IsOurs : std::false_type {};
template <class Session> struct IsOurs<Session, std::void_t<typename Session::Sizes>> : std::true_type {};

template <std::size_t Count> constexpr std::size_t Total(const std::size_t (&sizes)[Count]) {
   std::size_t sum = 0;
   for (const std::size_t size : sizes)
      sum += size;
   return sum;
}

template <class Session, class T, class Numbers> class SofieFunctorOf;

template <class Session, class T, std::size_t... I>
class SofieFunctorOf<Session, T, std::index_sequence<I...>> {
   template <std::size_t> using Same = T;

public:
   /// `slots` is the frame's GetNSlots(); `weights` the file of weights of a large network.
   explicit SofieFunctorOf(unsigned int slots = 0, const std::string& weights = "") {
      const unsigned int sessions = IsOurs<Session>::value || slots == 0 ? 1 : slots;
      for (unsigned int i = 0; i < sessions; ++i)
         fSessions.push_back(weights.empty() ? std::make_shared<Session>()
                                             : std::make_shared<Session>(weights));
   }

   double operator()(unsigned int slot, Same<I>... columns) const {
      float x[] = {static_cast<float>(columns)...};
      if constexpr (IsOurs<Session>::value) {
         (void)slot; // one Session serves any number of threads
         using Sizes = typename Session::Sizes;
         static_assert(Total(Sizes::input_sizes) == sizeof...(I),
                       "SofieFunctor<N, Session>: N is not the number of values that the network takes");
         float y[Total(Sizes::output_sizes)];
         const float* from[Sizes::inputs];
         float* to[Sizes::outputs];
         const float* next = x;
         for (std::size_t i = 0; i < Sizes::inputs; next += Sizes::input_sizes[i++])
            from[i] = next;
         float* free = y;
         for (std::size_t i = 0; i < Sizes::outputs; free += Sizes::output_sizes[i++])
            to[i] = free;
         fSessions[0]->infer(from, 1, to);
         return y[0];
      } else {
         return fSessions.at(slot)->infer(x)[0];
      }
   }

private:
   std::vector<std::shared_ptr<Session>> fSessions;
};

} // namespace detail

/// Takes the place of TMVA::Experimental::SofieFunctor: `N` columns of type `T`, the first output value.
template <std::size_t N, class Session, class T = float>
using SofieFunctor = detail::SofieFunctorOf<Session, T, std::make_index_sequence<N>>;

} // namespace rdf
} // namespace hepml_root

#endif
