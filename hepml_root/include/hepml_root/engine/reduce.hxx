// Sums, extrema and softmax along one axis of a value seen as (Outer, Axis, Inner).
//
// Sums are added up in four parts (element a goes to part a modulo 4), so that additions need not wait for
// each other; every lane works on its own, so that a result does not depend on its neighbours.
#pragma once

#include "functions.hxx"
#include "shuffle.hxx"
#include "sums.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

constexpr std::size_t sum_parts = 4;

// Reads and writes Count neighbouring lanes of a register.
template <class V, std::size_t Count> struct Access {
   HEPML_ROOT_INLINE static V get(const float* from) { return load_part<V, Count>(from); }
   HEPML_ROOT_INLINE static void put(float* to, V value) { store_part<V, Count>(to, value); }
};

// Calls body(access, place of the first element of an axis, place of its result) for every axis: in blocks
// lanes are events, for one event alone they are neighbours on the inner axes.
template <class M, std::size_t Outer, std::size_t Axis, std::size_t Inner, class Body>
HEPML_ROOT_INLINE void along_axis(Body body) {
   using V = typename M::V;
   for (std::size_t o = 0; o < Outer; ++o)
      if constexpr (M::single) {
         constexpr std::size_t whole = Inner / width<V> * width<V>;
         for (std::size_t i = 0; i < whole; i += width<V>)
            body(Access<V, width<V>>{}, o * Axis * Inner + i, o * Inner + i);
         if constexpr (whole < Inner)
            body(Access<V, Inner - whole>{}, o * Axis * Inner + whole, o * Inner + whole);
      } else {
         for (std::size_t i = 0; i < Inner; ++i)
            for (std::size_t v = 0; v < M::vectors; ++v)
               body(Access<V, width<V>>{}, (o * Axis * Inner + i) * M::lanes + v * width<V>,
                    (o * Inner + i) * M::lanes + v * width<V>);
      }
}

// ---- what is reduced: neutral element, how an element is added, two parts joined, the end ----------------

struct Sum {
   template <class V> using Partial = Accumulator<V>;
   template <class V> HEPML_ROOT_INLINE static V neutral() { return V{}; }
   template <class V> HEPML_ROOT_INLINE static Accumulator<V> add(Accumulator<V> sum, V x) {
      return sum + accumulator<V>(x);
   }
   template <class V> HEPML_ROOT_INLINE static Accumulator<V> join(Accumulator<V> a, Accumulator<V> b) {
      return a + b;
   }
   template <class V> HEPML_ROOT_INLINE static V finish(V sum, std::size_t) { return sum; }
};
struct Mean : Sum {
   template <class V> HEPML_ROOT_INLINE static V finish(V sum, std::size_t n) {
      return sum / static_cast<float>(n);
   }
};
struct SumSquare : Sum {
   template <class V> HEPML_ROOT_INLINE static Accumulator<V> add(Accumulator<V> sum, V x) {
      add_product<V>(sum, x, x);
      return sum;
   }
};
struct L1 : Sum {
   template <class V> HEPML_ROOT_INLINE static Accumulator<V> add(Accumulator<V> sum, V x) {
      return sum + accumulator<V>(absolute<V>(x));
   }
};
struct L2 : SumSquare {
   template <class V> HEPML_ROOT_INLINE static V finish(V sum, std::size_t) { return square_root<V>(sum); }
};
struct LogSum : Sum {
   template <class V> HEPML_ROOT_INLINE static V finish(V sum, std::size_t) { return logarithm<V>(sum); }
};
struct Prod : Sum {
   template <class V> HEPML_ROOT_INLINE static V neutral() { return splat<V>(1.0f); }
   template <class V> HEPML_ROOT_INLINE static Accumulator<V> add(Accumulator<V> product, V x) {
      return product * accumulator<V>(x);
   }
   template <class V> HEPML_ROOT_INLINE static Accumulator<V> join(Accumulator<V> a, Accumulator<V> b) {
      return a * b;
   }
};
struct Max {
   template <class V> using Partial = V;
   template <class V> HEPML_ROOT_INLINE static V neutral() { return splat<V>(-infinity); }
   template <class V> HEPML_ROOT_INLINE static V add(V largest, V x) { return maximum<V>(largest, x); }
   template <class V> HEPML_ROOT_INLINE static V join(V a, V b) { return maximum<V>(a, b); }
   template <class V> HEPML_ROOT_INLINE static V finish(V largest, std::size_t) { return largest; }
};
struct Min {
   template <class V> using Partial = V;
   template <class V> HEPML_ROOT_INLINE static V neutral() { return splat<V>(infinity); }
   template <class V> HEPML_ROOT_INLINE static V add(V smallest, V x) { return minimum<V>(smallest, x); }
   template <class V> HEPML_ROOT_INLINE static V join(V a, V b) { return minimum<V>(a, b); }
   template <class V> HEPML_ROOT_INLINE static V finish(V smallest, std::size_t) { return smallest; }
};

// The start of a part: the neutral element as what the parts are held in.
template <class Operation, class V> HEPML_ROOT_INLINE typename Operation::template Partial<V> begin_part() {
   if constexpr (sizeof(typename Operation::template Partial<V>) == sizeof(V))
      return Operation::template neutral<V>();
   else
      return accumulator<V>(Operation::template neutral<V>());
}
template <class V, class P> HEPML_ROOT_INLINE V end_part(P part) {
   if constexpr (sizeof(P) == sizeof(V))
      return part;
   else
      return rounded<V>(part);
}

// All elements of one axis together: `element` gives the one of a number.
template <class Operation, class V, std::size_t Axis, class Element>
HEPML_ROOT_INLINE V reduce_axis(Element element) {
   using Partial = typename Operation::template Partial<V>;
   constexpr std::size_t whole = Axis / sum_parts * sum_parts;
   Partial part[sum_parts];
   for (auto& p : part)
      p = begin_part<Operation, V>();
   for (std::size_t a = 0; a < whole; a += sum_parts) {
      HEPML_ROOT_UNROLL
      for (std::size_t p = 0; p < sum_parts; ++p)
         part[p] = Operation::template add<V>(part[p], element(a + p));
   }
   HEPML_ROOT_UNROLL
   for (std::size_t p = 0; p < Axis % sum_parts; ++p)
      part[p] = Operation::template add<V>(part[p], element(whole + p));
   return end_part<V>(Operation::template join<V>(Operation::template join<V>(part[0], part[2]),
                                                  Operation::template join<V>(part[1], part[3])));
}

// The same for one event alone and an axis of neighbours: a register of four lanes holds the four parts.
// `term` changes the elements first.
template <class Operation, std::size_t Axis, class Term>
HEPML_ROOT_INLINE float reduce_neighbours(const float* x, Term term) {
   using V = Vector<sum_parts>::Float;
   using One = Vector<1>::Float;
   using Partial = typename Operation::template Partial<V>;
   constexpr std::size_t whole = Axis / sum_parts * sum_parts, rest = Axis - whole;
   Partial sum = begin_part<Operation, V>();
   for (std::size_t a = 0; a < whole; a += sum_parts)
      sum = Operation::template add<V>(sum, term(load<V>(x + a)));
   if constexpr (rest > 0) {
      V last = term(load_part<V, rest>(x + whole));
      for (std::size_t p = rest; p < sum_parts; ++p)
         last[p] = Operation::template neutral<One>()[0];
      sum = Operation::template add<V>(sum, last);
   }
   using Single_ = typename Operation::template Partial<One>;
   const auto lane = [&](std::size_t p) __attribute__((always_inline)) { return Single_{sum[p]}; };
   return end_part<One>(Operation::template join<One>(Operation::template join<One>(lane(0), lane(2)),
                                                      Operation::template join<One>(lane(1), lane(3))))[0];
}

// The same of four rows together, in registers of 16 lanes: those of row i and part p at 4 i + p.
// `elements(i, a)` gives the elements of row i from a on, neutral ones behind the last. All lanes of a row
// hold its result.
#if defined(HEPML_ROOT_SHUFFLE) && HEPML_ROOT_LANES == 16
constexpr bool four_rows_together = !sums_in_double;
template <class V, int... L>
HEPML_ROOT_INLINE V other_part(V x, int distance, std::integer_sequence<int, L...>) {
   return distance == 1 ? __builtin_shufflevector(x, x, (L ^ 1)...)
                        : __builtin_shufflevector(x, x, (L ^ 2)...);
}
template <class V, int... L>
HEPML_ROOT_INLINE Mask<V> first_lanes(std::size_t count, std::integer_sequence<int, L...>) {
   return Mask<V>{(static_cast<std::size_t>(L) < count ? -1 : 0)...};
}
template <class V, int... L>
HEPML_ROOT_INLINE V of_row(V x, std::size_t row, std::integer_sequence<int, L...>) {
   return row == 0   ? __builtin_shufflevector(x, x, (L % 4)...)
          : row == 1 ? __builtin_shufflevector(x, x, (L % 4 + 4)...)
          : row == 2 ? __builtin_shufflevector(x, x, (L % 4 + 8)...)
                     : __builtin_shufflevector(x, x, (L % 4 + 12)...);
}
template <class Operation, std::size_t Axis, class Elements>
HEPML_ROOT_INLINE Single::V reduce_four_rows(Elements elements) {
   using V = Single::V;
   constexpr auto lanes = std::make_integer_sequence<int, width<V>>{};
   V sum = Operation::template neutral<V>();
   HEPML_ROOT_UNROLL
   for (std::size_t a = 0; a < Axis; a += width<V>) {
      V part[sum_parts];
      HEPML_ROOT_UNROLL
      for (std::size_t i = 0; i < 4; ++i)
         part[i] = elements(i, a);
      exchange<8>(part[0], part[2], lanes);
      exchange<8>(part[1], part[3], lanes);
      exchange<4>(part[0], part[1], lanes);
      exchange<4>(part[2], part[3], lanes);
      HEPML_ROOT_UNROLL
      for (std::size_t p = 0; p < sum_parts; ++p)
         if (a + p * sum_parts < Axis)
            sum = Operation::template add<V>(sum, part[p]);
   }
   sum = Operation::template join<V>(sum, other_part<V>(sum, 2, lanes));
   return Operation::template join<V>(sum, other_part<V>(sum, 1, lanes));
}
#else
constexpr bool four_rows_together = false;
#endif

template <class M, class Operation, std::size_t Outer, std::size_t Axis, std::size_t Inner>
__attribute__((noinline)) void reduce(const float* x, float* y) {
   using V = typename M::V;
   if constexpr (M::single && Inner == 1) {
      using One = Vector<1>::Float;
      for (std::size_t o = 0; o < Outer; ++o) {
         const float sum = reduce_neighbours<Operation, Axis>(
             x + o * Axis, [](auto value) __attribute__((always_inline)) { return value; });
         y[o] = Operation::template finish<One>(One{sum}, Axis)[0];
      }
   } else {
      along_axis<M, Outer, Axis, Inner>([&](auto access, std::size_t from,
                                            std::size_t to) __attribute__((always_inline)) {
         const V result = reduce_axis<Operation, V, Axis>([&](std::size_t a) __attribute__((always_inline)) {
            return access.get(x + from + a * Inner * M::lanes);
         });
         access.put(y + to, Operation::template finish<V>(result, Axis));
      });
   }
}

// ---- softmax and its kin --------------------------------------------------------------------------------

// e^x for x <= 0, and 0 where that no longer counts beside 1: what a mask takes out must not leave numbers
// below the smallest normal one, with which processors are a hundred times slower.
template <class V> HEPML_ROOT_INLINE V exponential_beside_one(V x) {
   constexpr float least = -80.0f;
   return select<V>(x < least, V{}, exponential<V>(clip_below<V>(x, splat<V>(least))));
}

// e^(x - largest), so that no exponential overflows, and their sum; one event alone, an axis of neighbours.
// (A sum of at least 1: the largest is among them.)
template <std::size_t Axis> HEPML_ROOT_INLINE void softmax_neighbours(const float* x, float* y) {
   using V = Single::V;
   constexpr std::size_t whole = Axis / width<V> * width<V>, rest = Axis - whole;
   const auto same = [](auto value) __attribute__((always_inline)) { return value; };
   const V largest = splat<V>(reduce_neighbours<Max, Axis>(x, same));
   for (std::size_t a = 0; a < whole; a += width<V>)
      store<V>(y + a, exponential_beside_one<V>(load<V>(x + a) - largest));
   if constexpr (rest > 0)
      store_part<V, rest>(y + whole, exponential_beside_one<V>(load_part<V, rest>(x + whole) - largest));
   const V inverse = splat<V>(1.0f / reduce_neighbours<Sum, Axis>(y, same));
   for (std::size_t a = 0; a < whole; a += width<V>)
      store<V>(y + a, load<V>(y + a) * inverse);
   if constexpr (rest > 0)
      store_part<V, rest>(y + whole, load_part<V, rest>(y + whole) * inverse);
}

// The same for four rows; their exponentials stay in registers.
constexpr std::size_t longest_of_four = 64;
template <std::size_t Axis> HEPML_ROOT_INLINE void softmax_four_rows(const float* x, float* y) {
#if defined(HEPML_ROOT_SHUFFLE) && HEPML_ROOT_LANES == 16
   using V = Single::V;
   constexpr auto lanes = std::make_integer_sequence<int, width<V>>{};
   constexpr std::size_t registers = (Axis + width<V> - 1) / width<V>;
   constexpr std::size_t in_last = Axis - (registers - 1) * width<V>;
   // Beside the elements, what does not change the result.
   const auto complete = [lanes](V value, std::size_t r, float neutral) __attribute__((always_inline)) {
      if (r + 1 < registers || in_last == width<V>)
         return value;
      return select<V>(first_lanes<V>(in_last, lanes), value, splat<V>(neutral));
   };
   V e[4][registers];
   HEPML_ROOT_UNROLL
   for (std::size_t i = 0; i < 4; ++i) {
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r + 1 < registers; ++r)
         e[i][r] = load<V>(x + i * Axis + r * width<V>);
      e[i][registers - 1] = complete(load_part<V, in_last>(x + i * Axis + (registers - 1) * width<V>),
                                     registers - 1, -infinity);
   }
   const V largest = reduce_four_rows<Max, Axis>(
       [&](std::size_t i, std::size_t a) __attribute__((always_inline)) { return e[i][a / width<V>]; });
   HEPML_ROOT_UNROLL
   for (std::size_t i = 0; i < 4; ++i) {
      const V of_largest = of_row<V>(largest, i, lanes);
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r < registers; ++r)
         e[i][r] = complete(exponential_beside_one<V>(e[i][r] - of_largest), r, 0.0f);
   }
   const V inverse =
       1.0f / reduce_four_rows<Sum, Axis>([&](std::size_t i, std::size_t a)
                                              __attribute__((always_inline)) { return e[i][a / width<V>]; });
   HEPML_ROOT_UNROLL
   for (std::size_t i = 0; i < 4; ++i) {
      const V of_inverse = of_row<V>(inverse, i, lanes);
      HEPML_ROOT_UNROLL
      for (std::size_t r = 0; r + 1 < registers; ++r)
         store<V>(y + i * Axis + r * width<V>, e[i][r] * of_inverse);
      store_part<V, in_last>(y + i * Axis + (registers - 1) * width<V>, e[i][registers - 1] * of_inverse);
   }
#else
   (void)x;
   (void)y;
#endif
}

template <class M, std::size_t Outer, std::size_t Axis, std::size_t Inner>
__attribute__((noinline)) void softmax(const float* x, float* y) {
   using V = typename M::V;
   constexpr std::size_t stride = Inner * M::lanes;
   if constexpr (M::single && Inner == 1) {
      constexpr bool fours = four_rows_together && Axis > sum_parts && Axis <= longest_of_four;
      constexpr std::size_t whole = fours ? Outer / 4 * 4 : 0;
      for (std::size_t o = 0; o < whole; o += 4)
         softmax_four_rows<Axis>(x + o * Axis, y + o * Axis);
      for (std::size_t o = whole; o < Outer; ++o)
         softmax_neighbours<Axis>(x + o * Axis, y + o * Axis);
   } else {
      along_axis<M, Outer, Axis, Inner>(
          [&](auto access, std::size_t from, std::size_t) __attribute__((always_inline)) {
             const float* const in = x + from;
             float* const out = y + from;
             const V largest = reduce_axis<Max, V, Axis>(
                 [&](std::size_t a) __attribute__((always_inline)) { return access.get(in + a * stride); });
             const V sum = reduce_axis<Sum, V, Axis>([&](std::size_t a) __attribute__((always_inline)) {
                const V e = exponential_beside_one<V>(access.get(in + a * stride) - largest);
                access.put(out + a * stride, e);
                return e;
             });
             const V inverse = 1.0f / sum;
             for (std::size_t a = 0; a < Axis; ++a)
                access.put(out + a * stride, access.get(out + a * stride) * inverse);
          });
   }
}

// The largest element of an axis, and log of the sum of e^(x - largest).
template <class V> struct Exponentials {
   V largest, log_sum;
};
template <class V, std::size_t Axis, class Element>
HEPML_ROOT_INLINE Exponentials<V> exponentials(Element element) {
   const V largest = reduce_axis<Max, V, Axis>(element);
   const V sum = reduce_axis<Sum, V, Axis>([&](std::size_t a) __attribute__((always_inline)) {
      return exponential_beside_one<V>(element(a) - largest);
   });
   return {largest, logarithm<V>(sum)};
}

template <class M, std::size_t Outer, std::size_t Axis, std::size_t Inner>
__attribute__((noinline)) void log_softmax(const float* x, float* y) {
   using V = typename M::V;
   constexpr std::size_t stride = Inner * M::lanes;
   along_axis<M, Outer, Axis, Inner>([&](auto access, std::size_t from,
                                         std::size_t) __attribute__((always_inline)) {
      const auto element = [&](std::size_t a)
                               __attribute__((always_inline)) { return access.get(x + from + a * stride); };
      const Exponentials<V> e = exponentials<V, Axis>(element);
      for (std::size_t a = 0; a < Axis; ++a)
         access.put(y + from + a * stride, (element(a) - e.largest) - e.log_sum);
   });
}

template <class M, std::size_t Outer, std::size_t Axis, std::size_t Inner>
__attribute__((noinline)) void log_sum_exp(const float* x, float* y) {
   using V = typename M::V;
   along_axis<M, Outer, Axis, Inner>(
       [&](auto access, std::size_t from, std::size_t to) __attribute__((always_inline)) {
          const Exponentials<V> e = exponentials<V, Axis>([&](std::size_t a) __attribute__((always_inline)) {
             return access.get(x + from + a * Inner * M::lanes);
          });
          // All -infinity, or one +infinity: the differences above are NaN, the result is not.
          const V result = e.largest + e.log_sum;
          access.put(y + to, select<V>(absolute<V>(e.largest) == infinity, e.largest, result));
       });
}

// 1 at the first of the largest elements of an axis, 0 elsewhere.
template <class M, std::size_t Outer, std::size_t Axis, std::size_t Inner>
__attribute__((noinline)) void hardmax(const float* x, float* y) {
   using V = typename M::V;
   constexpr std::size_t stride = Inner * M::lanes;
   along_axis<M, Outer, Axis, Inner>([&](auto access, std::size_t from,
                                         std::size_t) __attribute__((always_inline)) {
      const auto element = [&](std::size_t a)
                               __attribute__((always_inline)) { return access.get(x + from + a * stride); };
      const V largest = reduce_axis<Max, V, Axis>(element);
      V left = splat<V>(1.0f); // until the largest is found
      for (std::size_t a = 0; a < Axis; ++a) {
         const V here = equal<V>(element(a), largest) * left;
         left -= here;
         access.put(y + from + a * stride, here);
      }
   });
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
