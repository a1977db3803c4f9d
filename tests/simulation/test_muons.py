"""Muons of bosons and of jets: what is around them, against each other and against the cells themselves."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from hepml_root.errors import SettingError
from hepml_root.simulation import muons
from hepml_root.simulation.chunks import Chunk, make_chunk
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
