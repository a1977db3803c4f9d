"""The study of the search for stops: trains, goes on where it was stopped, and its numbers fit together."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import susy
from benchmarks.susy import answers, formulas, page, plan
from benchmarks.susy.plan import COMPRESSED, UNCOMPRESSED, Case
from benchmarks.susy.samples import BACKGROUND, NAMES, TALK, Samples, parts
from benchmarks.susy.table import Cut, Row, rows, scores_of
from benchmarks.susy.training import least_share, share_of_tightest
from hepml_root.data.dataset import Dataset
from hepml_root.errors import SettingError
from hepml_root.evaluation import asimov_significance
from hepml_root.evaluation.best_cut import passes

STOPS = Path(__file__).resolve().parents[1] / "reference" / "stops"
CASE = Case(COMPRESSED, "shallow", "sample", 0.3)


def options(folder: Path, *more: str) -> list[str]:
    words = ["--fast", "--samples", str(STOPS), "--folder", str(folder), "--signals", COMPRESSED]
    return [*words, "--networks", "shallow", "--yields", "sample", "--seeds", "1", "--studies", *more]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> tuple[Path, list[dict]]:
    """The folder of a fast study of one systematic, and what it said."""
    folder = tmp_path_factory.mktemp("susy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "SYSTEMATICS", (CASE.systematic,))
        return folder, list(susy.run(options(folder)))


def test_every_training_is_kept(study):
    folder, said = study
    names = {CASE.training(loss, 1).name for loss in ("cross_entropy", "significance", "asimov")}
    assert {path.stem for path in folder.glob(f"{COMPRESSED}*.json")} == names
    for name in names:
        kept = json.loads((folder / f"{name}.json").read_text())
        assert kept["events"] == {"train": 260, "validation": 195, "test": 195}
        # All losses take as many passes over the events.
        assert kept["epochs"] == 4 + (2 if kept["loss"] != "cross_entropy" else 0)
    assert {one["unit"] for one in said} == {"s", "Z_A"}
    assert all(set(one) == {"name", "value", "unit", "reference", "ratio"} for one in said)


def test_the_numbers_of_a_row_fit_together(study):
    folder, _ = study
    found = rows(CASE, Samples(STOPS), folder)
    assert [row.loss for row in found] == ["cross_entropy", "significance", "asimov"]
    signal, background = Samples(STOPS).counts(CASE.signal, "sample")
    _, validation, test = parts(STOPS, CASE.signal)
    for row in found:
        (cut,) = row.cuts
        assert cut.asimov == pytest.approx(float(asimov_significance(cut.signal, cut.background, 0.3)))
        assert row.asimov == pytest.approx(cut.asimov)
        assert cut.chosen_on == "validation"
        assert cut.signal_error > 0
        assert cut.background_error > 0
        assert row.statistical > 0
        # Counted once more, from the stored scores and the weights of the file.
        scores = scores_of(CASE.training(row.loss, 1), folder)
        for part, data in (("validation", validation), ("test", test)):
            assert scores[part].shape == (len(data),)
        kept = passes(scores["test"], cut.threshold)
        is_signal = test.target[:, 0] > 0.5
        s = signal * test.weight[kept & is_signal].sum() / test.weight[is_signal].sum()
        b = background * test.weight[kept & ~is_signal].sum() / test.weight[~is_signal].sum()
        assert (cut.signal, cut.background) == pytest.approx((s, b))
        above = validation.weight[passes(scores["validation"], cut.threshold) & (validation.labels == 1)]
        assert above.sum() ** 2 / (above**2).sum() >= 10
    assert found[0].difference is None
    for row in found[1:]:
        assert row.difference == pytest.approx(row.asimov - found[0].asimov)
        assert row.difference_error > 0


def test_the_cut_does_not_look_at_test_events(study, monkeypatch):
    """With the test events in another order, so that their scores mean nothing, the cuts are the same."""
    folder, _ = study
    before = rows(CASE, Samples(STOPS), folder)
    learn, validation, test = parts(STOPS, CASE.signal)
    other = test[np.random.default_rng(1).permutation(len(test))]
    monkeypatch.setattr("benchmarks.susy.table.parts", lambda *_: (learn, validation, other))
    after = rows(CASE, Samples(STOPS), folder)
    assert [row.cuts[0].threshold for row in after] == [row.cuts[0].threshold for row in before]
    assert [row.asimov for row in after] != [row.asimov for row in before]


def test_nothing_is_trained_twice(study, monkeypatch):
    folder, said = study

    def never(*_: object) -> None:
        raise AssertionError("a finished training is not repeated")

    monkeypatch.setattr(plan, "perform", never)
    monkeypatch.setattr(plan, "SYSTEMATICS", (CASE.systematic,))
    again = list(susy.run(options(folder)))
    assert again == [one for one in said if one["unit"] == "Z_A"]
    # What a training that was stopped leaves is not taken for one.
    monkeypatch.undo()
    copy = folder / "stopped"
    copy.mkdir()
    for path in folder.glob("stop*.npz"):
        shutil.copy(path, copy)
    assert rows(CASE, Samples(STOPS), copy) == []


def test_other_settings_do_not_mix(study):
    folder, _ = study
    with pytest.raises(SystemExit, match="other expected"):
        list(susy.run([*options(folder), "--luminosity", "300"]))
    with pytest.raises(SystemExit, match="no samples"):
        list(susy.run(["--samples", str(folder)]))


def test_a_training_with_other_settings_is_refused(study, tmp_path, monkeypatch):
    folder, _ = study
    monkeypatch.setattr(plan, "SYSTEMATICS", (CASE.systematic,))
    for path in folder.glob("*.*"):
        shutil.copy(path, tmp_path)
    path = tmp_path / f"{CASE.training('asimov', 1).name}.json"
    kept = json.loads(path.read_text())
    kept["recipe"]["settings"]["asimov"]["learning_rate"] *= 2
    path.write_text(json.dumps(kept))
    with pytest.raises(SettingError, match=rf"1 trainings with other settings \({path.stem}"):
        list(susy.run(options(tmp_path)))


def test_the_page_has_it_all(study, tmp_path, monkeypatch):
    folder, said = study
    text = "".join(f"head {mark}\n<!-- {mark} -->\nold\n<!-- end of {mark} -->\n" for mark in page.MARKS)
    (tmp_path / "results").mkdir()
    path = tmp_path / "results" / "susy.md"
    path.write_text(text)
    monkeypatch.setattr(plan, "SYSTEMATICS", (CASE.systematic,))
    list(susy.run(options(folder, "--page", str(path))))
    written = path.read_text()
    assert "old" not in written
    assert written.count("head") == len(page.MARKS)
    (asimov,) = (row for row in rows(CASE, Samples(STOPS), folder) if row.loss == "asimov")
    assert f"| Asimov | {asimov.mean('signal'):.3g} ±" in written
    assert written.count("Not studied yet") == 7  # three questions of other cases, four studies
    assert (tmp_path / "images" / "susy_losses_shallow_sample.png").stat().st_size > 10_000
    results = json.loads((folder / page.RESULTS).read_text())
    printed = [one["value"] for one in said if one["unit"] == "Z_A"]
    assert [one["asimov"] for one in results["table"]] == pytest.approx(printed, abs=1e-4)


@pytest.mark.slow
def test_the_cut_travels(study, monkeypatch):
    """s and b of the exported network's working point, counted in RDataFrame and in C++, are the table's."""
    folder, _ = study
    monkeypatch.setattr(plan, "SYSTEMATICS", (CASE.systematic,))
    result = list(susy.run(options(folder, "--export")))
    counted = [one for one in result if one["unit"] == "expected events"]
    engines = ["RDataFrame"] + (["compiled C++"] if shutil.which("g++") else [])
    assert len(counted) == 2 * len(engines)
    # Scores may differ by rounding between engines; the cut is in a gap between two of them.
    assert [one["ratio"] for one in counted] == pytest.approx([1.0] * len(counted), rel=1e-9)


@pytest.mark.slow
def test_all_studies(tmp_path):
    """Two seeds with the studies: batch size, gradients, number of background events."""
    words = ["--fast", "--samples", str(STOPS), "--folder", str(tmp_path), "--networks", "shallow"]
    list(susy.run([*words, "--yields", "sample", "--seeds", "2"]))
    results = json.loads((tmp_path / page.RESULTS).read_text())
    # Signals × systematics × losses; signals × parts of the background × two losses.
    assert [len(results[name]) for name in ("table", "background")] == [18, 12]
    assert all(len(one["cuts"]) == 2 and one["spread"] >= 0 for one in results["table"])
    assert [one["least"] for one in results["holes"]] == [True, False]
    assert all(one["training"] > 0 and one["seeds"] == 2 for one in results["holes"])
    small, large = results["batch"]
    # The bias falls with one over the events of a batch, up to the cut that each training has.
    assert small["size"] < large["size"]
    assert small["scatter"] > 0
    gradients = results["gradients"]
    # At random weights the gradient shrinks with the uncertainty: the significance is s / (r b).
    norms = gradients["norms"][0]
    assert norms == sorted(norms, reverse=True)
    assert {len(one) for several in gradients["curves"].values() for one in several} == {6}


def test_the_least_background_is_what_ten_events_behind_a_cut_stand_for(study):
    """Ten of 40 even ones; with weights of 3 above, (3 n)² ≥ 10 · 9 n from n = 10 on, too; a heavy one in
    front of ten others, 100 + n, has ten effective events when (100 + n)² ≥ 10 (10 000 + n)."""
    score = np.linspace(1.0, 0.0, 40)
    assert share_of_tightest(np.ones(40), score) == pytest.approx(0.25)
    heavy = np.where(np.arange(40) < 10, 3.0, 1.0)
    assert share_of_tightest(heavy, score) == pytest.approx(0.5)
    many = np.r_[100.0, np.ones(999)]
    assert share_of_tightest(many, -np.arange(1000.0)) == pytest.approx((100 + 222) / 1099, rel=0.01)
    assert share_of_tightest(np.ones(5), score[:5]) == 1.0
    share = least_share(CASE.training("asimov", 1), Samples(STOPS), study[0])
    assert 10 / 250 < share < 1


def test_expected_events():
    samples = Samples(STOPS)
    for name in NAMES:
        made = samples.made(name)
        assert samples.expected(name, "sample") == pytest.approx(made["expected_events"])
        cross_section, efficiency = TALK[name]
        assert samples.expected(name, "talk") == pytest.approx(30 * cross_section * efficiency)
    # 31.2, 985.5 and 20762 events.
    assert samples.expected(BACKGROUND, "talk") == pytest.approx(20762.4)
    other = Samples(STOPS, {BACKGROUND: 422_000.0}, luminosity=60.0)
    assert other.counts(COMPRESSED, "talk") == pytest.approx((2 * 985.5, 20762.4), rel=1e-4)
    with pytest.raises(SettingError, match="ttbar-1l"):
        Samples(STOPS, {"ttbar": 1.0})
    with pytest.raises(SettingError, match="luminosity"):
        Samples(STOPS, luminosity=-1.0)


def test_parts_share_no_event():
    whole = parts(STOPS, UNCOMPRESSED)
    keys = [
        {(label, number) for label, number in zip(part.labels, part.event_number, strict=True)}
        for part in whole
    ]
    assert sum(map(len, keys)) == len(set.union(*keys)) == 650
    half = parts(STOPS, UNCOMPRESSED, 0.5)

    def count(data: Dataset, name: str) -> int:
        return int((data.labels == data.classes.index(name)).sum())

    assert sum(count(part, "background") for part in half) == 125
    assert sum(count(part, "signal") for part in half) == 400


def test_the_plan_trains_what_does_not_depend_once():
    """A cross entropy knows neither systematic nor yields, s/√(s+b) not the systematic."""
    table = plan.cases(yields=("sample", "talk"))
    wanted = plan.trainings(table, 5)
    numbers = {loss: sum(one.loss == loss for one in wanted) for loss in ("cross_entropy", "significance")}
    # Signals × networks × seeds, and × yields.
    assert numbers == {"cross_entropy": 20, "significance": 40}
    assert len(wanted) == 20 + 40 + 120
    assert len({one.name for one in plan.trainings(table, 5, plan.STUDIES)}) == len(
        plan.trainings(table, 5, plan.STUDIES)
    )


def row(loss: str, asimov: float, spread: float, against: float | None, case: Case) -> Row:
    cuts = tuple(
        Cut(seed, 0.9, "validation", 10.0, 1.0, 5.0, 1.0, 30.0, asimov, 0.1, 0.05 * seed, seed / 2)
        for seed in (1, 2, 3, 4)
    )
    difference = None if against is None else asimov - against
    return Row(case, loss, cuts, asimov, 0.1, spread, difference, None if against is None else 0.2)


def test_answers_follow_the_numbers():
    def table(case: Case, *values: float) -> list[Row]:
        names = ("cross_entropy", "significance", "asimov")
        return [
            row(name, value, 0.2, None if name == "cross_entropy" else values[0], case)
            for name, value in zip(names, values, strict=True)
        ]

    easy = Case(UNCOMPRESSED, "shallow", "sample", 0.1)
    assert "**yes**" in answers.agreement([table(easy, 5.0, 5.1, 4.8)])[0]
    assert "**no**" in answers.agreement([table(easy, 5.0, 5.1, 5.5)])[0]
    hard = Case(COMPRESSED, "shallow", "talk", 0.5)
    for values, verdict in (
        ((1.55, 4.8, 6.2), "yes"),
        ((2.0, 4.8, 3.0), "ahead of the cross entropy only"),
        ((2.0, 2.0, 2.3), "no clear winner"),
        ((3.0, 2.0, 2.3), "no, it loses"),
    ):
        (said,) = answers.victory([table(hard, *values)])
        assert f"**{verdict}**" in said
        assert answers.agreement([table(hard, *values)]) == []
    shares = [
        [row("asimov", value, 0.2, None, Case(COMPRESSED, "shallow", "sample", 0.5, share))]
        for share, value in ((0.5, 2.0), (1.0, 2.9))
    ]
    (said,) = answers.enough_background(shares)
    # Errors: 0.1 of the test sample, 0.2/√4 of the mean over the seeds.
    assert "+0.90, more than 2 errors (0.14 each)" in said
    assert shares[0][0].error == pytest.approx(math.hypot(0.1, 0.1))
    assert "cross entropy 1.25 ± 0.65, " in answers.not_chosen([table(hard, 5.0, 5.1, 4.8)])[0]
    assert "cross entropy: at most 20 %" in answers.divided([table(easy, 5.0, 5.1, 4.8)])[0]


def test_pictures_without_events(tmp_path):
    said = list(formulas.write(tmp_path))
    assert len(list(tmp_path.glob("significance_*.png"))) == 3
    # The larger the uncertainty, the purer the best cut.
    purities = [float(one["reference"].split("s/b ")[1]) for one in said]
    assert purities == sorted(purities)
    assert formulas.needed(5.0, 0.3) < formulas.needed(5.0, 0.5)
