"""The significance losses: numbers worked out by hand, forms, names and wrong settings."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from hepml_root import losses
from hepml_root.errors import SettingError

TARGET = np.array([[1.0], [1.0], [0.0], [0.0]])
SCORE = np.array([[1.0], [0.5], [0.2], [0.0]])
WEIGHT = np.array([1.0, 3.0, 1.0, 1.0])
# s = 10 · 2.5/4, b = 100 · 0.2/2
S, B = 6.25, 10.0


def test_counts_by_hand():
    s, b = losses.expected_counts(TARGET, SCORE, WEIGHT, 10.0, 100.0)
    assert (float(s), float(b)) == (pytest.approx(S), pytest.approx(B))


@pytest.mark.parametrize(
    ("form", "of"),
    [
        ("negative", lambda z: -z),
        ("inverse", lambda z: 1 / z),
        ("negative_square", lambda z: -z * z),
        ("inverse_square", lambda z: 1 / z**2),
    ],
)
@pytest.mark.parametrize(
    ("loss", "z"),
    [
        (losses.Significance, S / math.sqrt(S + B)),
        (losses.SystematicSignificance, S / math.sqrt(S + B + 9.0)),
        (losses.AsimovSignificance, None),
        (losses.DiscoverySignificance, None),
        (losses.ExclusionSignificance, None),
    ],
)
def test_forms_by_hand(loss, z, form, of):
    systematic = {} if loss is losses.Significance else {"systematic": 0.3}
    made = loss(10.0, 100.0, form=form, **systematic)
    if z is None:
        # ŷ of the profiled background is (τ b + n)/(τ + 1), τ = 1/0.9: the formulas, written out.
        v = 9.0
        if loss is losses.ExclusionSignificance:
            x = math.sqrt((S + B) ** 2 - 4 * S * B * v / (B + v))
            first = S - B * math.log((B + S + x) / (2 * B)) - B * B / v * math.log((B - S + x) / (2 * B))
            z = math.sqrt(2 * first - (B + S - x) * (1 + B / v))
        else:
            first = (S + B) * math.log((S + B) * (B + v) / (B * B + (S + B) * v))
            z = math.sqrt(2 * (first - B * B / v * math.log(1 + v * S / (B * (B + v)))))
    assert float(made(TARGET, SCORE, WEIGHT)) == pytest.approx(of(z), rel=1e-5)


def test_the_published_loss_is_the_inverse_square():
    # (s + b) / s²
    loss = losses.Significance(10.0, 100.0, form="inverse_square")
    assert float(loss(TARGET, SCORE, WEIGHT)) == pytest.approx((S + B) / S**2, rel=1e-6)


@pytest.mark.parametrize("form", ["inverse", "inverse_square"])
def test_inverse_forms_go_on_as_a_line_where_they_diverge(form):
    loss = losses.AsimovSignificance(10.0, 100.0, form=form)
    low = 1e-3 * float(losses.asimov_significance(10.0, 100.0))
    power = 1 if form == "inverse" else 2
    values = [float(loss.of_significance(np.float64(z))) for z in (2 * low, low, 0.5 * low, 0.0)]
    assert values[0] == pytest.approx((2 * low) ** -power)
    assert values[1] == pytest.approx(low**-power)
    # The tangent: at half of it half a slope higher, at 0 a whole one.
    assert values[2] == pytest.approx(low**-power * (1 + power / 2), rel=1e-6)
    assert values[3] == pytest.approx(low**-power * (1 + power), rel=1e-6)


def test_a_better_classifier_has_a_better_loss():
    random = np.random.default_rng(1)
    target = (random.random((2000, 1)) < 0.3).astype(np.float32)
    noise = random.random((2000, 1)).astype(np.float32)
    forms = ("negative", "inverse", "negative_square", "inverse_square")
    cases = [("asimov", form) for form in forms]
    cases += [(name, "negative") for name in ("significance", "systematicsignificance", "discovery")]
    for name, form in [*cases, ("exclusion", "negative"), ("binnedasimov", "negative")]:
        loss = losses.get(name, signal=31.2, background=20762.0, form=form)
        assert float(loss(target, 0.5 * target + 0.5 * noise)) < float(loss(target, noise))


def test_negative_weights_keep_their_sign():
    # 3 · 1 - 1 · 0.5 over 3 - 1
    target, score = np.array([[1.0], [1.0], [0.0]]), np.array([[1.0], [0.5], [0.5]])
    s, b = losses.expected_counts(target, score, np.array([3.0, -1.0, 1.0]), 10.0, 100.0)
    assert (float(s), float(b)) == (pytest.approx(12.5), pytest.approx(50.0))
    # A count below 0 is 0, and so is one of a class without a positive sum.
    s, b = losses.expected_counts(target, score, np.array([1.0, -4.0, -1.0]), 10.0, 100.0)
    assert (float(s), float(b)) == (0.0, 0.0)


def test_least_background_fills_the_holes_of_a_small_sample():
    target, score = np.array([[1.0], [0.0]]), np.array([[1.0], [0.0]])
    loss = losses.AsimovSignificance(10.0, 100.0, least_background=4.0)
    assert float(loss(target, score)) == pytest.approx(
        -float(losses.asimov_significance(10.0, 4.0)), rel=1e-6
    )
    without = losses.AsimovSignificance(10.0, 100.0)
    assert float(without(target, score)) == pytest.approx(
        -float(losses.asimov_significance(10.0, 1e-4)), rel=1e-5
    )


def test_magnitude_is_the_size_before_any_selection():
    z = float(losses.asimov_significance(10.0, 100.0, 0.1))
    forms = {"negative": z, "inverse": 1 / z, "negative_square": z**2, "inverse_square": z**-2}
    for form, wanted in forms.items():
        loss = losses.AsimovSignificance(10.0, 100.0, 0.1, form=form)
        assert loss.magnitude == pytest.approx(wanted, rel=1e-6)
        assert abs(float(loss(TARGET, np.ones((4, 1))))) == pytest.approx(wanted, rel=1e-5)


def test_several_outputs_are_refused():
    with pytest.raises(SettingError, match="this model has 3"):
        losses.AsimovSignificance(signal=1.0, background=10.0)(np.eye(3), np.full((3, 3), 1 / 3), np.ones(3))


def test_names_and_wrong_settings():
    assert losses.get("asimov", signal=31.2, background=20762.0, systematic=0.3).systematic == 0.3
    assert isinstance(losses.get("AsimovSignificance"), losses.AsimovSignificance)
    assert losses.get("mse").name == "mean_squared_error"
    assert float(losses.get(lambda y, p: (y - p) ** 2)(np.ones((2, 1)), np.zeros((2, 1)))) == 1.0
    with pytest.raises(SettingError, match="asimov"):
        losses.get("asimof")
    with pytest.raises(SettingError, match="signals"):
        losses.get("asimov", signals=1.0)
    with pytest.raises(SettingError, match="positive number"):
        losses.AsimovSignificance(signal=0.0, background=1.0)
    with pytest.raises(SettingError, match="positive number"):
        losses.AsimovSignificance(signal=1.0, background=1.0, least_background=-1.0)
    with pytest.raises(SettingError, match="not negative"):
        losses.AsimovSignificance(signal=1.0, background=1.0, systematic=-0.1)
    with pytest.raises(SettingError, match="control"):
        losses.DiscoverySignificance(signal=1.0, background=1.0, control=0.0)
    with pytest.raises(SettingError, match="inverse"):
        losses.Significance(signal=1.0, background=1.0, form="invers")
    with pytest.raises(SettingError, match=r"background.*hr\.fit fills them"):
        losses.AsimovSignificance(signal=1.0)(TARGET, SCORE)


def test_scaled_squared_error_by_hand():
    loss = losses.ScaledSquaredError([10.0, 0.1])
    value = loss(np.array([[100.0, 1.0]]), np.array([[120.0, 1.3]]), sample_weight=np.array([2.0]))
    assert float(value) == pytest.approx(2.0 * (4.0 + 9.0) / 2, rel=1e-5)
    with pytest.raises(SettingError, match="positive"):
        losses.ScaledSquaredError([0.0])


def test_a_saturated_network_still_learns():
    # All scores within rounding of 0: Z is 0 to the last digit, its slope is not.
    score = np.full((4, 1), 1e-30, dtype=np.float32)
    for form in ("negative", "inverse", "inverse_square"):
        variable = tf.Variable(score)
        with tf.GradientTape() as tape:
            value = losses.AsimovSignificance(10.0, 100.0, 0.1, form=form)(TARGET, variable)
        gradient = np.asarray(tape.gradient(value, variable))
        assert (gradient[:2] < 0).all()
