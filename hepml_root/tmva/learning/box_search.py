"""Boxes of cuts, searched in compiled C++ (``include/hepml_root/tmva/box_search.hxx``).

For each step of the signal efficiency the box that lets least background pass: boxes are peeled slice by
slice, then one side is tightened and another opened as long as that loses background, again and again from
boxes whose sides were moved at random.

Reference: J. Friedman, N. Fisher, Stat. Comput. 9 (1999) 123.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.tmva.learning.compiled import compiled_function
from hepml_root.tmva.weights.cuts import Cuts

BOTH, ONLY_ABOVE, ONLY_BELOW = 0, 1, 2  # x > low and x ≤ high; x > low; x ≤ high
_pointer = ctypes.c_void_p
_SEARCH = ctypes.CFUNCTYPE(
    None,
    _pointer, _pointer, _pointer, ctypes.c_int64, ctypes.c_int, _pointer, _pointer, ctypes.c_int,
    ctypes.c_int64, ctypes.c_uint64, _pointer, _pointer, _pointer, _pointer,
)  # fmt: skip


def search_boxes(
    variables: NDArray[np.float32],
    signal: NDArray[np.bool_],
    weights: NDArray[np.float64],
    ranges: NDArray[np.float64],
    sides: Sequence[int],
    *,
    bins: int,
    tries: int,
    seed: int,
) -> Cuts:
    """Return the best boxes that were found.

    Arguments
    ---------
    variables, signal, weights
        ``(events, …)``, with a positive sum of weights of both classes.
    ranges
        Of the cuts, ``(variables, 2)``.
    sides
        For each variable ``BOTH``, ``ONLY_ABOVE`` or ``ONLY_BELOW``.
    bins
        Steps of the signal efficiency: box i passes i/bins of the signal at least.
    tries, seed
        Three sides are looked at for each of them, after a first search; the seed of the random numbers.

    Example
    -------
    >>> x = np.float32([[1], [2], [3], [4]])
    >>> found = search_boxes(x, np.array([False, False, True, True]), np.ones(4), np.array([[0.0, 5.0]]),
    ...                      [ONLY_ABOVE], bins=2, tries=50, seed=1)
    >>> found.background_efficiency.tolist()
    [0.0, 0.0]
    """
    x = np.ascontiguousarray(variables, np.float32)
    events, columns = x.shape
    kinds = np.ascontiguousarray(signal).astype(np.uint8)
    w = np.ascontiguousarray(weights, np.float64)
    limits = np.ascontiguousarray(ranges, np.float64)
    which = np.array(sides, np.int32)
    low, high = np.empty((bins, columns)), np.empty((bins, columns))
    passed, failed = np.empty(bins), np.empty(bins)
    _function()(
        x.ctypes.data, w.ctypes.data, kinds.ctypes.data, events, columns, limits.ctypes.data,
        which.ctypes.data, bins, tries, seed, low.ctypes.data, high.ctypes.data, passed.ctypes.data,
        failed.ctypes.data,
    )  # fmt: skip
    return Cuts(low, high, passed, failed)


@functools.cache
def _function() -> Any:
    return compiled_function("boxes", "box_search", "hepml_search_boxes", _SEARCH, "cuts are searched")
