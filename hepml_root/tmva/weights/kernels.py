"""Densities of Gaussian kernels (PDFInterpol=KDE): each bin of a fine histogram is an event of its own.

    f(x) = Σᵢ nᵢ K((x − xᵢ)/σᵢ),   σ = √2 (4/3)^(1/5) RMS N^(−1/5),   adaptive: σᵢ = factor · σ / √f₀(xᵢ)

with the number N of events, and f₀ the density with kernels of one width. In the precision of TMVA, whose
last bins stay empty.

Reference: D. W. Scott, Multivariate Density Estimation (1992); K. Cranmer, hep-ex/0011057.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from hepml_root.errors import HepmlError

NONADAPTIVE, ADAPTIVE = 1, 2
NO_TREATMENT, RENORM, MIRROR = 1, 2, 3
_SATURATED = 6.5


@dataclass(frozen=True)
class Kernels:
    """Numbers of a weight file: type (1: Gauss), widths (1 or 2: adaptive), ends of the range, factor."""

    type: int = 0
    iteration: int = NONADAPTIVE
    border: int = NO_TREATMENT
    fine_factor: float = 0.0


def kernel_density(
    edges: NDArray[np.float64],
    contents: NDArray[np.float32],
    kernels: Kernels,
    bins: int,
    error: Callable[[str], HepmlError],
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return edges and contents of the fine bins.

    Arguments
    ---------
    edges, contents
        Of the histogram.
    kernels
        Their settings.
    bins
        Number of fine bins.
    error
        Makes the error of a message.
    """
    count = len(contents)
    low, high = float(edges[0]), float(edges[-1])
    centres = (edges[:-1] + edges[1:]) / 2
    weights = contents.astype(np.float64)
    total = weights.sum()
    if total <= 0:
        raise error("a histogram of no events has no kernels.")
    spread = math.sqrt(max((weights @ centres**2) / total - ((weights @ centres) / total) ** 2, 0.0))
    if spread == 0:
        raise error("all events are in one bin, so that the kernels have no width.")
    if kernels.type != 1:
        raise error(f"KDE_type={kernels.type} is no kernel of TMVA; 1 is the Gaussian.")
    sigma = np.float32(math.sqrt(2.0) * (4.0 / 3.0) ** 0.2 * spread * total**-0.2)
    widths = np.full(count, sigma, np.float32)
    if kernels.iteration == ADAPTIVE:
        first = _sum(edges, low, high, centres, contents, widths, kernels.border)
        integral = np.float32((first.astype(np.float64) * np.diff(edges))[:-1].sum())
        if not integral > 0:
            raise error("the histogram has no density to adapt the kernels to.")
        density = (first.astype(np.float64) * (1.0 / float(integral))).astype(np.float32)
        with np.errstate(divide="ignore"):
            widths = (kernels.fine_factor * float(sigma) / np.sqrt(density.astype(np.float64))).astype(
                np.float32
            )
        if kernels.fine_factor <= 0:
            raise error(f"KDE_finefactor={kernels.fine_factor:g}: kernels need a width above 0.")
    fine = np.linspace(low, high, bins + 1)
    return fine, _sum(fine, low, high, centres, contents, widths, kernels.border)


def _sum(
    edges: NDArray[np.float64],
    low: float,
    high: float,
    centres: NDArray[np.float64],
    contents: NDArray[np.float32],
    widths: NDArray[np.float32],
    border: int,
) -> NDArray[np.float32]:
    """Return the integral of all kernels in each bin; as in TMVA the last ones are left out."""
    count = len(centres)
    places = edges[:-1].astype(np.float32)
    found = np.zeros(len(places), np.float32)
    ends = np.array([low, high], np.float32)
    for i in range(count - 1):
        if contents[i] == 0:
            continue
        means = [np.float32(centres[i])]
        if border == MIRROR:
            if i + 1 < count // 5:
                means.append(np.float32(2 * low - centres[i]))
            if i + 1 > 4 * count // 5:
                means.append(np.float32(2 * high - centres[i]))
        for mean in means:
            # Farther away the error function is 1 to the last bit of a double.
            reach = _SATURATED * float(widths[i])
            first, last = np.searchsorted(places, (float(mean) - reach, float(mean) + reach))
            first, last = max(int(first) - 1, 0), min(int(last) + 1, len(places))
            integrals = _integrals(places[first:last], mean, widths[i])
            if border == RENORM:
                inside = _integrals(ends, mean, widths[i])[0]
                integrals = integrals * np.float32(1.0 / inside) if inside > 0 else 0.0 * integrals
            found[first : last - 1] += (float(contents[i]) * integrals.astype(np.float64)).astype(np.float32)
    return found


def _integrals(
    places: NDArray[np.float32], mean: np.floating[Any], width: np.floating[Any]
) -> NDArray[np.float32]:
    """Return the integral of a kernel between each pair of places."""
    distance = ((places.astype(np.float64) - float(mean)) / float(width)).astype(np.float32)
    return np.diff(0.5 * erf(distance.astype(np.float64))).astype(np.float32)
