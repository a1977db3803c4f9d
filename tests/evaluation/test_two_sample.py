"""Distances between samples against what is known of them: by hand, closed forms, the same source."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hepml_root.errors import EmptySelectionError, NonFiniteInputError, SettingError, ShapeError, WeightError
from hepml_root.evaluation.classifier_test import classifier_test
from hepml_root.evaluation.correlation_comparison import compare_correlations
from hepml_root.evaluation.distances import SortedPair, separation_power, wasserstein_distance
from hepml_root.evaluation.frechet import (
    frechet_physics_distance,
    gaussian_frechet_distance,
    kernel_physics_distance,
)
from hepml_root.evaluation.memorising import copying_test, coverage_test, nearest_distances
from hepml_root.evaluation.observable_comparison import Observable, compare_observables
from hepml_root.evaluation.response import study_response


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# ---------------------------------------------------------------- separation power and Wasserstein distance


def test_separation_power_by_hand():
    # p = (½, ½, 0), q = (¼, ¼, ½): ½ (1/16 / ¾ + 1/16 / ¾ + ½) = ½ (1/12 + 1/12 + ½) = 1/3
    assert separation_power([2, 2, 0], [1, 1, 2]) == pytest.approx(1 / 3)
    assert separation_power([1, 2, 3], [10, 20, 30]) == 0
    assert separation_power([1, 0], [0, 5]) == 1


def test_separation_power_refuses():
    with pytest.raises(ShapeError, match="2 and 3 bins"):
        separation_power([1, 2], [1, 2, 3])
    with pytest.raises(WeightError, match="second histogram"):
        separation_power([1, 2], [0, 0])


def test_wasserstein_distance_is_that_of_scipy_and_a_shift_is_itself():
    x, y = normal(1, 700), 1.3 * normal(2, 500) + 0.2
    u, v = np.random.default_rng(3).uniform(size=700), np.random.default_rng(4).uniform(size=500)
    assert wasserstein_distance(x, y, u, v) == pytest.approx(
        stats.wasserstein_distance(x, y, u, v), rel=1e-12
    )
    assert wasserstein_distance(x, x + 0.75) == pytest.approx(0.75, rel=1e-12)


def test_weights_stand_for_events_also_negative_ones():
    x, y = normal(1, 50), normal(2, 40)
    doubled = wasserstein_distance(np.concatenate([x, x[:10]]), y)
    assert wasserstein_distance(x, y, np.where(np.arange(50) < 10, 2.0, 1.0)) == pytest.approx(doubled)
    # An event that is taken away again by a negative weight is not there.
    more = np.concatenate([x, [100.0, 100.0]])
    assert wasserstein_distance(more, y, np.r_[np.ones(50), 1.0, -1.0]) == pytest.approx(
        wasserstein_distance(x, y)
    )


def test_replicas_with_counts_of_one_give_the_distances_themselves():
    for values in (normal(1, 2, 3000), np.random.default_rng(2).poisson(4.0, (2, 3000)).astype(float)):
        ones = np.ones(3000)
        pair = SortedPair(values[0], ones, values[1], ones, np.linspace(-2, 8, 30))
        exact, replica = pair.distances(None, None), pair.distances(ones[None], ones[None])
        assert replica[0] == pytest.approx(exact[0], rel=0.05)  # a thousand nodes of 6000 values
        assert replica[1] == pytest.approx(exact[1], rel=1e-12)


def test_the_same_source_is_at_the_floor_and_a_shift_of_three_errors_above():
    first = [Observable("x", normal(1, 4000)), Observable("table", np.abs(normal(2, 4000, 5)))]
    same = [Observable("x", normal(3, 4000)), Observable("table", np.abs(normal(4, 4000, 5)))]
    found = compare_observables(first, same)
    # The mean of ∫|F − G| of two samples of n normal numbers is √(2/n) √(2/π) ∫√(Φ(1 − Φ)) dx, and the
    # integral is 1.616: 1.289 times √(2/4000).
    assert found[0].wasserstein.floor == pytest.approx(0.0288, rel=0.15)
    # (bins − 1)/4 · (1/n + 1/m), here of 40 bins and two outside, about 40 in effect.
    assert found[0].separation.floor == pytest.approx(40 / 4 * 2 / 4000, rel=0.2)
    assert found[0].wasserstein.estimate.value < 2.5 * found[0].wasserstein.floor
    assert found[1].wasserstein.estimate.value < 2.5 * found[1].wasserstein.floor
    moved = compare_observables(first[:1], [Observable("x", normal(3, 4000) + 0.2)])[0]
    assert not moved.wasserstein.at_the_floor
    assert abs(moved.wasserstein.estimate.value - 0.2) < 4 * moved.wasserstein.estimate.error
    assert moved.relative.estimate.value == pytest.approx(moved.wasserstein.estimate.value / moved.spread)


def test_the_error_of_a_distance_is_its_spread_over_samples():
    values = []
    for seed in range(30):
        one, two = Observable("x", normal(seed, 400)), Observable("x", normal(1000 + seed, 400) + 0.5)
        found = compare_observables([one], [two], seed=seed)[0].wasserstein.estimate
        values.append((found.value, found.error))
    # The error of a difference of two means of 400 is √(2/400) = 0.0707; 30 samples give it to 13 %.
    table = np.array(values)
    assert table[:, 1].mean() == pytest.approx(math.sqrt(2 / 400), rel=0.25)
    assert table[:, 0].std(ddof=1) == pytest.approx(table[:, 1].mean(), rel=0.45)


def test_a_further_sample_of_the_source_is_the_floor():
    first, second, again = (Observable("x", normal(seed, 2000)) for seed in (1, 2, 3))
    found = compare_observables([first], [second], again=[again])[0]
    assert found.wasserstein.floor == pytest.approx(wasserstein_distance(first.values, again.values))


def test_missing_values_are_counted_and_left_out():
    x = normal(1, 100)
    holes = np.where(np.arange(100) < 25, np.nan, x)
    found = compare_observables([Observable("x", holes)], [Observable("x", x[25:])], bootstrap=0)[0]
    assert found.missing == (0.25, 0.0)
    assert found.wasserstein.estimate.value == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(EmptySelectionError, match="'x'"):
        compare_observables([Observable("x", np.full(3, np.nan))], [Observable("x", x)])


def test_bad_quantities_are_refused():
    x, y = Observable("x", normal(1, 9)), Observable("y", normal(2, 9))
    with pytest.raises(ShapeError, match="same quantities"):
        compare_observables([x], [y])
    with pytest.raises(ShapeError, match="bins"):
        compare_observables([Observable("x", normal(1, 9, 3))], [Observable("x", normal(1, 9, 4))])
    with pytest.raises(NonFiniteInputError, match="'x'"):
        compare_observables([Observable("x", np.full(9, np.inf))], [x])
    with pytest.raises(WeightError, match="second sample"):
        compare_observables([x], [x], second_weights=np.zeros(9))


# ------------------------------------------------------------------------ correlations, Fréchet, kernel


def test_correlations_differ_by_what_was_put_in():
    x, y = normal(1, 5000, 3), normal(2, 5000, 3)
    y[:, 2] = 0.6 * y[:, 0] + 0.8 * y[:, 2]  # a correlation of 0.6, all variances still 1
    found = compare_correlations(x, y, ["a", "b", "c"])
    assert found.largest[:2] == ("a", "c")
    assert found.largest[2] == pytest.approx(0.6, abs=0.06)  # 3 errors of √2 / √5000
    assert found.distance.estimate.value == pytest.approx(0.6 / math.sqrt(3), abs=0.05)
    # Each coefficient has the variance 1/n: the root mean square difference of the same source is √(2/n).
    assert found.distance.floor == pytest.approx(math.sqrt(2 / 5000), rel=0.25)


def test_a_generator_whose_quantity_is_constant_has_no_correlation():
    x = normal(1, 2000, 2)
    x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
    found = compare_correlations(x, np.column_stack([normal(2, 2000), np.ones(2000)]), ["a", "b"])
    assert found.distance.estimate.value == pytest.approx(0.6, abs=0.06)
    assert not found.distance.at_the_floor
    assert found.largest[2] == pytest.approx(-0.6, abs=0.06)
    both = compare_correlations(np.ones((100, 2)), np.ones((100, 2)), ["a", "b"])
    assert both.distance.estimate.value == 0


def test_frechet_distance_of_gaussians_in_closed_form():
    # Commuting covariances: Σ (σ − τ)², plus the squared distance of the means.
    distance = gaussian_frechet_distance([0, 0], np.diag([1.0, 4.0]), [1, 2], np.diag([9.0, 0.0]))
    assert distance == pytest.approx(1 + 4 + (1 - 3) ** 2 + (2 - 0) ** 2)
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = rotation @ np.diag([1.0, 4.0]) @ rotation.T
    assert gaussian_frechet_distance([0, 0], turned, [0, 0], turned) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ShapeError, match="fit together"):
        gaussian_frechet_distance([0, 0], np.eye(3), [0, 0], np.eye(2))


def test_frechet_extrapolation_takes_the_bias_away():
    pulls, plain = [], []
    for seed in range(12):
        one, two = normal(seed, 1000, 4), normal(seed + 100, 1000, 4) * [1, 1, 1, 1.5]
        found = frechet_physics_distance(one, two, normalise="none")
        pulls.append((found.estimate.value - 0.25) / found.estimate.error)  # (1.5 − 1)²
        plain.append(found.values[np.argmin(found.inverse_size)] - 0.25)
    assert abs(np.mean(pulls)) < 1.0  # 12 of them: 3.5 standard deviations
    assert np.mean(plain) > 0
    assert max(abs(pull) for pull in np.array(pulls)) < 4


def test_kernel_distance_is_unbiased_and_exact_for_small_samples():
    pulls = []
    for seed in range(12):
        found = kernel_physics_distance(normal(seed, 1000, 3), normal(seed + 50, 1000, 3))
        pulls.append(found.value / found.error)
    assert (
        abs(np.mean(pulls)) < 1.2
    )  # Student's t of 9 degrees of freedom: 3.7 standard deviations of the mean
    # By hand, k(x, y) = (xy + 1)⁴ in one dimension, all events in two batches of four.
    x, y = np.arange(8.0), np.arange(8.0) + 1
    order = np.random.default_rng(1)
    a, b = x[order.permutation(8)], y[order.permutation(8)]
    values = []
    for part in (slice(0, 4), slice(4, 8)):
        k = lambda s, t: (np.outer(s, t) + 1) ** 4  # noqa: E731
        off = lambda m: (m.sum() - np.trace(m)) / 12  # noqa: E731
        values.append(off(k(a[part], a[part])) + off(k(b[part], b[part])) - 2 * k(a[part], b[part]).mean())
    found = kernel_physics_distance(x, y, normalise="none", batches=2)
    assert found.value == pytest.approx(np.mean(values), rel=1e-10)


def test_distances_of_features_refuse_bad_input():
    with pytest.raises(SettingError, match="normalisation"):
        frechet_physics_distance(normal(1, 100, 2), normal(1, 100, 2), normalise="largest")
    with pytest.raises(EmptySelectionError, match="too few"):
        kernel_physics_distance(normal(1, 20, 2), normal(1, 20, 2))
    with pytest.raises(ShapeError, match="same features"):
        frechet_physics_distance(normal(1, 100, 2), normal(1, 100, 3))
    with pytest.raises(NonFiniteInputError):
        kernel_physics_distance(np.full((100, 2), np.nan), normal(1, 100, 2))


# -------------------------------------------------------------------------------- classifiers and neighbours


@pytest.mark.parametrize("kind", ["network", "boosted"])
def test_classifier_reaches_the_optimum_and_finds_nothing_where_there_is_nothing(kind):
    pytest.importorskip("lightgbm") if kind == "boosted" else None
    settings = {"kind": kind, "hidden": (16,), "epochs": 8, "batch_size": 100, "trees": 40, "threads": 1}
    one, two = normal(1, 2500, 2), normal(2, 2500, 2)
    shift = np.array([1.0, 0.0])
    moved = classifier_test(one, two + shift, **settings).auc
    truth = stats.norm.cdf(1 / math.sqrt(2))  # no classifier of two unit Gaussians is better on average
    assert truth - 0.03 - 3 * moved.error < moved.value < truth + 3 * moved.error
    same = classifier_test(one, two, **settings)
    assert abs(same.auc.value - 0.5) < 3.5 * same.auc.error
    assert same.training == 3000
    assert same.test == 1000


def test_classifier_honours_weights():
    # The weights exp(x − ½) turn N(0, 1) into N(1, 1): nothing is left to be found.
    one, two = normal(1, 4000, 1), normal(2, 4000, 1) + 1.0
    weights = np.exp(one[:, 0] - 0.5)
    found = classifier_test(one, two, first_weights=weights, hidden=(8,), epochs=8)
    assert abs(found.auc.value - 0.5) < 0.06  # 800 test events with weights: an error of about 0.02
    with pytest.raises(SettingError, match="Nearest: 'boosted'"):
        classifier_test(one, two, kind="boost")
    with pytest.raises(EmptySelectionError, match="at least 50"):
        classifier_test(one[:20], two)


def test_a_generator_that_returns_training_events_is_caught():
    train, test, new = (normal(seed, 1500, 4) for seed in (1, 2, 3))
    fair = copying_test(train, test, new)
    assert not fair.memorised
    assert abs(fair.nearer.value - 0.5) < 3.5 * fair.nearer.error
    copied = copying_test(train, test, train[:1000])
    assert copied.memorised
    assert copied.copies == 1
    assert copied.nearer.value == 1
    # One in ten, with a little noise: the mean distance says little, the very near ones say it.
    mixed = new.copy()
    mixed[:150] = train[:150] + 0.01 * normal(4, 150, 4)
    found = copying_test(train, test, mixed)
    assert found.copies == 0
    assert found.memorised
    assert found.close.value == pytest.approx(0.11, abs=0.03)


def test_a_generator_without_some_of_the_events_is_caught():
    modes = np.random.default_rng(5).choice([-3.0, 3.0], (2, 1500))
    source, same = normal(1, 1500, 2) + modes[0][:, None], normal(2, 1500, 2) + modes[1][:, None]
    fair = coverage_test(source, same)
    assert not fair.collapsed
    # 1 − Π (N − i)/(N + M − i) for N = M and five neighbours: 1 − 2⁻⁵ up to 1/N.
    assert fair.expected_coverage == pytest.approx(1 - 1 / 32, abs=1e-3)
    assert abs(fair.coverage.value - fair.expected_coverage) < 4 * fair.coverage.error
    assert abs(fair.density.value - 1) < 4 * fair.density.error
    one_mode = coverage_test(source, normal(2, 1500, 2) + 3.0)
    assert one_mode.collapsed
    assert one_mode.coverage.value == pytest.approx(0.5, abs=0.06)
    repeated = coverage_test(source, np.repeat(same[:150], 10, axis=0))
    assert repeated.collapsed
    assert repeated.self_nearer.value > 0.95
    outside = coverage_test(source, normal(3, 1500, 2) * 0.5)
    assert outside.density.value < 0.5


def test_a_sample_in_the_order_of_its_energies_is_as_complete_as_a_shuffled_one():
    # Of the larger sample as many events count as of the smaller one: if these were the first, the dense
    # ones at low energy alone would be compared with all.
    width = np.repeat([0.1, 1.0, 10.0, 100.0], 600)[:, None]
    source, same = width * normal(1, 2400, 2), width[::4] * normal(2, 600, 2)
    for first, second in ((source, same), (same, source)):
        found = coverage_test(first, second)
        assert not found.collapsed
        assert abs(found.self_nearer.value - 0.5) < 4 * found.self_nearer.error


def test_events_that_the_source_repeats_are_no_copies():
    def some(seed: int, events: int) -> np.ndarray:
        """One in fifty is empty, as showers of low energy are."""
        return np.where(np.random.default_rng(seed).random((events, 1)) < 0.02, 0.0, normal(seed, events, 5))

    train, test, new = some(1, 3000), some(2, 1000), some(3, 1000)
    fair = copying_test(train, test, new)
    assert fair.copies == pytest.approx(0.02, abs=0.015)  # 3.5 standard deviations of 20
    assert fair.expected_copies == pytest.approx(0.02, abs=0.015)
    assert not fair.memorised
    new[100:200] = train[100:200]
    found = copying_test(train, test, new)
    assert found.copies > 0.1
    assert found.memorised


def test_near_copies_are_found_beside_repeated_events():
    """One event in twenty is empty: the nearest 1 % of test events are at distance 0; nothing is nearer."""

    def some(seed: int, events: int) -> np.ndarray:
        return np.where(np.random.default_rng(seed).random((events, 1)) < 0.05, 0.0, normal(seed, events, 5))

    train, test, new = some(1, 3000), some(2, 1000), some(3, 1000)
    fair = copying_test(train, test, new)
    assert fair.close.value == pytest.approx(0.01, abs=3.0 * fair.close.error)
    # Not the same as training events, but nearer than new ones are.
    new[100:200] = train[100:200] + 0.02
    found = copying_test(train, test, new)
    assert found.copies == pytest.approx(0.05, abs=0.03)
    assert found.close.value > 0.08
    assert found.memorised
    empty = copying_test(np.zeros((20, 2)), np.zeros((20, 2)), np.zeros((20, 2)))
    assert (empty.copies, empty.memorised) == (1.0, False)


def test_nearest_distances_are_exact_and_copies_are_at_zero():
    x, y = (
        normal(1, 40, 7) + 1e3,
        normal(2, 60, 7) + 1e3,
    )  # far from the origin, where x² + y² − 2xy loses digits
    table = np.sort(np.linalg.norm(x[:, None] - y[None], axis=2), axis=1)
    np.testing.assert_allclose(nearest_distances(x, y, 3), table[:, :3], rtol=1e-6)
    assert nearest_distances(y, y).max() == 0
    assert nearest_distances(y, y, same=True).min() > 0
    with pytest.raises(EmptySelectionError, match="neighbours"):
        nearest_distances(x, y[:2], 3)


# ------------------------------------------------------------------------------------ response and resolution


def test_response_and_resolution_are_those_that_were_put_in():
    generator = np.random.default_rng(1)
    energy = np.exp(generator.uniform(np.log(10), np.log(100), 40_000))
    width = np.hypot(0.5 / np.sqrt(energy), 0.02)
    source = energy * (0.9 + 0.9 * width * generator.normal(size=len(energy)))
    made = energy * (0.918 + 0.918 * 1.1 * width * generator.normal(size=len(energy)))
    study = study_response((energy, source), (energy, made), held_out=[(40.0, 50.0)])
    pull = (study.response_ratio - 1.02) / study.response_ratio_error
    assert np.abs(pull).max() < 4
    assert np.abs((study.resolution_ratio - 1.1) / study.resolution_ratio_error).max() < 4
    assert [list(pair) for pair in study.edges[study.held_out]] == [[40.0, 50.0]]
    assert study.stochastic[0] == pytest.approx(0.5, rel=0.08)
    (deviation, error), (wider, _) = study.worst(held_out=True)
    assert abs(deviation - 0.02) < 4 * error
    assert wider > 0


def test_borders_of_energies_that_were_held_out_are_borders_of_bins():
    energy = np.random.default_rng(1).uniform(10, 100, 4000)
    for held_out in ([(40.0, 45.0)], [(30.0, 33.0), (50.0, 60.0)]):
        study = study_response((energy, energy), (energy, energy), held_out=held_out)
        found = study.edges[study.held_out]
        for low, high in held_out:
            assert low in found
            assert high in found
        inside = sum(((energy >= low) & (energy < high)).sum() for low, high in held_out)
        assert study.showers[0][study.held_out].sum() == inside
    # 45.1 as float32 is less than 45.1.
    single = np.repeat(np.float32([10.0, 45.1, 80.0]), 100)
    study = study_response((single, single), (single, single), held_out=[(45.1, 45.1)])
    assert study.held_out.tolist() == [False, True, False]


def test_response_of_single_energies_and_bad_input():
    energy = np.repeat([5.0, 50.0], 100)
    study = study_response((energy, energy), (energy, 2 * energy))
    np.testing.assert_allclose(study.edges, [[5, 5], [50, 50]])
    np.testing.assert_allclose(study.response_ratio, 2)
    with pytest.raises(SettingError, match="above 0"):
        study_response((energy - 5, energy), (energy, energy))
    with pytest.raises(EmptySelectionError, match="same energies"):
        study_response((energy, energy), (energy + 1, energy))
    with pytest.raises(SettingError, match="held_out"):
        study_response((energy, energy), (energy, energy), held_out=[(5, 1)])
