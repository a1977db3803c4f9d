// Soft-drop grooming (arXiv:1402.2657); with beta = 0 it is the modified mass drop (arXiv:1307.0007).

#ifndef HEPML_ROOT_OBSERVABLES_GROOMING_HXX
#define HEPML_ROOT_OBSERVABLES_GROOMING_HXX

#include "clustering.hxx"

namespace hepml {

/// What soft drop leaves of a jet.
struct Groomed {
   FourVector momentum;
   double fraction = 0;    ///< z_g: share of the softer branch in the splitting that was kept; 0 if none was
   double radius = 0;      ///< R_g: ΔR of that splitting; 0 if none was
   double pt_fraction = 0; ///< pT of what is left, over that of the jet
   std::size_t multiplicity = 0; ///< particles that are left
};

/// Undo the Cambridge/Aachen clustering, dropping the softer branch, until
/// min(pT1, pT2) / (pT1 + pT2) > z_cut (ΔR12 / radius)^beta.
HEPML_ROOT_OBSERVABLES_FUNCTION Groomed soft_drop(const Particles& particles, double z_cut = 0.1,
                                                  double beta = 0, double radius = 0.8);

/// Mass of the jet after soft drop.
template <class Pt, class Eta, class Phi, class Mass>
double soft_drop_mass(const Pt& pt, const Eta& eta, const Phi& phi, const Mass& mass, double z_cut = 0.1,
                      double beta = 0, double radius = 0.8) {
   const Particles particles(pt, eta, phi, mass);
   return particles.finite() ? soft_drop(particles, z_cut, beta, radius).momentum.mass() : not_a_number;
}

/// pT of the jet after soft drop.
template <class Pt, class Eta, class Phi, class Mass>
double soft_drop_pt(const Pt& pt, const Eta& eta, const Phi& phi, const Mass& mass, double z_cut = 0.1,
                    double beta = 0, double radius = 0.8) {
   const Particles particles(pt, eta, phi, mass);
   return particles.finite() ? soft_drop(particles, z_cut, beta, radius).momentum.pt() : not_a_number;
}

/// z_g, the share of the softer branch in the splitting that soft drop keeps.
template <class Pt, class Eta, class Phi, class Mass>
double soft_drop_fraction(const Pt& pt, const Eta& eta, const Phi& phi, const Mass& mass, double z_cut = 0.1,
                          double beta = 0, double radius = 0.8) {
   const Particles particles(pt, eta, phi, mass);
   return particles.finite() ? soft_drop(particles, z_cut, beta, radius).fraction : not_a_number;
}

/// R_g, ΔR of the splitting that soft drop keeps.
template <class Pt, class Eta, class Phi, class Mass>
double soft_drop_radius(const Pt& pt, const Eta& eta, const Phi& phi, const Mass& mass, double z_cut = 0.1,
                        double beta = 0, double radius = 0.8) {
   const Particles particles(pt, eta, phi, mass);
   return particles.finite() ? soft_drop(particles, z_cut, beta, radius).radius : not_a_number;
}

#ifndef HEPML_ROOT_OBSERVABLES_COMPILED

HEPML_ROOT_OBSERVABLES_FUNCTION Groomed soft_drop(const Particles& particles, double z_cut, double beta,
                                                  double radius) {
   if (!(z_cut >= 0 && z_cut < 0.5) || !(radius > 0) || !std::isfinite(beta))
      throw std::invalid_argument("hepml: soft drop needs z_cut in [0, 0.5) and a positive radius");
   Groomed groomed;
   if (particles.size() == 0 || !particles.finite())
      return groomed;
   const History& history = Memory::of(particles).history(particles, Clustering::cambridge_aachen);
   const std::size_t n = history.particles();
   std::size_t node = history.pt.size() - 1;
   while (node >= n) {
      const auto [hard, soft] = history.parents[node - n];
      const double share = history.pt[soft] / (history.pt[hard] + history.pt[soft]);
      const double apart = std::hypot(history.eta[hard] - history.eta[soft],
                                      angle_between(history.phi[hard], history.phi[soft]));
      if (share > z_cut * (beta == 0 ? 1 : std::pow(apart / radius, beta))) {
         groomed.fraction = share;
         groomed.radius = apart;
         break;
      }
      node = hard;
   }
   groomed.momentum = history.momentum[node];
   groomed.pt_fraction = history.pt[node] / history.pt.back();
   std::vector<std::size_t> left{node};
   while (!left.empty()) {
      const std::size_t last = left.back();
      left.pop_back();
      if (last < n) {
         ++groomed.multiplicity;
         continue;
      }
      for (const std::size_t parent : history.parents[last - n])
         left.push_back(parent);
   }
   return groomed;
}

#endif

} // namespace hepml

#endif
