// hepml005: the score as a column of an RDataFrame, in C++.
//
// Shows      hepml_root/rdf/define.hxx: a compiled network in the event loop, its inputs found by the
//            manifest inside it; many threads; a systematic variation that goes through the network
// Prints     the selected events, nominal and varied
// Needs      a model; tutorials/hepml005_score_in_rdataframe.py makes runs/tutorials/higgs.onnx. Then
//               hepml-root compile runs/tutorials/higgs.onnx -o higgs.so
// Run it     root -l -b -q 'tutorials/hepml005_score_in_rdataframe.C("higgs.so")'             (a few seconds)
//
// Without a compiled library, macros/applyModel.C takes the .onnx itself.

#include "../hepml_root/include/hepml_root/rdf/define.hxx"

#include <ROOT/RDataFrame.hxx>
#include <ROOT/RDFHelpers.hxx>

#include <iostream>
#include <string>

void hepml005_score_in_rdataframe(const char* library) {
   ROOT::EnableImplicitMT(2); // the score is safe in any number of threads
   const std::string file =
       std::string(gROOT->GetTutorialDir().Data()) + "/machine_learning/data/Higgs_data.root";
   const auto model = hepml_root::rdf::Load(library);

   for (const std::string tree : {"sig_tree", "bkg_tree"}) {
      auto scored = hepml_root::rdf::Define(ROOT::RDataFrame(tree, file), model, "score");
      auto total = scored.Count();
      auto passed = scored.Filter("score > 0.5").Count();
      std::cout << tree << ": score > 0.5 for " << 100. * *passed / *total << " % of the events\n";
   }

   // m_bb 3 % up and down: the score is computed again for each, in the same loop.
   ROOT::RDF::RNode varied =
       ROOT::RDataFrame("sig_tree", file)
           .Vary("m_bb", "ROOT::RVecF{m_bb * 0.97f, m_bb * 1.03f}", {"down", "up"}, "scale");
   auto selected = hepml_root::rdf::Define(varied, model, "score").Filter("score > 0.5").Count();
   auto results = ROOT::RDF::Experimental::VariationsFor(selected);
   for (const auto& variation : results.GetKeys())
      std::cout << variation << ": " << results[variation] << " events\n";
}
