// A method of the real TMVA that trains by hepml_root and evaluates by its C++ engine.
//
//    gSystem->Load("libHepMLTMVA");
//    factory->BookMethod(loader, "HepML", "Dense", "!H:!V:Model=dense:Epochs=20");
//
// The Python side (hepml_root/python_side.hxx) trains in a child process; the trained ONNX model becomes part
// of the weight file, which TMVA::Reader reads where this library is loaded. Classification and multiclass.
// The options are those of the method HepML of hepml_root's own Factory.
//
// Compiles against TMVA of 2012 and later: nothing of it is marked `override`.

#ifndef HEPML_ROOT_TMVA_METHODHEPML_H
#define HEPML_ROOT_TMVA_METHODHEPML_H

#include "TMVA/MethodBase.h"

#include <TString.h>

#include <iosfwd>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace hepml_root {
class WeightFile;
}

namespace TMVA {

class Ranking;

class MethodHepML : public MethodBase {
public:
   /// To be trained.
   MethodHepML(const TString& job, const TString& title, DataSetInfo& data, const TString& options);
   /// Of a weight file.
   MethodHepML(DataSetInfo& data, const TString& weights);
   virtual ~MethodHepML();

   Bool_t HasAnalysisType(Types::EAnalysisType type, UInt_t classes, UInt_t targets);
   void Train();

   Double_t GetMvaValue(Double_t* lower = 0, Double_t* upper = 0);
   const std::vector<Float_t>& GetMulticlassValues();

   using MethodBase::ReadWeightsFromStream;
   void AddWeightsXMLTo(void* parent) const;
   void ReadWeightsFromXML(void* node);
   void ReadWeightsFromStream(std::istream& stream);

   const Ranking* CreateRanking() { return 0; }
   void MakeClass(const TString& = TString("")) const {}

protected:
   /// All events of the sample at hand, in blocks. TMVA of 2016 and later calls it.
   std::vector<Double_t> GetMvaValues(Long64_t first = 0, Long64_t last = -1, Bool_t log = kFALSE);

private:
   void Init();
   void DeclareOptions();
   void ProcessOptions();
   void GetHelpMessage() const;

   std::string OptionsForPython() const;
   void TrainByPython();
   void Load();

   std::map<std::string, TString> fValues;              //! by the name of the option
   std::map<std::string, TString> fDefaults;            //!
   TString fModel;                                      //! the ONNX file, in base 64
   std::shared_ptr<const hepml_root::WeightFile> fFile; //!
   std::vector<Float_t> fEvent, fAnswer;                //!

   ClassDef(MethodHepML, 0)
};

} // namespace TMVA

#endif
