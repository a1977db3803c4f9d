"""Boosting of decision trees for a target: gradients of a loss, or AdaBoost.R2.

    Grad         F = c + Σ hₜ(x): trees are fitted to the derivative of the loss, leaves lower it most
                 LeastSquares       the mean of the residuals
                 AbsoluteDeviation  their median
                 Huber              the median, and the mean of what is left, cut at a quantile of |residuals|
    Bagging      the mean of trees on random samples
    AdaBoostR2   trees on reweighted events, answering their weighted median

Reference: J. Friedman, Ann. Stat. 29 (2001) 1189; H. Drucker, ICML (1997) 107.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.tmva.learning.tree_boosting import Bagging, Boosted
from hepml_root.tmva.learning.tree_growing import Forester

_LEAST_ERROR = 1e-10


@dataclass(frozen=True)
class Loss:
    """Loss of a regression: ``Huber``, ``AbsoluteDeviation`` or ``LeastSquares``, and Huber's quantile."""

    name: str
    quantile: float = 0.7

    def start(self, values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        """Return the constant that fits best."""
        everything = np.zeros(len(values), np.int32)
        return float(self.fitted(everything, values, weights, 1)[0])

    def targets(self, residuals: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the derivatives."""
        if self.name == "LeastSquares":
            return residuals
        if self.name == "AbsoluteDeviation":
            return np.sign(residuals)
        edge = self.edge(residuals, weights)
        return np.clip(residuals, -edge, edge)

    def edge(self, residuals: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        """Return the size of residuals where Huber's loss goes from squares to straight lines."""
        everything = np.zeros(len(residuals), np.int32)
        return float(quantiles(everything, np.abs(residuals), weights, 1, self.quantile)[0])

    def fitted(
        self,
        leaf: NDArray[np.int32],
        residuals: NDArray[np.float64],
        weights: NDArray[np.float64],
        count: int,
        most: float | None = None,
    ) -> NDArray[np.float64]:
        """Return what lowers the loss most in each of ``count`` leaves, 0 in empty ones; ``most`` is Huber's
        edge."""
        sums = np.bincount(leaf, weights, count)
        sums = np.where(sums > 0, sums, 1.0)
        if self.name == "LeastSquares":
            return np.bincount(leaf, weights * residuals, count) / sums
        middle = quantiles(leaf, residuals, weights, count, 0.5)
        if self.name == "AbsoluteDeviation":
            return middle
        most = self.edge(residuals, weights) if most is None else most
        rest = residuals - middle[leaf]
        return middle + np.bincount(leaf, weights * np.clip(rest, -most, most), count) / sums


def quantiles(
    leaf: NDArray[np.int32],
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    count: int,
    quantile: float,
) -> NDArray[np.float64]:
    """Return the weighted quantile of the values in each leaf: the first whose weights reach it.

    >>> quantiles(np.int32([0, 0, 0, 1]), np.array([3.0, 1.0, 2.0, 9.0]), np.ones(4), 3, 0.5).tolist()
    [2.0, 9.0, 0.0]
    """
    order = np.lexsort((values, leaf))
    sorted_leaf, summed = leaf[order], np.cumsum(weights[order])
    first = np.searchsorted(sorted_leaf, np.arange(count))
    last = np.searchsorted(sorted_leaf, np.arange(count), side="right") - 1
    filled = last >= first
    before = np.where(first > 0, summed[np.maximum(first - 1, 0)], 0.0)
    wanted = before + quantile * (summed[np.maximum(last, 0)] - before)
    places = np.clip(np.searchsorted(summed, wanted), first, np.maximum(last, first))
    found = values[order][np.minimum(places, len(values) - 1)]
    return np.where(filled, found, 0.0)


def gradient_boost_target(
    forester: Forester,
    variables: int,
    target: NDArray[np.float64],
    weights: NDArray[np.float64],
    trees: int,
    shrinkage: float,
    bagging: Bagging,
    loss: Loss,
) -> Boosted:
    """Boost trees by gradients; the weight of the first tree is the constant, as in weight files."""
    found = Boosted()
    start = loss.start(target, weights)
    total = np.full(len(target), start)
    for number in range(trees):
        rows = bagging.rows(len(target), number)
        chosen: slice | NDArray[np.int32] = slice(None) if rows is None else rows
        residuals = target - total
        grown = forester.grow(weights, targets=loss.targets(residuals, weights), rows=rows, seed=number)
        edge = None if loss.name != "Huber" else loss.edge(residuals, weights)
        leaves = grown.leaf[chosen]
        fit = loss.fitted(leaves, residuals[chosen], weights[chosen], len(grown.kind), edge)
        grown.response = shrinkage * fit
        total += grown.response[grown.leaf]
        found.add(grown, variables, 1.0)
        found.weights.append(1.0)
        found.errors.append(float(weights @ (target - total) ** 2 / weights.sum()))
    found.trees[0].weight = float(np.float32(start))
    return found


def bag_target(
    forester: Forester,
    variables: int,
    target: NDArray[np.float64],
    weights: NDArray[np.float64],
    trees: int,
    bagging: Bagging,
) -> Boosted:
    """Grow trees on random samples, all of the same weight."""
    found = Boosted()
    for number in range(trees):
        rows = bagging.rows(len(target), number)
        found.add(forester.grow(weights, targets=target, rows=rows, seed=number), variables, 1.0)
        found.weights.append(1.0)
        found.errors.append(0.0)
    return found


def ada_boost_r2(
    forester: Forester,
    variables: int,
    target: NDArray[np.float64],
    weights: NDArray[np.float64],
    trees: int,
    bagging: Bagging,
    loss: str,
) -> Boosted:
    """Boost trees by AdaBoost.R2 with a ``Linear``, ``Quadratic`` or ``Exponential`` loss."""
    found = Boosted()
    w = np.array(weights, np.float64)
    for number in range(trees):
        rows = bagging.rows(len(w), number)
        grown = forester.grow(w, targets=target, rows=rows, seed=number)
        seen = slice(None) if rows is None else np.unique(rows)
        deviation = np.abs(grown.response[grown.leaf] - target)[seen]
        share = deviation / max(float(deviation.max()), np.finfo(np.float64).tiny)
        wrong = {"Linear": share, "Quadratic": share**2, "Exponential": 1.0 - np.exp(-share)}[loss]
        error = max(float(w[seen] @ wrong / w[seen].sum()), _LEAST_ERROR)
        if error >= 0.5:
            found.stopped = f"tree {number} has the error {error:.3g}"
            if not found.trees:  # one tree is better than none
                found.add(grown, variables, 1.0)
                found.weights.append(1.0)
                found.errors.append(error)
            break
        factor = error / (1.0 - error)
        w[seen] *= factor ** (1.0 - share)
        w *= len(w) / w.sum()
        found.add(grown, variables, float(np.log(1.0 / factor)))
        found.weights.append(float(np.log(1.0 / factor)))
        found.errors.append(error)
    return found
