"""Options of KNN and SVM, methods that keep training events."""

from __future__ import annotations

from hepml_root.tmva.options.declaration import Option

NEIGHBOURS = (
    Option("nkNN", 20, "Number of neighbours k."),
    Option(
        "BalanceDepth", 6, "Levels of the search tree that are balanced.", honoured=False,
        instead="Neighbours are found without a tree.",
    ),
    Option(
        "ScaleFrac", 0.8,
        "Share of the events, in the middle, whose width each variable is divided by; 0: not divided.",
    ),
    Option("SigmaFact", 1.0, "Width of the Gaussian kernel, in root mean squares of the neighbours."),
    Option("Kernel", "Gaus", "How neighbours are weighted with UseKernel.", ("Gaus", "Poln")),
    Option("Trim", False, "Use as many signal as background events."),
    Option("UseKernel", False, "Weight neighbours by their distance."),
    Option("UseWeight", True, "Count neighbours with the weights of their events."),
    Option("UseLDA", False, "A linear discriminant of the neighbours."),
)  # fmt: skip

SUPPORT_VECTORS = (
    Option(
        "Kernel", "RBF", "The kernel; Prod and Sum are of those in KernelList.",
        ("RBF", "MultiGauss", "Polynomial", "Prod", "Sum"),
    ),
    Option("Gamma", 1.0, "RBF: exp(-Gamma |x - z|^2)."),
    Option("Order", 3, "Polynomial: (x z + Theta)^Order."),
    Option("Theta", 1.0, "Polynomial: (x z + Theta)^Order."),
    Option("GammaList", "", "MultiGauss: one Gamma for each variable, with commas; nothing: all are 1."),
    Option("KernelList", "None", "Kernels of Prod with *, of Sum with +, such as RBF*Polynomial."),
    Option(
        "Tune", "All", "What OptimizeTuningParameters varies: Gamma[0.01;1;10],C[0.1;10;5], or All.",
    ),
    Option("Loss", "hinge", "The loss.", ("hinge",)),
    Option("C", 1.0, "Cost of an event on the wrong side; in regression the default is 0.002."),
    Option("Tol", 0.01, "When training stops; in regression also the error that costs nothing."),
    Option("MaxIter", 1000, "Most steps of training, in numbers of training events."),
)  # fmt: skip

CATEGORY: tuple[Option, ...] = ()

BOOST = (
    Option("Boost_Num", 1, "Number of trainings."),
    Option(
        "Boost_MonitorMethod", True, "Histograms of each training.", honoured=False,
        instead="The output file has the table MonitorBoost.",
    ),
    Option(
        "Boost_DetailedMonitoring", False, "More histograms of each training.", honoured=False,
        instead="The output file has the table MonitorBoost.",
    ),
    Option(
        "Boost_Type", "AdaBoost", "How events are weighted from one training to the next.",
        ("RealAdaBoost", "AdaBoost", "Bagging"),
    ),
    Option("Boost_BaggedSampleFraction", 0.6, "Bagging: the mean of the Poisson weights."),
    Option("Boost_AdaBoostBeta", 1.0, "AdaBoost: the power of the weights."),
    Option(
        "Boost_Transform", "step", "What is done to each response before they are added.",
        ("step", "linear", "log", "gauss"),
    ),
    Option("Boost_RandomSeed", 0, "Seed of Bagging; 0: another each time."),
)  # fmt: skip
