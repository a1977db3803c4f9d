"""Export rules of the activation functions of `keras.ops` and `keras.activations`."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.elementwise import scalar
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.rules import Call, op_rule

_UNARY = {
    "Relu": "Relu", "Sigmoid": "Sigmoid", "Softplus": "Softplus", "Softsign": "Softsign",
}  # fmt: skip


@op_rule(*_UNARY)
def unary(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node(_UNARY[type(call.operation).__name__], graph.tensor(x, call.dtype))


class Mish(keras.Operation):
    """x·tanh(softplus(x)) for symbolic tensors, which Keras's own function does not take."""

    def call(self, x: Any) -> Any:
        return x * keras.ops.tanh(keras.ops.softplus(x))

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


# Activation functions that Keras writes with its private backend, and the same for symbolic tensors.
_TRACEABLE = {
    keras.activations.mish: Mish(),
    keras.activations.hard_silu: keras.ops.hard_silu,
    keras.activations.sparsemax: keras.ops.sparsemax,
}


def traceable(function: Any) -> Any:
    """Return an activation that takes symbolic tensors."""
    return _TRACEABLE.get(function, function) if inspect.isfunction(function) else function


@op_rule(Mish)
def mish(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("Mish", graph.tensor(x, call.dtype))


def _clip(graph: Graph, value: Tensor, low: float, high: float) -> Tensor:
    return graph.node("Clip", value, scalar(graph, low), scalar(graph, high))


@op_rule("ReLU")
def relu(graph: Graph, call: Call, x: Any) -> Tensor:
    """keras.activations.relu with a slope below zero, a largest value, or a threshold."""
    value = graph.tensor(x, call.dtype)
    slope, largest, threshold = (
        float(call.operation.negative_slope), call.operation.max_value, float(call.operation.threshold),
    )  # fmt: skip
    if threshold == 0.0 and largest is None:
        return graph.node("LeakyRelu", value, alpha=slope) if slope else graph.node("Relu", value)
    if threshold:
        above = graph.node("Greater", value, scalar(graph, threshold), dtype="bool")
        positive = graph.node("Where", above, value, scalar(graph, 0.0), dtype="float32")
    else:
        positive = graph.node("Relu", value)
    if largest is not None:
        positive = _clip(graph, positive, 0.0, float(largest))
    if not slope:
        return positive
    distance = graph.node("Relu", graph.node("Sub", scalar(graph, threshold), value))
    return graph.node("Sub", positive, graph.node("Mul", distance, scalar(graph, slope)))


@op_rule("Relu6")
def relu6(graph: Graph, call: Call, x: Any) -> Tensor:
    return _clip(graph, graph.tensor(x, call.dtype), 0.0, 6.0)


@op_rule("LeakyRelu")
def leaky_relu(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("LeakyRelu", graph.tensor(x, call.dtype), alpha=float(call.operation.negative_slope))


@op_rule("Elu")
def elu(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("Elu", graph.tensor(x, call.dtype), alpha=float(call.operation.alpha))


@op_rule("Selu")
def selu(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("Selu", graph.tensor(x, call.dtype))


@op_rule("Celu")
def celu(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("Celu", graph.tensor(x, call.dtype), alpha=float(call.operation.alpha))


@op_rule("Gelu")
def gelu(graph: Graph, call: Call, x: Any) -> Tensor:
    form = "tanh" if call.operation.approximate else "none"
    return graph.node("Gelu", graph.tensor(x, call.dtype), approximate=form)


@op_rule("Silu")
def silu(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    return graph.node("Mul", value, graph.node("Sigmoid", value))


@op_rule("HardSigmoid")
def hard_sigmoid(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("HardSigmoid", graph.tensor(x, call.dtype), alpha=1.0 / 6.0, beta=0.5)


@op_rule("HardSilu")
def hard_silu(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("HardSwish", graph.tensor(x, call.dtype))


@op_rule("HardTanh")
def hard_tanh(graph: Graph, call: Call, x: Any) -> Tensor:
    return _clip(graph, graph.tensor(x, call.dtype), -1.0, 1.0)


@op_rule("LogSigmoid")
def log_sigmoid(graph: Graph, call: Call, x: Any) -> Tensor:
    negative = graph.node("Neg", graph.tensor(x, call.dtype))
    return graph.node("Neg", graph.node("Softplus", negative))


@op_rule("SparseSigmoid")
def sparse_sigmoid(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("HardSigmoid", graph.tensor(x, call.dtype), alpha=0.5, beta=0.5)


@op_rule("SparsePlus")
def sparse_plus(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    inside = graph.node("Add", _clip(graph, value, -1.0, 1.0), scalar(graph, 1.0))
    bend = graph.node("Mul", graph.node("Mul", inside, inside), scalar(graph, 0.25))
    beyond = graph.node("Relu", graph.node("Sub", value, scalar(graph, 1.0)))
    return graph.node("Add", bend, beyond)


@op_rule("Squareplus")
def squareplus(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    inner = graph.node("Add", graph.node("Mul", value, value), scalar(graph, float(call.operation.b)))
    return graph.node("Mul", graph.node("Add", value, graph.node("Sqrt", inner)), scalar(graph, 0.5))


@op_rule("SoftShrink")
def soft_shrink(graph: Graph, call: Call, x: Any) -> Tensor:
    value, threshold = graph.tensor(x, call.dtype), float(call.operation.threshold)
    return graph.node("Sub", value, _clip(graph, value, -threshold, threshold))


@op_rule("HardShrink")
def hard_shrink(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    threshold = scalar(graph, float(call.operation.threshold))
    beyond = graph.node("Greater", graph.node("Abs", value), threshold, dtype="bool")
    return graph.node("Where", beyond, value, scalar(graph, 0.0), dtype="float32")


@op_rule("TanhShrink")
def tanh_shrink(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    return graph.node("Sub", value, graph.node("Tanh", value))


@op_rule("Threshold")
def threshold(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    above = graph.node("Greater", value, scalar(graph, float(call.operation.threshold)), dtype="bool")
    return graph.node(
        "Where", above, value, scalar(graph, float(call.operation.default_value)), dtype="float32"
    )


@op_rule("Glu")
def gated_linear(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    axis = call.operation.axis % value.rank
    graph.refuse_events(value, axis, "a gate")
    half = value.shape[axis] // 2
    linear, gate = (graph.slice(value, axis, start, start + half) for start in (0, half))
    return graph.node("Mul", linear, graph.node("Sigmoid", gate))


@op_rule("Softmax", "LogSoftmax")
def softmax(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    axis = call.operation.axis
    if not isinstance(axis, int):
        raise UnsupportedOperationError(
            f"{graph.where()}: softmax over the axes {axis} cannot be exported. Reshape them to one axis "
            "before."
        )
    graph.refuse_events(value, axis % value.rank, "a softmax")
    return graph.node(type(call.operation).__name__, value, axis=int(axis))


@op_rule("Sparsemax")
def sparsemax(graph: Graph, call: Call, x: Any) -> Tensor:
    """Keras's sparsemax, step by step.

    Keras 3.15 adds up the cumulative sums of the support where arXiv:1602.02068 takes the last of them. A
    network was trained with what Keras computes, so that is what is exported.
    """
    value = graph.tensor(x, call.dtype)
    axis = call.operation.axis % value.rank
    graph.refuse_events(value, axis, "a sparsemax")
    length = value.shape[axis]
    sizes = [length if index == axis else 1 for index in range(value.rank)]
    ranks = graph.constant(np.arange(1, length + 1, dtype=np.float32).reshape(sizes))
    ordered, _ = graph.nodes_with(
        "TopK",
        value,
        graph.constant([length], "int64"),
        shapes=[value.shape] * 2,
        dtypes=["float32", "int64"],
        axis=axis,
    )
    sums = graph.node("CumSum", ordered, graph.constant(np.asarray(axis), "int64"), shape=ordered.shape)
    bound = graph.node("Add", graph.node("Mul", ranks, ordered), scalar(graph, 1.0))
    kept = graph.cast(graph.node("Greater", bound, sums, dtype="bool"), "float32")
    reduced = [1 if index == axis else size for index, size in enumerate(value.shape)]
    axes = graph.constant([axis], "int64")
    count = graph.node("ReduceSum", kept, axes, shape=reduced)
    total = graph.node("ReduceSum", graph.node("Mul", kept, sums), axes, shape=reduced)
    level = graph.node("Div", graph.node("Sub", total, scalar(graph, 1.0)), count)
    return graph.node("Relu", graph.node("Sub", value, level))
