"""Options of the methods that scikit-learn trains: forests, AdaBoost, gradient boosting; TMVA's names."""

from __future__ import annotations

from hepml_root.tmva.options.declaration import Option

_RANDOM_STATE = Option(
    "RandomState", "None", "Seed of random choices: a whole number, or None for another each time."
)
_WARM_START = Option(
    "WarmStart", False, "Add trees to those of the last training.", honoured=False,
    instead="Every training begins anew.",
)  # fmt: skip
_VERBOSE = Option("Verbose", 0, "How much scikit-learn says.")


def _tree(max_features: str) -> tuple[Option, ...]:
    return (
        Option("MinSamplesSplit", 2, "Events that a node needs to be split."),
        Option("MinSamplesLeaf", 1, "Events that a leaf needs."),
        Option("MinWeightFractionLeaf", 0.0, "Share of all weights that a leaf needs."),
        Option(
            "MaxFeatures", max_features,
            "Variables looked at for a split: auto and sqrt (the root of their number), log2, None (all), a "
            "number, or a share such as 0.5.",
        ),
        Option("MaxLeafNodes", "None", "Most leaves of a tree, a whole number or None."),
    )  # fmt: skip


RANDOM_FOREST = (
    Option("NEstimators", 10, "Number of trees."),
    Option("Criterion", "gini", "What a split makes small.", ("gini", "entropy")),
    Option("MaxDepth", "None", "Depth of the trees, a whole number, or None for pure leaves."),
    *_tree("auto"),
    Option("Bootstrap", True, "Train each tree on a sample drawn with replacement."),
    Option("OoBScore", False, "Say how many of the events that a tree did not see are classified rightly."),
    Option("NJobs", 1, "Threads of the training; -1 for all cores."),
    _RANDOM_STATE,
    _VERBOSE,
    _WARM_START,
    Option(
        "ClassWeight", "None", "Balance the classes: in all events (auto, balanced), per tree (subsample).",
        ("None", "auto", "balanced", "subsample", "balanced_subsample"),
    ),
)  # fmt: skip

ADA_BOOST = (
    Option(
        "BaseEstimator", "None",
        "What is boosted: None for trees of one cut, or DecisionTreeClassifier(max_depth=2, …).",
    ),
    Option("NEstimators", 50, "Most trees."),
    Option("LearningRate", 1.0, "What every tree's weight is multiplied with."),
    Option(
        "Algorithm", "SAMME.R", "Trees answer with probabilities (SAMME.R) or with a class (SAMME).",
        ("SAMME", "SAMME.R"),
    ),
    _RANDOM_STATE,
)  # fmt: skip

GRADIENT_BOOSTING = (
    Option(
        "Loss", "deviance", "Deviance (that of logistic regression), or exponential as in AdaBoost.",
        ("deviance", "exponential"),
    ),
    Option("LearningRate", 0.1, "What every tree's answer is multiplied with."),
    Option("NEstimators", 100, "Number of boosting stages."),
    Option("Subsample", 1.0, "Share of the events that each tree is trained on."),
    Option("MaxDepth", 3, "Depth of the trees."),
    Option("Init", "None", "What boosting begins with; None: the shares of the classes.", ("None",)),
    *_tree("None"),
    _RANDOM_STATE,
    _VERBOSE,
    _WARM_START,
)  # fmt: skip
