// TMVA's CrossValidation for C++ programs and macros, done by hepml-root's Python side. See Factory.hxx.

#ifndef HEPML_ROOT_CROSSVALIDATION_HXX
#define HEPML_ROOT_CROSSVALIDATION_HXX

#include "Factory.hxx"

#include <TCanvas.h>
#include <TGraph.h>
#include <TMultiGraph.h>
#include <TString.h>

#include <cmath>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace hepml_root {

/// The result of one method. Folds are counted from 0; what has one value for each fold is in their order.
class CrossValidationResult {
public:
   explicit CrossValidationResult(const Json& json) : fJson(json) {}

   const std::string& GetTitle() const { return fJson["title"].Text(); }

   /// Area under the ROC curve.
   std::map<unsigned, float> GetROCValues() const {
      std::map<unsigned, float> areas;
      for (const double area : Values("GetROCValues"))
         areas[static_cast<unsigned>(areas.size())] = static_cast<float>(area);
      return areas;
   }
   float GetROCAverage() const {
      const std::vector<double> areas = Values("GetROCValues");
      double sum = 0;
      for (const double area : areas)
         sum += area;
      return static_cast<float>(sum / static_cast<double>(areas.size()));
   }
   /// With n - 1 in the denominator.
   float GetROCStandardDeviation() const {
      const double mean = static_cast<double>(GetROCAverage());
      const std::vector<double> areas = Values("GetROCValues");
      double sum = 0;
      for (const double area : areas)
         sum += (area - mean) * (area - mean);
      return static_cast<float>(std::sqrt(sum / static_cast<double>(areas.size() - 1)));
   }
   std::vector<double> GetSigValues() const { return Values("GetSigValues"); }
   std::vector<double> GetSepValues() const { return Values("GetSepValues"); }
   /// Signal efficiency at a background efficiency of 0.01, 0.10, 0.30.
   std::vector<double> GetEff01Values() const { return Values("GetEff01Values"); }
   std::vector<double> GetEff10Values() const { return Values("GetEff10Values"); }
   std::vector<double> GetEff30Values() const { return Values("GetEff30Values"); }
   std::vector<double> GetTrainEff01Values() const { return Values("GetTrainEff01Values"); }
   std::vector<double> GetTrainEff10Values() const { return Values("GetTrainEff10Values"); }
   std::vector<double> GetTrainEff30Values() const { return Values("GetTrainEff30Values"); }
   std::vector<double> GetEffAreaValues() const { return Values("GetEffAreaValues"); }
   /// Of a regression: the spread of response - target.
   std::vector<double> GetDeviationValues() const { return Values("GetDeviationValues"); }

   /// The ROC curves of all folds; they are the caller's.
   TMultiGraph* GetROCCurves(bool = true) const {
      auto all = std::make_unique<TMultiGraph>();
      short colour = 0;
      for (const Json& curve : fJson["curves"].List()) {
         auto graph = detail::GraphOf(curve);
         graph->SetLineColor(++colour);
         graph->SetLineWidth(2);
         all->Add(graph.release()); // which deletes it
      }
      if (!colour)
         throw std::runtime_error("hepml_root: '" + GetTitle() + "' has no ROC curves");
      return all.release();
   }
   /// Their mean, which is the caller's.
   TGraph* GetAvgROCCurve() const {
      if (fJson["average"].IsNull())
         throw std::runtime_error("hepml_root: '" + GetTitle() + "' has no ROC curves");
      return detail::GraphOf(fJson["average"]).release();
   }
   TCanvas* Draw(const TString& name = "CrossValidation") const {
      return Drawn(name, "Cross Validation ROC Curves", GetROCCurves());
   }
   TCanvas* DrawAvgROCCurve(bool folds = false, const TString& title = "") const {
      TMultiGraph* const all = folds ? GetROCCurves() : new TMultiGraph();
      TGraph* const average = GetAvgROCCurve();
      average->SetLineWidth(3);
      all->Add(average);
      return Drawn(TString("average_") + GetTitle().c_str(),
                   title == "" ? TString("Cross Validation Average ROC Curve") : title, all);
   }
   void Print() const {
      std::cout << "==== Results of " << GetTitle() << " ====\n";
      for (const auto& fold : GetROCValues())
         std::cout << "Fold  " << fold.first << " ROC-Int : " << fold.second << '\n';
      std::cout << "Average ROC-Int : " << GetROCAverage()
                << "\nStd-Dev ROC-Int : " << GetROCStandardDeviation() << std::endl;
   }

private:
   std::vector<double> Values(const std::string& call) const {
      std::vector<double> values;
      for (const Json& value : fJson["values"][call].List())
         values.push_back(value.Number());
      return values;
   }

   static TCanvas* Drawn(const TString& name, const TString& title, TMultiGraph* graphs) {
      const std::unique_ptr<TMultiGraph> owned(graphs);
      auto* const canvas = new TCanvas(name, title);
      graphs->SetTitle(title + ";Signal efficiency (Sensitivity);Background rejection (Specificity)");
      graphs->DrawClone("AL");
      return canvas;
   }

   Json fJson;
};

/// What is known of a booked method, by name.
class OptionMap {
public:
   explicit OptionMap(std::map<std::string, std::string> values) : fValues(std::move(values)) {}
   template <class T> T GetValue(const TString& name) const { return T(fValues.at(name.Data()).c_str()); }
   bool HasKey(const TString& name) const { return fValues.count(name.Data()) > 0; }

private:
   std::map<std::string, std::string> fValues;
};

/// Trains methods on all folds but one and tests them on this one, for each fold.
///
/// Options and weight files are those of hepml_root.tmva.CrossValidation.
class CrossValidation {
public:
   /// `output` is a file that is open for writing, or nullptr for none; the user closes it.
   CrossValidation(const TString& job, DataLoader* loader, TFile* output, const TString& options = "")
       : fOutput(output),
         fRemote("CrossValidation", {job, Of(loader), fOutput.AsArgument(), WithoutFoldFiles(options)}) {}
   CrossValidation(const TString& job, DataLoader* loader, const TString& options = "")
       : CrossValidation(job, loader, nullptr, options) {}

   void BookMethod(Types::EMVA type, const TString& title, const TString& options = "") {
      Book(static_cast<int>(type), title, options);
   }
   void BookMethod(const TString& type, const TString& title, const TString& options = "") {
      Book(type, title, options);
   }

   void SetNumFolds(unsigned folds) { fRemote.Call("SetNumFolds", {folds}); }
   unsigned GetNumFolds() const { return static_cast<unsigned>(fRemote.Call("GetNumFolds").Number()); }
   void SetSplitExpr(const TString& expression) { fRemote.Call("SetSplitExpr", {expression}); }

   /// Train and test everything, print the tables, fill the output file, write the weight files.
   void Evaluate() {
      fRemote.Call("Evaluate");
      fOutput.Fetch();
      fResults.clear();
      const Json results = fRemote.Call("GetResults");
      for (const Json& result : results.List())
         fResults.emplace_back(result);
   }

   /// One for each method, in the order of booking; empty before Evaluate().
   const std::vector<CrossValidationResult>& GetResults() const { return fResults; }
   /// With "MethodName", "MethodTitle" and "MethodOptions".
   const std::vector<OptionMap>& GetMethods() const { return fMethods; }

private:
   void Book(const Argument& type, const TString& title, const TString& options) {
      fRemote.Call("BookMethod", {type, title, options});
      fMethods.clear();
      const Json methods = fRemote.Call("GetMethods");
      for (const Json& method : methods.List()) {
         std::map<std::string, std::string> values;
         for (const auto& value : method.Object())
            values[value.first] = value.second.Text();
         fMethods.emplace_back(std::move(values));
      }
   }

   static Argument Of(DataLoader* loader) {
      return loader ? loader->remote().AsArgument() : Argument::OfJson("null");
   }

   /// The files of single folds would be written beside the output file, which is here one of the child's.
   static TString WithoutFoldFiles(const TString& options) {
      TString text = ":" + options + ":";
      text.ToLower();
      for (const char* asked : {":foldfileoutput:", ":foldfileoutput=t", ":foldfileoutput=1"})
         if (text.Contains(asked))
            throw std::runtime_error(
                "hepml_root: CrossValidation: FoldFileOutput is not done from C++; leave it "
                "out, or run the cross validation from Python");
      return options;
   }

   detail::OutputFile fOutput;
   RemoteObject fRemote;
   std::vector<OptionMap> fMethods;
   std::vector<CrossValidationResult> fResults;
};

} // namespace hepml_root

#endif
