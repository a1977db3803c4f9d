"""Isolated leptons, jets and b-tags of collisions, as the samples with a lepton and jets select them."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepml_root.simulation.batch import Batch, kinematics
from hepml_root.simulation.jets import delta_r
from hepml_root.simulation.pythia import require

JET_RADIUS = 0.5
# The largest sum of pt around an isolated lepton, by its pt: that of the CMS card of Delphes.
ELECTRON_ISOLATION, MUON_ISOLATION = 0.12, 0.25
# A jet has the flavour of the heaviest hadron of at least 5 GeV near its axis.
FLAVOUR_PT, FLAVOUR_RADIUS = 5.0, 0.4


def isolated_leptons(electrons: ak.Array, muons: ak.Array, min_pt: float, max_eta: float) -> ak.Array:
    """Return the isolated ones of the detector's electrons and muons, ``(events, leptons)``."""
    found = ak.concatenate(
        [electrons[electrons.isolation < ELECTRON_ISOLATION], muons[muons.isolation < MUON_ISOLATION]], axis=1
    )
    return found[(found.pt > min_pt) & (abs(found.eta) < max_eta)]


def b_tagged(jets: ak.Array, batch: Batch, origin: NDArray[np.intp]) -> ak.Array:
    """Return which jets the detector tags as b jets."""
    assert batch.detector is not None
    record = batch.record[origin]
    flavour = ak.zeros_like(jets.pt, dtype=np.int64)
    for quark in (4, 5):
        hadron = kinematics(record[_has_quark(record.id, quark)])
        hadron = hadron[hadron.pt > FLAVOUR_PT]
        pairs = ak.cartesian({"jet": jets, "hadron": hadron}, nested=True)
        near = ak.any(delta_r(pairs.jet, pairs.hadron) < FLAVOUR_RADIUS, axis=-1)
        flavour = ak.where(near, quark, flavour)
    pt, eta, flavours = (ak.to_numpy(ak.flatten(values)) for values in (jets.pt, jets.eta, flavour))
    return ak.unflatten(batch.detector.b_tag(pt, eta, flavours, batch.random), ak.num(jets))


def _has_quark(pdg: ak.Array, quark: int) -> ak.Array:
    """Return which particles are ground-state hadrons with that quark as their heaviest."""
    size = abs(pdg)
    meson, baryon = size // 100 % 10, size // 1000 % 10
    # Below 100 are no hadrons, above 10000 are excited ones, which decay into others at once.
    return (size > 100) & (size < 10_000) & ((baryon == quark) | ((baryon == 0) & (meson == quark)))


def cluster(flow: ak.Array, min_pt: float, max_eta: float) -> ak.Array:
    """Return the anti-kT jets with R = 0.5 of the objects, ``(events, jets)``, by falling pt.

    Fields ``pt``, ``mass`` [GeV], ``eta`` and ``phi`` [rad]; pt and mass are multiplied by
    :func:`energy_scale` before jets are selected.
    """
    fastjet = require("fastjet")
    vectors = ak.zip(
        {
            "px": flow.pt * np.cos(flow.phi),
            "py": flow.pt * np.sin(flow.phi),
            "pz": flow.pt * np.sinh(flow.eta),
            "E": np.hypot(flow.pt * np.cosh(flow.eta), flow.mass),
        },
        with_name="Momentum4D",
    )
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, JET_RADIUS)
    found = fastjet.ClusterSequence(vectors, definition).inclusive_jets(min_pt / 2)
    pt = np.hypot(found.px, found.py)
    mass = np.sqrt(np.maximum(found.E**2 - pt**2 - found.pz**2, 0))
    eta, phi = np.arcsinh(found.pz / pt), np.arctan2(found.py, found.px)
    scale = energy_scale(pt, eta)
    jets = ak.zip({"pt": scale * pt, "eta": eta, "phi": phi, "mass": scale * mass})
    jets = jets[(jets.pt > min_pt) & (abs(jets.eta) < max_eta)]
    return jets[ak.argsort(jets.pt, ascending=False)]


def energy_scale(pt: Any, eta: Any) -> Any:
    """Return what jets are multiplied by for what the detector misses of them, as in Delphes' CMS card.

    >>> round(float(energy_scale(40.0, 0.0)), 3)
    1.075
    """
    return np.sqrt((2.5 - 0.15 * abs(eta)) ** 2 / pt + 1)
