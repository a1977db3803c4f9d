// TMVA's constants.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_TYPES_H
#define HEPML_ROOT_TMVA_SHIM_TYPES_H

#include "../../hepml_root/Types.hxx"

// What TMVA's programs ask for is there: networks on the processor, and Keras.
#ifndef R__HAS_TMVACPU
#define R__HAS_TMVACPU
#endif
#ifndef R__HAS_PYMVA
#define R__HAS_PYMVA
#endif

namespace TMVA {
using hepml_root::Types;
namespace Experimental {}
} // namespace TMVA

#endif
