// Arithmetic of integers that are held as floats: exact up to 2^24.
#pragma once

#include "functions.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// x in the range [low, high) of an integer type that wraps around.
template <class V> HEPML_ROOT_INLINE V wrapped(V x, float low, float high) {
   return x - (high - low) * floor_of<V>((x - low) / (high - low));
}

// The lowest 16 bits of a product of 16-bit integers: in two halves, each of which a float holds.
template <class V> HEPML_ROOT_INLINE V integer_product(V a, V b) {
   const V upper = floor_of<V>(a / 256.0f);
   const V lower = a - 256.0f * upper;
   return 256.0f * wrapped<V>(upper * b, -32768.0f, 32768.0f) + wrapped<V>(lower * b, -32768.0f, 32768.0f);
}

template <class V, class Function> HEPML_ROOT_INLINE V lane_by_lane(V x, V y, Function function) {
   for (std::size_t i = 0; i < width<V>; ++i)
      x[i] = static_cast<float>(function(x[i], y[i]));
   return x;
}

// In double precision, so that powers that are integers come out exactly.
template <class V> HEPML_ROOT_INLINE V integer_power(V x, V y) {
   return lane_by_lane(x, y, [](double a, double b) { return std::trunc(std::pow(a, b)); });
}

// What is left of a division: with the sign of a, or with that of b.
template <class V> HEPML_ROOT_INLINE V remainder(V a, V b) {
   return lane_by_lane(a, b, [](float x, float y) { return std::fmod(x, y); });
}
template <class V> HEPML_ROOT_INLINE V modulus(V a, V b) {
   const V rest = remainder(a, b);
   return select<V>((rest != 0.0f) & ((rest < 0.0f) != (b < 0.0f)), rest + b, rest);
}

// A float as a number of which bits are taken; what no integer holds becomes 0.
inline std::int64_t to_bits(float x) {
   return x > -9.0e18f && x < 9.0e18f ? static_cast<std::int64_t>(x) : 0;
}
template <class V> HEPML_ROOT_INLINE V bitwise_and(V a, V b) {
   return lane_by_lane(a, b, [](float x, float y) { return to_bits(x) & to_bits(y); });
}
template <class V> HEPML_ROOT_INLINE V bitwise_or(V a, V b) {
   return lane_by_lane(a, b, [](float x, float y) { return to_bits(x) | to_bits(y); });
}
template <class V> HEPML_ROOT_INLINE V bitwise_xor(V a, V b) {
   return lane_by_lane(a, b, [](float x, float y) { return to_bits(x) ^ to_bits(y); });
}

// Integers of some bits moved by y places: those moved out are lost, and to the right the sign moves in.
template <int Bits, bool Signed, class V> HEPML_ROOT_INLINE V shifted_left(V a, V b) {
   return lane_by_lane(a, b, [](double x, double y) {
      const double all = std::ldexp(1.0, Bits);
      double moved = y >= 0 && y < Bits ? std::fmod(std::ldexp(x, static_cast<int>(y)), all) : 0.0;
      moved += moved < 0 ? all : 0.0;
      return Signed && moved >= all / 2 ? moved - all : moved;
   });
}
template <int Bits, bool Signed, class V> HEPML_ROOT_INLINE V shifted_right(V a, V b) {
   return lane_by_lane(a, b, [](double x, double y) {
      return y >= 0 && y < Bits ? std::floor(std::ldexp(x, -static_cast<int>(y))) : x < 0 ? -1.0 : 0.0;
   });
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
