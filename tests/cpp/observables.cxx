// Observables of jets and events, on lists of any kind.

#include "hepml_root/observables.hxx"
#include "check.hxx"

#include <array>
#include <string>
#include <vector>

namespace {

bool near(double a, double b) { return std::fabs(a - b) <= 1e-6 * std::fmax(1., std::fabs(b)); }

} // namespace

int main() {
   // pT 6, 3 and 1, at distances 0.3, 0.4 and 0.5.
   const std::vector<float> pt{6, 3, 1};
   const std::array<double, 3> eta{0, 0.3, 0}, phi{3.1, 3.1, 3.5 - 2 * hepml::pi};
   const double e2 = (18 * 0.3 + 6 * 0.4 + 3 * 0.5) / 100, e3 = 18 * 0.06 / 1000;
   CHECK(near(hepml::energy_correlator2(pt, eta, phi), e2));
   CHECK(near(hepml::energy_correlator3(pt, eta, phi), e3));
   CHECK(near(hepml::c2(pt, eta, phi), e3 / (e2 * e2)));
   CHECK(near(hepml::d2(pt, eta, phi), e3 / (e2 * e2 * e2)));
   CHECK(near(hepml::nsubjettiness(1, pt, eta, phi), 1.3 / 8));
   CHECK(near(hepml::nsubjettiness_ratio(2, pt, eta, phi), 0.4 / 1.3));
   CHECK(hepml::nsubjettiness(3, pt, eta, phi, 0.8, 1, hepml::Axes::one_pass_kt) == 0);
   CHECK(near(hepml::pt_dispersion(pt), std::sqrt(46.) / 10));
   CHECK(hepml::multiplicity(pt) == 3);

   // Another jet in between: what is remembered of the jet before is not mixed up.
   const std::vector<double> two{3, 1}, away{0, 0.4}, none{0, 0};
   CHECK(near(hepml::soft_drop_fraction(two, away, none, none), 0.25));
   CHECK(near(hepml::energy_correlator2(pt, eta, phi), e2));
   CHECK(near(hepml::energy_correlator2(pt, eta, phi, 2), (18 * 0.09 + 6 * 0.16 + 3 * 0.25) / 100));
   CHECK(near(hepml::soft_drop_mass(two, away, none, none, 0.26), 0));

   CHECK(near(hepml::invariant_mass(50, 0, 0, 0, 50, 0, hepml::pi, 0), 100));
   CHECK(near(hepml::delta_phi(3., -3.), 6 - 2 * hepml::pi));
   CHECK(near(hepml::delta_r(std::vector<float>{0, 1}, std::vector<float>{0, 1}, 1., 1.)[0], std::sqrt(2.)));
   CHECK(near(hepml::transverse_mass(40, 0, 40, hepml::pi), 80));
   CHECK(near(hepml::mt2(5, 60, 0, 5, 40, 30, -80, 20), 88.24887140));
   CHECK(hepml::mt2w(60, 0, 0, 80, 0.5, 2, 5, 70, -0.4, -2, 5, 90, 1) < 173);
   CHECK(near(hepml::sphericity(std::vector<float>{1, 1}, none, std::vector<double>{0, hepml::pi}), 0));
   CHECK(near(hepml::thrust(std::vector<float>{1, 1}, none, std::vector<double>{0, hepml::pi}), 1));
   const std::vector<float> px{3, 0}, py{4, 0}, pz{0, 1}, energy{13, 1};
   CHECK(hepml::pt_of(px, py)[0] == 5 && hepml::mass_of(px, py, pz, energy)[0] == 12);
   CHECK(hepml::eta_of(px, py, pz)[1] == 0 && hepml::phi_of(px, py)[1] == 0);

   const std::vector<double> empty;
   CHECK(hepml::c2(empty, empty, empty) == 0 && hepml::jet_width(empty, empty, empty) == 0);
   CHECK(std::isnan(hepml::c2(std::vector<double>{1, hepml::not_a_number}, away, none)));
   CHECK_THROWS(hepml::c2(pt, away, none), "3 values of pt, but 2 of eta");
   CHECK_THROWS(hepml::nsubjettiness(0, two, away, none), "n of at least 1");
   CHECK_THROWS(hepml::mt2w(60, 0, 0, 80, 0, 2, 5, 70, 0, 1, 5, 90, 1, 0), "positive W mass");
   return failures == 0 ? 0 : 1;
}
