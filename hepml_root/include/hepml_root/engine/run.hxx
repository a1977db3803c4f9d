// Running a network over events: cutting them into blocks, moving them between the caller's rows and lanes.
#pragma once

#include "shuffle.hxx"
#include "workspace.hxx"

#include <utility>

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// ---- rows and lanes --------------------------------------------------------------------------------------

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

// Scores `events` events. The result of an event does not depend on the other events, on its place, or on how
// many events there are: every kernel adds in the same order in all modes.
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
   // Three registers of events times eight (with AVX-512; else four) neurons fill the register file with
   // sums; where values have many rows, which can stand in for events, one register needs a third of the
   // cache.
   using Wide = Block<Network::vectors>;
   Room<Network::room * Wide::lanes> room(workspace.of_blocks);
   std::size_t first = 0;
   if constexpr (Wide::lanes > Narrow::lanes)
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
