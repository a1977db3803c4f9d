"""Showers in memory and in files: sums and parts, sparse ROOT files, Geant4-like ones, public HDF5."""

from __future__ import annotations

import dataclasses
import json
import os

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

import hepml_root as hr
from hepml_root.data.geometry import Geometry, geometry
from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    CorruptFileError,
    EmptySelectionError,
    NonFiniteInputError,
    OutputExistsError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
)

SMALL = Geometry.from_dict(
    {
        "name": "small",
        "layers": [{"grid": [2, 3, 1.0, 1.0]}, {"polar": [2, [0.0, 1.0, 2.0]]}],
        "threshold": 0.01,
    }
)


def some(showers: int = 20, labels: tuple[str, ...] = ("energy", "x"), seed: int = 1) -> hr.Showers:
    """Showers with about half of the cells empty, and their number in the first condition."""
    random = np.random.default_rng(seed)
    energies = random.exponential(size=(showers, SMALL.cells)) * (random.random((showers, SMALL.cells)) < 0.5)
    conditions = np.column_stack([np.arange(1, showers + 1), *random.normal(size=(len(labels) - 1, showers))])
    return hr.Showers(energies, conditions, SMALL, labels, provenance={"seed": seed})


def same(one: hr.Showers, other: hr.Showers) -> bool:
    return (
        one.labels == other.labels
        and one.geometry == other.geometry
        and np.array_equal(one.energies, other.energies)
        and np.array_equal(one.conditions, other.conditions)
    )


# ---------------------------------------------------------------- in memory


def test_sums_and_images_by_hand():
    energies = np.arange(20.0).reshape(2, 10)
    showers = hr.Showers(energies, [5.0, 6.0], SMALL)
    assert showers.energies.dtype == np.float32
    assert showers.layer_energies().tolist() == [[15, 30], [75, 70]]
    assert showers.total_energies().tolist() == [45, 145]
    first, second = showers.images()
    assert first[1].tolist() == [[10, 11, 12], [13, 14, 15]]
    assert second[0].tolist() == [[6, 7], [8, 9]]
    assert showers.condition("energy").tolist() == [5, 6]
    assert str(showers) == "2 showers in small (10 cells); energy 5 to 6 GeV"


def test_images_of_equal_layers_are_taken_as_they_are():
    energies = np.random.default_rng(1).random((3, 10, 10, 10))
    showers = hr.Showers(energies, np.ones(3), "si-w-10")
    np.testing.assert_array_equal(showers.images()[4], energies[:, 4].astype(np.float32))
    with pytest.raises(ShapeError, match="10 layers of 10 × 10 cells"):
        hr.Showers(energies[:, :9], np.ones(3), "si-w-10")


def test_parts():
    showers = some()
    assert np.shares_memory(showers[5:8].energies, showers.energies)
    assert showers[5:8].condition("energy").tolist() == [6, 7, 8]
    assert showers[[3, 1]].condition("energy").tolist() == [4, 2]
    assert showers[showers.condition("energy") > 18].condition("energy").tolist() == [19, 20]
    assert showers[-1].condition("energy").tolist() == [20]
    joined = hr.Showers.concatenate([showers[:5], showers[5:]])
    assert same(joined, showers)
    with pytest.raises(IndexError):
        showers[20]
    with pytest.raises(EmptySelectionError, match="no shower of 20"):
        showers[3:3]
    with pytest.raises(ShapeError, match="mask of shape"):
        showers[[True, False]]
    with pytest.raises(ShapeError, match="by a slice, a mask or positions"):
        showers[np.array([1.0])]
    with pytest.raises(ShapeError, match="cannot be joined"):
        hr.Showers.concatenate([showers, hr.Showers(np.ones((1, 504)), [1.0], "lar-3")])
    with pytest.raises(EmptySelectionError):
        hr.Showers.concatenate([])
    other = dataclasses.replace(SMALL, scale="electromagnetic")
    with pytest.raises(SettingError, match="put side by side"):
        hr.Showers.concatenate(
            [showers, hr.Showers(showers.energies, showers.conditions, other, showers.labels)]
        )


def test_split_is_that_of_datasets():
    showers = some(200)
    train, test = showers.split(test=0.3, seed=7)
    assert (len(train), len(test)) == (140, 60)
    numbers = [part.condition("energy") for part in (train, test)]
    assert sorted(np.concatenate(numbers)) == list(range(1, 201))
    of_dataset = showers.dataset().split(test=0.3, seed=7)
    for part, other in zip((train, test), of_dataset, strict=True):
        np.testing.assert_array_equal(part.energies, other.X["cells"])
    # Another split of the same showers does not see the same hashes.
    again, _ = train.split(test=0.5, seed=7)
    assert not np.array_equal(again.condition("energy"), train.condition("energy")[: len(again)])
    three = showers.split(test=20, validation=0.1, seed=1)
    assert [len(part) for part in three] == [160, 20, 20]
    with pytest.raises(EmptySelectionError):
        showers.split(test=0.001)
    with pytest.raises(SettingError, match="must be in"):
        showers.split(test=1.5)


def test_dataset():
    showers = some()
    data = showers.dataset()
    assert [(block.name, block.kind, block.shape) for block in data.blocks] == [
        ("cells", "flat", (10,)),
        ("conditions", "parameter", (2,)),
    ]
    assert data.blocks[1].labels == ("energy", "x")
    assert data.blocks[1].columns[1].units == "mm"
    assert data.X["cells"] is showers.energies
    assert data.target[:, 0].tolist() == showers.condition("energy").tolist()
    json.dumps(data.describe())


@pytest.mark.parametrize(
    ("energies", "conditions", "labels", "error", "words"),
    [
        (np.ones((2, 9)), np.ones(2), "energy", ShapeError, "(showers, 10), with 2 layers of 2 × 3, 2 × 2"),
        (np.ones(10), np.ones(1), "energy", ShapeError, "(10,)"),
        (np.ones((2, 10)), np.ones(3), "energy", ShapeError, "(2, 1)"),
        (np.ones((2, 10)), np.ones((2, 2)), "energy", ShapeError, "(2, 1)"),
        (np.full((2, 10), "a"), np.ones(2), "energy", ShapeError, "must be numbers"),
        (np.ones((0, 10)), np.ones(0), "energy", EmptySelectionError, "no shower"),
        (np.ones((2, 10)), np.ones(2), "energi", SettingError, "Nearest: 'energy'"),
        (np.ones((2, 10)), np.ones(2), "x", SettingError, "need the condition 'energy'"),
        (np.ones((2, 10)), np.ones((2, 2)), ("energy", "energy"), SettingError, "given twice"),
        (np.ones((2, 10)), np.array([1.0, 0.0]), "energy", SettingError, "must be above 0"),
        (
            np.ones((2, 10)),
            np.array([1.0, np.nan]),
            "energy",
            NonFiniteInputError,
            "shower 1 has the energy nan",
        ),
        (np.full((2, 10), np.inf), np.ones(2), "energy", NonFiniteInputError, "shower 0 has"),
        (-np.eye(2, 10), np.ones(2), "energy", SettingError, "2 cells have a negative energy"),
    ],
)
def test_bad_showers(energies, conditions, labels, error, words):
    with np.errstate(invalid="ignore"), pytest.raises(error) as caught:
        hr.Showers(energies, conditions, SMALL, labels)
    assert words in str(caught.value)


def test_unknown_names():
    with pytest.raises(SettingError, match="no geometry 'si-w-20'"):
        hr.Showers(np.ones((2, 10)), np.ones(2), "si-w-20")
    with pytest.raises(SettingError, match="no condition 'y'"):
        some().condition("y")


# ---------------------------------------------------------------- our own files


def test_file_round_trip_and_its_layout(tmp_path, monkeypatch):
    monkeypatch.setattr("hepml_root.data.shower_file._BASKET", 7)  # in several baskets
    showers = some(25)
    showers.energies[3] = 0.0  # a shower without any cell
    path = showers.write(tmp_path / "showers.root")
    back = hr.Showers.from_root(path)
    assert same(back, showers)
    assert back.provenance == {"seed": 1}
    assert same(hr.Showers.from_root(path, first=5, last=13), showers[5:13])
    assert same(hr.Showers.from_root(path, SMALL), showers)
    only = hr.Showers.from_root(path, conditions={"energy": "x"} | {"energy": "energy"})
    assert only.labels == ("energy",)
    with uproot.open(path) as file:
        tree = file["showers"]
        names = {"event_number": "uint64_t", "energy": "float", "x": "float", "ncell": "int32_t"}
        names |= {"cell_index": "int32_t[]", "cell_energy": "float[]"}
        assert {branch.name: branch.typename for branch in tree.branches} == names
        arrays = tree.arrays()
        assert arrays.event_number.tolist() == list(range(25))
        assert arrays.ncell.tolist() == (showers.energies > 0).sum(axis=1).tolist()
        assert ak.all(ak.num(arrays.cell_energy) == arrays.ncell)
        for row in (0, 3, 24):
            assert arrays.cell_index[row].tolist() == np.flatnonzero(showers.energies[row]).tolist()
        assert json.loads(str(file["geometry"])) == SMALL.to_dict()
    with pytest.raises(OutputExistsError):
        showers.write(path)
    showers.write(path, overwrite=True)
    assert os.listdir(tmp_path) == ["showers.root"]


def test_rdataframe_reads_the_file(tmp_path):
    ROOT = pytest.importorskip("ROOT")
    showers = some()
    path = showers.write(tmp_path / "showers.root")
    frame = ROOT.RDataFrame("showers", str(path)).Define("sum", "Sum(cell_energy)")
    assert frame.Sum("sum").GetValue() == pytest.approx(float(showers.energies.sum()), rel=1e-5)
    with ROOT.TFile.Open(str(path)) as file:
        assert json.loads(str(file.Get("geometry").GetString()))["name"] == "small"


# ---------------------------------------------------------------- files of others


def dense(path, showers: hr.Showers, **more) -> None:
    """A file as people make them with Geant4: a vector of all cells in MeV."""
    with uproot.recreate(path) as file:
        tree = {
            "Edep": ak.unflatten(showers.energies.ravel() * 1e3, SMALL.cells),
            "E0": showers.condition("energy") * 1e3,
            "x": showers.condition("x"),
            "run": np.full(len(showers), 7),
        }
        file.mktree("events", {name: ak.type(ak.Array(one)).content for name, one in (tree | more).items()})
        file["events"].extend({name: ak.Array(one) for name, one in (tree | more).items()})


def test_files_made_with_geant4(tmp_path):
    showers, path = some(), tmp_path / "geant4.root"
    dense(path, showers)
    branches = {"energy": "E0", "x": "x"}
    read = hr.Showers.from_root(path, SMALL, cells="Edep", conditions=branches, energy_unit="MeV")
    np.testing.assert_allclose(read.energies, showers.energies, rtol=1e-6)
    np.testing.assert_allclose(read.conditions, showers.conditions, rtol=1e-6)
    assert read.labels == ("energy", "x")
    assert read.provenance == {"file": "geant4.root"}


def test_fixed_arrays_are_read_as_vectors_are(tmp_path):
    showers, path = some(), tmp_path / "fixed.root"
    with uproot.recreate(path) as file:
        file.mktree("showers", {"cells": np.dtype(("f8", (SMALL.cells,))), "energy": "f8"})
        file["showers"].extend(
            {"cells": showers.energies.astype(float), "energy": showers.condition("energy").astype(float)}
        )
    read = hr.Showers.from_root(path, SMALL, cells="cells")
    np.testing.assert_array_equal(read.energies, showers.energies)
    assert read.labels == ("energy",)


def test_lists_of_steps_are_added_up(tmp_path):
    with uproot.recreate(tmp_path / "steps.root") as file:
        types = {"step_cell": "var * int64", "step_energy": "var * float64", "energy": "float64"}
        file.mktree("hits", types)
        steps = {
            "step_cell": [[3, 3, 0], []],
            "step_energy": [[1.0, 2.0, 4.0], []],
            "energy": [5000.0, 6000.0],
        }
        file["hits"].extend({name: ak.Array(values) for name, values in steps.items()})
    read = hr.Showers.from_root(
        tmp_path / "steps.root", SMALL, cells=("step_cell", "step_energy"), energy_unit="MeV"
    )
    np.testing.assert_allclose(read.energies[0], [4e-3, 0, 0, 3e-3, *[0] * 6])
    assert not read.energies[1].any()
    assert read.condition("energy").tolist() == [5, 6]
    ragged = {"step_cell": [[3], []], "step_energy": [[], [1.0]], "energy": [5.0, 6.0]}
    with uproot.recreate(tmp_path / "ragged.root") as file:
        file.mktree("hits", types)
        file["hits"].extend({name: ak.Array(values) for name, values in ragged.items()})
    with pytest.raises(ShapeError, match="have not the same lengths"):
        hr.Showers.from_root(tmp_path / "ragged.root", SMALL, cells=("step_cell", "step_energy"))
    with pytest.raises(ColumnTypeError, match="are no numbers of cells"):
        hr.Showers.from_root(tmp_path / "steps.root", SMALL, cells=("step_energy", "step_energy"))
    with pytest.raises(SettingError, match="or a pair"):
        hr.Showers.from_root(tmp_path / "steps.root", SMALL, cells=("a", "b", "c"))


def test_bad_root_files(tmp_path):
    showers, path = some(), tmp_path / "geant4.root"
    dense(path, showers)
    energy = {"energy": "E0"}
    for settings, error, words in (
        ({"geometry": None, "cells": "Edep", "conditions": energy}, SettingError, "give geometry="),
        ({"cells": "Edeb", "conditions": energy}, ColumnNotFoundError, "'Edep'"),
        ({"conditions": energy}, ColumnNotFoundError, "cells= names the branch"),
        ({"cells": "Edep"}, SettingError, "need the condition 'energy'"),
        ({"cells": "Edep", "conditions": {"energy": "Edep"}}, ColumnTypeError, "not hold one number"),
        ({"cells": "E0", "conditions": energy}, ColumnTypeError, "not hold a list of numbers"),
        ({"cells": "Edep", "conditions": {"energie": "E0"}}, SettingError, "Nearest: 'energy'"),
        ({"cells": "Edep", "conditions": energy, "energy_unit": "keV"}, SettingError, "Available: GeV, MeV"),
        ({"cells": "Edep", "conditions": energy, "tree": "event"}, SourceNotFoundError, "'events'"),
        ({"cells": "Edep", "conditions": energy, "first": 20}, EmptySelectionError, "has 20 showers"),
        ({"geometry": "lar-3", "cells": "Edep", "conditions": energy}, ShapeError, "504 cells"),
    ):
        with pytest.raises(error) as caught:
            hr.Showers.from_root(path, **{"geometry": SMALL, **settings})
        assert words in str(caught.value)
    with pytest.raises(SourceNotFoundError):
        hr.Showers.from_root(tmp_path / "none.root")
    own = showers.write(tmp_path / "own.root")
    with pytest.raises(SettingError, match=r"of the geometry 'small' .10 cells., not of 'lar-3'"):
        hr.Showers.from_root(own, "lar-3")
    with pytest.raises(SettingError, match="on the scale 'visible'"):
        hr.Showers.from_root(own, dataclasses.replace(SMALL, scale="electromagnetic"))
    content = own.read_bytes()
    torn = []
    some(300).write(own, overwrite=True)
    packed = own.read_bytes()
    for where in (packed.index(b"L4", packed.index(b"L4") + 1), packed.rindex(b"L4")):  # a text, a basket
        torn.append(packed[: where + 20] + bytes(60) + packed[where + 80 :])
    for broken in (b"no ROOT file", content[: len(content) // 2], *torn):
        (tmp_path / "broken.root").write_bytes(broken)
        with pytest.raises(CorruptFileError):
            hr.Showers.from_root(tmp_path / "broken.root")


def test_the_unit_counts_also_where_branches_are_called_as_ours(tmp_path):
    with uproot.recreate(tmp_path / "mev.root") as file:
        file.mktree("showers", {"energy": "f4", "cell": 'var * {"index": int32, "energy": float32}'},
                    counter_name=lambda name: f"n{name}")  # fmt: skip
        cells = ak.Array([[{"index": 3, "energy": 2.0}]])
        file["showers"].extend({"energy": np.full(1, 5e3, "f4"), "cell": cells})
    read = hr.Showers.from_root(tmp_path / "mev.root", SMALL, energy_unit="MeV")
    assert read.condition("energy").tolist() == [5.0]
    assert read.total_energies() == pytest.approx([2e-3])
    own = some().write(tmp_path / "own.root")  # which is in GeV, whatever is said
    assert same(hr.Showers.from_root(own, energy_unit="MeV"), some())


def test_cells_outside_the_geometry_are_refused(tmp_path):
    with uproot.recreate(tmp_path / "wrong.root") as file:
        file.mktree("showers", {"energy": "f4", "cell": 'var * {"index": int32, "energy": float32}'},
                    counter_name=lambda name: f"n{name}")  # fmt: skip
        cells = ak.Array([[{"index": 10, "energy": 1.0}]])
        file["showers"].extend({"energy": np.ones(1, "f4"), "cell": cells})
    with pytest.raises(ShapeError, match="has 10, from 0"):
        hr.Showers.from_root(tmp_path / "wrong.root", SMALL)


# ---------------------------------------------------------------- public HDF5


def test_calochallenge_files(tmp_path):
    """The layout of datasets 2 and 3: (showers, voxels) and (showers, 1) in MeV."""
    random = np.random.default_rng(3)
    voxels = random.exponential(100.0, size=(6, 6480)) * (random.random((6, 6480)) < 0.1)
    with h5py.File(tmp_path / "dataset_2_1.hdf5", "w") as file:
        file["incident_energies"] = random.uniform(1e3, 1e6, size=(6, 1))
        file["showers"] = voxels
        incident = file["incident_energies"][:, 0] / 1000
    showers = hr.Showers.from_hdf5(tmp_path / "dataset_2_1.hdf5", "cylinder")
    np.testing.assert_allclose(showers.energies, voxels / 1000, rtol=1e-6)
    np.testing.assert_allclose(showers.condition("energy"), incident, rtol=1e-6)
    # Voxels lie as (layers, angles, radii).
    np.testing.assert_allclose(showers.images()[44], voxels.reshape(6, 45, 16, 9)[:, 44] / 1000, rtol=1e-6)
    part = hr.Showers.from_hdf5(tmp_path / "dataset_2_1.hdf5", "cylinder", first=2, last=4)
    assert same(part, showers[2:4])


def test_calogan_files(tmp_path):
    """The layout of CaloGAN: one image for each layer in MeV, the energy in GeV."""
    random = np.random.default_rng(4)
    shapes = geometry("lar-3").shapes
    images = [random.exponential(10.0, size=(5, *shape)) for shape in shapes]
    with h5py.File(tmp_path / "gamma.hdf5", "w") as file:
        file["energy"] = random.uniform(1, 100, size=(5, 1))
        file["overflow"] = np.zeros((5, 3))
        for number, image in enumerate(images):
            file[f"layer_{number}"] = image
        incident = file["energy"][:, 0]
    showers = hr.Showers.from_hdf5(tmp_path / "gamma.hdf5", "lar-3")
    np.testing.assert_allclose(showers.condition("energy"), incident, rtol=1e-6)
    for found, image in zip(showers.images(), images, strict=True):
        np.testing.assert_allclose(found, image / 1000, rtol=1e-6)


def test_bad_hdf5_files(tmp_path):
    path = tmp_path / "file.hdf5"
    with pytest.raises(SourceNotFoundError):
        hr.Showers.from_hdf5(path, "cylinder")
    path.write_text("no HDF5")
    with pytest.raises(CorruptFileError, match="cannot be read as HDF5"):
        hr.Showers.from_hdf5(path, "cylinder")
    with h5py.File(path, "w") as file:
        file["jets"] = np.zeros(3)
    with pytest.raises(ColumnNotFoundError, match="It has: jets"):
        hr.Showers.from_hdf5(path, "cylinder")
    with h5py.File(path, "w") as file:
        file["incident_energies"] = np.full((3, 1), 1e3)
        file["showers"] = np.zeros((3, 368))
    with pytest.raises(ShapeError, match=r"368 cells in a shower .368., the geometry 'cylinder' 6480"):
        hr.Showers.from_hdf5(path, "cylinder")
    for particles, showers in ((3, 2), (2, 3)):  # a download that broke off, or two files that were mixed
        with h5py.File(path, "w") as file:
            file["incident_energies"] = np.full((particles, 1), 1e3)
            file["showers"] = np.zeros((showers, 10))
        with pytest.raises(
            CorruptFileError, match=f"{particles} energies of particles and {showers} showers"
        ):
            hr.Showers.from_hdf5(path, SMALL)
    with h5py.File(path, "w") as file:
        file["incident_energies"] = np.full((3, 1), 1e3)
        file.create_group("showers")
    with pytest.raises(CorruptFileError, match="is a group"):
        hr.Showers.from_hdf5(path, SMALL)
    with h5py.File(path, "w") as file:
        file["incident_energies"] = np.full((3, 1), 1e3)
        file["showers"] = np.full((3, 10), -1.0)
    with pytest.raises(SettingError, match="negative"):
        hr.Showers.from_hdf5(path, SMALL)
    with pytest.raises(EmptySelectionError, match="has 3 showers"):
        hr.Showers.from_hdf5(path, SMALL, first=3)
