"""Decision trees grown on weighted events, in compiled C++ (``include/hepml_root/tmva/decision_tree.hxx``).

In every node the range that its events have in each variable is cut at equal steps, and the cut that
separates best is taken, as long as both sides have enough events.
"""

from __future__ import annotations

import ctypes
import functools
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.tmva.learning.compiled import compiled_function
from hepml_root.tmva.weights.trees import Tree

# In the order of the numbers of the header.
SEPARATIONS = (
    *("CrossEntropy", "GiniIndex", "GiniIndexWithLaplace", "MisClassificationError", "SDivSqrtSPlusB"),
    "RegressionVariance",
)
_pointer = ctypes.c_void_p
_GROW = ctypes.CFUNCTYPE(
    ctypes.c_int,
    _pointer, ctypes.c_int64, ctypes.c_int, _pointer, _pointer, _pointer, _pointer, _pointer, ctypes.c_int64,
    _pointer, ctypes.c_uint64, ctypes.c_int, _pointer, _pointer, _pointer, _pointer,
)  # fmt: skip


@dataclass(frozen=True)
class Growth:
    """How trees are grown.

    Arguments
    ---------
    depth
        Cuts one after the other, at most.
    least
        Part of the sample's events that a node has at least, and of the sum of their weights, which should be
        the number of events.
    cuts
        Steps on each variable; less than 1: all cuts there are.
    separation
        One of ``SEPARATIONS``; RegressionVariance grows on targets.
    purity_limit
        Leaves of a higher purity are of the kind 1, others −1.
    random_variables, poisson
        Variables that a node looks at (0: all), as a number or as the mean of a Poisson distribution.
    clean
        Take back cuts whose daughters are of the same kind.
    """

    depth: int = 3
    least: float = 0.05
    cuts: int = 20
    separation: str = "GiniIndex"
    purity_limit: float = 0.5
    random_variables: int = 0
    poisson: bool = False
    clean: bool = False


@dataclass
class Grown:
    """A tree, a row for each node: the root first, each mother before her daughters.

    Arguments
    ---------
    variable, cut, right_if_above, left, right
        Of an inner node; left is −1 in leaves.
    kind
        0 of an inner node, 1 or −1 of a leaf, −99 of one of a regression.
    purity, response
        Of each node: part of the signal, and mean of the targets.
    leaf
        The row in which each of the events ends ``(events,)``.
    gains
        Of the cuts on each variable: (what they gain times the sum of weights)², summed.
    """

    variable: NDArray[np.int32]
    cut: NDArray[np.float64]
    right_if_above: NDArray[np.int32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    kind: NDArray[np.int32]
    purity: NDArray[np.float64]
    response: NDArray[np.float64]
    leaf: NDArray[np.int32]
    gains: NDArray[np.float64]

    def tree(self, variables: int, weight: float) -> Tree:
        """Return it as weight files have it."""
        tree = Tree(None, variables, float(np.float32(weight)))
        tree.variable = array("i", self.variable.tolist())
        tree.cut = array("f", self.cut.tolist())
        tree.right_if_above = array("b", self.right_if_above.tolist())
        tree.left, tree.right = array("i", self.left.tolist()), array("i", self.right.tolist())
        tree.kind = array("i", self.kind.tolist())
        tree.purity = array("f", self.purity.tolist())
        tree.response = array("f", self.response.tolist())
        return tree


class Forester:
    """Grows trees on the same events with different weights, targets and samples.

    Arguments
    ---------
    variables
        ``(events, variables)``, float32, finite.
    whole
        Which variables are whole numbers: they are cut at each of them.
    growth
        How.

    Example
    -------
    >>> x = np.float32([[0], [1], [2], [3]])
    >>> forester = Forester(x, [False], Growth(depth=1, least=0.25, cuts=3))
    >>> grown = forester.grow(np.ones(4), signal=np.array([False, False, True, True]))
    >>> grown.kind.tolist(), grown.leaf.tolist()
    ([0, 1, -1], [2, 2, 1, 1])
    """

    def __init__(self, variables: NDArray[np.float32], whole: Sequence[bool], growth: Growth) -> None:
        self._x = np.ascontiguousarray(variables, np.float32)
        self._whole = np.array(whole, np.uint8)
        self._growth = growth
        self._all = np.arange(len(self._x), dtype=np.int32)
        self._room = 64

    def grow(
        self,
        weights: NDArray[np.float64],
        *,
        signal: NDArray[np.bool_] | None = None,
        targets: NDArray[np.float64] | None = None,
        rows: NDArray[np.int32] | None = None,
        seed: int = 0,
    ) -> Grown:
        """Grow one tree.

        Arguments
        ---------
        weights, signal, targets
            ``(events,)``; targets with RegressionVariance, signal otherwise.
        rows
            Events to grow on, some of them perhaps more than once; all by default.
        seed
            Of the choice of variables.
        """
        growth, events = self._growth, len(self._x)
        chosen = self._all if rows is None else np.ascontiguousarray(rows, np.int32)
        numbers = np.array(
            [
                growth.depth, growth.least * len(chosen), growth.cuts, SEPARATIONS.index(growth.separation),
                growth.purity_limit, growth.random_variables, growth.poisson, growth.clean,
            ],
            np.float64,
        )  # fmt: skip
        weights = np.ascontiguousarray(weights, np.float64)
        kinds = np.zeros(0, np.uint8) if signal is None else np.ascontiguousarray(signal).view(np.uint8)
        values = np.zeros(0) if targets is None else np.ascontiguousarray(targets, np.float64)
        leaf = np.empty(events, np.int32)
        while True:
            integers, reals = np.empty((self._room, 5), np.int32), np.empty((self._room, 3))
            gains = np.zeros(self._x.shape[1])
            size = _function()(
                self._x.ctypes.data, events, self._x.shape[1], self._whole.ctypes.data,
                weights.ctypes.data, kinds.ctypes.data, values.ctypes.data, chosen.ctypes.data, len(chosen),
                numbers.ctypes.data, seed, self._room, integers.ctypes.data, reals.ctypes.data,
                gains.ctypes.data, leaf.ctypes.data,
            )  # fmt: skip
            if size > 0:
                break
            self._room = -2 * size
        variable, left, right, kind, above = integers[:size].T
        cut, purity, response = reals[:size].T
        return Grown(variable, cut, above, left, right, kind, purity, response, leaf, gains)


@functools.cache
def _function() -> Any:
    return compiled_function("trees", "decision_tree", "hepml_grow_tree", _GROW, "trees are grown")
