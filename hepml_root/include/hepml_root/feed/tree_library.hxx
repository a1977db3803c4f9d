// The library that reads TTrees in bulk.
#ifndef HEPML_ROOT_FEED_TREE_LIBRARY_HXX
#define HEPML_ROOT_FEED_TREE_LIBRARY_HXX

#include "table_library.hxx"
#include "tree.hxx"

extern "C" long long hepml_tree_open(const char* url, const char* name,
                                     const hepml_root::feed::ColumnPlace* columns, std::size_t count,
                                     const char* const* lists, std::size_t list_count, void** table,
                                     char* message, std::size_t room) {
   using namespace hepml_root::feed;
   return guarded(message, room, [&] {
      *table = new SharedTable(std::make_shared<TreeTable>(url, name, columns, count, lists, list_count));
      return 0;
   });
}

#endif
