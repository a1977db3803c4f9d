"""Rules for operators along axes of one event: sums, extrema, softmax, layer normalisation."""

from __future__ import annotations

import math

import numpy as np

from hepml_root.export.cpp_elementwise import constant, floats
from hepml_root.export.cpp_expression import Call, Expression, Load, Weight, broadcast
from hepml_root.export.cpp_graph import Lowering, Node, Tensor, rule
from hepml_root.export.cpp_moves import numbered, pick
from hepml_root.export.cpp_steps import AlongAxis, Map
from hepml_root.export.cpp_weights import number

REDUCTIONS = {
    "ReduceSum": "reduce:Sum",
    "ReduceMean": "reduce:Mean",
    "ReduceProd": "reduce:Prod",
    "ReduceMax": "reduce:Max",
    "ReduceMin": "reduce:Min",
    "ReduceL1": "reduce:L1",
    "ReduceL2": "reduce:L2",
    "ReduceSumSquare": "reduce:SumSquare",
    "ReduceLogSum": "reduce:LogSum",
    "ReduceLogSumExp": "log_sum_exp",
}


@rule(*REDUCTIONS)
def reduction(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    if source.kind != "int" or node.operator not in ("ReduceSum", "ReduceMax", "ReduceMin"):
        floats(node, [source])
    rank = len(source.shape)
    given = node.attributes.get("axes")
    if node.optional(1) is not None:
        given = node.constant(1, "the axes").ravel()
    if given is None or len(given) == 0:
        if node.attributes.get("noop_with_empty_axes", 0):
            return [source]
        raise node.refuse("reduces over all axes and so mixes events.")
    axes = sorted({node.axis(int(axis), rank) for axis in given})
    kept = [axis for axis in range(rank) if axis not in axes]
    if axes != list(range(axes[0], axes[-1] + 1)):
        # Axes that are not neighbours are brought together at the end.
        source = pick(lowering, source, numbered(source).transpose(kept + axes))
        outer, inner = math.prod(source.shape[: len(kept)]), 1
        reduced = math.prod(source.shape[len(kept) :])
        lengths = iter(source.shape[: len(kept)])
    else:
        outer, inner = math.prod(source.shape[: axes[0]]), math.prod(source.shape[axes[-1] + 1 :])
        reduced = math.prod(source.shape[axes[0] : axes[-1] + 1])
        lengths = iter([source.shape[axis] for axis in kept])
    keep = node.attributes.get("keepdims", 1)
    shape = tuple(next(lengths) if axis in kept else 1 for axis in range(rank) if keep or axis in kept)
    step = AlongAxis(REDUCTIONS[node.operator], source, (outer, reduced, inner), outer * inner)
    return [lowering.add(step, shape)]


@rule("Softmax", "LogSoftmax")
def softmax(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    floats(node, [source])
    axis = node.axis(node.attributes.get("axis", -1), len(source.shape))
    extents = (math.prod(source.shape[:axis]), source.shape[axis], math.prod(source.shape[axis + 1 :]))
    kernel = "softmax" if node.operator == "Softmax" else "log_softmax"
    return [lowering.add(AlongAxis(kernel, source, extents, source.size), source.shape)]


@rule("LayerNormalization")
def layer_normalization(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    floats(node, [source])
    axis = node.axis(node.attributes.get("axis", -1), len(source.shape))
    length = math.prod(source.shape[axis:])
    epsilon = number(node.attributes.get("epsilon", 1e-5))
    step = AlongAxis("standardise", source, (source.size // length, length), source.size, (epsilon,))
    expression: Expression = Load(lowering.add(step, source.shape))
    for index, formula in ((1, "{0} * {1}"), (2, "{0} + {1}")):
        if node.optional(index) is not None:
            array = constant(node, node.constant(index, "the scale or shift"))
            expression = Call(formula, (expression, _feature_wise(node, array, source.shape)))
    return [lowering.add(Map(source.size, expression), source.shape)]


def _feature_wise(node: Node, array: np.ndarray, shape: tuple[int, ...]) -> Expression:
    try:
        if np.broadcast_shapes(array.shape, shape) != tuple(shape):
            raise ValueError
    except ValueError:
        raise node.refuse(f"a scale or shift of shape {array.shape} does not fit {shape}.") from None
    return Weight(array, broadcast(array.shape, shape))
