"""The parametrised detector against its own formulas, on particles with known energies."""

from __future__ import annotations

import dataclasses

import awkward as ak
import numpy as np
import pytest

from hepml_root.errors import SettingError
from hepml_root.simulation import find
from hepml_root.simulation.detector import PION, Detector
from hepml_root.simulation.energy_flow import Cells, bending
from hepml_root.simulation.isolation import relative_isolation

MANY = 20_000


def particles(*events):
    """Return particles from lists of (pt, eta, phi, mass, charge, pdg)."""
    names = ("pt", "eta", "phi", "mass", "charge", "pdg")
    rows = np.array([row for event in events for row in event], dtype=float).reshape(-1, 6)
    columns = dict(zip(names, rows.T, strict=True))
    columns["pdg"] = columns["pdg"].astype(int)
    return ak.unflatten(ak.zip(columns), [len(event) for event in events])


def alone(pt, eta, mass, charge, pdg, events=MANY):
    """Return events with one particle each, at any φ."""
    phi = np.random.default_rng(7).uniform(-np.pi, np.pi, events)
    one = {"pt": np.full(events, pt), "eta": np.full(events, eta), "phi": phi, "mass": np.full(events, mass)}
    one |= {"charge": np.full(events, float(charge)), "pdg": np.full(events, pdg)}
    return ak.unflatten(ak.zip(one), np.ones(events, dtype=int))


def energy(objects):
    return np.hypot(objects.pt * np.cosh(objects.eta), objects.mass)


def random(seed=1):
    return np.random.default_rng(seed)


def crowd(events=40, each=60, seed=3):
    """Return events of charged pions, photons, long-lived neutral kaons and neutrinos within |η| < 5."""
    numbers = random(seed)
    count = events * each
    pdg = numbers.choice([211, -211, 22, 130, 12], count)
    charge = np.where(np.abs(pdg) == 211, np.sign(pdg), 0)
    mass = np.select([np.abs(pdg) == 211, pdg == 130], [PION, 0.4976], 0.0)
    columns = {"pt": numbers.exponential(5, count) + 0.2, "eta": numbers.uniform(-4.99, 4.99, count)}
    columns |= {
        "phi": numbers.uniform(-np.pi, np.pi, count),
        "mass": mass,
        "charge": charge * 1.0,
        "pdg": pdg,
    }
    return ak.unflatten(ak.zip(columns), np.full(events, each))


# A width from n values has the relative error 1/sqrt(2 n), a mean σ/sqrt(n): five of them for n = 20 000.
WIDTH = 5 / np.sqrt(2 * MANY)
MEAN = 5 / np.sqrt(MANY)


def formula(shape, constant, stochastic, noise):
    return lambda energy: shape * np.sqrt((constant * energy) ** 2 + stochastic**2 * energy + noise**2)


@pytest.mark.parametrize(
    ("pdg", "pt", "eta", "centre", "sigma"),
    [
        # The cells' centres: 28.5 and 114.5 widths of 3/172; 5.5 of 1.74/20; 3 + 3.5 of 2/12.
        (22, 50.0, 0.5, 0.49709, formula(1 + 0.64 * 0.49709**2, 0.008, 0.11, 0.4)),
        (22, 20.0, 2.0, 1.99709, formula(2.16 + 5.6 * 0.00291**2, 0.008, 0.11, 0.4)),
        (130, 100.0, 0.5, 0.4785, formula(1, 0.05, 1.5, 0)),
        (2112, 100.0, 3.5, 3.58333, formula(1, 0.13, 2.7, 0)),
    ],
)
def test_calorimeters_have_the_resolution_of_their_formula(pdg, pt, eta, centre, sigma):
    flow = Detector().flow(alone(pt, eta, 0.0, 0, pdg), random())
    assert ak.all(ak.num(flow) == 1)
    assert ak.all(flow.pdg == (22 if pdg == 22 else 130))
    assert ak.all(abs(flow.eta - centre) < 1e-5)
    true = pt * np.cosh(eta)
    measured = ak.to_numpy(ak.flatten(energy(flow)))
    assert measured.mean() == pytest.approx(true, abs=MEAN * sigma(true))
    # The tail of a log-normal makes its width a bit less certain than a Gaussian's.
    assert measured.std() == pytest.approx(sigma(true), rel=2 * WIDTH)


@pytest.mark.parametrize(
    ("pdg", "pt", "eta", "efficiency", "relative"),
    [
        (211, 10.0, 0.2, 0.95, np.hypot(0.01, 1.5e-4 * 10)),
        (-321, 0.5, 2.0, 0.60, np.hypot(0.025, 5.5e-4 * 0.5)),
        (13, 50.0, 1.0, 0.99, np.hypot(0.015, 1.5e-4 * 50)),
    ],
)
def test_tracks_have_the_efficiency_and_resolution_of_the_table(pdg, pt, eta, efficiency, relative):
    flow = Detector().flow(alone(pt, eta, PION, np.sign(pdg), pdg), random())
    tracks = flow[flow.charge != 0]
    found = ak.sum(ak.num(tracks))
    assert found == pytest.approx(MANY * efficiency, abs=5 * np.sqrt(MANY * efficiency * (1 - efficiency)))
    measured = ak.to_numpy(ak.flatten(tracks.pt))
    assert measured.mean() == pytest.approx(pt, abs=MEAN * relative * pt / np.sqrt(efficiency))
    assert measured.std() == pytest.approx(relative * pt, rel=WIDTH / np.sqrt(efficiency))
    assert ak.all(tracks.pdg == (13 if pdg == 13 else 211 * np.sign(pdg)))


def test_electrons_are_measured_by_tracker_and_calorimeter_together():
    pt, eta = 100.0, 0.3
    e = pt * np.cosh(eta)
    tracker = np.hypot(0.03, 1.3e-3 * pt)
    calorimeter = (1 + 0.64 * eta**2) * np.sqrt((0.008 * e) ** 2 + 0.11**2 * e + 0.4**2) / e
    expected = 1 / np.sqrt(1 / tracker**2 + 1 / calorimeter**2)
    flow = Detector().flow(alone(pt, eta, 0.000511, -1, 11), random())
    measured = ak.to_numpy(ak.flatten(flow[flow.charge != 0].pt)) / pt
    assert measured.std() == pytest.approx(expected, rel=2 * WIDTH)


def test_there_are_no_tracks_beyond_the_tracker_or_below_its_threshold():
    for pt, eta in ((5.0, 2.6), (0.09, 0.5)):
        flow = Detector().flow(alone(pt, eta, PION, 1, 211, events=500), random())
        assert ak.sum(flow.charge != 0) == 0


def test_a_perfect_detector_keeps_the_energy():
    events = crowd()
    flow = Detector.perfect().flow(events, random())
    visible = events[events.pdg != 12]
    assert np.allclose(ak.sum(energy(flow), axis=1), ak.sum(energy(visible), axis=1), rtol=1e-9)
    # The charge is that of the tracker's range; charged pions beyond it are energy in cells.
    inside = events[(events.charge != 0) & (abs(events.eta) < 2.5)]
    assert ak.all(ak.num(flow[flow.charge != 0]) == ak.num(inside))


def test_a_perfect_detector_puts_towers_on_the_grid():
    events = crowd(seed=5)
    flow = Detector.perfect().flow(events, random())
    towers = ak.flatten(flow[flow.charge == 0])
    for pdg, ranges in ((22, Detector().ecal_cells), (130, Detector().hcal_cells)):
        chosen = towers[towers.pdg == pdg]
        eta, phi = ak.to_numpy(chosen.eta), ak.to_numpy(chosen.phi)
        low = 0.0
        for high, in_eta, in_phi in ranges:
            here = (np.abs(eta) >= low) & (np.abs(eta) < high)
            assert here.sum() > 20
            in_cells = (np.abs(eta[here]) - low) / (high - low) * in_eta
            assert np.allclose(in_cells % 1, 0.5, atol=1e-9)
            assert np.allclose((phi[here] / (2 * np.pi) * in_phi) % 1, 0.5, atol=1e-9)
            low = high


def test_a_tower_is_in_the_cell_that_was_hit():
    cells = Cells(Detector().ecal_cells)
    eta, phi = random().uniform(-5, 5, 5000), random(2).uniform(-np.pi, np.pi, 5000)
    centre_eta, centre_phi = cells.centres(cells.find(eta, phi))
    inner = np.abs(eta) < 3
    assert np.all(np.abs(centre_eta - eta)[inner] <= 3 / 172 / 2 + 1e-12)
    assert np.all(np.abs(centre_eta - eta)[~inner] <= 2 / 12 / 2 + 1e-12)
    turn = np.abs((centre_phi - phi + np.pi) % (2 * np.pi) - np.pi)
    assert np.all(turn[inner] <= np.pi / 360 + 1e-12)
    assert np.all(turn[~inner] <= np.pi / 36 + 1e-12)
    number = np.arange(len(cells))
    assert np.array_equal(cells.find(*cells.centres(number)), number)


def test_neutral_energy_is_what_the_tracks_do_not_account_for():
    # A 20 GeV track and a 30 GeV neutron in one cell: the neutron is left, nothing is counted twice.
    events = particles([(20, 0.04, 0.04, PION, 1, 211), (30, 0.04, 0.04, 0.0, 0, 2112)])
    flow = Detector.perfect().flow(events, random())
    assert flow.pdg.to_list() == [[130, 211]]
    assert energy(flow)[0, 0] == pytest.approx(30 * np.cosh(0.04))
    assert flow.index.to_list() == [[-1, 0]]


def test_what_is_missing_balances_what_is_seen():
    events = particles(
        [(50, 0.0, 1.0, 0, 0, 22), (50, 0.0, 1.0 - np.pi, 0, 0, 14)], [(30, 1.0, -2.0, 0, -1, 13)]
    )
    response = Detector.perfect().respond(events, random())
    assert response.missing_pt == pytest.approx([50, 30], rel=1e-4)
    # Photons are in the cells' centres, 1 degree wide; a muon is exact.
    assert response.missing_phi[0] == pytest.approx(1.0 - np.pi, abs=np.pi / 360)
    assert response.missing_phi[1] == pytest.approx(np.pi - 2.0)
    assert ak.num(response.muons).to_list() == [0, 1]


def test_isolation_of_a_hand_made_event():
    electron, near, far = (20, 0, 0, 0, -1, 11), (5, 0.06, 0.08, PION, 1, 211), (7, 0.6, 0, PION, 1, 211)
    soft = (0.4, 0.1, 0, PION, 1, 211)
    response = Detector.perfect().respond(particles([electron, near, far, soft], [near]), random())
    assert response.electrons.isolation.to_list() == [[pytest.approx(5 / 20)], []]
    empty = response.electrons[:0]
    assert len(relative_isolation(empty, response.flow[:0], 0.5, 0.5)) == 0


def test_identified_leptons_follow_the_efficiency():
    response = Detector().respond(alone(40.0, 2.0, 0.1057, 1, -13), random())
    expected = 0.98 * 0.95  # track and identification
    error = np.sqrt(MANY * expected * (1 - expected))
    assert ak.sum(ak.num(response.muons)) == pytest.approx(MANY * expected, abs=5 * error)
    assert ak.sum(ak.num(response.electrons)) + ak.sum(ak.num(response.photons)) == 0


def test_bending_in_the_magnetic_field():
    # r = pt / (0.3 B): the calorimeter at R = 1.29 m is out of reach below pt = 0.3 B R / 2 = 0.7353 GeV.
    pt = np.array([0.73, 0.74, 10.0, 10.0, 10.0])
    eta = np.array([0.0, 0.0, 0.0, 0.0, 2.4])
    shift, reaches = bending(pt, eta, np.array([1.0, 1, 1, -1, 1]), 3.8, 1.29, 3.0)
    assert reaches.tolist() == [False, True, True, True, True]
    assert shift[2] == pytest.approx(-np.arcsin(0.3 * 3.8 * 1.29 / 20))
    assert shift[3] == -shift[2]
    assert shift[4] == pytest.approx(-0.3 * 3.8 / 20 * 3.0 / np.sinh(2.4))  # out through the end cap
    straight, all_reach = bending(pt, eta, np.ones(5), 0.0, 1.29, 3.0)
    assert np.all(straight == 0)
    assert all_reach.all()


def test_b_tagging_follows_its_parametrisation():
    detector = Detector()
    jets = np.full(MANY, 100.0), np.full(MANY, 1.0)
    # 0.85 tanh(0.25) 25 / (1 + 6.3); 0.25 tanh(1.8) / 1.13; 0.01 + 0.0038
    for flavour, expected in ((5, 0.7129), (-4, 0.2095), (21, 0.0138)):
        at = detector.b_tag_probability(*jets, np.full(MANY, flavour))
        assert at[0] == pytest.approx(expected, abs=1e-4)
        tagged = detector.b_tag(*jets, np.full(MANY, flavour), random()).sum()
        assert tagged == pytest.approx(MANY * expected, abs=5 * np.sqrt(MANY * expected * (1 - expected)))
    assert np.all(detector.b_tag_probability(jets[0], np.full(MANY, 2.6), np.full(MANY, 5)) == 0)


def test_the_same_generator_gives_the_same_response():
    events = crowd()
    first, again = (Detector().flow(events, random(9)) for _ in range(2))
    other = Detector().flow(events, random(10))
    assert ak.array_equal(first, again)
    assert not ak.array_equal(first, other)


def test_tracks_know_their_particle():
    events = crowd()
    flow = Detector().flow(events, random())
    tracks = flow[flow.charge != 0]
    true = events[tracks.index]
    assert ak.all(true.charge == tracks.charge)
    assert ak.all(abs(true.eta - tracks.eta) == 0)
    assert ak.all(flow[flow.charge == 0].index == -1)


def test_events_without_particles():
    response = Detector().respond(particles([], [(20, 0, 0, 0, 0, 22)], []), random())
    assert ak.num(response.flow).to_list() == [0, 1, 0]
    assert response.missing_pt[0] == 0


def test_tables_have_a_row_for_each_range():
    with pytest.raises(SettingError, match=r"'hadron_efficiency'.* has 2 entries; it takes 3: .*'track_eta'"):
        Detector(track_eta=(1.0, 2.0, 3.0))
    with pytest.raises(SettingError, match=r"'ecal_resolution'.* takes 3: .*c, s, n"):
        find("top-jets").with_settings({"detector.ecal_resolution": [0.01, 0.1]})
    three = ((0.7, 0.9, 0.9),) * 3
    wide = Detector(
        track_eta=(1.0, 2.0, 3.0),
        hadron_efficiency=((0.5, 1.0),) * 3,
        muon_efficiency=((0.5, 1.0),) * 3,
        electron_efficiency=three,
    )
    found = wide.flow(alone(10.0, 2.7, PION, 1, 211, events=20), random())
    assert ak.sum(found.charge != 0) == 20


def test_the_table_has_every_parameter():
    table = Detector(magnetic_field=2.0).table()
    for one in dataclasses.fields(Detector):
        assert f"| `{one.name}` |" in table
    assert "| `magnetic_field` | 2 | T |" in table
    columns = {line.replace("\\|", "").count("|") for line in table.splitlines()}
    assert columns == {5}
