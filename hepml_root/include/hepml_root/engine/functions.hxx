// Mathematical functions on vectors of any width, of one source for all targets.
//
// The polynomials and quotients are minimax fits (tests/reference/engine_functions.py). The largest errors
// against double precision are, relative to the result (tests/export/test_cpp_functions.py measures them):
//   exp 2e-7   expm1 3e-7   log 2e-7   tanh 8e-7   sigmoid 3e-7   erf 2e-7   softplus 4e-7   pow 1e-7
//   sin, cos 2e-7   tan 3e-7   asin, acos, atan 3e-7   sinh, cosh 3e-7   asinh, acosh, atanh 5e-7
// None gives NaN for a finite argument; NaN in gives NaN out.
#pragma once

#include "numbers.hxx"
#include "tanh_pieces.hxx"

#if defined(__clang__) && defined(__has_builtin)
#if __has_builtin(__builtin_elementwise_sqrt)
#define HEPML_ROOT_ELEMENTWISE_SQRT 1
#endif
#endif

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// ---- exponential family ---------------------------------------------------------------------------------
// Added to a number below 2^22 it leaves the nearest integer in the lowest bits.
constexpr float to_integer = 12582912.0f; // 3 x 2^22, as bits 0x4b400000

// x 2^n for an integer n in [-252, 252], in two exact steps so that denormals and overflow come out right.
template <class V> HEPML_ROOT_INLINE V scale_by_power_of_two(V x, V n) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16)
      return V(_mm512_maskz_scalef_ps(0xffff, __m512(x), __m512(n)));
#endif
   const Mask<V> whole = bits<V>(n + to_integer) - 0x4b400000;
   const Mask<V> half = whole >> 1;
   const V first = from_bits<V>((half + 127) << 23);
   const V second = from_bits<V>((whole - half + 127) << 23);
   return x * first * second;
}

// x = n ln 2 + r with an integer n and |r| <= ln 2 / 2.
template <class V> struct Reduced {
   V n;
   V r;
};
template <class V> HEPML_ROOT_INLINE Reduced<V> reduce_exponent(V x) {
   const V n = (x * 1.44269504f + to_integer) - to_integer;
   return {n, (x - n * 0.693359375f) - n * -2.12194440e-4f};
}

// (e^r - 1 - r) / r^2
template <class V> HEPML_ROOT_INLINE V exponential_tail(V r) {
   V p = r * 1.38144668e-3f + 8.36878043e-3f;
   p = p * r + 4.16683942e-2f;
   p = p * r + 1.66665201e-1f;
   return p * r + 4.99999934e-1f;
}

// Beyond these bounds exp is 0 or infinite; NaN stays.
template <class V> HEPML_ROOT_INLINE V clamp_exponent(V x) {
   return clip_below<V>(clip_above<V>(x, splat<V>(89.0f)), splat<V>(-104.0f));
}

template <class V> HEPML_ROOT_INLINE V exponential(V x) {
   const Reduced<V> e = reduce_exponent(clamp_exponent(x));
   const V p = exponential_tail(e.r) * e.r + 1.0f;
   return scale_by_power_of_two<V>(p * e.r + 1.0f, e.n);
}

// e^x - 1 without cancellation near 0.
template <class V> HEPML_ROOT_INLINE V exponential_minus_one(V x) {
   const Reduced<V> e = reduce_exponent(clamp_exponent(x));
   const V power = scale_by_power_of_two<V>(splat<V>(1.0f), e.n);
   const V tail = exponential_tail(e.r) * e.r * e.r;
   const V result = scale_by_power_of_two<V>(e.r + tail, e.n) + (power - 1.0f);
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

// a / b where `inverse` is 1 / b rounded: the division's own result, in a quarter of the time. With fused
// multiply-add the rest of the first guess is exact.
template <class V> HEPML_ROOT_INLINE V divided(V a, [[maybe_unused]] V b, [[maybe_unused]] V inverse) {
#if defined(HEPML_ROOT_AVX512) || defined(__FMA__)
   const V guess = a * inverse;
   return select<V>(absolute(guess) < infinity, guess + inverse * (a - b * guess), guess);
#else
   return a / b;
#endif
}

// 1 / b likewise, two operations cheaper.
template <class V> HEPML_ROOT_INLINE V reciprocal(V b) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16) {
      const V guess = V(_mm512_maskz_rcp14_ps(0xffff, __m512(b)));
      return guess + guess * (1.0f - b * guess);
   }
#endif
   return 1.0f / b;
}

// 1 / (1 + e^-x). Within the bounds a power of two is made by a shift.
template <class V> HEPML_ROOT_INLINE V sigmoid(V x) {
   x = clip_below<V>(clip_above<V>(x, splat<V>(88.0f)), splat<V>(-87.0f));
   const V shifted = x * -1.44269504f + to_integer;
   const V n = shifted - to_integer;
   const V r = (n * -0.693359375f - x) + n * 2.12194440e-4f;
   V p = r * 8.29022932e-3f + 4.18983901e-2f;
   p = p * r + 1.66676401e-1f;
   p = p * r + 4.99991461e-1f;
   p = p * r + 9.99999705e-1f;
   p = p * r + 1.0f;
   return reciprocal<V>(p * from_bits<V>((bits(shifted) << 23) + 0x3f800000) + 1.0f);
}

// x P(x^2) / Q(x^2) up to 7.95, from where on it is the bound 1.
template <class V> HEPML_ROOT_INLINE V hyperbolic_tangent(V x) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16)
      return hyperbolic_tangent_by_pieces(x);
#endif
   const V z = clip_above<V>(x * x, splat<V>(63.2f));
   V p = z * 1.14800651e-5f + 2.95575202e-3f;
   p = p * z + 1.29300466e-1f;
   p = p * z + 9.99999862e-1f;
   V q = z * 2.47583314e-7f + 2.39340544e-4f;
   q = q * z + 2.38348424e-2f;
   q = q * z + 4.62632679e-1f;
   q = q * z + 1.0f;
   return clip_below<V>(clip_above<V>(x * (p * reciprocal<V>(q)), splat<V>(1.0f)), splat<V>(-1.0f));
}

// 1 - erf(z) for z >= 0, right in all digits down to 4e-37, from where on it is 0: e^(-z^2) t P(t) with
// t = 1 / (1 + 0.4 z).
template <class V> HEPML_ROOT_INLINE V complementary_error_function(V z) {
   // Beyond, numbers below the smallest normal one would come up, with which processors are ten times slower.
   constexpr float largest = 9.0f;
   const V argument = clip_above<V>(z, splat<V>(largest));
   const V t = quotient<V>(splat<V>(1.0f), 1.0f + 0.4f * argument);
   V p = t * 4.16125928e-2f - 1.42080398e-1f;
   p = p * t + 8.76544743e-2f;
   p = p * t + 8.37358243e-2f;
   p = p * t + 8.27012766e-2f;
   p = p * t + 1.92128553e-1f;
   p = p * t + 2.02213740e-1f;
   p = p * t + 2.26397046e-1f;
   p = p * t + 2.25636954e-1f;
   return select<V>(z > largest, V{}, p * t * exponential<V>(-(argument * argument)));
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
// x (1 + tanh u) / 2 = x sigmoid(2 u), without cancellation; below -10 it is less than the smallest float.
template <class V> HEPML_ROOT_INLINE V gelu_tanh(V x) {
   const V half = sigmoid<V>(1.59576912f * (x + 0.044715f * x * x * x));
   return x * select<V>(x < -10.0f, V{}, half);
}
template <class V> HEPML_ROOT_INLINE V shrink(V x, V bias, V lambda) {
   return select<V>(x < -lambda, x + bias, select<V>(x > lambda, x - bias, V{}));
}
template <class V> HEPML_ROOT_INLINE V thresholded_relu(V x, V alpha) { return select<V>(x > alpha, x, V{}); }

// ---- roots and quotients ----------------------------------------------------------------------------------
template <class V> HEPML_ROOT_INLINE V square_root(V x) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16)
      return V(_mm512_maskz_sqrt_ps(0xffff, __m512(x)));
#endif
#ifdef HEPML_ROOT_ELEMENTWISE_SQRT
   return __builtin_elementwise_sqrt(x);
#else
#if defined(__AVX__)
   if constexpr (width<V> == 8)
      return V(_mm256_sqrt_ps(__m256(x)));
#endif
#if defined(__SSE__)
   if constexpr (width<V> == 4)
      return V(_mm_sqrt_ps(__m128(x)));
#endif
   for (std::size_t i = 0; i < width<V>; ++i)
      x[i] = std::sqrt(x[i]);
   return x;
#endif
}

// ---- parts in double precision --------------------------------------------------------------------------
template <std::size_t Lanes> struct DoubleVector {
   using Float [[gnu::vector_size(8 * Lanes)]] = double;
   using Int [[gnu::vector_size(8 * Lanes)]] = std::int64_t;
};
template <class V> constexpr std::size_t in_half = width<V> == 1 ? 1 : width<V> / 2;
template <class V> using Doubles = typename DoubleVector<in_half<V>>::Float;
template <class V> using LongMask = typename DoubleVector<in_half<V>>::Int;

// The result of a function of the doubles of two vectors; function(part of a, part of b), as doubles.
template <class V, class F> HEPML_ROOT_INLINE V in_double(V a, V b, F function) {
   using Half = typename Vector<in_half<V>>::Float;
   constexpr std::size_t halves = width<V> / in_half<V>;
   Half parts[2][halves];
   std::memcpy(parts[0], &a, sizeof(V));
   std::memcpy(parts[1], &b, sizeof(V));
   for (std::size_t i = 0; i < halves; ++i)
      parts[0][i] = __builtin_convertvector(function(__builtin_convertvector(parts[0][i], Doubles<V>),
                                                     __builtin_convertvector(parts[1][i], Doubles<V>)),
                                            Half);
   std::memcpy(&a, parts[0], sizeof(V));
   return a;
}

template <class D> HEPML_ROOT_INLINE D nearest(D x) { return (x + 6755399441055744.0) - 6755399441055744.0; }

// x^y of numbers above 0, as 2^(y log2 x) with logarithm and power in double precision: right to rounding.
template <class V> HEPML_ROOT_INLINE V power_of_positive(V x, V y) {
   return in_double(x, y, [](auto a, auto b) __attribute__((always_inline)) {
      using D = decltype(a);
      using I = LongMask<V>;
      // a = 2^e m, m in [sqrt(1/2), sqrt(2)); log m = 2 atanh((m - 1) / (m + 1)).
      const I shifted = (I)a - 0x3fe6a09e667f3bcd;
      const I e = shifted >> 52;
      const D m = (D)((I)a - (e << 52));
      const D s = (m - 1.0) / (m + 1.0), z = s * s;
      D p = z * 0.0769230769230769 + 0.0909090909090909;
      p = p * z + 0.111111111111111;
      p = p * z + 0.142857142857143;
      p = p * z + 0.2;
      p = p * z + 0.333333333333333;
      p = p * z + 1.0;
      const D log = 2.88539008177792681472 * (s * p) + __builtin_convertvector(e, D);
      D t = b * (a == __builtin_inf() ? a : a == 0.0 ? -a - __builtin_inf() : log);
      t = log == 0.0 ? D{} : t;
      t = t > 200.0 ? D{} + 200.0 : t < -200.0 ? D{} - 200.0 : t;
      const D n = nearest(t), r = (t - n) * 0.693147180559945309417;
      D q = r * 1.98412698412698e-4 + 1.38888888888889e-3;
      q = q * r + 8.33333333333333e-3;
      q = q * r + 4.16666666666667e-2;
      q = q * r + 1.66666666666667e-1;
      q = q * r + 0.5;
      q = q * r + 1.0;
      q = q * r + 1.0;
      const I exponent = (I)(n + 6755399441055744.0) - 0x4338000000000000;
      return q * (D)((exponent + 1023) << 52);
   });
}

// As std::pow, with its special cases.
template <class V> HEPML_ROOT_INLINE V power(V x, V y) {
   const V magnitude = absolute(x);
   V result = power_of_positive(magnitude, y);
   const Mask<V> whole = round_even(y) == y;
   const Mask<V> odd = whole & (absolute(y) < 16777216.0f) & (round_even<V>(0.5f * y) != 0.5f * y);
   result = select<V>(odd, with_sign_of(result, x), result);
   const V not_a_number = splat<V>(std::numeric_limits<float>::quiet_NaN());
   result = select<V>((x < 0.0f) & (magnitude < infinity) & ~whole, not_a_number, result);
   result = select<V>(x != x, x, select<V>(y != y, y, result));
   return select<V>((y == 0.0f) | (x == 1.0f), splat<V>(1.0f), result);
}

// ---- angles ---------------------------------------------------------------------------------------------
template <class V> HEPML_ROOT_INLINE V sine_polynomial(V r) {
   const V z = r * r;
   return r + r * z * ((z * -1.95152832e-4f + 8.33216076e-3f) * z - 1.66666546e-1f);
}
template <class V> HEPML_ROOT_INLINE V cosine_polynomial(V r) {
   const V z = r * r;
   return (1.0f - 0.5f * z) + z * z * ((z * 2.4433157e-5f - 1.38873163e-3f) * z + 4.16666457e-2f);
}

// An angle as quarter turns and what is left, between -pi/4 and pi/4.
template <class V> struct Quarters {
   Mask<V> turns;
   V r;
};
template <class V> HEPML_ROOT_INLINE Quarters<V> quarter_turns(V x) {
   const V turns = in_double(x, x, [](auto a, auto) __attribute__((always_inline)) {
      return nearest(a * 0.636619772367581343076);
   });
   const V r = in_double(x, turns, [](auto a, auto n) __attribute__((always_inline)) {
      return (a - n * 1.57079632673412561417) - n * 6.07710050650619224932e-11;
   });
   return {__builtin_convertvector(turns, Mask<V>), r};
}
template <class V> HEPML_ROOT_INLINE V sine_of(Quarters<V> angle) {
   const V result = select<V>((angle.turns & 1) != 0, cosine_polynomial(angle.r), sine_polynomial(angle.r));
   return from_bits<V>(bits(result) ^ ((angle.turns & 2) << 30));
}

template <class V> HEPML_ROOT_INLINE bool any(Mask<V> where) {
   std::int32_t found = 0;
   for (std::size_t i = 0; i < width<V>; ++i)
      found |= where[i];
   return found != 0;
}

// One lane after the other, with the standard library.
template <class V, class Function> HEPML_ROOT_INLINE V lane_by_lane(V x, Function function) {
   for (std::size_t i = 0; i < width<V>; ++i)
      x[i] = function(x[i]);
   return x;
}

// Beyond this the product with pi/2 is no longer exact: the standard library takes over.
constexpr float largest_angle = 1.6e6f;

template <class V> HEPML_ROOT_INLINE V sine(V x) {
   if (any<V>(~(absolute(x) <= largest_angle)))
      return lane_by_lane(x, [](float a) { return std::sin(a); });
   return sine_of(quarter_turns(x));
}
template <class V> HEPML_ROOT_INLINE V cosine(V x) {
   if (any<V>(~(absolute(x) <= largest_angle)))
      return lane_by_lane(x, [](float a) { return std::cos(a); });
   Quarters<V> angle = quarter_turns(x);
   angle.turns += 1;
   return sine_of(angle);
}
template <class V> HEPML_ROOT_INLINE V tangent(V x) {
   if (any<V>(~(absolute(x) <= largest_angle)))
      return lane_by_lane(x, [](float a) { return std::tan(a); });
   const Quarters<V> angle = quarter_turns(x);
   const V s = sine_polynomial(angle.r), c = cosine_polynomial(angle.r);
   const Mask<V> odd = (angle.turns & 1) != 0;
   return select<V>(odd, -c, s) / select<V>(odd, s, c);
}

// asin of s <= 1/2; beyond, asin x = pi/2 - 2 asin sqrt((1 - x) / 2). pi/2 has a second part.
template <class V> struct ArcSine {
   Mask<V> far;
   V near;
};
template <class V> HEPML_ROOT_INLINE ArcSine<V> arc_sine_near(V magnitude) {
   const Mask<V> far = magnitude > 0.5f;
   const V z = select<V>(far, (1.0f - magnitude) * 0.5f, magnitude * magnitude);
   const V s = select<V>(far, square_root(z), magnitude);
   V p = z * 4.2166297e-2f + 2.41795219e-2f;
   p = p * z + 4.54703744e-2f;
   p = p * z + 7.49529766e-2f;
   p = p * z + 1.66667525e-1f;
   return {far, s + s * z * p};
}
template <class V> HEPML_ROOT_INLINE V arc_sine(V x) {
   const ArcSine<V> part = arc_sine_near(absolute(x));
   const V far = 1.57079637f - (2.0f * part.near + 4.37113883e-8f);
   return select<V>(x != x, x, with_sign_of(select<V>(part.far, far, part.near), x));
}
template <class V> HEPML_ROOT_INLINE V arc_cosine(V x) {
   const ArcSine<V> part = arc_sine_near(absolute(x));
   const V twice = 2.0f * part.near;
   const V far = select<V>(x < 0.0f, 3.14159274f - (twice + 8.74227766e-8f), twice);
   return select<V>(part.far, far, 1.57079637f - (with_sign_of(part.near, x) + 4.37113883e-8f));
}
// Beyond tan(pi/8) and tan(3 pi/8) the angle to pi/4 and pi/2 is computed.
template <class V> HEPML_ROOT_INLINE V arc_tangent(V x) {
   const V a = absolute(x);
   const Mask<V> middle = a > 0.414213562f, far = a > 2.41421356f;
   const V above = select<V>(far, splat<V>(-1.0f), select<V>(middle, a - 1.0f, a));
   const V t = above / select<V>(far, a, select<V>(middle, a + 1.0f, splat<V>(1.0f)));
   const V base = select<V>(far, splat<V>(1.57079637f), select<V>(middle, splat<V>(0.785398185f), V{}));
   const V z = t * t;
   V p = z * 8.0488384e-2f - 1.38762705e-1f;
   p = p * z + 1.997759e-1f;
   p = p * z - 3.33329463e-1f;
   return select<V>(x != x, x, with_sign_of(base + (t + t * z * p - 2.78275e-8f * base), x));
}

// ---- hyperbolic functions -------------------------------------------------------------------------------
// e^x / 2 for x >= 0, infinite only where that is.
template <class V> HEPML_ROOT_INLINE V half_exponential(V x) {
   const Reduced<V> e = reduce_exponent(clip_above<V>(x, splat<V>(91.0f)));
   const V p = exponential_tail(e.r) * e.r + 1.0f;
   return scale_by_power_of_two<V>(p * e.r + 1.0f, e.n - 1.0f);
}
template <class V> HEPML_ROOT_INLINE V hyperbolic_sine(V x) {
   const V a = absolute(x), half = half_exponential(a), z = x * x;
   const V p = (z * 2.03721942e-4f + 8.33028372e-3f) * z + 1.6666716e-1f;
   return select<V>(a < 1.0f, x + x * z * p, with_sign_of(half - 0.25f / half, x));
}
template <class V> HEPML_ROOT_INLINE V hyperbolic_cosine(V x) {
   const V half = half_exponential(absolute(x));
   return half + 0.25f / half;
}
// From here on squares overflow, and log(2 x) is all.
constexpr float large_area = 1e18f;

template <class V> HEPML_ROOT_INLINE V logarithm_of_double(V x) { return logarithm(x) + 0.693147181f; }
template <class V> HEPML_ROOT_INLINE V area_sine(V x) {
   const V a = absolute(x), square = a * a;
   const V near = logarithm_one_plus<V>(a + square / (1.0f + square_root<V>(1.0f + square)));
   return with_sign_of(select<V>(a > large_area, logarithm_of_double(a), near), x);
}
template <class V> HEPML_ROOT_INLINE V area_cosine(V x) {
   const V t = x - 1.0f;
   const V near = logarithm_one_plus<V>(t + square_root<V>(t * (t + 2.0f)));
   const V result = select<V>(x > large_area, logarithm_of_double(x), near);
   return select<V>(x < 1.0f, splat<V>(std::numeric_limits<float>::quiet_NaN()), result);
}
template <class V> HEPML_ROOT_INLINE V area_tangent(V x) {
   const V a = absolute(x), y = 2.0f * a / (1.0f - a);
   const V result = select<V>(y == infinity, y, logarithm_one_plus(y));
   return select<V>(result != result, result, with_sign_of<V>(0.5f * result, x));
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
