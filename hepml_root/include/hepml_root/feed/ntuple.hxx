// An RNTuple read in bulk: RNTuple's own bulk values, a cluster at a time.
#ifndef HEPML_ROOT_FEED_NTUPLE_HXX
#define HEPML_ROOT_FEED_NTUPLE_HXX

#include "table.hxx"

#include <ROOT/RNTupleReader.hxx>
#include <ROOT/RVec.hxx>

namespace hepml_root::feed {

/// Which field a column comes from, and where in the field's value it lies.
struct FieldColumn {
   std::string field;
   Type type = Type::float32;
   std::size_t offset = 0;
   std::size_t stride = 0;
};

/// A collection of numbers.
struct FieldList {
   std::string field;
   Type type = Type::float32;
};

/// A range of entries that RNTuple stores together.
struct ClusterRange {
   std::uint64_t first = 0, end = 0;
   ROOT::DescriptorId_t id = 0;
};

class NTupleColumnReader final : public ColumnReader {
public:
   NTupleColumnReader(std::unique_ptr<ROOT::RNTupleReader> reader, const std::vector<FieldColumn>& columns,
                      const std::vector<FieldList>& lists, const std::vector<ClusterRange>& clusters)
       : fReader(std::move(reader)), fColumns(columns), fLists(lists), fClusters(clusters) {
      for (const FieldColumn& column : fColumns) {
         const auto seen = std::find(fFields.begin(), fFields.end(), column.field);
         fBulkOf.push_back(seen - fFields.begin());
         if (seen != fFields.end())
            continue;
         fFields.push_back(column.field);
         fViews.push_back(fReader->GetView<void>(column.field));
      }
      for (auto& view : fViews)
         fBulks.push_back(view.CreateBulk());
      // As RVec, whatever collection was written: RNTuple reads the values of many of these in one piece.
      for (const FieldList& list : fLists) {
         visit(list.type, [&](auto example) {
            fListViews.push_back(
                fReader->GetView(list.field, nullptr, typeid(ROOT::RVec<decltype(example)>)));
         });
      }
      for (auto& view : fListViews)
         fListBulks.push_back(view.CreateBulk());
   }

   void read_lists(std::size_t list, std::uint64_t first, std::size_t count, Lists& to) override {
      to.values.clear();
      to.first.assign(1, 0);
      while (count > 0) {
         if (first < fCluster.first || first >= fCluster.end)
            fCluster = cluster_of(first);
         const std::size_t some = std::min<std::uint64_t>(count, fCluster.end - first);
         const void* from = fListBulks[list].ReadBulk(
             ROOT::RNTupleLocalIndex(fCluster.id, first - fCluster.first), nullptr, some);
         visit(fLists[list].type, [&](auto example) {
            const auto* lists = static_cast<const ROOT::RVec<decltype(example)>*>(from);
            for (std::size_t i = 0; i < some; ++i) {
               for (const auto value : lists[i])
                  to.values.push_back(static_cast<float>(value));
               to.first.push_back(static_cast<std::uint32_t>(to.values.size()));
            }
         });
         first += some;
         count -= some;
      }
   }

   const void* read(std::size_t column, std::uint64_t first, std::size_t count, void* space) override {
      const FieldColumn& stored = fColumns[column];
      auto& bulk = fBulks[fBulkOf[column]];
      auto* to = static_cast<unsigned char*>(space);
      const std::size_t size = size_of(stored.type);
      while (count > 0) {
         if (first < fCluster.first || first >= fCluster.end)
            fCluster = cluster_of(first);
         const std::size_t some = std::min<std::uint64_t>(count, fCluster.end - first);
         const auto* from = static_cast<const unsigned char*>(
             bulk.ReadBulk(ROOT::RNTupleLocalIndex(fCluster.id, first - fCluster.first), nullptr, some));
         if (some == count && to == space && stored.stride == size)
            return from;
         for (std::size_t i = 0; i < some; ++i)
            std::memcpy(to + i * size, from + i * stored.stride + stored.offset, size);
         to += some * size;
         first += some;
         count -= some;
      }
      return space;
   }

private:
   const ClusterRange& cluster_of(std::uint64_t entry) const {
      const auto after = std::upper_bound(fClusters.begin(), fClusters.end(), entry,
                                          [](std::uint64_t e, const ClusterRange& c) { return e < c.first; });
      if (after == fClusters.begin() || std::prev(after)->end <= entry)
         throw Damaged("no cluster has entry " + std::to_string(entry));
      return *std::prev(after);
   }

   std::unique_ptr<ROOT::RNTupleReader> fReader;
   const std::vector<FieldColumn>& fColumns;
   const std::vector<FieldList>& fLists;
   const std::vector<ClusterRange>& fClusters;
   std::vector<std::string> fFields;
   std::vector<std::size_t> fBulkOf;
   std::vector<ROOT::RNTupleView<void>> fViews;
   std::vector<ROOT::RFieldBase::RBulkValues> fBulks;
   std::vector<ROOT::RNTupleView<void>> fListViews;
   std::vector<ROOT::RFieldBase::RBulkValues> fListBulks;
   ClusterRange fCluster;
};

class NTupleTable final : public Table {
public:
   NTupleTable(const char* url, const char* name, const ColumnPlace* columns, std::size_t count,
               const char* const* lists, std::size_t list_count)
       : fUrl(url), fName(name) {
      const auto reader = open();
      fEntries = reader->GetNEntries();
      for (const auto& cluster : reader->GetDescriptor().GetClusterIterable())
         fClusters.push_back({cluster.GetFirstEntryIndex(),
                              cluster.GetFirstEntryIndex() + cluster.GetNEntries(), cluster.GetId()});
      std::sort(fClusters.begin(), fClusters.end(),
                [](const ClusterRange& a, const ClusterRange& b) { return a.first < b.first; });
      for (std::size_t i = 0; i < count; ++i)
         fColumns.push_back(stored(*reader, columns[i]));
      for (const FieldColumn& column : fColumns)
         fTypes.push_back(column.type);
      for (std::size_t i = 0; i < list_count; ++i) {
         fLists.push_back(list(*reader, lists[i]));
         fListNames.emplace_back(lists[i]);
      }
   }

   std::uint64_t entries() const override { return fEntries; }
   std::vector<std::uint64_t> clusters() const override {
      std::vector<std::uint64_t> starts;
      for (const ClusterRange& cluster : fClusters)
         starts.push_back(cluster.first);
      return starts;
   }
   const std::vector<Type>& types() const override { return fTypes; }
   const std::vector<std::string>& lists() const override { return fListNames; }
   std::unique_ptr<ColumnReader> reader() const override {
      return std::make_unique<NTupleColumnReader>(open(), fColumns, fLists, fClusters);
   }

private:
   std::unique_ptr<ROOT::RNTupleReader> open() const {
      // Reading ahead holds whole clusters, of 128 MB by default, and gains nothing on a local disk.
      ROOT::RNTupleReadOptions options;
      if (fUrl.find("://") == std::string::npos)
         options.SetClusterCache(ROOT::RNTupleReadOptions::EClusterCache::kOff);
      try {
         return ROOT::RNTupleReader::Open(fName, fUrl, options);
      } catch (const ROOT::RException& error) {
         throw Damaged("the RNTuple cannot be opened: " + std::string(error.GetError().GetReport()));
      }
   }

   static Type type_of(const ROOT::RFieldBase& field) {
      static const std::vector<std::pair<const char*, Type>> names = {
          {"bool", Type::boolean},         {"char", Type::int8},
          {"std::byte", Type::uint8},      {"std::int8_t", Type::int8},
          {"std::uint8_t", Type::uint8},   {"std::int16_t", Type::int16},
          {"std::uint16_t", Type::uint16}, {"std::int32_t", Type::int32},
          {"std::uint32_t", Type::uint32}, {"std::int64_t", Type::int64},
          {"std::uint64_t", Type::uint64}, {"float", Type::float32},
          {"double", Type::float64}};
      for (const auto& [name, type] : names)
         if (field.GetTypeName() == name)
            return type;
      throw NotPlain("field '" + field.GetFieldName() + "' is a " + field.GetTypeName());
   }

   static FieldList list(ROOT::RNTupleReader& reader, const char* name) {
      const auto view = reader.GetView<void>(name);
      const ROOT::RFieldBase& field = view.GetField();
      const auto parts = field.GetConstSubfields();
      const bool plain = field.GetTypeName().rfind("std::vector<", 0) == 0 ||
                         field.GetTypeName().rfind("ROOT::VecOps::RVec<", 0) == 0;
      if (!plain || parts.size() != 1)
         throw NotPlain("field '" + std::string(name) + "' is no list of numbers");
      return {name, type_of(*parts[0])};
   }

   static FieldColumn stored(ROOT::RNTupleReader& reader, const ColumnPlace& place) {
      const auto view = reader.GetView<void>(place.branch);
      const ROOT::RFieldBase& field = view.GetField();
      FieldColumn column;
      column.field = place.branch;
      column.stride = field.GetValueSize();
      const auto parts = field.GetConstSubfields();
      if (field.GetTypeName().rfind("std::array<", 0) == 0 && parts.size() == 1) {
         column.type = type_of(*parts[0]);
         column.offset = place.element * size_of(column.type);
         if (column.offset >= column.stride)
            throw NotPlain("field '" + column.field + "' has no element " + std::to_string(place.element));
      } else {
         column.type = type_of(field);
      }
      return column;
   }

   std::string fUrl, fName;
   std::uint64_t fEntries = 0;
   std::vector<ClusterRange> fClusters;
   std::vector<FieldColumn> fColumns;
   std::vector<Type> fTypes;
   std::vector<FieldList> fLists;
   std::vector<std::string> fListNames;
};

} // namespace hepml_root::feed

#endif
