// Gathering and scattering with indices that depend on the event: every lane reads or writes where its own
// indices say.
//
// A row is a run of Length features that is moved as one. The generator (export/cpp/index.py) gives for each
// row where its indices are (Where), where its source begins if all indices are 0 (Base), and how far each
// index moves that (Coordinate). Indices from -Extent to Extent - 1 are valid, as in ONNX; nothing outside a
// value is ever read or written: a row that is gathered with another index is NaN, and an event in which one
// is scattered is NaN altogether.
#pragma once

#include "functions.hxx"
#include "shuffle.hxx"
#include "sums.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// An index below Extent, one step of which moves the place by Stride features.
template <std::size_t Extent, std::size_t Stride> struct Coordinate {
   static constexpr float extent = static_cast<float>(Extent);
   static constexpr std::int32_t stride = static_cast<std::int32_t>(Stride);
};

// What the indices of a row move its place by, and the lanes in which all of them are valid.
template <class V> struct Place {
   Mask<V> moved;
   Mask<V> valid;
};

template <class V, class... Coordinates>
HEPML_ROOT_INLINE Place<V> place_of(const float* indices, std::size_t stride) {
   Place<V> place{Mask<V>{}, Mask<V>{} == 0};
   [[maybe_unused]] const auto add = [&](auto coordinate) __attribute__((always_inline)) {
      using C = decltype(coordinate);
      V index = load<V>(indices);
      index = select<V>(index < 0.0f, index + C::extent, index);
      const Mask<V> valid = (index >= 0.0f) & (index < C::extent); // NaN is not
      place.valid &= valid;
      place.moved += __builtin_convertvector(select<V>(valid, index, V{}), Mask<V>) * C::stride;
      indices += stride;
   };
   (add(Coordinates{}), ...);
   return place;
}

template <class V> HEPML_ROOT_INLINE bool all_valid(Mask<V> valid) {
   if constexpr (width<V> == 1) {
      return valid[0] != 0;
   } else {
      using Half = typename Vector<width<V> / 2>::Float;
      Mask<Half> halves[2];
      std::memcpy(halves, &valid, sizeof(valid));
      return all_valid<Half>(halves[0] & halves[1]);
   }
}

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

// ---- gathering ------------------------------------------------------------------------------------------

// Where the rows come from: a value of `Size` features of the events,
template <std::size_t Size> struct OfEvents {
   static constexpr bool constant = false;
   static constexpr std::size_t size = Size;
};
// or constants, as the table of an embedding.
struct OfConstants {
   static constexpr bool constant = true;
   static constexpr std::size_t size = 0;
};

// y: Rows x Length, each passed through a formula, the epilogue. `work` has room for a register of events'
// values as rows, where it pays to have them so.
template <class M, class Source, std::size_t Rows, std::size_t Length, class Base, class Where,
          class... Coordinates, class F>
__attribute__((noinline)) void gather(const float* x, const float* indices, float* y, float* work,
                                      const F& epilogue) {
   using V = typename M::Lane;
   constexpr std::size_t w = width<V>;
   // Whole rows of one event lie side by side in `work`: to bring each event's values there once and back row
   // by row is faster than to collect each number from another cache line.
   constexpr bool through_rows =
       !M::single && !Source::constant && 4 * Length >= w && 2 * Rows * Length >= Source::size;
   constexpr bool rows = M::single || Source::constant || through_rows;
   constexpr std::size_t pitch = through_rows ? Source::size + alignment : 0;
   for (std::size_t v = 0; v < M::vectors; ++v) {
      const float* from = Source::constant ? x : x + v * w;
      if constexpr (through_rows) {
         lanes_to_rows<V, Source::size, M::lanes>(from, work, pitch);
         from = work;
      }
      for (std::size_t r = 0; r < Rows; ++r) {
         const auto place =
             place_of<V, Coordinates...>(indices + Where::offset(r) * M::lanes + v * w, M::lanes);
         float* const to = y + r * Length * M::lanes + v * w;
         if constexpr (rows) {
            const float* row[w];
            for (std::size_t e = 0; e < w; ++e)
               row[e] = from + e * pitch + Base::offset(r) + place.moved[e];
            rows_to_lanes<V, Length, M::lanes>(row, to);
         } else {
            for (std::size_t f = 0; f < Length; ++f)
               for (std::size_t e = 0; e < w; ++e)
                  to[f * M::lanes + e] =
                      from[(Base::offset(r) + f + static_cast<std::size_t>(place.moved[e])) * M::lanes + e];
         }
         if (__builtin_expect(!all_valid<V>(place.valid), 0))
            for (std::size_t e = 0; e < w; ++e)
               for (std::size_t f = 0; f < Length && !place.valid[e]; ++f)
                  to[f * M::lanes + e] = not_a_number;
         if constexpr (M::single)
            finish<M, Length>(to, r * Length, epilogue);
         else
            for (std::size_t f = 0; f < Length; ++f) {
               float* const at = to + f * M::lanes;
               store<V>(at, epilogue(load<V>(at), typename M::At{r * Length + f, v}));
            }
      }
   }
}

// ---- scattering -----------------------------------------------------------------------------------------

struct Replace {
   static HEPML_ROOT_INLINE float join(float, float update) { return update; }
};
struct AddTo {
   static HEPML_ROOT_INLINE float join(float old, float update) { return old + update; }
};
struct MultiplyBy {
   static HEPML_ROOT_INLINE float join(float old, float update) { return old * update; }
};
struct LargerOf {
   static HEPML_ROOT_INLINE float join(float old, float update) {
      return old > update || old != old ? old : update;
   }
};
struct SmallerOf {
   static HEPML_ROOT_INLINE float join(float old, float update) {
      return old < update || old != old ? old : update;
   }
};

// Rows of updates into y, of Size features, one after the other.
template <class M, class Operation, std::size_t Size, std::size_t Rows, std::size_t Length, class Base,
          class Where, class... Coordinates>
__attribute__((noinline)) void scatter(const float* updates, const float* indices, float* y) {
   using V = typename M::Lane;
   constexpr std::size_t w = width<V>;
   for (std::size_t v = 0; v < M::vectors; ++v) {
      Mask<V> valid = Mask<V>{} == 0;
      for (std::size_t r = 0; r < Rows; ++r) {
         const Place<V> place =
             place_of<V, Coordinates...>(indices + Where::offset(r) * M::lanes + v * w, M::lanes);
         valid &= place.valid;
         for (std::size_t f = 0; f < Length; ++f)
            for (std::size_t e = 0; e < w; ++e) {
               const std::size_t to = Base::offset(r) + f + static_cast<std::size_t>(place.moved[e]);
               float* const at = y + to * M::lanes + v * w + e;
               *at = Operation::join(*at, updates[(r * Length + f) * M::lanes + v * w + e]);
            }
      }
      if (__builtin_expect(!all_valid<V>(valid), 0))
         for (std::size_t i = 0; i < Size; ++i)
            for (std::size_t e = 0; e < w; ++e)
               if (!valid[e])
                  y[i * M::lanes + v * w + e] = not_a_number;
   }
}

// The same with places that are known: update i goes to table[i].
template <class M, class Operation, class Number>
__attribute__((noinline)) void scatter_to(const float* updates, const Number* table, std::size_t count,
                                          float* y) {
   for (std::size_t i = 0; i < count; ++i) {
      float* const to = y + static_cast<std::size_t>(table[i]) * M::lanes;
      for (std::size_t e = 0; e < M::lanes; ++e)
         to[e] = Operation::join(to[e], updates[i * M::lanes + e]);
   }
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
