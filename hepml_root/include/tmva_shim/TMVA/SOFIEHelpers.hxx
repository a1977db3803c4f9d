// Stands in for ROOT's header of this name: TMVA::Experimental::SofieFunctor on the sessions of generated
// code.

#ifndef HEPML_ROOT_TMVA_SHIM_SOFIE_HELPERS
#define HEPML_ROOT_TMVA_SHIM_SOFIE_HELPERS

#include "../../hepml_root/rdf/sofie_functor.hxx"

namespace TMVA {
namespace Experimental {

/// A functor for DefineSlot: N columns of type T, the first output value. No alias, which PyROOT would not
/// see.
template <std::size_t N, class Session, class T = float>
class SofieFunctor : public hepml_root::rdf::SofieFunctor<N, Session, T> {
public:
   explicit SofieFunctor(unsigned int slots = 0, const std::string& weights = "")
       : hepml_root::rdf::SofieFunctor<N, Session, T>(slots, weights) {}
};

} // namespace Experimental
} // namespace TMVA

#endif
