"""The selection of a search with one lepton, jets and missing transverse momentum, and what it is made from.

Exactly one isolated electron or muon above ``veto_pt``, which is above ``lepton_pt`` too; at least ``jets``
anti-kT jets with R = 0.5 above ``jet_pt``, ``b_jets`` of them tagged; |η| < ``max_eta`` for all of these;
missing transverse momentum above ``met``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepml_root.data.observables_library import of_numbers
from hepml_root.simulation.batch import Batch
from hepml_root.simulation.detector import missing_momentum
from hepml_root.simulation.leptons_and_jets import b_tagged, cluster, isolated_leptons
from hepml_root.simulation.samples import Branch, Rows

JETS = 3
# Where no mass is consistent with the momenta, m_T2^W is this.
LARGEST_MT2W = 500.0
W_MASS = 80.4

OPTIONS = {
    "lepton_pt": 40.0,
    "veto_pt": 10.0,
    "jet_pt": 30.0,
    "max_eta": 2.5,
    "jets": 4,
    "b_jets": 1,
    "met": 200.0,
}
FEATURES = (
    "lepton_pt",
    "lepton_eta",
    "lepton_phi",
    *(f"jet{number}_{what}" for number in range(1, JETS + 1) for what in ("pt", "eta", "phi")),
    "n_jets",
    "n_bjets",
    "met",
    "met_phi",
    "ht",
    "mt",
    "mt2w",
)
_MOMENTUM = {
    "pt": ("transverse momentum", "GeV"),
    "eta": ("pseudorapidity", ""),
    "phi": ("azimuth", "rad"),
    "mass": ("mass", "GeV"),
}
BRANCHES = (
    *(Branch(f"lepton_{what}", f"{_MOMENTUM[what][0]} of the lepton", _MOMENTUM[what][1])
      for what in ("pt", "eta", "phi")),
    *(
        Branch(f"jet{number}_{what}", f"{meaning} of jet number {number} by pt", unit)
        for number in range(1, JETS + 1)
        for what, (meaning, unit) in _MOMENTUM.items()
    ),
    Branch("n_jets", "number of jets"),
    Branch("n_bjets", "number of tagged jets"),
    Branch("met", "missing transverse momentum", "GeV"),
    Branch("met_phi", "its azimuth", "rad"),
    Branch("ht", "sum of the jets' transverse momenta", "GeV"),
    Branch("mt", "transverse mass of lepton and missing transverse momentum", "GeV"),
    Branch("mt2w", f"m_T2^W (arXiv:1203.4813), at most {LARGEST_MT2W:g}", "GeV"),
    Branch("weight", "expected events that the event stands for"),
    Branch("truth_leptons", "no input: how many of the two W bosons decayed to e, μ or τ", dtype="int32"),
    Branch("truth_met", "no input: pt of neutrinos and χ of the hard process", "GeV"),
)  # fmt: skip


def one_lepton_columns(batch: Batch, options: Mapping[str, Any]) -> Rows:
    """Return the selected events of a batch."""
    assert batch.detector is not None
    assert batch.trials is not None
    detector = batch.detector
    flow = detector.flow(batch.final, batch.random)
    met, met_phi = missing_momentum(flow)
    # What takes time is done only for events that can still be selected.
    origin = np.flatnonzero(met > options["met"])
    flow = flow[origin]
    electrons, muons = (detector.identify(flow, kind, batch.random) for kind in (11, 13))
    leptons = isolated_leptons(electrons, muons, options["veto_pt"], options["max_eta"])
    single = ak.to_numpy((ak.num(leptons) == 1) & ak.any(leptons.pt > options["lepton_pt"], axis=1))
    origin, lepton, flow = origin[single], leptons[single][:, 0], flow[single]
    jets = cluster(flow[flow.index != lepton.index], options["jet_pt"], options["max_eta"])
    enough = ak.to_numpy(ak.num(jets)) >= options["jets"]
    origin, lepton, jets = origin[enough], lepton[enough], jets[enough]
    tagged = b_tagged(jets, batch, origin)
    some = ak.to_numpy(ak.sum(tagged, axis=1)) >= options["b_jets"]
    origin, lepton, jets, tagged = origin[some], lepton[some], jets[some], tagged[some]
    columns = _columns(lepton, jets, tagged, met[origin], met_phi[origin])
    columns["weight"] = batch.trials.weight[origin]
    columns["truth_leptons"], columns["truth_met"] = batch.trials.notes[origin].T
    return columns, origin


def _columns(lepton: ak.Array, jets: ak.Array, tagged: ak.Array, met: Any, met_phi: Any) -> dict[str, Any]:
    pt, eta, phi = (ak.to_numpy(lepton[name]).astype(float) for name in ("pt", "eta", "phi"))
    columns: dict[str, Any] = {"lepton_pt": pt, "lepton_eta": eta, "lepton_phi": phi}
    for jet in range(JETS):
        columns |= {f"jet{jet + 1}_{what}": ak.to_numpy(jets[what][:, jet]) for what in _MOMENTUM}
    return columns | {
        "n_jets": ak.to_numpy(ak.num(jets)),
        "n_bjets": ak.to_numpy(ak.sum(tagged, axis=1)),
        "met": met,
        "met_phi": met_phi,
        "ht": ak.to_numpy(ak.sum(jets.pt, axis=1)),
        "mt": 2 * np.sqrt(pt * met) * np.abs(np.sin(0.5 * (phi - met_phi))),
        "mt2w": smallest_mt2w((pt, eta, phi), jets, tagged, met, met_phi),
    }


def smallest_mt2w(
    lepton: tuple[Any, Any, Any], jets: ak.Array, tagged: ak.Array, met: Any, met_phi: Any
) -> NDArray[np.float64]:
    """Return m_T2^W of events with at least three jets, of which at least one is tagged [GeV].

    The b jets are the two tagged jets with the largest pt. Of a single one the other is not known: it is
    each of the three untagged jets with the largest pt in turn, and the smallest m_T2^W counts.

    Arguments
    ---------
    lepton
        pt [GeV], eta, phi [rad], ``(events,)`` each.
    jets, tagged
        ``(events, jets)`` by falling pt, with ``pt``, ``eta``, ``phi``, ``mass``; and which are tagged.
    met, met_phi
        Missing transverse momentum ``(events,)`` [GeV], [rad].

    Reference
    ---------
    Bai, Cheng, Gallicchio, Gu, arXiv:1203.4813; for a single tagged jet CMS, arXiv:1308.1586.

    Example
    -------
    >>> jets = ak.Array([[{"pt": 80.0, "eta": 0.5, "phi": 2.0, "mass": 5.0},
    ...                   {"pt": 70.0, "eta": -0.4, "phi": -2.0, "mass": 5.0}]])
    >>> tagged = ak.Array([[True, True]])
    >>> smallest_mt2w(([60.0], [0.0], [0.0]), jets, tagged, [90.0], [1.0]).round(2).tolist()
    [138.2]
    """
    found = np.full(len(met), LARGEST_MT2W)
    # Padded to what is asked for, so that rows of it are arrays without lists.
    bottom, others = ak.pad_none(jets[tagged], 2), ak.pad_none(jets[~tagged], 3)
    single = ak.to_numpy(ak.is_none(bottom[:, 1]))
    for number in range(3):
        second = ak.where(single, others[:, number], bottom[:, 1]) if number == 0 else others[:, number]
        at = np.flatnonzero(~ak.to_numpy(ak.is_none(second)) & (single | (number == 0)))
        columns = [np.asarray(one, dtype=float)[at] for one in lepton]
        for b in (bottom[at, 0], second[at]):
            columns += [ak.to_numpy(b[name], allow_missing=False).astype(float) for name in _MOMENTUM]
        columns += [np.asarray(one, dtype=float)[at] for one in (met, met_phi)]
        columns += [np.full(len(at), W_MASS), np.full(len(at), LARGEST_MT2W)]
        found[at] = np.minimum(found[at], of_numbers("mt2w", columns))
    return found
