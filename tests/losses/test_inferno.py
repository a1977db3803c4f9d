"""The inference-aware loss against the variance of a fit, and in a training where it matters."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.optimize import minimize

import hepml_root as hr
from hepml_root import losses
from hepml_root.errors import SettingError


def fitted_variance(nominal, derivatives) -> float:
    """The variance of the first parameter from the curvature of the likelihood, the others fitted.

    The counts are linear in the parameters, the data those expected; all others are constrained to 1.
    """
    derivatives = np.asarray(derivatives)

    def minus_log(rest: np.ndarray, first: float) -> float:
        values = np.concatenate([[first], rest])
        expected = nominal + values @ derivatives
        return float(np.sum(expected - nominal * np.log(expected)) + 0.5 * np.sum(rest**2))

    step = 1e-2 / np.sqrt(np.sum(derivatives[0] ** 2 / nominal))
    start = np.zeros(len(derivatives) - 1)

    def profiled(first: float) -> float:
        if not len(start):
            return minus_log(start, first)
        found = minimize(minus_log, start, args=(first,), method="BFGS", options={"gtol": 1e-9})
        return float(found.fun)

    return step**2 / (profiled(step) + profiled(-step) - 2 * profiled(0.0))


S = np.array([5.0, 15.0, 30.0])
B = np.array([400.0, 80.0, 20.0])
UP = np.array([20.0, 10.0, 8.0])


@pytest.mark.parametrize("nuisances", [[], [0.2 * B], [0.2 * B, UP], [UP, 0.5 * UP, 0.2 * B]])
def test_the_information_is_that_of_a_fit(nuisances):
    derivatives = np.stack([S, *nuisances])
    information = losses.profiled_information(S + B, derivatives, [0.0] + [1.0] * len(nuisances))
    # The numerical second derivative, of a likelihood that is not quite a parabola, at 1/100 of an error.
    assert 1 / float(information) == pytest.approx(fitted_variance(S + B, derivatives), rel=1e-3)


def test_by_hand_without_nuisance():
    # One signal and one background event each in two bins: Σ s²/(s+b) = 36/26 + 4/84.
    target = np.array([[1.0], [1.0], [0.0], [0.0]])
    outputs = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    weight = np.array([3.0, 1.0, 1.0, 4.0])
    loss = losses.Inferno(signal=8.0, background=100.0)
    assert float(loss(target, outputs, weight)) == pytest.approx(1 / (36 / 26 + 4 / 82), rel=1e-6)


def test_varied_weights_are_a_parameter():
    # Bins of 20 and 80 events of background; a signal varied to 1.5 in its only bin: 5 more events.
    target = np.array([[1.0, 1.5], [0.0, 1.0], [0.0, 1.0]])
    outputs = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    weight = np.array([1.0, 1.0, 4.0])
    measured = losses.Inferno(10.0, 100.0, variations=["yukawa"], measured="yukawa")
    assert float(measured(target, outputs, weight)) == pytest.approx(30 / 25, rel=1e-6)
    # As a nuisance parameter of the strength: I = [[100, 50], [50, 25 + 30]] / 30.
    nuisance = losses.Inferno(10.0, 100.0, variations=["yukawa"])
    assert float(nuisance(target, outputs, weight)) == pytest.approx(30 / (100 - 50 * 50 / 55), rel=1e-5)


def test_varied_scores_are_a_parameter():
    # The variation moves a quarter of the background from bin 1 to bin 2.
    target = np.array([[1.0], [0.0]])
    outputs = np.array([[1.0, 0.0, 1.0, 0.0], [0.6, 0.4, 0.35, 0.65]])
    loss = losses.Inferno(10.0, 100.0, score_variations=["scale"], form="deviation")
    nominal, s, moved = np.array([70.0, 40.0]), np.array([10.0, 0.0]), np.array([-25.0, 25.0])
    cross, own = np.sum(s * moved / nominal), np.sum(moved**2 / nominal) + 1.0
    wanted = 1 / np.sqrt(np.sum(s**2 / nominal) - cross**2 / own)
    assert float(loss(target, outputs)) == pytest.approx(wanted, rel=1e-5)


def test_magnitude_is_the_variance_before_any_selection():
    loss = losses.Inferno(10.0, 100.0, bins=4, systematic=0.2)
    target = np.array([[1.0], [0.0]])
    everything_in_one_bin = np.full((2, 1), 1.0)
    assert float(loss(target, everything_in_one_bin)) == pytest.approx(loss.magnitude, rel=1e-3)


def test_wrong_settings_and_columns():
    with pytest.raises(SettingError, match="signal_strength"):
        losses.Inferno(1.0, 1.0, measured="strength")
    with pytest.raises(SettingError, match="different names of"):
        losses.Inferno(1.0, 1.0, variations=["jes"], score_variations=["jes"])
    with pytest.raises(SettingError, match="deviation"):
        losses.Inferno(1.0, 1.0, form="variances")
    target, outputs = np.ones((4, 1)), np.full((4, 2), 0.5)
    with pytest.raises(SettingError, match="weight ratios"):
        losses.Inferno(1.0, 1.0, variations=["mass"])(target, outputs)
    with pytest.raises(SettingError, match="two or more bins"):
        losses.Inferno(1.0, 1.0)(target, outputs[:, :1])
    with pytest.raises(SettingError, match="one score"):
        losses.Inferno(1.0, 1.0, bins=5)(target, outputs)


def toy(events: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two inputs: the first separates and shifts with the nuisance, the second separates less."""
    random = np.random.default_rng(seed)
    label = np.arange(events) % 2
    x = random.normal(size=(events, 2)) + np.where(label[:, None] == 1, [1.5, 1.0], [0.0, 0.0])
    return x.astype(np.float32), label


def varied_network(seed: int) -> keras.Model:
    """Outputs of the same network for the inputs, and for the first input of 0.7 more, side by side."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((2,), name="features")
    network = keras.Sequential([keras.layers.Dense(16, "relu"), keras.layers.Dense(6, "softmax")])
    shifted = inputs + np.array([[0.7, 0.0]], dtype=np.float32)
    return keras.Model(inputs, keras.layers.Concatenate()([network(inputs), network(shifted)]))


def test_training_with_a_nuisance_beats_training_without_it():
    # Both trained for the same measurement, once without knowing of the shift; judged with it.
    x, label = toy(6000, 1)
    data = hr.Dataset.from_arrays(x, label, columns=["a", "b"])
    test_x, test_label = toy(8000, 2)
    judge = losses.Inferno(100.0, 2000.0, score_variations=["shift"], form="deviation")

    class Blind(losses.Inferno):
        """The same, with the nuisance parameter's outputs cut off."""

        def __call__(self, y_true, y_pred, sample_weight=None):
            return super().__call__(y_true, y_pred[:, :6], sample_weight)

    found = {}
    for name, loss in (("blind", Blind(100.0, 2000.0, form="deviation")), ("aware", judge)):
        model = varied_network(1)
        hr.fit(
            model, data, loss=loss, epochs=12, batch_size=1000, learning_rate=0.02, jit=False,
            verbose=False, patience=None,
        )  # fmt: skip
        found[name] = float(judge(test_label[:, None].astype(np.float32), model(test_x)))
    # The shift is worth more than twice the statistical error to the blind network.
    assert found["aware"] < 0.8 * found["blind"]


def test_a_dataset_of_varied_weights():
    # A regression of the label and the ratio carries them to the loss.
    x, label = toy(2000, 3)
    ratio = np.where(label == 1, np.exp(0.5 * x[:, 1] - 0.4), 1.0)
    data = hr.Dataset.from_arrays(
        x, target=np.stack([label, ratio], axis=1), columns=["a", "b"], targets=["label", "mass"]
    )
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(4, "softmax")]
    )
    loss = losses.Inferno(100.0, 1000.0, variations=["mass"], measured="mass", systematic=0.1)
    history = hr.fit(
        model, data, loss=loss, epochs=5, batch_size=400, learning_rate=0.02, jit=False, verbose=False
    )
    assert history.metrics["val_loss"][-1] < history.metrics["val_loss"][0]
