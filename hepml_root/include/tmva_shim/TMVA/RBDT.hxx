// Stands in for ROOT's header of this name: trees in the layout in which TMVA::Experimental::RBDT is stored
// in ROOT files. Members have TMVA's names and types, which is what files are read and written by.

#ifndef TMVA_RBDT
#define TMVA_RBDT

#include <TFile.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace TMVA {
namespace Experimental {

/// Boosted trees of XGBoost. An event goes to the left where x < cut; a daughter > 0 is a node, else minus
/// the number of a response.
class RBDT final {
public:
   typedef float Value_t;

   RBDT() = default;

   /// Throws std::runtime_error if the file has no such object.
   RBDT(const std::string& key, const std::string& filename) {
      std::unique_ptr<TFile> file(TFile::Open(filename.c_str()));
      if (!file || file->IsZombie())
         throw std::runtime_error("RBDT: the file '" + filename + "' cannot be read");
      std::unique_ptr<RBDT> found(file->Get<RBDT>(key.c_str()));
      if (!found)
         throw std::runtime_error("RBDT: '" + filename + "' has no object '" + key + "' of this class");
      *this = *found;
   }

   template <class Vector> Vector Compute(const Vector& x) const {
      Vector y(Outputs());
      ComputeImpl(x.data(), x.size(), y.data());
      return y;
   }

   std::vector<float> Compute(const std::vector<float>& x) const { return Compute<std::vector<float>>(x); }

   std::size_t Outputs() const { return fBaseResponses.size() > 2 ? fBaseResponses.size() : 1; }

   std::vector<int> fRootIndices;
   std::vector<unsigned int> fCutIndices;
   std::vector<Value_t> fCutValues;
   std::vector<int> fLeftIndices;
   std::vector<int> fRightIndices;
   std::vector<Value_t> fResponses;
   std::vector<int> fTreeNumbers;
   std::vector<Value_t> fBaseResponses;
   Value_t fBaseScore = 0.0;
   bool fLogistic = false;

private:
   void ComputeImpl(const float* x, std::size_t size, float* y) const {
      for (const unsigned int index : fCutIndices)
         if (index >= size)
            throw std::runtime_error("RBDT: " + std::to_string(size) + " inputs are not enough");
      const std::size_t outputs = Outputs();
      for (std::size_t i = 0; i < outputs; ++i)
         y[i] = fBaseScore + fBaseResponses.at(i);
      for (std::size_t tree = 0; tree < fRootIndices.size(); ++tree) {
         int node = fRootIndices[tree];
         do
            node = x[fCutIndices[node]] < fCutValues[node] ? fLeftIndices[node] : fRightIndices[node];
         while (node > 0);
         y[outputs > 1 ? fTreeNumbers[tree] % outputs : 0] += fResponses[-node];
      }
      if (outputs > 1) {
         const float most = *std::max_element(y, y + outputs);
         float sum = 0;
         for (std::size_t i = 0; i < outputs; ++i)
            sum += y[i] = std::exp(y[i] - most);
         for (std::size_t i = 0; i < outputs; ++i)
            y[i] /= sum;
      } else if (fLogistic) {
         y[0] = 1 / (1 + std::exp(-y[0]));
      }
   }
};

} // namespace Experimental
} // namespace TMVA

#endif
