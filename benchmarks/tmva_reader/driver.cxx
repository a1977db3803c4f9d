// Rates of hepml_root::Reader and of plain loops over the same weights, taken in turns on one thread.
//
//    driver METHOD FILE FOLDER SECONDS VARIABLES     (see __init__.py)
//
// Prints the largest difference, and the events per second of the plain loop, of EvaluateMVA, of Evaluate.

#include "hepml_root/Reader.hxx"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace {

template <class T> std::vector<T> numbers(const std::string& path) {
   std::ifstream file(path, std::ios::binary);
   const std::string bytes{std::istreambuf_iterator<char>(file), {}};
   std::vector<T> values(bytes.size() / sizeof(T));
   std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(values.data()));
   return values;
}

struct Plain {
   virtual ~Plain() = default;
   virtual double operator()(const std::vector<float>& event) const = 0;
};

// Trees of nodes with pointers to their daughters.
struct Trees : Plain {
   struct Node {
      int variable;
      float cut;
      double value;
      std::unique_ptr<Node> left, right;
      bool goes_right(const std::vector<float>& event) const { return event[variable] >= cut; }
   };
   std::vector<std::unique_ptr<Node>> roots;

   explicit Trees(const std::vector<double>& from) {
      const auto trees = static_cast<std::size_t>(from[0]);
      const double* const rows = from.data() + 2 + trees;
      for (std::size_t i = 0; i < trees; ++i)
         roots.push_back(node(rows, static_cast<std::size_t>(from[2 + i])));
   }
   static std::unique_ptr<Node> node(const double* rows, std::size_t row) {
      const double* const r = rows + 4 * row;
      auto made = std::make_unique<Node>();
      made->variable = static_cast<int>(r[0]);
      made->cut = static_cast<float>(r[1]);
      made->value = r[1];
      if (r[0] >= 0) {
         made->left = node(rows, static_cast<std::size_t>(r[2]));
         made->right = node(rows, static_cast<std::size_t>(r[3]));
      }
      return made;
   }
   double operator()(const std::vector<float>& event) const override {
      double sum = 0;
      for (const auto& root : roots) {
         const Node* at = root.get();
         while (at->variable >= 0)
            at = at->goes_right(event) ? at->right.get() : at->left.get();
         sum += at->value;
      }
      return 2 / (1 + std::exp(-2 * sum)) - 1;
   }
};

// Neurons that add up their synapses; TMVA's tanh, a fraction of polynomials.
struct Network : Plain {
   std::vector<std::vector<double>> hidden;
   std::vector<double> output;

   Network(const std::vector<double>& from, std::size_t variables) {
      const auto neurons = static_cast<std::size_t>(from[0]);
      hidden.assign(neurons, std::vector<double>(variables + 1));
      for (std::size_t i = 0; i <= variables; ++i)
         for (std::size_t j = 0; j < neurons; ++j)
            hidden[j][i] = from[1 + i * neurons + j];
      output.assign(from.begin() + 1 + (variables + 1) * neurons, from.end());
   }
   static double tanh_of(double x) {
      if (x > 4.97)
         return 1;
      if (x < -4.97)
         return -1;
      const double s = x * x;
      return x * (135135 + s * (17325 + s * (378 + s))) / (135135 + s * (62370 + s * (3150 + s * 28)));
   }
   double operator()(const std::vector<float>& event) const override {
      double sum = output.back();
      for (std::size_t j = 0; j < hidden.size(); ++j) {
         double a = hidden[j].back();
         for (std::size_t i = 0; i < event.size(); ++i)
            a += hidden[j][i] * event[i];
         sum += output[j] * tanh_of(a);
      }
      return 1 / (1 + std::exp(-sum));
   }
};

struct Sum : Plain {
   std::vector<double> coefficients;
   explicit Sum(std::vector<double> from) : coefficients(std::move(from)) {}
   double operator()(const std::vector<float>& event) const override {
      double sum = coefficients[0];
      for (std::size_t i = 0; i < event.size(); ++i)
         sum += coefficients[i + 1] * event[i];
      return sum;
   }
};

double now() {
   return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

} // namespace

int main(int count, char** words) {
   if (count != 6)
      return 1;
   const std::string method = words[1], file = words[2], folder = words[3];
   const double seconds = std::stod(words[4]);
   const std::size_t variables = std::stoul(words[5]);
   const std::vector<float> events = numbers<float>(folder + "/events");
   const std::size_t n = events.size() / variables;
   const auto from = numbers<double>(folder + "/" + method + ".numbers");
   std::unique_ptr<Plain> plain;
   if (method == "BDT")
      plain = std::make_unique<Trees>(from);
   else if (method == "MLP")
      plain = std::make_unique<Network>(from, variables);
   else
      plain = std::make_unique<Sum>(from);

   hepml_root::Reader reader("!Color:Silent");
   std::vector<float> event(variables);
   const auto opened = hepml_root::WeightFile::Open(file);
   for (std::size_t i = 0; i < variables; ++i)
      reader.AddVariable(opened.inputs()[i], &event[i]);
   reader.BookMVA(method, file);

   std::vector<float> block(n), single(n);
   std::vector<double> walked(n);
   double best[3];
   std::fill(best, best + 3, std::numeric_limits<double>::infinity());
   const double end = now() + seconds;
   constexpr std::size_t slice = 256; // a slice of single events is short, so that some are not disturbed
   for (int round = 0; round < 3 || (now() < end && round < 2000); ++round) {
      const std::size_t first = static_cast<std::size_t>(round) * slice % (n - slice + 1);
      for (int twice = 0; twice < 2; ++twice) {
         double start = now();
         for (std::size_t i = first; i < first + slice; ++i) {
            std::copy_n(&events[i * variables], variables, event.begin());
            walked[i] = (*plain)(event);
         }
         best[0] = std::min(best[0], (now() - start) / slice);
         start = now();
         for (std::size_t i = first; i < first + slice; ++i) {
            std::copy_n(&events[i * variables], variables, event.begin());
            single[i] = static_cast<float>(reader.EvaluateMVA(method));
         }
         best[1] = std::min(best[1], (now() - start) / slice);
         start = now();
         reader.Evaluate(method, events.data(), n, block.data());
         best[2] = std::min(best[2], (now() - start) / static_cast<double>(n));
      }
   }
   double difference = 0;
   for (std::size_t i = 0; i < n; ++i) {
      std::copy_n(&events[i * variables], variables, event.begin());
      const double right = (*plain)(event);
      difference = std::max({difference, std::abs(right - reader.EvaluateMVA(method)),
                             std::abs(right - static_cast<double>(block[i]))});
   }
   std::printf("%g %g %g %g\n", difference, 1 / best[0], 1 / best[1], 1 / best[2]);
   return 0;
}
