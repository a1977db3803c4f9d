"""Weights: numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hepml_root.data.weights import (
    Yield,
    Yields,
    balance,
    balance_factors,
    check_weights,
    effective_events,
    normalisation,
)
from hepml_root.errors import WeightError


def test_effective_events_known_answers() -> None:
    assert effective_events(np.full(50, 0.3)) == pytest.approx(50)
    # (3 + 1)² / (9 + 1)
    assert effective_events([3.0, 1.0]) == pytest.approx(1.6)
    # 90 events of +1 and 10 of -1: 80² / 100
    assert effective_events(np.r_[np.ones(90), -np.ones(10)]) == pytest.approx(64)
    assert effective_events([]) == 0
    assert effective_events([0.0, 0.0]) == 0


def test_effective_events_do_not_depend_on_the_scale() -> None:
    weight = np.random.default_rng(1).normal(1, 0.5, 1000)
    assert effective_events(1e-6 * weight) == pytest.approx(effective_events(weight), rel=1e-12)


def test_normalisation_by_hand() -> None:
    # 1.5 pb × 140/fb = 1.5 × 140 000 = 210 000 expected events, shared by 70 000 generated ones.
    assert normalisation(1.5, 140, 70_000) == pytest.approx(3.0)


@pytest.mark.parametrize(
    "settings", [(0, 140, 1), (1, -1, 1), (1, 140, 0), (np.nan, 1, 1), (1, np.inf, 1), (1, 1, -5)]
)
def test_normalisation_refuses_what_is_not_positive(settings: tuple[float, float, float]) -> None:
    with pytest.raises(WeightError, match="positive"):
        normalisation(*settings)


def test_balance_gives_equal_sums_and_mean_one() -> None:
    random = np.random.default_rng(2)
    labels = random.integers(0, 3, 3000).astype(np.int32)
    weight = random.exponential(size=3000) * np.array([1e-3, 1.0, 50.0])[labels]
    weight[::7] *= -0.2
    balanced = balance(weight, labels, ("a", "b", "c"))
    assert balanced.dtype == np.float32
    sums = np.bincount(labels, weights=balanced)
    np.testing.assert_allclose(sums, 1000, rtol=1e-5)
    assert (np.sign(balanced) == np.sign(weight)).all()


def test_balance_leaves_absent_classes_out() -> None:
    np.testing.assert_allclose(balance_factors([2.0, 0.0], [4, 0], ["a", "b"]), [2.0, 0.0])


@pytest.mark.parametrize(("total", "word"), [(0.0, "zero"), (-3.0, "negative"), (np.nan, "not finite")])
def test_balance_names_the_class_with_a_bad_total(total: float, word: str) -> None:
    with pytest.raises(WeightError, match=f"'top'.*{word}"):
        balance_factors([1.0, total], [5, 5], ["signal", "top"])


def test_weights_of_wrong_length_and_not_finite() -> None:
    with pytest.raises(WeightError, match=r"\(3,\) weights.*4 events"):
        check_weights(np.ones(3), 4, "the weights")
    with pytest.raises(WeightError, match=r"2 of 4.*entry 1"):
        check_weights(np.array([1, np.nan, np.inf, 1]), 4, "the weights")


def test_yields_add_up_and_scale() -> None:
    first = Yield.of("signal", np.array([1.0, 2.0]))
    second = Yield.of("signal", np.array([-1.0]))
    both = first + second
    assert (both.events, both.sum, both.sum_of_squares, both.negative) == (3, 2.0, 6.0, 1)
    assert both.effective == pytest.approx(4 / 6)
    assert both.scaled(10).sum == 20
    assert both.scaled(10).uncertainty == pytest.approx(10 * np.sqrt(6))
    assert both.scaled(10).effective == pytest.approx(both.effective)


def test_yields_table_is_aligned_and_names_what_exists() -> None:
    table = Yields([Yield.of("signal", np.ones(3)), Yield.of("a much longer name", np.full(2, 1e6))])
    lines = str(table).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert table.to_dict()["signal"]["sum"] == 3
    with pytest.raises(KeyError, match="signal"):
        table["signl"]
