"""ROC curves: known areas, brute force, ties, weights, coverage of the intervals, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hepml_root import errors
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, poisson_replicas, to_json
from hepml_root.evaluation.roc import auc, auc_difference, mean_auc, roc_curve


def brute_force_auc(scores, labels, weights):
    """Return the AUC from its definition, a weighted sum over all pairs."""
    s, b = labels == 1, labels == 0
    difference = scores[s][:, None] - scores[b][None, :]
    wins = (difference > 0) + 0.5 * (difference == 0)
    return float(weights[s] @ wins @ weights[b] / (weights[s].sum() * weights[b].sum()))


def two_gaussians(generator, events, distance=1.0):
    labels = np.arange(events) % 2
    return generator.normal(size=events) + distance * labels, labels


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.5])
def test_auc_of_two_gaussians(distance):
    scores, labels = two_gaussians(np.random.default_rng(3), 200_000, distance)
    truth = 0.5 * (1 + math.erf(distance / 2))  # Φ(d/√2)
    # The error of the AUC is below √(1/(4·min(n_s, n_b))) = 0.0016; five of them.
    assert abs(auc(scores, labels, bootstrap=0).value - truth) < 0.008


@pytest.mark.parametrize("decimals", [1, 8], ids=["ties", "no ties"])
@pytest.mark.parametrize("negative", [False, True], ids=["positive", "negative weights"])
def test_auc_is_the_sum_over_pairs(decimals, negative):
    generator = np.random.default_rng(11)
    scores, labels = two_gaussians(generator, 600)
    scores = scores.round(decimals)
    weights = generator.uniform(0.1, 3.0, 600)
    if negative:
        weights[generator.random(600) < 0.2] *= -1
    expected = brute_force_auc(scores, labels, weights)
    assert auc(scores, labels, weights, bootstrap=0).value == pytest.approx(expected, abs=1e-12)
    assert roc_curve(scores, labels, weights, bootstrap=0).auc.value == pytest.approx(expected, abs=1e-12)


def test_all_scores_equal_is_no_separation():
    roc = roc_curve(np.ones(10), np.arange(10) % 2, bootstrap=10)
    assert roc.auc.value == 0.5
    np.testing.assert_allclose(roc.background_efficiency, roc.signal_efficiency)


def test_curve_points_by_hand():
    # s(1.0) b(0.9) s(0.8) s(0.7) b(0.6): at 0.8 pass two thirds of the signal, half of the background.
    roc = roc_curve(
        [1.0, 0.9, 0.8, 0.7, 0.6], [1, 0, 1, 1, 0], bootstrap=0, working_points=(1 / 3, 2 / 3, 1.0)
    )
    assert [point.background_efficiency.value for point in roc.working_points] == [0.0, 0.5, 0.5]
    assert [point.threshold for point in roc.working_points] == [1.0, 0.8, 0.7]
    assert roc.working_points[0].background_rejection.value == math.inf
    assert roc.working_points[1].background_rejection.value == 2.0
    assert roc.auc.value == pytest.approx(4 / 6)


def test_weights_are_as_repeated_events():
    generator = np.random.default_rng(5)
    scores, labels = two_gaussians(generator, 400)
    repeats = generator.integers(1, 5, 400)
    weighted = roc_curve(scores, labels, repeats, bootstrap=0)
    repeated = roc_curve(np.repeat(scores, repeats), np.repeat(labels, repeats), bootstrap=0)
    np.testing.assert_allclose(weighted.background_efficiency, repeated.background_efficiency, atol=1e-12)


def test_scale_of_a_class_does_not_matter():
    scores, labels = two_gaussians(np.random.default_rng(6), 1000)
    plain = roc_curve(scores, labels, bootstrap=20)
    scaled = roc_curve(scores, labels, np.where(labels == 1, 1e-6, 40.0), bootstrap=20)
    np.testing.assert_allclose(plain.background_efficiency, scaled.background_efficiency, atol=1e-12)
    assert plain.auc.low == pytest.approx(scaled.auc.low)


def test_intervals_cover_the_truth():
    """Coverage of the 68.3 % intervals of the AUC and of a background efficiency, with weights."""
    generator = np.random.default_rng(8)
    truth_auc = 0.5 * (1 + math.erf(0.5))
    # At ε_s = 1/2 the cut is at the signal's median, 1: the background passes with 1 − Φ(1).
    truth_efficiency = 0.5 * (1 - math.erf(1 / math.sqrt(2)))
    toys, covered_auc, covered_efficiency = 150, 0, 0
    for toy in range(toys):
        scores, labels = two_gaussians(generator, 1000)
        weights = generator.exponential(size=1000)
        roc = roc_curve(scores, labels, weights, bootstrap=100, seed=toy, working_points=(0.5,), points=2)
        efficiency = roc.working_points[0].background_efficiency
        covered_auc += roc.auc.low <= truth_auc <= roc.auc.high
        covered_efficiency += efficiency.low <= truth_efficiency <= efficiency.high
    # Binomial spread of 150 toys is 0.038; four of them, plus 0.02: percentiles of 100 replicas are coarse.
    bound = 4 * math.sqrt(ONE_SIGMA * (1 - ONE_SIGMA) / toys) + 0.02
    assert abs(covered_auc / toys - ONE_SIGMA) < bound
    assert abs(covered_efficiency / toys - ONE_SIGMA) < bound


def test_bootstrap_error_agrees_with_the_analytic_one():
    scores, labels = two_gaussians(np.random.default_rng(9), 5000)
    bootstrap = auc(scores, labels, bootstrap=400)
    # A constant score has the AUC 1/2 in every sample, so the difference has DeLong's error of the AUC alone.
    analytic = auc_difference(scores, np.zeros(5000), labels)
    # The standard deviation of 400 replicas has a relative error of 1/√800 = 3.5 %; percentiles have more.
    assert bootstrap.error == pytest.approx(analytic.error, rel=0.25)
    assert analytic.value == pytest.approx(bootstrap.value - 0.5)


def test_the_same_seed_gives_the_same_band():
    scores, labels = two_gaussians(np.random.default_rng(10), 500)
    first, second, other = (roc_curve(scores, labels, bootstrap=50, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.low, second.low)
    assert not np.array_equal(first.low, other.low)


def test_no_background_above_the_cut_has_a_finite_upper_end():
    scores = np.concatenate([np.zeros(1000), np.ones(100)])
    point = roc_curve(scores, scores > 0, working_points=(0.5,)).working_points[0]
    assert point.background_efficiency.value == 0.0
    assert point.background_efficiency.high == pytest.approx(1.841 / 1000)
    assert point.background_rejection.value == math.inf
    assert point.background_rejection.low == pytest.approx(1000 / 1.841)
    assert point.to_dict()["background_rejection"]["value"] is None


def test_difference_of_correlated_scores_has_a_small_error():
    generator = np.random.default_rng(12)
    scores, labels = two_gaussians(generator, 4000)
    nearly = scores + 0.05 * generator.normal(size=4000)
    difference = auc_difference(scores, nearly, labels)
    assert difference.error < 0.2 * auc(scores, labels).error
    assert difference.low > -0.01
    assert difference.high < 0.01


def test_mean_auc_of_two_classes_is_the_auc():
    scores, labels = two_gaussians(np.random.default_rng(13), 3000)
    both = np.stack([-scores, scores], axis=1)
    mean, plain = mean_auc(both, labels), auc(scores, labels, bootstrap=400)
    assert mean.value == pytest.approx(plain.value)
    # Both one-against-rest areas are the same number, so the mean has its error; to 25 % as above.
    assert mean.error == pytest.approx(plain.error, rel=0.25)


def test_poisson_counts():
    counts = np.concatenate([block.ravel().copy() for block in poisson_replicas(10_000, 50, seed=4)])
    for count, probability in ((0, 0.36788), (1, 0.36788), (2, 0.18394), (4, 0.015328)):
        # Five standard deviations of 500 000 draws.
        assert abs(np.mean(counts == count) - probability) < 5 * math.sqrt(probability / counts.size)


@pytest.mark.parametrize(
    ("scores", "labels", "weights", "error", "words"),
    [
        ([0.1, 0.2], [0, 1, 1], None, errors.ShapeError, "2 events"),
        ([0.1, 0.2, 0.3], [0, 1, 2], None, errors.ShapeError, "0 .background. or 1"),
        ([[0.1, 0.2], [0.3, 0.4]], [0, 1], None, errors.ShapeError, "(2, 2)"),
        ([0.1, math.nan], [0, 1], None, errors.NonFiniteInputError, "entry 1"),
        ([0.1, 0.2], [1, 1], None, errors.EmptySelectionError, "no background"),
        ([0.1, 0.2], [0, 0], None, errors.EmptySelectionError, "no signal"),
        ([0.1, 0.2], [0, 1], [1.0], errors.WeightError, "1 entries"),
        ([0.1, 0.2], [0, 1], [1.0, math.inf], errors.WeightError, "infinite"),
        ([0.1, 0.2, 0.3], [0, 1, 1], [1.0, 1.0, -2.0], errors.WeightError, "signal events sum to -1"),
    ],
)
def test_bad_input(scores, labels, weights, error, words):
    for function in (auc, roc_curve):
        with pytest.raises(error) as caught:
            function(scores, labels, weights)
        assert words.replace(".background.", "(background)") in str(caught.value)


def test_bad_settings():
    scores, labels = [0.1, 0.9], [0, 1]
    with pytest.raises(errors.SettingError, match="working points"):
        roc_curve(scores, labels, working_points=(1.5,))
    with pytest.raises(errors.SettingError, match="replicas"):
        roc_curve(scores, labels, bootstrap=-1)
    with pytest.raises(errors.SettingError, match="level"):
        roc_curve(scores, labels, level=1.0)
    with pytest.raises(errors.SettingError, match="2 points"):
        roc_curve(scores, labels, points=1)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.7849, 0.7815, 0.7883), "0.785 ± 0.003"),
        (Estimate(0.78492, 0.78342, 0.78642), "0.7849 ± 0.0015"),
        (Estimate(10.0, 9.0, 14.0), "10 +4 −1"),
        (Estimate(-1.23, -1.33, -1.13), "−1.23 ± 0.10"),
        (Estimate(0.0094, 0.0031, 0.0082), "0.009 [0.003, 0.008]"),
        (Estimate(math.inf, 543.0, math.inf), "> 543"),
        (Estimate(1234.5), "1234"),
        (Estimate(2.0, 2.0, 2.0), "2 ± 0"),
    ],
)
def test_estimates_are_rounded_to_their_error(estimate, text):
    assert str(estimate) == text


def test_json_is_strict():
    assert to_json({"a": [np.float32(1.5), math.inf], "b": np.bool_(True), "c": Estimate(1.0)}) == {
        "a": [1.5, None],
        "b": True,
        "c": {"value": 1.0, "low": None, "high": None, "level": ONE_SIGMA},
    }
