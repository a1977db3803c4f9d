// Between rows, one per event, and lanes: squares of numbers are transposed in registers.
#pragma once

#include "lanes.hxx"

#include <utility>

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

#ifdef HEPML_ROOT_SHUFFLE
// Exchanges the off-diagonal squares of side D between two rows: one step of transposing a square matrix.
template <std::size_t D, class V, int... L>
HEPML_ROOT_INLINE void exchange(V& a, V& b, std::integer_sequence<int, L...>) {
   constexpr int lanes = sizeof...(L);
   constexpr int d = static_cast<int>(D);
   const V upper = __builtin_shufflevector(a, b, ((L & d) ? L - d + lanes : L)...);
   const V lower = __builtin_shufflevector(a, b, ((L & d) ? L + lanes : L + d)...);
   a = upper;
   b = lower;
}

template <std::size_t D, class V, std::size_t Lanes> HEPML_ROOT_INLINE void transpose(V (&rows)[Lanes]) {
   if constexpr (D > 0) {
      HEPML_ROOT_UNROLL
      for (std::size_t i = 0; i < Lanes; ++i)
         if ((i & D) == 0)
            exchange<D>(rows[i], rows[i + D], std::make_integer_sequence<int, Lanes>{});
      transpose<D / 2>(rows);
   }
}
#endif

// F features of one register of events, from rows of `stride` floats.
template <class V, std::size_t F, std::size_t Lanes>
HEPML_ROOT_INLINE void rows_to_lanes(const float* const (&row)[width<V>], float* y) {
#ifdef HEPML_ROOT_SHUFFLE
   constexpr std::size_t w = width<V>;
   if constexpr (F >= w) {
      // Squares of w features; the last one ends at feature F and may repeat some of the one before.
      for (std::size_t f = 0; f < F; f += w) {
         const std::size_t first = f + w <= F ? f : F - w;
         V square[w];
         HEPML_ROOT_UNROLL
         for (std::size_t e = 0; e < w; ++e)
            square[e] = load<V>(row[e] + first);
         transpose<w / 2>(square);
         HEPML_ROOT_UNROLL
         for (std::size_t e = 0; e < w; ++e)
            store<V>(y + (first + e) * Lanes, square[e]);
      }
      return;
   }
#endif
   for (std::size_t e = 0; e < width<V>; ++e)
      for (std::size_t f = 0; f < F; ++f)
         y[f * Lanes + e] = row[e][f];
}

// F features of one register of events into rows that are `pitch` floats apart.
template <class V, std::size_t F, std::size_t Lanes>
HEPML_ROOT_INLINE void lanes_to_rows(const float* x, float* y, std::size_t pitch) {
   constexpr std::size_t w = width<V>;
#ifdef HEPML_ROOT_SHUFFLE
   if constexpr (F >= w) {
      for (std::size_t f = 0; f < F; f += w) {
         const std::size_t first = f + w <= F ? f : F - w;
         V square[w];
         HEPML_ROOT_UNROLL
         for (std::size_t e = 0; e < w; ++e)
            square[e] = load<V>(x + (first + e) * Lanes);
         transpose<w / 2>(square);
         HEPML_ROOT_UNROLL
         for (std::size_t e = 0; e < w; ++e)
            store<V>(y + e * pitch + first, square[e]);
      }
      return;
   }
#endif
   for (std::size_t e = 0; e < w; ++e)
      for (std::size_t f = 0; f < F; ++f)
         y[e * pitch + f] = x[f * Lanes + e];
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
