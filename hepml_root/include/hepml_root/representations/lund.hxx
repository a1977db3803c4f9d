// The primary Lund plane of a jet: its Cambridge/Aachen splittings along the harder branch.

#ifndef HEPML_ROOT_REPRESENTATIONS_LUND_HXX
#define HEPML_ROOT_REPRESENTATIONS_LUND_HXX

#include "quantities.hxx"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace hepml_root {
namespace representations {
inline namespace HEPML_ROOT_TARGET {

/// Kind "lund": outputs "jagged" (splittings, features) and "mask" (splittings), the widest angle first. For
/// a splitting into a and b, pT_a >= pT_b (arXiv:1807.04758): delta, with rapidities; kt = pT_b delta; z =
/// pT_b / (pT_a + pT_b); kappa = z delta; psi, the azimuth of b about a; mass. Setting "features".
class LundPlane : public Representation {
public:
   static const std::vector<std::string>& names() {
      // clang-format off
      static const std::vector<std::string> all_names = {
          "delta", "kt", "z", "kappa", "psi", "mass",
          "log_inverse_delta", "log_kt", "log_inverse_z", "log_kappa", "log_mass"};
      // clang-format on
      return all_names;
   }

   explicit LundPlane(const Description& description)
       : fColumns(description.columns.size()), fScalars(description.scalars.size()),
         fQuantities(description) {
      std::vector<std::string> settings = Quantities::settings();
      settings.push_back("features");
      description.check(settings, {"jagged", "mask"});
      for (const std::string& feature : description.texts("features")) {
         const auto found = std::find(names().begin(), names().end(), feature);
         if (found == names().end())
            description.fail("has no feature '" + feature + "'");
         fFeatures.push_back(static_cast<std::size_t>(found - names().begin()));
      }
      const std::vector<std::size_t>& shape = description.outputs[0].shape;
      if (shape.size() != 2 || shape[1] != fFeatures.size() || description.outputs[1].size() != shape[0])
         description.fail("has outputs of other shapes than (splittings, features) and (splittings)");
      fLength = shape[0];
   }

   std::size_t columns() const override { return fColumns; }
   std::size_t scalars() const override { return fScalars; }
   std::size_t outputs() const override { return 2; }
   std::size_t size(std::size_t output) const override {
      return output == 0 ? fLength * fFeatures.size() : fLength;
   }

   Losses fill(const Constituents& event, float* const* outputs, Scratch& scratch) const override {
      Losses losses;
      float* values = outputs[0];
      const QuantityRows rows = fQuantities.compute(event, scratch, losses);
      std::size_t splittings = 0;
      if (rows.count > 0) {
         const History history =
             cluster(rows.count, rows[kPt], rows[kEta], rows[kPhi],
                     fQuantities.massive() ? rows[kMass] : nullptr, Algorithm::kCambridge, scratch);
         for (std::size_t at = history.jets[0]; at >= history.leaves; at = history.harder(at), ++splittings)
            if (splittings < fLength)
               values = write(history.branches[at], history.branches[history.harder(at)],
                              history.branches[history.softer(at)], values);
      }
      const std::size_t kept = std::min(splittings, fLength);
      losses.truncated += splittings - kept;
      std::fill(values, outputs[0] + size(0), 0.f);
      std::fill(outputs[1], outputs[1] + kept, 1.f);
      std::fill(outputs[1] + kept, outputs[1] + fLength, 0.f);
      return losses;
   }

private:
   // What is smaller, as the angle of two constituents in one direction, counts as this: it has a logarithm.
   static constexpr double least = 1e-6;

   float* write(const Branch& both, const Branch& harder, const Branch& softer, float* values) const {
      const double rapidity = softer.rapidity - harder.rapidity, phi = delta_phi(softer, harder);
      const double delta = std::max(std::sqrt(rapidity * rapidity + phi * phi), least);
      const double z = softer.pt / (harder.pt + softer.pt);
      const double mass = std::max(std::sqrt(std::max(both.mass_squared(), 0.)), least);
      for (const std::size_t feature : fFeatures)
         *values++ = static_cast<float>([&] {
            switch (feature) {
            case 0:
               return delta;
            case 1:
               return softer.pt * delta;
            case 2:
               return z;
            case 3:
               return z * delta;
            case 4:
               return std::atan2(phi, rapidity);
            case 5:
               return mass;
            case 6:
               return -std::log(delta);
            case 7:
               return std::log(softer.pt * delta);
            case 8:
               return -std::log(z);
            case 9:
               return std::log(z * delta);
            default:
               return std::log(mass);
            }
         }());
      return values;
   }

   std::size_t fColumns, fScalars;
   Quantities fQuantities;
   std::size_t fLength = 0;
   std::vector<std::size_t> fFeatures;
};

} // namespace HEPML_ROOT_TARGET
} // namespace representations
} // namespace hepml_root

#endif
