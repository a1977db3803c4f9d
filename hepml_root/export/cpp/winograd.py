"""Convolutions with 3 × 3 taps by minimal filtering: 16 products for four outputs in place of 36.

Winograd's algorithm F(2 × 2, 3 × 3) (arXiv:1509.09308); engine/winograd.hxx has the formulas. A convolution
is computed by it in blocks and alone, so that the results are the same, or not at all.

The kernel reads and writes images pixel after pixel, with all channels side by side. Layers that follow one
another keep that order; where another step reads or writes the image the order is changed in between.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from hepml_root.export.cpp.convolution import PASS, Convolution
from hepml_root.export.cpp.expression import Sum
from hepml_root.export.cpp.graph import Graph, Tensor
from hepml_root.export.cpp.pooling import Pooling
from hepml_root.export.cpp.rewriting import readers, rename
from hepml_root.export.cpp.steps import TILE, Dense, Place, Step
from hepml_root.export.cpp.weights import Weights

PLACES = 16  # of a tile: its products
REGISTERS = 24  # of tiles of one event that are summed together, at most
FEWEST_CHANNELS = 8
# In multiplications: what one tile costs beside its products for every channel of the input and of the
# output, and how much faster than the direct sum it all must be.
SPREADING, GATHERING, GAIN = 48, 48, 1.1

# The sums of taps that inputs are multiplied by, along one axis.
SUMS_OF_TAPS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


class Winograd(Convolution):
    """A convolution of images of two axes with 3 × 3 taps and stride 1, and the largest of 2 × 2 outputs.

    ``of_last`` and ``last`` say whether the image that it reads, and its own, are stored pixel after pixel.
    """

    header = "winograd"
    of_last = False
    pooled = False

    def __init__(self, layer: Convolution) -> None:
        self.__dict__.update(layer.__dict__)

    @property
    def can_be_last(self) -> bool:
        return self.anywhere

    @property
    def tiles(self) -> int:
        return -(-self.axes[1].out // 2) * -(-self.axes[2].out // 2)

    def pool(self) -> None:
        """Take the largest of the outputs of every whole tile."""
        self.pooled = True
        self.pixels = (self.axes[1].out // 2) * (self.axes[2].out // 2)
        self.size = self.images * self.groups * self.outputs * self.pixels

    def _buffers(self) -> tuple[int, int, int]:
        """Return the floats per event for what is transformed, and for both images in the kernel's order."""
        inputs = -(-self.inputs // TILE) * TILE
        of_event = PLACES * (REGISTERS * (inputs + TILE) + TILE)
        of_block = PLACES * (3 * (self.inputs + PASS) + 1)
        pixels = self.axes[1].length * self.axes[2].length
        image = self.images * self.groups * self.inputs * pixels
        return (
            max(of_event, of_block),
            0 if self.of_last else (image // TILE + 2) * TILE,
            0 if self.last else (self.size // TILE + 2) * TILE,
        )

    def _scratch(self) -> int:
        return sum(self._buffers())

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        _, height, wide = self.axes
        packed = weights.place(
            pack(self.kernel[..., 0, :, :][..., list(height.taps[0]), :][..., list(wide.taps[0])])
        )
        bias = weights.place(self.bias.astype(np.float32))
        sizes = [self.images, height.length, wide.length]
        sizes += [-height.first[0], -wide.first[0], height.out, wide.out]
        scratch, before, _ = self._buffers()
        source, room = place(self.source), place(self.scratch)
        image, result = (f"{room} + {start} * M::lanes" for start in (scratch, scratch + before))
        image, result = (source if self.of_last else image), (to if self.last else result)
        late = not self.anywhere  # the formula needs to know where it is
        ending = "engine::Identity{}" if self.relu or late else self.ending(place, weights)
        parameters = [str(n) for n in (self.groups, self.outputs, self.inputs, self.tiles)]
        parameters += [str(self.relu).lower(), str(self.pooled).lower()]
        lines = [
            "{",
            f"   static constexpr engine::Winograd layer = {{{', '.join(map(str, sizes))}}};",
            f"   engine::winograd<M, {', '.join(parameters)}>(layer, {image}, w + {packed}, w + {bias}, "
            f"{result}, {room}, {ending});",
            "}",
        ]
        if not self.of_last:
            sizes = [self.images, self.groups * self.inputs, height.length * wide.length]
            lines.insert(0, f"engine::channels_last<M>({source}, {', '.join(map(str, sizes))}, {image});")
        if not self.last:
            sizes = [self.images, self.groups * self.outputs, self.pixels]
            lines.append(f"engine::channels_first<M>({result}, {', '.join(map(str, sizes))}, {to});")
        if late:
            lines.append(f"engine::finish<M>({to}, 0, {self.size}, {self.ending(place, weights)});")
        return lines


def pack(kernel: np.ndarray) -> np.ndarray:
    """Return a kernel (groups, outputs, inputs, 3, 3) as engine/winograd.hxx reads it.

    Group by group, in tiles of 16 channels (padded with zeros); of a tile, place by place and input by input,
    its channels side by side.
    """
    groups, outputs, inputs = kernel.shape[:3]
    tiles = -(-outputs // TILE)
    padded = np.zeros((groups, tiles * TILE, inputs, PLACES))
    padded[:, :outputs] = np.einsum("ia,goqab,jb->goqij", SUMS_OF_TAPS, kernel, SUMS_OF_TAPS).reshape(
        groups, outputs, inputs, PLACES
    )
    ordered = padded.reshape(groups, tiles, TILE, inputs, PLACES).transpose(0, 1, 4, 3, 2)
    return ordered.astype(np.float32).ravel()


def suits(layer: Convolution) -> bool:
    """Return whether a convolution can be computed so, and is the faster for it."""
    depth, height, wide = layer.axes
    if layer.inputs < FEWEST_CHANNELS or layer.outputs < FEWEST_CHANNELS:
        return False
    if (depth.length, depth.out, depth.phases, len(depth.taps[0])) != (1, 1, 1, 1) or depth.first != (0,):
        return False
    for axis in (height, wide):
        if (
            axis.phases != 1
            or len(axis.taps[0]) != 3
            or (axis.stride, axis.step) != (1, 1)
            or axis.first[0] > 0
        ):
            return False
    tiles = -(-height.out // 2) * -(-wide.out // 2)
    filtered = PLACES * layer.inputs + GATHERING + SPREADING * layer.inputs / layer.outputs
    return tiles * filtered * GAIN < layer.pixels * 9 * layer.inputs


def filter_minimally(graph: Graph) -> None:
    """Let all convolutions that it suits be computed by Winograd's algorithm."""
    for layer in list(graph.steps):
        if type(layer) is Convolution and suits(layer):
            filtered = Winograd(layer)
            graph.steps[graph.steps.index(layer)] = filtered
            rename(graph, layer, filtered)
    count = readers(graph)
    for step in list(graph.steps):
        if isinstance(step, Pooling):
            _pool(graph, step, count)
    for step in graph.steps:
        if isinstance(step, Winograd | Dense):
            _keep_order(step, count)
    for step in graph.steps:
        if isinstance(step, Winograd):
            step.scratch.step.size = step._scratch()


def _written_for(reader: Step, source: Tensor, count: Counter[Step]) -> Step | None:
    """Return the step whose whole value is the source of ``reader`` and is read nowhere else."""
    whole = source.offset == 0 and source.size == source.step.size
    once = count[source.step] == 1 and sum(tensor.step is source.step for tensor in reader.reads()) == 1
    return source.step if whole and once else None


def _pool(graph: Graph, step: Pooling, count: Counter[Step]) -> None:
    """Let a convolution take the maxima of windows of 2 × 2 outputs."""
    layer = _written_for(step, step.source, count)
    depth, *axes = step.axes
    windows = all((axis.taps, axis.stride, axis.step, axis.first) == (2, 2, 1, 0) for axis in axes)
    if not isinstance(layer, Winograd) or step.operation != "MaxPool" or depth.length != 1 or not windows:
        return
    monotone = layer.relu or isinstance(layer.epilogue, Sum)
    if layer.pooled or not monotone or any(axis.out != axis.length // 2 for axis in axes):
        return
    layer.pool()
    count[layer] = count[step]
    graph.steps.remove(step)
    graph.steps.remove(step.scratch.step)
    rename(graph, step, layer)


def _keep_order(step: Winograd | Dense, count: Counter[Step]) -> None:
    """Let the layer that made the image of this step leave it pixel after pixel."""
    layer = _written_for(step, step.source, count)
    if not isinstance(layer, Convolution) or not layer.can_be_last or layer.last:
        return
    if isinstance(step, Winograd):
        step.of_last = layer.last = True
    elif step.rows == 1 and layer.images == 1 and isinstance(layer, Winograd):
        layer.last = True
        order = np.arange(layer.size).reshape(layer.groups * layer.outputs, layer.pixels)
        step.matrix = step.matrix[order.T.ravel()]
