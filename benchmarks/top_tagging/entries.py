"""Which networks take part, on which representation of the jet, with which settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CONSTITUENTS = 32
_FEATURES = (
    "delta_eta", "delta_phi", "log_pt", "log_energy", "log_pt_fraction", "log_energy_fraction", "delta_r",
    "pt", "energy",
)  # fmt: skip
_BRANCHES = {
    "pt": "constituent_pt",
    "eta": "constituent_eta",
    "phi": "constituent_phi",
    "mass": "constituent_mass",
}


def observables() -> list[Any]:
    """High-level variables: masses, N-subjettiness ratios, energy correlators, multiplicity."""
    import hepml_root as hr

    return list(hr.representations.jet_observables())


def observables_of_hardest() -> list[Any]:
    """The same variables of the constituents that the networks of particles see, and of no others."""
    first = rf"Take(\g<0>, std::min<int>({CONSTITUENTS}, \g<0>.size()))"
    return [
        f"{column.label}_of_hardest := {re.sub(r'constituent_[a-z]+', first, column.expression)}"
        for column in observables()
    ]


def particles() -> list[Any]:
    """The hardest constituents with their kinematics relative to the jet."""
    import hepml_root as hr

    return [
        hr.representations.constituents("particles", **_BRANCHES, features=_FEATURES, max_length=CONSTITUENTS)
    ]


def images() -> list[Any]:
    """Centred, rotated and flipped images of 40 by 40 pixels of transverse momentum."""
    import hepml_root as hr

    position = {name: _BRANCHES[name] for name in ("pt", "eta", "phi")}
    return [hr.representations.image("image", **position, pixels=40, half_width=0.8)]


def everything() -> list[Any]:
    """Image, constituents and high-level variables together."""
    return [*images(), *particles(), *observables()]


@dataclass(frozen=True)
class Entry:
    """One line of the table.

    Arguments
    ---------
    name:
        Key on the command line and in file names.
    title:
        Name in the table.
    inputs:
        Makes the inputs of the dataset.
    model, preset:
        Name in the zoo and its preset; the model is None for boosted trees.
    settings:
        Changes of the preset.
    batch_size, learning_rate, jit:
        Of the training.
    """

    name: str
    title: str
    inputs: Callable[[], list[Any]]
    model: str | None
    preset: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 256
    learning_rate: float = 1e-3
    jit: bool = True


ENTRIES = (
    Entry("boosted", "LightGBM on observables", observables, None),
    Entry("dense", "dense on observables", observables, "dense"),
    Entry("dense_of_hardest", "dense on observables of 32 constituents", observables_of_hardest, "dense"),
    Entry("residual", "residual dense on observables", observables, "dense", "residual"),
    Entry("flat", "dense on constituents", particles, "dense", settings={"hidden": (128, 128, 128)}),
    Entry("cnn", "CNN on images", images, "cnn", "small", jit=False),
    Entry("residual_cnn", "residual CNN on images", images, "residual_cnn", "small", jit=False),
    Entry("lstm", "LSTM", particles, "lstm", "small"),
    Entry("gru", "GRU", particles, "gru", "small"),
    Entry("pfn", "PFN", particles, "pfn"),
    Entry("efn", "EFN", particles, "efn"),
    Entry("particle_net_lite", "ParticleNet-Lite", particles, "particle_net", "lite"),
    Entry("interaction_network", "interaction network", particles, "interaction_network", jit=False),
    Entry("set_transformer", "set transformer", particles, "set_transformer", jit=False),
    Entry("particle_transformer", "Particle Transformer", particles, "particle_transformer", jit=False),
    Entry("fusion", "fusion of all", everything, "fusion", "small", jit=False),
)
