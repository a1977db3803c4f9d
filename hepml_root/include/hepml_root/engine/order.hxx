// Operators that look for an order along one axis: the largest elements, the place of the largest, running
// sums.
//
// All lanes do the same comparisons and exchanges, without branches.
#pragma once

#include "functions.hxx"
#include "shuffle.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// A float as an integer of the same order: -0 is 0, NaN is beyond infinity. Its own inverse.
template <class V> HEPML_ROOT_INLINE Mask<V> flipped(Mask<V> x) { return x ^ ((x >> 31) & 0x7fffffff); }
// What is smaller comes first; with Largest what is larger.
template <bool Largest, class V> HEPML_ROOT_INLINE Mask<V> rank_of(V x) {
   const Mask<V> rank = flipped<V>(bits(x + 0.0f));
   return Largest ? ~rank : rank;
}
template <bool Largest, class V> HEPML_ROOT_INLINE V value_of(Mask<V> rank) {
   return from_bits<V>(flipped<V>(Largest ? ~rank : rank));
}

// The K elements of lowest rank that have been seen, in order; of equal ones the first comes first.
template <class V, std::size_t K> struct Best {
   Mask<V> rank[K];
   Mask<V> place[K];

   HEPML_ROOT_INLINE Best() {
      HEPML_ROOT_UNROLL
      for (std::size_t j = 0; j < K; ++j) {
         rank[j] = Mask<V>{} + 0x7fffffff;
         place[j] = Mask<V>{};
      }
   }

   // An element goes where its rank belongs, those behind move up, the last is lost.
   HEPML_ROOT_INLINE void add(Mask<V> r, Mask<V> p) {
      HEPML_ROOT_UNROLL
      for (std::size_t i = 1; i < K; ++i) {
         const std::size_t j = K - i;
         place[j] = r < rank[j - 1] ? place[j - 1] : (r < rank[j] ? p : place[j]);
         rank[j] = r < rank[j - 1] ? rank[j - 1] : (r < rank[j] ? r : rank[j]);
      }
      place[0] = r < rank[0] ? p : place[0];
      rank[0] = r < rank[0] ? r : rank[0];
   }
};

// Elements x[0], x[stride], ... of each lane; values and places are written `step` apart.
template <class V, bool Largest, std::size_t Axis, std::size_t K>
HEPML_ROOT_INLINE void select_best(const float* x, std::size_t stride, float* values, float* places,
                                   std::size_t step) {
   Best<V, K> best;
   for (std::size_t a = 0; a < Axis; ++a)
      best.add(rank_of<Largest>(load<V>(x + a * stride)), Mask<V>{} + static_cast<std::int32_t>(a));
   HEPML_ROOT_UNROLL
   for (std::size_t j = 0; j < K; ++j) {
      store<V>(values + j * step, value_of<Largest, V>(best.rank[j]));
      store<V>(places + j * step, __builtin_convertvector(best.place[j], V));
   }
}

// For long lists all elements are sorted by Batcher's odd-even merging (Knuth, volume 3, 5.2.2M), in `work`.
template <class V, bool Largest, std::size_t Axis, std::size_t K>
HEPML_ROOT_INLINE void sort_all(const float* x, std::size_t stride, float* values, float* places,
                                std::size_t step, float* work) {
   constexpr std::size_t w = width<V>;
   float* const ranks = work;
   float* const indices = work + Axis * w;
   for (std::size_t a = 0; a < Axis; ++a) {
      store<V>(ranks + a * w, from_bits<V>(rank_of<Largest>(load<V>(x + a * stride))));
      store<V>(indices + a * w, from_bits<V>(Mask<V>{} + static_cast<std::int32_t>(a)));
   }
   const auto exchange = [&](std::size_t a, std::size_t b) __attribute__((always_inline)) {
      const Mask<V> r = bits(load<V>(ranks + a * w)), s = bits(load<V>(ranks + b * w));
      const Mask<V> p = bits(load<V>(indices + a * w)), q = bits(load<V>(indices + b * w));
      const Mask<V> wrong = (s < r) | ((s == r) & (q < p));
      store<V>(ranks + a * w, from_bits<V>(wrong ? s : r));
      store<V>(ranks + b * w, from_bits<V>(wrong ? r : s));
      store<V>(indices + a * w, from_bits<V>(wrong ? q : p));
      store<V>(indices + b * w, from_bits<V>(wrong ? p : q));
   };
   std::size_t top = 1;
   while (2 * top < Axis)
      top *= 2;
   for (std::size_t p = top; p > 0; p /= 2) {
      std::size_t q = top, r = 0, distance = p;
      for (;;) {
         for (std::size_t i = 0; i + distance < Axis; ++i)
            if ((i & p) == r)
               exchange(i, i + distance);
         if (q == p)
            break;
         distance = q - p;
         q /= 2;
         r = p;
      }
   }
   for (std::size_t j = 0; j < K; ++j) {
      store<V>(values + j * step, value_of<Largest, V>(bits(load<V>(ranks + j * w))));
      store<V>(places + j * step, __builtin_convertvector(bits(load<V>(indices + j * w)), V));
   }
}

constexpr std::size_t most_selected = 32; // above, sorting takes fewer comparisons than selecting

// The K largest (or smallest) along Axis and their places, largest first. The axis of list (o, i) of Outer x
// Inner begins at o * OuterStride + i * InnerStride, its elements are AxisStride apart.
template <class M, bool Largest, std::size_t Axis, std::size_t AxisStride, std::size_t K, std::size_t Outer,
          std::size_t OuterStride, std::size_t Inner, std::size_t InnerStride>
__attribute__((noinline)) void top_k(const float* x, float* values, float* places, float* work) {
   (void)work;
   if constexpr (K > most_selected) {
      using V = typename M::Lane;
      for (std::size_t o = 0; o < Outer; ++o)
         for (std::size_t i = 0; i < Inner; ++i)
            for (std::size_t v = 0; v < M::vectors; ++v) {
               const std::size_t from = (o * OuterStride + i * InnerStride) * M::lanes + v * width<V>;
               const std::size_t to = (o * K * Inner + i) * M::lanes + v * width<V>;
               sort_all<V, Largest, Axis, K>(x + from, AxisStride * M::lanes, values + to, places + to,
                                             Inner * M::lanes, work);
            }
   } else if constexpr (!M::single) {
      using V = typename M::V;
      for (std::size_t o = 0; o < Outer; ++o)
         for (std::size_t i = 0; i < Inner; ++i)
            for (std::size_t v = 0; v < M::vectors; ++v) {
               const std::size_t from = (o * OuterStride + i * InnerStride) * M::lanes + v * width<V>;
               const std::size_t to = (o * K * Inner + i) * M::lanes + v * width<V>;
               select_best<V, Largest, Axis, K>(x + from, AxisStride * M::lanes, values + to, places + to,
                                                Inner * M::lanes);
            }
   } else {
      // One event: a lane is a list. Those beyond the last list repeat it.
      using V = typename M::V;
      constexpr std::size_t w = width<V>;
      constexpr std::size_t lists = Outer * Inner;
      constexpr std::size_t part = Axis < 256 ? Axis : 256; // elements that are brought into lanes at a time
      alignas(64) float lanes[part * w];
      alignas(64) float found[2][K * w];
      for (std::size_t first = 0; first < lists; first += w) {
         const float* list[w];
         for (std::size_t e = 0; e < w; ++e) {
            const std::size_t l = first + e < lists ? first + e : lists - 1;
            list[e] = x + l / Inner * OuterStride + l % Inner * InnerStride;
         }
         Best<V, K> best;
         for (std::size_t begin = 0; begin < Axis; begin += part) {
            const std::size_t count = begin + part <= Axis ? part : Axis - begin;
            if (AxisStride == 1 && count == part) {
               rows_to_lanes<V, part, w>(list, lanes);
            } else {
               for (std::size_t a = 0; a < count; ++a)
                  for (std::size_t e = 0; e < w; ++e)
                     lanes[a * w + e] = list[e][a * AxisStride];
            }
            for (std::size_t a = 0; a < count; ++a)
               best.add(rank_of<Largest>(load<V>(lanes + a * w)),
                        Mask<V>{} + static_cast<std::int32_t>(begin + a));
            for (std::size_t e = 0; e < w; ++e)
               list[e] += count * AxisStride;
         }
         for (std::size_t j = 0; j < K; ++j) {
            store<V>(found[0] + j * w, value_of<Largest, V>(best.rank[j]));
            store<V>(found[1] + j * w, __builtin_convertvector(best.place[j], V));
         }
         for (std::size_t e = 0; e < w && first + e < lists; ++e)
            for (std::size_t j = 0; j < K; ++j) {
               const std::size_t to = ((first + e) / Inner * K + j) * Inner + (first + e) % Inner;
               values[to] = found[0][j * w + e];
               places[to] = found[1][j * w + e];
            }
      }
   }
}

// The place of the largest (or smallest) element along Axis, of several the first (or the last). NaN is
// largest and smallest.
template <class M, bool Largest, bool Last, std::size_t Outer, std::size_t Axis, std::size_t Inner>
__attribute__((noinline)) void place_of_best(const float* x, float* y) {
   using V = typename M::Lane;
   for (std::size_t o = 0; o < Outer; ++o)
      for (std::size_t i = 0; i < Inner; ++i)
         for (std::size_t v = 0; v < M::vectors; ++v) {
            const float* const from = x + (o * Axis * Inner + i) * M::lanes + v * width<V>;
            V best = load<V>(from), place{};
            for (std::size_t a = 1; a < Axis; ++a) {
               const V next = load<V>(from + a * Inner * M::lanes);
               Mask<V> better = Largest ? next > best : next < best;
               if (Last)
                  better |= (next == best) | ((next != next) & (best != best));
               better |= (next != next) & (best == best);
               best = select<V>(better, next, best);
               place = select<V>(better, splat<V>(static_cast<float>(a)), place);
            }
            store<V>(y + (o * Inner + i) * M::lanes + v * width<V>, place);
         }
}

struct RunningSum {
   static constexpr float start = 0.0f;
   template <class V> static HEPML_ROOT_INLINE V join(V total, V x) { return total + x; }
};
struct RunningProduct {
   static constexpr float start = 1.0f;
   template <class V> static HEPML_ROOT_INLINE V join(V total, V x) { return total * x; }
};

// y[a] = the sum (or product) of x[0] to x[a], without x[a] if Exclusive, from the end if Reverse.
template <class M, class Operation, bool Exclusive, bool Reverse, std::size_t Outer, std::size_t Axis,
          std::size_t Inner>
__attribute__((noinline)) void accumulate(const float* x, float* y) {
   using V = typename M::Lane;
   for (std::size_t o = 0; o < Outer; ++o)
      for (std::size_t i = 0; i < Inner; ++i)
         for (std::size_t v = 0; v < M::vectors; ++v) {
            V total = splat<V>(Operation::start);
            for (std::size_t n = 0; n < Axis; ++n) {
               const std::size_t a = Reverse ? Axis - 1 - n : n;
               const std::size_t at = ((o * Axis + a) * Inner + i) * M::lanes + v * width<V>;
               const V next = Operation::join(total, load<V>(x + at));
               store<V>(y + at, Exclusive ? total : next);
               total = next;
            }
         }
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
