"""Rules for operators that change the shape of a value, or the order of its axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hepml_root.export.cpp.graph import Lowering, Node, Repeated, Result, Tensor, Value, check_size, rule
from hepml_root.export.cpp.moves import numbered, pick, product_of, view


@rule("Identity")
def identity(node: Node, lowering: Lowering) -> list[Tensor]:  # noqa: ARG001
    return [node.tensor()]


@rule("Dropout")
def dropout(node: Node, lowering: Lowering) -> list[Tensor]:
    """Nothing is dropped at inference, and nothing at a ratio of 0."""
    source = node.tensor()
    training = node.optional(2) is not None and bool(node.constant(2, "training_mode").ravel()[0])
    ratio = node.optional(1)
    if training and not (isinstance(ratio, np.ndarray) and not ratio.any()):
        raise node.refuse("training_mode is on.")
    if len(node.outputs) < 2 or not node.outputs[1]:
        return [source]
    return [source, lowering.constant(np.ones(source.shape, bool))]


@rule("Reshape")
def reshape(node: Node, lowering: Lowering) -> list[Result]:  # noqa: ARG001
    wanted = node.dimensions(1, "the shape")
    source = node.inputs[0]
    if isinstance(source, np.ndarray):  # a constant under a shape with the number of events
        return [Repeated(source.reshape(_for_one_event(node, wanted, source.size)), 0)]
    source = node.tensor()
    full: list[int | None] = [*([None] if node.batched else []), *source.shape]
    if not node.attributes.get("allowzero", 0):
        if any(n == 0 and i >= len(full) for i, n in enumerate(wanted)):
            raise node.refuse(f"the new shape {wanted} copies an axis that {source.shape} does not have.")
        wanted = [full[i] if n == 0 else n for i, n in enumerate(wanted)]
    if node.batched:
        if not wanted or wanted[0] not in (None, -1, 1) or None in wanted[1:]:
            raise node.refuse(
                f"the new shape {_text(wanted)} does not leave the first axis, the batch, free."
            )
        if wanted[0] == -1 and -1 in wanted[1:]:
            raise node.refuse(f"the new shape {_text(wanted)} has -1 twice.")
        wanted = wanted[1:]
    return [view(source, _fitted(node, wanted, source.size))]


def _fitted(node: Node, wanted: Sequence[int | None], size: int) -> list[int]:
    """Return a shape with its -1, if there is one, replaced by what is left of ``size``."""
    known = math.prod(n for n in wanted if n is not None and n != -1)
    rest = [n for n in wanted if n is not None]
    if rest.count(-1) > 1 or (-1 in rest and (known <= 0 or size % known)):
        raise node.refuse(f"the new shape {_text(wanted)} does not fit {size} features.")
    shape = [size // known if n == -1 else n for n in rest]
    if len(rest) != len(wanted) or any(n <= 0 for n in shape) or math.prod(shape) != size:
        raise node.refuse(f"the new shape {_text(wanted)} does not hold the {size} features.")
    return shape


def _for_one_event(node: Node, wanted: Sequence[int | None], size: int) -> list[int]:
    """Return a shape with the number of events replaced by one: constants are the same for all."""
    if not wanted or wanted[0] is not None:
        raise node.refuse(f"the new shape {_text(wanted)} does not begin with the number of events.")
    return [1, *_fitted(node, wanted[1:], size)]


def _text(wanted: Sequence[int | None]) -> str:
    return "[" + ", ".join("batch" if n is None else str(n) for n in wanted) + "]"


@rule("Flatten")
def flatten(node: Node, lowering: Lowering) -> list[Tensor]:  # noqa: ARG001
    source = node.tensor()
    rank = len(source.shape) + node.leading
    axis = node.attributes.get("axis", 1)
    if not -rank <= axis <= rank:
        raise node.refuse(f"axis {axis} of a value with {rank} axes.")
    axis += rank if axis < 0 else 0
    if node.batched:
        if axis != 1:
            raise node.refuse("only axis=1 keeps the events apart.")
        return [view(source, (source.size,))]
    first = math.prod(source.shape[:axis])
    return [view(source, (first, source.size // first))]


@rule("Squeeze")
def squeeze(node: Node, lowering: Lowering) -> list[Tensor]:  # noqa: ARG001
    source = node.tensor()
    rank = len(source.shape)
    if node.optional(1) is not None:
        axes = {node.axis(int(a), rank) for a in node.constant(1, "the axes").ravel()}
    elif node.batched:
        raise node.refuse("without axes it could remove the batch axis.")
    else:
        axes = {axis for axis in range(rank) if source.shape[axis] == 1}
    if any(source.shape[axis] != 1 for axis in axes):
        raise node.refuse(
            f"axes {sorted(a + node.leading for a in axes)} of shape {source.shape} are not all of length 1."
        )
    return [view(source, [n for i, n in enumerate(source.shape) if i not in axes])]


@rule("Unsqueeze")
def unsqueeze(node: Node, lowering: Lowering) -> list[Tensor]:  # noqa: ARG001
    source = node.tensor()
    given = [int(a) for a in node.constant(1, "the axes").ravel()]
    rank = len(source.shape) + len(given)
    axes = {node.axis(a, rank) for a in given}
    if len(axes) != len(given):
        raise node.refuse(f"axes {given} name an axis twice.")
    lengths = iter(source.shape)
    return [view(source, [1 if i in axes else next(lengths) for i in range(rank)])]


@rule("Transpose")
def transpose(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    rank = len(source.shape) + node.leading
    order = [int(axis) for axis in node.attributes.get("perm", range(rank - 1, -1, -1))]
    if sorted(order) != list(range(rank)):
        raise node.refuse(f"perm={order} is no order of {rank} axes.")
    if node.batched and order[0] != 0:
        raise node.refuse(f"perm={order} moves the batch axis.")
    own = [axis - node.leading for axis in order[node.leading :]]
    return [pick(lowering, source, numbered(source).transpose(own))]


@rule("Expand")
def expand(node: Node, lowering: Lowering) -> list[Result]:
    wanted = node.dimensions(1, "the shape")
    given = node.inputs[0]
    if isinstance(given, np.ndarray):  # a constant, for every event the same
        lengths, axis = _with_one_event(node, wanted)
        axis += max(given.ndim - len(wanted), 0)
        own = axis - max(len(wanted) - given.ndim, 0)
        if own >= 0 and given.shape[own] != 1:
            raise node.refuse(f"a constant of shape {given.shape} has a value per event of the batch.")
        shape = _broadcast(node, given.shape, lengths)
        return [Repeated(np.broadcast_to(given, shape), axis)]
    source = node.tensor()
    if node.batched and len(wanted) == len(source.shape) + 1 and wanted[0] in (None, 1):
        wanted = wanted[1:]
    if None in wanted or (node.batched and len(wanted) > len(source.shape)):
        raise node.refuse(f"the shape {_text(wanted)} expands the batch axis.")
    shape = _broadcast(node, source.shape, [n for n in wanted if n is not None])
    return [pick(lowering, source, np.broadcast_to(numbered(source), shape))]


def _broadcast(node: Node, shape: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...]:
    product_of(wanted)
    try:
        result = np.broadcast_shapes(tuple(shape), tuple(wanted))
    except ValueError:
        raise node.refuse(f"{tuple(shape)} cannot be expanded to {list(wanted)}.") from None
    if product_of(result) == 0:
        raise node.refuse(f"the shape {list(wanted)} is empty.")
    return result


@rule("ConstantOfShape")
def constant_of_shape(node: Node, lowering: Lowering) -> list[Result]:  # noqa: ARG001
    """A constant, one of whose axes is the number of events: the same for every event."""
    from onnx import numpy_helper

    lengths, axis = _with_one_event(node, node.dimensions(0, "the shape"))
    if min(lengths) <= 0:
        raise node.refuse(f"the shape {lengths} is empty.")
    product_of(lengths)
    fill = node.attributes.get("value")
    number = np.zeros(1, np.float32) if fill is None else numpy_helper.to_array(fill).ravel()
    return [Repeated(np.full(lengths, number[0]), axis)]


def _with_one_event(node: Node, wanted: Sequence[int | None]) -> tuple[list[int], int]:
    """Return a shape with the number of events replaced by 1, and the axis where it is."""
    places = [axis for axis, length in enumerate(wanted) if length is None]
    if len(places) != 1:
        raise node.refuse(f"the shape {_text(wanted)} has not the number of events once.")
    return [1 if length is None else length for length in wanted], places[0]


@rule("Tile")
def tile(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    repeats = [int(n) for n in node.constant(1, "the repeats").ravel()]
    if len(repeats) != len(source.shape) + node.leading:
        raise node.refuse(f"{len(repeats)} repeats for {len(source.shape) + node.leading} axes.")
    if node.batched and repeats[0] != 1:
        raise node.refuse("repeats the events.")
    repeats = repeats[node.leading :]
    if any(n <= 0 for n in repeats):
        raise node.refuse(f"repeats {repeats}; each must be at least 1.")
    check_size(math.prod(repeats) * source.size)
    return [pick(lowering, source, np.tile(numbered(source), repeats) if repeats else numbered(source))]


@rule("DepthToSpace")
def depth_to_space(node: Node, lowering: Lowering) -> list[Tensor]:
    source, side, shape = _image(node)
    mode = node.attributes.get("mode", b"DCR")
    channels, height, width = shape
    if mode not in (b"DCR", b"CRD") or channels % (side * side):
        raise node.refuse(f"mode={mode!r}, blocksize={side} for {channels} channels.")
    rest = channels // (side * side)
    numbers = numbered(source)
    if mode == b"DCR":
        numbers = numbers.reshape(-1, side, side, rest, height, width).transpose(0, 3, 4, 1, 5, 2)
    else:
        numbers = numbers.reshape(-1, rest, side, side, height, width).transpose(0, 1, 4, 2, 5, 3)
    return [pick(lowering, source, numbers.reshape(*source.shape[:-3], rest, height * side, width * side))]


@rule("SpaceToDepth")
def space_to_depth(node: Node, lowering: Lowering) -> list[Tensor]:
    source, side, shape = _image(node)
    mode = node.attributes.get("mode", b"DCR")
    channels, height, width = shape
    if mode not in (b"DCR", b"CRD") or height % side or width % side:
        raise node.refuse(f"mode={mode!r}, blocksize={side} for {height} x {width}.")
    small = (height // side, width // side)
    numbers = numbered(source).reshape(-1, channels, small[0], side, small[1], side)
    numbers = numbers.transpose((0, 3, 5, 1, 2, 4) if mode == b"DCR" else (0, 1, 3, 5, 2, 4))
    return [pick(lowering, source, numbers.reshape(*source.shape[:-3], channels * side * side, *small))]


@rule("EyeLike")
def eye_like(node: Node, lowering: Lowering) -> list[Value]:  # noqa: ARG001
    """A constant, of the shape of a value."""
    source = node.tensor()
    if node.batched or len(source.shape) != 2:
        raise node.refuse("makes a matrix of one row per event; every event must be computed on its own.")
    rows, columns = source.shape
    dtype = node.output_types[0] if node.output_types else None
    return [np.eye(rows, columns, node.attributes.get("k", 0), dtype or np.float32)]


def _image(node: Node) -> tuple[Tensor, int, tuple[int, int, int]]:
    source, side = node.tensor(), int(node.attributes["blocksize"])
    if len(source.shape) + node.leading != 4 or side < 1:
        raise node.refuse(f"blocksize={side} of a value of shape {source.shape}; an image is needed.")
    channels, height, width = source.shape[-3:]
    return source, side, (channels, height, width)
