r"""The likelihood of binned counts with an uncertain background, with everything but the signal profiled.

Bin i of a histogram is expected to hold :math:`\nu_i = \mu s_i + \gamma \gamma_i b_i` events, μ being the
signal strength. The background's scale γ is common to all bins, the γ_i are each bin's own. Minus the log
likelihood, relative to its value at a perfect fit, is

.. math:: \sum_i [\nu_i - n_i + n_i \ln(n_i/\nu_i)] + \sum_i M_i [\gamma_i - 1 - \ln\gamma_i] + C(\gamma)

where the γ_i are measured by Poisson counts of :math:`M_i = 1/\delta_i^2` expected events, δ_i being their
relative uncertainty, and C is either the same with :math:`M = 1/\delta^2` ("poisson", which is the formula
of Z_A for one bin) or :math:`\tfrac12 [\ln\gamma / \ln(1+\delta)]^2` ("lognormal", HistFactory's normsys).

For given μ and γ each γ_i is the positive root of a quadratic equation, and γ and μ are roots of monotonic
functions: no minimiser, no starting values. References: arXiv:1007.1727 (tests), CERN-OPEN-2012-016
(HistFactory).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from hepml_root.errors import SettingError, ShapeError, unknown
from hepml_root.evaluation.arrays import Floats, checked_vector

CONSTRAINTS = ("poisson", "lognormal")
_LARGEST_SCALE = 60.0  # of |ln γ|


@dataclasses.dataclass(frozen=True)
class BinnedLikelihood:
    """Expected counts of signal and background with the background's uncertainties.

    Arguments
    ---------
    signal, background
        Expected events (bins,); not negative.
    uncorrelated
        Relative uncertainty of the background of each bin by itself, a number or (bins,).
    correlated
        Relative uncertainty of the background's common scale.
    constraint
        Of the common scale: "poisson" or "lognormal".

    Raises
    ------
    SettingError
        A yield or an uncertainty is negative, or the constraint is unknown.
    ShapeError
        The arrays have other lengths.

    Example
    -------
    >>> one = BinnedLikelihood([14.0], [5.0], correlated=0.3)
    >>> round(one.discovery(), 3)  # Z_A
    3.615
    """

    signal: Floats
    background: Floats
    uncorrelated: Floats
    correlated: float
    constraint: str

    def __init__(
        self,
        signal: ArrayLike,
        background: ArrayLike,
        uncorrelated: ArrayLike = 0.0,
        correlated: float = 0.0,
        constraint: str = "poisson",
    ) -> None:
        signal = checked_vector("the signal", np.atleast_1d(signal))
        background = checked_vector("the background", np.atleast_1d(background))
        if len(signal) != len(background):
            raise ShapeError(f"signal has {len(signal)} bins, background {len(background)}.")
        spread = np.asarray(uncorrelated, dtype=np.float64)
        if spread.shape not in ((), signal.shape):
            raise ShapeError(f"'uncorrelated' is one number or one for each of the {len(signal)} bins.")
        spread = np.broadcast_to(spread, signal.shape).copy()
        for name, values in (
            ("signal", signal), ("background", background), ("uncorrelated", spread),
            ("correlated", np.asarray(correlated)),
        ):  # fmt: skip
            if not (np.isfinite(values).all() and (values >= 0).all()):
                raise SettingError(f"'{name}' must not be negative: {np.asarray(values).min():.6g}.")
        if constraint not in CONSTRAINTS:
            raise SettingError(unknown("constraint", constraint, CONSTRAINTS))
        for name, value in (
            ("signal", signal), ("background", background), ("uncorrelated", spread),
            ("correlated", float(correlated)), ("constraint", constraint),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    # -- tests ------------------------------------------------------------------------------------------

    def discovery(self, counts: ArrayLike | None = None) -> float:
        """Return the significance with which ``counts`` exclude the background alone, ``√q₀``.

        Without ``counts``, the median for the expected signal: the counts are ``s + b`` (the Asimov data). A
        deficit gives 0.
        """
        if counts is None:  # rounding can leave a little less than nothing where there is no signal
            return math.sqrt(2.0 * max(self.value(0.0, self.signal + self.background), 0.0))
        counts = self._counts(counts)
        best = self.strength(counts)
        return math.sqrt(2.0 * max(self.value(0.0, counts) - self.value(best, counts), 0.0))

    def exclusion(self, strength: float, counts: ArrayLike | None = None) -> float:
        """Return ``√q̃_μ``: how well ``counts`` exclude the strength μ; the median without signal if None.

        0 where the counts prefer a larger strength.
        """
        if counts is None:
            return math.sqrt(2.0 * max(self.value(strength, self.background), 0.0))
        counts = self._counts(counts)
        best = self.strength(counts)
        if best >= strength:
            return 0.0
        return math.sqrt(2.0 * max(self.value(strength, counts) - self.value(best, counts), 0.0))

    # -- fits -------------------------------------------------------------------------------------------

    def strength(self, counts: ArrayLike) -> float:
        """Return the signal strength μ ≥ 0 that fits ``counts`` (bins,) best."""
        counts = self._counts(counts)

        def slope(strength: float) -> float:
            expected = self._expected(strength, counts)[0]
            with np.errstate(invalid="ignore"):
                slopes = self.signal * (1.0 - _ratio(counts, expected))
            return float(np.sum(slopes[self.signal > 0]))

        if not self.signal.any() or slope(0.0) >= 0.0:
            return 0.0
        upper = 1.0
        while slope(upper) < 0.0:
            upper *= 2.0
        return float(brentq(slope, 0.0, upper, xtol=1e-12, rtol=1e-12))

    def value(self, strength: float, counts: ArrayLike) -> float:
        """Return minus the log likelihood of ``counts`` (bins,) with the background fitted, 0 if perfect.

        Infinite where a count lies in a bin in which nothing is expected.
        """
        counts = self._counts(counts)
        expected, own, common = self._expected(strength, counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            poisson = np.where(counts > 0, counts * np.log(counts / expected), 0.0)
            trials = self._trials()
            penalty = np.where(np.isfinite(trials), trials * (own - 1.0 - np.log(own)), 0.0)
        return float(np.sum(poisson + expected - counts) + np.sum(penalty)) + self._penalty(common)[0]

    def fitted(self, strength: float, counts: ArrayLike) -> BinnedLikelihood:
        """Return the likelihood with the background as ``counts`` want it at a signal strength.

        Its expected auxiliary counts are those of the fit, as the Asimov data of an observed limit need them.
        """
        _, own, common = self._expected(strength, self._counts(counts))
        correlated = self.correlated
        if correlated and self.constraint == "poisson":
            correlated /= math.sqrt(common)
        return BinnedLikelihood(
            self.signal, self.background * own * common, self.uncorrelated / np.sqrt(own), correlated,
            self.constraint,
        )  # fmt: skip

    def _counts(self, counts: ArrayLike) -> Floats:
        counts = checked_vector("the counts", np.atleast_1d(counts), len(self.signal))
        if (counts < 0).any():
            raise SettingError("counts cannot be negative.")
        return counts

    def _trials(self) -> Floats:
        """Return the expected auxiliary counts M_i; infinite where a bin's background is certain."""
        with np.errstate(divide="ignore"):
            return np.where(self.background > 0, 1.0 / self.uncorrelated**2, np.inf)

    def _expected(self, strength: float, counts: Floats) -> tuple[Floats, Floats, float]:
        """Return ν (bins,), γ_i (bins,) and γ that fit the counts best at a signal strength."""

        def at(log_scale: float) -> tuple[Floats, Floats, float]:
            common = math.exp(log_scale)
            own = self._own(strength, common, counts)
            return strength * self.signal + common * own * self.background, own, common

        if self.correlated == 0.0 or not self.background.any():
            return at(0.0)

        def slope(log_scale: float) -> float:  # with respect to ln γ; the γ_i are at their minimum
            expected, own, common = at(log_scale)
            with np.errstate(invalid="ignore"):
                pulls = common * own * self.background * (1.0 - _ratio(counts, expected))
            return float(np.sum(pulls[self.background > 0])) + self._penalty(common)[1] * common

        width = 0.1
        while slope(-width) > 0.0 or slope(width) < 0.0:
            width *= 2.0
            if width > _LARGEST_SCALE:
                return at(math.copysign(_LARGEST_SCALE, -slope(0.0)))
        return at(float(brentq(slope, -width, width, xtol=1e-13, rtol=1e-13)))

    def _own(self, strength: float, common: float, counts: Floats) -> Floats:
        """Return the γ_i: positive roots of ``c(c + M) γ² + [c(a − n) + M(a − c)] γ − M a = 0``.

        There ``a = μ s`` and ``c = γ b``; without signal the root is ``(n + M)/(c + M)``.
        """
        trials = self._trials()
        free = np.isfinite(trials)
        trials = np.where(free, trials, 1.0)
        a, c = strength * self.signal, common * self.background
        second = c * (c + trials)
        first = c * (a - counts) + trials * (a - c)
        root = np.sqrt(first**2 + 4.0 * second * trials * a)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(first > 0, 2.0 * trials * a / (first + root), (root - first) / (2.0 * second))
        return np.where(free, np.maximum(found, np.finfo(np.float64).tiny), 1.0)

    def _penalty(self, common: float) -> tuple[float, float]:
        """Return C(γ) and its derivative."""
        if self.correlated == 0.0:
            return 0.0, 0.0
        if self.constraint == "poisson":
            trials = self.correlated**-2
            return trials * (common - 1.0 - math.log(common)), trials * (1.0 - 1.0 / common)
        width = math.log1p(self.correlated)
        pull = math.log(common) / width
        return 0.5 * pull**2, pull / (width * common)


def _ratio(counts: Floats, expected: Floats) -> Floats:
    """Return ``counts / expected``, 0 where there are no counts."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(counts > 0, counts / expected, 0.0)


def solve_rising(function: Callable[[float], float], start: float) -> float:
    """Return the root of a function that rises from below 0 at 0; infinity where it never reaches 0.

    >>> round(solve_rising(lambda x: x * x - 9.0, start=1.0), 9)
    3.0
    """
    upper = start
    while function(upper) < 0.0:
        upper *= 2.0
        if upper > 1e12 * start:
            return math.inf
    return float(brentq(function, 0.0, upper, xtol=1e-12 * start, rtol=1e-10))
