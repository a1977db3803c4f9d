// Stands in for ROOT's header of this name: TMVA::Experimental::SofieFunctor on the sessions of generated code.

#ifndef HEPML_ROOT_TMVA_SHIM_SOFIE_HELPERS
#define HEPML_ROOT_TMVA_SHIM_SOFIE_HELPERS

#include "../../hepml_root/rdf/sofie_functor.hxx"

namespace TMVA {
namespace Experimental {

template <std::size_t N, class Session, class T = float>
using SofieFunctor = hepml_root::rdf::SofieFunctor<N, Session, T>;

} // namespace Experimental
} // namespace TMVA

#endif
