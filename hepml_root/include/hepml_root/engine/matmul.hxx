// Products of two values of an event, or of one with a constant on any side, with batch axes:
// y[b][i][j] = epilogue(sum over k of a[b][i][k] b[b][k][j]), added up in the order of k.
#pragma once

#include "shuffle.hxx"
#include "sums.hxx"

#include <type_traits>

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// Where the elements of a factor, or of the product, are: the distances between neighbouring rows and
// columns in features, and that of a batch from its number. Transposes need no copy.
template <bool Constant, std::size_t Row, std::size_t Column, class Batch> struct Matrix {
   static constexpr bool constant = Constant;
   static constexpr std::size_t row = Row, column = Column;
   static constexpr std::size_t offset(std::size_t batch) { return Batch::offset(batch); }
};

// Rows and columns of the product whose sums are in registers at the same time.
template <std::size_t J> struct ProductTile {
   static constexpr std::size_t columns = J < 4 ? J : 4;
   static constexpr std::size_t rows =
       HEPML_ROOT_LANES == 16 ? (columns == 4 ? 6 : 8) : (columns == 4 ? 3 : 4);
};

// ---- events in lanes ------------------------------------------------------------------------------------

template <class M, class Factor> HEPML_ROOT_INLINE typename M::V element(const float* from, std::size_t at) {
   using V = typename M::V;
   if constexpr (Factor::constant)
      return splat<V>(from[at]);
   else
      return load<V>(from + at * M::lanes);
}

template <class M, Epilogue When, std::size_t I, std::size_t K, std::size_t J, class A, class B, class Y,
          class F>
HEPML_ROOT_INLINE void product_tile(const float* a, const float* b, float* y, std::size_t feature,
                                    std::size_t v, const F& epilogue) {
   using V = typename M::V;
   Accumulator<V> sum[I][J] = {};
   for (std::size_t k = 0; k < K; ++k) {
      V right[J];
      HEPML_ROOT_UNROLL
      for (std::size_t j = 0; j < J; ++j)
         right[j] = element<M, B>(b, k * B::row + j * B::column);
      HEPML_ROOT_UNROLL
      for (std::size_t i = 0; i < I; ++i) {
         const V left = element<M, A>(a, i * A::row + k * A::column);
         HEPML_ROOT_UNROLL
         for (std::size_t j = 0; j < J; ++j)
            add_product<V>(sum[i][j], left, right[j]);
      }
   }
   HEPML_ROOT_UNROLL
   for (std::size_t i = 0; i < I; ++i) {
      HEPML_ROOT_UNROLL
      for (std::size_t j = 0; j < J; ++j) {
         const std::size_t at = i * Y::row + j * Y::column;
         const V total = rounded<V>(sum[i][j]);
         store<V>(y + at * M::lanes,
                  When == Epilogue::in_registers ? epilogue(total, typename M::At{feature + at, v}) : total);
      }
   }
   if constexpr (When == Epilogue::after_storing)
      for (std::size_t i = 0; i < I; ++i)
         for (std::size_t j = 0; j < J; ++j) {
            const std::size_t at = i * Y::row + j * Y::column;
            store<V>(y + at * M::lanes,
                     epilogue(load<V>(y + at * M::lanes), typename M::At{feature + at, v}));
         }
}

template <class M, Epilogue When, std::size_t I, std::size_t K, std::size_t J, class A, class B, class Y,
          class F>
HEPML_ROOT_INLINE void product_rows(const float* a, const float* b, float* y, std::size_t feature,
                                    std::size_t v, const F& epilogue) {
   constexpr std::size_t most = ProductTile<J>::columns, rest = J % most;
   constexpr std::size_t right = B::constant ? 1 : M::lanes;
   for (std::size_t j = 0; j + most <= J; j += most)
      product_tile<M, When, I, K, most, A, B, Y>(a, b + j * B::column * right, y + j * Y::column * M::lanes,
                                                 feature + j * Y::column, v, epilogue);
   if constexpr (rest > 0) {
      constexpr std::size_t j = J - rest;
      product_tile<M, When, I, K, rest, A, B, Y>(a, b + j * B::column * right, y + j * Y::column * M::lanes,
                                                 feature + j * Y::column, v, epilogue);
   }
}

template <class M, Epilogue When, std::size_t I, std::size_t K, std::size_t J, class A, class B, class Y,
          class F>
HEPML_ROOT_INLINE void product_in_block(const float* a, const float* b, float* y, std::size_t feature,
                                        const F& epilogue) {
   using V = typename M::V;
   constexpr std::size_t most = ProductTile<J>::rows < I ? ProductTile<J>::rows : I, rest = I % most;
   constexpr std::size_t left = A::constant ? 1 : M::lanes;
   for (std::size_t v = 0; v < M::vectors; ++v) {
      const float* const from_a = A::constant ? a : a + v * width<V>;
      const float* const from_b = B::constant ? b : b + v * width<V>;
      float* const to = y + v * width<V>;
      for (std::size_t i = 0; i + most <= I; i += most)
         product_rows<M, When, most, K, J, A, B, Y>(from_a + i * A::row * left, from_b,
                                                    to + i * Y::row * M::lanes, feature + i * Y::row, v,
                                                    epilogue);
      if constexpr (rest > 0) {
         constexpr std::size_t i = I - rest;
         product_rows<M, When, rest, K, J, A, B, Y>(from_a + i * A::row * left, from_b,
                                                    to + i * Y::row * M::lanes, feature + i * Y::row, v,
                                                    epilogue);
      }
   }
}

// ---- one event: columns in lanes ------------------------------------------------------------------------

// Up to Count lanes of a row of b, whose columns are Column floats apart.
template <class V, std::size_t Count, std::size_t Column> HEPML_ROOT_INLINE V columns_of(const float* from) {
   if constexpr (Column == 1) {
      return load_part<V, Count>(from);
   } else {
      V value{};
      for (std::size_t l = 0; l < (Count < width<V> ? Count : width<V>); ++l)
         value[l] = from[l * Column];
      return value;
   }
}
template <class V, std::size_t Count, std::size_t Column>
HEPML_ROOT_INLINE void to_columns(float* to, V value) {
   if constexpr (Column == 1)
      store_part<V, Count>(to, value);
   else
      for (std::size_t l = 0; l < (Count < width<V> ? Count : width<V>); ++l)
         to[l * Column] = value[l];
}

// I rows by Count columns; those of b are Step rows and Column columns apart.
template <Epilogue When, std::size_t I, std::size_t K, std::size_t Count, std::size_t Step,
          std::size_t Column, class A, class Y, class F>
HEPML_ROOT_INLINE void columns_in_lanes(const float* a, const float* b, float* y, std::size_t feature,
                                        const F& epilogue) {
   using V = Single::V;
   constexpr std::size_t registers = (Count + width<V> - 1) / width<V>;
   constexpr std::size_t in_last = Count - (registers - 1) * width<V>;
   constexpr std::size_t last = registers - 1;
   Accumulator<V> sum[I][registers] = {};
   for (std::size_t k = 0; k < K; ++k) {
      V right[registers];
      HEPML_ROOT_UNROLL
      for (std::size_t t = 0; t < last; ++t)
         right[t] = columns_of<V, width<V>, Column>(b + k * Step + t * width<V> * Column);
      right[last] = columns_of<V, in_last, Column>(b + k * Step + last * width<V> * Column);
      HEPML_ROOT_UNROLL
      for (std::size_t i = 0; i < I; ++i) {
         const V left = splat<V>(a[i * A::row + k * A::column]);
         HEPML_ROOT_UNROLL
         for (std::size_t t = 0; t < registers; ++t)
            add_product<V>(sum[i][t], left, right[t]);
      }
   }
   constexpr bool now = When == Epilogue::in_registers && Y::column == 1;
   HEPML_ROOT_UNROLL
   for (std::size_t i = 0; i < I; ++i) {
      HEPML_ROOT_UNROLL
      for (std::size_t t = 0; t < registers; ++t) {
         const std::size_t at = i * Y::row + t * width<V> * Y::column;
         const V total = rounded<V>(sum[i][t]);
         const V result = now ? epilogue(total, Single::At{feature + at, 0}) : total;
         if (t < last)
            to_columns<V, width<V>, Y::column>(y + at, result);
         else
            to_columns<V, in_last, Y::column>(y + at, result);
      }
   }
   if constexpr (When == Epilogue::after_storing && Y::column == 1)
      for (std::size_t i = 0; i < I; ++i)
         finish<Single, Count>(y + i * Y::row, feature + i * Y::row, epilogue);
}

template <Epilogue When, std::size_t I, std::size_t K, std::size_t J, std::size_t Step, std::size_t Column,
          class A, class Y, class F>
HEPML_ROOT_INLINE void rows_in_lanes(const float* a, const float* b, float* y, std::size_t feature,
                                     const F& epilogue) {
   constexpr std::size_t most = width<Single::V> * (HEPML_ROOT_LANES == 16 ? 4 : 2);
   constexpr std::size_t before = (J - 1) / most * most;
   for (std::size_t j = 0; j < before; j += most)
      columns_in_lanes<When, I, K, most, Step, Column, A, Y>(a, b + j * Column, y + j * Y::column,
                                                             feature + j * Y::column, epilogue);
   columns_in_lanes<When, I, K, J - before, Step, Column, A, Y>(
       a, b + before * Column, y + before * Y::column, feature + before * Y::column, epilogue);
}

template <Epilogue When, std::size_t I, std::size_t K, std::size_t J, std::size_t Step, std::size_t Column,
          class A, class Y, class F>
HEPML_ROOT_INLINE void product_alone(const float* a, const float* b, float* y, std::size_t feature,
                                     const F& epilogue) {
   constexpr std::size_t wanted = HEPML_ROOT_LANES == 16 ? 6 : 4;
   constexpr std::size_t most = wanted < I ? wanted : I, rest = I % most;
   for (std::size_t i = 0; i + most <= I; i += most)
      rows_in_lanes<When, most, K, J, Step, Column, A, Y>(a + i * A::row, b, y + i * Y::row,
                                                          feature + i * Y::row, epilogue);
   if constexpr (rest > 0)
      rows_in_lanes<When, rest, K, J, Step, Column, A, Y>(a + (I - rest) * A::row, b, y + (I - rest) * Y::row,
                                                          feature + (I - rest) * Y::row, epilogue);
}

// ---- the product ----------------------------------------------------------------------------------------

template <class M, Epilogue When, std::size_t Batches, std::size_t I, std::size_t K, std::size_t J, class A,
          class B, class Y, class F>
__attribute__((noinline)) void matmul(const float* a, const float* b, float* y, F epilogue) {
   constexpr std::size_t left = A::constant ? 1 : M::lanes, right = B::constant ? 1 : M::lanes;
   for (std::size_t batch = 0; batch < Batches; ++batch) {
      const float* const from_a = a + A::offset(batch) * left;
      const float* const from_b = b + B::offset(batch) * right;
      const std::size_t feature = Y::offset(batch);
      float* const to = y + feature * M::lanes;
      if constexpr (!M::single) {
         product_in_block<M, When, I, K, J, A, B, Y>(from_a, from_b, to, feature, epilogue);
      } else if constexpr (B::column == 1 || J == 1 || I == 1 || K * padded(J) > 16384) {
         product_alone<When, I, K, J, B::row, B::column, A, Y>(from_a, from_b, to, feature, epilogue);
      } else {
         // Columns side by side, so that whole registers can be read.
         alignas(64) float packed[K * padded(J)];
         if constexpr (B::row == 1) {
            using V = Single::V;
            for (std::size_t j = 0; j < J; j += width<V>) {
               const float* column[width<V>];
               for (std::size_t l = 0; l < width<V>; ++l)
                  column[l] = from_b + (j + l < J ? j + l : J - 1) * B::column;
               rows_to_lanes<V, K, padded(J)>(column, packed + j);
            }
         } else {
            for (std::size_t k = 0; k < K; ++k)
               for (std::size_t j = 0; j < J; ++j)
                  packed[k * padded(J) + j] = from_b[k * B::row + j * B::column];
         }
         product_alone<When, I, K, J, padded(J), 1, A, Y>(from_a, packed, to, feature, epilogue);
      }
   }
   if constexpr (M::single && Y::column != 1 && !std::is_same_v<F, Identity>)
      finish<Single, Batches * I * J>(y, 0, epilogue);
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
