"""Export rules of Keras layers that are not, or not well, described by the operations of their ``call``.

Layers that do nothing in inference; preprocessing layers, which Keras writes with a private backend instead
of `keras.ops`; and layers that ONNX has as one operator.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from keras import layers, ops

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.convolutions import channels_last
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.rules import Call, layer_rule


# In inference these give back what they get; those that also change images then (AutoContrast, Solarization,
# RandomCrop, ...) are not among them.
@layer_rule(
    layers.RandomBrightness, layers.RandomColorDegeneration, layers.RandomColorJitter, layers.RandomContrast,
    layers.RandomErasing, layers.RandomFlip, layers.RandomGaussianBlur, layers.RandomGrayscale,
    layers.RandomHue, layers.RandomInvert, layers.RandomPerspective, layers.RandomPosterization,
    layers.RandomRotation, layers.RandomSaturation, layers.RandomSharpness, layers.RandomShear,
    layers.RandomTranslation, layers.RandomZoom, layers.RandomElasticTransform,
    layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D,
    layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise, layers.ActivityRegularization,
    layers.Identity,
)  # fmt: skip
def unchanged(_graph: Graph, _call: Call, x: Any, **_options: Any) -> Any:
    return x


@layer_rule(layers.Normalization)
def normalization(graph: Graph, call: Call, x: Any) -> Tensor:
    """(x − mean) / max(σ, ε), or its inverse x·max(σ, ε) + mean."""
    layer = call.operation
    value = graph.tensor(x, "float32")
    mean = np.asarray(ops.convert_to_numpy(layer.mean), np.float32)
    spread = np.maximum(
        np.sqrt(np.asarray(ops.convert_to_numpy(layer.variance), np.float32)), np.float32(1e-7)
    )
    if layer.invert:
        return graph.node("Add", graph.node("Mul", value, graph.constant(spread)), graph.constant(mean))
    return graph.node("Div", graph.node("Sub", value, graph.constant(mean)), graph.constant(spread))


@layer_rule(layers.Rescaling)
def rescaling(graph: Graph, call: Call, x: Any) -> Tensor:
    product = graph.node("Mul", graph.tensor(x, "float32"), graph.tensor(call.operation.scale, "float32"))
    if np.all(np.asarray(call.operation.offset) == 0):
        return product
    return graph.node("Add", product, graph.tensor(call.operation.offset, "float32"))


@layer_rule(layers.PReLU)
def prelu(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("PRelu", graph.tensor(x, "float32"), graph.tensor(call.operation.alpha, "float32"))


@layer_rule(layers.Softmax)
def softmax(graph: Graph, call: Call, inputs: Any, mask: Any = None) -> Any:
    """Softmax over one or several axes; what is masked gets nothing, even where all of an axis is masked."""
    axes = call.operation.axis
    axes = list(axes) if isinstance(axes, (list, tuple)) else [axes]

    def over_axes(x: Any, there: Any = None) -> Any:
        if there is not None:
            there = there if there.dtype == "bool" else there > 0.5
            x = ops.where(there, x, -1e9)
        several = len(axes) > 1
        y = (
            ops.exp(x - ops.logsumexp(x, axis=axes, keepdims=True))
            if several
            else ops.softmax(x, axis=axes[0])
        )
        return y if there is None else ops.where(there, y, 0.0)

    tensors = [inputs] if mask is None else [inputs, graph.tensor(mask)]
    return call.expand(over_axes, *tensors)


@layer_rule(layers.Discretization)
def discretization(graph: Graph, call: Call, x: Any) -> Any:
    layer = call.operation
    if layer.output_mode != "int":
        raise UnsupportedOperationError(
            f"{graph.where()}: Discretization with output_mode='{layer.output_mode}' cannot be exported; "
            "use output_mode='int' and a CategoryEncoding layer behind it."
        )
    edges = np.asarray(layer.bin_boundaries, np.float32)
    return call.expand(lambda value: ops.digitize(value, edges), graph.tensor(x, "float32"))


@layer_rule(layers.CategoryEncoding)
def category_encoding(graph: Graph, call: Call, x: Any, count_weights: Any = None) -> Any:
    layer = call.operation
    value = graph.tensor(x)
    if count_weights is not None or layer.output_mode not in ("one_hot", "multi_hot", "count"):
        raise UnsupportedOperationError(
            f"{graph.where()}: CategoryEncoding with output_mode='{layer.output_mode}' and these arguments "
            "cannot be exported; 'one_hot', 'multi_hot' and 'count' without weights can."
        )
    if layer.output_mode == "one_hot" and value.rank > 1 and value.shape[-1] == 1:
        value = graph.reshape(value, value.shape[:-1])

    def encoded(v: Any) -> Any:
        ones = ops.one_hot(ops.cast(v, "int32"), layer.num_tokens)
        if layer.output_mode == "one_hot" or len(v.shape) < 2:
            return ones
        return ops.sum(ones, axis=-2) if layer.output_mode == "count" else ops.max(ones, axis=-2)

    return call.expand(encoded, value)


@layer_rule(layers.CenterCrop)
def center_crop(graph: Graph, call: Call, inputs: Any) -> Tensor:
    layer = call.operation
    value = graph.tensor(inputs)
    first = value.rank - (3 if channels_last(layer.data_format) else 2)
    for axis, size in ((first, int(layer.height)), (first + 1, int(layer.width))):
        surplus = value.shape[axis] - size
        if surplus < 0:
            raise UnsupportedOperationError(
                f"{graph.where()}: CenterCrop to a size above that of the image cannot be exported."
            )
        value = graph.slice(value, axis, surplus // 2, surplus // 2 + size)
    return value


@layer_rule(layers.TimeDistributed)
def time_distributed(graph: Graph, call: Call, inputs: Any, mask: Any = None, training: Any = None) -> Any:  # noqa: ARG001 - inference
    """The layer on all steps at once, as if each were an event of its own."""
    layer = call.operation.layer
    value = graph.tensor(inputs)
    if isinstance(layer, layers.Dense):
        return call.expand(layer, value)
    rows, steps = value.shape[0] * value.shape[1], value.shape[1]
    each = [graph.reshape(value, [rows, *value.shape[2:]])]
    takes_mask = "mask" in inspect.signature(layer.call).parameters
    if mask is not None and takes_mask:
        there = graph.tensor(mask)
        each.append(graph.reshape(there, [rows, *there.shape[2:]]))
    result = call.expand(lambda x, *m: layer(x, mask=m[0]) if m else layer(x), *each)
    return graph.reshape(result, [value.shape[0], steps, *result.shape[1:]])


@layer_rule(layers.GroupNormalization)
def group_normalization(graph: Graph, call: Call, inputs: Any) -> Tensor:
    """Each group of channels is one channel to InstanceNormalization; factor and shift per channel follow."""
    layer = call.operation
    value = graph.tensor(inputs, "float32")
    axis = layer.axis % value.rank
    order = [0, axis, *(a for a in range(1, value.rank) if a != axis)]
    front = graph.transpose(value, order)
    channels = front.shape[1]
    groups = channels if layer.groups == -1 else int(layer.groups)
    size = int(np.prod(front.shape[1:])) // groups
    grouped = graph.reshape(front, [front.shape[0], groups, size])
    one, zero = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    result = graph.node(
        "InstanceNormalization", grouped, graph.constant(one), graph.constant(zero),
        shape=grouped.shape, epsilon=float(layer.epsilon),
    )  # fmt: skip
    result = graph.reshape(result, front.shape)
    along = [channels, *[1] * (value.rank - 2)]
    if layer.scale:
        result = graph.node("Mul", result, graph.reshape(graph.tensor(layer.gamma, "float32"), along))
    if layer.center:
        result = graph.node("Add", result, graph.reshape(graph.tensor(layer.beta, "float32"), along))
    return graph.transpose(result, np.argsort(order).tolist())
