"""The two ends of every model: its input blocks, and what joins them to a task."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import hepml_root as hr
from hepml_root.errors import ColumnNotFoundError, SettingError, ShapeError
from hepml_root.evaluation import predict
from hepml_root.layers.image import ScaleImage
from hepml_root.layers.manifest import manifest_of, probe_of
from hepml_root.models.inputs import InputBlocks

SHAPES = {
    "features": (["mass", "tau21"]),
    "particles": (5, ["pt", "eta", "phi"]),
    "particles_neighbours": (5, 2),
    "particles_edges": (5, 2, ["delta_r"]),
    "jet_image": (6, 6, 1),
}


def shapes(*names: str) -> dict:
    return {name: [SHAPES[name]] if name == "features" else SHAPES[name] for name in names or SHAPES}


def test_shapes_become_blocks_with_their_masks():
    blocks = InputBlocks(shapes())
    assert [(name, blocks._blocks[name]["kind"]) for name in blocks.inputs] == [
        ("features", "flat"),
        ("particles", "jagged"), ("particles_mask", "mask"),
        ("particles_neighbours", "index"),
        ("particles_edges", "edges"), ("particles_edges_mask", "mask"),
        ("jet_image", "image"),
    ]  # fmt: skip
    assert blocks.mask("particles").shape == (None, 5)
    assert blocks.mask("particles_edges").shape == (None, 5, 2)
    assert blocks.tensor("particles_edges").shape == (None, 5, 2, 1)
    assert blocks.column("particles", "phi") == 2
    assert blocks.columns("particles", ["phi", "pt"]) == [2, 0]
    with pytest.raises(ColumnNotFoundError, match="'eta'"):
        blocks.column("particles", "etaa")
    with pytest.raises(SettingError, match="no mask"):
        blocks.mask("jet_image")


@pytest.mark.parametrize("shape", [(), (1, 2, 3, 4), (0, 4), "particles", 5])
def test_shapes_that_are_none(shape):
    with pytest.raises(ShapeError, match="the block 'x'"):
        InputBlocks({"x": shape})


def test_one_of_kind_names_what_exists():
    blocks = InputBlocks({"particles": (5, 3), "jets": (4, 2), "jet_image": (6, 6, 1)})
    assert blocks.one_of_kind("image") == "jet_image"
    assert blocks.one_of_kind("jagged", "jets") == "jets"
    with pytest.raises(SettingError, match=r"pfn takes one block of kind jagged.*'particles'.*'jets'"):
        blocks.one_of_kind("jagged", asked_by="pfn")
    with pytest.raises(SettingError, match="no image block 'jets'"):
        blocks.one_of_kind("image", "jets")
    with pytest.raises(SettingError, match="needs a block of kind flat"):
        blocks.one_of_kind("flat")


def test_no_data_are_lost_in_silence():
    def mean_of_particles(data, inputs=None):
        blocks = InputBlocks(data, inputs=inputs)
        pooled = ops.mean(blocks.tensor("particles"), axis=1)
        return blocks.model(blocks.head(pooled, hidden=(3,)), "mean")

    model = mean_of_particles(shapes("features", "particles", "particles_neighbours"))
    assert [tensor.name for tensor in model.inputs] == ["features", "particles", "particles_mask"]
    assert [block["name"] for block in manifest_of(model)["inputs"]] == list(model.input)
    assert model.get_layer("head_1").kernel.shape == (3 + 2, 3)
    with pytest.raises(SettingError, match=r"no use for 'jet_image'.*fusion"):
        mean_of_particles(shapes())
    model = mean_of_particles(shapes(), inputs=["particles"])
    assert list(model.input) == ["particles", "particles_mask"]
    with pytest.raises(SettingError, match="'particles'"):
        mean_of_particles(shapes(), inputs=["particle"])


def test_a_model_of_some_blocks_keeps_their_probe_events():
    random = np.random.default_rng(1)
    X = {"features": random.normal(size=(40, 2)), "particles": random.normal(size=(40, 5, 3))}
    data = hr.Dataset.from_arrays(X, np.arange(40) % 2)
    blocks = InputBlocks(data, inputs=["particles"])
    model = blocks.model(ops.mean(blocks.tensor("particles"), axis=1), "mean")
    assert list(probe_of(model)) == ["particles", "particles_mask"]
    assert predict(model, data).shape == (40, 1)


def test_raw_and_transformed_are_zero_where_padded():
    random = np.random.default_rng(1)
    mask = random.random((40, 5)) < 0.5
    mask[:, 0] = True
    particles = np.where(mask[..., None], random.normal(100.0, 10.0, (40, 5, 3)), 1e30)
    data = hr.Dataset.from_arrays({"particles": particles, "particles_mask": mask}, np.arange(40) % 2)
    blocks = InputBlocks(data)
    both = keras.Model(blocks.inputs, [blocks.raw("particles"), blocks.tensor("particles")])
    raw, transformed = both.predict(data.X, verbose=0)
    np.testing.assert_array_equal(raw, np.where(mask[..., None], particles.astype(np.float32), 0.0))
    assert (transformed[~mask] == 0).all()
    np.testing.assert_allclose(transformed[mask].mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(transformed[mask].std(axis=0), 1.0, rtol=1e-4)


def test_dense_takes_pixels_and_constituents_but_no_graph():
    model = hr.models.dense(shapes(), hidden=(4,))
    assert model.get_layer("hidden_1").kernel.shape == (2 + 5 * 3 + 5 + 36, 4)
    assert "particles_neighbours" not in model.input


def test_scale_of_images():
    random = np.random.default_rng(1)
    images = random.exponential(2.0, (50, 4, 4, 2)) * (random.random((50, 4, 4, 2)) < 0.1)
    images[..., 1] = 0.0
    layer = ScaleImage().adapt(images, weight=np.ones(50))
    scaled = layer(images).numpy()
    np.testing.assert_allclose(np.mean(scaled[..., 0] ** 2), 1.0, rtol=1e-5)
    assert ((scaled == 0) == (images == 0)).all()
    np.testing.assert_allclose(layer.inverse(scaled), images, rtol=1e-5)
    compressed = ScaleImage(logarithm=True).adapt(images)
    np.testing.assert_allclose(compressed(images), np.log1p(scaled), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(compressed.inverse(compressed(images)), images, rtol=1e-5, atol=1e-6)
    again = ScaleImage.from_config(compressed.get_config())
    assert again.logarithm
    with pytest.raises(SettingError, match="'rms'"):
        InputBlocks(shapes(), images="rmss")


def test_the_seed_sets_all_weights_and_leaves_pythons_random_alone():
    import random

    def built(seed):
        with InputBlocks.seeded(seed):
            return keras.Sequential(
                [keras.Input((4, 3)), keras.layers.GRU(5), keras.layers.Dense(2)]
            ).get_weights()

    random.seed(7)
    expected = random.random()
    random.seed(7)
    first, second, other = built(1), built(1), built(2)
    assert random.random() == expected
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert not (first[0] == other[0]).all()
