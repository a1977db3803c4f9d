"""Discovery significance of a counting experiment, and the cut on a score that maximises it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import SettingError
from hepml_root.evaluation.arrays import Floats, checked_binary
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, poisson_replicas, to_json

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
        plain = _phi(x)
        direct = plain - np.where(k > 0, _phi(k * x) / np.where(k > 0, k, 1.0), 0.0)
        # Below this fraction of its terms the difference has lost too many of its 16 digits.
        fragile = (direct < 1e-4 * plain) | (np.abs(x) < 1e-3)
        core = np.where(fragile, _integral(x, k, 1.0 / (1.0 + rho)), direct)
        value = np.sign(signal) * np.sqrt(2.0 * background * np.maximum(core, 0.0))
    value = np.where(background == 0, np.where(signal > 0, np.inf, np.where(signal < 0, np.nan, 0.0)), value)
    return np.where((background < 0) | (signal + background < 0), np.nan, value)


def _phi(t: Floats) -> Floats:
    """Return ``(1 + t) ln(1 + t) − t``, which is 1 at its end ``t = −1``."""
    return np.where(t == -1.0, 1.0, (1.0 + t) * np.log1p(t) - t)


def _integral(x: Floats, k: Floats, rest: Floats) -> Floats:
    """Return ``∫₀ˣ ln[1 + rest·t/(1 + kt)] dt`` with ``rest = 1 − k``, in the variable ``u = ln(1 + t)``."""
    end = np.log1p(x)[..., None]
    u = end * _NODES
    t = np.expm1(u)
    inside = np.log1p(rest[..., None] * t / (1.0 + k[..., None] * t)) * np.exp(u)
    return np.sum(_NODE_WEIGHTS * inside, axis=-1) * end[..., 0]


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
    edge at large scores is resolved. Expected events are sums of weights, rescaled per class if totals are
    given; given totals are exact, and the errors are those of the efficiencies alone. An optimum is sought
    only where at least ``minimum_background`` effective background events (``(Σw)²/Σw²``) of the sample pass
    and their yield is positive: the significance of a cut that no simulated background passes is unknown,
    not infinite.

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
    scores, signal, weights = checked_binary(scores, labels, weights)
    if cuts < 2:
        raise SettingError(f"a scan needs at least 2 cuts, got {cuts}.")
    scale = np.ones(len(scores))
    for members, wanted, name in (
        (signal, signal_events, "signal"),
        (~signal, background_events, "background"),
    ):
        if wanted is not None:
            if not wanted > 0:
                raise SettingError(f"the expected {name} events must be positive, got {wanted!r}.")
            scale[members] = wanted / weights[members].sum()
    weights = weights * scale

    half = cuts // 2
    even = np.linspace(scores.min(), scores.max(), cuts - half + 1)[:-1]
    edges = np.unique(np.concatenate([even, np.quantile(scores[signal], np.arange(half) / half)]))
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

    return SignificanceScan(
        edges,
        s,
        b,
        simple,
        *band(simple, many_simple),
        asimov,
        *band(asimov, many_asimov),
        allowed,
        float(systematic),
        float(minimum_background),
        best(simple, many_simple),
        best(asimov, many_asimov),
    )
