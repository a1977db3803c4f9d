"""Rules for gathering and scattering by indices, be they constant or of the events.

Constant indices are movements of features. With indices of the events each lane reads or writes in its own
place (engine/index.hxx). There is no way to stop one event of a block, so that an index out of range, which
ONNX calls an error, gives NaN: in the row that is gathered, or in all that is scattered into.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hepml_root.export.cpp.elementwise import constant
from hepml_root.export.cpp.expression import Broadcast, Call, Expression, Load, Number, Weight, broadcast
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, check_size, rule
from hepml_root.export.cpp.moves import LONGEST_TABLE, assemble, loops_of, numbered, pick, view
from hepml_root.export.cpp.steps import Epilogued, Map, Moved, Place, Step
from hepml_root.export.cpp.types import kind_of_constant
from hepml_root.export.cpp.weights import Weights

ALIGNMENT = 16


@dataclass(frozen=True)
class Rows:
    """Runs of ``length`` features that are moved as one, by indices.

    ``base`` is where each begins in the value that is indexed if all its indices are 0, ``where`` the place
    of its first index, the others following; ``coordinates`` has for each index how many values it can take
    and how far one more moves the row.
    """

    base: np.ndarray
    where: np.ndarray
    coordinates: tuple[tuple[int, int], ...]
    length: int

    def code(self) -> str:
        numbers = [_walk(self.base.ravel()).code()[:-2], _walk(self.where.ravel()).code()[:-2]]
        numbers += [f"engine::Coordinate<{extent}, {stride}>" for extent, stride in self.coordinates]
        return ", ".join([str(self.base.size), str(self.length), *numbers])


def _walk(places: np.ndarray) -> Broadcast:
    """Return how the number of a row becomes a place; the first must be 0, and the places a nest of loops."""
    loops, left, _ = loops_of(np.arange(places.size), places)
    if left.size != 1 or places[0]:
        raise ValueError("the places of the rows are irregular")
    return Broadcast(tuple(turn[0] for turn in loops.turns), tuple(turn[2] for turn in loops.turns))


class GatherRows(Epilogued):
    """Rows of a value, or of constants, at indices of the event, and a formula of them."""

    header = "index"

    def __init__(self, source: Tensor | np.ndarray, index: Tensor, rows: Rows) -> None:
        super().__init__(rows.base.size * rows.length)
        self.source, self.index, self.rows = source, index, rows
        if isinstance(source, Tensor) and 2 * self.size >= source.size:
            self.slack = source.size + 2 * ALIGNMENT  # where whole rows of the source are made

    def sources(self) -> Iterator[Tensor]:
        if isinstance(self.source, Tensor):
            yield self.source
        yield self.index

    def redirect(self, moved: Moved) -> None:
        super().redirect(moved)
        if isinstance(self.source, Tensor):
            self.source = moved(self.source)
        self.index = moved(self.index)

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        if isinstance(self.source, Tensor):
            source, x = f"engine::OfEvents<{self.source.size}>", place(self.source)
        else:
            source, x = "engine::OfConstants", f"w + {weights.place(self.source)}"
        work = -(-self.size // ALIGNMENT) * ALIGNMENT
        return [
            f"engine::gather<M, {source}, {self.rows.code()}>({x}, {place(self.index)}, {to}, "
            f"{to} + {work} * M::lanes, {self.ending(place, weights)});"
        ]


OPERATIONS = {
    b"none": "Replace",
    b"add": "AddTo",
    b"mul": "MultiplyBy",
    b"max": "LargerOf",
    b"min": "SmallerOf",
}


class ScatterRows(Step):
    """A value with rows of updates put into it at indices of the event."""

    headers = ("index", "move")

    def __init__(self, source: Tensor, index: Tensor, updates: Tensor, rows: Rows, operation: str) -> None:
        super().__init__(source.size)
        self.source, self.index, self.updates = source, index, updates
        self.rows, self.operation = rows, operation

    def reads(self) -> Iterator[Tensor]:
        yield from (self.source, self.index, self.updates)

    def redirect(self, moved: Moved) -> None:
        self.source, self.index, self.updates = map(moved, (self.source, self.index, self.updates))

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:  # noqa: ARG002
        return [
            _copied(self.source, to, place),
            f"engine::scatter<M, engine::{self.operation}, {self.size}, {self.rows.code()}>"
            f"({place(self.updates)}, {place(self.index)}, {to});",
        ]


class ScatterTo(Step):
    """A value with updates joined to its features at known places, in the order of the updates."""

    headers = ("index", "move")

    def __init__(self, source: Tensor, updates: Tensor, places: np.ndarray, operation: str) -> None:
        super().__init__(source.size)
        self.source, self.updates, self.places, self.operation = source, updates, places, operation

    def reads(self) -> Iterator[Tensor]:
        yield from (self.source, self.updates)

    def redirect(self, moved: Moved) -> None:
        self.source, self.updates = moved(self.source), moved(self.updates)

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        call = f"engine::scatter_to<M, engine::{self.operation}>"
        count = self.places.size
        if count > LONGEST_TABLE:
            update = f"{call}({place(self.updates)}, w + {weights.place(self.places)}, {count}, {to});"
            return [_copied(self.source, to, place), update]
        return [
            _copied(self.source, to, place),
            "{",
            f"   static constexpr std::uint32_t table[] = {{{', '.join(map(str, self.places.tolist()))}}};",
            f"   {call}({place(self.updates)}, table, {count}, {to});",
            "}",
        ]


def _copied(source: Tensor, to: str, place: Place) -> str:
    return f"engine::move<engine::Features<M>, engine::Loop<{source.size}, 1, 1>>({place(source)}, {to});"


# ---- gathering -------------------------------------------------------------------------------------------


@rule("Gather")
def gather(node: Node, lowering: Lowering) -> list[Tensor]:
    source, index = _source(node), _index(node)
    axis = node.attributes.get("axis", 0)
    if isinstance(index, np.ndarray):
        tensor = node.tensor()
        place = node.axis(axis, len(tensor.shape))
        index = _within(node, index, tensor.shape[place])
        check_size(tensor.size // tensor.shape[place] * index.size)
        return [pick(lowering, tensor, np.take(numbered(tensor), index, axis=place))]
    if node.batched:
        if isinstance(source, Tensor):
            raise node.refuse("would take values of one event at the indices of another; use GatherND.")
        if axis not in (0, -source.ndim):
            raise node.refuse("puts an axis of a constant in front of the events; gather along its axis 0.")
        place = 0
    else:
        place = axis % len(source.shape) if -len(source.shape) <= axis < len(source.shape) else -1
        if place < 0:
            raise node.refuse(f"axis {axis} of a value of shape {source.shape}.")
    before, extent, after = source.shape[:place], source.shape[place], source.shape[place + 1 :]
    inner = math.prod(after)
    shape = (*before, *index.shape, *after)
    check_size(math.prod(shape))
    outer = np.arange(math.prod(before))[:, None]
    base = np.broadcast_to(outer * extent * inner, (outer.size, index.size))
    where = np.broadcast_to(np.arange(index.size), base.shape)
    rows = Rows(base, where, ((extent, inner),), inner)
    return [_gathered(node, lowering, source, index, rows, shape)]


@rule("GatherElements")
def gather_elements(node: Node, lowering: Lowering) -> list[Tensor]:
    source, index, place, base = _elements(node, table=True)
    stride = math.prod(source.shape[place + 1 :])
    if isinstance(index, np.ndarray):
        return [pick(lowering, node.tensor(), base + stride * _within(node, index, source.shape[place]))]
    rows = Rows(base, numbered(index), ((source.shape[place], stride),), 1)
    return [_gathered(node, lowering, source, index, rows, node.tensor(1).shape)]


def _elements(
    node: Node, table: bool = False
) -> tuple[Tensor | np.ndarray, Tensor | np.ndarray, int, np.ndarray]:
    """Return data and indices of GatherElements or ScatterElements, the axis, and where index 0 points to.

    With ``table`` the data may be constants whose axis 0 is indexed, and is not the batch.
    """
    source, index = _source(node), _index(node)
    axis = node.attributes.get("axis", 0)
    constant_data = isinstance(source, np.ndarray) and isinstance(index, Tensor)
    if table and node.batched and constant_data and axis in (0, -len(source.shape)):
        index, place = view(node.tensor(1), (1, *index.shape)), 0
    else:
        rank = len(index.shape) if isinstance(index, Tensor) else len(source.shape)
        if isinstance(source, np.ndarray):
            source = node.aligned(source, rank)
        if isinstance(index, np.ndarray):
            index = node.aligned(index, rank)
        place = node.axis(axis, rank)
    fits = len(source.shape) == len(index.shape) and all(
        i <= n or a == place for a, (i, n) in enumerate(zip(index.shape, source.shape, strict=True))
    )
    if not fits or 0 in index.shape:
        raise node.refuse(f"indices of shape {index.shape} do not fit data of shape {source.shape}.")
    check_size(math.prod(index.shape))
    within = tuple(slice(0, 1) if a == place else slice(0, n) for a, n in enumerate(index.shape))
    return source, index, place, np.broadcast_to(numbered(source)[within], index.shape)


@rule("GatherND")
def gather_nd(node: Node, lowering: Lowering) -> list[Tensor]:
    source, index = _source(node), _index(node)
    rows, shape = _coordinates(node, source, index, int(node.attributes.get("batch_dims", 0)))
    if isinstance(index, np.ndarray):
        index = node.aligned(index, index.ndim - node.leading)
        places = rows.base + _known(node, index, rows)
        moved = places[..., None] + np.arange(rows.length)
        return [pick(lowering, node.tensor(), moved.reshape(shape))]
    return [_gathered(node, lowering, source, index, rows, shape)]


def _coordinates(
    node: Node, source: Tensor | np.ndarray, index: Tensor | np.ndarray, batch: int
) -> tuple[Rows, tuple[int, ...]]:
    """Return the rows that GatherND or ScatterND mean, and the shape of all of them."""
    lengths, indices = tuple(source.shape), tuple(index.shape)
    if node.batched:
        if isinstance(source, Tensor) and batch < 1:
            raise node.refuse("indexes the batch; every event must be computed on its own. Set batch_dims=1.")
        if isinstance(index, np.ndarray):
            indices = node.aligned(index, index.ndim - 1).shape if index.ndim else ()
        if batch:
            if isinstance(source, np.ndarray):
                lengths = node.aligned(source, source.ndim - 1).shape
            batch -= 1
    if not indices or batch >= len(indices) or not 0 <= batch <= len(lengths):
        raise node.refuse(f"indices of shape {indices} do not fit data of shape {lengths}.")
    count = indices[-1]
    if lengths[:batch] != indices[:batch] or not 1 <= count <= len(lengths) - batch:
        raise node.refuse(f"indices of shape {indices} do not fit data of shape {lengths}.")
    indexed, rest = lengths[batch : batch + count], lengths[batch + count :]
    length = math.prod(rest)
    strides = [length * math.prod(indexed[i + 1 :]) for i in range(count)]
    check_size(math.prod(indices[:-1]) * length)
    first = np.arange(math.prod(lengths[:batch])) * (length * math.prod(indexed))
    each = math.prod(indices[batch:-1])
    base = np.broadcast_to(first[:, None], (first.size, each))
    where = np.arange(base.size).reshape(base.shape) * count
    rows = Rows(base, where, tuple(zip(indexed, strides, strict=True)), length)
    return rows, (*indices[:-1], *rest)


def _known(node: Node, index: np.ndarray, rows: Rows) -> np.ndarray:
    """Return how far constant indices move each row."""
    moved = np.zeros(index.shape[:-1], np.int64)
    for i, (extent, stride) in enumerate(rows.coordinates):
        moved = moved + stride * _within(node, index[..., i], extent)
    return moved.reshape(rows.base.shape)


def _gathered(
    node: Node,
    lowering: Lowering,
    source: Tensor | np.ndarray,
    index: Tensor,
    rows: Rows,
    shape: Sequence[int],
) -> Tensor:
    if rows.base.size == 0 or rows.length == 0:
        raise node.refuse(f"the result of shape {tuple(shape)} is empty.")
    kind = source.kind if isinstance(source, Tensor) else kind_of_constant(source)
    array = source if isinstance(source, Tensor) else constant(node, source)
    return lowering.add(GatherRows(array, index, rows), shape, kind)


def _source(node: Node) -> Tensor | np.ndarray:
    value = node.inputs[0]
    if not isinstance(value, Tensor | np.ndarray) or not math.prod(value.shape):
        raise node.refuse("the data is empty, or holds the number of events.")
    return value


def _index(node: Node) -> Tensor | np.ndarray:
    value = node.inputs[1]
    if not isinstance(value, Tensor | np.ndarray) or not math.prod(value.shape):
        raise node.refuse("the indices are empty, or hold the number of events.")
    if isinstance(value, np.ndarray) and value.dtype.kind not in "iu":
        raise node.refuse(f"indices of type {value.dtype}.")
    return value


def _within(node: Node, index: np.ndarray, length: int) -> np.ndarray:
    """Return constant indices from 0, or refuse those out of range."""
    index = index.astype(np.int64)
    if index.min() < -length or index.max() >= length:
        raise node.refuse(f"indices from {index.min()} to {index.max()} of an axis of length {length}.")
    return np.where(index < 0, index + length, index)


# ---- scattering ------------------------------------------------------------------------------------------


@rule("ScatterElements")
def scatter_elements(node: Node, lowering: Lowering) -> list[Tensor]:
    source, index, place, base = _elements(node)
    stride = math.prod(source.shape[place + 1 :])
    if isinstance(index, np.ndarray):
        places = base + stride * _within(node, index, source.shape[place])
        return [_scattered_to(node, lowering, source, places)]
    rows = Rows(base, numbered(index), ((source.shape[place], stride),), 1)
    return [_scattered(node, lowering, source, index, rows)]


@rule("ScatterND")
def scatter_nd(node: Node, lowering: Lowering) -> list[Tensor]:
    if node.batched:
        raise node.refuse("indexes the batch; every event must be computed on its own. Use ScatterElements.")
    source, index = _source(node), _index(node)
    rows, _ = _coordinates(node, source, index, 0)
    if isinstance(index, np.ndarray):
        places = (rows.base + _known(node, index, rows))[..., None] + np.arange(rows.length)
        return [_scattered_to(node, lowering, source, places)]
    return [_scattered(node, lowering, source, index, rows)]


def _operation(node: Node) -> str:
    reduction = node.attributes.get("reduction", b"none")
    if reduction not in OPERATIONS:
        raise node.refuse(f"reduction={reduction!r}; none, add, mul, max and min exist.")
    return OPERATIONS[reduction]


def _operands(
    node: Node, lowering: Lowering, source: Tensor | np.ndarray, size: int
) -> tuple[Tensor, Tensor]:
    """Return data and updates, constants made into values of the events."""
    updates = node.inputs[2]
    if isinstance(updates, np.ndarray):
        updates = lowering.constant(node.aligned(updates, updates.ndim - node.leading))
    if not isinstance(updates, Tensor) or updates.size != size:
        raise node.refuse("the updates do not have the shape of what is replaced.")
    return source if isinstance(source, Tensor) else lowering.constant(source), updates


def _scattered_to(node: Node, lowering: Lowering, source: Tensor | np.ndarray, places: np.ndarray) -> Tensor:
    operation, places = _operation(node), places.ravel()
    data, updates = _operands(node, lowering, source, places.size)
    if operation != "Replace":
        return lowering.add(ScatterTo(data, updates, places, operation), data.shape, data.kind)
    numbers = np.arange(data.size)
    numbers[places] = data.size + np.arange(places.size)  # of several updates of one place the last stays
    return assemble(lowering, [data, updates], numbers.reshape(data.shape), data.kind)


def _scattered(
    node: Node, lowering: Lowering, source: Tensor | np.ndarray, index: Tensor, rows: Rows
) -> Tensor:
    data, updates = _operands(node, lowering, source, rows.base.size * rows.length)
    step = ScatterRows(data, index, updates, rows, _operation(node))
    return lowering.add(step, data.shape, data.kind)


# ---- other operators with indices ------------------------------------------------------------------------


@rule("OneHot")
def one_hot(node: Node, lowering: Lowering) -> list[Tensor]:
    index = node.tensor()
    depth = int(node.constant(1, "the depth").ravel()[0])
    values = node.constant(2, "the values")
    off, on = (float(n) for n in constant(node, values).ravel())
    if depth < 1:
        raise node.refuse(f"depth={depth}.")
    axis = node.axis(node.attributes.get("axis", -1), len(index.shape) + 1)
    shape = (*index.shape[:axis], depth, *index.shape[axis:])
    check_size(math.prod(shape))
    column = (*index.shape[:axis], 1, *index.shape[axis:])
    classes = np.arange(depth, dtype=np.float32).reshape(
        [depth if a == axis else 1 for a in range(len(shape))]
    )
    given: Expression = Load(index, broadcast(column, shape))
    if index.kind == "float":  # indices of any type are integers
        given = Call("engine::truncate({0})", (given,))
    wrapped = Call(
        "engine::where(engine::less({0}, {1}), {0} + {2}, {0})", (given, Number(0.0), Number(float(depth)))
    )
    chosen = Call("engine::equal({0}, {1})", (wrapped, Weight(classes, broadcast(classes.shape, shape))))
    expression = Call("engine::where({0}, {1}, {2})", (chosen, Number(on), Number(off)))
    return [lowering.add(Map(math.prod(shape), expression), shape, kind_of_constant(values))]


@rule("ReverseSequence")
def reverse_sequence(node: Node, lowering: Lowering) -> list[Tensor]:
    """The first n elements along an axis in reverse order: a gather along it."""
    source = node.tensor()
    time_axis, batch_axis = node.attributes.get("time_axis", 0), node.attributes.get("batch_axis", 1)
    if node.batched and batch_axis != 0:
        raise node.refuse(f"batch_axis={batch_axis} mixes events; the events are axis 0.")
    time = node.axis(time_axis, len(source.shape))
    lengths = node.inputs[1]
    batch = None if node.batched else node.axis(batch_axis, len(source.shape))
    if {time, batch} != {0, 1} and not (node.batched and time == 0):
        raise node.refuse(f"time_axis={time_axis} and batch_axis={batch_axis} are not the first two.")
    steps = source.shape[time]
    # Axes of the lengths beside those of the positions, with one element along time.
    beside = tuple(1 if a == time else n for a, n in enumerate(source.shape[: 1 if batch is None else 2]))
    positions = np.arange(steps).reshape([steps if a == time else 1 for a in range(len(beside))])
    shape = source.shape[: len(beside)]
    inner = math.prod(source.shape[len(beside) :])
    stride = inner * math.prod(shape[time + 1 :])
    base = numbered(source).reshape(*shape, inner)[..., 0]
    if isinstance(lengths, np.ndarray):
        if lengths.size != math.prod(beside) or lengths.min() < 0 or lengths.max() > steps:
            raise node.refuse(f"lengths {lengths.tolist()} of sequences of {steps} steps.")
        given = lengths.astype(np.int64).reshape(beside)
        moved = np.where(positions < given, given - 1 - positions, positions)
        from_start = np.take(base, [0], axis=time) + stride * moved
        indices = (from_start[..., None] + np.arange(inner)).reshape(source.shape)
        return [pick(lowering, source, indices)]
    if not isinstance(lengths, Tensor) or lengths.size != math.prod(beside):
        raise node.refuse("the lengths do not fit the sequences.")
    position = Weight(positions.astype(np.float32), broadcast(positions.shape, shape))
    length = Load(view(lengths, beside), broadcast(beside, shape))
    formula = "engine::where(engine::less({0}, {1}), ({1} - {0}) - {2}, {0})"
    index = lowering.add(Map(math.prod(shape), Call(formula, (position, length, Number(1.0)))), shape, "int")
    first = np.broadcast_to(np.take(base, [0], axis=time), shape)
    rows = Rows(first, numbered(index), ((steps, stride),), inner)
    return [_gathered(node, lowering, source, index, rows, source.shape)]
