"""Histograms, Kolmogorov–Smirnov tests, correlations and confusion: known answers with weights."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hepml_root import errors
from hepml_root.evaluation.confusion_matrix import confusion
from hepml_root.evaluation.correlations import correlation
from hepml_root.evaluation.distributions import binning, histogram
from hepml_root.evaluation.overtraining import compare_scores, ks_test


def test_histogram_agrees_with_numpy():
    generator = np.random.default_rng(1)
    x, w = generator.normal(size=5000), generator.normal(1, 1, 5000)
    edges = np.linspace(-2, 2, 21)
    result = histogram("x", x, edges, w)
    np.testing.assert_allclose(result.values, np.histogram(x, edges, weights=w)[0])
    np.testing.assert_allclose(result.variances, np.histogram(x, edges, weights=w**2)[0])
    assert result.underflow == pytest.approx(w[x < -2].sum())
    assert result.overflow == pytest.approx(w[x > 2].sum())
    shape = result.normalised()
    assert shape.values.sum() + shape.underflow + shape.overflow == pytest.approx(1.0)


def test_the_last_bin_includes_its_upper_edge():
    assert histogram("x", [1.0], [0.0, 0.5, 1.0]).values.tolist() == [0.0, 1.0]


def test_histogram_refuses_nan():
    with pytest.raises(errors.NonFiniteInputError, match="2 NaN"):
        histogram("x", [np.nan, 1.0, np.nan], [0.0, 2.0])


def test_binning_keeps_borders_and_cuts_tails():
    generator = np.random.default_rng(2)
    heavy = np.abs(generator.standard_cauchy(10_000))
    edges = binning(heavy, 30)
    assert len(edges) == 31
    assert edges[0] == heavy.min()
    assert edges[-1] < 0.5 * heavy.max()
    assert binning(np.full(5, 3.0)).tolist() == [2.5, 3.5]
    assert binning([np.nan, np.inf]).tolist()[0] == 0.0


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
def test_ks_without_weights_is_the_usual_test(shift):
    generator = np.random.default_rng(3)
    first, second = generator.normal(size=800), generator.normal(shift, 1, 500)
    ours = ks_test(first, second)
    reference = stats.ks_2samp(first, second, method="exact")
    assert ours.distance == pytest.approx(reference.statistic)
    # The asymptotic p-value, with its small-sample term, against the exact one.
    assert ours.p_value == pytest.approx(reference.pvalue, rel=0.1, abs=1e-12)
    assert ours.effective_events == pytest.approx((800.0, 500.0))


def test_ks_p_values_of_weighted_samples_are_uniform():
    generator = np.random.default_rng(4)
    p_values = []
    for _ in range(300):
        w_1, w_2 = generator.exponential(size=4000), generator.exponential(size=3000)
        p_values.append(ks_test(generator.random(4000), generator.random(3000), w_1, w_2).p_value)
    # The 0.1 % quantile of the KS distance of 300 uniform numbers, 1.95/√300 = 0.113.
    assert stats.kstest(p_values, "uniform").statistic < 0.113


def test_ks_takes_ties_together():
    assert ks_test([1.0, 1.0, 2.0], [1.0, 2.0, 1.0]).distance == pytest.approx(0.0)
    weighted = ks_test([0.0, 1.0], [0.0, 1.0], [3.0, 1.0], [1.0, 1.0])
    assert weighted.distance == pytest.approx(0.25)


def test_ks_refuses_empty_and_weightless_samples():
    with pytest.raises(errors.EmptySelectionError, match="first sample"):
        ks_test([], [1.0])
    with pytest.raises(errors.WeightError, match="second sample"):
        ks_test([1.0], [1.0, 2.0], None, [1.0, -1.0])
    with pytest.raises(errors.NonFiniteInputError):
        ks_test([np.nan], [1.0])


def test_train_and_test_scores_share_their_edges():
    generator = np.random.default_rng(5)
    labels = np.arange(1000) % 2
    test, train = generator.normal(size=1000), generator.normal(labels, 1)
    result = compare_scores(test, labels, train=(train, labels, None), bins=25)
    np.testing.assert_array_equal(result.test["signal"].edges, result.train["background"].edges)
    assert result.test["signal"].values.sum() == 500
    assert result.ks["signal"].p_value < 1e-6 < 0.001 < result.ks["background"].p_value
    alone = compare_scores(generator.random(1000), labels)
    assert alone.ks == {}
    assert alone.test["signal"].edges[[0, -1]].tolist() == [0.0, 1.0]


def test_a_label_without_a_name_is_refused():
    with pytest.raises(errors.ShapeError, match="label 2"):
        compare_scores([0.1, 0.2, 0.3], [0, 1, 2])


def test_correlation_without_weights_is_numpys():
    generator = np.random.default_rng(6)
    x = generator.normal(size=(500, 4)) @ generator.normal(size=(4, 4)) + 1e6
    np.testing.assert_allclose(correlation(x).matrix, np.corrcoef(x, rowvar=False), atol=1e-9)


def test_correlation_weights_are_as_repeated_events():
    generator = np.random.default_rng(7)
    x = generator.normal(size=(200, 3)) @ generator.normal(size=(3, 3))
    repeats = generator.integers(1, 5, 200)
    expected = np.corrcoef(np.repeat(x, repeats, axis=0), rowvar=False)
    np.testing.assert_allclose(correlation(x, repeats).matrix, expected, atol=1e-12)


def test_correlation_of_missing_and_constant_values():
    x = np.array([[1.0, 2.0, 5.0], [2.0, 4.0, 5.0], [3.0, np.nan, 5.0], [4.0, 8.0, 5.0]])
    matrix = correlation(x, columns=["a", "b", "c"]).matrix
    assert matrix[0, 1] == pytest.approx(1.0)
    assert np.isnan(matrix[2]).all()
    with pytest.raises(errors.ShapeError, match="2 names"):
        correlation(x, columns=["a", "b"])
    with pytest.raises(errors.WeightError):
        correlation(x, -np.ones(4))


def test_confusion_with_weights():
    scores = np.eye(3)[[0, 1, 1, 2, 2, 0]]
    result = confusion(scores, [0, 0, 1, 2, 2, 2], [1.0, 3.0, 2.0, 1.0, 1.0, 2.0], ["a", "b", "c"])
    expected = [[1 / 4, 3 / 4, 0], [0, 1, 0], [1 / 2, 0, 1 / 2]]
    np.testing.assert_allclose(result.fraction, expected)
    assert result.accuracy.value == pytest.approx((1 / 4 + 1 + 1 / 2) / 3)
    assert result.error[1].tolist() == [0, 0, 0]


def test_confusion_error_is_binomial():
    generator = np.random.default_rng(8)
    truth = np.repeat([0, 1], 2000)
    hit = generator.random(4000) < 0.8
    scores = np.eye(2)[np.where(hit, truth, 1 - truth)]
    result = confusion(scores, truth, bootstrap=500)
    # √(0.8 · 0.2 / 2000), to 5 standard deviations of 500 replicas' spread (3.2 %).
    assert result.error[0, 0] == pytest.approx(np.sqrt(0.16 / 2000), rel=0.16)


@pytest.mark.parametrize(
    ("scores", "labels", "weights", "error"),
    [
        (np.zeros(4), [0, 1, 0, 1], None, errors.ShapeError),
        (np.zeros((4, 2)), [0, 1, 0], None, errors.ShapeError),
        (np.zeros((4, 2)), [0, 1, 0, 2], None, errors.ShapeError),
        (np.full((4, 2), np.nan), [0, 1, 0, 1], None, errors.NonFiniteInputError),
        (np.zeros((4, 2)), [0, 0, 0, 0], None, errors.EmptySelectionError),
        (np.zeros((4, 2)), [0, 1, 0, 1], [1, -1, 1, -1], errors.WeightError),
    ],
)
def test_confusion_refuses(scores, labels, weights, error):
    with pytest.raises(error):
        confusion(scores, labels, weights)
