"""Significances: published numbers, limits, numerical soundness, and the scan's best cut."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from hepml_root import errors
from hepml_root.evaluation.significance import (
    asimov_significance,
    scan_significance,
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
