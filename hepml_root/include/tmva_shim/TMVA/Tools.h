// TMVA's tools, as far as its users call them.
// In the place of TMVA's header of this name: see docs/tmva_cpp.md.

#ifndef HEPML_ROOT_TMVA_SHIM_TOOLS_H
#define HEPML_ROOT_TMVA_SHIM_TOOLS_H

#include "Types.h"

#include <TString.h>

#include <vector>

namespace TMVA {

class Tools {
public:
   static Tools& Instance() {
      static Tools one;
      return one;
   }

   /// The parts of a text, which are divided by a sign.
   std::vector<TString> SplitString(const TString& text, char separator) const {
      std::vector<TString> parts;
      Ssiz_t begin = 0;
      for (Ssiz_t end = text.Index(separator); end != kNPOS; end = text.Index(separator, begin)) {
         parts.emplace_back(text(begin, end - begin));
         begin = end + 1;
      }
      if (begin < text.Length())
         parts.emplace_back(text(begin, text.Length() - begin));
      return parts;
   }
};

inline Tools& gTools() { return Tools::Instance(); }

} // namespace TMVA

#endif
