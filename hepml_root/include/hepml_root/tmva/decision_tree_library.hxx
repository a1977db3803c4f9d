// Growing a tree, and the leaf of each event, as C functions for Python.
#ifndef HEPML_ROOT_TMVA_DECISION_TREE_LIBRARY_HXX
#define HEPML_ROOT_TMVA_DECISION_TREE_LIBRARY_HXX

// The function itself is kept in the library, for the interpreter to call.
#ifndef HEPML_ROOT_TMVA_FUNCTION
#define HEPML_ROOT_TMVA_FUNCTION __attribute__((used))
#endif

#include "decision_tree.hxx"

extern "C" {

/// Returns the number of nodes; of more than there is room for, minus that number.
HEPML_ROOT_TMVA_FUNCTION inline int
hepml_grow_tree(const float* variables, std::int64_t events, int columns, const std::uint8_t* whole,
                const double* weights, const std::uint8_t* signal, const double* targets,
                const std::int32_t* rows, std::int64_t count, const double* numbers, std::uint64_t seed,
                int room, std::int32_t* integers, double* reals, double* importance, std::int32_t* leaves) {
   using namespace hepml_root::tmva;
   const Settings settings{static_cast<int>(numbers[0]), numbers[1], static_cast<int>(numbers[2]),
                           static_cast<int>(numbers[3]), numbers[4], static_cast<int>(numbers[5]),
                           static_cast<int>(numbers[6]), seed,       static_cast<int>(numbers[7])};
   Grower grower({variables, weights, signal, targets, whole, columns}, settings, importance);
   const std::vector<Node> nodes = grower.grow(rows, count);
   const int size = static_cast<int>(nodes.size());
   if (size > room)
      return -size;
   for (int i = 0; i < size; ++i) {
      const Node& node = nodes[i];
      const std::int32_t values[] = {node.variable, node.left, node.right, node.kind, node.right_if_above};
      std::copy(values, values + 5, integers + 5 * i);
      reals[3 * i] = node.cut;
      reals[3 * i + 1] = node.purity;
      reals[3 * i + 2] = node.response;
   }
   for (std::int64_t i = 0; i < events; ++i) {
      const float* x = variables + i * columns;
      int place = 0;
      while (nodes[place].left >= 0) {
         const Node& node = nodes[place];
         place = (x[node.variable] >= node.cut) == node.right_if_above ? node.right : node.left;
      }
      leaves[i] = place;
   }
   return size;
}
}

#endif
