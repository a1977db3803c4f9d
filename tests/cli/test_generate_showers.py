"""``hepml-root generate`` of showers: files, options, processes, resuming, what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import uproot

import hepml_root as hr
from hepml_root.cli.commands import main
from hepml_root.data.geometry import Geometry, geometry
from hepml_root.errors import OutputExistsError, SettingError
from hepml_root.simulation import find, generate, provenance
from hepml_root.simulation.calorimeter import BLOCK

from .test_bad_input import refused


def small() -> dict[str, str]:
    return {"geometry": "si-w-10", "energy": "2:5"}


def test_generate_writes_showers(tmp_path, capsys):
    path = tmp_path / "showers.root"
    arguments = ["generate", "photon-showers", "--geometry", "si-w-10", "--events", "70", "--processes", "1"]
    arguments += ["--set", "energy=2:5", "--set", "x = -5:5", "-o", str(path)]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "70 events of photon-showers in tree 'showers'" in said.out
    assert said.err == ""
    with uproot.open(path) as file:
        tree = file["showers"]
        assert tree.num_entries == 70
        assert set(tree.keys()) == {"event_number", "energy", "x", "ncell", "cell_index", "cell_energy"}
        assert tree["event_number"].array().tolist() == list(range(70))
    made = hr.Showers.from_root(path)
    assert made.labels == ("energy", "x")
    assert made.geometry == geometry("si-w-10")
    energy, x = made.conditions.T
    assert 2 <= energy.min() < energy.max() <= 5
    assert -5 <= x.min() < 0 < x.max() <= 5
    # A photon of 2 GeV and more leaves most of its energy.
    assert np.median(made.total_energies() / energy) > 0.8
    said = provenance(path)
    assert said["particle"] == "photon"
    assert said["options"]["energy"] == "2:5"
    assert Geometry.from_dict(said["geometry"]) == made.geometry
    assert "cross_section_pb" not in said


def test_chunks_processes_and_resuming_change_nothing(tmp_path, monkeypatch):
    few = dataclasses.replace(find("electron-showers").with_settings(small()), chunk=BLOCK)
    whole = hr.Showers.from_root(generate(few, tmp_path / "whole.root", 150, seed=4, processes=0))
    assert len(np.unique(whole.total_energies())) == 150
    shorter = hr.Showers.from_root(generate(few, tmp_path / "shorter.root", 70, seed=4, processes=2))
    np.testing.assert_array_equal(shorter.energies, whole.energies[:70])
    np.testing.assert_array_equal(shorter.conditions, whole.conditions[:70])
    other = hr.Showers.from_root(generate(few, tmp_path / "other.root", 70, seed=5, processes=0))
    assert not np.array_equal(other.energies, shorter.energies)
    # Stopped after the first chunk.
    made = type(few).own_rows
    numbers = []

    def stopped(self, seed, number, rows):
        numbers.append(number)
        if number == 1 and numbers.count(1) == 1:
            raise KeyboardInterrupt
        return made(self, seed, number, rows)

    monkeypatch.setattr(type(few), "own_rows", stopped)
    path = tmp_path / "resumed.root"
    with pytest.raises(KeyboardInterrupt, match="--resume"):
        generate(few, path, 150, seed=4, processes=0)
    with pytest.raises(OutputExistsError, match="unfinished"):
        generate(few, path, 150, seed=4, processes=0)
    resumed = hr.Showers.from_root(generate(few, path, 150, seed=4, processes=0, resume=True))
    assert numbers == [0, 1, 1, 2]
    np.testing.assert_array_equal(resumed.energies, whole.energies)


def test_options_in_python(tmp_path):
    sample = find("photon-showers").with_settings({"geometry": "lar-3", "energy": (1, 2), "angle": 0.2})
    assert [branch.name for branch in sample.branches] == ["energy", "angle", "cell_index", "cell_energy"]
    assert sample.options["energy"] == "1:2"
    own = Geometry.from_dict(geometry("si-w-10").to_dict() | {"name": "mine", "threshold": 0.0})
    mine = dataclasses.replace(find("photon-showers"), calorimeter=own).with_settings({"energy": 3.0})
    made = hr.Showers.from_root(generate(mine, tmp_path / "mine.root", 3, processes=0))
    assert made.geometry == own
    assert made.condition("energy").tolist() == [3, 3, 3]
    for settings, words in (
        ({"energi": "1:2"}, "Nearest: 'energy'"),
        ({"energy": "a:b"}, "write a number, or a range as 10:100"),
        ({"energy": "5:1"}, "from the least to the largest"),
        ({"geometry": "lar"}, "Nearest: 'lar-3'"),
    ):
        with pytest.raises(SettingError) as caught:
            find("photon-showers").with_settings(settings)
        assert words in str(caught.value)


def test_list(capsys):
    assert main(["generate", "--list", "photon-showers"]) == 0
    said = capsys.readouterr().out
    for word in ("cell_index", "[GeV]", "energy = 10:100", "hep-ex/0001020"):
        assert word in said
    assert "Pythia" not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--geometry", "si-w"], ["no geometry 'si-w'", "'si-w-30'"]),
        (["--set", "energy=0.1"], ["from 0.1 to 0.1 GeV", "1 to 1000 GeV"]),
        (["--set", "spectrum=linear"], ["no spectrum 'linear'"]),
        (["--set", "PartonLevel:MPI=on"], ["no option 'PartonLevel:MPI'"]),
        (["--set", "x=400", "--geometry", "si-w-10"], ["do not meet the front face"]),
    ],
)
def test_bad_requests(arguments, words, tmp_path, capfd):
    path = str(tmp_path / "showers.root")
    request = ["generate", "photon-showers", "--events", "3", "--processes", "0", "-o", path, *arguments]
    refused(capfd, words, request)
    assert list(tmp_path.iterdir()) == []


def test_geometry_is_of_showers(tmp_path, capfd):
    request = ["generate", "top-jets", "--geometry", "lar-3", "--events", "3", "-o", str(tmp_path / "x.root")]
    refused(capfd, ["no option 'geometry'"], request)
