"""What every generator of showers keeps: units, seeds, files, refusals, export. Cases: the registry."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import hepml_root as hr
from hepml_root.data.geometry import Geometry
from hepml_root.data.showers import Showers
from hepml_root.errors import (
    EmptySelectionError,
    NonFiniteInputError,
    SettingError,
    ShapeError,
    UnsupportedOperationError,
)
from hepml_root.export.onnx import emit
from hepml_root.export.onnx.random import middle_draws, without_draws
from hepml_root.models.generator import Generator
from hepml_root.models.generators import generator_entry, generators

TINY = {
    "name": "tiny",
    "threshold": 0.01,
    "scale": "electromagnetic",
    "layers": [{"grid": [3, 5, 10.0, 10.0]}, {"grid": [2, 2, 15.0, 10.0]}, {"grid": [1, 2, 20.0, 20.0]}],
}
ENTRIES = generators()
# The others are slow tests: what they are made of has tests of its own.
QUICK = ("shower_flow", "shape_flow", "shower_bib_ae")
NAMES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ENTRIES]


def toy_showers(number: int = 600, seed: int = 1, labels=("energy", "eta")) -> Showers:
    """Showers of three layers; cells below the threshold are empty."""
    random = np.random.default_rng(seed)
    geometry = Geometry.from_dict(TINY)
    energy = 10 ** random.uniform(1, 2, number)
    total = energy * (1 + 0.3 * random.normal(size=number) / np.sqrt(energy))
    share = random.dirichlet([4, 6, 0.2], number)
    parts = []
    for layer, where in enumerate(geometry.slices):
        cells = random.dirichlet(np.linspace(0.3, 4, where.stop - where.start), number)
        parts.append(cells * (total * share[:, layer])[:, None])
    x = np.concatenate(parts, axis=1)
    x[x < TINY["threshold"]] = 0.0
    conditions = np.stack([energy, random.uniform(-1, 1, number)], axis=1)[:, : len(labels)]
    return Showers(x, conditions, geometry, labels)


SHOWERS = toy_showers()


@pytest.fixture(scope="module")
def made():
    """Return a generator by its name, with weights that are no longer those of the beginning."""
    known: dict[str, Generator] = {}

    def find(name: str) -> Generator:
        if name not in known:
            entry = ENTRIES[name]
            generator = entry.function(SHOWERS, **entry.tiny)
            random = np.random.default_rng(3)
            for weight in generator.trainable_weights:
                weight.assign(weight + random.normal(0.0, 0.03, weight.shape))
            known[name] = generator
        return known[name]

    return find


@pytest.mark.parametrize("name", NAMES)
def test_samples(name, made):
    generator = made(name)
    new = generator.sample(SHOWERS[:200], seed=1)
    assert new.energies.shape == (200, SHOWERS.geometry.cells)
    assert np.isfinite(new.energies).all()
    assert (new.energies >= 0).all()
    np.testing.assert_array_equal(new.conditions, SHOWERS.conditions[:200])
    assert new.geometry == SHOWERS.geometry
    assert new.labels == SHOWERS.labels
    np.testing.assert_array_equal(new.energies, generator.sample(SHOWERS[:200], seed=1).energies)
    assert (new.energies != generator.sample(SHOWERS[:200], seed=2).energies).any(axis=1).all()
    for seed in (-1, 1.5):
        with pytest.raises(SettingError, match="a seed is a whole number"):
            generator.sample(SHOWERS[:2], seed=seed)
    # Two events of the same particle differ.
    twice = generator.sample({"energy": [50.0, 50.0], "eta": 0.0}).energies
    assert (twice[0] != twice[1]).any()


@pytest.mark.parametrize("name", NAMES)
def test_files(name, made, tmp_path):
    generator = made(name)
    generator.training = {"epochs": 3}
    generator.save(tmp_path / "generator.keras")
    again = keras.models.load_model(tmp_path / "generator.keras")
    assert type(again) is type(generator)
    assert again.training == {"epochs": 3}
    assert again.geometry == generator.geometry
    assert again.ranges == generator.ranges
    np.testing.assert_array_equal(
        again.sample(SHOWERS[:20]).energies, generator.sample(SHOWERS[:20]).energies
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_matters(name, made):
    generator = made(name)
    if type(generator).objective is Generator.objective:
        pytest.skip("trained in its own way")
    with tf.GradientTape() as tape:
        objective = generator.objective(SHOWERS.energies[:128], SHOWERS.conditions[:128])
        loss = tf.reduce_mean(objective)
    assert objective.shape == (128, 1)
    assert np.isfinite(objective).all()
    for weight, gradient in zip(
        generator.trainable_weights, tape.gradient(loss, generator.trainable_weights), strict=True
    ):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient).all(), weight.path


@pytest.mark.parametrize("name", NAMES)
def test_density(name, made):
    generator, entry = made(name), ENTRIES[name]
    if not entry.density:
        with pytest.raises(UnsupportedOperationError, match="density"):
            generator.log_prob(SHOWERS[:5])
        return
    log_p = generator.log_prob(SHOWERS[:50])
    assert log_p.shape == (50,)
    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(log_p, generator.log_prob(SHOWERS[:50]), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_refusals(name, made):
    generator = made(name)
    outside = {"energy": [50.0, 500.0], "eta": [0.0, 0.0]}
    with pytest.raises(SettingError, match=r"energy=500 of shower 1 .*allow_extrapolation"):
        generator.sample(outside)
    assert len(generator.sample(outside, allow_extrapolation=True)) == 2
    with pytest.raises(SettingError, match="eta"):
        generator.sample({"energy": 50.0})
    with pytest.raises(SettingError, match="energy"):
        generator.sample({"enrgy": 50.0, "eta": 0.0})
    with pytest.raises(ShapeError, match="2"):
        generator.sample(np.zeros((3, 5)))
    with pytest.raises(NonFiniteInputError):
        generator.sample([[np.nan, 0.0]])
    with pytest.raises(EmptySelectionError):
        generator.sample(np.zeros((0, 2)))
    other = Showers(np.ones((3, 504)), np.full(3, 20.0), "lar-3")
    with pytest.raises(ShapeError, match="lar-3"):
        generator.sample(other)
    with pytest.raises(ShapeError, match="lar-3"):
        hr.fit(generator, other, verbose=False)
    visible = dataclasses.replace(SHOWERS.geometry, scale="visible")
    with pytest.raises(SettingError, match="put side by side"):
        hr.fit(
            generator, Showers(SHOWERS.energies, SHOWERS.conditions, visible, SHOWERS.labels), verbose=False
        )
    with pytest.raises(EmptySelectionError, match="empty"):
        ENTRIES[name].function(
            Showers(np.zeros((5, SHOWERS.geometry.cells)), np.full(5, 20.0), SHOWERS.geometry)
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_is_the_generator(name, made):
    """With the middle of every distribution for its draws, the ONNX graph gives what Keras gives."""
    onnxruntime = pytest.importorskip("onnxruntime")
    generator = made(name)
    model = generator.sampler()
    conditions = np.concatenate([SHOWERS.conditions[:50], [[0.0, 0.0], [1e6, 1e3], [-5.0, -1e3]]])
    conditions = conditions.astype(np.float32)
    with middle_draws():
        wanted = keras.ops.convert_to_numpy(model({"conditions": conditions}))
    assert np.isfinite(wanted).all()
    proto = without_draws(emit(model))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"conditions": conditions})
    np.testing.assert_allclose(found, wanted, atol=2e-5 * SHOWERS.energies.max(), rtol=1e-3)


@pytest.mark.parametrize("name", ["shower_flow", pytest.param("shape_flow", marks=pytest.mark.slow)])
def test_exported_and_compiled(name, made, tmp_path):
    """The file says what it makes, and C++ gives the same distribution, whatever the blocks."""
    generator = made(name)
    path = hr.export(generator, tmp_path / "generator.onnx")
    manifest = hr.export.read_manifest(path)
    assert manifest["generator"]["kind"] == generator.kind
    assert manifest["generator"].get("rounding", 0.0) == generator.rounding
    assert Geometry.from_dict(manifest["generator"]["geometry"]) == SHOWERS.geometry
    assert manifest["generator"]["ranges"]["eta"] == list(generator.ranges["eta"])
    assert [column["units"] for column in manifest["inputs"][0]["columns"]] == ["GeV", ""]
    session = hr.Session(path, engine="cpp")
    conditions = SHOWERS.conditions
    cells = session.infer(conditions, seed=3)
    parts = [session.infer(conditions[k : k + 70], seed=3, first_event=k) for k in range(0, len(cells), 70)]
    np.testing.assert_array_equal(cells, np.concatenate(parts))
    keras_cells = generator.sample(SHOWERS, seed=4).energies
    # Means of 600 showers: within five standard errors of their difference, cell by cell.
    error = np.sqrt((cells.var(axis=0) + keras_cells.var(axis=0)) / len(cells))
    assert (np.abs(cells.mean(axis=0) - keras_cells.mean(axis=0)) < 5 * error + 1e-6).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_certificates(name, made, tmp_path, monkeypatch):
    monkeypatch.setenv("HEPML_ROOT_CERTIFY", "cpp")
    path = hr.export(made(name), tmp_path / "generator.onnx")
    assert "max_abs_difference" in hr.export.read_manifest(path)["parity"]["cpp"]


def test_fit_and_what_it_learns():
    """Ten epochs of 2000 showers: response to 2 %, and the share of the first layer, of 0.2, to 0.03."""
    showers = toy_showers(2000, seed=5, labels=("energy",))
    generator = hr.models.shower_flow(showers, hidden=(16,), steps=4, energy_hidden=(32,), energy_steps=4)
    history = hr.fit(
        generator, showers, epochs=10, batch_size=100, learning_rate=5e-3, verbose=False, jit=False
    )
    assert history.epochs == 10
    assert generator.training
    new = generator.sample(showers, seed=1)
    found, wanted = (one.layer_energies() for one in (new, showers))
    ratio = new.total_energies() / new.condition("energy")
    assert ratio.mean() == pytest.approx(1.0, abs=0.02)
    share = found[:, 0].sum() / found.sum()
    assert share == pytest.approx(wanted[:, 0].sum() / wanted.sum(), abs=0.03)


@pytest.mark.slow
def test_student(tmp_path):
    teacher = hr.models.shower_flow(
        SHOWERS, kind="maf", hidden=(8,), steps=2, energy_hidden=(8,), energy_steps=2
    )
    random = np.random.default_rng(3)
    for weight in teacher.trainable_weights:
        weight.assign(weight + random.normal(0.0, 0.05, weight.shape))
    learner = hr.models.student(teacher, hidden=(16,), steps=2)
    before = float(np.mean(learner.objective(SHOWERS.energies, SHOWERS.conditions)))
    hr.fit(learner, SHOWERS, epochs=4, batch_size=50, learning_rate=3e-3, verbose=False, jit=False)
    after = float(np.mean(learner.objective(SHOWERS.energies, SHOWERS.conditions)))
    assert after < 0.9 * before
    learner.save(tmp_path / "student.keras")
    again = keras.models.load_model(tmp_path / "student.keras")
    np.testing.assert_array_equal(again.sample(SHOWERS[:9]).energies, learner.sample(SHOWERS[:9]).energies)
    with pytest.raises(UnsupportedOperationError, match="teacher"):
        again.objective(SHOWERS.energies, SHOWERS.conditions)
    with pytest.raises(UnsupportedOperationError, match="shower_flow"):
        hr.models.student(learner)


def test_registry():
    for name, entry in ENTRIES.items():
        assert name in hr.models.__all__
        assert entry.function is getattr(hr.models, name)
    with pytest.raises(SettingError, match="shower_flow"):
        generator_entry("shower_flw")
