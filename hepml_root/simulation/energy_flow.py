"""Calorimeter cells: which one a particle hits, and what it measures beyond the tracks that point to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Excess(NamedTuple):
    """Cells with more energy [GeV] than tracks account for, flat; ``event`` says whose they are."""

    event: Integers
    eta: Floats
    phi: Floats
    energy: Floats


class Cells:
    """A grid of cells in η and φ, finer in the middle than in the forward ranges.

    ``ranges`` has, for each range of |η|, its upper end, the number of cells in |η| between the last end and
    this one, and the number in φ.

    >>> cells = Cells(((1.0, 10, 4), (5.0, 4, 2)))
    >>> number = cells.find(np.array([0.01, -0.01, 3.2]), np.array([0.1, -0.1, 4.0]))
    >>> eta, phi = cells.centres(number)
    >>> eta.round(2).tolist(), phi.round(2).tolist()
    ([0.05, -0.05, 3.5], [0.79, -0.79, -1.57])
    """

    def __init__(self, ranges: tuple[tuple[float, int, int], ...]) -> None:
        self.high = np.array([high for high, _, _ in ranges], dtype=float)
        self.low = np.array([0.0, *self.high[:-1]])
        self.in_eta = np.array([in_eta for _, in_eta, _ in ranges])
        self.in_phi = np.array([in_phi for _, _, in_phi in ranges])
        self.first = np.concatenate([[0], np.cumsum(2 * self.in_eta * self.in_phi)])

    def __len__(self) -> int:
        return int(self.first[-1])

    def find(self, eta: Floats, phi: Floats) -> Integers:
        """Return the number of the cell in a direction; |η| beyond the last range is in its end."""
        size = np.minimum(np.abs(eta), np.nextafter(self.high[-1], 0))
        part = np.searchsorted(self.high, size, side="right")
        width = (self.high - self.low)[part] / self.in_eta[part]
        ring = np.minimum(((size - self.low[part]) / width).astype(int), self.in_eta[part] - 1)
        ring = 2 * ring + (eta < 0)
        turn = (phi / (2 * np.pi) + 0.5) % 1.0
        sector = np.minimum((turn * self.in_phi[part]).astype(int), self.in_phi[part] - 1)
        return self.first[part] + ring * self.in_phi[part] + sector

    def centres(self, number: Integers) -> tuple[Floats, Floats]:
        """Return η and φ in [-π, π) of the centres of cells."""
        part = np.searchsorted(self.first, number, side="right") - 1
        ring, sector = np.divmod(number - self.first[part], self.in_phi[part])
        width = (self.high - self.low)[part] / self.in_eta[part]
        eta = self.low[part] + (ring // 2 + 0.5) * width
        phi = ((sector + 0.5) / self.in_phi[part] - 0.5) * 2 * np.pi
        return np.where(ring % 2, -eta, eta), phi


def log_normal(mean: Floats, width: Floats, random: np.random.Generator) -> Floats:
    """Return positive numbers drawn with these means and standard deviations.

    With small relative widths this is a Gaussian; unlike one it never falls below zero.

    >>> drawn = log_normal(np.full(100_000, 10.0), np.full(100_000, 2.0), np.random.default_rng(1))
    >>> round(float(drawn.mean()), 1), round(float(drawn.std()), 1)
    (10.0, 2.0)
    """
    positive = mean > 0
    relative = np.divide(width, mean, out=np.zeros_like(mean), where=positive)
    spread = np.sqrt(np.log1p(relative**2))
    return mean * np.exp(spread * random.standard_normal(len(mean)) - spread**2 / 2)


def bending(
    pt: Floats, eta: Floats, charge: Floats, field: float, radius: float, half_length: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return by how much a particle's φ is shifted at the calorimeters, and whether it gets there.

    The circle in the plane transverse to a field B has the radius r = pt / (0.3 |q| B) (pt in GeV, r in m, B
    in T). The shift is asin(s / 2r) with the chord s to the barrel; particles that leave through an end cap
    have turned by less. Those with 2r < ``radius`` curl up inside, and are taken never to arrive.
    """
    turning = 0.3 * np.abs(charge) * field
    curvature = np.divide(turning, pt, out=np.zeros_like(pt), where=pt > 0)  # 1/r
    half = radius * curvature / 2
    reaches = half < 1
    barrel = np.arcsin(np.minimum(half, 1.0))
    # Half the angle turned on the way to z = half_length: the arc is half_length / sinh|η|.
    with np.errstate(over="ignore"):
        steepness = np.maximum(np.sinh(np.abs(eta)), 1e-9)
    end_cap = half_length / steepness * curvature / 2
    # Positive charges turn clockwise in a field along +z.
    return -np.sign(charge) * np.minimum(barrel, end_cap), reaches


def cell_excess(
    cells: Cells,
    event: Integers,
    eta: Floats,
    phi: Floats,
    energy: Floats,
    tracks: Floats,
    sigma: Callable[[Floats, Floats], Floats],
    least: float,
    significance: float,
    random: np.random.Generator,
) -> Excess:
    """Return the cells that measure more than the tracks account for.

    Arguments
    ---------
    cells
        The grid.
    event, eta, phi, energy
        Whose a deposit is, where, and how large [GeV]; ``(particles,)``.
    tracks
        What the particle's track accounts for [GeV]; 0 without a track.
    sigma
        Function of energy and η of a cell: the width of what it measures.
    least, significance
        The excess must be larger than ``least`` [GeV] and than ``significance`` widths.
    """
    hit = energy > 0
    key = event[hit] * len(cells) + cells.find(eta[hit], phi[hit])
    names, inverse = np.unique(key, return_inverse=True)
    # Of no deposits, bincount makes whole numbers.
    deposited = np.bincount(inverse, weights=energy[hit], minlength=len(names)).astype(float)
    accounted = np.bincount(inverse, weights=tracks[hit], minlength=len(names)).astype(float)
    of_event, number = np.divmod(names, len(cells))
    centre_eta, centre_phi = cells.centres(number)
    width = sigma(deposited, centre_eta)
    excess = log_normal(deposited, width, random) - accounted
    # Without resolution and thresholds, what rounding leaves of a cell with tracks only is no excess.
    rounding = 1e-9 * deposited
    kept = excess > np.maximum(np.maximum(least, significance * width), rounding)
    return Excess(of_event[kept], centre_eta[kept], centre_phi[kept], excess[kept])
