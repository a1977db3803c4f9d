// Products with constant matrices: y[r][n] = epilogue(bias[n] + sum over k of w[n][k] x[r][k]), for Rows rows
// (Rows > 1 where the same layer is applied to every constituent).
//
// Weights are packed once, by the generator, in the order of use (export/cpp/steps.py, `pack`): neurons go in
// tiles of 16; of a tile the 16 weights of input 0 come first, then those of input 1, and so on. If at most 4
// neurons are left over they follow one by one, each with its K weights, padded to a multiple of 16; if more
// are left they make one more tile, padded with zeros. Biases are padded likewise.
//
// The sum of a neuron in a tile is added up in the order of k. That of a neuron outside is added up in 16
// parts (k modulo 16), whose sums are added pairwise.
#pragma once

#include "sums.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

constexpr std::size_t tile_neurons = alignment;

template <std::size_t N> struct Tiling {
   static constexpr std::size_t left_over = N % tile_neurons;
   static constexpr std::size_t singles = left_over <= 4 ? left_over : 0; // neurons outside tiles
   static constexpr std::size_t in_tiles = N - singles;
   static constexpr std::size_t tiles = (in_tiles + tile_neurons - 1) / tile_neurons;
};

// ---- events in lanes ------------------------------------------------------------------------------------

// Inputs [begin, end) of K: of a long product a part at a time, so that the events of that part stay in the
// fastest cache while all neurons use them; the sums wait in y meanwhile, which does not change them.
struct Part {
   std::size_t begin, end;
   bool first, last;
};

template <class M, std::size_t Rows, std::size_t K> struct Parts {
   static constexpr std::size_t cached = 24576 / (sizeof(float) * M::lanes * Rows); // half of the cache
   static constexpr std::size_t count = sums_in_double ? 1 : (K + cached - 1) / cached;
   static constexpr std::size_t length = (K + count - 1) / count;
};

// ROOT's interpreter stores all sums at the end of every turn of a loop: it gets longer turns.
#ifdef __CLING__
constexpr std::size_t inputs_per_turn = 16;
#else
constexpr std::size_t inputs_per_turn = 1;
#endif

// R neurons of one tile, for all registers of events of Rows rows ("columns"): R x columns sums stay in
// registers, each weight is read once and used for every column.
template <class M, Epilogue When, std::size_t Rows, std::size_t R, std::size_t K, std::size_t N, class F>
HEPML_ROOT_INLINE void tile_pass(const float* x, const float* w, const float* bias, float* y,
                                 std::size_t feature, const Part& part, const F& epilogue) {
   using V = typename M::V;
   constexpr std::size_t columns = Rows * M::vectors;
   // Where a column begins in a value of F features a row.
   const auto column = [](std::size_t features, std::size_t c) __attribute__((always_inline)) {
      return c / M::vectors * features * M::lanes + c % M::vectors * width<V>;
   };
   Accumulator<V> sum[R][columns];
   HEPML_ROOT_UNROLL
   for (std::size_t r = 0; r < R; ++r) {
      HEPML_ROOT_UNROLL
      for (std::size_t c = 0; c < columns; ++c)
         sum[r][c] =
             accumulator<V>(part.first ? splat<V>(bias[r]) : load<V>(y + r * M::lanes + column(N, c)));
   }
   const auto add_input = [&](std::size_t k) __attribute__((always_inline)) {
      V events[columns];
      HEPML_ROOT_UNROLL
      for (std::size_t c = 0; c < columns; ++c)
         events[c] = load<V>(x + k * M::lanes + column(K, c));
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         const V weight = splat<V>(w[k * tile_neurons + r]);
         HEPML_ROOT_UNROLL
         for (std::size_t c = 0; c < columns; ++c)
            add_product<V>(sum[r][c], weight, events[c]);
      }
   };
   std::size_t k = part.begin;
   if constexpr (inputs_per_turn > 1)
      for (; k + inputs_per_turn <= part.end; k += inputs_per_turn) {
         HEPML_ROOT_UNROLL
         for (std::size_t i = 0; i < inputs_per_turn; ++i)
            add_input(k + i);
      }
   for (; k < part.end; ++k)
      add_input(k);
   if (When == Epilogue::in_registers && part.last) {
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         HEPML_ROOT_UNROLL
         for (std::size_t c = 0; c < columns; ++c)
            store<V>(y + r * M::lanes + column(N, c),
                     epilogue(rounded<V>(sum[r][c]),
                              typename M::At{feature + c / M::vectors * N + r, c % M::vectors}));
      }
   } else {
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         HEPML_ROOT_UNROLL
         for (std::size_t c = 0; c < columns; ++c)
            store<V>(y + r * M::lanes + column(N, c), rounded<V>(sum[r][c]));
      }
   }
}

// One neuron outside the tiles, for one row.
template <class M, std::size_t K, class F>
HEPML_ROOT_INLINE void single_neuron(const float* x, const float* w, float bias, float* y,
                                     std::size_t feature, const F& epilogue) {
   using V = typename M::V;
   constexpr std::size_t parts = K < tile_neurons ? K : tile_neurons;
   for (std::size_t v = 0; v < M::vectors; ++v) {
      const float* const from = x + v * width<V>;
      Accumulator<V> sum[tile_neurons];
      HEPML_ROOT_UNROLL
      for (std::size_t p = 0; p < parts; ++p)
         sum[p] = accumulator<V>(p == 0 ? splat<V>(bias) : V{});
      std::size_t k = 0;
      for (; k + parts <= K; k += parts) {
         HEPML_ROOT_UNROLL
         for (std::size_t p = 0; p < parts; ++p)
            add_product<V>(sum[p], splat<V>(w[k + p]), load<V>(from + (k + p) * M::lanes));
      }
      HEPML_ROOT_UNROLL
      for (std::size_t p = 0; p < K % parts; ++p)
         add_product<V>(sum[p], splat<V>(w[k + p]), load<V>(from + (k + p) * M::lanes));
      HEPML_ROOT_UNROLL
      for (std::size_t half = tile_neurons / 2; half > 0; half /= 2) {
         HEPML_ROOT_UNROLL
         for (std::size_t p = 0; p < half; ++p)
            if (p + half < parts)
               sum[p] += sum[p + half];
      }
      store<V>(y + v * width<V>, epilogue(rounded<V>(sum[0]), typename M::At{feature, v}));
   }
}

// All neurons for Rows rows.
template <class M, Epilogue When, std::size_t Rows, std::size_t K, std::size_t N, class F>
HEPML_ROOT_INLINE void rows_in_block(const float* x, const float* w, const float* bias, float* y,
                                     std::size_t feature, const F& epilogue) {
   // So many sums that they hide the latency of the additions, and so few that they stay in registers.
   constexpr std::size_t columns = Rows * M::vectors;
   constexpr std::size_t most = (HEPML_ROOT_LANES == 16 ? 16 : 8) / (columns == 1 ? 1 : 2);
   constexpr std::size_t in_tiles = Tiling<N>::in_tiles, rest = in_tiles % most;
   using Slices = Parts<M, Rows, K>;
   for (std::size_t p = 0; p < Slices::count; ++p) {
      const std::size_t begin = p * Slices::length, end = begin + Slices::length;
      const Part part{begin, end < K ? end : K, p == 0, p + 1 == Slices::count};
      for (std::size_t n = 0; n + most <= in_tiles; n += most)
         tile_pass<M, When, Rows, most, K, N>(x, w + n / tile_neurons * tile_neurons * K + n % tile_neurons,
                                              bias + n, y + n * M::lanes, feature + n, part, epilogue);
      if constexpr (rest > 0) {
         constexpr std::size_t n = in_tiles - rest;
         tile_pass<M, When, Rows, rest, K, N>(x, w + n / tile_neurons * tile_neurons * K + n % tile_neurons,
                                              bias + n, y + n * M::lanes, feature + n, part, epilogue);
      }
   }
   // In one go: begun anew for every pass, the long chains of an activation would wait for one another.
   if constexpr (When == Epilogue::after_storing)
      for (std::size_t row = 0; row < Rows; ++row)
         finish<M, in_tiles>(y + row * N * M::lanes, feature + row * N, epilogue);
   const float* const outside = w + Tiling<N>::tiles * tile_neurons * K;
   for (std::size_t row = 0; row < Rows; ++row)
      for (std::size_t s = 0; s < Tiling<N>::singles; ++s)
         single_neuron<M, K>(x + row * K * M::lanes, outside + s * padded(K), bias[in_tiles + s],
                             y + (row * N + in_tiles + s) * M::lanes, feature + row * N + in_tiles + s,
                             epilogue);
}

// ---- one event: neurons in lanes ------------------------------------------------------------------------

// Count neighbouring neurons (the last register may be filled in part) of Rows rows.
template <Epilogue When, std::size_t Rows, std::size_t Count, std::size_t K, std::size_t N, class F>
HEPML_ROOT_INLINE void neurons_in_lanes(const float* x, const float* w, const float* bias, float* y,
                                        std::size_t feature, const F& epilogue) {
   using V = Single::V;
   constexpr std::size_t parts_of_tile = tile_neurons / width<V>;
   constexpr std::size_t registers = (Count + width<V> - 1) / width<V>;
   constexpr std::size_t in_last = Count - (registers - 1) * width<V>;
   Accumulator<V> sum[Rows][registers];
   HEPML_ROOT_UNROLL
   for (std::size_t t = 0; t < registers; ++t) {
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < Rows; ++r)
         sum[r][t] = accumulator<V>(load<V>(bias + t * width<V>));
   }
   for (std::size_t k = 0; k < K; ++k) {
      V weights[registers];
      HEPML_ROOT_UNROLL
      for (std::size_t t = 0; t < registers; ++t)
         weights[t] = load<V>(w + (t / parts_of_tile) * (tile_neurons * K) + k * tile_neurons +
                              (t % parts_of_tile) * width<V>);
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < Rows; ++r) {
         const V input = splat<V>(x[r * K + k]);
         HEPML_ROOT_UNROLL
         for (std::size_t t = 0; t < registers; ++t)
            add_product<V>(sum[r][t], weights[t], input);
      }
   }
   HEPML_ROOT_UNROLL
   for (std::size_t r = 0; r < Rows; ++r) {
      HEPML_ROOT_UNROLL
      for (std::size_t t = 0; t < registers; ++t) {
         float* const to = y + r * N + t * width<V>;
         const V total = rounded<V>(sum[r][t]);
         const V result = When == Epilogue::in_registers
                              ? epilogue(total, Single::At{feature + r * N + t * width<V>, 0})
                              : total;
         if (t + 1 < registers)
            store<V>(to, result);
         else
            store_part<V, in_last>(to, result);
      }
   }
   if constexpr (When == Epilogue::after_storing)
      for (std::size_t r = 0; r < Rows; ++r)
         finish<Single, Count>(y + r * N, feature + r * N, epilogue);
}

// One neuron outside the tiles: a dot product with k in lanes.
template <std::size_t K, std::size_t First = 0, class V, std::size_t Registers>
HEPML_ROOT_INLINE void add_rest(Accumulator<V> (&sum)[Registers], const float* x, const float* w) {
   constexpr std::size_t rest = K % tile_neurons, done = K - rest;
   constexpr std::size_t begin = First * width<V>;
   if constexpr (begin < rest) {
      constexpr std::size_t count = rest - begin < width<V> ? rest - begin : width<V>;
      add_product<V>(sum[First], load<V>(w + done + begin), load_part<V, count>(x + done + begin));
      add_rest<K, First + 1, V>(sum, x, w);
   }
}

template <std::size_t K> HEPML_ROOT_INLINE float dot_single(const float* x, const float* w, float bias) {
   using V = Single::V;
   constexpr std::size_t registers = tile_neurons / width<V>;
   V first{};
   first[0] = bias;
   Accumulator<V> sum[registers];
   for (std::size_t t = 0; t < registers; ++t)
      sum[t] = accumulator<V>(t == 0 ? first : V{});
   for (std::size_t k = 0; k + tile_neurons <= K; k += tile_neurons) {
      HEPML_ROOT_UNROLL
      for (std::size_t t = 0; t < registers; ++t)
         add_product<V>(sum[t], load<V>(w + k + t * width<V>), load<V>(x + k + t * width<V>));
   }
   add_rest<K, 0, V>(sum, x, w);
   HEPML_ROOT_UNROLL
   for (std::size_t half = registers / 2; half > 0; half /= 2)
      for (std::size_t t = 0; t < half; ++t)
         sum[t] += sum[t + half];
   return total<V>(sum[0]);
}

template <Epilogue When, std::size_t Rows, std::size_t K, std::size_t N, class F>
HEPML_ROOT_INLINE void rows_alone(const float* x, const float* w, const float* bias, float* y,
                                  std::size_t feature, const F& epilogue) {
   using V = Single::V;
   // Neurons whose sums are in registers at the same time.
   constexpr std::size_t most = width<V> * (Rows == 1 ? 8 : HEPML_ROOT_LANES == 16 ? 4 : 2);
   constexpr std::size_t in_tiles = Tiling<N>::in_tiles;
   if constexpr (in_tiles > 0) {
      constexpr std::size_t before = (in_tiles - 1) / most * most;
      for (std::size_t n = 0; n < before; n += most)
         neurons_in_lanes<When, Rows, most, K, N>(x,
                                                  w + n / tile_neurons * tile_neurons * K + n % tile_neurons,
                                                  bias + n, y + n, feature + n, epilogue);
      neurons_in_lanes<When, Rows, in_tiles - before, K, N>(
          x, w + before / tile_neurons * tile_neurons * K + before % tile_neurons, bias + before, y + before,
          feature + before, epilogue);
   }
   const float* const outside = w + Tiling<N>::tiles * tile_neurons * K;
   for (std::size_t row = 0; row < Rows; ++row)
      for (std::size_t s = 0; s < Tiling<N>::singles; ++s) {
         const std::size_t n = row * N + in_tiles + s;
         const float sum = dot_single<K>(x + row * K, outside + s * padded(K), bias[in_tiles + s]);
         y[n] = epilogue(splat<V>(sum), Single::At{feature + n, 0})[0];
      }
}

// ---- the product of one layer ---------------------------------------------------------------------------

template <class M, Epilogue When, std::size_t Rows, std::size_t K, std::size_t N, class F>
HEPML_ROOT_INLINE void some_rows(const float* x, const float* w, const float* bias, float* y, std::size_t row,
                                 const F& epilogue) {
   const float* const from = x + row * K * M::lanes;
   float* const to = y + row * N * M::lanes;
   if constexpr (M::single)
      rows_alone<When, Rows, K, N>(from, w, bias, to, row * N, epilogue);
   else
      rows_in_block<M, When, Rows, K, N>(from, w, bias, to, row * N, epilogue);
}

// x: Rows x K values, y: Rows x N values. Never inlined, so that layers of one shape share it.
template <class M, Epilogue When, std::size_t Rows, std::size_t K, std::size_t N, class F>
__attribute__((noinline)) void dense(const float* x, const float* w, const float* bias, float* y,
                                     F epilogue) {
   // Rows whose sums are in registers at the same time.
   constexpr std::size_t together =
       M::single ? (HEPML_ROOT_LANES == 16 ? 6 : 4) : (M::vectors < 3 ? 3 / M::vectors : 1);
   constexpr std::size_t rest = Rows % together;
   for (std::size_t row = 0; row + together <= Rows; row += together)
      some_rows<M, When, together, K, N>(x, w, bias, y, row, epilogue);
   if constexpr (rest > 0)
      some_rows<M, When, rest, K, N>(x, w, bias, y, Rows - rest, epilogue);
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
