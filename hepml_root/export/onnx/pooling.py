"""Export rules that change the size of images: pooling windows, enlarging, blocks of channels and pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import layers

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.convolutions import (
    channels_back,
    channels_in_front,
    channels_last,
    padding_of,
    per_axis,
)
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.reductions import reduce
from hepml_root.export.onnx.rules import Call, layer_rule, op_rule
from hepml_root.export.onnx.shapes import join


@op_rule("MaxPool", "AveragePool")
def pooling(graph: Graph, call: Call, inputs: Any) -> Tensor:
    """Padded elements take no part: the mean is over those that are there."""
    operation = call.operation
    last = channels_last(operation.data_format)
    value = channels_in_front(graph, graph.tensor(inputs, "float32"), last)
    spatial = value.rank - 2
    window = per_axis(operation.pool_size, spatial)
    strides = per_axis(operation.pool_size if operation.strides is None else operation.strides, spatial)
    pads = padding_of(graph, operation.padding, value.shape[2:], window, strides)
    options: dict[str, Any] = {"kernel_shape": window, "strides": strides}
    options["pads"] = pads or [0] * (2 * spatial)
    if type(operation).__name__ == "AveragePool":
        options["count_include_pad"] = 0
    results = call.shape[1:-1] if last else call.shape[2:]
    pooled = graph.node(type(operation).__name__, value, shape=[*value.shape[:2], *results], **options)
    return channels_back(graph, pooled, last)


@op_rule("AdaptiveMaxPool", "AdaptiveAveragePool")
def adaptive_pooling(graph: Graph, call: Call, inputs: Any) -> Tensor:
    """Window i of n goes from floor(i·size/n) to ceil((i + 1)·size/n): one reduction each, axis by axis."""
    operation = call.operation
    value = graph.tensor(inputs, "float32")
    first = 1 if channels_last(operation.data_format) else 2
    counts = per_axis(operation.output_size, value.rank - 2)
    op = "ReduceMax" if "Max" in type(operation).__name__ else "ReduceMean"
    for axis, count in enumerate(counts, first):
        size = value.shape[axis]
        if count == size:
            continue
        if count == 1:
            value = reduce(graph, op, value, [axis], True)
            continue
        ends = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
        parts = [reduce(graph, op, graph.slice(value, axis, a, b), [axis], True) for a, b in ends]
        value = join(graph, parts, axis)
    return value


def resized(
    graph: Graph, value: Tensor, shape: Sequence[int], mode: str, coordinates: str, **options: Any
) -> Tensor:
    """A Resize by constant factors per axis."""
    factors = []
    for new, old in zip(shape, value.shape, strict=True):
        factor = np.float32(new / old)
        while math.floor(float(old) * float(factor)) < new:  # ONNX rounds the new size down
            factor = np.nextafter(factor, np.float32(np.inf))
        factors.append(factor)
    return graph.node(
        "Resize",
        value,
        None,
        graph.constant(np.array(factors, np.float32)),
        shape=shape,
        dtype=value.dtype,
        mode=mode,
        coordinate_transformation_mode=coordinates,
        **options,
    )


@layer_rule(layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D)
def up_sampling(graph: Graph, call: Call, inputs: Any) -> Any:
    """Every element is repeated along the spatial axes; 2-D images can be interpolated instead."""
    layer = call.operation
    value = graph.tensor(inputs, "float32")
    method = getattr(layer, "interpolation", "nearest")
    if method == "nearest":
        return resized(graph, value, call.shape, "nearest", "asymmetric", nearest_mode="floor")
    return _interpolated(graph, value, call.shape, method, channels_last(layer.data_format))


def _interpolated(graph: Graph, value: Tensor, shape: Sequence[int], method: str, last: bool) -> Tensor:
    if method != "bilinear":
        raise UnsupportedOperationError(
            f"{graph.where()}: interpolation '{method}' cannot be exported; 'nearest' and 'bilinear' can."
        )
    front = channels_in_front(graph, value, last)
    size = shape[1:-1] if last else shape[2:]
    result = resized(graph, front, [*front.shape[:2], *size], "linear", "half_pixel")
    return channels_back(graph, result, last)


@op_rule("Resize")
@layer_rule(layers.Resizing)
def resize(graph: Graph, call: Call, images: Any) -> Tensor:
    operation = call.operation
    for option in ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if getattr(operation, option):
            raise UnsupportedOperationError(
                f"{graph.where()}: resizing images with {option}=True cannot be exported."
            )
    value = graph.tensor(images, "float32")
    last = channels_last(operation.data_format)
    if value.rank != 4:
        raise UnsupportedOperationError(
            f"{graph.where()}: an image without the axis of the events cannot be resized."
        )
    if operation.interpolation != "nearest":
        return _interpolated(graph, value, call.shape, operation.interpolation, last)
    # Keras takes the pixel at floor((i + 0.5)·old/new).
    for axis in (1, 2) if last else (2, 3):
        old, new = value.shape[axis], call.shape[axis]
        if old == new:
            continue
        positions = np.minimum(np.floor((np.arange(new) + 0.5) * (old / new)), old - 1).astype(np.int64)
        shape = [*value.shape[:axis], new, *value.shape[axis + 1 :]]
        value = graph.node("Gather", value, graph.constant(positions, "int64"), shape=shape, axis=axis)
    return value


@op_rule("DepthToSpace", "SpaceToDepth")
def blocks_of_pixels(graph: Graph, call: Call, x: Any) -> Tensor:
    operation = call.operation
    last = channels_last(operation.data_format)
    value = channels_in_front(graph, graph.tensor(x), last)
    events, channels, height, width = value.shape
    block = int(operation.block_size)
    options: dict[str, Any] = {"blocksize": block}
    if type(operation).__name__ == "DepthToSpace":
        options["mode"] = "DCR"
        shape = [events, channels // block**2, height * block, width * block]
    else:
        shape = [events, channels * block**2, height // block, width // block]
    result = graph.node(type(operation).__name__, value, shape=shape, **options)
    return channels_back(graph, result, last)
