// Shapes of whole events: sphericity, aplanarity, transverse sphericity, thrust.

#ifndef HEPML_ROOT_OBSERVABLES_EVENT_SHAPES_HXX
#define HEPML_ROOT_OBSERVABLES_EVENT_SHAPES_HXX

#include "particles.hxx"

#include <algorithm>
#include <array>

namespace hepml {

/// Largest Σ |p·n| / Σ |p| over all directions n, of particles that are given already.
HEPML_ROOT_OBSERVABLES_FUNCTION double thrust_of(const Particles& particles);

/// Eigenvalues of Σ |p|^(power−2) p_a p_b / Σ |p|^power, falling; their sum is 1. Zeros for an empty list.
inline std::array<double, 3> momentum_tensor_eigenvalues(const Particles& particles, double power) {
   if (!particles.finite())
      return {not_a_number, not_a_number, not_a_number};
   double xx = 0, yy = 0, zz = 0, xy = 0, xz = 0, yz = 0, norm = 0;
   for (std::size_t i = 0; i < particles.size(); ++i) {
      const FourVector p = momentum(particles, i);
      const double squared = p.x * p.x + p.y * p.y + p.z * p.z;
      const double weight = power == 2 ? 1 : std::pow(squared, 0.5 * power - 1);
      xx += weight * p.x * p.x;
      yy += weight * p.y * p.y;
      zz += weight * p.z * p.z;
      xy += weight * p.x * p.y;
      xz += weight * p.x * p.z;
      yz += weight * p.y * p.z;
      norm += weight * squared;
   }
   if (norm == 0)
      return {0, 0, 0};
   // Of a symmetric matrix with trace 1: 1/3 + 2 s cos(θ + 2πk/3), θ from the determinant of the traceless
   // part.
   const double a = xx / norm - 1. / 3, b = yy / norm - 1. / 3, c = zz / norm - 1. / 3;
   const double d = xy / norm, e = xz / norm, f = yz / norm;
   const double s = std::sqrt((a * a + b * b + c * c + 2 * (d * d + e * e + f * f)) / 6);
   if (s < 1e-15)
      return {1. / 3, 1. / 3, 1. / 3};
   const double determinant = a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e);
   const double angle = std::acos(std::clamp(determinant / (2 * s * s * s), -1., 1.)) / 3;
   const double largest = 1. / 3 + 2 * s * std::cos(angle);
   const double smallest = std::fmax(1. / 3 + 2 * s * std::cos(angle + 2 * pi / 3), 0.);
   return {largest, std::fmax(1 - largest - smallest, 0.), smallest};
}

/// S = 3/2 (λ2 + λ3): 0 for two back-to-back particles, 1 for an isotropic event. `power` 2 is the usual
/// definition, 1 the one that does not change when a particle splits collinearly.
template <class Pt, class Eta, class Phi>
double sphericity(const Pt& pt, const Eta& eta, const Phi& phi, double power = 2) {
   const auto values = momentum_tensor_eigenvalues(Particles(pt, eta, phi), power);
   return 1.5 * (values[1] + values[2]);
}

/// A = 3/2 λ3: 0 for an event in a plane, 1/2 for an isotropic one.
template <class Pt, class Eta, class Phi>
double aplanarity(const Pt& pt, const Eta& eta, const Phi& phi, double power = 2) {
   return 1.5 * momentum_tensor_eigenvalues(Particles(pt, eta, phi), power)[2];
}

/// S_T = 2 λ2 / (λ1 + λ2) of the tensor of transverse momenta: 0 for back-to-back, 1 for isotropic events.
template <class Pt, class Phi> double transverse_sphericity(const Pt& pt, const Phi& phi, double power = 2) {
   const Particles particles(pt, phi, phi);
   if (!particles.finite())
      return not_a_number;
   double x = 0, y = 0, norm = 0;
   for (std::size_t i = 0; i < particles.size(); ++i) {
      const double weight = std::pow(particles.pt()[i], power), angle = 2 * particles.phi()[i];
      x += weight * std::cos(angle);
      y += weight * std::sin(angle);
      norm += weight;
   }
   // λ1 − λ2 of a symmetric 2×2 matrix is the length of Σ w (cos 2φ, sin 2φ).
   return norm == 0 ? 0 : std::fmax(1 - std::hypot(x, y) / norm, 0.);
}

/// Thrust, the largest Σ |p·n| / Σ |p|: 1 for two back-to-back particles, 1/2 for an isotropic event. Exact,
/// in O(N³) steps; 0 for an empty list.
template <class Pt, class Eta, class Phi> double thrust(const Pt& pt, const Eta& eta, const Phi& phi) {
   return thrust_of(Particles(pt, eta, phi));
}

#ifndef HEPML_ROOT_OBSERVABLES_COMPILED

HEPML_ROOT_OBSERVABLES_FUNCTION double thrust_of(const Particles& particles) {
   if (!particles.finite())
      return not_a_number;
   const std::size_t n = particles.size();
   std::vector<double> x(n), y(n), z(n);
   double norm = 0;
   for (std::size_t i = 0; i < n; ++i) {
      const FourVector p = momentum(particles, i);
      x[i] = p.x;
      y[i] = p.y;
      z[i] = p.z;
      norm += std::sqrt(p.x * p.x + p.y * p.y + p.z * p.z);
   }
   if (n <= 1)
      return n;
   // The best axis divides the particles by a plane; planes through two particles are all that matter.
   double best = 0;
   for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < i; ++j) {
         const double nx = y[i] * z[j] - z[i] * y[j], ny = z[i] * x[j] - x[i] * z[j],
                      nz = x[i] * y[j] - y[i] * x[j];
         double sx = 0, sy = 0, sz = 0;
         for (std::size_t k = 0; k < n; ++k) {
            const double side = nx * x[k] + ny * y[k] + nz * z[k];
            const double sign = k == i || k == j ? 0. : side > 0 ? 1. : -1.;
            sx += sign * x[k];
            sy += sign * y[k];
            sz += sign * z[k];
         }
         for (const double a : {-1., 1.}) {
            for (const double b : {-1., 1.}) {
               const double tx = sx + a * x[i] + b * x[j], ty = sy + a * y[i] + b * y[j],
                            tz = sz + a * z[i] + b * z[j];
               best = std::fmax(best, tx * tx + ty * ty + tz * tz);
            }
         }
      }
   }
   return std::sqrt(best) / norm;
}

#endif

} // namespace hepml

#endif
