// The constituents of a jet as a padded tensor (constituents, features) and its mask.

#ifndef HEPML_ROOT_REPRESENTATIONS_CONSTITUENTS_HXX
#define HEPML_ROOT_REPRESENTATIONS_CONSTITUENTS_HXX

#include "ordering.hxx"
#include "quantities.hxx"

#include <algorithm>
#include <string>
#include <vector>

namespace hepml_root {
namespace representations {
inline namespace HEPML_ROOT_TARGET {

/// Those constituents of an event that are kept, in their order.
struct Chosen {
   QuantityRows rows;
   const std::size_t* order = nullptr;
   std::size_t count = 0;
};

/// Features of the constituents in an order of theirs. Settings: "features"; "sort": a quantity, or
/// "clustering" for the order of a clustering history, of "algorithm" "cambridge", "kt" or "antikt";
/// "descending".
class ConstituentRows {
public:
   static std::vector<std::string> settings() {
      std::vector<std::string> names = Quantities::settings();
      names.insert(names.end(), {"features", "sort", "descending", "algorithm"});
      return names;
   }

   explicit ConstituentRows(const Description& description)
       : fQuantities(description), fDescending(description.flag("descending", true)),
         fAlgorithm(static_cast<Algorithm>(description.choice("algorithm", {"cambridge", "kt", "antikt"}))) {
      const std::vector<std::size_t>& shape = description.outputs.front().shape;
      for (const std::string& feature : description.texts("features"))
         fFeatures.push_back(fQuantities.need(feature, description));
      if (shape.size() != 2 || shape.back() != fFeatures.size())
         description.fail("has another number of features than its first output");
      fLength = shape.front();
      const std::string key = description.text("sort", "");
      fSort = key.empty() ? Sort::kNone : key == "clustering" ? Sort::kClustering : Sort::kQuantity;
      if (fSort == Sort::kQuantity)
         fKey = fQuantities.need(key, description);
   }

   /// Have a quantity computed that may be no feature.
   void need(Quantity quantity) { fQuantities.need(quantity); }
   std::size_t need(const std::string& name, const Description& description) {
      return fQuantities.need(name, description);
   }

   bool massive() const { return fQuantities.massive(); }
   std::size_t length() const { return fLength; }
   std::size_t features() const { return fFeatures.size(); }

   /// The quantities of an event, and which constituents are kept.
   Chosen choose(const Constituents& event, Scratch& scratch, Losses& losses) const {
      const QuantityRows rows = fQuantities.compute(event, scratch, losses);
      std::size_t* places = indices(scratch, Slot::kOrder, rows.count);
      if (fSort == Sort::kQuantity) {
         sort_by(rows[fKey], rows.count, fDescending, places);
      } else if (fSort == Sort::kClustering && rows.count > 0) {
         const History history = cluster(rows.count, rows[kPt], rows[kEta], rows[kPhi],
                                         massive() ? rows[kMass] : nullptr, fAlgorithm, scratch);
         leaves_below(history, history.jets[0], places, scratch);
      } else {
         for (std::size_t i = 0; i < rows.count; ++i)
            places[i] = i;
      }
      const std::size_t kept = std::min(rows.count, fLength);
      losses.truncated += rows.count - kept;
      return {rows, places, kept};
   }

   void write(const Chosen& chosen, float* values, float* mask) const {
      const std::size_t width = fFeatures.size(), kept = chosen.count;
      const std::size_t* order = chosen.order;
      for (std::size_t feature = 0; feature < width; ++feature) {
         const float* row = chosen.rows[fFeatures[feature]];
         for (std::size_t i = 0; i < kept; ++i)
            values[i * width + feature] = row[order[i]];
      }
      std::fill(values + kept * width, values + fLength * width, 0.f);
      std::fill(mask, mask + kept, 1.f);
      std::fill(mask + kept, mask + fLength, 0.f);
   }

private:
   enum class Sort { kNone, kQuantity, kClustering };

   Quantities fQuantities;
   std::size_t fLength = 0;
   Sort fSort;
   bool fDescending;
   Algorithm fAlgorithm;
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
      fRows.write(fRows.choose(event, scratch, losses), outputs[0], outputs[1]);
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
