"""Rules for operators that look for an order along one axis: TopK, ArgMax, ArgMin, CumSum and CumProd."""

from __future__ import annotations

import math
from collections.abc import Iterator

from hepml_root.export.cpp.graph import Lowering, Node, Tensor, check_size, rule
from hepml_root.export.cpp.moves import affine
from hepml_root.export.cpp.steps import Moved, Place, Step
from hepml_root.export.cpp.weights import Weights

MOST_SELECTED = 32  # as in engine/order.hxx
ALIGNMENT = 16


def around(tensor: Tensor, axis: int) -> tuple[int, int, int]:
    """Return a value's shape as (outer, axis, inner)."""
    return math.prod(tensor.shape[:axis]), tensor.shape[axis], math.prod(tensor.shape[axis + 1 :])


def _flag(condition: object) -> str:
    return "true" if condition else "false"


class TopK(Step):
    """The largest or smallest elements along an axis: first all values, then (aligned) all places."""

    headers = ("order",)

    def __init__(self, source: Tensor, axis: int, count: int, largest: bool) -> None:
        self.outer, self.length, self.inner = around(source, axis)
        self.results = self.outer * count * self.inner
        self.places = -(-self.results // ALIGNMENT) * ALIGNMENT
        super().__init__(self.places + self.results)
        self.count, self.largest = count, largest
        self.source = source
        self.strides = (self.inner, self.length * self.inner, 1)  # of the axis, outer, inner
        if count > MOST_SELECTED:
            self.slack = 2 * self.length + ALIGNMENT
        self._read_in_place()

    def _read_in_place(self) -> None:
        """Read the transposed of a matrix from the matrix itself: neighbours are looked for in both ways."""
        found = affine(self.source)
        if found is None or self.inner != 1:
            return
        origin, extents, strides = found
        if extents == (self.outer, self.length):
            self.source, self.strides = origin, (strides[1], strides[0], 1)

    def reads(self) -> Iterator[Tensor]:
        yield self.source

    def redirect(self, moved: Moved) -> None:
        self.source = moved(self.source)

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:  # noqa: ARG002
        along, outer, inner = self.strides
        numbers = (self.length, along, self.count, self.outer, outer, self.inner, inner)
        work = -(-self.size // ALIGNMENT) * ALIGNMENT
        return [
            f"engine::top_k<M, {_flag(self.largest)}, {', '.join(map(str, numbers))}>"
            f"({place(self.source)}, {to}, {to} + {self.places} * M::lanes, {to} + {work} * M::lanes);"
        ]


@rule("TopK")
def top_k(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    axis = node.axis(node.attributes.get("axis", -1), len(source.shape))
    count = int(node.constant(1, "the number of elements").ravel()[0])
    if not 1 <= count <= source.shape[axis]:
        raise node.refuse(f"{count} elements of an axis of length {source.shape[axis]}.")
    check_size(2 * source.size // source.shape[axis] * count)
    step = TopK(source, axis, count, bool(node.attributes.get("largest", 1)))
    shape = (*source.shape[:axis], count, *source.shape[axis + 1 :])
    whole = lowering.add(step, (step.size,))
    return [Tensor(whole.step, shape, source.kind), Tensor(whole.step, shape, "int", step.places)]


@rule("ArgMax", "ArgMin")
def place_of_best(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    axis = node.axis(node.attributes.get("axis", 0), len(source.shape))
    flags = (node.operator == "ArgMax", node.attributes.get("select_last_index", 0))
    outer, length, inner = around(source, axis)
    numbers = ", ".join([*map(_flag, flags), str(outer), str(length), str(inner)])
    kept = (1,) if node.attributes.get("keepdims", 1) else ()
    step = Along(f"place_of_best<M, {numbers}>", source, outer * inner)
    return [lowering.add(step, (*source.shape[:axis], *kept, *source.shape[axis + 1 :]), "int")]


@rule("CumSum", "CumProd")
def accumulate(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    if source.kind == "bool":
        raise node.refuse("computes with bool values of the events; cast them to float.")
    axis = node.axis(int(node.constant(1, "the axis").ravel()[0]), len(source.shape))
    operation = "RunningSum" if node.operator == "CumSum" else "RunningProduct"
    flags = [_flag(node.attributes.get(name, 0)) for name in ("exclusive", "reverse")]
    numbers = ", ".join([f"engine::{operation}", *flags, *map(str, around(source, axis))])
    return [lowering.add(Along(f"accumulate<M, {numbers}>", source, source.size), source.shape, source.kind)]


class Along(Step):
    """A kernel of engine/order.hxx, called with a value and the place of the result."""

    headers = ("order",)

    def __init__(self, kernel: str, source: Tensor, size: int) -> None:
        super().__init__(size)
        self.kernel, self.source = kernel, source

    def reads(self) -> Iterator[Tensor]:
        yield self.source

    def redirect(self, moved: Moved) -> None:
        self.source = moved(self.source)

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:  # noqa: ARG002
        return [f"engine::{self.kernel}({place(self.source)}, {to});"]
