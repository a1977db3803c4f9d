"""Rules for random numbers: each is a function of the caller's seed and of the number of the event.

The generator is engine/random.hxx's. A ``seed`` that a node carries is not used: the caller's is
(``Session.infer``), so that a second run with another seed gives other events.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hepml_root.export.cpp.elementwise import elementwise, floats
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, Value, check_size, rule
from hepml_root.export.cpp.steps import Place, Step
from hepml_root.export.cpp.weights import Weights, number

LARGEST = float(np.finfo(np.float32).max)


class Draw(Step):
    """``size`` random numbers for each event, of a C++ distribution with its parameters."""

    headers = ("random",)

    def __init__(self, size: int, distribution: str, parameters: Sequence[float], node: int) -> None:
        super().__init__(size)
        self.distribution, self.parameters, self.node = distribution, tuple(parameters), node

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:  # noqa: ARG002
        parameters = ", ".join(map(number, self.parameters))
        return [
            f"engine::draw<M, {self.size}>(draws.seed, draws.event, {self.node},"
            f" engine::{self.distribution}{{{parameters}}}, {to});"
        ]


def drawn(
    lowering: Lowering, shape: tuple[int, ...], distribution: str, parameters: Sequence[float]
) -> Tensor:
    """Return random numbers that are independent of all others of the network."""
    check_size(math.prod(shape))
    # A node in the body of a loop is read several times, and draws anew each time.
    node = sum(isinstance(step, Draw) for step in lowering.steps)
    return lowering.add(Draw(math.prod(shape), distribution, parameters, node), shape)


def uniform(low: float, high: float) -> tuple[float, float, float]:
    """Return the parameters of engine::Uniform: the lower end, the range, the largest number."""
    last = np.nextafter(np.float32(high), np.float32(low)) if high > low else np.float32(high)
    return low, float(np.float32(high) - np.float32(low)), float(last)


@rule("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
def random(node: Node, lowering: Lowering) -> list[Tensor]:
    shape, batch_axis = _shape(node)
    if math.prod(shape) == 0:
        raise node.refuse(f"its shape {shape} is empty.")
    attributes = node.attributes
    if node.operator.startswith("RandomNormal"):
        parameters: Sequence[float] = (attributes.get("mean", 0.0), attributes.get("scale", 1.0))
        ok = all(math.isfinite(value) for value in parameters) and parameters[1] >= 0
        distribution = "Normal"
    else:
        low, high = attributes.get("low", 0.0), attributes.get("high", 1.0)
        parameters, distribution = uniform(low, high), "Uniform"
        ok = all(math.isfinite(value) for value in parameters) and low <= high
    if not ok:
        raise node.refuse(f"its distribution has the parameters {parameters}.")
    value = drawn(lowering, shape, distribution, parameters)
    return [Tensor(value.step, shape, "float", value.offset, batch_axis)]


def _shape(node: Node) -> tuple[tuple[int, ...], int]:
    """Return the shape of what is drawn for one event, and where the batch stands."""
    if node.operator.endswith("Like"):
        like: Value | None = node.inputs[0]
        if isinstance(like, Tensor):
            return like.shape, like.batch_axis
        full = node.constant(0, "its input").shape
    else:
        full = tuple(int(n) for n in node.attributes["shape"])
        if any(n < 0 for n in full):
            raise node.refuse(f"shape={list(full)} has a negative length.")
    if not node.batched:
        return full, 0
    if not full or full[0] != 1:
        raise node.refuse(
            f"draws {full} numbers whatever the number of events; take the ...Like operator of an input."
        )
    return full[1:], 0


@rule("Bernoulli")
def bernoulli(node: Node, lowering: Lowering) -> list[Tensor]:
    """1 with the probability that the input is, else 0."""
    source = node.tensor()
    floats(node, [source])
    draws = drawn(lowering, source.shape, "Uniform", uniform(0.0, 1.0))
    return elementwise(node, lowering, "engine::less({0}, {1})", [draws, source], "bool")


@rule("Multinomial")
def multinomial(node: Node, lowering: Lowering) -> list[Tensor]:  # noqa: ARG001
    raise node.refuse(
        "is not supported; compare the cumulative sum of probabilities with a RandomUniformLike."
    )
