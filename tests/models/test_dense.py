"""What every dense model keeps, over tasks, blocks and settings."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

import hepml_root as hr
from hepml_root.errors import ModelFileError, NonFiniteInputError, SettingError, ShapeError
from hepml_root.layers.manifest import manifest_of, probe_of


def arrays(events: int = 300, seed: int = 1) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "features": random.normal(100.0, 30.0, size=(events, 4)).astype(np.float32),
        "parameters": random.choice([300.0, 600.0], size=(events, 1)).astype(np.float32),
        "jets": random.exponential(50.0, size=(events, 5, 3)).astype(np.float32),
        "jets_mask": random.random((events, 5)) < 0.6,
    }


def dataset(task: str, names: tuple[str, ...] = ("features",), events: int = 300) -> hr.Dataset:
    X = {name: array for name, array in arrays(events).items() if name in names}
    random = np.random.default_rng(3)
    if task == "regression":
        target = np.stack([random.normal(500.0, 80.0, events), random.normal(0.0, 0.01, events)], axis=1)
        return hr.Dataset.from_arrays(X, target=target, targets=["mass", "eta"])
    classes = {"binary": ("signal", "background"), "multiclass": ("ttbar", "wjets", "qcd")}[task]
    return hr.Dataset.from_arrays(X, np.arange(events) % len(classes), classes=classes)


OUTPUTS = {"binary": 1, "multiclass": 3, "regression": 2}
ALL_BLOCKS = ("features", "parameters", "jets", "jets_mask")


@pytest.mark.parametrize("blocks", [("features",), ALL_BLOCKS, ("jets", "jets_mask")], ids=len)
@pytest.mark.parametrize("task", OUTPUTS)
def test_contract(task, blocks, tmp_path):
    data = dataset(task, blocks)
    model = hr.models.dense(data, hidden=(16, 16), dropout=0.1, batch_norm=True, residual=True, l2=1e-4)
    score = model.predict(data.X, verbose=0)
    assert score.shape == (300, OUTPUTS[task])
    assert np.isfinite(score).all()
    for events in (1, 33):
        part = {name: array[:events] for name, array in data.X.items()}
        np.testing.assert_allclose(model.predict(part, verbose=0), score[:events], rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(data.X, verbose=0), score)
    manifest = manifest_of(loaded)
    assert manifest == manifest_of(model)
    assert [block["name"] for block in manifest["inputs"]] == list(data.X)
    assert manifest["outputs"][0]["labels"] == {
        "binary": ["signal"], "multiclass": ["ttbar", "wjets", "qcd"], "regression": ["mass", "eta"],
    }[task]  # fmt: skip
    probe = probe_of(loaded)
    assert {name: array.shape[1:] for name, array in probe.items()} == {
        name: array.shape[1:] for name, array in data.X.items()
    }
    assert loaded.output_names == ["score"]
    if task == "binary":
        assert ((score >= 0) & (score <= 1)).all()
    if task == "multiclass":
        np.testing.assert_allclose(score.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("hidden", [(64, 32, 16), (7,), (), (5, 5)])
def test_every_hidden_layer_has_its_own_size(hidden):
    model = hr.models.dense(dataset("binary"), hidden=hidden)
    sizes = [4, *hidden, 1]
    expected = sum((a + 1) * b for a, b in itertools.pairwise(sizes))
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == expected


def test_regression_starts_at_the_targets_mean_in_its_units():
    data = dataset("regression")
    model = hr.models.dense(data)
    model.get_layer("output").kernel.assign(np.zeros((64, 2)))
    score = model.predict(data.X, verbose=0)
    np.testing.assert_allclose(
        score, data.target.mean(axis=0)[None] * np.ones((300, 1)), rtol=1e-4, atol=1e-6
    )


def test_masked_constituents_do_not_matter():
    data = dataset("binary", ALL_BLOCKS)
    model = hr.models.dense(data, transforms="G")
    spoiled = {name: array.copy() for name, array in data.X.items()}
    spoiled["jets"][~data.X["jets_mask"]] = np.nan
    np.testing.assert_array_equal(model.predict(spoiled, verbose=0), model.predict(data.X, verbose=0))
    moved = {name: array.copy() for name, array in data.X.items()}
    moved["jets"][data.X["jets_mask"]] *= 2.0
    assert np.abs(model.predict(moved, verbose=0) - model.predict(data.X, verbose=0)).max() > 1e-3


def test_the_parameter_is_an_input():
    data = dataset("binary", ("features", "parameters"))
    model = hr.models.dense(data)
    other = {**data.X, "parameters": 900.0 - data.X["parameters"]}
    assert np.abs(model.predict(other, verbose=0) - model.predict(data.X, verbose=0)).max() > 1e-3


def test_weights_reach_the_transforms():
    X = arrays()["features"]
    labels = np.arange(300) % 2
    plain = hr.models.dense(hr.Dataset.from_arrays(X, labels))
    weighted = hr.models.dense(hr.Dataset.from_arrays(X, labels, weight=np.where(X[:, 0] > 100, 5.0, 1.0)))
    centres = [model.get_layer("features_1_standardise").centre.numpy()[0] for model in (plain, weighted)]
    assert centres[1] > centres[0] + 5.0


def test_missing_values():
    X = arrays()["features"].copy()
    X[::7, 2] = np.nan
    data = hr.Dataset.from_arrays(X, np.arange(300) % 2, missing="keep")
    for transforms in ("auto", "impute,G", {"*": "impute,N"}):
        score = hr.models.dense(data, transforms=transforms).predict(data.X, verbose=0)
        assert np.isfinite(score).all()
    for transforms in ("N", None):
        with pytest.raises(NonFiniteInputError, match="impute"):
            hr.models.dense(data, transforms=transforms)


@pytest.mark.parametrize("name", ["N", "D,N", "G,D", "P,standardise", "U", "log,standardise", "clip", None])
def test_transforms_in_models(name):
    data = dataset("binary")
    score = hr.models.dense(data, transforms=name).predict(data.X, verbose=0)
    assert np.isfinite(score).all()


def test_transforms_by_column():
    X = arrays()["features"]
    data = hr.Dataset.from_arrays(X, np.arange(300) % 2, columns=["pt", "eta", "phi", "m"])
    model = hr.models.dense(data, transforms={"pt": "log,standardise", "*": "N"})
    assert np.isfinite(model.predict(data.X, verbose=0)).all()
    with pytest.raises(SettingError, match="'eta'"):
        hr.models.dense(data, transforms={"etaa": "log"})


@pytest.mark.parametrize(
    "activation", ["relu", "elu", "gelu", "selu", "silu", "tanh", "sigmoid", "leaky_relu"]
)
def test_activations(activation):
    data = dataset("binary")
    assert np.isfinite(hr.models.dense(data, activation=activation).predict(data.X, verbose=0)).all()


def test_same_seed_same_network_whatever_was_built_before():
    data = dataset("binary")
    first = hr.models.dense(data, seed=5).predict(data.X, verbose=0)
    hr.models.dense(data, seed=6)
    second = hr.models.dense(data, seed=5).predict(data.X, verbose=0)
    other = hr.models.dense(data, seed=6).predict(data.X, verbose=0)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3


def test_from_a_description_alone():
    data = dataset("multiclass", ALL_BLOCKS)
    model = hr.models.dense(data.describe())
    assert model.predict(data.X, verbose=0).shape == (300, 3)
    assert probe_of(model) == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "rlu"}, "relu"),
        ({"initializer": "he_norm"}, "he_normal"),
        ({"transforms": "standardize"}, "standardise"),
        ({"hidden": (64, 0)}, "at least one neuron"),
        ({"dropout": 1.0}, "dropout"),
        ({"l2": -1.0}, "penalties"),
        ({"residual": True, "hidden": (64, 32)}, "same width"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(SettingError, match=message):
        hr.models.dense(dataset("binary"), **settings)


def test_attach_gives_a_model_of_ones_own_a_manifest(tmp_path):
    data = dataset("binary")
    own = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    with pytest.raises(ModelFileError, match=r"hr\.attach"):
        manifest_of(own)
    model = hr.attach(own, data)
    np.testing.assert_allclose(
        model.predict(data.X, verbose=0), own.predict(data.X["features"], verbose=0), rtol=1e-6
    )
    model.save(tmp_path / "own.keras")
    loaded = keras.models.load_model(tmp_path / "own.keras")
    assert manifest_of(loaded)["outputs"][0]["labels"] == ["signal"]
    np.testing.assert_array_equal(probe_of(loaded)["features"], probe_of(model)["features"])
    with pytest.raises(ShapeError, match="needs 3"):
        hr.attach(own, dataset("multiclass"))
    with pytest.raises(ShapeError, match="blocks"):
        hr.attach(own, dataset("binary", ALL_BLOCKS))
    narrow = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    with pytest.raises(ShapeError, match="does not take"):
        hr.attach(narrow, data)
