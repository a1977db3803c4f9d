// Sums, and what follows them: how products are added up, and the element-wise formula (epilogue) that a
// kernel computes on its results while they are in registers or in the fastest cache.
//
// Every kernel adds in one order, whatever the mode: the result of an event is the same, bit by bit, alone
// and in a block.
#pragma once

#include "lanes.hxx"

#ifdef HEPML_ROOT_AVX512
#include <immintrin.h>
#endif

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// The type in which numbers are added up: float, or double where a check of the rounding errors asks for it
// (export/cpp/generator.py, `accumulate`).
#ifdef HEPML_ROOT_ACCUMULATE_DOUBLE
template <std::size_t Lanes> struct WideSum {
   using Type [[gnu::vector_size(8 * Lanes)]] = double;
};
template <class V> using Accumulator = typename WideSum<width<V>>::Type;
constexpr bool sums_in_double = true;
#else
template <class V> using Accumulator = V;
constexpr bool sums_in_double = false;
#endif

template <class V> HEPML_ROOT_INLINE Accumulator<V> accumulator(V x) {
   if constexpr (sums_in_double)
      return __builtin_convertvector(x, Accumulator<V>);
   else
      return x;
}
template <class V> HEPML_ROOT_INLINE V rounded(Accumulator<V> x) {
   if constexpr (sums_in_double)
      return __builtin_convertvector(x, V);
   else
      return x;
}
template <class V> HEPML_ROOT_INLINE void add_product(Accumulator<V>& sum, V a, V b) {
   sum += accumulator<V>(a) * accumulator<V>(b);
}

// The sum of all lanes, halves first.
template <class V> HEPML_ROOT_INLINE float total(Accumulator<V> x) {
   if constexpr (sums_in_double) {
      for (std::size_t half = width<V> / 2; half > 0; half /= 2)
         for (std::size_t i = 0; i < half; ++i)
            x[i] += x[i + half];
      return static_cast<float>(x[0]);
   } else {
      return sum_of_lanes<V>(x);
   }
}

// The first Count floats of a register; the others are zero, or stay as they are in memory.
template <class V, std::size_t Count> HEPML_ROOT_INLINE V load_part(const float* from) {
   if constexpr (Count == 0) {
      return V{};
   } else if constexpr (Count >= width<V>) {
      return load<V>(from);
   } else {
#ifdef HEPML_ROOT_AVX512
      if constexpr (width<V> == 16)
         return V(_mm512_maskz_loadu_ps((1u << Count) - 1, from));
#endif
      V value{};
      std::memcpy(&value, from, Count * sizeof(float));
      return value;
   }
}
template <class V, std::size_t Count> HEPML_ROOT_INLINE void store_part(float* to, V value) {
   if constexpr (Count >= width<V>) {
      store<V>(to, value);
   } else if constexpr (Count > 0) {
#ifdef HEPML_ROOT_AVX512
      if constexpr (width<V> == 16) {
         _mm512_mask_storeu_ps(to, (1u << Count) - 1, __m512(value));
         return;
      }
#endif
      std::memcpy(to, &value, Count * sizeof(float));
   }
}

// When an epilogue is computed: on results while they are in registers, or, if it needs many registers
// itself, from memory after they have been stored.
enum class Epilogue { in_registers, after_storing };

// The epilogue that does nothing.
struct Identity {
   template <class V, class At> HEPML_ROOT_INLINE V operator()(V y, At) const { return y; }
};

// The epilogue of Count neighbouring results that are stored from y on, the first of them being `feature`.
template <class M, std::size_t Count, class F>
HEPML_ROOT_INLINE void finish(float* y, std::size_t feature, const F& epilogue) {
   using V = typename M::V;
   constexpr std::size_t whole = Count / M::step * M::step;
   for (std::size_t n = 0; n < whole; n += M::step)
      for (std::size_t v = 0; v < M::vectors; ++v) {
         float* const at = y + n * M::lanes + v * width<V>;
         store<V>(at, epilogue(load<V>(at), typename M::At{feature + n, v}));
      }
   if constexpr (whole < Count) {
      float* const at = y + whole;
      const V sum = load_part<V, Count - whole>(at);
      store_part<V, Count - whole>(at, epilogue(sum, typename M::At{feature + whole, 0}));
   }
}

// The same for a count that is known at run time; writes whole registers.
template <class M, class F>
HEPML_ROOT_INLINE void finish(float* y, std::size_t feature, std::size_t count, const F& epilogue) {
   using V = typename M::V;
   for (std::size_t n = feature; n < feature + count; n += M::step)
      for (std::size_t v = 0; v < M::vectors; ++v) {
         float* const at = y + n * M::lanes + v * width<V>;
         store<V>(at, epilogue(load<V>(at), typename M::At{n, v}));
      }
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
