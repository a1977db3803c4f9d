"""Options of the Factory, of the Reader, and of PrepareTrainingAndTestTree."""

from __future__ import annotations

from collections.abc import Sequence

from hepml_root.tmva.options.declaration import Option

_V = "Take V or Silent."
_LEVELS = ("Debug", "Verbose", "Info", "Warning", "Error", "Fatal")

FACTORY = (
    Option("V", False, "Say more."),
    Option("VerboseLevel", "Info", "How much is said.", _LEVELS, honoured=False, instead=_V),
    Option("Color", False, "Use colours of the terminal."),
    Option(
        "Transformations", "I", "Transformations of the variables that the output file shows: I;D;P;U;G,D."
    ),
    Option("Correlations", False, "Print correlations of the methods, and how often they agree."),
    Option("ROC", True, "Print the tables of ROC areas and efficiencies."),
    Option("Silent", False, "Say nothing but warnings."),
    Option("DrawProgressBar", True, "Draw progress bars.", honoured=False),
    Option(
        "ModelPersistence",
        True,
        "Keep weight files.",
        honoured=False,
        instead="Methods are tested by their files, which are kept.",
    ),
    Option(
        "AnalysisType", "Auto", "What is learned.", ("Classification", "Regression", "Multiclass", "Auto")
    ),
)

READER = (
    Option("V", False, "Say more."),
    Option("VerboseLevel", "Info", "How much is said.", _LEVELS, honoured=False, instead=_V),
    Option("Color", True, "Use colours of the terminal."),
    Option("Silent", False, "Say nothing but warnings."),
    Option(
        "Error", False, "Compute errors of responses.", honoured=False, instead="No method here has them."
    ),
)


def split_options(classes: Sequence[str]) -> tuple[Option, ...]:
    """Return the options of PrepareTrainingAndTestTree, some of which are there for every class."""
    shared = (
        Option(
            "SplitMode",
            "Random",
            "How training and test events are chosen.",
            ("Random", "Alternate", "Block"),
        ),
        Option(
            "MixMode",
            "SameAsSplitMode",
            "How the classes are put into one sample.",
            ("SameAsSplitMode", "Random", "Alternate", "Block"),
        ),
        Option("SplitSeed", 100, "Seed of random choices; 0: another each time."),
        Option(
            "NormMode",
            "EqualNumEvents",
            "How weights are normalised: not; mean 1 in each class; mean 1 in the first and equal sums.",
            ("None", "NumEvents", "EqualNumEvents"),
        ),
        Option(
            "ScaleWithPreselEff", False, "Scale numbers of events that are asked for by what the cuts leave."
        ),
        Option("V", False, "Say more."),
        Option("VerboseLevel", "Info", "How much is said.", _LEVELS, honoured=False, instead=_V),
        Option(
            "Correlations",
            True,
            "Print the correlations of the variables.",
            honoured=False,
            instead="They are in the output file.",
        ),
        Option(
            "CalcCorrelations",
            True,
            "Compute the correlations of the variables.",
            honoured=False,
            instead="They are computed for the output file alone.",
        ),
    )
    of_classes = [
        option
        for name in classes
        for option in (
            Option(f"nTrain_{name}", 0, f"Training events of {name}; 0: all others."),
            Option(f"nTest_{name}", 0, f"Test events of {name}; 0: all others."),
            Option(f"TrainTestSplit_{name}", 0.0, f"Share of the events of {name} for training, instead."),
        )
    ]
    return (*shared, *of_classes)
