// Answers of hepml_root::Reader to the reference events, written by test_tmva_reader_cpp.py's program and
// macro: for each event and method EvaluateMVA from addresses, from a vector, and Evaluate in a block; for
// Fisher also GetProba at two fractions of signal, and GetRarity.

#include "hepml_root/Reader.hxx"

#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

void reader_reference(const char* folder, const char* events_file, const char* output) {
   std::ifstream events(events_file);
   std::vector<float> all;
   for (float value; events >> value;)
      all.push_back(value);
   const std::size_t n = all.size() / 4;

   float myvar1 = 0, myvar2 = 0, var3 = 0, var4 = 0, spec1 = 0, spec2 = 0;
   hepml_root::Reader reader("!Color:!Silent");
   reader.AddVariable("myvar1 := var1+var2", &myvar1);
   reader.AddVariable("var1 - var2", &myvar2);
   reader.AddVariable("var3", &var3);
   reader.AddVariable("var4", &var4);
   reader.AddSpectator("spec1 := var1*2", &spec1);
   reader.AddSpectator("spec2 := var1*3", &spec2);

   const std::vector<std::string> methods = {"Fisher",     "LD",  "MLP",  "MLP_GDP",
                                             "Likelihood", "BDT", "BDTG", "Cuts"};
   std::FILE* const file = std::fopen(output, "w");
   for (const std::string& method : methods) {
      reader.BookMVA(method, std::string(folder) + "/" + method + ".weights.xml");
      std::vector<float> block(n);
      if (method != "Cuts")
         reader.Evaluate(method, all.data(), n, block.data());
      for (std::size_t i = 0; i < n; ++i) {
         const std::vector<double> event(all.begin() + 4 * i, all.begin() + 4 * i + 4);
         myvar1 = all[4 * i], myvar2 = all[4 * i + 1], var3 = all[4 * i + 2], var4 = all[4 * i + 3];
         const double from_addresses =
             method == "Cuts" ? reader.EvaluateMVA(method, 0.705) : reader.EvaluateMVA(method);
         const double from_vector =
             method == "Cuts" ? reader.EvaluateMVA(event, method, 0.705) : reader.EvaluateMVA(event, method);
         std::fprintf(file, "%s %.9g %.9g %.9g\n", method.c_str(), from_addresses, from_vector,
                      static_cast<double>(block[i]));
         if (method == "Fisher")
            std::fprintf(file, "densities %.9g %.9g %.9g\n", reader.GetProba(method),
                         reader.GetProba(method, 0.2), reader.GetRarity(method));
      }
   }
   std::fclose(file);
}

#ifndef __CLING__
int main(int count, char** words) {
   if (count != 4)
      return 1;
   reader_reference(words[1], words[2], words[3]);
   return 0;
}
#endif
