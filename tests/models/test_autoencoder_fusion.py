"""Autoencoders learn one class and tell another; fusion gives each block its branch."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import hepml_root as hr
from hepml_root.errors import ModelFileError, SettingError, ShapeError
from hepml_root.evaluation import predict
from hepml_root.layers.manifest import manifest_of
from hepml_root.models.autoencoder import SetDistance


def correlated(events: int = 1200) -> hr.Dataset:
    """Background on a line in three dimensions, signal with the same marginals but no correlation."""
    random = np.random.default_rng(1)
    x = np.repeat(random.normal(size=(events, 1)), 3, axis=1) + 0.1 * random.normal(size=(events, 3))
    labels = np.arange(events) % 2
    x[labels == 1] = random.normal(size=(events // 2, 3))
    return hr.Dataset.from_arrays(x, labels)


def test_an_autoencoder_trained_on_background_tells_the_signal(tmp_path):
    data = correlated()
    background = data[data.labels == 0]
    model = hr.models.autoencoder(background, hidden=(8,), latent=1)
    history = hr.fit(model, background, epochs=25, learning_rate=0.01, verbose=False)
    assert history.settings["loss"]["class"] == "MeanScore"
    report = hr.evaluate(model, data, bootstrap=0, ranking=False)
    assert report.auc.value > 0.9
    assert report.calibration == {}  # an error is no probability
    score = predict(model, data)
    # The score is what it says: the mean squared difference of what goes in and what comes out.
    standardise = model.get_layer("features_1_standardise")
    given = keras.ops.convert_to_numpy(standardise(data.X["features"]))
    rebuilt = hr.models.reconstruction_of(model).predict(data.X, verbose=0)
    np.testing.assert_allclose(score[:, 0], ((given - rebuilt) ** 2).mean(axis=1), rtol=1e-4, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert manifest_of(loaded)["loss"] == "mean_score"
    code = hr.models.encoder_of(loaded).predict(data.X, verbose=0)
    assert code.shape == (1200, 1)
    np.testing.assert_allclose(
        hr.models.decoder_of(loaded).predict(code, verbose=0), rebuilt, rtol=1e-5, atol=1e-6
    )
    with pytest.raises(ModelFileError, match="no autoencoder"):
        hr.models.encoder_of(hr.models.dense(data))


def test_an_autoencoder_of_data_without_classes_is_a_regression_of_its_error():
    random = np.random.default_rng(1)
    data = hr.Dataset.from_arrays(random.normal(size=(50, 3)), target=np.zeros(50))
    manifest = manifest_of(hr.models.autoencoder(data, hidden=(4,), latent=1))
    assert manifest["task"] == "regression"
    assert manifest["outputs"][0]["labels"] == ["reconstruction_error"]


def test_distance_of_sets_by_hand():
    far = 50.0  # a logit: that slot exists
    x = np.array([[[0.0], [2.0], [99.0]]])
    mask = np.array([[1.0, 1.0, 0.0]])
    slots = np.array([[[0.0, far], [5.0, far]]])
    # 0 is met, 2 is nearest to 0: (0 + 4) / 2. The slot at 5 is nearest to 2: (0 + 9) / 2. Two of two.
    assert float(SetDistance()([x, mask, slots])[0, 0]) == pytest.approx(2.0 + 4.5, rel=1e-5)
    # Without constituents only their number counts: two slots exist, none should: (2 / 2)².
    assert float(SetDistance()([x, 0 * mask, slots])[0, 0]) == pytest.approx(1.0, rel=1e-5)
    # A slot that does not exist costs nothing but the missing constituent: 2.0 and (1 - 2)² / 4.
    slots[0, 1, 1] = -far
    assert float(SetDistance()([x, mask, slots])[0, 0]) == pytest.approx(2.0 + 0.0 + 0.25, rel=1e-5)


def test_an_image_has_to_be_large_enough():
    with pytest.raises(ShapeError, match="halved 3 times"):
        hr.models.conv_autoencoder({"jet_image": (6, 9, 1)}, filters=(2, 2, 2))


def test_fusion_takes_any_branch():
    shapes = {"jet_image": (8, 8, 1), "particles": (5, ["pt", "eta", "phi"]), "features": (2,)}
    model = hr.models.fusion(
        shapes,
        branches={
            "particles": {"kind": "lstm", "settings": {"units": (3,), "hidden": ()}},
            "features": {"kind": "dense", "settings": {"hidden": (7,)}},
        },
        hidden=(4,),
    )
    # A dense layer of the default convolutional branch, the LSTM's state, and the dense branch; no numbers.
    assert model.get_layer("head_1").kernel.shape == (64 + 3 + 7, 4)
    assert set(model.input) == {"jet_image", "particles", "particles_mask", "features"}
    plain = hr.models.fusion({"features": (3,)}, hidden=(4,))
    assert plain.get_layer("head_1").kernel.shape == (3, 4)


def test_fusion_adapts_the_transforms_of_its_branches():
    random = np.random.default_rng(1)
    X = {"particles": random.normal(100.0, 10.0, (60, 5, 2)), "features": random.normal(-50.0, 5.0, (60, 2))}
    data = hr.Dataset.from_arrays(X, np.arange(60) % 2, columns={"particles": ["pt", "mass"]})
    model = hr.models.fusion(data, transforms={"pt": "log,standardise", "*": "standardise"})
    scale = model.get_layer("particles_branch").get_layer("particles_1_percolumn")
    _, centred = scale.groups[0][1]
    assert float(centred.centre[0]) == pytest.approx(np.log(X["particles"][..., 0]).mean(), abs=0.02)
    assert predict(model, data).shape == (60, 1)


def test_a_branch_takes_what_is_its_own():
    """Its channels' transforms, and the graph of its constituents, not that of others of a longer name."""
    graph = {"jet_core_neighbours": (4, 2), "jet_core_edges": (4, 2, 1)}
    shapes = {"jet": (5, 3), "jet_core": (4, 3), **graph, "pixels": (8, 8, ["energy", "tracks"])}
    network = {"kind": "interaction_network", "preset": "tiny"}
    model = hr.models.fusion(
        shapes, {"jet": network, "jet_core": network}, hidden=(4,), transforms={"energy": "minmax"}
    )
    assert set(model.get_layer("jet_branch").input) == {"jet", "jet_mask"}
    assert set(model.get_layer("jet_core_branch").input) == {
        "jet_core",
        "jet_core_mask",
        *graph,
        *{"jet_core_edges_mask"},
    }
    ((_, chain), *_) = model.get_layer("pixels_branch").get_layer("pixels_1_percolumn").groups
    assert [type(layer).__name__ for layer in chain] == ["MinMax"]


@pytest.mark.parametrize(
    ("branches", "message"),
    [
        ({"image": "cnn"}, "no block 'image'"),
        ({"jet_image": "cn"}, "'cnn'"),
        ({"jet_image": "fusion"}, "no model 'fusion'"),
        ({"jet_image": {"kind": "cnn", "setting": {}}}, "'settings'"),
        ({"jet_image": {"kind": "conv_autoencoder"}}, "cannot be a branch"),
    ],
)
def test_branches_that_do_not_exist(branches, message):
    with pytest.raises(SettingError, match=message):
        hr.models.fusion({"jet_image": (8, 8, 1), "features": (2,)}, branches=branches)
