"""The cut chosen on one sample and applied to another: float32, yields, errors, the luck of the chooser."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from hepml_root import errors
from hepml_root.evaluation.best_cut import choose_cut, passes, yields_above
from hepml_root.evaluation.significance import asimov_significance, simple_significance


def toy(events, seed):
    """Return scores of background, density 1, and of signal, density 2t, on [0, 1], and labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(events) % 2
    scores = np.where(labels == 1, np.sqrt(generator.random(events)), generator.random(events))
    return scores.astype(np.float32), labels


def test_scores_are_compared_in_float32():
    # 0.9 lies between two float32 numbers; the nearest is 0.89999998.
    edge = np.float32(0.9)
    scores = np.array([np.nextafter(edge, np.float32(0)), edge, np.nextafter(edge, np.float32(1)), np.nan])
    assert passes(scores, 0.9).tolist() == [False, True, True, False]
    assert passes(scores.astype(np.float64), 0.9).tolist() == [False, True, True, False]
    assert passes([1e300], 0.5).tolist() == [True]


def test_yields_and_errors_by_hand():
    scores = [0.1, 0.4, 0.6, 0.9, 0.2, 0.7, 0.8]
    labels = [0, 0, 0, 0, 1, 1, 1]
    weights = [10.0, 20.0, 30.0, -5.0, 1.0, 2.0, 3.0]
    found = yields_above(0.5, scores, labels, weights, systematic=0.2)
    assert found.signal.value == pytest.approx(5.0)
    assert found.signal.error == pytest.approx(math.sqrt(4 + 9))
    assert found.background.value == pytest.approx(25.0)
    assert found.background.error == pytest.approx(math.sqrt(900 + 25))
    assert found.effective_background == pytest.approx(25**2 / 925)
    assert found.signal_efficiency == pytest.approx(5 / 6)
    assert found.background_efficiency == pytest.approx(25 / 55)
    assert found.asimov.value == pytest.approx(float(asimov_significance(5, 25, 0.2)))
    assert found.simple.value == pytest.approx(5 / math.sqrt(30))
    # With given totals the efficiency alone is uncertain: (1−ε)² Σ_pass w² + ε² Σ_fail w², scaled.
    exact = yields_above(0.5, scores, labels, weights, signal_events=60.0)
    assert exact.signal.value == pytest.approx(50.0)
    assert exact.signal.error == pytest.approx(10 * math.sqrt((1 / 6) ** 2 * 13 + (5 / 6) ** 2 * 1))


def test_a_cut_without_background_has_no_known_significance():
    found = yields_above(0.5, [0.1, 0.9], [0, 1])
    assert found.background.value == 0.0
    assert math.isnan(found.asimov.value)
    assert str(found.asimov) == "undefined"


def test_errors_on_the_test_events_cover_the_truth():
    """Interval of 68.3 %: of 400 samples, 273 ± 9.3 contain the truth; four of these are 0.093."""
    t = np.float32(0.8)
    truth = float(asimov_significance(50 * (1 - 0.8**2), 1000 * 0.2, 0.2))
    inside = 0
    for seed in range(400):
        scores, labels = toy(1500, seed)
        z = yields_above(t, scores, labels, signal_events=50, background_events=1000, systematic=0.2).asimov
        inside += z.low <= truth <= z.high
    assert inside / 400 == pytest.approx(0.683, abs=0.093)


def test_the_largest_of_many_is_biased_and_the_test_sample_is_not():
    """Few events, so that the best cut sits on a downward fluctuation of the background."""
    settings = {"signal_events": 20.0, "background_events": 200.0, "systematic": 0.1, "bootstrap": 0,
                "minimum_background": 4.0}  # fmt: skip
    on_chooser, on_test, truth = [], [], []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        labels = np.arange(400) % 2

        def draw(generator=generator, labels=labels):
            # Densities 5 t⁴ and 1: the best cut is tight.
            return np.where(labels == 1, generator.random(400) ** 0.2, generator.random(400)).astype(
                np.float32
            )

        cut = choose_cut((draw(), labels), (draw(), labels), **settings)
        if not math.isfinite(cut.applied.asimov.value):
            continue
        on_chooser.append(cut.chosen.asimov.value)
        on_test.append(cut.applied.asimov.value)
        t = cut.threshold
        truth.append(float(asimov_significance(20 * (1 - t**5), 200 * (1 - t), 0.1)))
        assert cut.optimism == pytest.approx(on_chooser[-1] - on_test[-1])
    assert len(truth) > 190
    bias, rest = (np.array(values) - truth for values in (on_chooser, on_test))
    error = bias.std() / math.sqrt(len(bias))
    assert bias.mean() > 10 * error  # the chooser's own value is far too high
    # On the test events what is left is that Z is no linear function of few background events.
    assert abs(rest.mean()) < 0.3 * bias.mean()


def test_what_the_chooser_says_is_what_is_applied():
    scores, labels = toy(4000, 1)
    others, other_labels = toy(4000, 2)
    weights = np.where(labels == 1, 0.5, 2.0)
    cut = choose_cut((scores, labels, weights), (others, other_labels), systematic=0.3)
    # Both samples stand for the yields of the test events, here counts.
    assert cut.chosen.signal.value == pytest.approx(2000 * cut.chosen.signal_efficiency)
    assert cut.applied.signal.value == np.count_nonzero(passes(others, cut.threshold) & (other_labels == 1))
    # Nobody gave these counts: that of the test events that pass is Poisson, as is that of all of them.
    assert cut.applied.signal.error == pytest.approx(math.sqrt(cut.applied.signal.value))
    scaled = yields_above(cut.threshold, scores, labels, weights, signal_events=2000.0)
    assert cut.chosen.signal.error == pytest.approx(scaled.signal.error)
    assert cut.threshold == float(np.float32(cut.threshold))
    assert cut.interval.low <= cut.threshold <= cut.interval.high
    point = cut.working_point("tight", output="signal")
    assert point["name"] == "tight"
    assert point["output"] == "signal"
    assert point["threshold"] == cut.threshold
    assert (point["chosen_on"], point["yields_on"]) == ("validation", "test")
    assert point["signal"] == cut.applied.signal.value
    assert point["significance"] == cut.applied.asimov.value
    assert cut.to_dict()["working_point"]["name"] == "asimov_0.3"


def test_the_simple_objective_has_its_own_cut():
    sample = toy(20_000, 3)
    yields = {"signal_events": 100.0, "background_events": 5000.0, "bootstrap": 0}
    simple = choose_cut(sample, objective="simple", systematic=0.5, **yields)
    asimov = choose_cut(sample, systematic=0.5, **yields)
    assert simple.objective == "simple"
    assert simple.applied is None
    assert math.isnan(simple.optimism)
    assert simple.working_point()["name"] == "simple"
    # A systematic of half of the background asks for a purer selection.
    assert asimov.threshold > simple.threshold
    assert simple.chosen.simple.value == pytest.approx(
        float(simple_significance(simple.chosen.signal.value, simple.chosen.background.value))
    )
    assert simple.chosen.simple.value >= asimov.chosen.simple.value


def test_scores_that_no_cut_divides_are_told():
    scores, labels = toy(20_000, 3)
    yields = {"signal_events": 100.0, "background_events": 5000.0, "bootstrap": 0, "systematic": 0.5}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        free = choose_cut((scores, labels), **yields)
    # A sigmoid that is too steep: all that the best cut keeps, and as much again, is 1 in float32.
    loose = np.quantile(scores, np.mean(scores < free.threshold) - np.mean(scores >= free.threshold))
    saturated = np.where(scores >= loose, 1.0, scores)
    with pytest.warns(errors.StatisticsWarning, match=r"all [\d,]+ validation events .* same score, 1:"):
        tied = choose_cut((saturated, labels), **yields)
    assert tied.chosen.background.value > free.chosen.background.value
    assert tied.chosen.asimov.value < free.chosen.asimov.value


def test_bad_input():
    sample = toy(100, 1)
    with pytest.raises(errors.SettingError, match=r"no objective of a cut 'asimof'.*'asimov'"):
        choose_cut(sample, objective="asimof")
    with pytest.raises(errors.ShapeError, match="a sample is"):
        choose_cut((sample[0],))
    with pytest.raises(errors.EmptySelectionError, match="effective background events of the 100 validation"):
        choose_cut(sample, minimum_background=1e3)
    with pytest.raises(errors.SettingError, match="finite"):
        yields_above(math.nan, *sample)
    with pytest.raises(errors.SettingError, match="positive"):
        yields_above(0.5, *sample, signal_events=0.0)
