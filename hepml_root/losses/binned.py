r"""Significances of several bins: in quadrature, or with one nuisance parameter that moves them all.

Independent bins add in quadrature, :math:`Z^2 = \sum_k Z_k^2`. When one uncertainty moves all bins together,
the model is

.. math:: n_k \sim \text{Pois}(\mu s_k + \gamma^{a_k} b_k), \qquad m \sim \text{Pois}(\tau \gamma),
          \qquad a_k = r_k / r, \quad \tau = 1 / r^2, \quad r = \max_k r_k

with one scale γ, measured to the relative precision r by the auxiliary count; with a single bin it is the
model of :mod:`hepml_root.losses.counting`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from hepml_root.errors import SettingError
from hepml_root.losses.counting import (
    curvature,
    discovery_significance,
    exclusion_significance,
    relative_variance,
    with_slopes,
)

# A profiled parameter is bracketed by these values of |1 - 1/γ|, and found by Newton's steps, which from that
# side converge without a detour; every step squares the distance.
_STEPS = 6
_GRID = np.concatenate([[0.0], np.logspace(-8, 8, 49)])
_TINY = 1e-30


def root(value: Any) -> Any:
    """Return the square root, with gradient 0 instead of infinity at 0."""
    return ops.sqrt(ops.maximum(value, _TINY))


def in_quadrature(significances: Any) -> Any:
    r"""Return :math:`\sqrt{\sum_k Z_k^2}` of independent bins, ``(bins,)``.

    Example
    -------
    >>> float(in_quadrature(np.array([3.0, 4.0])))
    5.0
    """
    significances = ops.convert_to_tensor(significances)
    return root(ops.sum(significances * significances))


def correlated_discovery(
    s: Any, b: Any, systematic: float | Sequence[float] = 0.0, control: float | None = None
) -> Any:
    r"""Return the median discovery significance of bins whose backgrounds one nuisance parameter moves.

    With the same relative uncertainty r in all bins the profiled scale is
    :math:`\hat\gamma = (N + \tau)/(B + \tau)`, N = S + B, and the likelihood ratio falls apart into the total
    count and the shapes, which the uncertainty does not touch:

    .. math:: Z^2 = Z_A^2(S, B, r) + 2 \sum_k n_k \ln \frac{n_k / N}{b_k / B}

    With uncertainties that differ it is found by Newton's steps; derivatives are those of the likelihood
    ratio at the solution, as the profiled parameter adds none. Shapes: ``s`` and ``b`` ``(bins,)``; a scalar.

    Arguments
    ---------
    s, b
        Expected events in each bin.
    systematic
        Relative uncertainty of the background, a number or one for each bin.
    control
        Events in a control region for each background event counted; needs one ``systematic`` for all bins.

    Raises
    ------
    SettingError
        A control region is given together with an uncertainty for each bin.

    Example
    -------
    >>> s, b = np.array([4.0, 10.0]), np.array([100.0, 20.0])
    >>> round(float(correlated_discovery(s, b, 0.2)), 4)
    1.782
    >>> round(float(in_quadrature(discovery_significance(s, b, 0.2))), 4)  # an uncertainty for each
    1.5117
    """
    s, b = ops.convert_to_tensor(s), ops.maximum(ops.convert_to_tensor(b), _TINY)
    if not isinstance(systematic, (int, float)):
        if control is not None:
            raise SettingError("a control region measures all bins together: give one systematic for all.")
        return _unequal_discovery(s, b, np.asarray(systematic, dtype=np.float64))
    signal, background = ops.sum(s), ops.sum(b)
    total = signal + background
    unit = b * (total / background)  # n of the bin, if the signal were shaped like the background
    away = ops.stop_gradient((s - b * (signal / background)) / unit)
    shift = ops.log1p(away)
    shapes = with_slopes(
        ops.sum(unit * away * away * curvature(away, (s + b) / unit, 1.0)),
        (s, shift),
        (b, shift - away * (total / background)),
    )
    whole = discovery_significance(signal, background, systematic, control)
    return root(whole * whole + 2.0 * shapes)


def _unequal_discovery(s: Any, b: Any, systematic: Any) -> Any:
    largest = float(systematic.max())
    if largest == 0.0:
        return in_quadrature(discovery_significance(s, b))
    power, auxiliary = ops.cast(systematic / largest, b.dtype), 1.0 / largest**2
    fixed_s, fixed_b = ops.stop_gradient(s), ops.stop_gradient(b)

    def slope(angle: Any) -> tuple[Any, Any]:  # of half the likelihood ratio in ln γ, and its derivative
        more = fixed_b * ops.expm1(power * ops.expand_dims(angle, -1))
        grown = auxiliary * ops.expm1(angle)
        first = ops.sum(power * (more - fixed_s), axis=-1) + grown
        return first, ops.sum(power * power * (more + fixed_b), axis=-1) + grown + auxiliary

    # The slope is convex and rises: Newton's steps from above the root stay above it.
    grid = ops.cast(np.log1p(_GRID), b.dtype)
    angle = ops.min(ops.where(slope(grid)[0] >= 0, grid, grid[-1]))
    for _ in range(_STEPS):
        first, second = slope(angle)
        angle = angle - first / second
    angle = ops.stop_gradient(angle)
    scale, scales = ops.expm1(angle), ops.expm1(power * angle)
    fitted = b * (1.0 + scales)
    away = (s - b * scales) / fitted
    counts = ops.sum(fitted * away * away * curvature(away, (s + b) / fitted, 1.0))
    pull = auxiliary * scale * scale * curvature(scale, 1.0 + scale, -1.0)
    return root(2.0 * (counts + pull))


def correlated_exclusion(
    s: Any, b: Any, systematic: float | Sequence[float] = 0.0, control: float | None = None
) -> Any:
    r"""Return the median exclusion significance of bins whose backgrounds one nuisance parameter scales.

    .. math:: Z^2 = 2 \min_\gamma \left\{ \sum_k \left[ \gamma b_k + s_k - b_k
              - b_k \ln \frac{\gamma b_k + s_k}{b_k} \right] + \tau (\gamma - 1 - \ln \gamma) \right\}

    The scale γ is found by Newton's steps; derivatives are those at the solution. Shapes: ``s`` and ``b``
    ``(bins,)``; a scalar. Arguments as in :func:`correlated_discovery`, with one ``systematic`` for all bins.

    Example
    -------
    >>> round(float(correlated_exclusion(np.array([4.0, 10.0]), np.array([100.0, 20.0]), 0.2)), 4)
    1.7624
    """
    s, b = ops.convert_to_tensor(s), ops.maximum(ops.convert_to_tensor(b), _TINY)
    if not isinstance(systematic, (int, float)):
        raise SettingError("correlated exclusion takes one systematic for all bins.")
    if systematic == 0.0 and control is None:
        return in_quadrature(exclusion_significance(s, b))
    background = ops.sum(b)
    looseness = relative_variance(background, systematic, control) / background  # 1 / τ
    fixed_s, fixed_b, fixed = (ops.stop_gradient(value) for value in (s, b, looseness))

    def slope(
        less: Any,
    ) -> tuple[Any, Any]:  # of half the likelihood ratio in 1 - γ, over τ, and its derivative
        lost = ops.expand_dims(less, -1) * fixed_b
        part = fixed_b / (fixed_b - lost + fixed_s)
        first = fixed * ops.sum(part * (fixed_s - lost), axis=-1) - less / (1.0 - less)
        return first, fixed * ops.sum(fixed_b * part * part, axis=-1) + 1.0 / (1.0 - less) ** 2

    # The slope falls, ever faster: Newton's steps from above the root stay above it.
    grid = ops.cast(_GRID / (1.0 + _GRID), b.dtype)
    less = ops.min(ops.where(slope(grid)[0] <= 0, grid, grid[-1]))
    for _ in range(_STEPS):
        first, second = slope(less)
        less = less + first / second
    less = ops.stop_gradient(less)
    away = (s - less * b) / b
    counts = ops.sum(b * away * away * curvature(away, 1.0 + away, -1.0))
    pull = less * less * curvature(-less, 1.0 - less, -1.0) / looseness
    return root(2.0 * (counts + pull))
