"""The rows of the table: generators with their settings for this benchmark, and what stands beside them.

A new generator is one more :class:`Entry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hepml_root.data.showers import Showers


@dataclass(frozen=True)
class Entry:
    """A generator that is trained.

    Attributes
    ----------
    name, title
        Key of its files, and what the table calls it.
    function
        Of :mod:`hepml_root.models`; takes showers and ``settings``.
    settings, fast
        Arguments of the function; ``fast`` takes the place of some of them where only seconds are given.
    fit
        Arguments of :func:`hepml_root.fit` beside the data and the number of epochs.
    teacher
        Name of another entry, whose trained generator the function takes in place of showers.
    sampled
        Whether it is judged. A teacher that cannot be sampled in a sensible time is trained only.
    """

    name: str
    title: str
    function: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    fast: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    teacher: str | None = None
    sampled: bool = True

    def make(self, showers: Showers, fast: bool, teacher: Any = None) -> Any:
        """Return the generator, untrained."""
        import hepml_root as hr

        settings = {**self.settings, **(self.fast if fast else {})}
        function = getattr(hr.models, self.function)
        return function(showers if self.teacher is None else teacher, name=self.name, **settings)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_TINY_GAN = {"hidden": (8,), "channels": 2, "critic_hidden": (16,)}
GENERATORS: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "flow",
            "coupling flow",
            "shower_flow",
            {"hidden": (256, 256), "steps": 6},
            {"hidden": (8,), "steps": 2, "energy_hidden": (8,), "energy_steps": 1},
            {"batch_size": 256},
        ),
        Entry(
            "shape_flow",
            "shape flow",
            "shape_flow",
            {},
            {"hidden": (8,), "shape_hidden": (8,), "shape_steps": 2},
            {"batch_size": 256, "learning_rate": 2e-3},
        ),
        Entry(
            "diffusion",
            "flow matching",
            "shower_diffusion",
            {},
            {"hidden": (8,), "shape_hidden": (8,), "shape_steps": 2, "solver_steps": 2},
            {"batch_size": 256, "learning_rate": 2e-3},
        ),
        Entry(
            "masked_flow",
            "masked flow (teacher)",
            "shower_flow",
            {"kind": "maf", "hidden": (256,), "steps": 4},
            {"hidden": (8,), "steps": 2, "energy_hidden": (8,), "energy_steps": 1},
            {"batch_size": 256},
            sampled=False,
        ),
        Entry(
            "student",
            "student of the masked flow",
            "student",
            {},
            {"hidden": (8,), "steps": 2},
            {"batch_size": 256},
            teacher="masked_flow",
        ),
        Entry("wgan", "WGAN-GP", "shower_gan", {"loss": "wasserstein"}, _TINY_GAN),
        Entry("lsgan", "least-squares GAN", "shower_gan", {"loss": "least_squares"}, _TINY_GAN),
        Entry("vae", "VAE", "shower_vae", {}, {"hidden": (8,), "latent": 2, "channels": 2}),
        Entry(
            "bib_ae",
            "BIB-AE",
            "shower_bib_ae",
            {},
            {**_TINY_GAN, "latent": 2, "correction_epochs": 1},
        ),
    )
}

#: What is judged beside the generators, so that their figures can be read.
SOURCE, MEAN, SHUFFLED = "source", "mean_shower", "shuffled_cells"
REFERENCES = {
    SOURCE: "*the source once more*",
    SHUFFLED: "*cells shuffled*",
    MEAN: "*mean shower*",
}
_ALIKE = 64  # showers of nearly the same energy, among which cells are shuffled


def mean_shower(train: Showers, like: Showers) -> Showers:
    """Return the mean shower of the training, scaled by the energy of each particle: no fluctuations."""
    share = (train.energies / train.condition("energy")[:, None]).mean(axis=0)
    return _like(like, share * like.condition("energy")[:, None])


def shuffled_cells(train: Showers, like: Showers, seed: int = 1) -> Showers:
    """Return showers whose cells come from different training showers of nearly the same energy.

    The share of the energy in each cell is distributed as in the training, and every cell is independent of
    all others.
    """
    random = np.random.default_rng(seed)
    order = np.argsort(train.condition("energy"), kind="stable")
    energy = train.condition("energy")[order]
    share = train.energies[order] / energy[:, None]
    place = np.searchsorted(energy, like.condition("energy"))
    alike = min(_ALIKE, len(train))
    first = np.clip(place - alike // 2, 0, len(train) - alike)
    cells = np.empty_like(like.energies)
    for cell in range(cells.shape[1]):
        cells[:, cell] = share[first + random.integers(0, alike, len(cells)), cell]
    return _like(like, cells * like.condition("energy")[:, None])


def _like(like: Showers, cells: Any) -> Showers:
    # A scaled cell below the threshold would be a hit that no calorimeter has.
    kept = np.where(cells >= like.geometry.threshold, cells, 0.0)
    return Showers(kept, like.conditions, like.geometry, like.labels)
