// Columns to rows: the transposition from one array per column to a row-major matrix.
#ifndef HEPML_ROOT_FEED_TRANSPOSE_HXX
#define HEPML_ROOT_FEED_TRANSPOSE_HXX

#include "types.hxx"

#include <cstddef>
#include <cstring>
#include <type_traits>

namespace hepml_root::feed {

typedef float Lanes8 __attribute__((vector_size(32)));
typedef float Lanes4 __attribute__((vector_size(16)));
typedef unsigned char Bytes32 __attribute__((vector_size(32)));
typedef unsigned char Bytes16 __attribute__((vector_size(16)));

/// Where the values of a column lie: as floats, or (`swapped`) as the big-endian bytes of floats.
template <bool swapped> using ColumnValues = std::conditional_t<swapped, const unsigned char*, const float*>;

template <bool swapped> Lanes8 load_8(ColumnValues<swapped> column, std::size_t event) {
   Lanes8 values;
   if constexpr (swapped) {
      Bytes32 bytes;
      std::memcpy(&bytes, column + 4 * event, sizeof(bytes));
      bytes = __builtin_shufflevector(bytes, bytes, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19,
                                      18, 17, 16, 23, 22, 21, 20, 27, 26, 25, 24, 31, 30, 29, 28);
      std::memcpy(&values, &bytes, sizeof(bytes));
   } else {
      std::memcpy(&values, column + event, sizeof(values));
   }
   return values;
}

template <bool swapped> Lanes4 load_4(ColumnValues<swapped> column, std::size_t event) {
   Lanes4 values;
   if constexpr (swapped) {
      Bytes16 bytes;
      std::memcpy(&bytes, column + 4 * event, sizeof(bytes));
      bytes = __builtin_shufflevector(bytes, bytes, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
      std::memcpy(&values, &bytes, sizeof(bytes));
   } else {
      std::memcpy(&values, column + event, sizeof(values));
   }
   return values;
}

template <bool swapped> float load_1(ColumnValues<swapped> column, std::size_t event) {
   if constexpr (swapped) {
      float value;
      from_big_endian(column + 4 * event, 4, 1, &value);
      return value;
   } else {
      return column[event];
   }
}

/// Write 8 columns of 8 events each as 8 rows, `stride` floats apart.
template <bool swapped>
void transpose_8x8(const ColumnValues<swapped>* columns, std::size_t event, float* rows, std::size_t stride) {
   Lanes8 c[8], a[8], b[8];
   for (int i = 0; i < 8; ++i)
      c[i] = load_8<swapped>(columns[i], event);
   for (int i = 0; i < 8; i += 2) {
      a[i] = __builtin_shufflevector(c[i], c[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
      a[i + 1] = __builtin_shufflevector(c[i], c[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
   }
   for (int i = 0; i < 8; i += 4) {
      b[i] = __builtin_shufflevector(a[i], a[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      b[i + 1] = __builtin_shufflevector(a[i], a[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
      b[i + 2] = __builtin_shufflevector(a[i + 1], a[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
      b[i + 3] = __builtin_shufflevector(a[i + 1], a[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
   }
   for (int i = 0; i < 4; ++i) {
      const Lanes8 low = __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
      const Lanes8 high = __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
      std::memcpy(rows + i * stride, &low, sizeof(low));
      std::memcpy(rows + (i + 4) * stride, &high, sizeof(high));
   }
}

/// Write 4 columns of 4 events each as 4 rows, `stride` floats apart.
template <bool swapped>
void transpose_4x4(const ColumnValues<swapped>* columns, std::size_t event, float* rows, std::size_t stride) {
   Lanes4 c[4];
   for (int i = 0; i < 4; ++i)
      c[i] = load_4<swapped>(columns[i], event);
   const Lanes4 a = __builtin_shufflevector(c[0], c[1], 0, 4, 1, 5);
   const Lanes4 b = __builtin_shufflevector(c[0], c[1], 2, 6, 3, 7);
   const Lanes4 d = __builtin_shufflevector(c[2], c[3], 0, 4, 1, 5);
   const Lanes4 e = __builtin_shufflevector(c[2], c[3], 2, 6, 3, 7);
   const Lanes4 row[4] = {
       __builtin_shufflevector(a, d, 0, 1, 4, 5), __builtin_shufflevector(a, d, 2, 3, 6, 7),
       __builtin_shufflevector(b, e, 0, 1, 4, 5), __builtin_shufflevector(b, e, 2, 3, 6, 7)};
   for (int i = 0; i < 4; ++i)
      std::memcpy(rows + i * stride, &row[i], sizeof(Lanes4));
}

/// Write `columns` (one array of `events` values each) as `events` rows of `width` floats.
template <bool swapped>
void transpose(const ColumnValues<swapped>* columns, std::size_t width, std::size_t events, float* rows) {
   const std::size_t full = events / 8 * 8;
   for (std::size_t event = 0; event < full; event += 8) {
      float* row = rows + event * width;
      std::size_t column = 0;
      for (; column + 8 <= width; column += 8)
         transpose_8x8<swapped>(columns + column, event, row + column, width);
      for (; column + 4 <= width; column += 4) {
         transpose_4x4<swapped>(columns + column, event, row + column, width);
         transpose_4x4<swapped>(columns + column, event + 4, row + 4 * width + column, width);
      }
      for (; column < width; ++column)
         for (std::size_t i = 0; i < 8; ++i)
            row[i * width + column] = load_1<swapped>(columns[column], event + i);
   }
   for (std::size_t event = full; event < events; ++event)
      for (std::size_t column = 0; column < width; ++column)
         rows[event * width + column] = load_1<swapped>(columns[column], event);
}

} // namespace hepml_root::feed

#endif
