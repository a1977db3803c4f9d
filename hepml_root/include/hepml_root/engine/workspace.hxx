// Room for the values of a block while a network is computed.
#pragma once

#include "lanes.hxx"

#include <atomic>
#include <new>

namespace hepml_root::engine {
inline namespace HEPML_ROOT_TARGET {

// More than this is not taken from the stack, of which the threads of a program may have half a megabyte.
constexpr std::size_t most_on_stack = 32768; // floats

inline void free_room(float* room) { ::operator delete(room, std::align_val_t(64)); }

inline float* new_room(std::size_t floats) {
   return static_cast<float*>(::operator new(floats * sizeof(float), std::align_val_t(64)));
}

// The rooms, all of one size, that calls of one network have left behind for the next ones. Each call takes
// one for itself, makes one if there is none, and puts it back: any number of threads may do so at once, and
// after the first calls nothing is allocated.
class Rooms {
public:
   Rooms() = default;
   Rooms(const Rooms&) = delete;
   Rooms& operator=(const Rooms&) = delete;
   ~Rooms() {
      for (auto& place : fPlaces)
         if (float* const room = place.load(std::memory_order_acquire))
            free_room(room);
   }

   float* take(std::size_t floats) const {
      for (auto& place : fPlaces)
         if (place.load(std::memory_order_relaxed))
            if (float* const room = place.exchange(nullptr, std::memory_order_acquire))
               return room;
      return new_room(floats);
   }

   void put_back(float* room) const {
      for (auto& place : fPlaces) {
         float* empty = nullptr;
         if (place.compare_exchange_strong(empty, room, std::memory_order_release, std::memory_order_relaxed))
            return;
      }
      free_room(room);
   }

private:
   static constexpr std::size_t most_kept = 64;
   mutable std::atomic<float*> fPlaces[most_kept] = {};
};

// What a Session keeps for its calls; a copy starts with none of it.
struct Workspace {
   Rooms of_events; // for single events
   Rooms of_blocks;

   Workspace() = default;
   Workspace(const Workspace&) {}
   Workspace& operator=(const Workspace&) { return *this; }
};

// The room of one call: on the stack where small, else one of those left behind.
template <std::size_t Floats, bool OnStack = (Floats <= most_on_stack)> class Room {
public:
   explicit Room(const Rooms&) {}
   float* get() { return fValues; }

private:
   alignas(64) float fValues[Floats];
};

template <std::size_t Floats> class Room<Floats, false> {
public:
   explicit Room(const Rooms& rooms) : fRooms(rooms), fValues(rooms.take(Floats)) {}
   Room(const Room&) = delete;
   Room& operator=(const Room&) = delete;
   ~Room() { fRooms.put_back(fValues); }
   float* get() { return fValues; }

private:
   const Rooms& fRooms;
   float* fValues;
};

} // namespace HEPML_ROOT_TARGET
} // namespace hepml_root::engine
