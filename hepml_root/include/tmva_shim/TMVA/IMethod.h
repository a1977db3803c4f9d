// A method that is booked in a Reader.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_IMETHOD_H
#define HEPML_ROOT_TMVA_SHIM_IMETHOD_H

#include "../../hepml_root/Reader.hxx"

namespace TMVA {
using IMethod = hepml_root::BookedMethod;
}

#endif
