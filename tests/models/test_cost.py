"""Parameters and FLOPs against counts by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

import hepml_root as hr
from hepml_root.errors import UnsupportedOperationError
from hepml_root.models.cost import flops, parameters
from hepml_root.models.presets import zoo


def model_of(shape, *steps):
    x = keras.Input(shape)
    y = x
    for step in steps:
        y = step(y)
    return keras.Model(x, y)


def test_dense():
    # Transforms (28: minus, times), then for each layer products and sums, biases and activations.
    model = hr.models.dense({"features": (28,)}, hidden=(64, 32))
    assert parameters(model) == 29 * 64 + 65 * 32 + 33
    expected = 2 * 28 + 64 * (2 * 28 + 2) + 32 * (2 * 64 + 2) + (2 * 32 + 2)
    assert flops(model) == expected


@pytest.mark.parametrize(
    ("shape", "steps", "expected"),
    [
        ((8, 8, 3), [layers.Conv2D(5, 3, padding="same", use_bias=False)], 2 * 64 * 5 * 9 * 3),
        ((8, 8, 3), [layers.Conv2D(5, 3, strides=2, padding="same", use_bias=False)], 2 * 16 * 5 * 27),
        ((8, 8, 3), [layers.Conv2D(5, 4)], 25 * 5 * (2 * 48 + 1)),
        ((8, 8, 4), [layers.Conv2D(6, 3, groups=2, padding="same", use_bias=False)], 2 * 64 * 6 * 9 * 2),
        ((8, 8, 3), [layers.DepthwiseConv2D(3, padding="same", use_bias=False)], 2 * 64 * 3 * 9),
        (
            (8, 8, 3),
            [layers.SeparableConv2D(5, 3, depth_multiplier=2, padding="same", use_bias=False)],
            2 * 64 * 6 * 9 + 2 * 64 * 6 * 5,
        ),
        ((4, 4, 3), [layers.Conv2DTranspose(5, 2, strides=2, use_bias=False)], 2 * 48 * 4 * 5),
        ((8, 8, 3), [layers.MaxPooling2D(2)], 16 * 3 * 4),
        ((8, 8, 3), [layers.BatchNormalization()], 2 * 192),
        ((6, 4), [layers.LSTM(5)], 6 * 5 * (8 * 9 + 17)),
        ((6, 4), [layers.Bidirectional(layers.GRU(5))], 2 * 6 * 5 * (6 * 9 + 20)),
        ((6, 4), [lambda x: ops.einsum("bic,bjc->bij", x, x)], 2 * 36 * 4),
        ((6, 4), [lambda x: ops.matmul(x, ops.swapaxes(x, 1, 2))], 2 * 36 * 4),
        ((6, 4), [lambda x: ops.sum(x, axis=1)], 24),
        ((6, 8), [lambda x: ops.top_k(x, 2)[0]], 48 * 3),
        ((6, 4), [layers.Flatten(), layers.Reshape((4, 6)), layers.Permute((2, 1))], 0),
        ((6, 4), [layers.Dropout(0.5), layers.Softmax()], 3 * 24),
    ],
)
def test_by_hand(shape, steps, expected):
    assert flops(model_of(shape, *steps)) == expected


def test_attention():
    # Three projections and one back, with biases; scores and their sum with the values; softmax.
    tokens, width, heads, size = 6, 8, 2, 4
    x = keras.Input((tokens, width))
    model = keras.Model(x, layers.MultiHeadAttention(heads, size)(x, x))
    projections = 4 * tokens * heads * size * (2 * width + 1)
    products = 2 * 2 * heads * tokens * tokens * size
    assert flops(model) == projections + products + 3 * heads * tokens * tokens


def test_counting_leaves_the_model_as_it_was(tmp_path):
    data = {"particles": (5, 3)}
    model = hr.models.gru(data, units=(4,))
    before = [len(layer._inbound_nodes) for layer in model.layers]
    assert flops(model) == flops(model)
    assert [len(layer._inbound_nodes) for layer in model.layers] == before
    blocks = {"particles": np.ones((3, 5, 3), "float32"), "particles_mask": np.ones((3, 5), "float32")}
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(blocks, verbose=0), model.predict(blocks, verbose=0))


def test_what_cannot_be_counted_is_named():
    x = keras.Input((None, 4))
    with pytest.raises(UnsupportedOperationError, match="free lengths"):
        flops(keras.Model(x, ops.sum(x, axis=1)))


# Of these, test_particle_networks.py has the published numbers, of smaller inputs.
ALSO_THERE = ("pfn", "efn", "particle_net", "particle_transformer")
PUBLISHED = [
    pytest.param(entry, preset, marks=[pytest.mark.slow] * (entry.name in ALSO_THERE))
    for entry in zoo().values()
    for preset in entry.presets.values()
    if preset.parameters
]


@pytest.mark.parametrize(("entry", "preset"), PUBLISHED, ids=lambda value: value.name)
def test_published_numbers_of_parameters(entry, preset):
    # Publications round to two or three digits (26 k may be 26.5 k), and count two outputs where we have one.
    model = entry.build(dict(preset.shapes), preset.name)
    assert parameters(model) == pytest.approx(preset.parameters, rel=0.02)
