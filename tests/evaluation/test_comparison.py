"""Several trainings in one comparison: paired differences, repetitions, curves, table and picture."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hepml_root import errors
from hepml_root.evaluation.best_cut import yields_above
from hepml_root.evaluation.comparison import compare_significance
from hepml_root.evaluation.plot_significance import plot_significance_comparison
from hepml_root.evaluation.significance import asimov_gradient

YIELDS = {"signal_events": 60.0, "background_events": 2000.0, "systematic": 0.2}


@pytest.fixture(scope="module")
def scores():
    """Return test and validation scores of three trainings with two repetitions, and the labels."""
    generator = np.random.default_rng(5)
    labels = np.arange(10_000) % 2

    def logistic(x):
        return (1 / (1 + np.exp(-x))).astype(np.float32)

    parts = []
    for _ in range(2):
        truth = generator.normal(1.5 * labels, 1.0)
        noise = generator.normal(0, 1, (3, 2, len(labels)))
        parts.append(
            {
                "best": logistic(truth + 0.05 * noise[0]),
                "alike": logistic(truth + 0.05 * noise[1]),
                "worse": logistic(truth + 1.0 * noise[2]),
            }
        )
    return parts[0], parts[1], labels


@pytest.fixture(scope="module")
def comparison(scores):
    test, validation, labels = scores
    return compare_significance(test, labels, validation=(validation, labels), bootstrap=100, **YIELDS)


def test_differences_are_better_known_than_values(comparison):
    best, alike, worse = comparison.trainings
    assert best.difference is None
    assert worse.difference.high < 0
    assert worse.difference.value == pytest.approx(worse.asimov.value - best.asimov.value)
    # Nearly the same events pass: their fluctuations cancel.
    assert alike.difference.error < 0.5 * alike.asimov.error
    assert abs(alike.difference.value) < 5 * alike.difference.error
    for training in comparison.trainings:
        assert training.asimov.low < training.asimov.value < training.asimov.high
        assert training.spread > 0


def test_values_are_those_of_the_chosen_cuts(comparison, scores):
    test, _, labels = scores
    for training in comparison.trainings:
        values = [
            yields_above(cut.threshold, one, labels, **YIELDS).asimov.value
            for one, cut in zip(test[training.name], training.cuts, strict=True)
        ]
        assert training.asimov.value == pytest.approx(np.mean(values), rel=1e-9)
        assert training.spread == pytest.approx(np.std(values, ddof=1), rel=1e-9)
        # The bootstrap of the mean of two repetitions, nearly the same events: that of one, within its 10 %
        # (100 replicas).
        one = yields_above(training.cuts[0].threshold, test[training.name][0], labels, **YIELDS)
        if training.name != "worse":
            assert training.asimov.error == pytest.approx(one.asimov.error, rel=0.4)


def test_a_cut_that_no_test_background_passes_has_no_known_value():
    """The two backgrounds of the test events have the lowest score; validation has plenty of them."""
    scores, labels = np.float32([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])
    many, many_labels = np.repeat([0.3, 0.7], 100), np.repeat([0, 1], 100)
    many_labels[100:110] = 0
    found = compare_significance(
        {"one": scores, "two": scores}, labels, validation=({"one": many, "two": many}, many_labels),
        signal_events=10, background_events=100, minimum_background=5,
    )  # fmt: skip
    for training in found.trainings:
        assert training.cuts[0].applied.background.value == 0
        assert math.isnan(training.cuts[0].applied.asimov.value)
        assert str(training.asimov) == "undefined"
    assert str(found["two"].difference) == "undefined"


def test_totals_that_nobody_gave_fluctuate():
    """All signal passes: with a given total its part is certain, with a sum of 100 weights it is 10 %."""
    labels = np.repeat([0, 1], [10_000, 100])
    scores = np.where(labels == 1, 0.9, np.linspace(0, 1, len(labels)) ** 2).astype(np.float32)
    settings = {"validation": ({"one": scores}, labels), "systematic": 0.0, "bootstrap": 400}
    free = compare_significance({"one": scores}, labels, **settings)["one"]
    fixed = compare_significance({"one": scores}, labels, signal_events=100.0, **settings)["one"]
    assert free.asimov.value == pytest.approx(fixed.asimov.value)
    s, b = free.cuts[0].applied.signal.value, free.cuts[0].applied.background.value
    assert s == 100
    by_signal, by_background = asimov_gradient(s, b)
    of_background = by_background * math.sqrt(b)
    # 400 replicas know a standard deviation to 3.5 %; four of these.
    assert fixed.asimov.error == pytest.approx(abs(of_background), rel=0.14)
    assert free.asimov.error == pytest.approx(math.hypot(by_signal * 10, of_background), rel=0.14)


def test_curves_meet_the_scans(comparison):
    training = comparison["best"]
    for against in ("signal_efficiency", "threshold"):
        x, central, low, high = training.curve(against, points=50)
        known = np.isfinite(central)
        assert known.sum() > 30
        assert (low[known] < central[known]).all()
        assert (central[known] < high[known]).all()
        scan = training.scans[0]
        order = np.argsort(getattr(scan, against))
        one = np.interp(x, getattr(scan, against)[order], scan.asimov[order])
        # The mean of two repetitions that differ by less than the statistical error.
        assert np.nanmedian(np.abs(one - central)[known]) < 0.2
    with pytest.raises(errors.SettingError, match="'threshold'"):
        training.curve("treshold")


def test_table_and_picture(comparison):
    text = str(comparison)
    assert [line.split()[0] for line in text.splitlines()] == ["training", "best", "alike", "worse"]
    rows = comparison.rows()
    assert rows[0]["repetitions"] == 2
    assert rows[0]["signal"] == pytest.approx(
        60 * comparison["best"].cuts[0].applied.signal_efficiency, rel=0.1
    )
    assert comparison.to_dict()["table"][2]["difference"]["value"] < 0
    for against in ("signal_efficiency", "threshold"):
        axes = plot_significance_comparison(comparison, against=against, title="toy").axes[0]
        assert len(axes.get_legend().get_texts()) == 3
        assert len(axes.collections) == 3  # the bands
        markers = [line for line in axes.lines if line.get_marker() == "v"]
        assert len(markers) == 6  # a cut for each repetition


def test_bad_input(scores):
    test, validation, labels = scores
    with pytest.raises(errors.SettingError, match="at least one"):
        compare_significance({}, labels, validation=({}, labels))
    with pytest.raises(errors.SettingError, match="in this order"):
        compare_significance(test, labels, validation=({"best": validation["best"]}, labels))
    with pytest.raises(errors.ShapeError, match="2 repetitions on test and 1"):
        compare_significance(
            {"best": test["best"]}, labels, validation=({"best": validation["best"][:1]}, labels)
        )
    with pytest.raises(errors.ShapeError, match="validation is"):
        compare_significance(test, labels, validation=(validation,))
