// The search for boxes of cuts: for each signal efficiency the one that lets least background pass.
//
// First whole boxes are peeled: slice by slice, always the one with most background for its signal (PRIM, J.
// Friedman and N. Fisher, Stat. Comput. 9 (1999) 123). Then sides are exchanged: one is tightened by some
// signal and another one opened by as much, as long as that loses background; from the best boxes, from those
// of the neighbouring efficiencies, and from boxes with sides that were moved at random.
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
         std::vector<float> values(events);
         for (std::int64_t i = 0; i < events; ++i)
            values[i] = at(order[i], v);
         values_.push_back(std::move(values));
         orders_.push_back(std::move(order));
      }
   }

   /// Search; after the first rounds until three sides were looked at for each of the tries.
   void run(std::int64_t tries) {
      offer(everything_);
      for (const double slice : {0.03, 0.01, 0.004, 0.002})
         peel(slice, 0);
      for (int i = 0; i < 8; ++i)
         peel(0.005, 0.5);
      for (int bin = bins() - 1; bin >= 0; --bin) {
         search_from(best_[bin], bin);
         if (bin + 1 < bins())
            search_from(best_[bin + 1], bin);
      }
      for (int bin = 1; bin < bins(); ++bin)
         search_from(best_[bin - 1], bin);
      looked_at_ = 0;
      while (looked_at_ < 3 * tries) {
         const int bin = static_cast<int>(uniform() * bins());
         const int other = std::max(0, std::min(bins() - 1, bin + static_cast<int>(uniform() * 5) - 2));
         search_from(moved(best_[other]), bin);
         ++looked_at_;
      }
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

   /// A side of a box, where it would be, and the sums of weights that this loses or gains.
   struct Side {
      int v = -1;
      bool low = false;
      float value = 0;
      double s = 0, b = 0;
      bool same(const Side& other) const { return v == other.v && low == other.low; }
   };

   bool has(int v, bool low) const { return sides_[v] != (low ? 2 : 1); }
   std::int64_t above(int v, float value) const { // place of the first event with more
      return std::upper_bound(values_[v].begin(), values_[v].end(), value) - values_[v].begin();
   }

   /// Make a box the one at hand: count for each event the variables that are outside.
   void set(const Box& box) {
      now_ = box;
      fails_.assign(events_, 0);
      inside_[0] = inside_[1] = 0;
      for (std::int64_t i = 0; i < events_; ++i) {
         int count = 0;
         for (int v = 0; v < columns_; ++v)
            count += !(at(i, v) > box.low[v] && at(i, v) <= box.high[v]);
         fails_[i] = static_cast<std::uint16_t>(count);
         if (count == 0)
            inside_[signal_[i] ? 0 : 1] += weights_[i];
      }
   }

   void apply(const Side& side) {
      float& end = side.low ? now_.low[side.v] : now_.high[side.v];
      const std::int64_t old = above(side.v, end), next = above(side.v, side.value);
      const bool tighter = side.low ? next > old : next < old;
      end = side.value;
      for (std::int64_t i = std::min(old, next); i < std::max(old, next); ++i) {
         const std::int32_t event = orders_[side.v][i];
         const int which = signal_[event] ? 0 : 1;
         if (tighter) {
            if (fails_[event]++ == 0)
               inside_[which] -= weights_[event];
         } else if (--fails_[event] == 0)
            inside_[which] += weights_[event];
      }
   }
   Side undone(const Side& side) const {
      Side back = side;
      back.value = side.low ? now_.low[side.v] : now_.high[side.v];
      return back;
   }

   /// Tighten a side as long as less signal is lost than the limit.
   Side tightened(int v, bool low, double limit) const {
      Side found;
      const std::vector<float>& values = values_[v];
      const std::int64_t step = low ? 1 : -1;
      std::int64_t i = low ? above(v, now_.low[v]) : above(v, now_.high[v]) - 1;
      double s = 0, b = 0;
      while (i >= 0 && i < events_) {
         const float value = values[i];
         double group[2] = {0, 0};
         for (; i >= 0 && i < events_ && values[i] == value; i += step) {
            const std::int32_t event = orders_[v][i];
            if (fails_[event] == 0)
               group[signal_[event] ? 0 : 1] += weights_[event];
         }
         s += group[0];
         b += group[1];
         if (s > limit || !(s < inside_[0]))
            break;
         const float cut = low ? value : std::nextafter(value, -open);
         if (low ? cut > most_[v] : cut < least_[v])
            break;
         if (group[1] > 0)
            found = {v, low, cut, s, b};
      }
      return found;
   }

   /// Open a side until so much signal comes in.
   Side opened(int v, bool low, double need) const {
      const std::vector<float>& values = values_[v];
      const std::int64_t step = low ? -1 : 1;
      std::int64_t i = low ? above(v, now_.low[v]) - 1 : above(v, now_.high[v]);
      double s = 0, b = 0;
      while (i >= 0 && i < events_) {
         const float value = values[i];
         const float cut = low ? std::nextafter(value, -open) : value;
         if (low ? cut < least_[v] : cut > most_[v])
            break;
         for (; i >= 0 && i < events_ && values[i] == value; i += step) {
            const std::int32_t event = orders_[v][i];
            if (fails_[event] == 1)
               (signal_[event] ? s : b) += weights_[event];
         }
         if (s >= need)
            return {v, low, cut, s, b};
      }
      return {};
   }

   /// Open sides until the box at hand has enough signal.
   bool reach(double target) {
      for (int step = 0; inside_[0] < target && step < 4 * columns_; ++step) {
         const double need = target - inside_[0];
         Side best;
         for (const double part : {1.0, 0.3})
            for (int v = 0; v < columns_; ++v)
               for (const bool low : {true, false}) {
                  if (!has(v, low))
                     continue;
                  ++looked_at_;
                  const Side one = opened(v, low, part * need);
                  if (one.v >= 0 && (best.v < 0 || one.b * best.s < best.b * one.s))
                     best = one;
               }
         if (best.v < 0)
            return false;
         apply(best);
      }
      return inside_[0] >= target;
   }

   /// Exchange sides of the box at hand as long as that loses background.
   void improve(double target) {
      for (int round = 0; round < 200; ++round) {
         const double slack = std::max(inside_[0] - target, 0.0);
         bool better = false;
         for (const double part : {0.0, 0.002, 0.006, 0.02, 0.06}) {
            const double amount = part * total_[0];
            Side out[2], in[2]; // the two best, of different sides
            for (int v = 0; v < columns_; ++v)
               for (const bool low : {true, false}) {
                  if (!has(v, low))
                     continue;
                  ++looked_at_;
                  const Side one = tightened(v, low, slack + amount);
                  if (one.v >= 0 && (out[0].v < 0 || one.b > out[0].b)) {
                     out[1] = out[0];
                     out[0] = one;
                  } else if (one.v >= 0 && (out[1].v < 0 || one.b > out[1].b))
                     out[1] = one;
                  if (part == 0)
                     continue;
                  const Side other = opened(v, low, amount);
                  if (other.v >= 0 && (in[0].v < 0 || other.b < in[0].b)) {
                     in[1] = in[0];
                     in[0] = other;
                  } else if (other.v >= 0 && (in[1].v < 0 || other.b < in[1].b))
                     in[1] = other;
               }
            if (part == 0) {
               if (out[0].v < 0)
                  continue;
               apply(out[0]);
               better = true;
               break;
            }
            Side leave, enter;
            for (const Side& o : out)
               for (const Side& e : in)
                  if (o.v >= 0 && e.v >= 0 && !o.same(e) && o.b > e.b &&
                      (leave.v < 0 || o.b - e.b > leave.b - enter.b)) {
                     leave = o;
                     enter = e;
                  }
            if (leave.v < 0)
               continue;
            const double before = inside_[1];
            const Side back_enter = undone(enter), back_leave = undone(leave);
            apply(enter);
            apply(leave);
            if (inside_[1] < before - 1e-12 * total_[1] && inside_[0] >= target) {
               better = true;
               break;
            }
            apply(back_leave);
            apply(back_enter);
         }
         if (!better)
            return;
      }
   }

   void search_from(const Box& start, int bin) {
      if (start.low.empty())
         return;
      const double target = total_[0] * bin / bins() * (1 - 1e-12);
      set(start);
      if (!reach(target))
         return;
      improve(target);
      keep(now_, inside_[0], inside_[1]);
   }

   /// A box with one to three sides moved at random.
   Box moved(const Box& start) {
      if (start.low.empty())
         return start;
      Box box = start;
      const int sides = 1 + static_cast<int>(uniform() * 3);
      for (int side = 0; side < sides; ++side) {
         const int v = static_cast<int>(uniform() * columns_);
         const bool low = sides_[v] == 0 ? random() & 1 : sides_[v] == 1;
         float& end = low ? box.low[v] : box.high[v];
         // Steps of all sizes: from one event to all of them.
         const double size = std::exp(uniform() * std::log(static_cast<double>(events_)));
         const double there = static_cast<double>(above(v, end)) + (random() & 1 ? size : -size);
         const double last = static_cast<double>(events_) - 1;
         const float value = values_[v][static_cast<std::int64_t>(std::max(0.0, std::min(last, there)))];
         end = std::max(least_[v], std::min(most_[v], value));
      }
      for (int v = 0; v < columns_; ++v)
         if (!(box.low[v] < box.high[v]))
            return start;
      return box;
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
   std::vector<std::vector<float>> values_; ///< of each variable, ascending
   Box now_;
   std::vector<std::uint16_t> fails_;
   double inside_[2] = {0, 0};
   std::int64_t looked_at_ = 0;
   std::vector<Box> best_;
   std::vector<double> background_, efficiency_;
};

} // namespace hepml_root::tmva

#endif
