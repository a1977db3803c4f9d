// The weights of a large network, from the file that was written beside its header.
#pragma once

#include "lanes.hxx"

#include <fstream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// Reads `count` floats; a file of another length or checksum is refused (export/cpp/generator.py,
// `checksum`).
inline std::shared_ptr<const float> read_weights(const std::string& file, std::size_t count,
                                                 std::uint64_t checksum) {
   std::ifstream stream(file, std::ios::binary);
   if (!stream)
      throw std::runtime_error("hepml_root: no file of weights '" + file +
                               "'; give its path to the Session.");
   const auto release = [](const float* p) {
      ::operator delete(const_cast<float*>(p), std::align_val_t(64));
   };
   std::shared_ptr<float> values(
       static_cast<float*>(::operator new(count * sizeof(float), std::align_val_t(64))), release);
   stream.read(reinterpret_cast<char*>(values.get()), static_cast<std::streamsize>(count * sizeof(float)));
   const bool complete = stream.gcount() == static_cast<std::streamsize>(count * sizeof(float)) &&
                         stream.peek() == std::ifstream::traits_type::eof();
   std::uint64_t sum = 0;
   const auto* bytes = reinterpret_cast<const unsigned char*>(values.get());
   for (std::size_t i = 0; complete && i < count; ++i) {
      const std::uint64_t word = bytes[4 * i] | (std::uint64_t(bytes[4 * i + 1]) << 8) |
                                 (std::uint64_t(bytes[4 * i + 2]) << 16) |
                                 (std::uint64_t(bytes[4 * i + 3]) << 24);
      sum += (word + 1) * ((std::uint64_t(i) * 0x9E3779B97F4A7C15ull) | 1);
   }
   if (!complete || sum != checksum)
      throw std::runtime_error("hepml_root: the file of weights '" + file +
                               "' does not belong to this header.");
   return values;
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
