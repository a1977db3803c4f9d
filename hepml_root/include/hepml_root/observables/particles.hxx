// The particles of one event or jet as the observables take them, and how the observables are linked.

#ifndef HEPML_ROOT_OBSERVABLES_PARTICLES_HXX
#define HEPML_ROOT_OBSERVABLES_PARTICLES_HXX

#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

// What takes long is compiled once by the machine's compiler where there is one: the interpreter, several
// times slower, then sees the declarations only (HEPML_ROOT_OBSERVABLES_COMPILED) and calls into that
// library.
#ifndef HEPML_ROOT_OBSERVABLES_FUNCTION
#define HEPML_ROOT_OBSERVABLES_FUNCTION inline
#endif

namespace hepml {

constexpr double pi = 3.14159265358979323846;
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// Length of a list; whoever gives a number instead is told so.
template <class List> auto length(const List& list) { // auto: checked before what follows in the caller
   static_assert(!std::is_arithmetic_v<List>, "a list is needed, with one value per particle");
   if constexpr (std::is_arithmetic_v<List>)
      return std::size_t{0};
   else
      return static_cast<std::size_t>(std::size(list));
}

/// Particles with positive pT, in the order in which they were given. Values that were not given are 0.
class Particles {
public:
   template <class Pt, class Eta, class Phi>
   Particles(const Pt& pt, const Eta& eta, const Phi& phi) : Particles(pt, eta, phi, nullptr) {}

   /// `mass` is a list, or nullptr for massless particles.
   template <class Pt, class Eta, class Phi, class Mass>
   Particles(const Pt& pt, const Eta& eta, const Phi& phi, const Mass& mass) : fRoom(length(pt)) {
      Check(length(eta), "eta");
      Check(length(phi), "phi");
      if constexpr (!std::is_same_v<Mass, std::nullptr_t>)
         Check(length(mass), "mass");
      fValues.resize(4 * fRoom);
      double sum = 0;
      for (std::size_t i = 0; i < fRoom; ++i) {
         const double value = static_cast<double>(pt[i]);
         if (value <= 0)
            continue;
         double* to = fValues.data() + fSize++;
         to[0] = value;
         to[fRoom] = static_cast<double>(eta[i]);
         to[2 * fRoom] = static_cast<double>(phi[i]);
         if constexpr (!std::is_same_v<Mass, std::nullptr_t>)
            to[3 * fRoom] = static_cast<double>(mass[i]);
         sum += to[0] + to[fRoom] + to[2 * fRoom] + to[3 * fRoom];
      }
      fFinite = std::isfinite(sum);
   }

   std::size_t size() const { return fSize; }
   /// False where any value is NaN or infinite.
   bool finite() const { return fFinite; }
   const double* pt() const { return fValues.data(); }
   const double* eta() const { return fValues.data() + fRoom; }
   const double* phi() const { return fValues.data() + 2 * fRoom; }
   const double* mass() const { return fValues.data() + 3 * fRoom; }
   double sum_pt() const {
      double sum = 0;
      for (std::size_t i = 0; i < fSize; ++i)
         sum += pt()[i];
      return sum;
   }

private:
   void Check(std::size_t size, const char* what) const {
      if (size != fRoom)
         throw std::invalid_argument("hepml: " + std::to_string(fRoom) + " values of pt, but " +
                                     std::to_string(size) + " of " + what);
   }

   std::size_t fRoom, fSize = 0;
   bool fFinite = true;
   std::vector<double> fValues;
};

/// Momentum and energy.
struct FourVector {
   double x = 0, y = 0, z = 0, e = 0;

   static FourVector of(double pt, double eta, double phi, double mass) {
      const double px = pt * std::cos(phi), py = pt * std::sin(phi), pz = pt * std::sinh(eta);
      return {px, py, pz, std::sqrt(px * px + py * py + pz * pz + mass * mass)};
   }
   FourVector operator+(const FourVector& b) const { return {x + b.x, y + b.y, z + b.z, e + b.e}; }
   double pt() const { return std::hypot(x, y); }
   double phi() const { return std::atan2(y, x); }
   double eta() const { return pt() > 0 ? std::asinh(z / pt()) : z < 0 ? -1e10 : z > 0 ? 1e10 : 0.; }
   double mass_squared() const { return e * e - x * x - y * y - z * z; }
   /// 0 where rounding makes the square negative.
   double mass() const { return std::sqrt(std::fmax(mass_squared(), 0.)); }
   /// (E² − p²) is lost to rounding for light particles at high energy, hence the transverse mass.
   double rapidity() const {
      const double transverse = std::sqrt(x * x + y * y + std::fmax(mass_squared(), 0.));
      return transverse > 0 ? std::asinh(z / transverse) : z < 0 ? -1e10 : z > 0 ? 1e10 : 0.;
   }
};

/// The particle with number i.
inline FourVector momentum(const Particles& particles, std::size_t i) {
   return FourVector::of(particles.pt()[i], particles.eta()[i], particles.phi()[i], particles.mass()[i]);
}

/// The sum of all.
inline FourVector total(const Particles& particles) {
   FourVector sum;
   for (std::size_t i = 0; i < particles.size(); ++i)
      sum = sum + momentum(particles, i);
   return sum;
}

/// |Δφ| of two angles of any value, in [0, π].
inline double angle_between(double phi1, double phi2) {
   const double difference = std::fabs(phi1 - phi2);
   // Angles are mostly in [−π, π] already, where this needs no slow division.
   return difference <= 2 * pi ? std::fmin(difference, 2 * pi - difference)
                               : std::fabs(std::remainder(difference, 2 * pi));
}

} // namespace hepml

#endif
