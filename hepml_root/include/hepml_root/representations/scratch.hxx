// Places in the memory that is kept from event to event, and what lies in the first of them.

#ifndef HEPML_ROOT_REPRESENTATIONS_SCRATCH_HXX
#define HEPML_ROOT_REPRESENTATIONS_SCRATCH_HXX

#include "representation.hxx"

#include <cstddef>
#include <vector>

namespace hepml_root {
namespace representations {

/// Who uses which place: what is needed at the same time lies apart.
enum class Slot : std::size_t { kQuantities, kOrder, kClustering, kStack, kImage, kPairs };

template <typename Value> Value* room(std::vector<std::vector<Value>>& places, Slot slot, std::size_t size) {
   const std::size_t place = static_cast<std::size_t>(slot);
   if (places.size() <= place)
      places.resize(place + 1);
   if (places[place].size() < size)
      places[place].resize(size);
   return places[place].data();
}

/// At least `size` numbers at a place; what was there before stays as far as the room does.
inline float* floats(Scratch& scratch, Slot slot, std::size_t size) {
   return room(scratch.floats, slot, size);
}
inline double* doubles(Scratch& scratch, Slot slot, std::size_t size) {
   return room(scratch.doubles, slot, size);
}
inline std::size_t* indices(Scratch& scratch, Slot slot, std::size_t size) {
   return room(scratch.indices, slot, size);
}

/// The quantities of the constituents of one event: row after row, each padded to whole SIMD lanes.
struct QuantityRows {
   std::size_t count = 0;
   std::size_t stride = 0;
   float* rows = nullptr;

   float* operator[](std::size_t quantity) const { return rows + quantity * stride; }
};

} // namespace representations
} // namespace hepml_root

#endif
