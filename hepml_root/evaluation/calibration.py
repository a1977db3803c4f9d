"""Can a score be read as a probability?"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import SettingError, ShapeError
from hepml_root.evaluation.arrays import Floats, checked_binary
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, central_interval, poisson_replicas, to_json


@dataclasses.dataclass(frozen=True)
class Reliability:
    """Observed signal fraction against mean score, in bins of the score.

    Attributes
    ----------
    edges
        Bin edges in the score (bins + 1,).
    mean_score, fraction, low, high
        Weighted mean score, observed signal fraction and its bootstrap interval (bins,); NaN in bins whose
        sum of weights is not positive.
    share
        Share of the sum of weights in each bin (bins,).
    ece
        Expected calibration error: mean distance of fraction and score. Never negative, and biased upward by
        fluctuations; its interval takes the bias back, and so lies mostly below the value.
    ece_if_calibrated
        The value that statistical fluctuations alone give, from toys with labels drawn from the scores, each
        with the mean weight of its class: the number to compare ``ece`` with.
    p_value
        Fraction of those toys with an ECE at least as large as the observed one.
    """

    edges: Floats
    mean_score: Floats
    fraction: Floats
    low: Floats
    high: Floats
    share: Floats
    ece: Estimate
    ece_if_calibrated: Estimate
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def reliability(
    scores: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    bins: int = 15,
    bootstrap: int = 200,
    seed: int = 1,
    level: float = ONE_SIGMA,
) -> Reliability:
    """Return the reliability curve and the expected calibration error of probabilities.

    ``ECE = Σ_k W_k |f_k − p_k| / Σ_k W_k`` over bins k with sum of weights ``W_k``, signal fraction
    ``f_k = Σ_{signal} w / W_k`` and mean score ``p_k``. Bins hold equal numbers of events, so that each
    has the same statistics. A score is calibrated for one mixture of the classes: give the weights it was
    trained with (training weights), not the physics weights. Bins whose sum of weights is not positive
    are left out.

    Arguments
    ---------
    scores, labels, weights
        Arrays (events,); scores lie in [0, 1], labels are 1 for signal.
    bins
        Number of bins.
    bootstrap, seed, level
        Number of Poisson replicas and of toys, their seed, and the coverage of the intervals.

    Raises
    ------
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError
        The arrays cannot be used, or a score is outside [0, 1].

    Reference: C. Guo et al., arXiv:1706.04599 for the calibration error.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> scores = generator.uniform(size=5000)
    >>> curve = reliability(scores, generator.uniform(size=5000) < scores)
    >>> curve.ece.value < 0.04, curve.p_value > 0.01
    (True, True)
    """
    scores, signal, weights = checked_binary(scores, labels, weights)
    if scores.min() < 0.0 or scores.max() > 1.0:
        raise ShapeError(
            f"scores lie in [{scores.min():.4g}, {scores.max():.4g}], so they are no probabilities; "
            "a calibration needs values in [0, 1]."
        )
    if bins < 1:
        raise SettingError(f"a reliability curve needs at least 1 bin, got {bins}.")
    edges = np.unique(np.quantile(scores, np.arange(bins + 1) / bins))
    if len(edges) < 2:
        edges = np.array([edges[0], np.nextafter(edges[0], 2.0)])
    index = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, len(edges) - 2)
    order = np.argsort(index, kind="stable")
    index, scores, signal, weights = index[order], scores[order], signal[order], weights[order]
    occupied, starts = np.unique(index, return_index=True)
    edges = np.append(edges[occupied], edges[-1])
    bins = len(occupied)
    total_terms, score_terms, signal_terms = weights, weights * scores, weights * signal

    def study(total: Floats, score: Floats, of_signal: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return fraction, mean score, share and ECE from sums per bin, (replicas, bins)."""
        good = total > 0
        safe = np.where(good, total, 1.0)
        fraction, mean = np.where(good, of_signal / safe, np.nan), np.where(good, score / safe, np.nan)
        share = np.where(good, total, 0.0)
        share = share / share.sum(axis=-1, keepdims=True)
        distance = np.where(good, np.abs(of_signal - score) / safe, 0.0)
        return fraction, mean, share, np.sum(share * distance, axis=-1)

    def per_bin(terms: Floats) -> Floats:
        return np.add.reduceat(terms, starts, axis=-1)

    sums = per_bin(total_terms), per_bin(score_terms), per_bin(signal_terms)
    fraction, mean, share, ece = study(*sums)
    fractions, errors = [np.empty((0, bins))], [np.empty(0)]
    for counts in poisson_replicas(len(scores), bootstrap, seed):
        replica = study(*(per_bin(counts * terms) for terms in (total_terms, score_terms, signal_terms)))
        fractions.append(replica[0])
        errors.append(replica[3])
    low, high = central_interval(np.concatenate(fractions), level)
    # A score of p is right where p of the *weight* is signal; a drawn event has the weight of its new class.
    of_class = weights[signal].mean(), weights[~signal].mean()
    relative = weights / np.where(signal, of_class[0], of_class[1])
    probability = scores * of_class[1] / (scores * of_class[1] + (1.0 - scores) * of_class[0])
    toys = np.empty(bootstrap)
    generator = np.random.default_rng([seed, 1])
    for toy in range(bootstrap):
        drawn = generator.random(len(scores)) < probability
        replica = relative * np.where(drawn, of_class[0], of_class[1])
        toys[toy] = study(*(per_bin(terms) for terms in (replica, replica * scores, replica * drawn)))[3]
    return Reliability(
        edges,
        mean,
        fraction,
        low,
        high,
        share,
        _unbiased(float(ece), np.concatenate(errors), level),
        Estimate.from_replicas(float(toys.mean()) if bootstrap else np.nan, toys, level),
        float(np.mean(toys >= ece)) if bootstrap else np.nan,
    )


def _unbiased(value: float, replicas: Floats, level: float) -> Estimate:
    """Return the basic bootstrap interval: replicas exceed the value as the value exceeds the truth."""
    low, high = np.maximum(0.0, 2.0 * value - central_interval(replicas, level)[::-1])
    return Estimate(value, float(low), float(high), level)
