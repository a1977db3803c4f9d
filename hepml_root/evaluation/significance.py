"""Discovery significance of a counting experiment, and the cut on a score that maximises it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import SettingError
from hepml_root.evaluation.arrays import Floats, checked_binary, weights_of_yields
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, poisson_replicas, to_json
from hepml_root.evaluation.yield_errors import efficiency_variance, propagated

# Nodes on [0, 1] for the integral form below; the integrand is smooth, 48 points give full precision.
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(48)
_NODES, _NODE_WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _NODE_WEIGHTS


def simple_significance(signal: ArrayLike, background: ArrayLike) -> Floats:
    """Return ``s / √(s + b)`` of the same shape; 0 where nothing is expected, NaN where ``s + b < 0``.

    Example
    -------
    >>> float(simple_significance(30.0, 6.0))
    5.0
    """
    signal, background = np.broadcast_arrays(
        np.asarray(signal, dtype=np.float64), np.asarray(background, dtype=np.float64)
    )
    total = signal + background
    with np.errstate(invalid="ignore", divide="ignore"):
        value = signal / np.sqrt(total)
    return np.where(total == 0, 0.0, value)


def asimov_significance(signal: ArrayLike, background: ArrayLike, systematic: ArrayLike = 0.0) -> Floats:
    """Return the median discovery significance Z_A of ``signal`` over an uncertain ``background``.

    With ``σ = systematic · b``,

    ``Z_A = √(2 {(s+b) ln[(s+b)(b+σ²) / (b²+(s+b)σ²)] − (b²/σ²) ln[1 + σ² s / (b (b+σ²))]})``.

    Evaluated as written, the two terms cancel for small s/b and for large σ. With ``x = s/b``,
    ``ρ = σ²/b``, ``k = ρ/(1+ρ)`` and ``φ(t) = (1+t) ln(1+t) − t`` the same quantity is
    ``Z_A² = 2b [φ(x) − φ(kx)/k] = 2b ∫₀ˣ ln[1 + (1−k)t/(1+kt)] dt``, and the integral, which has no
    cancellation, is used where the difference would lose digits. Limits: ``σ → 0`` gives
    ``√(2[(s+b) ln(1+s/b) − s])``, and small signals ``s / √(b + σ²)``. ``b = 0`` with ``s > 0`` gives
    infinity, ``s = 0`` gives 0, a deficit (``s < 0``) counts negative, ``b < 0`` or ``s + b < 0`` gives NaN.

    Arguments
    ---------
    signal, background
        Expected events; numbers or arrays that broadcast.
    systematic
        Relative uncertainty of the background, 0.1 for 10 %; a number or an array.

    Raises
    ------
    SettingError
        ``systematic`` is negative.

    Reference: A. Elwood and D. Krücker, arXiv:1806.00322; G. Cowan et al., arXiv:1007.1727.

    Example
    -------
    >>> round(float(asimov_significance(14.0, 5.0, 0.3)), 3)
    3.615
    >>> round(float(asimov_significance(1e-4, 100.0)), 8)  # s/√b
    1e-05
    """
    signal, background, relative = np.broadcast_arrays(
        np.asarray(signal, dtype=np.float64),
        np.asarray(background, dtype=np.float64),
        np.asarray(systematic, dtype=np.float64),
    )
    if (relative < 0).any():
        raise SettingError("the systematic uncertainty of the background cannot be negative.")
    with np.errstate(all="ignore"):
        x = signal / background
        rho = relative**2 * background
        k = rho / (1.0 + rho)
        plain = log_excess(x)
        direct = plain - np.where(k > 0, log_excess(k * x) / np.where(k > 0, k, 1.0), 0.0)
        # Below this fraction of its terms the difference has lost too many of its 16 digits.
        fragile = (direct < 1e-4 * plain) | (np.abs(x) < 1e-3)
        core = np.where(fragile, _integral(x, k, 1.0 / (1.0 + rho)), direct)
        value = np.sign(signal) * np.sqrt(2.0 * background * np.maximum(core, 0.0))
    value = np.where(background == 0, np.where(signal > 0, np.inf, np.where(signal < 0, np.nan, 0.0)), value)
    return np.where((background < 0) | (signal + background < 0), np.nan, value)


def log_excess(t: ArrayLike) -> Floats:
    """Return ``φ(t) = (1 + t) ln(1 + t) − t`` for ``t ≥ −1``, to full precision also near ``t = 0``.

    It is what a Poisson likelihood loses, per expected event, where ``1 + t`` times as many are seen.

    Example
    -------
    >>> float(log_excess(-1.0)), round(float(log_excess(1e-9)) / 1e-18, 9)  # t²/2
    (1.0, 0.5)
    """
    t = np.asarray(t, dtype=np.float64)
    with np.errstate(all="ignore"):
        closed = np.where(t == -1.0, 1.0, (1.0 + t) * np.log1p(t) - t)
        # Σ (−1)^k t^k / (k (k − 1)) from k = 2; what follows k = 10 is below rounding here.
        series = np.zeros_like(t)
        for power in range(10, 1, -1):
            series = (-1.0) ** power / (power * (power - 1)) + t * series
    return np.where(np.abs(t) < 0.03, t * t * series, closed)


def _integral(x: Floats, k: Floats, rest: Floats) -> Floats:
    """Return ``∫₀ˣ ln[1 + rest·t/(1 + kt)] dt`` with ``rest = 1 − k``."""
    k, rest = k[..., None], rest[..., None]
    return _integrated(x, lambda t: np.log1p(rest * t / (1.0 + k * t)))


def _integrated(x: Floats, function: Callable[[Floats], Floats]) -> Floats:
    """Return ``∫₀ˣ f(t) dt`` in the variable ``u = ln(1 + t)``; f takes nodes along a further last axis."""
    end = np.log1p(x)[..., None]
    u = end * _NODES
    return np.sum(_NODE_WEIGHTS * function(np.expm1(u)) * np.exp(u), axis=-1) * end[..., 0]


def simple_gradient(signal: ArrayLike, background: ArrayLike) -> tuple[Floats, Floats]:
    """Return the derivatives of ``s / √(s + b)`` with respect to s and to b; NaN where ``s + b ≤ 0``.

    Example
    -------
    >>> [round(float(slope), 4) for slope in simple_gradient(30.0, 6.0)]
    [0.0972, -0.0694]
    """
    signal, background = np.broadcast_arrays(
        np.asarray(signal, dtype=np.float64), np.asarray(background, dtype=np.float64)
    )
    total = np.where(signal + background > 0, signal + background, np.nan)
    scale = 0.5 / total**1.5
    return (signal + 2.0 * background) * scale, -signal * scale


def asimov_gradient(
    signal: ArrayLike, background: ArrayLike, systematic: ArrayLike = 0.0
) -> tuple[Floats, Floats]:
    """Return the derivatives of Z_A with respect to s and to b, at a fixed relative uncertainty.

    With the symbols of :func:`asimov_significance` and ``F = Z_A²/2``,
    ``∂F/∂s = ln[1 + (1−k)x/(1+kx)]`` and
    ``∂F/∂b = −(1−k) ∫₀ˣ t/[(1+t)(1+kt)] dt − ρ(1−k)² ∫₀ˣ t/(1+kt) dt``; both go to the limits at ``s = 0``,
    ``1/√(b + σ²)`` and 0. NaN where ``b ≤ 0`` or ``s + b < 0``. Arguments as there.

    Example
    -------
    >>> [round(float(slope), 4) for slope in asimov_gradient(14.0, 5.0, 0.3)]
    [0.1963, -0.3379]
    """
    signal, background, relative = np.broadcast_arrays(
        np.asarray(signal, dtype=np.float64),
        np.asarray(background, dtype=np.float64),
        np.asarray(systematic, dtype=np.float64),
    )
    background = np.where((background > 0) & (signal + background >= 0), background, np.nan)
    with np.errstate(all="ignore"):
        x = signal / background
        rho = relative**2 * background
        rest = 1.0 / (1.0 + rho)
        k = rho * rest
        last = k[..., None]
        by_signal = np.log1p(rest * x / (1.0 + k * x))
        by_background = -rest * _integrated(x, lambda t: t / ((1.0 + t) * (1.0 + last * t)))
        by_background -= rho * rest**2 * _integrated(x, lambda t: t / (1.0 + last * t))
        value = asimov_significance(signal, background, relative)
        none = signal == 0
        value = np.where(none, 1.0, value)
        return (
            np.where(none, np.sqrt(rest / background), by_signal / value),
            np.where(none, np.where(np.isnan(background), np.nan, 0.0), by_background / value),
        )


@dataclasses.dataclass(frozen=True)
class BestCut:
    """The cut with the largest significance among those that the statistics allow.

    ``significance`` holds the bootstrap error at this fixed cut; ``threshold`` holds the interval of the
    optimum's place, found again in each replica. The largest of many noisy values is biased upward: read
    the significance on events that did not choose the cut, or keep the cut loose.
    """

    threshold: Estimate
    significance: Estimate
    signal: Estimate
    background: Estimate
    effective_background: float

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


@dataclasses.dataclass(frozen=True)
class SignificanceScan:
    """Expected yields and significances above each threshold.

    Attributes
    ----------
    threshold, signal, background, simple, asimov
        Arrays (cuts,): the cut ``score ≥ threshold``, expected events above it, ``s/√(s+b)`` and Z_A.
    simple_low, simple_high, asimov_low, asimov_high
        Bootstrap intervals (cuts,).
    signal_error, background_error, simple_error, asimov_error
        Standard deviations (cuts,) without a bootstrap: ``√Σw²`` of the yields, or that of the efficiencies
        where totals were given, and their linear propagation. Where few events pass, the bootstrap's
        intervals are the better ones: a significance is no linear function of a small background.
    signal_efficiency, effective_background
        (cuts,): the part of the signal above the cut, and ``(Σw)²/Σw²`` of the background there.
    allowed
        (cuts,) bool: enough effective background events remain for the optimum to be trusted.
    systematic
        Relative uncertainty of the background in Z_A.
    best_simple, best_asimov
        The two optima; None where no cut is allowed.
    """

    threshold: Floats
    signal: Floats
    background: Floats
    simple: Floats
    simple_low: Floats
    simple_high: Floats
    asimov: Floats
    asimov_low: Floats
    asimov_high: Floats
    signal_error: Floats
    background_error: Floats
    simple_error: Floats
    asimov_error: Floats
    signal_efficiency: Floats
    effective_background: Floats
    allowed: np.ndarray[Any, np.dtype[np.bool_]]
    systematic: float
    minimum_background: float
    best_simple: BestCut | None
    best_asimov: BestCut | None

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def scan_significance(
    scores: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    signal_events: float | None = None,
    background_events: float | None = None,
    systematic: float = 0.1,
    minimum_background: float = 10.0,
    cuts: int = 200,
    bootstrap: int = 200,
    seed: int = 1,
    level: float = ONE_SIGMA,
) -> SignificanceScan:
    """Return the significances of the cuts ``score ≥ t`` with bootstrap errors, and the best cuts.

    Thresholds are half equidistant in the score and half equidistant in signal efficiency, so that a steep
    edge at large scores is resolved. Those of float32 scores, which are what a network gives, are float32
    numbers themselves, so that the same events pass them in Python and in C++. Expected events are sums of
    weights, rescaled per class if totals are given; given totals are exact, and the errors are those of the
    efficiencies alone. An optimum is sought only where at least ``minimum_background`` effective background
    events (``(Σw)²/Σw²``) of the sample pass and their yield is positive: the significance of a cut that no
    simulated background passes is unknown, not infinite.

    Arguments
    ---------
    scores, labels, weights
        Arrays (events,); labels are 1 for signal.
    signal_events, background_events
        Events expected before the cut; the sums of weights if None.
    systematic
        Relative uncertainty of the background.

    Raises
    ------
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError
        The arrays cannot be used; see :func:`hepml_root.evaluation.arrays.checked_binary`.
    SettingError
        A setting is out of range.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> scores = np.concatenate([generator.uniform(0, 1, 5000), generator.beta(4, 1, 5000)])
    >>> scan = scan_significance(scores, np.arange(10000) >= 5000, signal_events=100, background_events=1000)
    >>> bool(scan.best_asimov.significance.value > scan.asimov[0])
    True
    """
    single = np.asarray(scores).dtype == np.float32
    scores, signal, weights = checked_binary(scores, labels, weights)
    if cuts < 2:
        raise SettingError(f"a scan needs at least 2 cuts, got {cuts}.")
    weights = weights_of_yields(signal, weights, signal_events, background_events)

    half = cuts // 2
    even = np.linspace(scores.min(), scores.max(), cuts - half + 1)[:-1]
    edges = np.concatenate([even, np.quantile(scores[signal], np.arange(half) / half)])
    edges = np.unique(edges.astype(np.float32).astype(np.float64) if single else edges)
    # Bin k holds scores in [edge_k, edge_k+1); sums from the right give the yields above each edge.
    bins = np.searchsorted(edges, scores, side="right") - 1
    kept = bins >= 0
    order = np.argsort(bins[kept], kind="stable")
    bins, signal, weights = bins[kept][order], signal[kept][order], weights[kept][order]
    starts = np.searchsorted(bins, np.arange(len(edges)))

    def above(values: Floats) -> Floats:
        """Return sums over events at or above each edge, (replicas, cuts)."""
        running = np.cumsum(values, axis=-1)
        running = np.concatenate([np.zeros((*running.shape[:-1], 1)), running], axis=-1)
        return running[..., -1:] - running[..., starts]

    def yields(values: Floats, total: float | None) -> Floats:
        """Return the sums above each edge of replicas; a total that was given does not fluctuate."""
        sums = above(values)
        if total is None:
            return sums
        own = values.sum(axis=-1, keepdims=True)
        return sums * np.where(own > 0, total / np.where(own > 0, own, 1.0), np.nan)

    of_signal, of_background = np.where(signal, weights, 0.0), np.where(signal, 0.0, weights)
    s, b = above(of_signal), above(of_background)
    squares = above(of_background**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        effective = np.where(squares > 0, b**2 / squares, 0.0)
    of_all = {
        name: (float(values.sum()), float((values**2).sum()))
        for name, values in (("signal", of_signal), ("background", of_background))
    }
    variance_s = efficiency_variance(s, above(of_signal**2), *of_all["signal"], fixed=signal_events)
    variance_b = efficiency_variance(b, squares, *of_all["background"], fixed=background_events)
    allowed = (effective >= minimum_background) & (b > 0) & (s > 0)
    simple, asimov = simple_significance(s, b), asimov_significance(s, b, systematic)

    replica_s, replica_b = [], []
    for counts in poisson_replicas(len(bins), bootstrap, seed):
        replica_s.append(yields(counts * of_signal, signal_events))
        replica_b.append(yields(counts * of_background, background_events))
    many_s = np.concatenate(replica_s) if replica_s else np.empty((0, len(edges)))
    many_b = np.concatenate(replica_b) if replica_b else np.empty((0, len(edges)))

    def band(central: Floats, replicas: Floats) -> tuple[Floats, Floats]:
        """Return the interval per cut; it is NaN where the central value is."""
        if not len(replicas):
            return np.full(len(central), np.nan), np.full(len(central), np.nan)
        ordered = np.sort(np.where(np.isnan(replicas), -np.inf, replicas), axis=0)
        last = len(ordered) - 1
        low = ordered[round(0.5 * (1.0 - level) * last)]
        high = ordered[round(0.5 * (1.0 + level) * last)]
        known = np.isfinite(central)
        return np.where(known, low, np.nan), np.where(known, high, np.nan)

    many_simple = simple_significance(many_s, many_b)
    many_asimov = asimov_significance(many_s, many_b, systematic)

    def best(central: Floats, replicas: Floats) -> BestCut | None:
        if not allowed.any():
            return None
        at = int(np.argmax(np.where(allowed, central, -np.inf)))
        usable = np.where(allowed & np.isfinite(replicas), replicas, -np.inf)
        places = edges[np.argmax(usable, axis=1)] if len(usable) else []

        def estimate(value: float, column: Floats) -> Estimate:
            return Estimate.from_replicas(value, column[np.isfinite(column)], level)

        return BestCut(
            Estimate.from_replicas(float(edges[at]), places, level),
            estimate(float(central[at]), replicas[:, at]),
            estimate(float(s[at]), many_s[:, at]),
            estimate(float(b[at]), many_b[:, at]),
            float(effective[at]),
        )

    simple_low, simple_high = band(simple, many_simple)
    asimov_low, asimov_high = band(asimov, many_asimov)
    return SignificanceScan(
        threshold=edges,
        signal=s,
        background=b,
        simple=simple,
        simple_low=simple_low,
        simple_high=simple_high,
        asimov=asimov,
        asimov_low=asimov_low,
        asimov_high=asimov_high,
        signal_error=np.sqrt(variance_s),
        background_error=np.sqrt(variance_b),
        simple_error=propagated(simple_gradient(s, b), variance_s, variance_b),
        asimov_error=propagated(asimov_gradient(s, b, systematic), variance_s, variance_b),
        signal_efficiency=s / of_all["signal"][0],
        effective_background=effective,
        allowed=allowed,
        systematic=float(systematic),
        minimum_background=float(minimum_background),
        best_simple=best(simple, many_simple),
        best_asimov=best(asimov, many_asimov),
    )
