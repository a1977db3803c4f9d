// A generated header in a macro of one's own, with nothing else of hepml_root.
//
//    cp macros/inferHeader.C . && hepml-root compile higgs.onnx -o higgs.hxx      # side by side
//    root -l -b -q 'inferHeader.C+("Higgs_data.root", "sig_tree")'
//
// The "+" compiles the macro, which makes the network several times faster than interpreting it. Here the
// columns are named by hand; the model's manifest has them too (hepml_root/manifest.hxx reads it).

#include "higgs.hxx"

#include <ROOT/RDataFrame.hxx>

#include <iostream>
#include <string>
#include <vector>

void inferHeader(const char* file, const char* tree) {
   ROOT::EnableImplicitMT();
   ROOT::RDF::RNode frame = ROOT::RDataFrame(tree, file);

   // A branch whose name is no C++ name gets another one.
   std::string inputs = "lepton_pT, lepton_eta, lepton_phi, missing_energy_magnitude, missing_energy_phi";
   for (const std::string jet : {"jet1", "jet2", "jet3", "jet4"}) {
      frame = frame.Alias(jet + "_btag", jet + "_b-tag");
      inputs += ", " + jet + "_pt, " + jet + "_eta, " + jet + "_phi, " + jet + "_btag";
   }
   inputs += ", m_jj, m_jjj, m_lv, m_jlv, m_bb, m_wbb, m_wwbb";

   // One Session for each slot.
   std::vector<TMVA_SOFIE_higgs::Session> sessions(frame.GetNSlots());
   auto scored = frame.Define("inputs", "std::vector<float>{" + inputs + "}")
                     .DefineSlot("score",
                                 [&sessions](unsigned int slot, const std::vector<float>& x) {
                                    return sessions[slot].infer(x)[0];
                                 },
                                 {"inputs"});
   auto mean = scored.Mean("score");
   auto selected = scored.Filter("score > 0.5").Count();
   std::cout << "mean score " << *mean << ", " << *selected << " events above 0.5\n";
}
