"""The methods that are read, and the options that each of them writes into its file.

An option that is not listed is refused: nobody knows what it does to the response.
"""

from __future__ import annotations

_SHARED = (
    *("V", "VerbosityLevel", "VarTransform", "VarTransformType", "NbinsMVAPdf", "NsmoothMVAPdf", "H"),
    *("CreateMVAPdfs", "IgnoreNegWeightsInTraining", "TxtWeightFilesOnly", "NormTree", "Normalise"),
    *("UseDecorr", "D", "Silent", "Color"),
)
_PDF = (
    *("PDFInterpol", "PDFInterpolMVAPdf", "NSmooth", "MinNSmooth", "MaxNSmooth", "NAvEvtPerBin", "Nbins"),
    *("CheckHist", "KDEtype", "KDEiter", "KDEFineFactor", "KDEborder", "TransformOutput"),
)
_TREES = (
    *("NTrees", "MaxDepth", "MinNodeSize", "nCuts", "BoostType", "AdaBoostR2Loss", "UseBaggedBoost"),
    *("Shrinkage", "AdaBoostBeta", "UseRandomisedTrees", "UseNvars", "UsePoissonNvars", "UseYesNoLeaf"),
    *("BaggedSampleFraction", "NegWeightTreatment", "Css", "Cts_sb", "Ctb_ss", "Cbb", "NodePurityLimit"),
    *("SeparationType", "RegressionLossFunctionBDTG", "HuberQuantile", "DoBoostMonitor", "UseFisherCuts"),
    *("MinLinCorrForFisher", "UseExclusiveVars", "DoPreselection", "SigToBkgFraction", "PruneMethod"),
    *("PruneStrength", "PruningValFraction", "SkipNormalization", "PruneBeforeBoost", "RenormByClass"),
    *("nEventsMin", "UseBaggedGrad", "GradBaggingFraction", "UseNTrainEvents", "NNodesMax"),
    *("UseWeightedTrees", "SampleFraction", "NoNegWeightsInTraining", "BaggedGrad", "UseWeightedTreesForMVA"),
)
_NETWORK = (
    *("NCycles", "HiddenLayers", "NeuronType", "RandomSeed", "EstimatorType", "NeuronInputType"),
    *("TrainingMethod", "LearningRate", "DecayRate", "TestRate", "EpochMonitoring", "Sampling"),
    *("SamplingEpoch", "SamplingImportance", "SamplingTraining", "SamplingTesting", "ResetStep", "Tau"),
    *("BPMode", "BatchSize", "ConvergenceImprove", "ConvergenceTests", "UseRegulator", "UpdateLimit"),
    *("CalculateErrors", "WeightRange", "PopSize", "Steps", "CalculateErrorsOfMVA"),
)
_CUTS = ("FitMethod", "EffMethod", "CutRangeMin", "CutRangeMax", "VarProp", "SampleSize")

METHODS = ("BDT", "MLP", "Fisher", "LD", "Likelihood", "Cuts")

KNOWN_OPTIONS: dict[str, frozenset[str]] = {
    "BDT": frozenset((*_SHARED, *_PDF, *_TREES)),
    "MLP": frozenset((*_SHARED, *_PDF, *_NETWORK)),
    "Fisher": frozenset((*_SHARED, *_PDF, "Method")),
    "LD": frozenset((*_SHARED, *_PDF)),
    "Likelihood": frozenset((*_SHARED, *_PDF)),
    "Cuts": frozenset((*_SHARED, *_PDF, *_CUTS)),
}

# Why others are not read, as the end of a sentence that begins with their name.
NOT_READ = {
    "PDEFoam": "keeps its cells in a ROOT file beside the XML.",
    "PDERS": "searches the training events themselves, which no network can do.",
    "KNN": "searches the training events themselves, which no network can do.",
    "DNN": "is not read; train the network with hepml_root, or export it from TMVA with SOFIE.",
    "DL": "is not read; train the network with hepml_root, or export it from TMVA with SOFIE.",
    "PyKeras": "keeps its network in a Keras file, which hr.attach and hr.export take.",
    "Plugins": "is code of somebody else.",
}
