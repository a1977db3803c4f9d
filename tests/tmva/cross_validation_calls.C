// What test_tmva_factory_cpp.py runs: a cross validation from C++ with the names of the headers that take the
// place of TMVA's. Each answer is a line "> name value".

#include "TMVA/CrossValidation.h"
#include "TMVA/DataLoader.h"
#include "TMVA/Reader.h"
#include "TMVA/Tools.h"

#include <TFile.h>
#include <TRandom3.h>
#include <TTree.h>

#include <iostream>

void cross_validation_calls() {
   TMVA::Tools::Instance();
   TFile* output = TFile::Open("cv.root", "RECREATE");
   TMVA::DataLoader loader("folds");
   loader.AddVariable("x", 'F');
   loader.AddSpectator("eventID", 'I');
   for (const bool signal : {true, false}) {
      TRandom3 random(signal ? 1 : 2);
      float x = 0;
      int eventID = 0;
      TTree* tree = new TTree();
      tree->Branch("x", &x);
      tree->Branch("eventID", &eventID);
      for (; eventID < 400; ++eventID) {
         x = static_cast<float>(random.Gaus(signal ? 1 : -1));
         tree->Fill();
      }
      tree->ResetBranchAddresses();
      loader.AddTree(tree, signal ? "Signal" : "Background");
   }
   loader.PrepareTrainingAndTestTree("", "", "nTest_Signal=1:nTest_Background=1:SplitMode=Random:!V");

   TMVA::CrossValidation cv{"CV", &loader, output,
                            "!V:Silent:ModelPersistence:AnalysisType=Classification:NumFolds=2:"
                            "SplitType=Deterministic:SplitExpr=int(fabs([eventID]))%int([NumFolds])"};
   cv.BookMethod(TMVA::Types::kFisher, "Fisher", "!H:!V");
   cv.Evaluate();
   const auto& result = cv.GetResults().at(0);
   std::cout << "> areas " << result.GetROCValues()[0] << ' ' << result.GetROCValues()[1] << ' '
             << result.GetROCAverage() << ' ' << result.GetROCStandardDeviation() << ' '
             << result.GetEff30Values().size() << std::endl;
   std::cout << "> method " << cv.GetMethods()[0].GetValue<TString>("MethodName") << ' ' << cv.GetNumFolds()
             << ' ' << result.GetAvgROCCurve()->GetN() << std::endl;
   output->Close();
   try {
      TMVA::CrossValidation files{"CV", &loader, "FoldFileOutput:NumFolds=2"};
   } catch (const std::exception& error) {
      std::cout << "> files " << error.what() << std::endl;
   }

   // The weight file takes, for each event, the method that has not seen it.
   TMVA::Reader reader("!Color:!Silent");
   float x = 0.5f;
   int eventID = 0;
   reader.AddVariable("x", &x);
   reader.AddSpectator("eventID", &eventID);
   reader.BookMVA("Fisher", "folds/weights/CV_Fisher.weights.xml");
   std::cout << "> reader";
   for (; eventID < 4; ++eventID)
      std::cout << ' ' << reader.EvaluateMVA("Fisher");
   std::cout << std::endl;
   const std::vector<TString> parts = TMVA::gTools().SplitString("a,bc,,d", ',');
   std::cout << "> parts " << parts.size() << ' ' << parts.at(1) << ' ' << parts.at(3) << std::endl;
}
