"""ROC curves and their area, with event weights and bootstrap bands."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import SettingError, ShapeError
from hepml_root.evaluation.arrays import Bools, Floats, checked_binary, checked_weights
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, central_interval, poisson_replicas, to_json

#: Signal efficiencies at which the background rejection is quoted.
WORKING_POINTS = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)

# Upper end of the central 68.3 % interval of a Poisson mean when no event is seen.
_POISSON_UPPER_OF_ZERO = 1.841


@dataclasses.dataclass(frozen=True)
class WorkingPoint:
    """A cut on the score at a chosen signal efficiency.

    ``background_efficiency`` and ``background_rejection`` (its inverse) carry the error of the finite
    samples of both classes; the rejection is infinite, with a finite lower end, if no background passes.
    """

    signal_efficiency: float
    threshold: float
    background_efficiency: Estimate
    background_rejection: Estimate

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


@dataclasses.dataclass(frozen=True)
class Roc:
    """A ROC curve on a grid of signal efficiencies, with its area.

    Attributes
    ----------
    signal_efficiency, background_efficiency, threshold
        The curve (points,); the threshold is the smallest score that passes.
    low, high
        Bootstrap interval of the background efficiency at fixed signal efficiency (points,).
    auc
        Area under the curve: the probability that a signal event has the larger score.
    working_points
        Background efficiency and rejection at chosen signal efficiencies.
    replicas
        Number of bootstrap replicas behind the intervals.
    """

    signal_efficiency: Floats
    background_efficiency: Floats
    low: Floats
    high: Floats
    threshold: Floats
    auc: Estimate
    working_points: tuple[WorkingPoint, ...]
    replicas: int

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


class _Ranked:
    """Events in falling order of the score, with equal scores in one group."""

    def __init__(self, scores: Floats, signal: Bools, weights: Floats) -> None:
        order = np.argsort(-scores, kind="stable")
        ordered = scores[order]
        self.order = order
        self.signal = np.where(signal, weights, 0.0)[order]
        self.background = np.where(signal, 0.0, weights)[order]
        ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        self.thresholds = ordered[ends]
        self.ends = None if len(ends) == len(ordered) else ends
        self.monotone = bool((weights >= 0).all())

    def cumulative(self, counts: Floats | None = None) -> tuple[Floats, Floats]:
        """Return the weight above each distinct score, (replicas, groups + 1), for signal and background."""
        sums = []
        for weights in (self.signal, self.background):
            replica = weights[None, :] if counts is None else counts * weights
            running = np.cumsum(replica, axis=1)
            if self.ends is not None:
                running = running[:, self.ends]
            sums.append(np.concatenate([np.zeros((len(running), 1)), running], axis=1))
        return sums[0], sums[1]


def _area(signal: Floats, background: Floats) -> Floats:
    """Return the area under each curve by trapezoids: exact, with ties counted as one half."""
    steps = np.diff(background, axis=1)
    middle = signal[:, 1:] + signal[:, :-1]
    return 0.5 * np.einsum("ij,ij->i", steps, middle) / (signal[:, -1] * background[:, -1])


def _background_at(
    signal: Floats, background: Floats, targets: Floats, monotone: bool
) -> tuple[Floats, NDArray[np.intp]]:
    """Return background efficiencies (replicas, targets) and the group where each target is first reached."""
    efficiencies = np.empty((len(signal), len(targets)))
    groups = np.empty((len(signal), len(targets)), dtype=np.intp)
    for row, (above_s, above_b) in enumerate(zip(signal, background, strict=True)):
        reached = above_s if monotone else np.maximum.accumulate(above_s)
        # Rounding of the running sum must not push a target that is met exactly on to the next event.
        wanted = targets * above_s[-1] * (1.0 - 1e-12)
        group = np.clip(np.searchsorted(reached, wanted, side="left"), 1, len(reached) - 1)
        before, after = above_s[group - 1], above_s[group]
        step = np.where(after > before, after - before, 1.0)
        part = np.clip((wanted - before) / step, 0.0, 1.0)
        passed = above_b[group - 1] + part * (above_b[group] - above_b[group - 1])
        efficiencies[row] = passed / above_b[-1]
        groups[row] = group
    return efficiencies, groups


def roc_curve(
    scores: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    bootstrap: int = 200,
    seed: int = 1,
    working_points: Sequence[float] = WORKING_POINTS,
    points: int = 200,
    level: float = ONE_SIGMA,
) -> Roc:
    """Return the weighted ROC curve with bootstrap bands, its area and its working points.

    The efficiencies of the cut ``score ≥ t`` are ``ε_c(t) = Σ_{i∈c, score_i ≥ t} w_i / Σ_{i∈c} w_i``, and the
    area is ``AUC = Σ_{i∈s} Σ_{j∈b} w_i w_j [1(s_i > s_j) + ½ 1(s_i = s_j)] / (Σ_s w Σ_b w)``, computed in one
    sort. Both hold for negative weights, as long as each class has a positive sum; the curve can then turn
    back locally and efficiencies can leave [0, 1]. The background efficiency at a signal efficiency is the
    one where that signal efficiency is first reached as the cut is loosened, and is linear inside a group
    of equal scores. Intervals are percentiles of Poisson bootstrap replicas, in which every event's weight
    is multiplied by a Poisson(1) count: they hold the statistics of both classes. Where no background event
    is above the cut, the upper end of the efficiency is that of a Poisson count of zero.

    Arguments
    ---------
    scores, labels, weights
        Arrays (events,); labels are 1 for signal; weights are 1 if None.
    bootstrap
        Number of replicas; 0 leaves the intervals NaN.
    seed
        Seed of the replicas.
    working_points
        Signal efficiencies between 0 and 1.
    points
        Number of points of the grid in the signal efficiency, from 1/points to 1.
    level
        Coverage of the intervals.

    Raises
    ------
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError
        The arrays cannot be used; see :func:`hepml_root.evaluation.arrays.checked_binary`.
    SettingError
        A working point is not between 0 and 1, or another setting is out of range.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> scores = np.concatenate([generator.normal(0, 1, 2000), generator.normal(1, 1, 2000)])
    >>> roc = roc_curve(scores, np.arange(4000) >= 2000)
    >>> print(roc.auc)  # the truth is Φ(1/√2) = 0.760
    0.762 ± 0.007
    """
    scores, signal, weights = checked_binary(scores, labels, weights)
    if points < 2:
        raise SettingError(f"a curve needs at least 2 points, got {points}.")
    if bad := [point for point in working_points if not 0.0 < point <= 1.0]:
        raise SettingError(f"working points are signal efficiencies between 0 and 1, got {bad[0]!r}.")
    ranked = _Ranked(scores, signal, weights)
    targets = np.concatenate(
        [np.arange(1, points + 1) / points, np.asarray(working_points, dtype=np.float64)]
    )
    above_s, above_b = ranked.cumulative()
    central, groups = _background_at(above_s, above_b, targets, ranked.monotone)
    central, thresholds = central[0], ranked.thresholds[groups[0] - 1]
    area = float(_area(above_s, above_b)[0])

    areas, curves = [], []
    for counts in poisson_replicas(len(scores), bootstrap, seed):
        above_s, above_b = ranked.cumulative(counts)
        usable = (above_s[:, -1] > 0) & (above_b[:, -1] > 0)  # a tiny sample can lose a class in a replica
        above_s, above_b = above_s[usable], above_b[usable]
        areas.append(_area(above_s, above_b))
        curves.append(_background_at(above_s, above_b, targets, ranked.monotone)[0])
    replicas = np.concatenate(curves) if curves else np.empty((0, len(targets)))
    low, high = central_interval(replicas, level)
    if bootstrap:
        background = weights[~signal]
        per_event = float(np.sum(background**2) / np.sum(background) ** 2)
        high = np.where(central == 0.0, np.maximum(high, _POISSON_UPPER_OF_ZERO * per_event), high)
    auc_estimate = Estimate.from_replicas(area, np.concatenate(areas) if areas else [], level)

    marks = []
    for index in range(points, len(targets)):
        efficiency = Estimate(float(central[index]), float(low[index]), float(high[index]), level)
        marks.append(
            WorkingPoint(float(targets[index]), float(thresholds[index]), efficiency, _inverse(efficiency))
        )
    grid = slice(0, points)
    return Roc(
        targets[grid],
        central[grid],
        low[grid],
        high[grid],
        thresholds[grid],
        auc_estimate,
        tuple(marks),
        bootstrap,
    )


def _inverse(efficiency: Estimate) -> Estimate:
    """Return the rejection ``1/ε`` with its interval; infinite where the efficiency is not positive."""

    def flip(number: float) -> float:
        return math.nan if math.isnan(number) else (1.0 / number if number > 0 else math.inf)

    return Estimate(flip(efficiency.value), flip(efficiency.high), flip(efficiency.low), efficiency.level)


def auc(
    scores: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    bootstrap: int = 200,
    seed: int = 1,
    level: float = ONE_SIGMA,
) -> Estimate:
    """Return the weighted area under the ROC curve with its bootstrap interval.

    Formula, arguments and errors are those of :func:`roc_curve`.

    Example
    -------
    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], bootstrap=0).value
    0.75
    """
    scores, signal, weights = checked_binary(scores, labels, weights)
    ranked = _Ranked(scores, signal, weights)
    areas = []
    for counts in poisson_replicas(len(scores), bootstrap, seed):
        above_s, above_b = ranked.cumulative(counts)
        usable = (above_s[:, -1] > 0) & (above_b[:, -1] > 0)
        areas.append(_area(above_s[usable], above_b[usable]))
    value = float(_area(*ranked.cumulative())[0])
    return Estimate.from_replicas(value, np.concatenate(areas) if areas else [], level)


def placements(scores: Floats, signal: Bools, weights: Floats) -> tuple[float, Floats]:
    """Return the AUC and each event's placement (events,): its own average contribution to it.

    For a signal event this is the weighted fraction of background below it, for a background event the
    weighted fraction of signal above it, ties counting one half; the weighted mean over either class is the
    AUC. From them follows the error of a difference of two AUCs of the same events (DeLong et al. 1988).
    """
    distinct, group = np.unique(scores, return_inverse=True)
    size = len(distinct)
    in_s = np.bincount(group, np.where(signal, weights, 0.0), size)
    in_b = np.bincount(group, np.where(signal, 0.0, weights), size)
    below_b = (np.cumsum(in_b) - 0.5 * in_b) / in_b.sum()
    above_s = (in_s.sum() - np.cumsum(in_s) + 0.5 * in_s) / in_s.sum()
    own = np.where(signal, below_b[group], above_s[group])
    value = float(np.sum(weights[signal] * own[signal]) / np.sum(weights[signal]))
    return value, own


def mean_placements(scores: Floats, labels: NDArray[Any], weights: Floats) -> tuple[float, Floats]:
    """Return the mean one-against-rest AUC of scores (events, classes) and each event's contribution to it.

    The sum over classes of the weighted mean contribution in the class has the error of the mean AUC: a class
    takes part once as signal and, with its share of the rest, as background of the others.
    """
    number = scores.shape[1]
    total, contributions = 0.0, np.zeros(len(labels))
    for index in range(number):
        column, signal, weights = checked_binary(scores[:, index], labels == index, weights)
        value, own = placements(column, signal, weights)
        total += value / number
        rest = weights[~signal].sum()
        for other in range(number):
            members = labels == other
            share = 1.0 if other == index else weights[members].sum() / rest
            contributions[members] += own[members] * share / number
    return total, contributions


def variance_of_means(values: Floats, labels: NDArray[Any], weights: Floats) -> float:
    """Return ``Σ_classes Σ w² (v − v̄)² / (Σ w)²``, the variance of the sum of the classes' weighted means."""
    variance = 0.0
    for label in np.unique(labels):
        members = labels == label
        w, v = weights[members], values[members]
        total = w.sum()
        variance += float(np.sum(w**2 * (v - (w @ v) / total) ** 2) / total**2)
    return variance


def mean_auc(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """Return the mean over classes of the one-against-rest AUC, with its 68.3 % interval.

    Arguments
    ---------
    scores, labels, weights
        Scores (events, classes), class indices (events,), weights (events,).

    Raises
    ------
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError
        The arrays cannot be used; see :func:`hepml_root.evaluation.arrays.checked_binary`.

    Reference: E. DeLong et al., Biometrics 44 (1988) 837.

    Example
    -------
    >>> mean_auc(np.eye(3)[[0, 1, 2, 0, 1, 2]], [0, 1, 2, 0, 1, 2]).value
    1.0
    """
    table, flags = np.asarray(scores, dtype=np.float64), np.asarray(labels)
    if table.ndim != 2:
        raise ShapeError(f"the mean AUC needs scores (events, classes), not {table.shape}.")
    checked = checked_weights(weights, len(table))
    value, own = mean_placements(table, flags, checked)
    error = math.sqrt(variance_of_means(own, flags, checked))
    return Estimate(value, value - error, value + error)


def auc_difference(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> Estimate:
    """Return ``AUC(first) − AUC(second)`` of two scores of the same events, with its 68.3 % interval.

    The interval takes into account that both are measured on the same events, so it is smaller than the two
    separate errors suggest.

    Arguments
    ---------
    first, second, labels, weights
        Arrays (events,); labels are 1 for signal.

    Raises
    ------
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError
        The arrays cannot be used; see :func:`hepml_root.evaluation.arrays.checked_binary`.

    Reference: E. DeLong et al., Biometrics 44 (1988) 837.

    Example
    -------
    >>> auc_difference([0.1, 0.4, 0.35, 0.8], [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    Estimate(value=0.0, low=0.0, high=0.0, level=0.6826894921370859)
    """
    values, signal, checked = checked_binary(first, labels, weights)
    others, _, _ = checked_binary(second, labels, weights)
    value_1, own_1 = placements(values, signal, checked)
    value_2, own_2 = placements(others, signal, checked)
    error = math.sqrt(variance_of_means(own_1 - own_2, signal, checked))
    difference = value_1 - value_2
    return Estimate(difference, difference - error, difference + error)
