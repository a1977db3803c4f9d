// The loops of inference_root.py, compiled: what they take is RDataFrame's own time, and the network's.
#include <ROOT/RDataFrame.hxx>

#include <string>
#include <utility>

namespace {

constexpr std::size_t columns = 28;
using Infer = void (*)(const float* const*, std::size_t, float* const*);
using Node = ROOT::RDF::RNode;
template <std::size_t> using Float = float;

template <std::size_t... I> std::vector<std::string> names(std::index_sequence<I...>) {
   return {("x" + std::to_string(I))...};
}

template <std::size_t... I> double read(Node node, std::index_sequence<I...> all) {
   double sum = 0;
   node.Foreach([&sum](Float<I>... x) { sum += (x + ...); }, names(all));
   return sum;
}

template <std::size_t... I> double read_and_score(Node node, std::index_sequence<I...> all) {
   double sum = 0;
   auto read = names(all);
   read.push_back("score");
   node.Foreach([&sum](Float<I>... x, float score) { sum += (x + ...) + score; }, read);
   return sum;
}

template <std::size_t... I> Node by_hand(Node node, Infer infer, std::index_sequence<I...> all) {
   return node.Define(
       "score",
       [infer](Float<I>... x) {
          const float row[] = {x...};
          const float* const inputs[] = {row};
          float score;
          float* const outputs[] = {&score};
          infer(inputs, 1, outputs);
          return score;
       },
       names(all));
}

constexpr auto all = std::make_index_sequence<columns>{};

double sum(Node node) {
   double sum = 0;
   node.Foreach([&sum](float score) { sum += score; }, {"score"});
   return sum;
}

} // namespace

extern "C" {

double loop_read(void* node) { return read(*static_cast<Node*>(node), all); }
double loop_score(void* node) { return sum(*static_cast<Node*>(node)); }
double loop_read_and_score(void* node) { return read_and_score(*static_cast<Node*>(node), all); }
double loop_by_hand(void* node, Infer infer) { return sum(by_hand(*static_cast<Node*>(node), infer, all)); }
}
