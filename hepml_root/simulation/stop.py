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
import os
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hepml_root.simulation.detector import Detector
from hepml_root.simulation.importance import Worth, importance_hook
from hepml_root.simulation.one_lepton import BRANCHES, OPTIONS, one_lepton_columns
from hepml_root.simulation.samples import Sample
from hepml_root.simulation.slha import stop_pair_spectrum

# Share of W → e, μ, τ with Pythia's masses and couplings.
LEPTONIC = 0.32422
_INVISIBLE = (12, 14, 16, 1000022)
_CHARGED = (11, 13, 15)


def _leptons_and_missing(record: Any, options: Mapping[str, Any]) -> tuple[int, bool, float]:
    """Return of a hard process or of all partons the number of e, μ, τ, whether one may be selected, and the
    missing pt [GeV].
    """
    leptons, near, x, y = 0, False, 0.0, 0.0
    least, max_eta = 0.8 * options["lepton_pt"], options["max_eta"] + 0.1
    for i in range(record.size() - 1, 6, -1):
        particle = record[i]
        kind = particle.idAbs()
        if kind in _INVISIBLE:
            if particle.isFinal():
                x += particle.px()
                y += particle.py()
        elif kind in _CHARGED and particle.isFinal():
            leptons += 1
            near = near or (particle.pT() > least and abs(particle.eta()) < max_eta)
    return leptons, near, math.hypot(x, y)


def _rising(missing: float, full: float, width: float, most: float) -> float:
    """Return by how much larger than 1 a weight may be, as exp((full − missing)/width), at most ``most``."""
    return min(math.exp(max(full - missing, 0.0) / width), most)


def _before_hadrons(options: Mapping[str, Any]) -> Any:
    def before_hadrons(event: Any, worth: Worth) -> float | None:
        # Leptons get less by radiation, but no more here: without one nothing is selected.
        _, near, missing = _leptons_and_missing(event, options)
        return worth.target * _rising(missing, options["met"] - 40, 20.0, 10.0) if near else None

    return before_hadrons


def top_pairs(pythia: Any, options: Mapping[str, Any]) -> object:
    """Install the importance sampling of ``ttbar-1l``; return the hook."""

    def after_process(process: Any) -> Worth:
        leptons, near, missing = _leptons_and_missing(process, options)
        # The W+ always decays to a lepton: events with one in which it is the W- are those, conjugated.
        factor = LEPTONIC if leptons == 2 else 2 * LEPTONIC
        target = _rising(missing, options["met"], 40.0, 10.0) * (1.0 if near else 4.0)
        return Worth(target, factor, (leptons, missing))

    return importance_hook(pythia, after_process, _before_hadrons(options))


def stop_pairs(pythia: Any, options: Mapping[str, Any]) -> object:
    """Hand Pythia the spectrum, and install the importance sampling of the signals; return the hook."""

    def after_process(process: Any) -> Worth | None:
        leptons, near, missing = _leptons_and_missing(process, options)
        return Worth(1.0 if near else 4.0, 1.0, (leptons, missing)) if leptons else None

    hook = importance_hook(pythia, after_process, _before_hadrons(options))
    # Pythia takes a spectrum from files only, and reads it in its init.
    handle, path = tempfile.mkstemp(suffix=".slha", text=True)
    weakref.finalize(hook, os.unlink, path)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(stop_pair_spectrum(options["stop_mass"], options["neutralino_mass"]))
    pythia.readString(f"SLHA:file = {path}")
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
        # Hard collisions are drawn more often, in proportion to the square of their p̂T.
        "PhaseSpace:bias2Selection = on",
        "PhaseSpace:bias2SelectionPow = 2.",
        "PhaseSpace:bias2SelectionRef = 150.",
    ),
    options={**_OPTIONS, "cross_section_fb": 844_000.0},
    prepare=top_pairs,
    cross_section_factor=1 / LEPTONIC,
)
