"""A batch of collisions as Pythia made them, in the form that samples work on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepml_root.simulation.pythia import charges

if TYPE_CHECKING:
    from hepml_root.simulation.detector import Detector
    from hepml_root.simulation.importance import Trials


@dataclass
class Batch:
    """Some collisions.

    Attributes
    ----------
    events
        What Pythia's ``nextBatch`` gives: fields ``prt`` ``(events, particles)`` (``id``, ``status``,
        ``mother1``, ``mother2``, ``daughter1``, ``daughter2``, ``p`` with ``px``, ``py``, ``pz``, ``e``
        [GeV], ``m`` [GeV], ``vProd`` [mm], …) and ``info``. Row i of ``prt`` is entry i of Pythia's event
        record, so that mothers and daughters are indices into it.
    pythia
        The Pythia object, for its particle data; it is at the last collision of the batch.
    detector
        The detector of the sample, or None.
    random
        For all that is random after Pythia: the same batch always gets the same numbers.
    trials
        Weights of the collisions, where the sample's ``prepare`` installs importance sampling; else None.
    """

    events: ak.Array
    pythia: Any
    detector: Detector | None
    random: np.random.Generator
    trials: Trials | None = None

    def __len__(self) -> int:
        return len(self.events)

    @property
    def record(self) -> ak.Array:
        """The whole event record, ``(events, particles)``, with Pythia's own fields."""
        return self.events.prt

    @cached_property
    def final(self) -> ak.Array:
        """The particles that leave the collision, ``(events, particles)``.

        Fields ``pt``, ``mass``, ``energy`` [GeV], ``eta``, ``phi`` [rad], ``charge`` [e], ``pdg`` and
        ``index``, their row in :attr:`record`.
        """
        index = ak.local_index(self.record.status, axis=1)[self.record.status > 0]
        chosen = self.record[index]
        momentum = kinematics(chosen)
        for name, values in (
            ("charge", charges(self.pythia, chosen.id)),
            ("pdg", chosen.id),
            ("index", index),
        ):
            momentum = ak.with_field(momentum, values, name)
        return momentum


def kinematics(particles: ak.Array) -> ak.Array:
    """Return ``pt``, ``mass``, ``energy`` [GeV], ``eta``, ``phi`` [rad] of rows of Pythia's event record.

    Along the beam, where eta has no finite value, it is ±1e5, and the phi of a vanishing pt is 0.
    """
    px, py, pz, energy = (particles.p[name] for name in ("px", "py", "pz", "e"))
    pt = np.hypot(px, py)
    # asinh(pz / pt) without a division by zero.
    eta = np.arcsinh(pz / ak.where(pt > 0, pt, 1.0))
    eta = ak.where(pt > 0, eta, np.sign(pz) * 1e5)
    return ak.zip({"pt": pt, "eta": eta, "phi": np.arctan2(py, px), "mass": particles.m, "energy": energy})
