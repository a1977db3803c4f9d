// m_T2^W (arXiv:1203.4813): the smallest mass of two equal parents, each b + W, where one W is a lepton and a
// neutrino and of the other nothing is seen.

#ifndef HEPML_ROOT_OBSERVABLES_TOP_MASS_HXX
#define HEPML_ROOT_OBSERVABLES_TOP_MASS_HXX

#include "particles.hxx"
#include "stransverse_mass.hxx"

#include <algorithm>
#include <array>

namespace hepml {

/// m_T2^W with b1 on the side of the lepton:
///
///    min { m_Y : q1 + q2 = p_miss (transverse), q1² = 0, (q1 + p_l)² = q2² = m_W²,
///                (q1 + p_l + p_b1)² = (q2 + p_b2)² = m_Y² }.
HEPML_ROOT_OBSERVABLES_FUNCTION double mt2w_of_pairing(const FourVector& lepton, const FourVector& b1,
                                                       const FourVector& b2, double px_miss, double py_miss,
                                                       double m_w, double upper);

/// m_T2^W, the smaller of the two ways to pair the b jets with the lepton.
///
/// The lepton is massless; `met` and `met_phi` are the missing transverse momentum. `upper` is given back
/// where no mass below it is consistent. At most the top mass for tt̄ in which one lepton is lost, up to
/// resolution and widths.
inline double mt2w(double lepton_pt, double lepton_eta, double lepton_phi, double b1_pt, double b1_eta,
                   double b1_phi, double b1_mass, double b2_pt, double b2_eta, double b2_phi, double b2_mass,
                   double met, double met_phi, double m_w = 80.4, double upper = 500) {
   const FourVector lepton = FourVector::of(lepton_pt, lepton_eta, lepton_phi, 0);
   const FourVector b1 = FourVector::of(b1_pt, b1_eta, b1_phi, b1_mass);
   const FourVector b2 = FourVector::of(b2_pt, b2_eta, b2_phi, b2_mass);
   const double x = met * std::cos(met_phi), y = met * std::sin(met_phi);
   const double first = mt2w_of_pairing(lepton, b1, b2, x, y, m_w, upper);
   return std::fmin(first, mt2w_of_pairing(lepton, b2, b1, x, y, m_w, first));
}

#ifndef HEPML_ROOT_OBSERVABLES_COMPILED

/// What m_T2^W is looked for with. The neutrinos with (q1 + p_l)² = m_W² are a paraboloid about the lepton:
/// q1 = w + n (w² − L²) / 2L for w normal to the lepton's direction n, L = m_W² / 2E_l. There m_Y² is a
/// quadratic function of w, constant on circles, and the second side asks for a point on the circle whose
/// transverse mass is at most m_Y.
class LostLepton {
public:
   LostLepton(const FourVector& lepton, const FourVector& b1, const FourVector& b2, double px_miss,
              double py_miss, double m_w)
       : fSecond{b2.mass(), b2.x, b2.y, m_w} {
      const double n[3] = {lepton.x / lepton.e, lepton.y / lepton.e, lepton.z / lepton.e};
      // Two directions normal to n: one in the transverse plane, the other as it must be.
      const double t = std::hypot(n[0], n[1]);
      const double u[3] = {-n[1] / t, n[0] / t, 0};
      const double v[3] = {-n[2] * u[1], n[2] * u[0], n[0] * u[1] - n[1] * u[0]};
      const double length = m_w * m_w / (2 * lepton.e);
      const double along = b1.x * n[0] + b1.y * n[1] + b1.z * n[2];
      const double bu = b1.x * u[0] + b1.y * u[1], bv = b1.x * v[0] + b1.y * v[1] + b1.z * v[2];
      const double mass = b1.mass();
      // E − p∥ without cancellation.
      const double minus = along > 0 ? (mass * mass + bu * bu + bv * bv) / (b1.e + along) : b1.e - along;
      const double least = 1e-12 * b1.e;
      fCurvature = std::fmax(minus, least) / length;
      const double w[2] = {bu / fCurvature, bv / fCurvature};
      fBase = m_w * m_w + mass * mass + 2 * lepton.e * minus + mass * mass / fCurvature;
      const double squared = w[0] * w[0] + w[1] * w[1];
      for (int i = 0; i < 2; ++i) {
         const double miss = i == 0 ? px_miss : py_miss;
         fCentre[i] = miss - w[0] * u[i] - w[1] * v[i] - n[i] * (squared - length * length) / (2 * length);
         fGrowth[i] = -n[i] / (2 * length);
         fCosine[i] = -u[i] - n[i] * w[0] / length;
         fSine[i] = -v[i] - n[i] * w[1] / length;
      }
   }

   /// The least m_Y that either side allows.
   double Least() const { return std::fmax(std::sqrt(fBase), fSecond.mass + fSecond.chi); }

   /// Not positive where both sides can have the mass m.
   double Excess(double m) const {
      const double radius2 = std::fmax((m * m - fBase) / fCurvature, 0.), radius = std::sqrt(radius2);
      const double x0 = fCentre[0] + radius2 * fGrowth[0], y0 = fCentre[1] + radius2 * fGrowth[1];
      const double xc = radius * fCosine[0], yc = radius * fCosine[1];
      const double xs = radius * fSine[0], ys = radius * fSine[1];
      // On the circle the conic is h0 + h1 cos + h2 sin + h3 cos² + 2 h4 cos sin + h5 sin² of the angle.
      const Conic a = fSecond.At(m);
      const double gx = a.xx * x0 + a.xy * y0 + a.x, gy = a.xy * x0 + a.yy * y0 + a.y;
      const double h0 = gx * x0 + gy * y0 + a.x * x0 + a.y * y0 + a.c;
      const double h1 = 2 * (gx * xc + gy * yc), h2 = 2 * (gx * xs + gy * ys);
      const double h3 = a.xx * xc * xc + 2 * a.xy * xc * yc + a.yy * yc * yc;
      const double h4 = a.xx * xc * xs + a.xy * (xc * ys + yc * xs) + a.yy * yc * ys;
      const double h5 = a.xx * xs * xs + 2 * a.xy * xs * ys + a.yy * ys * ys;
      std::array<double, kAngles> values;
      double least = std::numeric_limits<double>::infinity();
      for (std::size_t k = 0; k < kAngles; ++k) {
         const double c = Table().cosine[k], s = Table().sine[k];
         values[k] = h0 + c * (h1 + h3 * c + 2 * h4 * s) + s * (h2 + h5 * s);
         least = std::fmin(least, values[k]);
      }
      // Between two angles the conic falls at most by this below the smaller value.
      constexpr double step = 2 * pi / kAngles;
      const double bend_most = std::hypot(h1, h2) + 2 * std::hypot(h5 - h3, 2 * h4);
      if (least <= 0 || least > bend_most * step * step / 8)
         return least;
      for (std::size_t k = 0; k < kAngles; ++k) {
         if (values[k] > values[(k + 1) % kAngles] || values[k] > values[(k + kAngles - 1) % kAngles])
            continue;
         // Newton's steps to the minimum between the neighbours, halving the interval where they leave it.
         double angle = step * static_cast<double>(k), from = angle - step, to = angle + step;
         for (int i = 0; i < 30; ++i) {
            const double c = std::cos(angle), s = std::sin(angle);
            const double c2 = c * c - s * s, s2 = 2 * s * c;
            const double slope = h2 * c - h1 * s + (h5 - h3) * s2 + 2 * h4 * c2;
            const double bend = -h1 * c - h2 * s + 2 * (h5 - h3) * c2 - 4 * h4 * s2;
            (slope > 0 ? to : from) = angle;
            const double next = angle - slope / bend;
            const double better = next > from && next < to ? next : 0.5 * (from + to);
            if (std::fabs(better - angle) < 1e-9)
               break;
            angle = better;
         }
         const double c = std::cos(angle), s = std::sin(angle);
         least = std::fmin(least, h0 + c * (h1 + h3 * c + 2 * h4 * s) + s * (h2 + h5 * s));
      }
      return least;
   }

private:
   static constexpr std::size_t kAngles = 24;
   struct Angles {
      std::array<double, kAngles> cosine, sine;
      Angles() {
         for (std::size_t k = 0; k < kAngles; ++k) {
            cosine[k] = std::cos(2 * pi / kAngles * static_cast<double>(k));
            sine[k] = std::sin(2 * pi / kAngles * static_cast<double>(k));
         }
      }
   };
   static const Angles& Table() {
      static const Angles table;
      return table;
   }

   Side fSecond;
   double fBase, fCurvature;
   double fCentre[2], fGrowth[2], fCosine[2], fSine[2];
};

HEPML_ROOT_OBSERVABLES_FUNCTION double mt2w_of_pairing(const FourVector& lepton, const FourVector& b1,
                                                       const FourVector& b2, double px_miss, double py_miss,
                                                       double m_w, double upper) {
   if (!(m_w > 0) || !(upper > 0))
      throw std::invalid_argument("hepml: m_T2^W needs a positive W mass and upper bound");
   if (!std::isfinite(lepton.e + b1.e + b2.e + px_miss + py_miss))
      return not_a_number;
   if (!(lepton.pt() > 0) || !(b1.e > 0) || !(b2.e > 0))
      return upper;
   // In units of the W mass.
   const auto scaled = [&](const FourVector& p) {
      return FourVector{p.x / m_w, p.y / m_w, p.z / m_w, p.e / m_w};
   };
   const LostLepton sides(scaled(lepton), scaled(b1), scaled(b2), px_miss / m_w, py_miss / m_w, 1);
   const double least = sides.Least(), most = upper / m_w;
   if (!(least < most))
      return upper;
   if (sides.Excess(least) <= 0)
      return least * m_w;
   const auto bisect = [&](double low, double high) {
      constexpr double precision = 1e-7;
      while (high - low > precision * high) {
         const double middle = 0.5 * (low + high);
         (sides.Excess(middle) > 0 ? low : high) = middle;
      }
      return high * m_w;
   };
   // What is consistent need not stay so at larger masses: look from below, and into each dip on the way.
   constexpr int steps = 60;
   const double step = (most - least) / steps;
   double before = std::numeric_limits<double>::infinity(), here = before;
   for (int i = 1; i <= steps; ++i) {
      const double m = least + i * step;
      // Divided by the power of m by which it grows.
      const double next = sides.Excess(m) / (m * m * m * m);
      if (next <= 0)
         return bisect(m - step, m);
      if (here < before && here < next) {
         constexpr double golden = 0.6180339887498949;
         double low = m - 2 * step, high = m;
         for (int part = 0; part < 25; ++part) {
            const double one = high - golden * (high - low), two = low + golden * (high - low);
            const double at_one = sides.Excess(one), at_two = sides.Excess(two);
            if (at_one <= 0)
               return bisect(m - 2 * step, one);
            if (at_two <= 0)
               return bisect(m - 2 * step, two);
            (at_one < at_two ? high : low) = at_one < at_two ? two : one;
         }
      }
      before = here;
      here = next;
   }
   return upper;
}

#endif

} // namespace hepml

#endif
