// The method Cuts, as it is booked in a Reader.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_METHODCUTS_H
#define HEPML_ROOT_TMVA_SHIM_METHODCUTS_H

#include "../../hepml_root/Reader.hxx"

namespace TMVA {
using MethodCuts = hepml_root::BookedCuts;
}

#endif
