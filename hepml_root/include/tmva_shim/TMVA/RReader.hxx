// TMVA's RReader: a weight file, for single events, tensors and data frames.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_RREADER
#define HEPML_ROOT_TMVA_SHIM_RREADER

#include "../../hepml_root/weight_file.hxx"
#include "RTensor.hxx"
#include "Types.h"

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace TMVA {
namespace Experimental {

/// A weight file. Copies share it, and all functions may be called from any number of threads at once.
class RReader {
public:
   /// Throws std::runtime_error as hepml_root::WeightFile::Open().
   explicit RReader(const std::string& path)
       : fFile(std::make_shared<const hepml_root::WeightFile>(hepml_root::WeightFile::Open(path))) {}

   /// The values for one event, in the order of the variables.
   std::vector<float> Compute(const std::vector<float>& event) const {
      if (event.size() != fFile->inputs().size())
         throw std::runtime_error("hepml_root: '" + fFile->path() + "' takes " +
                                  std::to_string(fFile->inputs().size()) +
                                  " numbers; given: " + std::to_string(event.size()));
      std::vector<float> answer(fFile->outputs().size());
      fFile->Evaluate(event.data(), 1, answer.data());
      return answer;
   }

   /// The values for the events of a tensor (events, variables): (events), or (events, values) of several.
   RTensor<float> Compute(const RTensor<float>& events) const {
      const std::size_t inputs = fFile->inputs().size(), outputs = fFile->outputs().size();
      if (events.GetShape().size() != 2 || events.GetShape()[1] != inputs)
         throw std::runtime_error("hepml_root: '" + fFile->path() + "' takes a tensor (events, " +
                                  std::to_string(inputs) + ")");
      const std::size_t n = events.GetShape()[0];
      const RTensor<float> rows = events.Copy();
      RTensor<float> answer(outputs == 1 ? std::vector<std::size_t>{n}
                                         : std::vector<std::size_t>{n, outputs});
      fFile->Evaluate(rows.GetData(), n, answer.GetData());
      return answer;
   }

   /// The expressions of the variables.
   std::vector<std::string> GetVariables() const { return fFile->inputs(); }
   /// The labels of the variables.
   std::vector<std::string> GetVariableNames() const {
      std::vector<std::string> names;
      for (const auto& variable : fFile->variables())
         names.push_back(variable.label);
      return names;
   }

private:
   std::shared_ptr<const hepml_root::WeightFile> fFile;
};

namespace Internal {

template <class Numbers, class T, class Model> class ComputeOf;

template <std::size_t... I, class T, class Model> class ComputeOf<std::index_sequence<I...>, T, Model> {
   template <std::size_t> using Same = T;

public:
   explicit ComputeOf(Model model) : fModel(std::move(model)) {}
   auto operator()(Same<I>... columns) { return fModel.Compute({columns...}); }

private:
   Model fModel;
};

} // namespace Internal

/// A functor for RDataFrame's Define: a model of N columns of type T.
template <std::size_t N, class T, class Model> auto Compute(Model model) {
   return Internal::ComputeOf<std::make_index_sequence<N>, T, Model>(std::move(model));
}

} // namespace Experimental
} // namespace TMVA

#endif
