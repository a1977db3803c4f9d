// The baskets of a TTree's branches, read without TTree's own machinery.
//
// A basket of a fixed-size branch is a key record followed by the values, big-endian and one entry after the
// other, compressed or not. Where they lie is in the branch (GetBasketSeek); what is needed per entry is then
// a byte swap. Baskets of different branches have different boundaries, so each column has its own cursor. A
// basket of lists says behind its values where each entry begins.
#ifndef HEPML_ROOT_FEED_BASKETS_HXX
#define HEPML_ROOT_FEED_BASKETS_HXX

#include "table.hxx"

#include <RZip.h>
#include <TFile.h>

#include <map>
#include <mutex>
#include <unistd.h>

namespace hepml_root::feed {

/// The bytes of a file. A local file is read by position from any thread; others go through TFile.
class FileBytes {
public:
   explicit FileBytes(std::unique_ptr<TFile> file) {
      if (file->IsA() == TFile::Class() && !file->GetArchive() && file->GetFd() >= 0)
         fDescriptor = dup(file->GetFd());
      if (fDescriptor < 0)
         fFile = std::move(file);
   }
   /// Of a local file that stays open elsewhere, or not: the bytes are those of the very same file.
   explicit FileBytes(const TFile& local) : fDescriptor(dup(local.GetFd())) {
      if (fDescriptor < 0)
         throw Damaged("the file cannot be read");
   }
   FileBytes(const FileBytes&) = delete;
   FileBytes& operator=(const FileBytes&) = delete;
   ~FileBytes() {
      if (fDescriptor >= 0)
         close(fDescriptor);
   }

   bool remote() const { return fDescriptor < 0; }

   void read(std::int64_t position, std::size_t size, unsigned char* to) const {
      if (remote()) {
         const std::lock_guard<std::mutex> lock(fMutex);
         if (fFile->ReadBuffer(reinterpret_cast<char*>(to), position, static_cast<Int_t>(size)))
            throw Damaged("cannot read " + std::to_string(size) + " bytes at " + std::to_string(position));
         return;
      }
      while (size > 0) {
         const ssize_t got = pread(fDescriptor, to, size, position);
         if (got < 0 && errno == EINTR)
            continue;
         if (got <= 0)
            throw Damaged("the file ends before byte " + std::to_string(position + size));
         size -= got;
         position += got;
         to += got;
      }
   }

   /// Read many pieces of a remote file with one request: a round trip for each would cost milliseconds.
   void read(std::vector<Long64_t>& positions, std::vector<Int_t>& sizes, unsigned char* to) const {
      const std::lock_guard<std::mutex> lock(fMutex);
      if (fFile->ReadBuffers(reinterpret_cast<char*>(to), positions.data(), sizes.data(),
                             static_cast<Int_t>(sizes.size())))
         throw Damaged("cannot read " + std::to_string(sizes.size()) + " baskets");
   }

private:
   int fDescriptor = -1;
   std::unique_ptr<TFile> fFile;
   mutable std::mutex fMutex;
};

/// Where the baskets of one branch lie.
struct StoredBranch {
   std::string name;
   std::size_t stride = 0;           ///< bytes of one entry
   std::size_t columns = 0;          ///< how many columns are read from the branch
   std::vector<std::uint64_t> first; ///< entry at which each basket begins, and the end
   std::vector<std::int64_t> seek;
   std::vector<std::int32_t> bytes;
};

/// How the lists of a jagged column are stored: as the bare values of an array of variable length, or each
/// as an object, behind its number of bytes, version and length.
struct StoredList {
   StoredBranch branch;
   Type type = Type::float32;
   bool object = false;
};

/// Where the value of one column lies in an entry of its branch.
struct StoredColumn {
   std::size_t branch = 0;
   Type type = Type::float32;
   std::size_t offset = 0;
};

class TreeColumnReader final : public ColumnReader {
public:
   TreeColumnReader(std::shared_ptr<const FileBytes> bytes, const std::vector<StoredBranch>& branches,
                    const std::vector<StoredColumn>& columns, const std::vector<StoredList>& lists)
       : fBytes(std::move(bytes)), fBranches(branches), fColumns(columns), fLists(lists),
         fCursors(branches.size()), fListCursors(lists.size()) {}

   const void* read(std::size_t column, std::uint64_t first, std::size_t count, void* space) override {
      const StoredColumn& stored = fColumns[column];
      const StoredBranch& branch = fBranches[stored.branch];
      Cursor& cursor = fCursors[stored.branch];
      visit(stored.type, [&](auto example) {
         auto* to = static_cast<decltype(example)*>(space);
         const auto convert = [&](const unsigned char* values, std::size_t some) {
            from_big_endian(values + stored.offset, branch.stride, some, to);
            to += some;
         };
         if (branch.columns == 1)
            walk(branch, cursor, first, count, convert);
         else
            convert(tile(branch, cursor, first, count), count);
      });
      return space;
   }

   const unsigned char* stored_floats(std::size_t column, std::uint64_t first, std::size_t count) override {
      const StoredColumn& stored = fColumns[column];
      const StoredBranch& branch = fBranches[stored.branch];
      if (branch.stride != sizeof(float))
         return nullptr;
      Cursor& cursor = fCursors[stored.branch];
      if (first < cursor.begin || first >= cursor.end)
         move(branch, cursor, first);
      if (first + count > cursor.end)
         return nullptr;
      return cursor.values + (first - cursor.begin) * sizeof(float);
   }

   void read_lists(std::size_t list, std::uint64_t first, std::size_t count, Lists& to) override {
      const StoredList& stored = fLists[list];
      ListCursor& cursor = fListCursors[list];
      to.values.clear();
      to.first.assign(1, 0);
      while (count > 0) {
         if (first < cursor.begin || first >= cursor.end)
            move(stored, cursor, first);
         const std::size_t some = std::min<std::uint64_t>(count, cursor.end - first);
         visit(stored.type, [&](auto example) {
            append<decltype(example)>(stored, cursor, first - cursor.begin, some, to);
         });
         first += some;
         count -= some;
      }
   }

private:
   static constexpr std::size_t window_bytes = 32 << 10;
   static constexpr std::size_t no_basket = ~std::size_t(0);

   /// Where a branch stands: the bytes of the entries [begin, end), from one basket.
   struct Cursor {
      std::size_t basket = no_basket;
      std::size_t header = 0; ///< bytes of the basket's key
      std::uint64_t begin = 0, end = 0;
      const unsigned char* values = nullptr;
      std::vector<unsigned char> bytes;
      std::uint64_t tile_first = 0;
      std::size_t tile_count = 0;
      std::vector<unsigned char> tile;
   };

   /// Where a jagged column stands: a basket as it was unpacked, and where each of its entries begins in it.
   struct ListCursor {
      std::size_t basket = no_basket;
      std::uint64_t begin = 0, end = 0;
      const unsigned char* values = nullptr;
      std::vector<unsigned char> bytes;
      std::vector<std::uint32_t> at;
   };

   /// Call `use(bytes, entries)` for each piece of the entries that lies in one basket.
   template <typename Use>
   void walk(const StoredBranch& branch, Cursor& cursor, std::uint64_t first, std::size_t count, Use&& use) {
      while (count > 0) {
         if (first < cursor.begin || first >= cursor.end)
            move(branch, cursor, first);
         const std::size_t some = std::min<std::uint64_t>(count, cursor.end - first);
         use(cursor.values + (first - cursor.begin) * branch.stride, some);
         first += some;
         count -= some;
      }
   }

   /// The bytes of these entries in one piece, kept so that the columns of one branch (the elements of an
   /// array) unpack its baskets once and not once each.
   const unsigned char* tile(const StoredBranch& branch, Cursor& cursor, std::uint64_t first,
                             std::size_t count) {
      if (cursor.tile_count != count || cursor.tile_first != first) {
         cursor.tile_count = 0;
         cursor.tile.resize(count * branch.stride);
         unsigned char* to = cursor.tile.data();
         walk(branch, cursor, first, count, [&](const unsigned char* values, std::size_t some) {
            std::memcpy(to, values, some * branch.stride);
            to += some * branch.stride;
         });
         cursor.tile_first = first;
         cursor.tile_count = count;
      }
      return cursor.tile.data();
   }

   static std::uint32_t number(const unsigned char* place, std::size_t bytes) {
      std::uint32_t result = 0;
      for (std::size_t i = 0; i < bytes; ++i)
         result = result << 8 | place[i];
      return result;
   }

   /// Stand in the basket that has the entry.
   void move(const StoredBranch& stored, Cursor& cursor, std::uint64_t entry) {
      const auto after = std::upper_bound(stored.first.begin(), stored.first.end(), entry);
      if (after == stored.first.begin() || after == stored.first.end())
         throw Damaged("branch '" + stored.name + "' has no entry " + std::to_string(entry));
      const std::size_t basket = after - stored.first.begin() - 1;
      cursor.begin = cursor.end = 0; // stays so if what follows throws
      try {
         if (basket != cursor.basket)
            open(stored, cursor, basket);
         if (cursor.end == 0)
            look(stored, cursor, entry);
      } catch (const Damaged& error) {
         cursor.basket = no_basket;
         throw Damaged("branch '" + stored.name + "', entries " + std::to_string(stored.first[basket]) +
                       " to " + std::to_string(stored.first[basket + 1]) + ": " + error.what());
      }
   }

   /// Read a basket: all of it, or only its key if it is long and not compressed.
   void open(const StoredBranch& stored, Cursor& cursor, std::size_t basket) {
      constexpr std::size_t least = 18; // what a key has before its seek pointers
      if (stored.bytes[basket] <= static_cast<int>(least) || stored.seek[basket] <= 0)
         throw Damaged("the basket has no place in the file");
      const std::size_t size = stored.bytes[basket];
      const bool whole = fBytes->remote() || size <= window_bytes;
      fetch(stored.seek[basket], size, whole ? size : least);
      const unsigned char* key = fRecord.data();
      const std::size_t unpacked = number(key + 6, 4), header = number(key + 14, 2);
      if (number(key, 4) != size || header < least || header >= size)
         throw Damaged("the basket's record is damaged");
      if (stored.first[basket + 1] - stored.first[basket] > unpacked / stored.stride)
         throw Damaged("the basket is shorter than its entries");
      cursor.basket = basket;
      cursor.header = header;
      if (unpacked > size - header) {
         if (!whole)
            fetch(stored.seek[basket], size, size);
         unpack(fRecord.data() + header, size - header, unpacked, cursor.bytes);
         cursor.values = cursor.bytes.data();
      } else if (whole) {
         cursor.bytes.swap(fRecord);
         cursor.values = cursor.bytes.data() + header;
      } else {
         return; // look() reads what is needed
      }
      cursor.begin = stored.first[basket];
      cursor.end = stored.first[basket + 1];
   }

   /// Read the next entries of a long basket: as many as stay in the cache, beside those of other columns.
   void look(const StoredBranch& stored, Cursor& cursor, std::uint64_t entry) {
      const std::uint64_t first = stored.first[cursor.basket], end = stored.first[cursor.basket + 1];
      const std::uint64_t count = std::min<std::uint64_t>(end - entry, window_bytes / stored.stride + 1);
      cursor.bytes.resize(count * stored.stride);
      fBytes->read(stored.seek[cursor.basket] + cursor.header + (entry - first) * stored.stride,
                   cursor.bytes.size(), cursor.bytes.data());
      cursor.values = cursor.bytes.data();
      cursor.begin = entry;
      cursor.end = entry + count;
   }

   /// Stand in the basket of a jagged column that has the entry.
   void move(const StoredList& stored, ListCursor& cursor, std::uint64_t entry) {
      const StoredBranch& branch = stored.branch;
      const auto after = std::upper_bound(branch.first.begin(), branch.first.end(), entry);
      if (after == branch.first.begin() || after == branch.first.end())
         throw Damaged("branch '" + branch.name + "' has no entry " + std::to_string(entry));
      const std::size_t basket = after - branch.first.begin() - 1;
      cursor.begin = cursor.end = 0; // stays so if what follows throws
      try {
         open(branch, cursor, basket);
      } catch (const Damaged& error) {
         throw Damaged("branch '" + branch.name + "', entries " + std::to_string(branch.first[basket]) +
                       " to " + std::to_string(branch.first[basket + 1]) + ": " + error.what());
      }
      cursor.begin = branch.first[basket];
      cursor.end = branch.first[basket + 1];
   }

   /// Read a basket of entries that differ in length. Behind the values it has the number of entries + 1,
   /// and for each where it begins, counted from the key; then one word that means nothing.
   void open(const StoredBranch& branch, ListCursor& cursor, std::size_t basket) {
      constexpr std::size_t least = 18, last_part = 19; // of a key; what a basket adds to it
      if (branch.bytes[basket] <= static_cast<int>(least) || branch.seek[basket] <= 0)
         throw Damaged("the basket has no place in the file");
      const std::size_t size = branch.bytes[basket];
      fetch(branch.seek[basket], size, size);
      const unsigned char* key = fRecord.data();
      const std::size_t unpacked = number(key + 6, 4), header = number(key + 14, 2);
      if (number(key, 4) != size || header < least + last_part || header >= size)
         throw Damaged("the basket's record is damaged");
      const std::size_t end = number(key + header - 5, 4); // where the values end, counted from the key
      const std::size_t entries = branch.first[basket + 1] - branch.first[basket];
      if (unpacked > size - header) {
         unpack(fRecord.data() + header, size - header, unpacked, cursor.bytes);
         cursor.values = cursor.bytes.data();
      } else {
         cursor.bytes.swap(fRecord);
         cursor.values = cursor.bytes.data() + header;
      }
      if (end < header || end - header > unpacked)
         throw Damaged("the basket's record is damaged");
      const std::size_t values = end - header;
      if (unpacked < values + 4 * (entries + 1))
         throw NotPlain("branch '" + branch.name + "' does not say where its entries begin");
      const unsigned char* offsets = cursor.values + values + 4;
      cursor.at.resize(entries + 1);
      from_big_endian(offsets, 4, entries, cursor.at.data());
      cursor.at[entries] = static_cast<std::uint32_t>(end);
      for (std::uint32_t& at : cursor.at)
         at -= static_cast<std::uint32_t>(header);
      if (cursor.at[0] != 0 || !std::is_sorted(cursor.at.begin(), cursor.at.end()) ||
          cursor.at[entries] > values)
         throw Damaged("the basket's entries are out of order");
      cursor.basket = basket;
   }

   /// Add the values of `count` entries, the first of which is number `entry` of the basket.
   template <typename T>
   static void append(const StoredList& stored, const ListCursor& cursor, std::size_t entry,
                      std::size_t count, Lists& to) {
      constexpr std::size_t head = 10;
      const std::uint32_t* at = cursor.at.data() + entry;
      const std::size_t most = (at[count] - at[0]) / sizeof(T);
      const std::size_t before = to.first.back();
      if (to.values.size() < before + most)
         to.values.resize(before + most);
      float* values = to.values.data() + before;
      if (!stored.object) {
         if ((at[count] - at[0]) % sizeof(T) != 0)
            throw Damaged("branch '" + stored.branch.name + "': a list is cut off");
         convert<T>(cursor.values + at[0], most, values);
         for (std::size_t i = 1; i <= count; ++i)
            to.first.push_back(static_cast<std::uint32_t>(before + (at[i] - at[0]) / sizeof(T)));
         return;
      }
      for (std::size_t i = 0; i < count; ++i) {
         const std::size_t bytes = at[i + 1] - at[i];
         const std::size_t length = bytes < head ? 0 : number(cursor.values + at[i] + head - 4, 4);
         if (bytes != head + length * sizeof(T))
            throw NotPlain("branch '" + stored.branch.name + "' has lists of another form");
         convert<T>(cursor.values + at[i] + head, length, values);
         values += length;
         to.first.push_back(static_cast<std::uint32_t>(values - to.values.data()));
      }
   }

   /// Big-endian numbers as floats.
   template <typename T> static void convert(const unsigned char* from, std::size_t count, float* to) {
      if constexpr (std::is_same_v<T, float>) {
         from_big_endian(from, sizeof(T), count, to);
      } else {
         T some[64];
         for (std::size_t done = 0; done < count; done += 64) {
            const std::size_t now = std::min<std::size_t>(64, count - done);
            from_big_endian(from + done * sizeof(T), sizeof(T), now, some);
            for (std::size_t i = 0; i < now; ++i)
               to[done + i] = static_cast<float>(some[i]);
         }
      }
   }

   static void unpack(const unsigned char* packed, std::size_t size, std::size_t total,
                      std::vector<unsigned char>& to) {
      to.resize(total);
      std::size_t done = 0;
      while (done < total) { // compressed data come in pieces of at most 16 MB
         int from = 0, gives = 0, wrote = 0;
         if (size < 9 || R__unzip_header(&from, packed, &gives) != 0 || from <= 0 ||
             static_cast<std::size_t>(from) > size || gives <= 0 ||
             static_cast<std::size_t>(gives) > total - done)
            throw Damaged("the compressed data are damaged");
         R__unzip(&from, packed, &gives, to.data() + done, &wrote);
         if (wrote != gives)
            throw Damaged("the compressed data are damaged");
         done += wrote;
         packed += from;
         size -= from;
      }
   }

   /// Read the first `part` bytes of a record of `size` bytes. Of a remote file, the baskets of all columns
   /// for about the same entries come with it, since a file has them side by side.
   void fetch(std::int64_t seek, std::size_t size, std::size_t part) {
      if (!fBytes->remote()) {
         fRecord.resize(part);
         fBytes->read(seek, part, fRecord.data());
         return;
      }
      auto found = fFetched.find(seek);
      if (found == fFetched.end()) {
         fetch_around(seek);
         found = fFetched.find(seek);
      }
      if (found == fFetched.end() || found->second.size() != size)
         throw Damaged("the basket cannot be read");
      fRecord = std::move(found->second);
      fFetched.erase(found);
   }

   void fetch_around(std::int64_t seek) {
      constexpr std::int64_t window = 8 << 20;
      std::map<std::int64_t, Int_t> wanted;
      const auto want = [&](const StoredBranch& branch) {
         for (std::size_t i = 0; i < branch.seek.size(); ++i)
            if (branch.seek[i] >= seek && branch.seek[i] < seek + window)
               wanted[branch.seek[i]] = branch.bytes[i];
      };
      for (const StoredBranch& branch : fBranches)
         want(branch);
      for (const StoredList& list : fLists)
         want(list.branch);
      std::vector<Long64_t> positions;
      std::vector<Int_t> sizes;
      std::size_t total = 0;
      for (const auto& [position, size] : wanted) {
         positions.push_back(position);
         sizes.push_back(size);
         total += size;
      }
      std::vector<unsigned char> all(total);
      fBytes->read(positions, sizes, all.data());
      fFetched.clear(); // what was fetched before and not used lies behind the cursors
      auto place = all.begin();
      for (const auto& [position, size] : wanted) {
         fFetched[position].assign(place, place + size);
         place += size;
      }
   }

   std::shared_ptr<const FileBytes> fBytes;
   const std::vector<StoredBranch>& fBranches;
   const std::vector<StoredColumn>& fColumns;
   const std::vector<StoredList>& fLists;
   std::vector<Cursor> fCursors;
   std::vector<ListCursor> fListCursors;
   std::vector<unsigned char> fRecord; ///< of the basket that is being opened
   std::map<std::int64_t, std::vector<unsigned char>> fFetched;
};

} // namespace hepml_root::feed

#endif
