// Jagged columns into a padded tensor and mask.

#include "hepml_root/rdf/padding.hxx"
#include "check.hxx"

#include <string>
#include <vector>

int main() {
   float values[6], mask[3];
   const auto fill = [&](const std::vector<double>& pt, const std::vector<int>& charge) {
      hepml_root::rdf::Padding padding(values, mask, 3, 2);
      padding.Add(pt);
      padding.Add(charge);
   };

   fill({40., 20.}, {1, -1});
   CHECK(values[0] == 40.f && values[1] == 1.f && values[2] == 20.f && values[3] == -1.f);
   CHECK(values[4] == 0.f && values[5] == 0.f);
   CHECK(mask[0] == 1.f && mask[1] == 1.f && mask[2] == 0.f);

   fill({9., 8., 7., 6.}, {1, 2, 3, 4});
   CHECK(values[4] == 7.f && values[5] == 3.f);
   CHECK(mask[2] == 1.f);

   fill({}, {});
   CHECK(values[0] == 0.f && mask[0] == 0.f);

   CHECK_THROWS(fill({1., 2.}, {1}), "2 and 1 constituents");

   hepml_root::rdf::Padding without_mask(values, nullptr, 3, 2);
   without_mask.Add(std::vector<float>{5.f});
   CHECK(values[0] == 5.f && values[2] == 0.f);
   return failures == 0 ? 0 : 1;
}
