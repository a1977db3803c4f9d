"""Contracts of bijections and flows: inverse, volume, normalisation, extreme inputs; and of integrators."""

from __future__ import annotations

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from hepml_root.errors import SettingError, UnsupportedOperationError
from hepml_root.layers.autoregressive import Autoregressive
from hepml_root.layers.bijection import LinearMap, Permutation, Standardisation
from hepml_root.layers.conditional_standardisation import ConditionalStandardisation
from hepml_root.layers.coupling import Coupling, MarginalSplines, log_normal
from hepml_root.layers.flow_matching import SOLVERS, Velocity, integrate
from hepml_root.layers.normalizing_flow import NormalizingFlow
from hepml_root.layers.spline import parameters, rational_quadratic

FEATURES, CONDITIONS = 4, 2
CASES = [
    *itertools.product(("coupling", "maf"), ("affine", "spline"), ("shuffle",)),
    ("coupling", "spline", "linear"),
    ("iaf", "affine", "reverse"),
]


def moved(layer, by: float = 0.1, seed: int = 1):
    """The layer with weights that are no longer the identity."""
    random = np.random.default_rng(seed)
    for weight in layer.trainable_weights:
        weight.assign(weight + random.normal(0.0, by, weight.shape))
    return layer


def events(number: int = 64, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(number, FEATURES)).astype(np.float32)
    return x, random.normal(size=(number, CONDITIONS)).astype(np.float32)


def flow(kind="coupling", transform="spline", mixing="shuffle", **settings) -> NormalizingFlow:
    given = {"features": FEATURES, "conditions": CONDITIONS, "steps": 3, "hidden": (8,)} | settings
    with_weights = NormalizingFlow(**given, kind=kind, transform=transform, mixing=mixing)
    x, _ = events()
    return moved(with_weights).adapt(2.0 * x[:, : given["features"]] + 1.0)


def jacobian(function, x: np.ndarray) -> np.ndarray:
    with tf.GradientTape(persistent=True) as tape:
        tensor = tf.constant(x)
        tape.watch(tensor)
        value = function(tensor)
    return tape.batch_jacobian(value, tensor, experimental_use_pfor=False).numpy()


@pytest.mark.parametrize(("kind", "transform", "mixing"), CASES)
def test_inverse_and_volume(kind, transform, mixing):
    """Values of order 1 in float32, steps whose slopes are up to some ten: 1e-4 is a thousand roundings."""
    layer = flow(kind, transform, mixing)
    x, c = events()
    z, change = layer.forward(x, c)
    back, change_back = layer.inverse(z, c)
    np.testing.assert_allclose(back, x, atol=1e-4)
    np.testing.assert_allclose(change + change_back, 0.0, atol=1e-3)
    few = 8
    matrix = jacobian(lambda t: layer.forward(t, c[:few])[0], x[:few])
    np.testing.assert_allclose(np.linalg.slogdet(matrix)[1], change[:few], atol=2e-4)
    if kind == "maf":  # nothing depends on a later feature: triangular, up to the mixings
        single = layer.steps[0]
        matrix = jacobian(lambda t: single.forward(t, c[:few])[0], x[:few])
        assert np.abs(np.triu(matrix, 1)).max() == 0.0


@pytest.mark.parametrize("kind", ["coupling", "maf"])
@pytest.mark.parametrize("transform", ["affine", "spline"])
def test_the_density_is_normalised(kind, transform):
    """On a grid of 0.1 over ±12, where next to nothing is outside: the sum is 1 to 1 %."""
    layer = flow(kind, transform, features=2)
    edge = np.linspace(-11.0, 13.0, 241, dtype=np.float32)
    grid = np.stack(np.meshgrid(edge, edge), axis=-1).reshape(-1, 2)
    c = np.broadcast_to(np.float32([0.5, -1.0]), (len(grid), CONDITIONS))
    density = np.exp(np.asarray(layer.log_prob(grid, c), np.float64))
    assert density.sum() * (edge[1] - edge[0]) ** 2 == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("transform", ["affine", "spline"])
def test_extreme_inputs(transform):
    """Finite everywhere; splines are the identity outside of their bound, so that relative errors stay."""
    layer = flow("coupling", transform)
    x, c = events()
    for size in (1e2, 1e4, 1e6):
        z, change = layer.forward(size * x, c)
        assert np.isfinite(z).all()
        assert np.isfinite(change).all()
        if transform == "spline":
            back = layer.inverse(z, c)[0]
            # Extreme neighbours make splines as flat as 1/100 (spline.MINIMUM), which magnify the rounding of
            # float32 at |z| = 5, 3e-7: two such in a row by 10^4, three by 10^6. The way there is as flat.
            np.testing.assert_allclose(back, size * x, rtol=1e-4, atol=0.1)
            np.testing.assert_allclose(layer.forward(back, c)[0], z, rtol=1e-4, atol=1e-3)


def test_spline():
    raw = np.zeros((5, parameters(6)), np.float32)
    x = np.float32([-7.0, -3.0, 0.0, 2.9, 3.0])
    y, slope = rational_quadratic(x, raw, 3.0)
    np.testing.assert_allclose(y, x, atol=1e-6)
    np.testing.assert_allclose(slope, 0.0, atol=1e-6)
    # One wide and low bin first: widths and heights of two bins, the slope between them 1. With both at the
    # smallest size m = 0.01 and the rest, the knot is at (-B + 2 B (1 - m), -B + 2 B m).
    raw = np.zeros((1, parameters(2)), np.float32)
    raw[0, :4] = 40.0, 0.0, 0.0, 40.0
    y, _ = rational_quadratic(np.float32([0.98]), raw, 1.0)
    np.testing.assert_allclose(y, -0.98, atol=1e-5)
    # It rises everywhere, and its slope is that of the numbers.
    random = np.random.default_rng(1)
    raw = np.broadcast_to(random.normal(size=(1, parameters(8))).astype(np.float32), (2001, parameters(8)))
    x = np.linspace(-6, 6, 2001, dtype=np.float32)
    y, slope = (np.asarray(a) for a in rational_quadratic(x, raw, 5.0))
    assert (np.diff(y) > 0).all()
    middle = (np.exp(slope[1:]) + np.exp(slope[:-1])) / 2
    np.testing.assert_allclose(np.diff(y) / np.diff(x), middle, rtol=0.05)


@pytest.mark.parametrize("bins", [100, 256])
def test_splines_of_many_bins_rise_everywhere_and_have_an_inverse(bins):
    """As a hundredth of the whole for each bin would be all there is, their least part is smaller."""
    random = np.random.default_rng(1)
    raw = np.broadcast_to(
        random.normal(size=(1, parameters(bins))).astype(np.float32), (4001, parameters(bins))
    )
    x = np.linspace(-6, 6, 4001, dtype=np.float32)
    y, slope = (np.asarray(a) for a in rational_quadratic(x, raw, 5.0))
    assert np.isfinite(slope).all()
    assert (np.diff(y) > 0).all()
    assert np.abs(y - x).max() > 0.05  # not the identity, which equal bins would be
    np.testing.assert_allclose(rational_quadratic(y, raw, 5.0, inverse=True)[0], x, atol=1e-3)


def test_parts():
    x, _ = events()
    mapped, change = Permutation([3, 1, 0, 2]).forward(x)
    np.testing.assert_array_equal(mapped, x[:, [3, 1, 0, 2]])
    assert not np.asarray(change).any()
    layer = moved(LinearMap([3, 1, 0, 2]), 0.5)
    matrix = np.asarray(layer.forward(np.eye(FEATURES, dtype=np.float32))[0]).T
    assert layer.forward(x)[1].numpy()[0] == pytest.approx(np.linalg.slogdet(matrix)[1], abs=1e-5)
    np.testing.assert_allclose(layer.inverse(x)[0], x @ np.linalg.inv(matrix).T, atol=1e-4)
    scale = Standardisation(2).adapt([[1.0, 5.0], [3.0, 5.0]], weight=[3.0, 1.0])
    # Mean 1.5 and variance 3/4 · 1/4 · 4 = 0.75; a constant is only shifted.
    np.testing.assert_allclose(
        scale.forward(np.float32([[1.5 + 0.75**0.5, 6.0]]))[0], [[1.0, 1.0]], rtol=1e-6
    )
    assert float(log_normal(np.zeros((1, 3)))[0]) == pytest.approx(-1.5 * math.log(2 * math.pi))
    each = moved(MarginalSplines(FEATURES), 0.3)
    mapped, change = each.forward(x)
    np.testing.assert_allclose(each.inverse(mapped)[0], x, atol=1e-5)
    np.testing.assert_allclose(each.inverse(mapped)[1], -np.asarray(change), atol=1e-4)
    one = Coupling(1, "spline", hidden=(4,), conditions=CONDITIONS)
    assert one.forward(x[:, :1], x[:, :CONDITIONS])[0].shape == (64, 1)
    assert Coupling(1, hidden=(4,)).forward(x[:, :1])[0].shape == (64, 1)


def test_it_learns_a_conditional_mean_and_width():
    """x = 3 c + 0.5 (1 + c) noise in the first feature: ten thousand draws at c have its mean and spread."""
    random = np.random.default_rng(1)
    c = random.uniform(0, 1, (4000, 1)).astype(np.float32)
    noise = random.normal(size=(4000, 2))
    x = np.concatenate([3 * c + 0.5 * (1 + c) * noise[:, :1], noise[:, 1:] + c], axis=1).astype(np.float32)
    layer = NormalizingFlow(2, 1, transform="affine", steps=2, hidden=(16,)).adapt(x)
    optimizer = keras.optimizers.Adam(0.01)

    @tf.function
    def step(x, c):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(layer.log_prob(x, c))
        gradients = tape.gradient(loss, layer.trainable_weights)
        optimizer.apply_gradients(zip(gradients, layer.trainable_weights, strict=True))

    for _ in range(10):
        for first in range(0, 4000, 200):
            step(x[first : first + 200], c[first : first + 200])
    for at in (0.2, 0.8):
        condition = np.full((10_000, 1), at, np.float32)
        drawn = np.asarray(layer.sample(condition, condition))
        # 4000 events know a mean to 0.02, 10 000 draws to 0.01; the training is short: 0.1 of 0.6 and 0.9.
        assert drawn[:, 0].mean() == pytest.approx(3 * at, abs=0.1)
        assert drawn[:, 0].std() == pytest.approx(0.5 * (1 + at), rel=0.15)
        assert drawn[:, 1].mean() == pytest.approx(at, abs=0.1)


def test_settings_are_checked():
    for settings in (
        {"kind": "couplings"},
        {"transform": "splin"},
        {"mixing": "none"},
        {"steps": 0},
        {"bins": 1},
        {"bound": 0.0},
    ):
        with pytest.raises(SettingError):
            NormalizingFlow(2, **({"transform": "spline"} | settings))
    with pytest.raises(SettingError):
        Permutation([0, 0, 1])
    wide = Autoregressive(65, hidden=(4,))
    with pytest.raises(UnsupportedOperationError, match="student"):
        wide.inverse(np.zeros((1, 65), np.float32))


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_order_of_the_integrators(solver, order):
    """dx/dt = x cos t, x(1) = e^(sin 1): halving the step divides the error by 2^order."""
    errors = []
    for steps in (16, 32, 64):
        found = integrate(lambda x, t: x * math.cos(t), np.ones((), np.float64), steps, solver)
        errors.append(abs(float(found) - math.exp(math.sin(1.0))))
    measured = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(measured, order, atol=0.15)
    assert SOLVERS[solver] == order
    with pytest.raises(SettingError, match="midpoint"):
        integrate(lambda x, t: x, 1.0, 4, "midpint")  # noqa: ARG005


def test_velocity():
    """Before any training the loss and the samples are known."""
    layer = Velocity(3, 1, hidden=(8, 8))
    x = np.zeros((20_000, 3), np.float32)
    # The network begins at 0: the loss is the mean of (x - z)^2 = 1, with an error of (2 / 60000)^0.5.
    loss = np.asarray(layer.loss(x, x[:, :1]))
    assert loss.mean() == pytest.approx(1.0, abs=5 * (2 / 60_000) ** 0.5)
    # And without a velocity the samples are the noise.
    drawn = np.asarray(layer.sample(x[:, :1], 2))
    assert drawn.std() == pytest.approx(1.0, abs=0.02)


def test_a_conditional_scale():
    """Mean 1 + 2 c − c², spread exp(0.3 − c) of the first feature; a constant; and one that never changes."""
    random = np.random.default_rng(2)
    c = random.uniform(10, 30, (20_000, 1))
    inside = (c - 20) / 10
    noise = random.normal(size=(20_000, 2))
    first = 1 + 2 * inside - inside**2 + np.exp(0.3 - inside) * noise[:, :1]
    x = np.concatenate([first, np.full_like(c, 5.0), 4 + 2 * noise[:, 1:]], axis=1)
    layer = ConditionalStandardisation(3, 1).adapt(x, c)
    at = np.float32([[10], [20], [30], [300]])
    zero, _ = layer.inverse(np.zeros((4, 3), np.float32), at)
    one, change = layer.inverse(np.ones((4, 3), np.float32), at)
    # A mean is known to spread/√(20 000/3), 2 % at the ends, a spread to as much: five of these.
    truth = np.exp([1.3, 0.3, -0.7, -0.7])
    assert (np.abs(np.asarray(zero)[:, 0] - [-2, 1, 2, 2]) < 0.1 * truth).all()
    np.testing.assert_allclose((one - zero)[:, 0], truth, rtol=0.1)
    np.testing.assert_allclose(np.asarray(zero)[:, 1], 5.0, rtol=1e-5)
    np.testing.assert_allclose((one - zero)[:, 1], 1.0, rtol=1e-5)
    np.testing.assert_allclose((one - zero)[:, 2], 2.0, rtol=0.1)
    # The logarithm of the determinant is that of the steps.
    np.testing.assert_allclose(change, np.log(np.asarray(one - zero)).sum(axis=1), rtol=1e-4, atol=1e-4)


def test_a_conditional_scale_asks_for_conditions():
    with pytest.raises(SettingError, match="no condition"):
        NormalizingFlow(2, conditional_scale=True)
    with pytest.raises(SettingError, match="condition="):
        NormalizingFlow(2, 1, conditional_scale=True).adapt(np.zeros((5, 2)))
