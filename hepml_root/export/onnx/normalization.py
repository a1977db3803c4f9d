"""Export rules of normalisation: batch, layer, root-mean-square and vector norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.elementwise import scalar
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.reductions import mean_and_variance, reduce, reduced_axes
from hepml_root.export.onnx.rules import Call, op_rule


@op_rule("BatchNorm")
def batch_norm(
    graph: Graph, call: Call, x: Any, mean: Any, variance: Any, offset: Any = None, scale: Any = None
) -> Tensor:
    """One product and one sum per feature; behind a Dense layer both vanish into its weights."""
    value = graph.tensor(x, call.dtype)
    statistics = [
        None if v is None else graph.tensor(v, "float32").value for v in (mean, variance, offset, scale)
    ]
    if statistics[0] is None or statistics[1] is None:
        raise UnsupportedOperationError(
            f"{graph.where()}: batch normalisation by statistics of the batch itself cannot be exported; "
            "only the moving mean and variance of inference can."
        )
    centre, spread, shift, factor = (None if s is None else s.astype(np.float64) for s in statistics)
    slope = (1.0 if factor is None else factor) / np.sqrt(spread + call.operation.epsilon)
    constant = (0.0 if shift is None else shift) - centre * slope
    axis = call.operation.axis % value.rank
    layout = [-1 if a == axis else 1 for a in range(axis, value.rank)]
    product = graph.node("Mul", value, graph.constant(slope.reshape(layout), "float32"))
    return graph.node("Add", product, graph.constant(constant.reshape(layout), "float32"))


def _trailing(axes: Sequence[int], rank: int) -> bool:
    return list(axes) == list(range(rank - len(axes), rank))


@op_rule("LayerNorm")
def layer_norm(graph: Graph, call: Call, x: Any, gamma: Any = None, beta: Any = None) -> Tensor:
    value = graph.tensor(x, call.dtype)
    epsilon = float(call.operation.epsilon or 1e-7)
    axes = reduced_axes(graph, value, call.operation.axis)
    if getattr(call.operation, "rms_scaling", False):
        _, variance = mean_and_variance(graph, value, axes)
        scale = graph.node("Sqrt", graph.node("Add", variance, scalar(graph, epsilon)))
        return _times(graph, graph.node("Div", value, scale), gamma, axes)
    if _trailing(axes, value.rank):
        sizes = [value.shape[axis] for axis in axes]
        factor = (
            graph.constant(np.ones(sizes, np.float32)) if gamma is None else graph.tensor(gamma, "float32")
        )
        # The bias is optional in ONNX, but ONNX Runtime 1.31 crashes without it.
        shift = graph.constant(np.zeros(sizes, np.float32)) if beta is None else graph.tensor(beta, "float32")
        return graph.node(
            "LayerNormalization", value, graph.reshape(factor, sizes), graph.reshape(shift, sizes),
            shape=value.shape, axis=axes[0] - value.rank, epsilon=epsilon,
        )  # fmt: skip
    mean, variance = mean_and_variance(graph, value, axes)
    deviation = graph.node("Sqrt", graph.node("Add", variance, scalar(graph, epsilon)))
    result = _times(graph, graph.node("Div", graph.node("Sub", value, mean), deviation), gamma, axes)
    return result if beta is None else graph.node("Add", result, _spread(graph, beta, result, axes))


def _spread(graph: Graph, weights: Any, value: Tensor, axes: Sequence[int]) -> Tensor:
    """Weights of the normalised axes in a shape that broadcasts against ``value``."""
    tensor = graph.tensor(weights, "float32")
    return graph.reshape(tensor, [value.shape[a] if a in axes else 1 for a in range(value.rank)])


def _times(graph: Graph, value: Tensor, weights: Any, axes: Sequence[int]) -> Tensor:
    return value if weights is None else graph.node("Mul", value, _spread(graph, weights, value, axes))


@op_rule("RMSNorm")
def rms_norm(graph: Graph, call: Call, x: Any, scale: Any = None) -> Tensor:
    value = graph.tensor(x, call.dtype)
    axes = reduced_axes(graph, value, call.operation.axis)
    epsilon = float(call.operation.epsilon or 1e-7)
    square = reduce(graph, "ReduceMean", graph.node("Mul", value, value), axes, True)
    norm = graph.node("Sqrt", graph.node("Add", square, scalar(graph, epsilon)))
    return _times(graph, graph.node("Div", value, norm), scale, axes)


@op_rule("Normalize")
def unit_norm(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    axes = reduced_axes(graph, value, call.operation.axis)
    epsilon = float(call.operation.epsilon or 1e-7)
    if call.operation.order == 2:
        total = reduce(graph, "ReduceSum", graph.node("Mul", value, value), axes, True)
        norm = graph.node("Sqrt", graph.node("Max", total, scalar(graph, epsilon**2)))
    elif call.operation.order == 1:
        norm = graph.node("Max", reduce(graph, "ReduceL1", value, axes, True), scalar(graph, epsilon))
    else:
        raise UnsupportedOperationError(
            f"{graph.where()}: normalising by a norm of order {call.operation.order} cannot be exported."
        )
    return graph.node("Div", value, norm)
