"""Cleans the emitted graph: fuses products with what follows them, drops what does nothing or is not used.

Biases, scales and normalisations go into the product or
convolution before them, zero padding into the convolution behind it; Transposes meet and vanish
(:mod:`hepml_root.export.onnx.transposes`).

Everything here keeps the function that is computed; only the order of roundings can change.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.export.onnx.graph import Graph, Node, Tensor
from hepml_root.export.onnx.transposes import move_transposes, simplify_shapes


def simplify(graph: Graph) -> None:
    """Rewrite ``graph`` in place until nothing changes."""
    while _fuse_one(graph) or _hoist_one(graph) or move_transposes(graph) or _pad_one(graph):
        _drop_identities(graph)
        _drop_unused(graph)
    simplify_shapes(graph)
    _drop_identities(graph)
    _shorten_casts(graph)
    _rank_smallest(graph)
    _compare_first(graph)
    _drop_identities(graph)
    _merge_twins(graph)
    _keep_zeros_before_maxima(graph)
    _drop_unused(graph)


class _Links:
    """Who makes each tensor, and how many use it."""

    def __init__(self, graph: Graph) -> None:
        self.maker = {id(tensor): node for node in graph.nodes for tensor in node.outputs}
        read = [tensor for node in graph.nodes for tensor in node.inputs]
        self.uses = Counter(id(tensor) for tensor in (*read, *graph.outputs))


def _fuse_one(graph: Graph) -> bool:
    """Fuse one Add, Sub, Mul or Div by a constant into the product before it; say whether there was one."""
    links = _Links(graph)
    for node in graph.nodes:
        if node.op not in ("Add", "Sub", "Mul", "Div"):
            continue
        value, constant = node.inputs
        if value is not None and value.value is not None and node.op in ("Add", "Mul"):
            value, constant = constant, value
        maker = links.maker.get(id(value))
        if value is None or constant is None or maker is None or value.dtype != "float32":
            continue
        vector = _along_last_axis(constant, value)
        if maker.op in ("Conv", "ConvTranspose"):
            vector = _along_channels(constant, value)
        if vector is None or links.uses[id(value)] != 1:
            continue
        if _fuse(graph, links, maker, node, value, vector):
            graph.nodes.remove(maker)
            return True
    return False


def _along_last_axis(constant: Tensor, value: Tensor) -> NDArray[np.float64] | None:
    """A constant as one number per element of the last axis of ``value``, if broadcasting means just that."""
    if constant.value is None or value.rank == 0 or constant.rank > value.rank:
        return None
    array = np.asarray(constant.value, dtype=np.float64)
    if any(size != 1 for size in array.shape[:-1]) or array.size not in (1, value.shape[-1]):
        return None
    return np.broadcast_to(array.reshape(-1), (value.shape[-1],))


def _along_channels(constant: Tensor, value: Tensor) -> NDArray[np.float64] | None:
    """A constant as one number per channel of ``value`` (events, channels, ...), if it is just that."""
    if constant.value is None or constant.rank > value.rank:
        return None
    array = np.asarray(constant.value, np.float64)
    array = array.reshape([1] * (value.rank - array.ndim) + list(array.shape))
    if any(size != 1 for axis, size in enumerate(array.shape) if axis != 1):
        return None
    return np.broadcast_to(array.reshape(-1), (value.shape[1],))


def _weights(node: Node) -> NDArray[np.float64] | None:
    """The constant matrix that a Gemm or MatMul multiplies with, or None."""
    if node.op not in ("Gemm", "MatMul"):
        return None
    matrix = node.inputs[1]
    if matrix is None or matrix.value is None or matrix.rank != 2:
        return None
    return matrix.value.astype(np.float64)


def _fuse(
    graph: Graph,
    links: _Links,
    maker: Node,
    node: Node,
    value: Tensor,
    vector: NDArray[np.float64],
) -> bool:
    """Merge ``node`` (value ∘ vector) into ``maker``, which makes ``value``; say whether it can be."""
    with np.errstate(divide="ignore"):
        factor = {"Mul": vector, "Div": 1.0 / vector}.get(node.op)
    shift = {"Add": vector, "Sub": -vector}.get(node.op, np.zeros_like(vector))
    if factor is not None and not np.all(np.isfinite(factor)):
        return False
    graph.scope = maker.label.split("/")[:-1]
    if maker.op in ("Conv", "ConvTranspose"):
        return _fuse_convolution(graph, maker, node, factor, shift)
    if maker.op == "Add":
        return _fuse_behind_bias(graph, links, maker, node, factor, shift)
    weights = _weights(maker)
    if weights is None:
        return False
    scaled = maker.inputs[1] if factor is None else graph.constant(weights * factor, "float32")
    if maker.op == "Gemm":
        bias = maker.inputs[2]
        if bias is None or bias.value is None:
            return False
        total = bias.value.astype(np.float64) * (1.0 if factor is None else factor) + shift
        inputs = [maker.inputs[0], scaled, graph.constant(total, "float32")]
        _replace(node, "Gemm", inputs, maker.label)
    elif factor is not None:
        _replace(node, "MatMul", [maker.inputs[0], scaled], maker.label)
    elif value.rank == 2:
        inputs = [maker.inputs[0], scaled, graph.constant(shift, "float32")]
        _replace(node, "Gemm", inputs, graph.unique("/".join([*graph.scope, "Gemm"])))
    else:
        return False
    return True


def _fuse_behind_bias(
    graph: Graph,
    links: _Links,
    maker: Node,
    node: Node,
    factor: NDArray[np.float64] | None,
    shift: NDArray[np.float64],
) -> bool:
    """(xW + b)·s + t → x(W·s) + (b·s + t), where x has more than two axes."""
    product, bias = maker.inputs
    if product is not None and product.value is not None:
        product, bias = bias, product
    if product is None or bias is None or id(product) not in links.maker:
        return False
    origin = links.maker[id(product)]
    weights, old = _weights(origin), _along_last_axis(bias, product)
    if origin.op != "MatMul" or weights is None or old is None or links.uses[id(product)] != 1:
        return False
    if factor is not None:
        origin.inputs[1] = graph.constant(weights * factor, "float32")
        old = old * factor
    _replace(node, "Add", [product, graph.constant(old + shift, "float32")], maker.label)
    return True


def _fuse_convolution(
    graph: Graph,
    maker: Node,
    node: Node,
    factor: NDArray[np.float64] | None,
    shift: NDArray[np.float64],
) -> bool:
    kernel, bias = maker.inputs[1], maker.inputs[2] if len(maker.inputs) > 2 else None
    if kernel is None or kernel.value is None or (bias is not None and bias.value is None):
        return False
    old = np.zeros(len(shift)) if bias is None or bias.value is None else bias.value.astype(np.float64)
    scale = np.ones(len(shift)) if factor is None else factor
    layout = [-1 if axis == (0 if maker.op == "Conv" else 1) else 1 for axis in range(kernel.rank)]
    scaled = kernel if factor is None else graph.constant(kernel.value * scale.reshape(layout), "float32")
    inputs: list[Tensor | None] = [maker.inputs[0], scaled]
    if bias is not None or np.any(shift):
        inputs.append(graph.constant(old * scale + shift, "float32"))
    options = maker.attributes
    _replace(node, maker.op, inputs, maker.label)
    node.attributes = options
    return True


def _hoist_one(graph: Graph) -> bool:
    """Move one sum or product with a constant from behind a Reshape that splits the last axis to before it.

    There it can be fused with the product that made the values.
    """
    links = _Links(graph)
    for node in graph.nodes:
        if node.op not in ("Add", "Sub", "Mul", "Div"):
            continue
        value, constant = node.inputs
        if value is not None and value.value is not None and node.op in ("Add", "Mul"):
            value, constant = constant, value
        maker = links.maker.get(id(value))
        if value is None or constant is None or constant.value is None or maker is None:
            continue
        source = maker.inputs[0] if maker.op == "Reshape" else None
        if source is None or links.uses[id(value)] != 1 or value.dtype != "float32":
            continue
        origin = links.maker.get(id(source))
        split = value.rank - source.rank + 1
        if origin is None or origin.op not in ("Gemm", "MatMul", "Add") or split < 2:
            continue
        parts = value.shape[-split:]
        if source.shape[:-1] != value.shape[:-split] or constant.rank > split:
            continue
        vector = np.broadcast_to(constant.value, parts).reshape(-1)
        before = Tensor(graph.unique(f"{source.name}:{node.op}"), source.shape, value.dtype)
        first = Node(node.op, [source, graph.constant(vector)], [before], {}, node.label)
        position = graph.nodes.index(node)
        node.op, node.inputs, node.label = "Reshape", [before, maker.inputs[1]], maker.label
        graph.nodes.insert(position, first)
        graph.nodes.remove(maker)
        return True
    return False


def _pad_one(graph: Graph) -> bool:
    """Let one convolution do the zero padding before it."""
    links = _Links(graph)
    for node in graph.nodes:
        padded = node.inputs[0] if node.op == "Conv" else None
        maker = links.maker.get(id(padded))
        turn = None
        if maker is not None and maker.op == "Transpose" and links.uses[id(padded)] == 1:
            turn, padded = maker, maker.inputs[0]
            maker = links.maker.get(id(padded))
        if padded is None or maker is None or maker.op != "Pad" or links.uses[id(padded)] != 1:
            continue
        widths = maker.inputs[1]
        fill = maker.inputs[2] if len(maker.inputs) > 2 else None
        zero = fill is None or (fill.value is not None and not np.any(fill.value))
        if maker.attributes.get("mode", "constant") != "constant" or not zero:
            continue
        if widths is None or widths.value is None or np.any(widths.value < 0):
            continue
        order = list(range(padded.rank)) if turn is None else turn.attributes["perm"]
        pairs = widths.value.reshape(2, padded.rank)[:, order]
        source = maker.inputs[0]
        if np.any(pairs[:, :2]) or source is None:
            continue
        total = np.asarray(node.attributes["pads"]).reshape(2, -1) + pairs[:, 2:]
        node.attributes = {**node.attributes, "pads": total.reshape(-1).tolist()}
        if turn is not None:
            bare = Tensor(
                graph.unique(f"{source.name}:turned"), tuple(source.shape[a] for a in order), source.dtype
            )
            turn.inputs, turn.outputs, source = [source], [bare], bare
        node.inputs = [source, *node.inputs[1:]]
        return True
    return False


def _keep_zeros_before_maxima(graph: Graph) -> None:
    """Padding by zeros before a MaxPool is by the smallest normal number instead.

    ONNX Runtime (1.31) takes zeros into the MaxPool's own padding, which takes no part in the maximum: wrong
    where all that is not padded is negative. Another number than zero it leaves alone.
    """
    links = _Links(graph)
    for node in graph.nodes:
        maker = links.maker.get(id(node.inputs[0])) if node.op == "MaxPool" else None
        while maker is not None and maker.op in ("Transpose", "Reshape"):
            maker = links.maker.get(id(maker.inputs[0]))
        if maker is None or maker.op != "Pad" or maker.attributes.get("mode", "constant") != "constant":
            continue
        fill = maker.inputs[2] if len(maker.inputs) > 2 else None
        if fill is None or (fill.value is not None and not np.any(fill.value)):
            maker.inputs = [*maker.inputs[:2], graph.constant(np.finfo(np.float32).tiny, "float32")]


def _shorten_casts(graph: Graph) -> None:
    """Leave out the int32 that Keras has positions in, between what makes them and what they become."""
    makers = {id(tensor): node for node in graph.nodes for tensor in node.outputs}
    for node in list(graph.nodes):
        source = node.inputs[0] if node.op == "Cast" else None
        before = makers.get(id(source))
        shaped = None
        if before is not None and before.op == "Reshape":
            shaped, before = before, makers.get(id(before.inputs[0]))
        if source is None or before is None or before.op != "Cast" or source.dtype != "int32":
            continue
        origin, result = before.inputs[0], node.outputs[0]
        if origin is None or (origin.dtype, result.dtype) not in (
            ("int64", "int64"), ("int64", "float32"), ("float32", "int64"),
        ):  # fmt: skip
            continue
        if origin.dtype != result.dtype and shaped is not None:
            cast = Tensor(graph.unique(f"{origin.name}:{result.dtype}"), origin.shape, result.dtype)
            label = graph.unique(f"{node.label}/Cast")
            graph.nodes.insert(
                graph.nodes.index(shaped), Node("Cast", [origin], [cast], node.attributes, label)
            )
            origin = cast
        if shaped is not None:
            node.op, node.inputs, node.attributes = "Reshape", [origin, shaped.inputs[1]], {}
        elif origin.dtype == result.dtype:
            node.op, node.inputs, node.attributes = "Identity", [origin], {}
        else:
            node.inputs = [origin]


def _compare_first(graph: Graph) -> None:
    """Compare a mask before it gets other axes, so that it is compared once however it is used."""
    links = _Links(graph)
    for node in list(graph.nodes):
        shaped = links.maker.get(id(node.inputs[0])) if node.op == "Greater" else None
        bound = node.inputs[1] if len(node.inputs) > 1 else None
        if shaped is None or shaped.op != "Reshape" or bound is None or bound.value is None:
            continue
        source, result = shaped.inputs[0], node.outputs[0]
        if source is None or source not in graph.inputs or bound.value.size != 1:
            continue
        if links.uses[id(shaped.outputs[0])] > 1:
            continue
        flags = Tensor(graph.unique(f"{source.name}:{node.op}"), source.shape, result.dtype)
        first = Node("Greater", [source, graph.constant(bound.value.reshape(()))], [flags], {}, node.label)
        label = graph.unique(f"{node.label}/Reshape")
        graph.nodes.insert(graph.nodes.index(node), first)
        node.op, node.inputs, node.label = "Reshape", [flags, shaped.inputs[1]], label


def _rank_smallest(graph: Graph) -> None:
    """The largest of −x are the smallest of x."""
    links = _Links(graph)
    for node in graph.nodes:
        if node.op != "TopK" or links.uses[id(node.outputs[0])]:
            continue
        turned = links.maker.get(id(node.inputs[0]))
        negated = turned
        if turned is not None and turned.op == "Transpose" and links.uses[id(turned.outputs[0])] == 1:
            negated = links.maker.get(id(turned.inputs[0]))
        if negated is None or turned is None or negated.op != "Neg":
            continue
        reader = node if negated is turned else turned
        reader.inputs = [negated.inputs[0], *reader.inputs[1:]]
        node.attributes = {**node.attributes, "largest": 1 - node.attributes.get("largest", 1)}


def _merge_twins(graph: Graph) -> None:
    """Compute the same thing once."""
    first: dict[Any, Node] = {}
    replaced: dict[int, Tensor] = {}
    kept = []
    for node in graph.nodes:
        node.inputs = [None if t is None else replaced.get(id(t), t) for t in node.inputs]
        settings = tuple(sorted((k, str(v)) for k, v in node.attributes.items()))
        key = (node.op, tuple(id(t) for t in node.inputs), settings, len(node.outputs))
        twin = first.setdefault(key, node)
        if node.op.startswith("Random"):  # two draws are two
            twin = node
        if twin is node or any(t in graph.outputs for t in node.outputs):
            kept.append(node)
            continue
        for tensor, other in zip(node.outputs, twin.outputs, strict=True):
            replaced[id(tensor)] = other
    graph.nodes = kept


def _replace(node: Node, op: str, inputs: list[Tensor | None], label: str) -> None:
    node.op, node.inputs, node.attributes, node.label = op, inputs, {}, label


def _drop_identities(graph: Graph) -> None:
    makers = {id(tensor): node for node in graph.nodes for tensor in node.outputs}
    for node in graph.nodes:  # what makes an output gives it its name itself
        source = node.inputs[0] if node.op == "Identity" else None
        maker = makers.get(id(source))
        if source is None or maker is None or source in graph.outputs or node.outputs[0] not in graph.outputs:
            continue
        result = node.outputs[0]
        maker.outputs[maker.outputs.index(source)] = result
        for other in graph.nodes:
            other.inputs = [result if tensor is source else tensor for tensor in other.inputs]
        node.inputs, node.outputs = [result], [source]
        makers[id(result)] = maker
    replaced: dict[int, Tensor] = {}
    kept = []
    for node in graph.nodes:
        node.inputs = [None if t is None else replaced.get(id(t), t) for t in node.inputs]
        source = node.inputs[0] if node.inputs else None
        if node.op == "Identity" and source is not None and node.outputs[0] not in graph.outputs:
            replaced[id(node.outputs[0])] = source
        else:
            kept.append(node)
    graph.nodes = kept


def _drop_unused(graph: Graph) -> None:
    needed = {id(tensor) for tensor in graph.outputs}
    kept = []
    for node in reversed(graph.nodes):
        if any(id(tensor) in needed for tensor in node.outputs):
            kept.append(node)
            needed.update(id(tensor) for tensor in node.inputs if tensor is not None)
    graph.nodes = kept[::-1]
