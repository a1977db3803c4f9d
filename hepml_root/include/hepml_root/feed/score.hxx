// The scores of a model as a column of RDataFrame, computed ahead in blocks.
//
// RDataFrame asks for one event at a time, which keeps a network from using the processor's vector registers
// across events, and lets its weights and the loop's own data drive each other out of the cache. When the
// inputs are branches of a tree in a local file, or made of such, this column therefore reads the next
// entries itself, in bulk, scores them together and hands the scores out one by one. The loop then does not
// read the inputs at all. Other inputs (Defines, friends, varied columns, remote files) are read from the
// loop, event by event.
#ifndef HEPML_ROOT_FEED_SCORE_HXX
#define HEPML_ROOT_FEED_SCORE_HXX

#include "tree.hxx"

#include <ROOT/RDF/ColumnReaderUtils.hxx>
#include <ROOT/RDF/RDefineBase.hxx>
#include <ROOT/RDF/RInterface.hxx>
#include <ROOT/RTTreeDS.hxx>
#include <ROOT/RVec.hxx>
#include <TTreeReader.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>

namespace hepml_root::feed {

/// What a model takes and gives.
struct ScoreModel {
   using Infer = void (*)(const float* const* inputs, std::size_t events, float* const* outputs);
   Infer infer;
   std::vector<std::string> columns; ///< branches with one value per event
   std::vector<Type> types;
   std::vector<std::string> lists;  ///< branches with many values per event
   std::vector<Kernel> kernels;     ///< expressions of the columns
   std::vector<int> matrix;         ///< the columns, or kernels after them, that are values of inputs
   std::vector<Group> groups;       ///< what makes the tensors of jagged inputs
   std::vector<std::size_t> inputs; ///< number of values of each input tensor
   std::vector<int> tensors; ///< of each input: the tensor of all groups that it is, or -1: it has values
   std::vector<int> sources; ///< of each value: the place in `matrix` that it comes from, or -1: a constant
   std::vector<float> constants;     ///< of each value
   std::vector<std::size_t> outputs; ///< number of values of each output tensor
   /// The column with the same scores, computed event by event, that is read where events cannot be scored
   /// ahead; empty where the inputs are the columns as they are.
   std::string by_event;

   /// What the column is made of, to RDataFrame.
   std::vector<std::string> needs() const {
      return by_event.empty() ? columns : std::vector<std::string>{by_event};
   }
};

/// The tables of the trees that the slots of a column are in. Each holds its file open, so that those that
/// all slots have left are given up: a chain may have more files than a process may open.
class TableCache {
public:
   std::shared_ptr<const Table> find(TTree& tree, const std::vector<std::string>& columns,
                                     const std::vector<std::string>& lists) {
      const std::lock_guard<std::mutex> lock(fMutex);
      // A file may be replaced by another of its name while a loop has it open, and may have several trees of
      // one name: the file's own number and the place of the first values tell them apart.
      const TFile& file = *tree.GetCurrentFile();
      const std::vector<std::string>& some = columns.empty() ? lists : columns;
      TBranch* const branch = some.empty() ? nullptr : tree.GetBranch(some[0].c_str());
      const Long64_t place = branch ? branch->GetBasketSeek(0) : 0;
      const std::string key = std::string(file.GetName()) + ':' + tree.GetName() + ':' +
                              file.GetUUID().AsString() + ':' + std::to_string(place) + ':' +
                              std::to_string(tree.GetEntries());
      std::shared_ptr<const Table> table = fTables[key].lock();
      if (!table) {
         std::vector<ColumnPlace> places;
         for (const std::string& column : columns)
            places.push_back({column.c_str(), column.c_str(), 0});
         table = std::make_shared<TreeTable>(tree, places.data(), places.size(), lists);
         fTables[key] = table;
      }
      return table;
   }

private:
   std::mutex fMutex;
   std::map<std::string, std::weak_ptr<const Table>> fTables;
};

/// Scores of rows of column values and tensors.
class Scorer {
public:
   explicit Scorer(std::shared_ptr<const ScoreModel> model) : fModel(std::move(model)) {
      for (const std::size_t size : fModel->outputs)
         fValues += size;
      for (const Group& group : fModel->groups)
         for (std::size_t i = 0; i < group.representation->outputs(); ++i)
            fTensorSizes.push_back(group.representation->size(i));
      fTensors.resize(fTensorSizes.size());
      // Where the columns are the one input as they are, nothing is moved.
      fDirect = fModel->inputs.size() == 1 && fModel->tensors[0] < 0 &&
                fModel->sources.size() == fModel->matrix.size();
      for (std::size_t i = 0; fDirect && i < fModel->sources.size(); ++i)
         fDirect = fModel->sources[i] == static_cast<int>(i);
      fInputs.resize(fModel->inputs.size());
      fOutputs.resize(fModel->outputs.size());
   }

   /// Number of values of one event.
   std::size_t values() const { return fValues; }

   /// Floats that one event takes before it is scored.
   std::size_t floats() const {
      std::size_t sum = fModel->matrix.size();
      for (const std::size_t size : fTensorSizes)
         sum += size;
      return sum;
   }

   /// Room for so many events, to be filled before score() is called.
   RowPlaces rows(std::size_t events) {
      fRows.resize(events * fModel->matrix.size());
      fTensorPlaces.clear();
      for (std::size_t i = 0; i < fTensors.size(); ++i) {
         fTensors[i].resize(events * fTensorSizes[i]);
         fTensorPlaces.push_back(fTensors[i].data());
      }
      return {fRows.data(), nullptr, fTensorPlaces.data(), nullptr};
   }

   /// Make the second event the same as the first.
   void repeat_first() {
      std::copy_n(fRows.data(), fModel->matrix.size(), fRows.data() + fModel->matrix.size());
      for (std::size_t i = 0; i < fTensors.size(); ++i)
         std::copy_n(fTensors[i].data(), fTensorSizes[i], fTensors[i].data() + fTensorSizes[i]);
   }

   /// Score the rows; value `v` of event `e` is then at(e, v).
   void score(std::size_t events) {
      std::vector<const float*>& inputs = fInputPlaces;
      inputs.clear();
      const int* source = fModel->sources.data();
      const float* constant = fModel->constants.data();
      const std::size_t width = fModel->matrix.size();
      for (std::size_t i = 0; i < fInputs.size(); ++i) {
         const std::size_t size = fModel->inputs[i];
         if (fModel->tensors[i] >= 0) {
            inputs.push_back(fTensors[fModel->tensors[i]].data());
            continue;
         }
         if (!fDirect) {
            fInputs[i].resize(events * size);
            for (std::size_t v = 0; v < size; ++v)
               for (std::size_t e = 0; e < events; ++e)
                  fInputs[i][e * size + v] = source[v] < 0 ? constant[v] : fRows[e * width + source[v]];
         }
         inputs.push_back(fDirect ? fRows.data() : fInputs[i].data());
         source += size;
         constant += size;
      }
      fOutputPlaces.clear();
      for (std::size_t i = 0; i < fOutputs.size(); ++i) {
         fOutputs[i].resize(events * fModel->outputs[i]);
         fOutputPlaces.push_back(fOutputs[i].data());
      }
      fModel->infer(inputs.data(), events, fOutputPlaces.data());
   }

   float at(std::size_t event) const { return fOutputs[0][event]; }

   void copy(std::size_t event, float* to) const {
      for (std::size_t i = 0; i < fOutputs.size(); ++i) {
         const std::size_t size = fModel->outputs[i];
         std::copy_n(fOutputs[i].data() + event * size, size, to);
         to += size;
      }
   }

private:
   std::shared_ptr<const ScoreModel> fModel;
   std::size_t fValues = 0;
   bool fDirect = false;
   std::vector<float> fRows;
   std::vector<std::size_t> fTensorSizes;
   std::vector<std::vector<float>> fTensors, fInputs, fOutputs;
   std::vector<void*> fTensorPlaces;
   std::vector<const float*> fInputPlaces;
   std::vector<float*> fOutputPlaces;
};

class ScoreColumn final : public ROOT::Detail::RDF::RDefineBase {
   using Register = ROOT::Internal::RDF::RColumnRegister;
   using LoopManager = ROOT::Detail::RDF::RLoopManager;

public:
   ScoreColumn(const std::string& name, std::shared_ptr<const ScoreModel> model,
               std::shared_ptr<TableCache> tables, const Register& columns, LoopManager& loop,
               const std::string& variation)
       : RDefineBase(name, Scorer(model).values() == 1 ? "float" : "ROOT::VecOps::RVec<float>", columns, loop,
                     model->needs(), variation),
         fModel(std::move(model)), fTables(std::move(tables)) {
      // A varied column has other values than its branch.
      fPlain = variation == "nominal";
      for (const auto* names : {&fModel->columns, &fModel->lists})
         for (const std::string& column : *names)
            fPlain = fPlain && !fColRegister.IsDefine(column);
      for (unsigned int i = 0; i < loop.GetNSlots(); ++i)
         fSlots.push_back(std::make_unique<Slot>(fModel));
      fLoopManager->Register(this);
   }
   ScoreColumn(const ScoreColumn&) = delete;
   ScoreColumn& operator=(const ScoreColumn&) = delete;
   ~ScoreColumn() override { fLoopManager->Deregister(this); }

   void InitSlot(TTreeReader* reader, unsigned int number) override {
      Slot& slot = *fSlots[number];
      // Where each thread has a reader of its own, it is given; else the data source has the one tree.
      auto* const source = dynamic_cast<ROOT::Internal::RDF::RTTreeDS*>(fLoopManager->GetDataSource());
      slot.chain = reader ? reader->GetTree() : source ? source->GetTree() : nullptr;
      slot.tree = nullptr;
      slot.columns.clear();
      const auto add = [&](const std::string& column, const std::type_info& type) {
         slot.columns.push_back(ROOT::Internal::RDF::GetColumnReader(
             number, fColRegister.GetReader(number, column, fVariation, type), *fLoopManager, reader, column,
             type));
      };
      if (!fModel->by_event.empty())
         add(fModel->by_event, GetTypeId());
      else
         for (std::size_t i = 0; i < fModel->columns.size(); ++i)
            add(fModel->columns[i],
                visit(fModel->types[i], [](auto value) -> const std::type_info& { return typeid(value); }));
      slot.entry = -1;
   }

   void* GetValuePtr(unsigned int number) override {
      Slot& slot = *fSlots[number];
      return slot.scorer.values() == 1 ? static_cast<void*>(&slot.value) : &slot.vector;
   }

   const std::type_info& GetTypeId() const override {
      return fSlots[0]->scorer.values() == 1 ? typeid(float) : typeid(ROOT::RVecF);
   }

   void Update(unsigned int number, Long64_t entry) override {
      Slot& slot = *fSlots[number];
      if (entry == slot.entry)
         return;
      if (fPlain && slot.chain) {
         TTree* const tree = slot.chain->GetTree();
         const int tree_number = slot.chain->GetTreeNumber();
         if (tree != slot.tree || tree_number != slot.tree_number)
            enter(slot, tree, tree_number);
         if (slot.filler && scored_ahead(slot, static_cast<std::uint64_t>(tree->GetReadEntry()))) {
            slot.entry = entry;
            return;
         }
      }
      if (fModel->by_event.empty())
         score_event(slot, entry);
      else if (slot.scorer.values() == 1)
         slot.value = read<float>(slot, 0, entry);
      else
         slot.vector = read<ROOT::RVecF>(slot, 0, entry);
      slot.entry = entry;
   }

   void Update(unsigned int, const ROOT::RDF::RSampleInfo&) override {}

   void FinalizeSlot(unsigned int number) override {
      Slot& slot = *fSlots[number];
      slot.columns.clear();
      slot.chain = nullptr;
      for (auto& varied : fVaried)
         varied.second->FinalizeSlot(number);
   }

   void MakeVariations(const std::vector<std::string>& variations) override {
      for (const std::string& variation : variations) {
         const bool depends =
             std::find(fVariationDeps.begin(), fVariationDeps.end(), variation) != fVariationDeps.end();
         if (depends && fVaried.find(variation) == fVaried.end())
            fVaried[variation] =
                std::make_unique<ScoreColumn>(fName, fModel, fTables, fColRegister, *fLoopManager, variation);
      }
   }

   RDefineBase& GetVariedDefine(const std::string& variation) override {
      const auto found = fVaried.find(variation);
      return found == fVaried.end() ? static_cast<RDefineBase&>(*this) : *found->second;
   }

private:
   static constexpr std::size_t least_ahead = 16, most_ahead = 1024, most_floats = 1 << 18;

   /// What one thread of the loop has at hand.
   struct alignas(64) Slot {
      explicit Slot(std::shared_ptr<const ScoreModel> model)
          : scorer(std::move(model)), vector(scorer.values()) {}
      Scorer scorer;
      float value = 0;
      ROOT::RVecF vector;
      Long64_t entry = -1;
      TTree* chain = nullptr; ///< what the loop reads, if it is a tree or chain
      std::vector<ROOT::Detail::RDF::RColumnReaderBase*> columns;
      TTree* tree = nullptr; ///< that the following are of
      int tree_number = -1;
      std::shared_ptr<const Table> table;
      std::unique_ptr<Filler> filler;    ///< null: event by event
      std::uint64_t first = 0, last = 0; ///< entries that are scored
      std::size_t used = 0, ahead = least_ahead;
      std::uint64_t next = 0; ///< the entry after the one before
      std::size_t in_a_row = 0;
      bool sparse = false; ///< few of the entries that were scored were asked for
   };

   static void give(Slot& slot, std::size_t event) {
      if (slot.scorer.values() == 1)
         slot.value = slot.scorer.at(event);
      else
         slot.scorer.copy(event, slot.vector.data());
   }

   template <typename T> const T& read(Slot& slot, std::size_t column, Long64_t entry) const {
      const auto* place = slot.columns[column]->template TryGet<T>(entry);
      if (!place)
         throw std::out_of_range("hepml_root: column '" + fModel->needs()[column] +
                                 "' has no value for entry " + std::to_string(entry));
      return *place;
   }

   void score_event(Slot& slot, Long64_t entry) {
      float* const row = slot.scorer.rows(1).matrix;
      for (std::size_t i = 0; i < slot.columns.size(); ++i)
         visit(fModel->types[i],
               [&](auto value) { row[i] = static_cast<float>(read<decltype(value)>(slot, i, entry)); });
      slot.scorer.score(1);
      give(slot, 0);
   }

   /// Give the score of an entry of the tree if it was, or can be, scored with the entries after it.
   bool scored_ahead(Slot& slot, std::uint64_t local) {
      slot.in_a_row = local == slot.next ? slot.in_a_row + 1 : 0;
      slot.next = local + 1;
      if ((local < slot.first || local >= slot.last) && !look_ahead(slot, local))
         return false;
      ++slot.used;
      give(slot, local - slot.first);
      return true;
   }

   /// Open the tree's file for reading ahead, where that can be done.
   void enter(Slot& slot, TTree* tree, int number) {
      slot.tree = tree;
      slot.tree_number = number;
      slot.first = slot.last = 0;
      TFile* const file = tree->GetCurrentFile();
      if (!file || file->IsWritable() || file->IsA() != TFile::Class() || file->GetArchive()) {
         slot.filler.reset();
         return;
      }
      try {
         auto table = fTables->find(*tree, fModel->columns, fModel->lists);
         if (!fModel->kernels.empty() && table->types() != fModel->types)
            throw NotPlain("the expressions are compiled for other types");
         if (table != slot.table || !slot.filler) {
            Program program;
            program.kernels = fModel->kernels;
            program.matrix = fModel->matrix;
            program.groups = fModel->groups;
            slot.filler = std::make_unique<Filler>(table, std::move(program));
            slot.table = std::move(table);
         }
      } catch (const std::runtime_error&) {
         // Not stored plainly, or not readable: the loop's own reading handles it, or reports what is wrong.
         slot.filler.reset();
      }
   }

   /// Score the entries from `local` on: more at a time as long as all are asked for, fewer after a
   /// selection. False if that does not pay or cannot be done.
   bool look_ahead(Slot& slot, std::uint64_t local) {
      if (slot.sparse && slot.in_a_row < least_ahead)
         return false;
      slot.sparse = false;
      const bool other_way = !fModel->by_event.empty();
      const std::size_t before = slot.last - slot.first;
      if (slot.used == before)
         slot.ahead = std::min(most(slot), slot.ahead * 2);
      else if (4 * slot.used < before)
         slot.ahead = std::max(least_ahead, slot.ahead / 2);
      // Few events of a selection: what their inputs are made of may take longer than the network.
      slot.sparse = other_way && slot.ahead == least_ahead && 8 * slot.used < before;
      const std::size_t count = std::min<std::uint64_t>(slot.ahead, slot.table->entries() - local);
      // A single event is computed by other code, which rounds otherwise: score it twice.
      const std::size_t events = std::max<std::size_t>(count, 2);
      slot.first = slot.last = 0;
      slot.used = 0;
      if (slot.sparse) {
         slot.in_a_row = 0;
         return false;
      }
      try {
         slot.filler->fill(local, local + count, count, slot.scorer.rows(events));
      } catch (const std::exception&) {
         // Something is wrong with an event which the loop may never ask for; if it does, it will be told.
         if (!other_way)
            throw;
         return false;
      }
      if (count == 1)
         slot.scorer.repeat_first();
      slot.scorer.score(events);
      slot.first = local;
      slot.last = local + count;
      return true;
   }

   /// Events that are scored together at most: their inputs stay in the cache.
   static std::size_t most(const Slot& slot) {
      return std::clamp(most_floats / std::max<std::size_t>(slot.scorer.floats(), 1), least_ahead,
                        most_ahead);
   }

   std::shared_ptr<const ScoreModel> fModel;
   std::shared_ptr<TableCache> fTables;
   bool fPlain = false;
   std::vector<std::unique_ptr<Slot>> fSlots;
   std::unordered_map<std::string, std::unique_ptr<RDefineBase>> fVaried;
};

/// A node with one more column; RInterface keeps what is needed for that from all but derived classes.
class ScoredNode : public ROOT::RDF::RNode {
public:
   ScoredNode(const ROOT::RDF::RNode& node, const std::string& name, ScoreModel model)
       : ROOT::RDF::RNode(node) {
      // RDataFrame's columns know nothing of aliases: neither where to read them, nor how they vary.
      for (auto* names : {&model.columns, &model.lists})
         for (std::string& column : *names)
            column = std::string(fColRegister.ResolveAlias(column));
      fColRegister.AddDefine(std::make_shared<ScoreColumn>(
          name, std::make_shared<const ScoreModel>(std::move(model)), std::make_shared<TableCache>(),
          fColRegister, *fLoopManager, "nominal"));
   }
};

} // namespace hepml_root::feed

#endif
