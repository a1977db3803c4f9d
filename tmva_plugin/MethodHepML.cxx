#include "MethodHepML.h"

#include "hepml_root/DataLoader.hxx"
#include "hepml_root/Factory.hxx"
#include "hepml_root/weight_file.hxx"

#include "TMVA/ClassifierFactory.h"
#include "TMVA/ClassInfo.h"
#include "TMVA/DataSet.h"
#include "TMVA/DataSetInfo.h"
#include "TMVA/Event.h"
#include "TMVA/MsgLogger.h"
#include "TMVA/Tools.h"
#include "TMVA/Types.h"
#include "TMVA/VariableInfo.h"

#include <TBase64.h>
#include <TDirectory.h>
#include <TTree.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <istream>
#include <iterator>
#include <stdexcept>

namespace {

// A number of its own, which no method of TMVA has: by it the weight file gets the name.
const TMVA::Types::EMVA type_number = static_cast<TMVA::Types::EMVA>(60);
const char* const type_name = "HepML";

// Without a job and a title it is of a weight file.
TMVA::IMethod* Create(const TString& job, const TString& title, TMVA::DataSetInfo& data,
                      const TString& options) {
   if (job == "" && title == "")
      return new TMVA::MethodHepML(data, options);
   return new TMVA::MethodHepML(job, title, data, options);
}

struct Registration {
   Registration() {
      TMVA::ClassifierFactory::Instance().Register(type_name, Create);
      TMVA::Types::Instance().AddTypeMapping(type_number, type_name);
   }
} const registration;

// Events at once.
const Long64_t block = 4096;

} // namespace

TMVA::MethodHepML::MethodHepML(const TString& job, const TString& title, DataSetInfo& data,
                               const TString& options)
    : MethodBase(job, type_number, title, data, options) {}

TMVA::MethodHepML::MethodHepML(DataSetInfo& data, const TString& weights)
    : MethodBase(type_number, data, weights) {}

TMVA::MethodHepML::~MethodHepML() {}

void TMVA::MethodHepML::Init() {}

Bool_t TMVA::MethodHepML::HasAnalysisType(Types::EAnalysisType type, UInt_t classes, UInt_t) {
   return (type == Types::kClassification && classes == 2) || (type == Types::kMulticlass && classes > 2);
}

// ---- options
// ------------------------------------------------------------------------------------------------

void TMVA::MethodHepML::DeclareOptions() {
   // Those that the Python side has, as texts: it checks their values.
   try {
      const hepml_root::Json options = hepml_root::Conversation::Instance().Call("", "options", {type_name});
      for (const hepml_root::Json& option : options.List()) {
         const std::string& name = option["name"].Text();
         fDefaults[name] = fValues[name] = option["default"].Text().c_str();
         DeclareOptionRef(fValues[name], name.c_str(), option["help"].Text().c_str());
      }
   } catch (const std::exception& error) {
      Log() << kFATAL << error.what() << Endl;
   }
}

void TMVA::MethodHepML::ProcessOptions() {}

std::string TMVA::MethodHepML::OptionsForPython() const {
   std::string text = "!H:!V";
   for (const auto& value : fValues)
      if (value.second != fDefaults.at(value.first))
         text += ":" + value.first + "=" + value.second.Data();
   return text;
}

void TMVA::MethodHepML::GetHelpMessage() const {
   Log() << Endl;
   Log() << "A model of hepml_root, trained by its Python side and evaluated in C++." << Endl;
   Log() << "Model= chooses it (dense, deep_sets, transformer, ...), Loss= the loss; see" << Endl;
   Log() << "hepml-root models, and the documentation of hepml_root." << Endl;
}

// ---- training
// -----------------------------------------------------------------------------------------------

void TMVA::MethodHepML::Train() {
   try {
      TrainByPython();
      Load();
   } catch (const std::exception& error) {
      Log() << kFATAL << error.what() << Endl;
   }
}

void TMVA::MethodHepML::TrainByPython() {
   const TDirectory::TContext context;
   const bool several = DataInfo().GetNClasses() > 2;
   const UInt_t variables = GetNvar(), classes = DataInfo().GetNClasses();
   const std::string folder = hepml_root::Conversation::Instance().TemporaryFile("");
   hepml_root::DataLoader loader(folder.c_str());
   std::vector<Float_t> values(variables);
   Double_t weight = 1;
   std::vector<TString> names;
   for (UInt_t v = 0; v < variables; ++v) {
      names.push_back(DataInfo().GetVariableInfo(v).GetInternalName());
      loader.AddVariable(names.back(), DataInfo().GetVariableInfo(v).GetTitle(),
                         DataInfo().GetVariableInfo(v).GetUnit());
   }

   // All training events as TMVA has prepared them, its transformations included; the first of each class is
   // the test sample, which nothing is judged by.
   for (UInt_t c = 0; c < classes; ++c) {
      TTree training("training", ""), test("test", "");
      for (TTree* const tree : {&training, &test}) {
         tree->SetDirectory(0);
         for (UInt_t v = 0; v < variables; ++v)
            tree->Branch(names[v], &values[v], names[v] + "/F");
         tree->Branch("hepml_weight", &weight, "hepml_weight/D");
      }
      bool is_signal = false;
      Data()->SetCurrentType(Types::kTraining);
      for (Long64_t i = 0; i < Data()->GetNTrainingEvents(); ++i) {
         const Event* const event = GetTrainingEvent(i);
         if (event->GetClass() != c)
            continue;
         for (UInt_t v = 0; v < variables; ++v)
            values[v] = event->GetValue(v);
         weight = event->GetWeight();
         is_signal = DataInfo().IsSignal(event);
         training.Fill();
         if (test.GetEntries() == 0)
            test.Fill();
      }
      const TString name = several ? TString(DataInfo().GetClassInfo(c)->GetName())
                                   : TString(is_signal ? "Signal" : "Background");
      loader.AddTree(&training, name, 1, "", hepml_root::Types::kTraining);
      loader.AddTree(&test, name, 1, "", hepml_root::Types::kTesting);
   }
   loader.SetWeightExpression("hepml_weight");
   loader.PrepareTrainingAndTestTree("", "NormMode=None:!V");

   hepml_root::Factory factory("plugin", several ? "Silent:!Color:AnalysisType=Multiclass"
                                                 : "Silent:!Color:AnalysisType=Classification");
   factory.BookMethod(&loader, type_name, "method", OptionsForPython().c_str());
   factory.TrainAllMethods();
   const std::string path = folder + "/weights/plugin_method.onnx";
   std::ifstream file(path, std::ios::binary);
   const std::string bytes{std::istreambuf_iterator<char>(file), {}};
   if (bytes.empty())
      throw std::runtime_error("hepml_root: the Python side has not written '" + path + "'");
   fModel = TBase64::Encode(bytes.data(), static_cast<Int_t>(bytes.size()));
}

// ---- weight file
// --------------------------------------------------------------------------------------------

void TMVA::MethodHepML::AddWeightsXMLTo(void* parent) const {
   void* const weights = gTools().AddChild(parent, "Weights");
   gTools().AddAttr(weights, "Format", "ONNX in base 64");
   void* const model = gTools().AddChild(weights, "Model");
   gTools().AddRawLine(model, fModel.Data());
}

void TMVA::MethodHepML::ReadWeightsFromXML(void* node) {
   void* const model = gTools().GetChild(node, "Model");
   if (!model) {
      Log() << kFATAL << "The weight file has no node <Model> of HepML." << Endl;
      return;
   }
   fModel = gTools().GetContent(model);
   fModel.ReplaceAll("\n", "");
   fModel.ReplaceAll(" ", "");
   try {
      Load();
   } catch (const std::exception& error) {
      Log() << kFATAL << error.what() << Endl;
   }
}

void TMVA::MethodHepML::ReadWeightsFromStream(std::istream&) {
   Log() << kFATAL << "HepML has weight files in XML only." << Endl;
}

void TMVA::MethodHepML::Load() {
   const TString bytes = TBase64::Decode(fModel.Data());
   // In a folder of its own: the name of the file is part of that of the library in the cache.
   const std::string folder = hepml_root::Conversation::Instance().TemporaryFile("");
   std::filesystem::create_directory(folder);
   const std::string path = folder + "/method.onnx";
   std::ofstream(path, std::ios::binary).write(bytes.Data(), bytes.Length());
   fFile = std::make_shared<const hepml_root::WeightFile>(hepml_root::WeightFile::Open(path));
   if (fFile->inputs().size() != GetNvar())
      throw std::runtime_error("hepml_root: the model takes " + std::to_string(fFile->inputs().size()) +
                               " variables, and the data set has " + std::to_string(GetNvar()));
   fEvent.resize(fFile->inputs().size());
   fAnswer.resize(fFile->outputs().size());
}

// ---- evaluation
// ---------------------------------------------------------------------------------------------

Double_t TMVA::MethodHepML::GetMvaValue(Double_t* lower, Double_t* upper) {
   NoErrorCalc(lower, upper);
   return GetMulticlassValues().at(0);
}

const std::vector<Float_t>& TMVA::MethodHepML::GetMulticlassValues() {
   const Event* const event = GetEvent();
   for (UInt_t v = 0; v < fEvent.size(); ++v)
      fEvent[v] = event->GetValue(v);
   fFile->Evaluate(fEvent.data(), 1, fAnswer.data());
   return fAnswer;
}

std::vector<Double_t> TMVA::MethodHepML::GetMvaValues(Long64_t first, Long64_t last, Bool_t) {
   const Long64_t events = Data()->GetNEvents();
   if (last < 0 || last > events)
      last = events;
   first = std::max<Long64_t>(first, 0);
   const std::size_t inputs = fFile->inputs().size(), outputs = fFile->outputs().size();
   std::vector<Float_t> rows, answers;
   std::vector<Double_t> found;
   for (Long64_t from = first; from < last; from += block) {
      const Long64_t to = std::min(from + block, last);
      rows.clear();
      for (Long64_t i = from; i < to; ++i) {
         Data()->SetCurrentEvent(i);
         const Event* const event = GetEvent();
         for (UInt_t v = 0; v < inputs; ++v)
            rows.push_back(event->GetValue(v));
      }
      const std::size_t count = rows.size() / inputs;
      answers.resize(count * outputs);
      fFile->Evaluate(rows.data(), count, answers.data());
      for (std::size_t i = 0; i < count; ++i)
         found.push_back(answers[i * outputs]);
   }
   return found;
}
