// TMVA's Reader.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_READER_H
#define HEPML_ROOT_TMVA_SHIM_READER_H

#include "../../hepml_root/Reader.hxx"
#include "IMethod.h"
#include "Types.h"

namespace TMVA {
using hepml_root::Reader;
}

#endif
