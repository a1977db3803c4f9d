"""Options of boosted decision trees, as TMVA has them; the last ones are of its past."""

from __future__ import annotations

from hepml_root.tmva.options.declaration import Option

BOOSTS = ("AdaBoost", "RealAdaBoost", "AdaCost", "Bagging", "AdaBoostR2", "Grad")
SEPARATIONS = (
    *("CrossEntropy", "GiniIndex", "GiniIndexWithLaplace", "MisClassificationError", "SDivSqrtSPlusB"),
    "RegressionVariance",
)
NO_PRUNING = "Trees are not pruned here: keep them small with MaxDepth and MinNodeSize."
_NO_FISHER = "Nodes cut on single variables; decorrelate them with VarTransform=D."

BDT = (
    Option("NTrees", 800, "Number of trees."),
    Option("MaxDepth", 3, "Cuts one after the other, at most; 50 of a regression."),
    Option("MinNodeSize", "5%", "Least part of the events in a leaf, in percent; 0.2% of a regression."),
    Option("nCuts", 20, "Cuts that are tried on each variable, in equal steps; negative: all there are."),
    Option("BoostType", "AdaBoost", "How trees are boosted; AdaBoostR2 of a regression.", BOOSTS),
    Option(
        "AdaBoostR2Loss", "Quadratic", "What AdaBoostR2 calls wrong.", ("Linear", "Quadratic", "Exponential")
    ),
    Option("UseBaggedBoost", False, "Grow each tree on a random part of the events."),
    Option("Shrinkage", 1.0, "How much each tree of Grad counts."),
    Option("AdaBoostBeta", 0.5, "How much each tree of AdaBoost counts."),
    Option("UseRandomisedTrees", False, "Look at a random choice of variables in each node."),
    Option("UseNvars", 2, "How many variables a node looks at then; not given: the root of their number."),
    Option("UsePoissonNvars", True, "That number is the mean of a Poisson distribution."),
    Option("BaggedSampleFraction", 0.6, "Part of the events that a bagged tree is grown on."),
    Option("UseYesNoLeaf", True, "Leaves answer ±1 in place of their purity."),
    Option(
        "NegWeightTreatment",
        "InverseBoostNegWeights",
        "Events with negative weights: boosted inversely, left out, or paired with others.",
        (
            *("InverseBoostNegWeights", "IgnoreNegWeightsInTraining", "NoNegWeightsInTraining"),
            *("PairNegWeightsGlobal", "Pray"),
        ),
    ),
    Option("Css", 1.0, "AdaCost: signal taken for signal."),
    Option("Cts_sb", 1.0, "AdaCost: signal taken for background."),
    Option("Ctb_ss", 1.0, "AdaCost: background taken for signal."),
    Option("Cbb", 1.0, "AdaCost: background taken for background."),
    Option("NodePurityLimit", 0.5, "A leaf of higher purity is one of the signal."),
    Option("SeparationType", "GiniIndex", "What a cut shall gain.", SEPARATIONS),
    Option(
        "RegressionLossFunctionBDTG",
        "Huber",
        "Loss of Grad in a regression.",
        ("Huber", "AbsoluteDeviation", "LeastSquares"),
    ),
    Option("HuberQuantile", 0.7, "Part of the events that Huber's loss takes for the core."),
    Option(
        "DoBoostMonitor",
        False,
        "Area under the ROC curve of the test against the number of trees.",
        honoured=False,
        instead="MonitorNtuple has the error of each tree.",
    ),
    Option("UseFisherCuts", False, "Cut on Fisher discriminants.", honoured=False, instead=_NO_FISHER),
    Option("MinLinCorrForFisher", 0.8, "Least correlation for these.", honoured=False, instead=_NO_FISHER),
    Option("UseExclusiveVars", False, "Cut on nothing else then.", honoured=False, instead=_NO_FISHER),
    Option(
        "DoPreselection",
        False,
        "Cut first where there is only one class; the answer is 1 or -1 there.",
    ),
    Option("SigToBkgFraction", 1.0, "Signal over background in training."),
    Option(
        "PruneMethod",
        "NoPruning",
        "How trees are pruned.",
        ("NoPruning", "ExpectedError", "CostComplexity"),
    ),
    Option("PruneStrength", 0.0, "How much.", honoured=False, instead=NO_PRUNING),
    Option("PruningValFraction", 0.5, "Part of the events for that.", honoured=False, instead=NO_PRUNING),
    Option("SkipNormalization", False, "Signal and background keep the sums of their weights."),
    Option("nEventsMin", 0, "Deprecated: MinNodeSize as a number of events."),
    Option("UseBaggedGrad", False, "Deprecated: UseBaggedBoost."),
    Option("GradBaggingFraction", 0.6, "Deprecated: BaggedSampleFraction."),
    Option("UseNTrainEvents", 0, "Deprecated: BaggedSampleFraction as a number of events."),
    Option("NNodesMax", 0, "Deprecated: MaxDepth."),
)
