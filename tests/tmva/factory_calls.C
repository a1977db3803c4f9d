// What test_tmva_factory_cpp.py runs: trees of a file, in memory, in the output file, of a chain, with a
// friend and an alias; calls that are refused; the output file. Each answer is a line "> name value".

#include "hepml_root/Factory.hxx"

#include <TChain.h>
#include <TEntryList.h>
#include <TFile.h>
#include <TRandom3.h>
#include <TTree.h>

#include <iostream>
#include <memory>
#include <string>

namespace {

// Events of two Gaussians; the tree belongs to the directory at hand.
TTree* Sample(const char* name, double mean, unsigned seed) {
   TRandom3 random(seed);
   float x = 0;
   double y = 0;
   int number = 0;
   auto* const tree = new TTree(name, "");
   tree->Branch("x", &x);
   tree->Branch("y", &y);
   tree->Branch("number", &number);
   for (; number < 500; ++number) {
      x = static_cast<float>(random.Gaus(mean));
      y = random.Gaus(-mean);
      tree->Fill();
   }
   tree->ResetBranchAddresses();
   return tree;
}

template <class Work> void Refused(const char* name, Work&& work) {
   try {
      work();
      std::cout << "> " << name << " nothing" << std::endl;
   } catch (const std::runtime_error& error) {
      std::cout << "> " << name << ' ' << error.what() << std::endl;
   }
}

void Book(hepml_root::DataLoader& loader) {
   loader.AddVariable("x", 'F');
   loader.AddVariable("sum := x + 2*y", "Sum", "GeV", 'D');
   loader.AddSpectator("number", 'I');
   loader.PrepareTrainingAndTestTree("", "SplitMode=Alternate:NormMode=NumEvents:!V");
}

} // namespace

void factory_calls(const char* folder) {
   const std::string path = folder;
   {
      TFile stored((path + "/stored.root").c_str(), "RECREATE");
      stored.mkdir("deep")->cd();
      Sample("signal", 0.5, 1)->Write();
      Sample("background", -0.5, 2)->Write();
   }
   TFile stored((path + "/stored.root").c_str());
   TFile output((path + "/output.root").c_str(), "RECREATE");
   hepml_root::Factory factory("Calls", &output, "Silent:!Color:AnalysisType=Classification");

   hepml_root::DataLoader from_file("from_file");
   from_file.AddSignalTree(stored.Get<TTree>("deep/signal"));
   from_file.AddBackgroundTree(stored.Get<TTree>("deep/background"), 1.0);
   Book(from_file);

   hepml_root::DataLoader in_memory("in_memory");
   output.cd(); // a tree that belongs to the file that is being written
   in_memory.AddTree(Sample("", 0.5, 1), "Signal");
   std::unique_ptr<TTree> alone(Sample("alone", -0.5, 2));
   alone->SetDirectory(nullptr);
   in_memory.AddTree(alone.get(), "Background", 1.0, "", hepml_root::Types::kMaxTreeType);
   Book(in_memory);

   // y is called z in the tree, and y is an alias; x is the friend's.
   hepml_root::DataLoader with_friend("with_friend");
   TChain chain("deep/signal");
   chain.Add((path + "/stored.root").c_str());
   TTree shifted("shifted", "");
   shifted.SetDirectory(nullptr);
   float one = 1;
   shifted.Branch("one", &one);
   for (int i = 0; i < 500; ++i)
      shifted.Fill();
   shifted.ResetBranchAddresses();
   chain.AddFriend(&shifted, "other");
   chain.SetAlias("shift", "other.one - 1");
   auto* const background = stored.Get<TTree>("deep/background");
   background->SetAlias("shift", "0");
   with_friend.AddSignalTree(&chain);
   with_friend.AddBackgroundTree(background);
   with_friend.AddVariable("x + shift", 'F');
   with_friend.AddVariable("sum := x + 2*y", "Sum", "GeV", 'F');
   with_friend.PrepareTrainingAndTestTree("", "SplitMode=Alternate:NormMode=NumEvents:!V");

   for (hepml_root::DataLoader* loader : {&from_file, &in_memory, &with_friend})
      factory.BookMethod(loader, hepml_root::Types::kFisher, "Fisher", "!H:!V");
   factory.BookMethod(&from_file, "LD", "Linear");

   Refused("option", [&] { factory.BookMethod(&from_file, "Fisher", "F", "Metod=Fisher"); });
   Refused("method", [&] { factory.BookMethod(&from_file, "Fischer", "F"); });
   Refused("title", [&] { factory.BookMethod(&from_file, "Fisher", "Linear"); });
   Refused("loader", [&] { factory.BookMethod(nullptr, "Fisher", "F"); });
   Refused("tree", [&] { from_file.AddSignalTree(stored.Get<TTree>("none")); });
   Refused("early", [&] { factory.GetROCIntegral(&from_file, "Linear"); });
   TEntryList list("list", "");
   background->SetEntryList(&list);
   Refused("list", [&] { from_file.AddBackgroundTree(background); });
   background->SetEntryList(nullptr);

   factory.TrainAllMethods();
   factory.TestAllMethods();
   factory.EvaluateAllMethods();
   for (hepml_root::DataLoader* loader : {&from_file, &in_memory, &with_friend})
      std::cout << "> " << loader->GetName() << ' ' << factory.GetROCIntegral(loader, "Fisher") << std::endl;
   const std::unique_ptr<TGraph> graph(factory.GetROCCurve(&from_file, "Linear"));
   const std::unique_ptr<TMultiGraph> graphs(factory.GetROCCurveAsMultiGraph(&from_file));
   std::cout << "> curves " << (graph->GetN() > 10) << ' ' << graphs->GetListOfGraphs()->GetSize() << ' '
             << graph->GetXaxis()->GetTitle() << std::endl;
   std::cout << "> booked " << factory.HasMethod("from_file", "Linear")
             << factory.HasMethod("from_file", "None") << std::endl;
   output.Close();

   hepml_root::DataLoader bad("bad");
   Book(bad);
   bad.AddSignalTree(stored.Get<TTree>("deep/signal"));
   bad.AddBackgroundTree(background);
   bad.AddVariable("nothing", 'F');
   hepml_root::Factory other("Other", "Silent:AnalysisType=Classification");
   other.BookMethod(&bad, "Fisher", "Fisher");
   Refused("branch", [&] { other.TrainAllMethods(); });
   Refused("closed", [&] {
      hepml_root::Factory late("Late", &output, "Silent:AnalysisType=Classification");
      late.BookMethod(&from_file, "Fisher", "Fisher");
      late.TrainAllMethods();
      late.TestAllMethods();
      late.EvaluateAllMethods();
   });
}
