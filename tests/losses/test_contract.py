"""What every loss of a batch's counts must do."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from hepml_root import losses
from hepml_root.errors import SettingError

YIELDS = {"signal": 31.2, "background": 20762.0}
CASES = {
    "significance": losses.Significance(**YIELDS),
    "significance, (s+b)/s²": losses.Significance(**YIELDS, form="inverse_square"),
    "significance in bins": losses.Significance(**YIELDS, bins=5),
    "systematic": losses.SystematicSignificance(**YIELDS, systematic=0.3),
    "asimov": losses.AsimovSignificance(**YIELDS, systematic=0.3),
    "asimov without systematic": losses.AsimovSignificance(**YIELDS),
    "asimov, 1/Z": losses.AsimovSignificance(**YIELDS, systematic=0.3, form="inverse"),
    "asimov, -Z²": losses.AsimovSignificance(**YIELDS, systematic=0.3, form="negative_square"),
    "asimov, 1/Z²": losses.AsimovSignificance(**YIELDS, systematic=0.3, form="inverse_square"),
    "asimov in bins": losses.AsimovSignificance(**YIELDS, systematic=0.3, bins=[0.0, 0.2, 0.7, 1.0]),
    "binned asimov": losses.BinnedAsimovSignificance(**YIELDS, systematic=0.3),
    "binned asimov, unequal": losses.BinnedAsimovSignificance(
        **YIELDS, systematic=[0.1, 0.2, 0.5], bins=3, form="inverse"
    ),
    "discovery": losses.DiscoverySignificance(**YIELDS, systematic=0.1, control=0.5),
    "exclusion": losses.ExclusionSignificance(**YIELDS, systematic=0.3),
    "binned exclusion": losses.ExclusionSignificance(**YIELDS, systematic=0.3, bins=6, correlated=True),
    "least background": losses.AsimovSignificance(**YIELDS, systematic=0.3, least_background=50.0),
    "inferno": losses.Inferno(**YIELDS, bins=5, systematic=0.1),
    "inferno, varied weights": losses.Inferno(
        **YIELDS, bins=5, variations=["mass", "scale"], measured="mass", form="deviation"
    ),
    "inferno, outputs are bins": losses.Inferno(**YIELDS, score_variations=["jes"], systematic=0.1),
}
# XLA takes a second for each: one of every kind.
FOR_XLA = [
    CASES[name]
    for name in (
        "asimov, 1/Z",
        "binned asimov, unequal",
        "binned exclusion",
        "inferno, varied weights",
        "inferno, outputs are bins",
    )
]
every_loss = pytest.mark.parametrize("loss", CASES.values(), ids=CASES)


def batch(loss: losses.BatchLoss, events: int = 400, seed: int = 1) -> tuple[np.ndarray, ...]:
    """Targets, outputs and weights in the shapes that the loss takes."""
    random = np.random.default_rng(seed)
    target = (random.random((events, 1)) < 0.3).astype(np.float32)
    score = np.clip(0.5 * target + 0.5 * random.random((events, 1)), 0.01, 0.99).astype(np.float32)
    weight = random.uniform(0.5, 2.0, size=events).astype(np.float32)
    return *shaped(loss, target, score), weight


def shaped(loss: losses.BatchLoss, target: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(loss, losses.Inferno):
        return target, score
    # Variations of shapes of their own: a nuisance parameter like the measured one leaves no digits.
    along = np.linspace(0.0, 1.0, len(target), dtype=np.float32)[:, None]
    ratios = [1.0 + 0.2 * number * np.sin((2 + 3 * number) * along) * target + 0.1 * number * score
              for number, _ in enumerate(loss.variations, start=1)]  # fmt: skip
    sets = [score, *(score * (1.0 - 0.3 * score) for _ in loss.score_variations)]
    if loss.bins is None:
        sets = [np.asarray(losses.SoftBins.of(5, bandwidth=0.3).memberships(one[:, 0])) for one in sets]
    return np.concatenate([target, *ratios], axis=1), np.concatenate(sets, axis=1)


def gradient_of(loss, target, score, weight, dtype="float32") -> tuple[float, np.ndarray]:
    variable = tf.Variable(score, dtype=dtype)
    with tf.GradientTape() as tape:
        value = loss(target, variable, weight)
    return float(value), np.asarray(tape.gradient(value, variable))


@every_loss
def test_one_number_with_a_gradient(loss):
    target, score, weight = batch(loss)
    assert tuple(loss(target, score, weight).shape) == ()
    value, gradient = gradient_of(loss, target, score, weight)
    assert math.isfinite(value)
    assert np.isfinite(gradient).all()
    assert (gradient != 0).any()
    assert loss.magnitude > 0


@every_loss
def test_the_order_of_events_does_not_matter(loss):
    target, score, weight = batch(loss)
    order = np.random.default_rng(2).permutation(len(target))
    assert float(loss(target[order], score[order], weight[order])) == pytest.approx(
        float(loss(target, score, weight)), rel=1e-5
    )


@every_loss
def test_the_scale_of_weights_does_not_matter(loss):
    target, score, weight = batch(loss)
    value = float(loss(target, score, weight))
    assert float(loss(target, score, 1000.0 * weight)) == pytest.approx(value, rel=1e-5)
    # Nor that of a class, as each is normalised to what is expected of it.
    more = np.where(target[:, 0] > 0, 7.0, 1.0) * weight
    assert float(loss(target, score, more)) == pytest.approx(value, rel=1e-5)


@every_loss
def test_a_weight_of_two_is_two_events(loss):
    target, score, _ = batch(loss)
    doubled = [np.concatenate([array, array[:50]]) for array in (target, score)]
    twice = np.where(np.arange(400) < 50, 2.0, 1.0)
    assert float(loss(*doubled, np.ones(450))) == pytest.approx(float(loss(target, score, twice)), rel=1e-5)
    assert float(loss(target, score)) == pytest.approx(float(loss(target, score, np.ones(400))), rel=1e-6)


@every_loss
@pytest.mark.parametrize(
    "case", ["all zero", "all one", "no signal", "no background", "perfect", "wrong", "negative weights"]
)
def test_hard_batches_have_finite_values_and_gradients(loss, case):
    target, score, weight = batch(loss, 100)
    label, plain = target[:, :1], score[:, :1]
    if case == "negative weights":
        weight = np.where(np.arange(100) % 3 == 0, -weight, weight)
    label = {"no signal": 0 * label, "no background": 0 * label + 1}.get(case, label)
    scores = {"all zero": 0 * plain, "all one": 0 * plain + 1, "perfect": label, "wrong": 1 - label}
    target, score = shaped(loss, label, scores.get(case, plain))
    value, gradient = gradient_of(loss, target, score, weight)
    assert math.isfinite(value)
    assert np.isfinite(gradient).all()


@every_loss
def test_gradients_against_finite_differences(loss):
    target, score, weight = batch(loss, 60)
    score = score.astype(np.float64)
    _, analytic = gradient_of(loss, target, score, weight, "float64")
    largest = np.abs(analytic).max()
    for event, column in ((0, 0), (17, score.shape[1] - 1), (59, 0)):
        h = 1e-6
        moved = [score.copy() for _ in range(2)]
        moved[0][event, column] += h
        moved[1][event, column] -= h
        up, down = (float(loss(target, tf.constant(values), weight)) for values in moved)
        # The difference of two numbers of 16 digits 2e-6 apart has 9 or 10 left.
        assert analytic[event, column] == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-6 * largest)


@every_loss
def test_float32_agrees_with_float64(loss):
    target, score, weight = batch(loss, 5000)
    high = float(loss(target.astype(np.float64), tf.constant(score, dtype="float64"), weight))
    # Sums of 5000 numbers: some hundred roundings of 6e-8.
    assert float(loss(target, score, weight)) == pytest.approx(high, rel=2e-5)


@every_loss
def test_sums_add_up_over_batches(loss):
    target, score, weight = batch(loss, 300)
    parts = [slice(0, 100), slice(100, 300)]
    total = sum(loss.sums(target[part], tf.constant(score[part]), weight[part]) for part in parts)
    assert float(loss.value(total)) == pytest.approx(float(loss(target, score, weight)), rel=1e-5)
    # The exact gradient, with one part at a time: of the loss by the sums, times that of the part's sums.
    _, whole = gradient_of(loss, target, score, weight)
    with tf.GradientTape() as tape:
        tape.watch(total)
        value = loss.value(total)
    by_sums = tape.gradient(value, total)
    for part in parts:
        variable = tf.Variable(score[part])
        with tf.GradientTape() as tape:
            inner = tf.reduce_sum(by_sums * loss.sums(target[part], variable, weight[part]))
        np.testing.assert_allclose(
            tape.gradient(inner, variable), whole[part], rtol=1e-4, atol=1e-5 * np.abs(whole).max()
        )


@every_loss
def test_compiled_with_and_without_xla(loss):
    target, score, weight = batch(loss, 200)
    value, gradient = gradient_of(loss, target, score, weight)

    def step(target, score, weight):
        with tf.GradientTape() as tape:
            tape.watch(score)
            found = loss(target, score, sample_weight=weight)
        return found, tape.gradient(found, score)

    arguments = [tf.constant(array) for array in (target, score, weight)]
    for jit in (False, True) if loss in FOR_XLA else (False,):
        found, slopes = tf.function(step, jit_compile=jit, autograph=False)(*arguments)
        assert float(found) == pytest.approx(value, rel=1e-5)
        np.testing.assert_allclose(slopes, gradient, rtol=1e-3, atol=1e-4 * np.abs(gradient).max())


@every_loss
def test_settings_go_through_a_file(loss):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    target, score, weight = batch(loss)
    assert float(again(target, score, weight)) == float(loss(target, score, weight))


@every_loss
def test_yields_may_come_later(loss):
    config = loss.get_config() | {"signal": None, "background": None}
    open_loss = type(loss).from_config(config)
    assert open_loss.needs_yields
    assert not loss.needs_yields
    target, score, weight = batch(loss)
    with pytest.raises(SettingError, match="signal and background"):
        open_loss(target, score, weight)
    filled = open_loss.with_yields(**YIELDS)
    assert float(filled(target, score, weight)) == float(loss(target, score, weight))
    # Those that were given stay.
    assert loss.with_yields(1.0, 1.0).get_config() == loss.get_config()


@pytest.mark.parametrize("loss", FOR_XLA)
def test_gradient_descent_on_the_scores_lowers_it(loss):
    target, score, weight = batch(loss, 200)
    logits = tf.Variable(np.log(score / (1.0 - score)))
    optimizer = keras.optimizers.Adam(0.05)
    seen = []
    for _ in range(5):
        with tf.GradientTape() as tape:
            value = loss(target, tf.sigmoid(logits), weight)
        optimizer.apply(tape.gradient(value, [logits]), [logits])
        seen.append(float(value))
    assert seen[-1] < seen[0]


def test_every_name_is_found_and_every_significance_is_here():
    for name in ("asimov", "significance", "systematicsignificance", "systematic_significance", "discovery",
                 "exclusion", "binnedasimov", "binned_asimov", "inferno"):  # fmt: skip
        found = losses.get(name, **YIELDS)
        assert isinstance(found, losses.BatchLoss)
    tested = {type(loss) for loss in CASES.values()}
    assert {made for made in losses.NAMES.values() if issubclass(made, losses.BatchLoss)} <= tested


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_outputs_of_half_precision_are_summed_in_single(kind):
    """200 000 weights of 1 are beyond float16; one half is a number of all precisions."""
    loss = losses.AsimovSignificance(30.0, 20_000.0, 0.3)
    label, weight = (np.arange(200_000) % 2)[:, None], np.ones(200_000, np.float32)
    single = loss(label, np.full((200_000, 1), 0.5, np.float32), weight)
    half = loss(label, keras.ops.full((200_000, 1), 0.5, dtype=kind), weight)
    assert float(half) == float(single) != 0.0
