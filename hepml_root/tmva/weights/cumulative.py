"""Cumulative distributions of a variable as TMVA estimates them, for the transformations U and G.

A histogram with at least ten events in each bin, at most about 2000 bins, smoothed once, then summed up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError
from hepml_root.tmva.weights.pdf import Histogram, Pdf, make_pdf
from hepml_root.tmva.weights.smoothing import smoothed

_LEAST_EVENTS, _MOST_BINS = 10, 2000
_BEFORE = np.float32(1e-4)  # how far before the first event the first bin begins
_LINES = 1  # of TMVA's interpolations


def cumulative_distribution(
    values: NDArray[np.float32], weights: NDArray[np.float64], name: str, number: int, what: str
) -> Pdf:
    """Return F(x), estimated from weighted events.

    Arguments
    ---------
    values, weights
        ``(events,)``.
    name, number
        Of the variable and of the class, for the names in weight files.
    what
        For messages.

    Raises
    ------
    SettingError
        The events have no positive weight, or one value only.

    Example
    -------
    >>> x = np.linspace(0, 1, 1000, dtype=np.float32)
    >>> f = cumulative_distribution(x, np.ones(1000), "Var0", 0, "x")
    >>> round(float(np.interp(0.5, (f.edges[1:] + f.edges[:-1]) / 2, f.values)), 1)
    0.5
    """
    order = np.argsort(values, kind="stable")
    single = weights.astype(np.float32)
    x, w = np.asarray(values, np.float32)[order], single[order]
    if not len(x) or w.sum() <= 0:
        raise SettingError(f"VarTransform, {what}: the weights of the events add up to nothing positive.")
    edges = bin_edges(x, w, np.cumsum(single)[-1])
    if len(edges) < 3 or not (np.diff(edges) > 0).all():
        raise SettingError(f"VarTransform, {what}: all events have the same value.")
    places = np.searchsorted(edges, x, side="right") - 1
    inside = places < len(edges) - 1  # as in TMVA the largest value is just outside
    contents = np.bincount(places[inside], w[inside].astype(np.float64), len(edges) - 1).astype(np.float32)
    if len(contents) >= 3:
        contents = smoothed(contents, 1)
    summed = np.cumsum(np.maximum(contents.astype(np.float64), 0.0))
    if summed[-1] <= 0:
        raise SettingError(f"VarTransform, {what}: the weights of the events add up to nothing positive.")
    histogram = Histogram(
        f"GaussTransform {name.lower()} cls{number}", f"Cumulative_{name}_cls{number}_original",
        edges.astype(np.float64), (summed / summed[-1]).astype(np.float32), uniform=False, method=_LINES,
    )  # fmt: skip
    return make_pdf(histogram, normalised=False)


def bin_edges(
    x: NDArray[np.float32], weights: NDArray[np.float32], total: np.floating[Any]
) -> NDArray[np.float32]:
    """Return edges of bins for ascending values: each bin ends where its events are enough.

    In float32, one event after the other, as TMVA adds: whether events of the same weight are enough is a
    question of its roundings.
    """
    enough = max(np.float32(weights.min() * np.float32(_LEAST_EVENTS)), np.float32(total / _MOST_BINS))
    first = np.float32(x[0] - _BEFORE)
    if not first < x[0]:  # far from zero
        first = np.nextafter(x[0], np.float32(-np.inf))
    edges = [first, x[0]]
    window = 2 * len(x) // _MOST_BINS + 2 * _LEAST_EVENTS
    start, last, rest = 0, x[0], np.float32(0)
    while start < len(x):
        stop = min(start + window, len(x))
        summed = np.cumsum(np.concatenate([[rest], weights[start:stop]]), dtype=np.float32)[1:]
        full = (summed >= enough) & (x[start:stop] > last)
        place = int(full.argmax())
        if full[place]:
            last, rest = x[start + place], np.float32(0)
            edges.append(last)
            start += place + 1
        else:
            rest, start = summed[-1], stop
    if rest != 0 and x[-1] > last:
        edges.append(x[-1])
    return np.array(edges, np.float32)
