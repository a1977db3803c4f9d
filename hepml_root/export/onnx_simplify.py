"""Cleans the emitted graph: fuses products with what follows them, drops what does nothing or is not used.

Everything here keeps the function that is computed; only the order of roundings can change.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from hepml_root.export.onnx_graph import Graph, Node, Tensor


def simplify(graph: Graph) -> None:
    """Rewrite ``graph`` in place until nothing changes."""
    while _fuse_one(graph):
        pass
    _drop_identities(graph)
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


def _replace(node: Node, op: str, inputs: list[Tensor | None], label: str) -> None:
    node.op, node.inputs, node.attributes, node.label = op, inputs, {}, label


def _drop_identities(graph: Graph) -> None:
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
