// Stands in for ROOT's header of this name: means and standard deviations in the layout in which
// TMVA::Experimental::RStandardScaler is stored in ROOT files, with TMVA's names and types of members.

#ifndef TMVA_RSTANDARDSCALER
#define TMVA_RSTANDARDSCALER

#include <stdexcept>
#include <vector>

namespace TMVA {
namespace Experimental {

template <typename T> class RStandardScaler {
public:
   std::vector<T> Compute(const std::vector<T>& x) const {
      if (x.size() != fMeans.size())
         throw std::runtime_error("RStandardScaler: the event has another number of variables");
      std::vector<T> y(x.size());
      for (std::size_t i = 0; i < x.size(); ++i)
         y[i] = (x[i] - fMeans[i]) / fStds[i];
      return y;
   }
   std::vector<T> GetMeans() const { return fMeans; }
   std::vector<T> GetStds() const { return fStds; }

   std::vector<T> fMeans;
   std::vector<T> fStds;
};

} // namespace Experimental
} // namespace TMVA

#endif
