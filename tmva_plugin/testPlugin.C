// Trains the method HepML inside the real TMVA and reads its weight file with TMVA::Reader. Needs a ROOT with
// TMVA, and the Python side of hepml_root (HEPML_ROOT_PYTHON, or hepml-root in the PATH).
//
//    root -l -b -q 'testPlugin.C("build/tmva_plugin/libHepMLTMVA.so")'

#include <TFile.h>
#include <TRandom3.h>
#include <TSystem.h>
#include <TTree.h>

#include <TMVA/DataLoader.h>
#include <TMVA/Factory.h>
#include <TMVA/Reader.h>
#include <TMVA/Tools.h>

#include <cmath>
#include <iostream>

void testPlugin(const char* library) {
   TMVA::Tools::Instance();
   if (gSystem->Load(library) < 0)
      gSystem->Exit(1);
   float x = 0, y = 0;
   TRandom3 random(1);
   TTree signal("signal", ""), background("background", "");
   for (TTree* const tree : {&signal, &background}) {
      tree->SetDirectory(nullptr);
      tree->Branch("x", &x);
      tree->Branch("y", &y);
      for (int i = 0; i < 2000; ++i) {
         x = static_cast<float>(random.Gaus(tree == &signal ? 0.5 : -0.5));
         y = static_cast<float>(random.Gaus(tree == &signal ? -0.5 : 0.5));
         tree->Fill();
      }
      tree->ResetBranchAddresses();
   }
   TFile output("testPlugin.root", "RECREATE");
   TMVA::Factory factory("testPlugin", &output,
                         "!V:Silent:!Color:!DrawProgressBar:AnalysisType=Classification");
   TMVA::DataLoader loader("testPlugin");
   loader.AddVariable("x", 'F');
   loader.AddVariable("x+y", 'F');
   loader.AddSignalTree(&signal);
   loader.AddBackgroundTree(&background);
   loader.PrepareTrainingAndTestTree("", "SplitMode=Random:NormMode=NumEvents:!V");
   factory.BookMethod(&loader, "HepML", "Dense", "!H:!V:Model=dense:Epochs=10:VarTransform=N");
   factory.TrainAllMethods();
   factory.TestAllMethods();
   factory.EvaluateAllMethods();
   const double area = factory.GetROCIntegral(&loader, "Dense");

   TMVA::Reader reader("!Color:Silent");
   float sum = 0;
   reader.AddVariable("x", &x);
   reader.AddVariable("x+y", &sum);
   reader.BookMVA("Dense", "testPlugin/weights/testPlugin_Dense.weights.xml");
   double apart = 0;
   auto* const tree = output.Get<TTree>("testPlugin/TestTree");
   float branch_x = 0, branch_sum = 0, response = 0;
   tree->SetBranchAddress("x", &branch_x);
   tree->SetBranchAddress("x_P_y", &branch_sum);
   tree->SetBranchAddress("Dense", &response);
   for (Long64_t i = 0; i < tree->GetEntries(); ++i) {
      tree->GetEntry(i);
      x = branch_x, sum = branch_sum;
      apart = std::max(apart, std::abs(reader.EvaluateMVA("Dense") - static_cast<double>(response)));
   }
   std::cout << "area " << area << ", Reader and test tree differ by at most " << apart << '\n';
   // Two Gaussians of width 1, 1 apart in x and in y: Phi(1) = 0.841, +- 0.009 of 1000 + 1000 events.
   if (!(area > 0.80 && apart < 1e-5))
      gSystem->Exit(1);
}
