// Moving features: what slices, joins, transposes, repeats and padding come down to.
//
// A movement is a nest of loops that copies one feature (or, where both sides are contiguous, a run of them)
// in each turn. The generator finds the loops in the list of indices (export/cpp/moves.py); where there is no
// regularity, the outermost loop reads its places from a table.
#pragma once

#include "lanes.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// One loop: in each of Extent turns the place that is written moves by To features, the one read by From.
template <std::size_t Extent, std::ptrdiff_t To, std::ptrdiff_t From> struct Loop {};

// What is copied: features of the events,
template <class M> struct Features {
   static constexpr std::ptrdiff_t to = M::lanes, from = M::lanes; // floats from one feature to the next
   template <std::size_t Count> static HEPML_ROOT_INLINE void copy(const float* x, float* y) {
      std::memcpy(y, x, Count * M::lanes * sizeof(float));
   }
};

// or constants, the same for all events.
template <class M> struct Constants {
   static constexpr std::ptrdiff_t to = M::lanes, from = 1;
   template <std::size_t Count> static HEPML_ROOT_INLINE void copy(const float* x, float* y) {
      using V = typename M::Lane;
      for (std::size_t i = 0; i < Count; ++i)
         for (std::size_t v = 0; v < M::vectors; ++v)
            store<V>(y + i * M::lanes + v * width<V>, splat<V>(x[i]));
   }
};

template <class Source, class... Loops> struct Nest;

template <class Source> struct Nest<Source> {
   static HEPML_ROOT_INLINE void run(const float* x, float* y) { Source::template copy<1>(x, y); }
};

template <class Source, std::size_t Extent, std::ptrdiff_t To, std::ptrdiff_t From, class... Inner>
struct Nest<Source, Loop<Extent, To, From>, Inner...> {
   static HEPML_ROOT_INLINE void run(const float* x, float* y) {
      if constexpr (sizeof...(Inner) == 0 && To == 1 && From == 1)
         Source::template copy<Extent>(x, y);
      else
         for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(Extent); ++i)
            Nest<Source, Inner...>::run(x + i * From * Source::from, y + i * To * Source::to);
   }
};

// Never inlined: movements of the same shape share one function.
template <class Source, class... Loops> __attribute__((noinline)) void move(const float* x, float* y) {
   Nest<Source, Loops...>::run(x, y);
}

// The same from `count` places to `count` others: pairs (to, from), in features. Long tables are kept among
// the weights, as floats, which hold the places exactly.
template <class Source, class Place, class... Loops>
__attribute__((noinline)) void move_each(const float* x, const Place* table, std::size_t count, float* y) {
   for (std::size_t i = 0; i < count; ++i)
      Nest<Source, Loops...>::run(x + static_cast<std::ptrdiff_t>(table[2 * i + 1]) * Source::from,
                                  y + static_cast<std::ptrdiff_t>(table[2 * i]) * Source::to);
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
