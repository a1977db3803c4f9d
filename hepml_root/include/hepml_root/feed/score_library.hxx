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
   const int* inputs;
   std::size_t input_count;
   const int* sources;
   const float* constants;
   std::size_t value_count;
   const int* outputs;
   std::size_t output_count;
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
      model.inputs.assign(place->inputs, place->inputs + place->input_count);
      model.sources.assign(place->sources, place->sources + place->value_count);
      model.constants.assign(place->constants, place->constants + place->value_count);
      model.outputs.assign(place->outputs, place->outputs + place->output_count);
      *static_cast<ROOT::RDF::RNode*>(scored) =
          ScoredNode(*static_cast<ROOT::RDF::RNode*>(node), name, std::move(model));
      return 0;
   });
}

#endif
