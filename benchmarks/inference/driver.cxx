// Loops that must not be in Python: the core's multiply-add peak, networks called in blocks, event by event
// and in threads, and ONNX Runtime through its C interface. Every function returns the seconds it took.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <thread>
#include <vector>

namespace {

// Of the calling thread, in which ONNX Runtime, too, computes when it may use only one.
double now() {
   timespec time{};
   clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
   return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double by_the_clock() {
   return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif
constexpr int chains = 12; // enough to hide the latency of a multiply-add, few enough for the registers
using Vector [[gnu::vector_size(4 * lanes)]] = float;

using Infer = void (*)(const float* const*, std::size_t, float* const*);
constexpr std::size_t most_values = 32; // inputs, or outputs, of a network

// The table of functions of ONNX Runtime's C interface, whose order never changes; used by position, as the
// wheel has no header.
struct OrtApiBase {
   void** (*GetApi)(std::uint32_t version);
   const char* (*GetVersionString)();
};
enum Position {
   get_error_message = 2,
   create_env = 3,
   create_session = 7,
   run_session = 9,
   create_options = 10,
   set_intra_threads = 24,
   set_inter_threads = 25,
   create_tensor = 49,
   create_memory_info = 69
};

template <class... Arguments> bool failed(void** api, Position position, Arguments... arguments) {
   void* const status = reinterpret_cast<void* (*)(Arguments...)>(api[position])(arguments...);
   if (status)
      std::fprintf(stderr, "ONNX Runtime: %s\n",
                   reinterpret_cast<const char* (*)(void*)>(api[get_error_message])(status));
   return status != nullptr;
}

// One input or output as ONNX Runtime sees it: all events, one after the other.
struct Value {
   const char* name;
   char* data;
   std::size_t item;          // bytes per number
   std::int32_t type;         // ONNX's number of the type
   std::int32_t rank;         // with the batch
   const std::int64_t* shape; // shape[0] is replaced by the batch
};

struct Runtime {
   void** api = nullptr;
   void *session = nullptr, *memory = nullptr;
   std::vector<const char*> inputs, outputs;
   std::vector<std::vector<void*>> in, out; // tensors of each batch
};

bool append(Runtime& r, const Value& value, std::size_t first, std::size_t batch, std::vector<void*>& to) {
   std::vector<std::int64_t> shape(value.shape, value.shape + value.rank);
   std::size_t bytes = value.item;
   for (std::size_t i = 1; i < shape.size(); ++i)
      bytes *= static_cast<std::size_t>(shape[i]);
   shape[0] = static_cast<std::int64_t>(batch);
   void* tensor = nullptr;
   if (failed(r.api, create_tensor, r.memory, static_cast<void*>(value.data + first * bytes), batch * bytes,
              static_cast<const std::int64_t*>(shape.data()), shape.size(), value.type, &tensor))
      return false;
   to.push_back(tensor);
   return true;
}

} // namespace

extern "C" {

// Floating-point operations of one call of peak(steps, ...).
double operations(std::size_t steps) { return 2.0 * chains * lanes * static_cast<double>(steps); }

double peak(std::size_t steps, float factor, float* out) {
   Vector sum[chains];
   for (auto& s : sum)
      s = Vector{} + 1.0f;
   const Vector f = Vector{} + factor;
   const double start = now();
   for (std::size_t i = 0; i < steps; ++i)
#pragma GCC unroll 16
      for (int c = 0; c < chains; ++c)
         sum[c] = sum[c] * f + f;
   const double seconds = now() - start;
   for (const auto& s : sum)
      *out += s[0];
   return seconds;
}

double in_block(Infer infer, const float* const* x, std::size_t events, float* const* y) {
   const double start = now();
   infer(x, events, y);
   return now() - start;
}

// `sizes` are floats per event, of the inputs and then of the outputs.
double one_by_one(Infer infer, const float* const* x, std::size_t inputs, const std::size_t* sizes,
                  std::size_t events, float* const* y, std::size_t outputs) {
   const float* from[most_values];
   float* to[most_values];
   std::copy(x, x + inputs, from);
   std::copy(y, y + outputs, to);
   const double start = now();
   for (std::size_t event = 0; event < events; ++event) {
      infer(from, 1, to);
      for (std::size_t i = 0; i < inputs; ++i)
         from[i] += sizes[i];
      for (std::size_t i = 0; i < outputs; ++i)
         to[i] += sizes[inputs + i];
   }
   return now() - start;
}

// Every thread scores the same events `repeats` times, into room of its own: y has `threads` times `outputs`
// pointers. The clock runs from the moment that all threads are there to the end of the last one.
double in_threads(Infer infer, const float* const* x, std::size_t events, float* const* y,
                  std::size_t outputs, std::size_t threads, std::size_t repeats) {
   std::atomic<std::size_t> ready{0};
   std::vector<double> ends(threads);
   std::vector<std::thread> running;
   std::atomic<bool> go{false};
   for (std::size_t t = 0; t < threads; ++t)
      running.emplace_back([&, t] {
         infer(x, events, y + t * outputs);
         ++ready;
         while (!go)
            ;
         for (std::size_t i = 0; i < repeats; ++i)
            infer(x, events, y + t * outputs);
         ends[t] = by_the_clock();
      });
   while (ready < threads)
      ;
   const double start = by_the_clock();
   go = true;
   for (auto& thread : running)
      thread.join();
   return *std::max_element(ends.begin(), ends.end()) - start;
}

// ONNX Runtime with one thread and a model; nullptr if it refuses. Lives as long as the process.
void* runtime_open(const OrtApiBase* base, const char* model) {
   auto* r = new Runtime;
   r->api = base->GetApi(1);
   void *env = nullptr, *options = nullptr;
   if (!r->api || failed(r->api, create_env, 3, "benchmark", &env) ||
       failed(r->api, create_options, &options) || failed(r->api, set_intra_threads, options, 1) ||
       failed(r->api, set_inter_threads, options, 1) ||
       failed(r->api, create_session, env, model, options, &r->session) ||
       failed(r->api, create_memory_info, 0, 0, &r->memory))
      return nullptr;
   return r;
}

// A run over `events` events, `batch` at a time, with its tensors made beforehand; nullptr if it cannot be.
void* runtime_batches(const void* opened, const Value* inputs, std::size_t n_inputs, const Value* outputs,
                      std::size_t n_outputs, std::size_t events, std::size_t batch) {
   auto* r = new Runtime(*static_cast<const Runtime*>(opened));
   for (std::size_t i = 0; i < n_inputs; ++i)
      r->inputs.push_back(inputs[i].name);
   for (std::size_t i = 0; i < n_outputs; ++i)
      r->outputs.push_back(outputs[i].name);
   for (std::size_t first = 0; first + batch <= events; first += batch) {
      auto &in = r->in.emplace_back(), &out = r->out.emplace_back();
      for (std::size_t i = 0; i < n_inputs; ++i)
         if (!append(*r, inputs[i], first, batch, in))
            return nullptr;
      for (std::size_t i = 0; i < n_outputs; ++i)
         if (!append(*r, outputs[i], first, batch, out))
            return nullptr;
   }
   return r;
}

// Scores all batches; negative if a call fails.
double runtime_run(void* batches) {
   auto& r = *static_cast<Runtime*>(batches);
   const double start = now();
   for (std::size_t i = 0; i < r.in.size(); ++i)
      if (failed(r.api, run_session, r.session, static_cast<void*>(nullptr), r.inputs.data(), r.in[i].data(),
                 r.inputs.size(), r.outputs.data(), r.outputs.size(), r.out[i].data()))
         return -1;
   return now() - start;
}
}
