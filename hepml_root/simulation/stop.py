"""A search for pairs of stops in events with one lepton: two signals, and top pairs as their background.

Samples ``stop-900-100`` and ``stop-600-400``: the simplified model T2tt, p p → t̃ t̃*, t̃ → t χ, with the
masses of t̃ and χ in the name [GeV]; in the second, compressed one little is left beyond the top quark's mass.
Sample ``ttbar-1l``: p p → t t̄ with one lepton from W → e, μ, τ, or with two, of which one is lost. All at
14 TeV, with the selection of :mod:`~hepml_root.simulation.one_lepton`. The weights of a sample add up to the
events that are expected at ``luminosity_fb`` with ``cross_section_fb``, which is beyond leading order.

Events are not cut where they are generated: they are kept with a probability, and weighted
(:mod:`~hepml_root.simulation.importance`).

Reference: Elwood and Krücker, arXiv:1806.00322, and the numbers in their code hepML: 17.6 fb, 228.195 fb and
844 pb.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hepml_root.simulation.detector import Detector
from hepml_root.simulation.importance import Worth, importance_hook
from hepml_root.simulation.one_lepton import BRANCHES, OPTIONS, one_lepton_columns
from hepml_root.simulation.samples import Sample, Slice
from hepml_root.simulation.slha import stop_pair_spectrum, use_spectrum

# Share of W → e, μ, τ with Pythia's masses and couplings.
LEPTONIC = 0.32422
# Where the two slices of top pairs meet: p̂T [GeV].
HARD = 150.0
_INVISIBLE = (12, 14, 16, 1000022)
_CHARGED = (11, 13, 15)


def _leptons_and_missing(record: Any, options: Mapping[str, Any]) -> tuple[int, bool, float]:
    """Return of a hard process or of all partons the number of e, μ, τ, whether one may be selected, and the
    missing pt [GeV].
    """
    leptons, near, x, y = 0, False, 0.0, 0.0
    for i in range(record.size() - 1, 6, -1):
        particle = record[i]
        kind = particle.idAbs()
        if kind in _INVISIBLE:
            if particle.isFinal():
                x += particle.px()
                y += particle.py()
        elif kind in _CHARGED and particle.isFinal():
            leptons += 1
            near = near or _may_be_selected(particle, options)
    return leptons, near, math.hypot(x, y)


def _rising(missing: float, full: float, width: float, most: float) -> float:
    """Return by how much larger than 1 a weight may be: exp((full − missing)/width), at most ``most``."""
    return min(math.exp(max(full - missing, 0.0) / width), most)


# The target weights below are near 1/√(share of such events that are selected), which makes the errors of
# sums smallest in a given time. They decide about errors and time only.


def _importance(pythia: Any, options: Mapping[str, Any], after_process: Any) -> Any:
    """Install importance sampling that goes by the lepton and the missing momentum, however far these are
    known; return the hook.
    """

    def after_radiation(event: Any, worth: Worth) -> float:
        near, jets, missing = _boosted(pythia.process, event, options)
        least = _rising(missing, options["met"] - 30, 30.0, 12.0)
        return worth.target * least * (1.0 if near else 4.0) * (1.0 if jets >= options["jets"] else 2.5)

    def before_hadrons(event: Any, worth: Worth) -> float | None:
        # Leptons get less by radiation, but no more here: without one nothing is selected.
        _, near, missing = _leptons_and_missing(event, options)
        # What was decided before, on the number of jets, is not decided again: weights that are larger stay.
        return worth.target * _rising(missing, options["met"] - 20, 25.0, 12.0) if near else None

    return importance_hook(pythia, after_process, before_hadrons, after_radiation)


def _boosted(process: Any, event: Any, options: Mapping[str, Any]) -> tuple[bool, int, float]:
    """Return whether a lepton may be selected, how many partons may be jets, and the missing pt [GeV].

    The decay products of a hard process are boosted from its two heavy particles to these in the record of a
    later stage, ``event``, where they are not decayed.
    """
    near, jets, x, y = False, 0, 0.0, 0.0
    for i in range(process.size() - 1, 6, -1):
        if not process[i].isFinal():
            continue
        heavy = process[i].mother1()
        while heavy > 6:
            heavy = process[heavy].mother1()
        momentum = process[i].p()
        momentum.bstback(process[heavy].p())
        momentum.bst(event[event[heavy].iBotCopyId()].p())
        kind = process[i].idAbs()
        if kind in _INVISIBLE:
            x += momentum.px()
            y += momentum.py()
        elif kind in _CHARGED:
            near = near or _may_be_selected(momentum, options)
        else:
            jets += _may_be_jet(momentum, options)
    for i in range(event.size() - 1, 6, -1):
        if event[i].isFinal() and (event[i].isGluon() or event[i].idAbs() < 6):
            jets += _may_be_jet(event[i], options)
    return near, jets, math.hypot(x, y)


def _may_be_jet(parton: Any, options: Mapping[str, Any]) -> bool:
    return bool(parton.pT() > 0.8 * options["jet_pt"] and abs(parton.eta()) < options["max_eta"] + 0.1)


def _may_be_selected(lepton: Any, options: Mapping[str, Any]) -> bool:
    return bool(lepton.pT() > 0.8 * options["lepton_pt"] and abs(lepton.eta()) < options["max_eta"] + 0.1)


def top_pairs(pythia: Any, options: Mapping[str, Any]) -> object:
    """Install the importance sampling of ``ttbar-1l``; return the hook.

    Top pairs with one lepton have at most the W boson's transverse mass, but for resolution. Those with two,
    and with much missing momentum, are the background of the signals: there are more of them, with smaller
    weights.
    """

    def after_process(process: Any) -> Worth:
        leptons, near, missing = _leptons_and_missing(process, options)
        # The W+ always decays to a lepton: events with one in which it is the W- are those, conjugated.
        factor = LEPTONIC if leptons == 2 else 2 * LEPTONIC
        if process[5].pT() < HARD:
            # Soft top pairs are selected for what they recoil from, which comes later.
            target = (0.3 if leptons == 2 else 0.6) * _rising(missing, options["met"], 90.0, 5.0)
        elif leptons == 2:
            target = 0.1 * _rising(missing, options["met"], 90.0, 6.0)
        else:
            # Beyond 250 GeV there are fewer and fewer of them: with smaller weights.
            target = 0.5 * _rising(missing, options["met"], 90.0, 6.0) / _rising(250.0, missing, 100.0, 5.0)
        return Worth(target * (1.0 if near else 2.0), factor, (leptons, missing))

    return _importance(pythia, options, after_process)


def stop_pairs(pythia: Any, options: Mapping[str, Any]) -> object:
    """Hand Pythia the spectrum, and install the importance sampling of the signals; return the hook."""

    def after_process(process: Any) -> Worth | None:
        leptons, _, missing = _leptons_and_missing(process, options)
        return Worth(1.0, 1.0, (leptons, missing)) if leptons else None

    hook = _importance(pythia, options, after_process)
    use_spectrum(pythia, stop_pair_spectrum(options["stop_mass"], options["neutralino_mass"]), hook)
    return hook


def expected(options: Mapping[str, Any]) -> float:
    """Return cross section times luminosity."""
    return float(options["cross_section_fb"] * options["luminosity_fb"])


_OPTIONS = {**OPTIONS, "luminosity_fb": 30.0}
STOP_900_100 = Sample(
    name="stop-900-100",
    title="stop pairs, m(stop) = 900 GeV, m(neutralino) = 100 GeV, one lepton + jets + missing pt, 14 TeV",
    pythia=(
        "Beams:eCM = 14000.",
        "SUSY:gg2squarkantisquark = on",
        "SUSY:qqbar2squarkantisquark = on",
        "SUSY:idA = 1000006",
        "SUSY:idB = 1000006",
        "SLHA:verbose = 0",
    ),
    branches=BRANCHES,
    columns=one_lepton_columns,
    detector=Detector(),
    options={**_OPTIONS, "stop_mass": 900.0, "neutralino_mass": 100.0, "cross_section_fb": 17.6},
    prepare=stop_pairs,
    expected=expected,
    chunk=2000,
    batch=500,
    reference="arXiv:1806.00322",
)
STOP_600_400 = replace(
    STOP_900_100,
    name="stop-600-400",
    title="stop pairs, m(stop) = 600 GeV, m(neutralino) = 400 GeV, one lepton + jets + missing pt, 14 TeV",
    options={**_OPTIONS, "stop_mass": 600.0, "neutralino_mass": 400.0, "cross_section_fb": 228.195},
)
TTBAR_1L = replace(
    STOP_900_100,
    name="ttbar-1l",
    title="top pairs with one lepton + jets + missing pt, 14 TeV: the background of the stop samples",
    pythia=(
        "Beams:eCM = 14000.",
        "Top:gg2ttbar = on",
        "Top:qqbar2ttbar = on",
        # The W+ does not decay to quarks, its first channels.
        *(f"24:{channel}:onMode = 3" for channel in range(6)),
    ),
    slices=(
        # Hard collisions are drawn more often, in proportion to the cube of their p̂T. Soft ones are a slice
        # of their own, as they would have huge weights.
        Slice(
            (
                f"PhaseSpace:pTHatMin = {HARD}",
                "PhaseSpace:bias2Selection = on",
                "PhaseSpace:bias2SelectionPow = 3.",
                f"PhaseSpace:bias2SelectionRef = {HARD}",
            ),
            share=0.88,
        ),
        Slice((f"PhaseSpace:pTHatMax = {HARD}",), share=0.12),
    ),
    options={**_OPTIONS, "cross_section_fb": 844_000.0},
    prepare=top_pairs,
    cross_section_factor=1 / LEPTONIC,
)
