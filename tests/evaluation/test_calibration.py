"""Reliability of probabilities: calibrated toys, known miscalibration, weights, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from hepml_root import errors
from hepml_root.evaluation.calibration import reliability


def toy(events, seed, power=1.0):
    """Return scores uniform on [0, 1] and labels drawn with the probability score^power."""
    generator = np.random.default_rng(seed)
    scores = generator.random(events)
    return scores, generator.random(events) < scores**power


def test_a_calibrated_score_is_found_calibrated():
    """p-values of calibrated toys are uniform: few are small, and the mean is near one half."""
    p_values = []
    for seed in range(60):
        curve = reliability(*toy(2000, seed), bootstrap=100, seed=seed)
        p_values.append(curve.p_value)
        # Fluctuations per bin are √(p(1−p)/n) ≈ 0.035 with 133 events; their mean modulus is below 0.05.
        assert curve.ece.value < 0.05
    # Uniform: mean 0.5 ± 0.29/√60 = 0.037 (four of them), and 3 ± 1.7 of 60 below 0.05 (at most 10).
    assert abs(np.mean(p_values) - 0.5) < 0.15
    assert np.sum(np.array(p_values) < 0.05) <= 10


def test_a_known_miscalibration():
    curve = reliability(*toy(100_000, 1, power=2.0), bins=50)
    # ∫ |t² − t| dt = 1/6; statistics add at most about 0.005.
    assert curve.ece.value == pytest.approx(1 / 6, abs=0.01)
    assert curve.p_value == 0.0
    np.testing.assert_allclose(curve.fraction, curve.mean_score**2, atol=0.06)


def test_fractions_by_hand():
    scores = np.array([0.1, 0.1, 0.1, 0.1, 0.8, 0.8, 0.8, 0.8])
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    curve = reliability(scores, labels, bins=2, bootstrap=0)
    np.testing.assert_allclose(curve.mean_score, [0.1, 0.8])
    np.testing.assert_allclose(curve.fraction, [0.25, 0.75])
    assert curve.ece.value == pytest.approx(0.5 * 0.15 + 0.5 * 0.05)
    weighted = reliability(scores, labels, np.where(labels == 1, 3.0, 1.0), bins=2, bootstrap=0)
    np.testing.assert_allclose(weighted.fraction, [3 / 6, 9 / 10])


def test_weights_that_change_the_mixture_spoil_the_calibration():
    scores, labels = toy(20_000, 3)
    curve = reliability(scores, labels, np.where(labels, 0.1, 1.0))
    assert curve.ece.value > 0.1
    assert (curve.fraction < curve.mean_score).all()


def test_few_heavy_signal_events_fluctuate_with_their_weight():
    """Balanced classes of very different size: one bin, whose variance can be written down."""
    labels = np.arange(1010) < 10
    weights = np.where(labels, 25.0, 1.0)
    curve = reliability(np.full(1010, 0.2), labels, weights, bootstrap=2000)
    assert curve.ece.value == pytest.approx(0.0, abs=1e-12)
    # f = S/(S + B) has σ² = [(1−f)² Σ_s w² + f² Σ_b w²] / (S + B)², and a mean modulus of √(2/π) σ.
    sigma = np.sqrt((0.8**2 * 10 * 25**2 + 0.2**2 * 1000) / 1250**2)
    assert curve.ece_if_calibrated.value == pytest.approx(np.sqrt(2 / np.pi) * sigma, rel=0.1)


def test_negative_weights_leave_the_curve_where_it_is():
    scores, labels = toy(50_000, 4)
    weights = np.where(np.random.default_rng(5).random(50_000) < 0.2, -1.0, 1.0)
    curve = reliability(scores, labels, weights, bins=10)
    # 5000 events a bin with (0.8−0.2)² = 0.36 of them effective: errors ≤ 0.5/√1800 = 0.012; five of them.
    np.testing.assert_allclose(curve.fraction, curve.mean_score, atol=0.06)


def test_one_value_only():
    curve = reliability(np.full(100, 0.5), np.arange(100) % 2, bootstrap=10)
    assert curve.fraction.tolist() == [0.5]
    assert curve.ece.value == 0.0


def test_bad_input():
    with pytest.raises(errors.ShapeError, match="no probabilities"):
        reliability([-0.1, 1.2], [0, 1])
    with pytest.raises(errors.EmptySelectionError, match="no signal"):
        reliability([0.1, 0.2], [0, 0])
    with pytest.raises(errors.SettingError, match="at least 1 bin"):
        reliability([0.1, 0.2], [0, 1], bins=0)
