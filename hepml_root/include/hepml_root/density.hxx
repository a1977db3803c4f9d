// Densities of a classifier's response (TMVA's option CreateMVAPdfs), looked up as TMVA does. C++17 standard
// library only.

#ifndef HEPML_ROOT_DENSITY_HXX
#define HEPML_ROOT_DENSITY_HXX

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace hepml_root {

/// A density in bins, constant in each, or linear between the centres of bins of the same width.
class Density {
public:
   Density() = default;
   /// `edges`: one more than `values`.
   Density(std::vector<double> edges, std::vector<double> values, bool interpolated)
       : fEdges(std::move(edges)), fValues(std::move(values)), fSums(1, 0.0), fInterpolated(interpolated) {
      for (std::size_t i = 0; i < fValues.size(); ++i)
         fSums.push_back(fSums.back() + fValues[i] * (fEdges[i + 1] - fEdges[i]));
   }

   /// Never below 1e-12.
   double Value(double y) const {
      constexpr double smallest = 1e-12;
      const std::size_t count = fValues.size();
      if (!fInterpolated)
         return std::max(fValues[BinOf(y)], smallest);
      const double width = (fEdges.back() - fEdges.front()) / static_cast<double>(count);
      const double place = std::floor((y - fEdges.front()) / width - 0.5);
      const auto left = static_cast<std::size_t>(std::clamp(place, 0.0, static_cast<double>(count - 2)));
      const double behind = y - (fEdges.front() + (static_cast<double>(left) + 0.5) * width);
      const double slope = (fValues[left + 1] - fValues[left]) / width;
      return std::max(fValues[left] + behind * slope, smallest);
   }

   /// The integral up to y.
   double Integral(double y) const {
      if (y <= fEdges.front())
         return 0;
      if (y >= fEdges.back())
         return fSums.back();
      const std::size_t bin = BinOf(y);
      return fSums[bin] + fValues[bin] * (y - fEdges[bin]);
   }

private:
   std::size_t BinOf(double y) const {
      const auto above = std::upper_bound(fEdges.begin(), fEdges.end(), y) - fEdges.begin();
      const auto last = static_cast<std::ptrdiff_t>(fValues.size()) - 1;
      return static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(above - 1, 0, last));
   }

   std::vector<double> fEdges, fValues, fSums;
   bool fInterpolated = false;
};

} // namespace hepml_root

#endif
