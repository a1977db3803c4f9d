// The probe events of a model: real inputs with the scores that the training framework gave them.
#ifndef HEPML_ROOT_TESTS_PROBE_HXX
#define HEPML_ROOT_TESTS_PROBE_HXX

#include "hepml_root/manifest.hxx"

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

/// The float32 values of one array of the probe: base64, little-endian.
inline std::vector<float> probe(const hepml_root::Manifest& manifest, const std::string& part,
                                const std::string& name) {
   static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
   std::string bytes;
   unsigned int bits = 0, count = 0;
   for (const char c : manifest.json["probe"][part][name]["data"].Text()) {
      if (c == '=')
         break;
      bits = (bits << 6 | static_cast<unsigned int>(digits.find(c))) & 0xffffff;
      count += 6;
      if (count >= 8)
         bytes += static_cast<char>(bits >> (count -= 8) & 0xff);
   }
   std::vector<float> values(bytes.size() / sizeof(float));
   std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
   return values;
}

#endif
