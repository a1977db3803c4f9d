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
    "choose_cut": "best_cut",
    "yields_above": "best_cut",
    "compare_significance": "comparison",
    "plot_significance_comparison": "plot_significance",
    "choose_bins": "binned_significance",
    "significance_in_bins": "binned_significance",
    "BinnedLikelihood": "binned_likelihood",
    "upper_limit": "limits",
    "write_workspace": "histfactory",
    "write_histfactory": "histfactory",
    "ks_test": "overtraining",
    "compare_scores": "overtraining",
    "reliability": "calibration",
    "correlation": "correlations",
    "confusion": "confusion_matrix",
    "rank_inputs": "ranking",
    "study_residuals": "regression",
    "predict": "prediction",
    "Filters": "plot_filters",
    "filters_of": "plot_filters",
    "plot_filters": "plot_filters",
    "evaluate": "report",
    "Report": "report",
    "compare_showers": "two_sample",
    "TwoSampleReport": "shower_report",
    "shower_observables": "shower_observables",
    "compare_observables": "observable_comparison",
    "Observable": "observable_comparison",
    "compare_correlations": "correlation_comparison",
    "separation_power": "distances",
    "wasserstein_distance": "distances",
    "classifier_test": "classifier_test",
    "frechet_physics_distance": "frechet",
    "kernel_physics_distance": "frechet",
    "gaussian_frechet_distance": "frechet",
    "study_response": "response",
    "copying_test": "memorising",
    "coverage_test": "memorising",
}

__all__ = [
    "BinnedLikelihood",
    "Estimate",
    "Filters",
    "Observable",
    "Report",
    "Roc",
    "TwoSampleReport",
    "asimov_significance",
    "auc",
    "auc_difference",
    "choose_bins",
    "choose_cut",
    "classifier_test",
    "compare_correlations",
    "compare_observables",
    "compare_scores",
    "compare_showers",
    "compare_significance",
    "confusion",
    "copying_test",
    "correlation",
    "coverage_test",
    "evaluate",
    "filters_of",
    "frechet_physics_distance",
    "gaussian_frechet_distance",
    "kernel_physics_distance",
    "ks_test",
    "mean_auc",
    "plot_filters",
    "plot_significance_comparison",
    "predict",
    "rank_inputs",
    "reliability",
    "roc_curve",
    "scan_significance",
    "separation_power",
    "shower_observables",
    "significance_in_bins",
    "study_residuals",
    "study_response",
    "upper_limit",
    "wasserstein_distance",
    "write_histfactory",
    "write_workspace",
    "yields_above",
]

if TYPE_CHECKING:  # what type checkers and editors see
    from hepml_root.evaluation.best_cut import choose_cut, yields_above
    from hepml_root.evaluation.binned_likelihood import BinnedLikelihood
    from hepml_root.evaluation.binned_significance import choose_bins, significance_in_bins
    from hepml_root.evaluation.calibration import reliability
    from hepml_root.evaluation.classifier_test import classifier_test
    from hepml_root.evaluation.comparison import compare_significance
    from hepml_root.evaluation.confusion_matrix import confusion
    from hepml_root.evaluation.correlation_comparison import compare_correlations
    from hepml_root.evaluation.correlations import correlation
    from hepml_root.evaluation.distances import separation_power, wasserstein_distance
    from hepml_root.evaluation.estimate import Estimate
    from hepml_root.evaluation.frechet import (
        frechet_physics_distance,
        gaussian_frechet_distance,
        kernel_physics_distance,
    )
    from hepml_root.evaluation.histfactory import write_histfactory, write_workspace
    from hepml_root.evaluation.limits import upper_limit
    from hepml_root.evaluation.memorising import copying_test, coverage_test
    from hepml_root.evaluation.observable_comparison import Observable, compare_observables
    from hepml_root.evaluation.overtraining import compare_scores, ks_test
    from hepml_root.evaluation.plot_filters import Filters, filters_of, plot_filters
    from hepml_root.evaluation.plot_significance import plot_significance_comparison
    from hepml_root.evaluation.prediction import predict
    from hepml_root.evaluation.ranking import rank_inputs
    from hepml_root.evaluation.regression import study_residuals
    from hepml_root.evaluation.report import Report, evaluate
    from hepml_root.evaluation.response import study_response
    from hepml_root.evaluation.roc import Roc, auc, auc_difference, mean_auc, roc_curve
    from hepml_root.evaluation.shower_observables import shower_observables
    from hepml_root.evaluation.shower_report import TwoSampleReport
    from hepml_root.evaluation.significance import asimov_significance, scan_significance
    from hepml_root.evaluation.two_sample import compare_showers


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
