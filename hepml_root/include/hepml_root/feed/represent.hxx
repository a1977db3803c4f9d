// Jagged columns as tensors, in the feed: representations, and plain columns that are padded, fill the rows
// of arrays, event by event, in the one way that all roads share.
#ifndef HEPML_ROOT_FEED_REPRESENT_HXX
#define HEPML_ROOT_FEED_REPRESENT_HXX

#include "types.hxx"

#include "../representations/representation.hxx"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hepml_root::feed {

using representations::Constituents;
using representations::Losses;
using representations::Representation;

/// Jagged columns as they are, side by side, cut to a length and padded with 0; then their mask.
class Padded final : public Representation {
public:
   Padded(std::size_t columns, std::size_t length) : fColumns(columns), fLength(length) {}

   std::size_t columns() const override { return fColumns; }
   std::size_t scalars() const override { return 0; }
   std::size_t outputs() const override { return 2; }
   std::size_t size(std::size_t output) const override { return output == 0 ? fLength * fColumns : fLength; }

   Losses fill(const Constituents& event, float* const* outputs, representations::Scratch&) const override {
      const std::size_t kept = std::min(event.count, fLength);
      float* values = outputs[0];
      for (std::size_t k = 0; k < kept; ++k)
         for (std::size_t i = 0; i < fColumns; ++i)
            *values++ = event.columns[i][k];
      std::fill(values, outputs[0] + fLength * fColumns, 0.f);
      std::fill_n(outputs[1], kept, 1.f);
      std::fill(outputs[1] + kept, outputs[1] + fLength, 0.f);
      Losses losses;
      losses.truncated = event.count - kept;
      losses.empty = event.count == 0;
      return losses;
   }

private:
   std::size_t fColumns, fLength;
};

/// A group as Python describes it (data/feed_library.py); the columns are numbers whose meaning the road
/// knows.
struct GroupPlace {
   const void* representation; ///< made by the library "represent"; null for padded columns
   const int* columns;
   std::size_t column_count;
   const int* scalars;
   std::size_t scalar_count;
   const unsigned char* masks; ///< of each output: 1 for one that is kept as bytes
   std::size_t length;         ///< of padded columns
};

/// Columns that become tensors together.
struct Group {
   std::shared_ptr<const Representation> representation;
   std::vector<int> columns, scalars;
   std::vector<unsigned char> masks;

   explicit Group(const GroupPlace& place)
       : columns(place.columns, place.columns + place.column_count),
         scalars(place.scalars, place.scalars + place.scalar_count) {
      if (place.representation) // Python keeps it
         representation = {std::shared_ptr<void>(), static_cast<const Representation*>(place.representation)};
      else
         representation = std::make_shared<Padded>(columns.size(), place.length);
      masks.assign(place.masks, place.masks + representation->outputs());
   }

   std::size_t row_bytes(std::size_t output) const {
      return representation->size(output) * (masks[output] ? 1 : sizeof(float));
   }
};

/// Fills the rows of one group; belongs to one thread.
class GroupFiller {
public:
   explicit GroupFiller(const Group& group) : fGroup(&group) {
      const Representation& r = *group.representation;
      fOutputs.resize(r.outputs());
      fMasks.resize(r.outputs());
      for (std::size_t i = 0; i < r.outputs(); ++i)
         if (group.masks[i])
            fMasks[i].resize(r.size(i));
   }

   /// Fill row `row` of each tensor, and of the losses (3 numbers a row) where these are wanted; errors say
   /// `where` the event is.
   template <typename Where>
   void fill(const Constituents& event, void* const* tensors, std::uint32_t* losses, std::size_t row,
             Where&& where) {
      const Representation& r = *fGroup->representation;
      for (std::size_t i = 0; i < fOutputs.size(); ++i)
         fOutputs[i] =
             fGroup->masks[i] ? fMasks[i].data() : static_cast<float*>(tensors[i]) + row * r.size(i);
      Losses lost;
      try {
         lost = r.fill(event, fOutputs.data(), fScratch);
      } catch (const std::domain_error& error) {
         throw NotFinite(where() + ": " + error.what());
      }
      for (std::size_t i = 0; i < fOutputs.size(); ++i) {
         if (!fGroup->masks[i])
            continue;
         const std::size_t size = r.size(i); // bytes may be anything: it would be asked for again after each
         const float* from = fMasks[i].data();
         unsigned char* to = static_cast<unsigned char*>(tensors[i]) + row * size;
         for (std::size_t k = 0; k < size; ++k)
            to[k] = from[k] != 0;
      }
      if (losses) {
         losses[3 * row] = static_cast<std::uint32_t>(lost.truncated);
         losses[3 * row + 1] = static_cast<std::uint32_t>(lost.dropped);
         losses[3 * row + 2] = static_cast<std::uint32_t>(lost.empty);
      }
   }

private:
   const Group* fGroup;
   std::vector<float*> fOutputs;
   std::vector<std::vector<float>> fMasks;
   representations::Scratch fScratch;
};

/// The error for columns of one group that differ in length.
inline Uneven uneven(const std::string& where, const std::string& first, std::size_t size,
                     const std::string& other, std::size_t other_size) {
   return Uneven(where + ": column '" + first + "' has " + std::to_string(size) + " values and '" + other +
                 "' has " + std::to_string(other_size) +
                 "; jagged columns that belong together need the same number");
}

} // namespace hepml_root::feed

#endif
