"""``hepml-root generate``: what it writes and prints, and what it refuses with exit code 2."""

from __future__ import annotations

import sys

import pytest
import uproot

from hepml_root.cli.commands import main
from hepml_root.simulation import provenance
from hepml_root.simulation.sample_file import PROVENANCE

from .test_bad_input import refused

pytest.importorskip("pythia8mc", reason="needs the extra 'physics'")


def test_generate_writes_a_sample(tmp_path, capsys):
    path = tmp_path / "jets.root"
    arguments = ["generate", "qcd-jets", "--events", "3", "--seed", "5", "--processes", "1", "-o", str(path)]
    assert main([*arguments, "--set", "jet_eta = 1.5", "--overwrite"]) == 2
    said = capsys.readouterr()
    assert "no option 'jet_eta'" in said.err
    assert main([*arguments, "--set", "eta_max=1.5", "--set", "PartonLevel:MPI=on"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "3 events of qcd-jets in tree 'jets'" in said.out
    assert "(leading order)" in said.out
    with uproot.open(path) as file:
        assert file["jets"].num_entries == 3
        assert set(file.keys(cycle=False)) == {"jets", PROVENANCE}
    made = provenance(path)
    assert made["seed"] == 5
    assert made["options"]["eta_max"] == 1.5
    assert made["pythia"][-1] == "PartonLevel:MPI = on"
    assert [one.name for one in tmp_path.iterdir()] == ["jets.root"]


def test_list(capsys):
    assert main(["generate", "--list"]) == 0
    assert "top-jets" in capsys.readouterr().out
    assert main(["generate", "--list", "qcd-jets"]) == 0
    said = capsys.readouterr().out
    for word in ("jet_softdrop_mass", "constituent_pt", "[GeV]", "pt_min = 550.0", "HardQCD:all", "3.8 | T"):
        assert word in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["top-jet", "--events", "3"], ["no sample 'top-jet'", "'top-jets'"]),
        (["top-jets", "--events", "0"], ["events must be a whole number from 1", "got 0"]),
        (["top-jets", "--events", "3", "--seed", "-1"], ["seed must be a whole number from 0"]),
        (["top-jets"], ["--events N missing", "--list"]),
        ([], ["SAMPLE", "--events N"]),
        (["top-jets", "--events", "3", "--set", "match"], ["--set", "KEY=VALUE", "match"]),
        (["top-jets", "--events", "3", "--set", "PartonLevel:MPII=on"], ["PartonLevel:MPII", "manual"]),
        (
            ["top-jets", "--events", "3", "--set", "detector.field=2"],
            ["no parameter of the detector 'field'"],
        ),
    ],
)
def test_bad_requests(arguments, words, tmp_path, capfd):
    refused(capfd, words, ["generate", *arguments, "-o", str(tmp_path / "jets.root")])
    assert list(tmp_path.iterdir()) == []


def test_existing_and_unwritable_outputs(tmp_path, capfd):
    path = tmp_path / "jets.root"
    path.write_text("kept")
    request = ["generate", "top-jets", "--events", "3", "-o"]
    refused(capfd, ["exists already", "--overwrite"], [*request, str(path)])
    assert path.read_text() == "kept"
    refused(capfd, ["is a folder"], [*request, str(tmp_path)])
    refused(capfd, ["cannot write"], [*request, str(path / "inside.root")])
    assert [one.name for one in tmp_path.iterdir()] == ["jets.root"]


@pytest.mark.parametrize("missing", ["pythia8mc", "fastjet"])
def test_without_the_extra(missing, tmp_path, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)  # importing it now fails
    words = [missing, "pip install 'hepml_root[physics]'"]
    refused(capfd, words, ["generate", "top-jets", "--events", "3", "-o", str(tmp_path / "jets.root")])
    assert list(tmp_path.iterdir()) == []
