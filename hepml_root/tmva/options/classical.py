"""Options of Fisher, LD, Likelihood and Cuts, as TMVA has them."""

from __future__ import annotations

from hepml_root.tmva.options.declaration import Option, Value

INTERPOLATIONS = ("Spline0", "Spline1", "Spline2", "Spline3", "Spline5", "KDE")

FISHER = (
    Option(
        "Method",
        "Fisher",
        "Compact classes (Fisher: covariance within the classes), or all events together (Mahalanobis).",
        ("Fisher", "Mahalanobis"),
    ),
)

LD: tuple[Option, ...] = ()

# Options of a density; each is there once for all densities, and once for those of a class: NSmoothSig[2].
_DENSITY = (
    Option("NSmooth", 0, "How often the histograms are smoothed."),
    Option("MinNSmooth", -1, "How often bins with most data are smoothed; -1: NSmooth."),
    Option("MaxNSmooth", -1, "How often bins with least data are smoothed; -1: NSmooth."),
    Option("NAvEvtPerBin", 50, "Events per bin, on average."),
    Option("Nbins", 0, "Number of bins; 0: from NAvEvtPerBin."),
    Option("CheckHist", False, "Warn of histograms of which more than half of the bins are empty."),
    Option(
        "PDFInterpol",
        "Spline2",
        "Interpolation of the histograms: none, splines of degree 1 to 5, or Gaussian kernels.",
        INTERPOLATIONS,
    ),
    Option("KDEtype", "Gauss", "Kernel.", ("Gauss",)),
    Option(
        "KDEiter", "Nonadaptive", "Kernels of one width, or wider with fewer data.",
        ("Nonadaptive", "Adaptive"),
    ),
    Option("KDEFineFactor", 1.0, "Factor on the width of adaptive kernels."),
    Option(
        "KDEborder",
        "None",
        "What happens at the ends of the range: nothing, kernels renormalised, or events mirrored.",
        ("None", "Renorm", "Mirror"),
    ),
)  # fmt: skip


def _of_class(option: Option, suffix: str) -> Option:
    """Return the option for one class: what is not given is that for all densities."""
    default: Value
    if isinstance(option.default, bool):
        default = False
    else:
        default = "" if isinstance(option.default, str) else type(option.default)(-2)
    which = "signal" if suffix == "Sig" else "background"
    return Option(
        option.name + suffix, default, f"The same for the {which} of one variable: {option.name}{suffix}[0].",
        option.allowed, indexed=True,
    )  # fmt: skip


LIKELIHOOD = (
    Option("TransformOutput", False, "Give -log(1/y - 1)/15 in place of the ratio y."),
    *_DENSITY,
    *(_of_class(option, suffix) for suffix in ("Sig", "Bkg") for option in _DENSITY),
)

_GENETIC = (
    "The optimiser here has no such number; SampleSize, PopSize, Steps and Cycles say how much it tries."
)

CUTS = (
    Option(
        "FitMethod",
        "GA",
        "How boxes are found: random boxes (MC, MCEvents, EventScan) or moves of the best ones (GA, SA).",
        ("GA", "SA", "MC", "MCEvents", "MINUIT", "EventScan"),
    ),
    Option("EffMethod", "EffSel", "Efficiencies from events.", ("EffSel", "EffPDF")),
    Option("CutRangeMin", -1.0, "Least value of a cut; as CutRangeMax: that of the events.", indexed=True),
    Option("CutRangeMax", -1.0, "Largest value of a cut.", indexed=True),
    Option(
        "VarProp",
        "NotEnforced",
        "Cuts on both sides, only below (FMax), only above (FMin), or as the means say (FSmart).",
        ("NotEnforced", "FMax", "FMin", "FSmart"),
        indexed=True,
    ),
    Option("SampleSize", 100000, "Number of random boxes (MC, MCEvents)."),
    Option("Sigma", -1.0, "Width of moves of MC, as part of the range.", honoured=False, instead=_GENETIC),
    Option("Seed", 100, "Seed of the random numbers; 0 takes another one each time."),
    Option("PopSize", 300, "Boxes that are tried at once (GA)."),
    Option("Steps", 40, "Generations (GA)."),
    Option("Cycles", 3, "How often the search starts anew (GA)."),
    Option("SC_steps", 10, "Steps of the spread control (GA).", honoured=False, instead=_GENETIC),
    Option("SC_rate", 5, "Rate of the spread control (GA).", honoured=False, instead=_GENETIC),
    Option("SC_factor", 0.95, "Factor of the spread control (GA).", honoured=False, instead=_GENETIC),
    Option("ConvCrit", 0.001, "When the search has converged (GA).", honoured=False, instead=_GENETIC),
    Option("SaveBestGen", 1, "Boxes kept of a generation (GA).", honoured=False, instead=_GENETIC),
    Option("SaveBestCycle", 10, "Boxes kept of a cycle (GA).", honoured=False, instead=_GENETIC),
    Option("Trim", False, "Trim the population (GA).", honoured=False, instead=_GENETIC),
    Option("MaxCalls", 100000, "Number of moves (SA)."),
    Option("InitialTemp", 1e6, "Temperature at the start (SA).", honoured=False, instead=_GENETIC),
    Option("MinTemp", 1e-6, "Temperature at the end (SA).", honoured=False, instead=_GENETIC),
    Option("Eps", 1e-10, "When the search has converged (SA).", honoured=False, instead=_GENETIC),
    Option("TempScale", 1.0, "Scale of the temperature (SA).", honoured=False, instead=_GENETIC),
    Option("AdaptiveSpeed", 1.0, "Speed of the temperature (SA).", honoured=False, instead=_GENETIC),
    Option("TempAdaptiveStep", 0.009875, "Step of the temperature (SA).", honoured=False, instead=_GENETIC),
    Option("UseDefaultScale", False, "TMVA's own scale (SA).", honoured=False, instead=_GENETIC),
    Option("UseDefaultTemp", False, "TMVA's own temperature (SA).", honoured=False, instead=_GENETIC),
    Option(
        "KernelTemp",
        "IncAdaptive",
        "How the temperature falls (SA).",
        ("IncAdaptive", "DecAdaptive", "Sqrt", "Log", "Sin", "Homo", "Geo"),
        honoured=False,
        instead=_GENETIC,
    ),
)
