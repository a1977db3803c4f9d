// Nothing of TMVA's header of this name is needed to book and train: it gives the Factory alone.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_METHODPYKERAS_H
#define HEPML_ROOT_TMVA_SHIM_METHODPYKERAS_H

#include "Factory.h"

#endif
