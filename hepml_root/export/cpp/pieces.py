"""Rules for operators that cut values into pieces, join them and add borders."""

from __future__ import annotations

import math

import numpy as np

from hepml_root.export.cpp.elementwise import constant
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, Value, check_size, rule
from hepml_root.export.cpp.moves import assemble, numbered, pick

WHOLE = 1 << 30  # ONNX's way to say "to the end" is any large number


@rule("Slice")
def cut(node: Node, lowering: Lowering) -> list[Value]:
    source = node.tensor()
    rank = len(source.shape)
    starts = [int(n) for n in node.constant(1, "the starts").ravel()]
    ends = node.dimensions(2, "the ends")  # None: as far as there are events
    given = node.optional(3)
    axes = range(len(starts)) if given is None else node.constant(3, "the axes").ravel()
    given = node.optional(4)
    steps = [1] * len(starts) if given is None else node.constant(4, "the steps").ravel()
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise node.refuse("starts, ends, axes and steps differ in length.")
    indices = numbered(source)
    cut_already = set()
    for start, end, axis, step in zip(starts, ends, map(int, axes), map(int, steps), strict=True):
        if node.batched and axis in (node.batch_axis, node.batch_axis - rank - 1):
            if start == 0 and step == 1 and (end is None or end > WHOLE):
                continue  # all events
            raise node.refuse("cuts the batch; every event must be computed on its own.")
        where = node.axis(axis, rank)
        if end is None or step == 0 or where in cut_already:
            raise node.refuse(f"cuts axis {axis} from {start} to {end} in steps of {step}.")
        cut_already.add(where)
        kept = _range(start, end, step, source.shape[where])
        if not kept:
            indices = np.take(indices, [], axis=where)
            continue
        before = kept[-1] + (1 if step > 0 else -1)
        stop = before if before >= 0 else None
        indices = indices[(slice(None),) * where + (slice(kept[0], stop, step),)]
    return [_piece(node, lowering, source, indices)]


def _piece(node: Node, lowering: Lowering, source: Tensor, indices: np.ndarray) -> Value:
    """Return features of a value; what has none of them is a constant, to be joined with others."""
    if indices.size:
        return pick(lowering, source, indices)
    shape = list(indices.shape)
    if node.batched:
        shape.insert(node.batch_axis, 1)
    return np.zeros(shape, node.dtype() or np.float32)


def _range(start: int, end: int, step: int, length: int) -> range:
    """Return the positions that a slice keeps; beyond the ends ONNX clamps."""
    start += length if start < 0 else 0
    end += length if end < 0 else 0
    if step > 0:
        return range(min(max(start, 0), length), min(max(end, 0), length), step)
    return range(min(max(start, 0), length - 1), min(max(end, -1), length - 1), step)


@rule("Split")
def split(node: Node, lowering: Lowering) -> list[Value]:
    source = node.tensor()
    axis = node.axis(node.attributes.get("axis", 0), len(source.shape))
    length, count = source.shape[axis], len(node.outputs)
    if node.optional(1) is not None:
        sizes = [int(n) for n in node.constant(1, "the sizes").ravel()]
    else:
        each = -(-length // count)
        sizes = [min(each, length - each * i) for i in range(count)]
    if len(sizes) != count or sum(sizes) != length or min(sizes) < 0:
        raise node.refuse(f"sizes {sizes} do not cut {length} elements into {count} outputs.")
    pieces = np.split(numbered(source), np.cumsum(sizes)[:-1], axis=axis)
    return [_piece(node, lowering, source, piece) for piece in pieces]


@rule("Concat")
def concat(node: Node, lowering: Lowering) -> list[Tensor]:
    values = [value for value in node.inputs if value is not None]
    tensors = [value for value in values if isinstance(value, Tensor)]
    rank = len(tensors[0].shape)
    axis = node.axis(node.attributes["axis"], rank)
    sources: list[Tensor | np.ndarray] = []
    for value in values:
        if isinstance(value, Tensor):
            sources.append(value)
            continue
        if not isinstance(value, np.ndarray):
            raise node.refuse("joins the number of events with values of the events.")
        array = node.aligned(constant(node, value), rank)
        if array.size:
            sources.append(array)
    if len({tensor.kind for tensor in tensors}) != 1:
        raise node.refuse("joins values of different types.")
    shapes = [source.shape for source in sources]
    if len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) != 1 or {*map(len, shapes)} != {rank}:
        raise node.refuse(f"shapes {shapes} do not fit.")
    check_size(sum(source.size for source in sources))
    begins = np.cumsum([0] + [source.size for source in sources])
    numbers = [begin + numbered(source) for begin, source in zip(begins[:-1], sources, strict=True)]
    return [assemble(lowering, sources, np.concatenate(numbers, axis=axis), tensors[0].kind)]


@rule("Pad")
def pad(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    rank = len(source.shape)
    mode = node.attributes.get("mode", b"constant")
    pads = [int(n) for n in node.constant(1, "the widths").ravel()]
    if node.optional(3) is None:
        axes = list(range(rank + node.leading))
    else:
        axes = [int(a) for a in node.constant(3, "the axes").ravel()]
    if len(pads) != 2 * len(axes):
        raise node.refuse(f"{len(pads)} widths for {len(axes)} axes.")
    borders = [(0, 0)] * rank
    for axis, *border in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        if any(border):
            borders[node.axis(axis, rank)] = (border[0], border[1])
    shape = [length + sum(border) for length, border in zip(source.shape, borders, strict=True)]
    if min(shape, default=1) <= 0:
        raise node.refuse(f"widths {borders} leave nothing of shape {source.shape}.")
    check_size(math.prod(shape))
    positions = [
        _positions(node, mode, length, border) for length, border in zip(source.shape, borders, strict=True)
    ]
    if mode != b"constant" or not any(border > 0 for pair in borders for border in pair):
        return [pick(lowering, source, numbered(source)[np.ix_(*positions)] if rank else numbered(source))]
    fill = np.zeros(1, np.float32)
    if node.optional(2) is not None and np.size(node.constant(2, "the value of the border")):
        fill = constant(node, node.constant(2, "the value of the border")).reshape(1)
    numbers = np.full(shape, source.size)
    inside = [np.flatnonzero(at >= 0) for at in positions]
    kept = [at[where] for at, where in zip(positions, inside, strict=True)]
    numbers[np.ix_(*inside)] = numbered(source)[np.ix_(*kept)]
    return [assemble(lowering, [source, fill], numbers, source.kind)]


def _positions(node: Node, mode: bytes, length: int, border: tuple[int, int]) -> np.ndarray:
    """Return where each position along an axis with borders is copied from; -1 where nothing is."""
    at = np.arange(-border[0], length + border[1])
    outside = (at < 0) | (at >= length)
    if mode == b"constant":
        return np.where(outside, -1, at)
    if mode == b"edge":
        return np.clip(at, 0, length - 1)
    if mode not in (b"reflect", b"wrap"):
        raise node.refuse(f"mode={mode!r}; constant, edge, reflect and wrap exist.")
    if min(border) < 0 < max(border):
        raise node.refuse(f"a border of {border} cuts at one end and repeats at the other.")
    if mode == b"wrap":
        return at % length
    if length == 1:
        return np.zeros_like(at)
    period = 2 * (length - 1)
    at = at % period
    return np.minimum(at, period - at)


@rule("Trilu")
def triangle(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    if len(source.shape) < 2:
        raise node.refuse(f"a matrix is needed, not the shape {source.shape}.")
    diagonal = int(node.constant(1, "the diagonal").ravel()[0]) if node.optional(1) is not None else 0
    rows, columns = (np.arange(n) for n in source.shape[-2:])
    distance = columns - rows[:, None]
    inside = distance >= diagonal if node.attributes.get("upper", 1) else distance <= diagonal
    numbers = np.where(inside, numbered(source), source.size)
    return [assemble(lowering, [source, np.zeros(1, np.float32)], numbers, source.kind)]


@rule("Compress")
def compress(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    condition = node.constant(1, "the condition").ravel().astype(bool)
    numbers = numbered(source)
    axis = node.attributes.get("axis")
    if axis is None:
        if node.batched:
            raise node.refuse("without an axis it would mix events.")
        numbers, axis = numbers.ravel(), 0
    else:
        axis = node.axis(axis, len(source.shape))
    if len(condition) > numbers.shape[axis] or not condition.any():
        raise node.refuse(f"a condition of length {len(condition)} with {condition.sum()} kept elements.")
    return [pick(lowering, source, np.take(numbers, np.flatnonzero(condition), axis=axis))]
