// TMVA's Factory for C++ programs and macros: the same calls, done by hepml-root's Python side in a child
// process, which prints as it goes. Needs ROOT.
//
//    #include "hepml_root/Factory.hxx"
//
//    hepml_root::Factory factory("Job", output_file, "AnalysisType=Classification");
//    hepml_root::DataLoader loader("dataset");
//    loader.AddVariable("var1+var2", 'F');
//    loader.AddSignalTree(signal);
//    loader.AddBackgroundTree(background);
//    loader.PrepareTrainingAndTestTree("", "SplitMode=Random");
//    factory.BookMethod(&loader, hepml_root::Types::kBDT, "BDT", "NTrees=400");
//    factory.TrainAllMethods();
//    factory.TestAllMethods();
//    factory.EvaluateAllMethods();
//
// Which Python it is: python_side.hxx. What Python raises is thrown as std::runtime_error with its message.

#ifndef HEPML_ROOT_FACTORY_HXX
#define HEPML_ROOT_FACTORY_HXX

#include "conversation.hxx"
#include "DataLoader.hxx"
#include "tree_transfer.hxx"
#include "Types.hxx"

#include <TAxis.h>
#include <TCanvas.h>
#include <TCut.h>
#include <TFile.h>
#include <TGraph.h>
#include <TMultiGraph.h>
#include <TString.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace hepml_root {

/// A method that was booked.
class MethodBase {
public:
   MethodBase(std::string type, TString title) : fType(std::move(type)), fTitle(title) {}
   MethodBase(const MethodBase&) = delete;
   MethodBase& operator=(const MethodBase&) = delete;
   virtual ~MethodBase() = default;

   const char* GetName() const { return fTitle.Data(); }
   TString GetMethodName() const { return fTitle; }
   TString GetMethodTypeName() const { return fType; }

private:
   std::string fType;
   TString fTitle;
};

/// A method that has others for regions of its own (kCategory).
class MethodCategory : public MethodBase {
public:
   MethodCategory(std::string type, TString title, std::unique_ptr<RemoteObject> remote)
       : MethodBase(std::move(type), title), fRemote(std::move(remote)) {}

   /// Add a method for the events that pass a cut, with some of the variables ("var1:var2").
   MethodBase* AddMethod(const TCut& cut, const TString& variables, Types::EMVA type, const TString& title,
                         const TString& options) {
      fRemote->Call("AddMethod", {cut.GetTitle(), variables, static_cast<int>(type), title, options});
      fParts.push_back(std::make_unique<MethodBase>(std::to_string(type), title));
      return fParts.back().get();
   }

private:
   std::unique_ptr<RemoteObject> fRemote;
   std::vector<std::unique_ptr<MethodBase>> fParts;
};

namespace detail {

/// A graph that the Python side has drawn.
inline std::unique_ptr<TGraph> GraphOf(const Json& json) {
   const std::vector<Json>&x = json["x"].List(), &y = json["y"].List();
   auto graph = std::make_unique<TGraph>(static_cast<int>(x.size()));
   for (std::size_t i = 0; i < x.size(); ++i)
      graph->SetPoint(static_cast<int>(i), x[i].Number(), y[i].Number());
   graph->SetName(json["name"].Text().c_str());
   graph->SetTitle(json["title"].Text().c_str());
   return graph;
}

/// A ROOT file that the Python side writes, and whose content goes into a directory of the user.
class OutputFile {
public:
   explicit OutputFile(TDirectory* to)
       : fTo(to), fPath(to ? Conversation::Instance().TemporaryFile(".root") : "") {
      RequireWritable();
   }

   Argument AsArgument() const {
      return fTo ? Argument::Of("output", Json::Quoted(fPath)) : Argument::OfJson("null");
   }

   void Fetch() const {
      if (!fTo)
         return;
      RequireWritable();
      Conversation::Instance().Call(fPath, "save");
      const TDirectory::TContext context;
      const std::unique_ptr<TFile> file(TFile::Open(fPath.c_str()));
      if (!file || file->IsZombie())
         throw std::runtime_error("hepml_root: the Python side has not written '" + fPath + "'");
      CopyContent(*file, *fTo);
   }

private:
   void RequireWritable() const {
      if (fTo && !fTo->IsWritable())
         throw std::runtime_error(std::string("hepml_root: the output file '") + fTo->GetName() +
                                  "' is not open for writing");
   }

   TDirectory* fTo;
   std::string fPath;
};

} // namespace detail

/// Books methods, trains, tests and compares them.
///
/// Weights go to <loader>/weights/<job>_<title>.weights.xml in the working directory, with the ONNX file and
/// the C++ header beside it; the output file gets TMVA's directories, histograms and trees by
/// EvaluateAllMethods().
class Factory {
public:
   /// `output` is a file that is open for writing, or nullptr for none; the user closes it.
   Factory(const TString& job, TFile* output, const TString& options = "")
       : fName(job), fOutput(output), fRemote("Factory", {job, fOutput.AsArgument(), options}) {}
   explicit Factory(const TString& job, const TString& options = "") : Factory(job, nullptr, options) {}

   const char* GetName() const { return fName.Data(); }

   /// Book a method; its options are read and checked at once. It belongs to the Factory.
   MethodBase* BookMethod(DataLoader* loader, Types::EMVA type, const TString& title,
                          const TString& options = "") {
      return Book(loader, static_cast<int>(type), type == Types::kCategory, title, options);
   }
   /// By the name of the method, "BDT", "HepML", …
   MethodBase* BookMethod(DataLoader* loader, const TString& type, const TString& title,
                          const TString& options = "") {
      return Book(loader, type, type == "Category" || type == "kCategory", title, options);
   }

   void TrainAllMethods() { fRemote.Call("TrainAllMethods"); }
   void TestAllMethods() { fRemote.Call("TestAllMethods"); }
   /// Print the tables, and fill the output file.
   void EvaluateAllMethods() {
      fRemote.Call("EvaluateAllMethods");
      fOutput.Fetch();
   }
   void DeleteAllMethods() {
      fRemote.Call("DeleteAllMethods");
      fMethods.clear();
   }

   /// A booked method, nullptr if there is none.
   MethodBase* GetMethod(const TString& loader, const TString& title) const {
      const auto found = fMethods.find({loader.Data(), title.Data()});
      return found == fMethods.end() ? nullptr : found->second.get();
   }
   bool HasMethod(const TString& loader, const TString& title) const { return GetMethod(loader, title); }

   /// Area under the ROC curve of the test events; `which`: the class of a multiclass method.
   double GetROCIntegral(DataLoader* loader, const TString& title, unsigned which = 0) const {
      return GetROCIntegral(TString(loader->GetName()), title, which);
   }
   double GetROCIntegral(const TString& loader, const TString& title, unsigned which = 0) const {
      return fRemote.Call("GetROCIntegral", {loader, title, which}).Number();
   }

   /// Background rejection against signal efficiency. The graph is the caller's.
   TGraph* GetROCCurve(DataLoader* loader, const TString& title, bool titles = true,
                       unsigned which = 0) const {
      return GetROCCurve(TString(loader->GetName()), title, titles, which);
   }
   TGraph* GetROCCurve(const TString& loader, const TString& title, bool titles = true,
                       unsigned which = 0) const {
      auto graph = detail::GraphOf(fRemote.Call("GetROCCurve", {loader, title, true, which}));
      if (titles)
         Titles(*graph);
      return graph.release();
   }
   /// The curves of all methods of a loader; they are the caller's.
   TMultiGraph* GetROCCurveAsMultiGraph(DataLoader* loader, unsigned which = 0) const {
      return GetROCCurveAsMultiGraph(TString(loader->GetName()), which);
   }
   TMultiGraph* GetROCCurveAsMultiGraph(const TString& loader, unsigned which = 0) const {
      auto all = std::make_unique<TMultiGraph>();
      short colour = 0;
      const Json graphs = fRemote.Call("GetROCCurveAsMultiGraph", {loader, which});
      for (const Json& json : graphs.List()) {
         auto graph = detail::GraphOf(json);
         graph->SetLineColor(++colour);
         graph->SetLineWidth(2);
         graph->SetFillColor(10);
         all->Add(graph.release()); // which deletes it
      }
      all->SetTitle("Signal efficiency vs. background rejection");
      Titles(*all);
      return all.release();
   }
   /// The same, drawn on a canvas with a legend; it is the caller's.
   TCanvas* GetROCCurve(DataLoader* loader, unsigned which = 0) const {
      return GetROCCurve(TString(loader->GetName()), which);
   }
   TCanvas* GetROCCurve(const TString& loader, unsigned which = 0) const {
      const std::unique_ptr<TMultiGraph> all(GetROCCurveAsMultiGraph(loader, which));
      auto* const canvas = new TCanvas(TString::Format("ROCCurve %s class %u", loader.Data(), which),
                                       "ROC Curve", 200, 10, 700, 500);
      canvas->SetGrid();
      all->DrawClone("AL");
      canvas->BuildLegend(0.15, 0.15, 0.35, 0.3, "MVA Method");
      return canvas;
   }

   void SetVerbose(bool verbose = true) { fRemote.Call("SetVerbose", {verbose}); }

private:
   MethodBase* Book(DataLoader* loader, const Argument& type, bool category, const TString& title,
                    const TString& options) {
      if (!loader)
         throw std::runtime_error("hepml_root: BookMethod needs a DataLoader, and got a null pointer");
      auto remote = std::make_unique<RemoteObject>(
          fRemote, "BookMethod", std::vector<Argument>{loader->remote().AsArgument(), type, title, options});
      std::unique_ptr<MethodBase>& method = fMethods[{loader->GetName(), title.Data()}];
      if (category)
         method = std::make_unique<MethodCategory>("Category", title, std::move(remote));
      else
         method = std::make_unique<MethodBase>(type.json(), title);
      return method.get();
   }

   template <class Graph> static void Titles(Graph& graph) {
      graph.GetXaxis()->SetTitle("Signal efficiency (Sensitivity)");
      graph.GetYaxis()->SetTitle("Background rejection (Specificity)");
   }

   TString fName;
   detail::OutputFile fOutput;
   RemoteObject fRemote;
   std::map<std::pair<std::string, std::string>, std::unique_ptr<MethodBase>> fMethods;
};

} // namespace hepml_root

#endif
