// Trains and compares classifiers from C++, with TMVA's calls, on events that are shipped with ROOT.
//
//    root -l -b -q macros/HepMLClassification.C
//    root -l -b -q 'macros/HepMLClassification.C("Fisher,BDT", "out.root", "mine")'
//
// The training is done by hepml-root's Python side in a child process, which prints as it goes. Weights go to
// FOLDER/weights/HepMLClassification_<method>.weights.xml with the ONNX file and the C++ header beside it;
// the output file has TMVA's histograms and trees: hepml-root gui HepMLClassification.root shows them.
// HepMLApplication.C applies the weights.

#include "../hepml_root/include/hepml_root/Factory.hxx"

#include <TFile.h>
#include <TROOT.h>
#include <TSystem.h>
#include <TTree.h>

#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>

namespace {

// The options of the methods that can be asked for.
std::string OptionsOf(const std::string& method) {
   if (method == "Fisher")
      return "!H:!V:CreateMVAPdfs:NbinsMVAPdf=50:NsmoothMVAPdf=10";
   if (method == "BDT")
      return "!H:!V:NTrees=400:MaxDepth=3:MinNodeSize=2.5%:BoostType=AdaBoost:nCuts=20";
   if (method == "MLP")
      return "!H:!V:NeuronType=tanh:VarTransform=N:NCycles=300:HiddenLayers=N+5:TestRate=5";
   if (method == "HepML") // a network of hepml_root, with any of its losses
      return "!H:!V:Model=dense:Hidden=32,32:Epochs=20:BatchSize=128";
   throw std::runtime_error("the method '" + method +
                            "' is not one of this macro's: Fisher, BDT, MLP, HepML");
}

void Train(const std::string& methods, const std::string& output, const std::string& folder) {
   const TString data = gROOT->GetTutorialDir() + "/machine_learning/data/tmva_class_example.root";
   const std::unique_ptr<TFile> input(TFile::Open(data));
   if (!input || input->IsZombie())
      throw std::runtime_error(std::string("the file '") + data.Data() + "' cannot be opened");
   const std::unique_ptr<TFile> file(TFile::Open(output.c_str(), "RECREATE"));
   if (!file || file->IsZombie())
      throw std::runtime_error("the file '" + output + "' cannot be written");

   hepml_root::Factory factory("HepMLClassification", file.get(), "!V:!Color:AnalysisType=Classification");
   hepml_root::DataLoader loader(folder);
   loader.AddVariable("myvar1 := var1+var2", 'F');
   loader.AddVariable("myvar2 := var1-var2", "Expression 2", "", 'F');
   loader.AddVariable("var3", "Variable 3", "units", 'F');
   loader.AddVariable("var4", "Variable 4", "units", 'F');
   loader.AddSignalTree(input->Get<TTree>("TreeS"));
   loader.AddBackgroundTree(input->Get<TTree>("TreeB"));
   loader.SetBackgroundWeightExpression("weight");
   loader.PrepareTrainingAndTestTree("", "",
                                     "nTrain_Signal=2000:nTrain_Background=2000:NormMode=NumEvents:!V");

   std::istringstream list(methods);
   for (std::string method; std::getline(list, method, ',');)
      factory.BookMethod(&loader, method, method, OptionsOf(method));
   factory.TrainAllMethods();
   factory.TestAllMethods();
   factory.EvaluateAllMethods();

   std::istringstream again(methods);
   for (std::string method; std::getline(again, method, ',');)
      std::cout << method << ": area under the ROC curve " << factory.GetROCIntegral(&loader, method) << '\n';
   std::cout << output << " has the histograms and trees\n";
}

} // namespace

void HepMLClassification(const char* methods = "Fisher,BDT,HepML",
                         const char* output = "HepMLClassification.root", const char* folder = "dataset") {
   try {
      Train(methods, output, folder);
   } catch (const std::exception& error) {
      std::cerr << "HepMLClassification: " << error.what() << '\n';
      gSystem->Exit(2);
   }
}
