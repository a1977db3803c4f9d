// Products with constant matrices: y[n] = epilogue(bias[n] + sum over k of w[n][k] x[k]).
//
// Weights are packed once, by the generator, in the order of use (export/cpp_dense.py, `pack`):
// neurons go in tiles of 16; of a tile the 16 weights of input 0 come first, then those of input 1, and so
// on. If at most 4 neurons are left over they follow one by one, each with its K weights, padded to a
// multiple of 16; if more are left they make one more tile, padded with zeros. Biases are padded likewise.
#pragma once

#include "lanes.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

constexpr std::size_t tile_neurons = alignment;

template <std::size_t N> struct Tiling {
   static constexpr std::size_t left_over = N % tile_neurons;
   static constexpr std::size_t rows = left_over <= 4 ? left_over : 0; // neurons outside tiles
   static constexpr std::size_t tiles = (N - rows + tile_neurons - 1) / tile_neurons;
};

// When the epilogue is computed: on the sums while they are in registers, or, if it needs many registers
// itself, from memory after they have been stored.
enum class Epilogue { in_registers, after_storing };

// The epilogue that does nothing.
struct Identity {
   template <class V, class At> HEPML_ROOT_INLINE V operator()(V y, At) const { return y; }
};

// The epilogue of `count` neurons whose sums are stored.
template <class M, class F>
HEPML_ROOT_INLINE void finish(float* y, std::size_t neuron, std::size_t count, const F& epilogue) {
   using V = typename M::V;
   for (std::size_t n = neuron; n < neuron + count; n += M::step)
      for (std::size_t v = 0; v < M::vectors; ++v) {
         float* const at = y + n * M::lanes + v * width<V>;
         store<V>(at, epilogue(load<V>(at), typename M::At{n, v}));
      }
}

// ---- events in lanes ------------------------------------------------------------------------------------

// Inputs [begin, end) of K: of a long product a part at a time, so that the events of that part stay in the
// fastest cache while all neurons use them; the sums wait in y meanwhile, which does not change them.
struct Part {
   std::size_t begin, end;
   bool first, last;
};

template <class M, std::size_t K> struct Parts {
   static constexpr std::size_t cached = 24576 / (sizeof(float) * M::lanes); // half of a first-level cache
   static constexpr std::size_t count = (K + cached - 1) / cached;
   static constexpr std::size_t length = (K + count - 1) / count;
};

// ROOT's interpreter stores all sums at the end of every turn of a loop: it gets longer turns.
#ifdef __CLING__
constexpr std::size_t inputs_per_turn = 16;
#else
constexpr std::size_t inputs_per_turn = 1;
#endif

// R neurons of one tile, for all registers of events of the block: R x vectors sums stay in registers, each
// weight is read once and used for every register of events.
template <class M, Epilogue When, std::size_t R, class F>
HEPML_ROOT_INLINE void tile_pass(const float* x, const float* w, const float* bias, float* y,
                                 std::size_t neuron, const Part& part, const F& epilogue) {
   using V = typename M::V;
   float* const to = y + neuron * M::lanes;
   V sum[R][M::vectors];
   if (part.first) {
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         HEPML_ROOT_UNROLL
         for (std::size_t v = 0; v < M::vectors; ++v)
            sum[r][v] = splat<V>(bias[neuron + r]);
      }
   } else {
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         HEPML_ROOT_UNROLL
         for (std::size_t v = 0; v < M::vectors; ++v)
            sum[r][v] = load<V>(to + r * M::lanes + v * width<V>);
      }
   }
   const auto add_input = [&](std::size_t k) __attribute__((always_inline)) {
      V events[M::vectors];
      HEPML_ROOT_UNROLL
      for (std::size_t v = 0; v < M::vectors; ++v)
         events[v] = load<V>(x + k * M::lanes + v * width<V>);
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         const float weight = w[k * tile_neurons + r];
         HEPML_ROOT_UNROLL
         for (std::size_t v = 0; v < M::vectors; ++v)
            sum[r][v] += weight * events[v];
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
         for (std::size_t v = 0; v < M::vectors; ++v)
            store<V>(to + r * M::lanes + v * width<V>, epilogue(sum[r][v], typename M::At{neuron + r, v}));
      }
   } else {
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         HEPML_ROOT_UNROLL
         for (std::size_t v = 0; v < M::vectors; ++v)
            store<V>(to + r * M::lanes + v * width<V>, sum[r][v]);
      }
      if (When == Epilogue::after_storing && part.last)
         finish<M>(y, neuron, R, epilogue);
   }
}

// The neurons [First, Last) of a tile in passes of at most `most`.
template <class M, Epilogue When, std::size_t First, std::size_t Last, class F>
HEPML_ROOT_INLINE void tile_passes(const float* x, const float* w, const float* bias, float* y,
                                   std::size_t neuron, const Part& part, const F& epilogue) {
   constexpr std::size_t most = HEPML_ROOT_LANES == 16 ? 8 : 4;
   if constexpr (First < Last) {
      constexpr std::size_t count = Last - First < most ? Last - First : most;
      tile_pass<M, When, count>(x, w + First, bias, y, neuron + First, part, epilogue);
      tile_passes<M, When, First + count, Last>(x, w, bias, y, neuron, part, epilogue);
   }
}

// Neurons outside the tiles: several partial sums over k, so that the chain of additions is short.
template <class M, std::size_t R, std::size_t K, class F>
HEPML_ROOT_INLINE void row_pass(const float* x, const float* w, const float* bias, float* y,
                                std::size_t neuron, const F& epilogue) {
   using V = typename M::V;
   constexpr std::size_t parts = R == 1 ? 4 : 2;
   for (std::size_t v = 0; v < M::vectors; ++v) {
      V sum[R][parts];
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         HEPML_ROOT_UNROLL
         for (std::size_t p = 0; p < parts; ++p)
            sum[r][p] = p == 0 ? splat<V>(bias[neuron + r]) : V{};
      }
      std::size_t k = 0;
      for (; k + parts <= K; k += parts) {
         HEPML_ROOT_UNROLL
         for (std::size_t p = 0; p < parts; ++p) {
            const V events = load<V>(x + (k + p) * M::lanes + v * width<V>);
            HEPML_ROOT_UNROLL
            for (std::size_t r = 0; r < R; ++r)
               sum[r][p] += w[r * padded(K) + k + p] * events;
         }
      }
      for (; k < K; ++k) {
         const V events = load<V>(x + k * M::lanes + v * width<V>);
         for (std::size_t r = 0; r < R; ++r)
            sum[r][0] += w[r * padded(K) + k] * events;
      }
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         V total = sum[r][0];
         for (std::size_t p = 1; p < parts; ++p)
            total += sum[r][p];
         store<V>(y + (neuron + r) * M::lanes + v * width<V>, epilogue(total, typename M::At{neuron + r, v}));
      }
   }
}

// ---- one event: neurons in lanes ------------------------------------------------------------------------

// T neighbouring tiles at once, with P partial sums over k each: T x P chains of additions hide their
// latency.
template <Epilogue When, std::size_t T, std::size_t P, std::size_t K, class F>
HEPML_ROOT_INLINE void tiles_single(const float* x, const float* w, const float* bias, float* y,
                                    std::size_t neuron, const F& epilogue) {
   using V = Single::V;
   constexpr std::size_t parts_of_tile = tile_neurons / width<V>;
   constexpr std::size_t registers = T * parts_of_tile;
   V sum[P][registers];
   HEPML_ROOT_UNROLL
   for (std::size_t t = 0; t < registers; ++t) {
      HEPML_ROOT_UNROLL
      for (std::size_t p = 0; p < P; ++p)
         sum[p][t] = p == 0 ? load<V>(bias + neuron + t * width<V>) : V{};
   }
   constexpr std::size_t whole = K / P * P;
   for (std::size_t k = 0; k < whole; k += P) {
      HEPML_ROOT_UNROLL
      for (std::size_t p = 0; p < P; ++p) {
         const float input = x[k + p];
         HEPML_ROOT_UNROLL
         for (std::size_t t = 0; t < registers; ++t)
            sum[p][t] += input * load<V>(w + (t / parts_of_tile) * (tile_neurons * K) +
                                         (k + p) * tile_neurons + (t % parts_of_tile) * width<V>);
      }
   }
   for (std::size_t k = whole; k < K; ++k) {
      const float input = x[k];
      HEPML_ROOT_UNROLL
      for (std::size_t t = 0; t < registers; ++t)
         sum[0][t] += input * load<V>(w + (t / parts_of_tile) * (tile_neurons * K) + k * tile_neurons +
                                      (t % parts_of_tile) * width<V>);
   }
   HEPML_ROOT_UNROLL
   for (std::size_t t = 0; t < registers; ++t) {
      V total = sum[0][t];
      HEPML_ROOT_UNROLL
      for (std::size_t p = 1; p < P; ++p)
         total += sum[p][t];
      const std::size_t n = neuron + t * width<V>;
      store<V>(y + n, When == Epilogue::in_registers ? epilogue(total, Single::At{n, 0}) : total);
   }
}

template <Epilogue When, std::size_t Tiles, std::size_t K, class F>
HEPML_ROOT_INLINE void all_tiles_single(const float* x, const float* w, const float* bias, float* y,
                                        const F& epilogue) {
   constexpr std::size_t together = HEPML_ROOT_LANES == 16 ? 4 : HEPML_ROOT_LANES == 8 ? 2 : 1;
   constexpr std::size_t parts = HEPML_ROOT_LANES == 16 ? 4 : 2;
   constexpr std::size_t groups = Tiles / together;
   for (std::size_t g = 0; g < groups; ++g)
      tiles_single<When, together, parts, K>(x, w + g * together * tile_neurons * K, bias, y,
                                             g * together * tile_neurons, epilogue);
   constexpr std::size_t rest = Tiles % together;
   if constexpr (rest > 0)
      tiles_single<When, rest, 4, K>(x, w + groups * together * tile_neurons * K, bias, y,
                                     groups * together * tile_neurons, epilogue);
   if constexpr (When == Epilogue::after_storing)
      finish<Single>(y, 0, Tiles * tile_neurons, epilogue);
}

// One neuron: a dot product with k in lanes; what is left of K goes one by one.
template <std::size_t K> HEPML_ROOT_INLINE float dot_single(const float* x, const float* w) {
   using V = Single::V;
   constexpr std::size_t whole = K / width<V>;
   constexpr std::size_t parts = 4;
   V sum[parts] = {};
   std::size_t i = 0;
   for (; i + parts <= whole; i += parts) {
      HEPML_ROOT_UNROLL
      for (std::size_t p = 0; p < parts; ++p)
         sum[p] += load<V>(x + (i + p) * width<V>) * load<V>(w + (i + p) * width<V>);
   }
   for (; i < whole; ++i)
      sum[0] += load<V>(x + i * width<V>) * load<V>(w + i * width<V>);
   float result = sum_of_lanes<V>((sum[0] + sum[1]) + (sum[2] + sum[3]));
   for (std::size_t k = whole * width<V>; k < K; ++k)
      result += x[k] * w[k];
   return result;
}

// ---- the product of one layer ---------------------------------------------------------------------------

// x: Rows x K values, y: Rows x N values (Rows > 1 where the same layer is applied to every constituent).
template <class M, Epilogue When, std::size_t Rows, std::size_t K, std::size_t N, class F>
HEPML_ROOT_INLINE void dense(const float* x, const float* w, const float* bias, float* y, const F& epilogue) {
   using Tiles = Tiling<N>;
   constexpr std::size_t in_tiles = N - Tiles::rows;
   const float* const w_rows = w + Tiles::tiles * tile_neurons * K;
   for (std::size_t row = 0; row < Rows; ++row) {
      const float* const from = x + row * K * M::lanes;
      // In a row after the first, neuron n of the layer is feature row N + n of the value.
      const auto shifted = [&](auto sum, auto at) __attribute__((always_inline)) {
         at.feature += row * N;
         return epilogue(sum, at);
      };
      float* const to = y + row * N * M::lanes;
      if constexpr (M::single) {
         all_tiles_single<When, Tiles::tiles, K>(from, w, bias, to, shifted);
         for (std::size_t r = 0; r < Tiles::rows; ++r) {
            const float sum = bias[in_tiles + r] + dot_single<K>(from, w_rows + r * padded(K));
            to[in_tiles + r] = shifted(splat<typename M::V>(sum), typename M::At{in_tiles + r, 0})[0];
         }
      } else {
         constexpr std::size_t whole = in_tiles / tile_neurons, left = in_tiles % tile_neurons;
         for (std::size_t p = 0; p < Parts<M, K>::count; ++p) {
            const std::size_t begin = p * Parts<M, K>::length, end = begin + Parts<M, K>::length;
            const Part part{begin, end < K ? end : K, p == 0, p + 1 == Parts<M, K>::count};
            for (std::size_t t = 0; t < whole; ++t)
               tile_passes<M, When, 0, tile_neurons>(from, w + t * tile_neurons * K, bias, to,
                                                     t * tile_neurons, part, shifted);
            tile_passes<M, When, 0, left>(from, w + whole * tile_neurons * K, bias, to, whole * tile_neurons,
                                          part, shifted);
         }
         if constexpr (Tiles::rows > 0)
            row_pass<M, Tiles::rows, K>(from, w_rows, bias, to, in_tiles, shifted);
      }
   }
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
