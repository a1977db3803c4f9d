// TMVA's configuration.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_CONFIG_H
#define HEPML_ROOT_TMVA_SHIM_CONFIG_H

#include "Types.h"

namespace TMVA {

/// Nothing of it is changed here: names of files and folders are those of a fresh TMVA.
class Config {
public:
   static Config& Instance() {
      static Config one;
      return one;
   }
};

inline Config& gConfig() { return Config::Instance(); }

} // namespace TMVA

#endif
