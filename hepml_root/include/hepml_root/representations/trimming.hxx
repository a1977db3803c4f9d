// Leaving out what is soft: constituents, or subjets (arXiv:0912.1342), below a fraction of pT.

#ifndef HEPML_ROOT_REPRESENTATIONS_TRIMMING_HXX
#define HEPML_ROOT_REPRESENTATIONS_TRIMMING_HXX

#include "clustering.hxx"
#include "description.hxx"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace hepml_root {
namespace representations {

/// Settings "trim": the least fraction, 0 for all; "trim_radius": of kT subjets. Without it, single
/// constituents are compared with the sum of pT; with it, subjets with the pT of the jet.
class Trimming {
public:
   static std::vector<std::string> settings() { return {"trim", "trim_radius"}; }

   explicit Trimming(const Description& description)
       : fFraction(description.number("trim", 0)), fRadius(description.number("trim_radius", 0)) {
      if (!(fFraction >= 0 && fFraction < 1) || !(fRadius >= 0))
         description.fail("needs 0 <= trim < 1 and trim_radius >= 0");
   }

   bool active() const { return fFraction > 0; }

   /// Places of those that stay, in their order; gives their number.
   std::size_t choose(std::size_t count, const float* pt, const float* eta, const float* phi,
                      const float* mass, std::size_t*& stay, Scratch& scratch) const {
      if (fRadius > 0)
         return subjets(cluster(count, pt, eta, phi, mass, Algorithm::kKt, scratch, fRadius), stay, scratch);
      stay = indices(scratch, Slot::kOrder, count);
      double total = 0;
      for (std::size_t i = 0; i < count; ++i)
         total += pt[i];
      std::size_t kept = 0;
      for (std::size_t i = 0; i < count; ++i)
         if (pt[i] >= fFraction * total)
            stay[kept++] = i;
      return kept;
   }

private:
   std::size_t subjets(const History& history, std::size_t*& stay, Scratch& scratch) const {
      double px = 0, py = 0;
      for (std::size_t i = 0; i < history.leaves; ++i) {
         px += history.branches[i].px;
         py += history.branches[i].py;
      }
      const double least = fFraction * std::sqrt(px * px + py * py);
      stay = indices(scratch, Slot::kOrder, history.leaves);
      std::size_t kept = 0;
      for (std::size_t jet = 0; jet < history.jet_count; ++jet)
         if (history.branches[history.jets[jet]].pt >= least)
            kept += leaves_below(history, history.jets[jet], stay + kept, scratch);
      std::sort(stay, stay + kept);
      return kept;
   }

   double fFraction, fRadius;
};

} // namespace representations
} // namespace hepml_root

#endif
