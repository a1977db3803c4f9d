"""What every model of the zoo keeps: shapes, masks, symmetry, gradients, files, export.

The cases are the zoo's entries, so a new model is tested as soon as it is registered.
"""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import hepml_root as hr
from hepml_root.data.schema import mask_of
from hepml_root.evaluation import predict
from hepml_root.layers.manifest import manifest_of
from hepml_root.models.cost import flops, parameters
from hepml_root.models.presets import Entry, zoo

EVENTS = 40
NETWORKS = {name: entry for name, entry in zoo().items() if entry.network}
PADDED = [name for name, entry in NETWORKS.items() if "particles" in entry.tiny.shapes]
SYMMETRIC = [name for name, entry in NETWORKS.items() if entry.symmetric]
# Sums over constituents in another order differ by some 1e-7 of their largest term; scores are of order 1.
ROUNDING = 1e-5


def longer(shapes, more):
    """The same blocks with more constituents."""
    return {
        name: (shape[0] + more, *shape[1:]) if name == "particles" else shape
        for name, shape in shapes.items()
    }


def events_for(entry: Entry, seed: int = 1) -> dict[str, np.ndarray]:
    """Random events, the first without constituents, the next with one, then with all; padding is zero."""
    random = np.random.default_rng(seed)
    blocks = {}
    for name, shape in entry.tiny.shapes.items():
        *lead, last = shape
        labels = [] if isinstance(last, int) else last
        size = (EVENTS, *lead, len(labels) or last)
        values = random.normal(0.0, 0.5, size)
        if len(size) == 4:
            values = random.exponential(1.0, size) * (random.random(size) < 0.3)
        for number, label in enumerate(labels):
            if label in ("pt", "mass", "energy"):
                values[..., number] = random.exponential(5.0, size[:-1]) + 0.1
        blocks[name] = values.astype(np.float32)
        if len(size) == 3:
            count = random.integers(0, lead[0] + 1, EVENTS)
            count[:3] = 0, 1, lead[0]
            mask = np.arange(lead[0]) < count[:, None]
            blocks[name] *= mask[..., None]
            blocks[mask_of(name)] = mask.astype(np.float32)
    return blocks


class Case:
    """A model with its events and its scores, built once."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.shapes = dict(entry.tiny.shapes)
        self.model = entry.build(self.shapes, "tiny")
        self.blocks = events_for(entry)
        # Weights that start at zero, such as biases, would hide mistakes.
        random = np.random.default_rng(2)
        for weight in self.model.trainable_weights:
            weight.assign(weight + random.normal(0.0, 0.05, weight.shape))
        self.scores = self.score(self.blocks)

    def score(self, blocks) -> np.ndarray:
        return keras.ops.convert_to_numpy(self.model(blocks, training=False))


@pytest.fixture(scope="module")
def case():
    """Return the case of a model by its name."""
    made: dict[str, Case] = {}

    def find(name: str) -> Case:
        if name not in made:
            made[name] = Case(NETWORKS[name])
        return made[name]

    return find


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes(name, case):
    one = case(name)
    assert one.scores.shape == (EVENTS, 1)
    assert np.isfinite(one.scores).all()
    assert one.scores.std() > 1e-6
    for events in (1, 3, 33):
        part = {block: array[:events] for block, array in one.blocks.items()}
        np.testing.assert_allclose(one.score(part), one.scores[:events], rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", PADDED)
def test_padding_changes_nothing(name, case):
    """Whatever the padding holds, and however much of it there is."""
    one = case(name)
    more = one.entry.build(longer(one.shapes, 3), "tiny")
    more.set_weights(one.model.get_weights())
    blocks = dict(one.blocks)
    events = len(one.scores)
    particles = np.concatenate(
        [blocks["particles"], np.zeros((events, 3, *blocks["particles"].shape[2:]))], 1
    )
    mask = np.concatenate([blocks["particles_mask"], np.zeros((events, 3))], axis=1)
    random = np.random.default_rng(3)
    garbage = random.choice([np.nan, np.inf, -1e30, 1e6, 7.0], particles.shape)
    blocks["particles"] = np.where(mask[..., None] > 0.5, particles, garbage).astype(np.float32)
    blocks["particles_mask"] = mask.astype(np.float32)
    found = keras.ops.convert_to_numpy(more(blocks, training=False))
    np.testing.assert_allclose(found, one.scores, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", SYMMETRIC)
def test_the_order_of_constituents_does_not_matter(name, case):
    one = case(name)
    order = np.random.default_rng(4).permutation(one.blocks["particles"].shape[1])
    moved = {**one.blocks, **{b: one.blocks[b][:, order] for b in ("particles", "particles_mask")}}
    np.testing.assert_allclose(one.score(moved), one.scores, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", PADDED)
def test_constituents_matter(name, case):
    one = case(name)
    moved = {**one.blocks, "particles": one.blocks["particles"] * 1.5}
    there = one.blocks["particles_mask"].any(axis=1)
    change = np.abs(one.score(moved) - one.scores)[:, 0]
    assert change[there].max() > 1e-4
    np.testing.assert_array_equal(change[~there], 0.0)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_finite(name, case):
    """Also where an event has no constituent at all, and in training mode."""
    one = case(name)
    before = one.model.get_weights()  # training moves the averages of batch normalisations
    for part in (one.blocks, {block: array[:1] for block, array in one.blocks.items()}):
        blocks = {block: tf.constant(array) for block, array in part.items()}
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(one.model(blocks, training=part is one.blocks) ** 2)
        gradients = tape.gradient(loss, one.model.trainable_variables)
        assert all(gradient is not None for gradient in gradients)
        sizes = [float(tf.reduce_max(tf.abs(gradient))) for gradient in gradients]
        assert np.isfinite(sizes).all()
        assert max(sizes) > 0
    one.model.set_weights(before)


@pytest.mark.parametrize("name", NETWORKS)
def test_save_and_load(name, case, tmp_path):
    one = case(name)
    one.model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    # The same weights through the same operations; their order in compiled sums may differ.
    scores = keras.ops.convert_to_numpy(loaded(one.blocks, training=False))
    np.testing.assert_allclose(scores, one.scores, rtol=1e-6, atol=1e-6)
    assert manifest_of(loaded) == manifest_of(one.model)
    again = type(one.model).from_config(one.model.get_config())
    again.set_weights(one.model.get_weights())
    scores = keras.ops.convert_to_numpy(again(one.blocks, training=False))
    np.testing.assert_allclose(scores, one.scores, rtol=1e-6, atol=1e-6)
    assert parameters(loaded) == parameters(one.model)


@pytest.mark.parametrize("name", NETWORKS)
def test_export(name, case, tmp_path):
    """The file gives what Keras gives, for all events, at other batch sizes than any it was made with."""
    one = case(name)
    path = hr.export(one.model, tmp_path / "model.onnx")
    session = hr.Session(path, engine="onnxruntime")
    for events in (EVENTS, 1):
        part = {block: array[:events] for block, array in one.blocks.items()}
        found = np.asarray(session.infer(part)).reshape(events, -1)
        np.testing.assert_allclose(found, one.scores[:events], rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", NETWORKS)
def test_cost(name, case):
    one = case(name)
    assert parameters(one.model) == sum(int(np.prod(w.shape)) for w in one.model.trainable_weights) > 0
    # Each weight takes part at least once.
    assert flops(one.model) > parameters(one.model) / 2


@pytest.mark.parametrize("name", NETWORKS)
def test_settings_are_documented(name):
    """Each argument of a model's function is in its docstring, under its name."""
    function = getattr(hr.models, name)
    text = inspect.getdoc(function)
    words = text.split("Arguments\n---------")[1].split("\nRaises\n")[0]
    named = {
        word.strip() for line in words.splitlines() if line and line[0] != " " for word in line.split(",")
    }
    assert set(inspect.signature(function).parameters) == named
    assert "Reference" in text
    assert ">>>" in text


@pytest.mark.parametrize("name", NETWORKS)
def test_same_seed_same_network(name):
    entry = NETWORKS[name]
    shapes = dict(entry.tiny.shapes)
    first, second, other = (entry.build(shapes, "tiny", seed=seed) for seed in (5, 5, 6))
    assert all((a == b).all() for a, b in zip(first.get_weights(), second.get_weights(), strict=True))
    assert any((a != b).any() for a, b in zip(first.get_weights(), other.get_weights(), strict=True))


def test_numbers_join_every_network_at_its_head():
    for name, entry in NETWORKS.items():
        shapes = {**entry.tiny.shapes, "features": (2,), "parameters": (1,)}
        if name.endswith("autoencoder"):
            continue  # its score is about one kind of data
        model = entry.build(shapes, "tiny")
        blocks = {**events_for(entry), "features": np.zeros((EVENTS, 2)), "parameters": np.zeros((EVENTS, 1))}
        scores = [
            keras.ops.convert_to_numpy(model({**blocks, **change}, training=False))
            for change in ({}, {"features": np.ones((EVENTS, 2))}, {"parameters": np.ones((EVENTS, 1))})
        ]
        for changed in scores[1:]:
            assert np.abs(changed - scores[0]).max() > 1e-5, name


def test_a_short_training_of_one_of_each_kind():
    """From a dataset, through its transforms, to a better loss."""
    random = np.random.default_rng(5)
    labels = np.arange(400) % 2
    particles = random.normal(size=(400, 5, 3)) + labels[:, None, None]
    mask = np.arange(5) < random.integers(1, 6, 400)[:, None]
    data = hr.Dataset.from_arrays({"particles": particles, "particles_mask": mask}, labels)
    for name in ("gru", "pfn"):
        model = hr.models.preset(name, "tiny", data)
        history = hr.fit(model, data, epochs=3, learning_rate=0.02, verbose=False)
        assert history.best["val_auc"] > 0.8
        assert predict(model, data).shape == (400, 1)
