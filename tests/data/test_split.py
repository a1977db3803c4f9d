"""Splits: folds fixed once and for all, exact counts, TMVA's modes."""

from __future__ import annotations

import numpy as np
import pytest

import hepml_root as hr
from hepml_root.data.split import KFold, SplitRule, set_aside, split_key, splitmix64, uniform_hash
from hepml_root.errors import ColumnTypeError, EmptySelectionError, SettingError, ShapeError

FOLDS_OF_0_TO_11 = [1, 4, 3, 2, 4, 3, 0, 2, 0, 0, 3, 1]


def dataset(signal: int = 40, background: int = 60, **settings: object) -> hr.Dataset:
    events = signal + background
    return hr.Dataset.from_arrays(
        np.arange(events, dtype=np.float32)[:, None],
        np.repeat([0, 1], [signal, background]),
        classes=("signal", "background"),
        columns=["position"],
        event_number=1000 + np.arange(events),
        **settings,
    )


def position(data: hr.Dataset) -> np.ndarray:
    return data.column("position").astype(int)


def reference_splitmix64(x: int) -> int:
    """The definition, in whole numbers of Python."""
    modulus = 2**64
    z = (x + 0x9E3779B97F4A7C15) % modulus
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % modulus
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % modulus
    return z ^ (z >> 31)


class TestHash:
    def test_published_values(self) -> None:
        # First outputs of the reference generator seeded with 1234567, whose state grows by the golden gamma.
        state, gamma = 1234567, 0x9E3779B97F4A7C15
        states = np.array([(state + i * gamma) % 2**64 for i in range(3)], dtype=np.uint64)
        assert splitmix64(states).tolist() == [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423,
        ]

    def test_against_whole_numbers(self) -> None:
        numbers = [0, 1, 2**63 - 1, 2**64 - 1, 123456789]
        assert splitmix64(np.array(numbers, dtype=np.uint64)).tolist() == [
            reference_splitmix64(n) for n in numbers
        ]

    def test_negative_numbers_are_twos_complements(self) -> None:
        assert splitmix64(np.array([-1])) == splitmix64(np.array([2**64 - 1], dtype=np.uint64))

    def test_types_of_one_number_agree(self) -> None:
        key = split_key(5)
        expected = uniform_hash(np.array([7, 8], dtype=np.int64), key)
        for kind in (np.uint64, np.int32, np.uint32, np.int16):
            np.testing.assert_array_equal(uniform_hash(np.array([7, 8], dtype=kind), key), expected)

    def test_uniform(self) -> None:
        u = uniform_hash(np.arange(100_000), split_key(1))
        counts = np.histogram(u, bins=50, range=(0, 1))[0]
        chi2 = ((counts - 2000) ** 2 / 2000).sum()
        assert 20 < chi2 < 100  # 49 degrees of freedom
        assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 5 / np.sqrt(100_000)

    def test_the_input_is_left_alone(self) -> None:
        numbers = np.arange(5, dtype=np.uint64)
        splitmix64(numbers)
        np.testing.assert_array_equal(numbers, np.arange(5))


class TestByEventNumber:
    def test_folds_stay_what_they_are(self) -> None:
        """A promise: an event is in the same fold in every version and on every machine."""
        folds = dataset().folds(5, seed=1, by="event_number")
        assert folds.fold_of(np.arange(12)).tolist() == FOLDS_OF_0_TO_11
        expected = [
            int((reference_splitmix64(e ^ reference_splitmix64(1)) >> 11) / 2**53 * 5) for e in range(12)
        ]
        assert expected == FOLDS_OF_0_TO_11

    def test_same_event_same_part_in_any_sample(self) -> None:
        data = dataset(400, 600)
        shuffled = data[np.random.default_rng(3).permutation(len(data))[:700]]
        in_test = set(data.split(0.3, by="event_number")[1].event_number.tolist())
        _, test = shuffled.split(0.3, by="event_number")
        assert set(test.event_number.tolist()) == in_test & set(shuffled.event_number.tolist())

    def test_sizes_are_right_on_average(self) -> None:
        data = dataset(10_000, 10_000)
        train, validation, test = data.split(0.3, validation=0.2, by="event_number")
        for part, fraction in ((train, 0.5), (validation, 0.2), (test, 0.3)):
            assert abs(len(part) - 20_000 * fraction) < 5 * np.sqrt(20_000 * fraction * (1 - fraction))

    def test_a_second_split_with_the_same_seed_is_independent(self) -> None:
        """Otherwise the validation part of a training part would be empty, or a fixed corner of it."""
        train, _ = dataset(5000, 5000).split(0.3, seed=1, by="event_number")
        _, validation = train.split(0.2, seed=1, by="event_number")
        expected = 0.2 * len(train)
        assert abs(len(validation) - expected) < 5 * np.sqrt(expected * 0.8)

    def test_spectator_of_whole_numbers(self) -> None:
        data = dataset(spectators={"run": np.arange(100) * 1.0, "mass": np.linspace(0, 1, 100)})
        train, test = data.split(0.5, by="run")
        assert len(train) + len(test) == 100
        with pytest.raises(ColumnTypeError, match="'mass' is no event number"):
            data.split(0.5, by="mass")

    def test_rounded_numbers_are_refused(self) -> None:
        """As float64 these 100 events have 5 numbers, and land in the same part in their hundreds."""
        numbers = (2**58 + 3 * np.arange(100)).astype(np.float64)
        assert len(np.unique(numbers)) < 10
        with pytest.raises(ColumnTypeError, match=r"'run' is no event number.*rounded"):
            dataset(spectators={"run": numbers}).split(0.5, by="run")

    def test_without_event_number(self) -> None:
        data = hr.Dataset.from_arrays(np.zeros((4, 1)), [0, 1, 0, 1])
        with pytest.raises(SettingError, match="event_number"):
            data.split(0.5, by="event_number")


class TestSetAside:
    def test_entries_of_one_event_stay_together(self) -> None:
        """Three candidates of each event: none of an event is trained on and another validated with."""
        number = np.arange(3000) // 3
        data = hr.Dataset.from_arrays(np.zeros((3000, 1)), np.arange(3000) % 2, event_number=number)
        by_number, _ = data.split(0.3, by="event_number")
        again, _ = by_number.split(0.2)
        for part in (by_number, again):
            train, validation = set_aside(part, 0.2, seed=1)
            assert set(train.event_number).isdisjoint(validation.event_number)
            assert abs(len(validation) - 0.2 * len(part)) < 100

    def test_by_position_where_nothing_was_said(self) -> None:
        train, validation = set_aside(dataset(100, 200), 0.2, seed=1)
        assert np.bincount(train.labels).tolist() == [80, 160]
        assert len(validation) == 60


class TestByPosition:
    def test_random_is_stratified_and_exact(self) -> None:
        train, validation, test = dataset(40, 60).split(test=0.3, validation=0.25)
        for part, sizes in ((train, (18, 27)), (validation, (10, 15)), (test, (12, 18))):
            assert np.bincount(part.labels).tolist() == list(sizes)
        everything = np.concatenate([position(part) for part in (train, validation, test)])
        assert sorted(everything) == list(range(100))

    def test_random_does_not_depend_on_numpy(self) -> None:
        """The test events are those with the smallest splitmix64(position ^ key), worked out here anew."""
        _, test = dataset(20, 20).split(test=0.25, seed=7)
        expected = []
        for label in (0, 1):
            key = reference_splitmix64(reference_splitmix64(7) ^ reference_splitmix64(label + 1))
            ranked = sorted(range(20), key=lambda i, key=key: reference_splitmix64(i ^ key))
            expected += sorted(20 * label + i for i in ranked[:5])
        assert position(test).tolist() == expected

    def test_seed_decides(self) -> None:
        data = dataset(200, 200)
        first, again, other = (position(data.split(0.5, seed=seed)[1]) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        common = len(set(first) & set(other))
        assert 70 < common < 130  # 100 expected of 200

    def test_alternate_deals_out_in_turn(self) -> None:
        train, test = dataset(6, 4).split(test=0.5, mode="alternate")
        assert position(train).tolist() == [0, 2, 4, 6, 8]
        assert position(test).tolist() == [1, 3, 5, 7, 9]

    def test_alternate_with_a_full_part(self) -> None:
        train, test = dataset(10, 10).split(test={"signal": 3, "background": 7}, mode="alternate")
        assert position(train).tolist() == [0, 2, 4, 6, 7, 8, 9, 10, 12, 14]
        assert position(test).tolist() == [1, 3, 5, 11, 13, 15, 16, 17, 18, 19]

    def test_block_takes_the_first_events_to_train(self) -> None:
        train, validation, test = dataset(10, 20).split(test=0.3, validation=0.1, mode="block")
        assert position(train).tolist() == [*range(6), *range(10, 22)]
        assert position(validation).tolist() == [6, 22, 23]
        assert position(test).tolist() == [7, 8, 9, *range(24, 30)]

    def test_numbers_of_events(self) -> None:
        train, test = dataset(10, 20).split(test=4)
        assert np.bincount(test.labels).tolist() == [4, 4]
        assert len(train) == 22

    def test_validation_only(self) -> None:
        train, validation = dataset().split(test=0, validation=0.1)
        assert (len(train), len(validation)) == (90, 10)

    def test_regression_has_no_classes_to_stratify(self) -> None:
        data = hr.Dataset.from_arrays(np.arange(10.0)[:, None], target=np.arange(10.0))
        train, test = data.split(0.3)
        assert (len(train), len(test)) == (7, 3)
        np.testing.assert_array_equal(train.target[:, 0], train.X["features"][:, 0])


class TestBadSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"test": 1.5}, r"\[0, 1\)"),
            ({"test": -0.1}, r"\[0, 1\)"),
            ({"test": 0.6, "validation": 0.5}, "nothing to train on"),
            ({"test": 50}, "more than that"),
            ({"test": -3}, "negative"),
            ({"test": {"signal": 3}}, "'background'"),
            ({"test": "0.3"}, "expected a fraction"),
            ({"mode": "alternating"}, "alternate"),
            ({"seed": -1}, "not negative"),
            ({"seed": 0.5}, "whole number"),
            ({"by": "event_number", "mode": "block"}, "one of the two"),
            ({"by": "event_number", "test": 5}, "takes a fraction"),
        ],
    )
    def test_refused_with_a_reason(self, settings: dict, message: str) -> None:
        with pytest.raises(SettingError, match=message):
            dataset().split(**settings)

    def test_a_part_without_a_class(self) -> None:
        with pytest.raises(EmptySelectionError, match=r"test part.*'signal'"):
            dataset(2, 60).split(test=0.1)

    def test_rule_is_json(self) -> None:
        assert SplitRule({"a": 1}, 0.2).to_dict()["test"] == {"a": 1}


class TestWeightsOfParts:
    def test_each_part_has_the_full_yield(self) -> None:
        weight = np.random.default_rng(4).exponential(size=100)
        data = dataset(weight=weight)
        for part in data.split(0.3, validation=0.2):
            for name in data.classes:
                assert part.yields()[name].sum == pytest.approx(data.yields()[name].sum)

    def test_unless_that_is_not_wanted(self) -> None:
        data = dataset(weight=np.full(100, 0.5))
        train, test = data.split(0.3, renormalise=False)
        assert train.weight.sum() + test.weight.sum() == pytest.approx(50)

    def test_weights_that_only_count_stay_one(self) -> None:
        train, test = dataset().split(0.3)
        assert (train.weight == 1).all()
        assert (test.weight == 1).all()
        assert dataset().split(0.3, renormalise=True)[1].weight.sum() == pytest.approx(100)

    def test_training_weights_are_balanced_anew(self) -> None:
        data = dataset(weight=np.random.default_rng(5).exponential(size=100))
        for part in data.split(0.3):
            sums = np.bincount(part.labels, weights=part.training_weight)
            np.testing.assert_allclose(sums, len(part) / 2, rtol=1e-5)

    def test_unbalanced_training_weights_keep_the_ratio(self) -> None:
        data = dataset(weight=np.repeat([1.0, 5.0], [40, 60]), balance=False)
        train, _ = data.split(0.5)
        assert train.training_weight.mean() == pytest.approx(1)
        assert train.training_weight[-1] == pytest.approx(5 * train.training_weight[0])

    def test_the_rule_is_recorded(self) -> None:
        train, _ = dataset().split(0.3, seed=5, by="event_number")
        inner, _ = train.split(0.2)
        described = inner.describe()["provenance"]["split"]
        assert described["part"] == "train"
        assert described["of"]["seed"] == 5
        assert described["of"]["by"] == "event_number"
        assert described["of"]["hash"] == "splitmix64"


class Constant:
    """A model whose score is its own number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def predict(self, X: dict, verbose: int = 0) -> np.ndarray:  # noqa: ARG002
        return np.full((len(X["features"]), 1), self.number, dtype=np.float32)


class TestFolds:
    @pytest.mark.parametrize("by", [None, "event_number"])
    def test_every_event_is_tested_once_by_the_model_that_has_not_seen_it(self, by: str | None) -> None:
        data = dataset(50, 73)
        folds = data.folds(4, by=by)
        tested = []
        for index, (train, test) in enumerate(folds):
            assert not set(position(train)) & set(position(test))
            assert len(train) + len(test) == len(data)
            assert (folds.fold_of(data)[position(test)] == index).all()
            tested += position(test).tolist()
        assert sorted(tested) == list(range(len(data)))
        scores = folds.predict([Constant(i) for i in range(4)])
        assert scores.shape == (123, 1)
        np.testing.assert_array_equal(scores[:, 0], folds.fold_of())

    def test_folds_by_position_are_equal_in_each_class(self) -> None:
        data = dataset(50, 73)
        for _, test in data.folds(4):
            sizes = np.bincount(test.labels)
            assert abs(sizes[0] - 12.5) < 1
            assert abs(sizes[1] - 18.25) < 1

    def test_later_events_meet_the_same_fold(self) -> None:
        folds = dataset(50, 50).folds(3, by="event_number")
        later = dataset(20, 10)
        np.testing.assert_array_equal(folds.fold_of(later), folds.fold_of(later.event_number))
        own = folds.predict(
            [Constant(i) for i in range(3)], later, predict=lambda model, data: model.predict(data.X)
        )
        np.testing.assert_array_equal(own[:, 0], folds.fold_of(later))

    def test_later_events_need_an_event_number(self) -> None:
        with pytest.raises(SettingError, match="by='event_number'"):
            dataset().folds(3).fold_of(dataset())

    def test_bad_settings(self) -> None:
        with pytest.raises(SettingError, match="at least 2"):
            dataset().folds(1)
        with pytest.raises(SettingError, match="'signal' has 3 events"):
            dataset(3, 60).folds(5)
        with pytest.raises(ShapeError, match="3 folds need 3 models"):
            dataset().folds(3).predict([Constant(0)])
        with pytest.raises(IndexError):
            KFold(dataset(), 3)[3]
