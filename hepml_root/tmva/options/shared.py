"""Options that all methods have."""

from __future__ import annotations

from hepml_root.tmva.options.declaration import Option

SHARED = (
    Option("V", False, "Say more."),
    Option(
        "VerbosityLevel",
        "Default",
        "How much is said.",
        ("Default", "Debug", "Verbose", "Info", "Warning", "Error", "Fatal"),
        honoured=False,
        instead="Take V of the Factory, or Silent.",
    ),
    Option(
        "VarTransform",
        "None",
        "What happens to the variables first: I, D, P, U, G, N, chains D,G,N, classes as in D_Signal.",
    ),
    Option("H", False, "Print what the method is."),
    Option("CreateMVAPdfs", False, "Make densities of the response: GetProba and GetRarity need them."),
    Option(
        "PDFInterpolMVAPdf",
        "Spline2",
        "Interpolation of these densities.",
        ("Spline0", "Spline1", "Spline2", "Spline3", "Spline5", "KDE"),
    ),
    Option("NbinsMVAPdf", 60, "Bins of these densities."),
    Option("NsmoothMVAPdf", 2, "How often these densities are smoothed."),
    Option("IgnoreNegWeightsInTraining", False, "Leave events with negative weights out of training."),
)
