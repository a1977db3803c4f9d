// Pooling: the maximum, the mean or a norm of the pixels in windows, in up to three dimensions.
//
// Along an axis, output o has the pixels o * stride + first + t * step for t < taps, those inside the image.
// In blocks of events a register holds one pixel of 16 events. For one event it holds neighbouring pixels.
// The columns of a window are joined first, then these, in both ways: the results are the same.
#pragma once

#include "dense.hxx"
#include "functions.hxx"

#include <utility>

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

struct PoolingAxis {
   std::size_t in, out, stride, step, taps;
   std::ptrdiff_t first;

   // Where the tap t of output o is; outside of the image it is not less than `in`.
   constexpr std::size_t place(std::size_t o, std::size_t t) const {
      return o * stride + t * step + static_cast<std::size_t>(first);
   }
};

struct Pooling {
   std::size_t planes;  // images times channels
   PoolingAxis axis[3]; // depth, height, width
   const float* pixels; // of a mean: for every output of each axis, how many pixels count
   float power;         // of a norm
   std::size_t row;     // of one event: length of a row with what is read beyond its ends
};

struct MaxPool {
   explicit MaxPool(const Pooling&) {}
   static constexpr float start = -infinity;
   template <class V> HEPML_ROOT_INLINE V of(V x) const { return x; }
   template <class V> HEPML_ROOT_INLINE V join(V a, V b) const { return maximum(a, b); }
   template <class V> HEPML_ROOT_INLINE V finish(V x, V) const { return x; }
};

struct AveragePool {
   explicit AveragePool(const Pooling&) {}
   static constexpr float start = 0;
   template <class V> HEPML_ROOT_INLINE V of(V x) const { return x; }
   template <class V> HEPML_ROOT_INLINE V join(V a, V b) const { return a + b; }
   template <class V> HEPML_ROOT_INLINE V finish(V x, V pixels) const { return x / pixels; }
};

// The sum of absolute values, and the root of the sum of squares.
struct L1Pool {
   explicit L1Pool(const Pooling&) {}
   static constexpr float start = 0;
   template <class V> HEPML_ROOT_INLINE V of(V x) const { return absolute(x); }
   template <class V> HEPML_ROOT_INLINE V join(V a, V b) const { return a + b; }
   template <class V> HEPML_ROOT_INLINE V finish(V x, V) const { return x; }
};
struct L2Pool : L1Pool {
   using L1Pool::L1Pool;
   template <class V> HEPML_ROOT_INLINE V of(V x) const { return x * x; }
   template <class V> HEPML_ROOT_INLINE V finish(V x, V) const { return square_root(x); }
};
struct LpPool : L1Pool {
   explicit LpPool(const Pooling& pooling) : L1Pool(pooling), p(pooling.power) {}
   template <class V> HEPML_ROOT_INLINE V of(V x) const { return power(absolute(x), splat<V>(p)); }
   template <class V> HEPML_ROOT_INLINE V finish(V x, V) const { return power(x, splat<V>(1.0f / p)); }
   float p;
};

// Height and Width are the taps of windows that lie inside the image, if they are few, else 0.
template <class M, class Operation, std::size_t Height, std::size_t Width>
__attribute__((noinline)) void pooling_of_block(const Pooling& c, const float* x, float* y) {
   using V = typename M::V;
   const Operation operation(c);
   const PoolingAxis &depth = c.axis[0], &height = c.axis[1], &wide = c.axis[2];
   const std::size_t row = wide.in * M::lanes, plane = height.in * row;
   const float* const of_height = c.pixels + depth.out;
   const float* const of_width = of_height + height.out;
   for (std::size_t p = 0; p < c.planes; ++p, x += depth.in * plane)
      for (std::size_t d = 0; d < depth.out; ++d)
         for (std::size_t h = 0; h < height.out; ++h) {
            const std::size_t first_row = height.place(h, 0), last_row = height.place(h, height.taps - 1);
            const bool rows_inside = Height > 0 && depth.in == 1 && depth.taps == 1 &&
                                     first_row <= last_row && last_row < height.in;
            for (std::size_t w = 0; w < wide.out; ++w) {
               const std::size_t first = wide.place(w, 0), last = wide.place(w, wide.taps - 1);
               const bool inside = rows_inside && first < wide.in && last < wide.in && first <= last;
               for (std::size_t v = 0; v < M::vectors; ++v, y += width<V>) {
                  V result = splat<V>(Operation::start);
                  if (inside) {
                     const float* const corner = x + first_row * row + first * M::lanes + v * width<V>;
                     HEPML_ROOT_UNROLL
                     for (std::size_t k = 0; k < Width; ++k) {
                        V column = splat<V>(Operation::start);
                        HEPML_ROOT_UNROLL
                        for (std::size_t j = 0; j < Height; ++j)
                           column =
                               operation.join(column, operation.of(load<V>(corner + j * height.step * row +
                                                                           k * wide.step * M::lanes)));
                        result = operation.join(result, column);
                     }
                  } else {
                     for (std::size_t k = 0; k < wide.taps; ++k) {
                        const std::size_t in_w = wide.place(w, k);
                        if (in_w >= wide.in)
                           continue;
                        const float* const from = x + in_w * M::lanes + v * width<V>;
                        V column = splat<V>(Operation::start);
                        for (std::size_t i = 0; i < depth.taps; ++i)
                           for (std::size_t j = 0; j < height.taps; ++j) {
                              const std::size_t in_d = depth.place(d, i), in_h = height.place(h, j);
                              if (in_d < depth.in && in_h < height.in)
                                 column = operation.join(
                                     column, operation.of(load<V>(from + in_d * plane + in_h * row)));
                           }
                        result = operation.join(result, column);
                     }
                  }
                  store<V>(y, operation.finish(result, splat<V>(c.pixels[d] * of_height[h] * of_width[w])));
               }
            }
         }
}

// Every `stride`th number from `from` on; what lies behind the last may be read as well.
template <class V, int... L>
HEPML_ROOT_INLINE V load_even(const float* from, std::integer_sequence<int, L...>) {
   V result;
#ifdef HEPML_ROOT_SHUFFLE
   if constexpr (width<V> > 1)
      return __builtin_shufflevector(load<V>(from), load<V>(from + width<V>), (2 * L)...);
#endif
   for (std::size_t i = 0; i < width<V>; ++i)
      result[i] = from[2 * i];
   return result;
}
template <class V> HEPML_ROOT_INLINE V load_strided(const float* from, std::size_t stride) {
   if (stride == 1)
      return load<V>(from);
   if (stride == 2)
      return load_even<V>(from, std::make_integer_sequence<int, width<V>>{});
   V result;
   for (std::size_t i = 0; i < width<V>; ++i)
      result[i] = from[i * stride];
   return result;
}

// First all rows of a plane, then their pixels: what has just been stored in other pieces is slow to load.
template <class Operation, std::size_t Height, std::size_t Width>
__attribute__((noinline)) void pooling_of_event(const Pooling& c, const float* x, float* y, float* scratch) {
   using V = Single::V;
   const Operation operation(c);
   const PoolingAxis &depth = c.axis[0], &height = c.axis[1], &wide = c.axis[2];
   const float* const of_height = c.pixels + depth.out;
   const float* const of_width = of_height + height.out;
   const std::size_t before = wide.first < 0 ? static_cast<std::size_t>(-wide.first) : 0;
   const std::size_t skip = wide.first < 0 ? 0 : static_cast<std::size_t>(wide.first);
   const std::size_t stride = wide.stride, step = wide.step, taps = wide.taps, outs = wide.out;
   const bool framed = before > 0 || wide.place(outs - 1, taps - 1) >= wide.in;
   for (std::size_t p = 0; p < c.planes; ++p, x += depth.in * height.in * wide.in) {
      float* row = scratch;
      for (std::size_t d = 0; d < depth.out; ++d)
         for (std::size_t h = 0; h < height.out; ++h, row += c.row) {
            const std::size_t first_row = height.place(h, 0), last_row = height.place(h, height.taps - 1);
            if (Height > 0 && depth.in == 1 && depth.taps == 1 && first_row <= last_row &&
                last_row < height.in) {
               for (std::size_t w = 0; w < wide.in; w += width<V>) {
                  V result = splat<V>(Operation::start);
                  HEPML_ROOT_UNROLL
                  for (std::size_t j = 0; j < Height; ++j)
                     result = operation.join(
                         result, operation.of(load<V>(x + (first_row + j * height.step) * wide.in + w)));
                  store<V>(row + before + w, result);
               }
            } else {
               for (std::size_t w = 0; w < wide.in; w += width<V>)
                  store<V>(row + before + w, splat<V>(Operation::start));
               for (std::size_t i = 0; i < depth.taps; ++i)
                  for (std::size_t j = 0; j < height.taps; ++j) {
                     const std::size_t in_d = depth.place(d, i), in_h = height.place(h, j);
                     if (in_d >= depth.in || in_h >= height.in)
                        continue;
                     const float* const from = x + (in_d * height.in + in_h) * wide.in;
                     for (std::size_t w = 0; w < wide.in; w += width<V>) {
                        float* const to = row + before + w;
                        store<V>(to, operation.join(load<V>(to), operation.of(load<V>(from + w))));
                     }
                  }
            }
            if (framed) {
               for (std::size_t i = 0; i < before; ++i)
                  row[i] = Operation::start;
               for (std::size_t i = before + wide.in; i < c.row; ++i)
                  row[i] = Operation::start;
            }
         }
      row = scratch;
      for (std::size_t d = 0; d < depth.out; ++d)
         for (std::size_t h = 0; h < height.out; ++h, row += c.row, y += outs) {
            const float rows = c.pixels[d] * of_height[h];
            for (std::size_t w = 0; w < outs; w += width<V>) {
               const float* const from = row + skip + w * stride;
               V result = splat<V>(Operation::start);
               if constexpr (Width > 0) {
                  HEPML_ROOT_UNROLL
                  for (std::size_t k = 0; k < Width; ++k)
                     result = operation.join(result, load_strided<V>(from + k * step, stride));
               } else {
                  for (std::size_t k = 0; k < taps; ++k)
                     result = operation.join(result, load_strided<V>(from + k * step, stride));
               }
               store<V>(y + w, operation.finish(result, load<V>(of_width + w) * rows));
            }
         }
   }
}

template <class M, class Operation, std::size_t Height, std::size_t Width>
HEPML_ROOT_INLINE void pooling(const Pooling& c, const float* x, float* y, float* scratch) {
   if constexpr (M::single)
      pooling_of_event<Operation, Height, Width>(c, x, y, scratch);
   else
      pooling_of_block<M, Operation, Height, Width>(c, x, y);
   (void)scratch;
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
