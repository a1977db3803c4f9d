// Simple shapes of a jet: width, p_T D, charge, number of particles.

#ifndef HEPML_ROOT_OBSERVABLES_JET_SHAPES_HXX
#define HEPML_ROOT_OBSERVABLES_JET_SHAPES_HXX

#include "particles.hxx"

namespace hepml {

/// Number of particles with positive pT.
template <class Pt> double multiplicity(const Pt& pt) {
   double count = 0;
   for (std::size_t i = 0; i < length(pt); ++i) {
      if (std::isnan(static_cast<double>(pt[i])))
         return not_a_number;
      count += pt[i] > 0;
   }
   return count;
}

/// Width (girth): Σ pT ΔR^β / Σ pT about the rapidity and φ of the sum of massless particles.
template <class Pt, class Eta, class Phi>
double jet_width(const Pt& pt, const Eta& eta, const Phi& phi, double beta = 1) {
   const Particles particles(pt, eta, phi);
   if (!particles.finite())
      return not_a_number;
   const FourVector axis = total(particles);
   const double eta_axis = axis.rapidity(), phi_axis = axis.phi();
   double sum = 0;
   for (std::size_t i = 0; i < particles.size(); ++i) {
      const double away =
          std::hypot(particles.eta()[i] - eta_axis, angle_between(particles.phi()[i], phi_axis));
      sum += particles.pt()[i] * (beta == 1 ? away : std::pow(away, beta));
   }
   return sum == 0 ? 0 : sum / particles.sum_pt();
}

/// p_T D = √(Σ pT²) / Σ pT: 1 for one particle, 1/√n for n equal ones.
template <class Pt> double pt_dispersion(const Pt& pt) {
   double sum = 0, squares = 0;
   for (std::size_t i = 0; i < length(pt); ++i) {
      const double value = static_cast<double>(pt[i]);
      if (value <= 0)
         continue;
      sum += value;
      squares += value * value;
   }
   return !std::isfinite(sum) ? not_a_number : sum == 0 ? 0 : std::sqrt(squares) / sum;
}

/// Σ q pT^κ / (Σ pT)^κ of particles with charge q (arXiv:1209.2421).
template <class Pt, class Charge> double jet_charge(const Pt& pt, const Charge& charge, double kappa = 0.5) {
   if (length(pt) != length(charge))
      throw std::invalid_argument("hepml: " + std::to_string(length(pt)) + " values of pt, but " +
                                  std::to_string(length(charge)) + " of charge");
   double sum = 0, charges = 0;
   for (std::size_t i = 0; i < length(pt); ++i) {
      const double value = static_cast<double>(pt[i]);
      if (value <= 0)
         continue;
      sum += value;
      charges += static_cast<double>(charge[i]) * std::pow(value, kappa);
   }
   return !std::isfinite(sum) ? not_a_number : sum == 0 ? 0 : charges / std::pow(sum, kappa);
}

} // namespace hepml

#endif
