"""Lazy datasets: the same numbers as in memory, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest
import uproot

import hepml_root as hr
from hepml_root.data import parameters, stream, survey
from hepml_root.errors import (
    ColumnNotFoundError,
    CorruptFileError,
    EmptySelectionError,
    NonFiniteInputError,
    NotInMemoryError,
    SettingError,
    WeightError,
)


def lazy(toy: SimpleNamespace, **settings: object) -> hr.data.LazyDataset:
    return hr.Dataset.from_root(
        toy.sources,
        **({"inputs": ["x", "b-tag"], "weight": "w", "event_number": "event"} | settings),
        lazy=True,
    )


def seen(batches: hr.data.Stream, column: int = 0) -> np.ndarray:
    return np.concatenate([X["features"][:, column] for X, _, _ in batches])


class TestSums:
    def test_yields_and_balance_as_in_memory(self, toy: SimpleNamespace) -> None:
        settings = {"cut": "x > 0", "cross_section": 1.0, "luminosity": 20}
        data = lazy(toy, **settings)
        whole = hr.Dataset.from_root(
            toy.sources, inputs=["x", "b-tag"], weight="w", event_number="event", **settings
        )
        assert len(data) == len(whole)
        for name in data.classes:
            mine, its = data.yields()[name], whole.yields()[name]
            assert (mine.events, mine.negative) == (its.events, its.negative)
            assert mine.sum == pytest.approx(its.sum, rel=1e-9)
            assert mine.effective == pytest.approx(its.effective, rel=1e-9)
        assert data.describe()["inputs"] == whole.describe()["inputs"]
        assert data.lazy
        assert not whole.lazy

    def test_split_by_event_number_as_in_memory(self, toy: SimpleNamespace) -> None:
        whole = hr.Dataset.from_root(toy.sources, inputs=["x", "b-tag"], weight="w", event_number="event")
        mine = lazy(toy).split(0.3, seed=5, validation=0.1, by="event_number")
        its = whole.split(0.3, seed=5, validation=0.1, by="event_number")
        for part, expected in zip(mine, its, strict=True):
            loaded = part.load()
            np.testing.assert_array_equal(loaded.event_number, expected.event_number)
            np.testing.assert_array_equal(loaded.X["features"], expected.X["features"])
            np.testing.assert_allclose(loaded.weight, expected.weight, rtol=1e-9)
            np.testing.assert_allclose(loaded.training_weight, expected.training_weight, rtol=1e-5)
            assert loaded.describe()["provenance"]["split"] == expected.describe()["provenance"]["split"]

    def test_split_by_position(self, toy: SimpleNamespace) -> None:
        train, test = lazy(toy).split(0.25, seed=2)
        numbers = np.concatenate([train.load().event_number, test.load().event_number])
        assert sorted(numbers.tolist()) == sorted(toy.both["event"].tolist())
        assert abs(len(test) - 1250) < 5 * np.sqrt(5000 * 0.25 * 0.75)
        for part in (train, test):
            for name, tree in (("signal", toy.sig), ("background", toy.bkg)):
                assert part.yields()[name].sum == pytest.approx(tree["w"].sum(dtype=np.float64), rel=1e-6)

    def test_a_split_of_a_split(self, toy: SimpleNamespace) -> None:
        train, _ = lazy(toy).split(0.3, by="event_number")
        inner, validation = train.split(0.2, by="event_number")
        assert len(inner) + len(validation) == len(train)
        assert abs(len(validation) - 0.2 * len(train)) < 5 * np.sqrt(0.16 * len(train))
        assert inner.describe()["provenance"]["split"]["of"]["part"] == "train"

    @pytest.mark.parametrize("by", [None, "event_number"])
    def test_folds(self, toy: SimpleNamespace, by: str | None) -> None:
        folds = lazy(toy).folds(3, by=by)
        tested = []
        for index, (train, test) in enumerate(folds):
            loaded = test.load()
            assert len(train) + len(test) == 5000
            assert not set(train.load().event_number.tolist()) & set(loaded.event_number.tolist())
            tested += loaded.event_number.tolist()
            if by:
                assert (folds.fold_of(loaded) == index).all()
                assert (folds.fold_of(loaded.event_number) == index).all()
            assert abs(len(test) - 5000 / 3) < 5 * np.sqrt(5000 * 2 / 9)
        assert sorted(tested) == sorted(toy.both["event"].tolist())
        with pytest.raises(NotInMemoryError):
            folds.fold_of()

    def test_folds_by_event_number_as_in_memory(self, toy: SimpleNamespace) -> None:
        whole = hr.Dataset.from_root(toy.sources, inputs=["x"], event_number="event")
        for (_, mine), (_, its) in zip(
            lazy(toy).folds(4, seed=3, by="event_number"),
            whole.folds(4, seed=3, by="event_number"),
            strict=True,
        ):
            np.testing.assert_array_equal(mine.load().event_number, its.event_number)

    def test_arrays_are_not_in_memory(self, toy: SimpleNamespace) -> None:
        with pytest.raises(NotInMemoryError, match=r"'X'.*load\(\)"):
            _ = lazy(toy).X
        assert not hasattr(lazy(toy), "weight")

    def test_one_pass_serves_all_parts(self, toy: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
        data = lazy(toy)
        train, test = data.split(0.3)
        passes = []
        run = survey.Survey._run
        monkeypatch.setattr(survey.Survey, "_run", lambda self: (passes.append(1), run(self))[1])
        assert len(train) + len(test) == len(data)
        assert len(passes) == 1

    def test_sample(self, toy: SimpleNamespace) -> None:
        data = lazy(toy)
        sample = data.sample(1000)
        assert abs(len(sample) - 1000) < 5 * np.sqrt(800)
        assert set(sample.event_number.tolist()) <= set(toy.both["event"].tolist())
        assert sample.yields()["signal"].sum == pytest.approx(data.yields()["signal"].sum)
        assert len(data.sample(100_000)) == 5000

    def test_max_events(self, toy: SimpleNamespace) -> None:
        data = lazy(toy, max_events=100)
        assert len(data) == 200
        np.testing.assert_array_equal(
            np.sort(seen(data.stream())), np.sort(np.r_[toy.sig["x"][:100], toy.bkg["x"][:100]])
        )

    def test_nothing_is_read_before_it_is_needed(self, toy: SimpleNamespace) -> None:
        """Opening, splitting and showing do not look at the weights: a bad one is found by the first sum."""
        data = lazy(toy, weight="-abs(w)")
        data.split(0.3)
        assert "features (2,)" in repr(data)
        with pytest.raises(WeightError, match="negative"):
            data.stream()


class TestStream:
    @pytest.mark.parametrize("buffer_events", [64, 1000, 10_000])
    def test_each_event_once_an_epoch_with_its_own_target_and_weight(
        self, toy: SimpleNamespace, buffer_events: int
    ) -> None:
        whole = hr.Dataset.from_root(toy.sources, inputs=["x", "b-tag"], weight="w", event_number="event")
        place = {tuple(row): index for index, row in enumerate(whole.X["features"].tolist())}
        batches = lazy(toy).stream(batch_size=32, buffer_events=buffer_events, epochs=2)
        assert batches.steps_per_epoch == -(-5000 // 32)
        rows = []
        for X, target, weight in batches:
            index = np.array([place[tuple(row)] for row in X["features"].tolist()])
            np.testing.assert_array_equal(X["features"], whole.X["features"][index])
            np.testing.assert_array_equal(target, whole.target[index])
            np.testing.assert_allclose(weight, whole.training_weight[index], rtol=1e-5)
            rows += index.tolist()
        assert len(rows) == 10_000
        for epoch in (rows[:5000], rows[5000:]):
            assert sorted(epoch) == list(range(5000))
        assert rows[:5000] != rows[5000:]

    def test_seed(self, toy: SimpleNamespace) -> None:
        def order(seed: int) -> list[float]:
            return seen(lazy(toy).stream(batch_size=64, buffer_events=500, seed=seed)).tolist()

        assert order(1) == order(1)
        assert order(1) != order(2)

    def test_the_order_does_not_depend_on_blocks(
        self, toy: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = seen(lazy(toy).stream(batch_size=64, buffer_events=500))
        limited = survey.limited
        from hepml_root.data import part_reader

        monkeypatch.setattr(part_reader, "limited", lambda plan, recipe: limited(plan, recipe, 77))
        np.testing.assert_array_equal(seen(lazy(toy).stream(batch_size=64, buffer_events=500)), expected)

    def test_a_buffer_for_all_shuffles_fully(self, toy: SimpleNamespace) -> None:
        """Spearman's correlation of the place in the file with the place in the stream: 0 ± 1/√n."""
        batches = lazy(toy, inputs=["n := double(event - 1152921504606846976)"]).stream(
            batch_size=100, buffer_events=5000
        )
        ranks = np.argsort(np.argsort(seen(batches)))
        assert abs(np.corrcoef(ranks, np.arange(5000))[0, 1]) < 4 / np.sqrt(5000)

    def test_classes_are_mixed_from_first_to_last(self, toy: SimpleNamespace) -> None:
        """Each batch of n events has n·0.4 ± √(n·0.24) of signal, though the files hold one class each."""
        batches = lazy(toy).stream(batch_size=100, buffer_events=600)
        signal = np.array([target.sum() for _, target, _ in batches])
        assert signal.sum() == 2000
        assert (np.abs(signal - 40) < 5 * np.sqrt(24)).all()
        assert signal.std() < 1.3 * np.sqrt(24)

    def test_a_small_buffer_still_mixes_neighbours(self, toy: SimpleNamespace) -> None:
        order = seen(
            lazy(toy, inputs=["n := double(event - 1152921504606846976)"]).stream(
                batch_size=50, buffer_events=1000
            )
        )
        signal = order[order < 10**6]
        neighbours = np.abs(np.diff(signal)) == 1
        assert neighbours.mean() < 0.02
        # An event stays in a buffer of 1000 for about as many events: 400 of them are signal.
        shift = signal - np.arange(2000)
        assert 50 < np.abs(shift).mean() < 800

    def test_training_weights_are_balanced(self, toy: SimpleNamespace) -> None:
        train, _ = lazy(toy).split(0.3)
        target = np.concatenate([y[:, 0] for _, y, _ in train.stream()])
        weight = np.concatenate([w for _, _, w in train.stream()])
        assert weight.dtype == np.float32
        for label in (0, 1):
            assert weight[target == label].sum() == pytest.approx(len(train) / 2, rel=1e-4)

    def test_chunks_are_whole_batches(self, toy: SimpleNamespace) -> None:
        sizes = [len(target) for _, target, _ in lazy(toy).stream(batch_size=96, buffer_events=2000).chunks()]
        assert all(size % 96 == 0 for size in sizes[:-1])
        assert sum(sizes) == 5000

    def test_drop_last(self, toy: SimpleNamespace) -> None:
        batches = lazy(toy).stream(batch_size=300, buffer_events=1000, drop_last=True)
        assert [len(target) for _, target, _ in batches] == [300] * 16

    def test_stopping_early_ends_the_thread(self, toy: SimpleNamespace) -> None:
        import threading

        batches = iter(lazy(toy).stream(batch_size=10, buffer_events=100, epochs=None))
        next(batches)
        assert any(thread.name == "hepml_root stream" for thread in threading.enumerate())
        batches.close()
        assert not any(thread.name == "hepml_root stream" for thread in threading.enumerate())

    def test_errors_of_the_thread_arrive(self, toy: SimpleNamespace) -> None:
        batches = lazy(toy, inputs=["root := sqrt(y)"]).stream(batch_size=10, buffer_events=100)
        with pytest.raises(NonFiniteInputError, match="'root := sqrt"):
            list(batches)

    def test_a_file_that_changes_is_noticed(self, tmp_path: Path) -> None:
        def write(events: int) -> None:
            with uproot.recreate(tmp_path / "changing.root") as file:
                for name in ("a", "b"):
                    file.mktree(name, {"x": "float32"}).extend({"x": np.ones(events, dtype=np.float32)})

        write(300)
        path = f"{tmp_path / 'changing.root'}"
        data = hr.Dataset.from_root({"a": f"{path}:a", "b": f"{path}:b"}, inputs=["x"], lazy=True)
        batches = data.stream(batch_size=10, buffer_events=100)
        write(200)
        with pytest.raises(CorruptFileError, match="200 events where they had 300"):
            list(batches)

    def test_data_frames(self, toy: SimpleNamespace) -> None:
        import ROOT

        frame = ROOT.RDataFrame("sig", toy.path).Define("z", "x + y").Filter("x > 0")
        data = hr.Dataset.from_root(
            {"signal": frame, "background": toy.sources["background"]}, inputs=["x"], lazy=True
        )
        values = seen(data.stream(batch_size=64, buffer_events=500, epochs=2))
        expected = np.r_[toy.sig["x"][toy.sig["x"] > 0], toy.bkg["x"]]
        np.testing.assert_array_equal(np.sort(values), np.sort(np.r_[expected, expected]))

    def test_classes_that_are_filters_of_one_data_frame(self, toy: SimpleNamespace) -> None:
        """Their event loops are one and the same: it must never run for both at a time."""
        import ROOT

        frame = ROOT.RDataFrame("bkg", toy.path).Define("z", "2 * x")
        sources = {"signal": frame.Filter("x > 0.5"), "background": frame.Filter("x <= 0.5")}
        data = hr.Dataset.from_root(sources, inputs=["x", "z"], lazy=True)
        first, second = (iter(data.stream(batch_size=50, buffer_events=200)) for _ in range(2))
        values = []
        for (X, target, _), (others, _, _) in zip(first, second, strict=True):
            np.testing.assert_array_equal(X["features"][:, 0] > 0.5, target[:, 0] == 1)
            values += others["features"][:, 0].tolist()
        np.testing.assert_array_equal(np.sort(values), np.sort(toy.bkg["x"]))

    def test_multiclass_regression_and_jagged(
        self, toy: SimpleNamespace, jagged_file: tuple[str, ak.Array]
    ) -> None:
        sources = {"a": toy.sources["signal"], "b": toy.sources["background"], "c": toy.sources["signal"]}
        data = hr.Dataset.from_root(sources, inputs=["x"], lazy=True)
        target = np.concatenate([y for _, y, _ in data.stream(batch_size=64, buffer_events=500)])
        assert target.sum(axis=0).tolist() == [2000, 3000, 2000]
        data = hr.Dataset.from_root(
            f"{jagged_file[0]}:events",
            inputs=["met", "jet"],
            targets=["half"],
            max_length={"jet": 6},
            lazy=True,
        )
        for X, y, _ in data.stream(batch_size=16, buffer_events=48):
            np.testing.assert_array_equal(X["constituents_mask"].sum(axis=1), 2 * y[:, 0])
            assert (X["constituents"][..., 0] > 0).sum() == X["constituents_mask"].sum()

    def test_wide_rows_make_the_buffer_smaller(
        self, jagged_file: tuple[str, ak.Array], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = hr.Dataset.from_root(
            f"{jagged_file[0]}:events", inputs=["jet"], targets=["half"], max_length={"jet": 6}, lazy=True
        )
        monkeypatch.setattr(stream, "BUFFER_BYTES", 1000)
        # 6 floats, 6 bytes of mask, target, weight: 38 bytes a row
        assert data.stream(batch_size=4, buffer_events=90).buffer_events == 1000 // 38

    def test_parameters_are_drawn(self, toy: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(survey, "_TABLE_ROWS", 500)
        data = lazy(toy, parameters={"mX": {"signal": "mass", "background": None}}, weight=None)
        mass, target = [], []
        for X, y, _ in data.stream(batch_size=64):
            mass.append(X["parameters"][:, 0])
            target.append(y[:, 0])
        mass, target = np.concatenate(mass), np.concatenate(target)
        np.testing.assert_array_equal(np.sort(mass[target == 1]), np.sort(toy.sig["mass"]))
        heavy = (toy.sig["mass"] == 400).mean()
        # The table was thinned to at most 500 rows.
        assert abs((mass[target == 0] == 400).mean() - heavy) < 5 * np.sqrt(0.25 / 250)
        again = lazy(toy, parameters={"mX": {"signal": "mass", "background": None}}, weight=None).load()
        other = lazy(
            toy, parameters={"mX": {"signal": "mass", "background": None}}, weight=None, seed=2
        ).load()
        np.testing.assert_array_equal(np.sort(again.X["parameters"][2000:, 0]), np.sort(mass[target == 0]))
        assert (again.X["parameters"] != other.X["parameters"]).any()


class TestBadSettings:
    def test_refused(self, toy: SimpleNamespace) -> None:
        with pytest.raises(SettingError, match="in memory"):
            lazy(toy).split(0.3, mode="block")
        with pytest.raises(SettingError, match=r"'evnt'.*event_number"):
            lazy(toy).split(0.3, by="evnt")
        with pytest.raises(SettingError, match="fraction"):
            lazy(toy).split(100)
        with pytest.raises(SettingError, match="buffer_events"):
            lazy(toy).stream(buffer_events=0)
        with pytest.raises(EmptySelectionError, match="'signal' is empty"):
            lazy(toy, cut={"signal": "x > 100"}).stream()
        with pytest.raises(ColumnNotFoundError, match="'xx'"):
            lazy(toy, inputs=["xx"]).stream()


def test_table_draws_do_not_depend_on_the_sample() -> None:
    table = parameters.ParameterTable(np.array([[1.0], [2.0]], dtype=np.float32), np.array([1.0, 3.0]))
    drawn = table.draw(0, np.arange(10_000), seed=1)
    np.testing.assert_array_equal(table.draw(0, np.arange(5000, 10_000), seed=1), drawn[5000:])
    assert abs((drawn == 2).mean() - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 10_000)


MEMORY = """
import sys
import hepml_root as hr

def private() -> float:
    with open("/proc/self/status") as status:
        return sum(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024

path, most = sys.argv[1], 0.0
inputs = [f"x{i}" for i in range(20)]
data = hr.Dataset.from_root({"a": path + ":a", "b": path + ":b"}, inputs, lazy=True)
before, events = private(), 0
for X, target, weight in data.stream(batch_size=1000, buffer_events=20_000):
    events += len(target)
    if events % 10_000 == 0:
        most = max(most, private())
print(events, most - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A file four times as long takes no more memory: the bound is the buffer, the blocks and the baskets."""
    random = np.random.default_rng(1)
    used = []
    for events in (50_000, 200_000):
        path = str(tmp_path / f"long_{events}.root")
        with uproot.recreate(path, compression=None) as file:
            for name in ("a", "b"):
                tree = file.mktree(name, {f"x{i}": "float32" for i in range(20)})
                for _ in range(events // 10_000):
                    tree.extend({f"x{i}": random.normal(size=10_000).astype(np.float32) for i in range(20)})
        result = subprocess.run(
            [sys.executable, "-c", MEMORY, path], capture_output=True, text=True, check=True
        )
        read, memory = result.stdout.split()[-2:]
        assert int(read) == 2 * events
        used.append(float(memory))
    # The longer file holds 32 MB; each run may differ by a few MB of the allocator's.
    assert used[1] < used[0] + 12
    assert used[1] < 60
