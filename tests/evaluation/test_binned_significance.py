"""Significance of bins: closed forms against brute-force fits, the rules of binning, and what bins gain."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize

from hepml_root import errors
from hepml_root.evaluation.best_cut import choose_cut
from hepml_root.evaluation.binned_likelihood import BinnedLikelihood
from hepml_root.evaluation.binned_significance import (
    Binning,
    choose_bins,
    correlated_significance,
    quadrature,
    significance_in_bins,
)
from hepml_root.evaluation.histfactory import write_histfactory
from hepml_root.evaluation.plot_significance import plot_binned_significance
from hepml_root.evaluation.significance import asimov_significance

S, B = np.array([1.0, 6.0, 14.0]), np.array([400.0, 60.0, 5.0])


def toy(events, seed):
    """Return scores of background, density 1, and of signal, density 4t³, on [0, 1], and labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(events) % 2
    scores = np.where(labels == 1, generator.random(events) ** 0.25, generator.random(events))
    return scores.astype(np.float32), labels


def brute_force(strength, counts, s, b, own, common, constraint):
    """Return minus the log likelihood, minimised over all scales by a general minimiser."""
    number = len(s)

    def value(logs):
        scales, scale = np.exp(logs[:number]), math.exp(logs[number])
        if not own:
            scales = np.ones(number)
        if not common:
            scale = 1.0
        nu = strength * s + scale * scales * b
        total = np.sum(
            nu - counts + np.where(counts > 0, counts * np.log(np.maximum(counts, 1e-300) / nu), 0)
        )
        if own:
            total += np.sum((scales - 1 - np.log(scales)) / own**2)
        if common and constraint == "poisson":
            total += (scale - 1 - math.log(scale)) / common**2
        elif common:
            total += 0.5 * (math.log(scale) / math.log(1 + common)) ** 2
        return total

    starts = (np.zeros(number + 1), np.full(number + 1, 0.3))
    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 20_000, "maxfev": 20_000}
    return min(minimize(value, start, method="Nelder-Mead", options=options).fun for start in starts)


@pytest.mark.parametrize("own", [0.0, 0.2])
@pytest.mark.parametrize(("common", "constraint"), [(0.0, "poisson"), (0.3, "poisson"), (0.3, "lognormal")])
def test_the_likelihood_is_that_of_a_general_minimiser(own, common, constraint):
    model = BinnedLikelihood(S, B, own, common, constraint)
    for strength, counts in itertools.product((0.0, 1.7), (S + B, B, [380.0, 90.0, 0.0])):
        expected = brute_force(strength, np.asarray(counts), S, B, own, common, constraint)
        assert model.value(strength, counts) == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_one_bin_is_asimov():
    for s, b, relative in ((14.0, 5.0, 0.3), (1.0, 1e4, 0.05), (3.0, 0.2, 2.0)):
        expected = float(asimov_significance(s, b, relative))
        assert correlated_significance([s], [b], relative) == pytest.approx(expected, rel=1e-9)
        assert quadrature([s], [b], relative) == pytest.approx(expected, rel=1e-12)
        assert BinnedLikelihood([s], [b], 0.0, relative).discovery() == pytest.approx(expected, rel=1e-6)
        assert BinnedLikelihood([s], [b], relative).discovery() == pytest.approx(expected, rel=1e-6)


def test_closed_forms_are_the_likelihood():
    for relative in (0.0, 0.1, 0.5):
        together = BinnedLikelihood(S, B, 0.0, relative).discovery()
        assert correlated_significance(S, B, relative) == pytest.approx(together, rel=1e-7)
        apart = BinnedLikelihood(S, B, relative, 0.0).discovery()
        assert quadrature(S, B, relative) == pytest.approx(apart, rel=1e-7)
    # Without systematic uncertainty there is no difference.
    assert quadrature(S, B) == pytest.approx(correlated_significance(S, B), rel=1e-12)


def test_limits_of_a_common_scale():
    # One shape: bins tell nothing that the sum does not.
    assert correlated_significance([3.0, 6.0], [50.0, 100.0], 0.2) == pytest.approx(
        float(asimov_significance(9.0, 150.0, 0.2)), rel=1e-9
    )
    # A bin without signal and with endless background measures the scale: no uncertainty is left.
    assert correlated_significance([10.0, 0.0], [25.0, 1e12], 0.5) == pytest.approx(
        float(asimov_significance(10.0, 25.0)), rel=1e-6
    )
    # Small signals: (s, V⁻¹ s) with V = diag(b) + (σ b)(σ b)ᵀ.
    s, b, relative = np.array([0.01, 0.02, 0.03]), np.array([100.0, 50.0, 20.0]), 0.3
    covariance = np.diag(b) + np.outer(relative * b, relative * b)
    expected = math.sqrt(s @ np.linalg.solve(covariance, s))
    assert correlated_significance(s, b, relative) == pytest.approx(expected, rel=1e-3)


def test_empty_and_negative_bins_count_nothing():
    for function in (quadrature, correlated_significance):
        expected = function(S, B, 0.2)
        assert function([*S, 5.0], [*B, 0.0], 0.2) == pytest.approx(float(expected))
        assert function([*S, 5.0], [*B, -3.0], 0.2) == pytest.approx(float(expected))
    assert quadrature([*S, -5.0], [*B, 10.0], 0.2) == pytest.approx(float(quadrature(S, B, 0.2)))
    many = quadrature(np.stack([S, S]), np.stack([B, 2 * B]), 0.1)
    assert many.shape == (2,)
    assert many[0] > many[1]


def test_the_best_partition_is_found():
    """All divisions of the cells into at most three bins, tried one by one."""
    scores, labels = toy(4000, 1)
    yields = {"signal_events": 50.0, "background_events": 1000.0}
    binning = choose_bins(
        (scores, labels), bins=3, tolerance=0.0, systematic=0.1, minimum_background=40, **yields
    )

    def worth(inner):
        bins = np.searchsorted(inner, scores, side="right")
        s = np.bincount(bins, labels == 1, minlength=len(inner) + 1) * 50 / 2000
        counts = np.bincount(bins, labels == 0, minlength=len(inner) + 1)
        if counts.min() < 40:
            return -math.inf
        return float(quadrature(s, counts * 1000 / 2000, 0.1))

    parts = np.arange(1, 60) / 60
    cells = np.concatenate([np.quantile(scores[labels == kind].astype(float), parts) for kind in (1, 0)])
    cells = np.unique(cells.astype(np.float32))[::3]  # a third of the divisions: 40 cells, 780 pairs
    best = max(worth(np.array(pair)) for pair in itertools.combinations(cells, 2))
    found = worth(binning.edges[1:-1].astype(np.float32))
    assert len(binning) == 3
    assert best <= found * (1 + 1e-9)
    assert found < best * 1.05  # and it is no more than a finer choice of the same


@pytest.mark.parametrize("rule", ["significance", "information"])
def test_every_bin_keeps_enough_background(rule):
    scores, labels = toy(6000, 2)
    generator = np.random.default_rng(3)
    weights = generator.exponential(1.0, len(scores)) * np.where(generator.random(len(scores)) < 0.1, -1, 1)
    binning = choose_bins((scores, labels, weights), rule=rule, bins=8, minimum_background=25)
    assert 2 <= len(binning) <= 8
    np.testing.assert_array_equal(binning.edges, binning.edges.astype(np.float32))
    assert (np.diff(binning.edges) > 0).all()
    background = labels == 0
    bins, w = binning.bins_of(scores[background]), weights[background]
    sums = np.bincount(bins, w, minlength=len(binning))
    squares = np.bincount(bins, w**2, minlength=len(binning))
    assert (sums**2 / squares >= 25 * (1 - 1e-9)).all()
    assert (sums > 0).all()


def test_equal_information():
    scores, labels = toy(200_000, 4)
    binning = choose_bins(
        (scores, labels), rule="information", bins=4, signal_events=100, background_events=1000
    )
    assert len(binning) == 4
    # The density of information is (400 t³)²/(400 t³ + 1000) on [0, 1].
    t = np.linspace(0, 1, 20_001)
    running = np.cumsum((400 * t**3) ** 2 / (400 * t**3 + 1000))
    at = np.interp(binning.edges[1:-1], t, running / running[-1])
    # Edges lie on cells, of which the last quarter of the information has few.
    assert at == pytest.approx([0.25, 0.5, 0.75], abs=0.06)


def test_bins_gain_over_a_cut_and_follow_the_truth():
    scores, labels = toy(100_000, 5)
    first, second = (slice(None, 50_000), slice(50_000, None))
    yields = {"signal_events": 50.0, "background_events": 2000.0, "systematic": 0.1}
    binning = choose_bins((scores[first], labels[first]), **yields)
    found = significance_in_bins((scores[second], labels[second]), binning, bootstrap=100, **yields)
    cut = choose_cut((scores[first], labels[first]), (scores[second], labels[second]), bootstrap=0, **yields)
    assert found.quadrature.value > cut.applied.asimov.value
    assert found.correlated.value > cut.applied.asimov.value
    # The truth of these bins: s = 50 [t⁴], b = 2000 [t] between the edges.
    edges = np.concatenate([[0.0], binning.edges[1:-1], [1.0]])
    s, b = 50 * np.diff(edges**4), 2000 * np.diff(edges)
    for estimate, function in ((found.quadrature, quadrature), (found.correlated, correlated_significance)):
        assert estimate.value == pytest.approx(float(function(s, b, 0.1)), abs=4 * estimate.error)
        assert 0 < estimate.error < 0.1 * estimate.value
    np.testing.assert_allclose(found.signal, s, atol=4 * found.signal_error.max())
    assert (np.abs(found.background - b) < 5 * found.background_error).all()
    assert found.with_statistics < found.correlated.value
    assert found.with_statistics == pytest.approx(found.correlated.value, rel=0.1)
    assert found.to_dict()["chosen_on"] == "validation"
    figure = plot_binned_significance(found, title="toy")
    assert len(figure.axes) == 2


def test_few_bins_where_more_gain_nothing():
    """A score without any separation is one bin."""
    generator = np.random.default_rng(6)
    sample = generator.random(20_000).astype(np.float32), np.arange(20_000) % 2
    binning = choose_bins(sample, signal_events=10, background_events=10_000, systematic=0.0, tolerance=0.1)
    assert len(binning) <= 2


def test_outer_bins_are_open_and_edges_belong_to_the_upper_bin():
    binning = Binning(np.array([0.0, 0.25, 0.9, 1.0]), "information", 10.0)
    edge = np.float32(0.9)
    below = np.nextafter(edge, np.float32(0))
    assert binning.bins_of([-5, 0.25, below, edge, 5]).tolist() == [0, 1, 1, 2, 2]


def test_no_signal_has_no_significance():
    """The likelihood of what is expected is 0 to rounding, also where that leaves it a little below."""
    generator = np.random.default_rng(1)
    for bins in range(1, 40):
        background, own = generator.uniform(0, 100, bins), generator.uniform(0, 0.3, bins)
        model = BinnedLikelihood(np.zeros(bins), background, own, correlated=0.2)
        assert model.discovery() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("rule", ["significance", "information"])
def test_scores_of_few_values(rule, tmp_path):
    """Discrete scores, of which the largest has a bin of its own: an output that is saturated at 1, say."""
    generator = np.random.default_rng(1)
    labels = np.arange(6000) % 2
    signal, background = (
        generator.choice([0, 0.5, 1], 6000, p=p) for p in ([0.1, 0.3, 0.6], [0.7, 0.25, 0.05])
    )
    sample = np.where(labels, signal, background).astype(np.float32), labels
    yields = {"signal_events": 100.0, "background_events": 1000.0}
    binning = choose_bins(sample, rule=rule, tolerance=0.0, **yields)
    assert 1.0 in binning.edges[:-1]
    assert (np.diff(binning.edges) > 0).all()
    found = significance_in_bins(sample, binning, bootstrap=0, **yields)
    assert found.signal[-1] == pytest.approx(60, rel=0.05)
    assert write_histfactory(found.likelihood(), tmp_path / rule, edges=binning.edges).is_dir()


def test_bad_input():
    sample = toy(100, 1)
    with pytest.raises(errors.SettingError, match=r"no rule for bins 'infomation'.*'information'"):
        choose_bins(sample, rule="infomation")
    with pytest.raises(errors.SettingError, match="at least one bin"):
        choose_bins(sample, bins=0)
    with pytest.raises(errors.EmptySelectionError, match="one bin needs 1000"):
        choose_bins(sample, minimum_background=1000)
    binning = choose_bins(sample)
    for wrong in (-5.0, 0.0, math.nan):
        with pytest.raises(errors.SettingError, match="expected signal events must be positive"):
            choose_bins(sample, signal_events=wrong)
        with pytest.raises(errors.SettingError, match="expected background events must be positive"):
            significance_in_bins(sample, binning, background_events=wrong)
    with pytest.raises(errors.SettingError, match="negative"):
        correlated_significance([1.0], [1.0], -0.1)
    with pytest.raises(errors.SettingError, match="'background' must not be negative"):
        BinnedLikelihood([1.0], [-1.0])
    with pytest.raises(errors.ShapeError, match="signal has 1 bins, background 2"):
        BinnedLikelihood([1.0], [1.0, 2.0])
    with pytest.raises(errors.ShapeError, match="one for each of the 2 bins"):
        BinnedLikelihood([1.0, 2.0], [1.0, 2.0], [0.1, 0.1, 0.1])
    with pytest.raises(errors.SettingError, match="no constraint 'gauss'"):
        BinnedLikelihood([1.0], [1.0], constraint="gauss")
