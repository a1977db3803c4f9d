"""The showers of the comparison, and how they are divided."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepml_root.data.showers import Showers

#: Energies that no generator is trained on [GeV].
HELD_OUT = (45.0, 55.0)
_FAST_SHOWERS = 1500


@dataclass(frozen=True)
class Parts:
    """Training, validation, the showers that all generators are judged on, and as many more of the source."""

    train: Showers
    validation: Showers
    test: Showers
    again: Showers


def parts(path: Path, most: int | None = None) -> Parts:
    """Read and divide showers: half for training, with a tenth of it for validation, and a quarter for each
    other part.

    Training and validation lack the energies of :data:`HELD_OUT`. What is beyond the energies of the training
    (a shower or two at the ends) is left out of the other parts.
    """
    train, validation, both = Showers.from_root(path, last=most).split(test=0.5, validation=0.05, seed=1)
    again, test = both.split(test=0.5, seed=2)
    train, validation = (part[~_inside(part, *HELD_OUT)] for part in (train, validation))
    energy = train.condition("energy")
    ends = float(energy.min()), float(energy.max())
    validation, test, again = (part[_inside(part, *ends)] for part in (validation, test, again))
    return Parts(train, validation, test, again)


def _inside(showers: Showers, low: float, high: float) -> Any:
    energy = showers.condition("energy")
    return (energy >= low) & (energy <= high)


def identity(path: Path) -> dict[str, Any]:
    """Return what showers of a file are, JSON-able."""
    first = Showers.from_root(path, last=1)
    made = {key: first.provenance.get(key) for key in ("sample", "events", "seed", "options", "versions")}
    return {"geometry": first.geometry.name, **made}


def small(path: Path) -> None:
    """Write a few showers in a calorimeter of few cells: for seconds of testing."""
    from hepml_root.data.geometry import Geometry, Grid, Layer
    from hepml_root.simulation import showers

    layer = {"gaps": 10, "passive": "lead", "passive_mm": 4.0, "active": "liquid argon", "active_mm": 4.0}
    layers = tuple(Layer(Grid(*size, 40.0, 40.0), **layer) for size in ((3, 6), (4, 4), (3, 3)))  # type: ignore[arg-type]
    calorimeter = Geometry("small-3", layers, scale="electromagnetic", threshold=1e-3)
    made = showers(calorimeter, _FAST_SHOWERS, energy=(10, 100), seed=1)
    made.provenance = {"sample": "photon-showers", "events": len(made), "seed": 1}
    made.write(path, overwrite=True)


def energies_like(showers: Showers, number: int) -> Any:
    """Return the conditions (number, conditions) of showers, repeated as often as it takes."""
    return np.resize(showers.conditions, (number, showers.conditions.shape[1]))
