// Sine, cosine, sinh, cosh, square roots and differences of angles, in SIMD lanes.
//
// Largest errors against double precision, for angles up to 8192 and pseudorapidities up to 80
// (tests/representations/test_angles.py measures them): sin and cos 1.5e-7 absolute; sinh, cosh and square
// roots 4e-7 relative; wrapped differences of angles up to 10: 5e-7 absolute.

#ifndef HEPML_ROOT_REPRESENTATIONS_ANGLES_HXX
#define HEPML_ROOT_REPRESENTATIONS_ANGLES_HXX

#include "../engine/functions.hxx"

#include <cmath>

namespace hepml_root {
namespace representations {
inline namespace HEPML_ROOT_TARGET {

/// As many floats as a register of the target holds.
using Lanes = engine::Vector<HEPML_ROOT_LANES>::Float;
constexpr std::size_t lanes = HEPML_ROOT_LANES;
constexpr double pi = 3.14159265358979323846;

/// The next multiple of the number of lanes.
inline std::size_t whole_lanes(std::size_t count) { return (count + lanes - 1) / lanes * lanes; }

HEPML_ROOT_INLINE Lanes all(float x) { return engine::splat<Lanes>(x); }

/// sin(x) and cos(x): x = n pi/2 + r with |r| <= pi/4, pi/2 in three parts (Cody and Waite).
HEPML_ROOT_INLINE void sine_cosine(Lanes x, Lanes& sine, Lanes& cosine) {
   const Lanes shifted = x * 0.636619772f + 12582912.0f; // rounds to an integer
   const engine::Mask<Lanes> quadrant = engine::bits(shifted) - 0x4b400000;
   const Lanes n = shifted - 12582912.0f;
   const Lanes r = ((x - n * 1.5703125f) - n * 4.837512969970703125e-4f) - n * 7.549789948768648e-8f;
   const Lanes square = r * r;
   Lanes s = square * -1.9515295891e-4f + 8.3321608736e-3f;
   s = s * square - 1.6666654611e-1f;
   s = s * square * r + r;
   Lanes c = square * 2.443315711809948e-5f - 1.388731625493765e-3f;
   c = c * square + 4.166664568298827e-2f;
   c = c * square * square + (1.0f - 0.5f * square);
   const engine::Mask<Lanes> odd = -(quadrant & 1);
   const Lanes first = engine::select<Lanes>(odd, c, s), second = engine::select<Lanes>(odd, s, c);
   sine = engine::from_bits<Lanes>(engine::bits(first) ^ ((quadrant & 2) << 30));
   cosine = engine::from_bits<Lanes>(engine::bits(second) ^ (((quadrant + 1) & 2) << 30));
}

/// sinh(x) and cosh(x) without cancellation near 0, from m = e^|x| - 1.
HEPML_ROOT_INLINE void hyperbolic(Lanes x, Lanes& sine, Lanes& cosine) {
   const Lanes m = engine::exponential_minus_one<Lanes>(engine::absolute(x));
   const Lanes inverse = 1.0f / (1.0f + m);
   sine = engine::with_sign_of<Lanes>(0.5f * (m + m * inverse), x);
   cosine = 0.5f * ((1.0f + m) + inverse);
}

/// The angle between -pi and pi that x is, up to whole turns.
HEPML_ROOT_INLINE Lanes wrapped(Lanes x) {
   const Lanes n = (x * 0.159154943f + 12582912.0f) - 12582912.0f;
   return (x - n * 6.28125f) - n * 1.9353071795864769e-3f;
}

HEPML_ROOT_INLINE Lanes root(Lanes x) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (lanes == 16)
      return Lanes(_mm512_maskz_sqrt_ps(0xffff, __m512(x)));
#endif
   for (std::size_t i = 0; i < lanes; ++i)
      x[i] = std::sqrt(x[i]);
   return x;
}

} // namespace HEPML_ROOT_TARGET
} // namespace representations
} // namespace hepml_root

#endif
