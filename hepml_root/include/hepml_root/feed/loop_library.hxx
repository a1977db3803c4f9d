// The library that takes rows out of RDataFrame's event loop.
#ifndef HEPML_ROOT_FEED_LOOP_LIBRARY_HXX
#define HEPML_ROOT_FEED_LOOP_LIBRARY_HXX

#include "guard.hxx"
#include "loop.hxx"

namespace hepml_root::feed {

/// A request as Python describes it (data/feed_loop.py); columns are numbered from 0.
struct LoopPlace {
   const char* const* names;
   const char* const* cpp_types;
   const int* types;
   std::size_t columns;
   const int* matrix;
   std::size_t matrix_size;
   const int* exact;
   std::size_t exact_size;
   const GroupPlace* groups;
   std::size_t group_count;
   std::size_t block_rows;
   std::size_t queue_blocks;
   unsigned long long limit;
   int places;
};

/// Where Python finds a block's rows.
struct BlockPlace {
   void* block;
   unsigned long long rows;
   const char* sample;
   unsigned long long range;
   unsigned long long entry;
   const float* matrix;
   const void* exact[256];
   const void* tensors[256]; ///< of all groups, one after the other
   const std::uint32_t* losses[64];
   const char* file;
   const std::uint64_t* entries;
};

} // namespace hepml_root::feed

extern "C" {

long long hepml_loop_start(void* node, void* columns, const hepml_root::feed::LoopPlace* place, void** loop,
                           char* message, std::size_t room) {
   using namespace hepml_root::feed;
   return guarded(message, room, [&] {
      LoopRequest request;
      for (std::size_t i = 0; i < place->columns; ++i)
         request.columns.push_back(
             {place->names[i], place->cpp_types[i], static_cast<Type>(place->types[i])});
      request.matrix.assign(place->matrix, place->matrix + place->matrix_size);
      request.exact.assign(place->exact, place->exact + place->exact_size);
      for (std::size_t i = 0; i < place->group_count; ++i)
         request.groups.emplace_back(place->groups[i]);
      request.block_rows = place->block_rows;
      request.queue_blocks = place->queue_blocks;
      request.limit = place->limit;
      request.places = place->places;
      *loop = new RunningLoop(*static_cast<std::shared_ptr<ROOT::Detail::RDF::RNodeBase>*>(node),
                              *static_cast<ROOT::Internal::RDF::RColumnRegister*>(columns), request);
      return 0;
   });
}

/// 1: a block; 0: the loop has ended; 2: no block came in time.
long long hepml_loop_next(void* loop, hepml_root::feed::BlockPlace* place, int milliseconds, char* message,
                          std::size_t room) {
   using namespace hepml_root::feed;
   return guarded(message, room, [&] {
      bool finished = false;
      auto block = static_cast<RunningLoop*>(loop)->next(milliseconds, finished);
      if (!block)
         return finished ? 0 : 2;
      place->rows = block->rows;
      place->sample = block->sample.c_str();
      place->range = block->range;
      place->entry = block->entry;
      place->matrix = block->matrix.data();
      for (std::size_t i = 0; i < block->exact.size(); ++i)
         place->exact[i] = block->exact[i].data();
      for (std::size_t i = 0; i < block->tensors.size(); ++i)
         place->tensors[i] = block->tensors[i].get();
      for (std::size_t i = 0; i < block->losses.size(); ++i)
         place->losses[i] = block->losses[i].data();
      place->file = block->file.c_str();
      place->entries = block->entries.data();
      place->block = block.release();
      return 1;
   });
}

void hepml_loop_release(void* block) { delete static_cast<hepml_root::feed::Block*>(block); }

void hepml_loop_close(void* loop) { delete static_cast<hepml_root::feed::RunningLoop*>(loop); }
}

#endif
