// The library that gives RDataFrame the scores of a model as a column.
#ifndef HEPML_ROOT_FEED_SCORE_LIBRARY_HXX
#define HEPML_ROOT_FEED_SCORE_LIBRARY_HXX

#include "guard.hxx"
#include "score.hxx"

namespace hepml_root::feed {

/// A model as Python describes it (inference/lookahead.py).
struct ScorePlace {
   ScoreModel::Infer infer;
   const char* const* columns;
   const int* types;
   std::size_t column_count;
   const char* const* lists;
   std::size_t list_count;
   const KernelPlace* kernels;
   std::size_t kernel_count;
   const int* matrix;
   std::size_t matrix_size;
   const GroupPlace* groups;
   std::size_t group_count;
   const int* inputs;
   const int* tensors;
   std::size_t input_count;
   const int* sources;
   const float* constants;
   std::size_t value_count;
   const int* outputs;
   std::size_t output_count;
   const char* by_event;
};

} // namespace hepml_root::feed

/// Define the column `name` on `node`; the result is assigned to `scored`, a node too.
extern "C" long long hepml_score_define(void* node, const char* name,
                                        const hepml_root::feed::ScorePlace* place, void* scored,
                                        char* message, std::size_t room) {
   using namespace hepml_root::feed;
   return guarded(message, room, [&] {
      ScoreModel model;
      model.infer = place->infer;
      model.columns.assign(place->columns, place->columns + place->column_count);
      for (std::size_t i = 0; i < place->column_count; ++i)
         model.types.push_back(static_cast<Type>(place->types[i]));
      model.lists.assign(place->lists, place->lists + place->list_count);
      for (std::size_t i = 0; i < place->kernel_count; ++i) {
         const KernelPlace& kernel = place->kernels[i];
         model.kernels.push_back(
             {kernel.run, {kernel.inputs, kernel.inputs + kernel.size}, static_cast<Type>(kernel.type)});
      }
      model.matrix.assign(place->matrix, place->matrix + place->matrix_size);
      for (std::size_t i = 0; i < place->group_count; ++i)
         model.groups.emplace_back(place->groups[i]);
      model.inputs.assign(place->inputs, place->inputs + place->input_count);
      model.tensors.assign(place->tensors, place->tensors + place->input_count);
      model.sources.assign(place->sources, place->sources + place->value_count);
      model.constants.assign(place->constants, place->constants + place->value_count);
      model.outputs.assign(place->outputs, place->outputs + place->output_count);
      model.by_event = place->by_event;
      *static_cast<ROOT::RDF::RNode*>(scored) =
          ScoredNode(*static_cast<ROOT::RDF::RNode*>(node), name, std::move(model));
      return 0;
   });
}

#endif
