"""The significance of a histogram of the score: every bin is a counting experiment, and they are combined."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import EmptySelectionError, SettingError, ShapeError, unknown
from hepml_root.evaluation.arrays import Bools, Floats, weights_of_yields
from hepml_root.evaluation.best_cut import Sample, checked_sample
from hepml_root.evaluation.binned_likelihood import BinnedLikelihood
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, poisson_replicas, to_json
from hepml_root.evaluation.significance import asimov_significance, log_excess
from hepml_root.evaluation.yield_errors import efficiency_variance

RULES = ("significance", "information")
# Bins are joined from this many cells, half of them with equal signal and half with equal background.
_CELLS = 120


def quadrature(signal: ArrayLike, background: ArrayLike, systematic: ArrayLike = 0.0) -> Floats:
    """Return ``√Σ Z_A²`` over the bins (last axis): each bin with a background uncertainty of its own.

    Bins without background (b ≤ 0) count nothing, since what they are worth is unknown, and so do those with
    less than no signal (negative weights).

    Example
    -------
    >>> round(float(quadrature([3.0, 4.0], [1e4, 1e4])), 4)  # 0.03 and 0.04
    0.05
    """
    value = asimov_significance(signal, background, systematic)
    known = np.isfinite(value) & (np.asarray(background) > 0)
    return np.sqrt(np.sum(np.where(known, np.maximum(value, 0.0), 0.0) ** 2, axis=-1))


def correlated_significance(signal: ArrayLike, background: ArrayLike, systematic: ArrayLike = 0.0) -> Floats:
    r"""Return the median discovery significance of bins whose background has one common uncertain scale.

    The scale γ is measured by a Poisson count of :math:`M = 1/\delta^2`, δ being ``systematic``: one bin
    gives Z_A. On the Asimov data the fit has a closed form, :math:`\hat\gamma = 1 + S/(B + M)`, and

    .. math:: Z^2 = 2 \Big[ \sum_i b_i \varphi(s_i/b_i) - (B + M)\, \varphi\big(S/(B + M)\big) \Big],
              \qquad \varphi(t) = (1 + t) \ln(1 + t) - t

    with S and B the sums over the bins. Bins with much background measure γ and help those with little: the
    result can exceed the quadrature sum of bins with uncertainties of their own, and falls below it where
    signal and background have one shape. Bins without background (b ≤ 0) or with less than no signal count
    nothing.

    Arguments
    ---------
    signal, background
        Expected events (..., bins).
    systematic
        Relative uncertainty of the common scale, one number.

    Reference: arXiv:1007.1727; arXiv:1806.00322 for the single bin.

    Example
    -------
    >>> round(float(correlated_significance([14.0], [5.0], 0.3)), 3)
    3.615
    >>> round(float(correlated_significance([7.0, 7.0], [2.5, 2.5], 0.3)), 3)  # two bins of one shape
    3.615
    """
    signal, background = np.broadcast_arrays(
        np.asarray(signal, dtype=np.float64), np.asarray(background, dtype=np.float64)
    )
    relative = np.asarray(systematic, dtype=np.float64)
    if (relative < 0).any():
        raise SettingError("the systematic uncertainty of the background cannot be negative.")
    known = background > 0
    s, b = np.where(known, np.maximum(signal, 0.0), 0.0), np.where(known, background, 1.0)
    total = np.sum(s, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        measured = np.sum(np.where(known, b, 0.0), axis=-1) + relative**-2.0
        shared = np.where(np.isfinite(measured), measured * log_excess(total / measured), 0.0)
    half = np.sum(np.where(known, b * log_excess(s / b), 0.0), axis=-1) - shared
    return np.sqrt(2.0 * np.maximum(half, 0.0))


@dataclasses.dataclass(frozen=True)
class Binning:
    """Where a histogram of the score is divided, and what decided it.

    Attributes
    ----------
    edges
        (bins + 1,), float32 numbers. The first and the last bin are open: the outer edges are only drawn.
    rule
        "significance" or "information".
    minimum_background
        Effective background events that each bin holds at least, in the events that chose.
    chosen_on
        What those events are called.
    """

    edges: Floats
    rule: str
    minimum_background: float
    chosen_on: str = "validation"

    def __len__(self) -> int:
        return len(self.edges) - 1

    def bins_of(self, scores: ArrayLike) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Return the bin of each score (events,): ``lower ≤ score < upper``, compared as float32.

        >>> Binning(np.array([0.0, 0.5, 1.0]), "information", 10.0).bins_of([-1.0, 0.5, 7.0]).tolist()
        [0, 1, 1]
        """
        inner = self.edges[1:-1].astype(np.float32)
        return np.searchsorted(inner, np.asarray(scores).astype(np.float32).reshape(-1), side="right")


def choose_bins(
    sample: Sample,
    *,
    rule: str = "significance",
    bins: int = 10,
    systematic: float = 0.1,
    signal_events: float | None = None,
    background_events: float | None = None,
    minimum_background: float = 10.0,
    tolerance: float = 0.01,
    chosen_on: str = "validation",
) -> Binning:
    """Return bins of the score that keep its significance, none with too little simulated background.

    "significance" maximises the quadrature sum of Z_A over all ways to join fine cells into up to ``bins``
    bins (by dynamic programming, so the best way is found), and takes the smallest number that loses no
    more than ``tolerance`` of it: further bins would follow fluctuations. "information" makes ``bins``
    bins with equal parts of ``Σ s²/(s+b)``, the information about the signal strength; fewer where the
    background does not allow as many. Choose on other events than the significance is read on, for the same
    reason as a cut (:func:`hepml_root.evaluation.best_cut.choose_cut`).

    Arguments
    ---------
    sample
        ``(scores, labels)`` or ``(scores, labels, weights)``, each (events,); labels are 1 for signal.
    rule
        "significance" or "information".
    bins
        Number of bins at most.
    systematic
        Relative uncertainty of each bin's background in Z_A.
    signal_events, background_events
        Expected events; the sums of weights if None.
    minimum_background
        Effective background events ``(Σw)²/Σw²`` that each bin keeps; its yield is positive, too.
    tolerance
        Part of the significance that fewer bins may lose.

    Raises
    ------
    SettingError
        A setting is out of range.
    EmptySelectionError
        The whole sample has less effective background than one bin needs.
    ShapeError, NonFiniteInputError, WeightError
        The arrays cannot be used.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> scores = np.concatenate([generator.uniform(0, 1, 5000), generator.beta(4, 1, 5000)])
    >>> labels = np.arange(10000) >= 5000
    >>> binning = choose_bins((scores, labels), signal_events=100, background_events=1000)
    >>> 2 <= len(binning) <= 10
    True
    """
    if rule not in RULES:
        raise SettingError(unknown("rule for bins", rule, RULES))
    if bins < 1 or not 0.0 <= tolerance < 1.0 or not minimum_background > 0:
        raise SettingError(
            f"bins={bins}, tolerance={tolerance}, minimum_background={minimum_background}: at least one bin, "
            "a tolerance from 0 to 1, and a positive minimum are needed."
        )
    scores, signal, weights = checked_sample(sample)
    scores = scores.astype(np.float32).astype(np.float64)
    weights = weights_of_yields(signal, weights, signal_events, background_events)
    parts = np.arange(1, _CELLS // 2) / (_CELLS // 2)
    inner = np.concatenate([np.quantile(scores[signal], parts), np.quantile(scores[~signal], parts)])
    inner = np.unique(inner.astype(np.float32))
    inner = inner[(inner > scores.min()) & (inner <= scores.max())]
    cell = np.searchsorted(inner, scores.astype(np.float32), side="right")

    def below(values: Floats, members: Bools) -> Floats:
        """Return sums over the events below each of the cells' edges (cells + 1,)."""
        sums = np.bincount(cell[members], values[members], minlength=len(inner) + 1)
        return np.concatenate([[0.0], np.cumsum(sums)])

    sums = (below(weights, signal), below(weights, ~signal), below(weights**2, ~signal))
    # Yields of the bin from edge i to edge j, for all i and j.
    s, b, squares = (values[None, :] - values[:, None] for values in sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        enough = np.triu(b**2 >= minimum_background * squares, 1) & (squares > 0) & (b > 0)
    if not enough[0, -1]:
        raise EmptySelectionError(
            f"the {np.count_nonzero(~signal):,} background events of the {chosen_on} sample count as "
            f"{b[0, -1] ** 2 / squares[0, -1]:.3g}; one bin needs {minimum_background:g}. Use more "
            "events, or ask for fewer with minimum_background."
        )
    if rule == "significance":
        worth = np.full(s.shape, -np.inf)
        worth[enough] = asimov_significance(s[enough], b[enough], systematic) ** 2 * np.sign(s[enough])
        places = _best_partition(worth, bins, tolerance)
    else:
        places = _equal_information(s, b, enough, bins)
    outer = (min(0.0, scores.min()), max(1.0, scores.max()))
    if scores.min() < 0.0 or scores.max() > 1.0:  # no probability
        outer = (scores.min(), scores.max())
    edges = np.concatenate([[outer[0]], inner[[place - 1 for place in places]], [outer[1]]])
    if edges[-1] <= edges[-2]:  # the last bin holds events of the largest score only, as of saturated outputs
        edges[-1] = np.nextafter(np.float32(edges[-2]), np.float32(np.inf))
    return Binning(edges.astype(np.float64), rule, float(minimum_background), chosen_on)


def _best_partition(worth: Floats, bins: int, tolerance: float) -> list[int]:
    """Return the inner edges of the division of the cells with the largest sum of ``worth[i, j]``."""
    value = worth[0].copy()  # best value of the cells below each edge with one bin
    values, origins = [value[-1]], []
    for _ in range(1, bins):
        candidates = value[:, None] + worth
        origins.append(np.argmax(candidates, axis=0))
        value = np.max(candidates, axis=0)
        values.append(value[-1])
    roots = np.sqrt(np.maximum(values, 0.0))
    number = int(np.argmax(roots >= (1.0 - tolerance) * roots.max()))
    places, at = [], worth.shape[1] - 1
    for origin in reversed(origins[:number]):
        at = int(origin[at])
        places.append(at)
    return places[::-1]


def _equal_information(s: Floats, b: Floats, enough: Bools, bins: int) -> list[int]:
    """Return inner edges of bins with about equal ``Σ s²/(s+b)``, each with enough background."""
    last = len(s) - 1
    # Fine bins with enough background each, from the side of the signal: cells alone would be noise.
    fine, upper = [last], last
    for lower in range(last - 1, -1, -1):
        if enough[lower, upper] and enough[0, lower]:
            fine.append(lower)
            upper = lower
    fine = [0, *fine[::-1]]
    pieces = list(itertools.pairwise(fine))
    information = np.array([max(s[i, j], 0.0) ** 2 / max(s[i, j] + b[i, j], 1e-300) for i, j in pieces])
    running = np.cumsum(information)
    targets = running[-1] * np.arange(1, bins) / bins
    if len(pieces) == 1:
        return []
    chosen = np.unique(np.abs(running[:-1, None] - targets).argmin(axis=0))
    return [pieces[index][1] for index in chosen]


@dataclasses.dataclass(frozen=True)
class BinnedSignificance:
    """Yields in bins of the score, and their significance.

    Attributes
    ----------
    edges
        (bins + 1,); the first and the last bin are open.
    signal, background, signal_error, background_error
        Expected events (bins,) with their statistical standard deviations.
    effective_background
        ``(Σw)²/Σw²`` (bins,).
    asimov
        Z_A of each bin (bins,) with the systematic uncertainty; NaN without background.
    quadrature
        ``√Σ Z_A²``: the systematic uncertainties of the bins are independent.
    correlated
        The same systematic uncertainty as one common scale of all bins.
    with_statistics
        That, and in each bin the statistical uncertainty of the simulated background.
    systematic
        Relative uncertainty of the background.
    chosen_on, applied_on
        The events that chose the bins, and those that fill them.
    """

    edges: Floats
    signal: Floats
    background: Floats
    signal_error: Floats
    background_error: Floats
    effective_background: Floats
    asimov: Floats
    quadrature: Estimate
    correlated: Estimate
    with_statistics: float
    systematic: float
    rule: str
    chosen_on: str
    applied_on: str

    @property
    def relative_errors(self) -> Floats:
        """Relative statistical error of the background of each bin; 0 where there is none."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.background > 0, self.background_error / self.background, 0.0)

    def likelihood(self, *, statistics: bool = True, constraint: str = "lognormal") -> BinnedLikelihood:
        """Return the likelihood of the bins: a common scale, and with ``statistics`` each bin's own error.

        Bins with less than nothing in them (negative weights) count as empty.
        """
        own = self.relative_errors if statistics else 0.0
        return BinnedLikelihood(
            np.maximum(self.signal, 0.0), np.maximum(self.background, 0.0), own, self.systematic, constraint
        )

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def significance_in_bins(
    sample: Sample,
    binning: Binning,
    *,
    systematic: float = 0.1,
    signal_events: float | None = None,
    background_events: float | None = None,
    bootstrap: int = 200,
    seed: int = 1,
    level: float = ONE_SIGMA,
    applied_on: str = "test",
) -> BinnedSignificance:
    """Return the significance of bins that were chosen before, with bootstrap errors.

    Arguments
    ---------
    sample
        ``(scores, labels)`` or ``(scores, labels, weights)`` of events that did not choose the bins.
    binning
        What :func:`choose_bins` gave.
    systematic
        Relative uncertainty of the background: in each bin by itself, or of the common scale.
    signal_events, background_events
        Expected events; the sums of weights if None. Given totals do not fluctuate.
    bootstrap, seed, level
        Replicas, seed and coverage of the intervals.

    Raises
    ------
    SettingError
        ``systematic`` is negative, or expected events are not positive.
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError
        The arrays cannot be used.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> scores = np.concatenate([generator.uniform(0, 1, 5000), generator.beta(4, 1, 5000)])
    >>> labels = np.arange(10000) >= 5000
    >>> yields = {"signal_events": 100, "background_events": 1000}
    >>> binning = choose_bins((scores[::2], labels[::2]), **yields)
    >>> found = significance_in_bins((scores[1::2], labels[1::2]), binning, bootstrap=50, **yields)
    >>> bool(found.correlated.value > np.nanmax(found.asimov))
    True
    """
    if len(binning.edges) < 2:
        raise ShapeError("a binning has two edges at least.")
    scores, signal, weights = checked_sample(sample)
    weights = weights_of_yields(signal, weights, signal_events, background_events)
    bins, number = binning.bins_of(scores), len(binning)
    parts = []
    for members, wanted in ((signal, signal_events), (~signal, background_events)):
        order = np.argsort(bins[members], kind="stable")
        parts.append(_Part(weights[members][order], bins[members][order], number, wanted))
    s, b = (part.sums for part in parts)
    variance_s, variance_b = (part.variances for part in parts)
    many_s, many_b = (part.replicas(bootstrap, seed + position) for position, part in enumerate(parts))
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.where(parts[1].squares > 0, b**2 / parts[1].squares, 0.0)
        asimov = np.where(b > 0, asimov_significance(s, b, systematic), np.nan)

    def estimate(function: Callable[..., Floats]) -> Estimate:
        return Estimate.from_replicas(
            float(function(s, b, systematic)), function(many_s, many_b, systematic), level
        )

    found = BinnedSignificance(
        edges=binning.edges, signal=s, background=b,
        signal_error=np.sqrt(variance_s), background_error=np.sqrt(variance_b),
        effective_background=effective, asimov=asimov,
        quadrature=estimate(quadrature), correlated=estimate(correlated_significance),
        with_statistics=float("nan"), systematic=float(systematic), rule=binning.rule,
        chosen_on=binning.chosen_on, applied_on=applied_on,
    )  # fmt: skip
    known = b > 0  # the others have an unknown significance
    model = BinnedLikelihood(
        np.maximum(s, 0.0)[known], b[known], found.relative_errors[known], systematic, "poisson"
    )
    return dataclasses.replace(found, with_statistics=model.discovery())


class _Part:
    """The events of one class, sorted by bin."""

    def __init__(self, weights: Floats, bins: Any, number: int, total: float | None) -> None:
        self.weights, self.total = weights, total
        self._starts = np.searchsorted(bins, np.arange(number))
        self.sums: Floats = np.asarray(np.bincount(bins, weights, minlength=number), np.float64)
        self.squares: Floats = np.asarray(np.bincount(bins, weights**2, minlength=number), np.float64)
        self.variances = efficiency_variance(
            self.sums, self.squares, weights.sum(), (weights**2).sum(), fixed=total
        )

    def replicas(self, number: int, seed: int) -> Floats:
        """Return the sums of bootstrap replicas (replicas, bins); a total that was given stays."""
        found = [np.empty((0, len(self.sums)))]
        for counts in poisson_replicas(len(self.weights), number, seed):
            running = np.cumsum(counts * self.weights, axis=1)
            running = np.concatenate([np.zeros((len(running), 1)), running], axis=1)
            edges = running[:, [*self._starts, -1]]
            sums = np.diff(edges, axis=1)
            if self.total is not None:
                own = running[:, -1:]
                sums = sums * np.where(own > 0, self.total / np.where(own > 0, own, 1.0), np.nan)
            found.append(sums)
        return np.concatenate(found)
