// TMVA's DataLoader.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_DATALOADER_H
#define HEPML_ROOT_TMVA_SHIM_DATALOADER_H

#include "../../hepml_root/DataLoader.hxx"
#include "Types.h"

namespace TMVA {
using hepml_root::DataLoader;
}

#endif
