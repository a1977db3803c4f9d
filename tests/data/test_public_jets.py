"""Readers of public data: the top-tagging reference set and JetClass, on small files in their layouts."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

import hepml_root as hr
from hepml_root.data.pandas_table import PandasTable
from hepml_root.errors import (
    ColumnNotFoundError,
    CorruptFileError,
    EmptySelectionError,
    MissingDependencyError,
    OutputExistsError,
    SettingError,
    SourceNotFoundError,
)
from hepml_root.representations import constituents, jetclass_particles, jetclass_sources, observables

REFERENCE = Path(__file__).parents[1] / "reference"
H5, BLOSC, JETS = (REFERENCE / name for name in ("top_tagging.h5", "top_tagging_blosc.h5", "jets.root"))
PARTICLES = constituents(
    pt="constituent_pt",
    eta="constituent_eta",
    phi="constituent_phi",
    mass="constituent_mass",
    features=("pt", "delta_eta", "delta_phi"),
    max_length=200,
)


def original(tree: str, jets: int = 20) -> ak.Array:
    """The jets that the file was made from."""
    with uproot.open(JETS) as file:
        return file[tree].arrays(entry_stop=jets)


def test_jets_are_those_that_were_written():
    jets = hr.data.read_top_tagging(H5)
    assert jets["is_signal"].tolist() == [1, 0] * 20
    assert jets["event_number"].tolist() == list(range(40))
    assert set(jets["ttv"]) == {1}
    for tree, first in (("top", 0), ("qcd", 1)):
        wanted = original(tree)
        for name, tolerance in (("pt", 1e-6), ("eta", 1e-5), ("phi", 1e-5)):
            found = jets[f"constituent_{name}"][first::2]
            assert ak.all(ak.num(found) == ak.num(wanted[f"constituent_{name}"]))
            difference = ak.to_numpy(ak.flatten(found - wanted[f"constituent_{name}"], axis=None))
            scale = ak.to_numpy(ak.flatten(abs(wanted[f"constituent_{name}"]), axis=None))
            assert np.all(np.abs(difference) <= tolerance * np.maximum(scale, 1))
        lists = [wanted[f"constituent_{name}"] for name in ("pt", "eta", "phi")]
        mass = observables.invariant_mass(*lists, 0 * lists[0])
        np.testing.assert_allclose(jets["jet_mass"][first::2], mass, rtol=1e-3)
        np.testing.assert_allclose(jets["jet_pt"][first::2], wanted["jet_pt"], rtol=1e-4)
    assert not ak.any(jets["constituent_mass"])
    np.testing.assert_allclose(jets["truth_pt"][::2], original("top")["truth_pt"], rtol=1e-5)
    assert not jets["truth_pt"][1::2].any()


def test_part_of_the_rows():
    some, all_jets = hr.data.read_top_tagging(H5, 3, 7), hr.data.read_top_tagging(H5)
    assert some["event_number"].tolist() == [3, 4, 5, 6]
    assert ak.all(some["constituent_pt"] == all_jets["constituent_pt"][3:7])
    with pytest.raises(EmptySelectionError, match="40 rows"):
        hr.data.read_top_tagging(H5, 40)


def test_arrays_and_a_root_file_give_the_same_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr("hepml_root.data.top_tagging._BLOCK", 7)  # in several blocks
    file = hr.data.top_tagging_to_root(H5, tmp_path / "public.root")
    sources = {"top": f"{file}:top", "qcd": f"{file}:qcd"}
    from_files = hr.Dataset.from_root(sources, inputs=[PARTICLES], event_number="event_number")

    jets = hr.data.read_top_tagging(H5)
    order = np.argsort(-jets["is_signal"], kind="stable")
    from_memory = hr.Dataset.from_arrays(
        PARTICLES({name: values[order] for name, values in jets.items()}),
        np.where(jets["is_signal"][order], "top", "qcd"),
        representations=[PARTICLES],
    )
    assert from_files.classes == from_memory.classes == ("top", "qcd")
    np.testing.assert_array_equal(from_files.event_number, jets["event_number"][order])
    for block in ("particles", "particles_mask"):
        np.testing.assert_allclose(from_files.X[block], from_memory.X[block], atol=1e-6)
    with pytest.raises(OutputExistsError):
        hr.data.top_tagging_to_root(H5, tmp_path / "public.root")
    assert [path.name for path in tmp_path.iterdir()] == ["public.root"]


def test_blosc_is_read_where_its_plugin_is():
    if importlib.util.find_spec("hdf5plugin") is None:
        with pytest.raises(MissingDependencyError, match="pip install hdf5plugin"):
            hr.data.read_top_tagging(BLOSC)
    else:
        assert len(hr.data.read_top_tagging(BLOSC)["jet_pt"]) == 2


def test_tables_in_the_fixed_format(tmp_path):
    with h5py.File(tmp_path / "fixed.h5", "w") as file:
        group = file.create_group("df")
        group.attrs.update({"pandas_type": np.bytes_("frame"), "nblocks": 2})
        group["block0_items"], group["block0_values"] = np.array([b"b", b"a"]), np.arange(6.0).reshape(3, 2)
        group["block1_items"], group["block1_values"] = np.array([b"n"]), np.array([[7], [8], [9]])
    with PandasTable(tmp_path / "fixed.h5") as table:
        assert table.columns == ("b", "a", "n")
        assert len(table) == 3
        assert table.read(["n", "a"], 1).tolist() == [[8.0, 3.0], [9.0, 5.0]]
        with pytest.raises(ColumnNotFoundError, match="Available: b, a, n"):
            table.read(["c"])


class Harmful:
    def __reduce__(self):
        return print, ("run!",)


def test_bad_files(tmp_path, capsys):
    def refused(error, match, content=None, path=tmp_path / "bad.h5"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(error, match=match):
            hr.data.read_top_tagging(path)

    refused(SourceNotFoundError, "no file")
    refused(CorruptFileError, "cannot be read as HDF5", b"PK not HDF5")
    refused(CorruptFileError, "cannot be read as HDF5", H5.read_bytes()[:20_000])
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file["jets"] = np.zeros(3)
    refused(CorruptFileError, "holds no table")
    # Names of columns are pickled in these files: what is no list of texts is never run.
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        group = file.create_group("table")
        group.attrs["pandas_type"] = np.bytes_("frame_table")
        group["table"] = np.zeros(2, [("index", "i8"), ("values_block_0", "f4", (2,))])
        group["table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps([Harmful()], 0))
    refused(CorruptFileError, "no columns")
    with h5py.File(tmp_path / "bad.h5", "r+") as file:
        file["table/table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(["x", "y"], 0))
    refused(ColumnNotFoundError, "no file of the top-tagging reference set.*It has x, y")
    assert "run!" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def jetclass(tmp_path_factory) -> Path:
    """50 top and 50 QCD jets in the layout of JetClass: std::vector branches, labels as numbers."""
    import ROOT

    folder = tmp_path_factory.mktemp("jetclass")
    for tree in ("top", "qcd"):
        frame = ROOT.RDataFrame(tree, str(JETS)).Range(50)
        code = {
            "part_px": "constituent_pt * cos(constituent_phi)",
            "part_py": "constituent_pt * sin(constituent_phi)",
            "part_pz": "constituent_pt * sinh(constituent_eta)",
            "part_energy": "sqrt(pow(constituent_pt * cosh(constituent_eta), 2) + pow(constituent_mass, 2))",
            "part_charge": "constituent_charge",
            "part_isChargedHadron": "ROOT::RVecF(abs(constituent_pdg) == 211)",
            "part_isNeutralHadron": "ROOT::RVecF(abs(constituent_pdg) == 130)",
            "part_isPhoton": "ROOT::RVecF(constituent_pdg == 22)",
            "part_isElectron": "ROOT::RVecF(abs(constituent_pdg) == 11)",
            "part_isMuon": "ROOT::RVecF(abs(constituent_pdg) == 13)",
            **dict.fromkeys(("part_d0val", "part_dzval"), "constituent_eta * 2"),
            **dict.fromkeys(("part_d0err", "part_dzerr"), "constituent_pt / 20"),
        }
        for name, text in code.items():
            frame = frame.Define(
                name, f"const ROOT::RVecF v = {text}; return std::vector<float>(v.begin(), v.end());"
            )
        labels = {"label_QCD": float(tree == "qcd"), "label_Tbqq": float(tree == "top"), "label_Tbl": 0.0}
        for name, value in labels.items():
            frame = frame.Define(name, f"{value}f")
        columns = [*code, *labels, "jet_pt", "jet_eta", "jet_phi"]
        frame.Snapshot("tree", str(folder / f"{tree}_000.root"), columns)
    return folder


def test_jetclass_through_the_ordinary_source(jetclass):
    particles = jetclass_particles(
        features=("pt", "eta", "delta_phi", "log_energy", "delta_r"), max_length=60
    )
    sources = jetclass_sources(str(jetclass / "*_000.root"), ("Tbqq", "QCD"))
    data = hr.Dataset.from_root(sources, inputs=[particles, "jet_pt"])
    assert (
        [len(data.of(name)) for name in data.classes] == [50, 50] if hasattr(data, "of") else len(data) == 100
    )
    x, mask = data.X["particles"], data.X["particles_mask"].astype(bool)
    labels = data.schema.block("particles").labels
    assert labels[5:] == (
        "charge", "isChargedHadron", "isNeutralHadron", "isPhoton", "isElectron", "isMuon",
        "d0", "d0_error", "dz", "dz_error",
    )  # fmt: skip
    jets = ak.concatenate([original("top", 50), original("qcd", 50)])
    order = ak.argsort(jets["constituent_pt"], ascending=False, stable=True)
    for index, name in ((0, "pt"), (1, "eta"), (5, "charge")):
        wanted = ak.flatten(jets[f"constituent_{name}"][order][:, :60])
        np.testing.assert_allclose(x[mask][:, index], wanted, rtol=1e-5, atol=1e-5)
    around = np.abs(hr.representations.observables.delta_phi(
        ak.flatten(jets["constituent_phi"][order][:, :60]),
        ak.flatten(ak.broadcast_arrays(jets["jet_phi"], jets["constituent_phi"])[0][:, :60]),
    ))  # fmt: skip
    np.testing.assert_allclose(np.abs(x[mask][:, 2]), around, atol=1e-5)
    types = x[mask][:, 6:11]
    assert np.all(types.sum(axis=1) == 1)
    np.testing.assert_allclose(x[mask][:, 11], np.tanh(2 * x[mask][:, 1]), atol=1e-5)
    np.testing.assert_allclose(x[mask][:, 12], np.minimum(x[mask][:, 0] / 20, 1), rtol=1e-5)


def test_jetclass_names_that_do_not_exist():
    with pytest.raises(SettingError, match="Nearest: 'Tbqq'"):
        jetclass_sources("x.root", ("Tbq",))
    with pytest.raises(SettingError, match="Available: kinematics, identity, full"):
        jetclass_particles(inputs="everything")
    assert jetclass_particles(inputs="kinematics", max_length=5).blocks()[0].shape == (5, 7)
