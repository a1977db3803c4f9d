"""What the generator knows of a network: values, nodes, the rules that turn nodes into steps.

A value that depends on the events is a :class:`Tensor`: its shape is that of one event, and it is a piece of
the storage of one step. A shape that holds the number of events is a :class:`Dimensions`; everything else is
a numpy array. One rule per operator (``@rule("Relu")``) turns a node into steps; an operator without a rule
is refused by the node's name. To add an operator, add a rule to any module of this package.

A model is read in one of two ways. *Batched*: axis 0 of every input is the batch; it is taken away, and every
event is computed on its own. *Static*: shapes are as written, and one "event" is a whole set of inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.cpp.types import kind_of_constant

if TYPE_CHECKING:
    from hepml_root.export.cpp.steps import Step

LARGEST_VALUE = 1 << 22  # numbers per event: a block of 48 events then takes 800 MB


@dataclass(frozen=True)
class Tensor:
    """A value that depends on the event: ``shape`` without the batch axis, a piece of a step's storage."""

    step: Step
    shape: tuple[int, ...]
    # float; bool, held as 0 and 1; int, held as a float without fraction (exact up to 2^24).
    kind: str = "float"
    offset: int = 0
    batch_axis: int = 0  # where the file has the batch; in memory it has no place among the axes

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Dimensions:
    """Integers made of a shape in a batched model: ``array`` as int64, with ``BATCH`` for the batch's length.

    The number of events is not known when the code is generated. Of what is computed with it only multiples
    are taken (folding.py sees to it), so that they can be told from all other numbers.
    """

    array: np.ndarray

    # A prime far above all sizes that are taken, with room for products with them in 64 bits.
    BATCH = (1 << 40) + 15


Value = Tensor | Dimensions | np.ndarray


@dataclass(frozen=True)
class Repeated:
    """A constant that the file repeats for every event: ``array`` has length 1 along ``batch_axis``.

    Rules may give one, and never see one: the reader makes it a constant again where that aligns with values
    of the events, and a value of the events elsewhere, so that nothing is computed over the batch.
    """

    array: np.ndarray
    batch_axis: int


Result = Value | Repeated


@dataclass
class Node:
    """One ONNX node with its resolved inputs (``None`` for an optional input that is left out)."""

    operator: str
    name: str
    inputs: list[Value | None]
    attributes: dict[str, Any]
    outputs: list[str]
    opset: int  # the version of the operator's domain
    domain: str = ""
    batched: bool = True
    batch_axis: int = 0  # where the batch stands in the inputs of rules that take it anywhere
    # The types of inputs and outputs as numpy types, None where they are not known.
    input_types: list[np.dtype | None] = field(default_factory=list)
    output_types: list[np.dtype | None] = field(default_factory=list)

    def refuse(self, why: str) -> UnsupportedOperationError:
        """Return the error that names this node and says ``why`` it cannot be generated."""
        return UnsupportedOperationError(f"node {self.name!r} (operator {self.operator}): {why}")

    def optional(self, index: int) -> Value | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def tensor(self, index: int = 0) -> Tensor:
        """Return an input that depends on the events."""
        value = self.optional(index)
        if not isinstance(value, Tensor):
            raise self.refuse(f"input {index} must depend on the events; here it is constant or absent.")
        return value

    def constant(self, index: int, what: str) -> np.ndarray:
        """Return an input that must be known when the code is generated."""
        value = self.optional(index)
        if not isinstance(value, np.ndarray):
            raise self.refuse(f"{what} must be constant; here it depends on the events or is absent.")
        return value

    def dimensions(self, index: int, what: str) -> list[int | None]:
        """Return an input that is a shape: ``None`` stands for the number of events (batched models only)."""
        value = self.optional(index)
        if not isinstance(value, Dimensions):
            return [int(n) for n in self.constant(index, what).ravel()]
        numbers = [int(n) for n in value.array.ravel()]
        if any(n != Dimensions.BATCH and abs(n) > LARGEST_VALUE for n in numbers):
            raise self.refuse(f"{what} has the number of events times another number.")
        return [None if n == Dimensions.BATCH else n for n in numbers]

    def dtype(self, index: int = 0) -> np.dtype | None:
        """Return the type that an input has in the file; None where it is not known."""
        return self.input_types[index] if index < len(self.input_types) else None

    @property
    def leading(self) -> int:
        """The number of axes in front of ``Tensor.shape``: 1, the batch, or 0 in a static model."""
        return 1 if self.batched else 0

    def axis(self, axis: int, rank: int) -> int:
        """Return an axis of the file as an index into ``Tensor.shape``, which has ``rank`` axes."""
        full = rank + self.leading
        if not -full <= axis < full:
            raise self.refuse(f"axis {axis} of a value with {full} axes.")
        axis %= full
        if self.batched and axis == self.batch_axis:
            raise self.refuse("works along the batch axis; every event must be computed on its own.")
        return axis - (self.leading if axis > self.batch_axis else 0)

    def full_shape(self, value: Tensor, batch_axis: int, rank: int) -> tuple[int, ...]:
        """Return the shape that an input of ``rank`` axes has in the file, with 1 for the batch, which must
        stand at ``batch_axis``.
        """
        shape = value.shape
        if self.batched:
            if value.batch_axis != batch_axis:
                raise self.refuse(f"an input has its batch at axis {value.batch_axis}, not at {batch_axis}.")
            shape = (*shape[:batch_axis], 1, *shape[batch_axis:])
        if len(shape) != rank:
            raise self.refuse(f"an input has {len(shape)} axes; {rank} are needed.")
        return shape

    def without_batch(self, value: Tensor, batch_axis: int) -> Tensor:
        """Return an output that has the file's shape, with 1 at ``batch_axis``, as a value of one event."""
        if not self.batched:
            return value
        shape = value.shape[:batch_axis] + value.shape[batch_axis + 1 :]
        return replace(value, shape=shape, batch_axis=batch_axis)

    def aligned(self, array: np.ndarray, rank: int) -> np.ndarray:
        """Return a constant without its batch axis, to be combined with a tensor of ``rank`` axes."""
        axis = array.ndim - rank - 1 + self.batch_axis
        if not self.batched or axis < 0:
            return array
        if array.ndim > rank + 1:
            raise self.refuse(f"a constant of shape {array.shape} has more axes than the events' values.")
        if array.shape[axis] != 1:
            raise self.refuse(f"a constant of shape {array.shape} has a value per event of the batch.")
        return array.squeeze(axis)


def check_size(size: int) -> None:
    """Refuse a value that is too large to be computed in blocks of events."""
    if size > LARGEST_VALUE:
        raise UnsupportedOperationError(
            f"a value of {size:,} numbers per event; up to {LARGEST_VALUE:,} are supported."
        )


# A rule gives one value per output; None, or nothing at the end, for those that it cannot give.
Rule = Callable[[Node, "Lowering"], "list[Tensor] | list[Value] | list[Value | None] | list[Result]"]
RULES: dict[tuple[str, str], Rule] = {}


def rule(*operators: str, domain: str = "") -> Callable[[Rule], Rule]:
    """Register a function as the rule for some operators of a domain."""

    def register(function: Rule) -> Rule:
        for operator in operators:
            RULES[domain, operator] = function
        return function

    return register


@dataclass
class Lowering:
    """The steps found so far; rules add to them."""

    steps: list[Step] = field(default_factory=list)
    batched: bool = True

    def add(self, step: Step, shape: Iterable[int], kind: str = "float") -> Tensor:
        """Append a step and return its whole storage as a value of ``shape``."""
        check_size(step.size)
        self.steps.append(step)
        return Tensor(step, tuple(shape), kind)

    def constant(self, array: np.ndarray) -> Tensor:
        """Return a constant (without a batch axis) as a value that every event has, for steps that need one.

        Element-wise steps should take constants as they are: they then need no room.
        """
        from hepml_root.export.cpp.expression import Number, Weight
        from hepml_root.export.cpp.steps import Map

        if array.size == 0:
            raise UnsupportedOperationError("a value without any number in it.")
        check_size(array.size)
        kind = kind_of_constant(array)
        numbers = np.ascontiguousarray(array, dtype=np.float32)
        first = numbers.ravel()[0]
        uniform = bool((numbers == first).all())
        formula = Number(float(first)) if uniform else Weight(numbers)
        return self.add(Map(numbers.size, formula), array.shape, kind)


@dataclass
class Graph:
    """The lowered network: inputs and outputs in the file's order, steps in the order of computing."""

    name: str
    inputs: list[tuple[str, Tensor]]
    outputs: list[tuple[str, Tensor]]
    steps: list[Step]
    batched: bool = True
