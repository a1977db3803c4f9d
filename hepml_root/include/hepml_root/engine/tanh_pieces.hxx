// tanh with AVX-512, by a table in registers (tests/reference/engine_functions.py, `tanh_table`).
#pragma once

#include "numbers.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

#ifdef HEPML_ROOT_AVX512
// tanh of |x| <= 8.3125 by 32 cubics: 32 coefficients per power of |x|. To look up 16 of 32 numbers is one
// operation, which makes this a third shorter than the quotient below.
// clang-format off
alignas(64) inline constexpr float tanh_pieces[4 * 32] = {
   0.767744362f, 0.866803288f, 0.926208854f, 0.960223019f, 0.979034245f, 0.989156008f, 0.994481266f,
   0.99723053f, 0.99899447f, 0.999758303f, 0.0f, -1.77211439e-06f, -2.49296481e-05f, -0.000133144815f,
   -0.000450757245f, -0.00116346462f, -0.00340115395f, -0.00999324024f, -0.0216986239f, -0.0381080918f,
   -0.0569253601f, -0.0744861364f, -0.0867193416f, -0.0900996029f, -0.0737641826f, -0.0111324992f,
   0.0896490142f, 0.211762086f, 0.33916676f, 0.460305929f, 0.568513989f, 0.660985172f,
   0.179926112f, 0.092976287f, 0.0468229465f, 0.0231213868f, 0.0112390192f, 0.00539224083f,
   0.00255850609f, 0.00120239682f, 0.000398743286f, 8.57128034e-05f, 1.0f, 1.00008607f, 1.00069249f,
   1.00261486f, 1.00687313f, 1.01453996f, 1.03393507f, 1.07830179f, 1.14151895f, 1.21550357f,
   1.28832197f, 1.34787107f, 1.38484919f, 1.39421833f, 1.3554188f, 1.22599304f, 1.0446353f, 0.850437462f,
   0.669040561f, 0.51295495f, 0.385647714f, 0.285561055f,
   -0.0474531278f, -0.0219958518f, -0.0100371577f, -0.00452966383f, -0.00202692114f, -0.000900813262f,
   -0.000398052187f, -0.000175033143f, -5.29389326e-05f, -1.01781898e-05f, -1.56557435e-05f,
   -0.00145665091f, -0.00679992884f, -0.0182340313f, -0.0373131894f, -0.0648501292f, -0.120989472f,
   -0.220782459f, -0.334778547f, -0.446098119f, -0.540107846f, -0.607461691f, -0.644738019f,
   -0.653392375f, -0.622666478f, -0.533432662f, -0.424567521f, -0.321563274f, -0.235433549f, -0.1683705f,
   -0.11842902f, -0.0823096931f,
   0.00424484583f, 0.00175875286f, 0.00072536146f, 0.00029859721f, 0.000122823287f, 5.05056014e-05f,
   2.07652156e-05f, 8.53716665e-06f, 2.35182961e-06f, 4.04786761e-07f, -0.332671463f, -0.324268997f,
   -0.308417678f, -0.285643786f, -0.257075131f, -0.224052116f, -0.169776887f, -0.0947606191f,
   -0.0261251312f, 0.0297709778f, 0.0702610239f, 0.095670864f, 0.108202308f, 0.110866457f, 0.10275346f,
   0.0822265074f, 0.0604273863f, 0.0422055013f, 0.0285674017f, 0.0189591385f, 0.0124265729f,
   0.00808050856f
};
// clang-format on

// Which piece: 8 an octave of 0.5625 |x| + 0.3125, counted by the 5 lowest bits of exponent and leading
// mantissa, the only ones that a look-up reads. The last piece ends at 1.
template <class V> HEPML_ROOT_INLINE V hyperbolic_tangent_by_pieces(V x) {
   const V a = clip_above<V>(absolute(x), splat<V>(8.3125f));
   const Mask<V> piece = bits<V>(a * 0.5625f + 0.3125f) >> 20;
   const auto coefficient = [&](std::size_t power) __attribute__((always_inline)) {
      const float* const row = tanh_pieces + 32 * power;
      return V(_mm512_permutex2var_ps(__m512(load<V>(row)), __m512i(piece), __m512(load<V>(row + 16))));
   };
   V p = coefficient(3) * a + coefficient(2);
   p = p * a + coefficient(1);
   p = p * a + coefficient(0);
   return from_bits<V>(bits(p) | (bits(x) & (-0x7fffffff - 1)));
}
#endif

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
