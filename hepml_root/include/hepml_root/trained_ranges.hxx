// The conditions that a generator was trained for, and what refuses others. C++17 standard library only.

#ifndef HEPML_ROOT_TRAINED_RANGES_HXX
#define HEPML_ROOT_TRAINED_RANGES_HXX

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hepml_root {

/// The range of one condition.
struct TrainedRange {
   std::string label;
   double low, high;
};

/// The ranges of all conditions of a generator, in their order.
class TrainedRanges {
public:
   TrainedRanges() = default;
   TrainedRanges(std::string model, std::vector<TrainedRange> ranges)
       : fModel(std::move(model)), fRanges(std::move(ranges)) {}

   const std::vector<TrainedRange>& ranges() const { return fRanges; }

   /// Throws std::out_of_range if a condition is outside of its range, unless that is allowed; and in any
   /// case if it is NaN or infinite, or the energy is not above 0.
   void require(const float* conditions, bool allow_extrapolation = false) const {
      for (std::size_t i = 0; i < fRanges.size(); ++i) {
         const TrainedRange& range = fRanges[i];
         const double value = conditions[i];
         // Its ends as float are inside.
         const double margin = 1e-5 * std::max(std::abs(range.low), std::abs(range.high));
         const bool possible = std::isfinite(value) && (range.label != "energy" || value > 0);
         if (!possible ||
             (!allow_extrapolation && !(value >= range.low - margin && value <= range.high + margin)))
            refuse(range, value, possible);
      }
   }

private:
   [[noreturn]] void refuse(const TrainedRange& range, double value, bool possible) const {
      std::ostringstream text;
      text << "hepml_root: generator '" << fModel << "': " << range.label << " = " << value << " is ";
      if (possible)
         text << "outside of " << range.low << " to " << range.high
              << ", the range that it was trained in. What it gives there was never compared with anything; "
                 "allow_extrapolation takes it all the same.";
      else
         text << "no " << range.label << " of a particle.";
      throw std::out_of_range(text.str());
   }

   std::string fModel;
   std::vector<TrainedRange> fRanges;
};

} // namespace hepml_root

#endif
