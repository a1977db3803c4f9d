"""Delphes files: the columns of our samples from a tree in Delphes' layout, against the numbers put in."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hepml_root as hr
from hepml_root.errors import ColumnNotFoundError, SettingError
from hepml_root.simulation import delphes

# Lists of objects as Delphes writes them: split TClonesArrays, beside them the branch with the size. Their
# classes are not those of Delphes, which who reads such files without Delphes does not have either.
LISTS = {
    "FatJet": ("PT", "Eta", "Phi", "Mass"),
    "Jet": ("PT", "Eta", "Phi", "Mass", "BTag"),
    "Electron": ("PT", "Eta", "Phi"),
    "Muon": ("PT", "Eta", "Phi", "Charge"),
    "MissingET": ("MET", "Phi"),
    "Tower": ("Eta", "Phi", "Eem", "Ehad"),
    "EFlowTrack": ("PT", "Eta", "Phi", "Charge", "PID"),
    "EFlowPhoton": ("ET", "Eta", "Phi"),
    "EFlowNeutralHadron": ("ET", "Eta", "Phi"),
}
TYPES = {"BTag": "UInt_t", "Charge": "Int_t", "PID": "Int_t"}

# One event: what each list holds. The fat jet at (0.5, 3.1) has a track on the other side of φ = π.
EVENT = {
    "FatJet": [(600.0, 0.5, 3.1, 175.0), (300.0, -1.0, 0.0, 20.0)],
    "Jet": [
        (120.0, 0.0, 0.0, 10.0, 1),
        (90.0, 0.5, 2.0, 8.0, 2),  # tagged by the second tagger only
        (60.0, 2.7, 1.0, 8.0, 3),  # outside |η| < 2.5
        (50.0, -1.0, -2.0, 6.0, 1),
        (40.0, 1.0, 3.0, 5.0, 2),  # and so is this one
        (15.0, 0.1, 1.0, 5.0, 1),  # below 20 GeV
    ],
    "Electron": [(12.0, 0.0, 1.0)],
    "Muon": [(30.0, -0.5, 0.5, -1)],
    "MissingET": [(44.0, -1.5)],
    "Tower": [(-0.5, 0.6, 3.0, 0.0), (-0.5, 0.45, 1.0, 2.0), (1.5, 0.5, 9.0, 9.0)],
    "EFlowTrack": [  # a kaon and, elsewhere, a pion, a muon and an electron
        (100.0, 0.5, -3.1, 1, 321),
        (50.0, -1.0, 0.0, -1, -211),
        (8.0, -1.0, 0.1, -1, 13),
        (7.0, -1.0, -0.1, 1, -11),
    ],
    "EFlowPhoton": [(20.0, 0.6, 3.0)],
    "EFlowNeutralHadron": [(30.0, 0.4, 2.9), (10.0, 0.5, 1.0)],
}


CONTENT = "std::map<std::string, std::vector<std::vector<double>>>"


def declare(root: Any) -> None:
    """Make ``write_like_delphes(path, events)`` in ROOT's interpreter."""
    classes = lists = ""
    for name, members in LISTS.items():
        fields = " ".join(f"{TYPES.get(one, 'Float_t')} {one} = 0;" for one in members)
        copies = " ".join(f"one->{member} = value[{i}];" for i, member in enumerate(members))
        classes += f"""
            class Test{name} : public TObject {{
            public:
                {fields}
                ClassDefOverride(Test{name}, 1)
            }};"""
        lists += f"""
            TClonesArray list{name}("Test{name}");
            auto *at{name} = &list{name};
            Int_t size{name} = 0;
            tree.Branch("{name}", &at{name}, 64000, 99);
            tree.Branch("{name}_size", &size{name}, "{name}_size/I");
            fill.push_back([&](Content &event) {{
                list{name}.Clear();
                size{name} = 0;
                for (const auto &value : event["{name}"]) {{
                    auto *one = static_cast<Test{name} *>(list{name}.ConstructedAt(size{name}++));
                    {copies}
                }}
            }});"""
    assert root.gInterpreter.Declare(
        f"""
        #include <TClonesArray.h>
        #include <TFile.h>
        #include <TTree.h>
        #include <functional>
        {classes}
        void write_like_delphes(const char *path, std::vector<{CONTENT}> &events) {{
            using Content = {CONTENT};
            TFile file(path, "RECREATE");
            TTree tree("Delphes", "Analysis tree");
            std::vector<std::function<void(Content &)>> fill;
            {lists}
            for (auto &event : events) {{
                for (auto &one : fill)
                    one(event);
                tree.Fill();
            }}
            tree.Write();
        }}"""
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the event above and an empty one."""
    import ROOT

    declare(ROOT)
    events = ROOT.std.vector[CONTENT]()
    for content in (EVENT, {}):
        event = ROOT.std.map["std::string", "std::vector<std::vector<double>>"]()
        for name, rows in content.items():
            event[name] = ROOT.std.vector["std::vector<double>"]([list(map(float, row)) for row in rows])
        events.push_back(event)
    path = tmp_path_factory.mktemp("delphes") / "delphes.root"
    ROOT.write_like_delphes(str(path), events)
    return path


def read(columns: delphes.DelphesColumns, path: Path, names: list[str], **settings: object) -> hr.Dataset:
    source = columns.source(str(path))
    return hr.Dataset.from_root({"a": source, "b": source}, inputs=columns.inputs(*names), **settings)


def test_numbers_of_the_higgs_sample(path: Path) -> None:
    columns = delphes.higgs_columns()
    assert set(columns.expressions) <= {branch.name for branch in hr.simulation.find("higgs").branches}
    expected = {
        "lepton_pT": 30.0,
        "lepton_phi": 0.5,
        "missing_energy_phi": -1.5,
        "jet1_b-tag": 1.0,
        "jet2_b-tag": 0.0,
        "jet3_pt": 50.0,
        "jet3_eta": -1.0,
        "jet4_phi": 3.0,
    }
    data = read(columns, path, [*expected, "m_bb"])
    assert len(data) == 2  # the event once in each class; the empty event is cut away
    found = dict(zip([*expected, "m_bb"], data.X["features"][0], strict=True))
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    energy = [math.hypot(pt * math.cosh(eta), mass) for pt, eta, mass in ((120, 0, 10), (50, -1, 6))]
    along = [50 * math.cos(-2) + 120, 50 * math.sin(-2), 50 * math.sinh(-1)]
    assert found["m_bb"] == pytest.approx(math.sqrt(sum(energy) ** 2 - sum(x * x for x in along)), rel=1e-5)


def test_the_second_tagger_has_its_own_bit(path: Path) -> None:
    tags = [f"jet{number}_b-tag" for number in (1, 2, 3, 4)]
    data = read(delphes.higgs_columns(b_tag_bit=1, extra_b_tags=True), path, tags)
    assert data.X["features"][0].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_jets_and_their_constituents(path: Path) -> None:
    columns = delphes.jet_columns(pt_min=550, pt_max=650)
    particles = hr.representations.constituents(
        "particles", **columns.momenta(), features=("pt", "eta", "delta_phi"), max_length=4,
        extra=[f"charge := {columns['constituent_charge']}", f"pdg := {columns['constituent_pdg']}"],
    )  # fmt: skip
    source = columns.source(str(path))
    data = hr.Dataset.from_root(
        {"a": source, "b": source},
        inputs=[*columns.inputs("jet_pt", "jet_mass", "jet_multiplicity"), particles],
    )
    assert data.X["features"][0].tolist() == [600.0, 175.0, 3.0]
    found = data.X["particles"][0]
    assert data.X["particles_mask"][0].tolist() == [1, 1, 1, 0]
    assert found[:, 0].tolist() == [100.0, 30.0, 20.0, 0.0]
    assert found[:, 3].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert found[:, 4].tolist() == [211.0, 130.0, 22.0, 0.0]


def test_leptons_in_jets_keep_their_type_and_mass(path: Path) -> None:
    import ROOT

    columns = delphes.jet_columns(radius=4.0)  # all tracks are near enough
    frame = ROOT.RDataFrame("Delphes", str(path)).Filter(columns.cut)
    for name in ("pdg", "mass"):
        frame = frame.Define(name, columns[f"constituent_{name}"])
    pdg, mass = (list(rows[0])[:4] for rows in frame.AsNumpy(["pdg", "mass"]).values())
    assert pdg == [211, -211, 13, -11]
    assert mass == pytest.approx([0.13957, 0.13957, 0.10566, 0.000511])


def test_deposits_around_a_muon(path: Path) -> None:
    columns = delphes.muon_columns(pt_min=20, pt_max=40, radius=0.3)
    data = read(
        columns, path, ["muon_charge", "deposit_et", "deposit_layer"],
        max_length={"deposit_et": 5, "deposit_layer": 5},
    )  # fmt: skip
    assert data.X["features"][0].tolist() == [-1.0]
    transverse = np.array([3.0, 1.0, 2.0, 0.0, 0.0]) / math.cosh(-0.5)
    assert data.X["constituents"][0, :, 0] == pytest.approx(transverse, rel=1e-6)
    assert data.X["constituents"][0, :, 1].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]


def test_wrong_names_and_settings_are_refused() -> None:
    with pytest.raises(ColumnNotFoundError, match="jet_mass"):
        delphes.jet_columns().inputs("jet_mas")
    with pytest.raises(SettingError, match="radius"):
        delphes.jet_columns(radius=0)
