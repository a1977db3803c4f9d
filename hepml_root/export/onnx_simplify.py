"""Cleans the emitted graph: fuses products with what follows them, drops what does nothing or is not used.

Everything here keeps the function that is computed; only the order of roundings can change.
"""

from __future__ import annotations

import numpy as np

from hepml_root.export.onnx_graph import Graph, Node, Tensor


def simplify(graph: Graph) -> None:
    """Rewrite ``graph`` in place until nothing changes."""
    while _fuse_once(graph):
        pass
    _drop_identities(graph)
    _drop_unused(graph)


def _fuse_once(graph: Graph) -> bool:
    producers = {id(tensor): node for node in graph.nodes for tensor in node.outputs}
    uses: dict[int, int] = {}
    for node in graph.nodes:
        for tensor in node.inputs:
            uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    for tensor in graph.outputs:
        uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    for node in graph.nodes:
        if node.op not in ("Add", "Sub", "Mul", "Div"):
            continue
        value, constant = node.inputs
        if node.op in ("Add", "Mul") and value is not None and value.value is not None:
            value, constant = constant, value
        if value is None or constant is None or constant.value is None or value.dtype != "float32":
            continue
        before = producers.get(id(value))
        if before is None or uses[id(value)] != 1:
            continue
        vector = _last_axis_vector(constant, value)
        if vector is not None and _fuse(graph, before, node, value, vector):
            graph.nodes.remove(before)
            return True
    return False


def _last_axis_vector(constant: Tensor, value: Tensor) -> np.ndarray | None:
    """The constant in float64 as one number per element of the last axis, if broadcasting means just that."""
    array = np.asarray(constant.value, dtype=np.float64)
    if value.rank == 0 or array.ndim > value.rank or any(size != 1 for size in array.shape[:-1]):
        return None
    return (
        np.broadcast_to(array.reshape(-1), (value.shape[-1],)) if array.size in (1, value.shape[-1]) else None
    )


def _fuse(graph: Graph, before: Node, node: Node, value: Tensor, vector: np.ndarray) -> bool:
    """Merge ``node`` (value ∘ vector) into ``before``, the node that makes ``value``; say whether that was done."""
    weights = before.inputs[1] if before.op in ("Gemm", "MatMul") else None
    if weights is not None and (weights.value is None or weights.rank != 2):
        return False
    graph.scope = before.label.split("/")[:-1]
    additive = node.op in ("Add", "Sub")
    shift = vector if node.op == "Add" else -vector
    with np.errstate(divide="ignore"):
        scale = vector if node.op == "Mul" else 1.0 / vector
    if not additive and not np.all(np.isfinite(scale)):
        return False
    if before.op == "MatMul" and additive and before.outputs[0].rank == 2 and value.rank == 2:
        if before.inputs[0] is None or before.inputs[0].rank != 2:
            return False
        node.op, node.attributes = "Gemm", {}
        node.inputs = [before.inputs[0], weights, graph.constant(shift, "float32")]
        node.label = _relabel(graph, before)
    elif before.op == "MatMul" and not additive and weights is not None:
        node.op, node.inputs = "MatMul", [before.inputs[0], graph.constant(weights.value * scale, "float32")]
        node.label = before.label
    elif before.op == "Gemm" and weights is not None and before.inputs[2] is not None:
        bias = before.inputs[2].value
        if bias is None:
            return False
        factor = np.ones_like(vector) if additive else scale
        total = bias.astype(np.float64) * factor + (shift if additive else 0.0)
        node.op, node.attributes, node.label = "Gemm", dict(before.attributes), before.label
        node.inputs = [
            before.inputs[0],
            weights if additive else graph.constant(weights.value * factor, "float32"),
            graph.constant(total, "float32"),
        ]
    elif before.op == "Add" and weights is None:
        return _push_through_add(graph, before, node, scale, shift, additive)
    else:
        return False
    return True


def _push_through_add(
    graph: Graph, before: Node, node: Node, scale: np.ndarray, shift: np.ndarray, additive: bool
) -> bool:
    """(product + b)·s → product·s + b·s, and (product + b) + t → product + (b + t), behind a product of higher rank."""
    product = next((t for t in before.inputs if t is not None and t.value is None), None)
    bias = next((t for t in before.inputs if t is not None and t.value is not None), None)
    maker = next((n for n in graph.nodes if product in n.outputs), None)
    if product is None or bias is None or maker is None or maker.op != "MatMul":
        return False
    weights, vector = maker.inputs[1], _last_axis_vector(bias, product)
    uses = sum(t is product for n in graph.nodes for t in n.inputs) + sum(t is product for t in graph.outputs)
    if weights is None or weights.value is None or weights.rank != 2 or vector is None or uses != 1:
        return False
    if additive:
        total = vector + shift
    else:
        maker.inputs[1] = graph.constant(weights.value * scale, "float32")
        total = vector * scale
    node.op, node.attributes, node.label = "Add", {}, before.label
    node.inputs = [product, graph.constant(total, "float32")]
    return True


def _relabel(graph: Graph, before: Node) -> str:
    return graph.unique("/".join([*before.label.split("/")[:-1], "Gemm"]))


def _drop_identities(graph: Graph) -> None:
    replaced: dict[int, Tensor] = {}
    kept = []
    for node in graph.nodes:
        node.inputs = [None if t is None else replaced.get(id(t), t) for t in node.inputs]
        if node.op == "Identity" and node.outputs[0] not in graph.outputs and node.inputs[0] is not None:
            replaced[id(node.outputs[0])] = node.inputs[0]
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
