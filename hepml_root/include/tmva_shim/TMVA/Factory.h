// TMVA's Factory, and the classes that its programs use without including their headers: ROOT finds them by
// itself where it has TMVA.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_FACTORY_H
#define HEPML_ROOT_TMVA_SHIM_FACTORY_H

#include "../../hepml_root/Factory.hxx"
#include "CrossValidation.h"
#include "DataLoader.h"
#include "MethodBase.h"
#include "MethodCategory.h"
#include "PyMethodBase.h"
#include "Reader.h"
#include "Tools.h"
#include "Types.h"

namespace TMVA {
using hepml_root::Factory;
}

#endif
