"""Export rules of `keras.ops` that are others put together.

Each is a function of the operation and its tensors, written in `keras.ops`, and traced into the graph: what
has a rule there needs none here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.elementwise import truth
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.rules import Call, op_rule

_LN2 = math.log(2.0)


def composed(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of (operation, tensors...) as the rule of an operation."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        @op_rule(name)
        def rule(_graph: Graph, call: Call, *args: Any, **kwargs: Any) -> Any:
            return call.expand(lambda a, k: function(call.operation, *a, **k), args, kwargs)

        return function

    return register


# -- arithmetic -------------------------------------------------------------------------------------------


@composed("Logaddexp2")
def logaddexp2(_operation: Any, x1: Any, x2: Any) -> Any:
    return ops.logaddexp(x1 * _LN2, x2 * _LN2) / _LN2


@composed("Ldexp")
def ldexp(_operation: Any, x1: Any, x2: Any) -> Any:
    return x1 * ops.power(2.0, ops.cast(x2, "float32"))


@composed("Sinc")
def sinc(_operation: Any, x: Any) -> Any:
    angle = math.pi * ops.where(ops.equal(x, 0.0), 1e-20, x)
    return ops.sin(angle) / angle


@composed("Fmax")
def fmax(_operation: Any, x1: Any, x2: Any) -> Any:
    return ops.where(ops.isnan(x1), x2, ops.where(ops.isnan(x2), x1, ops.maximum(x1, x2)))


@composed("Fmin")
def fmin(_operation: Any, x1: Any, x2: Any) -> Any:
    return ops.where(ops.isnan(x1), x2, ops.where(ops.isnan(x2), x1, ops.minimum(x1, x2)))


@composed("Conj")
def conjugate(_operation: Any, x: Any) -> Any:
    return x


@composed("Select")
def select(_operation: Any, condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    result = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = ops.where(condition, choice, result)
    return result


@composed("Cross")
def cross(operation: Any, x1: Any, x2: Any) -> Any:
    a, b = ops.moveaxis(x1, operation.axisa, -1), ops.moveaxis(x2, operation.axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise UnsupportedOperationError("keras.ops.cross can be exported for vectors of three components.")
    (ax, ay, az), (bx, by, bz) = ([v[..., i] for i in range(3)] for v in (a, b))
    product = ops.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
    return ops.moveaxis(product, -1, operation.axisc)


@composed("CDist")
def distances(_operation: Any, x: Any, y: Any) -> Any:
    return ops.sqrt(ops.sum(ops.square(ops.expand_dims(x, -2) - ops.expand_dims(y, -3)), axis=-1))


@composed("Trapezoid")
def trapezoid(operation: Any, y: Any, x: Any = None) -> Any:
    if x is not None:
        raise UnsupportedOperationError("keras.ops.trapezoid can be exported with dx, not with x.")
    values = ops.moveaxis(y, operation.axis, -1)
    return ops.sum(values[..., 1:] + values[..., :-1], axis=-1) * (0.5 * operation.dx)


# -- without NaN --------------------------------------------------------------------------------------------


def _filled(x: Any, number: float) -> Any:
    return ops.where(ops.isnan(x), number, x)


def _options(operation: Any) -> dict[str, Any]:
    return {"axis": operation.axis, "keepdims": operation.keepdims}


@composed("Nansum")
def nansum(operation: Any, x: Any) -> Any:
    return ops.sum(_filled(x, 0.0), **_options(operation))


@composed("Nanprod")
def nanprod(operation: Any, x: Any) -> Any:
    return ops.prod(_filled(x, 1.0), **_options(operation))


@composed("Nanmean")
def nanmean(operation: Any, x: Any) -> Any:
    count = ops.sum(ops.where(ops.isnan(x), 0.0, 1.0), **_options(operation))
    return ops.sum(_filled(x, 0.0), **_options(operation)) / count


@composed("Nanmax")
def nanmax(operation: Any, x: Any) -> Any:
    none = ops.all(ops.isnan(x), **_options(operation))
    return ops.where(none, math.nan, ops.max(_filled(x, -math.inf), **_options(operation)))


@composed("Nanmin")
def nanmin(operation: Any, x: Any) -> Any:
    none = ops.all(ops.isnan(x), **_options(operation))
    return ops.where(none, math.nan, ops.min(_filled(x, math.inf), **_options(operation)))


# -- arrangement --------------------------------------------------------------------------------------------


@composed("Rearrange")
def rearrange(_operation: Any, tensor: Any, pattern: str, **lengths: int) -> Any:
    before, after = (re.findall(r"\w+|\(.*?\)", side) for side in pattern.split("->"))
    sizes = dict(lengths)
    for group, size in zip(before, tensor.shape, strict=True):
        names = re.findall(r"\w+", group)
        open_ones = [name for name in names if name not in sizes]
        if len(open_ones) == 1:
            sizes[open_ones[0]] = size // math.prod(sizes[name] for name in names if name in sizes)
    source, target = (re.findall(r"\w+", " ".join(side)) for side in (before, after))
    apart = ops.reshape(tensor, [sizes[name] for name in source])
    turned = ops.transpose(apart, [source.index(name) for name in target])
    joined = [math.prod(sizes[name] for name in re.findall(r"\w+", group)) for group in after]
    return ops.reshape(turned, joined)


@composed("Rot90")
def rot90(operation: Any, array: Any) -> Any:
    first, second = (axis % len(array.shape) for axis in operation.axes)
    turns = operation.k % 4
    if turns == 2:
        return ops.flip(array, axis=(first, second))
    if turns == 0:
        return array
    if turns == 1:
        return ops.swapaxes(ops.flip(array, axis=second), first, second)
    return ops.flip(ops.swapaxes(array, first, second), axis=second)


@composed("Diagonal")
def diagonal(operation: Any, x: Any) -> Any:
    values = ops.moveaxis(x, (operation.axis1, operation.axis2), (-2, -1))
    rows, columns = values.shape[-2:]
    row = np.arange(rows)
    column = row + operation.offset
    inside = (column >= 0) & (column < columns)
    flat = ops.reshape(values, (*values.shape[:-2], rows * columns))
    return ops.take(flat, row[inside] * columns + column[inside], axis=-1)


@composed("Trace")
def trace(operation: Any, x: Any) -> Any:
    return ops.sum(ops.diagonal(x, operation.offset, operation.axis1, operation.axis2), axis=-1)


@composed("Dstack")
def depth_stack(_operation: Any, xs: Any) -> Any:
    return ops.concatenate([x if len(x.shape) > 2 else ops.expand_dims(x, 2) for x in xs], axis=2)


@composed("Hsplit")
def horizontal_split(operation: Any, x: Any) -> Any:
    return ops.split(x, operation.indices_or_sections, axis=1)


@composed("Dsplit")
def depth_split(operation: Any, x: Any) -> Any:
    return ops.split(x, operation.indices_or_sections, axis=2)


@composed("ExtractSequences")
def windows(operation: Any, x: Any) -> Any:
    length, step = operation.sequence_length, operation.sequence_stride
    count = (x.shape[-1] - length) // step + 1
    return ops.take(x, np.arange(count)[:, None] * step + np.arange(length), axis=-1)


# -- order and counts ---------------------------------------------------------------------------------------


@composed("Median")
def median(operation: Any, x: Any) -> Any:
    axes = [axis % len(x.shape) for axis in operation.axis or range(len(x.shape))]
    if len(axes) != 1:
        raise UnsupportedOperationError("keras.ops.median can be exported along one named axis.")
    ordered = ops.moveaxis(ops.sort(x, axis=axes[0]), axes[0], -1)
    size = ordered.shape[-1]
    middle = (ordered[..., (size - 1) // 2] + ordered[..., size // 2]) * 0.5
    return ops.expand_dims(middle, axes[0]) if operation.keepdims else middle


@composed("MultiHot")
def multi_hot(operation: Any, inputs: Any) -> Any:
    encoded = ops.one_hot(inputs, operation.num_classes, axis=operation.axis, dtype=operation.dtype)
    return ops.max(encoded, axis=1)


@composed("IsIn")
def is_in(operation: Any, x1: Any, x2: Any) -> Any:
    found = ops.any(ops.equal(ops.expand_dims(x1, -1), ops.reshape(x2, (-1,))), axis=-1)
    return ops.logical_not(found) if operation.invert else found


# -- what needs a node of its own ---------------------------------------------------------------------------

_BITS = {"BitwiseAnd": "And", "BitwiseOr": "Or", "BitwiseXor": "Xor"}


@op_rule(*_BITS)
def bitwise(graph: Graph, call: Call, x: Any, y: Any) -> Tensor:
    name = type(call.operation).__name__
    if call.dtype == "bool":
        return graph.node(_BITS[name], truth(graph, x), truth(graph, y))
    return graph.node(name, graph.tensor(x, call.dtype), graph.tensor(y, call.dtype))


@op_rule("BitwiseNot", "BitwiseInvert")
def bitwise_not(graph: Graph, call: Call, x: Any) -> Tensor:
    if call.dtype == "bool":
        return graph.node("Not", truth(graph, x))
    return graph.node("BitwiseNot", graph.tensor(x, call.dtype))


@op_rule("Det")
def determinant(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("Det", graph.tensor(x, "float32"), shape=call.shape)


@op_rule("SliceUpdate")
def slice_update(graph: Graph, call: Call, inputs: Any, start_indices: Any, updates: Any) -> Tensor:
    """The new values padded to the size of the old ones, and chosen where they are."""
    value, part = graph.tensor(inputs, call.dtype), graph.tensor(updates, call.dtype)
    starts = graph.tensor(start_indices, "int64").value
    if starts is None or part.value is not None:
        raise UnsupportedOperationError(
            f"{graph.where()}: keras.ops.slice_update needs start positions that are known, and values that "
            "depend on the events."
        )
    first = [int(s) for s in np.asarray(starts).reshape(-1)]
    last = [size - s - n for size, s, n in zip(value.shape, first, part.shape, strict=True)]
    if first[0] or last[0]:
        graph.refuse_events(value, 0, "updating a part")
    zero = graph.constant(np.zeros((), call.dtype), call.dtype)
    padded = graph.node(
        "Pad", part, graph.constant([*first, *last], "int64"), zero, shape=value.shape, mode="constant"
    )
    inside = np.zeros([1, *value.shape[1:]], bool)
    inside[(slice(None), *(slice(s, s + n) for s, n in zip(first[1:], part.shape[1:], strict=True)))] = True
    return graph.node("Where", graph.constant(inside), padded, value, shape=value.shape, dtype=call.dtype)
