// Jagged columns (the particles of a jet) as the padded tensor and mask that a model takes.
//
// Needs the C++17 standard library only. Called by the code that hepml_root.define makes for RDataFrame;
// it can be called in the same way from a Define written by hand.

#ifndef HEPML_ROOT_RDF_PADDING_HXX
#define HEPML_ROOT_RDF_PADDING_HXX

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace hepml_root {
namespace rdf {

/// Fills one jagged block of one event: values (constituents, features), row-major, and a mask
/// (constituents) with 1 for a constituent and 0 for padding. Constituents beyond the length are left out,
/// missing ones are zero: as in the arrays the model was trained on.
class Padding {
public:
   /// Where to write; `mask` may be null when the model takes none.
   Padding(float* values, float* mask, std::size_t length, std::size_t features)
       : fValues(values), fMask(mask), fLength(length), fFeatures(features) {
      std::fill(values, values + length * features, 0.f);
   }

   /// Write the next column; any container with size() and operator[] will do.
   /// Throws std::runtime_error if its number of constituents is not that of the columns before.
   template <typename Container> void Add(const Container& column) {
      const std::size_t size = column.size();
      if (fColumn == 0)
         fSize = size;
      else if (size != fSize)
         throw std::runtime_error("hepml_root: the jagged columns of one input block have " +
                                  std::to_string(fSize) + " and " + std::to_string(size) +
                                  " constituents in the same event");
      const std::size_t used = std::min(size, fLength);
      for (std::size_t i = 0; i < used; ++i)
         fValues[i * fFeatures + fColumn] = static_cast<float>(column[i]);
      if (fColumn == 0 && fMask)
         for (std::size_t i = 0; i < fLength; ++i)
            fMask[i] = i < used ? 1.f : 0.f;
      ++fColumn;
   }

private:
   float* fValues;
   float* fMask;
   std::size_t fLength;
   std::size_t fFeatures;
   std::size_t fColumn = 0;
   std::size_t fSize = 0;
};

} // namespace rdf
} // namespace hepml_root

#endif
