"""The comparison of generators: what is trained is kept, and the page says what the numbers are."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fastsim
from benchmarks.fastsim import entries, page, plan, rates, results, sample, training
from benchmarks.fastsim.entries import GENERATORS, MEAN, REFERENCES, SHUFFLED, SOURCE
from benchmarks.fastsim.judging import DRAWN, HIGH, LOW, TREES
from benchmarks.fastsim.training import Study

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def showers(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("showers") / "showers.root"
    sample.small(path)
    return path


def test_the_parts_share_no_shower_and_lack_what_is_left_out(showers):
    parts = sample.parts(showers)
    low, high = sample.HELD_OUT
    for part in (parts.train, parts.validation):
        energy = part.condition("energy")
        assert not ((energy >= low) & (energy <= high)).any()
    everything = [parts.train, parts.validation, parts.test, parts.again]
    energies = np.concatenate([part.condition("energy") for part in everything])
    assert len(np.unique(energies)) == len(energies)
    # A ninth of the energies is left out of some half of the showers.
    assert 1350 < len(energies) < 1500
    ends = parts.train.condition("energy").min(), parts.train.condition("energy").max()
    assert all(ends[0] <= part.condition("energy").min() for part in everything)
    assert all(part.condition("energy").max() <= ends[1] for part in everything)
    test = parts.test.condition("energy")
    assert ((test >= low) & (test <= high)).sum() > 20  # the least of a bin


def test_references_are_what_they_say(showers):
    parts = sample.parts(showers)
    mean = entries.mean_shower(parts.train, parts.test)
    share = mean.energies / mean.condition("energy")[:, None]
    # Cells that are above the threshold in all showers are in proportion to the energy.
    always = (mean.energies > 0).all(axis=0)
    np.testing.assert_allclose(share[:, always].std(axis=0), 0, atol=1e-6)
    shuffled = entries.shuffled_cells(parts.train, parts.test)
    assert (shuffled.conditions == parts.test.conditions).all()

    def total(part):
        return part.energies.sum(axis=1) / part.condition("energy")

    # Shuffling keeps every cell's distribution: means within six of their errors, with those of the test.
    errors = np.sqrt(2) * parts.test.energies.std(axis=0) / np.sqrt(len(parts.test)) + 1e-6
    away = np.abs(shuffled.energies.mean(axis=0) - parts.test.energies.mean(axis=0))
    assert (away < 6 * errors).all()
    # It loses that the energies of all cells add up to that of the particle: 1 % becomes some 20 %.
    assert total(shuffled).std() > 3 * total(parts.test).std()


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> tuple[Path, list[dict]]:
    """The folder of a fast study of one generator, and what it said."""
    folder = tmp_path_factory.mktemp("fastsim")
    with pytest.MonkeyPatch.context() as patch:
        # That takes a dozen seconds, half of them to compile; the slow test has all rows.
        patch.setattr(plan, "REFERENCES", {})
        return folder, list(fastsim.run(["--fast", "--generators", "flow", "--folder", str(folder)]))


def test_a_generator_is_trained_judged_and_timed(study):
    if shutil.which("g++") is None:
        pytest.skip("needs a C++ compiler")
    folder, said = study
    assert all(set(one) == {"name", "value", "unit", "reference", "ratio"} for one in said)
    kept = {path.name for path in folder.iterdir()}
    files = {"flow.json", "flow.keras", "flow.onnx", "flow_judged.json", "flow_rates.json"}
    assert files <= kept
    trained = json.loads((folder / "flow.json").read_text())
    assert trained["epochs"] == 2
    assert trained["seconds"] > 0
    parts = sample.parts(folder / "showers.root")
    assert trained["showers"] == len(parts.train)
    judged = json.loads((folder / "flow_judged.json").read_text())
    assert judged["showers"] == len(parts.test)
    assert set(judged["auc"]) == {LOW, TREES}
    assert all(0 <= one["value"] <= 1 and one["error"] >= 0 for one in judged["auc"].values())
    assert set(judged["histograms"]) == set(DRAWN)
    response = judged["response"]
    assert sum(response["held_out"]) == 1
    at = response["held_out"].index(True)
    assert response["edges"][at] == list(sample.HELD_OUT)
    # The worst of the trained and of the other energies are among the ratios of the bins.
    for what in ("response", "resolution"):
        away = np.array(response[f"{what}_ratio"]) - 1
        others = np.delete(away, at)
        assert judged["worst"]["held_out"][what][0] == pytest.approx(away[at])
        assert judged["worst"]["trained"][what][0] == pytest.approx(others[np.argmax(np.abs(others))])
    measured = json.loads((folder / "flow_rates.json").read_text())
    assert min(measured[name] for name in ("source", "keras", "onnxruntime", "cpp")) > 0
    by_name = {one["name"]: one for one in said}
    against = by_name["fastsim, flow: cpp, and Geant4"]
    assert against["ratio"] == pytest.approx(measured["cpp"] / 4, rel=1e-2)


def test_the_same_particles_give_the_showers_that_were_judged(study):
    """The generated showers are those of a seed, of the particles of the test, in C++."""
    if shutil.which("g++") is None:
        pytest.skip("needs a C++ compiler")
    import hepml_root as hr

    folder, _ = study
    data = sample.parts(folder / "showers.root")
    made = hr.ShowerGenerator(folder / "flow.onnx").sample(data.test, seed=1)
    judged = json.loads((folder / "flow_judged.json").read_text())
    hits = judged["histograms"]["hits"]["second"]
    inside = np.histogram((made.energies >= made.geometry.threshold).sum(axis=1), hits["edges"])[0]
    assert inside.tolist() == hits["values"]


def test_nothing_is_made_twice_and_nothing_is_mixed(study, monkeypatch):
    folder, said = study

    def never(*_: object) -> None:
        raise AssertionError("what is finished is not repeated")

    monkeypatch.setattr(plan, "REFERENCES", {})
    monkeypatch.setattr(plan, "perform", never)
    monkeypatch.setattr(rates, "measure", never)
    words = ["--fast", "--generators", "flow", "--folder", str(folder)]
    assert list(fastsim.run(words)) == [one for one in said if "all of it" not in one["name"]]
    with pytest.raises(SystemExit, match="other minutes"):
        list(fastsim.run([*words, "--minutes", "1"]))
    changed = replace(GENERATORS["flow"], settings={"steps": 4})
    monkeypatch.setitem(GENERATORS, "flow", changed)
    with pytest.raises(SystemExit, match="settings of 'flow'"):
        list(fastsim.run(words))


def test_no_showers(tmp_path):
    with pytest.raises(SystemExit, match="no showers"):
        list(fastsim.run(["--folder", str(tmp_path), "--sample", str(tmp_path / "none.root")]))


def test_the_plan_begins_with_teachers(tmp_path, monkeypatch):
    student = replace(GENERATORS["flow"], name="student", teacher="vae")
    monkeypatch.setitem(GENERATORS, "student", student)
    assert plan.wanted(["student", "flow"])[:3] == ["vae", "student", "flow"]
    study = Study(tmp_path / "showers.root", tmp_path, 1.0)
    assert not plan._may_begin("student", study)
    (tmp_path / "vae.json").write_text("{}")
    assert plan._may_begin("student", study)


def judged(auc: float, response: float, resolution: float) -> dict:
    """What a comparison would have found."""
    energy = [20.0, 50.0, 80.0]
    ratio = {"response_ratio": [1.0, 1.0, 1 + response], "resolution_ratio": [1.0, 1.0, 1 + resolution]}
    errors = {f"{name}_error": [0.001] * 3 for name in ratio}
    drawn = {"edges": [0.0, 0.5, 1.0], "values": [1.0, 3.0], "underflow": 0.0, "overflow": 0.0, "entries": 4}
    histogram = {"title": "x", "unit": "", "logarithmic": False, "first": drawn, "second": drawn}
    return {
        "showers": 100,
        "auc": {name: {"value": auc, "error": 0.01} for name in (LOW, HIGH, TREES)},
        "wasserstein": 0.1,
        "wasserstein_floor": 0.05,
        "quantities": {"energy": 0.2, "hits": 0.1},
        "worst": {
            "trained": {"response": [response, 0.001], "resolution": [resolution, 0.02]},
            "held_out": {"response": [0.0, 0.001], "resolution": [None, None]},
        },
        "response": {"energy": energy, **ratio, **errors},
        "histograms": dict.fromkeys(DRAWN, histogram),
    }


def test_the_page_says_what_the_numbers_are(tmp_path):
    """On numbers that are written by hand: one generator reaches all aims, one none."""
    study = Study(tmp_path / "showers.root", tmp_path, 7.0)
    (tmp_path / "study.json").write_text(
        json.dumps({"sample": {"events": 400, "geometry": "lar-3"}, "showers": None, "fast": False})
    )
    record = {
        "seconds": 414.0,
        "seconds_of_all": 600.0,
        "epochs": 9,
        "best_epoch": 8,
        "showers": 190,
        "parameters": 12345,
    }
    for name, found, cpp in (("flow", (0.6, -0.008, 0.04), 2e4), ("wgan", (0.9, 0.02, -0.2), 5e3)):
        (tmp_path / f"{name}_judged.json").write_text(json.dumps(judged(*found)))
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
        speeds = {"source": 1000.0, "keras": 2000.0, "onnxruntime": 4000.0, "cpp": cpp}
        (tmp_path / f"{name}_rates.json").write_text(json.dumps(speeds))
    (tmp_path / "source_judged.json").write_text(json.dumps(judged(0.5, 0.001, 0.01)))
    found = results.read(["flow", "wgan", "vae", SOURCE, MEAN], study)
    assert [row.name for row in found.rows] == ["flow", "wgan", SOURCE]

    (tmp_path / "results").mkdir()
    path = tmp_path / "results" / "fastsim.md"
    shutil.copy(ROOT / "docs" / "results" / "fastsim.md", path)
    text = path.read_text()
    assert all(text.count(f"<!-- {mark} -->") == text.count(f"<!-- end of {mark} -->") == 1
               for mark in page.MARKS)  # fmt: skip
    page.write(path, found)
    text = path.read_text()
    assert "2 generators, 1 more are not trained yet; 400 showers in lar-3, 100 of them" in text
    assert "| coupling flow | 0.600 ± 0.010 | 0.600 ± 0.010 | 0.600 ± 0.010 | −0.8 ± 0.1 % |" in text
    # Of energies that were left out there is no resolution: the cell is empty.
    assert "| WGAN-GP | 0.900 ± 0.010 | 0.900 ± 0.010 | 0.900 ± 0.010 | +2.0 ± 0.1 % | −20.0 ± 2.0 %" in text
    assert "| +0.0 ± 0.1 % |  | 0.100 |" in text
    assert "| coupling flow | 2 000 | 4 000 | 20 000 | 1 000 | 20 | 5 000 |" in text
    assert "| WGAN-GP | 2 000 | 4 000 | 5 000 | 1 000 | 5.0 | 1 200 |" in text
    assert "| coupling flow | 6.9 | 10.0 | 9 | 9 | 190 | 12,345 |" in text
    assert text.count("**reached**") == 4
    assert "- all of them at once: coupling flow." in text
    assert "Not measured yet" not in text
    for name in page.PICTURES:
        assert (tmp_path / "images" / f"{name}.png").stat().st_size > 10_000
        assert f"(../images/{name}.png)" in text
    lines = {one["name"]: one for row in found.rows for one in row.lines()}
    assert lines["fastsim, wgan: largest deviation of the resolution"]["value"] == 0.2
    # One generator alone reaches less: the sentences follow.
    less = list(page._aims(replace(found, rows=found.rows[1:])))
    assert sum("**not reached**" in line for line in less) == 4
    assert less[-1] == "- all of them at once: no generator."


def test_the_page_in_the_documentation_has_figures_of_a_whole_study_or_none():
    text = (ROOT / "docs" / "results" / "fastsim.md").read_text()
    assert "--fast" not in text.split("<!-- state -->")[1].split("<!-- end of state -->")[0]


@pytest.mark.slow
def test_all_generators(tmp_path):
    """Every entry of the table trains, is exported, judged, and timed; two at a time, in processes."""
    path = tmp_path / "results" / "fastsim.md"
    path.parent.mkdir()
    shutil.copy(ROOT / "docs" / "results" / "fastsim.md", path)
    folder = tmp_path / "folder"
    list(fastsim.run(["--fast", "--jobs", "2", "--folder", str(folder), "--page", str(path)]))
    study = Study(folder / "showers.root", folder, 7.0, fast=True)
    assert all(study.has(name) for name in [*GENERATORS, *REFERENCES])
    text = path.read_text()
    table = text.split("<!-- quality -->")[1].split("<!-- end of quality -->")[0]
    titles = [entry.title for entry in GENERATORS.values() if entry.sampled] + list(REFERENCES.values())
    assert [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("|")][2:] == titles
    found = {row.name: row for row in results.read([*GENERATORS, *REFERENCES], study).rows}
    # Trees tell two samples without any correlation between cells, or without any fluctuation, at once.
    for name in (SHUFFLED, MEAN):
        assert found[name].high_level > 0.9
        assert found[name].judged["wasserstein"] > 3 * found[SOURCE].judged["wasserstein"]


def test_a_failed_training_leaves_nothing_that_looks_finished(showers, tmp_path, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(training, "_trained", broken)
    study = Study(showers, tmp_path, 1.0, fast=True)
    with pytest.raises(RuntimeError, match="disk is full"):
        training.perform("flow", study)
    assert not study.has("flow")
    assert list(tmp_path.iterdir()) == []


def test_a_teacher_that_cannot_be_sampled_is_trained_only(showers, tmp_path, monkeypatch):
    def never(*_: object) -> None:
        raise AssertionError("it has no showers to judge")

    monkeypatch.setattr(training, "_showers_of", never)
    name = "masked_flow"
    assert GENERATORS["student"].teacher == name
    assert not GENERATORS[name].sampled
    study = Study(showers, tmp_path, 1.0, fast=True)
    assert not study.has(name)
    training.perform(name, study)
    assert study.has(name)
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.json", f"{name}.keras"}
    (tmp_path / "study.json").write_text("{}")
    found = results.read([name], study)
    assert (found.rows, found.wanted) == ([], 0)
