// A TTree read basket by basket: which branches can be, and where their baskets lie.
#ifndef HEPML_ROOT_FEED_TREE_HXX
#define HEPML_ROOT_FEED_TREE_HXX

#include "baskets.hxx"

#include <TBranch.h>
#include <TBranchElement.h>
#include <TClass.h>
#include <TFile.h>
#include <TLeaf.h>
#include <TObjArray.h>
#include <TTree.h>
#include <TVirtualCollectionProxy.h>

namespace hepml_root::feed {

class TreeTable final : public Table {
public:
   TreeTable(const char* url, const char* name, const ColumnPlace* columns, std::size_t count,
             const char* const* lists, std::size_t list_count)
       : TreeTable(std::unique_ptr<TFile>(TFile::Open(url, "READ_WITHOUT_GLOBALREGISTRATION")), name, columns,
                   count, lists, list_count) {}

   TreeTable(std::unique_ptr<TFile> file, const char* name, const ColumnPlace* columns, std::size_t count,
             const char* const* lists = nullptr, std::size_t list_count = 0) {
      if (!file || file->IsZombie())
         throw Damaged("the file cannot be opened");
      auto* tree = file->Get<TTree>(name);
      if (!tree)
         throw Damaged("the tree cannot be read");
      describe(*tree, columns, count);
      for (std::size_t i = 0; i < list_count; ++i) {
         fLists.push_back(list(*tree, lists[i]));
         fListNames.emplace_back(lists[i]);
      }
      fBytes = std::make_shared<FileBytes>(std::move(file));
   }

   /// A tree of a local file that is open already.
   TreeTable(TTree& tree, const ColumnPlace* columns, std::size_t count,
             const std::vector<std::string>& lists = {}) {
      describe(tree, columns, count);
      for (const std::string& name : lists) {
         fLists.push_back(list(tree, name.c_str()));
         fListNames.push_back(name);
      }
      fBytes = std::make_shared<FileBytes>(*tree.GetCurrentFile());
   }

   std::uint64_t entries() const override { return fEntries; }
   std::vector<std::uint64_t> clusters() const override { return fClusters; }
   const std::vector<Type>& types() const override { return fTypes; }
   const std::vector<std::string>& lists() const override { return fListNames; }
   std::unique_ptr<ColumnReader> reader() const override {
      return std::make_unique<TreeColumnReader>(fBytes, fBranches, fColumns, fLists);
   }

private:
   static Type type_of(const TLeaf& leaf) {
      const std::string kind = leaf.IsA()->GetName();
      const bool plus = leaf.IsUnsigned();
      if (kind == "TLeafF")
         return Type::float32;
      if (kind == "TLeafD")
         return Type::float64;
      if (kind == "TLeafO")
         return Type::boolean;
      if (kind == "TLeafB")
         return plus ? Type::uint8 : Type::int8;
      if (kind == "TLeafS")
         return plus ? Type::uint16 : Type::int16;
      if (kind == "TLeafI")
         return plus ? Type::uint32 : Type::int32;
      if (kind == "TLeafL" || kind == "TLeafG")
         return plus ? Type::uint64 : Type::int64;
      throw NotPlain("leaf '" + std::string(leaf.GetName()) + "' is a " + kind);
   }

   void describe(TTree& tree, const ColumnPlace* columns, std::size_t count) {
      fEntries = tree.GetEntries();
      auto clusters = tree.GetClusterIterator(0);
      for (Long64_t start = clusters(); start < static_cast<Long64_t>(fEntries); start = clusters())
         fClusters.push_back(start);
      for (std::size_t i = 0; i < count; ++i)
         add(tree, columns[i]);
      for (const StoredColumn& column : fColumns)
         fTypes.push_back(column.type);
   }

   static TBranch& own_branch(TTree& tree, const char* name) {
      TBranch* branch = tree.GetBranch(name);
      if (!branch || branch->GetTree() != &tree || branch->GetListOfBranches()->GetEntriesFast() > 0)
         throw NotPlain("'" + std::string(name) + "' is no simple branch of the tree");
      if (branch->GetFile() != tree.GetCurrentFile())
         throw NotPlain("branch '" + std::string(name) + "' lies in another file");
      return *branch;
   }

   /// A jagged column: an array of variable length, or a std::vector or RVec of numbers.
   StoredList list(TTree& tree, const char* name) const {
      TBranch& branch = own_branch(tree, name);
      StoredList stored;
      stored.branch.name = name;
      if (branch.IsA() == TBranch::Class()) {
         const auto* leaf = static_cast<const TLeaf*>(branch.GetListOfLeaves()->At(0));
         if (branch.GetListOfLeaves()->GetEntriesFast() != 1 || !leaf->GetLeafCount() ||
             leaf->GetLenStatic() != 1)
            throw NotPlain("branch '" + stored.branch.name + "' is no list of numbers");
         stored.type = type_of(*leaf);
      } else if (branch.IsA() == TBranchElement::Class()) {
         stored.object = true;
         stored.type = value_type(static_cast<const TBranchElement&>(branch));
      } else {
         throw NotPlain("branch '" + stored.branch.name + "' is no list of numbers");
      }
      locate(branch, stored.branch);
      return stored;
   }

   /// Type of the numbers of a std::vector or RVec, if they are stored as they are.
   static Type value_type(const TBranchElement& branch) {
      const TClass* kind = TClass::GetClass(branch.GetClassName());
      TVirtualCollectionProxy* proxy = kind ? kind->GetCollectionProxy() : nullptr;
      const bool list =
          proxy && !proxy->GetValueClass() && !proxy->HasPointers() &&
          (proxy->GetCollectionType() == ROOT::kSTLvector || proxy->GetCollectionType() == ROOT::kROOTRVec);
      switch (list ? proxy->GetType() : kNoType_t) {
      case kBool_t:
         return Type::boolean;
      case kChar_t:
         return Type::int8;
      case kUChar_t:
         return Type::uint8;
      case kShort_t:
         return Type::int16;
      case kUShort_t:
         return Type::uint16;
      case kInt_t:
         return Type::int32;
      case kUInt_t:
         return Type::uint32;
      case kLong_t:
      case kLong64_t:
         return Type::int64;
      case kULong_t:
      case kULong64_t:
         return Type::uint64;
      case kFloat_t:
         return Type::float32;
      case kDouble_t:
         return Type::float64;
      default:
         throw NotPlain("branch '" + std::string(branch.GetName()) + "' is no list of numbers");
      }
   }

   void add(TTree& tree, const ColumnPlace& place) {
      TBranch* branch = &own_branch(tree, place.branch);
      if (branch->IsA() != TBranch::Class())
         throw NotPlain("'" + std::string(place.branch) + "' is no simple branch of the tree");
      StoredBranch stored;
      StoredColumn column;
      stored.name = place.branch;
      bool found = false;
      for (TObject* object : *branch->GetListOfLeaves()) {
         const auto& leaf = static_cast<const TLeaf&>(*object);
         if (leaf.GetLeafCount())
            throw NotPlain("branch '" + stored.name + "' has a variable length");
         const Type type = type_of(leaf);
         if (std::string(leaf.GetName()) == place.leaf) {
            found = place.element < leaf.GetLenStatic();
            column.type = type;
            column.offset = stored.stride + place.element * size_of(type);
         }
         stored.stride += leaf.GetLenStatic() * size_of(type);
      }
      if (!found)
         throw NotPlain("branch '" + stored.name + "' has no leaf '" + place.leaf + "' of that length");
      while (column.branch < fBranches.size() && fBranches[column.branch].name != stored.name)
         ++column.branch;
      if (column.branch == fBranches.size()) {
         locate(*branch, stored);
         fBranches.push_back(std::move(stored));
      }
      ++fBranches[column.branch].columns;
      fColumns.push_back(column);
   }

   void locate(TBranch& branch, StoredBranch& stored) const {
      const int baskets = branch.GetWriteBasket();
      if (baskets < 0 || baskets >= branch.GetMaxBaskets())
         throw Damaged("branch '" + stored.name + "' says nothing about its baskets");
      for (int i = 0; i < baskets; ++i) {
         stored.first.push_back(branch.GetBasketEntry()[i]);
         stored.seek.push_back(branch.GetBasketSeek(i));
         stored.bytes.push_back(branch.GetBasketBytes()[i]);
      }
      stored.first.push_back(baskets ? branch.GetBasketEntry()[baskets] : 0);
      if (!std::is_sorted(stored.first.begin(), stored.first.end()))
         throw Damaged("the baskets of branch '" + stored.name + "' are out of order");
      // The last basket of a tree that was not closed properly can lie inside the tree's own record.
      if (stored.first.back() < fEntries)
         throw NotPlain("the last basket of branch '" + stored.name + "' is inside the tree");
   }

   std::uint64_t fEntries = 0;
   std::vector<std::uint64_t> fClusters;
   std::vector<StoredBranch> fBranches;
   std::vector<StoredColumn> fColumns;
   std::vector<Type> fTypes;
   std::vector<StoredList> fLists;
   std::vector<std::string> fListNames;
   std::shared_ptr<const FileBytes> fBytes;
};

} // namespace hepml_root::feed

#endif
