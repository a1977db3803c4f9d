// Sessions from many threads with small stacks, copied, moved and assigned while they are in use, and what
// they allocate. tests/inference/test_sharing.py makes the headers: `narrow` keeps its values on the stack,
// `wide` has too many for that.

#include "check.hxx"
#include "narrow.hxx"
#include "wide.hxx"

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <new>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace {
std::atomic<long> allocations{0};
}

void* operator new(std::size_t size) {
   ++allocations;
   return std::malloc(size);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
   ++allocations;
   const std::size_t unit = static_cast<std::size_t>(alignment);
   return std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
}
void operator delete(void* place) noexcept { std::free(place); }
void operator delete(void* place, std::size_t) noexcept { std::free(place); }
void operator delete(void* place, std::align_val_t) noexcept { std::free(place); }

namespace {

// As many bytes of stack as the secondary threads of some systems get.
class SmallThread {
public:
   explicit SmallThread(std::function<void()> work) : fWork(std::move(work)) {
      pthread_attr_t attributes;
      pthread_attr_init(&attributes);
      pthread_attr_setstacksize(&attributes, 512 * 1024);
      CHECK(pthread_create(&fThread, &attributes, &Run, this) == 0);
      pthread_attr_destroy(&attributes);
   }
   SmallThread(const SmallThread&) = delete;
   SmallThread& operator=(const SmallThread&) = delete;
   ~SmallThread() { pthread_join(fThread, nullptr); }

private:
   static void* Run(void* self) {
      static_cast<SmallThread*>(self)->fWork();
      return nullptr;
   }
   std::function<void()> fWork;
   pthread_t fThread;
};

template <class Network, class Session> void check(const char* name, int repeats) {
   static_assert(std::is_copy_constructible_v<Session> && std::is_copy_assignable_v<Session> &&
                 std::is_move_constructible_v<Session> && std::is_move_assignable_v<Session>);
   constexpr std::size_t events = 67, width = Network::input_sizes[0], values = Network::output_sizes[0];
   std::vector<float> x(events * width);
   for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<float>(i * 2654435761u % 1000) / 500.f - 1.f;
   const Session session;
   std::vector<float> right(events * values), one(values);
   session.infer(x.data(), events, right.data());
   session.infer(x.data(), 1, one.data());

   // Scores are those of one thread, whatever the session: shared, copied, moved, assigned.
   const auto score = [&](const Session& used, std::vector<float>& y) {
      used.infer(x.data(), events, y.data());
      CHECK(y == right);
      used.infer(x.data(), 1, y.data());
      CHECK(std::equal(one.begin(), one.end(), y.begin()));
   };
   {
      std::vector<std::unique_ptr<SmallThread>> threads;
      for (int thread = 0; thread < 8; ++thread)
         threads.push_back(std::make_unique<SmallThread>([&, thread] {
            std::vector<float> y(events * values);
            for (int repeat = 0; repeat < repeats; ++repeat) {
               score(session, y);
               Session copy = session; // while others are in it
               score(copy, y);
               Session moved = std::move(copy);
               score(moved, y);
               Session assigned;
               score(assigned, y);
               assigned = moved;
               score(assigned, y);
               assigned = std::move(moved);
               score(assigned, y);
               if (thread == 0 && repeat == 0) {
                  std::vector<Session> many(3, session);
                  many.insert(many.begin(), session);
                  for (const Session& each : many)
                     score(each, y);
               }
            }
         }));
   }

   // There is a room for each call that runs at the same time, and rooms are kept. On a busy machine no two
   // of the calls above may have met: then the second room is made here, once. Nothing else is allocated.
   std::vector<float> y(events * values), other(events * values);
   const auto loop = [&](std::vector<float>& to) {
      for (int repeat = 0; repeat < 2 * repeats; ++repeat)
         score(session, to);
   };
   std::atomic<int> ready{0};
   std::atomic<bool> start{false};
   std::thread second([&] {
      ++ready;
      while (!start) {
      }
      loop(other);
   });
   while (!ready) {
   }
   const long before = allocations;
   start = true;
   loop(y);
   second.join();
   std::printf("%s: %ld allocations\n", name, allocations - before);
   CHECK(allocations - before <= 1);
}

} // namespace

int main() {
   check<TMVA_SOFIE_narrow::Network, TMVA_SOFIE_narrow::Session>("narrow", 20);
   check<TMVA_SOFIE_wide::Network, TMVA_SOFIE_wide::Session>("wide", 2);
   return failures == 0 ? 0 : 1;
}
