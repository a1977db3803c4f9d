"""Rules for operators along axes of one event: sums, extrema, softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hepml_root.export.cpp.elementwise import elementwise, floats
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, rule
from hepml_root.export.cpp.moves import numbered, pick
from hepml_root.export.cpp.steps import AlongAxis

# The kernel of every operator, and what it does to a single element.
REDUCTIONS = {
    "ReduceSum": ("reduce:Sum", "{0}"),
    "ReduceMean": ("reduce:Mean", "{0}"),
    "ReduceProd": ("reduce:Prod", "{0}"),
    "ReduceMax": ("reduce:Max", "{0}"),
    "ReduceMin": ("reduce:Min", "{0}"),
    "ReduceL1": ("reduce:L1", "engine::absolute({0})"),
    "ReduceL2": ("reduce:L2", "engine::absolute({0})"),
    "ReduceSumSquare": ("reduce:SumSquare", "{0} * {0}"),
    "ReduceLogSum": ("reduce:LogSum", "engine::logarithm({0})"),
    "ReduceLogSumExp": ("log_sum_exp", "{0}"),
}
OF_INTEGERS = ("ReduceSum", "ReduceMax", "ReduceMin")  # exact up to 2^24, like all integers here


@rule(*REDUCTIONS)
def reduction(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    if node.operator not in OF_INTEGERS:
        floats(node, [source])
    kernel, alone = REDUCTIONS[node.operator]
    rank = len(source.shape)
    given: Sequence[int] | None = node.attributes.get("axes")
    if node.optional(1) is not None:
        given = [int(axis) for axis in node.constant(1, "the axes").ravel()]
    if not given:
        if node.attributes.get("noop_with_empty_axes", 0):
            return elementwise(node, lowering, alone, [source], source.kind)
        if node.batched:
            raise node.refuse("reduces over all axes and so mixes events.")
        given = range(rank)
    axes = sorted({node.axis(int(axis), rank) for axis in given})
    keep = bool(node.attributes.get("keepdims", 1))
    if not axes:  # a single number
        return elementwise(node, lowering, alone, [source], source.kind)
    return [reduced(lowering, source, axes, kernel, keep)]


def reduced(lowering: Lowering, source: Tensor, axes: Sequence[int], kernel: str, keep: bool) -> Tensor:
    """Add the reduction of a value over some axes (of ``source.shape``, sorted)."""
    rank = len(source.shape)
    kept = [axis for axis in range(rank) if axis not in axes]
    shape = tuple(1 if axis in axes else source.shape[axis] for axis in range(rank) if keep or axis in kept)
    if list(axes) != list(range(axes[0], axes[-1] + 1)):
        # Axes that are not neighbours are brought together at the end.
        source = pick(lowering, source, numbered(source).transpose([*kept, *axes]))
        axes = range(len(kept), rank)
    outer, inner = math.prod(source.shape[: axes[0]]), math.prod(source.shape[axes[-1] + 1 :])
    length = math.prod(source.shape[axes[0] : axes[-1] + 1])
    step = AlongAxis(kernel, source, (outer, length, inner), outer * inner)
    return lowering.add(step, shape, source.kind)


@rule("Softmax", "LogSoftmax", "Hardmax")
def softmax(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    floats(node, [source])
    if not source.shape:
        raise node.refuse("its input has no axis but that of the events.")
    axis = node.axis(node.attributes.get("axis", -1), len(source.shape))
    extents = (math.prod(source.shape[:axis]), source.shape[axis], math.prod(source.shape[axis + 1 :]))
    kernel = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Hardmax": "hardmax"}[node.operator]
    return [lowering.add(AlongAxis(kernel, source, extents, source.size), source.shape)]


def last(lowering: Lowering, source: Tensor, axes: Sequence[int]) -> tuple[Tensor, np.ndarray]:
    """Return a value with some axes moved to the end, and where its elements then are, in its old shape."""
    order = [axis for axis in range(len(source.shape)) if axis not in axes] + list(axes)
    moved = pick(lowering, source, numbered(source).transpose(order))
    return moved, numbered(moved).transpose(np.argsort(order))
