"""Statistical errors of expected yields from a finite weighted sample, and of functions of them."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.evaluation.arrays import Floats
from hepml_root.evaluation.estimate import Estimate


def efficiency_variance(
    passed: ArrayLike,
    squares: ArrayLike,
    total: float,
    total_squares: float,
    *,
    fixed: float | None = None,
) -> Floats:
    """Return the variance of the sum of weights that pass a cut.

    The number of simulated events is a Poisson number, so the sum has the variance ``Σw²``. Where the
    total yield is known from elsewhere (``fixed``, which the weights are scaled to), only the efficiency
    ``ε = Σ_pass w / Σ w`` is uncertain, and the variance of ``total · ε`` is
    ``(1 − ε)² Σ_pass w² + ε² Σ_fail w²``, for weights of one size the binomial one.

    Arguments
    ---------
    passed, squares
        Sums of the weights, and of their squares, of the events that pass; numbers or arrays.
    total, total_squares
        The same of all events.
    fixed
        None, or the yield that is exact.

    Example
    -------
    >>> float(efficiency_variance(30.0, 30.0, 100.0, 100.0))  # 30 of 100 events: Poisson
    30.0
    >>> round(float(efficiency_variance(30.0, 30.0, 100.0, 100.0, fixed=100.0)), 9)  # binomial, N ε (1 − ε)
    21.0
    """
    squares = np.asarray(squares, dtype=np.float64)
    if fixed is None:
        return squares
    efficiency = np.asarray(passed, dtype=np.float64) / total
    # Rounding can leave a little less than nothing where all events pass.
    return np.maximum((1.0 - efficiency) ** 2 * squares + efficiency**2 * (total_squares - squares), 0.0)


def propagated(
    gradient: tuple[Floats, Floats], signal_variance: Floats, background_variance: Floats
) -> Floats:
    """Return the standard deviation of a function of two independent yields, from its two derivatives."""
    by_signal, by_background = gradient
    return np.sqrt(by_signal**2 * signal_variance + by_background**2 * background_variance)


def gaussian_estimate(value: float, error: float, level: float) -> Estimate:
    """Return ``value`` with the symmetric interval of a Gaussian of standard deviation ``error``.

    Example
    -------
    >>> print(gaussian_estimate(5.0, 1.0, level=0.683))
    5.0 ± 1.0
    """
    half = NormalDist().inv_cdf(0.5 * (1.0 + level)) * float(error)
    return Estimate(float(value), float(value) - half, float(value) + half, level)
