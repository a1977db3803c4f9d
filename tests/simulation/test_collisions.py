"""Generation: the same content by every road, provenance, resuming, what is refused."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time

import awkward as ak
import numpy as np
import pytest
import uproot

import hepml_root as hr
from hepml_root.errors import (
    ColumnNotFoundError,
    CorruptFileError,
    OutputExistsError,
    OutputWriteError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
)
from hepml_root.simulation import Branch, Sample, find, generate, names, provenance, sample
from hepml_root.simulation.chunks import seeds

from .conftest import JETS


def arrays(path, tree="jets"):
    return uproot.open(path)[tree].arrays()


@pytest.fixture(scope="module")
def three_chunks(quick, tmp_path_factory):
    """30 jets in chunks of 12, in this process."""
    return generate(quick, tmp_path_factory.mktemp("three") / "jets.root", events=30, seed=4, processes=0)


def test_the_number_of_processes_changes_nothing(three_chunks, quick, tmp_path):
    path = generate(quick, tmp_path / "two.root", events=30, seed=4, processes=2)
    assert ak.array_equal(arrays(path), arrays(three_chunks), dtype_exact=True)
    assert provenance(path) == provenance(three_chunks)


def test_a_shorter_sample_is_the_beginning_of_a_longer_one(three_chunks, quick, tmp_path):
    path = generate(quick, tmp_path / "short.root", events=17, seed=4, processes=0)
    assert ak.array_equal(arrays(path), arrays(three_chunks)[:17])
    assert arrays(three_chunks).event_number.to_list() == list(range(30))


def test_another_seed_gives_other_events(three_chunks, quick, tmp_path):
    path = generate(quick, tmp_path / "other.root", events=12, seed=5, processes=0)
    assert not np.any(np.isin(arrays(path).jet_pt, arrays(three_chunks).jet_pt))


def test_chunks_and_samples_have_seeds_of_their_own():
    top, qcd = find("top-jets"), find("qcd-jets")
    drawn = {seeds(one, seed, number)[0] for one in (top, qcd) for seed in (1, 2) for number in range(50)}
    assert len(drawn) == 200
    assert min(drawn) >= 1
    assert max(drawn) <= 900_000_000
    assert seeds(top, 1, 0)[0] == seeds(top, 1, 0)[0]
    assert seeds(top, 1, 0)[1].random() == seeds(top, 1, 0)[1].random()


def test_rdataframe_reads_what_uproot_reads(jet_files):
    import ROOT

    frame = ROOT.RDataFrame("jets", str(jet_files["top"]))
    types = {str(name): frame.GetColumnType(name) for name in frame.GetColumnNames()}
    assert types["constituent_pt"] == "ROOT::VecOps::RVec<Float_t>"
    assert types["constituent_pdg"] == "ROOT::VecOps::RVec<Int_t>"
    assert types["event_number"] == "ULong64_t"
    assert types["jet_mass"] == "Float_t"
    events = arrays(jet_files["top"])
    # One loop; a compilation for each type of a column.
    values = frame.AsNumpy(["event_number", "jet_mass", "jet_tau2", "constituent_pt", "constituent_charge"])
    for name, read in values.items():
        if name.startswith("constituent_"):
            assert [list(row) for row in read] == events[name].to_list(), name
        else:
            assert np.array_equal(read, ak.to_numpy(events[name])), name


def test_every_branch_is_there(jet_files):
    tree = uproot.open(jet_files["qcd"])["jets"]
    branches = find("qcd-jets").branches
    assert set(tree.keys()) == {"event_number", "nconstituent", *(branch.name for branch in branches)}
    for branch in branches:
        content = tree[branch.name].array()
        assert str(ak.flatten(content, axis=None).type.content) == branch.dtype
        assert content.ndim == (2 if branch.group else 1)
        assert np.all(np.isfinite(ak.flatten(content, axis=None)))
        assert branch.meaning


def test_provenance(jet_files):
    made = hr.simulation.provenance(jet_files["top"])
    assert (made["sample"], made["events"], made["seed"], made["tree"]) == ("top-jets", JETS, 1, "jets")
    assert made["versions"]["pythia8mc"].startswith("8.")
    assert "PhaseSpace:pTHatMin = 500." in made["pythia"]
    assert made["detector"]["magnetic_field"] == 3.8
    # Top pairs with 500 < p̂T < 750 GeV, hadronic: below 1 pb at leading order; QCD: below 1 nb.
    assert 0.5 < made["cross_section_pb"] < 1.0
    assert 0 < made["cross_section_error_pb"] < 0.1 * made["cross_section_pb"]
    assert 0.2 < made["filter_efficiency"] < 0.6
    assert made["filter_efficiency"] == JETS / made["generated"]
    assert made["selected_cross_section_pb"] == pytest.approx(
        made["cross_section_pb"] * made["filter_efficiency"]
    )
    assert 500 < provenance(jet_files["qcd"])["cross_section_pb"] < 1000


def test_the_cross_section_has_what_pythia_does_not_know(quick, tmp_path):
    made = []
    for factor in (1.0, 0.25):
        sample = dataclasses.replace(quick, cross_section_factor=factor)
        path = generate(sample, tmp_path / f"{factor}.root", events=2, processes=0)
        made.append(provenance(path))
    for name in ("cross_section_pb", "cross_section_error_pb", "selected_cross_section_pb"):
        assert made[1][name] == pytest.approx(made[0][name] / 4)
    assert made[1]["cross_section_factor"] == 0.25
    assert made[1]["filter_efficiency"] == made[0]["filter_efficiency"]


def test_root_reads_the_provenance(jet_files):
    import ROOT

    file = ROOT.TFile.Open(str(jet_files["qcd"]))
    assert '"sample": "qcd-jets"' in str(file.Get("provenance").GetString())
    file.Close()


def test_provenance_of_other_files(tmp_path):
    with pytest.raises(SourceNotFoundError):
        provenance(tmp_path / "none.root")
    (tmp_path / "text.root").write_text("no ROOT file")
    with pytest.raises(CorruptFileError, match="no file that"):
        provenance(tmp_path / "text.root")
    with uproot.recreate(tmp_path / "other.root") as file:
        file["something"] = "else"
    with pytest.raises(CorruptFileError, match="no file that"):
        provenance(tmp_path / "other.root")


STOPPED = """
import dataclasses, sys
from hepml_root.simulation import find, generate
quick = dataclasses.replace(find("qcd-jets"), chunk=12, batch=30)
try:
    generate(quick, sys.argv[1], events=36, seed=4, processes=1)
except KeyboardInterrupt as stop:
    print(stop)
    sys.exit(130)
"""


def test_ctrl_c_leaves_nothing_under_the_name_and_is_resumed(three_chunks, quick, tmp_path):
    path = tmp_path / "jets.root"
    process = subprocess.Popen([sys.executable, "-c", STOPPED, str(path)], stdout=subprocess.PIPE, text=True)
    first = tmp_path / "jets.root.unfinished" / "chunk-000000.npz"
    deadline = time.monotonic() + 120
    while not first.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "--resume (resume=True) continues it" in output
    assert not path.exists()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["jets.root.unfinished"]

    with pytest.raises(OutputExistsError, match="unfinished"):
        generate(quick, path, events=36, seed=4, processes=0)
    with pytest.raises(OutputExistsError, match="other settings"):
        generate(quick, path, events=36, seed=9, processes=0, resume=True)
    generate(quick, path, events=36, seed=4, processes=0, resume=True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["jets.root"]
    assert ak.array_equal(arrays(path)[:30], arrays(three_chunks), dtype_exact=True)
    assert provenance(path)["events"] == 36


def test_resuming_makes_only_what_is_missing(three_chunks, quick, tmp_path, monkeypatch):
    import hepml_root.simulation.collisions as collisions

    made = []

    def counting(sample, seed, number, rows, progress=None):
        made.append(number)
        if len(made) == 2:
            raise KeyboardInterrupt
        return make(sample, seed, number, rows, progress)

    make = collisions.make_chunk
    monkeypatch.setattr(collisions, "make_chunk", counting)
    with pytest.raises(KeyboardInterrupt, match="resume"):
        generate(quick, tmp_path / "jets.root", events=30, seed=4, processes=0)
    assert made == [0, 1]
    made.extend([9] * 2)  # past the interruption
    generate(quick, tmp_path / "jets.root", events=30, seed=4, processes=0, resume=True)
    assert made[4:] == [1, 2]
    assert ak.array_equal(arrays(tmp_path / "jets.root"), arrays(three_chunks))


def test_the_cache(quick, tmp_path, monkeypatch):
    quick = dataclasses.replace(quick, chunk=4, batch=6)
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path))
    path = sample(quick, events=5, seed=2, processes=0)
    assert path.parent == tmp_path / "samples"
    made = path.stat().st_mtime_ns
    assert sample(quick, events=5, seed=2, processes=0) == path
    assert path.stat().st_mtime_ns == made
    assert sample(quick, events=5, seed=2, settings={"radius": 0.8}, processes=0) == path
    others = {
        sample(quick, events=4, seed=2, processes=0),
        sample(quick, events=5, seed=2, settings={"detector.magnetic_field": 2}, processes=0),
        sample(dataclasses.replace(quick, version=99), events=5, seed=2, processes=0),
    }
    assert len(others | {path}) == 4


def test_settings_reach_pythia_the_detector_and_the_selection():
    changed = find("top-jets").with_settings(
        {
            "PartonLevel:MPI": True,
            "detector.magnetic_field": "2",
            "detector.hcal_resolution": "[0, 1, 0]",
            "match": 0.5,
        }
    )
    assert changed.pythia[-1] == "PartonLevel:MPI = on"
    assert changed.detector.magnetic_field == 2.0
    assert changed.detector.hcal_resolution == (0, 1, 0)
    assert changed.options["match"] == 0.5
    assert find("top-jets").options["match"] == 0.8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"radios": 1.0}, "no option 'radios'. Nearest: 'radius'"),
        ({"radius": "wide"}, "'wide' cannot be taken"),
        ({"detector.magnetic": 1.0}, "no parameter of the detector 'magnetic'. Nearest: 'magnetic_field'"),
        ({"detector.hcal_resolution": "[[1]]"}, "cannot be taken"),
        ({"Beams:eCN": 13000}, "Pythia does not take the setting 'Beams:eCN = 13000'"),
        ({"Beams:eCM": 1.0}, "Pythia cannot start"),
    ],
)
def test_wrong_settings(settings, message, tmp_path):
    with pytest.raises(SettingError, match=message.replace("[", r"\[")):
        generate("top-jets", tmp_path / "jets.root", events=1, settings=settings, processes=0)
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused(tmp_path, jet_files):
    for wrong in ({"events": 0}, {"events": 1.5}, {"events": 1, "seed": -1}, {"events": 1, "processes": -1}):
        with pytest.raises(SettingError, match="must be a whole number"):
            generate("top-jets", tmp_path / "jets.root", **wrong)
    with pytest.raises(SettingError, match="no sample 'tops'"):
        generate("tops", tmp_path / "jets.root", events=1)
    with pytest.raises(OutputExistsError):
        generate("top-jets", jet_files["top"], events=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputWriteError):
        generate("top-jets", tmp_path / "file" / "jets.root", events=1)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_an_error_in_a_worker_is_the_callers(tmp_path):
    with pytest.raises(SettingError, match="Pythia does not take the setting"):
        generate("top-jets", tmp_path / "jets.root", events=1, settings={"No:such": 1}, processes=1)
    assert list(tmp_path.iterdir()) == []


def images(batch, options):
    """Each collision once: a fixed array, and a jagged one that is sometimes empty."""
    number = len(batch)
    pt = batch.final.pt[batch.final.pt > options["pt_min"]]
    grid = np.arange(number * 6, dtype=float).reshape(number, 2, 3)
    return {"grid": grid, "hard_pt": pt, "number": ak.num(pt)}, np.arange(number)


def own_sample(**changes):
    one = Sample(
        name="own",
        title="a sample of the test's own",
        pythia=("HardQCD:all = on", "PhaseSpace:pTHatMin = 50.", "PartonLevel:MPI = off"),
        branches=(
            Branch("grid", "a fixed array", shape=(2, 3)),
            Branch("hard_pt", "pt of hard particles", "GeV", group="hard"),
            Branch("number", "how many", dtype="int32"),
        ),
        columns=images,
        options={"pt_min": 25.0},
        chunk=20,
        batch=20,
    )
    return dataclasses.replace(one, **changes)


def test_a_sample_of_ones_own_with_arrays_of_fixed_size(tmp_path):
    import ROOT

    path = generate(own_sample(), tmp_path / "own.root", events=30, seed=1, processes=0)
    events = arrays(path, "events")
    assert events.grid.to_numpy().shape == (30, 2, 3)
    assert 0 < ak.sum(events.number == 0) < 30
    assert ak.all(ak.num(events.hard_pt) == events.number)
    assert ak.all(ak.flatten(events.hard_pt) > 25)
    assert provenance(path)["filter_efficiency"] == 1
    frame = ROOT.RDataFrame("events", str(path))
    assert list(frame.Take["int"]("nhard").GetValue()) == events.number.to_list()
    assert [list(row) for row in frame.AsNumpy(["grid"])["grid"]][1] == list(range(6, 12))


def nothing(batch, options):
    columns, _ = images(batch, options)
    return {name: values[:0] for name, values in columns.items()}, []


def test_a_selection_that_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("hepml_root.simulation.chunks.HOPELESS", 40)
    with pytest.raises(hr.errors.EmptySelectionError, match="none is selected"):
        generate(own_sample(columns=nothing), tmp_path / "own.root", events=1, processes=0)
    assert list(tmp_path.iterdir()) == []


def test_what_is_wrong_with_a_sample_of_ones_own(tmp_path):
    def forgetful(batch, options):
        columns, events = images(batch, options)
        return {name: values for name, values in columns.items() if name != "number"}, events

    def uneven(batch, options):
        columns, events = images(batch, options)
        return {**columns, "hard_eta": batch.final.eta}, events

    with pytest.raises(ColumnNotFoundError, match=r"branch 'number'.* it gives: grid, hard_pt"):
        generate(own_sample(columns=forgetful), tmp_path / "own.root", events=1, processes=0)
    branches = (*own_sample().branches, Branch("hard_eta", "their eta", group="hard"))
    with pytest.raises(ShapeError, match=r"'hard_eta' has not as many values .* group 'hard'"):
        generate(own_sample(columns=uneven, branches=branches), tmp_path / "own.root", events=1, processes=0)
    with pytest.raises(SettingError, match="'eta' belongs to the group 'hard': call it 'hard_"):
        Branch("eta", "their eta", group="hard")
    assert list(tmp_path.iterdir()) == []


def test_hooks_and_efficiency(tmp_path):
    kept = []

    def prepare(pythia, options):
        kept.append((pythia, options["pt_min"]))
        return kept

    def every_other(batch, options):
        columns, events = images(batch, options)
        return {name: values[1::2] for name, values in columns.items()}, events[1::2]

    one = own_sample(prepare=prepare, columns=every_other)
    path = generate(one, tmp_path / "own.root", events=20, seed=1, processes=0)
    assert len(kept) == 1
    # 20 rows of every second collision: 40 collisions up to the last row, wherever the batches end.
    assert provenance(path)["generated"] == 40
    with pytest.raises(SettingError, match="cannot be sent to other processes"):
        generate(one, tmp_path / "again.root", events=20, seed=1, processes=1)


def test_all_samples_are_described():
    for name in names():
        one = find(name)
        assert one.name == name
        assert one.title
        assert one.reference
        branches = [branch.name for branch in one.branches]
        assert len(branches) == len(set(branches))
        for branch in one.branches:
            assert branch.meaning
            assert not branch.group or branch.name.startswith(f"{branch.group}_")
