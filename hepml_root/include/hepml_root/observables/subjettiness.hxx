// N-subjettiness (arXiv:1011.2268) about axes of exclusive clusterings.

#ifndef HEPML_ROOT_OBSERVABLES_SUBJETTINESS_HXX
#define HEPML_ROOT_OBSERVABLES_SUBJETTINESS_HXX

#include "clustering.hxx"

namespace hepml {

/// Axes of N-subjettiness: exclusive kT subjets, with momenta added or with the winner taking all
/// (arXiv:1401.2158), and the same improved by steps to the nearest local minimum (arXiv:1108.2701).
enum class Axes { wta_kt, kt, one_pass_wta_kt, one_pass_kt };

/// τ_N of particles that are given already.
HEPML_ROOT_OBSERVABLES_FUNCTION double subjettiness(const Particles& particles, int n, double radius,
                                                    double beta, Axes axes);

/// τ_N = Σ pT_i min_k ΔR_ik^β / (Σ pT_i · R^β). 0 for at most N particles.
///
/// `radius` is that of the jet; `beta` is positive. Directions are taken at face value: with pseudorapidities
/// the particles are massless.
template <class Pt, class Eta, class Phi>
double nsubjettiness(int n, const Pt& pt, const Eta& eta, const Phi& phi, double radius = 0.8,
                     double beta = 1, Axes axes = Axes::wta_kt) {
   return subjettiness(Particles(pt, eta, phi), n, radius, beta, axes);
}

/// τ_N / τ_{N−1}; 0 where τ_{N−1} is 0.
template <class Pt, class Eta, class Phi>
double nsubjettiness_ratio(int n, const Pt& pt, const Eta& eta, const Phi& phi, double beta = 1,
                           Axes axes = Axes::wta_kt) {
   const Particles particles(pt, eta, phi);
   const double below = subjettiness(particles, n - 1, 1, beta, axes);
   return below == 0 ? 0 : subjettiness(particles, n, 1, beta, axes) / below;
}

#ifndef HEPML_ROOT_OBSERVABLES_COMPILED

/// Σ pT_i min_k ΔR_ik^β; `nearest` and `squared` tell the axis of each particle and its ΔR².
inline double distance_to_axes(const Particles& particles, const std::vector<double>& eta,
                               const std::vector<double>& phi, double beta, std::vector<std::size_t>& nearest,
                               std::vector<double>& squared) {
   const std::size_t size = particles.size();
   squared.assign(size, std::numeric_limits<double>::infinity());
   nearest.assign(size, 0);
   for (std::size_t k = 0; k < eta.size(); ++k) {
      for (std::size_t i = 0; i < size; ++i) {
         const double away = particles.eta()[i] - eta[k], around = angle_between(particles.phi()[i], phi[k]);
         const double distance = away * away + around * around;
         if (distance < squared[i]) {
            squared[i] = distance;
            nearest[i] = k;
         }
      }
   }
   double sum = 0;
   if (beta == 1)
      for (std::size_t i = 0; i < size; ++i)
         sum += particles.pt()[i] * std::sqrt(squared[i]);
   else if (beta == 2)
      for (std::size_t i = 0; i < size; ++i)
         sum += particles.pt()[i] * squared[i];
   else
      for (std::size_t i = 0; i < size; ++i)
         sum += particles.pt()[i] * std::pow(squared[i], 0.5 * beta);
   return sum;
}

HEPML_ROOT_OBSERVABLES_FUNCTION double subjettiness(const Particles& particles, int n, double radius,
                                                    double beta, Axes axes) {
   if (n < 1 || !(radius > 0) || !(beta > 0))
      throw std::invalid_argument(
          "hepml: N-subjettiness needs n of at least 1, and a positive radius and beta");
   if (!particles.finite())
      return not_a_number;
   if (particles.size() <= static_cast<std::size_t>(n))
      return 0;
   const bool winner = axes == Axes::wta_kt || axes == Axes::one_pass_wta_kt;
   const History& history =
       Memory::of(particles).history(particles, winner ? Clustering::wta_kt : Clustering::kt);
   std::vector<double> eta, phi, squared;
   std::vector<std::size_t> nearest;
   for (const std::size_t node : history.exclusive(static_cast<std::size_t>(n))) {
      eta.push_back(history.eta[node]);
      phi.push_back(history.phi[node]);
   }
   double sum = distance_to_axes(particles, eta, phi, beta, nearest, squared);
   if (axes == Axes::one_pass_wta_kt || axes == Axes::one_pass_kt) {
      // Each axis goes to the mean of its particles with weights pT ΔR^(β−2) (Weiszfeld's steps), as long as
      // the sum becomes smaller. A particle on the axis has infinite weight: it holds the axis back by its pT
      // for β = 1 (Vardi and Zhang, PNAS 97 (2000) 1423), not at all for larger β, and for good for smaller.
      constexpr int most_steps = 100;
      constexpr double precision = 1e-6, on_axis = 1e-16;
      for (int step = 0; step < most_steps; ++step) {
         std::vector<double> weight(eta.size()), to_eta(eta.size()), to_phi(eta.size()), held(eta.size());
         for (std::size_t i = 0; i < particles.size(); ++i) {
            const std::size_t k = nearest[i];
            if (squared[i] < on_axis) {
               held[k] += particles.pt()[i];
               continue;
            }
            const double part = particles.pt()[i] * std::pow(squared[i], 0.5 * beta - 1);
            weight[k] += part;
            to_eta[k] += part * (particles.eta()[i] - eta[k]);
            to_phi[k] += part * std::remainder(particles.phi()[i] - phi[k], 2 * pi);
         }
         for (std::size_t k = 0; k < eta.size(); ++k) {
            const double pull = std::hypot(to_eta[k], to_phi[k]);
            const double back = held[k] == 0 || beta > 1 ? 0 : beta < 1 ? pull : std::fmin(held[k], pull);
            const double length = pull > 0 ? (1 - back / pull) / weight[k] : 0;
            to_eta[k] = eta[k] + length * to_eta[k];
            to_phi[k] = phi[k] + length * to_phi[k];
         }
         const double next = distance_to_axes(particles, to_eta, to_phi, beta, nearest, squared);
         if (!(next < sum))
            break;
         const bool done = next > (1 - precision) * sum;
         eta = to_eta;
         phi = to_phi;
         sum = next;
         if (done)
            break;
      }
   }
   return sum / (particles.sum_pt() * std::pow(radius, beta));
}

#endif

} // namespace hepml

#endif
