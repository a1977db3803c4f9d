"""Floating-point operations of the products in an ONNX network: what is set against the multiply-add peak."""

from __future__ import annotations

import math

import onnx
from onnx import helper, numpy_helper, shape_inference

Shape = tuple[int, ...]


def operations(model: onnx.ModelProto) -> int:
    """Return the operations of all matrix products, convolutions and recurrences for one event.

    A multiplication and an addition each count; element-wise functions, normalisations, sums and comparisons
    do not, and neither does what a convolution multiplies with its padding: it counts as in the literature,
    output elements times the kernel. Sequences count at their full length.

    Example
    -------
    >>> from onnx import TensorProto
    >>> x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    >>> y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])
    >>> matrix = numpy_helper.from_array(np.ones((3, 5), np.float32), "w")
    >>> graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [matrix])
    >>> operations(helper.make_model(graph))
    30
    """
    shapes = _shapes(model)
    return sum(
        _OPERATIONS[node.op_type](node, shapes) for node in model.graph.node if node.op_type in _OPERATIONS
    )


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    """Return the shapes of all values that are known for one event."""
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    for value in (*alone.graph.input, *alone.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if dimensions:
            dimensions[0].Clear()
            dimensions[0].dim_value = 1
    del alone.graph.value_info[:]
    graph = shape_inference.infer_shapes(alone, data_prop=True).graph
    found = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.tensor_type.HasField("shape"):
            found[value.name] = tuple(max(d.dim_value, 1) for d in value.type.tensor_type.shape.dim)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = tuple(numpy_helper.to_array(node.attribute[0].t).shape)
    return found


def _attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _gemm(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int:
    a, b = shapes[node.input[0]], shapes[node.input[1]]
    rows, inner = a[::-1] if _attribute(node, "transA", 0) else a
    return 2 * rows * inner * (b[0] if _attribute(node, "transB", 0) else b[1])


def _matmul(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int:
    return 2 * math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _conv(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int:
    # Kernel: (channels out, channels in of a group, ...).
    return 2 * math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])


def _conv_transpose(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int:
    # Kernel: (channels in, channels out of a group, ...).
    return 2 * math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])


def _recurrent(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int:
    steps = shapes[node.input[0]][1 if _attribute(node, "layout", 0) else 0]
    directions, gates, features = shapes[node.input[1]]
    return 2 * steps * directions * gates * (features + shapes[node.input[2]][2])


def _einsum(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int:
    equation = bytes(_attribute(node, "equation", b"")).decode()  # type: ignore[arg-type, call-overload]
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if "..." in equation or len(terms) != 2:
        return 0
    lengths = {
        letter: length
        for term, name in zip(terms, node.input, strict=True)
        for letter, length in zip(term, shapes[name], strict=True)
    }
    return 2 * math.prod(lengths.values())


_OPERATIONS = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Einsum": _einsum,
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent),
}
