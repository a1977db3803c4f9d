"""Small ROOT files with known numbers."""

from __future__ import annotations

from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest
import uproot

import hepml_root as hr

FIRST_EVENT = 2**60  # beyond what a float64 can tell apart


def toy_columns(events: int, shift: float, first_event: int, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    weight = random.exponential(size=events).astype(np.float32)
    weight[::11] *= -1
    return {
        "x": (random.normal(size=events) + shift).astype(np.float32),
        "y": random.normal(size=events),
        "b-tag": random.uniform(size=events).astype(np.float32),
        "w": weight,
        "mass": random.choice([200.0, 400.0], size=events).astype(np.float32),
        "event": (first_event + np.arange(events)).astype(np.uint64),
    }


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A file with trees `sig` (2000 events) and `bkg` (3000), in several baskets; their columns."""
    path = tmp_path_factory.mktemp("toy") / "toy.root"
    sig, bkg = toy_columns(2000, 1, FIRST_EVENT, 1), toy_columns(3000, 0, FIRST_EVENT + 10**6, 2)
    with uproot.recreate(path) as file:
        for name, columns in (("sig", sig), ("bkg", bkg)):
            tree = file.mktree(name, {label: values.dtype for label, values in columns.items()})
            for first in range(0, len(columns["x"]), 700):
                tree.extend({label: values[first : first + 700] for label, values in columns.items()})
    return SimpleNamespace(
        path=str(path),
        sources={"signal": f"{path}:sig", "background": f"{path}:bkg"},
        sig=sig,
        bkg=bkg,
        both={name: np.concatenate([sig[name], bkg[name]]) for name in sig},
        first_event=FIRST_EVENT,
    )


@pytest.fixture(scope="session")
def jagged_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ak.Array]:
    """100 events with 0 to 6 jets, and half a number of jets to predict."""
    path = tmp_path_factory.mktemp("jagged") / "jets.root"
    random = np.random.default_rng(3)
    counts = random.integers(0, 7, 100)
    pt = ak.unflatten(random.exponential(50, counts.sum()).astype(np.float32), counts)
    eta = ak.unflatten(random.normal(size=counts.sum()).astype(np.float32), counts)
    met = random.exponential(30, 100).astype(np.float32)
    with uproot.recreate(path) as file:
        tree = file.mktree(
            "events", {"jet": "var * float32", "jeteta": "var * float32", "met": "float32", "half": "float32"}
        )
        tree.extend({"jet": pt, "jeteta": eta, "met": met, "half": (counts / 2).astype(np.float32)})
    return str(path), ak.zip({"pt": pt, "eta": eta})


@pytest.fixture(scope="session")
def higgs() -> str:
    """The HIGGS benchmark events that ROOT ships."""
    return hr.data.shipped_file("Higgs_data.root")
