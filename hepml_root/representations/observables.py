"""Observables of jets and events on NumPy or awkward arrays, by the same C++ as in expressions of columns.

In C++ they are functions of the same names in the namespace ``hepml``, known in every input, cut or weight of
a Dataset (``"c2 := hepml::c2(constituent_pt, constituent_eta, constituent_phi)"``), and in macros through
``hepml_root/observables.hxx``.

Lists of particles are awkward arrays, lists of lists, or NumPy arrays ``(events, particles)`` padded with
zero pT; one-dimensional input is one event and gives one number. Momenta and masses are in GeV, angles in
rad. Particles without positive pT are passed over, a value that is not finite gives NaN, no particle 0.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import MissingDependencyError, SettingError, unknown
from hepml_root.representations.particle_lists import Values, flat_lists, of_events, of_values

AXES = ("wta_kt", "kt", "one_pass_wta_kt", "one_pass_kt")


def invariant_mass(pt: Any, eta: Any, phi: Any, mass: Any) -> Any:
    r"""Return the invariant mass of all particles of each event [GeV].

    .. math:: m^2 = \Big(\sum_i E_i\Big)^2 - \Big|\sum_i \vec p_i\Big|^2

    Arguments
    ---------
    pt, eta, phi, mass
        Lists ``(events, particles)``.

    Raises
    ------
    ShapeError
        The lists differ in length.

    Example
    -------
    >>> float(round(invariant_mass([50.0, 50.0], [0.0, 0.0], [0.0, np.pi], [0.0, 0.0]), 9))
    100.0
    """
    return of_events("invariant_mass", (pt, eta, phi, mass))


def delta_phi(phi1: ArrayLike, phi2: ArrayLike) -> Any:
    """Return φ1 − φ2, wrapped into [−π, π), for arrays of any shapes that broadcast.

    >>> float(round(delta_phi(3.0, -3.0), 6))
    -0.283185
    """
    difference = np.asarray(phi1, np.float64) - np.asarray(phi2, np.float64)
    return (difference + np.pi) % (2 * np.pi) - np.pi


def delta_r(eta1: ArrayLike, phi1: ArrayLike, eta2: ArrayLike, phi2: ArrayLike) -> Any:
    """Return √(Δη² + Δφ²), for arrays of any shapes that broadcast.

    >>> float(delta_r(0.0, 0.0, 3.0, 4.0 - 2 * np.pi)) < float(delta_r(0.0, 0.0, 3.0, 2.5))
    True
    """
    return np.hypot(np.asarray(eta1, np.float64) - np.asarray(eta2, np.float64), delta_phi(phi1, phi2))


def transverse_mass(
    pt1: ArrayLike,
    phi1: ArrayLike,
    pt2: ArrayLike,
    phi2: ArrayLike,
    mass1: ArrayLike = 0,
    mass2: ArrayLike = 0,
) -> Any:
    r"""Return the transverse mass of two objects [GeV], for arrays of any shapes that broadcast.

    .. math:: m_T^2 = m_1^2 + m_2^2 + 2 (E_{T1} E_{T2} - \vec p_{T1} \cdot \vec p_{T2})

    With a lepton and the missing momentum (both massless): √(2 p_T p_T^miss (1 − cos Δφ)), at most m_W for
    the decay of a W boson at rest or in flight.

    >>> float(transverse_mass(40.0, 0.0, 40.0, np.pi))
    80.0
    """
    pt1, pt2, mass1, mass2 = (np.asarray(value, np.float64) for value in (pt1, pt2, mass1, mass2))
    half = np.sin(0.5 * (np.asarray(phi1, np.float64) - np.asarray(phi2, np.float64)))
    massive = np.hypot(pt1, mass1) * np.hypot(pt2, mass2) - pt1 * pt2
    massive = np.where((mass1 == 0) & (mass2 == 0), 0.0, massive)
    squared = mass1**2 + mass2**2 + 2 * massive + 4 * pt1 * pt2 * half**2
    return np.sqrt(np.maximum(squared, 0.0))


def mt2(
    mass1: ArrayLike, px1: ArrayLike, py1: ArrayLike, mass2: ArrayLike, px2: ArrayLike, py2: ArrayLike,
    px_miss: ArrayLike, py_miss: ArrayLike, chi1: ArrayLike = 0, chi2: ArrayLike = 0,
) -> Any:  # fmt: skip
    r"""Return the stransverse mass m_T2 [GeV], for arrays of any shapes that broadcast.

    .. math:: m_{T2} = \min_{\vec q_1 + \vec q_2 = \vec p_T^{miss}}
              \max\{m_T(\vec p_1, \vec q_1; m_1, \chi_1), m_T(\vec p_2, \vec q_2; m_2, \chi_2)\}

    Computed by the package mt2 where it is installed; else by ``hepml::mt2``, which agrees with it.

    Arguments
    ---------
    mass1, px1, py1, mass2, px2, py2
        Mass and transverse momentum of the two visible particles.
    px_miss, py_miss
        Missing transverse momentum.
    chi1, chi2
        Masses of the two invisible particles.

    Reference
    ---------
    Lester and Summers, hep-ph/9906349; Lester and Nachman, arXiv:1411.4312.

    Example
    -------
    >>> float(round(mt2(5, 60, 0, 5, 40, 30, -80, 20), 4))
    88.2489
    """
    arguments = [
        np.asarray(value, np.float64)
        for value in (mass1, px1, py1, mass2, px2, py2, px_miss, py_miss, chi1, chi2)
    ]
    try:
        from mt2 import mt2 as reference
    except ImportError:
        return of_values("mt2", arguments)
    with np.errstate(divide="ignore", invalid="ignore"):  # of parts of its computation
        return reference(*arguments)


def mt2w(
    lepton_pt: ArrayLike, lepton_eta: ArrayLike, lepton_phi: ArrayLike,
    b1_pt: ArrayLike, b1_eta: ArrayLike, b1_phi: ArrayLike, b1_mass: ArrayLike,
    b2_pt: ArrayLike, b2_eta: ArrayLike, b2_phi: ArrayLike, b2_mass: ArrayLike,
    met: ArrayLike, met_phi: ArrayLike, m_w: float = 80.4, upper: float = 500.0,
) -> Any:  # fmt: skip
    r"""Return m_T2^W [GeV], for arrays of any shapes that broadcast.

    .. math:: m_{T2}^W = \min \{ m_Y : \vec q_1^T + \vec q_2^T = \vec p_T^{miss},\; q_1^2 = 0,\;
              (q_1 + p_\ell)^2 = q_2^2 = m_W^2,\; (q_1 + p_\ell + p_{b1})^2 = (q_2 + p_{b2})^2 = m_Y^2 \}

    and the smaller of the two ways to pair the b jets. It is at most m_top for tt̄ with one lost lepton, up to
    resolution and widths, which tells top quarks from heavier top partners.

    Arguments
    ---------
    lepton_pt, lepton_eta, lepton_phi
        The lepton that is seen, without mass.
    b1_pt, …, b2_mass
        The two b jets.
    met, met_phi
        Missing transverse momentum.
    m_w
        Mass of the W boson.
    upper
        Given back where no mass below it is consistent.

    Reference
    ---------
    Bai, Cheng, Gallicchio, Gu, arXiv:1203.4813.

    Example
    -------
    >>> float(round(mt2w(60, 0, 0, 80, 0.5, 2, 5, 70, -0.4, -2, 5, 90, 1.0), 2))
    138.2
    """
    arguments = (lepton_pt, lepton_eta, lepton_phi, b1_pt, b1_eta, b1_phi, b1_mass, b2_pt, b2_eta, b2_phi,
                 b2_mass, met, met_phi, m_w, upper)  # fmt: skip
    return of_values("mt2w", [np.asarray(value, np.float64) for value in arguments])


def sphericity(pt: Any, eta: Any, phi: Any, power: float = 2.0) -> Any:
    r"""Return the sphericity of each event: 0 for two back-to-back particles, 1 for an isotropic event.

    .. math:: S = \frac32 (\lambda_2 + \lambda_3), \quad
              \frac{\sum_i |\vec p_i|^{r-2}\, p_i^a p_i^b}{\sum_i |\vec p_i|^r} \text{ has } \lambda_1 \ge
              \lambda_2 \ge \lambda_3

    Arguments
    ---------
    pt, eta, phi
        Lists ``(events, particles)``.
    power
        r: 2 is the usual definition; with 1, collinear splittings change nothing.

    Example
    -------
    >>> float(abs(round(sphericity([1.0, 1.0], [0.0, 0.0], [0.0, np.pi]), 9)))
    0.0
    """
    return of_events("sphericity", (pt, eta, phi), power)


def aplanarity(pt: Any, eta: Any, phi: Any, power: float = 2.0) -> Any:
    """Return 3/2 λ3 of the tensor of :func:`sphericity`: 0 for an event in a plane, 1/2 for an isotropic one.

    >>> float(abs(round(aplanarity([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 2.0, 4.0]), 9)))
    0.0
    """
    return of_events("aplanarity", (pt, eta, phi), power)


def transverse_sphericity(pt: Any, phi: Any, power: float = 2.0) -> Any:
    r"""Return 2 λ2 / (λ1 + λ2) of the tensor of transverse momenta: 0 back-to-back, 1 isotropic.

    >>> float(round(transverse_sphericity([1.0, 1.0, 1.0], [0.0, 2 * np.pi / 3, 4 * np.pi / 3]), 9))
    1.0
    """
    return of_events("transverse_sphericity", (pt, phi), power)


def thrust(pt: Any, eta: Any, phi: Any) -> Any:
    r"""Return the thrust of each event: 1 for two back-to-back particles, 1/2 for an isotropic event.

    .. math:: T = \max_{|\vec n| = 1} \sum_i |\vec p_i \cdot \vec n| \Big/ \sum_i |\vec p_i|

    Exact, in O(particles³) steps.

    >>> float(round(thrust([1.0, 1.0], [0.0, 0.0], [0.0, np.pi]), 9))
    1.0
    """
    return of_events("thrust", (pt, eta, phi))


def nsubjettiness(
    n: int, pt: Any, eta: Any, phi: Any, radius: float = 0.8, beta: float = 1.0, axes: str = "wta_kt"
) -> Any:
    r"""Return the N-subjettiness of each jet; 0 for at most ``n`` particles.

    .. math:: \tau_N = \frac{1}{\sum_i p_{T,i}\, R^\beta} \sum_i p_{T,i} \min_{k \le N} \Delta R_{ik}^\beta

    Arguments
    ---------
    n
        Number of axes.
    pt, eta, phi
        Lists ``(jets, constituents)``. With pseudorapidities, constituents are massless.
    radius
        R of the jet.
    beta
        Angular exponent.
    axes
        "kt": the exclusive kT subjets; "wta_kt": the same, the winner giving the direction of two
        (arXiv:1401.2158); "one_pass_kt", "one_pass_wta_kt": these improved by steps to the nearest local
        minimum (arXiv:1108.2701).

    Raises
    ------
    SettingError
        Unknown axes, or a setting out of its range.
    ShapeError
        The lists differ in length.

    Reference
    ---------
    Thaler and Van Tilburg, arXiv:1011.2268.

    Example
    -------
    >>> pt, eta, phi = [3.0, 1.0], [0.0, 0.4], [0.0, 0.0]
    >>> float(round(nsubjettiness(1, pt, eta, phi), 6)), float(nsubjettiness(2, pt, eta, phi))
    (0.125, 0.0)
    """
    return of_events("nsubjettiness", (pt, eta, phi), n, radius, beta, _axes(axes))


def nsubjettiness_ratio(n: int, pt: Any, eta: Any, phi: Any, beta: float = 1.0, axes: str = "wta_kt") -> Any:
    """Return τ_N / τ_(N−1), as τ21 and τ32; 0 where τ_(N−1) is 0. Arguments as of :func:`nsubjettiness`.

    >>> float(nsubjettiness_ratio(2, [3.0, 1.0], [0.0, 0.4], [0.0, 0.0]))
    0.0
    """
    return of_events("nsubjettiness_ratio", (pt, eta, phi), n, beta, _axes(axes))


def energy_correlator2(pt: Any, eta: Any, phi: Any, beta: float = 1.0) -> Any:
    r"""Return e2 of each jet.

    .. math:: e_2 = \sum_{i<j} z_i z_j \Delta R_{ij}^\beta, \quad z_i = p_{T,i} / \sum_k p_{T,k}

    Reference
    ---------
    Larkoski, Salam, Thaler, arXiv:1305.0007.

    Example
    -------
    >>> float(round(energy_correlator2([3.0, 1.0], [0.0, 0.4], [0.0, 0.0]), 6))  # 3/4 · 1/4 · 0.4
    0.075
    """
    return of_events("energy_correlator2", (pt, eta, phi), beta)


def energy_correlator3(pt: Any, eta: Any, phi: Any, beta: float = 1.0) -> Any:
    r"""Return e3 of each jet, in O(constituents³) steps.

    .. math:: e_3 = \sum_{i<j<k} z_i z_j z_k (\Delta R_{ij} \Delta R_{ik} \Delta R_{jk})^\beta

    >>> float(energy_correlator3([3.0, 1.0], [0.0, 0.4], [0.0, 0.0]))
    0.0
    """
    return of_events("energy_correlator3", (pt, eta, phi), beta)


def c2(pt: Any, eta: Any, phi: Any, beta: float = 1.0) -> Any:
    """Return C2 = e3 / e2² of each jet (arXiv:1305.0007); 0 where e2 is 0.

    >>> float(c2([3.0, 1.0], [0.0, 0.4], [0.0, 0.0]))
    0.0
    """
    return of_events("c2", (pt, eta, phi), beta)


def d2(pt: Any, eta: Any, phi: Any, beta: float = 1.0) -> Any:
    """Return D2 = e3 / e2³ of each jet (arXiv:1409.6298); 0 where e2 is 0.

    >>> float(d2([3.0, 1.0], [0.0, 0.4], [0.0, 0.0]))
    0.0
    """
    return of_events("d2", (pt, eta, phi), beta)


def soft_drop_mass(
    pt: Any, eta: Any, phi: Any, mass: Any, z_cut: float = 0.1, beta: float = 0.0, radius: float = 0.8
) -> Any:
    r"""Return the mass of each jet after soft drop [GeV].

    The Cambridge/Aachen clustering is undone, the softer branch dropped, until

    .. math:: \frac{\min(p_{T1}, p_{T2})}{p_{T1} + p_{T2}} > z_{cut} \Big(\frac{\Delta R_{12}}{R}\Big)^\beta

    Arguments
    ---------
    pt, eta, phi, mass
        Lists ``(jets, constituents)``.
    z_cut, beta
        Of the condition; beta = 0 is the modified mass drop.
    radius
        R of the jet.

    Reference
    ---------
    Larkoski, Marzani, Soyez, Thaler, arXiv:1402.2657.

    Example
    -------
    >>> soft = [99.0, 1.0], [0.0, 0.4], [0.0, 0.0], [0.0, 0.0]
    >>> float(round(invariant_mass(*soft), 3)), float(soft_drop_mass(*soft))
    (4.007, 0.0)
    """
    return of_events("soft_drop_mass", (pt, eta, phi, mass), z_cut, beta, radius)


def soft_drop_pt(
    pt: Any, eta: Any, phi: Any, mass: Any, z_cut: float = 0.1, beta: float = 0.0, radius: float = 0.8
) -> Any:
    """Return the pT of each jet after soft drop [GeV]. Arguments as of :func:`soft_drop_mass`.

    >>> float(round(soft_drop_pt([99.0, 1.0], [0.0, 0.4], [0.0, 0.0], [0.0, 0.0]), 6))
    99.0
    """
    return of_events("soft_drop_pt", (pt, eta, phi, mass), z_cut, beta, radius)


def soft_drop_fraction(
    pt: Any, eta: Any, phi: Any, mass: Any, z_cut: float = 0.1, beta: float = 0.0, radius: float = 0.8
) -> Any:
    """Return z_g, the share of the softer branch in the splitting that soft drop keeps; 0 if it keeps none.

    >>> float(soft_drop_fraction([3.0, 1.0], [0.0, 0.4], [0.0, 0.0], [0.0, 0.0]))
    0.25
    """
    return of_events("soft_drop_fraction", (pt, eta, phi, mass), z_cut, beta, radius)


def soft_drop_radius(
    pt: Any, eta: Any, phi: Any, mass: Any, z_cut: float = 0.1, beta: float = 0.0, radius: float = 0.8
) -> Any:
    """Return R_g, ΔR of the splitting that soft drop keeps; 0 if it keeps none.

    >>> float(round(soft_drop_radius([3.0, 1.0], [0.0, 0.4], [0.0, 0.0], [0.0, 0.0]), 9))
    0.4
    """
    return of_events("soft_drop_radius", (pt, eta, phi, mass), z_cut, beta, radius)


def multiplicity(pt: Any) -> Any:
    """Return the number of particles with positive pT.

    >>> multiplicity([[3.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    array([2., 1.])
    """
    return of_events("multiplicity", (pt,))


def jet_width(pt: Any, eta: Any, phi: Any, beta: float = 1.0) -> Any:
    r"""Return the width (girth) of each jet.

    .. math:: \sum_i p_{T,i}\, \Delta R_i^\beta \Big/ \sum_i p_{T,i}

    with ΔR to the rapidity and azimuth of the sum of the constituents, which are taken as massless.

    >>> float(round(jet_width([1.0, 1.0], [-0.1, 0.1], [0.0, 0.0]), 6))
    0.1
    """
    return of_events("jet_width", (pt, eta, phi), beta)


def pt_dispersion(pt: Any) -> Any:
    r"""Return p_T D = √(Σ pT²) / Σ pT: 1 for one particle, 1/√n for n equal ones.

    >>> float(pt_dispersion([1.0, 1.0, 1.0, 1.0]))
    0.5
    """
    return of_events("pt_dispersion", (pt,))


def jet_charge(pt: Any, charge: Any, kappa: float = 0.5) -> Any:
    r"""Return the pT-weighted charge of each jet (arXiv:1209.2421).

    .. math:: Q_\kappa = \sum_i q_i\, p_{T,i}^\kappa \Big/ \Big(\sum_i p_{T,i}\Big)^\kappa

    >>> float(jet_charge([3.0, 1.0], [1.0, -1.0], kappa=1.0))
    0.5
    """
    return of_events("jet_charge", (pt, charge), kappa)


def energy_flow_polynomials(pt: Any, eta: Any, phi: Any, *, beta: float = 2.0, max_degree: int = 4) -> Values:
    r"""Return the energy-flow polynomials of each jet, ``(jets, polynomials)``, by the package energyflow.

    .. math:: \mathrm{EFP}_G = \sum_{i_1 \dots i_N} z_{i_1} \cdots z_{i_N} \prod_{(k,l) \in G}
              \Delta R_{i_k i_l}^\beta

    for all multigraphs G with up to ``max_degree`` edges, in the order of energyflow; the first is 1. The
    indices run independently, so that the polynomial of one edge is 2 e2, and that of the triangle 6 e3.

    Arguments
    ---------
    pt, eta, phi
        Lists ``(jets, constituents)``.
    beta
        Angular exponent.
    max_degree
        Largest number of edges.

    Raises
    ------
    MissingDependencyError
        The package energyflow (GPL) is not installed; the message says how to install it.

    Reference
    ---------
    Komiske, Metodiev, Thaler, arXiv:1712.07124.
    """
    if not beta > 0 or max_degree < 1:
        raise SettingError(f"beta={beta} and max_degree={max_degree}: both must be positive.")
    try:
        from energyflow import EFPSet
    except ImportError as error:
        raise MissingDependencyError(
            f"energy-flow polynomials need the package energyflow, which cannot be imported ({error}). "
            "Install it with pip install --no-deps energyflow wasserstein: without --no-deps, pip would put "
            "a NumPy below 2 in the place of yours, which wasserstein asks for and does not need."
        ) from error
    columns, offsets, single = flat_lists((pt, eta, phi))
    polynomials = EFPSet(f"d<={max_degree}", measure="hadr", beta=beta, normed=True, coords="ptyphim")
    rows = []
    for first, last in itertools.pairwise(offsets):
        particles = np.stack([column[first:last] for column in columns], axis=1)
        particles = particles[particles[:, 0] > 0]
        if len(particles):
            rows.append(polynomials.compute(particles))
        else:
            rows.append(np.zeros(len(polynomials.specs)))
    result = np.array(rows).reshape(len(rows), -1)
    return result[0] if single else result


def _axes(name: str) -> int:
    if name not in AXES:
        raise SettingError(unknown("kind of axes", name, AXES))
    return AXES.index(name)
