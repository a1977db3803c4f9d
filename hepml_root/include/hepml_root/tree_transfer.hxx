// Trees that another process shall read, and the content of a ROOT file that it has written. Needs ROOT.

#ifndef HEPML_ROOT_TREE_TRANSFER_HXX
#define HEPML_ROOT_TREE_TRANSFER_HXX

#include "conversation.hxx"

#include <TChain.h>
#include <TChainElement.h>
#include <TCollection.h>
#include <TDirectory.h>
#include <TError.h>
#include <TFile.h>
#include <TFriendElement.h>
#include <TKey.h>
#include <TNamed.h>
#include <TObjArray.h>
#include <TTree.h>

#include <filesystem>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>

namespace hepml_root {

/// Describes trees for another process: those of files by file and name, those in memory, or in a file that
/// is being written, as copies in temporary files.
class TreeTransfer {
public:
   /// Throws std::runtime_error for a null pointer, for an entry list and for friends that have an index.
   static Argument Describe(TTree* tree) { return Argument::Of("tree", Text(tree, 0)); }

private:
   static std::string Text(TTree* tree, int depth) {
      if (!tree)
         throw std::runtime_error(
             "hepml_root: the tree does not exist (a null pointer): look at its name in the file");
      const std::string name = tree->GetName();
      if (depth > 20)
         throw std::runtime_error("hepml_root: tree '" + name + "': its friends go round in a circle");
      if (tree->GetEntryList() || tree->GetEventList())
         throw std::runtime_error("hepml_root: tree '" + name +
                                  "' has an entry list, which is not taken: give its condition as a cut");
      const auto* const chain = dynamic_cast<TChain*>(tree);
      std::string text = chain ? "{\"chain\":true,\"files\":[" : "{\"files\":[";
      if (chain) {
         const char* separator = "";
         for (TObject* const file : *chain->GetListOfFiles()) {
            text += separator + Pair(Absolute(file->GetTitle()), file->GetName());
            separator = ",";
         }
      } else {
         text += InFile(tree);
      }
      text += ']' + Aliases(tree) + Friends(tree, depth) + '}';
      return text;
   }

   static std::string Pair(const std::string& first, const std::string& second) {
      return '[' + Json::Quoted(first) + ',' + Json::Quoted(second) + ']';
   }

   static std::string Absolute(const std::string& path) {
      std::error_code none;
      if (path.find("://") != std::string::npos || !std::filesystem::exists(path, none))
         return path;
      return std::filesystem::absolute(path).string();
   }

   /// A tree of a file that is only read is taken from there.
   static std::string InFile(TTree* tree) {
      TDirectory* const directory = tree->GetDirectory();
      TFile* const file = directory ? directory->GetFile() : nullptr;
      std::error_code none;
      if (file && !file->IsWritable() && directory->GetKey(tree->GetName())) {
         const std::string path = file->GetName();
         if (path.find("://") != std::string::npos || std::filesystem::exists(path, none)) {
            const std::string inside = directory->GetPath(); // file.root:/folder
            const auto colon = inside.rfind(":/");
            std::string name = colon == std::string::npos ? "" : inside.substr(colon + 2);
            name += (name.empty() ? "" : "/") + std::string(tree->GetName());
            return Pair(Absolute(path), name);
         }
      }
      return Copied(tree);
   }

   static std::string Copied(TTree* tree) {
      const std::string path = Conversation::Instance().TemporaryFile(".root");
      const TDirectory::TContext context; // comes back to the directory at hand
      const std::unique_ptr<TFile> file(TFile::Open(path.c_str(), "RECREATE", "", 0));
      if (!file || file->IsZombie())
         throw std::runtime_error("hepml_root: the temporary file '" + path + "' cannot be written");
      file->cd();
      TTree* const copy = tree->CloneTree(0);
      if (!copy)
         throw std::runtime_error("hepml_root: tree '" + std::string(tree->GetName()) + "' cannot be copied");
      copy->SetDirectory(file.get());
      copy->SetName("tree"); // it may have none
      for (Long64_t i = 0, n = tree->GetEntries(); i < n; ++i) {
         tree->GetEntry(i);
         copy->Fill();
      }
      tree->GetListOfClones()->Remove(copy);
      if (copy->Write() <= 0)
         throw std::runtime_error("hepml_root: the temporary file '" + path + "' cannot be written");
      file->Close(); // deletes the copy
      return Pair(path, "tree");
   }

   static std::string Aliases(TTree* tree) {
      std::string text;
      if (tree->GetListOfAliases())
         for (TObject* const alias : *tree->GetListOfAliases())
            text += (text.empty() ? "" : ",") + Json::Quoted(alias->GetName()) + ':' +
                    Json::Quoted(alias->GetTitle());
      return text.empty() ? "" : ",\"aliases\":{" + text + '}';
   }

   static std::string Friends(TTree* tree, int depth) {
      std::string text;
      if (tree->GetListOfFriends())
         for (TObject* const entry : *tree->GetListOfFriends()) {
            auto* const element = static_cast<TFriendElement*>(entry);
            TTree* const other = element->GetTree();
            if (other && other->GetTreeIndex())
               throw std::runtime_error("hepml_root: tree '" + std::string(tree->GetName()) +
                                        "': its friend '" + element->GetName() +
                                        "' has an index, which is not taken: write both into one tree");
            text += (text.empty() ? "[" : ",[") + Text(other, depth + 1) + ',' +
                    Json::Quoted(element->GetName()) + ']';
         }
      return text.empty() ? "" : ",\"friends\":[" + text + ']';
   }
};

/// Copy all that a ROOT file holds into a directory; what has the same name there is replaced.
///
/// Throws std::runtime_error if the directory cannot be written.
inline void CopyContent(TDirectory& from, TDirectory& to) {
   const TDirectory::TContext context;
   std::set<std::string> done; // of several cycles the first is the newest
   for (TObject* const entry : *from.GetListOfKeys()) {
      auto* const key = static_cast<TKey*>(entry);
      const std::string name = key->GetName();
      if (!done.insert(name).second)
         continue;
      const std::unique_ptr<TObject> object(key->ReadObj());
      if (auto* const folder = dynamic_cast<TDirectory*>(object.get())) {
         TDirectory* inside = to.GetDirectory(name.c_str());
         if (!inside)
            inside = to.mkdir(name.c_str(), key->GetTitle());
         if (!inside)
            throw std::runtime_error("hepml_root: no folder '" + name + "' can be made in '" + to.GetPath() +
                                     "': is the output file open?");
         CopyContent(*folder, *inside);
         continue;
      }
      to.cd();
      if (auto* const tree = dynamic_cast<TTree*>(object.get())) {
         TTree* const copy = tree->CloneTree(-1, "fast");
         copy->Write("", TObject::kOverwrite);
         delete copy;
      } else if (to.WriteTObject(object.get(), name.c_str(), "Overwrite") <= 0) {
         throw std::runtime_error("hepml_root: '" + name + "' cannot be written into '" + to.GetPath() + "'");
      }
   }
}

} // namespace hepml_root

#endif
