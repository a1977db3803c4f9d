// Mathematical functions on vectors of any width, of one source for all targets.
//
// The polynomials and quotients are minimax fits (tests/reference/engine_functions.py). The largest errors
// against double precision are, relative to the result (tests/export/test_cpp_functions.py measures them):
//   exp 2e-7   expm1 3e-7   log 2e-7   tanh 5e-7   sigmoid 3e-7   erf 2e-7   softplus 4e-7
// None gives NaN for a finite argument; NaN in gives NaN out.
#pragma once

#include "lanes.hxx"

#include <cmath>
#include <limits>
#include <utility>

#ifdef HEPML_ROOT_AVX512
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
template <class V> HEPML_ROOT_INLINE V maximum(V a, V b) { return select<V>((a > b) | (a != a), a, b); }

// ---- exponential family ---------------------------------------------------------------------------------
// x 2^n for integer n in [-252, 252], in two exact steps so that denormals and overflow come out right.
template <class V> HEPML_ROOT_INLINE V scale_by_power_of_two(V x, Mask<V> n) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16)
      return V(_mm512_maskz_scalef_ps(0xffff, __m512(x), __m512(__builtin_convertvector(n, V))));
#endif
   const Mask<V> half = n >> 1;
   const V first = from_bits<V>((half + 127) << 23);
   const V second = from_bits<V>((n - half + 127) << 23);
   return x * first * second;
}

// x = n ln 2 + r with |r| <= ln 2 / 2; gives r and e^r - 1 - r. The magic constant rounds to an integer.
template <class V> struct Reduced {
   Mask<V> n;
   V r;
   V tail;
};
template <class V> HEPML_ROOT_INLINE Reduced<V> reduce_exponent(V x) {
   const V shifted = x * 1.44269504f + 12582912.0f;
   const V n = shifted - 12582912.0f;
   const V r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
   V p = r * 1.38144668e-3f + 8.36878043e-3f;
   p = p * r + 4.16683942e-2f;
   p = p * r + 1.66665201e-1f;
   p = p * r + 4.99999934e-1f;
   return {bits(shifted) - 0x4b400000, r, p * r * r};
}

// Beyond these bounds exp is 0 or infinite; NaN stays.
template <class V> HEPML_ROOT_INLINE V clamp_exponent(V x) {
   return clip_below<V>(clip_above<V>(x, splat<V>(89.0f)), splat<V>(-104.0f));
}

template <class V> HEPML_ROOT_INLINE V exponential(V x) {
   const Reduced<V> e = reduce_exponent(clamp_exponent(x));
   return scale_by_power_of_two<V>(1.0f + (e.r + e.tail), e.n);
}

// e^x - 1 without cancellation near 0.
template <class V> HEPML_ROOT_INLINE V exponential_minus_one(V x) {
   const Reduced<V> e = reduce_exponent(clamp_exponent(x));
   const V power = scale_by_power_of_two<V>(splat<V>(1.0f), e.n);
   const V result = scale_by_power_of_two<V>(e.r + e.tail, e.n) + (power - 1.0f);
   return select<V>(power == infinity, power, result);
}

template <class V> HEPML_ROOT_INLINE V logarithm(V x) {
   const Mask<V> denormal = x < 1.17549435e-38f;
   const V scaled = select<V>(denormal, x * 8388608.0f, x);
   // Mantissa in [sqrt(1/2), sqrt(2)): 0x3f3504f3 is sqrt(1/2).
   const Mask<V> shifted = bits(scaled) - 0x3f3504f3;
   const Mask<V> exponent = shifted >> 23;
   const V f = from_bits<V>(bits(scaled) - exponent * 0x00800000) - 1.0f;
   const V e = __builtin_convertvector(exponent, V) - select<V>(denormal, splat<V>(23.0f), V{});
   V p = f * 6.7466386e-2f - 1.16756513e-1f;
   p = p * f + 1.18881629e-1f;
   p = p * f - 1.24055890e-1f;
   p = p * f + 1.42195523e-1f;
   p = p * f - 1.66679958e-1f;
   p = p * f + 2.00021187e-1f;
   p = p * f - 2.50000096e-1f;
   p = p * f + 3.33333126e-1f;
   const V square = f * f;
   const V small = p * f * square + e * -2.12194440e-4f - 0.5f * square;
   V result = small + f + e * 0.693359375f;
   result = select<V>(x == infinity, x, result);
   result = select<V>(x == 0.0f, splat<V>(-infinity), result);
   // Below zero and NaN: 0/0 of the target would raise a flag; the constant does not.
   return select<V>(x >= 0.0f, result, splat<V>(std::numeric_limits<float>::quiet_NaN()));
}

// log(1 + y) for y >= 0, right in all digits for small y too.
template <class V> HEPML_ROOT_INLINE V logarithm_one_plus(V y) {
   const V u = 1.0f + y;
   return logarithm(u) + (y - (u - 1.0f)) / u;
}

// a / b for b between 2^-126 and 2^126, to about 1 ulp; a division takes as long as 30 other operations.
template <class V> HEPML_ROOT_INLINE V quotient(V a, V b) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16) {
      const V guess = V(_mm512_maskz_rcp14_ps(0xffff, __m512(b)));
      const V reciprocal = guess + guess * (1.0f - b * guess);
      const V result = a * reciprocal;
      return result + reciprocal * (a - b * result);
   }
#endif
   return a / b;
}

template <class V> HEPML_ROOT_INLINE V sigmoid(V x) {
   return quotient<V>(splat<V>(1.0f), 1.0f + exponential<V>(clip_above<V>(-x, splat<V>(87.0f))));
}

template <class V> HEPML_ROOT_INLINE V hyperbolic_tangent(V x) {
   const V t = clip_below<V>(clip_above<V>(x, splat<V>(9.02f)), splat<V>(-9.02f));
   const V z = t * t;
   V p = z * 1.33190497e-8f + 2.05834637e-5f;
   p = p * z + 3.49403344e-3f;
   p = p * z + 1.33797170e-1f;
   p = p * z + 9.99999979e-1f;
   V q = z * 7.76200988e-7f + 3.28309104e-4f;
   q = q * z + 2.58710689e-2f;
   q = q * z + 4.67130322e-1f;
   q = q * z + 1.0f;
   return clip_below<V>(clip_above<V>(quotient<V>(t * p, q), splat<V>(1.0f)), splat<V>(-1.0f));
}

// 1 - erf(z) for z >= 0, right in all digits also where it is tiny: e^(-z^2) t P(t) with t = 1 / (1 + 0.4 z).
template <class V> HEPML_ROOT_INLINE V complementary_error_function(V z) {
   z = clip_above<V>(z, splat<V>(10.2f)); // where it is below the smallest float
   const V t = quotient<V>(splat<V>(1.0f), 1.0f + 0.4f * z);
   V p = t * 4.16125928e-2f - 1.42080398e-1f;
   p = p * t + 8.76544743e-2f;
   p = p * t + 8.37358243e-2f;
   p = p * t + 8.27012766e-2f;
   p = p * t + 1.92128553e-1f;
   p = p * t + 2.02213740e-1f;
   p = p * t + 2.26397046e-1f;
   p = p * t + 2.25636954e-1f;
   return p * t * exponential<V>(-(z * z));
}

template <class V> HEPML_ROOT_INLINE V error_function(V x) {
   const V z = x * x;
   V p = z * -5.63145571e-4f + 4.91756073e-3f;
   p = p * z - 2.67113207e-2f;
   p = p * z + 1.12801805e-1f;
   p = p * z - 3.76123263e-1f;
   p = p * z + 1.12837912f;
   const V far = with_sign_of<V>(1.0f - complementary_error_function<V>(absolute(x)), x);
   return select<V>(absolute(x) < 1.0f, x * p, far);
}

template <class V> HEPML_ROOT_INLINE V softplus(V x) {
   const V positive = select<V>(x < 0.0f, V{}, x);
   return positive + logarithm_one_plus(exponential(-absolute(x)));
}

// ---- activations ----------------------------------------------------------------------------------------
template <class V> HEPML_ROOT_INLINE V relu(V x) { return clip_below<V>(x, V{}); }
template <class V> HEPML_ROOT_INLINE V leaky_relu(V x, V slope) { return select<V>(x < 0.0f, slope * x, x); }
template <class V> HEPML_ROOT_INLINE V elu(V x, V alpha) {
   return select<V>(x < 0.0f, alpha * exponential_minus_one(x), x);
}
template <class V> HEPML_ROOT_INLINE V celu(V x, V alpha) {
   return select<V>(x < 0.0f, alpha * exponential_minus_one(x / alpha), x);
}
template <class V> HEPML_ROOT_INLINE V selu(V x, V alpha, V gamma) { return gamma * elu(x, alpha); }
template <class V> HEPML_ROOT_INLINE V softsign(V x) {
   const V result = x / (1.0f + absolute(x));
   return select<V>(absolute(x) == infinity, with_sign_of(splat<V>(1.0f), x), result);
}
template <class V> HEPML_ROOT_INLINE V hard_sigmoid(V x, V alpha, V beta) {
   return clip_above<V>(clip_below<V>(alpha * x + beta, V{}), splat<V>(1.0f));
}
template <class V> HEPML_ROOT_INLINE V hard_swish(V x) {
   return x * hard_sigmoid<V>(x, splat<V>(1.0f / 6.0f), splat<V>(0.5f));
}
// x tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2): no cancellation; above 20 it is x.
template <class V> HEPML_ROOT_INLINE V mish(V x) {
   const V e = exponential(select<V>(x > 20.0f, splat<V>(20.0f), x));
   const V n = e * (e + 2.0f);
   return select<V>(x > 20.0f, x, select<V>(x == -infinity, V{}, x * (n / (n + 2.0f))));
}
template <class V> HEPML_ROOT_INLINE V gelu(V x) {
   const V half = 0.5f * complementary_error_function<V>(absolute(x) * 0.707106781f);
   return x * select<V>(x > 0.0f, 1.0f - half, half); // x times the normal distribution's integral up to x
}
template <class V> HEPML_ROOT_INLINE V gelu_tanh(V x) {
   return 0.5f * x * (1.0f + hyperbolic_tangent<V>(0.797884561f * (x + 0.044715f * x * x * x)));
}
template <class V> HEPML_ROOT_INLINE V thresholded_relu(V x, V alpha) { return select<V>(x > alpha, x, V{}); }

// ---- one lane after the other, with the standard library -------------------------------------------------
template <class V, class Function> HEPML_ROOT_INLINE V lane_by_lane(V x, Function function) {
   for (std::size_t i = 0; i < width<V>; ++i)
      x[i] = function(x[i]);
   return x;
}
template <class V> HEPML_ROOT_INLINE V square_root(V x) {
   return lane_by_lane(x, [](float a) { return std::sqrt(a); });
}
template <class V> HEPML_ROOT_INLINE V power(V x, V y) {
   for (std::size_t i = 0; i < width<V>; ++i)
      x[i] = std::pow(x[i], y[i]);
   return x;
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
