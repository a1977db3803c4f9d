// TMVA's DataLoader: the same calls, done by hepml-root's Python side. See Factory.hxx. Needs ROOT.

#ifndef HEPML_ROOT_DATALOADER_HXX
#define HEPML_ROOT_DATALOADER_HXX

#include "conversation.hxx"
#include "tree_transfer.hxx"
#include "Types.hxx"

#include <TCut.h>
#include <TString.h>
#include <TTree.h>

#include <string>
#include <vector>

namespace hepml_root {

/// Collects what the methods of a Factory learn from: variables, trees, weights, cuts.
///
/// Trees of a file that is open for reading are read by the Python side; others, such as those in memory, are
/// written into a temporary file when they are added: fill them before. Every call throws std::runtime_error
/// with Python's message if its arguments cannot be.
class DataLoader {
public:
   explicit DataLoader(const TString& name = "default") : fName(name), fRemote("DataLoader", {name}) {}

   const char* GetName() const { return fName.Data(); }

   // ---- columns: "expression" or "label := expression"; of the type 'F' or 'I'
   // -----------------------------

   void AddVariable(const TString& expression, const TString& title, const TString& unit, char type = 'F',
                    double min = 0, double max = 0) {
      fRemote.Call("AddVariable", {expression, title, unit, Type(type), min, max});
   }
   void AddVariable(const TString& expression, char type = 'F', double min = 0, double max = 0) {
      AddVariable(expression, "", "", type, min, max);
   }
   void AddVariablesArray(const TString& expression, int size, char type = 'F', double min = 0,
                          double max = 0) {
      fRemote.Call("AddVariablesArray", {expression, size, Type(type), min, max});
   }
   void AddSpectator(const TString& expression, const TString& title = "", const TString& unit = "",
                     double min = 0, double max = 0) {
      // AddSpectator("eventID", 'I') of TMVA's programs means a title.
      fRemote.Call("AddSpectator", {expression, title, unit, min, max});
   }
   void AddTarget(const TString& expression, const TString& title = "", const TString& unit = "",
                  double min = 0, double max = 0) {
      fRemote.Call("AddTarget", {expression, title, unit, min, max});
   }

   // ---- trees
   // -----------------------------------------------------------------------------------------------

   void AddTree(TTree* tree, const TString& name, double weight = 1, const TCut& cut = "",
                Types::ETreeType type = Types::kMaxTreeType) {
      AddDescribed(tree, name, weight, cut, type);
   }
   void AddTree(TTree* tree, const TString& name, double weight, const TCut& cut, const TString& type) {
      AddDescribed(tree, name, weight, cut, type);
   }
   void AddSignalTree(TTree* tree, double weight = 1, Types::ETreeType type = Types::kMaxTreeType) {
      AddTree(tree, "Signal", weight, "", type);
   }
   void AddSignalTree(TTree* tree, double weight, const TString& type) {
      AddTree(tree, "Signal", weight, "", type);
   }
   void AddSignalTree(const TString& file, double weight = 1, Types::ETreeType type = Types::kMaxTreeType) {
      fRemote.Call("AddTree", {file, "Signal", weight, "", type});
   }
   void AddBackgroundTree(TTree* tree, double weight = 1, Types::ETreeType type = Types::kMaxTreeType) {
      AddTree(tree, "Background", weight, "", type);
   }
   void AddBackgroundTree(TTree* tree, double weight, const TString& type) {
      AddTree(tree, "Background", weight, "", type);
   }
   void AddBackgroundTree(const TString& file, double weight = 1,
                          Types::ETreeType type = Types::kMaxTreeType) {
      fRemote.Call("AddTree", {file, "Background", weight, "", type});
   }
   void AddRegressionTree(TTree* tree, double weight = 1, Types::ETreeType type = Types::kMaxTreeType) {
      AddTree(tree, "Regression", weight, "", type);
   }
   void SetTree(TTree* tree, const TString& name, double weight) { AddTree(tree, name, weight); }
   void SetSignalTree(TTree* tree, double weight = 1) { AddSignalTree(tree, weight); }
   void SetBackgroundTree(TTree* tree, double weight = 1) { AddBackgroundTree(tree, weight); }
   void SetInputTrees(TTree* signal, TTree* background, double signal_weight = 1,
                      double background_weight = 1) {
      AddSignalTree(signal, signal_weight);
      AddBackgroundTree(background, background_weight);
   }
   void SetInputTrees(TTree* tree, const TCut& signal, const TCut& background) {
      AddTree(tree, "Signal", 1, signal);
      AddTree(tree, "Background", 1, background);
   }

   // ---- single events: the values of all variables, then of the targets, then of the spectators
   // -------------

   void AddEvent(const TString& name, Types::ETreeType type, const std::vector<double>& event,
                 double weight = 1) {
      fRemote.Call("AddEvent", {name, type, event, weight});
   }
   void AddTrainingEvent(const TString& name, const std::vector<double>& event, double weight) {
      AddEvent(name, Types::kTraining, event, weight);
   }
   void AddTestEvent(const TString& name, const std::vector<double>& event, double weight) {
      AddEvent(name, Types::kTesting, event, weight);
   }
   void AddSignalTrainingEvent(const std::vector<double>& event, double weight = 1) {
      AddEvent("Signal", Types::kTraining, event, weight);
   }
   void AddSignalTestEvent(const std::vector<double>& event, double weight = 1) {
      AddEvent("Signal", Types::kTesting, event, weight);
   }
   void AddBackgroundTrainingEvent(const std::vector<double>& event, double weight = 1) {
      AddEvent("Background", Types::kTraining, event, weight);
   }
   void AddBackgroundTestEvent(const std::vector<double>& event, double weight = 1) {
      AddEvent("Background", Types::kTesting, event, weight);
   }

   // ---- weights, cuts, split
   // --------------------------------------------------------------------------------

   void SetWeightExpression(const TString& expression, const TString& name = "") {
      fRemote.Call("SetWeightExpression", {expression, name});
   }
   void SetSignalWeightExpression(const TString& expression) { SetWeightExpression(expression, "Signal"); }
   void SetBackgroundWeightExpression(const TString& expression) {
      SetWeightExpression(expression, "Background");
   }
   void SetCut(const TCut& cut, const TString& name = "") { fRemote.Call("SetCut", {Text(cut), name}); }
   void AddCut(const TCut& cut, const TString& name = "") { fRemote.Call("AddCut", {Text(cut), name}); }

   void PrepareTrainingAndTestTree(const TCut& cut, const TString& options) {
      fRemote.Call("PrepareTrainingAndTestTree", {Text(cut), options});
   }
   void PrepareTrainingAndTestTree(const TCut& signal, const TCut& background, const TString& options) {
      fRemote.Call("PrepareTrainingAndTestTree", {Text(signal), Text(background), options});
   }
   void PrepareTrainingAndTestTree(const TCut& cut, int training = -1, int test = -1) {
      PrepareTrainingAndTestTree(cut, Numbers(training, training, test, test) + "SplitMode=Random:!V");
   }
   void PrepareTrainingAndTestTree(const TCut& cut, int signal_training, int background_training,
                                   int signal_test, int background_test,
                                   const TString& options = "SplitMode=Random:!V") {
      PrepareTrainingAndTestTree(
          cut, Numbers(signal_training, background_training, signal_test, background_test) + options);
   }

   const RemoteObject& remote() const { return fRemote; }

private:
   void AddDescribed(TTree* tree, const TString& name, double weight, const TCut& cut, const Argument& type) {
      // By itself: the interpreter of ROOT 6.40 crashes on an exception inside the braces.
      const Argument described = TreeTransfer::Describe(tree);
      fRemote.Call("AddTree", {described, name, weight, Text(cut), type});
   }

   static const char* Text(const TCut& cut) { return cut.GetTitle(); }

   /// To TMVA's type 'D' all numbers are float, too.
   static std::string Type(char type) { return std::string(1, type == 'D' ? 'F' : type); }

   /// What is not above 0 is left to the rest.
   static TString Numbers(int signal_training, int background_training, int signal_test,
                          int background_test) {
      TString text;
      if (signal_training > 0)
         text += TString::Format("nTrain_Signal=%d:", signal_training);
      if (background_training > 0)
         text += TString::Format("nTrain_Background=%d:", background_training);
      if (signal_test > 0)
         text += TString::Format("nTest_Signal=%d:", signal_test);
      if (background_test > 0)
         text += TString::Format("nTest_Background=%d:", background_test);
      return text;
   }

   TString fName;
   RemoteObject fRemote;
};

} // namespace hepml_root

#endif
