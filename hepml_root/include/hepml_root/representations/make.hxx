// The representation that a manifest describes.

#ifndef HEPML_ROOT_REPRESENTATIONS_MAKE_HXX
#define HEPML_ROOT_REPRESENTATIONS_MAKE_HXX

#include "constituents.hxx"
#include "graph.hxx"
#include "image.hxx"
#include "lund.hxx"

#include <memory>
#include <stdexcept>
#include <string>

namespace hepml_root {
namespace representations {
inline namespace HEPML_ROOT_TARGET {

/// {"kind": …, "name": …, "columns": […], "scalars": […], "outputs": […], "settings": {…}}, as the manifest
/// has it. Throws std::invalid_argument for a kind or setting that does not exist.
inline std::unique_ptr<Representation> make(const std::string& json) {
   try {
      const Description description(json);
      if (description.outputs.empty())
         description.fail("has no outputs");
      if (description.kind == "constituents")
         return std::make_unique<ConstituentTensor>(description);
      if (description.kind == "image")
         return std::make_unique<Image>(description);
      if (description.kind == "lund")
         return std::make_unique<LundPlane>(description);
      if (description.kind == "graph")
         return std::make_unique<Graph>(description);
      description.fail("is of a kind that does not exist");
   } catch (const std::runtime_error& error) {
      throw std::invalid_argument(error.what());
   }
}

} // namespace HEPML_ROOT_TARGET
} // namespace representations
} // namespace hepml_root

#endif
