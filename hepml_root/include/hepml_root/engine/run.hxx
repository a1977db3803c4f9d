// Running a network over events: cutting them into blocks, moving them between the caller's rows and lanes.
#pragma once

#include "lanes.hxx"
#include "workspace.hxx"

#include <utility>

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// ---- moving values --------------------------------------------------------------------------------------

// y[i] = x[table[i]]: slices, gathers, transposes, repeats and joins of values.
template <class M, std::size_t Size>
HEPML_ROOT_INLINE void pick(const float* x, const std::uint32_t* table, float* y) {
   for (std::size_t i = 0; i < Size; ++i)
      std::memcpy(y + i * M::lanes, x + table[i] * M::lanes, M::lanes * sizeof(float));
}

template <class M, std::size_t Size> HEPML_ROOT_INLINE void copy(const float* x, float* y) {
   std::memcpy(y, x, Size * M::lanes * sizeof(float));
}

#ifdef HEPML_ROOT_SHUFFLE
// Exchanges the off-diagonal squares of side D between two rows: one step of transposing a square matrix.
template <std::size_t D, class V, int... L>
HEPML_ROOT_INLINE void exchange(V& a, V& b, std::integer_sequence<int, L...>) {
   constexpr int lanes = sizeof...(L);
   constexpr int d = static_cast<int>(D);
   const V upper = __builtin_shufflevector(a, b, ((L & d) ? L - d + lanes : L)...);
   const V lower = __builtin_shufflevector(a, b, ((L & d) ? L + lanes : L + d)...);
   a = upper;
   b = lower;
}

template <std::size_t D, class V, std::size_t Lanes> HEPML_ROOT_INLINE void transpose(V (&rows)[Lanes]) {
   if constexpr (D > 0) {
      HEPML_ROOT_UNROLL
      for (std::size_t i = 0; i < Lanes; ++i)
         if ((i & D) == 0)
            exchange<D>(rows[i], rows[i + D], std::make_integer_sequence<int, Lanes>{});
      transpose<D / 2>(rows);
   }
}
#endif

// F features of one register of events, from rows of `stride` floats.
template <class V, std::size_t F, std::size_t Lanes>
HEPML_ROOT_INLINE void rows_to_lanes(const float* const (&row)[width<V>], float* y) {
#ifdef HEPML_ROOT_SHUFFLE
   constexpr std::size_t w = width<V>;
   if constexpr (F >= w) {
      // Squares of w features; the last one ends at feature F and may repeat some of the one before.
      for (std::size_t f = 0; f < F; f += w) {
         const std::size_t first = f + w <= F ? f : F - w;
         V square[w];
         HEPML_ROOT_UNROLL
         for (std::size_t e = 0; e < w; ++e)
            square[e] = load<V>(row[e] + first);
         transpose<w / 2>(square);
         HEPML_ROOT_UNROLL
         for (std::size_t e = 0; e < w; ++e)
            store<V>(y + (first + e) * Lanes, square[e]);
      }
      return;
   }
#endif
   for (std::size_t e = 0; e < width<V>; ++e)
      for (std::size_t f = 0; f < F; ++f)
         y[f * Lanes + e] = row[e][f];
}

// F features of `events` events from the caller's rows; lanes without an event repeat the last one.
template <class M, std::size_t F>
HEPML_ROOT_INLINE void read_rows(const float* x, std::size_t events, float* y) {
   if constexpr (M::single) {
      (void)events;
      std::memcpy(y, x, F * sizeof(float));
      for (std::size_t i = F; i < padded(F); ++i)
         y[i] = 0;
   } else {
      using V = typename M::V;
      for (std::size_t v = 0; v < M::vectors; ++v) {
         const float* row[width<V>];
         for (std::size_t e = 0; e < width<V>; ++e) {
            const std::size_t event = v * width<V> + e;
            row[e] = x + (event < events ? event : events - 1) * F;
         }
         rows_to_lanes<V, F, M::lanes>(row, y + v * width<V>);
      }
   }
}

template <class M, std::size_t F>
HEPML_ROOT_INLINE void write_rows(const float* x, std::size_t events, float* y) {
   if constexpr (M::single || F == 1)
      std::memcpy(y, x, (M::single ? F : events) * sizeof(float));
   else
      for (std::size_t e = 0; e < events; ++e)
         for (std::size_t f = 0; f < F; ++f)
            y[e * F + f] = x[f * M::lanes + e];
}

// ---- driving --------------------------------------------------------------------------------------------

// What random operators draw from: the caller's seed, and the number of the first event.
struct Draws {
   std::uint64_t seed = 0;
   std::uint64_t event = 0;
};

// Three registers of events times eight (with AVX-512; else four) neurons fill the register file with sums.
using Wide = Block<3>;
using Narrow = Block<1>;

// Never inlined, so that each mode is compiled once and keeps its registers to itself.
template <class Network, class M>
__attribute__((noinline)) void run_block(const float* weights, const float* const* inputs, std::size_t first,
                                         std::size_t events, float* const* outputs, const Draws& draws,
                                         float* room) {
   Network::template read<M>(inputs, first, events, room);
   Network::template compute<M>(weights, room, Draws{draws.seed, draws.event + first});
   Network::template write<M>(room, first, events, outputs);
}

// Scores `events` events. Within blocks the result of an event does not depend on the other events or on
// its place; a call with a single event adds in another order and agrees to float rounding.
template <class Network>
void run(const float* weights, const Workspace& workspace, const float* const* inputs, std::size_t events,
         float* const* outputs, const Draws& draws) {
   if (events == 0)
      return;
   if (events == 1) {
      Room<Network::room> room(workspace.of_events);
      run_block<Network, Single>(weights, inputs, 0, 1, outputs, draws, room.get());
      return;
   }
   Room<Network::room * Wide::lanes> room(workspace.of_blocks);
   std::size_t first = 0;
   for (; first + Wide::lanes <= events; first += Wide::lanes)
      run_block<Network, Wide>(weights, inputs, first, Wide::lanes, outputs, draws, room.get());
   for (; first < events; first += Narrow::lanes) {
      const std::size_t left = events - first;
      run_block<Network, Narrow>(weights, inputs, first, left < Narrow::lanes ? left : Narrow::lanes, outputs,
                                 draws, room.get());
   }
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
