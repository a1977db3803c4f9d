"""Rules for normalisation: of layers, instances, groups and batches, by norms, of neighbouring channels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from hepml_root.export.cpp.elementwise import constant, elementwise, floats
from hepml_root.export.cpp.expression import Call, Load, Weight, broadcast
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, Value, rule
from hepml_root.export.cpp.moves import numbered, pick
from hepml_root.export.cpp.reduction import last, reduced
from hepml_root.export.cpp.steps import AlongAxis, Epilogued, Map, Moved, Place
from hepml_root.export.cpp.weights import Weights, number

MEAN_AND_VARIANCE = "MeanAndVariance"


class Normalised(Epilogued):
    """Rows of ``length`` neighbouring features, each normalised (engine/normalization.hxx), and a formula."""

    header = "normalization"

    def __init__(self, source: Tensor, length: int, kind: str, epsilon: float) -> None:
        super().__init__(source.size)
        self.source, self.length, self.kind, self.epsilon = source, length, kind, epsilon

    def sources(self) -> Iterator[Tensor]:
        yield self.source

    def redirect(self, moved: Moved) -> None:
        super().redirect(moved)
        self.source = moved(self.source)

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        return [
            f"engine::normalise<M, engine::{self.kind}, {self.size // self.length}, {self.length}>"
            f"({place(self.source)}, {to}, {number(self.epsilon)}, {self.ending(place, weights)});"
        ]


def _normalised(
    lowering: Lowering, source: Tensor, length: int, epsilon: float, kind: str = MEAN_AND_VARIANCE
) -> Tensor:
    return lowering.add(Normalised(source, length, kind, epsilon), source.shape)


def _scaled(
    node: Node, lowering: Lowering, value: Tensor, scale: Value | None, shift: Value | None
) -> list[Tensor]:
    for formula, factor in (("{0} * {1}", scale), ("{0} + {1}", shift)):
        if factor is not None:
            floats(node, [factor])
            (scaled,) = elementwise(node, lowering, formula, [value, factor])
            if scaled.shape != value.shape:
                raise node.refuse(f"a scale or shift that does not fit {value.shape}.")
            value = scaled
    return [value]


@rule("LayerNormalization", "RMSNormalization")
def layer_normalization(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    floats(node, [source])
    axis = node.axis(node.attributes.get("axis", -1), len(source.shape))
    length = math.prod(source.shape[axis:])
    epsilon = node.attributes.get("epsilon", 1e-5)
    kind = MEAN_AND_VARIANCE if node.operator == "LayerNormalization" else "MeanSquare"
    normal = _normalised(lowering, source, length, epsilon, kind)
    result = _scaled(node, lowering, normal, node.inputs[1], node.optional(2))
    if len(node.outputs) == 1 or node.operator != "LayerNormalization":
        return result
    axes = range(axis, len(source.shape))
    mean = reduced(lowering, source, axes, "reduce:Mean", True)
    (squares,) = elementwise(node, lowering, "({0} - {1}) * ({0} - {1})", [source, mean])
    variance = reduced(lowering, squares, axes, "reduce:Mean", True)
    formula = f"1.0f / engine::square_root({{0}} + {number(epsilon)})"
    return [*result, mean, *elementwise(node, lowering, formula, [variance])]


def _channel(node: Node, source: Tensor) -> int:
    """Return the axis of the channels, the second of the file."""
    if len(source.shape) + node.leading < 2:
        raise node.refuse("its input has no channel axis.")
    return node.axis(1, len(source.shape))


def _per_channel(node: Node, source: Tensor, value: Value | None) -> Value:
    """Return a parameter of the channels in a shape that is broadcast over a value."""
    axis = _channel(node, source)
    shape = tuple(source.shape[axis] if other == axis else 1 for other in range(axis, len(source.shape)))
    if isinstance(value, Tensor):
        if node.batched or value.shape != (shape[0],):
            raise node.refuse("a parameter of the channels that depends on the events.")
        return Tensor(value.step, (1,) * axis + shape, value.kind, value.offset)
    if not isinstance(value, np.ndarray) or value.shape != (shape[0],):
        raise node.refuse(f"a parameter that does not have a value for each of {shape[0]} channels.")
    return constant(node, value).reshape(shape)


@rule("InstanceNormalization", "GroupNormalization")
def group_normalization(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    floats(node, [source])
    axis = _channel(node, source)
    channels = source.shape[axis]
    groups = channels if node.operator == "InstanceNormalization" else int(node.attributes["num_groups"])
    if groups < 1 or channels % groups:
        raise node.refuse(f"{channels} channels cannot be cut into {groups} groups.")
    parameters: list[Value | None] = [node.inputs[1], node.inputs[2]]
    if node.operator == "GroupNormalization" and node.opset < 21:  # a value per group
        parameters = [
            np.repeat(node.constant(i, "a parameter of the groups"), channels // groups) for i in (1, 2)
        ]
    length = math.prod(source.shape[axis:]) // groups
    normal = _normalised(lowering, source, length, node.attributes.get("epsilon", 1e-5))
    scale, shift = (_per_channel(node, source, value) for value in parameters)
    return _scaled(node, lowering, normal, scale, shift)


@rule("BatchNormalization")
def batch_normalization(node: Node, lowering: Lowering) -> list[Tensor]:
    """At inference a scale and a shift per channel."""
    source = node.tensor()
    floats(node, [source])
    if node.attributes.get("training_mode", 0):
        raise node.refuse("training_mode=1 would mix events.")
    epsilon = node.attributes.get("epsilon", 1e-5)
    values = [_per_channel(node, source, value) for value in node.inputs[1:5]]
    if any(isinstance(value, Tensor) for value in values):
        formula = f"({{0}} - {{3}}) * ({{1}} / engine::square_root({{4}} + {number(epsilon)})) + {{2}}"
        return elementwise(node, lowering, formula, [source, *values])
    scale, shift, mean, variance = (np.asarray(value, np.float64) for value in values)
    factor = scale / np.sqrt(variance + epsilon)
    how = broadcast(factor.shape, source.shape)
    arrays = [array.astype(np.float32) for array in (factor, shift - mean * factor)]
    expression = Call("{0} * {1} + {2}", (Load(source), *(Weight(array, how) for array in arrays)))
    return [lowering.add(Map(source.size, expression), source.shape)]


def _over(lowering: Lowering, source: Tensor, axes: Sequence[int], kind: str, epsilon: float) -> list[Tensor]:
    """Normalise a value over axes anywhere."""
    moved, places = last(lowering, source, axes)
    length = math.prod(source.shape[axis] for axis in axes)
    return [pick(lowering, _normalised(lowering, moved, length, epsilon, kind), places)]


@rule("LpNormalization")
def norm(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    floats(node, [source])
    order = node.attributes.get("p", 2)
    if order not in (1, 2):
        raise node.refuse(f"p={order}; 1 and 2 exist.")
    axis = node.axis(node.attributes.get("axis", -1), len(source.shape))
    return _over(lowering, source, [axis], f"Norm<engine::L{order}>", 0.0)


@rule("MeanVarianceNormalization")
def mean_variance(node: Node, lowering: Lowering) -> list[Tensor]:
    """(x - mean) / (standard deviation + 1e-9)."""
    source = node.tensor()
    floats(node, [source])
    axes = sorted({node.axis(int(a), len(source.shape)) for a in node.attributes.get("axes", (0, 2, 3))})
    if not axes:
        raise node.refuse("normalises over no axis.")
    return _over(lowering, source, axes, MEAN_AND_VARIANCE, 1e-18)


@rule("LRN")
def local_response(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    floats(node, [source])
    axis, size = _channel(node, source), int(node.attributes["size"])
    if size < 1:
        raise node.refuse(f"a window of {size} channels.")
    extents = (
        math.prod(source.shape[:axis]),
        source.shape[axis],
        math.prod(source.shape[axis + 1 :]),
        (size - 1) // 2,
        size // 2,
    )
    settings = (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    alpha, beta, bias = (float(node.attributes.get(name, default)) for name, default in settings)
    arguments = tuple(number(value) for value in (alpha / size, beta, bias))
    step = AlongAxis("local_response", source, extents, source.size, arguments)
    step.headers = ("normalization",)
    return [lowering.add(step, numbered(source).shape)]
