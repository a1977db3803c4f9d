// The observables as one C function over arrays of events, for Python, and as a library for the interpreter.
#ifndef HEPML_ROOT_OBSERVABLES_LIBRARY_HXX
#define HEPML_ROOT_OBSERVABLES_LIBRARY_HXX

// The functions themselves are kept in the library, for the interpreter to call.
#ifndef HEPML_ROOT_OBSERVABLES_FUNCTION
#define HEPML_ROOT_OBSERVABLES_FUNCTION
#endif

#include "../observables.hxx"

#include <algorithm>
#include <cstdint>
#include <map>

namespace hepml {

/// Part of a column: the values of one event.
struct Slice {
   const double* values;
   std::size_t count;
   std::size_t size() const { return count; }
   double operator[](std::size_t i) const { return values[i]; }
};

/// An observable over the lists and the settings of one event.
using OfLists = double (*)(const Slice* lists, const double* settings);
/// An observable over numbers.
using OfNumbers = double (*)(const double* values);

inline const std::map<std::string, OfLists>& list_observables() {
   using L = const Slice*;
   using S = const double*;
   static const std::map<std::string, OfLists> table{
       {"invariant_mass", [](L l, S) { return invariant_mass(l[0], l[1], l[2], l[3]); }},
       {"nsubjettiness",
        [](L l, S s) {
           return nsubjettiness(static_cast<int>(s[0]), l[0], l[1], l[2], s[1], s[2],
                                static_cast<Axes>(static_cast<int>(s[3])));
        }},
       {"nsubjettiness_ratio",
        [](L l, S s) {
           return nsubjettiness_ratio(static_cast<int>(s[0]), l[0], l[1], l[2], s[1],
                                      static_cast<Axes>(static_cast<int>(s[2])));
        }},
       {"energy_correlator2", [](L l, S s) { return energy_correlator2(l[0], l[1], l[2], s[0]); }},
       {"energy_correlator3", [](L l, S s) { return energy_correlator3(l[0], l[1], l[2], s[0]); }},
       {"c2", [](L l, S s) { return c2(l[0], l[1], l[2], s[0]); }},
       {"d2", [](L l, S s) { return d2(l[0], l[1], l[2], s[0]); }},
       {"soft_drop_mass", [](L l, S s) { return soft_drop_mass(l[0], l[1], l[2], l[3], s[0], s[1], s[2]); }},
       {"soft_drop_pt", [](L l, S s) { return soft_drop_pt(l[0], l[1], l[2], l[3], s[0], s[1], s[2]); }},
       {"soft_drop_fraction",
        [](L l, S s) { return soft_drop_fraction(l[0], l[1], l[2], l[3], s[0], s[1], s[2]); }},
       {"soft_drop_radius",
        [](L l, S s) { return soft_drop_radius(l[0], l[1], l[2], l[3], s[0], s[1], s[2]); }},
       {"multiplicity", [](L l, S) { return multiplicity(l[0]); }},
       {"jet_width", [](L l, S s) { return jet_width(l[0], l[1], l[2], s[0]); }},
       {"pt_dispersion", [](L l, S) { return pt_dispersion(l[0]); }},
       {"jet_charge", [](L l, S s) { return jet_charge(l[0], l[1], s[0]); }},
       {"sphericity", [](L l, S s) { return sphericity(l[0], l[1], l[2], s[0]); }},
       {"aplanarity", [](L l, S s) { return aplanarity(l[0], l[1], l[2], s[0]); }},
       {"transverse_sphericity", [](L l, S s) { return transverse_sphericity(l[0], l[1], s[0]); }},
       {"thrust", [](L l, S) { return thrust(l[0], l[1], l[2]); }},
   };
   return table;
}

inline const std::map<std::string, OfNumbers>& number_observables() {
   static const std::map<std::string, OfNumbers> table{
       {"mt2",
        [](const double* v) { return mt2(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9]); }},
       {"mt2w",
        [](const double* v) {
           return mt2w(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[10], v[11], v[12], v[13],
                       v[14]);
        }},
   };
   return table;
}

inline int tell(const std::exception& error, char* message, std::size_t size) {
   const std::string text = error.what();
   if (size > 0)
      message[text.copy(message, size - 1)] = 0;
   return -1;
}

} // namespace hepml

extern "C" {

/// Fill result[e] with the observable `name` of event e, whose lists are columns[c][offsets[e] …
/// offsets[e+1]]. Returns 0, or −1 and why.
int hepml_observable_of_lists(const char* name, const double* const* columns, std::size_t count,
                              const std::int64_t* offsets, std::size_t events, const double* settings,
                              double* result, char* message, std::size_t size) {
   try {
      const hepml::OfLists function = hepml::list_observables().at(name);
      std::vector<hepml::Slice> lists(count);
      for (std::size_t e = 0; e < events; ++e) {
         for (std::size_t c = 0; c < count; ++c)
            lists[c] = {columns[c] + offsets[e], static_cast<std::size_t>(offsets[e + 1] - offsets[e])};
         result[e] = function(lists.data(), settings);
      }
   } catch (const std::exception& error) {
      return hepml::tell(error, message, size);
   }
   return 0;
}

/// Fill result[e] with the observable `name` of the numbers columns[c][e].
int hepml_observable_of_numbers(const char* name, const double* const* columns, std::size_t count,
                                std::size_t events, double* result, char* message, std::size_t size) {
   try {
      const hepml::OfNumbers function = hepml::number_observables().at(name);
      std::vector<double> values(count);
      for (std::size_t e = 0; e < events; ++e) {
         for (std::size_t c = 0; c < count; ++c)
            values[c] = columns[c][e];
         result[e] = function(values.data());
      }
   } catch (const std::exception& error) {
      return hepml::tell(error, message, size);
   }
   return 0;
}
}

#endif
