"""Several batches in one step: the gradient of one batch of all their events, in every loop."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import hepml_root as hr
from hepml_root import losses
from hepml_root.errors import SettingError
from hepml_root.training.blocks import Plan
from hepml_root.training.loop import InputNames, KerasLoop
from hepml_root.training.tensorflow_loop import TensorFlowLoop

EVENTS, BATCHES = 256, 4


@pytest.fixture
def eagerly():
    """Without compiling, which takes longer than the few steps of a test: the operations are the same."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def dataset(events: int = 2 * EVENTS) -> hr.Dataset:
    random = np.random.default_rng(1)
    x = random.normal(size=(events, 4)).astype(np.float32)
    is_signal = x[:, 0] + x[:, 1] ** 2 + random.normal(size=events) > 1.0
    weight = np.where(random.random(events) < 0.1, -1.0, 1.0) * random.uniform(0.5, 2.0, events)
    return hr.Dataset.from_arrays(x, is_signal, weight=weight)


LOSSES = {
    "cross entropy": lambda: keras.losses.BinaryCrossentropy(),
    "sum": lambda: keras.losses.BinaryCrossentropy(reduction="sum"),
    "weighted mean": lambda: keras.losses.BinaryCrossentropy(reduction="mean_with_sample_weight"),
    "asimov": lambda: losses.AsimovSignificance(signal=50.0, background=2000.0, systematic=0.2),
    "inverse": lambda: losses.Significance(signal=50.0, background=2000.0, form="inverse"),
}


def stepped(loss, accumulate, kind="tensorflow", **settings):
    """Return the weights' change over two steps of plain gradient descent, and the mean loss."""
    data = dataset()
    model = hr.models.dense(data, **{"hidden": (8,), "l1": 0.0, "l2": 1e-2, **settings})
    before = [variable.numpy() for variable in model.trainable_variables]
    names, optimizer = InputNames(model, data.X), keras.optimizers.SGD(1.0)
    if kind == "keras":
        loop = KerasLoop(model, optimizer, loss, names, EVENTS, False, 1)
    else:
        loop = TensorFlowLoop(
            model, optimizer, loss, names, EVENTS // accumulate, kind == "xla", accumulate=accumulate
        )
    value = loop.run(data.X, data.target, data.training_weight, np.full(2, 1e-2, dtype=np.float32))
    after = [variable.numpy() for variable in model.trainable_variables]
    return np.concatenate([(b - a).ravel() for a, b in zip(before, after, strict=True)]), value


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", LOSSES)
def test_batches_together_are_one_batch_of_all_their_events(name):
    """To float32 rounding: a sum of 256 terms is good to 256 · 6e-8 = 1.5e-5 at worst."""
    whole, value = stepped(LOSSES[name](), 1)
    together, value_too = stepped(LOSSES[name](), BATCHES)
    assert np.abs(together - whole).max() < 2e-5 * np.abs(whole).max()
    assert value_too == pytest.approx(value, rel=2e-5)


def test_every_loop_takes_the_same_steps():
    """Compiled, with XLA, and Keras's own, which takes the batches as one."""
    kept = {kind: stepped(LOSSES["asimov"](), BATCHES, kind) for kind in ("tensorflow", "xla", "keras")}
    for kind in ("tensorflow", "xla"):
        whole, together = kept["keras"][0], kept[kind][0]
        assert np.abs(together - whole).max() < 2e-5 * np.abs(whole).max()
    # The Keras loop adds the penalties to the loss that it reports.
    assert kept["xla"][1] == pytest.approx(kept["tensorflow"][1], rel=2e-5)


@pytest.mark.usefixtures("eagerly")
def test_the_mean_of_the_gradients_is_another_step():
    """So that the tests above say something: the significance of a batch is not that of the whole."""
    loss, data = LOSSES["asimov"](), dataset()
    model = hr.models.dense(data, hidden=(8,), l1=0.0)
    score = model.predict(data.X, verbose=0)

    def z(rows: slice) -> float:
        return float(loss(data.target[rows], score[rows], sample_weight=data.training_weight[rows]))

    size = EVENTS // BATCHES
    single = np.mean([z(slice(first, first + size)) for first in range(0, EVENTS, size)])
    assert abs(single / z(slice(0, EVENTS)) - 1.0) > 1e-3


@pytest.mark.usefixtures("eagerly")
def test_the_second_pass_drops_the_same_neurons():
    """Against the gradient by hand, with the batches' masks drawn in the same order."""
    loss, data, size = LOSSES["asimov"](), dataset(EVENTS), EVENTS // BATCHES
    model = hr.models.dense(data, hidden=(16,), dropout=0.5, l1=0.0)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    for network in (model, twin):
        for layer in network._flatten_layers():
            for generator in getattr(layer, "_seed_generators", []):
                generator.state.assign(np.array([7, 3], dtype=generator.state.dtype))
    with tf.GradientTape() as tape:
        parts = [
            twin({"features": data.X["features"][first : first + size]}, training=True)
            for first in range(0, EVENTS, size)
        ]
        score = tf.concat(parts, axis=0)
        value = loss(data.target, score, sample_weight=data.training_weight) / loss.magnitude
    by_hand = tape.gradient(value, twin.trainable_variables)
    before = [variable.numpy() for variable in model.trainable_variables]
    loop = TensorFlowLoop(
        model, keras.optimizers.SGD(1.0), loss, InputNames(model, data.X), size, False, accumulate=BATCHES
    )
    loop.run(data.X, data.target, data.training_weight, np.ones(1, dtype=np.float32))
    for variable, old, gradient in zip(model.trainable_variables, before, by_hand, strict=True):
        largest = np.abs(gradient).max()
        np.testing.assert_allclose(old - variable.numpy(), gradient, atol=2e-5 * largest + 1e-6)


@pytest.mark.usefixtures("eagerly")
def test_moving_averages_move_once_a_batch():
    data, size = dataset(EVENTS), EVENTS // BATCHES
    model = keras.Sequential(
        [
            keras.Input((4,), name="features"),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    loop = TensorFlowLoop(
        model, keras.optimizers.SGD(1e-9), LOSSES["asimov"](), InputNames(model, data.X), size, False,
        accumulate=BATCHES,
    )  # fmt: skip
    loop.run(data.X, data.target, data.training_weight, np.zeros(1, dtype=np.float32))
    expected = np.zeros(4)
    for first in range(0, EVENTS, size):
        expected = 0.9 * expected + 0.1 * data.X["features"][first : first + size].mean(axis=0)
    np.testing.assert_allclose(model.layers[0].moving_mean.numpy(), expected, atol=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_fit_accumulates():
    """The same training as in larger batches, but for rounding."""
    data = dataset(2000)
    histories = []
    for settings in ({"batch_size": 400}, {"batch_size": 100, "accumulate": 4}):
        model = hr.models.dense(data, hidden=(8,))
        histories.append(
            hr.fit(model, data, loss=LOSSES["asimov"](), epochs=3, learning_rate=0.01, jit=False, **settings)
        )
    first, second = (np.array(history.metrics["val_loss"]) for history in histories)
    np.testing.assert_allclose(first, second, rtol=1e-3)
    assert histories[1].settings["accumulate"] == 4
    assert histories[1].settings["batch_size"] == 100


class WholeBatch(keras.losses.Loss):
    """A loss of a whole batch that does not say of which sums it is a function."""

    def __call__(self, y_true, y_pred, sample_weight=None):  # noqa: ARG002 - Keras's signature
        return keras.ops.max(y_pred)


@pytest.mark.usefixtures("eagerly")
def test_refusals():
    data = dataset(1000)
    model = hr.models.dense(data, hidden=(4,))
    with pytest.raises(SettingError, match="sums"):
        hr.fit(model, data, loss=WholeBatch(name="largest"), accumulate=2, batch_size=64)
    with pytest.raises(SettingError, match="accumulate=0"):
        hr.fit(model, data, accumulate=0)
    # 800 events are left to train on.
    with pytest.raises(SettingError, match="Accumulate 6 at most"):
        hr.fit(model, data, accumulate=7, batch_size=128)


def test_a_plan_counts_steps_of_several_batches():
    plan = Plan.of(events=1000, batch_size=50, operations=1000, accumulate=4)
    assert (plan.batch_size, plan.step_events, plan.steps, plan.blocks) == (50, 200, 5, 1)
    assert plan.epoch_events == 1000
