// Representations: the constituents of an event as the tensors that a network takes.
//
// Needs the C++17 standard library only. The same code fills datasets, the inputs of `define` and `apply`,
// and can be called from a macro. `make` in make.hxx gives the one that a manifest describes.

#ifndef HEPML_ROOT_REPRESENTATIONS_REPRESENTATION_HXX
#define HEPML_ROOT_REPRESENTATIONS_REPRESENTATION_HXX

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hepml_root {
namespace representations {

/// The constituents of one event: `columns[i][k]` is column i of constituent k.
struct Constituents {
   const float* const* columns = nullptr;
   std::size_t count = 0;
   const float* scalars = nullptr; ///< values of the event, such as the axis of the jet
};

/// Constituents that are not, or not as they were, in what was filled.
struct Losses {
   std::uint64_t truncated = 0; ///< beyond the maximum length
   std::uint64_t dropped = 0;   ///< without positive pT, or outside an image
   std::uint64_t empty = 0;     ///< events without any constituent

   Losses& operator+=(const Losses& other) {
      truncated += other.truncated;
      dropped += other.dropped;
      empty += other.empty;
      return *this;
   }
};

/// Memory that is kept from event to event, one for each thread.
struct Scratch {
   std::vector<std::vector<float>> floats;
   std::vector<std::vector<double>> doubles;
   std::vector<std::vector<std::size_t>> indices;
};

/// Fills tensors of fixed size from one event. Unchanging after it is made, so that threads share it.
class Representation {
public:
   virtual ~Representation() = default;

   /// Number of jagged columns and of values per event that it reads.
   virtual std::size_t columns() const = 0;
   virtual std::size_t scalars() const = 0;

   /// Number of tensors, and of floats in each for one event.
   virtual std::size_t outputs() const = 0;
   virtual std::size_t size(std::size_t output) const = 0;

   /// Fill all tensors, padding included. Masks are 0 and 1.
   /// Throws std::domain_error where a value that is needed is not finite.
   virtual Losses fill(const Constituents& event, float* const* outputs, Scratch& scratch) const = 0;
};

} // namespace representations
} // namespace hepml_root

#endif
