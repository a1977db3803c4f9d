"""Rules for Resize: every position along an axis is a weighted sum of some that were there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hepml_root.export.cpp.graph import Lowering, Node, Tensor, check_size, rule
from hepml_root.export.cpp.moves import assemble, numbered
from hepml_root.export.cpp.steps import Moved, Place, Step
from hepml_root.export.cpp.weights import Weights

MOST_TAPS = 1 << 16  # places and weights of one axis


@dataclass(frozen=True)
class Taps:
    """For each new position along an axis, where it is taken from and with which weights.

    ``outside`` marks positions beyond the region of interest, which get a fixed value.
    """

    places: np.ndarray  # (new length, taps)
    weights: np.ndarray
    outside: np.ndarray  # (new length)


class Interpolate(Step):
    """Weighted sums along one axis of a value seen as (outer, axis, inner)."""

    headers = ("resize",)

    def __init__(self, source: Tensor, around: tuple[int, int, int], taps: Taps) -> None:
        self.outer, self.length, self.inner = around
        super().__init__(self.outer * len(taps.places) * self.inner)
        self.source, self.taps = source, taps

    def reads(self) -> Iterator[Tensor]:
        yield self.source

    def redirect(self, moved: Moved) -> None:
        self.source = moved(self.source)

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        new, count = self.taps.places.shape
        numbers = (self.outer, self.length, new, self.inner, count)
        table = ", ".join(map(str, self.taps.places.ravel().tolist()))
        return [
            "{",
            f"   static constexpr std::uint32_t table[] = {{{table}}};",
            f"   engine::interpolate<M, {', '.join(map(str, numbers))}>"
            f"({place(self.source)}, table, w + {weights.place(self.taps.weights)}, {to});",
            "}",
        ]


@rule("Resize")
def resize(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    rank = len(source.shape)
    mode = node.attributes.get("mode", b"nearest").decode()
    if mode not in ("nearest", "linear", "cubic"):
        raise node.refuse(f"mode={mode!r}; nearest, linear and cubic exist.")
    if mode != "nearest" and source.kind != "float":
        raise node.refuse(f"interpolates {source.kind} values of the events; cast them to float.")
    lengths, scales, regions = _sizes(node, source)
    check_size(math.prod(lengths))
    taps = [
        _taps(node, mode, source.shape[axis], lengths[axis], scales[axis], regions[axis])
        for axis in range(rank)
    ]
    value = source
    if mode == "nearest":
        places = [along.places[:, 0] for along in taps]
        numbers = numbered(value)[np.ix_(*places)] if rank else numbered(value)
    else:
        for axis, along in enumerate(taps):
            check_size(math.prod(value.shape) // value.shape[axis] * len(along.places))
            if not _is_identity(along, value.shape[axis]):
                around = (
                    math.prod(value.shape[:axis]),
                    value.shape[axis],
                    math.prod(value.shape[axis + 1 :]),
                )
                shape = (*value.shape[:axis], len(along.places), *value.shape[axis + 1 :])
                value = lowering.add(Interpolate(value, around, along), shape)
        numbers = numbered(value)
    for axis, along in enumerate(taps):
        where = along.outside.reshape([-1 if a == axis else 1 for a in range(rank)])
        numbers = np.where(where, value.size, numbers)
    fill = np.array([node.attributes.get("extrapolation_value", 0.0)], np.float32)
    return [assemble(lowering, [value, fill], numbers, source.kind)]


def _is_identity(taps: Taps, length: int) -> bool:
    return (
        len(taps.places) == length
        and bool((taps.places == np.arange(length)[:, None])[taps.weights != 0].all())
        and bool((taps.weights.sum(axis=1) == 1).all())
    )


def _sizes(node: Node, source: Tensor) -> tuple[list[int], list[np.float32], list[tuple[float, float]]]:
    """Return for every axis the new length, the scale, and the region of interest."""
    rank = len(source.shape)
    full = rank + node.leading
    given = [int(a) for a in node.attributes.get("axes", range(full))]
    count = len(given)

    def numbers(index: int, what: str) -> np.ndarray | None:
        value = None if node.optional(index) is None else node.constant(index, what).ravel()
        if value is not None and value.size not in (0, count * (2 if index == 1 else 1)):
            raise node.refuse(f"{value.size} numbers for {what} of {count} axes.")
        return value if value is not None and value.size else None

    roi = numbers(1, "the region")
    scales, sizes = numbers(2, "the scales"), numbers(3, "the sizes")
    if (scales is None) == (sizes is None):
        raise node.refuse("either scales or sizes must be given.")
    if scales is not None and not (np.isfinite(scales) & (scales > 0)).all():
        raise node.refuse(f"scales {scales.tolist()}.")
    if sizes is not None and sizes.min() < 1:
        raise node.refuse(f"sizes {sizes.tolist()}.")
    batch = (1,) * node.leading + source.shape
    policy = node.attributes.get("keep_aspect_ratio_policy", b"stretch")
    ratio = None  # the one scale of all axes
    if sizes is not None and policy != b"stretch":
        ratios = [size / batch[axis] for size, axis in zip(sizes.tolist(), given, strict=True)]
        ratio = min(ratios) if policy == b"not_larger" else max(ratios)
        sizes = np.array([int(ratio * batch[axis] + 0.5) for axis in given])
    lengths, factors = list(source.shape), [np.float32(1)] * rank
    regions = [(0.0, 1.0)] * rank
    for i, axis in enumerate(given):
        if node.batched and axis in (0, -full):
            if (scales is not None and scales[i] != 1) or (sizes is not None and sizes[i] != 1):
                raise node.refuse("resizes the batch.")
            continue
        own = node.axis(axis, rank)
        if scales is not None:
            factors[own] = np.float32(scales[i])
            lengths[own] = math.floor(np.float32(source.shape[own]) * factors[own])
        elif sizes is not None:
            lengths[own] = int(sizes[i])
            factors[own] = np.float32(lengths[own] / source.shape[own] if ratio is None else ratio)
        if roi is not None:
            regions[own] = (float(roi[i]), float(roi[count + i]))
        if lengths[own] < 1:
            raise node.refuse(f"axis {axis} becomes empty.")
    return lengths, factors, regions


def _taps(
    node: Node, mode: str, length: int, new: int, scale: np.float32, region: tuple[float, float]
) -> Taps:
    """Return how the positions along an axis of ``length`` become ``new`` ones."""
    check_size(new)
    outside = np.zeros(new, bool)
    transformation = node.attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    if new == length and scale == 1 and transformation != "tf_crop_and_resize":
        return Taps(np.arange(new)[:, None], np.ones((new, 1), np.float32), outside)
    at = _coordinates(node, transformation, length, new, scale, region)
    if transformation == "tf_crop_and_resize":
        outside = (at < 0) | (at > length - 1)
    if mode == "nearest":
        places = _nearest(node, at)
        weights = np.ones((new, 1))
        return Taps(np.clip(places, 0, length - 1)[:, None], weights.astype(np.float32), outside)
    shrink = min(float(scale), 1.0) if node.attributes.get("antialias", 0) else 1.0
    reach = 1 if mode == "linear" else 2
    first = math.floor(-reach / shrink) + 1
    if new * 2 * (1 - first) > MOST_TAPS:
        raise node.refuse(f"an axis of {new} elements, each of {2 * (1 - first)} others.")
    start = np.floor(at)
    taps = np.arange(first, 2 - first)
    distance = np.abs((taps - (at - start)[:, None]) * shrink)
    weights = _linear(distance) if mode == "linear" else _cubic(node, distance)
    places = (start[:, None] + taps).astype(np.int64)
    if node.attributes.get("exclude_outside", 0):
        weights = np.where((places < 0) | (places >= length), 0.0, weights)
    if shrink < 1 or node.attributes.get("exclude_outside", 0):
        weights = weights / weights.sum(axis=1, keepdims=True)
    return Taps(np.clip(places, 0, length - 1), weights.astype(np.float32), outside)


def _coordinates(
    node: Node, transformation: str, length: int, new: int, scale: np.float32, region: tuple[float, float]
) -> np.ndarray:
    """Return where the new positions lie among the old ones, in float32 as ONNX Runtime computes it."""
    x = np.arange(new, dtype=np.float32)
    half = np.float32(0.5)
    wide = np.float32(scale * np.float32(length))  # the new length before rounding, which counts in ONNX
    if transformation == "half_pixel":
        at = (x + half) / scale - half
    elif transformation == "pytorch_half_pixel":
        at = (x + half) / scale - half if new > 1 else np.zeros_like(x)
    elif transformation == "align_corners":
        at = x * np.float32(length - 1) / (wide - 1) if wide != 1 else np.zeros_like(x)
    elif transformation == "asymmetric":
        at = x / scale
    elif transformation == "half_pixel_symmetric":
        shift = np.float32(length / 2 * (1 - new / float(wide)))
        at = shift + (x + half) / scale - half
    elif transformation == "tf_crop_and_resize":
        begin, end = region
        if wide != 1:
            at = begin * (length - 1) + x * np.float32((end - begin) * (length - 1)) / (wide - 1)
        else:
            at = np.full_like(x, 0.5 * (begin + end) * (length - 1))
    else:
        raise node.refuse(f"coordinate_transformation_mode={transformation!r}.")
    return at.astype(np.float64)


def _nearest(node: Node, at: np.ndarray) -> np.ndarray:
    how = node.attributes.get("nearest_mode", b"round_prefer_floor").decode()
    rounded = {
        "round_prefer_floor": np.ceil(at - 0.5),
        "round_prefer_ceil": np.floor(at + 0.5),
        "floor": np.floor(at),
        "ceil": np.ceil(at),
    }
    if how not in rounded:
        raise node.refuse(f"nearest_mode={how!r}.")
    return rounded[how].astype(np.int64)


def _linear(distance: np.ndarray) -> np.ndarray:
    return np.clip(1 - distance, 0, 1)


def _cubic(node: Node, distance: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution."""
    a = float(node.attributes.get("cubic_coeff_a", -0.75))
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
