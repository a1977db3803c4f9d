// Loops that must not be in Python: the core's multiply-add peak, networks called event by event, and ONNX
// Runtime through its C interface. Every function returns the seconds it took.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

double now() {
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

// The table of functions of ONNX Runtime's C interface, whose order never changes; used by position, as the
// wheel has no header.
struct OrtApiBase {
   void** (*GetApi)(std::uint32_t version);
   const char* (*GetVersionString)();
};
enum Position {
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
   return reinterpret_cast<void* (*)(Arguments...)>(api[position])(arguments...) != nullptr;
}

struct Tensors {
   void *in, *out;
};

struct Runtime {
   void** api;
   void* session;
   const char *input, *output;
   std::vector<Tensors> batches;
};

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

double in_block(Infer infer, const float* x, std::size_t events, float* y) {
   const double start = now();
   infer(&x, events, &y);
   return now() - start;
}

double one_by_one(Infer infer, const float* x, std::size_t features, std::size_t events, float* y) {
   const double start = now();
   for (std::size_t i = 0; i < events; ++i) {
      const float* const from = x + i * features;
      float* const to = y + i;
      infer(&from, 1, &to);
   }
   return now() - start;
}

// ONNX Runtime with one thread, and its tensors for `events` events, `batch` at a time, made beforehand;
// nullptr if anything fails. Lives as long as the process.
void* runtime_open(const OrtApiBase* base, const char* model, const char* input, const char* output, float* x,
                   std::size_t features, std::size_t events, std::size_t batch, float* y) {
   auto* r = new Runtime{base->GetApi(1), nullptr, input, output, {}};
   void *env = nullptr, *options = nullptr, *memory = nullptr;
   if (!r->api || failed(r->api, create_env, 3, "benchmark", &env) ||
       failed(r->api, create_options, &options) || failed(r->api, set_intra_threads, options, 1) ||
       failed(r->api, set_inter_threads, options, 1) ||
       failed(r->api, create_session, env, model, options, &r->session) ||
       failed(r->api, create_memory_info, 0, 0, &memory))
      return nullptr;
   for (std::size_t i = 0; i + batch <= events; i += batch) {
      const std::int64_t in_shape[] = {static_cast<std::int64_t>(batch), static_cast<std::int64_t>(features)};
      const std::int64_t out_shape[] = {static_cast<std::int64_t>(batch), 1};
      Tensors tensors{};
      if (failed(r->api, create_tensor, memory, static_cast<void*>(x + i * features),
                 batch * features * sizeof(float), static_cast<const std::int64_t*>(in_shape), std::size_t(2),
                 1, &tensors.in) ||
          failed(r->api, create_tensor, memory, static_cast<void*>(y + i), batch * sizeof(float),
                 static_cast<const std::int64_t*>(out_shape), std::size_t(2), 1, &tensors.out))
         return nullptr;
      r->batches.push_back(tensors);
   }
   return r;
}

// Scores all batches; negative if a call fails.
double runtime_run(void* opened) {
   auto& r = *static_cast<Runtime*>(opened);
   const double start = now();
   for (auto& tensors : r.batches)
      if (failed(r.api, run_session, r.session, static_cast<void*>(nullptr), &r.input, &tensors.in,
                 std::size_t(1), &r.output, std::size_t(1), &tensors.out))
         return -1;
   return now() - start;
}
}
