// From the columns of a file to rows: the tile loop that every bulk-read format shares.
//
// A Table is an opened file; a ColumnReader gives native values of a column for a range of entries and
// belongs to one thread; a Filler evaluates cut and expressions on tiles of entries that stay in the
// processor's cache, and writes row-major float32 and exact columns.
#ifndef HEPML_ROOT_FEED_TABLE_HXX
#define HEPML_ROOT_FEED_TABLE_HXX

#include "represent.hxx"
#include "transpose.hxx"
#include "types.hxx"

#include <algorithm>
#include <exception>
#include <memory>
#include <vector>

namespace hepml_root::feed {

/// Entries that are processed together: 28 float columns of them fill half of a level-1 cache.
constexpr std::size_t tile_entries = 256;

/// Entries processed together where there are jagged columns, whose values then stay in the cache.
constexpr std::size_t tile_lists = 64;

/// Values of a jagged column: those of entry i lie from first[i] to first[i + 1] - 1.
struct Lists {
   std::vector<float> values;
   std::vector<std::uint32_t> first;

   std::size_t size(std::size_t entry) const { return first[entry + 1] - first[entry]; }
   const float* at(std::size_t entry) const { return values.data() + first[entry]; }
};

class ColumnReader {
public:
   virtual ~ColumnReader() = default;
   /// Give `count` native values of a column from entry `first` on: in `space`, which has room for them,
   /// or in the reader's own memory, valid until the column is read again.
   virtual const void* read(std::size_t column, std::uint64_t first, std::size_t count, void* space) = 0;
   /// The bytes of these entries of a float column as they are stored, big-endian and in one piece, valid
   /// until the column is read again; null where they are not stored so.
   virtual const unsigned char* stored_floats(std::size_t, std::uint64_t, std::size_t) { return nullptr; }
   /// Give the values of a jagged column for `count` entries from `first` on.
   virtual void read_lists(std::size_t list, std::uint64_t first, std::size_t count, Lists& to) = 0;
};

class Table {
public:
   virtual ~Table() = default;
   virtual std::uint64_t entries() const = 0;
   /// The entries at which clusters begin, ascending; the end is not included.
   virtual std::vector<std::uint64_t> clusters() const = 0;
   virtual const std::vector<Type>& types() const = 0;
   /// Names of the jagged columns, which are numbered by themselves.
   virtual const std::vector<std::string>& lists() const = 0;
   virtual std::unique_ptr<ColumnReader> reader() const = 0;
};

/// A compiled expression: computes `count` values from the arrays of its input columns.
struct Kernel {
   void (*run)(const void* const* inputs, std::size_t count, void* result);
   std::vector<int> inputs;
   Type type;
};

/// A kernel as Python describes it.
struct KernelPlace {
   void (*run)(const void* const* inputs, std::size_t count, void* result);
   const int* inputs;
   std::size_t size;
   int type;
};

/// What to compute. Columns are numbered: first those of the table, then one for each kernel.
struct Program {
   std::vector<Kernel> kernels;
   int cut = -1;
   std::vector<int> matrix;
   std::vector<int> exact;
   std::vector<Group> groups; ///< their columns are jagged ones, their scalars columns or kernels
};

/// Where rows go: a matrix, exact columns, the tensors of all groups one after the other, and their losses
/// (null for a group whose losses are not wanted).
struct RowPlaces {
   float* matrix = nullptr;
   void* const* exact = nullptr;
   void* const* tensors = nullptr;
   std::uint32_t* const* losses = nullptr;
};

class Filler {
public:
   Filler(std::shared_ptr<const Table> table, Program program)
       : fTable(std::move(table)), fReader(fTable->reader()), fProgram(std::move(program)),
         fTypes(fTable->types()) {
      fTile = fProgram.groups.empty() ? tile_entries : tile_lists;
      fLists.resize(fTable->lists().size());
      for (const Group& group : fProgram.groups) {
         fGroups.emplace_back(group);
         fScalars.emplace_back(group.scalars.size());
      }
      fStored = fTypes.size();
      for (const Kernel& kernel : fProgram.kernels)
         fTypes.push_back(kernel.type);
      fSpace.resize(fTypes.size());
      for (auto& space : fSpace)
         space.resize(tile_entries);
      fValues.resize(fTypes.size());
      fFloats.resize(fProgram.matrix.size());
      for (std::size_t i = 0; i < fFloats.size(); ++i)
         if (fTypes[fProgram.matrix[i]] != Type::float32)
            fFloats[i].resize(tile_entries);
      fRowColumns.resize(fProgram.matrix.size());
      fIndex.resize(tile_entries);
      fFirst.assign(fStored, 0);
      fLater.assign(fStored, 0);
      const auto need = [this](std::vector<char>& needed, int column) {
         if (static_cast<std::size_t>(column) < fStored)
            needed[column] = 1;
         else
            for (int input : fProgram.kernels[column - fStored].inputs)
               needed[input] = 1;
      };
      if (fProgram.cut >= 0)
         need(fFirst, fProgram.cut);
      for (int column : fProgram.matrix)
         need(fLater, column);
      fNoMatrix.assign(fStored, 0);
      for (int column : fProgram.exact)
         need(fNoMatrix, column);
      for (const Group& group : fProgram.groups)
         for (int column : group.scalars)
            need(fNoMatrix, column);
      for (std::size_t column = 0; column < fStored; ++column)
         fLater[column] = fLater[column] || fNoMatrix[column];
      fStoredColumns.resize(fProgram.matrix.size());
      fDirect = fProgram.cut < 0;
      for (int column : fProgram.matrix)
         fDirect = fDirect && static_cast<std::size_t>(column) < fStored && fTypes[column] == Type::float32;
      fRun.assign(fProgram.kernels.size(), 0);
      const auto run = [this](const std::vector<int>& columns) {
         for (int column : columns)
            if (static_cast<std::size_t>(column) >= fStored)
               fRun[column - fStored] = 1;
      };
      run(fProgram.matrix);
      run(fProgram.exact);
      for (const Group& group : fProgram.groups)
         run(group.scalars);
   }
   Filler(const Filler&) = delete; // its groups' fillers point into its program
   Filler& operator=(const Filler&) = delete;

   /// Write the rows of the entries [first, last) that pass the cut, `limit` rows at most; return their
   /// number.
   std::size_t fill(std::uint64_t first, std::uint64_t last, std::size_t limit, const RowPlaces& to) {
      std::size_t rows = 0;
      for (std::uint64_t entry = first; entry < last && rows < limit; entry += fTile) {
         const std::size_t count = std::min<std::uint64_t>(fTile, last - entry);
         std::size_t kept = count;
         if (fProgram.cut >= 0) {
            kept = select(entry, count);
            if (kept == 0)
               continue;
         }
         const bool direct = fDirect && to.matrix && write_stored(entry, count, rows, limit, to.matrix);
         load(entry, count, kept, direct ? fNoMatrix : fLater);
         const bool all = kept == count;
         kept = std::min(kept, limit - rows);
         write(kept, rows, direct ? nullptr : to.matrix, to.exact);
         write_groups(entry, count, kept, all, rows, to);
         rows += kept;
      }
      return rows;
   }

   /// Write the rows of `count` entries that were selected elsewhere, in ascending order; the program has no
   /// cut of its own.
   void gather(const std::uint64_t* entries, std::size_t count, const RowPlaces& to) {
      for (std::size_t row = 0; row < count;) {
         const std::uint64_t first = entries[row];
         std::size_t kept = 0;
         for (; row + kept < count && entries[row + kept] - first < fTile; ++kept)
            fIndex[kept] = static_cast<std::uint32_t>(entries[row + kept] - first);
         const std::size_t span = fIndex[kept - 1] + 1;
         load(first, span, kept, fLater);
         write(kept, row, to.matrix, to.exact);
         write_groups(first, span, kept, kept == span, row, to);
         row += kept;
      }
   }

private:
   /// Room for one tile of any type.
   struct Space : std::vector<std::uint64_t> {};

   void read(std::size_t column, std::uint64_t entry, std::size_t count) {
      fValues[column] = fReader->read(column, entry, count, fSpace[column].data());
   }

   void evaluate(std::size_t kernel, std::size_t count) {
      const Kernel& k = fProgram.kernels[kernel];
      const void* inputs[64];
      std::vector<const void*> more;
      const void** place = inputs;
      if (k.inputs.size() > 64) {
         more.resize(k.inputs.size());
         place = more.data();
      }
      for (std::size_t i = 0; i < k.inputs.size(); ++i)
         place[i] = fValues[k.inputs[i]];
      void* result = fSpace[fStored + kernel].data();
      k.run(place, count, result);
      fValues[fStored + kernel] = result;
   }

   /// Evaluate the cut alone, so that nothing else is read for tiles in which no entry passes.
   std::size_t select(std::uint64_t entry, std::size_t count) {
      for (std::size_t column = 0; column < fStored; ++column)
         if (fFirst[column])
            read(column, entry, count);
      if (static_cast<std::size_t>(fProgram.cut) >= fStored)
         evaluate(fProgram.cut - fStored, count);
      return visit(fTypes[fProgram.cut], [&](auto example) {
         const auto* passes = static_cast<const decltype(example)*>(fValues[fProgram.cut]);
         std::size_t kept = 0;
         for (std::size_t i = 0; i < count; ++i) {
            fIndex[kept] = static_cast<std::uint32_t>(i);
            kept += passes[i] != 0;
         }
         return kept;
      });
   }

   /// Read what the rows need, and keep the selected entries only.
   void load(std::uint64_t entry, std::size_t count, std::size_t kept, const std::vector<char>& needed) {
      for (std::size_t column = 0; column < fStored; ++column) {
         if (!needed[column])
            continue;
         if (!fFirst[column])
            read(column, entry, count);
         if (kept == count)
            continue;
         visit(fTypes[column], [&](auto example) {
            const auto* from = static_cast<const decltype(example)*>(fValues[column]);
            auto* to = reinterpret_cast<decltype(example)*>(fSpace[column].data());
            for (std::size_t i = 0; i < kept; ++i)
               to[i] = from[fIndex[i]];
            fValues[column] = to;
         });
      }
   }

   /// Write the loaded tile as the rows from `row` on.
   void write(std::size_t count, std::size_t row, float* matrix, void* const* exact) {
      for (std::size_t k = 0; k < fProgram.kernels.size(); ++k)
         if (fRun[k])
            evaluate(k, count);
      if (matrix)
         write_matrix(count, matrix + row * fProgram.matrix.size());
      for (std::size_t i = 0; i < fProgram.exact.size(); ++i)
         write_exact(fProgram.exact[i], count, static_cast<char*>(exact[i]) + 8 * row);
   }

   /// Read the jagged columns of `count` entries from `entry` on, and fill the tensors of the `kept` ones.
   void write_groups(std::uint64_t entry, std::size_t count, std::size_t kept, bool all, std::size_t row,
                     const RowPlaces& to) {
      if (fGroups.empty() || kept == 0)
         return;
      for (std::size_t list = 0; list < fLists.size(); ++list)
         fReader->read_lists(list, entry, count, fLists[list]);
      void* const* tensors = to.tensors;
      for (std::size_t g = 0; g < fGroups.size(); ++g) {
         const Group& group = fProgram.groups[g];
         for (std::size_t i = 0; i < group.scalars.size(); ++i)
            read_scalar(group.scalars[i], kept, fScalars[g][i]);
         fColumns.resize(group.columns.size());
         fEvent.resize(group.scalars.size());
         std::uint32_t* const losses = to.losses ? to.losses[g] : nullptr;
         for (std::size_t k = 0; k < kept; ++k) {
            const std::size_t at = all ? k : fIndex[k];
            const auto where = [entry, at] { return "in entry " + std::to_string(entry + at); };
            const std::size_t size = group.columns.empty() ? 0 : fLists[group.columns[0]].size(at);
            for (std::size_t i = 0; i < group.columns.size(); ++i) {
               const Lists& list = fLists[group.columns[i]];
               if (list.size(at) != size)
                  throw uneven(where(), fTable->lists()[group.columns[0]], size,
                               fTable->lists()[group.columns[i]], list.size(at));
               fColumns[i] = list.at(at);
            }
            for (std::size_t i = 0; i < group.scalars.size(); ++i)
               fEvent[i] = fScalars[g][i][k];
            fGroups[g].fill({fColumns.data(), size, fEvent.data()}, tensors, losses, row + k, where);
         }
         tensors += group.masks.size();
      }
   }

   /// A column of the loaded tile as floats.
   void read_scalar(int column, std::size_t count, std::vector<float>& to) {
      to.resize(tile_entries);
      visit(fTypes[column], [&](auto example) {
         const auto* from = static_cast<const decltype(example)*>(fValues[column]);
         for (std::size_t k = 0; k < count; ++k)
            to[k] = static_cast<float>(from[k]);
      });
   }

   /// Write the matrix from the bytes as they are stored: byte order and transposition in one pass. Only
   /// where all entries are wanted and each column lies in one piece.
   bool write_stored(std::uint64_t entry, std::size_t count, std::size_t row, std::size_t limit,
                     float* matrix) {
      for (std::size_t i = 0; i < fProgram.matrix.size(); ++i) {
         fStoredColumns[i] = fReader->stored_floats(fProgram.matrix[i], entry, count);
         if (!fStoredColumns[i])
            return false;
      }
      transpose<true>(fStoredColumns.data(), fStoredColumns.size(), std::min(count, limit - row),
                      matrix + row * fProgram.matrix.size());
      return true;
   }

   void write_matrix(std::size_t count, float* rows) {
      for (std::size_t i = 0; i < fProgram.matrix.size(); ++i) {
         const int column = fProgram.matrix[i];
         if (fTypes[column] == Type::float32) {
            fRowColumns[i] = static_cast<const float*>(fValues[column]);
            continue;
         }
         visit(fTypes[column], [&](auto example) {
            const auto* from = static_cast<const decltype(example)*>(fValues[column]);
            for (std::size_t k = 0; k < count; ++k)
               fFloats[i][k] = static_cast<float>(from[k]);
         });
         fRowColumns[i] = fFloats[i].data();
      }
      transpose<false>(fRowColumns.data(), fRowColumns.size(), count, rows);
   }

   void write_exact(int column, std::size_t count, void* result) {
      visit(fTypes[column], [&](auto example) {
         using T = decltype(example);
         const T* from = static_cast<const T*>(fValues[column]);
         auto* to = static_cast<Exact<T>*>(result);
         for (std::size_t i = 0; i < count; ++i)
            to[i] = static_cast<Exact<T>>(from[i]);
      });
   }

   std::shared_ptr<const Table> fTable;
   std::unique_ptr<ColumnReader> fReader;
   Program fProgram;
   std::vector<Type> fTypes;
   std::size_t fStored = 0;
   std::vector<Space> fSpace;
   std::vector<const void*> fValues;
   std::vector<std::vector<float>> fFloats;
   std::vector<const float*> fRowColumns;
   std::vector<const unsigned char*> fStoredColumns;
   bool fDirect = true; ///< the matrix may be written from stored bytes: no cut, stored float columns only
   std::vector<std::uint32_t> fIndex;
   std::vector<char> fFirst, fLater, fNoMatrix, fRun;
   std::size_t fTile = tile_entries;
   std::vector<Lists> fLists;
   std::vector<GroupFiller> fGroups;
   std::vector<std::vector<std::vector<float>>> fScalars; ///< of each group, for the tile
   std::vector<const float*> fColumns;                    ///< of one event
   std::vector<float> fEvent;                             ///< scalars of one event
};

/// The columns that Python asks for: branch (field) and leaf name, and the element of a fixed-size array.
struct ColumnPlace {
   const char* branch;
   const char* leaf;
   int element;
};

} // namespace hepml_root::feed

#endif
