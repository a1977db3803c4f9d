"""The samples ``top-jets`` and ``qcd-jets``: large jets of energy-flow objects, as in top-tagging studies.

Collisions at 14 TeV with 500 < p̂T < 750 GeV, the parametrised detector, anti-kT jets with R = 0.8 of its
energy-flow objects, 550 < pt < 650 GeV and |eta| < 2. A top jet is within ΔR < 0.8 of a hadronically decaying
top quark whose three decay quarks are also within ΔR < 0.8 of the jet's axis (the matching of
arXiv:1707.08966 and arXiv:1902.09914); a QCD jet is any jet of the hardest two. Multiple interactions are
off, as in that benchmark. The sample is not that public one: another generator version, detector and tune
made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepml_root.simulation.batch import Batch, kinematics
from hepml_root.simulation.detector import Detector
from hepml_root.simulation.pythia import require
from hepml_root.simulation.samples import Branch, Rows, Sample

CONSTITUENTS = 200
_CONSTITUENT = {"pt": "GeV", "eta": "", "phi": "rad", "mass": "GeV", "charge": "e", "pdg": ""}
_MEANING = {
    "pt": "transverse momentum",
    "eta": "pseudorapidity",
    "phi": "azimuth",
    "mass": "mass (pion's for charged hadrons, 0 for photons and neutral hadrons)",
    "charge": "electric charge",
    "pdg": "particle type: ±211, ±11, ±13, 22, 130",
}
BRANCHES = (
    Branch("jet_pt", "transverse momentum of the jet", "GeV"),
    Branch("jet_eta", "pseudorapidity of the jet"),
    Branch("jet_phi", "azimuth of the jet", "rad"),
    Branch("jet_mass", "mass of the jet", "GeV"),
    Branch("jet_softdrop_mass", "mass after soft drop, zcut = 0.1, beta = 0 (arXiv:1402.2657)", "GeV"),
    *(
        Branch(f"jet_tau{n}", f"{n}-subjettiness, beta = 1, one-pass kT axes (arXiv:1108.2701)")
        for n in (1, 2, 3)
    ),
    Branch("jet_multiplicity", "number of constituents, also of those beyond the first 200"),
    *(
        Branch(
            f"constituent_{name}",
            f"{_MEANING[name]} of the constituents, by falling pt, at most {CONSTITUENTS}",
            unit,
            "int32" if name == "pdg" else "float32",
            "constituent",
        )
        for name, unit in _CONSTITUENT.items()
    ),
    Branch("truth_pdg", "type of the quark or gluon that the jet is matched to; 0 without one", "", "int32"),
    Branch("truth_pt", "its transverse momentum; 0 without one", "GeV"),
    Branch("truth_eta", "its pseudorapidity"),
    Branch("truth_phi", "its azimuth", "rad"),
    Branch("truth_delta_r", "distance of the jet from it; -1 without one"),
    Branch("truth_pt_hat", "transverse momentum of the hard process", "GeV"),
)

_COLLISIONS = (
    "Beams:eCM = 14000.",
    "PhaseSpace:pTHatMin = 500.",
    "PhaseSpace:pTHatMax = 750.",
    "PartonLevel:MPI = off",
    # What flies further than 10 mm meets the detector undecayed.
    "ParticleDecays:limitTau0 = on",
    "ParticleDecays:tau0Max = 10.",
)
_OPTIONS = {
    "radius": 0.8,
    "pt_min": 550.0,
    "pt_max": 650.0,
    "eta_max": 2.0,
    "match": 0.8,
    "softdrop_zcut": 0.1,
    "softdrop_beta": 0.0,
}


def delta_r(first: ak.Array, second: ak.Array) -> ak.Array:
    """Return ΔR of records with ``eta`` and ``phi`` that broadcast."""
    delta_phi = (first.phi - second.phi + np.pi) % (2 * np.pi) - np.pi
    return np.hypot(first.eta - second.eta, delta_phi)


def nearest(jets: ak.Array, partons: ak.Array) -> tuple[ak.Array, ak.Array]:
    """Return, for each of the jets ``(events, jets)``, the nearest parton of its event, and their ΔR.

    Both are None where the event has no parton.
    """
    distance = delta_r(jets[:, :, np.newaxis], partons[:, np.newaxis, :])
    at = ak.argmin(distance, axis=2, keepdims=True)
    repeated, _ = ak.broadcast_arrays(partons[:, np.newaxis, :], distance)
    return ak.firsts(repeated[at], axis=2), ak.firsts(distance[at], axis=2)


def hard_partons(batch: Batch) -> ak.Array:
    """Return quarks and gluons that leave the hard process, before they radiate, with ``pdg``."""
    record = batch.record
    chosen = record[record.status == -23]
    return ak.with_field(kinematics(chosen), chosen.id, "pdg")


def hadronic_tops(batch: Batch) -> ak.Array:
    """Return the top quarks just before they decay, with ``pdg``, and ``quarks``: what they decay to.

    ``quarks`` ``(events, tops, 3)`` are the bottom quark and the two of the W, before they radiate.
    """
    record = batch.record
    tops = record[(abs(record.id) == 6) & (record.status < 0)]
    tops = tops[abs(record.id[tops.daughter1]) != 6]  # only the last copy of each
    first_is_w = abs(record.id[tops.daughter1]) == 24
    w = ak.where(first_is_w, tops.daughter1, tops.daughter2)
    b = ak.where(first_is_w, tops.daughter2, tops.daughter1)
    while True:  # the W is copied when it recoils: down to the copy that decays
        below = record.daughter1[w]
        copied = record.id[below] == record.id[w]
        if not ak.any(copied, axis=None):
            break
        w = ak.where(copied, below, w)
    rows = ak.concatenate(
        [one[:, :, np.newaxis] for one in (b, record.daughter1[w], record.daughter2[w])], axis=2
    )
    quarks = ak.unflatten(
        kinematics(record[ak.flatten(rows, axis=2)]), ak.flatten(ak.num(rows, axis=2)), axis=1
    )
    found = ak.with_field(kinematics(tops), tops.id, "pdg")
    return ak.with_field(found, quarks, "quarks")


def jet_columns(batch: Batch, options: Mapping[str, Any]) -> Rows:
    """Return the selected QCD jets of a batch; each is matched to the nearest parton of the hard process."""
    return _columns(batch, options, hard_partons(batch))


def top_columns(batch: Batch, options: Mapping[str, Any]) -> Rows:
    """Return the selected jets of a batch that hold a hadronically decaying top quark."""
    return _columns(batch, options, hadronic_tops(batch))


def _columns(batch: Batch, options: Mapping[str, Any], partons: ak.Array) -> Rows:
    assert batch.detector is not None
    flow = batch.detector.flow(batch.final, batch.random)
    jets = find_jets(flow, options["radius"], min(options["pt_min"], 200.0))[:, :2]
    inside = (jets.pt > options["pt_min"]) & (jets.pt < options["pt_max"])
    jets = jets[inside & (abs(jets.eta) < options["eta_max"])]
    parton, distance = nearest(jets, partons)
    matched = ak.fill_none(distance < options["match"], False)
    if "quarks" in partons.fields:
        far = delta_r(jets[:, :, np.newaxis], parton.quarks)
        held = matched & ak.fill_none(ak.all(far < options["match"], axis=2), False)
        jets, parton, distance, matched = jets[held], parton[held], distance[held], matched[held]
    event = np.repeat(np.arange(len(batch)), ak.to_numpy(ak.num(jets)))
    pt_hat = np.sqrt(ak.to_numpy(batch.events.info.pT2Hat))[event]
    jets, parton, distance, matched = (ak.flatten(one, axis=1) for one in (jets, parton, distance, matched))
    parts = jets.constituents[:, :CONSTITUENTS]
    columns = {f"jet_{name}": ak.to_numpy(jets[name]) for name in ("pt", "eta", "phi", "mass")}
    columns |= substructure(jets.constituents, options)
    columns["jet_multiplicity"] = ak.to_numpy(ak.num(jets.constituents))
    columns |= {f"constituent_{name}": parts[name] for name in _CONSTITUENT}
    for name in ("pdg", "pt", "eta", "phi"):
        columns[f"truth_{name}"] = ak.to_numpy(ak.where(matched, ak.fill_none(parton[name], 0), 0))
    columns["truth_delta_r"] = ak.to_numpy(ak.where(matched, ak.fill_none(distance, -1.0), -1.0))
    columns["truth_pt_hat"] = pt_hat
    return columns, event


def find_jets(particles: ak.Array, radius: float, pt_min: float) -> ak.Array:
    """Return the anti-kT jets (arXiv:0802.1189) of the particles, ``(events, jets)``, by falling pt.

    ``particles`` ``(events, particles)`` have ``pt``, ``eta``, ``phi``, ``mass`` and are sorted by falling
    pt. Jets have these, their momentum being the sum of their constituents', and ``constituents`` ``(events,
    jets, constituents)``, also by falling pt. Jets below ``pt_min`` [GeV] are left out.
    """
    fastjet = require("fastjet")
    clusters = _cluster(particles, fastjet.antikt_algorithm, radius)
    momenta = clusters.inclusive_jets(min_pt=pt_min)
    members = ak.sort(clusters.constituent_index(min_pt=pt_min), axis=2)  # particles are by falling pt
    sizes = ak.num(members, axis=2)
    flat = ak.flatten(members, axis=2)
    constituents = ak.unflatten(particles[flat], ak.flatten(sizes), axis=1)
    jets = ak.with_field(_polar(momenta), constituents, "constituents")
    return jets[ak.argsort(jets.pt, axis=1, ascending=False)]


def substructure(constituents: ak.Array, options: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Return ``jet_softdrop_mass`` [GeV] and ``jet_tau1`` … ``jet_tau3`` of jets ``(jets, constituents)``.

    τ_N = Σ_i pt_i min_k ΔR_ik / Σ_i pt_i R: N-subjettiness with beta = 1, its N axes from kT clustering and
    one step of minimisation (arXiv:1108.2701); soft drop on the Cambridge/Aachen history (arXiv:1402.2657).
    Both are FastJet contrib's.
    """
    names = ("jet_softdrop_mass", *(f"jet_tau{n}" for n in (1, 2, 3)))
    if not len(constituents):
        return {name: np.zeros(0) for name in names}
    radius = options["radius"]
    fastjet = require("fastjet")
    # A radius beyond any distance in the jet: all its constituents are one cluster.
    clusters = _cluster(constituents, fastjet.cambridge_algorithm, 10.0)
    groomed = clusters.exclusive_jets_softdrop_grooming(
        njets=1, beta=options["softdrop_beta"], symmetry_cut=options["softdrop_zcut"], R0=radius
    )
    taus = clusters.njettiness(
        measure_definition="NormalizedMeasure", axes_definition="OnePass_KT_Axes", njets=[1, 2, 3], beta=1.0,
        R0=radius,
    )  # fmt: skip
    # Where rounding makes the square of a mass negative, FastJet's mass is so, too.
    columns = [np.maximum(ak.to_numpy(groomed.msoftdrop), 0.0) + 0.0, *np.asarray(taus).T]
    return dict(zip(names, columns, strict=True))


def _cluster(particles: ak.Array, algorithm: int, radius: float) -> Any:
    fastjet = require("fastjet")
    transverse = particles.pt
    momenta = ak.zip(
        {
            "px": transverse * np.cos(particles.phi),
            "py": transverse * np.sin(particles.phi),
            "pz": transverse * np.sinh(particles.eta),
            "E": np.hypot(transverse * np.cosh(particles.eta), particles.mass),
        },
        with_name="Momentum4D",  # the name by which FastJet knows them
    )
    return fastjet.ClusterSequence(momenta, fastjet.JetDefinition(algorithm, radius))


def _polar(momenta: ak.Array) -> ak.Array:
    """Return ``pt``, ``eta``, ``phi``, ``mass`` of records with ``px``, ``py``, ``pz``, ``E``."""
    pt = np.hypot(momenta.px, momenta.py)
    square = momenta.E**2 - pt**2 - momenta.pz**2
    return ak.zip(
        {
            "pt": pt,
            "eta": np.arcsinh(momenta.pz / pt),
            "phi": np.arctan2(momenta.py, momenta.px),
            "mass": np.sqrt(np.maximum(square, 0.0)),
        }
    )


TOP_JETS = Sample(
    name="top-jets",
    title="hadronically decaying top quarks in jets with R = 0.8 and 550 < pt < 650 GeV",
    pythia=(
        *_COLLISIONS,
        "Top:gg2ttbar = on",
        "Top:qqbar2ttbar = on",
        "24:onMode = off",
        "24:onIfAny = 1 2 3 4 5",
    ),
    branches=BRANCHES,
    columns=top_columns,
    tree="jets",
    detector=Detector(),
    options=_OPTIONS,
    chunk=2000,
    batch=500,
    reference="arXiv:1707.08966, arXiv:1902.09914 (selection); not their public sample",
)
QCD_JETS = replace(
    TOP_JETS,
    name="qcd-jets",
    title="quarks and gluons in jets with R = 0.8 and 550 < pt < 650 GeV",
    pythia=(*_COLLISIONS, "HardQCD:all = on"),
    columns=jet_columns,
)
