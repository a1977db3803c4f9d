"""Rules for operators that only move features: reshapes, slices, joins, transposes, gathers."""

from __future__ import annotations

import math

import numpy as np

from hepml_root.export.cpp_graph import Lowering, Node, Tensor, check_size, rule
from hepml_root.export.cpp_steps import Join, Pick


def view(source: Tensor, shape: tuple[int, ...]) -> list[Tensor]:
    """Return the same features under another shape: no step is needed."""
    return [Tensor(source.step, shape, source.kind, source.offset)]


def pick(lowering: Lowering, source: Tensor, indices: np.ndarray) -> Tensor:
    """Return the features ``indices`` (in the shape wanted) of ``source``; a run of them is only a view."""
    check_size(indices.size)
    flat = indices.ravel()
    if flat.size and np.array_equal(flat, np.arange(flat[0], flat[0] + flat.size)):
        return Tensor(source.step, indices.shape, source.kind, source.offset + int(flat[0]))
    return lowering.add(Pick(source, flat), indices.shape, source.kind)


def numbered(source: Tensor) -> np.ndarray:
    """Return the index of every feature of a value, in its shape."""
    return np.arange(source.size).reshape(source.shape)


@rule("Identity", "Dropout")
def identity(node: Node, lowering: Lowering) -> list[Tensor]:  # noqa: ARG001
    training = node.optional(2) if node.operator == "Dropout" else None
    if training is not None and (isinstance(training, Tensor) or bool(training)):
        raise node.refuse("training_mode is on.")
    return view(node.tensor(), node.tensor().shape)


@rule("Reshape")
def reshape(node: Node, lowering: Lowering) -> list[Tensor]:  # noqa: ARG001
    source = node.tensor()
    wanted = [int(n) for n in node.constant(1, "the shape").ravel()]
    full: tuple[int | None, ...] = (None, *source.shape)
    if not node.attributes.get("allowzero", 0):
        wanted = [(full[i] if i < len(full) else 0) if n == 0 else n for i, n in enumerate(wanted)]  # type: ignore[misc]
    if not wanted:
        raise node.refuse("a shape without the batch axis.")
    batch, rest = wanted[0], wanted[1:]
    if batch not in (None, -1, 1) or None in rest:
        raise node.refuse(f"the new shape {wanted} does not leave the first axis, the batch, free.")
    known = math.prod(n for n in rest if n != -1)
    if -1 in rest:
        if batch == -1 or rest.count(-1) > 1 or not known or source.size % known:
            raise node.refuse(f"the new shape {wanted} does not fit {source.shape} features per event.")
        rest = [source.size // known if n == -1 else n for n in rest]
    if math.prod(rest) != source.size:
        raise node.refuse(f"the new shape {wanted} does not hold the {source.size} features of an event.")
    return view(source, tuple(rest))


@rule("Flatten")
def flatten(node: Node, lowering: Lowering) -> list[Tensor]:  # noqa: ARG001
    source = node.tensor()
    if node.attributes.get("axis", 1) != 1:
        raise node.refuse("only axis=1 keeps the events apart.")
    return view(source, (source.size,))


@rule("Squeeze")
def squeeze(node: Node, lowering: Lowering) -> list[Tensor]:  # noqa: ARG001
    source = node.tensor()
    if node.optional(1) is None:
        raise node.refuse("without axes it could remove the batch axis.")
    axes = {node.axis(int(a), len(source.shape)) for a in node.constant(1, "the axes").ravel()}
    if any(source.shape[axis] != 1 for axis in axes):
        raise node.refuse(
            f"axes {sorted(a + 1 for a in axes)} of shape {source.shape} are not all of length 1."
        )
    return view(source, tuple(n for i, n in enumerate(source.shape) if i not in axes))


@rule("Unsqueeze")
def unsqueeze(node: Node, lowering: Lowering) -> list[Tensor]:  # noqa: ARG001
    source = node.tensor()
    given = [int(a) for a in node.constant(1, "the axes").ravel()]
    axes = {node.axis(a, len(source.shape) + len(given)) for a in given}
    lengths = iter(source.shape)
    return view(
        source, tuple(1 if i in axes else next(lengths) for i in range(len(source.shape) + len(axes)))
    )


@rule("Transpose")
def transpose(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    order = list(node.attributes.get("perm", range(len(source.shape), -1, -1)))
    if order[0] != 0:
        raise node.refuse(f"perm={order} moves the batch axis.")
    return [pick(lowering, source, numbered(source).transpose([axis - 1 for axis in order[1:]]))]


@rule("Expand")
def expand(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    wanted = [int(n) for n in node.constant(1, "the shape").ravel()]
    if len(wanted) > len(source.shape) + 1 or (len(wanted) == len(source.shape) + 1 and wanted[0] != 1):
        raise node.refuse(f"the shape {wanted} expands the batch axis.")
    rest = tuple(wanted if len(wanted) <= len(source.shape) else wanted[1:])
    try:
        shape = np.broadcast_shapes(source.shape, rest)
    except ValueError:
        raise node.refuse(f"{source.shape} cannot be expanded to {wanted}.") from None
    return [pick(lowering, source, np.broadcast_to(numbered(source), shape))]


@rule("Slice")
def cut(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    starts, ends = (node.constant(i, what).ravel() for i, what in ((1, "the starts"), (2, "the ends")))
    axes = range(len(starts)) if node.optional(3) is None else node.constant(3, "the axes").ravel()
    steps = [1] * len(starts) if node.optional(4) is None else node.constant(4, "the steps").ravel()
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise node.refuse("starts, ends, axes and steps differ in length.")
    index = [slice(None)] * len(source.shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        begin, stop, stride = int(start), int(end), int(step)
        if int(axis) in (0, -len(source.shape) - 1) and begin == 0 and stride == 1 and stop > 1 << 30:
            continue  # the whole batch
        place = node.axis(int(axis), len(source.shape))
        length = source.shape[place]
        # ONNX clamps; with a negative step "before the first" is below -length, which Python writes as None.
        low = begin if begin >= -length else (-length if stride > 0 else None)
        if stride < 0 and begin < -length:
            raise node.refuse("a backward slice that starts before the first element is empty.")
        index[place] = slice(low, None if stride < 0 and stop < -length else stop, stride)
    indices = numbered(source)[tuple(index)]
    if not indices.size:
        raise node.refuse("the slice is empty.")
    return [pick(lowering, source, indices)]


@rule("Split")
def split(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    axis = node.axis(node.attributes.get("axis", 0), len(source.shape))
    length, count = source.shape[axis], len(node.outputs)
    if node.optional(1) is not None:
        sizes = [int(n) for n in node.constant(1, "the sizes").ravel()]
    else:
        each = -(-length // count)
        sizes = [min(each, length - each * i) for i in range(count)]
    if len(sizes) != count or sum(sizes) != length or min(sizes) <= 0:
        raise node.refuse(f"sizes {sizes} do not cut {length} elements into {count} outputs.")
    pieces = np.split(numbered(source), np.cumsum(sizes)[:-1], axis=axis)
    return [pick(lowering, source, piece) for piece in pieces]


@rule("Gather")
def gather(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    indices = node.constant(1, "the indices")
    axis = node.axis(node.attributes.get("axis", 0), len(source.shape))
    if indices.size == 0 or indices.min() < -source.shape[axis] or indices.max() >= source.shape[axis]:
        raise node.refuse(f"indices out of range of axis {axis + 1} of length {source.shape[axis]}.")
    return [pick(lowering, source, np.take(numbered(source), indices.astype(np.int64), axis=axis))]


@rule("Concat")
def concat(node: Node, lowering: Lowering) -> list[Tensor]:
    values = [value for value in node.inputs if value is not None]
    tensors = [value for value in values if isinstance(value, Tensor)]
    if len(tensors) != len(values):
        raise node.refuse("joins constants with values of the events; expand them over the batch first.")
    rank = len(tensors[0].shape)
    axis = node.axis(node.attributes["axis"], rank)
    kinds = {tensor.kind for tensor in tensors}
    rests = {tensor.shape[:axis] + tensor.shape[axis + 1 :] for tensor in tensors}
    if len(rests) != 1 or len(kinds) != 1:
        raise node.refuse(f"shapes {[tensor.shape for tensor in tensors]} or their types do not fit.")
    starts = np.cumsum([0] + [tensor.size for tensor in tensors])
    joined = lowering.add(Join(tensors), (int(starts[-1]),), kinds.pop())
    numbers = [start + numbered(tensor) for start, tensor in zip(starts[:-1], tensors, strict=True)]
    return [pick(lowering, joined, np.concatenate(numbers, axis=axis))]
