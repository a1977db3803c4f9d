"""Attention in all its forms, and gathering of neighbours."""

# ruff: noqa: ARG005 - every layer is a function of all inputs

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from hepml_root.export.onnx import emit
from hepml_root.layers.neighbours import gather

HEADS = {
    "self": lambda x, y, m: layers.MultiHeadAttention(3, 4)(x, x),
    "cross": lambda x, y, m: layers.MultiHeadAttention(3, 4, value_dim=2, output_shape=7)(x, y),
    "masked": lambda x, y, m: layers.MultiHeadAttention(3, 4, use_bias=False)(
        x, x, attention_mask=m[:, None, :] > 0.5
    ),
    "causal": lambda x, y, m: layers.MultiHeadAttention(3, 4)(x, x, use_causal_mask=True),
    "with dropout": lambda x, y, m: layers.MultiHeadAttention(3, 4, dropout=0.1)(
        x, x, attention_mask=m[:, None, :] > 0.5, use_causal_mask=True
    ),
    "scores": lambda x, y, m: layers.MultiHeadAttention(2, 4)(x, y, return_attention_scores=True),
    "masks of Keras": lambda x, y, m: layers.MultiHeadAttention(3, 4)(
        layers.Masking()(x), layers.Masking()(ops.relu(y[..., :1]))
    ),
    "gate": lambda x, y, m: layers.MultiHeadAttention(3, 4, use_gate=True)(x, x),
    "grouped": lambda x, y, m: layers.GroupQueryAttention(4, 4, 2)(x, x, attention_mask=m[:, None, :] > 0.5),
    "one key": lambda x, y, m: layers.GroupQueryAttention(4, 4, 1)(x, y),
    "dot": lambda x, y, m: layers.Attention(use_scale=True)([x, y]),
    "dot causal": lambda x, y, m: layers.Attention()(
        [layers.Masking()(x), layers.Masking()(y)], use_causal_mask=True
    ),
    "concatenated": lambda x, y, m: layers.Attention(score_mode="concat")([x, y]),
    "additive": lambda x, y, m: layers.AdditiveAttention()([x, layers.Masking()(ops.relu(y))]),
    "normalised": lambda x, y, m: layers.BatchNormalization()(x, mask=m > 0.5),
    "spectral": lambda x, y, m: layers.SpectralNormalization(layers.Dense(4))(x),
    "reversed embedding": lambda x, y, m: layers.ReversibleEmbedding(6, 4)(
        ops.cast(ops.clip(ops.abs(x[:, :, 0]), 0.0, 5.0), "int32")
    ),
}
PLACES = {
    "bias": lambda x, n: ops.dot_product_attention(
        x[:, :, None], x[:, :, None], x[:, :, None], bias=n[:, None, :, :1] * x[:, None, :, 0][:, :, None]
    ),
    "bias and mask": lambda x, n: ops.dot_product_attention(
        x[:, :, None], x[:, :, None], x[:, :, None], mask=n[:, None, :, :1] > 1.0, scale=0.7
    ),
    "neighbours": gather,
    "rows": lambda x, n: ops.take_along_axis(x[:, None], ops.cast(n, "int32")[..., None], axis=2),
    "elements": lambda x, n: ops.take_along_axis(x, ops.cast(n, "int32"), axis=1),
    "nearest": lambda x, n: ops.top_k(-ops.sum(ops.square(x[:, :, None] - x[:, None]), axis=-1), 3)[1],
}


def some_events() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    blocks = {
        "x": rng.normal(size=(30, 6, 5)),
        "y": rng.normal(size=(30, 4, 5)),
        "m": rng.random((30, 6)) < 0.6,
    }
    blocks["m"][:2] = [[False], [True]]
    blocks["x"][2:4], blocks["y"][3] = 0.0, 0.0
    return {name: array.astype(np.float32) for name, array in blocks.items()}


def test_layers(same_layers_as_keras) -> None:
    same_layers_as_keras(HEADS, some_events(), tolerance=1e-5)


def test_operations_on_places(same_layers_as_keras) -> None:
    rng = np.random.default_rng(1)
    blocks = {"x": rng.normal(size=(30, 6, 3)), "n": rng.integers(0, 6, (30, 6, 3))}
    blocks = {name: array.astype(np.float32) for name, array in blocks.items()}
    proto = same_layers_as_keras(PLACES, blocks, tolerance=1e-5)
    kinds = [node.op_type for node in proto.graph.node]
    assert kinds.count("GatherElements") == 1
    # Positions are int64 from the input to every operator that reads them, and float32 as an output.
    assert kinds.count("Cast") == 2


def test_attention_is_two_products_around_a_softmax() -> None:
    """The scale of the scores is inside the weights of the query; nothing is moved that need not be."""
    x = keras.Input((6, 5), name="x")
    proto = emit(keras.Model(x, layers.MultiHeadAttention(2, 4)(x, x)))
    project = ["MatMul", "Add", "Reshape"]
    assert [node.op_type for node in proto.graph.node] == [
        *project, *project, *project, "Transpose", "Transpose", "MatMul", "Softmax", "Transpose", "MatMul",
        "Transpose", "Reshape", "MatMul", "Add",
    ]  # fmt: skip


def test_weights_on_the_left_of_a_symbolic_tensor(same_layers_as_keras) -> None:
    """Keras's variables do not take symbolic tensors; while a model is exported they do."""

    class Scaled(layers.Layer):
        def build(self, shape) -> None:
            self.factor = self.add_weight(shape=(shape[-1],), initializer="normal", name="factor")

        def call(self, x):
            return self.factor * x + ops.cast(self.factor > 0.1, "float32") * (1.0 - x)

    add = keras.Variable.__add__
    same_layers_as_keras({"scaled": Scaled()}, {"x": some_events()["x"]})
    assert keras.Variable.__add__ is add
