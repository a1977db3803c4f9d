// What the feed is compared with: ROOT's own bulk reading, with nothing done with the data; and the writer of
// the files that are read.
#include <ROOT/RNTupleModel.hxx>
#include <ROOT/RNTupleReader.hxx>
#include <ROOT/RNTupleWriteOptions.hxx>
#include <ROOT/RNTupleWriter.hxx>
#include <TBranch.h>
#include <TBufferFile.h>
#include <TFile.h>
#include <TTree.h>

#include <memory>
#include <string>
#include <vector>

extern "C" {

/// Write `events` rows of `columns` floats, given column by column, as the branches x0, x1, ...
void write_tree(const char* path, const float* const* values, long events, int columns, int compression) {
   TFile file(path, "RECREATE", "", compression);
   TTree tree("events", "");
   std::vector<float> row(columns);
   for (int i = 0; i < columns; ++i)
      tree.Branch(("x" + std::to_string(i)).c_str(), &row[i]);
   for (long event = 0; event < events; ++event) {
      for (int i = 0; i < columns; ++i)
         row[i] = values[i][event];
      tree.Fill();
   }
   file.Write();
}

void write_ntuple(const char* path, const float* const* values, long events, int columns) {
   auto model = ROOT::RNTupleModel::Create();
   std::vector<std::shared_ptr<float>> row;
   for (int i = 0; i < columns; ++i)
      row.push_back(model->MakeField<float>("x" + std::to_string(i)));
   auto writer = ROOT::RNTupleWriter::Recreate(std::move(model), "events", path);
   for (long event = 0; event < events; ++event) {
      for (int i = 0; i < columns; ++i)
         *row[i] = values[i][event];
      writer->Fill();
   }
}

/// TBranch::GetBulkRead, all columns, a cluster of each column after the other. Returns the events read.
long read_tree(const char* path, int columns) {
   std::unique_ptr<TFile> file(TFile::Open(path));
   auto* tree = file->Get<TTree>("events");
   std::vector<TBranch*> branches;
   std::vector<std::unique_ptr<TBufferFile>> buffers;
   for (int i = 0; i < columns; ++i) {
      branches.push_back(tree->GetBranch(("x" + std::to_string(i)).c_str()));
      buffers.push_back(std::make_unique<TBufferFile>(TBuffer::kWrite, 32 * 1024));
   }
   const long entries = tree->GetEntries();
   std::vector<long> next(columns, 0);
   auto clusters = tree->GetClusterIterator(0);
   for (long start = clusters(); start < entries; start = clusters()) {
      const long end = clusters.GetNextEntry();
      for (int i = 0; i < columns; ++i)
         while (next[i] < end && next[i] < entries) {
            const int count = branches[i]->GetBulkRead().GetBulkEntries(next[i], *buffers[i]);
            if (count <= 0)
               return -1;
            next[i] += count;
         }
   }
   return next[0];
}

/// RNTuple's bulk values, all columns, a cluster of each column after the other. Returns the events read.
long read_ntuple(const char* path, int columns) {
   auto reader = ROOT::RNTupleReader::Open("events", path);
   std::vector<ROOT::RNTupleView<float>> views;
   for (int i = 0; i < columns; ++i)
      views.push_back(reader->GetView<float>("x" + std::to_string(i)));
   std::vector<ROOT::RFieldBase::RBulkValues> bulks;
   for (auto& view : views)
      bulks.push_back(view.CreateBulk());
   long events = 0;
   const auto& descriptor = reader->GetDescriptor();
   for (auto id = descriptor.FindClusterId(0, 0); id != ROOT::kInvalidDescriptorId;
        id = descriptor.FindNextClusterId(id)) {
      const auto count = descriptor.GetClusterDescriptor(id).GetNEntries();
      for (auto& bulk : bulks)
         bulk.ReadBulk(ROOT::RNTupleLocalIndex(id, 0), nullptr, count);
      events += count;
   }
   return events;
}
}
