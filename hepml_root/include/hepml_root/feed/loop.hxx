// RDataFrame's event loop as a source of rows: one action, compiled once, for any columns.
//
// The action asks for its columns by run-time type, as RDataFrame's Snapshot does, so that nothing has to be
// compiled per data set. Each slot fills its own block of rows; a full block goes into a bounded queue, from
// which Python takes it while the loop goes on in a thread of its own.
#ifndef HEPML_ROOT_FEED_LOOP_HXX
#define HEPML_ROOT_FEED_LOOP_HXX

#include "represent.hxx"
#include "types.hxx"

#include <ROOT/RDF/ColumnReaderUtils.hxx>
#include <ROOT/RDF/GraphNode.hxx>
#include <ROOT/RDF/RActionBase.hxx>
#include <ROOT/RDF/RLoopManager.hxx>
#include <ROOT/RDF/RMergeableValue.hxx>
#include <ROOT/RTTreeDS.hxx>
#include <ROOT/RVec.hxx>
#include <TError.h>
#include <TFile.h>
#include <TTree.h>
#include <TTreeReader.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace hepml_root::feed {

/// A column of the loop: its name, its C++ type as RDataFrame spells it, the type of its number(s).
struct LoopColumn {
   std::string name;
   std::string cpp_type;
   Type type = Type::float32;
};

struct LoopRequest {
   std::vector<LoopColumn> columns;
   std::vector<int> matrix;
   std::vector<int> exact;
   std::vector<Group> groups; ///< jagged columns that become tensors
   std::size_t block_rows = 0;
   std::size_t queue_blocks = 0;
   std::uint64_t limit = 0; ///< rows after which the loop ends
   bool places = false;     ///< note from which file and entry each row comes
};

/// Rows of one slot. `sample`, `range` and `entry` order the blocks of a multi-threaded loop.
struct Block {
   std::string sample;
   std::uint64_t range = 0;
   std::uint64_t entry = 0;
   std::size_t rows = 0;
   std::vector<float> matrix;
   std::vector<std::vector<std::uint64_t>> exact;
   std::vector<std::unique_ptr<unsigned char[]>> tensors; ///< of all groups, one after the other
   std::vector<std::vector<std::uint32_t>> losses;        ///< of each group, 3 numbers a row
   std::string file; ///< of all rows; noted, as the entries in it, where the request has `places`
   std::vector<std::uint64_t> entries;

   explicit Block(const LoopRequest& request)
       : matrix(request.block_rows * request.matrix.size()), exact(request.exact.size()) {
      for (auto& column : exact)
         column.resize(request.block_rows);
      for (const Group& group : request.groups) {
         for (std::size_t i = 0; i < group.masks.size(); ++i)
            tensors.emplace_back(new unsigned char[request.block_rows * group.row_bytes(i)]);
         losses.emplace_back(3 * request.block_rows);
      }
   }
};

/// Blocks on their way from the loop's threads to the one that takes them.
class BlockQueue {
public:
   explicit BlockQueue(std::size_t most) : fMost(most) {}

   void put(std::unique_ptr<Block> block) {
      std::unique_lock<std::mutex> lock(fMutex);
      fRoom.wait(lock, [this] { return fBlocks.size() < fMost || fCancelled; });
      if (!fCancelled)
         fBlocks.push_back(std::move(block));
      fNews.notify_all();
   }

   /// The next block; null if none came in time (`finished` is false) or none will come (true).
   std::unique_ptr<Block> take(int milliseconds, bool& finished) {
      std::unique_lock<std::mutex> lock(fMutex);
      fNews.wait_for(lock, std::chrono::milliseconds(milliseconds),
                     [this] { return !fBlocks.empty() || fFinished; });
      finished = fBlocks.empty() && fFinished;
      if (fBlocks.empty())
         return nullptr;
      auto block = std::move(fBlocks.front());
      fBlocks.pop_front();
      fRoom.notify_all();
      return block;
   }

   void finish() {
      const std::lock_guard<std::mutex> lock(fMutex);
      fFinished = true;
      fNews.notify_all();
   }

   void cancel() {
      const std::lock_guard<std::mutex> lock(fMutex);
      fCancelled = true;
      fRoom.notify_all();
   }

   bool cancelled() const { return fCancelled; }

private:
   const std::size_t fMost;
   std::mutex fMutex;
   std::condition_variable fRoom, fNews;
   std::deque<std::unique_ptr<Block>> fBlocks;
   bool fFinished = false;
   std::atomic<bool> fCancelled{false};
};

/// What ROOT reports while a loop runs. Where a basket is damaged, TTree prints an error and goes on with
/// whatever is in memory: the action has to know before it looks at a value.
class ReadErrors {
public:
   ReadErrors() {
      const std::lock_guard<std::mutex> lock(fMutex);
      if (fUsers++ == 0) {
         fText.clear();
         fSeen = false;
         fBefore = SetErrorHandler(handle);
      }
   }
   ReadErrors(const ReadErrors&) = delete;
   ReadErrors& operator=(const ReadErrors&) = delete;
   ~ReadErrors() {
      const std::lock_guard<std::mutex> lock(fMutex);
      if (--fUsers == 0)
         SetErrorHandler(fBefore);
   }

   static bool seen() { return fSeen.load(std::memory_order_relaxed); }
   static std::string text() {
      const std::lock_guard<std::mutex> lock(fMutex);
      return fText;
   }

private:
   static void handle(int level, Bool_t abort, const char* location, const char* message) {
      if (level < kError || level >= kFatal || !of_reading(location ? location : "")) {
         fBefore(level, abort, location, message);
         return;
      }
      const std::lock_guard<std::mutex> lock(fMutex);
      if (!fSeen)
         fText = std::string(location) + ": " + message;
      fSeen = true;
   }

   /// Whether a report comes from the classes that read; what others say is not about the loop.
   static bool of_reading(const std::string& location) {
      for (const char* start : {"TBasket", "TBranch", "TTree", "TChain", "TFile", "TKey", "TBuffer", "TLeaf",
                                "R__unzip", "TNetXNGFile", "TWebFile"})
         if (location.rfind(start, 0) == 0)
            return true;
      return false;
   }

   inline static std::mutex fMutex;
   inline static int fUsers = 0;
   inline static std::atomic<bool> fSeen{false};
   inline static std::string fText;
   inline static ErrorHandlerFunc_t fBefore = nullptr;
};

class RowAction final : public ROOT::Internal::RDF::RActionBase {
   using Node = ROOT::Detail::RDF::RNodeBase;
   using Register = ROOT::Internal::RDF::RColumnRegister;
   using Reader = ROOT::Detail::RDF::RColumnReaderBase;

public:
   RowAction(std::shared_ptr<Node> node, const Register& columns, const std::vector<std::string>& names,
             LoopRequest request, BlockQueue& queue)
       : RActionBase(node->GetLoopManagerUnchecked(), names, columns, {}), fNode(std::move(node)),
         fRequest(std::move(request)), fQueue(queue), fSlots(GetNSlots()) {
      for (Slot& slot : fSlots)
         for (const Group& group : fRequest.groups)
            slot.fillers.emplace_back(group);
      for (const LoopColumn& column : fRequest.columns)
         fTypes.push_back(&ROOT::Internal::RDF::TypeName2TypeID(column.cpp_type));
      fLoopManager->Register(this);
   }
   RowAction(const RowAction&) = delete;
   RowAction& operator=(const RowAction&) = delete;
   ~RowAction() final { fLoopManager->Deregister(this); }

   void Initialize() final {}

   void InitSlot(TTreeReader* reader, unsigned int slot) final {
      fSlots[slot].readers = ROOT::Internal::RDF::GetUntypedColumnReaders(
          slot, reader, GetColRegister(), *fLoopManager, GetColumnNames(), fTypes);
      if (fRequest.places) // one thread reads through the data source's own tree
         fSlots[slot].tree =
             reader ? reader->GetTree()
                    : dynamic_cast<ROOT::Internal::RDF::RTTreeDS&>(*fLoopManager->GetDataSource()).GetTree();
   }

   void Run(unsigned int slot, Long64_t entry) final {
      if (fDone || fQueue.cancelled()) {
         stop();
         return;
      }
      if (!fNode->CheckFilters(slot, entry))
         return;
      Slot& place = fSlots[slot];
      if (!place.block) {
         place.block = std::make_unique<Block>(fRequest);
         place.block->sample = place.sample;
         place.block->range = place.range;
         place.block->entry = entry;
      }
      fill(place, entry);
      if (fRequest.places)
         note(place);
      if (++place.block->rows == fRequest.block_rows)
         flush(place);
      if (fRequest.limit && ++fRows == fRequest.limit)
         fDone = true;
   }

   void FinalizeSlot(unsigned int slot) final {
      if (fSlots[slot].block)
         flush(fSlots[slot]);
      fSlots[slot].readers.clear();
   }

   void Finalize() final { SetHasRun(); }
   void TriggerChildrenCount() final { fNode->IncrChildrenCount(); }

   ROOT::RDF::SampleCallback_t GetSampleCallback() final {
      return [this](unsigned int slot, const ROOT::RDF::RSampleInfo& sample) {
         if (fSlots[slot].block)
            flush(fSlots[slot]);
         fSlots[slot].sample = sample.AsString();
         fSlots[slot].range = sample.EntryRange().first;
      };
   }

   std::shared_ptr<ROOT::Internal::RDF::GraphDrawing::GraphNode>
   GetGraph(std::unordered_map<void*, std::shared_ptr<ROOT::Internal::RDF::GraphDrawing::GraphNode>>& visited)
       final {
      using namespace ROOT::Internal::RDF::GraphDrawing;
      auto graph = std::make_shared<GraphNode>("Feed", visited.size(), ENodeType::kAction);
      graph->SetPrevNode(fNode->GetGraph(visited));
      return graph;
   }

   void* PartialUpdate(unsigned int) final { throw std::logic_error("the feed has no partial result"); }
   std::unique_ptr<ROOT::Detail::RDF::RMergeableValueBase> GetMergeableValue() const final {
      throw std::logic_error("the feed's rows are not merged by RDataFrame");
   }
   std::unique_ptr<RActionBase> MakeVariedAction(std::vector<void*>&&) final {
      throw std::logic_error("the feed reads nominal values only");
   }
   std::unique_ptr<RActionBase> CloneAction(void*) final {
      throw std::logic_error("the feed cannot be cloned");
   }

private:
   /// What one slot works on. Padded so that slots do not share cache lines.
   struct alignas(128) Slot {
      std::vector<Reader*> readers;
      std::unique_ptr<Block> block;
      std::string sample;
      std::uint64_t range = 0;
      TTree* tree = nullptr;
      std::vector<GroupFiller> fillers;
      std::vector<std::vector<float>> lists; ///< values that are stored in another type than float
      std::vector<const float*> columns;
      std::vector<float> scalars;
      std::vector<void*> tensors;
   };

   /// Tell the loop, once, that this action needs no more entries; it ends when no action does.
   void stop() {
      if (GetNSlots() == 1 && !fStopped) {
         fStopped = true;
         fNode->StopProcessing();
      }
   }

   void note(Slot& slot) {
      if (slot.block->entries.empty())
         slot.block->file = slot.tree->GetCurrentFile()->GetName();
      slot.block->entries.push_back(slot.tree->GetTree()->GetReadEntry());
   }

   void flush(Slot& slot) {
      if (slot.block->rows > 0) // none, if its first one could not be filled
         fQueue.put(std::move(slot.block));
      slot.block.reset();
   }

   const void* value(const Slot& slot, int column, Long64_t entry) const {
      const void* found = slot.readers[column]->template TryGet<void>(entry);
      if (ReadErrors::seen())
         throw Damaged("in '" + slot.sample + "', entry " + std::to_string(entry) + ": " +
                       ReadErrors::text());
      if (found)
         return found;
      throw std::runtime_error("column '" + fRequest.columns[column].name + "' has no value in entry " +
                               std::to_string(entry));
   }

   void fill(Slot& slot, Long64_t entry) {
      Block& block = *slot.block;
      float* row = block.matrix.data() + block.rows * fRequest.matrix.size();
      for (int column : fRequest.matrix)
         *row++ = number(slot, column, entry);
      for (std::size_t i = 0; i < fRequest.exact.size(); ++i) {
         const int column = fRequest.exact[i];
         const void* from = value(slot, column, entry);
         visit(fRequest.columns[column].type, [&](auto example) {
            using T = decltype(example);
            const Exact<T> number = static_cast<Exact<T>>(*static_cast<const T*>(from));
            std::memcpy(&block.exact[i][block.rows], &number, sizeof(number));
         });
      }
      std::size_t tensor = 0;
      for (std::size_t group = 0; group < fRequest.groups.size(); ++group)
         tensor = fill_group(slot, group, tensor, entry);
   }

   float number(const Slot& slot, int column, Long64_t entry) const {
      const void* from = value(slot, column, entry);
      return visit(fRequest.columns[column].type, [from](auto example) {
         return static_cast<float>(*static_cast<const decltype(example)*>(from));
      });
   }

   /// Fill the tensors of a group, the first of which is number `tensor`; give the number after its last.
   std::size_t fill_group(Slot& slot, std::size_t number_of_group, std::size_t tensor, Long64_t entry) {
      const Group& group = fRequest.groups[number_of_group];
      Block& block = *slot.block;
      const auto where = [this, &slot, entry] {
         const std::string in = slot.sample.empty() ? "" : "'" + slot.sample + "', ";
         return "in " + in + "entry " + std::to_string(entry);
      };
      slot.lists.resize(std::max(slot.lists.size(), group.columns.size()));
      slot.columns.resize(group.columns.size());
      std::size_t length = 0;
      for (std::size_t i = 0; i < group.columns.size(); ++i) {
         const LoopColumn& column = fRequest.columns[group.columns[i]];
         const void* from = value(slot, group.columns[i], entry);
         std::size_t size = 0;
         visit(column.type, [&](auto example) {
            using T = decltype(example);
            const auto& list = *static_cast<const ROOT::RVec<T>*>(from);
            size = list.size();
            if constexpr (std::is_same_v<T, float>) {
               slot.columns[i] = list.data();
            } else {
               slot.lists[i].assign(list.begin(), list.end());
               slot.columns[i] = slot.lists[i].data();
            }
         });
         if (i == 0)
            length = size;
         else if (length != size)
            throw uneven(where(), fRequest.columns[group.columns[0]].name, length, column.name, size);
      }
      slot.scalars.clear();
      for (int column : group.scalars)
         slot.scalars.push_back(number(slot, column, entry));
      slot.tensors.clear();
      for (std::size_t i = 0; i < group.masks.size(); ++i)
         slot.tensors.push_back(block.tensors[tensor + i].get());
      slot.fillers[number_of_group].fill({slot.columns.data(), length, slot.scalars.data()},
                                         slot.tensors.data(), block.losses[number_of_group].data(),
                                         block.rows, where);
      return tensor + group.masks.size();
   }

   std::shared_ptr<Node> fNode;
   LoopRequest fRequest;
   BlockQueue& fQueue;
   std::vector<const std::type_info*> fTypes;
   std::vector<Slot> fSlots;
   std::atomic<std::uint64_t> fRows{0};
   std::atomic<bool> fDone{false};
   bool fStopped = false;
};

/// A loop that runs in its own thread.
class RunningLoop {
public:
   RunningLoop(std::shared_ptr<ROOT::Detail::RDF::RNodeBase> node,
               const ROOT::Internal::RDF::RColumnRegister& columns, const LoopRequest& request)
       : fManager(node->GetLoopManagerUnchecked()), fQueue(request.queue_blocks) {
      std::vector<std::string> names;
      for (const LoopColumn& column : request.columns)
         names.emplace_back(columns.ResolveAlias(column.name));
      fAction = std::make_unique<RowAction>(node, columns, names, request, fQueue);
      fManager->Jit(); // here, so that the interpreter's errors come to the caller
      fThread = std::thread([this] {
         try {
            const ReadErrors errors;
            fManager->Run();
            if (ReadErrors::seen())
               throw Damaged(ReadErrors::text());
         } catch (...) {
            fError = std::current_exception();
         }
         fQueue.finish();
      });
   }
   ~RunningLoop() {
      fQueue.cancel();
      fThread.join();
   }

   /// The next block, or null; throws what ended the loop.
   std::unique_ptr<Block> next(int milliseconds, bool& finished) {
      auto block = fQueue.take(milliseconds, finished);
      if (finished && fError)
         std::rethrow_exception(fError);
      return block;
   }

private:
   ROOT::Detail::RDF::RLoopManager* fManager;
   BlockQueue fQueue;
   std::unique_ptr<RowAction> fAction;
   std::exception_ptr fError;
   std::thread fThread;
};

} // namespace hepml_root::feed

#endif
