// Expressions of a tree as TMVA reads them: ROOT's formulas, event by event, for ROOT's interpreter.
#ifndef HEPML_ROOT_TMVA_FORMULAS_HXX
#define HEPML_ROOT_TMVA_FORMULAS_HXX

#include <TTree.h>
#include <TTreeFormula.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace hepml_root::tmva {

// The events that pass the cut: values row by row, and what was counted on the way.
struct FormulaEvents {
   std::vector<float> values;
   std::vector<double> weights;
   long long entries = 0;
   long long before_cut = 0;
   double weight_before_cut = 0;
   // Events that pass the cut where an expression is NaN or infinite; the last entry is that of the weight,
   // before it that of the cut itself.
   std::vector<long long> not_finite;
};

// One expression; `length` numbers of each event, or one for each element where it is 0.
class Formula {
public:
   Formula(TTree& tree, const std::string& expression, int length = 0)
       : formula_("hepml_formula", expression.c_str(), &tree), expression_(expression), length_(length) {
      if (formula_.GetNdim() <= 0 || formula_.IsString())
         throw std::runtime_error("bad expression: " + expression);
      formula_.SetQuickLoad(true);
   }

   int length() const { return length_; }
   int width() const { return std::max(length_, 1); }

   void tree_changed() { formula_.UpdateFormulaLeaves(); }

   // How many elements this entry has; must be asked for before values are.
   int elements() {
      elements_ = formula_.GetNdata();
      if (elements_ > 1)
         formula_.EvalInstance(0); // only the first element loads the branches of this entry
      return elements_;
   }

   double value(int element) { return formula_.EvalInstance(elements_ == 1 ? 0 : element); }

   void require(long long entry) {
      if (length_ > 0 && elements_ < length_)
         throw std::runtime_error("the array " + expression_ + " has " + std::to_string(elements_) +
                                  " elements in entry " + std::to_string(entry) + "; " +
                                  std::to_string(length_) + " were declared");
   }

   const std::string& expression() const { return expression_; }

private:
   TTreeFormula formula_;
   std::string expression_;
   int length_;
   int elements_ = 1;
};

// An entry whose expressions are arrays gives an event for each element, as in TMVA; all arrays of an entry
// must then be equally long. Expressions with a length are arrays of one event.
inline FormulaEvents evaluate_formulas(TTree& tree, const std::vector<std::string>& expressions,
                                       const std::vector<int>& lengths, const std::string& cut,
                                       const std::string& weight) {
   FormulaEvents events;
   events.entries = tree.GetEntries();
   events.not_finite.assign(expressions.size() + 2, 0);
   if (events.entries == 0 || tree.LoadTree(0) < 0)
      return events;

   std::vector<std::unique_ptr<Formula>> formulas;
   for (std::size_t i = 0; i < expressions.size(); ++i)
      formulas.push_back(std::make_unique<Formula>(tree, expressions[i], lengths[i]));
   std::unique_ptr<Formula> cut_formula, weight_formula;
   if (!cut.empty())
      cut_formula = std::make_unique<Formula>(tree, cut);
   if (!weight.empty())
      weight_formula = std::make_unique<Formula>(tree, weight);

   std::vector<Formula*> all;
   for (auto& formula : formulas)
      all.push_back(formula.get());
   for (auto* formula : {cut_formula.get(), weight_formula.get()})
      if (formula)
         all.push_back(formula);

   std::vector<float> row;
   std::vector<std::size_t> bad;
   int current = tree.GetTreeNumber();
   for (long long entry = 0; entry < events.entries; ++entry) {
      if (tree.LoadTree(entry) < 0)
         throw std::runtime_error("entry " + std::to_string(entry) + " cannot be read");
      if (tree.GetTreeNumber() != current) {
         current = tree.GetTreeNumber();
         for (auto* formula : all)
            formula->tree_changed();
      }
      int elements = 1;
      bool array = false;
      const Formula* longest = nullptr;
      for (auto* formula : all) {
         const int found = formula->elements();
         formula->require(entry);
         if (formula->length() > 0 || found == 1)
            continue;
         if (array && found != elements)
            throw std::runtime_error("arrays of different length in entry " + std::to_string(entry) + ": " +
                                     longest->expression() + " has " + std::to_string(elements) +
                                     " elements, " + formula->expression() + " has " + std::to_string(found));
         array = true;
         elements = found;
         longest = formula;
      }
      for (int element = 0; element < elements; ++element) {
         const double passes = cut_formula ? cut_formula->value(element) : 1.;
         const double event_weight = weight_formula ? weight_formula->value(element) : 1.;
         ++events.before_cut;
         if (!std::isnan(event_weight))
            events.weight_before_cut += event_weight;
         if (passes < 0.5)
            continue;
         row.clear();
         bad.clear();
         for (std::size_t i = 0; i < formulas.size(); ++i) {
            const bool one = formulas[i]->length() == 0;
            bool finite = true;
            for (int part = 0; part < formulas[i]->width(); ++part) {
               row.push_back(static_cast<float>(formulas[i]->value(one ? element : part)));
               finite = finite && std::isfinite(row.back());
            }
            if (!finite)
               bad.push_back(i);
         }
         if (!std::isfinite(passes))
            bad.push_back(expressions.size());
         if (!std::isfinite(event_weight))
            bad.push_back(expressions.size() + 1);
         for (auto place : bad)
            ++events.not_finite[place];
         if (!bad.empty())
            continue;
         events.values.insert(events.values.end(), row.begin(), row.end());
         events.weights.push_back(event_weight);
      }
   }
   return events;
}

} // namespace hepml_root::tmva

#endif
