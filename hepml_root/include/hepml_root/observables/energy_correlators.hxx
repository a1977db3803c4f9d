// Energy correlation functions (arXiv:1305.0007) and D2 (arXiv:1409.6298).

#ifndef HEPML_ROOT_OBSERVABLES_ENERGY_CORRELATORS_HXX
#define HEPML_ROOT_OBSERVABLES_ENERGY_CORRELATORS_HXX

#include "clustering.hxx"

namespace hepml {

/// e2 and e3 together; `e3` may be a null pointer, which saves its O(N³) steps.
HEPML_ROOT_OBSERVABLES_FUNCTION void correlators(const Particles& particles, double beta, double* e2,
                                                 double* e3);

/// e2 = Σ_{i<j} z_i z_j ΔR_ij^β with z = pT / Σ pT.
template <class Pt, class Eta, class Phi>
double energy_correlator2(const Pt& pt, const Eta& eta, const Phi& phi, double beta = 1) {
   double e2;
   correlators(Particles(pt, eta, phi), beta, &e2, nullptr);
   return e2;
}

/// e3 = Σ_{i<j<k} z_i z_j z_k (ΔR_ij ΔR_ik ΔR_jk)^β with z = pT / Σ pT.
template <class Pt, class Eta, class Phi>
double energy_correlator3(const Pt& pt, const Eta& eta, const Phi& phi, double beta = 1) {
   double e2, e3;
   correlators(Particles(pt, eta, phi), beta, &e2, &e3);
   return e3;
}

/// C2 = e3 / e2²; 0 where e2 is 0.
template <class Pt, class Eta, class Phi>
double c2(const Pt& pt, const Eta& eta, const Phi& phi, double beta = 1) {
   double e2, e3;
   correlators(Particles(pt, eta, phi), beta, &e2, &e3);
   return e2 == 0 ? 0 : e3 / (e2 * e2);
}

/// D2 = e3 / e2³; 0 where e2 is 0.
template <class Pt, class Eta, class Phi>
double d2(const Pt& pt, const Eta& eta, const Phi& phi, double beta = 1) {
   double e2, e3;
   correlators(Particles(pt, eta, phi), beta, &e2, &e3);
   return e2 == 0 ? 0 : e3 / (e2 * e2 * e2);
}

#ifndef HEPML_ROOT_OBSERVABLES_COMPILED

HEPML_ROOT_OBSERVABLES_FUNCTION void correlators(const Particles& particles, double beta, double* e2,
                                                 double* e3) {
   if (!(beta > 0))
      throw std::invalid_argument("hepml: energy correlators need a positive beta");
   *e2 = particles.finite() ? 0 : not_a_number;
   if (e3)
      *e3 = *e2;
   const std::size_t n = particles.size();
   if (n < 2 || !particles.finite())
      return;
   Memory& memory = Memory::of(particles);
   if (memory.beta == beta && (!e3 || memory.e3 >= 0)) {
      *e2 = memory.e2;
      if (e3)
         *e3 = memory.e3;
      return;
   }
   // A square matrix whose rows are whole vector registers, filled up with zeros. Single precision is enough:
   // all terms are positive, and they are added in double precision.
   constexpr std::size_t lanes = 16;
   const std::size_t width = (n + lanes - 1) / lanes * lanes;
   std::vector<float> angle(n * width), z(width), eta(width), phi(width);
   const double sum = particles.sum_pt();
   for (std::size_t i = 0; i < n; ++i) {
      z[i] = static_cast<float>(particles.pt()[i] / sum);
      eta[i] = static_cast<float>(particles.eta()[i] - particles.eta()[0]);
      phi[i] = static_cast<float>(std::remainder(particles.phi()[i] - particles.phi()[0], 2 * pi));
   }
   const auto power = static_cast<float>(0.5 * beta);
   double two = 0, three = 0;
   for (std::size_t i = 0; i < n; ++i) {
      float* row = angle.data() + i * width;
      for (std::size_t j = 0; j < n; ++j) {
         const float away = eta[i] - eta[j], apart = std::fabs(phi[i] - phi[j]);
         const float other = static_cast<float>(2 * pi) - apart;
         const float around = apart < other ? apart : other;
         row[j] = away * away + around * around;
      }
      if (beta == 1)
         for (std::size_t j = 0; j < n; ++j)
            row[j] = std::sqrt(row[j]);
      else if (beta != 2)
         for (std::size_t j = 0; j < n; ++j)
            row[j] = std::pow(row[j], power);
      double part = 0;
      for (std::size_t j = 0; j < i; ++j)
         part += static_cast<double>(z[j]) * row[j];
      two += z[i] * part;
   }
   memory.beta = beta;
   memory.e2 = *e2 = two;
   memory.e3 = -1; // not known yet
   if (!e3)
      return;
   std::vector<float> weighted(width);
   for (std::size_t i = 0; i < n; ++i) {
      const float* first = angle.data() + i * width;
      // The third particle k runs over the multiples of `lanes` below j, so that what is above j has weight
      // 0.
      for (std::size_t k = 0; k < i; ++k)
         weighted[k] = z[k] * first[k];
      double part = 0;
      for (std::size_t j = 1; j < i; ++j) {
         const float* second = angle.data() + j * width;
         float sums[lanes] = {};
         const std::size_t whole = j / lanes * lanes;
         for (std::size_t k = 0; k < whole; k += lanes)
            for (std::size_t lane = 0; lane < lanes; ++lane)
               sums[lane] += weighted[k + lane] * second[k + lane];
         float rest = 0;
         for (std::size_t k = whole; k < j; ++k)
            rest += weighted[k] * second[k];
         for (const float value : sums)
            rest += value;
         part += static_cast<double>(weighted[j]) * rest;
      }
      three += z[i] * part;
   }
   memory.e3 = *e3 = three;
}

#endif

} // namespace hepml

#endif
