// Recurrent layers: RNN, LSTM and GRU, as ONNX defines them, one direction of one layer per call.
//
// A step's products with its inputs and with the state before it are one sum: x_t takes part first, then h.
// All sums that a unit needs (its gates) are computed together, so that its new state follows from what is in
// the fastest cache. Weights are packed once, by the generator (export/cpp/recurrent.py, `pack`): units go in
// tiles of 16; of a tile the 16 weights of input 0 for the first gate come first, then those for the second
// gate, and so on through the gates and then through the inputs. Blocks of events read them one by one, a
// single event sixteen at a time.
#pragma once

#include "functions.hxx"
#include "sums.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

constexpr std::size_t unit_tile = 16;

// ---- activations of gates, with ONNX's names ------------------------------------------------------------
namespace gates {
struct Sigmoid {
   template <class V> static V of(V x, float, float) { return sigmoid(x); }
};
struct Tanh {
   template <class V> static V of(V x, float, float) { return hyperbolic_tangent(x); }
};
struct Relu {
   template <class V> static V of(V x, float, float) { return relu(x); }
};
struct Affine {
   template <class V> static V of(V x, float alpha, float beta) { return alpha * x + beta; }
};
struct LeakyRelu {
   template <class V> static V of(V x, float alpha, float) { return leaky_relu(x, splat<V>(alpha)); }
};
struct ThresholdedRelu {
   template <class V> static V of(V x, float alpha, float) { return thresholded_relu(x, splat<V>(alpha)); }
};
struct ScaledTanh {
   template <class V> static V of(V x, float alpha, float beta) {
      return alpha * hyperbolic_tangent<V>(beta * x);
   }
};
struct HardSigmoid {
   template <class V> static V of(V x, float alpha, float beta) {
      return hard_sigmoid(x, splat<V>(alpha), splat<V>(beta));
   }
};
struct Elu {
   template <class V> static V of(V x, float alpha, float) { return elu(x, splat<V>(alpha)); }
};
struct Softsign {
   template <class V> static V of(V x, float, float) { return softsign(x); }
};
struct Softplus {
   template <class V> static V of(V x, float, float) { return softplus(x); }
};
} // namespace gates

// ---- what a call is given -------------------------------------------------------------------------------

// One of the products of a step: packed weights of its inputs and of the state, and biases of the sums.
struct Product {
   const float* input;
   const float* state;
   const float* bias;
};

struct Sequence {
   std::size_t steps, inputs, units;
   std::size_t x_step, y_step; // features from one step to the next
   bool backwards;
   float clip; // bound of what enters the activations of gates, where a cell is Clipped
   float alpha[3], beta[3];
   Product products[2];
   const float* peepholes; // of LSTM: gates i, o, f, each padded to whole tiles
};

// Values of the events; those that are not there are null.
struct SequenceValues {
   const float* x;
   const float* lengths; // steps of each event; what lies behind changes nothing and gives 0
   const float* first_h;
   const float* first_c;
   float* y;
   float* last_h;
   float* last_c;
   float* scratch; // 5 x padded(units) features
};

// ---- the sums of some units -----------------------------------------------------------------------------

// The sums of a unit, and into which of them a product's gates go, for the inputs and for the state.
template <std::size_t Sums, class Input, class State> struct Gates {
   static constexpr std::size_t sums = Sums;
   using OfInput = Input;
   using OfState = State;
};
using OneSum = Gates<1, std::index_sequence<0>, std::index_sequence<0>>;
using TwoSums = Gates<2, std::index_sequence<0, 1>, std::index_sequence<0, 1>>;
using FourSums = Gates<4, std::index_sequence<0, 1, 2, 3>, std::index_sequence<0, 1, 2, 3>>;
// The candidate's sum over the inputs and that over the state are kept apart.
using ResetAfter = Gates<4, std::index_sequence<0, 1, 2>, std::index_sequence<0, 1, 3>>;

template <class M, std::size_t R, std::size_t Sums, std::size_t... Into>
HEPML_ROOT_INLINE void add_inputs(Accumulator<typename M::V> (&sum)[R][Sums][M::vectors], const float* x,
                                  std::size_t count, const float* w, std::index_sequence<Into...>) {
   using V = typename M::V;
   constexpr std::size_t gates = sizeof...(Into);
   constexpr std::size_t into[] = {Into...};
   for (std::size_t k = 0; k < count; ++k) {
      V events[M::vectors];
      HEPML_ROOT_UNROLL
      for (std::size_t v = 0; v < M::vectors; ++v)
         events[v] = load<V>(x + k * M::lanes + v * width<V>);
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
         HEPML_ROOT_UNROLL
         for (std::size_t g = 0; g < gates; ++g) {
            const V weight = splat<V>(w[(k * gates + g) * unit_tile + r]);
            HEPML_ROOT_UNROLL
            for (std::size_t v = 0; v < M::vectors; ++v)
               add_product<V>(sum[r][into[g]][v], weight, events[v]);
         }
      }
   }
}

// R units of a tile for all registers of events of a block.
template <class M, class G, std::size_t R, class F>
HEPML_ROOT_INLINE void units_in_block(const float* x, std::size_t inputs, const float* w, const float* h,
                                      std::size_t units, const float* u, const float* bias, std::size_t unit,
                                      const F& finish) {
   using V = typename M::V;
   Accumulator<V> sum[R][G::sums][M::vectors];
   HEPML_ROOT_UNROLL
   for (std::size_t r = 0; r < R; ++r) {
      HEPML_ROOT_UNROLL
      for (std::size_t s = 0; s < G::sums; ++s) {
         HEPML_ROOT_UNROLL
         for (std::size_t v = 0; v < M::vectors; ++v)
            sum[r][s][v] = accumulator<V>(splat<V>(bias[s * unit_tile + r]));
      }
   }
   add_inputs<M>(sum, x, inputs, w, typename G::OfInput{});
   add_inputs<M>(sum, h, units, u, typename G::OfState{});
   // The activations need the registers themselves.
   alignas(64) float kept[R * G::sums * M::lanes];
   HEPML_ROOT_UNROLL
   for (std::size_t r = 0; r < R; ++r) {
      HEPML_ROOT_UNROLL
      for (std::size_t s = 0; s < G::sums; ++s) {
         HEPML_ROOT_UNROLL
         for (std::size_t v = 0; v < M::vectors; ++v)
            store<V>(kept + (r * G::sums + s) * M::lanes + v * width<V>, rounded<V>(sum[r][s][v]));
      }
   }
   for (std::size_t r = 0; r < R && unit + r < units; ++r)
      for (std::size_t v = 0; v < M::vectors; ++v) {
         V sums[G::sums];
         HEPML_ROOT_UNROLL
         for (std::size_t s = 0; s < G::sums; ++s)
            sums[s] = load<V>(kept + (r * G::sums + s) * M::lanes + v * width<V>);
         finish(sums, unit + r, v);
      }
}

// The sums of some neighbouring tiles of one event.
template <std::size_t Tiles, std::size_t Sums, std::size_t Registers, std::size_t... Into>
HEPML_ROOT_INLINE void add_inputs_single(Accumulator<Single::V> (&sum)[Tiles][Sums][Registers],
                                         const float* x, std::size_t count, const float* w,
                                         std::index_sequence<Into...>) {
   using V = Single::V;
   constexpr std::size_t gates = sizeof...(Into);
   constexpr std::size_t into[] = {Into...};
   const std::size_t apart = count * gates * unit_tile;
   for (std::size_t k = 0; k < count; ++k) {
      const V input = splat<V>(x[k]);
      HEPML_ROOT_UNROLL
      for (std::size_t t = 0; t < Tiles; ++t) {
         HEPML_ROOT_UNROLL
         for (std::size_t g = 0; g < gates; ++g) {
            HEPML_ROOT_UNROLL
            for (std::size_t i = 0; i < Registers; ++i)
               add_product<V>(sum[t][into[g]][i],
                              load<V>(w + t * apart + (k * gates + g) * unit_tile + i * width<V>), input);
         }
      }
   }
}

template <class G, std::size_t Tiles, class F>
HEPML_ROOT_INLINE void tiles_single(const Sequence& s, const Product& product, const float* x, const float* h,
                                    std::size_t tile, const F& finish) {
   using V = Single::V;
   constexpr std::size_t registers = unit_tile / width<V>;
   const float* const bias = product.bias + tile * unit_tile * G::sums;
   Accumulator<V> sum[Tiles][G::sums][registers];
   HEPML_ROOT_UNROLL
   for (std::size_t t = 0; t < Tiles; ++t) {
      HEPML_ROOT_UNROLL
      for (std::size_t n = 0; n < G::sums; ++n) {
         HEPML_ROOT_UNROLL
         for (std::size_t i = 0; i < registers; ++i)
            sum[t][n][i] = accumulator<V>(load<V>(bias + (t * G::sums + n) * unit_tile + i * width<V>));
      }
   }
   add_inputs_single(sum, x, s.inputs, product.input + tile * s.inputs * unit_tile * G::OfInput::size(),
                     typename G::OfInput{});
   add_inputs_single(sum, h, s.units, product.state + tile * s.units * unit_tile * G::OfState::size(),
                     typename G::OfState{});
   HEPML_ROOT_UNROLL
   for (std::size_t t = 0; t < Tiles; ++t) {
      HEPML_ROOT_UNROLL
      for (std::size_t i = 0; i < registers; ++i) {
         V sums[G::sums];
         HEPML_ROOT_UNROLL
         for (std::size_t n = 0; n < G::sums; ++n)
            sums[n] = rounded<V>(sum[t][n][i]);
         finish(sums, (tile + t) * unit_tile + i * width<V>, 0);
      }
   }
}

// The tiles from `tile` on, as many together as hide the latency of additions.
template <class G, std::size_t Together, class F>
HEPML_ROOT_INLINE void all_tiles_single(const Sequence& s, const Product& product, const float* x,
                                        const float* h, std::size_t tile, const F& finish) {
   const std::size_t tiles = (s.units + unit_tile - 1) / unit_tile;
   for (; tile + Together <= tiles; tile += Together)
      tiles_single<G, Together>(s, product, x, h, tile, finish);
   if constexpr (Together > 1)
      all_tiles_single<G, Together / 2>(s, product, x, h, tile, finish);
}

// All units: finish(sums, unit, register of events) for each. Their sums are added up in the same order alone
// and in blocks: bias, inputs, state.
template <class M, class G, class F>
HEPML_ROOT_INLINE void all_units(const Sequence& s, const Product& product, const float* x, const float* h,
                                 const F& finish) {
   if constexpr (M::single) {
      constexpr std::size_t registers = G::sums * unit_tile / HEPML_ROOT_LANES;
      all_tiles_single<G, (registers >= 8 ? 1 : 8 / registers)>(s, product, x, h, 0, finish);
   } else {
      constexpr std::size_t together = (HEPML_ROOT_LANES == 16 ? 8 : 4) / G::sums;
      for (std::size_t unit = 0; unit < s.units; unit += unit_tile) {
         const float* const w = product.input + unit * s.inputs * G::OfInput::size();
         const float* const u = product.state + unit * s.units * G::OfState::size();
         const float* const bias = product.bias + unit * G::sums;
         for (std::size_t r = 0; r < unit_tile && unit + r < s.units; r += together)
            units_in_block<M, G, together>(x, s.inputs, w + r, h, s.units, u + r, bias + r, unit + r, finish);
      }
   }
}

// ---- cells ----------------------------------------------------------------------------------------------

// Where a cell finds and leaves the state of some units in one register.
template <class M> struct Units {
   using V = typename M::V;
   std::size_t unit, at; // first unit; place of the register in a value
   static HEPML_ROOT_INLINE Units of(std::size_t unit, std::size_t vector) {
      return {unit, unit * M::lanes + vector * width<V>};
   }
   HEPML_ROOT_INLINE V weight(const float* w) const {
      if constexpr (M::single)
         return load<V>(w + unit);
      else
         return splat<V>(w[unit]);
   }
};

// The state of the layer while it runs.
struct RunningState {
   const float* h; // before the step
   float* next;    // behind it
   float* c;
   float* gate; // of GRU: the update gate, and the state times the reset gate
   float* reset;
};

template <bool Clipped, class Activation, std::size_t Index, class V>
HEPML_ROOT_INLINE V activated(const Sequence& s, V x) {
   if constexpr (Clipped)
      x = clip_below<V>(clip_above<V>(x, splat<V>(s.clip)), splat<V>(-s.clip));
   return Activation::template of<V>(x, s.alpha[Index], s.beta[Index]);
}

// h = f(W x + U h + b)
template <class F, bool Clipped> struct Rnn {
   static constexpr bool has_c = false;
   template <class M, class Keep>
   static HEPML_ROOT_INLINE void step(const Sequence& s, const float* x, const RunningState& state,
                                      Keep keep) {
      using V = typename M::V;
      all_units<M, OneSum>(s, s.products[0], x, state.h,
                           [&](V(&sum)[1], std::size_t unit, std::size_t v) __attribute__((always_inline)) {
                              keep(Units<M>::of(unit, v), v, activated<Clipped, F, 0>(s, sum[0]), V{});
                           });
   }
};

// i, o, f = F(W x + U h + p c + b), c' = f c + i G(W x + U h + b), h' = o H(c'); the sums are i, o, f, c.
template <class F, class G, class H, bool Peepholes, bool Coupled, bool Clipped> struct Lstm {
   static constexpr bool has_c = true;
   template <class M, class Keep>
   static HEPML_ROOT_INLINE void step(const Sequence& s, const float* x, const RunningState& state,
                                      Keep keep) {
      using V = typename M::V;
      all_units<M, FourSums>(s, s.products[0], x, state.h,
                             [&](V(&sum)[4], std::size_t unit, std::size_t v) __attribute__((always_inline)) {
                                const auto units = Units<M>::of(unit, v);
                                const V before = load<V>(state.c + units.at);
                                const std::size_t gate = padded(s.units);
                                if constexpr (Peepholes) {
                                   sum[0] += units.weight(s.peepholes) * before;
                                   sum[2] += units.weight(s.peepholes + 2 * gate) * before;
                                }
                                const V i = activated<Clipped, F, 0>(s, sum[0]);
                                const V f = Coupled ? 1.0f - i : activated<Clipped, F, 0>(s, sum[2]);
                                const V c = f * before + i * activated<Clipped, G, 1>(s, sum[3]);
                                if constexpr (Peepholes)
                                   sum[1] += units.weight(s.peepholes + gate) * c;
                                const V o = activated<Clipped, F, 0>(s, sum[1]);
                                keep(units, v, o * activated<false, H, 2>(s, c), c);
                             });
   }
};

// z, r = F(W x + U h + b), h' = (1 - z) G(W x + b + r (U h + b)) + z h
template <class F, class G, bool Clipped> struct GruResetAfter {
   static constexpr bool has_c = false;
   template <class M, class Keep>
   static HEPML_ROOT_INLINE void step(const Sequence& s, const float* x, const RunningState& state,
                                      Keep keep) {
      using V = typename M::V;
      all_units<M, ResetAfter>(
          s, s.products[0], x, state.h,
          [&](V(&sum)[4], std::size_t unit, std::size_t v) __attribute__((always_inline)) {
             const auto units = Units<M>::of(unit, v);
             const V z = activated<Clipped, F, 0>(s, sum[0]), r = activated<Clipped, F, 0>(s, sum[1]);
             const V candidate = activated<Clipped, G, 1>(s, sum[2] + r * sum[3]);
             keep(units, v, candidate + z * (load<V>(state.h + units.at) - candidate), V{});
          });
   }
};

// z, r = F(W x + U h + b), h' = (1 - z) G(W x + U (r h) + b) + z h
template <class F, class G, bool Clipped> struct GruResetBefore {
   static constexpr bool has_c = false;
   template <class M, class Keep>
   static HEPML_ROOT_INLINE void step(const Sequence& s, const float* x, const RunningState& state,
                                      Keep keep) {
      using V = typename M::V;
      all_units<M, TwoSums>(s, s.products[0], x, state.h,
                            [&](V(&sum)[2], std::size_t unit, std::size_t v) __attribute__((always_inline)) {
                               const auto units = Units<M>::of(unit, v);
                               store<V>(state.gate + units.at, activated<Clipped, F, 0>(s, sum[0]));
                               store<V>(state.reset + units.at,
                                        activated<Clipped, F, 0>(s, sum[1]) * load<V>(state.h + units.at));
                            });
      all_units<M, OneSum>(s, s.products[1], x, state.reset,
                           [&](V(&sum)[1], std::size_t unit, std::size_t v) __attribute__((always_inline)) {
                              const auto units = Units<M>::of(unit, v);
                              const V candidate = activated<Clipped, G, 1>(s, sum[0]);
                              const V z = load<V>(state.gate + units.at);
                              const V h = load<V>(state.h + units.at);
                              keep(units, v, candidate + z * (h - candidate), V{});
                           });
   }
};

// ---- the sequence ---------------------------------------------------------------------------------------

// The steps that any event of the block has.
template <class M> inline std::size_t longest(const float* lengths, std::size_t steps) {
   std::size_t result = 0;
   for (std::size_t e = 0; e < M::lanes; ++e)
      while (result < steps && lengths[e] > static_cast<float>(result))
         ++result;
   return result;
}

template <class M>
inline void copy_or_zero(const float* from, std::size_t count, std::size_t room, float* to) {
   if (from != nullptr)
      std::memcpy(to, from, count * M::lanes * sizeof(float));
   else
      count = 0;
   std::memset(to + count * M::lanes, 0, (room - count) * M::lanes * sizeof(float));
}

// The state behind the last step; of an event without any step it is 0, as ONNX Runtime has it.
template <class M, bool Masked>
inline void last_state(const float* state, std::size_t units, const float* lengths, float* to) {
   using V = typename M::Lane;
   if (to == nullptr)
      return;
   if constexpr (Masked) {
      for (std::size_t unit = 0; unit < units; ++unit)
         for (std::size_t v = 0; v < M::vectors; ++v) {
            const std::size_t at = unit * M::lanes + v * width<V>;
            store<V>(to + at, select<V>(load<V>(lengths + v * width<V>) > 0.0f, load<V>(state + at), V{}));
         }
   } else {
      std::memcpy(to, state, units * M::lanes * sizeof(float));
   }
}

template <class M, class Cell, bool Masked>
__attribute__((noinline)) void recurrent(const Sequence& s, const SequenceValues& values) {
   using V = typename M::V;
   const std::size_t room = padded(s.units), one = room * M::lanes;
   float* const scratch = values.scratch;
   float *h = scratch, *next = scratch + one, *const c = scratch + 2 * one;
   copy_or_zero<M>(values.first_h, s.units, room, h);
   copy_or_zero<M>(values.first_c, s.units, room, c);
   const std::size_t steps = Masked ? longest<M>(values.lengths, s.steps) : s.steps;
   for (std::size_t i = 0; i < steps; ++i) {
      const std::size_t t = s.backwards ? steps - 1 - i : i;
      float* const y = values.y == nullptr ? nullptr : values.y + t * s.y_step * M::lanes;
      const RunningState state{h, next, c, scratch + 3 * one, scratch + 4 * one};
      const auto keep = [&](Units<M> units, std::size_t v, V new_h, V new_c) __attribute__((always_inline)) {
         V output = new_h;
         if constexpr (Masked && !M::single) {
            const Mask<V> there = load<V>(values.lengths + v * width<V>) > static_cast<float>(t);
            output = select<V>(there, new_h, V{});
            new_h = select<V>(there, new_h, load<V>(h + units.at));
            if constexpr (Cell::has_c)
               new_c = select<V>(there, new_c, load<V>(c + units.at));
         }
         store<V>(next + units.at, new_h);
         if constexpr (Cell::has_c)
            store<V>(c + units.at, new_c);
         if (!M::single && y != nullptr)
            store<V>(y + units.at, output);
      };
      Cell::template step<M>(s, values.x + t * s.x_step * M::lanes, state, keep);
      // A register of a single event may reach beyond the last unit.
      if (M::single && y != nullptr)
         std::memcpy(y, next, s.units * sizeof(float));
      float* const old = h;
      h = next;
      next = old;
   }
   if (values.y != nullptr)
      for (std::size_t t = steps; t < s.steps; ++t)
         std::memset(values.y + t * s.y_step * M::lanes, 0, s.units * M::lanes * sizeof(float));
   last_state<M, Masked>(h, s.units, values.lengths, values.last_h);
   last_state<M, Masked>(c, s.units, values.lengths, values.last_c);
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
