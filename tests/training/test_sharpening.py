"""The output of a pretrained network is scaled and shifted to where a significance is largest."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import hepml_root as hr
from hepml_root import losses
from hepml_root.errors import SettingError
from hepml_root.evaluation.significance import asimov_significance
from hepml_root.training import Pretraining
from hepml_root.training.sharpening import sharpen

SIGNAL, BACKGROUND, SYSTEMATIC = 30.0, 20_000.0, 0.3


def events(number: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    is_signal = np.arange(number) % 2 == 0
    x = random.normal(np.where(is_signal, 2.0, 0.0), 1.0).astype(np.float32)[:, None]
    return x, is_signal.astype(np.float32)[:, None], np.ones(number, np.float32)


class Loop:
    """Predicts by the model itself."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model

    def predict(self, inputs):
        return np.asarray(self.model(inputs["x"]))


def logistic() -> keras.Model:
    """The true probability of two normal distributions a distance of 2 apart: σ(2 x − 2)."""
    inputs = keras.Input((1,), name="x")
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="score")(inputs))
    model.get_layer("score").set_weights([np.array([[2.0]]), np.array([-2.0])])
    return model


def loss() -> losses.AsimovSignificance:
    return losses.AsimovSignificance(SIGNAL, BACKGROUND, SYSTEMATIC)


def test_it_begins_where_the_best_cut_is():
    model = logistic()
    x, y, w = events()

    def value() -> float:
        return -float(loss()(ops.convert_to_tensor(y), model(x), sample_weight=ops.convert_to_tensor(w)))

    before = value()
    order = np.argsort(np.asarray(model(x))[:, 0], kind="stable")
    chunks = [({"x": x[part]}, y[part], w[part]) for part in (slice(7000), slice(7000, None))]
    steepness, place = sharpen(model, Loop(model), chunks, loss())
    # The best cut on x, by hand, of the same events.
    cuts = np.linspace(2, 5, 301)
    s = np.array([SIGNAL * (x[y > 0.5] > cut).mean() for cut in cuts])
    b = np.array([BACKGROUND * (x[y < 0.5] > cut).mean() for cut in cuts])
    best = max(
        float(asimov_significance(*pair, SYSTEMATIC)) for pair in zip(s, b, strict=True) if pair[1] > 5.0
    )
    # Keeping everything in proportion to the probability has a tenth of that; a soft cut comes close.
    assert before < 0.2 * best
    assert value() > 0.7 * best
    assert steepness > 1
    assert (np.diff(np.asarray(model(x))[order, 0]) >= 0).all()
    kernel, bias = model.get_layer("score").get_weights()
    assert kernel[0, 0] == pytest.approx(2 * steepness)
    assert bias[0] == pytest.approx(steepness * (-2 - place), rel=1e-5)


def test_at_the_switch_of_a_training():
    x, y, _ = events(4000)
    data = hr.Dataset.from_arrays(x, y[:, 0] > 0.5)

    def first_loss(sharpen: bool) -> tuple[float, dict]:
        history = hr.fit(
            hr.models.dense(data, hidden=(8,)), data, validation=0.2, loss=loss(), epochs=1, jit=False,
            batch_size=3200, learning_rate=0.01, verbose=False,
            pretrain=Pretraining("binary_crossentropy", 4, batch_size=100, sharpen=sharpen),
        )  # fmt: skip
        return -history.metrics["loss"][4], history.settings["pretrain"]

    flat, said = first_loss(False)
    assert said["sharpen"] is False
    steep, said = first_loss(True)
    assert said["sharpen"] is True
    assert steep > 3 * flat


def test_other_outputs_are_refused():
    x, y, w = events(100)
    inputs = keras.Input((1,), name="x")
    two = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs), name="two")
    linear = keras.Model(inputs, keras.layers.Dense(1)(inputs), name="linear")
    for model in (two, linear):
        with pytest.raises(SettingError, match=f"sharpen=True: the output of '{model.name}'"):
            sharpen(model, Loop(model), [({"x": x}, y, w)], loss())


def test_a_layer_that_only_looks_like_the_output_is_left_alone():
    """A gate is the last Dense layer, and the output is made of it by something else."""
    inputs = keras.Input((1,), name="x")
    gate = keras.layers.Dense(1, activation="sigmoid", name="gate")(inputs)
    model = keras.Model(inputs, 0.5 * gate, name="gated")
    before = [weight.copy() for weight in model.get_weights()]
    x, y, w = events(1000)
    with pytest.raises(SettingError, match="sharpen=True: the output of 'gated'"):
        sharpen(model, Loop(model), [({"x": x}, y, w)], loss())
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_signal():
    model = logistic()
    x, y, w = events(100)
    with pytest.raises(SettingError, match="no signal event"):
        sharpen(model, Loop(model), [({"x": x}, 0 * y, w)], loss())


def test_the_best_events_keep_scores_of_their_own():
    """For a loss that wants a loose cut, too: no tighter one could be chosen afterwards."""
    model = logistic()
    x, y, w = events()
    loose = losses.Significance(3000.0, 3000.0)
    sharpen(model, Loop(model), [({"x": x}, y, w)], loose)
    score = np.asarray(model(x))[:, 0]
    assert score.max() < 1.0
    order = np.argsort(x[:, 0])[-200:]
    # Of the two hundred best, that differ by 0.002 in x on the average, next to all are told apart.
    assert len(np.unique(score[order])) > 150
