"""The generators of showers by name: what the benchmark, the pages and the contract tests run over."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hepml_root.errors import SettingError, unknown

if TYPE_CHECKING:
    from hepml_root.models.generator import Generator


@dataclass(frozen=True)
class GeneratorEntry:
    """One kind of generator.

    Attributes
    ----------
    name:
        Of the function in :mod:`hepml_root.models`, which takes showers and settings.
    module:
        Where it is.
    summary, when, reference:
        What it is, when to take it, where it comes from.
    density:
        Whether it has ``log_prob``.
    tiny:
        Small settings for tests.
    """

    name: str
    module: str
    summary: str
    when: str
    reference: str
    density: bool = False
    tiny: Mapping[str, Any] = field(default_factory=dict)

    @property
    def function(self) -> Callable[..., Generator]:
        """The function that makes it."""
        return getattr(importlib.import_module(f"hepml_root.models.{self.module}"), self.name)


_ENTRIES = (
    GeneratorEntry(
        "shower_flow",
        "flow",
        "flow of layer energies, then of the cells given these, with an exact density",
        "densities of showers, and showers of up to a few hundred cells",
        "arXiv:2106.05285",
        density=True,
        tiny={"hidden": (16,), "steps": 2, "energy_hidden": (8,), "energy_steps": 2},
    ),
    GeneratorEntry(
        "shape_flow",
        "shape_flow",
        "flow of shower shapes, then cells that are made to have them",
        "showers by the thousand: the one to try first",
        "arXiv:2106.05285",
        tiny={"hidden": (16,), "shape_hidden": (8,), "shape_steps": 2},
    ),
    GeneratorEntry(
        "shower_diffusion",
        "diffusion",
        "flow of shower shapes, then cells by flow matching in few steps",
        "where the cells are correlated, and a few more operations a shower can be paid",
        "arXiv:2210.02747",
        tiny={"hidden": (16,), "solver_steps": 2, "shape_hidden": (8,), "shape_steps": 2},
    ),
    GeneratorEntry(
        "shower_gan",
        "gan",
        "images layer by layer, each seeing the one before, against a critic",
        "comparison with the published ones, and cells that no density describes",
        "arXiv:1705.02355",
        tiny={"hidden": (8,), "channels": 2, "latent": 4, "critic_hidden": (8,)},
    ),
    GeneratorEntry(
        "shower_vae",
        "vae",
        "variational autoencoder with the same images",
        "a quick and steady training; showers come out smoother than they are",
        "arXiv:1312.6114",
        tiny={"hidden": (8, 4), "channels": 2, "latent": 3},
    ),
    GeneratorEntry(
        "shower_bib_ae",
        "bib_ae",
        "autoencoder taught by three critics, with a correction of the cells' spectrum",
        "showers sharper than those of an autoencoder, in a slower training",
        "arXiv:2005.05334",
        tiny={"hidden": (8,), "channels": 2, "latent": 3, "critic_hidden": (8,)},
    ),
)


def generators() -> dict[str, GeneratorEntry]:
    """Return all kinds of generators by name.

    Example
    -------
    >>> generators()["shower_flow"].density
    True
    """
    return {entry.name: entry for entry in _ENTRIES}


def generator_entry(name: str) -> GeneratorEntry:
    """Return one kind of generator.

    Raises
    ------
    SettingError
        There is none of that name; the message has the nearest.
    """
    known = generators()
    if name not in known:
        raise SettingError(unknown("generator", name, known))
    return known[name]
