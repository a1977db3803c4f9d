// Resizing along one axis: every new position is a weighted sum of old ones.
#pragma once

#include "lanes.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// y[o][n][i] = sum over t of weights[n][t] x[o][table[n][t]][i].
template <class M, std::size_t Outer, std::size_t Axis, std::size_t New, std::size_t Inner, std::size_t Taps>
__attribute__((noinline)) void interpolate(const float* x, const std::uint32_t* table, const float* weights,
                                           float* y) {
   using V = typename M::Lane;
   constexpr std::size_t length = Inner * M::lanes; // floats from one position to the next
   for (std::size_t o = 0; o < Outer; ++o)
      for (std::size_t n = 0; n < New; ++n)
         for (std::size_t i = 0; i < length; i += width<V>) {
            V sum{};
            for (std::size_t t = 0; t < Taps; ++t)
               sum += weights[n * Taps + t] * load<V>(x + (o * Axis + table[n * Taps + t]) * length + i);
            store<V>(y + (o * New + n) * length + i, sum);
         }
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
