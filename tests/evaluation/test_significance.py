"""Significances: published numbers, limits, numerical soundness, and the scan's best cut."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from hepml_root import errors
from hepml_root.evaluation.significance import (
    asimov_gradient,
    asimov_significance,
    log_excess,
    scan_significance,
    simple_gradient,
    simple_significance,
)


def test_the_published_number():
    # The benchmark of arXiv:1806.00322's method: s = 14, b = 5, 30 % systematic.
    assert asimov_significance(14.0, 5.0, 0.3) == pytest.approx(3.615, abs=5e-4)


@pytest.mark.parametrize(("s", "b", "relative"), [(14.0, 5.0, 0.3), (3.0, 100.0, 0.1), (50.0, 10.0, 1.0)])
def test_the_formula_as_it_is_printed(s, b, relative):
    variance = (relative * b) ** 2
    first = (s + b) * math.log((s + b) * (b + variance) / (b * b + (s + b) * variance))
    second = b * b / variance * math.log1p(variance * s / (b * (b + variance)))
    assert asimov_significance(s, b, relative) == pytest.approx(math.sqrt(2 * (first - second)), rel=1e-10)


def test_without_systematic():
    s, b = 10.0, 25.0
    expected = math.sqrt(2 * ((s + b) * math.log(1 + s / b) - s))
    assert asimov_significance(s, b) == pytest.approx(expected, rel=1e-13)
    assert asimov_significance(s, b, 1e-9) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("s", [1e-9, 1e-3, 1.0])
@pytest.mark.parametrize("b", [1e4, 1e8])
@pytest.mark.parametrize("relative", [0.0, 0.01, 0.5, 10.0])
def test_small_signals_are_s_over_the_total_error(s, b, relative):
    # The next term is of relative size s/b, at most 1e-4 here, or s/(b²ρ) and smaller with a systematic.
    expected = s / math.sqrt(b + (relative * b) ** 2)
    assert asimov_significance(s, b, relative) == pytest.approx(expected, rel=2e-4)


def exact_squared(s, b, relative, terms=400):
    """Return Z_A² = 2 Σ_k (−1)^k (1 − κ^{k−1}) s^k / (b^{k−1} k (k−1)) in exact fractions, for s < b."""
    s, b, relative = (Fraction(number) for number in (s, b, relative))
    rho = relative * relative * b
    kappa = rho / (1 + rho)
    x = s / b
    total = Fraction(0)
    for k in range(2, terms):
        term = (-1) ** k * x**k * (1 - kappa ** (k - 1)) / (k * (k - 1))
        total += term
        if abs(term) < Fraction(1, 10**30) * abs(total):
            break
    return float(2 * b * total)


@pytest.mark.parametrize(
    ("s", "b", "relative"), [("1/1000", 10, 0.1), ("1/10", 1, 1000), (1, 4, 50), ("1/7", 1, 0), (3, 1000, 3)]
)
def test_no_digits_are_lost(s, b, relative):
    value = asimov_significance(float(Fraction(s)), float(b), float(relative))
    assert value**2 == pytest.approx(exact_squared(s, b, relative), rel=1e-10)


def test_limits_and_signs():
    value = asimov_significance(
        [1.0, 0.0, 0.0, -1.0, 1.0, -6.0, -1.0], [0.0, 0.0, 5.0, 5.0, -1.0, 5.0, 0.0], 0.1
    )
    assert value[0] == math.inf
    assert value[1] == value[2] == 0.0
    assert -1 < value[3] < 0
    assert np.isnan(value[4:]).all()
    assert simple_significance(0.0, 0.0) == 0.0
    assert math.isnan(simple_significance(1.0, -2.0))
    with pytest.raises(errors.SettingError, match="negative"):
        asimov_significance(1.0, 1.0, -0.1)


def test_it_rises_with_signal_and_falls_with_background_and_systematic():
    grid = np.geomspace(1e-6, 1e6, 300)
    assert (np.diff(asimov_significance(grid, 10.0, 0.2)) > 0).all()
    assert (np.diff(asimov_significance(10.0, grid, 0.2)) < 0).all()
    assert (np.diff(asimov_significance(10.0, 10.0, grid)) < 0).all()


@pytest.mark.parametrize("t", [-1.0, -0.9, -0.031, -0.029, -1e-3, 1e-12, 0.029, 0.031, 2.0, 1e6])
def test_the_excess_keeps_its_digits(t):
    # (1 + t) ln(1 + t) − t with 60 digits, by the standard library.
    from decimal import Decimal, localcontext

    with localcontext() as context:
        context.prec = 60
        exact = Decimal(t)
        value = 1 + exact
        expected = float((value * value.ln() if value else Decimal(0)) - exact)
    assert log_excess(t) == pytest.approx(expected, rel=3e-14)


@pytest.mark.parametrize(
    ("s", "b", "relative"),
    [(14.0, 5.0, 0.3), (1e-3, 100.0, 0.0), (30.0, 1e4, 0.5), (-2.0, 8.0, 0.2), (500.0, 0.1, 1.0)],
)
def test_gradients_are_finite_differences(s, b, relative):
    def central(function, at):
        # The cube root of the rounding error balances it with the third derivative.
        step = 6e-6 * at
        return (function(at + step) - function(at - step)) / (2 * step)

    by_s, by_b = asimov_gradient(s, b, relative)
    # 1e-8 of a difference of rounded values, and of b-slopes that are s/b smaller than the value's scale.
    scale = abs(float(asimov_significance(s, b, relative))) / b
    assert by_s == pytest.approx(central(lambda x: asimov_significance(x, b, relative), s), rel=1e-7)
    assert by_b == pytest.approx(
        central(lambda x: asimov_significance(s, x, relative), b), rel=1e-6, abs=1e-8 * scale
    )
    by_s, by_b = simple_gradient(s, b)
    assert by_s == pytest.approx(central(lambda x: simple_significance(x, b), s), rel=1e-7)
    assert by_b == pytest.approx(central(lambda x: simple_significance(s, x), b), rel=1e-7)


def test_gradients_at_their_limits():
    by_s, by_b = asimov_gradient([0.0, 1e-12, 1.0, 1.0], [25.0, 25.0, 0.0, -1.0], 0.4)
    # Without signal 1/√(b + σ²) and 0, with σ = 10.
    assert by_s[:2] == pytest.approx(1 / math.sqrt(125), rel=1e-9)
    assert by_b[0] == 0.0
    assert np.isnan(by_s[2:]).all()
    assert np.isnan(by_b[2:]).all()


def flat_and_linear(events, seed=2):
    """Return scores of background, density 1, and of signal, density 2t, on [0, 1]."""
    generator = np.random.default_rng(seed)
    labels = np.arange(events) % 2
    return np.where(labels == 1, np.sqrt(generator.random(events)), generator.random(events)), labels


def test_the_best_cut_is_found():
    """s(t) = S(1 − t²) and b(t) = B(1 − t): the optimum of s/√(s+b) is known."""
    scores, labels = flat_and_linear(200_000)
    total_s, total_b = 100.0, 2000.0
    scan = scan_significance(
        scores, labels, signal_events=total_s, background_events=total_b, systematic=0.0, bootstrap=50
    )
    grid = np.linspace(0, 0.999, 5000)
    s, b = total_s * (1 - grid**2), total_b * (1 - grid)
    truth = s / np.sqrt(s + b)
    best = scan.best_simple
    assert best is not None
    # 100 000 events a class: yields near the optimum to better than 1 %.
    assert best.significance.value == pytest.approx(truth.max(), rel=0.01)
    # The curve is flat at its top: only the value of the truth at the found cut is sharp.
    assert np.interp(best.threshold.value, grid, truth) == pytest.approx(truth.max(), rel=0.005)
    at = np.searchsorted(grid, best.threshold.value)
    assert best.signal.value == pytest.approx(s[at], rel=0.01)
    assert best.background.value == pytest.approx(b[at], rel=0.02)
    assert best.significance.low < best.significance.value < best.significance.high


def test_yields_are_sums_of_weights_above_the_cut():
    scores, labels = flat_and_linear(500)
    weights = np.random.default_rng(3).uniform(0.5, 2, 500)
    scan = scan_significance(scores, labels, weights, bootstrap=0, cuts=20)
    for threshold, s, b in zip(scan.threshold, scan.signal, scan.background, strict=True):
        assert s == pytest.approx(weights[(scores >= threshold) & (labels == 1)].sum())
        assert b == pytest.approx(weights[(scores >= threshold) & (labels == 0)].sum())
    assert np.isnan(scan.asimov_low).all()


def test_totals_that_are_given_do_not_fluctuate():
    """The loosest cut keeps all of both; beyond it only the efficiencies have errors."""
    generator = np.random.default_rng(4)
    labels = np.arange(2000) % 2 == 1
    scores = generator.normal(labels, 1.0)
    weights = generator.exponential(1.0, 2000)
    scan = scan_significance(scores, labels, weights, signal_events=100, background_events=1000, bootstrap=50)
    assert scan.asimov_low[0] == pytest.approx(scan.asimov[0], rel=1e-12)
    assert scan.asimov_high[0] == pytest.approx(scan.asimov[0], rel=1e-12)
    at = int(np.searchsorted(scan.threshold, 1.0))
    assert scan.asimov_low[at] < scan.asimov[at] < scan.asimov_high[at]
    sums = scan_significance(scores, labels, weights, bootstrap=50)
    assert sums.asimov_high[0] - sums.asimov_low[0] > 0.01 * sums.asimov[0]


@pytest.mark.parametrize("totals", [{}, {"signal_events": 60.0, "background_events": 3000.0}])
def test_analytic_errors_agree_with_the_bootstrap(totals):
    """Where hundreds of events pass, Z is linear within its error, and the two are the same quantity.

    400 replicas give a half-width of 68.3 % to about 5 %: 0.2 is four of these.
    """
    generator = np.random.default_rng(11)
    labels = np.arange(12_000) % 2 == 1
    scores = generator.normal(labels, 1.0)
    weights = generator.exponential(np.where(labels, 0.01, 0.5)) * np.where(
        generator.random(12_000) < 0.1, -1, 1
    )
    scan = scan_significance(scores, labels, weights, bootstrap=400, cuts=40, systematic=0.2, **totals)
    good = (
        (scan.effective_background > 300) & (scan.signal_efficiency > 0.05) & (scan.signal_efficiency < 0.95)
    )
    assert good.sum() > 10
    for name in ("simple", "asimov"):
        low, high = getattr(scan, f"{name}_low")[good], getattr(scan, f"{name}_high")[good]
        np.testing.assert_allclose(getattr(scan, f"{name}_error")[good], 0.5 * (high - low), rtol=0.2)


def test_analytic_errors_cover_the_truth():
    """Of many samples, the pulls of s, b and Z_A at a fixed cut have the width 1."""
    pulls = []
    # s(t) = S(1 − t²) and b(t) = B(1 − t) at t = 0.7 for signal density 2t and flat background.
    s, b = 100 * (1 - 0.49), 2000 * 0.3
    truth = float(asimov_significance(s, b, 0.1))
    for toy in range(300):
        scores, labels = flat_and_linear(2000, seed=toy)
        scan = scan_significance(
            scores, labels, signal_events=100, background_events=2000, bootstrap=0, cuts=40
        )
        at = int(np.searchsorted(scan.threshold, 0.7))
        t = scan.threshold[at]
        pulls.append(
            [
                (scan.signal[at] - 100 * (1 - t**2)) / scan.signal_error[at],
                (scan.background[at] - 2000 * (1 - t)) / scan.background_error[at],
                (scan.asimov[at] - asimov_significance(100 * (1 - t**2), 2000 * (1 - t), 0.1))
                / scan.asimov_error[at],
            ]
        )
    assert truth > 0
    # A width from 300 toys is known to 1/√600 = 4 %, its mean to 6 %: four of each. Thresholds at quantiles
    # of the signal fluctuate with it, which takes a little from the first.
    assert np.std(pulls, axis=0) == pytest.approx([1, 1, 1], abs=0.16)
    assert np.mean(pulls, axis=0) == pytest.approx([0, 0, 0], abs=0.24)


def test_thresholds_of_float32_scores_are_float32():
    scores, labels = flat_and_linear(3000)
    scan = scan_significance(scores.astype(np.float32), labels, bootstrap=0)
    np.testing.assert_array_equal(scan.threshold, scan.threshold.astype(np.float32))
    for threshold, s in zip(scan.threshold, scan.signal, strict=True):
        assert s == np.count_nonzero((scores.astype(np.float32) >= np.float32(threshold)) & (labels == 1))


def test_cuts_without_background_are_not_trusted():
    labels = np.arange(1000) % 2
    scores = np.where(labels == 1, 0.9, 0.1) + np.random.default_rng(1).uniform(-0.05, 0.05, 1000)
    scan = scan_significance(scores, labels, bootstrap=20)
    assert np.isinf(scan.asimov).any()  # above 0.2 no background is left
    assert scan.best_asimov is not None
    assert scan.best_asimov.effective_background >= 10
    assert math.isfinite(scan.best_asimov.significance.value)
    few = scan_significance(scores[:10], labels[:10], bootstrap=5)
    assert few.best_asimov is None


def test_negative_weights_do_not_make_an_optimum():
    """A region with negative background has no defined significance and must not win."""
    scores = np.concatenate([np.linspace(0, 0.9, 500), np.full(50, 0.95), np.linspace(0.5, 1, 300)])
    labels = np.concatenate([np.zeros(550), np.ones(300)])
    weights = np.concatenate([np.ones(500), np.full(50, -1.0), np.full(300, 0.1)])
    scan = scan_significance(scores, labels, weights, bootstrap=20)
    assert (scan.background < 0).any()
    assert scan.best_asimov is not None
    assert scan.best_asimov.background.value > 0


def test_bad_settings():
    scores, labels = flat_and_linear(100)
    with pytest.raises(errors.SettingError, match="signal events"):
        scan_significance(scores, labels, signal_events=0.0)
    with pytest.raises(errors.SettingError, match="2 cuts"):
        scan_significance(scores, labels, cuts=1)
