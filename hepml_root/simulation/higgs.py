"""The HIGGS benchmark regenerated: a cascade of Higgs bosons against top pairs, in lepton + jets.

Samples ``higgs``, gg → H0(425) → W H±(325) → W W h(125) → W W b b, and ``higgs-ttbar``, t t → W W b b, in
proton collisions at 8 TeV; one W decays to an electron or a muon, the other to quarks. The 28 inputs have the
names of the file that ROOT ships (``hr.data.shipped_file("Higgs_data.root")``), the trees too. There, values
are scaled to a mean or width of 1; here they are in GeV and rad.

Reference: Baldi, Sadowski, Whiteson, arXiv:1402.4735. ``docs/simulation_events.md`` has the comparison with
the shipped file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hepml_root.simulation.batch import Batch
from hepml_root.simulation.detector import Detector
from hepml_root.simulation.leptons_and_jets import b_tagged, cluster, isolated_leptons
from hepml_root.simulation.pythia import require
from hepml_root.simulation.samples import Branch, Rows, Sample
from hepml_root.simulation.wwbb import four_vector, masses

JETS = 4
# More jets than these would only be looked at for the light W: events with so many do not occur in practice.
MOST_JETS = 12
# What `longitudinal` keeps of two W bosons: the mean of sin²θ over the sphere, squared.
KEPT = (2 / 3) ** 2

LOW_LEVEL = (
    "lepton_pT",
    "lepton_eta",
    "lepton_phi",
    "missing_energy_magnitude",
    "missing_energy_phi",
    *(f"jet{number}_{what}" for number in range(1, JETS + 1) for what in ("pt", "eta", "phi", "b-tag")),
)
HIGH_LEVEL = ("m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb")


def _branches() -> tuple[Branch, ...]:
    meaning = {
        "lepton": "electron or muon",
        "missing": "missing transverse momentum",
        **{f"jet{n}": f"jet number {n} by pt" for n in range(1, JETS + 1)},
    }
    low = []
    for name in LOW_LEVEL:
        unit = {"pT": "GeV", "pt": "GeV", "magnitude": "GeV", "phi": "rad"}.get(name.rsplit("_", 1)[1], "")
        text = meaning[name.split("_")[0]] + (", 1 if tagged as a b jet, 0 if not" if "b-tag" in name else "")
        low.append(Branch(name, text, unit))
    high = [Branch(name, f"invariant mass {name[2:]}, see simulation/wwbb.py", "GeV") for name in HIGH_LEVEL]
    return (
        *low,
        *high,
        Branch("Type", "1 signal, 0 background"),
        Branch("weight", "weight of the event, always 1"),
    )


def lepton_filter(
    pythia: Any, options: Mapping[str, Any], accept: Callable[[Any, Any], bool] | None = None
) -> object:
    """Install what saves the work on collisions that the selection cannot keep; return it.

    Before the shower: one W boson to an electron or a muon, the other to quarks. Before hadronisation: that
    lepton, after its radiation, has at least 0.8 of the smallest pt.

    ``accept(pythia, process)`` says whether a process that has these decays is kept.
    """

    class LeptonFilter(require("pythia8mc").UserHooks):  # type: ignore[misc]
        def canVetoProcessLevel(self) -> bool:
            return True

        def doVetoProcessLevel(self, process: Any) -> bool:
            light = [
                process[i].idAbs()
                for i in range(5, process.size())
                if process[process[i].mother1()].idAbs() == 24
            ]
            leptons = [one for one in light if one > 10]
            if len(leptons) != 2 or 15 in leptons:
                return True
            return accept is not None and not accept(pythia, process)

        def canVetoPartonLevel(self) -> bool:
            return True

        def doVetoPartonLevel(self, event: Any) -> bool:
            for i in range(event.size() - 1, 0, -1):
                particle = event[i]
                if (
                    particle.isFinal()
                    and particle.idAbs() in (11, 13)
                    and particle.pT() > 0.8 * options["min_pt"]
                    and abs(particle.eta()) < options["max_eta"] + 0.05
                ):
                    return False
            return True

    hook = LeptonFilter()
    pythia.setUserHooksPtr(hook)
    return hook


def longitudinal(pythia: Any, process: Any) -> bool:
    """Keep decays of W bosons in proportion to sin²θ.

    A W boson from the decay of a scalar into a scalar and a W has helicity 0: its fermions have an angle θ to
    its direction, in its own rest frame, with dN/dcosθ ∝ sin²θ. Pythia lets these W decay isotropically, so
    that (2/3)² are kept of the decays of two, which is :data:`KEPT`.
    """
    kept = 1.0
    for i in range(5, process.size()):
        boson = process[i]
        if boson.idAbs() != 24:
            continue
        parent, fermion = process[boson.mother1()].p(), process[boson.daughter1()].p()
        # cos θ from invariants: the fermion's part of p_W·p_parent is linear in it, between its extremes.
        mass2 = boson.m2Calc()
        along = fermion * parent
        total = boson.p() * parent
        largest = np.sqrt(max(total**2 - mass2 * parent.m2Calc(), 1e-12))
        kept *= 1 - min(((2 * along - total) / largest) ** 2, 1.0)
    return float(pythia.rndm.flat()) < kept


def _select(batch: Batch, options: Mapping[str, Any]) -> Rows:
    assert batch.detector is not None
    seen = batch.detector.respond(batch.final, batch.random)
    leptons = isolated_leptons(seen.electrons, seen.muons, options["min_pt"], options["max_eta"])
    origin = np.flatnonzero(ak.num(leptons) == 1)
    lepton, flow = leptons[origin, 0], seen.flow[origin]
    jets = cluster(flow[flow.index != lepton.index], options["min_pt"], options["max_eta"])
    tagged = b_tagged(jets, batch, origin)
    number = ak.to_numpy(ak.sum(tagged, axis=1))
    chosen = (ak.to_numpy(ak.num(jets)) >= JETS) & (number >= 2)
    if not options["extra_b_tags"]:
        chosen &= number == 2
    origin, lepton, jets, tagged = origin[chosen], lepton[chosen], jets[chosen], tagged[chosen]
    missing = (seen.missing_pt[origin], seen.missing_phi[origin])
    return _columns(lepton, missing, jets, tagged), origin


def _columns(lepton: ak.Array, missing: tuple[Any, Any], jets: ak.Array, tagged: ak.Array) -> dict[str, Any]:
    pt, eta, phi = (ak.to_numpy(lepton[name]).astype(float) for name in ("pt", "eta", "phi"))
    columns: dict[str, Any] = {"lepton_pT": pt, "lepton_eta": eta, "lepton_phi": phi}
    columns |= {"missing_energy_magnitude": missing[0], "missing_energy_phi": missing[1]}
    for jet in range(JETS):
        columns |= {f"jet{jet + 1}_{what}": ak.to_numpy(jets[what][:, jet]) for what in ("pt", "eta", "phi")}
        columns[f"jet{jet + 1}_b-tag"] = ak.to_numpy(tagged[:, jet]).astype(float)
    # Of more than two tagged jets, those after the first two are light jets.
    is_b = tagged & (ak.local_index(tagged) <= _second(tagged))
    columns |= masses(
        four_vector(pt, eta, phi),
        missing[0] * np.cos(missing[1]),
        missing[0] * np.sin(missing[1]),
        _vectors(jets[is_b], 2),
        _vectors(jets[~is_b], min(MOST_JETS, int(ak.max(ak.num(jets), initial=JETS)) - 2)),
    )
    columns["weight"] = np.ones(len(pt))
    return columns


def _second(tagged: ak.Array) -> ak.Array:
    return ak.local_index(tagged)[tagged][:, 1:2][:, 0]


def _vectors(jets: ak.Array, number: int) -> NDArray[np.float64]:
    """Return ``(events, number, 4)``, NaN where there are fewer jets."""
    fields = (
        np.asarray(ak.fill_none(ak.pad_none(jets[name], number, clip=True), np.nan), dtype=float)
        for name in ("pt", "eta", "phi", "mass")
    )
    return four_vector(*fields)


def signal_columns(batch: Batch, options: Mapping[str, Any]) -> Rows:
    """Return the selected events of a batch of signal."""
    columns, origin = _select(batch, options)
    return {**columns, "Type": np.ones(len(origin))}, origin


def background_columns(batch: Batch, options: Mapping[str, Any]) -> Rows:
    """Return the selected events of a batch of top pairs."""
    columns, origin = _select(batch, options)
    return {**columns, "Type": np.zeros(len(origin))}, origin


_OPTIONS = {"min_pt": 20.0, "max_eta": 2.5, "extra_b_tags": False}
_COMMON = ("Beams:eCM = 8000.", "PartonLevel:MPI = off")

HIGGS = Sample(
    name="higgs",
    title="gg -> H0(425) -> W H+-(325) -> W W h(125) -> W W b b, lepton + jets, 8 TeV",
    pythia=(
        *_COMMON,
        "Higgs:useBSM = on",
        "HiggsBSM:gg2H2 = on",
        "35:m0 = 425.",
        "37:m0 = 325.",
        "25:m0 = 125.",
        # Without these H0 would be 36 GeV wide, from its decays to pairs of bosons.
        "HiggsH2:coup2W = 0.",
        "HiggsH2:coup2Z = 0.",
        "HiggsH2:coup2H1H1 = 0.",
        "HiggsH2:coup2HchgW = 1.",
        "35:onMode = off",
        "35:onIfMatch = 24 37",
        "37:onMode = off",
        "37:onIfMatch = 24 25",
        "25:onMode = off",
        "25:onIfMatch = 5 5",
    ),
    branches=_branches(),
    columns=signal_columns,
    tree="sig_tree",
    detector=Detector(),
    options=_OPTIONS,
    prepare=partial(lepton_filter, accept=longitudinal),
    batch=1000,
    reference="arXiv:1402.4735",
    cross_section_factor=1 / KEPT,
)
HIGGS_TTBAR = replace(
    HIGGS,
    name="higgs-ttbar",
    title="t t -> W W b b, lepton + jets, 8 TeV: the background of 'higgs'",
    pythia=(*_COMMON, "Top:gg2ttbar = on", "Top:qqbar2ttbar = on"),
    columns=background_columns,
    tree="bkg_tree",
    prepare=lepton_filter,
    cross_section_factor=1.0,
)
