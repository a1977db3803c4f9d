"""Export rules of `keras.ops` that rearrange, join, cut or look up values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.rules import Call, op_rule
from hepml_root.layers.neighbours import GatherConstituents


@op_rule("Reshape", "ExpandDims", "Squeeze", "Ravel")
def reshape(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.reshape(graph.tensor(x, call.dtype), call.shape)


@op_rule("Transpose")
def transpose(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x)
    axes = call.operation.axes
    return graph.transpose(value, list(range(value.rank))[::-1] if axes is None else list(axes))


@op_rule("Swapaxes")
def swap_axes(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x)
    axes = list(range(value.rank))
    first, second = call.operation.axis1, call.operation.axis2
    axes[first], axes[second] = axes[second], axes[first]
    return graph.transpose(value, axes)


@op_rule("Moveaxis")
def move_axis(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x)
    source, target = (
        [int(axis) % value.rank for axis in np.atleast_1d(axes)]
        for axes in (call.operation.source, call.operation.destination)
    )
    order = [axis for axis in range(value.rank) if axis not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        order.insert(place, axis)
    return graph.transpose(value, order)


def join(graph: Graph, values: Sequence[Tensor], axis: int) -> Tensor:
    """Concatenate along one axis; constants get one row per event where the others have that."""
    axis %= values[0].rank
    graph.refuse_events(values[0], axis, "joining")
    shape = [max(value.shape[a] for value in values) for a in range(values[0].rank)]
    shape[axis] = sum(value.shape[axis] for value in values)
    if any(value.value is None for value in values):
        values = _padded(graph, values, axis)
    if len(values) == 1:
        return values[0]
    return graph.node("Concat", *values, shape=shape, axis=axis)


def _padded(graph: Graph, values: Sequence[Tensor], axis: int) -> list[Tensor]:
    """Put each constant, which has one row for all events, beside its neighbour: a Pad that fills it in."""
    result: list[Tensor] = []
    front: list[Tensor] = []
    for value in values:
        if value.value is None:
            for constant in reversed(front):
                value = _beside(graph, value, constant, axis, True)
            front = []
            result.append(value)
        elif result:
            result[-1] = _beside(graph, result[-1], value, axis, False)
        else:
            front.append(value)
    return result


def _beside(graph: Graph, value: Tensor, constant: Tensor, axis: int, front: bool) -> Tensor:
    """``constant`` before or behind ``value``, for every event."""
    array = np.asarray(constant.value)
    uniform = array.size > 0 and bool(np.all(array == array.flat[0]))
    if not uniform and value.dtype == "bool":
        raise UnsupportedOperationError(
            f"{graph.where()}: truth values that differ along an axis cannot be joined with those of events."
        )
    count = array.shape[axis]
    widths = np.zeros((2, value.rank), np.int64)
    widths[0 if front else 1, axis] = count
    shape = [*value.shape[:axis], value.shape[axis] + count, *value.shape[axis + 1 :]]
    fill = graph.constant(np.asarray(array.flat[0] if uniform else 0, array.dtype), value.dtype)
    sizes = graph.constant(widths.reshape(-1), "int64")
    padded = graph.node("Pad", value, sizes, fill, shape=shape, mode="constant")
    if uniform:
        return padded
    rest = np.zeros([*array.shape[:axis], value.shape[axis], *array.shape[axis + 1 :]], array.dtype)
    shift = np.concatenate([array, rest] if front else [rest, array], axis=axis)
    return graph.node("Add", padded, graph.constant(shift, value.dtype))


@op_rule("Concatenate")
def concatenate(graph: Graph, call: Call, xs: Sequence[Any]) -> Tensor:
    return join(graph, [graph.tensor(x, call.dtype) for x in xs], call.operation.axis)


@op_rule("Append")
def append(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    if call.operation.axis is None:
        raise UnsupportedOperationError(f"{graph.where()}: name the axis for keras.ops.append.")
    return join(graph, [graph.tensor(x, call.dtype) for x in (x1, x2)], call.operation.axis)


@op_rule("Hstack")
def hstack(graph: Graph, call: Call, xs: Sequence[Any]) -> Tensor:
    values = [graph.tensor(x, call.dtype) for x in xs]
    return join(graph, values, 1 if values[0].rank > 1 else 0)


@op_rule("Stack")
def stack(graph: Graph, call: Call, x: Sequence[Any]) -> Tensor:
    values = [graph.tensor(value, call.dtype) for value in x]
    axis = call.operation.axis % (values[0].rank + 1)
    return join(graph, [_unsqueeze(graph, value, axis) for value in values], axis)


def _unsqueeze(graph: Graph, value: Tensor, axis: int) -> Tensor:
    return graph.reshape(value, [*value.shape[:axis], 1, *value.shape[axis:]])


def _drop_axis(graph: Graph, value: Tensor, axis: int) -> Tensor:
    return graph.reshape(value, [*value.shape[:axis], *value.shape[axis + 1 :]])


@op_rule("Unstack")
def unstack(graph: Graph, call: Call, x: Any) -> list[Tensor]:
    value = graph.tensor(x)
    axis = call.operation.axis % value.rank
    graph.refuse_events(value, axis, "taking apart")
    return [_drop_axis(graph, graph.slice(value, axis, i, i + 1), axis) for i in range(value.shape[axis])]


@op_rule("Split", "ArraySplit")
def split(graph: Graph, call: Call, x: Any) -> list[Tensor]:
    value = graph.tensor(x)
    axis = call.operation.axis % value.rank
    graph.refuse_events(value, axis, "splitting")
    sizes = graph.constant([shape[axis] for shape in call.shapes], "int64")
    return graph.nodes_with(
        "Split", value, sizes, shapes=call.shapes, dtypes=[value.dtype] * len(call.shapes), axis=axis
    )


@op_rule("GetItem")
def get_item(graph: Graph, call: Call, x: Any, key: Any) -> Tensor:
    value = graph.tensor(x)
    keys = list(key) if isinstance(key, tuple) else [key]
    named = sum(1 for k in keys if k is not None and k is not Ellipsis)
    if not any(k is Ellipsis for k in keys):
        keys.append(Ellipsis)
    position = next(i for i, k in enumerate(keys) if k is Ellipsis)
    keys[position : position + 1] = [slice(None)] * (value.rank - named)
    axis = 0
    dropped = False
    for k in keys:
        if k is None:
            continue
        if isinstance(k, slice):
            start, stop, step = k.indices(value.shape[axis])
            if (start, stop, step) != (0, value.shape[axis], 1):
                graph.refuse_events(value, axis, "slicing")
                value = graph.slice(value, axis, start, stop, step)
        elif isinstance(k, (int, np.integer)):
            graph.refuse_events(value, axis, "indexing")
            start = int(k) % value.shape[axis]
            value = graph.slice(value, axis, start, start + 1)
            dropped = True
        else:
            raise UnsupportedOperationError(
                f"{graph.where()}: indexing with {type(k).__name__} cannot be exported. Use integers, "
                "slices, None and "
                "…, or keras.ops.take for a list of positions."
            )
        axis += 1
    if dropped or any(k is None for k in keys):
        return graph.reshape(value, call.shape)
    return value


@op_rule("Slice")
def cut(graph: Graph, call: Call, inputs: Any, start_indices: Any) -> Tensor:
    value = graph.tensor(inputs)
    starts = graph.tensor(start_indices, "int64").value
    if starts is None:
        raise UnsupportedOperationError(
            f"{graph.where()}: keras.ops.slice needs start positions that are known."
        )
    for axis, start in enumerate(np.asarray(starts).tolist()):
        size = call.shape[axis]
        if size != value.shape[axis]:
            graph.refuse_events(value, axis, "slicing")
            value = graph.slice(value, axis, int(start), int(start) + size)
    return value


@op_rule("Pad")
def pad(graph: Graph, call: Call, x: Any, constant_values: Any = None) -> Tensor:
    value = graph.tensor(x)
    mode = call.operation.mode
    if mode not in ("constant", "edge", "reflect", "symmetric", "wrap"):
        raise UnsupportedOperationError(f"{graph.where()}: padding of mode '{mode}' cannot be exported.")
    widths = np.broadcast_to(np.asarray(call.operation.pad_width, dtype=np.int64), (value.rank, 2))
    for axis, (before, after) in enumerate(widths):
        if before or after:
            graph.refuse_events(value, axis, "padding")
    if mode in ("symmetric", "wrap"):
        for axis, (before, after) in enumerate(widths):
            if before or after:
                positions = np.pad(np.arange(value.shape[axis]), (before, after), mode)
                shape = [*value.shape[:axis], len(positions), *value.shape[axis + 1 :]]
                index = graph.constant(positions, "int64")
                value = graph.node("Gather", value, index, shape=shape, axis=axis)
        return value
    sizes = graph.constant(widths.T.reshape(-1), "int64")
    shape = [
        size + before + after for size, (before, after) in zip(value.shape, widths.tolist(), strict=True)
    ]
    fill = (
        None
        if mode != "constant"
        else graph.tensor(0 if constant_values is None else constant_values, value.dtype)
    )
    return graph.node("Pad", value, sizes, fill, shape=shape, mode=mode)


@op_rule("Take")
def take(graph: Graph, call: Call, x: Any, indices: Any) -> Tensor:
    value, where = graph.tensor(x), graph.tensor(indices)
    axis = call.operation.axis
    if axis is None:
        raise UnsupportedOperationError(f"{graph.where()}: name the axis for keras.ops.take.")
    axis %= value.rank
    graph.refuse_events(value, axis, "gathering")
    where = graph.cast(where, "int32") if where.dtype not in ("int32", "int64") else where
    shape = [*value.shape[:axis], *where.shape, *value.shape[axis + 1 :]]
    return graph.node("Gather", value, where, shape=shape, dtype=value.dtype, axis=axis)


@op_rule("TakeAlongAxis")
def take_along_axis(graph: Graph, call: Call, x: Any, indices: Any) -> Tensor:
    """Indices for every element are GatherElements; indices for whole rows, as of neighbours, GatherND."""
    value, where = graph.tensor(x), graph.tensor(indices)
    if call.operation.axis is None:
        raise UnsupportedOperationError(f"{graph.where()}: name the axis for keras.ops.take_along_axis.")
    axis = call.operation.axis % value.rank
    graph.refuse_events(value, axis, "gathering")
    shape = list(np.broadcast_shapes(
        [1 if a == axis else s for a, s in enumerate(value.shape)],
        [1 if a == axis else s for a, s in enumerate(where.shape)],
    ))  # fmt: skip
    shape[axis] = where.shape[axis]
    rows = all(size == 1 for size in where.shape[axis + 1 :])
    if rows and axis > 0 and value.value is None and any(size != 1 for size in value.shape[axis + 1 :]):
        found = _rows(graph, value, where, axis)
        if found is not None:
            return graph.reshape(found, shape)
    value = _spread(graph, value, [s if a != axis else value.shape[axis] for a, s in enumerate(shape)])
    where = _spread(graph, where, shape)
    where = graph.cast(where, "int64")
    return graph.node("GatherElements", value, where, shape=shape, dtype=value.dtype, axis=axis)


def _rows(graph: Graph, value: Tensor, where: Tensor, axis: int) -> Tensor | None:
    """One index per row: value (events, 1..., n, ...) by where (events, m..., k, 1...)."""
    same = 0
    while same < axis and value.shape[same] == where.shape[same]:
        same += 1
    if same == 0 or any(size != 1 for size in value.shape[same:axis]):
        return None
    rows = graph.reshape(value, [*value.shape[:same], *value.shape[axis:]])
    return gather_rows(graph, rows, graph.reshape(where, where.shape[: axis + 1]), same)


def gather_rows(graph: Graph, value: Tensor, where: Tensor, batch: int) -> Tensor:
    """value (b..., n, ...) at the positions where (b..., k...): (b..., k..., ...); ``batch`` axes b."""
    index = graph.reshape(graph.cast(where, "int64"), [*where.shape, 1])
    shape = [*where.shape, *value.shape[batch + 1 :]]
    return graph.node("GatherND", value, index, shape=shape, dtype=value.dtype, batch_dims=batch)


@op_rule(GatherConstituents)
def gather_constituents(graph: Graph, _call: Call, values: Any, index: Any) -> Tensor:
    return gather_rows(graph, graph.tensor(values), graph.tensor(index), 1)


def _spread(graph: Graph, value: Tensor, shape: Sequence[int]) -> Tensor:
    """``value`` repeated along axes of length one."""
    if list(value.shape) == list(shape):
        return value
    if any(graph.is_free(new) and old == 1 for old, new in zip(value.shape, shape, strict=True)):
        raise UnsupportedOperationError(
            f"{graph.where()}: values that are the same for all events cannot be gathered with an index for "
            "each event; use keras.ops.take."
        )
    target = [1 if graph.is_free(size) else size for size in shape]
    return graph.node("Expand", value, graph.constant(target, "int64"), shape=shape)


@op_rule("OneHot")
def one_hot(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x)
    axis = call.operation.axis % (value.rank + 1)
    length = int(call.operation.num_classes)
    classes = np.arange(length, dtype=np.int32).reshape(
        [length if a == axis else 1 for a in range(value.rank + 1)]
    )
    column = _unsqueeze(graph, graph.cast(value, "int32"), axis)
    return graph.cast(graph.node("Equal", column, graph.constant(classes, "int32"), dtype="bool"), call.dtype)


@op_rule("Tile")
def tile(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x)
    repeats = np.atleast_1d(call.operation.repeats).astype(np.int64)
    if len(repeats) < value.rank:
        repeats = np.concatenate([np.ones(value.rank - len(repeats), np.int64), repeats])
    if len(repeats) > value.rank:
        value = graph.reshape(value, [1] * (len(repeats) - value.rank) + list(value.shape))
    for axis, count in enumerate(repeats):
        if count != 1:
            graph.refuse_events(value, axis, "tiling")
    shape = [size * int(count) for size, count in zip(value.shape, repeats, strict=True)]
    return graph.node("Tile", value, graph.constant(repeats, "int64"), shape=shape)


@op_rule("Repeat")
def repeat(graph: Graph, call: Call, x: Any) -> Tensor:
    value, axis, repeats = graph.tensor(x), call.operation.axis, call.operation.repeats
    if axis is None or np.ndim(repeats) != 0:
        raise UnsupportedOperationError(
            f"{graph.where()}: keras.ops.repeat can be exported with one number of repeats along a named "
            "axis."
        )
    axis %= value.rank
    if int(repeats) == 1:
        return value
    graph.refuse_events(value, axis, "repeating")
    positions = np.repeat(np.arange(value.shape[axis]), int(repeats))
    shape = [*value.shape[:axis], len(positions), *value.shape[axis + 1 :]]
    return graph.node("Gather", value, graph.constant(positions, "int64"), shape=shape, axis=axis)


@op_rule("BroadcastTo")
def broadcast_to(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x)
    padded = graph.reshape(value, [1] * (len(call.shape) - value.rank) + list(value.shape))
    if padded.shape == call.shape:
        return padded
    # The events stay as they are: a factor of one there, whatever their number.
    target = [1 if graph.is_free(size) else size for size in call.shape]
    shape = [s if graph.is_free(w) else w for s, w in zip(padded.shape, call.shape, strict=True)]
    return graph.node("Expand", padded, graph.constant(target, "int64"), shape=shape)


@op_rule("Flip", "Fliplr", "Flipud")
def flip(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x)
    axis = {"Fliplr": 1, "Flipud": 0}.get(
        type(call.operation).__name__, getattr(call.operation, "axis", None)
    )
    axes = range(value.rank) if axis is None else np.atleast_1d(axis).tolist()
    for a in axes:
        value = flipped(graph, value, int(a) % value.rank)
    return value


def flipped(graph: Graph, value: Tensor, axis: int) -> Tensor:
    """Reverse the order along one axis."""
    graph.refuse_events(value, axis, "reversing")
    return graph.slice(value, axis, value.shape[axis] - 1, -1, -1)


@op_rule("Roll")
def roll(graph: Graph, call: Call, x: Any) -> Tensor:
    value, axis = graph.tensor(x), call.operation.axis
    if axis is None:
        raise UnsupportedOperationError(f"{graph.where()}: name the axis for keras.ops.roll.")
    pairs = zip(np.atleast_1d(axis).tolist(), np.atleast_1d(call.operation.shift).tolist(), strict=True)
    for a, shift in pairs:
        a %= value.rank
        graph.refuse_events(value, a, "rolling")
        length = value.shape[a]
        cut_at = length - int(shift) % length
        if cut_at != length:
            value = join(graph, [graph.slice(value, a, cut_at, length), graph.slice(value, a, 0, cut_at)], a)
    return value


@op_rule("Diff")
def diff(graph: Graph, call: Call, a: Any) -> Tensor:
    value = graph.tensor(a)
    axis = call.operation.axis % value.rank
    graph.refuse_events(value, axis, "differences")
    for _ in range(call.operation.n):
        length = value.shape[axis]
        value = graph.node(
            "Sub", graph.slice(value, axis, 1, length), graph.slice(value, axis, 0, length - 1)
        )
    return value


@op_rule("ZerosLike", "OnesLike", "EmptyLike")
def constant_like(graph: Graph, call: Call, x: Any) -> Tensor:  # noqa: ARG001 - only the shape of x counts
    return _filled(graph, call, 1 if type(call.operation).__name__ == "OnesLike" else 0)


@op_rule("FullLike")
def full_like(graph: Graph, call: Call, x: Any, fill_value: Any) -> Tensor:  # noqa: ARG001
    value = graph.tensor(fill_value, call.dtype).value
    if value is None or value.size != 1:
        raise UnsupportedOperationError(f"{graph.where()}: keras.ops.full_like needs one number to fill in.")
    return _filled(graph, call, value)


def _filled(graph: Graph, call: Call, number: Any) -> Tensor:
    """A constant of one row: it is the same for all events, and broadcasts against them."""
    shape = [1 if graph.is_free(size) else size for size in call.shape]
    return graph.constant(np.full(shape, number, dtype=call.dtype), call.dtype)


@op_rule("Tril", "Triu")
def triangle(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x)
    pattern = np.tril if type(call.operation).__name__ == "Tril" else np.triu
    inside = graph.constant(pattern(np.ones(value.shape[-2:], bool), call.operation.k))
    zero = graph.constant(np.zeros((), value.dtype), value.dtype)
    return graph.node("Where", inside, value, zero, shape=value.shape, dtype=value.dtype)
