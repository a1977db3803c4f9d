"""Export rules of attention: products of queries and keys, masked softmax, weighted sums of values.

The Keras layers (MultiHeadAttention, GroupQueryAttention, Attention, AdditiveAttention) are expanded into
their projections and this operation, so that own layers that use `keras.ops.dot_product_attention` have the
same graph: two MatMul around one Softmax, the scale inside the weights of the query.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.elementwise import scalar
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.products import matrix_product
from hepml_root.export.onnx.rules import Call, op_rule


def _heads(graph: Graph, value: Tensor, count: int) -> Tensor:
    """Repeat each of fewer key or value heads for its group of query heads."""
    heads = value.shape[2]
    if heads in (1, count):  # one head for all is broadcast
        return value
    positions = np.repeat(np.arange(heads), count // heads)
    shape = [*value.shape[:2], count, value.shape[3]]
    return graph.node("Gather", value, graph.constant(positions, "int64"), shape=shape, axis=2)


@op_rule("DotProductAttention")
def dot_product_attention(
    graph: Graph,
    call: Call,
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: Any = None,
) -> Tensor:
    """softmax(scale·q·k + bias)·v for every head; what is masked gets a score that counts for nothing.

    Where everything is masked, all scores are the same and the result is the mean of the values, as in Keras.
    """
    if call.operation.attn_logits_soft_cap is not None:
        raise UnsupportedOperationError(
            f"{graph.where()}: dot_product_attention with attn_logits_soft_cap cannot be exported."
        )
    q, k, v = (graph.tensor(x, "float32") for x in (query, key, value))
    _, places, heads, width = q.shape
    k, v = _heads(graph, k, heads), _heads(graph, v, heads)
    factor = 1.0 / math.sqrt(width) if scale is None else scale
    q = graph.node("Mul", q, graph.tensor(factor, "float32"))
    scores = matrix_product(
        graph, graph.transpose(q, [0, 2, 1, 3]), graph.transpose(k, [0, 2, 3, 1])
    )  # (events, heads, places of q, places of k)
    if bias is not None:
        scores = graph.node("Add", scores, graph.tensor(bias, "float32"))
    kept = None if mask is None else graph.tensor(mask, "bool")
    if call.operation.is_causal:
        earlier = graph.constant(np.tril(np.ones((1, 1, places, k.shape[1]), bool)))
        kept = earlier if kept is None else graph.node("And", kept, earlier)
    if kept is not None:
        lowest = scalar(graph, -0.7 * 3.38953e38)
        scores = graph.node("Where", kept, scores, lowest, shape=scores.shape, dtype="float32")
    weights = graph.node("Softmax", scores, axis=-1)
    result = matrix_product(graph, weights, graph.transpose(v, [0, 2, 1, 3]))
    return graph.transpose(result, [0, 2, 1, 3])
