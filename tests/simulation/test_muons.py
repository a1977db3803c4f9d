"""Muons of bosons and of jets: what is around them, against each other and against the cells themselves."""

from __future__ import annotations

import pickle
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

from hepml_root.errors import SettingError
from hepml_root.simulation import muons
from hepml_root.simulation.batch import Batch
from hepml_root.simulation.chunks import Chunk, make_chunk
from hepml_root.simulation.detector import Detector
from hepml_root.simulation.samples import find, names

MUONS = 50


@pytest.fixture(scope="module")
def samples() -> dict[str, Chunk]:
    # Small batches, so that little more is made than is used.
    return {
        name: make_chunk(replace(find(name), batch=150), 1, 0, MUONS)
        for name in ("muons-prompt", "muons-from-jets")
    }


def sums(chunk: Chunk, values: np.ndarray) -> np.ndarray:
    """Sums of the deposits' values for each muon."""
    rows = np.repeat(np.arange(MUONS), chunk.columns["ndeposit"])
    return np.bincount(rows, weights=values, minlength=MUONS)


def distance(chunk: Chunk) -> np.ndarray:
    columns = chunk.columns
    eta, phi = (np.repeat(columns[f"muon_{name}"], columns["ndeposit"]) for name in ("eta", "phi"))
    delta_phi = (columns["deposit_phi"] - phi + np.pi) % (2 * np.pi) - np.pi
    return np.hypot(columns["deposit_eta"] - eta, delta_phi)


def test_muons_are_those_that_were_asked_for(samples: dict[str, Chunk]) -> None:
    for name, chunk in samples.items():
        columns = chunk.columns
        assert len(columns["muon_pt"]) == MUONS
        assert ((columns["muon_pt"] > 10) & (columns["muon_pt"] < 15)).all()
        assert (np.abs(columns["muon_eta"]) < 2.5).all()
        assert set(columns["muon_charge"]) == {-1.0, 1.0}
        assert set(columns["Type"]) == {float(name == "muons-prompt")}
        assert set(columns["deposit_layer"]) == {muons.ELECTROMAGNETIC, muons.HADRONIC}


def test_the_isolation_is_the_sum_of_the_deposits(samples: dict[str, Chunk]) -> None:
    for chunk in samples.values():
        columns, apart = chunk.columns, distance(chunk)
        assert apart.max() < 0.5 + 1e-5
        for cone in muons.CONES:
            expected = sums(chunk, columns["deposit_et"] * (apart < cone)) / columns["muon_pt"]
            # A cell at the edge of the cone can be on either side after rounding to single precision.
            same = np.isclose(columns[f"isolation_calorimeter_{round(10 * cone):02d}"], expected, rtol=1e-4)
            assert same.sum() >= MUONS - 1


def test_muons_of_jets_have_more_around_them(samples: dict[str, Chunk]) -> None:
    """Half of the b quark's transverse momentum or so is near its muon; near others, what is soft."""
    prompt, jets = (samples[name].columns for name in ("muons-prompt", "muons-from-jets"))
    for name in ("isolation_calorimeter_04", "isolation_track_04", "ndeposit"):
        pairs = np.sign(jets[name][:, None] - prompt[name][None, :].astype(float))
        # The area under the ROC curve is 0.9 on large samples, with an error of 0.03 here.
        assert 0.5 + pairs.mean() / 2 > 0.78, name
    assert np.median(prompt["isolation_calorimeter_04"]) < 0.05
    assert np.median(jets["isolation_calorimeter_04"]) > 0.2


def record(*muons: tuple[int, ...]) -> ak.Array:
    """One collision: for each muon of pt 12 GeV the types that it comes from, the last one first."""
    rows = [
        {"id": 90, "status": -11, "mother1": 0, "p": {"px": 0.0, "py": 0.0, "pz": 0.0, "e": 0.0}, "m": 0.0}
    ]
    for number, chain in enumerate(muons):
        for step, kind in enumerate((*reversed(chain), 13)):
            x, y = 12 * np.cos(number), 12 * np.sin(number)
            rows.append(
                {
                    "id": kind,
                    "status": 91 if step == len(chain) else -91,
                    "mother1": len(rows) - 1 if step else 0,
                    "p": {"px": x, "py": y, "pz": 0.0, "e": 12.0},
                    "m": 0.10566,
                }
            )
    return ak.Array([{"prt": rows}])


def test_where_muons_come_from_decides() -> None:
    """Of a bottom hadron, of a charm hadron from one, of a boson after radiation, of a pion."""
    pythia = pytest.importorskip("pythia8mc").Pythia("", False)
    events = record((511,), (411, -511), (13, 13, 23), (-211,))
    for select, kept in ((muons._from_jets, [0.0]), (muons._prompt, [2.0])):
        batch = Batch(events, pythia, Detector.perfect(), np.random.default_rng(1))
        columns, origin = select(batch, muons._OPTIONS)
        assert columns["muon_phi"] == pytest.approx(kept)
        assert origin.tolist() == [0]


def test_the_share_of_decays_that_are_forced_is_known() -> None:
    """Pythia's own branching fractions, with the shares of bottom quarks that become each hadron."""
    data = pytest.importorskip("pythia8mc").Pythia("", False).particleData
    shares = {511: 0.42, 521: 0.42, 531: 0.1, 5122: 0.06}
    fraction = 0.0
    for hadron, share in shares.items():
        entry = data.findParticle(hadron)
        for channel in (entry.channel(i) for i in range(entry.sizeChannels())):
            if 13 in (abs(channel.product(i)) for i in range(channel.multiplicity())):
                fraction += share * channel.bRatio()
    assert fraction == pytest.approx(muons.DIRECT_MUONS, rel=0.05)
    assert find("muons-from-jets").cross_section_factor == muons.DIRECT_MUONS


def test_other_ranges_of_pt_can_be_asked_for() -> None:
    sample = find("muons-prompt").with_settings({"pt_min": 30, "pt_max": 50, "PhaseSpace:mHatMin": 80})
    assert sample.options["pt_min"] == 30.0
    assert sample.pythia[-1] == "PhaseSpace:mHatMin = 80"
    with pytest.raises(SettingError, match="radius"):
        find("muons-prompt").with_settings({"radios": 0.3})


@pytest.mark.parametrize("name", names())
def test_every_sample_can_be_sent_to_another_process(name: str) -> None:
    sample = pickle.loads(pickle.dumps(find(name)))
    assert (sample.name, sample.pythia, sample.branches) == (name, find(name).pythia, find(name).branches)
