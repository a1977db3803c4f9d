// Numbers of each constituent: its momentum, and its place relative to the axis of the jet.
//
// All are computed for one event at a time, constituents in SIMD lanes. Errors against double precision:
// 2e-6 absolute for differences of angles (times the sum of momenta over that of the transverse ones, as the
// axis of momenta that balance is uncertain), 2e-6 relative for the others (logarithms: absolute).

#ifndef HEPML_ROOT_REPRESENTATIONS_QUANTITIES_HXX
#define HEPML_ROOT_REPRESENTATIONS_QUANTITIES_HXX

#include "frame.hxx"
#include "plane.hxx"
#include "trimming.hxx"

#include <algorithm>
#include <cmath>
#include <cstring>
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
   kRapidity,
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
   // clang-format off
   static const std::vector<std::string> names = {
       "pt", "eta", "phi", "mass", "energy", "px", "py", "pz", "rapidity", "delta_eta", "delta_phi",
       "delta_r", "log_pt", "log_energy", "pt_fraction", "energy_fraction", "log_pt_fraction",
       "log_energy_fraction"};
   // clang-format on
   return names;
}

/// Computes quantities, with the settings of Trimming, Frame and Plane, which are applied in this order.
class Quantities {
public:
   static std::vector<std::string> settings() {
      std::vector<std::string> names = Frame::settings();
      for (const auto& more : {Trimming::settings(), Plane::settings()})
         names.insert(names.end(), more.begin(), more.end());
      return names;
   }

   explicit Quantities(const Description& description)
       : fLabels(description.columns), fPt(description.needed_column("pt")),
         fEta(description.needed_column("eta")), fPhi(description.needed_column("phi")),
         fMass(description.column("mass")), fTrimming(description), fFrame(description), fPlane(description) {
      for (std::size_t i = 0; i < fLabels.size(); ++i)
         if (i != fPt && i != fEta && i != fPhi && i != fMass)
            fExtra.push_back(i);
      if (fFrame.changes() && fPlane.given())
         description.fail("takes its frame from its constituents: it cannot have another axis");
      std::fill(fNeeded, fNeeded + kExtra, false);
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
      need(static_cast<Quantity>(found));
      return found;
   }

   void need(Quantity quantity) {
      fNeeded[quantity] = true;
      fRelative = fNeeded[kDeltaEta] || fNeeded[kDeltaPhi] || fNeeded[kDeltaR];
      fEnergies = fNeeded[kEnergy] || fNeeded[kLogEnergy] || fNeeded[kEnergyFraction] ||
                  fNeeded[kLogEnergyFraction] || fNeeded[kPz] || fNeeded[kRapidity];
      fCartesian = fNeeded[kPx] || fNeeded[kPy];
   }

   /// Constituents have masses.
   bool massive() const { return fMass != Description::none; }

   /// Compute them for one event; constituents without positive pT are left out, and counted in `losses`.
   /// The rows stay until the next call with the same scratch memory.
   QuantityRows compute(const Constituents& event, Scratch& scratch, Losses& losses) const {
      QuantityRows rows = copy(event, scratch, losses);
      if (rows.count == 0) {
         ++losses.empty;
         return rows;
      }
      float* mass = massive() ? rows[kMass] : nullptr;
      if (fTrimming.active())
         trim(rows, mass, scratch, losses);
      if (rows.count > 0 && fFrame.changes() &&
          !fFrame.apply(rows.count, rows[kPt], rows[kEta], rows[kPhi], mass)) {
         losses.dropped += rows.count;
         rows.count = 0;
      }
      if (rows.count == 0) {
         rows.stride = 0;
         return rows;
      }
      if (fRelative)
         fPlane.fill(rows.count, rows.stride, rows[kPt], rows[kEta], rows[kPhi], mass, event.scalars,
                     rows[kDeltaEta], rows[kDeltaPhi], scratch);
      if (fNeeded[kPtFraction] || fNeeded[kLogPtFraction] || fNeeded[kLogPt] || fNeeded[kDeltaR])
         transverse(rows);
      if (fCartesian)
         cartesian(rows);
      if (fEnergies)
         energies(rows);
      return rows;
   }

private:
   static Lanes load(const QuantityRows& rows, std::size_t quantity, std::size_t i) {
      return engine::load<Lanes>(rows[quantity] + i);
   }

   /// The columns of the event as rows, followed by zeros up to whole lanes.
   QuantityRows copy(const Constituents& event, Scratch& scratch, Losses& losses) const {
      const float* pt = event.columns[fPt];
      std::size_t kept = 0;
      for (std::size_t i = 0; i < event.count; ++i)
         kept += pt[i] > 0.f ? 1 : 0;
      const std::size_t* chosen = kept == event.count ? nullptr : choose(event, scratch);
      losses.dropped += event.count - kept;
      const std::size_t stride = whole_lanes(kept);
      const QuantityRows rows{kept, stride,
                              floats(scratch, Slot::kQuantities, (kExtra + fExtra.size()) * stride)};
      if (kept == 0)
         return rows;
      engine::Mask<Lanes> bad{};
      const auto take = [&](std::size_t column, std::size_t quantity) {
         const float* from = event.columns[column];
         float* row = rows[quantity];
         engine::store<Lanes>(row + stride - lanes, Lanes{});
         if (chosen)
            for (std::size_t i = 0; i < kept; ++i)
               row[i] = from[chosen[i]];
         else
            std::memcpy(row, from, kept * sizeof(float));
         for (std::size_t i = 0; i < stride; i += lanes)
            bad |= (engine::bits(engine::load<Lanes>(row + i)) & 0x7f800000) == 0x7f800000;
      };
      take(fPt, kPt);
      take(fEta, kEta);
      take(fPhi, kPhi);
      if (massive())
         take(fMass, kMass);
      else if (fNeeded[kMass])
         std::fill(rows[kMass], rows[kMass] + stride, 0.f);
      for (std::size_t i = 0; i < fExtra.size(); ++i)
         take(fExtra[i], kExtra + i);
      std::int32_t found = 0;
      for (std::size_t i = 0; i < lanes; ++i)
         found |= bad[i];
      if (found != 0)
         for (std::size_t column = 0; column < fLabels.size(); ++column)
            for (std::size_t i = 0; i < kept; ++i)
               check(event, column, chosen ? chosen[i] : i);
      return rows;
   }

   /// Places of the constituents with positive pT.
   const std::size_t* choose(const Constituents& event, Scratch& scratch) const {
      const float* pt = event.columns[fPt];
      std::size_t* chosen = indices(scratch, Slot::kQuantities, event.count);
      std::size_t kept = 0;
      for (std::size_t i = 0; i < event.count; ++i) {
         check(event, fPt, i);
         if (pt[i] > 0.f)
            chosen[kept++] = i;
      }
      return chosen;
   }

   void trim(QuantityRows& rows, const float* mass, Scratch& scratch, Losses& losses) const {
      std::size_t* stay = nullptr;
      const std::size_t kept =
          fTrimming.choose(rows.count, rows[kPt], rows[kEta], rows[kPhi], mass, stay, scratch);
      const auto shorten = [&](std::size_t quantity) {
         float* row = rows[quantity];
         for (std::size_t i = 0; i < kept; ++i)
            row[i] = row[stay[i]];
         std::fill(row + kept, row + rows.count, 0.f);
      };
      for (const std::size_t quantity : {kPt, kEta, kPhi})
         shorten(quantity);
      if (massive())
         shorten(kMass);
      for (std::size_t i = 0; i < fExtra.size(); ++i)
         shorten(kExtra + i);
      losses.dropped += rows.count - kept;
      rows.count = kept;
   }

   void check(const Constituents& event, std::size_t column, std::size_t constituent) const {
      if (!std::isfinite(event.columns[column][constituent]))
         throw std::domain_error("the column '" + fLabels[column] + "' is NaN or infinite for constituent " +
                                 std::to_string(constituent));
   }

   void transverse(const QuantityRows& rows) const {
      Lanes sum{};
      for (std::size_t i = 0; i < rows.stride; i += lanes)
         sum += load(rows, kPt, i);
      const float total = engine::sum_of_lanes(sum);
      const Lanes inverse = all(1.f / total), log_total = all(std::log(total));
      const bool logarithms = fNeeded[kLogPt] || fNeeded[kLogPtFraction];
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         const Lanes pt = load(rows, kPt, i);
         if (logarithms) {
            const Lanes logarithm = engine::logarithm<Lanes>(pt);
            engine::store<Lanes>(rows[kLogPt] + i, logarithm);
            engine::store<Lanes>(rows[kLogPtFraction] + i, logarithm - log_total);
         }
         engine::store<Lanes>(rows[kPtFraction] + i, pt * inverse);
         if (fNeeded[kDeltaR]) {
            const Lanes x = load(rows, kDeltaEta, i), y = load(rows, kDeltaPhi, i);
            engine::store<Lanes>(rows[kDeltaR] + i, root(x * x + y * y));
         }
      }
   }

   static void cartesian(const QuantityRows& rows) {
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         const Lanes pt = load(rows, kPt, i);
         Lanes sine, cosine;
         sine_cosine(load(rows, kPhi, i), sine, cosine);
         engine::store<Lanes>(rows[kPx] + i, pt * cosine);
         engine::store<Lanes>(rows[kPy] + i, pt * sine);
      }
   }

   void energies(const QuantityRows& rows) const {
      const bool logarithms = fNeeded[kLogEnergy] || fNeeded[kLogEnergyFraction];
      Lanes sum{};
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         const Lanes pt = load(rows, kPt, i), eta = load(rows, kEta, i);
         Lanes sine, cosine;
         hyperbolic(eta, sine, cosine);
         Lanes energy = pt * cosine;
         if (massive()) {
            const Lanes mass = load(rows, kMass, i), momentum = energy;
            energy = root(momentum * momentum + mass * mass);
            energy =
                engine::select<Lanes>(energy > momentum, energy, momentum); // whose square may be too small
         }
         engine::store<Lanes>(rows[kEnergy] + i, energy);
         engine::store<Lanes>(rows[kPz] + i, pt * sine);
         sum += energy;
         if (logarithms)
            engine::store<Lanes>(rows[kLogEnergy] + i, engine::logarithm<Lanes>(energy));
         if (fNeeded[kRapidity])
            engine::store<Lanes>(rows[kRapidity] + i, massive() ? rapidity(rows, i) : eta);
      }
      const float total = engine::sum_of_lanes(sum);
      if (!std::isfinite(total))
         sum_not_finite();
      if (!fNeeded[kEnergyFraction] && !fNeeded[kLogEnergyFraction])
         return;
      const Lanes inverse = all(1.f / total), log_total = all(std::log(total));
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         engine::store<Lanes>(rows[kEnergyFraction] + i, load(rows, kEnergy, i) * inverse);
         if (logarithms)
            engine::store<Lanes>(rows[kLogEnergyFraction] + i, load(rows, kLogEnergy, i) - log_total);
      }
   }

   /// asinh(pz / mT) = sign ln(1 + t), in a form without cancellation near 0.
   static Lanes rapidity(const QuantityRows& rows, std::size_t i) {
      const Lanes pt = load(rows, kPt, i), mass = load(rows, kMass, i);
      Lanes square = pt * pt + mass * mass;
      square = engine::select<Lanes>(square > 0.f, square, all(1.f)); // padding
      const Lanes ratio = engine::absolute<Lanes>(load(rows, kPz, i)) / root(square);
      const Lanes more = ratio * ratio / (1.0f + root(1.0f + ratio * ratio));
      return engine::with_sign_of<Lanes>(engine::logarithm_one_plus<Lanes>(ratio + more), load(rows, kPz, i));
   }

   std::vector<std::string> fLabels;
   std::size_t fPt, fEta, fPhi, fMass;
   Trimming fTrimming;
   Frame fFrame;
   Plane fPlane;
   std::vector<std::size_t> fExtra; ///< places of the columns that have no meaning of their own
   bool fNeeded[kExtra];
   bool fRelative = false, fEnergies = false, fCartesian = false;
};

} // namespace HEPML_ROOT_TARGET
} // namespace representations
} // namespace hepml_root

#endif
