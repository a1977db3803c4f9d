"""How good a model is, with errors: ROC, significance, calibration, overtraining, ranking, reports.

Every study is a function of plain arrays (scores, labels, weights) that returns a dataclass of arrays
with ``to_dict()``; the plots take these dataclasses, and :func:`evaluate` puts everything in one report.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Public name -> module; loaded when first used, since the plots need matplotlib, which is slow to import.
_PUBLIC: dict[str, str] = {
    "Estimate": "estimate",
    "auc": "roc",
    "auc_difference": "roc",
    "mean_auc": "roc",
    "roc_curve": "roc",
    "Roc": "roc",
    "asimov_significance": "significance",
    "scan_significance": "significance",
    "ks_test": "overtraining",
    "compare_scores": "overtraining",
    "reliability": "calibration",
    "correlation": "correlation",
    "confusion": "confusion",
    "rank_inputs": "ranking",
    "study_residuals": "regression",
    "predict": "predict",
    "evaluate": "report",
    "Report": "report",
}

__all__ = sorted(_PUBLIC)

if TYPE_CHECKING:  # what type checkers and editors see
    from hepml_root.evaluation.calibration import reliability
    from hepml_root.evaluation.confusion import confusion
    from hepml_root.evaluation.correlation import correlation
    from hepml_root.evaluation.estimate import Estimate
    from hepml_root.evaluation.overtraining import compare_scores, ks_test
    from hepml_root.evaluation.predict import predict
    from hepml_root.evaluation.ranking import rank_inputs
    from hepml_root.evaluation.regression import study_residuals
    from hepml_root.evaluation.report import Report, evaluate
    from hepml_root.evaluation.roc import Roc, auc, auc_difference, mean_auc, roc_curve
    from hepml_root.evaluation.significance import asimov_significance, scan_significance


def __getattr__(name: str) -> Any:
    try:
        module = importlib.import_module(f"hepml_root.evaluation.{_PUBLIC[name]}")
    except KeyError:
        raise AttributeError(f"module 'hepml_root.evaluation' has no attribute '{name}'") from None
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
