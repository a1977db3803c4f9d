// The C interface to tables and fillers. Compiled once into each library that opens a kind of table.
#ifndef HEPML_ROOT_FEED_TABLE_LIBRARY_HXX
#define HEPML_ROOT_FEED_TABLE_LIBRARY_HXX

#include "guard.hxx"
#include "table.hxx"

namespace hepml_root::feed {

using SharedTable = std::shared_ptr<const Table>;

} // namespace hepml_root::feed

extern "C" {

void hepml_table_close(void* table) { delete static_cast<hepml_root::feed::SharedTable*>(table); }

long long hepml_table_entries(void* table) {
   return (*static_cast<hepml_root::feed::SharedTable*>(table))->entries();
}

long long hepml_table_clusters(void* table, unsigned long long* starts, std::size_t room) {
   const auto clusters = (*static_cast<hepml_root::feed::SharedTable*>(table))->clusters();
   for (std::size_t i = 0; i < std::min(room, clusters.size()); ++i)
      starts[i] = clusters[i];
   return clusters.size();
}

void hepml_table_types(void* table, int* types) {
   for (hepml_root::feed::Type type : (*static_cast<hepml_root::feed::SharedTable*>(table))->types())
      *types++ = static_cast<int>(type);
}

long long hepml_filler_open(void* table, const hepml_root::feed::KernelPlace* kernels,
                            std::size_t kernel_count, int cut, const int* matrix, std::size_t matrix_size,
                            const int* exact, std::size_t exact_size,
                            const hepml_root::feed::GroupPlace* groups, std::size_t group_count,
                            void** filler, char* message, std::size_t room) {
   using namespace hepml_root::feed;
   return guarded(message, room, [&] {
      Program program;
      for (std::size_t i = 0; i < kernel_count; ++i)
         program.kernels.push_back({kernels[i].run,
                                    {kernels[i].inputs, kernels[i].inputs + kernels[i].size},
                                    static_cast<Type>(kernels[i].type)});
      program.cut = cut;
      program.matrix.assign(matrix, matrix + matrix_size);
      program.exact.assign(exact, exact + exact_size);
      for (std::size_t i = 0; i < group_count; ++i)
         program.groups.emplace_back(groups[i]);
      *filler = new Filler(*static_cast<SharedTable*>(table), std::move(program));
      return 0;
   });
}

long long hepml_filler_fill(void* filler, unsigned long long first, unsigned long long last,
                            unsigned long long limit, const hepml_root::feed::RowPlaces* places,
                            char* message, std::size_t room) {
   using namespace hepml_root::feed;
   return guarded(message, room,
                  [&] { return static_cast<Filler*>(filler)->fill(first, last, limit, *places); });
}

long long hepml_filler_gather(void* filler, const std::uint64_t* entries, std::size_t count,
                              const hepml_root::feed::RowPlaces* places, char* message, std::size_t room) {
   using namespace hepml_root::feed;
   return guarded(message, room, [&] {
      static_cast<Filler*>(filler)->gather(entries, count, *places);
      return count;
   });
}

void hepml_filler_close(void* filler) { delete static_cast<hepml_root::feed::Filler*>(filler); }
}

#endif
