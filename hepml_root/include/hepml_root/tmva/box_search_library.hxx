// The search for boxes of cuts as a C function for Python.
#ifndef HEPML_ROOT_TMVA_BOX_SEARCH_LIBRARY_HXX
#define HEPML_ROOT_TMVA_BOX_SEARCH_LIBRARY_HXX

// The function itself is kept in the library, for the interpreter to call.
#ifndef HEPML_ROOT_TMVA_FUNCTION
#define HEPML_ROOT_TMVA_FUNCTION __attribute__((used))
#endif

#include "box_search.hxx"

extern "C" {

/// Cuts (bins, columns), efficiencies (bins).
HEPML_ROOT_TMVA_FUNCTION inline void
hepml_search_boxes(const float* x, const double* weights, const std::uint8_t* signal, std::int64_t events,
                   int columns, const double* ranges, const std::int32_t* sides, int bins, std::int64_t tries,
                   std::uint64_t seed, double* low, double* high, double* signal_efficiency,
                   double* background_efficiency) {
   hepml_root::tmva::BoxSearch search(x, weights, signal, events, columns, ranges, sides, bins, seed);
   search.run(tries);
   for (int bin = 0; bin < bins; ++bin) {
      const hepml_root::tmva::Box& box = search.box(bin);
      for (int v = 0; v < columns; ++v) {
         low[bin * columns + v] = sides[v] == 2 ? -1e30 : box.low[v];
         high[bin * columns + v] = sides[v] == 1 ? 1e30 : box.high[v];
      }
      signal_efficiency[bin] = search.efficiency(bin);
      background_efficiency[bin] = search.background(bin);
   }
}
}

#endif
