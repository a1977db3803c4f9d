"""The GANplification study: cells are equally probable, fits and samples have the errors they must."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.ganplification.fits import draw_from_fit, fit_camel_back, fit_shell
from benchmarks.ganplification.study import ratio, run
from benchmarks.ganplification.targets import TARGETS, expected_error, quantile_error


@pytest.mark.parametrize("name", TARGETS)
def test_the_levels_of_the_truth_are_uniform_and_independent(name):
    target = TARGETS[name]
    levels = target.levels(target.draw(40_000, np.random.default_rng(1)))
    assert levels.shape == (40_000, target.dimensions)
    assert levels.min() >= 0
    assert levels.max() <= 1
    # The mean of n uniform numbers has the error 1/√(12 n) = 0.0014, a correlation 1/√n = 0.005: five each.
    np.testing.assert_allclose(levels.mean(axis=0), 0.5, atol=0.0072)
    np.testing.assert_allclose(levels.std(axis=0), 12**-0.5, atol=0.005)
    if target.dimensions > 1:
        off = np.corrcoef(levels.T) - np.eye(target.dimensions)
        assert np.abs(off).max() < 0.025


@pytest.mark.parametrize(("name", "number"), [("camel-back", 20), ("shell", 3)])
def test_samples_of_the_truth_have_the_expected_error(name, number):
    target, generator = TARGETS[name], np.random.default_rng(2)
    errors = [quantile_error(target.levels(target.draw(200, generator)), number) for _ in range(200)]
    expected = expected_error(number**target.dimensions, 200)
    # The mean of 200 multinomial errors, each with a spread of √(2/(n − 1)) or less: 2.3 % for 20 cells.
    assert np.mean(errors) == pytest.approx(expected, rel=0.08)
    assert ratio(expected, errors)[0] == pytest.approx(1.0, rel=0.08)


def test_fits_find_the_parameters():
    generator = np.random.default_rng(3)
    share, means, widths = fit_camel_back(TARGETS["camel-back"].draw(4000, generator)[:, 0])
    assert share == pytest.approx(0.5, abs=4 * 0.5 / 4000**0.5)
    np.testing.assert_allclose(means, [-4, 4], atol=4 / 2000**0.5)
    np.testing.assert_allclose(widths, 1, atol=4 / 4000**0.5)
    points = TARGETS["shell"].draw(2000, generator)
    centre, radius, width = fit_shell(points)
    assert np.abs(centre).max() < 4 * 5**0.5 / 2000**0.5  # each direction sees a fifth of the points
    assert radius == pytest.approx(4, abs=4 / 2000**0.5)
    assert width == pytest.approx(1, abs=4 / 4000**0.5)
    made = draw_from_fit(TARGETS["shell"], points, 20_000, generator)
    assert np.linalg.norm(made, axis=1).mean() == pytest.approx(4, abs=0.1)


def test_the_fast_study_runs_and_resumes(tmp_path: Path):
    arguments = [
        "--fast",
        "--repetitions",
        "2",
        "--folder",
        str(tmp_path),
        "--page",
        str(tmp_path / "page.md"),
    ]
    results = list(run([*arguments, "--picture", str(tmp_path / "picture.png")]))
    assert len(results) == 4
    assert all(set(result) == {"name", "value", "unit", "reference", "ratio"} for result in results)
    assert all(0 < result["value"] < 5 for result in results)  # sixty steps: nothing is amplified yet
    text = (tmp_path / "page.md").read_text()
    assert text.count("\n| ") == 6  # two heads, two rows each
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    kept = {path: path.read_text() for path in tmp_path.glob("*.json")}
    assert list(run(arguments)) == results
    assert {path: path.read_text() for path in tmp_path.glob("*.json")} == kept
