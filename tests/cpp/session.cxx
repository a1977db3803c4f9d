// A generated header and the library of it, on the model's own probe events: in blocks, one by one, by
// threads.

#include "check.hxx"
#include "probe.hxx"
#include "tested.hxx"
#include "tested_library.hxx"

#include <cmath>
#include <string>
#include <thread>
#include <vector>

namespace {

const auto kManifest = hepml_root::Manifest::Parse(TMVA_SOFIE_tested::Session::manifest());

bool close(const std::vector<float>& a, const std::vector<float>& b) {
   bool same = a.size() == b.size() && !a.empty();
   for (std::size_t i = 0; same && i < a.size(); ++i)
      same = std::abs(a[i] - b[i]) < 1e-5f;
   return same;
}

} // namespace

int main() {
   CHECK(kManifest.inputs.size() == 1 && kManifest.outputs.size() == 1);
   CHECK(std::string(tested_manifest()) == TMVA_SOFIE_tested::Session::manifest());
   const auto inputs = probe(kManifest, "inputs", kManifest.inputs[0].name);
   const auto expected = probe(kManifest, "outputs", kManifest.outputs[0].name);
   const std::size_t width = hepml_root::Size(kManifest.inputs[0].shape);
   const std::size_t events = inputs.size() / width;
   const std::size_t values = expected.size() / events;
   CHECK(events >= 16);

   const TMVA_SOFIE_tested::Session session;
   std::vector<float> scores(expected.size());
   session.infer(inputs.data(), events, scores.data());
   CHECK(close(scores, expected));

   std::vector<float> one_by_one;
   for (std::size_t event = 0; event < events; ++event)
      for (const float score : session.infer(inputs.data() + event * width))
         one_by_one.push_back(score);
   CHECK(close(one_by_one, expected));

   // Every number of events, so that every remainder of the lanes comes up; nothing is written beyond.
   for (std::size_t n = 0; n <= events; ++n) {
      std::vector<float> some(n * values + 1, -7.f);
      const float* const in[] = {inputs.data()};
      float* const out[] = {some.data()};
      tested_infer(in, n, out);
      CHECK(some.back() == -7.f);
      some.pop_back();
      CHECK(n == 0 || close(some, {expected.begin(), expected.begin() + static_cast<long>(some.size())}));
   }

   // One session, many threads.
   std::vector<std::vector<float>> of_thread(8, std::vector<float>(expected.size()));
   std::vector<std::thread> threads;
   for (auto& result : of_thread)
      threads.emplace_back([&] {
         for (int repeat = 0; repeat < 200; ++repeat)
            session.infer(inputs.data(), events, result.data());
      });
   for (auto& thread : threads)
      thread.join();
   for (const auto& result : of_thread)
      CHECK(close(result, expected));
   return failures == 0 ? 0 : 1;
}
