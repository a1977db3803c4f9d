// The method that has others for regions of its own.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_METHODCATEGORY_H
#define HEPML_ROOT_TMVA_SHIM_METHODCATEGORY_H

#include "MethodBase.h"

namespace TMVA {
using hepml_root::MethodCategory;
}

#endif
