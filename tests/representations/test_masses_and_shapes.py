"""Invariant, transverse, stransverse masses, m_T2^W and event shapes: by hand, in limits, by definition."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hepml_root.data.observables_library import of_numbers
from hepml_root.errors import SettingError
from hepml_root.representations import observables

M_W, M_TOP, M_B = 80.4, 173.0, 4.7


def test_invariant_mass_of_two_and_three_bodies():
    """A Z boson at rest; and three massless particles of 10 GeV at 120° in the transverse plane."""
    electrons = [45.6, 45.6], [0.0, 0.0], [1.0, 1.0 - np.pi], [0.000511] * 2
    assert observables.invariant_mass(*electrons) == pytest.approx(91.2, rel=1e-9)
    three = [10.0] * 3, [0.0] * 3, [0.0, 2 * np.pi / 3, 4 * np.pi / 3], [0.0] * 3
    assert observables.invariant_mass(*three) == pytest.approx(30.0)
    # m² = 2 pT1 pT2 (cosh Δη − cos Δφ)
    pair = [30.0, 20.0], [1.2, -0.3], [0.4, 2.0], [0.0, 0.0]
    expected = np.sqrt(2 * 30 * 20 * (np.cosh(1.5) - np.cos(1.6)))
    assert observables.invariant_mass(*pair) == pytest.approx(expected)


def test_angles():
    assert observables.delta_phi(3.0, -3.0) == pytest.approx(6 - 2 * np.pi)
    assert observables.delta_phi(np.pi, 0.0) == pytest.approx(-np.pi)
    assert observables.delta_phi(0.1 + 6 * np.pi, 0.0) == pytest.approx(0.1)
    assert observables.delta_r(0.0, np.pi - 0.2, 0.3, -np.pi + 0.2) == pytest.approx(0.5)
    np.testing.assert_allclose(observables.delta_r([0.0, 1.0], 0.0, 0.0, 0.0), [0.0, 1.0])


def test_transverse_mass():
    assert observables.transverse_mass(40.0, 0.3, 40.0, 0.3 + np.pi) == pytest.approx(80.0)
    assert observables.transverse_mass(40.0, 0.3, 40.0, 0.3) == 0
    # At rest only the masses are left.
    assert observables.transverse_mass(0.0, 0.0, 0.0, 0.0, 3.0, 4.0) == pytest.approx(7.0)
    e = np.hypot(30, 3) * np.hypot(20, 4) - 600 * np.cos(1.1)
    assert observables.transverse_mass(30, 1.1, 20, 0.0, 3.0, 4.0) == pytest.approx(np.sqrt(25 + 2 * e))
    assert observables.transverse_mass([10.0, 20.0], 0.0, 10.0, np.pi).shape == (2,)


def mt2_configurations(kind: str, events: int) -> list[NDArray[np.float64]]:
    """Random masses and momenta [GeV] in the order of the arguments of mt2."""
    rng = np.random.default_rng(5)
    values = list(rng.normal(0, 150, (10, events)))
    for index, size in ((0, 20), (3, 20), (8, 100), (9, 100)):
        values[index] = np.abs(rng.normal(0, size, events))
    change = {
        "plain": {},
        "massless visible": {0: 0, 3: 0},
        "massless invisible": {8: 0, 9: 0},
        "one massless on each side": {0: 0, 9: 0},
        "heavy invisible": {8: 20, 9: 20},
        "little missing momentum": {6: 1e-6, 7: 1e-6},
        "no missing momentum": {6: 0, 7: 0},
        "one soft": {1: 1e-3, 2: 1e-3},
        "one at rest": {1: 0, 2: 0},
        "massless": {0: 0, 3: 0, 8: 0, 9: 0},
        "TeV": dict.fromkeys(range(10), 100),
    }[kind]
    for index, factor in change.items():
        values[index] = values[index] * factor
    return values


@pytest.mark.parametrize(
    "kind",
    [
        "plain",
        "massless visible",
        "massless invisible",
        "one massless on each side",
        "heavy invisible",
        "little missing momentum",
        "no missing momentum",
        "one soft",
        "one at rest",
        "massless",
        "TeV",
    ],
)
def test_mt2_agrees_with_the_package(kind):
    """Our own C++ against the package mt2, 5000 random events of each kind."""
    pytest.importorskip("mt2")
    values = mt2_configurations(kind, 5000)
    expected, found = observables.mt2(*values), of_numbers("mt2", values)
    largest = np.max(np.abs(values), axis=0)
    if kind == "massless":
        # Where the missing momentum lies between the two visible ones, m_T2 is 0. There the package is off by
        # up to 2e-4 of the momenta, its rounding, and ours is closer.
        assert np.all((np.abs(found - expected) < 1e-4 * expected) | (found < 1e-3 * largest))
        assert np.all(found <= expected + 1e-4 * largest)
        assert np.mean(expected > 1e-2 * largest) > 0.2
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_mt2_by_hand():
    # Pairs at rest: the heavier side decides, m1 + chi1.
    assert of_numbers("mt2", [np.array([v], float) for v in (5, 0, 0, 3, 0, 0, 0, 0, 100, 50)]) == 105
    # Symmetric, without missing momentum: both invisible ones at rest give an upper bound,
    # m² + χ² + 2 E_T χ, and the sum of the masses is a lower one.
    values = [10.0, 50.0, 20.0, 10.0, -50.0, -20.0, 0.0, 0.0, 30.0, 30.0]
    found = observables.mt2(*values)
    rest = np.sqrt(100 + 900 + 2 * np.sqrt(100 + 2900) * 30)
    assert 40 < found <= rest
    # Exchanging the sides changes nothing; nor does scaling all.
    swapped = [*values[3:6], *values[:3], *values[6:8], values[9], values[8]]
    assert observables.mt2(*swapped) == pytest.approx(found)
    assert observables.mt2(*(7 * value for value in values)) == pytest.approx(7 * found)
    assert np.isnan(of_numbers("mt2", [np.array([v]) for v in (np.nan, *values[1:])]))


def boosted(p: NDArray[np.float64], velocity: NDArray[np.float64]) -> NDArray[np.float64]:
    squared = np.sum(velocity**2, axis=1)
    gamma = 1 / np.sqrt(1 - squared)
    along = np.sum(p[:, :3] * velocity, axis=1)
    factor = (gamma - 1) / squared * along + gamma * p[:, 3]
    return np.column_stack([p[:, :3] + factor[:, None] * velocity, gamma * (p[:, 3] + along)])


def decayed(parent: NDArray[np.float64], m1: float, m2: float, rng: np.random.Generator):
    """The two daughters, isotropic in the rest frame."""
    mass = np.sqrt(parent[:, 3] ** 2 - np.sum(parent[:, :3] ** 2, axis=1))
    energy = (mass**2 + m1**2 - m2**2) / (2 * mass)
    direction = rng.normal(size=(len(parent), 3))
    direction *= (np.sqrt(energy**2 - m1**2) / np.linalg.norm(direction, axis=1))[:, None]
    velocity = parent[:, :3] / parent[:, 3:]
    return (
        boosted(np.column_stack([direction, energy]), velocity),
        boosted(np.column_stack([-direction, mass - energy]), velocity),
    )


def top_pairs(events: int):
    """Lepton, its b, the other b, and the missing momentum when the other W is not seen at all."""
    rng = np.random.default_rng(3)
    back = rng.normal(0, 100, (events, 2))
    recoil = rng.normal(0, 50, (events, 2))
    found = []
    for sign in (1, -1):
        three = np.column_stack([sign * back + recoil / 2, rng.normal(0, 200, events)])
        top = np.column_stack([three, np.sqrt(np.sum(three**2, axis=1) + M_TOP**2)])
        found.append(decayed(top, M_W, M_B, rng))
    (w1, b1), (w2, b2) = found
    lepton, neutrino = decayed(w1, 0.0, 0.0, rng)
    return lepton, b1, b2, neutrino[:, :2] + w2[:, :2]


def direction(p: NDArray[np.float64]):
    pt = np.hypot(p[:, 0], p[:, 1])
    return pt, np.arcsinh(p[:, 2] / pt), np.arctan2(p[:, 1], p[:, 0])


def mt2w_arguments(lepton, b1, b2, missing):
    return (
        *direction(lepton),
        *direction(b1),
        M_B,
        *direction(b2),
        M_B,
        np.hypot(*missing.T),
        np.arctan2(missing[:, 1], missing[:, 0]),
    )


def by_definition(lepton, b1, b2, missing) -> float:
    """m_T2^W of one pairing: look at all neutrinos on a grid that becomes finer around the best so far."""
    energy, n = lepton[3], lepton[:3] / lepton[3]
    length = M_W**2 / (2 * energy)
    u = np.array([-n[1], n[0], 0]) / np.hypot(n[0], n[1])
    v = np.cross(n, u)
    best, centre, reach = np.inf, np.zeros(2), 3000.0
    for step in range(6):
        grid = np.linspace(-1, 1, 201)
        grid = reach * (np.sign(grid) * grid**2 if step == 0 else grid)
        first, second = (values[..., None] for values in np.meshgrid(centre[0] + grid, centre[1] + grid))
        along = (first**2 + second**2 - length**2) / (2 * length)
        neutrino = first * u + second * v + along * n
        squared = (np.linalg.norm(neutrino, axis=-1) + energy + b1[3]) ** 2
        squared -= np.sum((neutrino + lepton[:3] + b1[:3]) ** 2, axis=-1)
        rest = missing - neutrino[..., :2]
        transverse = np.sqrt(M_W**2 + np.sum(rest**2, axis=-1)) * np.sqrt(M_B**2 + np.sum(b2[:2] ** 2))
        least = M_W**2 + M_B**2 + 2 * (transverse - rest @ b2[:2])
        allowed = np.where(squared >= least, squared, np.inf)
        if not np.isfinite(allowed).any():
            break
        place = np.unravel_index(np.argmin(allowed), allowed.shape)
        best = min(best, np.sqrt(allowed[place]))
        centre = np.array([first[place][0], second[place][0]])
        reach /= 20 if step == 0 else 8
    return best


def test_mt2w_is_what_its_definition_says():
    lepton, b1, b2, missing = top_pairs(12)
    found = observables.mt2w(*mt2w_arguments(lepton, b1, b2, missing))
    for i in range(len(found)):
        expected = min(
            by_definition(lepton[i], b1[i], b2[i], missing[i]),
            by_definition(lepton[i], b2[i], b1[i], missing[i]),
        )
        assert found[i] == pytest.approx(expected, rel=1e-3)
        assert found[i] < expected * (1 + 1e-6)  # a grid never finds less than the minimum


def test_mt2w_is_at_most_the_top_mass():
    """The true momenta are among those that are minimised over; the end point is populated."""
    found = observables.mt2w(*mt2w_arguments(*top_pairs(5000)))
    assert np.all(found < M_TOP * (1 + 1e-6))
    assert np.all(found >= M_W + M_B)
    assert np.mean(found > 0.95 * M_TOP) > 0.05


def test_mt2w_does_not_depend_on_the_order_of_the_b_jets_nor_on_the_orientation():
    lepton, b1, b2, missing = top_pairs(300)
    found = observables.mt2w(*mt2w_arguments(lepton, b1, b2, missing))
    np.testing.assert_allclose(observables.mt2w(*mt2w_arguments(lepton, b2, b1, missing)), found, rtol=1e-6)
    arguments = list(mt2w_arguments(lepton, b1, b2, missing))
    for index in (2, 5, 9, 12):
        arguments[index] = arguments[index] + 1.0
    np.testing.assert_allclose(observables.mt2w(*arguments), found, rtol=1e-6)
    for index in (
        1,
        4,
        8,
    ):  # and, along the beam, only for boosts of everything that is seen: not with masses
        arguments[index] = -arguments[index]
    np.testing.assert_allclose(observables.mt2w(*arguments), found, rtol=1e-6)


def test_mt2w_above_the_upper_bound_gives_it():
    arguments = mt2w_arguments(*top_pairs(300))
    free = observables.mt2w(*arguments)
    np.testing.assert_allclose(observables.mt2w(*arguments, upper=130.0), np.minimum(free, 130.0), rtol=1e-6)
    with pytest.raises(SettingError, match="positive W mass"):
        observables.mt2w(*arguments, m_w=0.0)


def isotropic(count: int) -> tuple[NDArray[np.float64], ...]:
    """Points spread evenly over the sphere (Fibonacci's lattice), each with |p| = 1."""
    index = np.arange(count) + 0.5
    cosine = 1 - 2 * index / count
    return np.sqrt(1 - cosine**2), np.arctanh(cosine), np.pi * (1 + np.sqrt(5)) * index % (2 * np.pi)


def test_shapes_of_two_back_to_back_particles():
    pair = [10.0, 10.0], [1.0, -1.0], [0.5, 0.5 - np.pi]
    assert observables.sphericity(*pair) == pytest.approx(0, abs=1e-9)
    assert observables.aplanarity(*pair) == pytest.approx(0, abs=1e-9)
    assert observables.transverse_sphericity(pair[0], pair[2]) == pytest.approx(0, abs=1e-9)
    assert observables.thrust(*pair) == pytest.approx(1)


def test_shapes_of_an_isotropic_event():
    even = isotropic(400)
    assert observables.sphericity(*even) == pytest.approx(1, abs=0.01)
    assert observables.aplanarity(*even) == pytest.approx(0.5, abs=0.01)
    assert observables.transverse_sphericity(even[0], even[2]) == pytest.approx(1, abs=0.01)
    assert observables.thrust(*isotropic(100)) == pytest.approx(0.5, abs=0.01)


def test_shapes_of_three_particles_in_a_plane():
    """Mercedes star: λ = 1/2, 1/2, 0; thrust 2/3."""
    star = [10.0] * 3, [0.0] * 3, [0.0, 2 * np.pi / 3, -2 * np.pi / 3]
    assert observables.sphericity(*star) == pytest.approx(0.75)
    assert observables.aplanarity(*star) == pytest.approx(0, abs=1e-9)
    assert observables.transverse_sphericity(star[0], star[2]) == pytest.approx(1)
    assert observables.thrust(*star) == pytest.approx(2 / 3)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_sphericity_agrees_with_eigenvalues_of_numpy(power):
    rng = np.random.default_rng(1)
    for count in (2, 3, 5, 40):
        pt, eta, phi = rng.exponential(30, count), rng.normal(0, 2, count), rng.uniform(-3, 3, count)
        p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)])
        size = np.linalg.norm(p, axis=0)
        values = np.linalg.eigvalsh((p * size ** (power - 2)) @ p.T / np.sum(size**power))
        expected = 1.5 * (values[0] + values[1])
        assert observables.sphericity(pt, eta, phi, power) == pytest.approx(expected, abs=1e-9)
        assert observables.aplanarity(pt, eta, phi, power) == pytest.approx(1.5 * values[0], abs=1e-9)
        flat = p[:2] * pt ** (power / 2 - 1)
        low, high = np.linalg.eigvalsh(flat @ flat.T)
        expected = 2 * low / (low + high)
        assert observables.transverse_sphericity(pt, phi, power) == pytest.approx(expected, abs=1e-9)


def test_no_direction_has_more_thrust():
    rng = np.random.default_rng(2)
    pt, eta, phi = rng.exponential(30, 12), rng.normal(0, 1, 12), rng.uniform(-3, 3, 12)
    p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1)
    axes = rng.normal(size=(20000, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    best = np.abs(p @ axes.T).sum(axis=0).max() / np.linalg.norm(p, axis=1).sum()
    found = observables.thrust(pt, eta, phi)
    assert best <= found <= best * 1.001
