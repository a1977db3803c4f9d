// Ensembles of decision trees. Trees are data, laid out by the generator (export/cpp/trees.py); the code is
// the same for all of them.
//
// Every test of a node is "key of a feature > key of the threshold" for integers: `ordered_keys` turns floats
// into integers of the same order, and NaN into the largest one or, in a second row, into the smallest, so
// that a node reads the row that sends NaN its way.
//
// Small trees (`bit_trees`) are not walked through at all. The leaves of a piece of at most 32 are bits, from
// left to right; a node that sends an event to the right rules out the leaves to its left; after all nodes
// of the tree, in any order, the leaf of the event is the first one that is left. That is a comparison and
// a masked "or" per node, without a branch or a look-up that waits for another (QuickScorer, Lucchese et al.,
// doi:10.1145/2766462.2767733). A larger tree is a row of such pieces: the first one with a leaf left counts.
// Trees too large for that are walked through, 16 at a time (`walked_trees`).
//
// Trees come in groups of 16 that add to the same outputs. With events in lanes the trees of a group follow
// each other; for one event the 16 trees are the lanes.
#pragma once

#include "functions.hxx"

#include <cstdint>
#include <cstring>

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

constexpr std::size_t group_trees = 16;
constexpr std::size_t piece_leaves = 32;
constexpr std::int32_t key_of_nan = 0x7fffffff;

// Tables of 32-bit words, integers and floats mixed.
using Table = const unsigned char*;

template <class T> HEPML_ROOT_INLINE T word(Table table, std::size_t i) {
   T value;
   std::memcpy(&value, table + 4 * i, sizeof(T));
   return value;
}
HEPML_ROOT_INLINE std::size_t count(Table table, std::size_t i) { return word<std::uint32_t>(table, i); }

// Integers in the order of the floats; -0 and 0 are the same, NaN is the largest, or the smallest, of all.
template <bool NanFirst, class V> HEPML_ROOT_INLINE V ordered_key(V x) {
   using I = Mask<V>;
   const I raw = bits<V>(x + 0.0f);
   const I key = raw ^ ((raw >> 31) & key_of_nan);
   const I is_number = x == x;
   const I nan = (NanFirst ? -key_of_nan - 1 : key_of_nan) - I{};
   return from_bits<V>((key & is_number) | (nan & ~is_number));
}

// Keys of F features in rows 0 to F - 1; with Both, rows Stride to Stride + F - 1 have NaN as the smallest.
template <class M, std::size_t F, std::size_t Stride, bool Both> void ordered_keys(const float* x, float* y) {
   each<M, F>(y, [&](auto at) { return ordered_key<false>(at.value(x)); });
   if constexpr (Both)
      each<M, F>(y + Stride * M::lanes, [&](auto at) { return ordered_key<true>(at.value(x)); });
}

// The same 32 bits in every lane.
template <class V> HEPML_ROOT_INLINE V splat_bits(std::int32_t x) { return from_bits<V>(x - Mask<V>{}); }

// How the trees' values become one.
struct AddTrees {
   template <class V> static HEPML_ROOT_INLINE V start() { return V{}; }
   template <class V> static HEPML_ROOT_INLINE V add(V a, V b) { return a + b; }
};
struct SmallestTree {
   template <class V> static HEPML_ROOT_INLINE V start() { return splat<V>(infinity); }
   template <class V> static HEPML_ROOT_INLINE V add(V a, V b) { return select<V>(b < a, b, a); }
};
struct LargestTree {
   template <class V> static HEPML_ROOT_INLINE V start() { return splat<V>(-infinity); }
   template <class V> static HEPML_ROOT_INLINE V add(V a, V b) { return select<V>(b > a, b, a); }
};

template <class Combine, class V> HEPML_ROOT_INLINE float over_lanes(V x) {
   if constexpr (width<V> == 1) {
      return x[0];
   } else {
      using Half = typename Vector<width<V> / 2>::Float;
      Half parts[2];
      std::memcpy(parts, &x, sizeof(V));
      return over_lanes<Combine, Half>(Combine::template add<Half>(parts[0], parts[1]));
   }
}

// ---- small trees: leaves as bits ------------------------------------------------------------------------

// `ruled_out` where key > threshold gets the leaves in `left`.
template <class V> HEPML_ROOT_INLINE void rule_out(Mask<V>& ruled_out, V key, V threshold, V left) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16) {
      const __mmask16 right = _mm512_cmpgt_epi32_mask(__m512i(bits(key)), __m512i(bits(threshold)));
      ruled_out =
          Mask<V>(_mm512_mask_or_epi32(__m512i(ruled_out), right, __m512i(ruled_out), __m512i(bits(left))));
      return;
   }
#endif
   ruled_out |= (bits(key) > bits(threshold)) & bits(left);
}

// The first leaf that is left as a single bit, and its place in a row of values: the exponent of the bit as
// a float, which is one less than the number of the leaf modulo 32 (the generator stores values so).
template <class V> HEPML_ROOT_INLINE Mask<V> first_left(Mask<V> ruled_out) {
   using U [[gnu::vector_size(sizeof(V))]] = std::uint32_t; // the sum may go beyond the largest int
   const U taken = (U)ruled_out;
   return (Mask<V>)(~taken & (taken + 1u));
}
template <class V> HEPML_ROOT_INLINE Mask<V> place_of(Mask<V> leaf) {
   return (bits<V>(__builtin_convertvector(leaf, V)) >> 23) & 31;
}

// One of 32 values per lane.
template <class V> HEPML_ROOT_INLINE V one_of_32(Table values, Mask<V> place) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16)
      return V(
          _mm512_permutex2var_ps(__m512(word<V>(values, 0)), __m512i(place), __m512(word<V>(values, 16))));
#endif
   V result;
   for (std::size_t i = 0; i < width<V>; ++i)
      result[i] = word<float>(values, static_cast<std::size_t>(place[i]));
   return result;
}

// A group in the table: trees, number of pieces, number of outputs, the outputs; for each piece its rows of
// nodes; then the pieces. All parts are padded to 16 words.
struct BitGroup {
   Table table;
   std::size_t trees, pieces, outputs;

   HEPML_ROOT_INLINE explicit BitGroup(Table t)
       : table(t), trees(count(t, 0)), pieces(count(t, 1)), outputs(count(t, 2)) {}
   HEPML_ROOT_INLINE std::size_t rows(std::size_t piece) const { return count(table, 3 + piece); }
   HEPML_ROOT_INLINE std::size_t output(std::size_t i) const { return count(table, 3 + pieces + i); }
   HEPML_ROOT_INLINE std::size_t size() const { return padded(3 + pieces + outputs); }
};

// A piece in the table: the number of rows of each tree; for every row and tree the feature's row of keys
// (16 bits), the key of the threshold, the leaves to the left; for every output and tree 32 values.
struct BitPiece {
   Table rows_of_tree, feature, threshold, left, values, end;

   HEPML_ROOT_INLINE BitPiece(Table t, std::size_t rows, std::size_t outputs)
       : rows_of_tree(t), feature(t + 4 * group_trees),
         threshold(feature + 4 * padded(rows * group_trees / 2)), left(threshold + 4 * rows * group_trees),
         values(left + 4 * rows * group_trees), end(values + 4 * outputs * group_trees * piece_leaves) {}
};

HEPML_ROOT_INLINE std::size_t key_row(Table feature, std::size_t i) {
   std::uint16_t row;
   std::memcpy(&row, feature + 2 * i, sizeof(row));
   return row;
}

// The values of one tree, events in lanes.
template <class M, class Combine>
__attribute__((noinline)) void bit_tree(const float* keys, const BitGroup& group, std::size_t tree,
                                        Table pieces, float* y) {
   using V = typename M::V;
   using I = Mask<V>;
   I found[M::vectors] = {};
   for (std::size_t p = 0; p < group.pieces; ++p) {
      const BitPiece piece(pieces, group.rows(p), group.outputs);
      I ruled_out[M::vectors] = {};
      const std::size_t end = count(piece.rows_of_tree, tree) * group_trees + tree;
      for (std::size_t i = tree; i < end; i += group_trees) {
         const float* const key = keys + key_row(piece.feature, i) * M::lanes;
         const V threshold = splat_bits<V>(word<std::int32_t>(piece.threshold, i));
         const V left = splat_bits<V>(word<std::int32_t>(piece.left, i));
         HEPML_ROOT_UNROLL
         for (std::size_t v = 0; v < M::vectors; ++v)
            rule_out<V>(ruled_out[v], load<V>(key + v * width<V>), threshold, left);
      }
      HEPML_ROOT_UNROLL
      for (std::size_t v = 0; v < M::vectors; ++v) {
         const I leaf = first_left<V>(ruled_out[v]);
         const I place = place_of<V>(leaf);
         const I here = (leaf != 0) & ~found[v];
         found[v] |= here;
         for (std::size_t o = 0; o < group.outputs; ++o) {
            float* const to = y + group.output(o) * M::lanes + v * width<V>;
            const V value = one_of_32<V>(piece.values + 4 * (o * group_trees + tree) * piece_leaves, place);
            store<V>(to, select<V>(here, Combine::template add<V>(load<V>(to), value), load<V>(to)));
         }
      }
      pieces = piece.end;
   }
}

// The key of one event that each tree of a register asks for: out of 32 Pages rows that stay in registers,
// or, with no page, from memory.
template <int Pages> struct KeysOfOneEvent {
   using V = Single::V;
   using I = Mask<V>;
   const float* keys;
#if defined(HEPML_ROOT_AVX512) && HEPML_ROOT_LANES == 16
   __m512i row[2 * Pages + 1];

   HEPML_ROOT_INLINE explicit KeysOfOneEvent(const float* k) : keys(k) {
      for (int i = 0; i < 2 * Pages; ++i)
         row[i] = _mm512_loadu_si512(k + 16 * i);
   }
   HEPML_ROOT_INLINE V operator()(Table feature) const {
      const __m512i index =
          _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(feature)));
      if constexpr (Pages == 0) {
         return V(_mm512_mask_i32gather_ps(__m512(V{}), 0xffff, index, keys, 4));
      } else {
         const __m512i first = _mm512_permutex2var_epi32(row[0], index, row[1]);
         if constexpr (Pages == 1)
            return V(first);
         const __m512i second = _mm512_permutex2var_epi32(row[2], index, row[3]);
         return V(_mm512_mask_mov_epi32(first, _mm512_test_epi32_mask(index, _mm512_set1_epi32(32)), second));
      }
   }
#else
   HEPML_ROOT_INLINE explicit KeysOfOneEvent(const float* k) : keys(k) {}
   HEPML_ROOT_INLINE V operator()(Table feature) const {
      I result = {};
      for (std::size_t k = 0; k < width<V>; ++k)
         result[k] = word<std::int32_t>(reinterpret_cast<Table>(keys), key_row(feature, k));
      return from_bits<V>(result);
   }
#endif
};

// For each tree of a register one of its 32 values.
template <class V> HEPML_ROOT_INLINE V one_per_tree(Table values, Mask<V> place) {
#ifdef HEPML_ROOT_AVX512
   if constexpr (width<V> == 16) {
      const __m512i first =
          _mm512_set_epi32(480, 448, 416, 384, 352, 320, 288, 256, 224, 192, 160, 128, 96, 64, 32, 0);
      const __m512i index = _mm512_add_epi32(__m512i(place), first);
      return V(_mm512_mask_i32gather_ps(__m512(V{}), 0xffff, index, values, 4));
   }
#endif
   V result = {};
   for (std::size_t k = 0; k < width<V>; ++k)
      result[k] = word<float>(values, k * piece_leaves + static_cast<std::size_t>(place[k]));
   return result;
}

// The values of all groups for one event, the 16 trees of a group in lanes.
template <class Combine, int Pages>
__attribute__((noinline)) void bit_trees_of_one_event(const float* keys, Table table, std::size_t groups,
                                                      float* y) {
   using V = Single::V;
   using I = Mask<V>;
   using One = Vector<1>::Float;
   constexpr std::size_t registers = group_trees / width<V>;
   const KeysOfOneEvent<Pages> key_of(keys);
   for (std::size_t g = 0; g < groups; ++g) {
      const BitGroup group(table);
      table += 4 * group.size();
      I found[registers] = {};
      for (std::size_t p = 0; p < group.pieces; ++p) {
         const std::size_t rows = group.rows(p);
         const BitPiece piece(table, rows, group.outputs);
         I ruled_out[registers] = {};
         for (std::size_t r = 0; r < rows; ++r) {
            HEPML_ROOT_UNROLL
            for (std::size_t v = 0; v < registers; ++v) {
               const std::size_t node = r * group_trees + v * width<V>;
               rule_out<V>(ruled_out[v], key_of(piece.feature + 2 * node), word<V>(piece.threshold, node),
                           word<V>(piece.left, node));
            }
         }
         for (std::size_t v = 0; v < registers; ++v) {
            const I leaf = first_left<V>(ruled_out[v]);
            const I here = (leaf != 0) & ~found[v];
            found[v] |= here;
            const I place = place_of<V>(leaf);
            for (std::size_t o = 0; o < group.outputs; ++o) {
               const std::size_t first = (o * group_trees + v * width<V>)*piece_leaves;
               const V value = one_per_tree<V>(piece.values + 4 * first, place);
               const V counted = select<V>(here, value, Combine::template start<V>());
               float& to = y[group.output(o)];
               to = Combine::template add<One>(One{to}, One{over_lanes<Combine, V>(counted)})[0];
            }
         }
         table = piece.end;
      }
   }
}

// Adds the values of all trees to the Outputs values in y. `Rows` rows of keys are there; Plain of them are
// enough where no feature is NaN (all, if no node sends NaN to the left).
template <class M, class Combine, std::size_t Features, std::size_t Plain, std::size_t Rows>
void bit_trees(const float* keys, Table table, std::size_t groups, float* y) {
   if constexpr (M::single) {
      constexpr int pages = Rows <= 32   ? 1
                            : Rows <= 64 ? 2
                                         : 0,
                    plain_pages = Plain <= 32   ? 1
                                  : Plain <= 64 ? 2
                                                : 0;
      bool nan = false;
      if constexpr (pages != plain_pages)
         for (std::size_t f = 0; f < Features; ++f)
            nan |= word<std::int32_t>(reinterpret_cast<Table>(keys), f) == key_of_nan;
      if (pages == plain_pages || nan)
         bit_trees_of_one_event<Combine, pages>(keys, table, groups, y);
      else
         bit_trees_of_one_event<Combine, plain_pages>(keys, table, groups, y);
   } else {
      for (std::size_t g = 0; g < groups; ++g) {
         const BitGroup group(table);
         table += 4 * group.size();
         for (std::size_t tree = 0; tree < group.trees; ++tree)
            bit_tree<M, Combine>(keys, group, tree, table, y);
         for (std::size_t p = 0; p < group.pieces; ++p)
            table = BitPiece(table, group.rows(p), group.outputs).end;
      }
   }
}

// ---- large trees: walked through ------------------------------------------------------------------------

// A node: the key of the threshold, the feature's row of keys, the first of its two children, which are
// neighbours. A leaf is its own first child and has a threshold that no key exceeds; it has its values.
struct WalkedNode {
   std::int32_t threshold;
   std::uint32_t row, child, values;
};
HEPML_ROOT_INLINE WalkedNode walked_node(Table nodes, std::uint32_t i) {
   WalkedNode node;
   std::memcpy(&node, nodes + sizeof(WalkedNode) * i, sizeof(node));
   return node;
}

// Goes down N trees, or one tree with N events, until all are at a leaf: independent walks hide that each
// step waits for memory. `Row` is the length of a row of keys, `Lane` the distance of neighbouring walks in
// it.
template <std::size_t N, std::size_t Row, std::size_t Lane>
__attribute__((noinline)) void walk(Table keys, Table nodes, std::uint32_t (&at)[N]) {
   std::uint32_t moved = 1;
   while (moved) {
      moved = 0;
      for (std::size_t i = 0; i < N; ++i) {
         const WalkedNode node = walked_node(nodes, at[i]);
         const auto key = word<std::int32_t>(keys, node.row * Row + i * Lane);
         const std::uint32_t next = node.child + (key > node.threshold);
         moved |= next ^ at[i];
         at[i] = next;
      }
   }
}

// Adds the values of a leaf to the outputs of one lane.
template <class Combine, std::size_t Lanes>
HEPML_ROOT_INLINE void add_leaf(Table values, const WalkedNode& leaf, Table outputs, std::size_t n,
                                float* y) {
   using One = Vector<1>::Float;
   for (std::size_t o = 0; o < n; ++o) {
      float& to = y[count(outputs, o) * Lanes];
      to = Combine::template add<One>(One{to}, One{word<float>(values, leaf.values + o)})[0];
   }
}

// A group in the table: trees, number of outputs, 16 roots, the outputs, padded to 16 words. Values of
// leaves are in a table of their own, one per output and leaf.
template <class M, class Combine>
void walked_trees(const float* keys, Table table, Table nodes, Table values, std::size_t groups, float* y) {
   const auto all_keys = reinterpret_cast<Table>(keys);
   constexpr std::size_t walks =
       M::single || M::lanes % group_trees == 0 ? group_trees : width<typename M::V>;
   for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t trees = count(table, 0), outputs = count(table, 1);
      const Table roots = table + 8, output = roots + 4 * group_trees;
      std::uint32_t at[walks];
      if constexpr (M::single) {
         std::memcpy(at, roots, sizeof(at));
         walk<walks, 1, 0>(all_keys, nodes, at);
         for (std::size_t k = 0; k < trees; ++k)
            add_leaf<Combine, 1>(values, walked_node(nodes, at[k]), output, outputs, y);
      } else {
         for (std::size_t k = 0; k < trees; ++k)
            for (std::size_t e = 0; e < M::lanes; e += walks) {
               for (auto& node : at)
                  node = word<std::uint32_t>(roots, k);
               walk<walks, M::lanes, 1>(all_keys + 4 * e, nodes, at);
               for (std::size_t i = 0; i < walks; ++i)
                  add_leaf<Combine, M::lanes>(values, walked_node(nodes, at[i]), output, outputs, y + e + i);
            }
      }
      table += 4 * padded(2 + group_trees + outputs);
   }
}

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
