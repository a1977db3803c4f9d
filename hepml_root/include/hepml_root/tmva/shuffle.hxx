// The order in which TMVA draws events: the standard library's shuffle with ROOT's generator, one after the
// other, so that the same seed gives the same training and test events as there.
#ifndef HEPML_ROOT_TMVA_SHUFFLE_HXX
#define HEPML_ROOT_TMVA_SHUFFLE_HXX

#include <TRandom3.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace hepml_root::tmva {

class Shuffle {
public:
   explicit Shuffle(unsigned seed) : random_(seed) {}

   // The numbers 0 to n - 1 in their new order.
   std::vector<unsigned> order(unsigned n) {
      std::vector<unsigned> places(n);
      std::iota(places.begin(), places.end(), 0u);
      std::shuffle(places.begin(), places.end(), Bits{random_});
      return places;
   }

private:
   struct Bits {
      using result_type = UInt_t;
      TRandom3& random;
      static constexpr result_type min() { return 0; }
      static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
      result_type operator()() { return random.Integer(max()); }
   };
   TRandom3 random_;
};

} // namespace hepml_root::tmva

#endif
