"""Networks of images and sequences: their layers, sizes and refusals."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import hepml_root as hr
from hepml_root.errors import SettingError, ShapeError

IMAGE = {"jet_image": (16, 16, 1)}
PARTICLES = {"particles": (6, 3)}


def test_the_published_top_tagger_layer_by_layer():
    model = hr.models.preset("cnn", "top_tagger", {"jet_image": (40, 40, 1)})
    shapes = {
        layer.name: layer.output.shape[1:] for layer in model.layers if not isinstance(layer.output, list)
    }
    assert shapes["conv_1_1"] == (37, 37, 128)
    assert shapes["pool_1"] == (17, 17, 64)
    assert shapes["pool_2"] == (8, 8, 64)
    assert [shapes[f"head_{number}"] for number in (1, 2, 3)] == [(64,), (256,), (256,)]


@pytest.mark.parametrize("normalisation", ["batch", "group"])
def test_normalisation_is_behind_every_convolution(normalisation):
    kind = {"batch": keras.layers.BatchNormalization, "group": keras.layers.GroupNormalization}[normalisation]
    plain = hr.models.cnn(IMAGE, filters=((4, 8), (8,)), normalisation=normalisation)
    assert sum(isinstance(layer, kind) for layer in plain.layers) == 3
    # Two convolutions and a shortcut in the second stage, two in the first, and the stem.
    residual = hr.models.residual_cnn(IMAGE, (4, 8), depth=1, stem=(4, 3, 1), normalisation=normalisation)
    assert sum(isinstance(layer, kind) for layer in residual.layers) == 6


def test_a_residual_block_that_gives_zero_passes_its_input_on():
    model = hr.models.residual_cnn(IMAGE, (4,), depth=1, stem=(4, 3, 1), normalisation=None)
    model.get_layer("conv_1_1_2").set_weights([np.zeros((3, 3, 4, 4)), np.zeros(4)])
    outputs = [model.get_layer(name).output for name in ("activation_stem", "activation_1_1")]
    before, after = keras.Model(model.input, outputs).predict(
        {"jet_image": np.random.default_rng(1).random((3, 16, 16, 1))}, verbose=0
    )
    np.testing.assert_array_equal(before, after)


def test_pixels_far_apart_are_seen_only_through_pooling():
    model = hr.models.cnn(IMAGE, filters=((2,),), hidden=(), reduce="average")
    image = np.zeros((2, 16, 16, 1), dtype=np.float32)
    image[0, 3, 3], image[1, 8, 9] = 1.0, 1.0  # the same pixel, moved by an odd and an even number
    maps = keras.Model(model.input, model.get_layer("activation_1_1").output).predict(
        {"jet_image": image}, verbose=0
    )
    np.testing.assert_allclose(maps[0, 2:5, 2:5], maps[1, 7:10, 8:11], rtol=1e-6)
    assert (maps[0, 6:] == 0).all()


@pytest.mark.parametrize("function", [hr.models.lstm, hr.models.gru], ids=["lstm", "gru"])
def test_states_are_those_of_the_constituents_alone(function):
    """The state after three constituents is that of a network which is given three, in both directions."""
    long = function(PARTICLES, units=(4,), bidirectional=True, hidden=())
    short = function({"particles": (3, 3)}, units=(4,), bidirectional=True, hidden=())
    short.set_weights(long.get_weights())
    particles = np.random.default_rng(1).normal(size=(5, 6, 3)).astype(np.float32)
    mask = np.broadcast_to(np.arange(6) < 3, (5, 6)).astype(np.float32)
    padded = long.predict({"particles": particles, "particles_mask": mask}, verbose=0)
    cut = short.predict({"particles": particles[:, :3], "particles_mask": mask[:, :3]}, verbose=0)
    np.testing.assert_allclose(padded, cut, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("function", [hr.models.lstm, hr.models.gru], ids=["lstm", "gru"])
def test_events_without_constituents_do_not_depend_on_the_machine(function, tmp_path):
    """cuDNN refuses them; neither layer of a pair may take it, also in a model that was loaded."""
    model = function(PARTICLES, units=(4, 3), bidirectional=True, hidden=())
    model.save(tmp_path / "model.keras")
    for one in (model, keras.models.load_model(tmp_path / "model.keras")):
        recurrent = [layer for layer in one._flatten_layers() if isinstance(layer, keras.layers.RNN)]
        assert len(recurrent) == 4
        assert not any(layer.use_cudnn for layer in recurrent)


@pytest.mark.parametrize("function", [hr.models.lstm, hr.models.gru], ids=["lstm", "gru"])
def test_the_order_of_a_sequence_matters(function):
    model = function(PARTICLES, units=(8,), hidden=())
    blocks = {
        "particles": np.random.default_rng(1).normal(size=(20, 6, 3)),
        "particles_mask": np.ones((20, 6)),
    }
    turned = {**blocks, "particles": blocks["particles"][:, ::-1]}
    assert np.abs(model.predict(blocks, verbose=0) - model.predict(turned, verbose=0)).max() > 1e-3


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: hr.models.cnn(PARTICLES), SettingError, "needs a block of kind image"),
        (lambda: hr.models.cnn(IMAGE, borders="sane"), SettingError, "'same'"),
        (lambda: hr.models.cnn(IMAGE, borders=("same",)), SettingError, "one for each"),
        (lambda: hr.models.cnn(IMAGE, filters=((4,),) * 5), ShapeError, r"too small for 5 stage"),
        (
            lambda: hr.models.cnn({"jet_image": (3, 3, 1)}, filters=((2,),), borders="valid"),
            ShapeError,
            "3 × 3 pixels.*'valid'",
        ),
        (
            lambda: hr.models.cnn({**IMAGE, "small": (4, 5, 1)}, ((2,),) * 3, image="small"),
            ShapeError,
            "4 × 5 pixels",
        ),
        (lambda: hr.models.cnn(IMAGE, filters=7), SettingError, "in stages"),
        (lambda: hr.models.cnn(IMAGE, normalisation="bach"), SettingError, "'batch'"),
        (lambda: hr.models.cnn(IMAGE, reduce="mean"), SettingError, "flatten"),
        (lambda: hr.models.residual_cnn(IMAGE, (4,) * 6), ShapeError, "too small"),
        (lambda: hr.models.residual_cnn(IMAGE, groups=2), SettingError, "bottleneck"),
        (lambda: hr.models.residual_cnn(IMAGE, depth=(1, 2)), SettingError, "one for each"),
        (lambda: hr.models.lstm(IMAGE), SettingError, "needs a block of kind jagged"),
        (lambda: hr.models.gru(PARTICLES, units=()), SettingError, "at least 1"),
        (lambda: hr.models.gru(PARTICLES, sequence="particle"), SettingError, "no jagged block 'particle'"),
        (lambda: hr.models.preset("gru", "smal", PARTICLES), SettingError, "'small'"),
        (lambda: hr.models.preset("grru", "small", PARTICLES), SettingError, "'gru'"),
    ],
)
def test_what_cannot_be_is_named(build, error, message):
    with pytest.raises(error, match=message):
        build()
