// The number types a column can have, and how a big-endian value on disk becomes a number in memory.
#ifndef HEPML_ROOT_FEED_TYPES_HXX
#define HEPML_ROOT_FEED_TYPES_HXX

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace hepml_root::feed {

/// The order is part of the interface to Python (data/feed_library.py: TYPES).
enum class Type : int { boolean, int8, uint8, int16, uint16, int32, uint32, int64, uint64, float32, float64 };

/// A file that cannot be read to its end, or whose records contradict each other.
struct Damaged : std::runtime_error {
   using std::runtime_error::runtime_error;
};

/// Something that is stored in a way the bulk reader does not know; the event loop still reads it.
struct NotPlain : std::runtime_error {
   using std::runtime_error::runtime_error;
};

/// Jagged columns that belong together and differ in their number of values.
struct Uneven : std::runtime_error {
   using std::runtime_error::runtime_error;
};

/// A value that a representation needs and that is NaN or infinite.
struct NotFinite : std::runtime_error {
   using std::runtime_error::runtime_error;
};

/// Call `call` with a value of the C++ type that `type` names.
template <typename Call> decltype(auto) visit(Type type, Call&& call) {
   switch (type) {
   case Type::boolean:
      return call(bool{});
   case Type::int8:
      return call(std::int8_t{});
   case Type::uint8:
      return call(std::uint8_t{});
   case Type::int16:
      return call(std::int16_t{});
   case Type::uint16:
      return call(std::uint16_t{});
   case Type::int32:
      return call(std::int32_t{});
   case Type::uint32:
      return call(std::uint32_t{});
   case Type::int64:
      return call(std::int64_t{});
   case Type::uint64:
      return call(std::uint64_t{});
   case Type::float32:
      return call(float{});
   default:
      return call(double{});
   }
}

inline std::size_t size_of(Type type) {
   return visit(type, [](auto value) { return sizeof(value); });
}

/// The type in which a column is kept exactly: float64, int64 or uint64.
template <typename T>
using Exact = std::conditional_t<
    std::is_floating_point_v<T>, double,
    std::conditional_t<std::is_signed_v<T> || std::is_same_v<T, bool>, std::int64_t, std::uint64_t>>;

/// Copy `count` big-endian values of type T, `stride` bytes apart, into an array.
template <typename T>
void from_big_endian(const unsigned char* from, std::size_t stride, std::size_t count, T* to) {
   if constexpr (sizeof(T) == 1) {
      for (std::size_t i = 0; i < count; ++i)
         std::memcpy(to + i, from + i * stride, 1);
   } else {
      using Bits = std::conditional_t<sizeof(T) == 2, std::uint16_t,
                                      std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
      const auto value = [](const unsigned char* place) {
         Bits bits;
         std::memcpy(&bits, place, sizeof(bits));
         if constexpr (sizeof(T) == 2)
            bits = __builtin_bswap16(bits);
         else if constexpr (sizeof(T) == 4)
            bits = __builtin_bswap32(bits);
         else
            bits = __builtin_bswap64(bits);
         T result;
         std::memcpy(&result, &bits, sizeof(bits));
         return result;
      };
      if (stride == sizeof(T)) { // a known stride is what lets the compiler use vector registers
         for (std::size_t i = 0; i < count; ++i)
            to[i] = value(from + i * sizeof(T));
      } else {
         for (std::size_t i = 0; i < count; ++i)
            to[i] = value(from + i * stride);
      }
   }
}

} // namespace hepml_root::feed

#endif
