// The search for boxes of cuts: for each signal efficiency the one that lets least background pass.
//
// First whole boxes are peeled: slice by slice, always the one with most background for its signal (PRIM, J.
// Friedman and N. Fisher, Stat. Comput. 9 (1999) 123). Then sides of the best boxes are moved at random, and
// what is better is kept.
#ifndef HEPML_ROOT_TMVA_BOX_SEARCH_HXX
#define HEPML_ROOT_TMVA_BOX_SEARCH_HXX

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

namespace hepml_root::tmva {

/// Cuts as positions of float: an event is inside where low < x <= high.
struct Box {
   std::vector<float> low, high;
};

class BoxSearch {
public:
   /// Sides: 0 both, 1 only low, 2 only high.
   BoxSearch(const float* x, const double* weights, const std::uint8_t* signal, std::int64_t events,
             int columns, const double* ranges, const std::int32_t* sides, int bins, std::uint64_t seed)
       : x_(x), weights_(weights), signal_(signal), events_(events), columns_(columns), sides_(sides),
         state_(seed), best_(bins), background_(bins, std::numeric_limits<double>::max()),
         efficiency_(bins, 0) {
      for (std::int64_t i = 0; i < events; ++i)
         total_[signal[i] ? 0 : 1] += weights[i];
      everything_.low.resize(columns);
      everything_.high.resize(columns);
      for (int v = 0; v < columns; ++v) {
         least_.push_back(static_cast<float>(ranges[2 * v]));
         most_.push_back(static_cast<float>(ranges[2 * v + 1]));
         everything_.low[v] = sides[v] == 2 ? -open : least_[v];
         everything_.high[v] = sides[v] == 1 ? open : most_[v];
      }
      for (int v = 0; v < columns; ++v) {
         std::vector<std::int32_t> order(events);
         std::iota(order.begin(), order.end(), 0);
         std::sort(order.begin(), order.end(),
                   [&](std::int32_t l, std::int32_t r) { return at(l, v) < at(r, v); });
         std::vector<float> values;
         for (const std::int32_t i : order)
            if (signal_[i] && (values.empty() || at(i, v) > values.back()))
               values.push_back(at(i, v));
         signal_values_.push_back(std::move(values));
         orders_.push_back(std::move(order));
      }
   }

   void run(std::int64_t tries) {
      offer(everything_);
      for (const double slice : {0.03, 0.01, 0.004, 0.002})
         peel(slice, 0);
      for (int i = 0; i < 8; ++i)
         peel(0.005, 0.5);
      for (std::int64_t i = 0; i < tries; ++i)
         move();
      // A box with more signal and less background is better for the smaller efficiency, too.
      for (int bin = bins() - 2; bin >= 0; --bin)
         if (background_[bin + 1] < background_[bin]) {
            background_[bin] = background_[bin + 1];
            efficiency_[bin] = efficiency_[bin + 1];
            best_[bin] = best_[bin + 1];
         }
   }

   int bins() const { return static_cast<int>(best_.size()); }
   const Box& box(int bin) const { return best_[bin].low.empty() ? everything_ : best_[bin]; }
   double background(int bin) const { return best_[bin].low.empty() ? 1 : background_[bin]; }
   double efficiency(int bin) const { return best_[bin].low.empty() ? 1 : efficiency_[bin]; }

   static constexpr float open = 1e30f; ///< TMVA's cut that is none

private:
   float at(std::int64_t event, int v) const { return x_[event * columns_ + v]; }

   std::uint64_t random() { // splitmix64
      std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
      return z ^ (z >> 31);
   }
   double uniform() { return static_cast<double>(random() >> 11) / 9007199254740992.0; }

   int bin_of(double efficiency) const {
      return std::max(0, std::min(bins() - 1, static_cast<int>(efficiency * bins() * (1 + 1e-12))));
   }

   void keep(const Box& box, double signal, double background) {
      const double s = signal / total_[0], b = std::max(background / total_[1], 0.0);
      const int bin = bin_of(s);
      if (b < background_[bin] || (b == background_[bin] && s > efficiency_[bin])) {
         background_[bin] = b;
         efficiency_[bin] = s;
         best_[bin] = box;
      }
   }

   void offer(const Box& box) {
      double sums[2] = {0, 0};
      for (std::int64_t i = 0; i < events_; ++i) {
         const float* x = x_ + i * columns_;
         bool inside = true;
         for (int v = 0; v < columns_; ++v) {
            inside = x[v] > box.low[v] && x[v] <= box.high[v];
            if (!inside)
               break;
         }
         if (inside)
            sums[signal_[i] ? 0 : 1] += weights_[i];
      }
      keep(box, sums[0], sums[1]);
   }

   /// Peel a box from everything to nothing; noise makes another choice among slices of about the same worth.
   void peel(double slice, double noise) {
      Box box = everything_;
      std::vector<char> alive(events_);
      double inside[2] = {0, 0};
      for (std::int64_t i = 0; i < events_; ++i) {
         alive[i] = 1;
         for (int v = 0; v < columns_; ++v)
            alive[i] &= at(i, v) > box.low[v] && at(i, v) <= box.high[v];
         if (alive[i])
            inside[signal_[i] ? 0 : 1] += weights_[i];
      }
      std::vector<std::int64_t> first(columns_, 0), last(columns_, events_ - 1);
      const double loss = slice * total_[0];
      while (inside[0] > loss) {
         double worth = -1;
         int chosen = -1;
         bool from_below = false;
         float edge = 0;
         for (int v = 0; v < columns_; ++v)
            for (const bool below : {true, false}) {
               if (sides_[v] == (below ? 2 : 1))
                  continue;
               double lost[2] = {0, 0};
               std::int64_t i = below ? first[v] : last[v];
               const std::int64_t step = below ? 1 : -1;
               float reached = 0;
               bool any = false;
               // The slice ends before an event of the signal: up to there background costs nothing more.
               for (; i >= 0 && i < events_; i += step) {
                  const std::int32_t event = orders_[v][i];
                  if (!alive[event])
                     continue;
                  const float value = at(event, v);
                  if (any && value != reached && signal_[event] && lost[0] >= loss)
                     break;
                  lost[signal_[event] ? 0 : 1] += weights_[event];
                  reached = value;
                  any = true;
               }
               if (!any || !(lost[0] < inside[0]))
                  continue;
               if (below && reached > most_[v])
                  continue;
               if (!below && reached <= least_[v])
                  continue;
               double found = lost[1] / std::max(lost[0], 0.2 * loss);
               if (noise > 0)
                  found *= std::exp(noise * (uniform() - 0.5));
               if (found > worth) {
                  worth = found;
                  chosen = v;
                  from_below = below;
                  edge = reached;
               }
            }
         if (chosen < 0)
            return;
         if (from_below)
            box.low[chosen] = edge;
         else
            box.high[chosen] = std::nextafter(edge, -open);
         std::int64_t& place = from_below ? first[chosen] : last[chosen];
         for (; place >= 0 && place < events_; place += from_below ? 1 : -1) {
            const std::int32_t event = orders_[chosen][place];
            if (from_below ? at(event, chosen) > edge : at(event, chosen) < edge)
               break;
            if (!alive[event])
               continue;
            alive[event] = 0;
            inside[signal_[event] ? 0 : 1] -= weights_[event];
         }
         keep(box, inside[0], inside[1]);
      }
   }

   /// Move one to three sides of one of the best boxes.
   void move() {
      int bin = static_cast<int>(uniform() * bins());
      for (int step = 0; step < bins() && best_[bin].low.empty(); ++step)
         bin = (bin + 1) % bins();
      Box box = this->box(bin);
      const int sides = 1 + static_cast<int>(uniform() * 3);
      for (int side = 0; side < sides; ++side) {
         const int v = static_cast<int>(uniform() * columns_);
         const bool low = sides_[v] == 0 ? random() & 1 : sides_[v] == 1;
         const std::vector<float>& values = signal_values_[v];
         if (values.empty())
            continue;
         float& end = low ? box.low[v] : box.high[v];
         // Steps of all sizes: from one event of the signal to all of them.
         const double size = std::exp(uniform() * std::log(static_cast<double>(values.size()) + 1));
         const double here =
             static_cast<double>(std::lower_bound(values.begin(), values.end(), end) - values.begin());
         const double there = here + (random() & 1 ? size : -size);
         const std::int64_t last = static_cast<std::int64_t>(values.size()) - 1;
         const std::int64_t place =
             std::max<std::int64_t>(0, std::min(last, static_cast<std::int64_t>(std::lround(there))));
         const float value = low ? std::nextafter(values[place], -open) : values[place];
         end = std::max(least_[v], std::min(most_[v], value));
      }
      for (int v = 0; v < columns_; ++v)
         if (!(box.low[v] < box.high[v]))
            return;
      offer(box);
   }

   const float* x_;
   const double* weights_;
   const std::uint8_t* signal_;
   std::int64_t events_;
   int columns_;
   const std::int32_t* sides_;
   std::uint64_t state_;
   double total_[2] = {0, 0};
   Box everything_;
   std::vector<float> least_, most_;
   std::vector<std::vector<std::int32_t>> orders_;
   std::vector<std::vector<float>> signal_values_;
   std::vector<Box> best_;
   std::vector<double> background_, efficiency_;
};

} // namespace hepml_root::tmva

#endif
