// Images of jets and events: what constituents carry, summed in pixels of η and φ.

#ifndef HEPML_ROOT_REPRESENTATIONS_IMAGE_HXX
#define HEPML_ROOT_REPRESENTATIONS_IMAGE_HXX

#include "quantities.hxx"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace hepml_root {
namespace representations {
inline namespace HEPML_ROOT_TARGET {

/// Kind "image": one output "image" (height, width, channels), rows along φ and columns along η, both
/// ascending. Settings: "channels", each "multiplicity" or the label of a column; "half_width_eta" and
/// "half_width_phi" (π: φ is cyclic); "flip"; "scaling": "none", "sqrt", "log"; "normalise": "none", "sum",
/// "max", "l2".
class Image : public Representation {
public:
   explicit Image(const Description& description)
       : fColumns(description.columns.size()), fScalars(description.scalars.size()), fQuantities(description),
         fHalfEta(static_cast<float>(description.number("half_width_eta", 1))),
         fHalfPhi(static_cast<float>(description.number("half_width_phi", 1))),
         fFlip(description.flag("flip", false)),
         fScaling(static_cast<Scaling>(description.choice("scaling", {"none", "sqrt", "log"}))),
         fNormalise(static_cast<Norm>(description.choice("normalise", {"none", "sum", "max", "l2"}))) {
      std::vector<std::string> settings = Quantities::settings();
      settings.insert(settings.end(),
                      {"channels", "half_width_eta", "half_width_phi", "flip", "scaling", "normalise"});
      description.check(settings, {"image"});
      fQuantities.need(kDeltaEta);
      fQuantities.need(kDeltaPhi);
      for (const std::string& channel : description.texts("channels"))
         fChannels.push_back(channel == "multiplicity" ? one : fQuantities.need(channel, description));
      const std::vector<std::size_t>& shape = description.outputs[0].shape;
      if (shape.size() != 3 || shape[2] != fChannels.size())
         description.fail("has an output of another shape than (height, width, channels)");
      fHeight = shape[0];
      fWidth = shape[1];
      if (!(fHalfEta > 0) || !(fHalfPhi > 0) || fHalfPhi > 3.1416f)
         description.fail("needs half widths above 0, that of phi at most pi");
      fCyclic = fHalfPhi > 3.14159f;
      if (fCyclic)
         fHalfPhi = static_cast<float>(pi);
   }

   std::size_t columns() const override { return fColumns; }
   std::size_t scalars() const override { return fScalars; }
   std::size_t outputs() const override { return 1; }
   std::size_t size(std::size_t) const override { return fHeight * fWidth * fChannels.size(); }

   Losses fill(const Constituents& event, float* const* outputs, Scratch& scratch) const override {
      Losses losses;
      float* image = outputs[0];
      std::fill(image, image + size(0), 0.f);
      const QuantityRows rows = fQuantities.compute(event, scratch, losses);
      if (fFlip)
         flip(rows);
      const std::size_t channels = fChannels.size();
      std::size_t* pixels = indices(scratch, Slot::kImage, rows.stride + (fHeight * fWidth + 63) / 64);
      const std::size_t inside = find(rows, pixels);
      losses.dropped += rows.count - inside;
      for (std::size_t channel = 0; channel < channels; ++channel)
         if (fChannels[channel] == one) {
            for (std::size_t i = 0; i < rows.count; ++i)
               if (pixels[i] != nowhere)
                  image[pixels[i] * channels + channel] += 1.f;
         } else {
            const float* weight = rows[fChannels[channel]];
            for (std::size_t i = 0; i < rows.count; ++i)
               if (pixels[i] != nowhere)
                  image[pixels[i] * channels + channel] += weight[i];
         }
      if (fScaling != Scaling::kNone || fNormalise != Norm::kNone) {
         const std::size_t lit = single(rows.count, pixels, pixels + rows.stride);
         for (std::size_t channel = 0; channel < channels; ++channel)
            scale(image + channel, channels, pixels, lit);
      }
      return losses;
   }

private:
   enum class Scaling { kNone, kSqrt, kLog };
   enum class Norm { kNone, kSum, kMax, kL2 };
   static constexpr std::size_t one = static_cast<std::size_t>(-1), nowhere = static_cast<std::size_t>(-1);

   /// The quarter with most pT goes to positive η and φ.
   void flip(const QuantityRows& rows) const {
      const Lanes edge_x = all(fHalfEta), edge_y = all(fHalfPhi);
      Lanes quarters[4] = {{}, {}, {}, {}};
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         const Lanes x = engine::load<Lanes>(rows[kDeltaEta] + i);
         const Lanes y = engine::load<Lanes>(rows[kDeltaPhi] + i);
         const engine::Mask<Lanes> in =
             (engine::absolute<Lanes>(x) < edge_x) & (engine::absolute<Lanes>(y) < edge_y);
         const Lanes pt = engine::select<Lanes>(in, engine::load<Lanes>(rows[kPt] + i), Lanes{});
         const Lanes right = engine::select<Lanes>(x >= 0.f, pt, Lanes{}), left = pt - right;
         const Lanes up = engine::select<Lanes>(y >= 0.f, right, Lanes{});
         const Lanes left_up = engine::select<Lanes>(y >= 0.f, left, Lanes{});
         quarters[0] += up;
         quarters[1] += left_up;
         quarters[2] += right - up;
         quarters[3] += left - left_up;
      }
      std::size_t largest = 0;
      float sums[4];
      for (std::size_t quarter = 0; quarter < 4; ++quarter) {
         sums[quarter] = engine::sum_of_lanes(quarters[quarter]);
         if (sums[quarter] > sums[largest])
            largest = quarter;
      }
      if (largest & 1)
         Plane::flip(rows.stride, rows[kDeltaEta]);
      if (largest & 2)
         Plane::flip(rows.stride, rows[kDeltaPhi]);
   }

   /// The pixel of each constituent; gives the number of those that have one.
   std::size_t find(const QuantityRows& rows, std::size_t* pixels) const {
      const float width = static_cast<float>(fWidth), height = static_cast<float>(fHeight);
      const float per_eta = width / (2 * fHalfEta), per_phi = height / (2 * fHalfPhi);
      std::size_t inside = 0;
      for (std::size_t i = 0; i < rows.stride; i += lanes) {
         const Lanes x = (engine::load<Lanes>(rows[kDeltaEta] + i) + fHalfEta) * per_eta;
         const Lanes y = (engine::load<Lanes>(rows[kDeltaPhi] + i) + fHalfPhi) * per_phi;
         const Lanes in_x = engine::select<Lanes>((x >= 0.f) & (x < width), x, all(-1.f));
         Lanes in_y;
         if (fCyclic) { // rounding may lead to either end, which is the same place
            in_y = engine::select<Lanes>((y >= 0.f) & (y < height), y, Lanes{});
         } else {
            in_y = engine::select<Lanes>((y >= 0.f) & (y < height), y, all(-1.f));
         }
         for (std::size_t lane = 0; lane < lanes; ++lane) {
            const bool in = in_x[lane] >= 0.f && in_y[lane] >= 0.f;
            pixels[i + lane] =
                in ? static_cast<std::size_t>(in_y[lane]) * fWidth + static_cast<std::size_t>(in_x[lane])
                   : nowhere;
            inside += in && i + lane < rows.count;
         }
      }
      return inside;
   }

   /// Each pixel that is in the list once; gives their number.
   std::size_t single(std::size_t count, std::size_t* pixels, std::size_t* seen) const {
      std::fill(seen, seen + (fHeight * fWidth + 63) / 64, std::size_t{0});
      std::size_t lit = 0;
      for (std::size_t i = 0; i < count; ++i) {
         const std::size_t pixel = pixels[i];
         if (pixel == nowhere)
            continue;
         const std::size_t bit = std::size_t{1} << (pixel % 64);
         if ((seen[pixel / 64] & bit) == 0)
            pixels[lit++] = pixel;
         seen[pixel / 64] |= bit;
      }
      return lit;
   }

   void scale(float* channel, std::size_t stride, const std::size_t* pixels, std::size_t lit) const {
      double sum = 0;
      for (std::size_t i = 0; i < lit; ++i) {
         float& value = channel[pixels[i] * stride];
         const float size = std::fabs(value);
         if (fScaling == Scaling::kSqrt)
            value = std::copysign(std::sqrt(size), value);
         else if (fScaling == Scaling::kLog)
            value = std::copysign(std::log1p(size), value);
         if (fNormalise == Norm::kSum)
            sum += value;
         else if (fNormalise == Norm::kMax)
            sum = std::max<double>(sum, std::fabs(value));
         else
            sum += static_cast<double>(value) * value;
      }
      if (fNormalise == Norm::kNone || sum == 0)
         return;
      const float factor = static_cast<float>(1 / (fNormalise == Norm::kL2 ? std::sqrt(sum) : sum));
      for (std::size_t i = 0; i < lit; ++i)
         channel[pixels[i] * stride] *= factor;
   }

   std::size_t fColumns, fScalars;
   Quantities fQuantities;
   std::vector<std::size_t> fChannels;
   std::size_t fHeight = 0, fWidth = 0;
   float fHalfEta, fHalfPhi;
   bool fCyclic = false, fFlip;
   Scaling fScaling;
   Norm fNormalise;
};

} // namespace HEPML_ROOT_TARGET
} // namespace representations
} // namespace hepml_root

#endif
