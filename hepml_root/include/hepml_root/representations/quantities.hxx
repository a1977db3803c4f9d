// Numbers of each constituent: its momentum, and its place relative to the axis of the jet.
//
// All are computed for one event at a time, constituents in SIMD lanes. Errors against double precision:
// 1e-6 absolute for differences of angles, 2e-6 relative for the others (logarithms: absolute).

#ifndef HEPML_ROOT_REPRESENTATIONS_QUANTITIES_HXX
#define HEPML_ROOT_REPRESENTATIONS_QUANTITIES_HXX

#include "hepml_root/representations/angles.hxx"
#include "hepml_root/representations/description.hxx"
#include "hepml_root/representations/representation.hxx"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace hepml_root {
namespace representations {
inline namespace HEPML_ROOT_TARGET {

/// What is known of a constituent; columns of the user follow from kExtra on.
enum Quantity : std::size_t {
   kPt,
   kEta,
   kPhi,
   kMass,
   kEnergy,
   kPx,
   kPy,
   kPz,
   kDeltaEta,
   kDeltaPhi,
   kDeltaR,
   kLogPt,
   kLogEnergy,
   kPtFraction,
   kEnergyFraction,
   kLogPtFraction,
   kLogEnergyFraction,
   kExtra
};

inline const std::vector<std::string>& quantity_names() {
   static const std::vector<std::string> names = {"pt",
                                                  "eta",
                                                  "phi",
                                                  "mass",
                                                  "energy",
                                                  "px",
                                                  "py",
                                                  "pz",
                                                  "delta_eta",
                                                  "delta_phi",
                                                  "delta_r",
                                                  "log_pt",
                                                  "log_energy",
                                                  "pt_fraction",
                                                  "energy_fraction",
                                                  "log_pt_fraction",
                                                  "log_energy_fraction"};
   return names;
}

/// The quantities of the constituents of one event: row after row, each padded to whole lanes.
struct QuantityRows {
   std::size_t count = 0;
   std::size_t stride = 0;
   float* rows = nullptr;

   float* operator[](std::size_t quantity) const { return rows + quantity * stride; }
};

/// At least `size` floats of the scratch memory, at its place `slot`.
inline float* floats(Scratch& scratch, std::size_t slot, std::size_t size) {
   if (scratch.floats.size() <= slot)
      scratch.floats.resize(slot + 1);
   if (scratch.floats[slot].size() < size)
      scratch.floats[slot].resize(size);
   return scratch.floats[slot].data();
}
inline std::size_t* indices(Scratch& scratch, std::size_t slot, std::size_t size) {
   if (scratch.indices.size() <= slot)
      scratch.indices.resize(slot + 1);
   if (scratch.indices[slot].size() < size)
      scratch.indices[slot].resize(size);
   return scratch.indices[slot].data();
}

/// Computes quantities. Settings: "frame" ("lab", "beam", "jet" with "frame_mass" and "frame_energy"),
/// "rotation" ("none", "principal") and "reflection"; values per event "axis_eta" and "axis_phi".
class Quantities {
public:
   static constexpr std::size_t slot = 0; ///< of the scratch memory

   static std::vector<std::string> settings() {
      return {"frame", "frame_mass", "frame_energy", "rotation", "reflection"};
   }

   explicit Quantities(const Description& description)
       : fLabels(description.columns), fPt(description.needed_column("pt")),
         fEta(description.needed_column("eta")), fPhi(description.needed_column("phi")),
         fMass(description.column("mass")), fAxisEta(description.scalar("axis_eta")),
         fAxisPhi(description.scalar("axis_phi")),
         fFrame(static_cast<Frame>(description.choice("frame", {"lab", "beam", "jet"}))),
         fFrameMass(description.number("frame_mass", 1)), fFrameEnergy(description.number("frame_energy", 1)),
         fRotation(static_cast<Rotation>(description.choice("rotation", {"none", "principal"}))),
         fReflection(description.flag("reflection", false)), fNeeded(kExtra, false) {
      for (std::size_t i = 0; i < fLabels.size(); ++i)
         if (i != fPt && i != fEta && i != fPhi && i != fMass)
            fExtra.push_back(i);
      if ((fAxisEta == Description::none) != (fAxisPhi == Description::none))
         description.fail("needs both axis_eta and axis_phi, or neither");
      if (fFrame != Frame::kLab && given_axis())
         description.fail("takes its frame from its constituents: it cannot have another axis");
      if (!(fFrameMass > 0) || !(fFrameEnergy >= fFrameMass))
         description.fail("needs 0 < frame_mass <= frame_energy");
   }

   /// The quantity of this name, computed from now on.
   std::size_t need(const std::string& name, const Description& description) {
      for (std::size_t i = 0; i < fExtra.size(); ++i)
         if (fLabels[fExtra[i]] == name)
            return kExtra + i;
      const std::vector<std::string>& names = quantity_names();
      const std::size_t found =
          static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
      if (found == names.size())
         description.fail("has no feature '" + name + "'");
      need(found);
      return found;
   }

   void need(std::size_t quantity) {
      fNeeded[quantity] = true;
      if (quantity == kDeltaR) // rotated and reflected together
         fNeeded[kDeltaEta] = fNeeded[kDeltaPhi] = true;
      fRelative = fNeeded[kDeltaEta] || fNeeded[kDeltaPhi];
      fEnergies = fNeeded[kEnergy] || fNeeded[kLogEnergy] || fNeeded[kEnergyFraction] ||
                  fNeeded[kLogEnergyFraction] || fNeeded[kPz];
      fCartesian = fNeeded[kPx] || fNeeded[kPy];
   }

   /// Compute them for one event; constituents without positive pT are left out, and counted in `losses`.
   /// The rows stay until the next call with the same scratch memory.
   QuantityRows compute(const Constituents& event, Scratch& scratch, Losses& losses) const {
      QuantityRows result = copy(event, scratch, losses);
      if (result.count == 0) {
         ++losses.empty;
         return result;
      }
      if (fFrame != Frame::kLab && !to_frame(result)) {
         losses.dropped += result.count;
         result.count = 0;
         return result;
      }
      const float total_pt = fRelative ? relative(result, event) : sum(result[kPt], result.stride);
      if (fRelative && fRotation != Rotation::kNone)
         rotate(result);
      if (fRelative && fReflection)
         reflect(result);
      momenta(result, total_pt);
      return result;
   }

private:
   enum class Frame { kLab, kBeam, kJet };
   enum class Rotation { kNone, kPrincipal };

   bool given_axis() const { return fAxisEta != Description::none; }

   static float sum(const float* row, std::size_t stride) {
      Lanes total{};
      for (std::size_t i = 0; i < stride; i += lanes)
         total += engine::load<Lanes>(row + i);
      return engine::sum_of_lanes(total);
   }

   /// The columns of the event as rows, followed by zeros up to whole lanes.
   QuantityRows copy(const Constituents& event, Scratch& scratch, Losses& losses) const {
      const float* pt = event.columns[fPt];
      std::size_t kept = 0;
      for (std::size_t i = 0; i < event.count; ++i)
         kept += pt[i] > 0.f ? 1 : 0;
      const std::size_t stride = whole_lanes(kept);
      QuantityRows result{kept, stride, floats(scratch, slot, (kExtra + fExtra.size()) * stride)};
      std::size_t* chosen = nullptr;
      if (kept != event.count) {
         chosen = indices(scratch, slot, event.count);
         kept = 0;
         for (std::size_t i = 0; i < event.count; ++i) {
            if (!std::isfinite(pt[i]))
               not_finite(fPt, i);
            if (pt[i] > 0.f)
               chosen[kept++] = i;
         }
         losses.dropped += event.count - kept;
      }
      engine::Mask<Lanes> bad{};
      const auto take = [&](std::size_t column, std::size_t quantity) {
         const float* from = event.columns[column];
         float* row = result[quantity];
         if (stride > 0)
            engine::store<Lanes>(row + stride - lanes, Lanes{});
         if (chosen)
            for (std::size_t i = 0; i < kept; ++i)
               row[i] = from[chosen[i]];
         else
            std::memcpy(row, from, kept * sizeof(float));
         for (std::size_t i = 0; i < stride; i += lanes)
            bad |= (engine::bits(engine::load<Lanes>(row + i)) & 0x7f800000) == 0x7f800000;
      };
      if (kept == 0)
         return result;
      take(fPt, kPt);
      take(fEta, kEta);
      take(fPhi, kPhi);
      if (fMass != Description::none)
         take(fMass, kMass);
      else if (fNeeded[kMass])
         std::fill(result[kMass], result[kMass] + stride, 0.f);
      for (std::size_t i = 0; i < fExtra.size(); ++i)
         take(fExtra[i], kExtra + i);
      if (any(bad))
         for (std::size_t column = 0; column < fLabels.size(); ++column)
            for (std::size_t i = 0; i < kept; ++i)
               if (!std::isfinite(event.columns[column][chosen ? chosen[i] : i]))
                  not_finite(column, chosen ? chosen[i] : i);
      return result;
   }

   static bool any(engine::Mask<Lanes> mask) {
      std::int32_t found = 0;
      for (std::size_t i = 0; i < lanes; ++i)
         found |= mask[i];
      return found != 0;
   }

   [[noreturn]] void not_finite(std::size_t column, std::size_t constituent) const {
      throw std::domain_error("the column '" + fLabels[column] + "' is NaN or infinite for constituent " +
                              std::to_string(constituent));
   }

   [[noreturn]] static void too_large() {
      throw std::domain_error("the sum of the constituents is not finite: 'pt' or 'eta' is too large");
   }

   /// Boost all constituents; false where the jet has no mass that could be brought to another.
   bool to_frame(QuantityRows& rows) const {
      double px = 0, py = 0, pz = 0, energy = 0;
      const bool massive = fMass != Description::none;
      for (std::size_t i = 0; i < rows.count; ++i) {
         const double pt = rows[kPt][i], mass = massive ? rows[kMass][i] : 0.;
         const double z = pt * std::sinh(static_cast<double>(rows[kEta][i]));
         px += pt * std::cos(static_cast<double>(rows[kPhi][i]));
         py += pt * std::sin(static_cast<double>(rows[kPhi][i]));
         pz += z;
         energy += std::sqrt(pt * pt + z * z + mass * mass);
      }
      if (!std::isfinite(energy))
         too_large();
      const double momentum = std::sqrt(px * px + py * py + pz * pz);
      const double square = (energy - momentum) * (energy + momentum);
      // Floats do not tell a mass below this from none.
      if (square <= 1e-12 * energy * energy)
         return false;
      const double scale = fFrame == Frame::kJet ? fFrameMass / std::sqrt(square) : 1.;
      const double phi_axis = std::atan2(py, px), pt_axis = std::hypot(px, py);
      const double tilt = momentum > 0 ? pz / momentum : 0.,
                   straight = momentum > 0 ? pt_axis / momentum : 1.;
      // To the energy wanted, along the jet: the difference of the rapidities along it.
      const double wanted = std::acosh(std::max(1., fFrameEnergy / fFrameMass));
      const double shift = fFrame == Frame::kJet ? wanted - std::asinh(momentum / std::sqrt(square))
                                                 : -std::asinh(pz / std::sqrt(energy * energy - pz * pz));
      const double sine = std::sinh(shift), cosine = std::cosh(shift);
      for (std::size_t i = 0; i < rows.count; ++i) {
         const double pt = scale * rows[kPt][i], mass = massive ? scale * rows[kMass][i] : 0.;
         double phi = rows[kPhi][i];
         double z = pt * std::sinh(static_cast<double>(rows[kEta][i]));
         const double e = std::sqrt(pt * pt + z * z + mass * mass);
         if (fFrame == Frame::kBeam) {
            rows[kEta][i] = static_cast<float>(std::asinh((cosine * z + sine * e) / pt));
            continue;
         }
         // The jet onto the x axis: about the beam, then in the plane of beam and jet; then boosted along x.
         phi -= phi_axis;
         const double x = pt * std::cos(phi), y = pt * std::sin(phi);
         const double along = straight * x + tilt * z;
         z = straight * z - tilt * x;
         const double boosted = cosine * along + sine * e;
         const double across = std::max(std::hypot(boosted, y), 1e-30);
         rows[kPt][i] = static_cast<float>(across);
         rows[kEta][i] = static_cast<float>(std::asinh(z / across));
         rows[kPhi][i] = static_cast<float>(std::atan2(y, boosted));
         if (massive)
            rows[kMass][i] = static_cast<float>(mass);
      }
      return true;
   }

   /// Rows delta_eta and delta_phi; gives the sum of pT. Directions are taken relative to the first
   /// constituent, so that rounding is relative to the size of the jet, not to where it is.
   float relative(const QuantityRows& rows, const Constituents& event) const {
      const float *pt = rows[kPt], *eta = rows[kEta], *phi = rows[kPhi];
      float *delta_eta = rows[kDeltaEta], *delta_phi = rows[kDeltaPhi];
      const Lanes eta_0 = all(eta[0]), phi_0 = all(phi[0]);
      const bool given = given_axis();
      Lanes total{}, total_x{}, total_y{}, total_sinh{}, total_cosh{};
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         const Lanes p = engine::load<Lanes>(pt + i);
         const Lanes d_eta = engine::load<Lanes>(eta + i) - eta_0;
         const Lanes d_phi = wrapped(engine::load<Lanes>(phi + i) - phi_0);
         engine::store<Lanes>(delta_eta + i, d_eta);
         engine::store<Lanes>(delta_phi + i, d_phi);
         total += p;
         if (!given) {
            Lanes sine, cosine;
            sine_cosine(d_phi, sine, cosine);
            total_x += p * cosine;
            total_y += p * sine;
            hyperbolic(d_eta, sine, cosine);
            total_sinh += p * sine;
            total_cosh += p * cosine;
         }
      }
      const float total_pt = engine::sum_of_lanes(total);
      double eta_axis = 0, phi_axis = 0;
      if (given) {
         for (const std::size_t place : {fAxisEta, fAxisPhi})
            if (!std::isfinite(event.scalars[place]))
               throw std::domain_error(std::string("'") + (place == fAxisEta ? "axis_eta" : "axis_phi") +
                                       "' is NaN or infinite");
         eta_axis = static_cast<double>(event.scalars[fAxisEta]) - eta[0];
         phi_axis = wrapped(static_cast<double>(event.scalars[fAxisPhi]) - phi[0]);
      } else {
         const double x = engine::sum_of_lanes(total_x), y = engine::sum_of_lanes(total_y);
         const double first = eta[0];
         const double z = std::sinh(first) * engine::sum_of_lanes(total_cosh) +
                          std::cosh(first) * engine::sum_of_lanes(total_sinh);
         if (!std::isfinite(z) || !std::isfinite(x) || !std::isfinite(y))
            too_large();
         // Constituents that balance exactly have no axis; the bound keeps it finite.
         eta_axis = std::asinh(z / std::max(std::sqrt(x * x + y * y), 1e-30)) - first;
         phi_axis = std::atan2(y, x);
      }
      const Lanes eta_a = all(static_cast<float>(eta_axis)), phi_a = all(static_cast<float>(phi_axis));
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         engine::store<Lanes>(delta_eta + i, engine::load<Lanes>(delta_eta + i) - eta_a);
         engine::store<Lanes>(delta_phi + i, wrapped(engine::load<Lanes>(delta_phi + i) - phi_a));
      }
      return total_pt;
   }

   /// The pT of what lies above 0 in a row, minus that of what lies below.
   static float above(const QuantityRows& rows, const float* row) {
      Lanes difference{};
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         const Lanes p = engine::load<Lanes>(rows[kPt] + i), x = engine::load<Lanes>(row + i);
         difference += engine::select<Lanes>(x > 0.f, p, engine::select<Lanes>(x < 0.f, -p, Lanes{}));
      }
      return engine::sum_of_lanes(difference);
   }

   static void turn(const QuantityRows& rows, float sine, float cosine) {
      float *x = rows[kDeltaEta], *y = rows[kDeltaPhi];
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         const Lanes a = engine::load<Lanes>(x + i), b = engine::load<Lanes>(y + i);
         engine::store<Lanes>(x + i, a * cosine - b * sine);
         engine::store<Lanes>(y + i, a * sine + b * cosine);
      }
   }

   static void rotate(const QuantityRows& rows) {
      Lanes xx{}, xy{}, yy{};
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         const Lanes p = engine::load<Lanes>(rows[kPt] + i);
         const Lanes a = engine::load<Lanes>(rows[kDeltaEta] + i),
                     b = engine::load<Lanes>(rows[kDeltaPhi] + i);
         xx += p * a * a;
         xy += p * a * b;
         yy += p * b * b;
      }
      const double angle =
          0.5 * std::atan2(2. * engine::sum_of_lanes(xy),
                           static_cast<double>(engine::sum_of_lanes(xx)) - engine::sum_of_lanes(yy));
      // The axis at this angle goes to pi/2.
      turn(rows, static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle)));
      if (above(rows, rows[kDeltaPhi]) < 0)
         turn(rows, 0.f, -1.f);
   }

   static void reflect(const QuantityRows& rows) {
      for (const std::size_t quantity : {kDeltaEta, kDeltaPhi})
         if (above(rows, rows[quantity]) < 0)
            for (std::size_t i = 0; i < rows.stride; i += lanes)
               engine::store<Lanes>(rows[quantity] + i, -engine::load<Lanes>(rows[quantity] + i));
   }

   void momenta(const QuantityRows& rows, float total_pt) const {
      const bool massive = fMass != Description::none;
      const bool fractions = fNeeded[kPtFraction];
      const Lanes inverse = all(1.f / total_pt), log_total = all(std::log(total_pt));
      Lanes total_energy{};
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         const Lanes pt = engine::load<Lanes>(rows[kPt] + i);
         const auto keep = [&](std::size_t quantity, Lanes value) {
            engine::store<Lanes>(rows[quantity] + i, value);
         };
         if (fNeeded[kLogPt] || fNeeded[kLogPtFraction]) {
            const Lanes logarithm = engine::logarithm<Lanes>(pt);
            keep(kLogPt, logarithm);
            keep(kLogPtFraction, logarithm - log_total);
         }
         if (fractions)
            keep(kPtFraction, pt * inverse);
         if (fNeeded[kDeltaR]) {
            const Lanes x = engine::load<Lanes>(rows[kDeltaEta] + i);
            const Lanes y = engine::load<Lanes>(rows[kDeltaPhi] + i);
            keep(kDeltaR, root(x * x + y * y));
         }
         if (fCartesian) {
            Lanes sine, cosine;
            sine_cosine(engine::load<Lanes>(rows[kPhi] + i), sine, cosine);
            keep(kPx, pt * cosine);
            keep(kPy, pt * sine);
         }
         if (fEnergies) {
            Lanes sine, cosine;
            hyperbolic(engine::load<Lanes>(rows[kEta] + i), sine, cosine);
            Lanes energy = pt * cosine;
            if (massive) {
               const Lanes mass = engine::load<Lanes>(rows[kMass] + i);
               energy = root(energy * energy + mass * mass);
            }
            keep(kPz, pt * sine);
            keep(kEnergy, energy);
            total_energy += energy;
            if (fNeeded[kLogEnergy] || fNeeded[kLogEnergyFraction])
               keep(kLogEnergy, engine::logarithm<Lanes>(energy));
         }
      }
      if (!fEnergies)
         return;
      const float total = engine::sum_of_lanes(total_energy);
      if (!std::isfinite(total))
         too_large();
      if (!fNeeded[kEnergyFraction] && !fNeeded[kLogEnergyFraction])
         return;
      const Lanes inverse_energy = all(1.f / total), log_energy = all(std::log(total));
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         engine::store<Lanes>(rows[kEnergyFraction] + i,
                              engine::load<Lanes>(rows[kEnergy] + i) * inverse_energy);
         if (fNeeded[kLogEnergyFraction])
            engine::store<Lanes>(rows[kLogEnergyFraction] + i,
                                 engine::load<Lanes>(rows[kLogEnergy] + i) - log_energy);
      }
   }

   std::vector<std::string> fLabels;
   std::size_t fPt, fEta, fPhi, fMass, fAxisEta, fAxisPhi;
   Frame fFrame;
   double fFrameMass, fFrameEnergy;
   Rotation fRotation;
   bool fReflection;
   std::vector<std::size_t> fExtra; ///< places of the columns that have no meaning of their own
   std::vector<bool> fNeeded;
   bool fRelative = false, fEnergies = false, fCartesian = false;
};

} // namespace HEPML_ROOT_TARGET
} // namespace representations
} // namespace hepml_root

#endif
