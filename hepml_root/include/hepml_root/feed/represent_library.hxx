// The library that makes representations from their description, and fills tensors from arrays with them.
//
// Needs no ROOT. What it makes is handed to the libraries that read, which know the interface only, and to
// the code that `define` gives RDataFrame.
#ifndef HEPML_ROOT_FEED_REPRESENT_LIBRARY_HXX
#define HEPML_ROOT_FEED_REPRESENT_LIBRARY_HXX

#include "guard.hxx"
#include "represent.hxx"

#include "../representations/make.hxx"

namespace hepml_root::feed {

/// What a thread keeps from event to event.
inline representations::Scratch& thread_scratch() {
   static thread_local representations::Scratch scratch;
   return scratch;
}

} // namespace hepml_root::feed

extern "C" {

/// Make a representation from its description (JSON); it lives as long as the process.
long long hepml_represent_make(const char* json, const void** made, char* message, std::size_t room) {
   using namespace hepml_root::feed;
   return guarded(message, room, [&] {
      *made = hepml_root::representations::make(json).release();
      return 0;
   });
}

/// Write the numbers of columns, scalars and outputs, and the size of each output (64 at most).
void hepml_represent_sizes(const void* made, unsigned long long* sizes) {
   const auto& r = *static_cast<const hepml_root::representations::Representation*>(made);
   *sizes++ = r.columns();
   *sizes++ = r.scalars();
   *sizes++ = r.outputs();
   for (std::size_t i = 0; i < std::min<std::size_t>(r.outputs(), 64); ++i)
      *sizes++ = r.size(i);
}

/// Fill the tensors of events from arrays: the constituents of event e are those from first[e] to
/// first[e + 1] - 1.
long long hepml_represent_fill(const void* made, const float* const* columns, const unsigned long long* first,
                               unsigned long long events, const float* const* scalars, float* const* outputs,
                               std::uint32_t* losses, char* message, std::size_t room) {
   using namespace hepml_root::feed;
   return guarded(message, room, [&] {
      const auto& r = *static_cast<const Representation*>(made);
      std::vector<const float*> at(r.columns());
      std::vector<float> values(r.scalars());
      std::vector<float*> rows(r.outputs());
      for (unsigned long long e = 0; e < events; ++e) {
         for (std::size_t i = 0; i < at.size(); ++i)
            at[i] = columns[i] + first[e];
         for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = scalars[i][e];
         for (std::size_t i = 0; i < rows.size(); ++i)
            rows[i] = outputs[i] + e * r.size(i);
         try {
            const Constituents event{at.data(), first[e + 1] - first[e], values.data()};
            const Losses lost = r.fill(event, rows.data(), thread_scratch());
            losses[3 * e] = static_cast<std::uint32_t>(lost.truncated);
            losses[3 * e + 1] = static_cast<std::uint32_t>(lost.dropped);
            losses[3 * e + 2] = static_cast<std::uint32_t>(lost.empty);
         } catch (const std::domain_error& error) {
            throw NotFinite("event " + std::to_string(e) + ": " + error.what());
         }
      }
      return 0;
   });
}

/// Fill the tensors of one event; called from many threads.
long long hepml_represent_event(const void* made, const float* const* columns, unsigned long long count,
                                const float* scalars, float* const* outputs, char* message,
                                std::size_t room) {
   using namespace hepml_root::feed;
   return guarded(message, room, [&] {
      try {
         static_cast<const Representation*>(made)->fill({columns, static_cast<std::size_t>(count), scalars},
                                                        outputs, thread_scratch());
      } catch (const std::domain_error& error) {
         throw NotFinite(error.what());
      }
      return 0;
   });
}
}

#endif
