"""Graphs as ROOT's SOFIE takes them: a batch of one, and its operators only.

An operator that SOFIE has not is written with those that it has, where that is exact: the same function of
all numbers, up to the rounding of float32 (NaN may become a number where a maximum is taken). What remains is
refused by the names of node and operator, before SOFIE sees the file. To add a rewrite, add a function with
``@rewrite("Operator")``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from hepml_root.errors import UnsupportedOperationError

# What SOFIE's ONNX parser has had since ROOT 6.36; later versions have more.
OPERATORS = {
    "Abs", "Add", "AveragePool", "BatchNormalization", "Cast", "Concat", "Constant", "ConstantOfShape",
    "Conv", "ConvTranspose", "Cos", "Div", "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "EyeLike",
    "Flatten", "GRU", "Gather", "Gemm", "GlobalAveragePool", "Greater", "GreaterOrEqual", "Identity",
    "If", "LSTM", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "MatMul", "Max",
    "MaxPool", "Mean", "Min", "Mul", "Neg", "Pad", "Pow", "RNN", "Range", "Reciprocal", "ReduceMean",
    "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "ScatterElements", "Selu", "Shape",
    "Sigmoid", "Sin", "Slice", "Softmax", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile",
    "TopK", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip

Rewrite = Callable[["Rewriting", onnx.NodeProto], str]
REWRITES: dict[str, Rewrite] = {}


def rewrite(*operators: str) -> Callable[[Rewrite], Rewrite]:
    """Register a function that writes some operators with others; it returns the name of the result."""

    def register(function: Rewrite) -> Rewrite:
        for operator in operators:
            REWRITES[operator] = function
        return function

    return register


def acceptable(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model that computes one event, the same as ``model`` does, with SOFIE's operators only.

    Raises
    ------
    UnsupportedOperationError
        A node that cannot be written so, or an input whose shape is free; all of them are named.

    Example
    -------
    >>> from onnx import TensorProto
    >>> x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    >>> y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    >>> graph = helper.make_graph([helper.make_node("Softplus", ["x"], ["y"])], "g", [x], [y])
    >>> graph = acceptable(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])).graph
    >>> [node.op_type for node in graph.node]
    ['Abs', 'Neg', 'Exp', 'Add', 'Log', 'Relu', 'Add']
    """
    single = onnx.ModelProto()
    single.CopyFrom(model)
    _fix_batch(single)
    for _ in range(4):  # what a rewrite gives may need one itself
        if not any(node.op_type in REWRITES for node in single.graph.node):
            break
        Rewriting(single).run()
    missing = [
        f"'{node.name or node.output[0]}' ({node.op_type})"
        for node in single.graph.node
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx")
    ]
    if missing:
        shown = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        raise UnsupportedOperationError(f"SOFIE has no operator for the nodes {shown}.")
    return single


def _fix_batch(model: onnx.ModelProto) -> None:
    """Give every input and output a batch of one, and let the shapes of all other values follow."""
    del model.graph.value_info[:]
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in (*model.graph.input, *model.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if value.name in weights or not dimensions:
            continue
        dimensions[0].Clear()
        dimensions[0].dim_value = 1
        if any(d.dim_value < 1 for d in dimensions):
            raise UnsupportedOperationError(
                f"'{value.name}' has a free axis besides the batch; SOFIE takes none."
            )


@dataclass
class Rewriting:
    """One pass over a graph: its nodes are written anew, in their order."""

    model: onnx.ModelProto
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Replace the nodes of the graph."""
        graph = self.model.graph
        inferred = shape_inference.infer_shapes(self.model, data_prop=True).graph
        self.shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        for value in (*inferred.input, *inferred.value_info, *inferred.output):
            self.shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        self.names = {name for node in graph.node for name in (*node.input, *node.output)}
        self.names |= {tensor.name for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type not in REWRITES or node.domain not in ("", "ai.onnx"):
                self.nodes.append(node)
                continue
            result = REWRITES[node.op_type](self, node)
            maker = next(made for made in reversed(self.nodes) if result in made.output)
            maker.output[list(maker.output).index(result)] = node.output[0]
        del graph.node[:]
        graph.node.extend(self.nodes)

    def op(self, operator: str, *inputs: str, output: int = 0, outputs: int = 1, **attributes: Any) -> str:
        """Add a node and return the name of one of its outputs."""
        names = [self.fresh(operator) for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=names[0], **attributes))
        return names[output]

    def number(self, value: float) -> str:
        """Return the name of a constant number."""
        return self.array(np.array([value], np.float32))

    def array(self, values: np.ndarray) -> str:
        """Return the name of a constant array."""
        name = self.fresh("constant")
        self.model.graph.initializer.append(numpy_helper.from_array(values, name))
        return name

    def fresh(self, stem: str) -> str:
        """Return a name that nothing in the graph has."""
        number = len(self.names)
        while f"sofie_{stem}_{number}" in self.names:
            number += 1
        name = f"sofie_{stem}_{number}"
        self.names.add(name)
        return name

    def constant(self, name: str) -> np.ndarray | None:
        """Return an input of a node if it is constant."""
        for tensor in self.model.graph.initializer:
            if tensor.name == name:
                return numpy_helper.to_array(tensor)
        for node in self.model.graph.node:
            if name in node.output and node.op_type == "Constant" and node.attribute[0].name == "value":
                return numpy_helper.to_array(node.attribute[0].t)
        return None

    def refuse(self, node: onnx.NodeProto, why: str) -> UnsupportedOperationError:
        return UnsupportedOperationError(f"SOFIE: node '{node.name}' ({node.op_type}): {why}")


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _reduced_axes(r: Rewriting, node: onnx.NodeProto) -> list[int]:
    """Return the axes of a reduction, an attribute before opset 18 and an input since; by default all."""
    rank = len(r.shapes[node.input[0]])
    axes = _attribute(node, "axes", None)
    if axes is None and len(node.input) > 1 and node.input[1]:
        axes = r.constant(node.input[1])
        if axes is None:
            raise r.refuse(node, "its axes are not constant.")
    if axes is None or len(axes) == 0:
        axes = range(0 if _attribute(node, "noop_with_empty_axes", 0) == 0 else rank, rank)
    return sorted(int(axis) % rank for axis in axes)


# -- activations ------------------------------------------------------------------------------------------


@rewrite("Clip")
def clip(r: Rewriting, node: onnx.NodeProto) -> str:
    limits = []
    for index, without in ((1, -math.inf), (2, math.inf)):
        if len(node.input) <= index or not node.input[index]:
            limits.append(without)
            continue
        constant = r.constant(node.input[index])
        if constant is None or constant.dtype != np.float32:
            raise r.refuse(node, "its limits are no constant float32 numbers.")
        limits.append(float(constant))
    lower, upper = limits
    value = node.input[0]
    if lower == 0.0:
        value = r.op("Relu", value)
    elif lower > -math.inf:
        value = r.op("Max", value, r.number(lower))
    if upper < math.inf:
        value = r.op("Min", value, r.number(upper))
    return value if value != node.input[0] else r.op("Identity", value)


@rewrite("Softplus")
def softplus(r: Rewriting, node: onnx.NodeProto) -> str:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-abs(x))), which overflows nowhere."""
    x = node.input[0]
    rest = r.op("Log", r.op("Add", r.op("Exp", r.op("Neg", r.op("Abs", x))), r.number(1.0)))
    return r.op("Add", r.op("Relu", x), rest)


@rewrite("PRelu")
def prelu(r: Rewriting, node: onnx.NodeProto) -> str:
    x, slope = node.input
    below = r.op("Neg", r.op("Relu", r.op("Neg", x)))
    return r.op("Add", r.op("Relu", x), r.op("Mul", below, slope))


@rewrite("Gelu")
def gelu(r: Rewriting, node: onnx.NodeProto) -> str:
    x = node.input[0]
    if _attribute(node, "approximate", b"none") == b"tanh":
        cube = r.op("Mul", r.op("Mul", x, x), x)
        inner = r.op("Add", x, r.op("Mul", cube, r.number(0.044715)))
        phi = r.op("Tanh", r.op("Mul", inner, r.number(math.sqrt(2 / math.pi))))
    else:
        phi = r.op("Erf", r.op("Mul", x, r.number(math.sqrt(0.5))))
    return r.op("Mul", r.op("Mul", x, r.number(0.5)), r.op("Add", phi, r.number(1.0)))


@rewrite("HardSigmoid")
def hard_sigmoid(r: Rewriting, node: onnx.NodeProto) -> str:
    slope, shift = (_attribute(node, key, default) for key, default in (("alpha", 0.2), ("beta", 0.5)))
    line = r.op("Add", r.op("Mul", node.input[0], r.number(slope)), r.number(shift))
    return r.op("Min", r.op("Relu", line), r.number(1.0))


@rewrite("HardSwish")
def hard_swish(r: Rewriting, node: onnx.NodeProto) -> str:
    x = node.input[0]
    return r.op("Mul", x, r.op("HardSigmoid", x, alpha=1 / 6, beta=0.5))


@rewrite("Mish")
def mish(r: Rewriting, node: onnx.NodeProto) -> str:
    x = node.input[0]
    return r.op("Mul", x, r.op("Tanh", r.op("Softplus", x)))


@rewrite("Swish")
def swish(r: Rewriting, node: onnx.NodeProto) -> str:
    x = node.input[0]
    steep = _attribute(node, "alpha", 1.0)
    inside = x if steep == 1.0 else r.op("Mul", x, r.number(steep))
    return r.op("Mul", x, r.op("Sigmoid", inside))


@rewrite("Softsign")
def softsign(r: Rewriting, node: onnx.NodeProto) -> str:
    x = node.input[0]
    return r.op("Div", x, r.op("Add", r.op("Abs", x), r.number(1.0)))


@rewrite("Celu")
def celu(r: Rewriting, node: onnx.NodeProto) -> str:
    x, alpha = node.input[0], _attribute(node, "alpha", 1.0)
    return r.op("Mul", r.op("Elu", r.op("Mul", x, r.number(1 / alpha)), alpha=1.0), r.number(alpha))


@rewrite("LogSoftmax")
def log_softmax(r: Rewriting, node: onnx.NodeProto) -> str:
    """x - max - log(sum of exp(x - max)), which overflows nowhere."""
    x, axis = node.input[0], _attribute(node, "axis", -1)
    rank = len(r.shapes[x])
    highest = _topmost(r, x, axis % rank, largest=1)
    centred = r.op("Sub", x, highest)
    axes = r.array(np.array([axis % rank], np.int64))
    total = r.op("ReduceSum", r.op("Exp", centred), axes, keepdims=1)
    return r.op("Sub", centred, r.op("Log", total))


# -- reductions -------------------------------------------------------------------------------------------


def _topmost(r: Rewriting, value: str, axis: int, largest: int, output: int = 0) -> str:
    """Return the largest or smallest number along an axis, or its index, with that axis kept."""
    k = r.array(np.array([1], np.int64))
    return r.op("TopK", value, k, output=output, outputs=2, axis=axis, largest=largest, sorted=1)


@rewrite("ReduceMax", "ReduceMin")
def extremum(r: Rewriting, node: onnx.NodeProto) -> str:
    value, axes = node.input[0], _reduced_axes(r, node)
    for axis in axes:
        value = _topmost(r, value, axis, largest=int(node.op_type == "ReduceMax"))
    if _attribute(node, "keepdims", 1) and axes:
        return value
    return r.op("Squeeze", value, r.array(np.array(axes, np.int64))) if axes else r.op("Identity", value)


@rewrite("ArgMax", "ArgMin")
def index_of_extremum(r: Rewriting, node: onnx.NodeProto) -> str:
    """The index of the first of equal numbers, as TopK gives it."""
    if _attribute(node, "select_last_index", 0):
        raise r.refuse(node, "select_last_index=1.")
    axis = _attribute(node, "axis", 0) % len(r.shapes[node.input[0]])
    index = _topmost(r, node.input[0], axis, largest=int(node.op_type == "ArgMax"), output=1)
    if _attribute(node, "keepdims", 1):
        return index
    return r.op("Squeeze", index, r.array(np.array([axis], np.int64)))


@rewrite("ReduceL1", "ReduceL2")
def norm(r: Rewriting, node: onnx.NodeProto) -> str:
    x, axes, keep = node.input[0], _reduced_axes(r, node), _attribute(node, "keepdims", 1)
    squares = r.op("Abs", x) if node.op_type == "ReduceL1" else r.op("Mul", x, x)
    total = r.op("ReduceSum", squares, r.array(np.array(axes, np.int64)), keepdims=keep)
    return total if node.op_type == "ReduceL1" else r.op("Sqrt", total)


@rewrite("GlobalMaxPool")
def global_max_pool(r: Rewriting, node: onnx.NodeProto) -> str:
    spatial = r.shapes[node.input[0]][2:]
    if not spatial or any(length < 1 for length in spatial):
        raise r.refuse(node, "the size of its input is not known.")
    return r.op("MaxPool", node.input[0], kernel_shape=list(spatial))


# -- logic ------------------------------------------------------------------------------------------------


def _as_number(r: Rewriting, value: str) -> str:
    return r.op("Cast", value, to=int(onnx.TensorProto.FLOAT))


@rewrite("Not")
def logical_not(r: Rewriting, node: onnx.NodeProto) -> str:
    return r.op("Less", _as_number(r, node.input[0]), r.number(0.5))


@rewrite("And", "Or", "Xor")
def logical(r: Rewriting, node: onnx.NodeProto) -> str:
    a, b = (_as_number(r, name) for name in node.input)
    combined = {"And": "Mul", "Or": "Add", "Xor": "Sub"}[node.op_type]
    value = r.op(combined, a, b)
    return r.op("Greater", r.op("Abs", value) if node.op_type == "Xor" else value, r.number(0.5))


# -- others -----------------------------------------------------------------------------------------------


@rewrite("Dropout")
def dropout(r: Rewriting, node: onnx.NodeProto) -> str:
    """At inference nothing; its mask is used by no network that is applied."""
    if len(node.output) > 1 and any(node.output[1] in other.input for other in r.model.graph.node):
        raise r.refuse(node, "its mask is used.")
    return r.op("Identity", node.input[0])


@rewrite("Sign")
def sign(r: Rewriting, node: onnx.NodeProto) -> str:
    zero = r.number(0.0)
    above, below = (r.op(operator, node.input[0], zero) for operator in ("Greater", "Less"))
    return r.op("Sub", _as_number(r, above), _as_number(r, below))
