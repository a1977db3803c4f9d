// Fills representations of the events of a file from several threads, and measures the functions of
// angles.hxx. tests/representations/test_cpp.py compiles it, writes its input, and reads what it prints.

#include "hepml_root/representations/make.hxx"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <new>
#include <sstream>
#include <thread>

static std::atomic<std::uint64_t> allocations{0};

// Not inlined: g++ would warn of memory from `new` that goes to `free`.
__attribute__((noinline)) void* operator new(std::size_t size) {
   ++allocations;
   if (void* memory = std::malloc(size))
      return memory;
   throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace hr = hepml_root::representations;

static std::vector<float> read(const std::string& path) {
   std::ifstream file(path, std::ios::binary);
   std::ostringstream text;
   text << file.rdbuf();
   const std::string bytes = text.str();
   std::vector<float> values(bytes.size() / sizeof(float));
   std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
   return values;
}

static void write(const std::string& path, const std::vector<float>& values) {
   std::ofstream(path, std::ios::binary)
       .write(reinterpret_cast<const char*>(values.data()),
              static_cast<std::streamsize>(values.size() * sizeof(float)));
}

// Five functions of each number, one after the other.
static void angles(const std::string& from, const std::string& to) {
   std::vector<float> x = read(from);
   const std::size_t count = x.size();
   x.resize(hr::whole_lanes(count));
   std::vector<float> y(6 * x.size());
   for (std::size_t i = 0; i < x.size(); i += hr::lanes) {
      const auto at = hepml_root::engine::load<hr::Lanes>(x.data() + i);
      hr::Lanes results[6];
      hr::sine_cosine(at, results[0], results[1]);
      hr::hyperbolic(at, results[2], results[3]);
      results[4] = hr::wrapped(at);
      results[5] = hr::root(hepml_root::engine::absolute<hr::Lanes>(at));
      for (std::size_t k = 0; k < 6; ++k)
         hepml_root::engine::store<hr::Lanes>(y.data() + k * x.size() + i, results[k]);
   }
   write(to, y);
}

// Counts of constituents, then the columns one after the other.
static std::vector<float> fill(const hr::Representation& representation, const std::vector<float>& events,
                               std::size_t count, hr::Scratch& scratch, std::vector<float>& values) {
   std::size_t total = 0, row = 0;
   for (std::size_t event = 0; event < count; ++event)
      total += static_cast<std::size_t>(events[event]);
   for (std::size_t output = 0; output < representation.outputs(); ++output)
      row += representation.size(output);
   values.resize(row * count);
   const float* columns[8];
   float* outputs[8];
   std::size_t first = count;
   for (std::size_t event = 0; event < count; ++event) {
      const std::size_t size = static_cast<std::size_t>(events[event]);
      for (std::size_t column = 0; column < representation.columns(); ++column)
         columns[column] = events.data() + first + column * total;
      outputs[0] = values.data() + row * event;
      for (std::size_t output = 1; output < representation.outputs(); ++output)
         outputs[output] = outputs[output - 1] + representation.size(output - 1);
      representation.fill({columns, size, nullptr}, outputs, scratch);
      first += size;
   }
   return values;
}

int main(int arguments, char** argument) {
   if (arguments == 3) {
      angles(argument[1], argument[2]);
      return 0;
   }
   const std::size_t count = static_cast<std::size_t>(std::stoul(argument[3]));
   const std::vector<float> events = read(argument[1]);
   std::ifstream descriptions(argument[2]);
   std::vector<float> everything;
   std::string json;
   while (std::getline(descriptions, json)) {
      const std::unique_ptr<hr::Representation> representation = hr::make(json);
      std::vector<std::vector<float>> results(3);
      std::vector<std::thread> threads;
      for (std::vector<float>& result : results)
         threads.emplace_back([&] {
            hr::Scratch scratch;
            fill(*representation, events, count, scratch, result);
         });
      for (std::thread& thread : threads)
         thread.join();
      if (results[1] != results[0] || results[2] != results[0])
         std::cout << "threads differ\n";
      hr::Scratch scratch;
      fill(*representation, events, count, scratch, results[1]);
      results[2].reserve(results[1].size());
      const std::uint64_t before = allocations;
      const std::vector<float> again = fill(*representation, events, count, scratch, results[1]);
      std::cout << "allocations " << allocations - before << '\n';
      everything.insert(everything.end(), again.begin(), again.end());
   }
   write(argument[4], everything);
   return 0;
}
