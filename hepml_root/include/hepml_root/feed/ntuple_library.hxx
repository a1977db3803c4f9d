// The library that reads RNTuples in bulk.
#ifndef HEPML_ROOT_FEED_NTUPLE_LIBRARY_HXX
#define HEPML_ROOT_FEED_NTUPLE_LIBRARY_HXX

#include "ntuple.hxx"
#include "table_library.hxx"

extern "C" long long hepml_ntuple_open(const char* url, const char* name,
                                       const hepml_root::feed::ColumnPlace* columns, std::size_t count,
                                       const char* const* lists, std::size_t list_count, void** table,
                                       char* message, std::size_t room) {
   using namespace hepml_root::feed;
   return guarded(message, room, [&] {
      *table = new SharedTable(std::make_shared<NTupleTable>(url, name, columns, count, lists, list_count));
      return 0;
   });
}

#endif
