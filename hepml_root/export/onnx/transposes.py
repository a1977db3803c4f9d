"""Moves Transposes towards the outputs until they meet others, and drops what then does nothing.

ONNX wants channels or time first, Keras has the events first and channels last: every convolution and every
recurrent layer stands between two Transposes. One that is followed by something that works on elements or on
named axes can as well come after it, the axes renamed; two neighbours merge into one, or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from hepml_root.export.onnx.graph import Graph, Node, Tensor

_ELEMENTS = {
    "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "Cast", "Ceil", "Celu", "Clip",
    "Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual",
    "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log",
    "Max", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round",
    "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Sub", "Tan", "Tanh",
    "ThresholdedRelu", "Where", "Xor",
}  # fmt: skip
_REDUCTIONS = {
    "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum",
}  # fmt: skip


def move_transposes(graph: Graph) -> bool:
    """Move or merge one Transpose; say whether there was one to be moved."""
    makers = {id(tensor): node for node in graph.nodes for tensor in node.outputs}
    readers: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for tensor in node.inputs:
            if tensor is not None:
                readers.setdefault(id(tensor), []).append(node)
    for node in graph.nodes:
        if node.op != "Transpose":
            continue
        source, turned = node.inputs[0], node.outputs[0]
        assert source is not None
        users = readers.get(id(turned), [])
        for user in users:
            if user.op == "Transpose":
                _merge(node, user)
                return True
        if not users or any(turned is output for output in graph.outputs):
            continue
        moves = {user: _moved(graph, makers, user, node.attributes["perm"]) for user in users}
        can = {user: move for user, move in moves.items() if move is not None}
        # What joins several tensors may follow when their Transposes have come as far.
        if can and all(user in can or user.op in _ELEMENTS or user.op == "Concat" for user in users):
            for user, move in can.items():
                _put_behind(graph, user, *move)
            if len(can) == len(moves):
                graph.nodes.remove(node)
            return True
        if len(moves) == 1 and _into_flat_product(graph, node, users[0], readers):
            return True
        if _into_product_before(graph, node, makers, readers):
            return True
    return False


def _into_product_before(
    graph: Graph, node: Node, makers: dict[int, Node], readers: dict[int, list[Node]]
) -> bool:
    """Where an image is made by a product with weights, their columns can change places instead."""
    order, image = node.attributes["perm"], node.inputs[0]
    shaped = makers.get(id(image))
    if (
        image is None
        or shaped is None
        or shaped.op != "Reshape"
        or order[0] != 0
        or len(readers[id(image)]) > 1
    ):
        return False
    flat = shaped.inputs[0]
    if flat is None or flat.rank != 2 or flat.shape[0] != image.shape[0] or not graph.is_free(flat.shape[0]):
        return False
    product = makers.get(id(flat))
    tensor: Tensor | None = flat
    while product is not None and product.op in _ELEMENTS and tensor is not None:
        others = [t for t in product.inputs[1:] if t is not None]
        if len(readers[id(tensor)]) > 1 or any(t.value is None or t.value.size > 1 for t in others):
            return False
        tensor = product.inputs[0]
        product = makers.get(id(tensor))
    if product is None or product.op != "Gemm" or tensor is None or len(readers[id(tensor)]) > 1:
        return False
    weights, bias = product.inputs[1:3]
    if weights is None or weights.value is None or bias is None or bias.value is None:
        return False
    columns = np.arange(flat.shape[1]).reshape(1, *image.shape[1:]).transpose(order).reshape(-1)
    product.inputs[1] = graph.constant(weights.value[:, columns])
    product.inputs[2] = graph.constant(bias.value.reshape(-1)[columns])
    node.op, node.attributes = "Reshape", {}
    node.inputs = [flat, graph.constant(graph.static_shape(node.outputs[0].shape), "int64")]
    return True


def _into_flat_product(graph: Graph, node: Node, user: Node, readers: dict[int, list[Node]]) -> bool:
    """Where all axes are flattened and multiplied with weights, their rows can change places instead."""
    source, flat = node.inputs[0], user.outputs[0]
    order = node.attributes["perm"]
    if user.op != "Reshape" or source is None or order[0] != 0 or flat in graph.outputs:
        return False
    if flat.rank != 2 or flat.shape[0] != source.shape[0] or not graph.is_free(flat.shape[0]):
        return False
    products = readers.get(id(flat), [])
    weights = [p.inputs[1] for p in products if p.op in ("Gemm", "MatMul") and p.inputs[0] is flat]
    if not products or len(weights) != len(products):
        return False
    if any(w is None or w.value is None or w.rank != 2 for w in weights):
        return False
    sizes = node.outputs[0].shape[1:]
    back = (
        np.arange(flat.shape[1])
        .reshape(sizes)
        .transpose([np.argsort(order)[a] - 1 for a in range(1, len(order))])
    )
    for product, weight in zip(products, weights, strict=True):
        if weight is not None and weight.value is not None:
            product.inputs[1] = graph.constant(weight.value[back.reshape(-1)])
    user.inputs = [source, user.inputs[1]]
    return True


def simplify_shapes(graph: Graph) -> None:
    """Write Transposes that move nothing but axes of length one as Reshapes, and merge Reshapes in a row."""
    makers: dict[int, Node] = {}
    uses = Counter(id(tensor) for node in graph.nodes for tensor in node.inputs)
    uses.update(id(tensor) for tensor in graph.outputs)
    for node in graph.nodes:
        source = node.inputs[0] if node.inputs else None
        if node.op == "Transpose" and source is not None:
            long = [axis for axis in node.attributes["perm"] if source.shape[axis] != 1]
            free = sum(graph.is_free(size) for size in source.shape)
            if long == sorted(long) and free == 1:
                target = graph.static_shape(node.outputs[0].shape)
                node.op, node.attributes = "Reshape", {}
                node.inputs = [source, graph.constant(target, "int64")]
        if node.op == "Reshape" and source is not None:
            before = makers.get(id(source))
            if before is not None and before.op == "Reshape":
                source = before.inputs[0]
                node.inputs = [source, node.inputs[1]]
            if source is not None and source.shape == node.outputs[0].shape:
                node.op, node.inputs = "Identity", [source]
        if node.op == "Slice" and source is not None:
            _merge_slices(graph, node, makers.get(id(source)), uses[id(source)])
        for tensor in node.outputs:
            makers[id(tensor)] = node


def _merge_slices(graph: Graph, node: Node, before: Node | None, uses: int) -> None:
    """Cut along the axes of two Slices in a row at once."""
    if before is None or before.op != "Slice" or uses != 1:
        return
    ends = [(first, second) for first, second in zip(before.inputs[1:], node.inputs[1:], strict=True)]
    numbers = [
        [*first.value, *second.value]
        for first, second in ends
        if first is not None and second is not None and first.value is not None and second.value is not None
    ]
    if len(numbers) == 4 and len(set(numbers[2])) == len(numbers[2]):
        node.inputs = [before.inputs[0], *(graph.constant(n, "int64") for n in numbers)]


def _merge(first: Node, second: Node) -> None:
    """Let the second of two Transposes do the work of both."""
    order = [first.attributes["perm"][axis] for axis in second.attributes["perm"]]
    second.inputs = [first.inputs[0]]
    if order == sorted(order):
        second.op, second.attributes = "Identity", {}
    else:
        second.attributes = {"perm": order}


def _put_behind(
    graph: Graph, user: Node, inputs: list[Tensor | None], attributes: dict[str, Any], order: list[int]
) -> None:
    """Let ``user`` work on what was not transposed, and transpose its result."""
    result = user.outputs[0]
    shape = [0] * len(order)
    for axis, origin in enumerate(order):
        shape[origin] = result.shape[axis]
    before = Tensor(graph.unique(f"{result.name}:before"), tuple(shape), result.dtype)
    user.inputs, user.attributes, user.outputs = inputs, attributes, [before]
    if order == sorted(order):
        behind = Node("Identity", [before], [result], {}, graph.unique(f"{user.label}/Identity"))
    else:
        behind = Node(
            "Transpose", [before], [result], {"perm": order}, graph.unique(f"{user.label}/Transpose")
        )
    graph.nodes.insert(graph.nodes.index(user) + 1, behind)


def _moved(
    graph: Graph, makers: dict[int, Node], user: Node, order: Sequence[int]
) -> tuple[list[Tensor | None], dict[str, Any], list[int]] | None:
    """Inputs and attributes of ``user`` before the Transpose, and the order of axes behind it; None if it has
    to stay behind.
    """
    rank, order = len(order), list(order)
    if any(output in graph.outputs for output in user.outputs) and len(user.outputs) > 1:
        return None
    kept = dict(user.attributes)

    def source(tensor: Tensor | None) -> Tensor | None:
        """What stands before the same Transpose; a constant is turned back."""
        if tensor is None:
            return None
        if tensor.value is not None:
            return _turned_back(graph, tensor, order)
        maker = makers.get(id(tensor))
        if maker is None or maker.op != "Transpose" or list(maker.attributes["perm"]) != order:
            return None
        return maker.inputs[0]

    if user.op in _ELEMENTS:
        inputs = [source(tensor) for tensor in user.inputs]
        lost = any((new is None) != (old is None) for new, old in zip(inputs, user.inputs, strict=True))
        return None if lost or user.outputs[0].rank != rank else (inputs, kept, order)
    first, others = source(user.inputs[0]), user.inputs[1:]
    if first is None or (user.inputs[0] is not None and user.inputs[0].value is not None):
        return None
    if user.op in ("Softmax", "LogSoftmax"):
        return [first], {**kept, "axis": order[kept["axis"] % rank]}, order
    if user.op == "Concat":
        inputs = [source(tensor) for tensor in user.inputs]
        if any(tensor is None or tensor.rank != rank for tensor in inputs):
            return None
        return inputs, {**kept, "axis": order[kept["axis"] % rank]}, order
    if user.op in _REDUCTIONS:
        return _moved_reduction(graph, user, first, order)
    if user.op == "Slice":
        axes = others[2]
        if axes is None or axes.value is None:
            return None
        turned = graph.constant([order[axis] for axis in axes.value], "int64")
        return [first, *others[:2], turned, *others[3:]], kept, order
    if user.op == "Pad":
        widths = others[0]
        if widths is None or widths.value is None or len(others) > 2:
            return None
        pairs = widths.value.reshape(2, rank)
        back = graph.constant(pairs[:, np.argsort(order)].reshape(-1), "int64")
        return [first, back, *others[1:]], kept, order
    if user.op == "Resize" and kept.get("mode") == "nearest":
        scales = others[1]
        if scales is None or scales.value is None:
            return None
        return [first, None, graph.constant(scales.value[np.argsort(order)])], kept, order
    if user.op == "Gather" and others[0] is not None and others[0].rank == 1:
        return [first, others[0]], {**kept, "axis": order[kept["axis"] % rank]}, order
    last_stays = order[-1] == rank - 1
    if user.op == "LayerNormalization" and last_stays and kept["axis"] == -1:
        return [first, *others], kept, order
    if user.op == "MatMul" and last_stays and others[0] is not None and others[0].value is not None:
        return ([first, others[0]], kept, order) if others[0].rank == 2 else None
    return None


def _moved_reduction(
    graph: Graph, user: Node, first: Tensor, order: list[int]
) -> tuple[list[Tensor | None], dict[str, Any], list[int]] | None:
    axes = user.inputs[1]
    if axes is None or axes.value is None:
        return None
    reduced = sorted(order[axis] for axis in axes.value)
    behind = order
    if not user.attributes.get("keepdims", 1):
        left = [origin for origin in order if origin not in reduced]
        behind = [sorted(left).index(origin) for origin in left]
    return [first, graph.constant(reduced, "int64")], dict(user.attributes), behind


def _turned_back(graph: Graph, constant: Tensor, order: Sequence[int]) -> Tensor | None:
    """A constant that broadcasts against what is transposed, as one that does before it."""
    value = constant.value
    assert value is not None
    if value.ndim == 0 or value.size == 1:
        return constant
    if value.ndim > len(order):
        return None
    value = value.reshape([1] * (len(order) - value.ndim) + list(value.shape))
    value = value.transpose(np.argsort(order))
    while value.ndim > 1 and value.shape[0] == 1:
        value = value[0]
    return graph.constant(value, constant.dtype)
