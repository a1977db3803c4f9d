"""Options of CrossValidation, and of the method that its weight files hold."""

from __future__ import annotations

from hepml_root.tmva.options.declaration import Option
from hepml_root.tmva.options.factory import FACTORY

_SPLIT_EXPR = Option(
    "SplitExpr",
    "",
    "The fold of an event of its spectators: int(fabs([eventID]))%int([NumFolds]).",
)
_NUM_FOLDS = Option("NumFolds", 2, "Number of folds.")
_ENSEMBLING = Option(
    "OutputEnsembling", "None",
    "What a new event gets: the response of its fold (None), or the mean of all (Avg).", ("None", "Avg"),
)  # fmt: skip

CROSS_VALIDATION = (
    *(option for option in FACTORY if option.name != "ModelPersistence"),
    Option("ModelPersistence", True, "Keep weight files."),
    Option(
        "SplitType", "Random", "How events are put into folds; Deterministic: by SplitExpr.",
        ("Deterministic", "Random", "RandomStratified"),
    ),
    _SPLIT_EXPR,
    _NUM_FOLDS,
    Option("SplitSeed", 100, "Seed of random folds."),
    Option(
        "NumWorkerProcs", 1, "Processes that train at the same time.", honoured=False,
        instead="Folds are trained one after the other; many methods use all cores by themselves.",
    ),
    Option("FoldFileOutput", False, "Write an output file for each fold, beside that of all folds."),
    _ENSEMBLING,
)  # fmt: skip

FOLDS_IN_FILES = (
    _SPLIT_EXPR,
    _NUM_FOLDS,
    Option("EncapsulatedMethodName", "", "Title of the method in each fold."),
    Option("EncapsulatedMethodTypeName", "", "Type of the method in each fold."),
    _ENSEMBLING,
)
