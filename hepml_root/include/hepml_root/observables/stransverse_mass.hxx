// The stransverse mass m_T2 (hep-ph/9906349) by bisection of the separation of two ellipses
// (arXiv:1411.4312).

#ifndef HEPML_ROOT_OBSERVABLES_STRANSVERSE_MASS_HXX
#define HEPML_ROOT_OBSERVABLES_STRANSVERSE_MASS_HXX

#include "particles.hxx"

#include <algorithm>

namespace hepml {

/// The smallest M such that the missing transverse momentum can be shared by two invisible particles with
/// transverse masses m_T(visible, invisible) of at most M on both sides:
///
///    m_T2 = min over q1 + q2 = p_miss of max( m_T(p1, q1; m1, chi1), m_T(p2, q2; m2, chi2) ).
///
/// Arguments: mass and transverse momentum of both visible particles, missing transverse momentum, masses of
/// both invisible particles, all in GeV. Negative masses count as 0. Precise to 1e-6, relative to the largest
/// of the arguments where m_T2 is much smaller than these.
HEPML_ROOT_OBSERVABLES_FUNCTION double mt2(double mass1, double px1, double py1, double mass2, double px2,
                                           double py2, double px_miss, double py_miss, double chi1 = 0,
                                           double chi2 = 0);

#ifndef HEPML_ROOT_OBSERVABLES_COMPILED

/// The invisible momenta q with m_T ≤ M of one side: xx qx² + 2 xy qx qy + yy qy² + 2 x qx + 2 y qy + c ≤ 0.
struct Conic {
   double xx, xy, yy, x, y, c;
};

/// A visible particle and the mass of its invisible partner.
struct Side {
   double mass, px, py, chi;

   double Energy2() const { return mass * mass + px * px + py * py; }

   double TransverseMass(double qx, double qy) const {
      const double product = std::sqrt(Energy2() * (chi * chi + qx * qx + qy * qy));
      return std::sqrt(std::fmax(mass * mass + chi * chi + 2 * (product - px * qx - py * qy), 0.));
   }

   Conic At(double m) const {
      const double delta = 0.5 * (m * m - mass * mass - chi * chi), energy2 = Energy2();
      return {mass * mass + py * py, -px * py,    mass * mass + px * px,
              -delta * px,           -delta * py, energy2 * chi * chi - delta * delta};
   }
};

/// Of the conic in q, the same in p − q.
inline Conic mirrored(const Conic& a, double px, double py) {
   const double x = a.xx * px + a.xy * py + a.x, y = a.xy * px + a.yy * py + a.y;
   return {a.xx, a.xy, a.yy, -x, -y, x * px + y * py + a.x * px + a.y * py + a.c};
}

/// Whether two ellipses have no point in common. True iff det(λ A + B) has two distinct positive roots
/// (Wang, Wang, Kim, Comput. Aided Geom. Des. 18 (2001) 531); one of the three is always negative.
inline bool apart(const Conic& a, const Conic& b) {
   // Cofactors of A and of B give the two middle coefficients.
   const double axx = a.yy * a.c - a.y * a.y, axy = a.x * a.y - a.xy * a.c, ayy = a.xx * a.c - a.x * a.x;
   const double ax = a.xy * a.y - a.yy * a.x, ay = a.xy * a.x - a.xx * a.y, ac = a.xx * a.yy - a.xy * a.xy;
   const double bxx = b.yy * b.c - b.y * b.y, bxy = b.x * b.y - b.xy * b.c, byy = b.xx * b.c - b.x * b.x;
   const double bx = b.xy * b.y - b.yy * b.x, by = b.xy * b.x - b.xx * b.y, bc = b.xx * b.yy - b.xy * b.xy;
   const double cubic = a.xx * axx + a.xy * axy + a.x * ax;
   if (cubic == 0)
      return false;
   const double p = (axx * b.xx + ayy * b.yy + ac * b.c + 2 * (axy * b.xy + ax * b.x + ay * b.y)) / cubic;
   const double q = (bxx * a.xx + byy * a.yy + bc * a.c + 2 * (bxy * a.xy + bx * a.x + by * a.y)) / cubic;
   const double r = (b.xx * bxx + b.xy * bxy + b.x * bx) / cubic;
   if (p >= 0 && q >= 0)
      return false;
   return p * p * q * q - 4 * q * q * q - 4 * p * p * p * r + 18 * p * q * r - 27 * r * r > 0;
}

HEPML_ROOT_OBSERVABLES_FUNCTION double mt2(double mass1, double px1, double py1, double mass2, double px2,
                                           double py2, double px_miss, double py_miss, double chi1,
                                           double chi2) {
   const double all = mass1 + px1 + py1 + mass2 + px2 + py2 + px_miss + py_miss + chi1 + chi2;
   if (!std::isfinite(all))
      return not_a_number;
   // In units of the largest number, so that no power of it overflows.
   double scale = 0;
   for (const double value : {mass1, px1, py1, mass2, px2, py2, px_miss, py_miss, chi1, chi2})
      scale = std::fmax(scale, std::fabs(value));
   if (scale == 0)
      return 0;
   Side one{std::fmax(mass1, 0.) / scale, px1 / scale, py1 / scale, std::fmax(chi1, 0.) / scale};
   Side two{std::fmax(mass2, 0.) / scale, px2 / scale, py2 / scale, std::fmax(chi2, 0.) / scale};
   double kx = px_miss / scale, ky = py_miss / scale;
   if (one.mass + one.chi < two.mass + two.chi)
      std::swap(one, two);
   double low = one.mass + one.chi;
   // At its least mass, side one's ellipse is the point of equal velocities. If side two is content with it …
   if (one.mass > 0) {
      const double qx = one.px * one.chi / one.mass, qy = one.py * one.chi / one.mass;
      if (two.TransverseMass(kx - qx, ky - qy) <= low)
         return low * scale;
   }
   // Any sharing of the missing momentum is an upper bound.
   double high = std::numeric_limits<double>::infinity();
   for (const double share : {0., 0.5, 1.})
      high = std::fmin(high, std::fmax(one.TransverseMass(share * kx, share * ky),
                                       two.TransverseMass((1 - share) * kx, (1 - share) * ky)));
   constexpr double precision = 1e-12;
   while (high - low > precision * (high + precision)) {
      const double middle = 0.5 * (low + high);
      if (!(middle > low && middle < high))
         break;
      (apart(one.At(middle), mirrored(two.At(middle), kx, ky)) ? low : high) = middle;
   }
   return 0.5 * (low + high) * scale;
}

#endif

} // namespace hepml

#endif
