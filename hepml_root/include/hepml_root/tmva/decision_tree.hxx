// One decision tree grown on weighted events, as TMVA grows them: in every node the range of each variable is
// cut at equal steps, and the cut that separates best is taken.
#ifndef HEPML_ROOT_TMVA_DECISION_TREE_HXX
#define HEPML_ROOT_TMVA_DECISION_TREE_HXX

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace hepml_root::tmva {

enum class Separation : int { cross_entropy, gini, gini_laplace, misclassification, significance, variance };

struct Events {
   const float* variables; ///< (events, variables)
   const double* weights;
   const std::uint8_t* signal; ///< of a classification tree
   const double* targets;      ///< of a regression tree
   const std::uint8_t* whole;  ///< which variables are whole numbers
   int columns;
};

struct Settings {
   int depth;
   double least; ///< events and sum of weights in a node
   int cuts;     ///< on each variable; less than 1: all there are
   int separation;
   double purity_limit;
   int random_variables; ///< 0: all
   int poisson;
   std::uint64_t seed;
   int clean; ///< take back cuts whose daughters are of the same kind
};

/// A node; of a leaf left is -1.
struct Node {
   int variable = -1, left = -1, right = -1, depth = 0, kind = 0;
   float cut = 0;
   bool right_if_above = true;
   double purity = 0, response = 0;
};

/// What falls into a bin: sums of weights of signal and background, or of weight, target and its square.
struct Sums {
   double a = 0, b = 0, c = 0, events = 0;
   void add(const Sums& other) {
      a += other.a;
      b += other.b;
      c += other.c;
      events += other.events;
   }
   Sums without(const Sums& other) const {
      return {a - other.a, b - other.b, c - other.c, events - other.events};
   }
};

class Grower {
public:
   Grower(const Events& events, const Settings& settings, double* importance)
       : events_(events), settings_(settings), importance_(importance), state_(settings.seed),
         kind_(static_cast<Separation>(settings.separation)), regression_(kind_ == Separation::variance) {}

   /// Grow on some of the events; a row that is there twice counts twice.
   std::vector<Node> grow(const std::int32_t* rows, std::int64_t count) {
      sample_.assign(rows, rows + count);
      nodes_.assign(1, Node{});
      // Daughters are grown right after their mothers: no recursion, whatever the depth.
      std::vector<Part> waiting{{0, 0, count}};
      while (!waiting.empty()) {
         const Part part = waiting.back();
         waiting.pop_back();
         split(part, waiting);
      }
      if (settings_.clean)
         clean(0);
      return compact();
   }

private:
   struct Part {
      int node;
      std::int64_t first, last;
   };
   struct Cut {
      int variable = -1;
      double gain = -1, value = 0;
      Sums below;
   };

   const float* event(std::int64_t place) const {
      return events_.variables + static_cast<std::int64_t>(sample_[place]) * events_.columns;
   }
   Sums sums_of(std::int64_t place) const {
      const std::int32_t row = sample_[place];
      const double w = events_.weights[row];
      if (regression_) {
         const double t = events_.targets[row];
         return {w, w * t, w * t * t, 1};
      }
      return events_.signal[row] ? Sums{w, 0, 0, 1} : Sums{0, w, 0, 1};
   }
   double weight(const Sums& s) const { return regression_ ? s.a : s.a + s.b; }

   void split(const Part& part, std::vector<Part>& waiting) {
      Sums total;
      for (std::int64_t i = part.first; i < part.last; ++i)
         total.add(sums_of(i));
      const double sum = weight(total);
      Node& node = nodes_[part.node];
      if (regression_)
         node.response = sum != 0 ? total.b / sum : 0;
      else
         node.purity = sum != 0 ? total.a / sum : 0.5;
      node.kind = regression_ ? -99 : node.purity > settings_.purity_limit ? 1 : -1;
      const double twice = 2 * settings_.least;
      const bool mixed = regression_ ? sum != 0 : total.a != 0 && total.b != 0;
      if (total.events < twice || sum < twice || node.depth >= settings_.depth || !mixed)
         return;
      const Cut best = settings_.cuts > 0 ? by_steps(part, total) : by_events(part, total);
      if (best.variable < 0 || best.gain < std::numeric_limits<double>::epsilon())
         return;
      const float cut = static_cast<float>(best.value);
      const std::int64_t middle =
          std::partition(
              sample_.begin() + part.first, sample_.begin() + part.last,
              [&](std::int32_t row) {
                 return events_.variables[static_cast<std::int64_t>(row) * events_.columns + best.variable] <
                        cut;
              }) -
          sample_.begin();
      if (middle == part.first || middle == part.last)
         return; // a cut that float cannot hold
      if (importance_ != nullptr)
         importance_[best.variable] += best.gain * best.gain * sum * sum;
      const int depth = node.depth + 1;
      node.kind = 0;
      node.variable = best.variable;
      node.cut = cut;
      // The left daughter is the one with more of the signal.
      node.right_if_above = regression_ || best.below.a / total.a > best.below.b / total.b;
      const int left = static_cast<int>(nodes_.size()), right = left + 1;
      node.left = left;
      node.right = right;
      const bool above_right = node.right_if_above;
      Node daughter;
      daughter.depth = depth;
      nodes_.push_back(daughter);
      nodes_.push_back(daughter);
      waiting.push_back({above_right ? left : right, part.first, middle});
      waiting.push_back({above_right ? right : left, middle, part.last});
   }

   double index(double s, double b) const {
      const double n = s + b;
      switch (kind_) {
      case Separation::cross_entropy: {
         const double p = n > 0 ? s / n : 0;
         return p <= 0 || p >= 1 ? 0 : -(p * std::log(p) + (1 - p) * std::log(1 - p));
      }
      case Separation::gini_laplace: {
         const double p = n > 0 ? (s + 1) / (n + 2) : 0;
         return 2 * p * (1 - p);
      }
      case Separation::misclassification: {
         const double p = n > 0 ? s / n : 0;
         return n > 0 ? 1 - std::max(p, 1 - p) : 0;
      }
      case Separation::significance:
         return n > 0 ? s / std::sqrt(n) : 0;
      default: {
         const double p = n > 0 ? s / n : 0;
         return p * (1 - p);
      }
      }
   }
   static double variance(const Sums& s) { return (s.c - s.b * s.b / s.a) / s.a; }

   double gain(const Sums& below, const Sums& total) const {
      const Sums above = total.without(below);
      if (regression_) {
         if (below.a == 0 || above.a == 0)
            return 0;
         const double parent = total.a * variance(total);
         if (!(parent > 0))
            return 0;
         return (parent - below.a * variance(below) - above.a * variance(above)) / parent;
      }
      const double found = (total.a + total.b) * index(total.a, total.b) -
                           (below.a + below.b) * index(below.a, below.b) -
                           (above.a + above.b) * index(above.a, above.b);
      static const double precision = std::sqrt(std::numeric_limits<double>::epsilon());
      return found < precision ? 0 : found;
   }
   bool allowed(const Sums& below, const Sums& total) const {
      const Sums above = total.without(below);
      const double least = settings_.least;
      return below.events >= least && above.events >= least && weight(below) >= least &&
             weight(above) >= least;
   }

   Cut by_steps(const Part& part, const Sums& total) {
      const int columns = events_.columns;
      low_.assign(columns, std::numeric_limits<float>::max());
      high_.assign(columns, std::numeric_limits<float>::lowest());
      for (std::int64_t i = part.first; i < part.last; ++i) {
         const float* x = event(i);
         for (int v = 0; v < columns; ++v) {
            low_[v] = std::min(low_[v], x[v]);
            high_[v] = std::max(high_[v], x[v]);
         }
      }
      const std::vector<int> chosen = choose();
      const int count = static_cast<int>(chosen.size());
      std::vector<int> first(count + 1, 0);
      std::vector<double> low(count), width(count), inverse(count);
      for (int k = 0; k < count; ++k) {
         const int v = chosen[k];
         int bins = settings_.cuts + 1;
         low[k] = low_[v];
         width[k] = (static_cast<double>(high_[v]) - low_[v]) / bins;
         if (events_.whole[v] && high_[v] - low_[v] < most_whole) {
            bins = static_cast<int>(high_[v] - low_[v]) + 1;
            width[k] = 1;
         }
         inverse[k] = width[k] > 0 ? 1 / width[k] : 0;
         first[k + 1] = first[k] + bins;
      }
      bins_.assign(first[count], Sums{});
      for (std::int64_t i = part.first; i < part.last; ++i) {
         const float* x = event(i);
         const Sums one = sums_of(i);
         for (int k = 0; k < count; ++k) {
            const int last = first[k + 1] - first[k] - 1;
            const int bin = static_cast<int>(inverse[k] * (x[chosen[k]] - low[k]));
            bins_[first[k] + std::min(last, std::max(0, bin))].add(one);
         }
      }
      Cut best;
      for (int k = 0; k < count; ++k) {
         if (!(width[k] > 0))
            continue;
         Sums below;
         for (int bin = 0; bin + 1 < first[k + 1] - first[k]; ++bin) {
            below.add(bins_[first[k] + bin]);
            if (!allowed(below, total))
               continue;
            const double found = gain(below, total);
            if (found > best.gain)
               best = {chosen[k], found, low[k] + (bin + 1) * width[k], below};
         }
      }
      return best;
   }

   /// Cuts halfway between each pair of events.
   Cut by_events(const Part& part, const Sums& total) {
      Cut best;
      for (const int v : choose()) {
         std::sort(sample_.begin() + part.first, sample_.begin() + part.last,
                   [&](std::int32_t l, std::int32_t r) {
                      return events_.variables[static_cast<std::int64_t>(l) * events_.columns + v] <
                             events_.variables[static_cast<std::int64_t>(r) * events_.columns + v];
                   });
         Sums below;
         for (std::int64_t i = part.first; i + 1 < part.last; ++i) {
            below.add(sums_of(i));
            const double here = event(i)[v], next = event(i + 1)[v];
            if (here == next || !allowed(below, total))
               continue;
            const double found = gain(below, total);
            if (found > best.gain) {
               float middle = static_cast<float>((here + next) / 2);
               if (!(middle > here))
                  middle = static_cast<float>(next);
               best = {v, found, middle, below};
            }
         }
      }
      return best;
   }

   std::uint64_t random() { // splitmix64
      std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
      return z ^ (z >> 31);
   }
   double uniform() { return static_cast<double>(random() >> 11) / 9007199254740992.0; }

   std::vector<int> choose() {
      std::vector<int> all(events_.columns);
      for (int v = 0; v < events_.columns; ++v)
         all[v] = v;
      if (settings_.random_variables <= 0)
         return all;
      int count = settings_.random_variables;
      if (settings_.poisson) {
         const double limit = std::exp(-settings_.random_variables);
         double product = uniform();
         count = 0;
         while (product > limit) {
            ++count;
            product *= uniform();
         }
      }
      count = std::max(1, std::min(count, events_.columns));
      for (int i = 0; i < count; ++i)
         std::swap(all[i], all[i + static_cast<int>(uniform() * (events_.columns - i))]);
      all.resize(count);
      std::sort(all.begin(), all.end());
      return all;
   }

   void clean(int place) {
      // Daughters have larger numbers than their mothers.
      for (int i = static_cast<int>(nodes_.size()) - 1; i >= place; --i) {
         Node& node = nodes_[i];
         if (node.left < 0 || nodes_[node.left].kind * nodes_[node.right].kind <= 0)
            continue;
         node.left = node.right = node.variable = -1;
         node.kind = node.purity > settings_.purity_limit ? 1 : -1;
      }
   }

   /// The nodes that hang together, each before its daughters, the left one first.
   std::vector<Node> compact() const {
      std::vector<Node> result;
      std::vector<std::pair<int, int>> waiting{{0, -1}}; // node, and where its number belongs
      while (!waiting.empty()) {
         const auto [place, mother] = waiting.back();
         waiting.pop_back();
         const int number = static_cast<int>(result.size());
         if (mother >= 0) {
            Node& node = result[mother];
            (node.left < 0 ? node.left : node.right) = number;
         }
         Node copy = nodes_[place];
         const int left = copy.left, right = copy.right;
         copy.left = copy.right = -1;
         result.push_back(copy);
         if (left >= 0) {
            waiting.push_back({right, number});
            waiting.push_back({left, number});
         }
      }
      return result;
   }

   static constexpr float most_whole = 100000; // steps of a variable of whole numbers
   Events events_;
   Settings settings_;
   double* importance_;
   std::uint64_t state_;
   Separation kind_;
   bool regression_;
   std::vector<std::int32_t> sample_;
   std::vector<Node> nodes_;
   std::vector<float> low_, high_;
   std::vector<Sums> bins_;
};

} // namespace hepml_root::tmva

#endif
