// What TMVA's programs ask of Python.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_PYMETHODBASE_H
#define HEPML_ROOT_TMVA_SHIM_PYMETHODBASE_H

#include "../../hepml_root/conversation.hxx"
#include "Types.h"

#include <TString.h>

namespace TMVA {

/// The Python that trains.
inline TString Python_Executable() {
   return hepml_root::Conversation::Instance().Call("", "python").Text().c_str();
}

struct PyMethodBase {
   /// Nothing is to be done: Python runs in a process of its own.
   static void PyInitialize() {}
   static void PyFinalize() {}
   static int PyIsInitialized() { return 1; }
};

} // namespace TMVA

#endif
