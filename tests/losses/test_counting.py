"""The significances against their published formulas in 60 digits, direct profile likelihoods, and limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, getcontext

import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import minimize_scalar

from hepml_root import losses
from hepml_root.losses.counting import curvature

getcontext().prec = 60

# 12 orders of magnitude in s and in b, and s = b, where the exclusion formula changes sides.
ORDERS = 10.0 ** np.arange(-6, 7, 2)
POINTS = [(s, b) for b in ORDERS for s in [*ORDERS, 0.3 * b, b, 3.0 * b]]
SYSTEMATICS = [0.0, 1e-6, 0.01, 0.3, 2.0]


def asimov(s: Decimal, b: Decimal, systematic: Decimal) -> Decimal:
    """The formula as it is printed in arXiv:1806.00322, in 60 digits, where nothing cancels."""
    if systematic == 0:
        return (2 * ((s + b) * (1 + s / b).ln() - s)).sqrt()
    v = (systematic * b) ** 2
    first = (s + b) * ((s + b) * (b + v) / (b * b + (s + b) * v)).ln()
    second = b * b / v * (1 + v * s / (b * (b + v))).ln()
    return (2 * (first - second)).sqrt()


def exclusion(s: Decimal, b: Decimal, systematic: Decimal) -> Decimal:
    """The formula of arXiv:1510.03456, in 60 digits."""
    if systematic == 0:
        return (2 * (s - b * (1 + s / b).ln())).sqrt()
    v = (systematic * b) ** 2
    x = ((s + b) ** 2 - 4 * s * b * v / (b + v)).sqrt()
    first = s - b * ((b + s + x) / (2 * b)).ln() - b * b / v * ((b - s + x) / (2 * b)).ln()
    return (2 * first - (b + s - x) * (1 + b / v)).sqrt()


def simple(s: Decimal, b: Decimal, systematic: Decimal) -> Decimal:
    return s / (s + b + (systematic * b) ** 2).sqrt()


CASES = [
    (losses.asimov_significance, asimov),
    (losses.exclusion_significance, exclusion),
    (losses.systematic_significance, simple),
]


def digits(*values: float) -> list[Decimal]:
    return [Decimal(float(value)) for value in values]


def derivatives(function: Callable, s: np.ndarray, b: np.ndarray) -> list[np.ndarray]:
    variables = [tf.Variable(s), tf.Variable(b)]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(function(*variables))
    return [np.asarray(gradient) for gradient in tape.gradient(total, variables)]


@pytest.mark.parametrize("systematic", SYSTEMATICS)
@pytest.mark.parametrize(("function", "exact"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_float32_over_twelve_orders_of_magnitude(function, exact, systematic):
    # A dozen roundings of 6e-8 each; a formula with a cancellation fails by orders of magnitude.
    s, b = (np.array(values, dtype=np.float32) for values in zip(*POINTS, strict=True))
    wanted = [float(exact(*digits(*point, systematic))) for point in zip(s, b, strict=True)]
    np.testing.assert_allclose(function(s, b, systematic), wanted, rtol=6e-7)
    high = function(s.astype(np.float64), b.astype(np.float64), systematic)
    np.testing.assert_allclose(high, wanted, rtol=3e-15)


@pytest.mark.parametrize("systematic", SYSTEMATICS)
@pytest.mark.parametrize(("function", "exact"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_derivatives_over_twelve_orders_of_magnitude(function, exact, systematic):
    points = [point for point in POINTS if point[0] >= 1e-4][::3]
    s, b = (np.array(values, dtype=np.float32) for values in zip(*points, strict=True))
    by_s, by_b = derivatives(lambda s, b: function(s, b, systematic), s, b)
    # Of 60 digits the differences leave 40.
    up, down = 1 + Decimal("1e-20"), 1 - Decimal("1e-20")
    for number, point in enumerate(zip(s, b, strict=True)):
        one, two, relative = digits(*point, systematic)
        size = float(exact(one, two, relative))
        wanted_s = (exact(one * up, two, relative) - exact(one * down, two, relative)) / (one * (up - down))
        wanted_b = (exact(one, two * up, relative) - exact(one, two * down, relative)) / (two * (up - down))
        # Terms of the size of Z/s and Z/b may nearly cancel.
        assert by_s[number] == pytest.approx(float(wanted_s), rel=3e-6, abs=2e-6 * size / float(one))
        assert by_b[number] == pytest.approx(float(wanted_b), rel=3e-6, abs=2e-6 * size / float(two))


def test_published_numbers():
    # The example of the code of arXiv:1806.00322.
    assert float(losses.asimov_significance(np.float64(14), np.float64(5), 0.3)) == pytest.approx(
        3.6149635359712184, rel=1e-13
    )
    # On/off of Li and Ma: n = 30 with m = 40 off, twice the exposure:
    # 2 [30 ln(3 · 30/70) + 40 ln(1.5 · 40/70)].
    by_hand = math.sqrt(2 * (30 * math.log(90 / 70) + 40 * math.log(60 / 70)))
    assert float(losses.discovery_significance(10.0, 20.0, control=2.0)) == pytest.approx(by_hand, rel=1e-6)
    # sqrt(2 (20 ln 2 - 10)) for s = b = 10, and sqrt(2 (10 - 10 ln 2)).
    assert float(losses.asimov_significance(10.0, 10.0)) == pytest.approx(2.779548, abs=1e-6)
    assert float(losses.exclusion_significance(10.0, 10.0)) == pytest.approx(2.477308, abs=1e-6)
    assert float(losses.systematic_significance(9.0, 12.0, 1 / 6)) == pytest.approx(9 / 5, rel=1e-6)


def profile(s: float, b: float, ratio: float, data: float, tested: float) -> float:
    """√q of a Poisson count with an auxiliary Poisson count of expectation ratio · b, minimised numerically.

    The data are those expected for signal strength ``data``; strength ``tested`` is tested.
    """
    n, m = data * s + b, ratio * b

    def minus_log(rate: float) -> float:
        expected, auxiliary = tested * s + rate, ratio * rate
        return expected - n * math.log(expected) + auxiliary - m * math.log(auxiliary)

    found = minimize_scalar(
        lambda log_rate: minus_log(math.exp(log_rate)),
        bounds=(math.log(b) - 6.0, math.log(b + s) + 1.0), method="bounded", options={"xatol": 1e-12},
    )  # fmt: skip
    free = n - n * math.log(n) + m - m * math.log(m)
    return math.sqrt(2.0 * (found.fun - free))


@pytest.mark.parametrize(
    ("s", "b", "systematic", "control"),
    [(14.0, 5.0, 0.3, None), (3.0, 40.0, 0.1, None), (3.0, 40.0, 0.0, 0.5), (50.0, 20.0, 0.5, 2.0),
     (8.0, 8.0, 1.0, None), (0.5, 0.2, 0.2, 1.0)],
)  # fmt: skip
def test_direct_profile_likelihood(s, b, systematic, control):
    # Independent uncertainties add in quadrature: sigma² = (r b)² + b/τ = b / ratio.
    ratio = 1.0 / (systematic**2 * b + (1.0 / control if control else 0.0))
    s64, b64 = np.float64(s), np.float64(b)
    discovery = float(losses.discovery_significance(s64, b64, systematic, control))
    assert discovery == pytest.approx(profile(s, b, ratio, data=1.0, tested=0.0), rel=1e-6)
    excluded = float(losses.exclusion_significance(s64, b64, systematic, control))
    assert excluded == pytest.approx(profile(s, b, ratio, data=0.0, tested=1.0), rel=1e-6)


def test_the_asymptotic_significance_is_the_median_of_experiments():
    # arXiv:1007.1727 finds the Asimov value within a few per cent of the median for b from some events on;
    # the median of a discrete statistic is uncertain by half a step of n, 0.5/√50.
    s, b = 30.0, 50.0
    n = np.random.default_rng(1).poisson(s + b, size=20_000)
    q = np.where(n > b, np.sqrt(2.0 * np.maximum(n * np.log(n / b) - n + b, 0.0)), 0.0)
    assert float(losses.discovery_significance(s, b)) == pytest.approx(
        np.median(q), abs=0.5 / math.sqrt(50.0)
    )


@pytest.mark.parametrize("function", [losses.asimov_significance, losses.exclusion_significance])
def test_limits(function):
    # Small s: s / sqrt(b + sigma²), also as the slope at s = 0, where the slope by b vanishes.
    assert float(function(1e-4, 100.0, 0.1)) == pytest.approx(1e-4 / math.sqrt(200.0), rel=1e-5)
    by_s, by_b = derivatives(lambda s, b: function(s, b, 0.1), np.float32([0.0]), np.float32([100.0]))
    assert by_s[0] == pytest.approx(1 / math.sqrt(200.0), rel=1e-6)
    assert by_b[0] == 0.0
    # A vanishing systematic uncertainty is none.
    assert float(function(5.0, 20.0, 1e-9)) == pytest.approx(float(function(5.0, 20.0)), rel=1e-6)
    # An infinite one leaves nothing, while the signal is less than the background.
    assert float(function(5.0, 20.0, 1e6)) < 1e-4


def test_limits_without_background():
    # Exclusion tends to √(2s); discovery diverges as √(2 s ln(s/b)), less with a relative uncertainty.
    assert float(losses.exclusion_significance(8.0, 1e-20, 0.3)) == pytest.approx(4.0, rel=1e-6)
    b = 1e-20
    wanted = math.sqrt(2.0 * 8.0 * (math.log(8.0 / b) - 1.0))
    assert float(losses.asimov_significance(8.0, b)) == pytest.approx(wanted, rel=1e-6)
    more = 1.0 + 0.3**2 * 8.0
    wanted = math.sqrt(2.0 * (8.0 * math.log(8.0 / (b * more)) - math.log(more) / 0.3**2))
    assert float(losses.asimov_significance(8.0, b, 0.3)) == pytest.approx(wanted, rel=1e-6)
    for function in (
        losses.asimov_significance,
        losses.exclusion_significance,
        losses.systematic_significance,
        lambda s, b, _: losses.simple_significance(s, b),
    ):
        for s in (0.0, 5.0):
            value = float(function(s, 0.0, 0.3))
            gradients = derivatives(lambda s, b, f=function: f(s, b, 0.3), np.float32([s]), np.float32([0.0]))
            assert math.isfinite(value)
            assert np.isfinite(gradients).all()
            assert (value == 0.0) == (s == 0.0)


def test_order_of_the_significances():
    # All agree for a small signal; for a large one ln(1 + x) makes discovery the largest.
    s, b = np.float64(20.0), np.float64(30.0)
    plain = [
        float(losses.discovery_significance(s, b)),
        float(s / np.sqrt(b)),
        float(losses.exclusion_significance(s, b)),
        float(losses.simple_significance(s, b)),
    ]
    assert plain[1] > plain[0] > plain[2] > plain[3]
    with_systematic = losses.discovery_significance(s, b, np.array([0.0, 0.1, 0.3, 1.0]))
    assert (np.diff(np.asarray(with_systematic)) < 0).all()


@pytest.mark.parametrize("z", [-0.999, -0.6, -0.3, 1e-8, 0.3, 1.9, 2.1, 1e5, 1e20])
def test_curvature(z):
    z = Decimal(z)
    phi, h = (1 + z) * (1 + z).ln() - z, z - (1 + z).ln()
    for sign, exact in ((1.0, phi), (-1.0, h)):
        value = float(curvature(np.float64(z), np.float64(1 + z), sign))
        assert value == pytest.approx(float(exact / (z * z)), rel=1e-14)
