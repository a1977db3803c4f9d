// Sequential recombination of the particles of one jet, and what is remembered of the jet seen last.

#ifndef HEPML_ROOT_OBSERVABLES_CLUSTERING_HXX
#define HEPML_ROOT_OBSERVABLES_CLUSTERING_HXX

#include "particles.hxx"

#include <algorithm>
#include <array>

namespace hepml {

/// How particles are clustered, and which direction two of them have together.
enum class Clustering {
   cambridge_aachen, ///< d = ΔR²; momenta add
   kt,               ///< d = min(pT²) ΔR²; momenta add
   wta_kt,           ///< the same distance; pT adds, the harder one gives the direction
};

/// The binary tree of a clustering: nodes 0 … n−1 are the particles, node n+k is what step k made.
struct History {
   std::vector<FourVector> momentum;                ///< the sum (not of wta_kt)
   std::vector<double> pt, eta, phi;                ///< eta is the rapidity where particles have mass
   std::vector<std::array<std::size_t, 2>> parents; ///< of node n+k: entry k, the harder one first

   std::size_t particles() const { return (pt.size() + 1) / 2; }

   /// Nodes that are left when the last n−1 steps are undone: the exclusive subjets. At most as many as
   /// there are particles.
   std::vector<std::size_t> exclusive(std::size_t n) const {
      std::vector<std::size_t> nodes;
      if (pt.empty() || n == 0)
         return nodes;
      nodes.push_back(pt.size() - 1);
      while (nodes.size() < n && nodes.front() >= particles()) {
         // The latest step is always at the front.
         const auto& pair = parents[nodes.front() - particles()];
         nodes.front() = pair[0];
         nodes.push_back(pair[1]);
         std::swap(nodes.front(), *std::max_element(nodes.begin(), nodes.end()));
      }
      return nodes;
   }
};

/// Cluster all particles into one.
HEPML_ROOT_OBSERVABLES_FUNCTION History cluster(const Particles& particles, Clustering how);

#ifndef HEPML_ROOT_OBSERVABLES_COMPILED

/// The jets that are left during a clustering, without gaps, each with its nearest neighbour in the plane.
class Neighbours {
public:
   explicit Neighbours(std::size_t size)
       : fSize(size), fNode(size), fNearest(size), fEta(size), fPhi(size), fScale(size), fDistance(size),
         fSquared(size) {}

   void Set(std::size_t place, std::size_t node, double eta, double phi, double scale) {
      fNode[place] = node;
      fEta[place] = eta;
      fPhi[place] = phi;
      fScale[place] = scale;
   }

   void FindAll() {
      for (std::size_t i = 0; i < fSize; ++i)
         Find(i);
   }

   /// Places of the two with the smallest distance. Of the pair that minimises min(scale) ΔR², the one with
   /// the smaller scale has the other as its nearest neighbour: hence nearest neighbours in the plane
   /// suffice.
   std::array<std::size_t, 2> Closest() const {
      std::size_t best = 0;
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t i = 0; i < fSize; ++i) {
         const double other = fScale[fNearest[i]];
         const double distance = fDistance[i] * (fScale[i] < other ? fScale[i] : other);
         if (distance < least) {
            least = distance;
            best = i;
         }
      }
      return {best, fNearest[best]};
   }

   std::size_t Node(std::size_t place) const { return fNode[place]; }

   /// Put one jet in the place of two.
   void Merge(std::array<std::size_t, 2> pair, std::size_t node, double eta, double phi, double scale) {
      const std::size_t to = std::min(pair[0], pair[1]), gone = std::max(pair[0], pair[1]);
      const std::size_t last = --fSize;
      for (std::size_t i = 0; i <= last; ++i)
         if (fNearest[i] == to || fNearest[i] == gone)
            fNearest[i] = kNone;
         else if (fNearest[i] == last)
            fNearest[i] = gone; // where it is moved now
      Set(gone, fNode[last], fEta[last], fPhi[last], fScale[last]);
      fDistance[gone] = fDistance[last];
      fNearest[gone] = fNearest[last];
      Set(to, node, eta, phi, scale);
      for (std::size_t i = 0; i < fSize; ++i) {
         if (i == to)
            continue;
         if (fNearest[i] == kNone) {
            Find(i);
         } else if (const double distance = Squared(i, to); distance < fDistance[i]) {
            fDistance[i] = distance;
            fNearest[i] = to;
         }
      }
      Find(to);
   }

private:
   static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

   double Squared(std::size_t a, std::size_t b) const {
      const double eta = fEta[a] - fEta[b], phi = std::fabs(fPhi[a] - fPhi[b]);
      // Not std::fmin, whose care for NaN keeps loops from being vectorised.
      const double around = phi < 2 * pi - phi ? phi : 2 * pi - phi;
      return eta * eta + around * around;
   }

   void Find(std::size_t place) {
      // Distances first, in whole registers; then the place of the smallest.
      double* squared = fSquared.data();
      for (std::size_t i = 0; i < fSize; ++i)
         squared[i] = Squared(place, i);
      squared[place] = std::numeric_limits<double>::infinity();
      double least = squared[0];
      std::size_t nearest = 0;
      for (std::size_t i = 1; i < fSize; ++i) {
         nearest = squared[i] < least ? i : nearest;
         least = squared[i] < least ? squared[i] : least;
      }
      fDistance[place] = least;
      fNearest[place] = nearest;
   }

   std::size_t fSize;
   std::vector<std::size_t> fNode, fNearest;
   std::vector<double> fEta, fPhi, fScale, fDistance, fSquared;
};

HEPML_ROOT_OBSERVABLES_FUNCTION History cluster(const Particles& particles, Clustering how) {
   const std::size_t n = particles.size();
   const bool winner = how == Clustering::wta_kt, plain = how == Clustering::cambridge_aachen;
   History history;
   if (n == 0)
      return history;
   Neighbours jets(n);
   const auto add = [&](const FourVector& sum, double pt, double eta, double phi) {
      if (!winner)
         history.momentum.push_back(sum);
      history.pt.push_back(pt);
      history.eta.push_back(eta);
      history.phi.push_back(phi);
      return plain ? 1. : pt * pt;
   };
   for (std::size_t i = 0; i < n; ++i) {
      const bool massless = particles.mass()[i] == 0;
      const double phi = std::remainder(particles.phi()[i], 2 * pi); // differences below 2π are relied on
      const FourVector p = winner && massless ? FourVector{} : momentum(particles, i);
      const double eta = massless ? particles.eta()[i] : p.rapidity();
      jets.Set(i, i, eta, phi, add(p, particles.pt()[i], eta, phi));
   }
   jets.FindAll();
   for (std::size_t step = 0; step + 1 < n; ++step) {
      const auto places = jets.Closest();
      std::array<std::size_t, 2> pair{jets.Node(places[0]), jets.Node(places[1])};
      if (history.pt[pair[0]] < history.pt[pair[1]])
         std::swap(pair[0], pair[1]);
      const auto [hard, soft] = pair;
      history.parents.push_back(pair);
      double scale;
      if (winner) {
         scale = add({}, history.pt[hard] + history.pt[soft], history.eta[hard], history.phi[hard]);
      } else {
         const FourVector sum = history.momentum[hard] + history.momentum[soft];
         scale = add(sum, sum.pt(), sum.rapidity(), sum.phi());
      }
      jets.Merge(places, n + step, history.eta.back(), history.phi.back(), scale);
   }
   return history;
}

/// What is remembered of the jet seen last by a thread: several observables are asked of one jet in a row.
struct Memory {
   std::vector<double> values;
   std::array<History, 3> histories;
   std::array<bool, 3> clustered{};
   double beta = -1, e2 = 0, e3 = 0;

   /// The memory of this thread, empty if the jet is another one than the last.
   static Memory& of(const Particles& particles) {
      static thread_local Memory memory;
      if (!memory.Same(particles)) {
         memory.values.clear();
         for (const double* list : {particles.pt(), particles.eta(), particles.phi(), particles.mass()})
            memory.values.insert(memory.values.end(), list, list + particles.size());
         memory.clustered = {};
         memory.beta = -1;
      }
      return memory;
   }

   const History& history(const Particles& particles, Clustering how) {
      const auto which = static_cast<std::size_t>(how);
      if (!clustered[which]) {
         histories[which] = cluster(particles, how);
         clustered[which] = true;
      }
      return histories[which];
   }

private:
   bool Same(const Particles& particles) const {
      const std::size_t n = particles.size();
      if (values.size() != 4 * n)
         return false;
      const double* mine = values.data();
      for (const double* list : {particles.pt(), particles.eta(), particles.phi(), particles.mass()}) {
         if (!std::equal(list, list + n, mine))
            return false;
         mine += n;
      }
      return true;
   }
};

#endif

} // namespace hepml

#endif
