// TMVA's Factory.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_FACTORY_H
#define HEPML_ROOT_TMVA_SHIM_FACTORY_H

#include "../../hepml_root/Factory.hxx"
#include "MethodBase.h"
#include "Types.h"

namespace TMVA {
using hepml_root::Factory;
}

#endif
