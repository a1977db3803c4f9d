"""The masses of the HIGGS benchmark: the final state lepton, neutrino, two light jets, two b jets, W W b b.

The signal has h → b b, H± → W b b and H0 → W W b b among them, top pairs have two t → W b. Reference: Baldi,
Sadowski, Whiteson, arXiv:1402.4735. What the paper leaves open was read off the 20 000 events that ROOT
ships: of the two W b b masses the larger one is used, and the b jet of the hadronic top is chosen first.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

W_MASS = 80.4
TOP_MASS = 173.0

Floats = NDArray[np.float64]


def four_vector(pt: Floats, eta: Floats, phi: Floats, mass: Floats | float = 0.0) -> Floats:
    """Return (energy, px, py, pz) [GeV] in a new last axis, from pt, mass [GeV], eta and phi [rad]."""
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return np.stack([np.sqrt(px**2 + py**2 + pz**2 + np.square(mass)), px, py, pz], axis=-1)


def invariant_mass(vectors: Floats) -> Floats:
    """Return the mass [GeV] of four-vectors ``(…, 4)``; 0 where rounding makes its square negative."""
    square = vectors[..., 0] ** 2 - (vectors[..., 1:] ** 2).sum(-1)
    return np.asarray(np.sqrt(np.maximum(square, 0)))


def neutrino(lepton: Floats, missing_x: Floats, missing_y: Floats) -> Floats:
    r"""Return the neutrino whose mass with the lepton is nearest to that of the W.

    Its longitudinal momentum solves, for a lepton without mass,

    .. math::

        p_z &= (\mu\, p_z^\ell \pm E_\ell \sqrt{\mu^2 - (p_T^\ell\, p_T^\mathrm{miss})^2}) / (p_T^\ell)^2 \\
        \mu &= m_W^2 / 2 + \vec p_T^{\,\ell} \cdot \vec p_T^{\,\mathrm{miss}}.

    Of two solutions the smaller one in size is taken. Where there is none, the transverse mass is above the W
    mass: the smallest mass, which is the transverse one, is that at the lepton's pseudorapidity.

    Arguments
    ---------
    lepton:
        ``(events, 4)``: energy, px, py, pz [GeV].
    missing_x, missing_y:
        ``(events,)``: missing transverse momentum [GeV].

    Returns
    -------
    numpy.ndarray
        ``(events, 4)`` in the same order.

    Example
    -------
    A W at rest that decays across the beam:

    >>> neutrino(np.array([[40.2, 40.2, 0.0, 0.0]]), np.array([-40.2]), np.array([0.0]))[0].round(1).tolist()
    [40.2, -40.2, 0.0, 0.0]
    """
    _, x, y, z = np.moveaxis(lepton, -1, 0)
    pt2 = x**2 + y**2
    energy2 = pt2 + z**2
    missing2 = missing_x**2 + missing_y**2
    mu = W_MASS**2 / 2 + x * missing_x + y * missing_y
    root = energy2 * (mu**2 - pt2 * missing2)
    real = np.sqrt(np.maximum(root, 0))
    # mu > 0 where there are solutions, so that the one with the sign of -z at the root is the smaller one.
    with_solution = (mu * z - np.where(z > 0, 1, -1) * real) / pt2
    without = np.sqrt(missing2 / pt2) * z
    pz = np.where(root >= 0, with_solution, without)
    return np.stack([np.sqrt(missing2 + pz**2), missing_x, missing_y, pz], axis=-1)


def masses(
    lepton: Floats, missing_x: Floats, missing_y: Floats, b_jets: Floats, light_jets: Floats
) -> dict[str, Floats]:
    """Return the seven high-level variables of the HIGGS benchmark.

    ======== ==========================================================================================
    m_jj     of the two light jets whose mass is nearest to that of the W
    m_jjj    of these and the b jet that makes it nearest to the mass of the top quark
    m_lv     of the lepton and the neutrino (:func:`neutrino`)
    m_jlv    of these and the other b jet
    m_bb     of the two b jets
    m_wbb    of the b jets and one of the two W: the larger mass
    m_wwbb   of all: the two b jets, the two light jets, lepton and neutrino
    ======== ==========================================================================================

    Arguments
    ---------
    lepton:
        ``(events, 4)``: energy, px, py, pz [GeV].
    missing_x, missing_y:
        ``(events,)`` [GeV].
    b_jets:
        ``(events, 2, 4)``, as the lepton.
    light_jets:
        ``(events, jets, 4)``; rows of NaN where an event has fewer, and at least two in each.

    Returns
    -------
    dict
        ``{name: (events,)}`` [GeV], in the order of the table.
    """
    pairs = [light_jets[:, i] + light_jets[:, j] for i, j in combinations(range(light_jets.shape[1]), 2)]
    hadronic = _nearest(np.stack(pairs, axis=1), W_MASS)[0]
    tops, other = _nearest(hadronic[:, None] + b_jets, TOP_MASS)
    leptonic = lepton + neutrino(lepton, missing_x, missing_y)
    other_b = np.take_along_axis(b_jets, 1 - other[:, None, None], axis=1)[:, 0]
    both = b_jets.sum(axis=1)
    return {
        "m_jj": invariant_mass(hadronic),
        "m_jjj": invariant_mass(tops),
        "m_lv": invariant_mass(leptonic),
        "m_jlv": invariant_mass(leptonic + other_b),
        "m_bb": invariant_mass(both),
        "m_wbb": np.maximum(invariant_mass(hadronic + both), invariant_mass(leptonic + both)),
        "m_wwbb": invariant_mass(hadronic + leptonic + both),
    }


def _nearest(candidates: Floats, mass: float) -> tuple[Floats, NDArray[np.intp]]:
    """Return of ``(events, candidates, 4)`` those nearest to a mass, and their position; NaN is far away."""
    distance = np.abs(invariant_mass(candidates) - mass)
    chosen = np.argmin(np.where(np.isnan(distance), np.inf, distance), axis=1)
    return np.take_along_axis(candidates, chosen[:, None, None], axis=1)[:, 0], chosen
