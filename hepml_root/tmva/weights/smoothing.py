"""The smoothing of histograms that TMVA takes from ROOT: running medians, twice ("353QH, twice").

Medians of 3, 5 and 3 neighbours, then flat tops rounded by a parabola, then a running mean with the weights
¼, ½, ¼. What this leaves of the histogram is smoothed in the same way and added again. No bin of a histogram
without negative ones becomes negative.

Reference: J. Friedman, Data analysis techniques for high energy particle physics, SLAC-176 (1974).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray


def smoothed(contents: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    """Return a histogram of three bins or more smoothed a number of times.

    >>> smoothed(np.float32([0, 0, 9, 0, 0, 0]), 1).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    values = contents.astype(np.float64)
    for _ in range(times):
        rough = _pass(values)
        both = rough + _pass(values - rough)
        values = both if values.min() < 0 else np.maximum(both, 0.0)
    return values.astype(np.float32)


def _pass(values: NDArray[np.float64]) -> NDArray[np.float64]:
    medians = _running_median(values, 3)
    # The ends, by a straight line from their neighbours.
    medians[0] = np.median([medians[1], values[0], 3 * medians[1] - 2 * medians[2]])
    medians[-1] = np.median([medians[-2], values[-1], 3 * medians[-2] - 2 * medians[-3]])
    medians = _running_median(_running_median(medians, 5), 3)
    rounded = _without_flat_tops(medians)
    result = rounded.copy()
    result[1:-1] = 0.25 * rounded[:-2] + 0.5 * rounded[1:-1] + 0.25 * rounded[2:]
    return result


def _running_median(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return medians of as many neighbours; the second from each end has 3, the ends stay."""
    result = values.copy()
    result[1:-1] = np.median(sliding_window_view(values, 3), axis=1)
    if length == 5 and len(values) >= 5:
        result[2:-2] = np.median(sliding_window_view(values, 5), axis=1)
    return result


def _without_flat_tops(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values with the middle of three equal ones, and its neighbour on the steeper side, moved
    to a parabola, where all around lies lower, or all higher."""
    result = values.copy()
    for i in range(2, len(values) - 2):
        if values[i - 1] != values[i] or values[i + 1] != values[i]:
            continue
        before, after = values[i - 2] - values[i], values[i + 2] - values[i]
        if before * after <= 0:
            continue
        side = -1 if abs(after) > abs(before) else 1
        far, near = values[i - 2 * side], values[i + 2 * side]
        result[i] = -0.5 * far + values[i] / 0.75 + near / 6.0
        result[i + side] = 0.5 * (near - far) + values[i]
    return result


def smoothed_by_errors(contents: NDArray[np.float32], least: int, most: int) -> NDArray[np.float32]:
    """Return a histogram smoothed more often where its relative errors are larger, as TMVA's PDFs are with
    MinNSmooth < MaxNSmooth.

    TMVA means to smooth only parts of the histogram; what it calls smooths all of it, once for each part that
    ends before the last bin. So it is done here.
    """
    sizes = np.abs(contents.astype(np.float64))
    errors = np.sqrt(sizes)
    relative = [np.float32(e / c) if c > e else None for c, e in zip(contents, errors, strict=True)]
    known = [value for value in relative if value is not None]
    low = span = np.float32(0)
    if known:
        total = square = np.float32(0)
        for value in known:
            total, square = np.float32(total + value), np.float32(square + value * value)
        mean = np.float32(total / np.float32(len(known)))
        spread = np.float32(
            math.sqrt(max(float(np.float32(square / np.float32(len(known))) - mean * mean), 0.0))
        )
        low, span = np.float32(mean - spread), np.float32(2) * spread
    wanted = [most] * len(contents)
    for place, error in enumerate(relative):
        if error is not None and span > 0:
            share = int(np.float32(np.float32(error - low) / span) * np.float32(most - least))
            wanted[place] = min(max(share + least, least), most)
    passes = least + 1
    for number in range(most, least, -1):
        length = 0
        for count in wanted:
            if count >= number:
                length += 1
            else:
                passes += length > 1
                length = 0
    return smoothed(contents, passes)
