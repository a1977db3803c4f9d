// Two generated networks in one event loop, as functors with compiled column types, with a systematic
// variation of an input.
//
//    cp macros/functors.C .
//    hepml-root compile higgs.onnx -o higgs.hxx
//    hepml-root compile jets.onnx -o jets.hxx
//    export ROOT_INCLUDE_PATH=$(hepml-root config --include-dir)
//    root -l -b -q 'functors.C+("Higgs_data.root", "sig_tree")'
//
// `higgs` takes the 28 columns of the file as numbers, `jets` the jets as jagged columns pt and eta. The "+"
// compiles the macro: interpreted, it computes the same, slower.

#include "higgs.hxx"
#include "jets.hxx"

#include "hepml_root/rdf/functor.hxx"

#include <ROOT/RDataFrame.hxx>
#include <ROOT/RDFHelpers.hxx>
#include <ROOT/RVec.hxx>

#include <iostream>
#include <string>
#include <vector>

void functors(const char* file, const char* tree) {
   using hepml_root::rdf::Functor;
   using hepml_root::rdf::SofieFunctor;
   ROOT::EnableImplicitMT(2);
   ROOT::RDF::RNode frame = ROOT::RDataFrame(tree, file);

   std::vector<std::string> inputs = {"lepton_pT", "lepton_eta", "lepton_phi", "missing_energy_magnitude",
                                      "missing_energy_phi"};
   for (const std::string jet : {"jet1", "jet2", "jet3", "jet4"}) {
      frame = frame.Alias(jet + "_btag", jet + "_b-tag"); // a name that C++ takes
      for (const std::string what : {"pt", "eta", "phi", "btag"})
         inputs.push_back(jet + "_" + what);
   }
   for (const std::string mass : {"m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb"})
      inputs.push_back(mass);

   // Only the jets above a threshold: a different number in each event.
   frame = frame.Define("jet_pt", "ROOT::RVecF pt{jet1_pt, jet2_pt, jet3_pt, jet4_pt}; return pt[pt > 0.7];")
               .Define("jet_eta", "ROOT::RVecF pt{jet1_pt, jet2_pt, jet3_pt, jet4_pt}, "
                                  "eta{jet1_eta, jet2_eta, jet3_eta, jet4_eta}; return eta[pt > 0.7];");

   const auto slots = frame.GetNSlots();
   auto scored =
       frame.Vary("m_bb", [](float m) { return ROOT::RVecF{0.9f * m, 1.1f * m}; }, {"m_bb"}, {"down", "up"})
           .DefineSlot("score", SofieFunctor<28, TMVA_SOFIE_higgs::Session>(slots), inputs)
           .DefineSlot("top", Functor<TMVA_SOFIE_jets::Session, ROOT::RVecF, ROOT::RVecF>(slots),
                       {"jet_pt", "jet_eta"});
   auto means = ROOT::RDF::Experimental::VariationsFor(scored.Mean("score"));
   auto top = scored.Mean("top");
   std::cout.precision(8);
   for (const auto& variation : means.GetKeys())
      std::cout << "mean score, " << variation << ": " << means[variation] << '\n';
   std::cout << "mean top score: " << *top << '\n';
}
