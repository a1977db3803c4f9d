"""The interpolations of TMVA's PDFs through the centres of a histogram's bins: straight lines, parabolas, and
splines of third and fifth degree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, make_interp_spline

Values = NDArray[np.float64]


def _linear(x: Values, y: Values, at: Values) -> Values:
    """Straight lines, the outer ones continued."""
    left = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    return y[left] + (at - x[left]) * (y[left + 1] - y[left]) / (x[left + 1] - x[left])


def _quadratic(x: Values, y: Values, at: Values) -> Values:
    """The mean of the parabolas through three points that contain an interval; at the ends there is one.

    In float32, as TMVA computes it: with bins far from zero its rounding is larger than the density's detail.
    """
    count = len(x)
    left = np.clip(np.searchsorted(x, at, side="right") - 1, 0, count - 1)
    first = np.clip(left - 1, 0, count - 3)
    second = np.clip(left, 0, count - 3)
    at_ends = (left == 0) | (left >= count - 2)
    lone = np.where(left == 0, 0, count - 3)
    both = (_parabola(x, y, at, first) + _parabola(x, y, at, second)) * 0.5
    return np.where(at_ends, _parabola(x, y, at, lone), both)


def _parabola(x: Values, y: Values, at: Values, first: NDArray[np.intp]) -> Values:
    t = at.astype(np.float32)
    x1, x2, x3 = (x[first + i].astype(np.float32) for i in range(3))
    y1, y2, y3 = (y[first + i].astype(np.float32) for i in range(3))
    a = y1 * (x2 - x3) + y2 * (x3 - x1) + y3 * (x1 - x2)
    b = y1 * (x2 * x2 - x3 * x3) + y2 * (x3 * x3 - x1 * x1) + y3 * (x1 * x1 - x2 * x2)
    c = y1 * (x2 - x3) * x2 * x3 + y2 * (x3 - x1) * x3 * x1 + y3 * (x1 - x2) * x1 * x2
    below = (x2 - x3) * (x3 - x1) * (x1 - x2)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (-a * t * t + b * t - c) / below
    return np.where(below == 0, 0.0, value).astype(np.float64)


def _cubic(x: Values, y: Values, at: Values) -> Values:
    """Third degree, with the third derivative continuous at the second point from each end."""
    return np.asarray(CubicSpline(x, y, bc_type="not-a-knot")(at), np.float64)


def _quintic(x: Values, y: Values, at: Values) -> Values:
    """Fifth degree, third and fourth derivative zero at the ends; behind the last point a parabola."""
    ends = [(3, 0.0), (4, 0.0)]
    spline = make_interp_spline(x, y, k=5, bc_type=(ends, ends))
    step = at - x[-1]
    parabola = y[-1] + step * (float(spline(x[-1], 1)) + step * float(spline(x[-1], 2)) / 2)
    return np.where(step > 0, parabola, spline(at))


# TMVA's numbers 1 to 4: name, least number of bins, function of (centres, contents, places).
SPLINES: tuple[tuple[str, int, Callable[[Values, Values, Values], Values]], ...] = (
    ("Spline1", 2, _linear),
    ("Spline2", 3, _quadratic),
    ("Spline3", 4, _cubic),
    ("Spline5", 6, _quintic),
)
