"""Rules for convolutions and transposed convolutions in one to three dimensions.

Both become the same step: along every axis outputs are written as phases, and every phase is a convolution of
the input with a share of the taps (engine/convolution.hxx has the formula). A convolution has one phase.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hepml_root.export.cpp.elementwise import constant, floats
from hepml_root.export.cpp.expression import Call, Load, Sum, Weight, parts
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, check_size, rule
from hepml_root.export.cpp.steps import LARGEST, TILE, Epilogued, Moved, Place, Scratch
from hepml_root.export.cpp.weights import Weights

MOST_TAPS = 4096
MOST_PHASES = 256
MOST_AXES = 3
PASS = 8  # channels that are summed in registers at most
MOST_TILES = 4  # of 16 channels, that one event takes together
# Of one event, the speed with pixels in lanes by that with channels in lanes, where both use all lanes.
PIXELS_IN_LANES = 0.6


@dataclass(frozen=True)
class Axis:
    """One axis: output ``b * phases + p`` sums inputs ``b * stride + first + t * step``, t < taps.

    ``taps[p]`` are the numbers of the kernel's elements that phase p takes, in the order of t.
    """

    length: int
    out: int
    stride: int = 1
    step: int = 1
    first: tuple[int, ...] = (0,)
    taps: tuple[tuple[int, ...], ...] = ((0,),)

    @property
    def phases(self) -> int:
        return len(self.taps)

    def _ends(self) -> Iterator[tuple[int, int, int]]:
        """Yield for every phase with taps: first and last place of the first output, last place of all."""
        for phase, (first, taps) in enumerate(zip(self.first, self.taps, strict=True)):
            if taps and phase < self.out:
                last = first + (len(taps) - 1) * self.step
                yield first, last, last + (self.out - 1 - phase) // self.phases * self.stride

    @property
    def before(self) -> int:
        """Zeros in front of the first input."""
        return max([0, *(-first for first, _, _ in self._ends())])

    @property
    def framed(self) -> int:
        """Inputs with the zeros at both ends."""
        return self.before + self.length + max([0, *(end + 1 - self.length for _, _, end in self._ends())])

    @property
    def plane(self) -> int:
        """Places of one remainder by the stride that outputs reach, and at least as many as outputs."""
        reached = [(self.before + end) // self.stride + 1 for _, _, end in self._ends()]
        return max([-(-self.out // self.phases), *reached])

    @property
    def window(self) -> int:
        """How many inputs in a row the outputs of one base reach."""
        ends = list(self._ends())
        return max(last for _, last, _ in ends) - min(first for first, _, _ in ends) + 1 if ends else 1

    def code(self, phases: str, slots: int) -> str:
        numbers = [self.length, self.out, self.stride, self.step, self.phases]
        ends = [self.before, self.framed, self.plane, slots]
        return f"{{{', '.join(map(str, numbers))}, {phases}, {', '.join(map(str, ends))}}}"


class Convolution(Epilogued):
    """A convolution of ``images`` images of ``groups * inputs`` channels; ``kernel`` is (groups, outputs of a
    group, inputs of a group, depth, height, width).
    """

    header = "convolution_event"
    slack = TILE
    has_rows = True
    last = False  # whether results are stored pixel after pixel, with all channels side by side

    def __init__(
        self,
        source: Tensor,
        images: int,
        kernel: np.ndarray,
        bias: np.ndarray,
        axes: tuple[Axis, Axis, Axis],
        lowering: Lowering,
    ) -> None:
        self.groups, self.outputs, self.inputs = kernel.shape[:3]
        self.pixels = math.prod(axis.out for axis in axes)
        super().__init__(images * self.groups * self.outputs * self.pixels)
        check_size(self.size)
        self.source, self.images, self.kernel, self.bias, self.axes = source, images, kernel, bias, axes
        self.work = images * kernel.size * self.pixels // math.prod(axis.phases for axis in axes)
        self.scratch = lowering.add(Scratch(self._scratch()), (self._scratch(),))

    def _slots(self) -> tuple[int, int]:
        """Return how many depths, and how many rows of each, the ring holds."""
        depth, height, _ = self.axes
        if depth.length == 1:
            return 1, min(height.window, height.length)
        return min(depth.window, depth.length), height.length

    def _in_place(self) -> bool:
        wide = self.axes[2]
        one_tap = all(len(taps) <= 1 for taps in wide.taps)
        return wide.framed == wide.length and (self.inputs == 1 or one_tap)

    def _scratch(self) -> int:
        """Return the floats that a block of events (per event) or one event needs."""
        slots, rows = self._slots()
        ring = 0 if self._in_place() else slots * rows * self.groups * self.inputs * self.axes[2].framed
        plane = math.prod(axis.plane for axis in self.axes)
        strides = math.prod(axis.stride for axis in self.axes)
        if self._row():
            wide, rows = self.axes[2], math.prod(axis.length for axis in self.axes[:2])
            event = self.groups * rows * wide.framed * self.inputs + MOST_TILES * TILE * self.pixels
        else:
            event = self.groups * self.inputs * plane * strides + PASS * (plane + TILE)
        return max(ring, event + 3 * TILE)

    def _row(self) -> int:
        """Return the fewest pixels of a row of one phase, or 0 if one event has pixels in lanes."""
        wide = self.axes[2]
        row = wide.out // wide.phases
        of_channels = self.outputs / (-(-self.outputs // TILE) * TILE)
        plane = math.prod(axis.plane for axis in self.axes) + TILE / 2
        of_pixels = self.pixels / math.prod(axis.phases for axis in self.axes) / plane
        return row if self.outputs >= TILE // 2 and of_channels > PIXELS_IN_LANES * of_pixels else 0

    def sources(self) -> Iterator[Tensor]:
        yield self.source
        yield self.scratch

    def redirect(self, moved: Moved) -> None:
        super().redirect(moved)
        self.source, self.scratch = moved(self.source), moved(self.scratch)

    def channels(self) -> np.ndarray | None:
        return np.arange(self.size) // self.pixels % (self.groups * self.outputs)

    def absorb(self, scale: np.ndarray, shift: np.ndarray) -> bool:
        kernel = self.kernel * scale.reshape(self.groups, self.outputs, 1, 1, 1, 1)
        bias = self.bias * scale + shift
        if not (np.abs(kernel) < LARGEST).all() or not (np.abs(bias) < LARGEST).all():
            return False
        self.kernel, self.bias = kernel, bias
        return True

    @property
    def can_be_last(self) -> bool:
        """Whether the kernels can store pixel after pixel: the formula must not depend on the place."""
        return self.groups == 1 and self._row() > 0 and self.outputs % TILE == 0 and self.anywhere

    @property
    def anywhere(self) -> bool:
        """Whether the formula is the same for all results."""
        return not any(isinstance(part, Load | Weight) for part in parts(self.epilogue))

    @property
    def relu(self) -> bool:
        """Whether the formula of the sums is a ReLU and nothing else: the kernel has it."""
        return (
            isinstance(self.epilogue, Call)
            and self.epilogue.formula == "engine::relu({0})"
            and isinstance(self.epilogue.arguments[0], Sum)
        )

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        phases = [
            f"{{{first}, {len(taps)}}}"
            for axis in self.axes
            for first, taps in zip(axis.first, axis.taps, strict=True)
        ]
        starts = np.cumsum([0] + [axis.phases for axis in self.axes])
        combinations = [
            len(d) * len(h) * len(w)
            for d in self.axes[0].taps for h in self.axes[1].taps for w in self.axes[2].taps
        ]  # fmt: skip
        firsts = np.cumsum([0, *combinations])
        slots = (*self._slots(), 1)
        axes = [
            axis.code(f"phases + {start}", n)
            for axis, start, n in zip(self.axes, starts[:-1].tolist(), slots, strict=True)
        ]
        most = max(1, math.prod(max(len(taps) for taps in axis.taps) for axis in self.axes))
        packed = weights.place(pack(self.kernel, self.axes).astype(np.float32))
        bias = weights.place(self.bias.astype(np.float32))
        switches = f"{str(self.last).lower()}, {str(self.relu).lower()}"
        start = (
            f"   engine::convolution<M, {self.outputs}, {most}, {self._row()}, "
            f"{self.axes[2].stride * self.inputs}, {switches}>(layer, "
            f"{place(self.source)}, w + {packed}, w + {bias}, {to}, {place(self.scratch)},"
        )
        lines = [
            "{",
            f"   static constexpr engine::Phase phases[] = {{{', '.join(phases)}}};",
            f"   static constexpr std::uint32_t first[] = {{{', '.join(map(str, firsts[:-1].tolist()))}}};",
            f"   static constexpr engine::Convolution layer = {{{self.images}, {self.groups}, {self.inputs}, "
            f"{{{', '.join(axes)}}}, {str(self._in_place()).lower()}, {firsts[-1]}, first}};",
        ]
        ending = "engine::Identity{}" if self.relu else self.ending(place, weights)
        return [*lines, f"{start} {ending});", "}"]


def pack(kernel: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """Return a kernel (groups, outputs, inputs, depth, height, width) as engine/convolution.hxx reads it.

    Group by group, phase by phase, in tiles of 16 channels (padded with zeros) or one of less than 8; of a
    tile, tap by tap and input by input, its channels side by side.
    """
    groups, outputs, inputs = kernel.shape[:3]
    tile = outputs if outputs < TILE // 2 else TILE
    tiles = -(-outputs // tile)
    padded = np.zeros((groups, tiles * tile, inputs, *kernel.shape[3:]), dtype=kernel.dtype)
    padded[:, :outputs] = kernel
    pieces = [
        padded[:, :, :, list(d)][:, :, :, :, list(h)][..., list(w)]
        .reshape(groups, tiles, tile, inputs, -1)
        .transpose(0, 1, 4, 3, 2)
        .reshape(groups, -1)
        for d in axes[0].taps for h in axes[1].taps for w in axes[2].taps
    ]  # fmt: skip
    return np.concatenate(pieces, axis=1).ravel()


@dataclass(frozen=True)
class Window:
    """The attributes of a convolution or a pooling, one number for each spatial axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    automatic: str


def window_of(node: Node, kernel: Sequence[int]) -> Window:
    """Return the checked attributes of a node whose kernel has the shape ``kernel``."""
    rank = len(kernel)
    if not 1 <= rank <= MOST_AXES:
        raise node.refuse(f"has {rank} spatial axes; one to {MOST_AXES} are supported.")

    def numbers(name: str, default: Sequence[int], least: int | None = 1) -> tuple[int, ...]:
        given = tuple(int(n) for n in node.attributes.get(name, default))
        if len(given) != len(default) or (least is not None and min(given) < least):
            raise node.refuse(f"{name}={list(given)} does not fit {rank} spatial axes.")
        return given

    ones = (1,) * rank
    if numbers("kernel_shape", kernel) != tuple(kernel):
        raise node.refuse(f"kernel_shape={node.attributes['kernel_shape']} and a kernel of {list(kernel)}.")
    if math.prod(kernel) > MOST_TAPS:
        raise node.refuse(f"a kernel of {math.prod(kernel):,} elements; up to {MOST_TAPS} are supported.")
    automatic = node.attributes.get("auto_pad", b"NOTSET")
    automatic = automatic.decode() if isinstance(automatic, bytes) else str(automatic)
    if automatic not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise node.refuse(f"auto_pad={automatic!r} is unknown.")
    pads = numbers("pads", (0,) * 2 * rank, None) if automatic == "NOTSET" else (0,) * 2 * rank
    return Window(
        tuple(kernel),
        numbers("strides", ones),
        numbers("dilations", ones),
        pads[:rank],
        pads[rank:],
        automatic,
    )


def same(length: int, reach: int, stride: int, automatic: str) -> tuple[int, int]:
    """Return the zeros before and after an axis for ceil(length / stride) outputs (auto_pad=SAME_...)."""
    total = max(0, (-(-length // stride) - 1) * stride + reach - length)
    small, large = total // 2, total - total // 2
    return (small, large) if automatic == "SAME_UPPER" else (large, small)


def image_shape(node: Node, rank: int) -> tuple[int, tuple[int, ...]]:
    """Return how many images the first input has, and the shape of one: channels and spatial axes."""
    source = node.tensor()
    if node.operator != "MaxPool":
        floats(node, [source])
    if len(source.shape) + node.leading != rank + 2:
        raise node.refuse(f"{rank} spatial axes, and an input of shape {source.shape}.")
    if node.batched:
        return 1, source.shape
    return source.shape[0], source.shape[1:]


def _layer(
    node: Node,
    lowering: Lowering,
    kernel: np.ndarray,
    axes: list[Axis],
    images: int,
) -> list[Tensor]:
    channels = kernel.shape[0] * kernel.shape[1]
    bias = np.zeros(channels)
    if node.optional(2) is not None:
        bias = constant(node, node.constant(2, "the bias")).astype(np.float64).ravel()
        if bias.shape != (channels,):
            raise node.refuse(f"a bias of {bias.size} numbers for {channels} channels.")
    missing = MOST_AXES - len(axes)
    whole = kernel.reshape(*kernel.shape[:3], *(1,) * missing, *kernel.shape[3:])
    three = (*[Axis(1, 1)] * missing, *axes)
    source = node.tensor()
    floats(node, [source])
    step = Convolution(source, images, whole, bias, three, lowering)  # type: ignore[arg-type]
    shape = (channels, *(axis.out for axis in axes))
    return [lowering.add(step, shape if node.batched else (images, *shape))]


@rule("Conv")
def convolution(node: Node, lowering: Lowering) -> list[Tensor]:
    kernel = constant(node, node.constant(1, "the kernel")).astype(np.float64)
    window = window_of(node, kernel.shape[2:])
    images, (channels, *lengths) = image_shape(node, len(window.kernel))
    groups = int(node.attributes.get("group", 1))
    if groups < 1 or kernel.shape[0] % groups or channels != kernel.shape[1] * groups or not kernel.size:
        raise node.refuse(f"a kernel of shape {kernel.shape} in {groups} groups for {channels} channels.")
    axes = []
    for i, length in enumerate(lengths):
        reach = (window.kernel[i] - 1) * window.dilations[i] + 1
        before, after = window.before[i], window.after[i]
        if window.automatic.startswith("SAME"):
            before, after = same(length, reach, window.strides[i], window.automatic)
        out = (length + before + after - reach) // window.strides[i] + 1
        if length + before + after < reach:
            raise node.refuse(f"an axis of {length} elements with padding is shorter than the kernel.")
        check_size(out)
        axes.append(
            Axis(
                length,
                out,
                window.strides[i] if out > 1 else 1,
                window.dilations[i] if window.kernel[i] > 1 else 1,
                (-before,),
                (tuple(range(window.kernel[i])),),
            )
        )
    grouped = kernel.reshape(groups, kernel.shape[0] // groups, *kernel.shape[1:])
    return _layer(node, lowering, grouped, axes, images)


@rule("ConvTranspose")
def transposed_convolution(node: Node, lowering: Lowering) -> list[Tensor]:
    kernel = constant(node, node.constant(1, "the kernel")).astype(np.float64)
    window = window_of(node, kernel.shape[2:])
    images, (channels, *lengths) = image_shape(node, len(window.kernel))
    groups = int(node.attributes.get("group", 1))
    if groups < 1 or channels % groups or channels != kernel.shape[0] or not kernel.size:
        raise node.refuse(f"a kernel of shape {kernel.shape} in {groups} groups for {channels} channels.")
    if math.prod(window.strides) > MOST_PHASES:
        raise node.refuse(f"strides={list(window.strides)}: products up to {MOST_PHASES} are supported.")
    grouped = kernel.reshape(groups, channels // groups, *kernel.shape[1:])
    axes = []
    for i, length in enumerate(lengths):
        size = _transposed_size(node, window, i, length)
        axes.append(_transposed_axis(length, window.kernel[i], window.strides[i], window.dilations[i], *size))
    return _layer(node, lowering, grouped.swapaxes(1, 2), axes, images)


def _transposed_size(node: Node, window: Window, i: int, length: int) -> tuple[int, int]:
    """Return how many outputs an axis has, and how many are cut off in front of them."""
    rank = len(window.kernel)
    stride, reach = window.strides[i], (window.kernel[i] - 1) * window.dilations[i] + 1
    more = node.attributes.get("output_padding", (0,) * rank)
    wanted = node.attributes.get("output_shape", ())
    if len(more) != rank or min(more) < 0 or len(wanted) not in (0, rank):
        raise node.refuse(f"output_padding={list(more)} or output_shape={list(wanted)} does not fit.")
    whole = stride * (length - 1) + int(more[i]) + reach
    if wanted or window.automatic.startswith("SAME"):
        out = int(wanted[i]) if wanted else length * stride
        total = max(0, whole - out)
        before = total // 2 if window.automatic == "SAME_UPPER" else total - total // 2
    else:
        before = window.before[i]
        out = whole - before - window.after[i]
    if not 1 <= out < whole + stride:
        raise node.refuse(f"an axis of {length} elements cannot become one of {out}.")
    check_size(out)
    return out, before


def _transposed_axis(length: int, taps: int, stride: int, dilation: int, out: int, before: int) -> Axis:
    """Output o gathers inputs i with i * stride + t * dilation = o + before, over all taps t."""
    common = math.gcd(stride, dilation)
    firsts, shares = [], []
    for phase in range(stride):
        share = [t for t in range(taps) if (phase + before - t * dilation) % stride == 0][::-1]
        firsts.append((phase + before - share[0] * dilation) // stride if share else 0)
        shares.append(tuple(share))
    several = any(len(share) > 1 for share in shares)
    return Axis(length, out, 1, dilation // common if several else 1, tuple(firsts), tuple(shares))
