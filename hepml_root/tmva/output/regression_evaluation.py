"""How good a regression is: mean deviation, spread, correlation and mutual information with the target."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import EmptySelectionError, SettingError, WeightError
from hepml_root.tmva.output.results import MethodResult

_BINS = (75, 50)  # of regression and target
_KEPT = 2.0  # standard deviations around the mean deviation

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RegressionEvaluation:
    """Of one target, on test or training events, weighted.

    Arguments
    ---------
    bias, deviation, rms
        Mean of regression minus target, mean of its absolute value, and its standard deviation.
    mutual_information
        Between regression and target, from a histogram of 75 × 50 bins.
    correlation
        Linear.
    truncated_bias, truncated_deviation, truncated_rms, truncated_mutual_information
        The same without events that deviate by more than two standard deviations from the bias.
    """

    title: str
    bias: float
    deviation: float
    rms: float
    mutual_information: float
    correlation: float
    truncated_bias: float
    truncated_deviation: float
    truncated_rms: float
    truncated_mutual_information: float


def evaluate_regression(result: MethodResult, part: str = "test", target: int = 0) -> RegressionEvaluation:
    """Evaluate a regression.

    Arguments
    ---------
    part
        ``test`` or ``training`` events.
    target
        Its index; TMVA's table is that of the first.

    Raises
    ------
    SettingError
        The analysis is no regression, or there is no such target.
    EmptySelectionError, WeightError
        There are no events, or their weights do not have a positive sum.
    """
    data = result.data
    if data.analysis != "Regression":
        raise SettingError(f"'{result.title}' does {data.analysis}; it has no target.")
    if not 0 <= target < len(data.targets):
        raise SettingError(f"target {target} of '{result.title}'; there are {len(data.targets)}, from 0.")
    sample = data.test if part == "test" else data.training
    if not len(sample):
        raise EmptySelectionError(f"'{result.title}': there are no {part} events.")
    found = np.asarray((result.test if part == "test" else result.training)[:, target], np.float64)
    true, weights = np.asarray(sample.targets[:, target], np.float64), sample.weights
    if not weights.sum() > 0:
        raise WeightError(f"'{result.title}': the weights of the {part} events have no positive sum.")
    bias, deviation, rms = _moments(found - true, weights)
    low, high = float(min(found.min(), true.min())), float(max(found.max(), true.max()))
    kept = np.abs(found - true - bias) <= _KEPT * rms
    truncated = _moments((found - true)[kept], weights[kept])
    return RegressionEvaluation(
        result.title, bias, deviation, rms,
        mutual_information(found, true, weights, low, high), _correlation(found, true, weights), *truncated,
        mutual_information(found[kept], true[kept], weights[kept], low, high),
    )  # fmt: skip


def _moments(deviation: Floats, weights: Floats) -> tuple[float, float, float]:
    total = float(weights.sum())
    if not total > 0:
        return math.nan, math.nan, math.nan
    bias = float(weights @ deviation) / total
    square = float(weights @ (deviation - bias) ** 2) / total
    return bias, float(weights @ np.abs(deviation)) / total, math.sqrt(max(0.0, square))


def _correlation(first: Floats, second: Floats, weights: Floats) -> float:
    total = float(weights.sum())
    x, y = (values - float(weights @ values) / total for values in (first, second))
    spread = math.sqrt(max(0.0, float(weights @ x**2) * float(weights @ y**2)))
    return float(weights @ (x * y)) / spread if spread > 0 else 0.0


def mutual_information(first: Floats, second: Floats, weights: Floats, low: float, high: float) -> float:
    """Return ``Σ p(x, y) ln[p(x, y) / (p(x) p(y))]`` of a histogram of 75 × 50 bins between low and high.

    Example
    -------
    >>> x = np.repeat([0.1, 0.9], 10)
    >>> round(mutual_information(x, x, np.ones(20), 0.0, 1.0), 6)  # ln 2
    0.693147
    """
    ends = (low, high if high > low else low + 1.0)
    counts, _, _ = np.histogram2d(first, second, bins=_BINS, range=(ends, ends), weights=weights)
    total = counts.sum()
    if not total > 0:
        return -1.0
    both = counts / total
    apart = both.sum(axis=1)[:, None] * both.sum(axis=0)[None, :]
    filled = (both > 0) & (apart > 0)
    return float(np.sum(both[filled] * np.log(both[filled] / apart[filled])))
