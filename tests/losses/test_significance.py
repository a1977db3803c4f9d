"""The significance losses against numbers worked out otherwise, finite differences, and at their limits."""

from __future__ import annotations

import math
from decimal import Decimal, getcontext

import keras
import numpy as np
import pytest
import tensorflow as tf

from hepml_root import losses
from hepml_root.errors import SettingError

getcontext().prec = 60


def asimov(s: float, b: float, systematic: float) -> float:
    """The formula as it is printed in arXiv:1806.00322, in 60 digits, where nothing cancels."""
    s, b, systematic = Decimal(float(s)), Decimal(float(b)), Decimal(systematic)
    if systematic == 0:
        return float((2 * ((s + b) * (1 + s / b).ln() - s)).sqrt())
    v = (systematic * b) ** 2
    first = (s + b) * ((s + b) * (b + v) / (b * b + (s + b) * v)).ln()
    second = b * b / v * (1 + v * s / (b * (b + v))).ln()
    return float((2 * (first - second)).sqrt())


def gradients(function, *values, dtype="float32"):
    variables = [tf.Variable(value, dtype=dtype) for value in values]
    with tf.GradientTape() as tape:
        result = function(*variables)
    return [np.asarray(gradient) for gradient in tape.gradient(result, variables)]


def test_published_number():
    assert float(losses.asimov_significance(14.0, 5.0, 0.3)) == pytest.approx(3.615, abs=5e-4)


def test_without_systematic_by_hand():
    # sqrt(2 (20 ln 2 - 10)) for s = b = 10
    assert float(losses.asimov_significance(10.0, 10.0)) == pytest.approx(
        math.sqrt(2 * (20 * math.log(2) - 10)), rel=1e-6
    )


@pytest.mark.parametrize("systematic", [0.0, 1e-6, 0.01, 0.3, 2.0])
@pytest.mark.parametrize("b", [0.1, 5.0, 2e4, 1e7])
@pytest.mark.parametrize("s", [1e-6, 0.01, 1.0, 14.0, 80.0])
def test_float32_agrees_with_sixty_digits(s, b, systematic):
    s, b = np.float32(s), np.float32(b)
    value = float(losses.asimov_significance(s, b, systematic))
    assert value == pytest.approx(asimov(s, b, systematic), rel=5e-6)
    by_s, by_b = gradients(lambda s, b: losses.asimov_significance(s, b, systematic), s, b)
    h = 1e-6
    s, b = float(s), float(b)
    difference_s = (asimov(s * (1 + h), b, systematic) - asimov(s * (1 - h), b, systematic)) / (2 * h * s)
    difference_b = (asimov(s, b * (1 + h), systematic) - asimov(s, b * (1 - h), systematic)) / (2 * h * b)
    assert by_s == pytest.approx(difference_s, rel=5e-5)
    assert by_b == pytest.approx(difference_b, rel=5e-5)


def test_limits():
    # Small s: s / sqrt(b + sigma^2), also as the slope at s = 0.
    assert float(losses.asimov_significance(1e-3, 100.0, 0.1)) == pytest.approx(
        1e-3 / math.sqrt(200.0), rel=1e-4
    )
    by_s, by_b = gradients(lambda s, b: losses.asimov_significance(s, b, 0.1), 0.0, 100.0)
    assert by_s == pytest.approx(1 / math.sqrt(200.0), rel=1e-6)
    assert by_b == 0.0
    # A vanishing systematic uncertainty is none.
    assert float(losses.asimov_significance(5.0, 20.0, 1e-9)) == pytest.approx(
        float(losses.asimov_significance(5.0, 20.0, 0.0)), rel=1e-6
    )
    # Much background, small uncertainty: both significances are s / sqrt(b).
    assert float(losses.asimov_significance(10.0, 1e6)) == pytest.approx(0.01, rel=1e-4)
    assert float(losses.simple_significance(10.0, 1e6)) == pytest.approx(0.01, rel=1e-4)


def batch(events: int = 400, seed: int = 1):
    random = np.random.default_rng(seed)
    target = (random.random((events, 1)) < 0.3).astype(np.float32)
    score = np.clip(0.5 * target + 0.5 * random.random((events, 1)), 0, 1).astype(np.float32)
    weight = random.uniform(0.5, 2.0, size=events).astype(np.float32)
    return target, score, weight


def both():
    return [
        losses.AsimovSignificance(signal=31.2, background=20762.0, systematic=0.3),
        losses.Significance(signal=31.2, background=20762.0),
    ]


def test_counts_by_hand():
    target = np.array([[1.0], [1.0], [0.0], [0.0]])
    score = np.array([[1.0], [0.5], [0.2], [0.0]])
    s, b = losses.expected_counts(target, score, np.array([1.0, 3.0, 1.0, 1.0]), 10.0, 100.0)
    assert float(s) == pytest.approx(10.0 * 2.5 / 4.0)
    assert float(b) == pytest.approx(10.0)
    loss = losses.Significance(signal=10.0, background=100.0)
    assert float(loss(target, score, [1.0, 3.0, 1.0, 1.0])) == pytest.approx(-6.25 / math.sqrt(16.25))


@pytest.mark.parametrize("loss", both(), ids=lambda loss: loss.name)
def test_invariances(loss):
    target, score, weight = batch()
    value = float(loss(target, score, weight))
    order = np.random.default_rng(2).permutation(len(target))
    assert float(loss(target[order], score[order], weight[order])) == pytest.approx(value, rel=1e-5)
    assert float(loss(target, score, 1000.0 * weight)) == pytest.approx(value, rel=1e-5)
    twice = [np.concatenate([array, array]) for array in (target, score)]
    assert float(loss(*twice, np.concatenate([weight, weight]))) == pytest.approx(value, rel=1e-5)
    doubled = [np.concatenate([array, array[:50]]) for array in (target, score)]
    assert float(loss(*doubled, np.ones(450))) == pytest.approx(
        float(loss(target, score, np.where(np.arange(400) < 50, 2.0, 1.0))), rel=1e-5
    )
    # The classes are normalised one by one: weighting all signal up changes nothing.
    assert float(loss(target, score, np.where(target[:, 0] > 0, 7.0, 1.0) * weight)) == pytest.approx(
        value, rel=1e-5
    )


@pytest.mark.parametrize("form", ["negative", "inverse"])
@pytest.mark.parametrize("made", [losses.AsimovSignificance, losses.Significance])
def test_gradients_against_finite_differences(made, form):
    target, score, weight = batch(60)
    loss = made(signal=50.0, background=400.0, form=form)
    (analytic,) = gradients(lambda y: loss(target, y, weight), score.astype(np.float64), dtype="float64")
    for event in (0, 17, 59):
        h = 1e-6
        moved = [score.astype(np.float64) for _ in range(2)]
        moved[0][event] += h
        moved[1][event] -= h
        up, down = (float(loss(target, tf.constant(values), weight)) for values in moved)
        assert analytic[event, 0] == pytest.approx((up - down) / (2 * h), rel=1e-5)


def test_float32_agrees_with_float64():
    target, score, weight = batch(5000)
    for loss in both():
        low = float(loss(target, score, weight))
        high = float(loss(target.astype(np.float64), tf.constant(score, dtype="float64"), weight))
        assert low == pytest.approx(high, rel=1e-5)


@pytest.mark.parametrize("loss", both(), ids=lambda loss: loss.name)
@pytest.mark.parametrize("case", ["all zero", "no signal", "no background", "perfect", "negative weights"])
def test_hard_batches_have_finite_values_and_gradients(loss, case):
    target, score, weight = batch(100)
    if case == "all zero":
        score = np.zeros_like(score)
    elif case == "no signal":
        target = np.zeros_like(target)
    elif case == "no background":
        target = np.ones_like(target)
    elif case == "perfect":
        score = target.copy()
    else:
        weight = np.where(np.arange(100) % 3 == 0, -weight, weight)
    value = float(loss(target, score, weight))
    (gradient,) = gradients(lambda y: loss(target, y, weight), score)
    assert math.isfinite(value)
    assert value <= 0.0
    assert np.isfinite(gradient).all()


def test_a_better_classifier_has_a_better_loss():
    target, score, weight = batch(2000)
    random = np.random.default_rng(3).random(score.shape).astype(np.float32)
    for loss in both():
        assert float(loss(target, score, weight)) < float(loss(target, random, weight))


def test_several_outputs_are_refused():
    with pytest.raises(SettingError, match="this model has 3"):
        losses.AsimovSignificance(signal=1.0, background=10.0)(np.eye(3), np.full((3, 3), 1 / 3), np.ones(3))


def test_names_settings_and_files():
    loss = losses.get("asimov", signal=31.2, background=20762.0, systematic=0.3)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert isinstance(losses.get("AsimovSignificance", signal=1.0, background=1.0), losses.AsimovSignificance)
    assert losses.get("mse").name == "mean_squared_error"
    assert float(losses.get(lambda y, p: (y - p) ** 2)(np.ones((2, 1)), np.zeros((2, 1)))) == 1.0
    with pytest.raises(SettingError, match="asimov"):
        losses.get("asimof")
    with pytest.raises(SettingError, match="signal"):
        losses.get("asimov")
    with pytest.raises(SettingError, match="positive number"):
        losses.AsimovSignificance(signal=0.0, background=1.0)
    with pytest.raises(SettingError, match="not negative"):
        losses.AsimovSignificance(signal=1.0, background=1.0, systematic=-0.1)
    with pytest.raises(SettingError, match="inverse"):
        losses.Significance(signal=1.0, background=1.0, form="invers")


def test_scaled_squared_error_by_hand():
    loss = losses.ScaledSquaredError([10.0, 0.1])
    value = loss(np.array([[100.0, 1.0]]), np.array([[120.0, 1.3]]), sample_weight=np.array([2.0]))
    assert float(value) == pytest.approx(2.0 * (4.0 + 9.0) / 2, rel=1e-5)
    with pytest.raises(SettingError, match="positive"):
        losses.ScaledSquaredError([0.0])
