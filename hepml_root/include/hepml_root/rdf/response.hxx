// Weight files of TMVA in RDataFrame, as functors with compiled column types. Needs nothing of ROOT.
//
//    #include "hepml_root/rdf/response.hxx"
//
//    const hepml_root::rdf::Response<4> bdt("TMVAClassification_BDT.weights.xml");
//    frame.Define("myvar1", "var1+var2") … .Define("bdt", bdt, {"myvar1", "myvar2", "var3", "var4"});
//
// The columns are those of the file's variables in its order. By the file's own expressions, computed by
// RDataFrame: hepml_root::rdf::Define(frame, hepml_root::rdf::Load("….weights.xml"), "bdt") of define.hxx.

#ifndef HEPML_ROOT_RDF_RESPONSE_HXX
#define HEPML_ROOT_RDF_RESPONSE_HXX

#include "../weight_file.hxx"

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hepml_root {
namespace rdf {

namespace detail {

template <class T, class Numbers> class ResponseOf;

template <class T, std::size_t... I> class ResponseOf<T, std::index_sequence<I...>> {
   template <std::size_t> using Same = T;

public:
   /// Compile a weight file and load it.
   ///
   /// Throws std::runtime_error as WeightFile::Open(), and if the file takes another number of columns, gives
   /// several values, or is of the method Cuts and `signal_efficiency` is missing.
   explicit ResponseOf(const std::string& path, double signal_efficiency = -1)
       : fFile(std::make_shared<const WeightFile>(WeightFile::Open(path))), fEfficiency(signal_efficiency) {
      if (fFile->inputs().size() != sizeof...(I))
         throw std::runtime_error("hepml_root: '" + path + "' takes " +
                                  std::to_string(fFile->inputs().size()) + " columns, and Response has " +
                                  std::to_string(sizeof...(I)));
      if (fFile->outputs().size() != 1)
         throw std::runtime_error("hepml_root: '" + path + "' gives " +
                                  std::to_string(fFile->outputs().size()) +
                                  " values: use Responses, which gives them as a vector");
      const float none[sizeof...(I)] = {};
      if (fFile->IsCuts())
         fFile->Passes(none, fEfficiency); // refuses a wrong efficiency now
   }

   /// The response to an event; safe from any thread.
   float operator()(Same<I>... columns) const {
      const float event[] = {static_cast<float>(columns)...};
      if (fFile->IsCuts())
         return fFile->HasNaN(event)                ? WeightFile::not_a_number
                : fFile->Passes(event, fEfficiency) ? 1.f
                                                    : 0.f;
      float answer;
      fFile->Evaluate(event, 1, &answer);
      return answer;
   }

private:
   std::shared_ptr<const WeightFile> fFile;
   double fEfficiency;
};

template <class T, class Numbers> class ResponsesOf;

template <class T, std::size_t... I> class ResponsesOf<T, std::index_sequence<I...>> {
   template <std::size_t> using Same = T;

public:
   /// Compile a weight file and load it. See ResponseOf.
   explicit ResponsesOf(const std::string& path)
       : fFile(std::make_shared<const WeightFile>(WeightFile::Open(path))) {
      if (fFile->inputs().size() != sizeof...(I))
         throw std::runtime_error("hepml_root: '" + path + "' takes " +
                                  std::to_string(fFile->inputs().size()) + " columns, and Responses has " +
                                  std::to_string(sizeof...(I)));
   }

   /// The response for each class or target; safe from any thread.
   std::vector<float> operator()(Same<I>... columns) const {
      const float event[] = {static_cast<float>(columns)...};
      std::vector<float> answer(fFile->outputs().size());
      fFile->Evaluate(event, 1, answer.data());
      return answer;
   }

private:
   std::shared_ptr<const WeightFile> fFile;
};

} // namespace detail

/// The response of a classifier, or of a regression with one target, to `N` columns of type `T`.
template <std::size_t N, class T = float> using Response = detail::ResponseOf<T, std::make_index_sequence<N>>;

/// The responses of a method with several classes or targets.
template <std::size_t N, class T = float>
using Responses = detail::ResponsesOf<T, std::make_index_sequence<N>>;

} // namespace rdf
} // namespace hepml_root

#endif
