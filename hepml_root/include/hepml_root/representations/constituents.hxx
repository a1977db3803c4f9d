// The constituents of a jet as a padded tensor (constituents, features) and its mask.

#ifndef HEPML_ROOT_REPRESENTATIONS_CONSTITUENTS_HXX
#define HEPML_ROOT_REPRESENTATIONS_CONSTITUENTS_HXX

#include "hepml_root/representations/ordering.hxx"
#include "hepml_root/representations/quantities.hxx"

#include <algorithm>
#include <string>
#include <vector>

namespace hepml_root {
namespace representations {
inline namespace HEPML_ROOT_TARGET {

/// Features of the constituents in an order of theirs, beside those of any other representation that has
/// them.
class ConstituentRows {
public:
   static constexpr std::size_t slot = 1; ///< of the scratch memory

   static std::vector<std::string> settings() {
      std::vector<std::string> names = Quantities::settings();
      names.insert(names.end(), {"features", "sort", "descending"});
      return names;
   }

   explicit ConstituentRows(const Description& description)
       : fQuantities(description), fLength(description.outputs.front().shape.front()),
         fSorted(!description.setting("sort").IsNull()), fDescending(description.flag("descending", true)) {
      for (const std::string& feature : description.texts("features"))
         fFeatures.push_back(fQuantities.need(feature, description));
      if (description.outputs.front().shape.size() != 2 ||
          description.outputs.front().shape.back() != fFeatures.size())
         description.fail("has another number of features than its first output");
      if (fSorted)
         fKey = fQuantities.need(description.text("sort", ""), description);
   }

   /// Have a quantity computed that is no feature.
   void need(std::size_t quantity) { fQuantities.need(quantity); }

   std::size_t length() const { return fLength; }
   std::size_t features() const { return fFeatures.size(); }

   /// The quantities of an event, and in `order` the places of those that are kept, `kept` in number.
   QuantityRows order(const Constituents& event, Scratch& scratch, Losses& losses, const std::size_t*& order,
                      std::size_t& kept) const {
      const QuantityRows rows = fQuantities.compute(event, scratch, losses);
      std::size_t* places = indices(scratch, slot, rows.stride);
      if (fSorted)
         sort_by(rows[fKey], rows.count, fDescending, places);
      else
         for (std::size_t i = 0; i < rows.count; ++i)
            places[i] = i;
      order = places;
      kept = std::min(rows.count, fLength);
      losses.truncated += rows.count - kept;
      return rows;
   }

   void write(const QuantityRows& rows, const std::size_t* order, std::size_t kept, float* values,
              float* mask) const {
      const std::size_t width = fFeatures.size();
      for (std::size_t feature = 0; feature < width; ++feature) {
         const float* row = rows[fFeatures[feature]];
         for (std::size_t i = 0; i < kept; ++i)
            values[i * width + feature] = row[order[i]];
      }
      std::fill(values + kept * width, values + fLength * width, 0.f);
      std::fill(mask, mask + kept, 1.f);
      std::fill(mask + kept, mask + fLength, 0.f);
   }

private:
   Quantities fQuantities;
   std::size_t fLength;
   bool fSorted, fDescending;
   std::size_t fKey = kPt;
   std::vector<std::size_t> fFeatures;
};

/// Kind "constituents": outputs "jagged" (constituents, features) and "mask" (constituents).
class ConstituentTensor : public Representation {
public:
   explicit ConstituentTensor(const Description& description)
       : fColumns(description.columns.size()), fScalars(description.scalars.size()), fRows(description) {
      description.check(ConstituentRows::settings(), {"jagged", "mask"});
      if (description.outputs[1].size() != fRows.length())
         description.fail("has a mask of another length");
   }

   std::size_t columns() const override { return fColumns; }
   std::size_t scalars() const override { return fScalars; }
   std::size_t outputs() const override { return 2; }
   std::size_t size(std::size_t output) const override {
      return output == 0 ? fRows.length() * fRows.features() : fRows.length();
   }

   Losses fill(const Constituents& event, float* const* outputs, Scratch& scratch) const override {
      Losses losses;
      const std::size_t* order = nullptr;
      std::size_t kept = 0;
      const QuantityRows rows = fRows.order(event, scratch, losses, order, kept);
      fRows.write(rows, order, kept, outputs[0], outputs[1]);
      return losses;
   }

private:
   std::size_t fColumns, fScalars;
   ConstituentRows fRows;
};

} // namespace HEPML_ROOT_TARGET
} // namespace representations
} // namespace hepml_root

#endif
