// TMVA's pictures of an output file: see TMVAGui.h.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_TMVAMULTICLASSGUI_H
#define HEPML_ROOT_TMVA_SHIM_TMVAMULTICLASSGUI_H

#include "TMVAGui.h"

namespace TMVA {
inline void TMVAMultiClassGui(const char* file = "TMVA.root", TString dataset = "") {
   TMVAGui(file, dataset);
}
} // namespace TMVA

#endif
