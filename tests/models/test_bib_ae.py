"""Autoencoders that critics teach, and the correction of the spectrum of cells. What every generator keeps
is in test_generators.py."""

from __future__ import annotations

import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import hepml_root as hr
from hepml_root.data.geometry import Geometry
from hepml_root.data.showers import Showers
from hepml_root.errors import SettingError, ShapeError, UnsupportedOperationError
from hepml_root.layers.cell_spectrum import CellSpectrum, SpectrumCorrection
from hepml_root.losses import WassersteinGP, mean_discrepancy
from hepml_root.training.tensorflow_adversarial import TensorFlowAdversarialLoop

TINY = Geometry.from_dict(
    {
        "name": "tiny", "threshold": 0.01, "scale": "electromagnetic",
        "layers": [{"grid": [2, 3, 10.0, 10.0]}, {"grid": [2, 2, 15.0, 10.0]}],
    }
)  # fmt: skip


def toy_showers(number: int = 200, seed: int = 1) -> Showers:
    """Showers of two layers; cells below the threshold are empty."""
    random = np.random.default_rng(seed)
    energy = 10 ** random.uniform(1, 2, number)
    share = random.dirichlet([4, 6], number)
    parts = [
        random.dirichlet(np.linspace(0.3, 4, where.stop - where.start), number) * share[:, [layer]]
        for layer, where in enumerate(TINY.slices)
    ]
    x = np.concatenate(parts, axis=1) * energy[:, None]
    x[x < TINY.threshold] = 0.0
    return Showers(x, energy, TINY)


SHOWERS = toy_showers()


def bib_ae(**settings):
    small = {"hidden": (8,), "channels": 2, "latent": 3, "critic_hidden": (8,)}
    return hr.models.shower_bib_ae(SHOWERS, **{**small, **settings})


@pytest.fixture(scope="module")
def moved():
    """A generator whose weights are no longer those of the beginning."""
    generator = bib_ae()
    random = np.random.default_rng(3)
    for weight in generator.trainable_weights:
        weight.assign(weight + random.normal(0.0, 0.1, weight.shape))
    return generator


# ------------------------------------------------------------------------------------------------ losses


def test_discrepancy_of_two_points_each():
    """0 and 2 against 1 and 1, width 1: e^-2 between the first two, 1 between the others, e^-1/2 across."""
    x, y = np.array([[0.0], [2.0]], np.float32), np.array([[1.0], [1.0]], np.float32)
    wanted = np.exp(-2.0) + 1.0 - 2.0 * np.exp(-0.5)
    assert float(mean_discrepancy(x, y, widths=(1.0,))) == pytest.approx(wanted, abs=1e-6)


def test_the_discrepancy_of_codes_pulls_them_to_the_normal():
    """Its gradient is that of finite differences, and points away from where the codes should go: up for the
    mean of codes that are too high, and for the spread of codes that are too wide."""
    random = np.random.default_rng(1)
    draw, normal = random.normal(size=(2, 200, 3)).astype(np.float32)

    def of(numbers):
        return mean_discrepancy(numbers[0] + numbers[1] * draw, normal)

    numbers = tf.constant([0.5, 1.5])
    with tf.GradientTape() as tape:
        tape.watch(numbers)
        value = of(numbers)
    slope = tape.gradient(value, numbers).numpy()
    step = 0.01
    for number in range(2):
        up, down = np.array([[0.5, 1.5]] * 2, np.float32) + step * np.array([[1], [-1]]) * np.eye(2)[number]
        numeric = (float(of(up.astype(np.float32))) - float(of(down.astype(np.float32)))) / (2 * step)
        assert slope[number] == pytest.approx(numeric, rel=0.02)
    assert (slope > 0.02).all()


# ------------------------------------------------------------------------------------------------ critics


class TwoCritics(keras.Model):
    """A plane of slope 3 on two features, and half the square of a third."""

    critic_features: tuple[int, ...] = (2, 1)

    def criticise(self, features, conditions):  # noqa: ARG002
        plane = 3.0 * (0.6 * features[:, :1] + 0.8 * features[:, 1:2])
        return ops.concatenate([plane, 0.5 * ops.square(features[:, 2:])], axis=-1)

    def generate(self, conditions):
        return conditions


def loop_of(model, batch_size=4):
    sgd = keras.optimizers.SGD
    return TensorFlowAdversarialLoop(model, WassersteinGP(), sgd(), sgd(), 1.0, batch_size, 1, False)


def test_each_critic_has_the_penalty_of_its_own_slope():
    """Real and generated the same, so that it is known where: slopes 3 and |b|. Of the sum of the scores the
    slope would be √(9 + b²), and the penalty of a critic of slope 1 beside it would not be 0."""
    x = np.array([[0.0, 0.0, 1.0], [5.0, 1.0, -2.0], [1.0, 1.0, 0.5], [0.0, 2.0, 3.0]], np.float32)
    model = TwoCritics()
    slopes = loop_of(model).slopes(x, x, x[:, :1]).numpy()
    np.testing.assert_allclose(slopes, np.stack([np.full(4, 3.0), np.abs(x[:, 2])], axis=1), rtol=1e-5)
    penalties = np.asarray(WassersteinGP(gradient_weight=10.0).penalty(slopes))
    np.testing.assert_allclose(penalties[0], [40.0, 0.0], atol=1e-4)  # 10 (3 - 1)² and 10 (1 - 1)²
    model.critic_features = (3,)
    with pytest.raises(ShapeError, match=r"2 scores; .* is \[3\]"):
        loop_of(model).slopes(x, x, x[:, :1])


def test_the_critics_of_showers_are_apart(moved):
    """Slopes are those of each critic differentiated alone, and no critic sees the features of another."""
    cells, conditions = SHOWERS.energies[:8], SHOWERS.conditions[:8]
    real, fake, own = moved.sides(cells, conditions)
    assert real.shape == fake.shape == (8, sum(moved.critic_features))
    assert own.shape == (8, 1)
    slopes = loop_of(moved, 8).slopes(real, real, conditions).numpy()
    assert slopes.shape == (8, 3)
    parts = np.split(np.arange(real.shape[1]), np.cumsum(moved.critic_features)[:-1])
    for number, part in enumerate(parts):
        with tf.GradientTape() as tape:
            tape.watch(real)
            score = moved.criticise(real, conditions)[:, number]
        gradient = tape.gradient(score, real).numpy()
        assert not np.delete(gradient, part, axis=1).any()
        np.testing.assert_allclose(slopes[:, number], np.linalg.norm(gradient, axis=1), rtol=1e-4)


def test_every_weight_matters(moved):
    """To the critics' scores those of critics, to the generator's loss those of encoder and decoder, and to
    the objective of the correction its own; each weight is one of the three."""
    cells, conditions = SHOWERS.energies[:64], SHOWERS.conditions[:64]
    learner = moved.correction_learner()
    with tf.GradientTape(persistent=True) as tape:
        _, fake, own = moved.sides(cells, conditions)
        scores = moved.criticise(fake, conditions)
        generator, critic = tf.reduce_sum(own) - tf.reduce_sum(scores), tf.reduce_sum(scores)
        correction = tf.reduce_sum(learner({"cells": cells, "conditions": conditions}))
    groups = [
        (generator, moved.generator_variables),
        (critic, moved.critic_variables),
        (correction, learner.trainable_variables),
    ]
    for loss, variables in groups:
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        for weight, gradient in zip(variables, gradients, strict=True):
            assert gradient is not None, weight.path
            assert np.isfinite(gradient).all(), weight.path
            assert np.any(gradient), weight.path
    paths = [variable.path for _, variables in groups for variable in variables]
    assert sorted(paths) == sorted(variable.path for variable in moved.trainable_variables)


def test_there_is_no_density(moved):
    with pytest.raises(UnsupportedOperationError, match="bib-ae"):
        moved.log_prob(SHOWERS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"critics": (1.0, 1.0)}, "shower, difference, code"),
        ({"critics": (1.0, 0.0, 1.0)}, "above 0"),
        ({"beta": -1.0}, "beta=-1"),
        ({"discrepancy": float("nan")}, "discrepancy=nan"),
        ({"correction_epochs": 1.5}, "correction_epochs"),
        ({"loss": "wassertein"}, "Nearest: 'wasserstein'"),
        ({"latent": 0}, "latent=0"),
    ],
)
def test_bad_settings_are_named(settings, words):
    with pytest.raises(SettingError, match=words):
        bib_ae(**settings)


# ------------------------------------------------------------------------------------------------ spectrum


def test_shares_of_cells_above_energies():
    """Edges 1, 10 and 100 GeV: cells on an edge count by half, beyond half a step fully or not at all."""
    layer = CellSpectrum([2, 1], threshold=1.0, brightest=1000.0, bins=3)
    cells = np.array([[1.0, 100.0, 0.0], [50.0, 0.1, 5000.0]], np.float32)
    half = np.log10(5.0) - 0.5  # of a cell of 50 GeV above 100 GeV: log10(0.5) + 0.5
    wanted = [[0.75, 0.5, 0.25, 0, 0, 0], [0.5, 0.5, 0.5 * half, 1, 1, 1]]
    np.testing.assert_allclose(layer.counts(cells), wanted, atol=1e-6)
    layer.adapt(cells)
    np.testing.assert_allclose(layer(cells)[:, 0], [1.0, -1.0], atol=1e-5)
    for settings in ({"bins": 1}, {"brightest": 1.0}, {"sizes": []}):
        with pytest.raises(SettingError):
            CellSpectrum(**{"sizes": [2], "threshold": 1.0, "brightest": 10.0, **settings})
    with pytest.raises(SettingError):
        SpectrumCorrection([], 1.0)


def test_a_correction_leaves_the_energies_of_layers():
    layer = SpectrumCorrection([6, 4], threshold=0.01)
    logs = np.log(np.maximum(SHOWERS.energies, 1e-6))
    context = SHOWERS.conditions / 100.0
    np.testing.assert_allclose(layer(logs, context), logs, atol=1e-5)  # it begins as none
    random = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(0.0, 0.3, weight.shape))
    moved = np.asarray(layer(logs, context))
    assert np.abs(moved - logs).max() > 0.1
    for where in TINY.slices:
        wanted, found = (np.exp(one[:, where]).sum(axis=1) for one in (logs, moved))
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_wrong_spectrum_is_put_right():
    """40 cells share a layer's energy as e^s with normal s of spread 1, generated ones as e^(s/2). The right
    correction is one factor on the logarithm; with that their spread, 0.5 before, is 1. Eight seeds came to
    0.96 to 1.01, and to 0.7 % of the discrepancy at most."""
    seed = 1
    random = np.random.default_rng(seed)

    def shared(spread, events=100):
        logs = spread * random.normal(size=(events, 40))
        return (logs - np.log(np.exp(logs).sum(axis=1, keepdims=True)) + np.log(100.0)).astype(np.float32)

    keras.utils.set_random_seed(seed)
    spectrum = CellSpectrum([40], threshold=0.1, brightest=50.0).adapt(np.exp(shared(1.0, 1000)))
    layer, context = SpectrumCorrection([40], threshold=0.1), np.zeros((100, 1), np.float32)
    layer(shared(0.5), context)
    optimizer = keras.optimizers.Adam(1e-2)
    optimizer.build(layer.trainable_variables)

    @tf.function
    def step(made, real):
        with tf.GradientTape() as tape:
            loss = mean_discrepancy(spectrum(ops.exp(layer(made, context))), spectrum(ops.exp(real)))
        optimizer.apply(tape.gradient(loss, [v.value for v in layer.trainable_variables]))
        return loss

    losses = [float(step(shared(0.5), shared(1.0))) for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.05 * losses[0]
    found = np.asarray(layer(shared(0.5), context)).std(axis=1).mean()
    assert 0.85 < found < 1.15


# ------------------------------------------------------------------------------------------------ training


def trained(folder=None, *, epochs=2, resume=False, callbacks=(), correction_epochs=1):
    # One layer of four cells: half of the seconds that its functions take to compile.
    one = Geometry.from_dict({"name": "one", "threshold": 0.01, "layers": [{"grid": [2, 2, 10.0, 10.0]}]})
    showers = Showers(SHOWERS.energies[:, 6:], SHOWERS.conditions, one)
    generator = hr.models.shower_bib_ae(
        showers, hidden=(4,), channels=1, latent=2, critic_hidden=(4,), correction_epochs=correction_epochs
    )
    before = [variable.numpy() for variable in generator.variables]
    history = hr.fit(
        generator, showers, epochs=epochs, loss=WassersteinGP(critic_steps=1), batch_size=32, verbose=False,
        checkpoint=folder, resume=resume, callbacks=callbacks,
    )  # fmt: skip
    return generator, history, before


@pytest.mark.filterwarnings("ignore::hepml_root.errors.CollapseWarning")
@pytest.mark.slow
def test_the_correction_is_trained_after_the_rest(tmp_path):
    generator, history, before = trained(tmp_path)
    assert history.epochs == 2
    changed = {
        variable.path
        for variable, value in zip(generator.variables, before, strict=True)
        if (variable.numpy() != value).any()
    }
    # The last bias of a Wasserstein critic moves all scores alike: there is no gradient on it.
    learnt = {variable.path for variable in generator.trainable_variables}
    assert {path for path in learnt if not path.endswith("score/bias")} <= changed
    assert generator.training["epochs"] == 2
    assert generator.training["correction"]["epochs"] == 1
    assert (tmp_path / "correction_0002" / "training.npz").exists()
    assert generator.sample({"energy": [50.0]}, seed=1).energies.shape == (1, 4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::hepml_root.errors.CollapseWarning")
def test_resumed_and_without_correction(tmp_path):
    """A training that is stopped in the first of its two parts, or goes on to more epochs, ends as a whole
    one."""
    whole, *_ = trained()

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
            if epoch == 0:
                signal.raise_signal(signal.SIGINT)

    stopped, *_ = trained(tmp_path / "stopped", callbacks=[Stop()])
    assert "correction" not in stopped.training
    trained(tmp_path / "more", epochs=1)
    for folder in ("stopped", "more"):
        resumed, *_ = trained(tmp_path / folder, resume="auto")
        for one, other in zip(whole.variables, resumed.variables, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())
    plain, history, _ = trained(correction_epochs=0)
    assert plain.correction is None
    assert "correction" not in plain.training
    assert history.epochs == 2
