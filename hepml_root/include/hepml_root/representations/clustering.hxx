// Sequential recombination of the constituents of a jet: kT, Cambridge/Aachen and anti-kT, in the E-scheme.
//
// d_ij = min(pT_i^2p, pT_j^2p) dR_ij^2 / R^2 and d_iB = pT_i^2p, with rapidities, p = 1, 0, -1. Each branch
// keeps its nearest neighbour (arXiv:hep-ph/0512210), so that N constituents take of the order of N^2
// operations.

#ifndef HEPML_ROOT_REPRESENTATIONS_CLUSTERING_HXX
#define HEPML_ROOT_REPRESENTATIONS_CLUSTERING_HXX

#include "scratch.hxx"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace hepml_root {
namespace representations {

enum class Algorithm { kCambridge, kKt, kAntiKt };

/// A momentum with what distances need of it.
struct Branch {
   double px, py, pz, energy, pt, rapidity, phi;

   void place() {
      const double square = px * px + py * py;
      const double mass = std::max((energy + pz) * (energy - pz) - square, 0.);
      pt = std::sqrt(square);
      phi = std::atan2(py, px);
      // Of the two forms the one without cancellation. The bounds keep what lies along the beam finite.
      const double transverse = std::max(square + mass, 1e-300);
      const double along = std::max(energy + std::fabs(pz), 1e-150);
      rapidity = std::copysign(0.5 * std::log(std::max(along * along / transverse, 1.)), pz);
   }

   double mass_squared() const { return (energy + pz) * (energy - pz) - px * px - py * py; }
};
static_assert(sizeof(Branch) == 7 * sizeof(double), "branches lie in an array of doubles");

inline double delta_phi(const Branch& a, const Branch& b) {
   return std::remainder(a.phi - b.phi, 6.283185307179586);
}

/// All branches: the constituents first, then what they were joined to, in the order of joining.
struct History {
   static constexpr std::size_t none = static_cast<std::size_t>(-1);

   std::size_t leaves = 0;
   std::size_t size = 0;
   const Branch* branches = nullptr;
   const std::size_t* parents = nullptr; ///< two for each branch, the harder first; none for a constituent
   const std::size_t* jets = nullptr;    ///< branches that were joined to nothing
   std::size_t jet_count = 0;

   std::size_t harder(std::size_t branch) const { return parents[2 * branch]; }
   std::size_t softer(std::size_t branch) const { return parents[2 * branch + 1]; }
};

/// Distances of branches that are still to be joined, in arrays without gaps.
class Joining {
public:
   Joining(double* numbers, std::size_t* places, std::size_t most, Algorithm algorithm, double radius)
       : fAlgorithm(algorithm), fReach(radius * radius), fRapidity(numbers), fPhi(numbers + most),
         fWeight(numbers + 2 * most), fNear(numbers + 3 * most), fLeast(numbers + 4 * most), fBranch(places),
         fNeighbour(places + most) {}

   std::size_t size() const { return fSize; }
   std::size_t branch(std::size_t i) const { return fBranch[i]; }
   std::size_t neighbour(std::size_t i) const { return fNeighbour[i]; }

   void add(const Branch& branch, std::size_t number) { set(fSize++, branch, number); }

   void find_neighbours() {
      for (std::size_t i = 0; i < fSize; ++i) {
         fNear[i] = fReach;
         fNeighbour[i] = History::none;
      }
      for (std::size_t i = 0; i < fSize; ++i)
         for (std::size_t j = 0; j < i; ++j) {
            const double square = distance(i, j);
            if (square < fNear[i])
               fNear[i] = square, fNeighbour[i] = j;
            if (square < fNear[j])
               fNear[j] = square, fNeighbour[j] = i;
         }
      for (std::size_t i = 0; i < fSize; ++i)
         measure(i);
   }

   std::size_t closest() const {
      std::size_t best = 0;
      for (std::size_t i = 1; i < fSize; ++i)
         if (fLeast[i] < fLeast[best])
            best = i;
      return best;
   }

   /// Branch i is a jet.
   void remove(std::size_t i) {
      const std::size_t last = --fSize;
      move(last, i);
      for (std::size_t k = 0; k < fSize; ++k)
         if (fNeighbour[k] == i)
            search(k);
         else if (fNeighbour[k] == last)
            fNeighbour[k] = i;
   }

   /// Branches i and j become one.
   void join(std::size_t i, std::size_t j, const Branch& joined, std::size_t number) {
      if (i > j)
         std::swap(i, j);
      const std::size_t last = --fSize;
      set(i, joined, number);
      move(last, j);
      fNear[i] = fReach;
      fNeighbour[i] = History::none;
      for (std::size_t k = 0; k < fSize; ++k) {
         if (k == i)
            continue;
         const double square = distance(k, i);
         if (fNeighbour[k] == i || fNeighbour[k] == j) {
            search(k);
         } else {
            if (fNeighbour[k] == last)
               fNeighbour[k] = j;
            if (square < fNear[k]) {
               fNear[k] = square;
               fNeighbour[k] = i;
               measure(k);
            }
         }
         if (square < fNear[i])
            fNear[i] = square, fNeighbour[i] = k;
      }
      measure(i);
   }

private:
   void set(std::size_t i, const Branch& branch, std::size_t number) {
      fRapidity[i] = branch.rapidity;
      fPhi[i] = branch.phi;
      const double square = std::max(branch.pt * branch.pt, 1e-300);
      fWeight[i] = fAlgorithm == Algorithm::kCambridge ? 1.
                   : fAlgorithm == Algorithm::kKt      ? square
                                                       : 1. / square;
      fBranch[i] = number;
   }

   void move(std::size_t from, std::size_t to) {
      for (double* row : {fRapidity, fPhi, fWeight, fNear, fLeast})
         row[to] = row[from];
      fBranch[to] = fBranch[from];
      fNeighbour[to] = fNeighbour[from];
   }

   double distance(std::size_t i, std::size_t j) const {
      const double rapidity = fRapidity[i] - fRapidity[j];
      double phi = std::fabs(fPhi[i] - fPhi[j]);
      phi = std::min(phi, 6.283185307179586 - phi);
      return rapidity * rapidity + phi * phi;
   }

   void measure(std::size_t i) {
      const std::size_t near = fNeighbour[i];
      fLeast[i] = fNear[i] * (near == History::none ? fWeight[i] : std::min(fWeight[i], fWeight[near]));
   }

   void search(std::size_t i) {
      fNear[i] = fReach;
      fNeighbour[i] = History::none;
      for (std::size_t k = 0; k < fSize; ++k) {
         if (k == i)
            continue;
         const double square = distance(i, k);
         if (square < fNear[i])
            fNear[i] = square, fNeighbour[i] = k;
      }
      measure(i);
   }

   Algorithm fAlgorithm;
   double fReach;
   double *fRapidity, *fPhi, *fWeight, *fNear, *fLeast;
   std::size_t *fBranch, *fNeighbour;
   std::size_t fSize = 0;
};

/// Cluster constituents with these momenta (`mass` may be null) into jets of this radius; without one, all
/// into one. Stays until the next call with the same scratch memory.
inline History cluster(std::size_t count, const float* pt, const float* eta, const float* phi,
                       const float* mass, Algorithm algorithm, Scratch& scratch,
                       double radius = std::numeric_limits<double>::infinity()) {
   const std::size_t most = 2 * count;
   double* numbers = doubles(scratch, Slot::kClustering, 7 * most + 5 * count);
   std::size_t* places = indices(scratch, Slot::kClustering, 2 * most + 3 * count);
   Branch* branches = reinterpret_cast<Branch*>(numbers);
   std::size_t *parents = places, *jets = places + 2 * most;
   Joining joining(numbers + 7 * most, jets + count, count, algorithm, radius);
   History history{count, count, branches, parents, jets, 0};
   for (std::size_t i = 0; i < count; ++i) {
      const double p = pt[i], m = mass ? mass[i] : 0.f, z = p * std::sinh(static_cast<double>(eta[i]));
      Branch& branch = branches[i];
      branch.px = p * std::cos(static_cast<double>(phi[i]));
      branch.py = p * std::sin(static_cast<double>(phi[i]));
      branch.pz = z;
      branch.energy = std::sqrt(p * p + z * z + m * m);
      branch.place();
      parents[2 * i] = parents[2 * i + 1] = History::none;
      joining.add(branch, i);
   }
   joining.find_neighbours();
   while (joining.size() > 0) {
      const std::size_t i = joining.closest(), j = joining.neighbour(i);
      const std::size_t first = joining.branch(i);
      if (j == History::none) {
         jets[history.jet_count++] = first;
         joining.remove(i);
         continue;
      }
      const std::size_t second = joining.branch(j), number = history.size++;
      const Branch &a = branches[first], &b = branches[second];
      Branch& joined = branches[number];
      joined = {a.px + b.px, a.py + b.py, a.pz + b.pz, a.energy + b.energy, 0., 0., 0.};
      joined.place();
      const bool ordered = a.pt >= b.pt;
      parents[2 * number] = ordered ? first : second;
      parents[2 * number + 1] = ordered ? second : first;
      joining.join(i, j, joined, number);
   }
   return history;
}

/// The constituents below a branch, the harder side of each splitting first; gives their number.
inline std::size_t leaves_below(const History& history, std::size_t branch, std::size_t* to,
                                Scratch& scratch) {
   std::size_t* stack = indices(scratch, Slot::kStack, history.leaves + 1);
   std::size_t depth = 0, found = 0;
   stack[depth++] = branch;
   while (depth > 0) {
      const std::size_t at = stack[--depth];
      if (at < history.leaves) {
         to[found++] = at;
         continue;
      }
      stack[depth++] = history.softer(at);
      stack[depth++] = history.harder(at);
   }
   return found;
}

} // namespace representations
} // namespace hepml_root

#endif
