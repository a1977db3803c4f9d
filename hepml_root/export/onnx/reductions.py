"""Export rules of `keras.ops` that reduce, sort, search or accumulate along axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.elementwise import scalar, truth
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.rules import Call, op_rule

_REDUCTIONS = {
    "Sum": "ReduceSum", "Mean": "ReduceMean", "Prod": "ReduceProd", "Max": "ReduceMax", "Min": "ReduceMin",
    "Amax": "ReduceMax", "Amin": "ReduceMin", "Logsumexp": "ReduceLogSumExp",
}  # fmt: skip


def reduced_axes(graph: Graph, value: Tensor, axis: Any) -> list[int]:
    """The axes of a reduction as a sorted list; reducing over the events is refused.

    Raises
    ------
    UnsupportedOperationError
        The reduction includes the axis of the events, so that the score of one event would depend on others.
    """
    if axis is None:
        axes = list(range(value.rank))
    else:
        axes = sorted(int(a) % value.rank for a in (axis if isinstance(axis, Sequence) else [axis]))
    for a in axes:
        graph.refuse_events(value, a, "a reduction")
    return axes


def reduce(graph: Graph, op: str, value: Tensor, axes: Sequence[int], keepdims: bool) -> Tensor:
    """Add one of ONNX's Reduce operators."""
    if not axes:
        return value
    if keepdims:
        shape = [1 if index in axes else size for index, size in enumerate(value.shape)]
    else:
        shape = [size for index, size in enumerate(value.shape) if index not in axes]
    return graph.node(op, value, graph.constant(list(axes), "int64"), shape=shape, keepdims=int(keepdims))


@op_rule(*_REDUCTIONS)
def reduction(graph: Graph, call: Call, x: Any) -> Tensor:
    operation = call.operation
    value = graph.tensor(x, call.dtype)
    result = reduce(
        graph,
        _REDUCTIONS[type(operation).__name__],
        value,
        reduced_axes(graph, value, operation.axis),
        operation.keepdims,
    )
    initial = getattr(operation, "initial", None)
    if initial is None:
        return result
    larger = "Max" if type(operation).__name__ == "Max" else "Min"
    return graph.node(larger, result, graph.tensor(initial, call.dtype))


@op_rule("Any", "All")
def any_or_all(graph: Graph, call: Call, x: Any) -> Tensor:
    flags = graph.cast(truth(graph, x), "float32")
    op = "ReduceMax" if type(call.operation).__name__ == "Any" else "ReduceMin"
    axes = reduced_axes(graph, flags, call.operation.axis)
    return graph.cast(reduce(graph, op, flags, axes, call.operation.keepdims), "bool")


@op_rule("CountNonzero")
def count_nonzero(graph: Graph, call: Call, x: Any) -> Tensor:
    flags = graph.cast(truth(graph, x), "float32")  # counts in float32 are exact up to 16 million
    count = reduce(graph, "ReduceSum", flags, reduced_axes(graph, flags, call.operation.axis), False)
    return graph.cast(count, call.dtype)


def mean_and_variance(graph: Graph, value: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mean and variance along axes that are kept with length 1."""
    mean = reduce(graph, "ReduceMean", value, axes, True)
    distance = graph.node("Sub", value, mean)
    return mean, reduce(graph, "ReduceMean", graph.node("Mul", distance, distance), axes, True)


def _without(shape: Sequence[int], axes: Sequence[int]) -> list[int]:
    return [size for index, size in enumerate(shape) if index not in axes]


@op_rule("Var", "Std")
def variance(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    axes = reduced_axes(graph, value, call.operation.axis)
    _, result = mean_and_variance(graph, value, axes)
    if type(call.operation).__name__ == "Std":
        result = graph.node("Sqrt", result)
    return result if call.operation.keepdims else graph.reshape(result, _without(value.shape, axes))


@op_rule("Moments")
def moments(graph: Graph, call: Call, x: Any) -> list[Tensor]:
    value = graph.tensor(x, call.dtype)
    axes = reduced_axes(graph, value, call.operation.axes)
    results = mean_and_variance(graph, value, axes)
    if call.operation.keepdims:
        return list(results)
    return [graph.reshape(result, _without(value.shape, axes)) for result in results]


@op_rule("Average")
def average(graph: Graph, call: Call, x: Any, weights: Any = None) -> Tensor:
    value = graph.tensor(x, call.dtype)
    axes = reduced_axes(graph, value, call.operation.axis)
    if weights is None:
        return reduce(graph, "ReduceMean", value, axes, False)
    weight = graph.tensor(weights, call.dtype)
    if weight.rank == 1 and value.rank > 1 and len(axes) == 1:
        weight = graph.reshape(weight, [-1 if a == axes[0] else 1 for a in range(value.rank)])
        weight = graph.constant(weight.value) if weight.value is not None else weight
    total = reduce(graph, "ReduceSum", graph.node("Mul", value, weight), axes, False)
    return graph.node("Div", total, reduce(graph, "ReduceSum", weight, axes, False))


@op_rule("Ptp")
def peak_to_peak(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    axes = reduced_axes(graph, value, call.operation.axis)
    ends = [reduce(graph, op, value, axes, call.operation.keepdims) for op in ("ReduceMax", "ReduceMin")]
    return graph.node("Sub", *ends)


@op_rule("Norm")
def norm(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    order, axis = call.operation.ord, call.operation.axis
    axes = reduced_axes(graph, value, axis)
    several = len(axes) > 1
    if order in (None, "fro") or (order == 2 and not several):
        return reduce(graph, "ReduceL2", value, axes, call.operation.keepdims)
    if several:
        raise UnsupportedOperationError(
            f"{graph.where()}: a matrix norm of order {order} cannot be exported."
        )
    if order == 1:
        return reduce(graph, "ReduceL1", value, axes, call.operation.keepdims)
    magnitude = graph.node("Abs", value)
    if order in (np.inf, -np.inf):
        op = "ReduceMax" if order > 0 else "ReduceMin"
        return reduce(graph, op, magnitude, axes, call.operation.keepdims)
    powers = graph.node("Pow", magnitude, scalar(graph, float(order)))
    total = reduce(graph, "ReduceSum", powers, axes, call.operation.keepdims)
    return graph.node("Pow", total, scalar(graph, 1.0 / float(order)))


@op_rule("Argmax", "Argmin")
def position_of_extremum(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x)
    op = "ArgMax" if type(call.operation).__name__ == "Argmax" else "ArgMin"
    axes = reduced_axes(graph, value, call.operation.axis)
    if len(axes) != 1:
        raise UnsupportedOperationError(f"{graph.where()}: name one axis for keras.ops.{op.lower()}.")
    keep = bool(call.operation.keepdims)
    shape = [1 if index == axes[0] else size for index, size in enumerate(value.shape)]
    shape = shape if keep else _without(value.shape, axes)
    position = graph.node(op, value, shape=shape, dtype="int64", axis=axes[0], keepdims=int(keep))
    return graph.cast(position, call.dtype)


@op_rule("Cumsum")
def cumulative_sum(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    axes = reduced_axes(graph, value, call.operation.axis)
    if len(axes) != 1:
        raise UnsupportedOperationError(f"{graph.where()}: name one axis for keras.ops.cumsum.")
    return graph.node("CumSum", value, graph.constant(np.asarray(axes[0]), "int64"), shape=value.shape)


def _top(graph: Graph, value: Tensor, count: int, axis: int, largest: bool) -> list[Tensor]:
    shape = [count if index == axis else size for index, size in enumerate(value.shape)]
    return graph.nodes_with(
        "TopK", value, graph.constant([count], "int64"),
        shapes=[shape, shape], dtypes=[value.dtype, "int64"], axis=axis, largest=int(largest), sorted=1,
    )  # fmt: skip


@op_rule("TopK")
def top_k(graph: Graph, call: Call, x: Any) -> list[Tensor]:
    value = graph.tensor(x)
    (axis,) = reduced_axes(graph, value, -1)
    return _top(graph, value, int(call.operation.k), axis, True)


@op_rule("Sort", "Argsort")
def sort(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x)
    (axis,) = reduced_axes(graph, value, call.operation.axis)
    values, positions = _top(graph, value, value.shape[axis], axis, False)
    return values if type(call.operation).__name__ == "Sort" else positions


def _count_below(graph: Graph, values: Tensor, edges: Tensor, or_equal: bool) -> Tensor:
    if edges.rank != 1:
        raise UnsupportedOperationError(f"{graph.where()}: only one row of bin edges can be searched.")
    column = graph.node(
        "Unsqueeze", values, graph.constant([values.rank], "int64"), shape=[*values.shape, 1]
    )  # fmt: skip
    below = graph.node("GreaterOrEqual" if or_equal else "Greater", column, edges, dtype="bool")
    count = reduce(graph, "ReduceSum", graph.cast(below, "float32"), [values.rank], False)
    return graph.cast(count, "int32")


@op_rule("Digitize")
def digitize(graph: Graph, _call: Call, x: Any, bins: Any) -> Tensor:
    return _count_below(graph, graph.tensor(x, "float32"), graph.tensor(bins, "float32"), True)


@op_rule("SearchSorted")
def search_sorted(graph: Graph, call: Call, sorted_sequence: Any, values: Any) -> Tensor:
    edges, wanted = graph.tensor(sorted_sequence, "float32"), graph.tensor(values, "float32")
    return _count_below(graph, wanted, edges, call.operation.side == "right")
