"""Where the batch stands: recurrent layers want it at the second axis, and graphs carry it there and back.

In memory the batch has no place among the axes of a value (engine/lanes.hxx), so that a Transpose or Reshape
that only carries it elsewhere costs nothing: the same features get another ``Tensor.batch_axis``. Operators
that move it are read here as if it stood first, where their rules expect it. Others keep it where it is, and
count their axes with :meth:`Node.axis`; those that are not known to do so are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hepml_root.export.cpp.graph import Node, Repeated, Tensor

# Operators with as many axes behind them as before, or one axis less for each that they reduce.
ANYWHERE = {
    *("Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "Cast", "Ceil", "Celu", "Clip"),
    *("Concat", "Cos", "Cosh", "CumSum", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu"),
    *("Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu"),
    *("Less", "LessOrEqual", "Log", "LogSoftmax", "Max", "Mean", "Min", "Mish", "Mul", "Neg", "Not", "Or"),
    *("PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Slice"),
    *("Softmax", "Softplus", "Softsign", "Split", "Sqrt", "Sub", "Sum", "Tan", "Tanh", "ThresholdedRelu"),
    *("Bernoulli", "RandomNormalLike", "RandomUniformLike", "Where", "Xor"),
    *("Where", "Xor", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "CastLike", "Mod"),
    *("Shrink", "Swish"),
}
REDUCING = {
    *("ArgMax", "ArgMin", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax"),
    *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"),
}
# Operators whose rules say themselves where the batch of their outputs stands.
KNOWING = {"GRU", "LSTM", "RNN"}


def aligns(operator: str, constant: Repeated, tensors: Sequence[Tensor]) -> bool:
    """Whether a rule takes a constant of length 1 along the batch as it is, beside values of the events."""
    if operator in KNOWING:
        return bool(tensors)
    same = all(
        tensor.batch_axis == constant.batch_axis and len(tensor.shape) + 1 == constant.array.ndim
        for tensor in tensors
    )
    return bool(tensors) and operator in ANYWHERE and same


def before_rule(node: Node, fixed: bool = False) -> int | None:
    """Let a rule see the batch where it expects it; return where it stands behind the node.

    None where the rule itself says so. ``fixed`` is whether the file writes out a batch of 1.
    """
    tensors = [value for value in node.inputs if isinstance(value, Tensor)]
    if node.domain and any(tensor.batch_axis for tensor in tensors):
        raise node.refuse("takes the batch as its first axis.")
    if not node.batched or not tensors or node.domain or node.operator in KNOWING:
        return None
    axes = {tensor.batch_axis for tensor in tensors}
    if len(axes) > 1:
        raise node.refuse(f"its inputs have the batch at different axes, {sorted(axes)}.")
    batch = axes.pop()
    source = node.inputs[0]
    if isinstance(source, Tensor) and node.operator == "Transpose":
        return _transpose(node, source, batch)
    if isinstance(source, Tensor) and node.operator == "Unsqueeze":
        return _unsqueeze(node, source, batch)
    if isinstance(source, Tensor) and node.operator == "Reshape":
        return _reshape(node, source, batch, fixed)
    if batch == 0:
        return 0
    node.batch_axis = batch
    if node.operator in ANYWHERE:
        return batch
    rank = len(tensors[0].shape)
    if node.operator in REDUCING or node.operator == "Squeeze":
        if node.attributes.get("keepdims", int(node.operator != "Squeeze")):
            return batch
        given = node.attributes.get("axes", [node.attributes.get("axis", 0)])
        if node.optional(1) is not None:
            given = node.constant(1, "the axes").ravel()
        return batch - sum(node.axis(int(axis), rank) < batch for axis in {int(a) for a in given})
    if node.operator == "Gather":
        axis = node.axis(node.attributes.get("axis", 0), rank)
        return batch + (node.constant(1, "the indices").ndim - 1 if axis < batch else 0)
    raise node.refuse(
        f"has the batch at axis {batch} of its input. This operator is supported with the batch first: put a "
        "Transpose before it."
    )


def _first(axis: int, batch: int) -> int:
    """Return what an axis becomes when the batch is put first."""
    return 0 if axis == batch else axis + (axis < batch)


def _transpose(node: Node, source: Tensor, batch: int) -> int:
    rank = len(source.shape) + 1
    order = [int(axis) for axis in node.attributes.get("perm", range(rank - 1, -1, -1))]
    if sorted(order) != list(range(rank)):
        raise node.refuse(f"perm={order} is no order of {rank} axes.")
    node.attributes["perm"] = [0, *(_first(axis, batch) for axis in order if axis != batch)]
    return order.index(batch)


def _unsqueeze(node: Node, source: Tensor, batch: int) -> int:
    given = [int(axis) for axis in node.constant(1, "the axes").ravel()]
    rank = len(source.shape) + 1 + len(given)
    if any(not -rank <= axis < rank for axis in given):
        raise node.refuse(f"axes {given} of a value with {rank} axes.")
    new = [axis % rank for axis in given]
    behind = [axis for axis in range(rank) if axis not in new][batch]
    node.inputs[1] = np.array([_first(axis, behind) for axis in new], dtype=np.int64)
    return behind


def _reshape(node: Node, source: Tensor, batch: int, fixed: bool) -> int:
    """The batch stays apart from the features if as many of them lie in front of it as before."""
    wanted = node.dimensions(1, "the shape")
    full: list[int | None] = [*source.shape[:batch], None, *source.shape[batch:]]
    if not node.attributes.get("allowzero", 0):
        wanted = [full[i] if n == 0 and i < len(full) else n for i, n in enumerate(wanted)]
    before, after = math.prod(source.shape[:batch]), math.prod(source.shape[batch:])

    def fits(axis: int) -> bool:
        return all(
            math.prod(n for n in part if n not in (None, -1)) == size
            or (-1 in part and wanted[axis] != -1)  # what it stands for is seen when it is computed
            for part, size in ((wanted[:axis], before), (wanted[axis + 1 :], after))
        )

    # The axis that is known to be the batch, or that is left free, or the first that is left at 1.
    written = (1, -1) if fixed else (-1, 1)
    candidates = [axis for axis, n in enumerate(wanted) if n is None] or [
        axis for number in written for axis, n in enumerate(wanted) if n == number and fits(axis)
    ]
    behind = candidates[0] if candidates else 0
    if not candidates or not fits(behind):
        if batch == 0 and behind == 0:
            return 0  # the rule says what is wrong
        raise node.refuse(f"the new shape {wanted} mixes the batch, axis {batch}, with features.")
    rest = wanted[:behind] + wanted[behind + 1 :]
    if any(n is None or n == 0 for n in rest):
        raise node.refuse(f"the new shape {wanted} is empty, or has the number of events twice.")
    node.attributes.pop("allowzero", None)
    node.inputs[1] = np.array([0 if -1 in rest else -1, *rest], dtype=np.int64)
    return behind
