// TMVA's pictures of an output file: here a page in HTML.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_TMVAGUI_H
#define HEPML_ROOT_TMVA_SHIM_TMVAGUI_H

#include "../../hepml_root/python_side.hxx"
#include "Types.h"

#include <TString.h>

#include <iostream>

namespace TMVA {

/// Write FILE.html with all pictures that the output file has something for, by hepml-root gui.
///
/// Throws std::runtime_error with the message of the command if the file cannot be read.
inline void TMVAGui(const char* file = "TMVA.root", TString /*dataset*/ = "") {
   std::cout << hepml_root::PythonSide::Run({"gui", file, "--overwrite"});
}

} // namespace TMVA

#endif
