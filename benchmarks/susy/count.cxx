// Counts what passes the working points of the model `search`, from a file of events as plain numbers:
//
//    count EVENTS.bin N
//
// with N rows of inputs (float) and then N weights (double). Writes for each working point its name, the
// number of events that pass, and the sum of their weights. The standard library, the generated header and
// hepml_root/manifest.hxx are all that it needs.

#include "search.hxx"

#include "hepml_root/manifest.hxx"

#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int arguments, char** argument) {
   if (arguments != 3)
      return 2;
   const auto manifest = hepml_root::Manifest::Parse(TMVA_SOFIE_search::Session::manifest());
   const TMVA_SOFIE_search::Session session;
   const std::size_t events = std::strtoull(argument[2], nullptr, 10);
   const std::size_t inputs = hepml_root::Size(manifest.inputs.at(0).shape);
   std::vector<float> x(events * inputs), scores(events);
   std::vector<double> weights(events);
   std::FILE* file = std::fopen(argument[1], "rb");
   if (!file || std::fread(x.data(), sizeof(float), x.size(), file) != x.size() ||
       std::fread(weights.data(), sizeof(double), events, file) != events)
      return 1;
   std::fclose(file);
   session.infer(x.data(), events, scores.data());
   for (const auto& point : manifest.working_points) {
      std::size_t passed = 0;
      double sum = 0;
      for (std::size_t i = 0; i < events; ++i) {
         if (point.Passes(scores[i])) {
            ++passed;
            sum += weights[i];
         }
      }
      std::printf("%s %zu %.17g\n", point.name.c_str(), passed, sum);
   }
}
