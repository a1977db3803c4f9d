"""Muons from a decaying boson and from bottom jets, with what the calorimeters measure around them.

``muons-prompt``, γ*/Z → μ μ with masses about 20 GeV, and ``muons-from-jets``, b b with a muon from the decay
of a bottom hadron, in proton collisions at 13 TeV; one row for each muon with 10 < pt < 15 GeV, |η| < 2.5. At
such pt an isolation cone leaves much of what is known unused, which is what arXiv:2102.02278 studies.
Differences to that study: no pile-up (there 50 collisions in each event), this package's detector, and only
muons that a bottom hadron decays to directly, not those of charm hadrons or of particles in flight. Likewise
muons are prompt only if the boson decayed to them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np

from hepml_root.simulation.batch import Batch
from hepml_root.simulation.detector import Detector
from hepml_root.simulation.jets import delta_r
from hepml_root.simulation.pythia import require
from hepml_root.simulation.samples import Branch, Rows, Sample

CONES = (0.1, 0.2, 0.3, 0.4)
# Tracks below do not count for the isolation.
TRACK_PT = 0.5
ELECTROMAGNETIC, HADRONIC = 0, 1
_BOSON = 23
BOTTOM_HADRONS = (511, 521, 531, 541, 5122, 5132, 5232, 5332)
# Share of bottom hadrons that decay to a muon directly (Particle Data Group, for those of colliders).
DIRECT_MUONS = 0.107

BRANCHES = (
    Branch("muon_pt", "transverse momentum of the muon", "GeV"),
    Branch("muon_eta", "pseudorapidity of the muon"),
    Branch("muon_phi", "azimuth of the muon", "rad"),
    Branch("muon_charge", "charge of the muon", "e"),
    *(
        Branch(
            f"isolation_{what}_{round(10 * cone):02d}", f"sum of {of} within ΔR < {cone}, by the muon's pt"
        )
        for what, of in (("calorimeter", "the cells' transverse energy"), ("track", "other tracks' pt"))
        for cone in CONES
    ),
    Branch("deposit_et", "transverse energy in a cell, by falling values", "GeV", group="deposit"),
    Branch("deposit_eta", "pseudorapidity of the cell's centre", "", group="deposit"),
    Branch("deposit_phi", "azimuth of the cell's centre", "rad", group="deposit"),
    Branch("deposit_layer", "0 electromagnetic, 1 hadronic", "", "int32", "deposit"),
    Branch("Type", "1 prompt, 0 from jets"),
    Branch("weight", "weight of the muon, always 1"),
)


def parton_filter(pythia: Any, options: Mapping[str, Any], kind: int, low: float, high: float) -> object:
    """Install a filter before hadronisation on particles of one kind (13 muon, 5 bottom quark); return it.

    One with ``low`` < pt < ``high`` [GeV] is asked for, in or near the |η| of the selection.
    """

    class PartonFilter(require("pythia8mc").UserHooks):  # type: ignore[misc]
        def canVetoPartonLevel(self) -> bool:
            return True

        def doVetoPartonLevel(self, event: Any) -> bool:
            for i in range(event.size() - 1, 0, -1):
                particle = event[i]
                if (
                    particle.isFinal()
                    and particle.idAbs() == kind
                    and low < particle.pT() < high
                    and abs(particle.eta()) < options["eta_max"] + 0.5
                ):
                    return False
            return True

    hook = PartonFilter()
    pythia.setUserHooksPtr(hook)
    return hook


def parents(batch: Batch, muons: ak.Array) -> ak.Array:
    """Return the type (without sign) of what each muon comes from; ``muons`` are tracks of the detector.

    A muon that radiated or recoiled has copies in the event record: what the first of them comes from.
    """
    record = batch.record
    at = batch.final.index[muons.index]
    while True:
        mother = record.mother1[at]
        kind = abs(record.id[mother])
        if not ak.any(kind == 13, axis=None):
            return kind
        at = ak.where(kind == 13, mother, at)


def _select(batch: Batch, options: Mapping[str, Any], origins: tuple[int, ...]) -> Rows:
    """Return the muons of a batch that come from particles of these types."""
    assert batch.detector is not None
    final = batch.final
    tracks = batch.detector.flow(final, batch.random)
    cells = batch.detector.calorimeter(final, batch.random)
    muons = tracks[abs(tracks.pdg) == 13]
    inside = (muons.pt > options["pt_min"]) & (muons.pt < options["pt_max"])
    muons = muons[inside & (abs(muons.eta) < options["eta_max"])]
    kind = parents(batch, muons)
    muons = muons[ak.unflatten(np.isin(ak.to_numpy(ak.flatten(kind)), origins), ak.num(kind))]
    tracks = tracks[(tracks.charge != 0) & (tracks.pt > TRACK_PT)]
    # One row for each muon, with the objects of its event.
    event = np.repeat(np.arange(len(batch)), ak.to_numpy(ak.num(muons)))
    muons, tracks, cells = ak.flatten(muons), tracks[event], cells[event]
    tracks = tracks[tracks.index != muons.index]
    to_tracks, to_cells = delta_r(tracks, muons), delta_r(cells, muons)
    columns: dict[str, Any] = {f"muon_{name}": ak.to_numpy(muons[name]) for name in ("pt", "eta", "phi")}
    columns["muon_charge"] = ak.to_numpy(muons.charge)
    for cone in CONES:
        end = f"{round(10 * cone):02d}"
        columns[f"isolation_calorimeter_{end}"] = _within(cells.pt, to_cells, cone) / columns["muon_pt"]
        columns[f"isolation_track_{end}"] = _within(tracks.pt, to_tracks, cone) / columns["muon_pt"]
    cells = cells[to_cells < options["radius"]]
    columns |= {"deposit_et": cells.pt, "deposit_eta": cells.eta, "deposit_phi": cells.phi}
    columns["deposit_layer"] = ak.where(cells.pdg == 22, ELECTROMAGNETIC, HADRONIC)
    columns["weight"] = np.ones(len(event))
    return columns, event


def _within(pt: ak.Array, distance: ak.Array, cone: float) -> Any:
    return ak.to_numpy(ak.sum(ak.where(distance < cone, pt, 0.0), axis=1))


def _prompt(batch: Batch, options: Mapping[str, Any]) -> Rows:
    columns, event = _select(batch, options, (_BOSON,))
    return {**columns, "Type": np.ones(len(event))}, event


def _from_jets(batch: Batch, options: Mapping[str, Any]) -> Rows:
    columns, event = _select(batch, options, BOTTOM_HADRONS)
    return {**columns, "Type": np.zeros(len(event))}, event


def _prompt_filter(pythia: Any, options: Mapping[str, Any]) -> object:
    # The detector moves a muon's pt by 1 or 2 percent.
    return parton_filter(pythia, options, 13, 0.9 * options["pt_min"], 1.1 * options["pt_max"])


def _from_jets_filter(pythia: Any, options: Mapping[str, Any]) -> object:
    # A muon cannot have more than the quark, but for what the hadronisation adds.
    return parton_filter(pythia, options, 5, 0.9 * options["pt_min"], math.inf)


_OPTIONS = {"pt_min": 10.0, "pt_max": 15.0, "eta_max": 2.5, "radius": 0.5}
_REFERENCE = "arXiv:2102.02278"

PROMPT = Sample(
    name="muons-prompt",
    title="muons of a boson's decay, 10 < pt < 15 GeV, and the calorimeters around them, 13 TeV",
    pythia=(
        "Beams:eCM = 13000.",
        "WeakSingleBoson:ffbar2gmZ = on",
        "PhaseSpace:mHatMin = 18.",
        "PhaseSpace:mHatMax = 22.",
        "23:onMode = off",
        "23:onIfAny = 13",
    ),
    branches=BRANCHES,
    columns=_prompt,
    tree="muons",
    detector=Detector(),
    options=_OPTIONS,
    prepare=_prompt_filter,
    batch=500,
    version=2,
    reference=_REFERENCE,
)
FROM_JETS = Sample(
    name="muons-from-jets",
    title="muons of bottom hadrons' decays, 10 < pt < 15 GeV, and the calorimeters around them, 13 TeV",
    pythia=(
        "Beams:eCM = 13000.",
        "HardQCD:hardbbbar = on",
        "PhaseSpace:pTHatMin = 20.",
        *(f"{hadron}:{mode}" for hadron in BOTTOM_HADRONS for mode in ("onMode = off", "onIfAny = 13")),
    ),
    branches=BRANCHES,
    columns=_from_jets,
    tree="muons",
    detector=Detector(),
    options=_OPTIONS,
    prepare=_from_jets_filter,
    batch=500,
    version=2,
    reference=_REFERENCE,
    cross_section_factor=DIRECT_MUONS,
)
