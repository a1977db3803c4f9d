// Comparisons and logic, parts of a number, and bounds: what the functions on vectors are made of.
#pragma once

#include "lanes.hxx"

#include <cmath>
#include <limits>
#include <utility>

#if defined(HEPML_ROOT_AVX512) || defined(__SSE__)
#include <immintrin.h>
#endif

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

constexpr float infinity = std::numeric_limits<float>::infinity();

// ---- true and false are stored as 1 and 0 ---------------------------------------------------------------
template <class V> HEPML_ROOT_INLINE V truth(Mask<V> where) {
   return from_bits<V>(where & bits(splat<V>(1.0f)));
}
template <class V> HEPML_ROOT_INLINE Mask<V> holds(V x) { return x != 0.0f; }
template <class V> HEPML_ROOT_INLINE V less(V a, V b) { return truth<V>(a < b); }
template <class V> HEPML_ROOT_INLINE V less_or_equal(V a, V b) { return truth<V>(a <= b); }
template <class V> HEPML_ROOT_INLINE V equal(V a, V b) { return truth<V>(a == b); }
template <class V> HEPML_ROOT_INLINE V logical_and(V a, V b) { return truth<V>(holds(a) & holds(b)); }
template <class V> HEPML_ROOT_INLINE V logical_or(V a, V b) { return truth<V>(holds(a) | holds(b)); }
template <class V> HEPML_ROOT_INLINE V logical_xor(V a, V b) { return truth<V>(holds(a) ^ holds(b)); }
template <class V> HEPML_ROOT_INLINE V logical_not(V a) { return truth<V>(a == 0.0f); }
template <class V> HEPML_ROOT_INLINE V not_zero(V a) { return truth<V>(holds(a)); }
template <class V> HEPML_ROOT_INLINE V where(V condition, V yes, V no) {
   return select<V>(holds(condition), yes, no);
}
template <class V> HEPML_ROOT_INLINE V is_nan(V x) { return truth<V>(x != x); }

// ---- parts of a number ----------------------------------------------------------------------------------
template <class V> HEPML_ROOT_INLINE V absolute(V x) { return from_bits<V>(bits(x) & 0x7fffffff); }
template <class V> HEPML_ROOT_INLINE V with_sign_of(V magnitude, V sign) {
   return from_bits<V>((bits(magnitude) & 0x7fffffff) | (bits(sign) & (-0x7fffffff - 1)));
}
template <class V>
HEPML_ROOT_INLINE V sign(V x) // NaN stays NaN, as 0 stays 0
{
   return select<V>(x > 0.0f, splat<V>(1.0f), select<V>(x < 0.0f, splat<V>(-1.0f), x));
}
// Nearest integer, halves to even. Above 2^23 every float is an integer already.
template <class V> HEPML_ROOT_INLINE V round_even(V x) {
   const V magnitude = absolute(x);
   const V rounded = (magnitude + 8388608.0f) - 8388608.0f;
   return select<V>(magnitude < 8388608.0f, with_sign_of(rounded, x), x);
}
template <class V> HEPML_ROOT_INLINE V floor_of(V x) {
   const V near = round_even(x);
   return select<V>(near > x, near - 1.0f, near);
}
template <class V> HEPML_ROOT_INLINE V ceil_of(V x) {
   const V near = round_even(x);
   return select<V>(near < x, with_sign_of(near + 1.0f, x), near);
}
template <class V> HEPML_ROOT_INLINE V truncate(V x) { return with_sign_of(floor_of(absolute(x)), x); }

// At most `high`, at least `low`; NaN in x stays, as vminps and vmaxps give their second operand for NaN.
// (The forms with a full mask are the plain instructions; g++ 12 warns of the others' undefined operands.)
template <class V> HEPML_ROOT_INLINE V clip_above(V x, V high) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16)
      return V(_mm512_maskz_min_ps(0xffff, __m512(high), __m512(x)));
#endif
   return select<V>(x > high, high, x);
}
template <class V> HEPML_ROOT_INLINE V clip_below(V x, V low) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16)
      return V(_mm512_maskz_max_ps(0xffff, __m512(low), __m512(x)));
#endif
   return select<V>(x < low, low, x);
}

// The smaller and the larger of two; NaN if either is.
template <class V> HEPML_ROOT_INLINE V minimum(V a, V b) { return select<V>((a < b) | (a != a), a, b); }
template <class V> HEPML_ROOT_INLINE V maximum(V a, V b) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16)
      return V(_mm512_mask_max_ps(__m512(a), _mm512_cmp_ps_mask(__m512(a), __m512(a), _CMP_ORD_Q), __m512(a),
                                  __m512(b)));
#endif
   return select<V>((a > b) | (a != a), a, b);
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
