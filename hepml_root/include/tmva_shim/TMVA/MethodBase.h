// A method that was booked in a Factory.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_METHODBASE_H
#define HEPML_ROOT_TMVA_SHIM_METHODBASE_H

#include "../../hepml_root/Factory.hxx"
#include "Types.h"

namespace TMVA {
using hepml_root::MethodBase;
}

#endif
