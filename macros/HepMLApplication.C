// Applies the weights that HepMLClassification.C has made: event by event with TMVA's Reader, in blocks, and
// as a column of an RDataFrame.
//
//    root -l -b -q macros/HepMLApplication.C
//    root -l -b -q 'macros/HepMLApplication.C("Fisher", "mine")'
//
// Weight files of TMVA itself are taken as well. A file is compiled when it is opened first, and kept in
// hepml-root's cache.

#include "../hepml_root/include/hepml_root/rdf/response.hxx"
#include "../hepml_root/include/hepml_root/Reader.hxx"

#include <ROOT/RDataFrame.hxx>
#include <TFile.h>
#include <TROOT.h>
#include <TSystem.h>
#include <TTree.h>

#include <cmath>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

void Apply(const std::string& method, const std::string& folder) {
   const TString data = gROOT->GetTutorialDir() + "/machine_learning/data/tmva_class_example.root";
   const std::string weights = folder + "/weights/HepMLClassification_" + method + ".weights.xml";

   // One event after the other, as TMVA's programs do.
   hepml_root::Reader reader("!Color:!Silent");
   float myvar1 = 0, myvar2 = 0, var1 = 0, var2 = 0, var3 = 0, var4 = 0;
   reader.AddVariable("myvar1 := var1+var2", &myvar1);
   reader.AddVariable("myvar2 := var1-var2", &myvar2);
   reader.AddVariable("var3", &var3);
   reader.AddVariable("var4", &var4);
   reader.BookMVA(method, weights);
   const std::unique_ptr<TFile> file(TFile::Open(data));
   if (!file || file->IsZombie())
      throw std::runtime_error(std::string("the file '") + data.Data() + "' cannot be opened");
   auto* const tree = file->Get<TTree>("TreeS");
   tree->SetBranchAddress("var1", &var1);
   tree->SetBranchAddress("var2", &var2);
   tree->SetBranchAddress("var3", &var3);
   tree->SetBranchAddress("var4", &var4);
   double sum = 0;
   std::vector<float> events;
   const Long64_t n = tree->GetEntries();
   for (Long64_t i = 0; i < n; ++i) {
      tree->GetEntry(i);
      myvar1 = var1 + var2;
      myvar2 = var1 - var2;
      sum += reader.EvaluateMVA(method);
      events.insert(events.end(), {myvar1, myvar2, var3, var4});
   }

   // All at once: many times faster.
   std::vector<float> scores(static_cast<std::size_t>(n));
   reader.Evaluate(method, events.data(), scores.size(), scores.data());
   double block = 0;
   for (const float score : scores)
      block += static_cast<double>(score);

   // In RDataFrame.
   const hepml_root::rdf::Response<4> response(weights);
   auto mean = ROOT::RDataFrame("TreeS", data.Data())
                   .Define("myvar1", "var1+var2")
                   .Define("myvar2", "var1-var2")
                   .Define("score", response, {"myvar1", "myvar2", "var3", "var4"})
                   .Mean<float>("score");
   std::cout << method << ": mean of the signal " << sum / static_cast<double>(n) << " by the Reader, "
             << block / static_cast<double>(n) << " in blocks, " << *mean << " in RDataFrame\n";
}

} // namespace

void HepMLApplication(const char* method = "BDT", const char* folder = "dataset") {
   try {
      Apply(method, folder);
   } catch (const std::exception& error) {
      std::cerr << "HepMLApplication: " << error.what() << '\n';
      gSystem->Exit(2);
   }
}
