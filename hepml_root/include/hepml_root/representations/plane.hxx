// Directions relative to the axis of a jet, in the plane of η and φ: centred, rotated, reflected.

#ifndef HEPML_ROOT_REPRESENTATIONS_PLANE_HXX
#define HEPML_ROOT_REPRESENTATIONS_PLANE_HXX

#include "angles.hxx"
#include "clustering.hxx"
#include "frame.hxx"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

namespace hepml_root {
namespace representations {
inline namespace HEPML_ROOT_TARGET {

/// Settings "axis": "sum" of the four-momenta, "centroid" of pT, "hardest" constituent, "none" for (0, 0),
/// "hardest_phi" for (0, φ of the hardest); values per event "axis_eta" and "axis_phi" are taken in its
/// place, 0 where only one is there. "rotation": "none", "principal" or "subjets". "reflection".
class Plane {
public:
   static std::vector<std::string> settings() { return {"axis", "rotation", "reflection"}; }

   explicit Plane(const Description& description)
       : fAxis(static_cast<Axis>(
             description.choice("axis", {"sum", "centroid", "hardest", "none", "hardest_phi"}))),
         fRotation(static_cast<Rotation>(description.choice("rotation", {"none", "principal", "subjets"}))),
         fReflection(description.flag("reflection", false)), fEta(description.scalar("axis_eta")),
         fPhi(description.scalar("axis_phi")) {
      if (fEta != Description::none || fPhi != Description::none)
         fAxis = Axis::kGiven;
   }

   bool given() const { return fAxis == Axis::kGiven; }

   /// Fill rows x = Δη and y = Δφ from rows pT, η, φ and mass (which may be null).
   void fill(std::size_t count, std::size_t stride, const float* pt, const float* eta, const float* phi,
             const float* mass, const float* scalars, float* x, float* y, Scratch& scratch) const {
      centre(count, stride, pt, eta, phi, scalars, x, y);
      if (fRotation == Rotation::kPrincipal)
         rotate(stride, pt, x, y);
      else if (fRotation == Rotation::kSubjets)
         rotate(cluster(count, pt, eta, phi, mass, Algorithm::kKt, scratch), stride, x, y);
      if (fReflection)
         for (float* row : {x, y})
            if (above(stride, pt, row) < 0)
               flip(stride, row);
   }

   static void flip(std::size_t stride, float* row) {
      for (std::size_t i = 0; i < stride; i += lanes)
         engine::store<Lanes>(row + i, -engine::load<Lanes>(row + i));
   }

private:
   enum class Axis { kSum, kCentroid, kHardest, kNone, kHardestPhi, kGiven };
   enum class Rotation { kNone, kPrincipal, kSubjets };

   /// Directions are taken relative to a constituent first, so that rounding is relative to the size of the
   /// jet, not to where it is.
   void centre(std::size_t count, std::size_t stride, const float* pt, const float* eta, const float* phi,
               const float* scalars, float* x, float* y) const {
      const bool sum = fAxis == Axis::kSum, centroid = fAxis == Axis::kCentroid;
      const std::size_t first = sum || given() || fAxis == Axis::kNone
                                    ? 0
                                    : static_cast<std::size_t>(std::max_element(pt, pt + count) - pt);
      const Lanes eta_0 = all(eta[first]), phi_0 = all(phi[first]);
      Lanes total{}, total_x{}, total_y{}, total_z{};
      for (std::size_t i = 0; i < stride; i += lanes) {
         const Lanes p = engine::load<Lanes>(pt + i);
         const Lanes d_eta = engine::load<Lanes>(eta + i) - eta_0;
         const Lanes d_phi = wrapped(engine::load<Lanes>(phi + i) - phi_0);
         engine::store<Lanes>(x + i, d_eta);
         engine::store<Lanes>(y + i, d_phi);
         if (sum) {
            Lanes sine, cosine;
            sine_cosine(d_phi, sine, cosine);
            total_x += p * cosine;
            total_y += p * sine;
            hyperbolic(engine::load<Lanes>(eta + i), sine, cosine);
            total_z += p * sine;
         } else if (centroid) {
            total += p;
            total_x += p * d_eta;
            total_y += p * d_phi;
         }
      }
      double eta_axis = 0, phi_axis = 0; // relative to that constituent
      switch (fAxis) {
      case Axis::kSum: {
         const double along = engine::sum_of_lanes(total_x), across = engine::sum_of_lanes(total_y);
         const double z = engine::sum_of_lanes(total_z);
         if (!std::isfinite(z) || !std::isfinite(along) || !std::isfinite(across))
            sum_not_finite();
         // Constituents that balance exactly have no axis; the bound keeps it finite.
         eta_axis = std::asinh(z / std::max(std::sqrt(along * along + across * across), 1e-30)) - eta[first];
         phi_axis = std::atan2(across, along);
         break;
      }
      case Axis::kCentroid: {
         const double weight = engine::sum_of_lanes(total);
         eta_axis = engine::sum_of_lanes(total_x) / weight;
         phi_axis = engine::sum_of_lanes(total_y) / weight;
         break;
      }
      case Axis::kHardest:
         break;
      case Axis::kNone:
         phi_axis = -static_cast<double>(phi[first]);
         [[fallthrough]];
      case Axis::kHardestPhi:
         eta_axis = -static_cast<double>(eta[first]);
         break;
      case Axis::kGiven:
         eta_axis = value(scalars, fEta, "axis_eta") - eta[first];
         phi_axis = value(scalars, fPhi, "axis_phi") - phi[first];
         break;
      }
      if (!std::isfinite(eta_axis) || !std::isfinite(phi_axis))
         sum_not_finite();
      const Lanes eta_a = all(static_cast<float>(eta_axis));
      const Lanes phi_a = all(static_cast<float>(std::remainder(phi_axis, 2 * pi)));
      for (std::size_t i = 0; i < stride; i += lanes) {
         engine::store<Lanes>(x + i, engine::load<Lanes>(x + i) - eta_a);
         engine::store<Lanes>(y + i, wrapped(engine::load<Lanes>(y + i) - phi_a));
      }
   }

   static double value(const float* scalars, std::size_t place, const char* name) {
      if (place == Description::none)
         return 0;
      if (!std::isfinite(scalars[place]))
         throw std::domain_error(std::string("'") + name + "' is NaN or infinite");
      return scalars[place];
   }

   /// The pT of what lies above 0 in a row, minus that of what lies below.
   static float above(std::size_t stride, const float* pt, const float* row) {
      Lanes difference{};
      for (std::size_t i = 0; i < stride; i += lanes) {
         const Lanes p = engine::load<Lanes>(pt + i), at = engine::load<Lanes>(row + i);
         difference += engine::select<Lanes>(at > 0.f, p, engine::select<Lanes>(at < 0.f, -p, Lanes{}));
      }
      return engine::sum_of_lanes(difference);
   }

   static void turn(std::size_t stride, float* x, float* y, double angle) {
      const Lanes sine = all(static_cast<float>(std::sin(angle)));
      const Lanes cosine = all(static_cast<float>(std::cos(angle)));
      for (std::size_t i = 0; i < stride; i += lanes) {
         const Lanes a = engine::load<Lanes>(x + i), b = engine::load<Lanes>(y + i);
         engine::store<Lanes>(x + i, a * cosine - b * sine);
         engine::store<Lanes>(y + i, a * sine + b * cosine);
      }
   }

   static void rotate(std::size_t stride, const float* pt, float* x, float* y) {
      Lanes xx{}, xy{}, yy{};
      for (std::size_t i = 0; i < stride; i += lanes) {
         const Lanes p = engine::load<Lanes>(pt + i);
         const Lanes a = engine::load<Lanes>(x + i), b = engine::load<Lanes>(y + i);
         xx += p * a * a;
         xy += p * a * b;
         yy += p * b * b;
      }
      const double difference = static_cast<double>(engine::sum_of_lanes(xx)) - engine::sum_of_lanes(yy);
      turn(stride, x, y, 0.5 * (pi - std::atan2(2. * engine::sum_of_lanes(xy), difference)));
      if (above(stride, pt, y) < 0) {
         flip(stride, x);
         flip(stride, y);
      }
   }

   /// The line from the softer to the harder of the two subjets that were joined last, upwards.
   static void rotate(const History& history, std::size_t stride, float* x, float* y) {
      if (history.leaves < 2)
         return;
      const std::size_t jet = history.jets[0];
      const Branch &harder = history.branches[history.harder(jet)],
                   &softer = history.branches[history.softer(jet)];
      turn(stride, x, y, 0.5 * pi - std::atan2(delta_phi(harder, softer), harder.rapidity - softer.rapidity));
   }

   Axis fAxis;
   Rotation fRotation;
   bool fReflection;
   std::size_t fEta, fPhi;
};

} // namespace HEPML_ROOT_TARGET
} // namespace representations
} // namespace hepml_root

#endif
