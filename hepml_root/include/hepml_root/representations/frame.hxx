// Momenta in another frame: at rest along the beam, or at a mass and energy that are the same for all jets.

#ifndef HEPML_ROOT_REPRESENTATIONS_FRAME_HXX
#define HEPML_ROOT_REPRESENTATIONS_FRAME_HXX

#include "description.hxx"
#include "scratch.hxx"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace hepml_root {
namespace representations {

[[noreturn]] inline void sum_not_finite() {
   throw std::domain_error("the sum of the constituents is not finite: 'pt' or 'eta' is too large");
}

/// Settings "frame": "lab"; "beam", where the rapidity of the jet is 0; "jet", where its mass is
/// "frame_mass", its energy "frame_energy", and it flies along x. In double precision.
class Frame {
public:
   static std::vector<std::string> settings() { return {"frame", "frame_mass", "frame_energy"}; }

   explicit Frame(const Description& description)
       : fKind(static_cast<Kind>(description.choice("frame", {"lab", "beam", "jet"}))),
         fMass(description.number("frame_mass", 1)), fEnergy(description.number("frame_energy", 1)) {
      if (!(fMass > 0) || !(fEnergy >= fMass))
         description.fail("needs 0 < frame_mass <= frame_energy");
   }

   bool changes() const { return fKind != Kind::kLab; }

   /// Change rows of pT, η, φ and mass (which may be null); false where the jet has no mass to be boosted by.
   bool apply(std::size_t count, float* pt, float* eta, float* phi, float* mass) const {
      double px = 0, py = 0, pz = 0, energy = 0;
      for (std::size_t i = 0; i < count; ++i) {
         const double p = pt[i], m = mass ? mass[i] : 0.f, z = p * std::sinh(static_cast<double>(eta[i]));
         px += p * std::cos(static_cast<double>(phi[i]));
         py += p * std::sin(static_cast<double>(phi[i]));
         pz += z;
         energy += std::sqrt(p * p + z * z + m * m);
      }
      if (!std::isfinite(energy))
         sum_not_finite();
      if (fKind == Kind::kBeam) {
         const double rapidity = std::atanh(pz / energy);
         if (!std::isfinite(rapidity)) // so far along the beam that it cannot be told from lying in it
            sum_not_finite();
         along_beam(count, pt, eta, mass, -rapidity);
         return true;
      }
      const double across = std::hypot(px, py), momentum = std::hypot(across, pz);
      const double square = (energy - momentum) * (energy + momentum);
      // Single precision does not tell a mass below this from none.
      if (square <= 1e-12 * energy * energy)
         return false;
      const double jet_mass = std::sqrt(square), scale = fMass / jet_mass;
      const double phi_jet = std::atan2(py, px);
      const double tilt = momentum > 0 ? pz / momentum : 0., straight = momentum > 0 ? across / momentum : 1.;
      // A difference of rapidities along the jet.
      const double shift = std::acosh(std::max(1., fEnergy / fMass)) - std::asinh(momentum / jet_mass);
      const double sine = std::sinh(shift), cosine = std::cosh(shift);
      for (std::size_t i = 0; i < count; ++i) {
         const double p = scale * pt[i], m = mass ? scale * mass[i] : 0.;
         const double angle = static_cast<double>(phi[i]) - phi_jet;
         const double x = p * std::cos(angle), y = p * std::sin(angle);
         const double z = p * std::sinh(static_cast<double>(eta[i]));
         const double e = std::sqrt(p * p + z * z + m * m);
         const double along = cosine * (straight * x + tilt * z) + sine * e;
         const double transverse = std::max(std::hypot(along, y), 1e-30);
         pt[i] = static_cast<float>(transverse);
         eta[i] = static_cast<float>(std::asinh((straight * z - tilt * x) / transverse));
         phi[i] = static_cast<float>(std::atan2(y, along));
         if (mass)
            mass[i] = static_cast<float>(m);
      }
      return true;
   }

private:
   enum class Kind { kLab, kBeam, kJet };

   static void along_beam(std::size_t count, const float* pt, float* eta, const float* mass, double shift) {
      const double sine = std::sinh(shift), cosine = std::cosh(shift);
      for (std::size_t i = 0; i < count; ++i) {
         if (!mass || mass[i] == 0.f) { // rapidity and pseudorapidity are the same
            eta[i] = static_cast<float>(eta[i] + shift);
            continue;
         }
         const double p = pt[i], m = mass[i], z = p * std::sinh(static_cast<double>(eta[i]));
         eta[i] = static_cast<float>(std::asinh((cosine * z + sine * std::sqrt(p * p + z * z + m * m)) / p));
      }
   }

   Kind fKind;
   double fMass, fEnergy;
};

} // namespace representations
} // namespace hepml_root

#endif
