// Invariant mass, Δφ, ΔR and transverse mass.

#ifndef HEPML_ROOT_OBSERVABLES_KINEMATICS_HXX
#define HEPML_ROOT_OBSERVABLES_KINEMATICS_HXX

#include "particles.hxx"

#include <type_traits>

namespace hepml {

/// Invariant mass of all particles of a list.
template <class Pt, class Eta, class Phi, class Mass, std::enable_if_t<!std::is_arithmetic_v<Pt>, int> = 0>
double invariant_mass(const Pt& pt, const Eta& eta, const Phi& phi, const Mass& mass) {
   const Particles particles(pt, eta, phi, mass);
   return particles.finite() ? total(particles).mass() : not_a_number;
}

/// The sum of objects given one after the other, each as pt, eta, phi, mass.
inline FourVector sum_of() { return {}; }
template <class... Rest> FourVector sum_of(double pt, double eta, double phi, double mass, Rest... rest) {
   return FourVector::of(pt, eta, phi, mass) + sum_of(rest...);
}

/// Invariant mass of two or more objects, each given as pt, eta, phi, mass:
/// invariant_mass(pt1, eta1, phi1, mass1, pt2, eta2, phi2, mass2, …).
template <class... Rest> double invariant_mass(double pt, double eta, double phi, double mass, Rest... rest) {
   static_assert(sizeof...(Rest) % 4 == 0, "each object is given as pt, eta, phi, mass");
   return sum_of(pt, eta, phi, mass, static_cast<double>(rest)...).mass();
}

/// φ1 − φ2, wrapped into [−π, π).
inline double delta_phi(double phi1, double phi2) {
   const double difference = std::remainder(phi1 - phi2, 2 * pi);
   return difference >= pi ? difference - 2 * pi : difference;
}

/// √(Δη² + Δφ²).
inline double delta_r(double eta1, double phi1, double eta2, double phi2) {
   return std::hypot(eta1 - eta2, angle_between(phi1, phi2));
}

/// Δφ of each object of a list to one direction.
template <class List, std::enable_if_t<!std::is_arithmetic_v<List>, int> = 0>
List delta_phi(const List& phi, double phi_axis) {
   List result(phi);
   for (std::size_t i = 0; i < length(result); ++i)
      result[i] = delta_phi(static_cast<double>(phi[i]), phi_axis);
   return result;
}

/// ΔR of each object of a list to one direction.
template <class List, std::enable_if_t<!std::is_arithmetic_v<List>, int> = 0>
List delta_r(const List& eta, const List& phi, double eta_axis, double phi_axis) {
   if (length(eta) != length(phi))
      throw std::invalid_argument("hepml: lists of eta and phi differ in length");
   List result(phi);
   for (std::size_t i = 0; i < length(result); ++i)
      result[i] = delta_r(eta[i], phi[i], eta_axis, phi_axis);
   return result;
}

/// pT of each object of lists of momentum components; likewise φ, η (0 where pT is 0), and the mass, 0 where
/// rounding makes its square negative. For files that hold px, py, pz and E.
template <class List> List pt_of(const List& px, const List& py) {
   List result(px);
   for (std::size_t i = 0; i < length(result); ++i)
      result[i] = std::hypot(static_cast<double>(px[i]), static_cast<double>(py[i]));
   return result;
}
template <class List> List phi_of(const List& px, const List& py) {
   List result(px);
   for (std::size_t i = 0; i < length(result); ++i)
      result[i] = std::atan2(static_cast<double>(py[i]), static_cast<double>(px[i]));
   return result;
}
template <class List> List eta_of(const List& px, const List& py, const List& pz) {
   List result(px);
   for (std::size_t i = 0; i < length(result); ++i) {
      const double pt = std::hypot(static_cast<double>(px[i]), static_cast<double>(py[i]));
      result[i] = pt == 0 ? 0. : std::asinh(static_cast<double>(pz[i]) / pt);
   }
   return result;
}
template <class List> List mass_of(const List& px, const List& py, const List& pz, const List& energy) {
   List result(px);
   for (std::size_t i = 0; i < length(result); ++i) {
      const double x = px[i], y = py[i], z = pz[i], e = energy[i];
      result[i] = FourVector{x, y, z, e}.mass();
   }
   return result;
}

/// Transverse mass of two objects, m_T² = m1² + m2² + 2 (E_T1 E_T2 − p_T1·p_T2); with massless ones
/// √(2 pT1 pT2 (1 − cos Δφ)), as for a lepton and the missing momentum.
inline double transverse_mass(double pt1, double phi1, double pt2, double phi2, double mass1 = 0,
                              double mass2 = 0) {
   // 1 − cos Δφ = 2 sin²(Δφ/2) keeps its digits where the objects are close.
   const double half = std::sin(0.5 * (phi1 - phi2));
   const double e1 = std::hypot(pt1, mass1), e2 = std::hypot(pt2, mass2);
   const double massive = mass1 == 0 && mass2 == 0 ? 0. : e1 * e2 - pt1 * pt2;
   const double squared = mass1 * mass1 + mass2 * mass2 + 2 * massive + 4 * pt1 * pt2 * half * half;
   return std::sqrt(std::fmax(squared, 0.));
}

} // namespace hepml

#endif
