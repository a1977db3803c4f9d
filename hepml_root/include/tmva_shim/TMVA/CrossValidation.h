// TMVA's CrossValidation.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_CROSSVALIDATION_H
#define HEPML_ROOT_TMVA_SHIM_CROSSVALIDATION_H

#include "../../hepml_root/CrossValidation.hxx"
#include "Types.h"

namespace TMVA {
using hepml_root::CrossValidation;
using hepml_root::CrossValidationResult;
} // namespace TMVA

#endif
