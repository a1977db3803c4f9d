"""Export rules of convolutions in one to three dimensions: plain, depthwise, separable, transposed.

ONNX has the channels in front of the spatial axes; Keras has them last unless told otherwise. Every rule puts
a Transpose before and one behind its operator; those between neighbouring layers meet and vanish in
:mod:`hepml_root.export.onnx.transposes`, and biases, normalisations and zero padding go into the operator.
Padding is always written as numbers, since "same" is not the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.activations import traceable
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.rules import Call, layer_rule, op_rule


def per_axis(setting: Any, axes: int) -> list[int]:
    """One whole number per spatial axis, from one number for all or one for each."""
    numbers = [int(setting)] * axes if np.ndim(setting) == 0 else [int(number) for number in setting]
    if len(numbers) == 1:
        numbers *= axes
    return numbers


def channels_last(setting: str | None) -> bool:
    return (setting or keras.config.image_data_format()) == "channels_last"


def channels_in_front(graph: Graph, value: Tensor, last: bool) -> Tensor:
    """``value`` as (events, channels, ...)."""
    return graph.transpose(value, [0, value.rank - 1, *range(1, value.rank - 1)]) if last else value


def channels_back(graph: Graph, value: Tensor, last: bool) -> Tensor:
    """The inverse of :func:`channels_in_front`."""
    return graph.transpose(value, [0, *range(2, value.rank), 1]) if last else value


def padding_of(
    graph: Graph, setting: Any, sizes: Sequence[int], window: Sequence[int], strides: Sequence[int]
) -> list[int]:
    """The numbers of padded elements in ONNX's order, all befores and then all afters; [] if all are zero.

    "same" gives ceil(size / stride) results, with the odd element behind, as Keras has it.
    """
    if setting == "valid":
        return []
    if setting != "same":
        raise UnsupportedOperationError(f"{graph.where()}: padding '{setting}' cannot be exported.")
    total = [
        max((-(-size // step) - 1) * step + length - size, 0)
        for size, length, step in zip(sizes, window, strides, strict=True)
    ]
    before = [number // 2 for number in total]
    pads = [*before, *(number - first for number, first in zip(total, before, strict=True))]
    return pads if any(pads) else []


def _kernel_in_front(graph: Graph, kernel: Tensor) -> Tensor:
    """A kernel (spatial..., inputs, filters) as (filters, inputs, spatial...)."""
    axes = kernel.rank
    return graph.transpose(kernel, [axes - 1, axes - 2, *range(axes - 2)])


def _convolve(
    graph: Graph, call: Call, value: Tensor, kernel: Tensor, groups: int, pads: list[int] | None = None
) -> Tensor:
    """The Conv operator on channels-first tensors, by the settings of a Keras operation or layer."""
    operation = call.operation
    spatial = value.rank - 2
    strides, dilations = (per_axis(s, spatial) for s in (operation.strides, operation.dilation_rate))
    size = list(kernel.shape[2:])
    window = [(length - 1) * step + 1 for length, step in zip(size, dilations, strict=True)]
    if pads is None:
        pads = padding_of(graph, operation.padding, value.shape[2:], window, strides)
    padded = [n + b + a for n, b, a in zip(value.shape[2:], *_halves(pads, spatial), strict=True)]
    results = [(n - w) // s + 1 for n, w, s in zip(padded, window, strides, strict=True)]
    return graph.node(
        "Conv",
        value,
        kernel,
        shape=[value.shape[0], kernel.shape[0], *results],
        kernel_shape=size,
        strides=strides,
        dilations=dilations,
        group=groups,
        pads=pads or [0] * (2 * spatial),
    )


def _halves(pads: Sequence[int], spatial: int) -> tuple[Sequence[int], Sequence[int]]:
    pads = pads or [0] * (2 * spatial)
    return pads[:spatial], pads[spatial:]


@layer_rule(layers.Conv1D, layers.Conv2D, layers.Conv3D)
def convolutional_layer(graph: Graph, call: Call, inputs: Any) -> Any:
    """A rule of its own, because Keras does not take groups where it follows shapes only."""
    layer = call.operation
    last = channels_last(layer.data_format)
    value = channels_in_front(graph, graph.tensor(inputs, "float32"), last)
    pads = None
    if layer.padding == "causal":
        pads = [(layer.kernel_size[0] - 1) * layer.dilation_rate[0], 0]
    weights = _kernel_in_front(graph, graph.tensor(layer.kernel, "float32"))
    result = channels_back(graph, _convolve(graph, call, value, weights, layer.groups, pads), last)
    if layer.use_bias:
        bias = graph.tensor(layer.bias, "float32")
        ones = [1] * layer.rank
        result = graph.node("Add", result, bias if last else graph.reshape(bias, [bias.shape[0], *ones]))
    return result if layer.activation is None else call.expand(traceable(layer.activation), result)


@op_rule("Conv")
def convolution(graph: Graph, call: Call, inputs: Any, kernel: Any) -> Tensor:
    last = channels_last(call.operation.data_format)
    value = channels_in_front(graph, graph.tensor(inputs, "float32"), last)
    weights = _kernel_in_front(graph, graph.tensor(kernel, "float32"))
    groups = value.shape[1] // weights.shape[1]
    return channels_back(graph, _convolve(graph, call, value, weights, groups), last)


def _depthwise_weights(graph: Graph, kernel: Any) -> Tensor:
    """A kernel (spatial..., channels, filters of each) as (channels × filters, 1, spatial...)."""
    tensor = graph.tensor(kernel, "float32")
    *size, channels, filters = tensor.shape
    turned = graph.transpose(tensor, [tensor.rank - 2, tensor.rank - 1, *range(tensor.rank - 2)])
    return graph.reshape(turned, [channels * filters, 1, *size])


@op_rule("DepthwiseConv")
def depthwise_convolution(graph: Graph, call: Call, inputs: Any, kernel: Any) -> Tensor:
    last = channels_last(call.operation.data_format)
    value = channels_in_front(graph, graph.tensor(inputs, "float32"), last)
    weights = _depthwise_weights(graph, kernel)
    return channels_back(graph, _convolve(graph, call, value, weights, value.shape[1]), last)


@op_rule("SeparableConv")
def separable_convolution(
    graph: Graph, call: Call, inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any
) -> Tensor:
    last = channels_last(call.operation.data_format)
    value = channels_in_front(graph, graph.tensor(inputs, "float32"), last)
    weights = _depthwise_weights(graph, depthwise_kernel)
    parts = _convolve(graph, call, value, weights, value.shape[1])
    mixing = _kernel_in_front(graph, graph.tensor(pointwise_kernel, "float32"))
    ones = [1] * (value.rank - 2)
    mixed = graph.node(
        "Conv", parts, mixing, shape=[parts.shape[0], mixing.shape[0], *parts.shape[2:]],
        kernel_shape=ones, strides=ones, dilations=ones, group=1, pads=[0] * 2 * len(ones),
    )  # fmt: skip
    return channels_back(graph, mixed, last)


@op_rule("ConvTranspose")
def transposed_convolution(graph: Graph, call: Call, inputs: Any, kernel: Any) -> Tensor:
    """The length of the result is Keras's; what the formula without padding gives more is cut off, for "same"
    half of it in front, and what it gives less is padded behind.
    """
    operation = call.operation
    last = channels_last(operation.data_format)
    value = channels_in_front(graph, graph.tensor(inputs, "float32"), last)
    weights = _kernel_in_front(graph, graph.tensor(kernel, "float32"))  # (inputs, filters, spatial...)
    spatial = value.rank - 2
    strides, dilations = (per_axis(s, spatial) for s in (operation.strides, operation.dilation_rate))
    wanted = list(call.shape[1:-1] if last else call.shape[2:])
    size = list(weights.shape[2:])
    full = [
        (n - 1) * s + (k - 1) * d + 1
        for n, s, k, d in zip(value.shape[2:], strides, size, dilations, strict=True)
    ]
    surplus = [max(f - w, 0) for f, w in zip(full, wanted, strict=True)]
    before = [n // 2 if operation.padding == "same" else 0 for n in surplus]
    result = graph.node(
        "ConvTranspose",
        value,
        weights,
        shape=[value.shape[0], weights.shape[1], *wanted],
        kernel_shape=size,
        strides=strides,
        dilations=dilations,
        group=1,
        pads=[*before, *(n - b for n, b in zip(surplus, before, strict=True))],
        output_padding=[max(w - f, 0) for f, w in zip(full, wanted, strict=True)],
    )
    return channels_back(graph, result, last)
