// TMVA's constants, with its numbers.

#ifndef HEPML_ROOT_TYPES_HXX
#define HEPML_ROOT_TYPES_HXX

namespace hepml_root {

struct Types {
   enum EMVA {
      kVariable,
      kCuts,
      kLikelihood,
      kPDERS,
      kHMatrix,
      kFisher,
      kKNN,
      kCFMlpANN,
      kTMlpANN,
      kBDT,
      kDT,
      kRuleFit,
      kSVM,
      kMLP,
      kBayesClassifier,
      kFDA,
      kBoost,
      kPDEFoam,
      kLD,
      kPlugins,
      kCategory,
      kDNN,
      kDL,
      kPyRandomForest,
      kPyAdaBoost,
      kPyGTB,
      kPyKeras,
      kPyTorch,
      kC50,
      kRSNNS,
      kRSVM,
      kRXGB,
      kCrossValidation,
      kMaxMethod
   };
   enum EVariableTransform {
      kIdentity,
      kDecorrelated,
      kNormalized,
      kPCA,
      kRearranged,
      kGauss,
      kUniform,
      kMaxVariableTransform
   };
   enum EAnalysisType { kClassification, kRegression, kMulticlass, kNoAnalysisType, kMaxAnalysisType };
   enum ESBType { kSignal, kBackground, kSBBoth, kMaxSBType, kTrueType };
   enum ETreeType { kTraining, kTesting, kMaxTreeType, kValidation, kTrainingOriginal };
};

} // namespace hepml_root

#endif
