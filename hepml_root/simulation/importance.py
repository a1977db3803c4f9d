"""Importance sampling of collisions: work goes where events are selected, weights take its effect out again.

A hook decides up to three times about every collision that Pythia draws: after the hard process and its
decays, after the hardest radiation, and before hadronisation. It does not cut: a collision that is worth less
than others is kept with a smaller probability p, and its weight is divided by p. Sums of weights are then
what they would be without the hook, whatever the probabilities are, as long as p > 0 where the selection may
keep an event. The choice of p decides how large their errors are, and how long it takes.

Pythia itself may draw hard collisions more often than they occur (``PhaseSpace:bias2Selection``); its weight
is taken in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import HepmlError
from hepml_root.simulation.pythia import require

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Worth:
    """What the hook is told of a collision after its hard process.

    Attributes
    ----------
    target
        The weight that a kept collision shall have: the smaller, the more of its kind are kept. One that
        already has a larger weight keeps that.
    factor
        What its weight is multiplied by before that, such as the share of a decay that Pythia was forced to.
    notes
        Numbers that the sample's function finds in :attr:`Trials.notes`.
    """

    target: float
    factor: float = 1.0
    notes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Trials:
    """Of the collisions of a batch, ``(events,)`` each: what it took to get them.

    Attributes
    ----------
    weight
        The collision's weight.
    drawn, drawn_weight
        Number and sum of weights of the collisions that were drawn up to and including it, kept or not.
    notes
        ``(events, notes)``: those of :class:`Worth`.
    """

    weight: Floats
    drawn: Floats
    drawn_weight: Floats
    notes: Floats


def importance_hook(
    pythia: Any,
    after_process: Callable[[Any], Worth | None],
    before_hadrons: Callable[[Any, Worth], float | None] | None = None,
    after_radiation: Callable[[Any, Worth], float | None] | None = None,
    scale: float = 20.0,
) -> Any:
    """Install importance sampling in a Pythia object, before its ``init``; return the hook.

    Arguments
    ---------
    pythia
        The Pythia object.
    after_process
        Function of Pythia's record of the hard process with its decays: what the collision is worth; None if
        it cannot be selected.
    before_hadrons
        Function of the record of all partons and leptons, and of what ``after_process`` gave: the weight that
        the collision shall have at least, or None.
    after_radiation
        The same, of the record with the radiation and the multiple interactions above ``scale``, which take
        most of the time below it. Heavy particles are not decayed there.
    scale
        Transverse momentum [GeV].

    Returns
    -------
    hook
        Its method ``trials(events)`` gives the :class:`Trials` of the events of one ``nextBatch``.
    """

    class ImportanceHook(require("pythia8mc").UserHooks):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.drawn = 0
            self.drawn_weight = 0.0
            self.kept: list[list[float]] = []
            self.worth: Worth | None = None

        def canVetoProcessLevel(self) -> bool:
            return True

        def doVetoProcessLevel(self, process: Any) -> bool:
            weight = pythia.infoPython().weight()
            self.drawn += 1
            self.drawn_weight += weight
            self.worth = worth = after_process(process)
            if worth is None:
                return True
            weight = _survives(weight * worth.factor, worth.target, pythia.rndm)
            if weight:
                # The momentum tells this collision from those that Pythia gives up later on.
                key = process[5].px()
                self.kept.append([key, weight, self.drawn, self.drawn_weight, *worth.notes])
            return not weight

        def canVetoPT(self) -> bool:
            return after_radiation is not None

        def scaleVetoPT(self) -> float:
            return scale

        def doVetoPT(self, position: int, event: Any) -> bool:
            # Positions from 5 on are decays of heavy particles.
            return position < 5 and self._gives_up(after_radiation, event)

        def canVetoPartonLevel(self) -> bool:
            return before_hadrons is not None

        def doVetoPartonLevel(self, event: Any) -> bool:
            return self._gives_up(before_hadrons, event)

        def _gives_up(self, decide: Any, event: Any) -> bool:
            entry = self.kept[-1]
            target = decide(event, self.worth)
            entry[1] = 0.0 if target is None else _survives(entry[1], target, pythia.rndm)
            if not entry[1]:
                self.kept.pop()
            return not entry[1]

        def trials(self, events: Any) -> Trials:
            momenta = np.asarray(events.prt.p.px[:, 5])
            found, at = [], 0
            for momentum in momenta:
                while at < len(self.kept) and self.kept[at][0] != momentum:
                    at += 1
                if at == len(self.kept):
                    raise HepmlError("Pythia gave a collision that was not seen after its hard process.")
                found.append(self.kept[at][1:])
                at += 1
            del self.kept[:at]
            table = np.array(found, dtype=float)
            return Trials(table[:, 0], table[:, 1], table[:, 2], table[:, 3:])

    hook = ImportanceHook()
    pythia.setUserHooksPtr(hook)
    return hook


def _survives(weight: float, target: float, random: Any) -> float:
    """Return the weight of a collision that is kept with probability weight/target, or 0.

    >>> class Half:
    ...     def flat(self): return 0.5
    >>> _survives(0.6, 1.0, Half()), _survives(0.4, 1.0, Half()), _survives(2.0, 1.0, Half())
    (1.0, 0.0, 2.0)
    """
    if weight >= target:
        return weight
    return target if random.flat() * target < weight else 0.0
