"""Rules for pooling: the maximum, the mean or a norm of windows of an image, or of the whole image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hepml_root.export.cpp.convolution import MOST_AXES, Window, image_shape, same, window_of
from hepml_root.export.cpp.elementwise import floats
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, check_size, rule
from hepml_root.export.cpp.steps import TILE, Moved, Place, Scratch, Step
from hepml_root.export.cpp.weights import Weights, number

# Windows up to here are written out where they lie inside the image.
MOST_WRITTEN_OUT = 16


@dataclass(frozen=True)
class Axis:
    """One axis: output ``o`` takes pixels ``o * stride + first + t * step``, t < taps.

    ``counted`` says for each output how many pixels a mean is divided by.
    """

    length: int
    out: int
    stride: int
    step: int
    taps: int
    first: int
    counted: tuple[int, ...]

    def code(self) -> str:
        return f"{{{self.length}, {self.out}, {self.stride}, {self.step}, {self.taps}, {self.first}}}"


NO_AXIS = Axis(1, 1, 1, 1, 1, 0, (1,))


class Pooling(Step):
    """``operation`` of engine/pooling.hxx over the windows of ``planes`` images of one channel."""

    headers = ("pooling",)
    slack = TILE

    def __init__(
        self,
        source: Tensor,
        operation: str,
        power: float,
        planes: int,
        axes: tuple[Axis, ...],
        lowering: Lowering,
    ) -> None:
        super().__init__(planes * math.prod(axis.out for axis in axes))
        check_size(self.size)
        self.source, self.operation, self.power, self.planes, self.axes = (
            source,
            operation,
            power,
            planes,
            axes,
        )
        wide = axes[2]
        reached = -(-wide.out // TILE) * TILE * wide.stride + (wide.taps - 1) * wide.step
        # A row of inputs is written in whole registers, and read from its frame to the last window.
        self.row = max(max(0, -wide.first) + wide.length + TILE, max(0, wide.first) + reached) + TILE
        rows = self.row * math.prod(axis.out for axis in axes[:2])
        self.scratch = lowering.add(Scratch(rows), (rows,))

    def reads(self) -> Iterator[Tensor]:
        yield self.source
        yield self.scratch

    def redirect(self, moved: Moved) -> None:
        self.source, self.scratch = moved(self.source), moved(self.scratch)

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        height, wide = self.axes[1].taps, self.axes[2].taps
        taps = f"{height}, {wide}" if height * wide <= MOST_WRITTEN_OUT else "0, 0"
        counted = np.concatenate([axis.counted for axis in self.axes]).astype(np.float32)
        # One event reads whole registers of them.
        counts = weights.place(np.concatenate([counted, np.ones(TILE, np.float32)]))
        axes = ", ".join(axis.code() for axis in self.axes)
        return [
            "{",
            f"   const engine::Pooling layer = {{{self.planes}, {{{axes}}}, w + {counts}, "
            f"{number(self.power)}, {self.row}}};",
            f"   engine::pooling<M, engine::{self.operation}, {taps}>"
            f"(layer, {place(self.source)}, {to}, {place(self.scratch)});",
            "}",
        ]


def _norm(node: Node) -> tuple[str, float]:
    power = float(node.attributes.get("p", 2))
    if power < 1:
        raise node.refuse(f"p={power:g}; norms of 1 and above are supported.")
    return {1.0: "L1Pool", 2.0: "L2Pool"}.get(power, "LpPool"), power


def _operation(node: Node) -> tuple[str, float]:
    if node.operator.endswith("LpPool"):
        return _norm(node)
    return {"Max": "MaxPool", "Ave": "AveragePool"}[node.operator.removeprefix("Global")[:3]], 0.0


@rule("MaxPool", "AveragePool", "LpPool")
def pooling(node: Node, lowering: Lowering) -> list[Tensor]:
    window = window_of(node, [int(n) for n in node.attributes["kernel_shape"]])
    if min(window.kernel) < 1:
        raise node.refuse(f"kernel_shape={list(window.kernel)}.")
    if node.attributes.get("storage_order", 0) and len([name for name in node.outputs if name]) > 1:
        raise node.refuse("indices of maxima are not supported.")
    images, (channels, *lengths) = image_shape(node, len(window.kernel))
    axes = tuple(_axis(node, window, i, length) for i, length in enumerate(lengths))
    return _step(node, lowering, images, channels, axes)


@rule("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool")
def global_pooling(node: Node, lowering: Lowering) -> list[Tensor]:
    rank = len(node.tensor().shape) + node.leading - 2
    images, (channels, *lengths) = image_shape(node, rank)
    if rank < 1:
        raise node.refuse("its input has no spatial axes.")
    # The axes are neighbours: one axis of all pixels is the same.
    pixels = math.prod(lengths)
    result = _step(node, lowering, images, channels, (Axis(pixels, 1, 1, 1, pixels, 0, (pixels,)),))[0]
    shape = (channels, *(1,) * rank)
    return [Tensor(result.step, shape if node.batched else (images, *shape), result.kind)]


def _step(node: Node, lowering: Lowering, images: int, channels: int, axes: tuple[Axis, ...]) -> list[Tensor]:
    operation, power = _operation(node)
    if operation != "MaxPool":  # the largest of integers is one of them
        floats(node, [node.tensor()])
    three = (NO_AXIS,) * (MOST_AXES - len(axes)) + axes
    step = Pooling(node.tensor(), operation, power, images * channels, three, lowering)
    shape = (channels, *(axis.out for axis in axes))
    return [lowering.add(step, shape if node.batched else (images, *shape), node.tensor().kind)]


def _axis(node: Node, window: Window, i: int, length: int) -> Axis:
    taps, stride, step = window.kernel[i], window.strides[i], window.dilations[i]
    before, after = window.before[i], window.after[i]
    reach = (taps - 1) * step + 1
    if window.automatic.startswith("SAME"):
        before, after = same(length, reach, stride, window.automatic)
    if min(before, after) < 0:
        raise node.refuse(f"negative pads {[before, after]}.")
    if length + before + after < reach:
        raise node.refuse(f"an axis of {length} elements with padding is shorter than the window.")
    beyond = length + before + after - reach
    out = beyond // stride + 1
    if node.attributes.get("ceil_mode", 0) and not window.automatic.startswith("SAME"):
        out = -(-beyond // stride) + 1
        if (out - 1) * stride >= length + before:  # a window of padding alone
            out -= 1
    check_size(out * taps)
    places = np.arange(out)[:, None] * stride - before + np.arange(taps) * step
    inside = ((places >= 0) & (places < length)).sum(axis=1)
    if not inside.all():
        raise node.refuse("a window lies in the padding, without any element of the input.")
    counted = (places < length + after).sum(axis=1) if node.attributes.get("count_include_pad", 0) else inside
    return Axis(length, out, stride if out > 1 else 1, step, taps, -before, tuple(counted.tolist()))
