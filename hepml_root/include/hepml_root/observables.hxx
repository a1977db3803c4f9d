// Observables of jets and events, for any RDataFrame expression, ROOT macro or C++ program.
//
//    #include "hepml_root/observables.hxx"
//    frame.Define("tau32", "hepml::nsubjettiness_ratio(3, constituent_pt, constituent_eta,
//    constituent_phi)");
//
// Lists are anything with size() and []: RVec, std::vector, std::array. Momenta and masses are in GeV, angles
// in rad. Needs the C++17 standard library only.
//
// In all functions of lists, particles without positive pT are passed over (padding), a value that is not
// finite gives NaN, and an empty list gives 0.

#ifndef HEPML_ROOT_OBSERVABLES_HXX
#define HEPML_ROOT_OBSERVABLES_HXX

#include "observables/energy_correlators.hxx"
#include "observables/event_shapes.hxx"
#include "observables/grooming.hxx"
#include "observables/jet_shapes.hxx"
#include "observables/kinematics.hxx"
#include "observables/stransverse_mass.hxx"
#include "observables/subjettiness.hxx"
#include "observables/top_mass.hxx"

#endif
