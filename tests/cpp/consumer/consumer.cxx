// Prints the model's inputs and the score of one event whose inputs are 0.5, by the library and by the
// header.

#include "hepml_root/manifest.hxx"
#include "higgs.hxx"
#include "higgs_library.hxx"

#include <iostream>
#include <vector>

int main() {
   const auto manifest = hepml_root::Manifest::Parse(higgs_manifest());
   for (const auto& column : manifest.inputs.at(0).columns)
      std::cout << column.label << ' ';

   const std::vector<float> x(hepml_root::Size(manifest.inputs[0].shape), 0.5f);
   float score = -1;
   const float* const inputs[] = {x.data()};
   float* const outputs[] = {&score};
   higgs_infer(inputs, 1, outputs);
   std::cout << score << ' ' << TMVA_SOFIE_higgs::Session().infer(x)[0] << '\n';
}
