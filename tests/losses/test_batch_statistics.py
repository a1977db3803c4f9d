"""Bias and scatter of a significance from a batch, against experiments; the batch size they ask for."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hepml_root import losses
from hepml_root.data.weights import Yield
from hepml_root.errors import SettingError, WeightError
from hepml_root.losses.batch_statistics import assess_batch, propose_batch_size

SIGNAL, BACKGROUND = np.full(5000, 31.2 / 5000), np.full(5000, 20762 / 5000)


def experiments(loss, batch_size: int, efficiencies: tuple[float, float], number: int = 20_000) -> np.ndarray:
    """The loss of many batches, half of each signal, where an event is selected or not, by chance."""
    random = np.random.default_rng(1)
    half = batch_size // 2
    s, b = (
        expected * random.binomial(half, part, size=number) / half
        for expected, part in zip(loss.yields(), efficiencies, strict=True)
    )
    return np.asarray(loss.of_counts(s, b))


@pytest.mark.parametrize("form", ["negative", "inverse"])
@pytest.mark.parametrize(
    ("made", "settings"),
    [(losses.AsimovSignificance, {"systematic": 0.3}), (losses.ExclusionSignificance, {"systematic": 0.1})],
)
def test_bias_and_scatter_are_those_of_experiments(made, settings, form):
    loss = made(31.2, 20762.0, form=form, **settings)
    efficiencies = (0.3, 0.03)
    found = assess_batch(loss, SIGNAL, BACKGROUND, 4000, signal_efficiency=0.3, background_efficiency=0.03)
    assert found.background_selected == pytest.approx(60.0)
    values = experiments(loss, 4000, efficiencies)
    exact = float(loss.value(np.array([[1.0, 0.3], [1.0, 0.03]], dtype=np.float32)))
    bias = 100 * (values.mean() / exact - 1) * np.sign(exact)
    error = 100 * values.std() / abs(exact) / np.sqrt(len(values))
    # A binomial number is not quite a Poisson number with the same variance: their third moments differ by
    # ε = 0.3 of 1/600² for the signal, far below the error.
    assert found.bias == pytest.approx(bias, abs=3 * error)
    assert found.spread == pytest.approx(100 * values.std() / abs(exact), rel=0.03)


@pytest.mark.parametrize("least", [None, 20762.0 * 0.004])
@pytest.mark.parametrize("size", [40, 400])
def test_few_events_and_the_least_background(size, least):
    # 0.2 and 2 background events are selected: what a batch without any says, decides.
    loss = losses.AsimovSignificance(31.2, 20762.0, systematic=0.3, least_background=least)
    found = assess_batch(loss, SIGNAL, BACKGROUND, size)
    values = experiments(loss, size, (0.3, 0.01))
    exact = float(loss.of_counts(0.3 * 31.2, 0.01 * 20762.0))
    error = 100 * values.std() / abs(exact) / np.sqrt(len(values))
    # Of the signal, 6 of 20 are selected; the third moment of the binomial number is 0.4/0.7 of that of a
    # Poisson number of the same variance, which is 1/36 - and Z_A is nearly linear in s.
    assert found.bias == pytest.approx(100 * (values.mean() - exact) / abs(exact), abs=3 * error + 1.0)
    assert found.spread == pytest.approx(100 * values.std() / abs(exact), rel=0.05)
    free = assess_batch(losses.AsimovSignificance(31.2, 20762.0, systematic=0.3), SIGNAL, BACKGROUND, size)
    assert (abs(found.bias) < abs(free.bias)) == (least is not None)


def test_effective_events_by_hand():
    # 1000 signal events of equal weights, 3000 of background of which a third has a negative weight:
    # (2000 - 1000)²/3000 = 333.3 effective events.
    background = np.where(np.arange(3000) % 3 == 0, -1.0, 1.0)
    found = assess_batch(losses.Significance(), np.ones(1000), background, 400)
    assert found.signal == pytest.approx(100.0)
    assert found.background == pytest.approx(100 / 3)
    assert found.signal_selected == pytest.approx(30.0)
    assert found.background_selected == pytest.approx(1 / 3)


def test_the_bias_falls_with_the_batch_and_rises_with_bins():
    loss = losses.AsimovSignificance(systematic=0.3)
    small, large = (assess_batch(loss, SIGNAL, BACKGROUND, size) for size in (40_000, 160_000))
    # 200 background events are selected: the next order is a few times 1/200 of this one.
    assert small.bias == pytest.approx(4 * large.bias, rel=0.02)
    assert small.spread == pytest.approx(2 * large.spread, rel=0.02)
    assert small.bias_of(160_000) == large.bias
    binned = assess_batch(losses.AsimovSignificance(bins=5), SIGNAL, BACKGROUND, 4000)
    assert abs(binned.bias) > abs(assess_batch(losses.AsimovSignificance(), SIGNAL, BACKGROUND, 4000).bias)


def test_simple_bias_by_hand():
    # -s/√b, where s is much less than b and all signal is selected: ½ · 3/4 · V of -Z, V = 0.99/(0.01 n).
    found = assess_batch(
        losses.AsimovSignificance(1.0, 1e9), np.ones(1000), np.ones(1000), 200_000,
        signal_efficiency=1.0, background_efficiency=0.01,
    )  # fmt: skip
    # The next order is 1.4 V of this one, 0.13 %.
    assert found.bias == pytest.approx(-100 * 0.375 * 0.00099, rel=3e-3)
    assert found.spread == pytest.approx(100 * 0.5 * np.sqrt(0.00099), rel=3e-3)


def test_the_warning_has_numbers_and_its_remedy_works():
    loss = losses.AsimovSignificance(systematic=0.3)
    found = assess_batch(loss, SIGNAL, BACKGROUND, 128)
    text = found.warning()
    for part in ("128 events", "64.0 effective signal", "leaves 19.2 and 0.6"):
        assert part in text
    size, factor = (
        int(re.search(pattern, text)[1]) for pattern in (r"batch_size=(\d+)", r"accumulate=(\d+)")
    )
    assert size == 128 * factor
    assert assess_batch(loss, SIGNAL, BACKGROUND, size).warning() is None
    assert assess_batch(loss, SIGNAL, BACKGROUND, size // 2).warning() is not None
    assert found.warning(tolerated=1e6) is None


def test_the_proposed_size_is_the_smallest_that_does():
    loss = losses.AsimovSignificance(systematic=0.3)
    many = [np.repeat(weights, 10) for weights in (SIGNAL, BACKGROUND)]
    size = propose_batch_size(*many, loss=loss)
    assert assess_batch(loss, *many, size).warning() is None
    assert assess_batch(loss, *many, size // 2).warning() is not None
    # Never more than there are; a table of yields says the same as the weights.
    assert propose_batch_size(SIGNAL[:50], BACKGROUND[:50], loss=loss) == 100
    rows = [Yield.of(name, weights) for name, weights in zip(("signal", "background"), many, strict=True)]
    assert propose_batch_size(*rows, loss=loss) == size
    # Of 256 events one in four batches has no background behind the selection; with a least background
    # that does no harm.
    guarded = losses.AsimovSignificance(systematic=0.3, least_background=0.01 * many[1].sum())
    assert propose_batch_size(*many, loss=guarded, tolerated=100.0) == 256
    assert propose_batch_size(*many, loss=loss, tolerated=100.0) > 256


def test_wrong_settings():
    loss = losses.AsimovSignificance()
    with pytest.raises(SettingError, match="at least one event"):
        assess_batch(loss, SIGNAL, BACKGROUND, 0)
    with pytest.raises(SettingError, match="background_efficiency=0"):
        assess_batch(loss, SIGNAL, BACKGROUND, 100, background_efficiency=0.0)
    with pytest.raises(WeightError, match="signal: 0 events"):
        assess_batch(loss, [], BACKGROUND, 100)
    with pytest.raises(WeightError, match="background"):
        propose_batch_size(SIGNAL, -BACKGROUND)
    with pytest.raises(SettingError, match="per cent"):
        propose_batch_size(SIGNAL, BACKGROUND, tolerated=0.0)
