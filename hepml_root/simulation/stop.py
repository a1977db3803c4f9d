"""A search for pairs of stops in events with one lepton: its two signals.

Samples ``stop-900-100`` and ``stop-600-400``: the simplified model T2tt, p p → t̃ t̃*, t̃ → t χ, with the
masses of t̃ and χ in the name [GeV]; in the second, compressed one little is left beyond the top quark's mass.
Their background is :mod:`~hepml_root.simulation.top_pairs`. All at 14 TeV, with the selection of
:mod:`~hepml_root.simulation.one_lepton`. The weights of a sample add up to the events that are expected at
``luminosity_fb`` with ``cross_section_fb``, which is beyond leading order.

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
from hepml_root.simulation.samples import Sample
from hepml_root.simulation.slha import stop_pair_spectrum, use_spectrum

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


SEARCH_OPTIONS = {**OPTIONS, "luminosity_fb": 30.0}
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
    options={**SEARCH_OPTIONS, "stop_mass": 900.0, "neutralino_mass": 100.0, "cross_section_fb": 17.6},
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
    options={**SEARCH_OPTIONS, "stop_mass": 600.0, "neutralino_mass": 400.0, "cross_section_fb": 228.195},
)
