"""Substructure of jets: numbers worked out by hand, limits, FastJet and energyflow."""

from __future__ import annotations

import itertools
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from hepml_root.errors import SettingError, ShapeError
from hepml_root.representations import observables

JETS = Path(__file__).parents[1] / "reference" / "jets.root"
LISTS = ("pt", "eta", "phi", "mass", "charge")


@pytest.fixture(scope="module")
def jets() -> dict[str, ak.Array]:
    """Constituents of 60 simulated jets."""
    with uproot.open(JETS) as file:
        trees = [file[key] for key in file.keys(filter_classname="TTree", cycle=False)]
        parts = [tree.arrays([f"constituent_{name}" for name in LISTS], entry_stop=30) for tree in trees]
    together = ak.concatenate(parts)
    return {name: together[f"constituent_{name}"] for name in LISTS}


def directions(jets: dict[str, ak.Array]) -> tuple[ak.Array, ak.Array, ak.Array]:
    return jets["pt"], jets["eta"], jets["phi"]


# Three particles, pT 6, 3, 1, at distances 0.3 (first to second), 0.4 (first to third), 0.5 (the others).
THREE = ([6.0, 3.0, 1.0], [0.0, 0.3, 0.0], [3.1, 3.1, 3.5 - 2 * np.pi])


def test_correlators_of_three_particles():
    e2 = (18 * 0.3 + 6 * 0.4 + 3 * 0.5) / 100
    e3 = 18 * 0.3 * 0.4 * 0.5 / 1000
    assert observables.energy_correlator2(*THREE) == pytest.approx(e2, rel=1e-6)
    assert observables.energy_correlator3(*THREE) == pytest.approx(e3, rel=1e-6)
    assert observables.c2(*THREE) == pytest.approx(e3 / e2**2, rel=1e-6)
    assert observables.d2(*THREE) == pytest.approx(e3 / e2**3, rel=1e-6)
    squares = (18 * 0.09 + 6 * 0.16 + 3 * 0.25) / 100
    assert observables.energy_correlator2(*THREE, beta=2) == pytest.approx(squares, rel=1e-6)
    roots = (18 * 0.3**0.5 + 6 * 0.4**0.5 + 3 * 0.5**0.5) / 100
    assert observables.energy_correlator2(*THREE, beta=0.5) == pytest.approx(roots, rel=1e-6)


def test_subjettiness_of_three_particles():
    # The smallest min(pT²) ΔR² is 0.16, of the first and the third; the first gives them their direction.
    tau1 = (3 * 0.3 + 1 * 0.4) / (10 * 0.8)
    tau2 = 1 * 0.4 / (10 * 0.8)
    assert observables.nsubjettiness(1, *THREE) == pytest.approx(tau1)
    assert observables.nsubjettiness(2, *THREE) == pytest.approx(tau2)
    assert observables.nsubjettiness_ratio(2, *THREE) == pytest.approx(4 / 13)
    assert observables.nsubjettiness(1, *THREE, radius=1, beta=2) == pytest.approx((3 * 0.09 + 0.16) / 10)


def test_simple_shapes():
    assert observables.pt_dispersion([6.0, 3.0, 1.0]) == pytest.approx(np.sqrt(46) / 10)
    assert observables.pt_dispersion([7.0]) == 1
    assert observables.multiplicity([6.0, 0.0, 1.0]) == 2
    # Two equal particles, 0.2 rad apart in φ across ±π: the axis is in the middle.
    assert observables.jet_width([5.0, 5.0], [0.0, 0.0], [3.1, 3.3 - 2 * np.pi]) == pytest.approx(0.1)
    charge = (2.0 - 1.0) / np.sqrt(5.0)
    assert observables.jet_charge([4.0, 1.0], [1.0, -1.0]) == pytest.approx(charge)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_subjettiness_of_n_particles_is_zero(n):
    """An axis for each particle leaves no distance, and at most n particles are all axes."""
    rng = np.random.default_rng(n)
    for axes in observables.AXES:
        for count in range(1, n + 1):
            particles = rng.exponential(10, count), rng.normal(0, 0.3, count), rng.normal(0, 0.3, count)
            assert observables.nsubjettiness(n, *particles, axes=axes) == 0


def test_subjettiness_falls_with_the_number_of_axes(jets):
    tau = [observables.nsubjettiness(n, *directions(jets)) for n in (1, 2, 3, 4)]
    assert all(np.all(more <= fewer) for fewer, more in itertools.pairwise(tau))
    ratio = observables.nsubjettiness_ratio(3, *directions(jets))
    np.testing.assert_allclose(ratio, tau[2] / tau[1], rtol=1e-12)


@pytest.mark.parametrize("axes", ["kt", "wta_kt"])
@pytest.mark.parametrize("beta", [1.0, 2.0, 1.5])
def test_a_pass_of_minimisation_never_makes_subjettiness_larger(jets, axes, beta):
    start = observables.nsubjettiness(2, *directions(jets), beta=beta, axes=axes)
    found = observables.nsubjettiness(2, *directions(jets), beta=beta, axes=f"one_pass_{axes}")
    assert np.all(found <= start)
    assert np.any(found < (1 - 1e-4) * start)


def test_one_pass_finds_the_centroid():
    """With β = 2 the best axis is the mean direction weighted by pT: τ1 is the variance about it."""
    rng = np.random.default_rng(7)
    pt, eta, phi = rng.exponential(10, 30), rng.normal(0, 0.2, 30), rng.normal(0, 0.2, 30)
    variance = sum(np.average((x - np.average(x, weights=pt)) ** 2, weights=pt) for x in (eta, phi))
    found = observables.nsubjettiness(1, pt, eta, phi, radius=1, beta=2, axes="one_pass_kt")
    assert found == pytest.approx(variance, rel=1e-9)


def split_collinearly(jets: dict[str, ak.Array], share: float) -> tuple[ak.Array, ...]:
    """Each particle becomes two with the same direction."""
    pt, eta, phi = directions(jets)
    return ak.concatenate([share * pt, (1 - share) * pt], axis=1), *(
        ak.concatenate([values, values], axis=1) for values in (eta, phi)
    )


@pytest.mark.parametrize(
    "observable",
    [
        lambda p: observables.energy_correlator2(*p),
        lambda p: observables.energy_correlator3(*p),
        lambda p: observables.c2(*p),
        lambda p: observables.d2(*p),
        lambda p: observables.nsubjettiness(2, *p),
        lambda p: observables.nsubjettiness(3, *p, axes="kt"),
        lambda p: observables.jet_width(*p),
        lambda p: observables.soft_drop_mass(*p, 0 * p[0]),
        lambda p: observables.sphericity(*p, power=1.0),
    ],
)
def test_safe_observables_do_not_see_collinear_splits_and_soft_particles(jets, observable):
    before = observable(directions(jets))
    # e3 is summed in single precision.
    np.testing.assert_allclose(observable(split_collinearly(jets, 0.3)), before, rtol=2e-5, atol=1e-9)
    pt, eta, phi = directions(jets)
    soft = ak.concatenate([pt, ak.ones_like(pt[:, :1]) * 1e-6], axis=1)
    wide = (ak.concatenate([values, values[:, :1] + 0.3], axis=1) for values in (eta, phi))
    np.testing.assert_allclose(observable((soft, *wide)), before, rtol=2e-5, atol=1e-9)


def test_unsafe_observables_see_collinear_splits(jets):
    after = split_collinearly(jets, 0.5)
    np.testing.assert_allclose(
        observables.pt_dispersion(after[0]), observables.pt_dispersion(jets["pt"]) / np.sqrt(2), rtol=1e-6
    )
    np.testing.assert_array_equal(
        observables.multiplicity(after[0]), 2 * observables.multiplicity(jets["pt"])
    )


def test_jets_turned_about_the_beam_are_the_same(jets):
    pt, eta, phi = (ak.values_astype(values, np.float64) for values in directions(jets))
    for turned in (phi + 2.0, phi + 20 * np.pi):
        for observable in (observables.c2, observables.jet_width, observables.energy_correlator2):
            np.testing.assert_allclose(
                observable(pt, eta, turned), observable(pt, eta, phi), rtol=1e-5, atol=1e-9
            )
        np.testing.assert_allclose(
            observables.nsubjettiness(3, pt, eta, turned),
            observables.nsubjettiness(3, pt, eta, phi),
            rtol=1e-9,
        )


@pytest.mark.parametrize(("axes", "scheme"), [("kt", "E_scheme"), ("wta_kt", "WTA_pt_scheme")])
def test_subjettiness_agrees_with_the_exclusive_subjets_of_fastjet(jets, axes, scheme):
    fastjet = pytest.importorskip("fastjet")
    definition = fastjet.JetDefinition(fastjet.kt_algorithm, 1000.0, getattr(fastjet, scheme))
    mine = {
        n: observables.nsubjettiness(n, *directions(jets), radius=1, axes=axes).tolist() for n in (1, 2, 3, 4)
    }
    for jet in range(len(jets["pt"])):
        pt, eta, phi = (ak.to_numpy(values[jet]).astype(np.float64) for values in directions(jets))
        particles = []
        for momentum in zip(pt, eta, phi, strict=True):
            particle = fastjet.PseudoJet()
            particle.reset_PtYPhiM(*map(float, momentum), 0.0)
            particles.append(particle)
        sequence = fastjet.ClusterSequence(particles, definition)
        for n in (1, 2, 3, 4):
            subjets = sequence.exclusive_jets(n)
            away = np.array([eta - axis.rap() for axis in subjets])
            around = np.array([(phi - axis.phi() + np.pi) % (2 * np.pi) - np.pi for axis in subjets])
            expected = np.sum(pt * np.hypot(away, around).min(axis=0)) / pt.sum()
            assert mine[n][jet] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("z_cut", "beta"), [(0.1, 0.0), (0.1, 1.0), (0.2, -1.0), (0.05, 2.0)])
def test_soft_drop_agrees_with_fastjet(jets, z_cut, beta):
    fastjet = pytest.importorskip("fastjet")
    pytest.importorskip("vector").register_awkward()
    four = ak.zip(
        {name: ak.values_astype(jets[name], np.float64) for name in LISTS[:4]}, with_name="Momentum4D"
    )
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
    records = ak.zip({"px": four.px, "py": four.py, "pz": four.pz, "E": four.E}, with_name="Momentum4D")
    found = fastjet.ClusterSequence(records, definition).exclusive_jets_softdrop_grooming(
        njets=1, beta=beta, symmetry_cut=z_cut, R0=0.8
    )
    lists = [jets[name] for name in LISTS[:4]]
    mass = observables.soft_drop_mass(*lists, z_cut, beta)
    pt = observables.soft_drop_pt(*lists, z_cut, beta)
    np.testing.assert_allclose(
        mass, ak.to_numpy(ak.flatten(found.msoftdrop, axis=None)), rtol=1e-6, atol=1e-4
    )
    np.testing.assert_allclose(pt, ak.to_numpy(ak.flatten(found.ptsoftdrop, axis=None)), rtol=1e-6)


def test_soft_drop_of_two_particles():
    """z = 0.25 at ΔR = 0.4: kept while z_cut (0.4 / 0.8)^β is less."""
    jet = [3.0, 1.0], [0.0, 0.4], [0.0, 0.0], [0.0, 0.0]
    assert observables.soft_drop_mass(*jet, z_cut=0.24) == pytest.approx(observables.invariant_mass(*jet))
    assert observables.soft_drop_mass(*jet, z_cut=0.26) == 0
    assert observables.soft_drop_mass(*jet, z_cut=0.49, beta=1) > 0
    assert observables.soft_drop_fraction(*jet, z_cut=0.26) == 0
    assert observables.soft_drop_radius(*jet) == pytest.approx(0.4)


def test_correlators_agree_with_energy_flow_polynomials(jets):
    energyflow = pytest.importorskip("energyflow")
    few = tuple(values[:5] for values in directions(jets))
    graphs = [sorted(map(tuple, graph)) for graph in energyflow.EFPSet("d<=3").graphs()]
    edge, triangle = graphs.index([(0, 1)]), graphs.index([(0, 1), (0, 2), (1, 2)])
    for beta in (1.0, 2.0):
        polynomials = observables.energy_flow_polynomials(*few, beta=beta, max_degree=3)
        two = observables.energy_correlator2(*few, beta)
        np.testing.assert_allclose(polynomials[:, edge], 2 * two, rtol=1e-5)
        three = observables.energy_correlator3(*few, beta)
        np.testing.assert_allclose(polynomials[:, triangle], 6 * three, rtol=1e-5)


def test_padding_and_forms_of_input(jets):
    """Awkward arrays, padded NumPy arrays and lists of lists are the same; one list is one jet."""
    lists = directions(jets)
    padded = [ak.to_numpy(ak.fill_none(ak.pad_none(values, 250, axis=1), 0.0)) for values in lists]
    expected = observables.nsubjettiness(2, *lists)
    np.testing.assert_array_equal(observables.nsubjettiness(2, *padded), expected)
    np.testing.assert_array_equal(
        observables.nsubjettiness(2, *(values[:3].to_list() for values in lists)), expected[:3]
    )
    assert observables.nsubjettiness(2, *(values[0] for values in lists)) == expected[0]


def test_jets_without_constituents_give_zero_and_nan_gives_nan():
    empty = ak.Array([[1.0], []])[1:]
    nan = [[1.0, np.nan]], [[0.0, 0.1]], [[0.0, 0.1]]
    for observable in (
        observables.energy_correlator2,
        observables.c2,
        observables.d2,
        observables.jet_width,
        observables.sphericity,
        observables.thrust,
        lambda *p: observables.nsubjettiness(1, *p),
        lambda *p: observables.nsubjettiness_ratio(2, *p),
        lambda *p: observables.soft_drop_mass(*p, p[0]),
        lambda *p: observables.invariant_mass(*p, p[0]),
    ):
        assert observable(empty, empty, empty).tolist() == [0]
        assert np.isnan(observable(*nan)).all()
    for observable in (observables.pt_dispersion, observables.multiplicity):
        assert observable(empty).tolist() == [0]
        assert np.isnan(observable(nan[0])).all()


def test_settings_out_of_range_and_lists_of_different_length_are_refused():
    with pytest.raises(SettingError, match="n of at least 1"):
        observables.nsubjettiness(0, *THREE)
    with pytest.raises(SettingError, match="Nearest: 'wta_kt'"):
        observables.nsubjettiness(1, *THREE, axes="wta_kr")
    with pytest.raises(SettingError, match="positive beta"):
        observables.c2(*THREE, beta=0)
    with pytest.raises(SettingError, match="z_cut"):
        observables.soft_drop_mass(*THREE, THREE[0], z_cut=0.7)
    with pytest.raises(ShapeError, match="one list has 3 values and another 2"):
        observables.c2(THREE[0], THREE[1], THREE[2][:2])
    with pytest.raises(ShapeError, match="1 and 2 events"):
        observables.c2(THREE[0], THREE[1], [THREE[2], THREE[2]])
    with pytest.raises(ShapeError, match="expected"):
        observables.c2(np.zeros((2, 3, 4)), THREE[1], THREE[2])
