"""Top pairs with one selected lepton: sample ``ttbar-1l``, the background of the stop samples.

p p → t t̄ at 14 TeV with one lepton from W → e, μ, τ, or with two, of which one is lost. What a search for
stops leaves of them, at m_T above the W boson's mass and with much missing momentum, is nearly all from two
leptons, and is rare: one collision in 400 000. Both decays are therefore slices of their own, and in each
hard collisions are drawn more often than they occur. Weights (:mod:`~hepml_root.simulation.importance`) take
that out again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hepml_root.simulation.importance import Worth, importance_hook
from hepml_root.simulation.samples import Slice
from hepml_root.simulation.stop import SEARCH_OPTIONS, STOP_900_100

# Share of W → e, μ, τ with Pythia's masses and couplings.
LEPTONIC = 0.32422
# Where the slices of hard and soft collisions meet: p̂T [GeV].
HARD = 120.0
# Of the momentum of a τ, what its neutrinos have on average.
_TAU_MISSING = 0.45
# Above this m_T [GeV] lepton and missing momentum are not those of one W boson on its mass shell.
_BEYOND_W = 95.0
_NEUTRINOS = (12, 14, 16)
_CHARGED = (11, 13, 15)
_TAU = 15


@dataclass(frozen=True)
class Seen:
    """What is known of a collision at some stage, before hadrons and the detector.

    Attributes
    ----------
    leptons
        Number of e, μ, τ.
    near, light
        How many of them may be selected, and how many of these are e or μ.
    neutrinos, missing
        Transverse momentum of the neutrinos, and with those to come from τ decays [GeV].
    mt
        The largest m_T of an e or μ that may be selected with the missing momentum [GeV]; 0 without one.
    jets
        Number of quarks, gluons and τ that may be jets.
    """

    leptons: int
    near: int
    light: int
    neutrinos: float
    missing: float
    mt: float
    jets: int

    @classmethod
    def of(cls, particles: Iterable[tuple[int, Any]], options: Mapping[str, Any]) -> Seen:
        """Return it of final particles, each as ``(|PDG code|, momentum)``."""
        leptons = near = jets = 0
        x = y = hidden_x = hidden_y = 0.0
        candidates = []
        for kind, momentum in particles:
            if kind in _NEUTRINOS:
                x += momentum.px()
                y += momentum.py()
            elif kind in _CHARGED:
                leptons += 1
                if kind == _TAU:
                    hidden_x += _TAU_MISSING * momentum.px()
                    hidden_y += _TAU_MISSING * momentum.py()
                    jets += _may_be_jet(momentum, options)
                if _may_be_selected(momentum, options):
                    near += 1
                    if kind != _TAU:
                        candidates.append(momentum)
            elif kind < 6 or kind == 21:
                jets += _may_be_jet(momentum, options)
        missing_x, missing_y = x + hidden_x, y + hidden_y
        missing = math.hypot(missing_x, missing_y)
        squares = [
            2 * (one.pT() * missing - one.px() * missing_x - one.py() * missing_y) for one in candidates
        ]
        mt = math.sqrt(max([0.0, *squares]))
        return cls(leptons, near, len(candidates), math.hypot(x, y), missing, mt, jets)


def _may_be_jet(parton: Any, options: Mapping[str, Any]) -> bool:
    return bool(parton.pT() > 0.8 * options["jet_pt"] and abs(parton.eta()) < options["max_eta"] + 0.1)


def _may_be_selected(lepton: Any, options: Mapping[str, Any]) -> bool:
    return bool(lepton.pT() > 0.8 * options["lepton_pt"] and abs(lepton.eta()) < options["max_eta"] + 0.1)


def _final(record: Any) -> Iterable[tuple[int, Any]]:
    for i in range(record.size() - 1, 6, -1):
        particle = record[i]
        if particle.isFinal():
            yield particle.idAbs(), particle


def _boosted(process: Any, event: Any) -> Iterable[tuple[int, Any]]:
    """Give the decay products of the hard process, boosted from its two top quarks to these in the record of
    a later stage, ``event``, where they are not decayed; and the radiation in that.
    """
    for i in range(process.size() - 1, 6, -1):
        if not process[i].isFinal():
            continue
        heavy = process[i].mother1()
        while heavy > 6:
            heavy = process[heavy].mother1()
        momentum = process[i].p()
        momentum.bstback(process[heavy].p())
        momentum.bst(event[event[heavy].iBotCopyId()].p())
        yield process[i].idAbs(), momentum
    for kind, particle in _final(event):
        if kind < 6 or kind == 21:
            yield kind, particle


def _falling(value: float, full: float, width: float, least: float, most: float) -> float:
    """Return exp((full − value)/width), between the two limits."""
    return min(max(math.exp((full - value) / width), least), most)


# The target weights below are near √(cost/(share of such events that are selected and count)), which makes
# the errors of sums smallest in a given time. They decide about errors and time only.


def after_process(process: Any, options: Mapping[str, Any]) -> Worth:
    """Return what a hard process is worth.

    Missing momentum also comes from radiation, later: what has little of it so far is given up with care.
    """
    seen = Seen.of(_final(process), options)
    soft = process[5].pT() < HARD
    if seen.leptons == 2:
        factor = LEPTONIC
        target = 0.05 * _falling(seen.missing, 50.0, 100.0, 0.1, 1.7)
        if soft:
            target = 0.3 * _falling(seen.missing, 100.0, 100.0, 1.0, 2.7)
    else:
        # The lepton is always that of the W+; events with that of the W- are those, conjugated.
        factor = 2 * LEPTONIC
        target = (0.6 if soft else 0.3) * _falling(seen.missing, options["met"], 90.0, 1.0, 5.0)
        target *= _falling(seen.missing, 250.0, 100.0, 0.2, 1.0)
        target *= 0.2 if seen.mt > _BEYOND_W else 1.0
    return Worth(target * (1.0 if seen.near else 2.0), factor, (seen.leptons, seen.neutrinos))


def _later(seen: Seen, soft: bool, full: float, width: float) -> float:
    """Return the target weight of a collision whose missing momentum with radiation is known."""
    below = _falling(seen.missing, full, width, 1.0, 12.0 if soft else 6.0)
    beyond = _falling(seen.missing, full, 100.0, 0.1, 1.0)
    if seen.leptons != 2:
        target = (0.6 if soft else 0.4) * below * max(beyond, 0.15)
        return target * (0.2 if seen.mt > _BEYOND_W else 1.0)
    target = (0.4 if soft else 0.05) * below * beyond
    # Two electrons or muons that are both seen are not selected.
    pair = 1.5 if seen.light == 2 else 1.0
    if seen.light:
        return target * pair * (1.0 if seen.mt > _BEYOND_W else 2.5)
    # That of a τ decay has little momentum left.
    return target * 3.0


def top_pairs(pythia: Any, options: Mapping[str, Any]) -> object:
    """Install the importance sampling of ``ttbar-1l``; return the hook."""

    def at_process(process: Any) -> Worth:
        return after_process(process, options)

    def after_radiation(event: Any, _: Worth) -> float:
        seen = Seen.of(_boosted(pythia.process, event), options)
        target = _later(seen, event[5].pT() < HARD, options["met"] - 30, 30.0)
        few = 1.0 if seen.jets >= options["jets"] else 2.0
        return target * few * (1.0 if seen.near else 3.0)

    def before_hadrons(event: Any, _: Worth) -> float | None:
        seen = Seen.of(_final(event), options)
        # Leptons get less by radiation, but no more here: without one nothing is selected. What was decided
        # before, on the number of jets, is not decided again: weights that are larger stay.
        return _later(seen, event[5].pT() < HARD, options["met"] - 20, 25.0) if seen.near else None

    return importance_hook(pythia, at_process, before_hadrons, after_radiation)


_QUARKS, _LEPTONS = range(6), range(6, 9)  # channels of W decays
# No quarks at all; or leptons for the W+ only, and quarks for the W- only.
_TWO = tuple(f"24:{channel}:onMode = off" for channel in _QUARKS)
_ONE = (
    *(f"24:{channel}:onMode = 3" for channel in _QUARKS),
    *(f"24:{channel}:onMode = 2" for channel in _LEPTONS),
)


def _slices(decays: tuple[str, ...], hard: float, soft: float, power: float) -> tuple[Slice, Slice]:
    """Return the slices of hard and soft collisions, with their shares of the rows: few soft ones, which
    take many times as long.

    Hard collisions are drawn more often, in proportion to the cube of their p̂T. Soft ones would have huge
    weights then: theirs is a smaller ``power``.
    """
    bias = ("PhaseSpace:bias2Selection = on", f"PhaseSpace:bias2SelectionRef = {HARD}")
    return (
        Slice(
            (*decays, f"PhaseSpace:pTHatMin = {HARD}", *bias, "PhaseSpace:bias2SelectionPow = 3."), share=hard
        ),
        Slice(
            (*decays, f"PhaseSpace:pTHatMax = {HARD}", *bias, f"PhaseSpace:bias2SelectionPow = {power}"),
            share=soft,
        ),
    )


TTBAR_1L = replace(
    STOP_900_100,
    name="ttbar-1l",
    title="top pairs with one lepton + jets + missing pt, 14 TeV: the background of the stop samples",
    pythia=("Beams:eCM = 14000.", "Top:gg2ttbar = on", "Top:qqbar2ttbar = on"),
    slices=(
        # Rows of a chunk. Behind tight cuts most is from two leptons; but a row of one lepton that gets
        # there, by a detector that errs, stands for many more collisions: it takes many of them.
        *_slices(_TWO, hard=1480, soft=90, power=2.0),
        *_slices(_ONE, hard=1190, soft=20, power=1.0),
    ),
    options={**SEARCH_OPTIONS, "cross_section_fb": 844_000.0},
    prepare=top_pairs,
    # Of the slices together, W+ → hadrons is left out; that the W- may be the one with the lepton is in their
    # weights.
    cross_section_factor=1 / LEPTONIC,
    chunk=2780,
    version=3,
)
