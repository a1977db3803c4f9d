"""Spots of energy around the axis of a shower, and the cells that they fall into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.geometry import Grid, Polar

# N spots of equal energy fluctuate as so many times N with exponential energies: the sum of squared shares of
# the energy is 1/N for both.
MORE_SPOTS = 2


@dataclass(frozen=True)
class Spots:
    """How many spots are where, for some showers.

    A shower consists of electrons (two of a photon).

    Attributes
    ----------
    owner:
        Shower that each electron belongs to, (electrons,).
    energy, counts, in_core:
        Energy [GeV] in each step, number of spots, and those of them in the core, (electrons, steps).
    core, tail:
        R_C and R_T [mm], (electrons, steps).
    x, y, slant, tangent:
        Of each shower: where its axis meets the front face [mm], 1/cos and tan of its angle, (showers,).
    """

    owner: NDArray[np.intp]
    energy: NDArray[np.float64]
    counts: NDArray[np.int64]
    in_core: NDArray[np.int64]
    core: NDArray[np.float32]
    tail: NDArray[np.float32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    slant: NDArray[np.float64]
    tangent: NDArray[np.float64]

    def cells(
        self,
        segmentation: Grid | Polar,
        steps: slice,
        depth: NDArray[np.float64],
        extent: NDArray[np.float64],
        random: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Return the energy of each cell of one layer, (showers, cells of the layer).

        Arguments
        ---------
        segmentation:
            The layer's cells.
        steps:
            Which steps are those of the layer.
        depth, extent:
            Of all steps: middle, and thickness over which the spots are spread [mm], (steps,).
        random:
            Draws the places and the energies.
        """
        size = segmentation.rows * segmentation.columns
        counts = self.counts[:, steps].reshape(-1)
        total = int(counts.sum())
        if not total:
            return np.zeros((len(self.x), size))
        in_core = self.in_core[:, steps].reshape(-1)
        # Core and tail of a step follow one another.
        groups = np.stack([in_core, counts - in_core], axis=1).reshape(-1)
        sizes = np.stack([self.core[:, steps].reshape(-1), self.tail[:, steps].reshape(-1)], axis=1)
        v = random.random(total, dtype=np.float32)
        v /= 1 - v
        radius = np.repeat(sizes.reshape(-1), groups)
        radius *= np.sqrt(v, out=v)
        phi = random.random(total, dtype=np.float32)
        phi *= np.float32(2 * np.pi)
        x, y = np.cos(phi), np.sin(phi)
        x *= radius
        y *= radius
        per_owner = self.counts[:, steps].sum(axis=1)
        self._move(x, y, per_owner, counts, depth[steps], extent[steps], random)
        cell = segmentation.locate(x, y)
        # Place 0 of each shower is for what falls beside the layer.
        cell += 1
        cell += np.repeat((self.owner * (size + 1)).astype(np.int32), per_owner)
        energy = self._energies(counts, steps, random)
        filled = np.bincount(cell, energy, minlength=len(self.x) * (size + 1))
        return np.asarray(filled.reshape(len(self.x), size + 1)[:, 1:], dtype=np.float64)

    def _move(
        self,
        x: NDArray[np.float32],
        y: NDArray[np.float32],
        per_owner: NDArray[Any],
        counts: NDArray[Any],
        depth: NDArray[np.float64],
        extent: NDArray[np.float64],
        random: np.random.Generator,
    ) -> None:
        """Move spots from the axis to the calorimeter: a slanted shower meets a layer in an ellipse."""
        if self.tangent.any():
            x *= np.repeat(self.slant[self.owner].astype(np.float32), per_owner)
            tangent = self.tangent[self.owner][:, None]
            x += np.repeat((tangent * depth).astype(np.float32).reshape(-1), counts)
            if extent.any():
                spread = random.random(len(x), dtype=np.float32)
                spread -= np.float32(0.5)
                x += spread * np.repeat((tangent * extent).astype(np.float32).reshape(-1), counts)
        if self.x.any():
            x += np.repeat(self.x[self.owner].astype(np.float32), per_owner)
        if self.y.any():
            y += np.repeat(self.y[self.owner].astype(np.float32), per_owner)

    def _energies(
        self, counts: NDArray[Any], steps: slice, random: np.random.Generator
    ) -> NDArray[np.float32]:
        """Energies of the spots, exponential, which add up to that of their step."""
        shares = random.standard_exponential(int(counts.sum()), dtype=np.float32)
        filled = counts > 0
        starts = (np.cumsum(counts) - counts)[filled]
        scale = self.energy[:, steps].reshape(-1)[filled] / np.add.reduceat(shares, starts)
        shares *= np.repeat(scale.astype(np.float32), counts[filled])
        return shares
