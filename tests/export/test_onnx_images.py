"""Convolutions, pooling and what else changes images: the numbers of Keras, and graphs without detours."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx import emit

IMAGE = {
    "same": layers.Conv2D(5, 3, padding="same", activation="relu"),
    "strides and groups": layers.Conv2D(6, (3, 2), strides=(2, 3), padding="same", groups=2, use_bias=False),
    "even window": layers.Conv2D(3, 4, padding="same"),
    "valid": layers.Conv2D(3, (2, 5), activation="mish"),
    "dilation": layers.Conv2D(3, 3, dilation_rate=(2, 1), padding="same"),
    "channels first": layers.Conv2D(3, 3, padding="same", data_format="channels_first"),
    "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="gelu"),
    "depthwise strides": layers.DepthwiseConv2D(3, strides=2),
    "separable": layers.SeparableConv2D(5, 3, depth_multiplier=2, padding="same", dilation_rate=2),
    "transposed": layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu"),
    "transposed valid": layers.Conv2DTranspose(3, (2, 5), strides=(3, 2)),
    "transposed one": layers.Conv2DTranspose(3, 4, padding="same"),
    "transposed output": layers.Conv2DTranspose(3, 5, strides=2, padding="same", output_padding=1),
    "transposed window below stride": layers.Conv2DTranspose(3, 2, strides=3, padding="same"),
    "transposed dilation": layers.Conv2DTranspose(3, 3, padding="same", dilation_rate=2),
    "largest": layers.MaxPooling2D(3, strides=2, padding="same"),
    "largest valid": layers.MaxPooling2D(2),
    "mean": layers.AveragePooling2D((3, 2), strides=2, padding="same"),
    "mean valid": layers.AveragePooling2D(3, strides=1),
    "mean channels first": layers.AveragePooling2D(2, padding="same", data_format="channels_first"),
    "adaptive mean": layers.AdaptiveAveragePooling2D((3, 2)),
    "adaptive largest": layers.AdaptiveMaxPooling2D((1, 5)),
    "global": layers.GlobalAveragePooling2D(),
    "global largest": layers.GlobalMaxPooling2D(keepdims=True, data_format="channels_first"),
    "larger": layers.UpSampling2D((2, 3)),
    "larger, bilinear": layers.UpSampling2D(2, interpolation="bilinear"),
    "another size": layers.Resizing(5, 11, interpolation="nearest"),
    "another size, bilinear": layers.Resizing(5, 11),
    "cropped": layers.Cropping2D(((1, 0), (0, 2))),
    "centre": layers.CenterCrop(4, 3),
    "padded": layers.ZeroPadding2D((1, 2)),
    "as it was": layers.RandomFlip(),
    "blocks": lambda x: ops.nn.depth_to_space(x, 2),
    "blocks first": lambda x: ops.nn.depth_to_space(ops.transpose(x, (0, 3, 1, 2)), 2, "channels_first"),
    "from blocks": lambda x: ops.nn.space_to_depth(x, 2),
    "groups": layers.GroupNormalization(2),
    "groups first": layers.GroupNormalization(4, axis=1),
    "instances": layers.GroupNormalization(-1, scale=False, center=False),
}  # fmt: skip
LINE = {
    "causal": layers.Conv1D(5, 3, padding="causal", dilation_rate=2),
    "strides": layers.Conv1D(4, 3, strides=2, activation="tanh"),
    "depthwise": layers.DepthwiseConv1D(3, strides=2, padding="same"),
    "separable": layers.SeparableConv1D(5, 3),
    "transposed": layers.Conv1DTranspose(4, 3, strides=2, padding="same"),
    "largest": layers.MaxPooling1D(2),
    "mean": layers.AveragePooling1D(4, strides=3, padding="same"),
    "adaptive": layers.AdaptiveMaxPooling1D(4),
    "adaptive mean": layers.AdaptiveAveragePooling1D(4),
    "larger": layers.UpSampling1D(2),
}  # fmt: skip
SPACE = {
    "same": layers.Conv3D(4, 2, dilation_rate=(1, 2, 1), padding="same"),
    "strides": layers.Conv3D(4, 3, strides=2, padding="same"),
    "transposed": layers.Conv3DTranspose(2, 3, strides=2, padding="same"),
    "largest": layers.MaxPooling3D((2, 1, 2)),
    "mean": layers.AveragePooling3D(2, padding="same"),
    "adaptive": layers.AdaptiveAveragePooling3D(2),
    "larger": layers.UpSampling3D(2),
    "adaptive largest": layers.AdaptiveMaxPooling3D(2),
    "global": layers.GlobalMaxPooling3D(),
    "global mean": layers.GlobalAveragePooling3D(),
    "cropped": layers.Cropping3D(((1, 0), (0, 1), (1, 0))),
    "padded": layers.ZeroPadding3D((0, 2, 1)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kinds", "shape"), [(IMAGE, (8, 6, 4)), (LINE, (9, 3)), (SPACE, (5, 4, 3, 2))], ids=["2d", "1d", "3d"]
)
def test_layers(kinds, shape: tuple[int, ...], same_layers_as_keras, events) -> None:
    # Normalised events of one repeated number are nothing but rounding errors.
    values = events(shape, 30)
    values[:7] *= np.random.default_rng(2).uniform(0.5, 1.5, (7, *shape)).astype(np.float32)
    same_layers_as_keras(kinds, {"image": values}, tolerance=3e-5)


def test_padding_before_pooling_takes_part(same_layers_as_keras, events) -> None:
    """A zero beyond the border is larger than negative pixels, and counts in a mean."""

    def padded(layer, value=0.0):
        return lambda x: layer(ops.pad(-ops.exp(x), ((0, 0), (1, 2), (2, 1), (0, 0)), constant_values=value))

    kinds = {
        "largest": padded(layers.MaxPooling2D(2)),
        "largest of a convolution": lambda x: layers.MaxPooling2D(3)(
            layers.ZeroPadding2D(1)(layers.Conv2D(2, 3)(x))
        ),
        "largest same": padded(layers.MaxPooling2D(3, strides=2, padding="same")),
        "largest, other number": padded(layers.MaxPooling2D(2), 2.0),
        "mean": padded(layers.AveragePooling2D(2)),
        "mean same": padded(layers.AveragePooling2D(3, strides=2, padding="same")),
        "convolution, other number": padded(layers.Conv2D(2, 3, padding="same"), 2.0),
    }
    values = np.clip(events((5, 6, 2), 20), -3.0, 3.0)
    same_layers_as_keras(kinds, {"image": values}, tolerance=5e-6)


def op_types(proto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def test_a_network_of_images_needs_one_transpose(same_layers_as_keras, events) -> None:
    """Padding, bias, normalisation and the order of axes are all inside the products and convolutions."""

    def network(x):
        y = layers.ZeroPadding2D(1)(x)
        y = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(4, 3)(y)))
        y = layers.MaxPooling2D(2)(y)
        around = layers.Conv2D(4, 3, padding="same")(layers.Activation("silu")(y))
        y = layers.Add()([y, layers.BatchNormalization()(around)])
        y = layers.Dense(3)(layers.Flatten()(layers.UpSampling2D(2)(y)))
        y = layers.Reshape((2, 2, 3))(layers.Dense(12, activation="relu")(y))
        y = layers.Conv2DTranspose(2, 3, strides=2, padding="same")(y)
        return layers.GlobalAveragePooling2D()(y)

    proto = same_layers_as_keras({"score": network}, {"image": events((8, 6, 2), 20)})
    assert op_types(proto) == [
        "Transpose", "Conv", "Relu", "MaxPool", "Sigmoid", "Mul", "Conv", "Add", "Resize", "Reshape", "Gemm",
        "Gemm", "Relu", "Reshape", "ConvTranspose", "ReduceMean",
    ]  # fmt: skip
    grey = same_layers_as_keras({"score": network}, {"image": events((8, 6, 1), 20)})
    assert op_types(grey)[0] == "Reshape"


def test_time_distributed_convolutions_are_one(same_layers_as_keras, events) -> None:
    layer = layers.TimeDistributed(layers.Conv2D(2, 3, padding="same"))
    proto = same_layers_as_keras({"frames": layer}, {"image": events((3, 5, 4, 2), 20)})
    assert op_types(proto).count("Conv") == 1


REFUSED = {
    "bicubic": (layers.UpSampling2D(2, interpolation="bicubic"), "bicubic"),
    "antialias": (layers.Resizing(4, 4, antialias=True), "antialias"),
    "crop": (layers.CenterCrop(9, 9), "above that of the image"),
    "random crop": (layers.RandomCrop(3, 3), "RandomCrop"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str) -> None:
    layer, message = REFUSED[name]
    x = keras.Input((8, 6, 3), name="image")
    with pytest.raises(UnsupportedOperationError, match=message) as caught:
        emit(keras.Model(x, layer(x)))
    assert layer.name in str(caught.value)
