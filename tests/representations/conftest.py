"""Jets that are shared by the tests of representations."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

JETS = Path(__file__).parents[1] / "reference" / "jets.root"
MOMENTA = ("pt", "eta", "phi", "mass", "charge")


@pytest.fixture(scope="session")
def jets_file() -> Path:
    """Simulated jets, in the trees "top" and "qcd"."""
    return JETS


@pytest.fixture(scope="session")
def simulated() -> dict[str, ak.Array]:
    """Constituents of 100 top and 100 QCD jets."""
    with uproot.open(JETS) as file:
        parts = [
            file[tree].arrays([f"constituent_{n}" for n in MOMENTA], entry_stop=100)
            for tree in ("top", "qcd")
        ]
    together = ak.concatenate(parts)
    return {name: together[f"constituent_{name}"] for name in MOMENTA}


@pytest.fixture(scope="session")
def random_events() -> dict[str, ak.Array]:
    """Particles anywhere in the detector, from none to 300 in an event, φ in [0, 2π)."""
    random = np.random.default_rng(3)
    counts = np.r_[0, 1, 2, 15, 16, 17, 300, random.integers(0, 60, 50)]
    total = int(counts.sum())
    columns = {
        "pt": random.lognormal(1, 1, total),
        "eta": random.uniform(-4, 4, total),
        "phi": random.uniform(0, 2 * np.pi, total),
        "mass": random.choice([0.0, 0.13957, 0.93827], total),
        "charge": random.choice([-1.0, 0.0, 1.0], total),
    }
    return {name: ak.unflatten(values.astype(np.float32), counts) for name, values in columns.items()}
