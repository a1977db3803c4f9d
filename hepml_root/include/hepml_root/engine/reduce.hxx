// Sums, maxima, softmax and normalisation along one axis of a value seen as (Outer, Axis, Inner).
//
// Every lane works on its own, in the order of the axis, so that a result does not depend on its neighbours.
#pragma once

#include "functions.hxx"

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// Calls body(place of the first element of an axis, place of its result) for each axis of each register.
template <class M, std::size_t Outer, std::size_t Axis, std::size_t Inner, class Body>
HEPML_ROOT_INLINE void along_axis(Body body) {
   for (std::size_t o = 0; o < Outer; ++o)
      for (std::size_t i = 0; i < Inner; ++i)
         for (std::size_t v = 0; v < M::vectors; ++v) {
            const std::size_t lane = v * width<typename M::Lane>;
            body((o * Axis * Inner + i) * M::lanes + lane, (o * Inner + i) * M::lanes + lane);
         }
}

struct Sum {
   template <class V> static V start() { return V{}; }
   template <class V> static V add(V sum, V x) { return sum + x; }
   template <class V> static V finish(V sum, std::size_t) { return sum; }
};
struct Mean : Sum {
   template <class V> static V finish(V sum, std::size_t n) { return sum / static_cast<float>(n); }
};
struct SumSquare : Sum {
   template <class V> static V add(V sum, V x) { return sum + x * x; }
};
struct L1 : Sum {
   template <class V> static V add(V sum, V x) { return sum + absolute(x); }
};
struct L2 : SumSquare {
   template <class V> static V finish(V sum, std::size_t) { return square_root(sum); }
};
struct LogSum : Sum {
   template <class V> static V finish(V sum, std::size_t) { return logarithm(sum); }
};
struct Prod {
   template <class V> static V start() { return splat<V>(1.0f); }
   template <class V> static V add(V product, V x) { return product * x; }
   template <class V> static V finish(V product, std::size_t) { return product; }
};
struct Max {
   template <class V> static V start() { return splat<V>(-infinity); }
   template <class V> static V add(V largest, V x) { return maximum(largest, x); }
   template <class V> static V finish(V largest, std::size_t) { return largest; }
};
struct Min {
   template <class V> static V start() { return splat<V>(infinity); }
   template <class V> static V add(V smallest, V x) { return minimum(smallest, x); }
   template <class V> static V finish(V smallest, std::size_t) { return smallest; }
};

template <class M, class Operation, std::size_t Outer, std::size_t Axis, std::size_t Inner>
HEPML_ROOT_INLINE void reduce(const float* x, float* y) {
   using V = typename M::Lane;
   along_axis<M, Outer, Axis, Inner>([&](std::size_t from, std::size_t to) {
      V result = Operation::template start<V>();
      for (std::size_t a = 0; a < Axis; ++a)
         result = Operation::add(result, load<V>(x + from + a * Inner * M::lanes));
      store<V>(y + to, Operation::finish(result, Axis));
   });
}

// The largest value is taken off first, so that no exponential overflows.
template <class V, std::size_t Axis> HEPML_ROOT_INLINE V axis_maximum(const float* x, std::size_t stride) {
   V largest = load<V>(x);
   for (std::size_t a = 1; a < Axis; ++a)
      largest = maximum(largest, load<V>(x + a * stride));
   return largest;
}

template <class M, std::size_t Outer, std::size_t Axis, std::size_t Inner>
HEPML_ROOT_INLINE void softmax(const float* x, float* y) {
   using V = typename M::Lane;
   constexpr std::size_t stride = Inner * M::lanes;
   along_axis<M, Outer, Axis, Inner>([&](std::size_t from, std::size_t) {
      const V largest = axis_maximum<V, Axis>(x + from, stride);
      V sum = V{};
      for (std::size_t a = 0; a < Axis; ++a) {
         const V e = exponential<V>(load<V>(x + from + a * stride) - largest);
         sum += e;
         store<V>(y + from + a * stride, e);
      }
      const V inverse = 1.0f / sum;
      for (std::size_t a = 0; a < Axis; ++a)
         store<V>(y + from + a * stride, load<V>(y + from + a * stride) * inverse);
   });
}

template <class M, std::size_t Outer, std::size_t Axis, std::size_t Inner>
HEPML_ROOT_INLINE void log_softmax(const float* x, float* y) {
   using V = typename M::Lane;
   constexpr std::size_t stride = Inner * M::lanes;
   along_axis<M, Outer, Axis, Inner>([&](std::size_t from, std::size_t) {
      const V largest = axis_maximum<V, Axis>(x + from, stride);
      V sum = V{};
      for (std::size_t a = 0; a < Axis; ++a)
         sum += exponential<V>(load<V>(x + from + a * stride) - largest);
      const V log_sum = logarithm(sum);
      for (std::size_t a = 0; a < Axis; ++a)
         store<V>(y + from + a * stride, (load<V>(x + from + a * stride) - largest) - log_sum);
   });
}

template <class M, std::size_t Outer, std::size_t Axis, std::size_t Inner>
HEPML_ROOT_INLINE void log_sum_exp(const float* x, float* y) {
   using V = typename M::Lane;
   constexpr std::size_t stride = Inner * M::lanes;
   along_axis<M, Outer, Axis, Inner>([&](std::size_t from, std::size_t to) {
      const V largest = axis_maximum<V, Axis>(x + from, stride);
      V sum = V{};
      for (std::size_t a = 0; a < Axis; ++a)
         sum += exponential<V>(load<V>(x + from + a * stride) - largest);
      // All -infinity, or one +infinity: the differences above are NaN, the result is not.
      const V result = largest + logarithm(sum);
      store<V>(y + to, select<V>(absolute(largest) == infinity, largest, result));
   });
}

// (x - mean) / sqrt(variance + epsilon) over Axis neighbouring features; two passes, against cancellation.
template <class M, std::size_t Outer, std::size_t Axis>
HEPML_ROOT_INLINE void standardise(const float* x, float* y, float epsilon) {
   using V = typename M::Lane;
   along_axis<M, Outer, Axis, 1>([&](std::size_t from, std::size_t) {
      V sum = V{};
      for (std::size_t a = 0; a < Axis; ++a)
         sum += load<V>(x + from + a * M::lanes);
      const V mean = sum / static_cast<float>(Axis);
      V squares = V{};
      for (std::size_t a = 0; a < Axis; ++a) {
         const V difference = load<V>(x + from + a * M::lanes) - mean;
         squares += difference * difference;
      }
      const V scale = 1.0f / square_root<V>(squares / static_cast<float>(Axis) + epsilon);
      for (std::size_t a = 0; a < Axis; ++a)
         store<V>(y + from + a * M::lanes, (load<V>(x + from + a * M::lanes) - mean) * scale);
   });
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
