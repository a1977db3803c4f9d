"""Clustering histories and Lund planes: numbers worked out by hand, and FastJet."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest

from hepml_root.errors import SettingError
from hepml_root.representations.sequence import LUND_FEATURES, lund, sequence

COLUMNS = {"pt": "pt", "eta": "eta", "phi": "phi"}
# At η = φ = 0, then 0.1 and 0.4 away: C/A joins the first two, then the third.
THREE = {"pt": [[5.0, 2.0, 1.0]], "eta": [[0.0, 0.1, 0.0]], "phi": [[0.0, 0.0, 0.4]]}


def test_two_particles_by_hand():
    pair = {"pt": [[1.0, 3.0]], "eta": [[0.3, 0.0]], "phi": [[6.0, 0.4 + 6.0 - 2 * math.pi]]}
    plane = lund(**COLUMNS, features=tuple(LUND_FEATURES), max_length=2)
    blocks = plane(pair)
    mass = math.sqrt(2 * 3 * (math.cosh(0.3) - math.cos(0.4)))
    delta, kt, z, psi = 0.5, 0.5, 0.25, math.atan2(-0.4, 0.3)
    expected = [
        delta, kt, z, z * delta, psi, mass,
        math.log(2), math.log(0.5), math.log(4), math.log(0.125), math.log(mass),
    ]  # fmt: skip
    np.testing.assert_allclose(blocks["splittings"][0], [expected, [0] * 11], atol=1e-6)
    assert blocks["splittings_mask"].tolist() == [[1, 0]]


def test_primary_splittings_have_the_widest_angle_first():
    plane = lund(**COLUMNS, features=("z", "delta"), max_length=5)
    found = plane(THREE)
    assert found["splittings_mask"].tolist() == [[1, 1, 0, 0, 0]]
    # First 1 GeV off 7 GeV (to first order in the angles), then 2 GeV off 5 GeV.
    np.testing.assert_allclose(found["splittings"][0, :2, 0], [1 / 8, 2 / 7], atol=1e-3)
    np.testing.assert_allclose(found["splittings"][0, :2, 1], [math.hypot(0.4, 0.2 / 7), 0.1], atol=1e-3)


def test_a_single_particle_does_not_split():
    plane = lund(**COLUMNS, max_length=2)
    blocks, losses = plane.with_losses({"pt": [[5.0], []], "eta": [[0.0], []], "phi": [[0.0], []]})
    assert blocks["splittings_mask"].sum() == 0
    assert not blocks["splittings"].any()
    assert losses.empty.tolist() == [0, 1]


def test_particles_in_one_direction_have_logarithms():
    plane = lund(**COLUMNS, features=tuple(LUND_FEATURES), max_length=1)
    values = plane({"pt": [[5.0, 2.0]], "eta": [[0.5, 0.5]], "phi": [[1.0, 1.0]]})["splittings"]
    assert np.isfinite(values).all()
    assert values[0, 0, 0] == pytest.approx(1e-6)


def test_splittings_beyond_the_length_are_counted():
    plane = lund(**COLUMNS, max_length=1)
    assert plane.with_losses(THREE)[1].truncated.tolist() == [1]


def fastjet_tree(jets, event, algorithm):
    fastjet = pytest.importorskip("fastjet")
    pt, eta, phi, mass = (jets[name][event].to_numpy().astype(float) for name in ("pt", "eta", "phi", "mass"))
    x, y, z = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    energy = np.sqrt(x**2 + y**2 + z**2 + mass**2)
    particles = [fastjet.PseudoJet(*map(float, p)) for p in zip(x, y, z, energy, strict=True)]
    for i, particle in enumerate(particles):
        particle.set_user_index(i)
    definition = fastjet.JetDefinition(getattr(fastjet, f"{algorithm}_algorithm"), 1000.0)
    clustering = fastjet.ClusterSequence(particles, definition)
    (jet,) = clustering.inclusive_jets()
    return fastjet, jet, (clustering, definition)  # the jet refers to them


def halves(fastjet, jet):
    """The harder and the softer parent, or none."""
    a, b = fastjet.PseudoJet(), fastjet.PseudoJet()
    if not jet.has_parents(a, b):
        return None
    return (a, b) if a.pt() >= b.pt() else (b, a)


def test_lund_plane_is_that_of_fastjet(simulated):
    features = ("delta", "kt", "z", "kappa", "psi", "mass")
    plane = lund(**COLUMNS, mass="mass", features=features, max_length=40)
    blocks = plane(simulated)
    for event in range(0, len(simulated["pt"]), 5):
        fastjet, jet, _keep = fastjet_tree(simulated, event, "cambridge")
        expected = []
        while (pair := halves(fastjet, jet)) is not None:
            a, b = pair
            delta, z = a.delta_R(b), b.pt() / (a.pt() + b.pt())
            psi = math.atan2(a.delta_phi_to(b), b.rap() - a.rap())
            expected.append((delta, b.pt() * delta, z, z * delta, psi, jet.m()))
            jet = a
        found = blocks["splittings"][event][blocks["splittings_mask"][event] > 0]
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("algorithm", ["cambridge", "kt", "antikt"])
def test_order_is_that_of_the_tree_of_fastjet(simulated, algorithm):
    order = sequence(
        **COLUMNS, mass="mass", order="clustering", algorithm=algorithm, features=("pt",), max_length=300
    )
    blocks = order(simulated)
    for event in range(0, len(simulated["pt"]), 20):
        fastjet, jet, _keep = fastjet_tree(simulated, event, algorithm)
        pt = simulated["pt"][event].to_numpy()
        expected, stack = [], [jet]
        while stack:
            branch = stack.pop()
            pair = halves(fastjet, branch)
            if pair is None:
                expected.append(pt[branch.user_index()])
            else:
                stack += [pair[1], pair[0]]
        assert blocks["particles"][event, : len(pt), 0].tolist() == expected


def test_orders():
    by_pt = sequence(**COLUMNS, order="pt", features=("pt",), max_length=3)(THREE)
    assert by_pt["particles"][0, :, 0].tolist() == [5, 2, 1]
    near = sequence(**COLUMNS, order="distance", features=("pt",), max_length=3, axis=("x", "y"))
    assert near({**THREE, "x": [0.0], "y": [0.3]})["particles"][0, :, 0].tolist() == [1, 5, 2]
    joined = sequence(**COLUMNS, order="clustering", features=("pt",), max_length=3)(THREE)
    assert joined["particles"][0, :, 0].tolist() == [5, 2, 1]


def test_settings_that_are_refused():
    with pytest.raises(SettingError, match="clustering"):
        sequence(**COLUMNS, order="cluster")
    with pytest.raises(SettingError, match="log_kt"):
        lund(**COLUMNS, features=("ln_kt",))
    with pytest.raises(SettingError, match="each once"):
        lund(**COLUMNS, features=())
    with pytest.raises(SettingError, match="max_length"):
        lund(**COLUMNS, max_length=-1)


def test_two_hundred_particles_anywhere(random_events):
    """Splittings of whole events: every constituent is on one side of one of them."""
    plane = lund(**COLUMNS, mass="mass", max_length=299)
    blocks = plane(random_events)
    found = blocks["splittings_mask"].sum(axis=1)
    counts = ak.num(random_events["pt"]).to_numpy()
    assert np.all(found <= np.maximum(counts - 1, 0))
    assert np.all((found > 0) == (counts > 1))
    assert np.isfinite(blocks["splittings"]).all()
