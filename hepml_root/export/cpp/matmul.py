"""Products of two values of the events, or of one with constants, with batch axes: MatMul in every form.

The kernel (engine/matmul.hxx) reads its factors and writes its result with any strides, so that the
transposes around a product, those of attention, need no step of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hepml_root.export.cpp.elementwise import constant, floats
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, check_size, rule
from hepml_root.export.cpp.moves import numbered, pick
from hepml_root.export.cpp.steps import Dense, Epilogued, Moved, Place
from hepml_root.export.cpp.weights import Weights


@dataclass(frozen=True)
class Side:
    """A factor of a product: a value, and where its elements are, by batch axes, row and column."""

    value: Tensor | np.ndarray
    places: np.ndarray

    def array(self) -> np.ndarray:
        """Return the elements of a constant factor."""
        assert isinstance(self.value, np.ndarray)
        return self.value.ravel()[self.places]

    def tensor(self, lowering: Lowering) -> Tensor:
        """Return the elements of a factor of the events one after the other, copied if need be."""
        assert isinstance(self.value, Tensor)
        return pick(lowering, self.value, self.places)


@dataclass(frozen=True)
class Strides:
    """How places follow from the indices: the first place, and the distance along every axis."""

    first: int
    distances: tuple[int, ...]


def once(places: np.ndarray) -> np.ndarray:
    """Return an array with the axes along which it is only repeated cut to length 1.

    >>> once(np.broadcast_to(np.arange(3), (1000, 3))).shape
    (1, 3)
    """
    return places[tuple(slice(None, 1 if stride == 0 else None) for stride in places.strides)]


def strides_of(places: np.ndarray) -> Strides | None:
    """Return the strides of an array of places, or None if there are none.

    >>> strides_of(np.arange(6).reshape(2, 3).T)
    Strides(first=0, distances=(1, 3))
    >>> strides_of(np.array([0, 1, 3])) is None
    True
    """
    first = int(places[(0,) * places.ndim])
    places = once(places)
    expected = np.full(places.shape, first)
    distances = []
    for axis, length in enumerate(places.shape):
        index = tuple(int(other == axis) for other in range(places.ndim))
        distance = int(places[index]) - first if length > 1 else 0
        shape = [length if other == axis else 1 for other in range(places.ndim)]
        expected = expected + distance * np.arange(length).reshape(shape)
        distances.append(distance)
    if min(distances, default=0) < 0 or not np.array_equal(expected, places):
        return None
    return Strides(first, tuple(distances))


class MatrixProduct(Epilogued):
    """``y[b, i, j] = formula of the sum over k of left[b, i, k] right[b, k, j]``, ``b`` being batch axes.

    ``places`` says where the results are stored; by default one after the other.
    """

    header = "matmul"

    def __init__(self, left: Side, right: Side, places: np.ndarray | None = None) -> None:
        batch = left.places.shape[:-2]
        shape = (*batch, left.places.shape[-2], right.places.shape[-1])
        super().__init__(math.prod(shape))
        self.sides = [left, right]
        self.places = np.arange(self.size).reshape(shape) if places is None else places
        self.inputs = left.places.shape[-1]
        self.work, self.has_rows = self.size * self.inputs, shape[-2] > 2

    def sources(self) -> Iterator[Tensor]:
        return (side.value for side in self.sides if isinstance(side.value, Tensor))

    def redirect(self, moved: Moved) -> None:
        super().redirect(moved)
        self.sides = [
            Side(moved(side.value), side.places) if isinstance(side.value, Tensor) else side
            for side in self.sides
        ]

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        *batch, rows, columns = self.places.shape
        matrices, addresses = [], []
        for side in self.sides:
            strides = strides_of(side.places)
            assert strides is not None
            matrices.append(_matrix(isinstance(side.value, np.ndarray), batch, strides))
            if isinstance(side.value, Tensor):
                value = side.value
                addresses.append(place(Tensor(value.step, (1,), value.kind, value.offset + strides.first)))
            else:
                addresses.append(f"{weights.code(side.value)} + {strides.first}")
        result = strides_of(self.places)
        assert result is not None
        matrices.append(_matrix(False, batch, result))
        sizes = ", ".join(map(str, (math.prod(batch), rows, self.inputs, columns)))
        return [
            f"engine::matmul<M, {self.when}, {sizes}, {', '.join(matrices)}>"
            f"({addresses[0]}, {addresses[1]}, {to}, {self.ending(place, weights)});"
        ]


def _matrix(constant: bool, batch: list[int], strides: Strides) -> str:
    *distances, row, column = strides.distances
    axes = [(length, step) for length, step in zip(batch, distances, strict=True) if length > 1]
    extents, steps = (", ".join(str(axis[i]) for axis in axes) for i in (0, 1))
    across = f"engine::Broadcast<engine::Extent<{extents}>, engine::Stride<{steps}>>"
    return f"engine::Matrix<{str(constant).lower()}, {row}, {column}, {across}>"


def multiply(node: Node, lowering: Lowering, left: Side, right: Side) -> Tensor:
    """Add the product of two factors ``(batch axes, rows, columns)``; batch axes are broadcast."""
    if left.places.shape[-1] != right.places.shape[-2]:
        raise node.refuse(f"factors of shapes {left.places.shape} and {right.places.shape} do not fit.")
    try:
        batch = np.broadcast_shapes(left.places.shape[:-2], right.places.shape[:-2])
    except ValueError:
        raise node.refuse(
            f"factors of shapes {left.places.shape} and {right.places.shape} cannot be broadcast."
        ) from None
    rows, columns = left.places.shape[-2], right.places.shape[-1]
    check_size(math.prod(batch) * rows * columns)
    if not math.prod(batch) * rows * columns * left.places.shape[-1]:
        raise node.refuse("an empty product.")
    if isinstance(right.value, np.ndarray) and right.places.size == left.places.shape[-1] * columns:
        # One matrix for all rows: its weights are packed.
        matrix = right.array().reshape(-1, columns).astype(np.float32)
        shape = (*batch, rows, columns)
        step = Dense(
            left.tensor(lowering), matrix, np.zeros(columns, np.float32), math.prod(left.places.shape[:-1])
        )
        return lowering.add(step, shape)
    sides = []
    for side in (left, right):
        places = np.broadcast_to(side.places, (*batch, *side.places.shape[-2:]))
        if isinstance(side.value, np.ndarray):
            side = Side(side.array(), np.arange(side.places.size).reshape(side.places.shape))
            places = np.broadcast_to(side.places, (*batch, *side.places.shape[-2:]))
        elif strides_of(places) is None:
            side = Side(side.tensor(lowering), np.arange(side.places.size).reshape(side.places.shape))
            places = np.broadcast_to(side.places, (*batch, *side.places.shape[-2:]))
        sides.append(Side(side.value, places))
    product = MatrixProduct(sides[0], sides[1])
    return lowering.add(product, product.places.shape)


@rule("MatMul")
def matmul(node: Node, lowering: Lowering) -> list[Tensor]:
    values = [_factor(node, index) for index in (0, 1)]
    ranks = [len(value.shape) + (node.leading if isinstance(value, Tensor) else 0) for value in values]
    if min(ranks) == 0:
        raise node.refuse("a factor without axes.")
    sides = [_side(node, value, ranks, index) for index, value in enumerate(values)]
    result = multiply(node, lowering, sides[0], sides[1])
    shape = list(result.shape)
    # A vector was made a matrix of one row or column, which is not in the result.
    if ranks[1] == 1:
        del shape[-1]
    if ranks[0] == 1 or (node.batched and ranks[0] == 2 and isinstance(values[0], Tensor)):
        del shape[-1 if ranks[1] == 1 else -2]
    return [Tensor(result.step, tuple(shape), "float", result.offset)]


def _factor(node: Node, index: int) -> Tensor | np.ndarray:
    value = node.inputs[index]
    if isinstance(value, Tensor):
        floats(node, [value])
        return value
    return constant(node, node.constant(index, "a factor"))


def _side(node: Node, value: Tensor | np.ndarray, ranks: list[int], index: int) -> Side:
    """Return a factor with at least a row and a column axis, without the axis of the events."""
    rank = ranks[index]
    if not isinstance(value, Tensor):
        array = node.aligned(value, max(ranks) - 1) if node.batched and rank == max(ranks) > 2 else value
        places = np.arange(array.size).reshape(array.shape)
        if rank == 1:
            places = places[None, :] if index == 0 else places[:, None]
        return Side(array, places)
    places = numbered(value)
    if node.batched:
        if rank == 2 and index == 0 and ranks[1] <= 2 and places.ndim == 1 and _is_constant(node, 1):
            return Side(value, places[None, :])  # the events are the rows
        if rank < 3 or rank != max(ranks):
            raise node.refuse("multiplies matrices whose rows or columns are the events, or batches of them.")
        return Side(value, places)
    if rank == 1:
        places = places[None, :] if index == 0 else places[:, None]
    return Side(value, places)


def _is_constant(node: Node, index: int) -> bool:
    return isinstance(node.inputs[index], np.ndarray)
