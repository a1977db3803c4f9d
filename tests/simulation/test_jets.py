"""The jets: physics that must be there, and columns that must agree with one another."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from hepml_root.simulation.jets import delta_r, find_jets

KINDS = ("top", "qcd")


def test_top_jets_have_the_mass_of_the_top(jets):
    # 172.5 GeV, lowered by lost tracks and low cells, raised by radiation: half of the jets are within the
    # ten per cent resolution of such jets. The median of 120 jets of that width is known to 2 GeV.
    mass = ak.to_numpy(jets["top"].jet_mass)
    assert 160 < np.median(mass) < 180
    assert np.mean(np.abs(mass - 172.5) < 25) > 0.6
    # QCD jets have masses of a few per cent to a third of their pt, falling.
    assert 40 < np.median(jets["qcd"].jet_mass) < 100


def test_top_jets_have_three_prongs(jets):
    medians = {
        kind: float(np.median(one.jet_tau3[one.jet_tau2 > 0] / one.jet_tau2[one.jet_tau2 > 0]))
        for kind, one in jets.items()
    }
    assert medians["top"] < 0.6 < medians["qcd"]


def test_grooming_keeps_the_top_and_thins_the_rest(jets):
    top, qcd = (jets[kind].jet_softdrop_mass / jets[kind].jet_mass for kind in KINDS)
    assert np.median(top) > 0.9
    assert np.median(qcd) < 0.7
    for one in (top, qcd):
        assert ak.all((one >= 0) & (one < 1.001))


@pytest.mark.parametrize("kind", KINDS)
def test_the_selection_holds(jets, kind):
    one = jets[kind]
    assert ak.all((one.jet_pt > 550) & (one.jet_pt < 650))
    assert ak.all(abs(one.jet_eta) < 2)
    assert ak.all((one.truth_pt_hat > 500) & (one.truth_pt_hat < 750))


def test_tops_are_matched(jets):
    top, qcd = jets["top"], jets["qcd"]
    assert ak.all(abs(top.truth_pdg) == 6)
    assert ak.all((top.truth_delta_r >= 0) & (top.truth_delta_r < 0.8))
    found = qcd.truth_pdg != 0
    assert ak.mean(found) > 0.9
    assert set(np.unique(qcd.truth_pdg)) <= {0, 21, *range(-5, 0), *range(1, 6)}
    assert ak.all(qcd.truth_delta_r[~found] == -1)
    # The jet's pt is that of what it is matched to, but for radiation.
    assert abs(np.median(top.jet_pt / top.truth_pt) - 1) < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_the_jet_is_the_sum_of_its_constituents(jets, kind):
    one = jets[kind]
    assert ak.all(ak.num(one.constituent_pt) == one.jet_multiplicity)  # none has more than 200
    assert ak.all(one.constituent_pt[:, 1:] <= one.constituent_pt[:, :-1])
    pt, eta, phi, mass = (
        ak.values_astype(one[f"constituent_{name}"], float) for name in ("pt", "eta", "phi", "mass")
    )
    px, py, pz = (ak.sum(part, axis=1) for part in (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)))
    energy = ak.sum(np.hypot(pt * np.cosh(eta), mass), axis=1)
    assert np.allclose(np.hypot(px, py), one.jet_pt, rtol=1e-5)
    assert np.allclose(np.arcsinh(pz / np.hypot(px, py)), one.jet_eta, atol=1e-5)
    # The mass of a light jet is a small difference of large numbers with the precision of float32.
    assert np.allclose(energy**2 - px**2 - py**2 - pz**2, one.jet_mass**2, atol=1e-6 * 700**2 * 10)


@pytest.mark.parametrize("kind", KINDS)
def test_charges_masses_and_types_agree(jets, kind):
    one = jets[kind]
    pdg, charge, mass = (
        ak.to_numpy(ak.flatten(one[f"constituent_{name}"])) for name in ("pdg", "charge", "mass")
    )
    assert set(np.unique(pdg)) <= {211, -211, 11, -11, 13, -13, 22, 130}
    hadrons, leptons = np.abs(pdg) == 211, np.isin(np.abs(pdg), (11, 13))
    assert np.array_equal(charge[hadrons], np.sign(pdg[hadrons]))
    assert np.array_equal(charge[leptons], -np.sign(pdg[leptons]))
    assert np.all(charge[~hadrons & ~leptons] == 0)
    assert np.all(mass[hadrons] == np.float32(0.13957))
    assert np.all(mass[np.isin(pdg, (22, 130))] == 0)
    # Two thirds of the energy of a jet is charged, and nearly all tracks are those of hadrons.
    assert 0.4 < hadrons.mean() < 0.7


@pytest.mark.parametrize("kind", KINDS)
def test_n_subjettiness_by_its_definition(jets, kind):
    """τ_N falls with N, and is below that of the kT axes from which the minimisation starts."""
    import fastjet

    one = jets[kind][:15]
    assert ak.all((one.jet_tau1 >= one.jet_tau2) & (one.jet_tau2 >= one.jet_tau3) & (one.jet_tau3 >= 0))
    for jet in one:
        pt, eta, phi, mass = (
            np.asarray(jet[f"constituent_{name}"], float) for name in ("pt", "eta", "phi", "mass")
        )
        energy = np.hypot(pt * np.cosh(eta), mass)
        parts = [
            fastjet.PseudoJet(*(float(value) for value in row))
            for row in zip(pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy, strict=True)
        ]
        clusters = fastjet.ClusterSequence(parts, fastjet.JetDefinition(fastjet.kt_algorithm, 10.0))
        for number in (1, 2, 3):
            axes = clusters.exclusive_jets(min(number, len(parts)))
            nearest = [min(part.delta_R(axis) for axis in axes) for part in parts]
            before = float(np.dot(pt, nearest) / pt.sum() / 0.8)
            # One step of minimisation from those axes: lower, and by less than half.
            assert 0.5 * before - 1e-6 < jet[f"jet_tau{number}"] < before * 1.001 + 1e-6


def test_jets_of_a_hand_made_event():
    particles = ak.Array(
        [
            [
                {"pt": 100.0, "eta": 0.0, "phi": 0.0, "mass": 0.0},
                {"pt": 60.0, "eta": 0.3, "phi": 3.0, "mass": 0.0},
                {"pt": 50.0, "eta": 0.3, "phi": -3.0, "mass": 0.0},
                {"pt": 10.0, "eta": 0.5, "phi": 0.0, "mass": 0.0},
                {"pt": 5.0, "eta": 2.0, "phi": 1.0, "mass": 0.0},
            ],
            [],
        ]
    )
    found = find_jets(particles, 0.8, 20.0)
    assert ak.num(found).to_list() == [2, 0]
    first, second = found[0]
    # Two massless particles: m² = 2 pt1 pt2 (cosh Δη - cos Δφ).
    assert (first.pt, first.eta) == pytest.approx((110.0, np.arcsinh(10 * np.sinh(0.5) / 110)))
    assert first.mass == pytest.approx(np.sqrt(2 * 100 * 10 * (np.cosh(0.5) - 1)))
    assert second.mass == pytest.approx(np.sqrt(2 * 60 * 50 * (1 - np.cos(2 * np.pi - 6))))
    assert abs(second.phi) > 3.0
    assert found.constituents.pt.to_list() == [[[100.0, 10.0], [60.0, 50.0]], []]
    assert delta_r(particles[0, 1], particles[0, 2]) == pytest.approx(2 * np.pi - 6)
