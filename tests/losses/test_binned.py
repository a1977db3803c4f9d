"""Soft bins, and significances of several bins against likelihoods profiled numerically."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize_scalar

from hepml_root import losses
from hepml_root.errors import SettingError
from hepml_root.losses import SoftBins

S = np.array([1.0, 4.0, 9.0, 6.0])
B = np.array([400.0, 90.0, 30.0, 2.0])


def profile(s, b, systematic, data: float, tested: float, auxiliary: float | None = None) -> float:
    """√q of all bins, with one scale γ to the power of each bin's relative uncertainty, minimised
    numerically.

    ``auxiliary`` is the expected count of the measurement of γ; one over the largest uncertainty squared.
    """
    systematic = np.broadcast_to(np.asarray(systematic, dtype=np.float64), s.shape)
    count = auxiliary or 1.0 / systematic.max() ** 2
    power = systematic / systematic.max()
    n = data * s + b

    def minus_log(log_scale: float) -> float:
        expected = tested * s + b * np.exp(power * log_scale)
        constraint = count * math.exp(log_scale) - count * (math.log(count) + log_scale)
        return float(np.sum(expected - n * np.log(expected))) + constraint

    found = minimize_scalar(minus_log, bounds=(-4.0, 4.0), method="bounded", options={"xatol": 1e-12})
    free = float(np.sum(n - n * np.log(n))) + count - count * math.log(count)
    return math.sqrt(2.0 * (found.fun - free))


@pytest.mark.parametrize("systematic", [0.01, 0.2, 0.5, 2.0])
@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_one_nuisance_for_all_bins(systematic, scale):
    s = scale * S
    discovery = float(losses.correlated_discovery(s, B, systematic))
    assert discovery == pytest.approx(profile(s, B, systematic, 1.0, 0.0), rel=1e-5)
    excluded = float(losses.correlated_exclusion(s, B, systematic))
    assert excluded == pytest.approx(profile(s, B, systematic, 0.0, 1.0), rel=1e-5)


@pytest.mark.parametrize(
    "systematic", [[0.1, 0.2, 0.3, 0.5], [0.5, 0.1, 0.0, 0.2], [1e-4, 1e-4, 2e-4, 1e-4], [2.0, 1.0, 0.5, 0.1]]
)
@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_one_nuisance_with_another_size_in_each_bin(systematic, scale):
    value = float(losses.correlated_discovery(scale * S, B, systematic))
    assert value == pytest.approx(profile(scale * S, B, systematic, 1.0, 0.0), rel=1e-5)


def test_a_control_region_for_all_bins():
    # σ² = b/τ of the sum of the backgrounds: an auxiliary count of τ Σ b.
    wanted = profile(S, B, 1.0, 1.0, 0.0, auxiliary=0.5 * B.sum())
    assert float(losses.correlated_discovery(S, B, control=0.5)) == pytest.approx(wanted, rel=1e-6)
    wanted = profile(S, B, 1.0, 0.0, 1.0, auxiliary=0.5 * B.sum())
    assert float(losses.correlated_exclusion(S, B, control=0.5)) == pytest.approx(wanted, rel=1e-6)


def test_relations():
    # One bin is the counting experiment; without uncertainty one nuisance or many are the same.
    one = [np.array([7.0]), np.array([30.0])]
    assert float(losses.correlated_discovery(*one, 0.2)) == pytest.approx(
        float(losses.asimov_significance(7.0, 30.0, 0.2)), rel=1e-6
    )
    assert float(losses.correlated_exclusion(*one, 0.2)) == pytest.approx(
        float(losses.exclusion_significance(7.0, 30.0, 0.2)), rel=1e-6
    )
    independent = losses.in_quadrature(losses.asimov_significance(S, B))
    assert float(losses.correlated_discovery(S, B)) == pytest.approx(float(independent), rel=1e-6)
    assert float(losses.correlated_discovery(S, B, [0.0] * 4)) == pytest.approx(float(independent), rel=1e-6)
    # Equal sizes are the same, said either way.
    assert float(losses.correlated_discovery(S, B, [0.2] * 4)) == pytest.approx(
        float(losses.correlated_discovery(S, B, 0.2)), rel=1e-6
    )
    # A split into bins of one shape adds nothing where one nuisance moves them; the shape alone stays where
    # it is large.
    same = float(losses.correlated_discovery(np.full(5, 2.0), np.full(5, 10.0), 0.3))
    assert same == pytest.approx(float(losses.asimov_significance(10.0, 50.0, 0.3)), rel=1e-6)
    shape = math.sqrt(2 * np.sum((S + B) * np.log((S + B) / (S + B).sum() * B.sum() / B)))
    assert float(losses.correlated_discovery(S, B, 1e4)) == pytest.approx(shape, rel=1e-4)


@pytest.mark.parametrize(
    "function",
    [
        lambda s, b: losses.correlated_discovery(s, b, 0.2),
        lambda s, b: losses.correlated_discovery(s, b, [0.1, 0.4, 0.2, 0.3]),
        lambda s, b: losses.correlated_discovery(s, b, 0.1, 2.0),
        lambda s, b: losses.correlated_exclusion(s, b, 0.2),
        lambda s, b: losses.correlated_exclusion(s, b, 0.1, 2.0),
    ],
)
def test_derivatives_of_profiled_significances(function):
    # Those of the profiled parameter are left out: at the minimum they are none.
    variables = [tf.Variable(S), tf.Variable(B)]
    with tf.GradientTape() as tape:
        value = function(*variables)
    for number, gradient in enumerate(tape.gradient(value, variables)):
        for entry in (0, 3):
            values = []
            for step in (1e-5, -1e-5):
                moved = [S.copy(), B.copy()]
                moved[number][entry] *= 1.0 + step
                values.append(float(function(*moved)))
            difference = (values[0] - values[1]) / (2e-5 * (S, B)[number][entry])
            assert gradient.numpy()[entry] == pytest.approx(difference, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("systematic", [1e-6, 0.1, 2.0])
def test_float32_agrees_with_float64(systematic):
    # Newton's steps included, over the 12 orders of magnitude from 1e-6 to 1e6.
    random = np.random.default_rng(1)
    for _ in range(4):
        s, b = (10.0 ** random.uniform(-6, 6, size=6) for _ in range(2))
        s32, b32 = s.astype(np.float32), b.astype(np.float32)
        for function in (losses.correlated_discovery, losses.correlated_exclusion):
            low = float(function(s32, b32, systematic))
            high = float(function(s32.astype(np.float64), b32.astype(np.float64), systematic))
            assert low == pytest.approx(high, rel=1e-5)


def test_soft_bins_are_bins_where_the_band_is_narrow():
    random = np.random.default_rng(2)
    score = random.random(10_000)
    edges = [0.0, 0.1, 0.5, 0.8, 1.0]
    found = np.asarray(SoftBins.of(edges, bandwidth=1e-4).memberships(score)).sum(axis=0)
    # An event within some bandwidths of an edge is shared: 2 in 10^4 of them.
    assert found == pytest.approx(np.histogram(score, edges)[0], abs=2.0)


def test_the_resolution_that_soft_bins_lose():
    # Of events spread evenly over a bin, 2 ln 2 · bandwidth are counted in others.
    bins = SoftBins.of(10, bandwidth=0.1)
    inside = np.linspace(0.4, 0.5, 10_001)
    kept = np.asarray(bins.memberships(inside)).mean(axis=0)[4]
    assert 1.0 - kept == pytest.approx(2 * math.log(2) * 0.1, rel=1e-3)
    # The bins' means move as if the score were smeared by 1.81 bandwidths of the bin width.
    centres = 0.05 + 0.1 * np.arange(10)
    members = np.asarray(SoftBins.of(10, bandwidth=0.5).memberships(np.array([0.45])))[0]
    spread = math.sqrt(np.sum(members * (centres - 0.45) ** 2))
    rounding = 0.1 / math.sqrt(12)
    assert spread == pytest.approx(math.hypot(math.pi / math.sqrt(3) * 0.05, rounding), rel=0.02)


def test_memberships_add_up_and_take_in_all():
    bins = SoftBins.of(7)
    score = np.array([-5.0, 0.0, 0.3, 1.0, 9.0], dtype=np.float32)
    members = np.asarray(bins.memberships(score))
    assert members.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)
    assert (members >= 0).all()
    assert members[0, 0] == 1.0
    assert members[-1, -1] == 1.0


def test_counts_in_bins_by_hand():
    target, score = np.array([[1.0], [1.0], [0.0]]), np.array([[0.25], [0.75], [0.75]])
    s, b = losses.expected_counts(
        target, score, np.array([1.0, 3.0, 2.0]), 8.0, 100.0, bins=SoftBins.of(2, bandwidth=0.01)
    )
    assert np.asarray(s) == pytest.approx([2.0, 6.0])
    assert np.asarray(b) == pytest.approx([0.0, 100.0])
    # Physics weights of a whole sample are the expected events themselves.
    s, b = losses.expected_counts(target, score, np.array([1.0, 3.0, 2.0]))
    assert (float(s), float(b)) == (2.5, 1.5)


def test_bins_add_in_quadrature_in_a_loss():
    target = np.array([[1.0], [1.0], [0.0], [0.0], [0.0], [0.0]])
    score = np.array([[0.25], [0.75], [0.25], [0.25], [0.25], [0.75]])
    loss = losses.AsimovSignificance(10.0, 100.0, systematic=[0.1, 0.3], bins=2, bandwidth=0.01)
    by_hand = math.hypot(
        float(losses.asimov_significance(5.0, 75.0, 0.1)), float(losses.asimov_significance(5.0, 25.0, 0.3))
    )
    assert float(loss(target, score)) == pytest.approx(-by_hand, rel=1e-5)


def test_wrong_bins():
    for bins in (1, 0, [0.0, 1.0], [0.0, 0.5, 0.5], [0.0, 0.5, math.nan]):
        with pytest.raises(SettingError, match="increasing edges"):
            losses.AsimovSignificance(1.0, 1.0, bins=bins)
    with pytest.raises(SettingError, match="bandwidth"):
        losses.AsimovSignificance(1.0, 1.0, bins=4, bandwidth=0.0)
    with pytest.raises(SettingError, match="2 systematics were given for 3 bins"):
        losses.AsimovSignificance(1.0, 1.0, systematic=[0.1, 0.2], bins=3)
    with pytest.raises(SettingError, match="needs bins"):
        losses.AsimovSignificance(1.0, 1.0, correlated=True)
    with pytest.raises(SettingError, match="one systematic for all"):
        losses.DiscoverySignificance(1.0, 1.0, systematic=[0.1, 0.2], control=1.0, bins=2, correlated=True)
    with pytest.raises(SettingError, match="one systematic for all"):
        losses.ExclusionSignificance(1.0, 1.0, systematic=[0.1, 0.2], bins=2, correlated=True)
