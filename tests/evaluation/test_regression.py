"""Residual studies: known bias and resolution, weights, pulls, coverage, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from hepml_root import errors
from hepml_root.evaluation.regression import study_residuals


def smeared(events, seed=1, bias=1.0):
    """Return predictions and targets with a width of 0.1 × target."""
    generator = np.random.default_rng(seed)
    target = generator.uniform(20, 100, events)
    return target + bias + 0.1 * target * generator.normal(size=events), target


def test_bias_and_resolution_in_bins():
    study = study_residuals(*smeared(100_000), unit="GeV", bootstrap=100)
    # 10 000 events a bin: the 68 % half-width is known to about 1.2/√(2n) = 0.9 %; five of them, and the
    # width grows by up to 15 % inside a bin, which the average over it follows to well below a percent.
    np.testing.assert_allclose(study.bin_resolution, 0.1 * study.mean_target, rtol=0.05)
    np.testing.assert_allclose(study.bin_bias, 1.0, atol=5 * 10 / 100)
    assert study.bias.low < 1.05
    assert study.bias.high > 0.95
    assert study.pull_from == "resolution"
    assert study.pull_width.value == pytest.approx(1.0, abs=0.03)


def test_resolution_ignores_tails_that_the_rms_feels():
    prediction, target = smeared(20_000, bias=0.0)
    prediction[::100] += 500.0
    study = study_residuals(prediction, target, bootstrap=20)
    assert study.rms.value > 40
    assert study.resolution.value < 8
    # The tail holds the displaced 1 %, and what lies beyond three widths of the mixture without them.
    assert 0.01 <= study.tail_fraction.value < 0.03


def test_the_models_own_uncertainty_gives_a_unit_pull():
    prediction, target = smeared(50_000, bias=0.0)
    study = study_residuals(prediction, target, uncertainty=0.1 * target, bootstrap=100)
    assert study.pull_from == "model"
    # Five standard errors: 1/√50000 = 0.0045 of the mean, 0.006 of the width.
    assert abs(study.pull_mean.value) < 0.023
    assert study.pull_width.value == pytest.approx(1.0, abs=0.03)
    too_small = study_residuals(prediction, target, uncertainty=0.05 * target, bootstrap=0)
    assert too_small.pull_width.value == pytest.approx(2.0, abs=0.06)


def test_weights_are_as_repeated_events():
    prediction, target = smeared(3000)
    repeats = np.random.default_rng(2).integers(1, 4, 3000)
    weighted = study_residuals(prediction, target, repeats, bootstrap=0)
    repeated = study_residuals(np.repeat(prediction, repeats), np.repeat(target, repeats), bootstrap=0)
    for name in ("bias", "resolution", "rms", "explained", "tail_fraction"):
        assert getattr(weighted, name).value == pytest.approx(getattr(repeated, name).value), name


def test_intervals_of_the_bias_cover():
    covered = 0
    for seed in range(200):
        study = study_residuals(*smeared(500, seed), bootstrap=100, seed=seed, bins=2)
        covered += study.bias.low <= 1.0 <= study.bias.high
    # 0.683 ± 0.033 by the binomial; four of them and 0.02 for percentiles of 100 replicas.
    assert abs(covered / 200 - 0.683) < 0.15


def test_negative_weights():
    prediction, target = smeared(50_000)
    weights = np.where(np.random.default_rng(3).random(50_000) < 0.2, -1.0, 1.0)
    study = study_residuals(prediction, target, weights, bootstrap=50)
    # 18 000 effective events with a width of 6: an error of 0.05; five of them.
    assert study.bias.value == pytest.approx(1.0, abs=0.25)
    assert study.resolution.value == pytest.approx(6.0, abs=0.4)


def test_a_perfect_prediction():
    target = np.linspace(0, 1, 50)
    study = study_residuals(target, target, bootstrap=10)
    assert study.rms.value == 0.0
    assert study.explained.value == 1.0
    assert study.to_dict()["bias"]["value"] == 0.0


@pytest.mark.parametrize(
    ("prediction", "target", "weights", "error"),
    [
        (np.zeros(20), np.zeros(19), None, errors.ShapeError),
        (np.full(20, np.inf), np.zeros(20), None, errors.NonFiniteInputError),
        (np.zeros(5), np.zeros(5), None, errors.EmptySelectionError),
        (np.zeros(20), np.arange(20.0), -np.ones(20), errors.WeightError),
    ],
)
def test_bad_input(prediction, target, weights, error):
    with pytest.raises(error):
        study_residuals(prediction, target, weights)
