// What ROOT's interpreter needs to know to compile an expression of columns: the type of its result.
#ifndef HEPML_ROOT_FEED_EXPRESSION_HXX
#define HEPML_ROOT_FEED_EXPRESSION_HXX

#include <array>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <ROOT/RVec.hxx>
#include <TMath.h>

namespace hepml_root::feed {

/// The number in `enum class Type` of types.hxx, or -1; integers by size, since `long` and `long long` are
/// two.
template <typename T> constexpr int type_code() {
   if constexpr (std::is_same_v<T, bool>)
      return 0;
   else if constexpr (std::is_same_v<T, float>)
      return 9;
   else if constexpr (std::is_floating_point_v<T>)
      return 10;
   else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>)
      return (sizeof(T) == 1 ? 1 : sizeof(T) == 2 ? 3 : sizeof(T) == 4 ? 5 : 7) + !std::is_signed_v<T>;
   else
      return -1;
}

/// What an expression gives: a number, or a list of them.
template <typename T, typename = void> struct Result {
   using Value = std::conditional_t<std::is_same_v<T, long double>, double, T>;
   static constexpr int code = type_code<T>();
   static constexpr bool jagged = false;
};

template <typename T>
struct Result<T, std::void_t<decltype(std::begin(std::declval<T&>()), std::end(std::declval<T&>()))>> {
   using Value = std::decay_t<decltype(*std::begin(std::declval<T&>()))>;
   static constexpr int code = type_code<Value>();
   static constexpr bool jagged = true;
};

/// Any list of numbers as an RVec<float>, the one kind of list that the event loop's rows take.
template <typename List> ROOT::RVec<float> floats(const List& list) {
   return ROOT::RVec<float>(std::begin(list), std::end(list));
}

} // namespace hepml_root::feed

#endif
