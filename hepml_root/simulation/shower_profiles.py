"""The parametrisation of electromagnetic showers by Grindhammer and Peters, hep-ex/0001020 (GFlash).

Where energy is deposited: dE = E f(t) dt f(r) dr dφ/2π (equation 1), with the depth t in radiation lengths
and the distance r to the axis in Molière radii. The numbers of equations and appendices are those of the
paper. E is in GeV, y = E/E_c, ln y and the rest are pure numbers. Arrays of any shape go in and come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from hepml_root.data.materials import Medium

Array = NDArray[np.float64]

# The fits stop to make sense far below 1 GeV, where the soft half of a converted photon may be.
_LEAST_LN_Y = np.log(10.0)
_LARGEST_SIGMA = 0.5
_LEAST_MAXIMUM, _LEAST_ALPHA = 0.3, 1.1


@dataclass(frozen=True)
class Constants:
    """What the parametrisation knows of a calorimeter: see :class:`hepml_root.data.materials.Medium`.

    Attributes
    ----------
    atomic_number:
        Z.
    plates:
        1/F_S: thickness of a pair of plates in radiation lengths; 0 for a homogeneous medium.
    electron_to_mip:
        ê.
    """

    atomic_number: float | Array
    plates: float | Array
    electron_to_mip: float | Array

    @classmethod
    def of(cls, medium: Medium) -> Constants:
        """Return those of a medium."""
        return cls(medium.atomic_number, 1 / medium.sampling_frequency, medium.electron_to_mip)

    @property
    def sampling(self) -> bool:
        """False for a homogeneous medium."""
        return bool(np.max(self.plates) > 0)


def average_profile(ln_y: Any, medium: Constants) -> tuple[Array, Array]:
    """Return depth T of the maximum and shape α of the average of many showers.

    Equations (7) and (8) with A.1.1:  T_hom = ln y - 0.858,  α_hom = 0.21 + (0.492 + 2.38/Z) ln y;
    A.2.2:  T_sam = T_hom - 0.59/F_S - 0.53 (1 - ê),  α_sam = α_hom - 0.444/F_S.

    >>> T, alpha = average_profile(7.0, Constants(74.0, 0.0, 1.0))
    >>> round(float(T), 3), round(float(alpha), 3)
    (6.142, 3.879)
    """
    ln_y = np.asarray(ln_y, dtype=float)
    maximum = ln_y - 0.858 - 0.59 * medium.plates - 0.53 * (1 - medium.electron_to_mip)
    alpha = 0.21 + (0.492 + 2.38 / medium.atomic_number) * ln_y - 0.444 * medium.plates
    return maximum, alpha


@dataclass(frozen=True)
class Fluctuations:
    """How T and α of single showers are distributed: means, widths and correlation of ln T and ln α."""

    ln_maximum: Array
    ln_alpha: Array
    sigma_ln_maximum: Array
    sigma_ln_alpha: Array
    correlation: Array

    def draw(self, normal: Array, other: Array) -> tuple[Array, Array]:
        """Return T and α from two independent normal variables: equation (11)."""
        common = np.sqrt((1 + self.correlation) / 2) * normal
        opposite = np.sqrt((1 - self.correlation) / 2) * other
        maximum = np.exp(self.ln_maximum + self.sigma_ln_maximum * (common + opposite))
        alpha = np.exp(self.ln_alpha + self.sigma_ln_alpha * (common - opposite))
        return maximum, np.maximum(alpha, _LEAST_ALPHA)


def fluctuations(ln_y: Any, medium: Constants) -> Fluctuations:
    """Return the distribution of T and α: equations (9) and (10) with A.1.2, in sampling media with A.2.3.

        ⟨ln T_hom⟩ = ln(ln y - 0.812),   ⟨ln T_sam⟩ = ln(e^⟨ln T_hom⟩ - 0.55/F_S - 0.69 (1 - ê))
        ⟨ln α_hom⟩ = ln(0.81 + (0.458 + 2.26/Z) ln y),   ⟨ln α_sam⟩ = ln(e^⟨ln α_hom⟩ - 0.476/F_S)

    The widths are 1/(s1 + s2 ln y), the correlation is r1 + r2 ln y. Below y = 10 the values at y = 10 are
    taken, and widths are at most 0.5.
    """
    ln_y = np.maximum(np.asarray(ln_y, dtype=float), _LEAST_LN_Y)
    maximum = ln_y - 0.812 - 0.55 * medium.plates - 0.69 * (1 - medium.electron_to_mip)
    alpha = 0.81 + (0.458 + 2.26 / medium.atomic_number) * ln_y - 0.476 * medium.plates
    if medium.sampling:
        widths, correlation = ((-2.5, 1.25), (-0.82, 0.79)), 0.784 - 0.023 * ln_y
    else:
        widths, correlation = ((-1.4, 1.26), (-0.58, 0.86)), 0.705 - 0.023 * ln_y
    # Where s1 + s2 ln y is small or negative, the width is at its limit.
    sigmas = [1 / np.maximum(s1 + s2 * ln_y, 1 / _LARGEST_SIGMA) for s1, s2 in widths]
    return Fluctuations(
        np.log(np.maximum(maximum, _LEAST_MAXIMUM)),
        np.log(np.maximum(alpha, _LEAST_ALPHA)),
        sigmas[0],
        sigmas[1],
        np.clip(correlation, -1.0, 1.0),
    )


def deposited(t: Any, maximum: Any, alpha: Any) -> Array:
    """Return the share of the energy up to the depth t [X0]: the integral of equation (2).

    f(t) = (β t)^(α-1) β e^(-β t) / Γ(α), with β = (α - 1) / T, equation (4). Before the start it is 0.

    >>> round(float(deposited(8.0, 6.0, 3.5)), 3)
    0.536
    """
    beta = (np.asarray(alpha) - 1) / maximum
    return np.asarray(gammainc(alpha, np.maximum(beta * np.asarray(t), 0.0)))


def relative_depth(t: Any, maximum: Array, alpha: Array, ln_alpha: Array) -> Array:
    """Return τ of a single shower at the depth t: equation (34), τ = t/⟨t⟩ · e^⟨ln α⟩ / (e^⟨ln α⟩ - 1).

    ⟨t⟩ = α/β is the shower's own centre of gravity, ``ln_alpha`` the mean ⟨ln α⟩ of all showers.
    """
    mean = np.exp(ln_alpha)
    centre = maximum * alpha / (alpha - 1)
    return np.asarray(t / centre * mean / (mean - 1))


@dataclass(frozen=True)
class Radial:
    """The radial profile f(r) = p 2r R_C²/(r² + R_C²)² + (1 - p) 2r R_T²/(r² + R_T²)²: equation (23).

    Attributes
    ----------
    core, tail:
        R_C and R_T, medians of the two components, in Molière radii.
    weight:
        p, the share of the core.
    """

    core: Array
    tail: Array
    weight: Array

    def within(self, radius: Any) -> Array:
        """Return the share of the energy within a radius in Molière radii: the integral of equation (23).

        >>> float(Radial(np.array(0.1), np.array(1.0), np.array(0.5)).within(1.0).round(4))
        0.745
        """
        squared = np.square(np.asarray(radius, dtype=float))
        core = squared / (squared + self.core**2)
        tail = squared / (squared + self.tail**2)
        return np.asarray(self.weight * core + (1 - self.weight) * tail)


def radial_profile(tau: Any, ln_energy: Any, medium: Constants) -> Radial:
    """Return the radial profile at the relative depth τ: equations (24) to (26) with A.1.3 and A.2.4.

    ``ln_energy`` is ln(E/GeV). R_C,hom = z1 + z2 τ;  R_T,hom = k1 (e^(k3 (τ - k2)) + e^(k4 (τ - k2)));
    p_hom = p1 exp((p2 - τ)/p3 - exp((p2 - τ)/p3)), and in sampling media

        R_C = R_C,hom - 0.0203 (1 - ê) + 0.0397/F_S e^(-τ)
        R_T = R_T,hom - 0.14 (1 - ê) - 0.495/F_S e^(-τ)
        p = p_hom + (1 - ê) (0.348 - 0.642/F_S e^(-(τ - 1)²))
    """
    z = medium.atomic_number
    soft = 1 - np.asarray(medium.electron_to_mip)
    fading = medium.plates * np.exp(-tau)
    core = 0.0251 + 0.00319 * ln_energy + (0.1162 - 0.000381 * z) * tau
    tail = (0.659 - 0.00309 * z) * (
        np.exp(-2.59 * (tau - 0.645)) + np.exp((0.3585 + 0.0421 * ln_energy) * (tau - 0.645))
    )
    exponent = (0.401 + 0.00187 * z - tau) / (1.313 - 0.0686 * ln_energy)
    weight = (2.632 - 0.00094 * z) * np.exp(exponent - np.exp(exponent))
    weight = weight + soft * (0.348 - 0.642 * medium.plates * np.exp(-np.square(tau - 1)))
    return Radial(
        np.maximum(core - 0.0203 * soft + 0.0397 * fading, 1e-3),
        np.maximum(tail - 0.14 * soft - 0.495 * fading, 1e-2),
        np.clip(weight, 0.0, 1.0),
    )


def number_of_spots(energy: Any, medium: Constants, resolution: Any) -> Array:
    """Return the number of spots of equal energy that give the fluctuations of radial profiles: (31).

    A.1.4, homogeneous: N = 93 ln Z E^0.876. A.2.5, sampling: N = 10.3/c E^0.959, with the stochastic term c
    [√GeV] of the resolution; where that is 0, the number is that of a homogeneous medium.
    """
    homogeneous = 93 * np.log(medium.atomic_number) * np.power(energy, 0.876)
    resolution = np.asarray(resolution, dtype=float)
    if not (medium.sampling and resolution.any()):
        return np.asarray(homogeneous)
    sampling = 10.3 / np.where(resolution > 0, resolution, 1.0) * np.power(energy, 0.959)
    return np.where(resolution > 0, sampling, homogeneous)


def spot_profile(maximum: Array, alpha: Array, medium: Constants) -> tuple[Array, Array]:
    """Return T and α of the number of spots along the depth: equations (32) and (33), A.1.4 and A.2.5.

    Hom.: T (0.698 + 0.00212 Z), α (0.639 + 0.00334 Z). Sampling: T (0.813 + 0.0019 Z), α (0.844 + 0.0026 Z).
    """
    z = medium.atomic_number
    if medium.sampling:
        scales = 0.813 + 0.0019 * z, 0.844 + 0.0026 * z
    else:
        scales = 0.698 + 0.00212 * z, 0.639 + 0.00334 * z
    return maximum * scales[0], np.maximum(alpha * scales[1], _LEAST_ALPHA)
