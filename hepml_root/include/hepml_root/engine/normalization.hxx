// Normalisation of rows: every one of Outer rows of Axis neighbouring features is shifted and scaled by what
// all of its features have in common, and handed to an epilogue (scale and shift of the features).
#pragma once

#include "reduce.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// The sum over one row of term(x, about), with `about` the same number for all.
template <class M, class Operation, std::size_t Axis, class Term>
HEPML_ROOT_INLINE typename M::V row_sum(const float* x, typename M::V about, Term term) {
   using V = typename M::V;
   if constexpr (M::single)
      return splat<V>(reduce_neighbours<Operation, Axis>(
          x, [&](auto value) __attribute__((always_inline)) { return term(value, about[0]); }));
   else
      return reduce_axis<Operation, V, Axis>([&](std::size_t a) __attribute__((always_inline)) {
         return term(load<V>(x + a * M::lanes), about);
      });
}

template <class V> struct Scaling {
   V shift, scale; // y = (x - shift) scale
};

// What a row is normalised by. Two passes for the variance, against cancellation.
struct MeanAndVariance {
   template <class M, std::size_t Axis>
   HEPML_ROOT_INLINE static Scaling<typename M::V> of(const float* x, float epsilon) {
      using V = typename M::V;
      const auto same = [](auto value, auto) __attribute__((always_inline)) { return value; };
      const auto difference = [](auto value, auto about)
                                  __attribute__((always_inline)) { return value - about; };
      const V mean = row_sum<M, Sum, Axis>(x, V{}, same) / static_cast<float>(Axis);
      const V squares = row_sum<M, SumSquare, Axis>(x, mean, difference);
      return {mean, 1.0f / square_root<V>(squares / static_cast<float>(Axis) + epsilon)};
   }
};
struct MeanSquare {
   template <class M, std::size_t Axis>
   HEPML_ROOT_INLINE static Scaling<typename M::V> of(const float* x, float epsilon) {
      using V = typename M::V;
      const auto same = [](auto value, auto) __attribute__((always_inline)) { return value; };
      const V squares = row_sum<M, SumSquare, Axis>(x, V{}, same);
      return {V{}, 1.0f / square_root<V>(squares / static_cast<float>(Axis) + epsilon)};
   }
};
// The norm of order 1 or 2; a row of zeros stays.
template <class Operation> struct Norm {
   template <class M, std::size_t Axis>
   HEPML_ROOT_INLINE static Scaling<typename M::V> of(const float* x, float) {
      using V = typename M::V;
      const auto same = [](auto value, auto) __attribute__((always_inline)) { return value; };
      const V norm = Operation::template finish<V>(row_sum<M, Operation, Axis>(x, V{}, same), Axis);
      return {V{}, select<V>(norm == 0.0f, V{}, 1.0f / norm)};
   }
};

template <class M, class Kind, std::size_t Outer, std::size_t Axis, class F>
__attribute__((noinline)) void normalise(const float* x, float* y, float epsilon, F epilogue) {
   using V = typename M::V;
   for (std::size_t o = 0; o < Outer; ++o) {
      const std::size_t feature = o * Axis;
      if constexpr (M::single) {
         constexpr std::size_t whole = Axis / width<V> * width<V>, rest = Axis - whole;
         const Scaling<V> by = Kind::template of<M, Axis>(x + feature, epsilon);
         for (std::size_t a = feature; a < feature + whole; a += width<V>)
            store<V>(y + a, epilogue((load<V>(x + a) - by.shift) * by.scale, Single::At{a, 0}));
         if constexpr (rest > 0) {
            const std::size_t a = feature + whole;
            const V normal = (load_part<V, rest>(x + a) - by.shift) * by.scale;
            store_part<V, rest>(y + a, epilogue(normal, Single::At{a, 0}));
         }
      } else {
         for (std::size_t v = 0; v < M::vectors; ++v) {
            const Scaling<V> by = Kind::template of<M, Axis>(x + feature * M::lanes + v * width<V>, epsilon);
            for (std::size_t a = feature; a < feature + Axis; ++a) {
               const std::size_t place = a * M::lanes + v * width<V>;
               store<V>(y + place,
                        epilogue((load<V>(x + place) - by.shift) * by.scale, typename M::At{a, v}));
            }
         }
      }
   }
}

// Local response normalisation over Channels planes of Inner features: with s the sum of squares over the
// channels [c - Before, c + After], x / (bias + alpha s)^beta.
template <class M, std::size_t Outer, std::size_t Channels, std::size_t Inner, std::size_t Before,
          std::size_t After>
__attribute__((noinline)) void local_response(const float* x, float* y, float alpha, float beta, float bias) {
   using V = typename M::V;
   constexpr std::size_t stride = Inner * M::lanes;
   along_axis<M, Outer, Channels, Inner>(
       [&](auto access, std::size_t from, std::size_t) __attribute__((always_inline)) {
          for (std::size_t c = 0; c < Channels; ++c) {
             const std::size_t first = c < Before ? 0 : c - Before;
             const std::size_t last = c + After < Channels ? c + After : Channels - 1;
             Accumulator<V> sum{};
             for (std::size_t other = first; other <= last; ++other) {
                const V value = access.get(x + from + other * stride);
                add_product<V>(sum, value, value);
             }
             access.put(y + from + c * stride, access.get(x + from + c * stride) /
                                                   power<V>(bias + alpha * rounded<V>(sum), splat<V>(beta)));
          }
       });
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
