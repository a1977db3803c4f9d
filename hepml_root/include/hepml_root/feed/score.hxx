// The scores of a model as a column of RDataFrame, computed ahead in blocks.
//
// RDataFrame asks for one event at a time, which keeps a network from using the processor's vector registers
// across events, and lets its weights and the loop's own data drive each other out of the cache. When the
// inputs are plain branches of a tree in a local file, this column therefore reads the next entries itself,
// in bulk, scores them together and hands the scores out one by one. The loop then does not read the inputs
// at all. Other inputs (Defines, friends, varied columns, remote files) are read from the loop, event by
// event.
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
   std::vector<std::string> columns; ///< read for each event
   std::vector<Type> types;
   std::vector<std::size_t> inputs; ///< number of values of each input tensor
   std::vector<int> sources;     ///< of each value of all inputs: the column it comes from, or -1: a constant
   std::vector<float> constants; ///< of each value
   std::vector<std::size_t> outputs; ///< number of values of each output tensor
};

/// The tables of the trees that the slots of a column are in. Each holds its file open, so that those that
/// all slots have left are given up: a chain may have more files than a process may open.
class TableCache {
public:
   std::shared_ptr<const Table> find(TTree& tree, const std::vector<std::string>& columns) {
      const std::lock_guard<std::mutex> lock(fMutex);
      // A file may be replaced by another of its name while a loop has it open, and may have several trees of
      // one name: the file's own number and the place of the first values tell them apart.
      const TFile& file = *tree.GetCurrentFile();
      TBranch* const branch = columns.empty() ? nullptr : tree.GetBranch(columns[0].c_str());
      const Long64_t place = branch ? branch->GetBasketSeek(0) : 0;
      const std::string key = std::string(file.GetName()) + ':' + tree.GetName() + ':' +
                              file.GetUUID().AsString() + ':' + std::to_string(place) + ':' +
                              std::to_string(tree.GetEntries());
      std::shared_ptr<const Table> table = fTables[key].lock();
      if (!table) {
         std::vector<ColumnPlace> places;
         for (const std::string& column : columns)
            places.push_back({column.c_str(), column.c_str(), 0});
         table = std::make_shared<TreeTable>(tree, places.data(), places.size());
         fTables[key] = table;
      }
      return table;
   }

private:
   std::mutex fMutex;
   std::map<std::string, std::weak_ptr<const Table>> fTables;
};

/// Scores of rows of column values.
class Scorer {
public:
   explicit Scorer(std::shared_ptr<const ScoreModel> model) : fModel(std::move(model)) {
      for (const std::size_t size : fModel->outputs)
         fValues += size;
      // Where the columns are the one input as they are, nothing is moved.
      fDirect = fModel->inputs.size() == 1 && fModel->sources.size() == fModel->columns.size();
      for (std::size_t i = 0; fDirect && i < fModel->sources.size(); ++i)
         fDirect = fModel->sources[i] == static_cast<int>(i);
      fInputs.resize(fModel->inputs.size());
      fOutputs.resize(fModel->outputs.size());
   }

   /// Number of values of one event.
   std::size_t values() const { return fValues; }

   /// Room for the column values of so many events, to be filled before score() is called.
   float* rows(std::size_t events) {
      fRows.resize(events * fModel->columns.size());
      return fRows.data();
   }

   /// Score the rows; value `v` of event `e` is then at(e, v).
   void score(std::size_t events) {
      std::vector<const float*>& inputs = fInputPlaces;
      inputs.clear();
      const int* source = fModel->sources.data();
      const float* constant = fModel->constants.data();
      const std::size_t width = fModel->columns.size();
      for (std::size_t i = 0; i < fInputs.size(); ++i) {
         const std::size_t size = fModel->inputs[i];
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
   std::vector<std::vector<float>> fInputs, fOutputs;
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
                     model->columns, variation),
         fModel(std::move(model)), fTables(std::move(tables)) {
      // A varied column has other values than its branch.
      fPlain = variation == "nominal";
      for (const std::string& column : fModel->columns)
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
      for (std::size_t i = 0; i < fModel->columns.size(); ++i) {
         const std::string& column = fModel->columns[i];
         const std::type_info& type =
             visit(fModel->types[i], [](auto value) -> const std::type_info& { return typeid(value); });
         slot.columns.push_back(ROOT::Internal::RDF::GetColumnReader(
             number, fColRegister.GetReader(number, column, fVariation, type), *fLoopManager, reader, column,
             type));
      }
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
         if (slot.filler) {
            const auto local = static_cast<std::uint64_t>(tree->GetReadEntry());
            if (local < slot.first || local >= slot.last)
               look_ahead(slot, local);
            ++slot.used;
            give(slot, local - slot.first);
            slot.entry = entry;
            return;
         }
      }
      float* const row = slot.scorer.rows(1);
      for (std::size_t i = 0; i < slot.columns.size(); ++i)
         visit(fModel->types[i], [&](auto value) {
            const auto* place = slot.columns[i]->template TryGet<decltype(value)>(entry);
            if (!place)
               throw std::out_of_range("hepml_root: column '" + fModel->columns[i] +
                                       "' has no value for entry " + std::to_string(entry));
            row[i] = static_cast<float>(*place);
         });
      slot.scorer.score(1);
      give(slot, 0);
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
   static constexpr std::size_t least_ahead = 16, most_ahead = 1024;

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
   };

   static void give(Slot& slot, std::size_t event) {
      if (slot.scorer.values() == 1)
         slot.value = slot.scorer.at(event);
      else
         slot.scorer.copy(event, slot.vector.data());
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
         auto table = fTables->find(*tree, fModel->columns);
         if (table != slot.table || !slot.filler) {
            Program program;
            for (std::size_t i = 0; i < fModel->columns.size(); ++i)
               program.matrix.push_back(static_cast<int>(i));
            slot.filler = std::make_unique<Filler>(table, std::move(program));
            slot.table = std::move(table);
         }
      } catch (const std::runtime_error&) {
         // Not stored plainly, or not readable: the loop's own reading handles it, or reports what is wrong.
         slot.filler.reset();
      }
   }

   /// Score the entries from `local` on: more at a time as long as all are asked for, fewer after a
   /// selection.
   void look_ahead(Slot& slot, std::uint64_t local) {
      const std::size_t before = slot.last - slot.first;
      if (slot.used == before)
         slot.ahead = std::min(most_ahead, slot.ahead * 2);
      else if (4 * slot.used < before)
         slot.ahead = std::max(least_ahead, slot.ahead / 2);
      const std::size_t count = std::min<std::uint64_t>(slot.ahead, slot.table->entries() - local);
      // A single event is computed by other code, which rounds otherwise: score it twice.
      const std::size_t events = std::max<std::size_t>(count, 2);
      float* const rows = slot.scorer.rows(events);
      slot.filler->fill(local, local + count, count, {rows, nullptr, nullptr, nullptr});
      if (count == 1)
         std::copy_n(rows, fModel->columns.size(), rows + fModel->columns.size());
      slot.scorer.score(events);
      slot.first = local;
      slot.last = local + count;
      slot.used = 0;
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
      for (std::string& column : model.columns)
         column = std::string(fColRegister.ResolveAlias(column));
      fColRegister.AddDefine(std::make_shared<ScoreColumn>(
          name, std::make_shared<const ScoreModel>(std::move(model)), std::make_shared<TableCache>(),
          fColRegister, *fLoopManager, "nominal"));
   }
};

} // namespace hepml_root::feed

#endif
