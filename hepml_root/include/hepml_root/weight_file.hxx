// A weight file of TMVA (*.weights.xml, of TMVA itself or of hepml_root), compiled, for C++17 programs and
// ROOT macros. Needs nothing of ROOT.
//
//    #include "hepml_root/weight_file.hxx"
//
//    const auto bdt = hepml_root::WeightFile::Open("TMVAClassification_BDT.weights.xml");
//    bdt.Evaluate(events, n, scores);               // events (n, inputs), row by row; scores (n, outputs)
//
// The first call compiles the file by hepml-root's Python side (python_side.hxx) into its cache. All
// functions are const and may be called from any number of threads at once.

#ifndef HEPML_ROOT_WEIGHT_FILE_HXX
#define HEPML_ROOT_WEIGHT_FILE_HXX

#include "compiled_library.hxx"
#include "density.hxx"
#include "json.hxx"
#include "python_side.hxx"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace hepml_root {

/// What the methods of a weight file take and give, and the compiled function.
class WeightFile {
public:
   /// A variable or a spectator: its expression in the file, and its label.
   struct Variable {
      std::string expression, label;
   };

   /// What TMVA answers to an event with NaN.
   static constexpr float not_a_number = -999.f;

   /// Compile a weight file, or an ONNX file whose inputs are plain columns, and load it.
   ///
   /// Throws std::runtime_error with what the Python side says: no such file, a damaged one, a method that is
   /// not read, no compiler.
   static WeightFile Open(const std::string& path) {
      const Json json = Json::Parse(PythonSide::Run({"library", path, "--json"}));
      WeightFile file;
      file.fPath = path;
      file.fMethod = json["method"].Text();
      file.fTitle = json["title"].Text();
      file.fAnalysis = json["analysis"].Text();
      file.fVariables = Variables(json["variables"]);
      file.fSpectators = Variables(json["spectators"]);
      for (const Json& input : json["inputs"].List())
         file.fInputs.push_back(input.Text());
      for (const Json& output : json["outputs"].List())
         file.fOutputs.push_back(output.Text());
      if (json["library"].IsNull()) {
         file.fLeast = Boxes(json["cuts"]["least"]);
         file.fMost = Boxes(json["cuts"]["most"]);
      } else {
         file.fInfer = CompiledLibrary::Open(json["library"].Text()).infer;
      }
      const Json& densities = json["densities"];
      if (!densities.IsNull())
         for (const Json& density : densities.List())
            file.fDensities.emplace_back(Numbers(density["edges"]), Numbers(density["values"]),
                                         density["interpolated"].Bool());
      return file;
   }

   const std::string& path() const { return fPath; }
   /// "BDT", "MLP", …; "ONNX" of an ONNX file.
   const std::string& method() const { return fMethod; }
   const std::string& title() const { return fTitle; }
   /// "Classification", "Multiclass" or "Regression".
   const std::string& analysis() const { return fAnalysis; }
   const std::vector<Variable>& variables() const { return fVariables; }
   const std::vector<Variable>& spectators() const { return fSpectators; }
   /// The expressions of what Evaluate() takes: the variables, and the spectators that a method looks at.
   const std::vector<std::string>& inputs() const { return fInputs; }
   /// The labels of what Evaluate() gives.
   const std::vector<std::string>& outputs() const { return fOutputs; }

   /// The responses of n events (n, inputs) go to `out` (n, outputs). A classifier answers −999 to an event
   /// with NaN, as in TMVA.
   ///
   /// Throws std::runtime_error for the method Cuts, which needs an efficiency.
   void Evaluate(const float* events, std::size_t n, float* out) const {
      if (!fInfer)
         throw std::runtime_error("hepml_root: the method Cuts needs the signal efficiency: "
                                  "EvaluateMVA(tag, 0.7), or Passes(event, 0.7)");
      fInfer(&events, n, &out, 0, 0);
      if (fAnalysis != "Classification")
         return;
      for (std::size_t i = 0; i < n; ++i)
         if (HasNaN(events + i * fInputs.size()))
            std::fill_n(out + i * fOutputs.size(), fOutputs.size(), not_a_number);
   }

   /// Whether the file has the densities of the response: it was trained with CreateMVAPdfs.
   bool HasDensities() const { return fDensities.size() == 2; }

   /// TMVA's GetProba: how probably an event of this response is signal, of which a fraction is expected.
   ///
   /// Throws std::runtime_error if the file has no densities, or the fraction is not from 0 to 1.
   double Probability(double response, double signal_fraction) const {
      Require("GetProba");
      if (!(signal_fraction >= 0 && signal_fraction <= 1))
         throw std::runtime_error("hepml_root: signal fraction " + std::to_string(signal_fraction) +
                                  ": a number from 0 to 1 is needed");
      const double above = fDensities[0].Value(response) * signal_fraction;
      return above / (above + fDensities[1].Value(response) * (1 - signal_fraction));
   }

   /// TMVA's GetRarity: the share of the background with a smaller response.
   ///
   /// Throws std::runtime_error if the file has no densities.
   double Rarity(double response) const {
      Require("GetRarity");
      return fDensities[1].Integral(response);
   }

   /// Whether it is a file of the method Cuts.
   bool IsCuts() const { return !fInfer; }

   /// Of the method Cuts: whether an event is inside the box of a signal efficiency, min < x <= max.
   ///
   /// Throws std::runtime_error if the efficiency is not from 0 to 1.
   bool Passes(const float* event, double signal_efficiency) const {
      const std::size_t box = BoxAt(signal_efficiency);
      if (box == no_box)
         return false;
      for (std::size_t i = 0; i < fInputs.size(); ++i)
         if (!(event[i] > fLeast[box][i] && event[i] <= fMost[box][i]))
            return false;
      return true;
   }

   /// The box of a signal efficiency: the cuts min and max of all variables. See Passes(). At an efficiency
   /// of 0, where nothing passes, both are 0.
   void GetCuts(double signal_efficiency, std::vector<double>& least, std::vector<double>& most) const {
      const std::size_t box = BoxAt(signal_efficiency);
      least = box == no_box ? std::vector<double>(fInputs.size()) : fLeast[box];
      most = box == no_box ? std::vector<double>(fInputs.size()) : fMost[box];
   }

   bool HasNaN(const float* event) const {
      bool nan = false;
      for (std::size_t i = 0; i < fInputs.size(); ++i)
         nan |= std::isnan(event[i]);
      return nan;
   }

private:
   static constexpr std::size_t no_box = static_cast<std::size_t>(-1);

   /// TMVA counts the steps of the efficiency from 1 and the boxes from 0: it takes the box of the next step,
   /// and from the last step on the last.
   std::size_t BoxAt(double efficiency) const {
      if (fLeast.empty())
         throw std::runtime_error("hepml_root: '" + fTitle + "' is a method " + fMethod +
                                  ", and only the method Cuts takes a signal efficiency");
      if (!(efficiency >= 0 && efficiency <= 1))
         throw std::runtime_error("hepml_root: the signal efficiency " + std::to_string(efficiency) +
                                  ": a number from 0 to 1 is needed; the file has boxes for " +
                                  std::to_string(fLeast.size()) + " steps");
      if (efficiency == 0)
         return no_box;
      // The bin of a ROOT axis: between two edges, each of them a multiple of the rounded width.
      const double count = static_cast<double>(fLeast.size()), width = 1. / count;
      auto step = static_cast<std::size_t>(count * efficiency);
      if (efficiency < static_cast<double>(step) * width)
         --step;
      else if (efficiency >= static_cast<double>(step + 1) * width)
         ++step;
      return std::min(step + 1, fLeast.size() - 1);
   }

   static std::vector<Variable> Variables(const Json& json) {
      std::vector<Variable> variables;
      for (const Json& variable : json.List())
         variables.push_back({variable["expression"].Text(), variable["label"].Text()});
      return variables;
   }

   static std::vector<std::vector<double>> Boxes(const Json& json) {
      std::vector<std::vector<double>> boxes;
      for (const Json& box : json.List())
         boxes.push_back(Numbers(box));
      return boxes;
   }

   static std::vector<double> Numbers(const Json& json) {
      std::vector<double> numbers;
      for (const Json& number : json.List())
         numbers.push_back(number.Number());
      return numbers;
   }

   void Require(const std::string& call) const {
      if (!HasDensities())
         throw std::runtime_error("hepml_root: " + call + ": '" + fPath +
                                  "' has no densities of the response; book the method with CreateMVAPdfs");
   }

   std::string fPath, fMethod, fTitle, fAnalysis;
   std::vector<Variable> fVariables, fSpectators;
   std::vector<std::string> fInputs, fOutputs;
   std::vector<std::vector<double>> fLeast, fMost;
   std::vector<Density> fDensities; // of signal and background
   CompiledLibrary::Infer fInfer = nullptr;
};

} // namespace hepml_root

#endif
