"""Constituents as tensors: numbers worked out by hand, plain numpy, symmetries, the inverse."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest

from benchmarks import plain_jets
from hepml_root.errors import SettingError, UnsupportedOperationError
from hepml_root.representations.constituents import Constituents, constituents
from hepml_root.representations.momenta import FEATURES

# Two particles, massless, pT 3 and 1 at η = 0: their sum points to tan φ = sin(0.4) / (3 + cos(0.4)).
TWO = {"pt": [[1.0, 3.0]], "eta": [[0.0, 0.0]], "phi": [[0.4, 0.0]], "mass": [[0.0, 0.0]]}
COLUMNS = {"pt": "pt", "eta": "eta", "phi": "phi", "mass": "mass"}


def make(**settings) -> Constituents:
    return constituents(**{**COLUMNS, **settings})


def test_two_particles_by_hand():
    everything = tuple(FEATURES)
    blocks = make(features=everything, max_length=3)(TWO)
    rows = {name: blocks["particles"][0, :, i] for i, name in enumerate(everything)}
    phi = math.atan2(math.sin(0.4), 3 + math.cos(0.4))
    expected = {
        "pt": [3, 1], "eta": [0, 0], "phi": [0, 0.4], "mass": [0, 0], "energy": [3, 1], "rapidity": [0, 0],
        "px": [3, math.cos(0.4)], "py": [0, math.sin(0.4)], "pz": [0, 0],
        "delta_eta": [0, 0], "delta_phi": [-phi, 0.4 - phi], "delta_r": [phi, 0.4 - phi],
        "log_pt": [math.log(3), 0], "log_energy": [math.log(3), 0],
        "pt_fraction": [0.75, 0.25], "energy_fraction": [0.75, 0.25],
        "log_pt_fraction": [math.log(0.75), math.log(0.25)],
        "log_energy_fraction": [math.log(0.75), math.log(0.25)],
    }  # fmt: skip
    assert expected.keys() == rows.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(rows[name], [*values, 0], atol=3e-7, err_msg=name)
    assert blocks["particles_mask"].tolist() == [[1, 1, 0]]


def test_energy_of_a_massive_particle_by_hand():
    # sinh(ln 2) = 3/4, cosh(ln 2) = 5/4: E² = (4 · 5/4)² + 12² = 13²; y = asinh(3 / √(16 + 144)).
    one = {"pt": [[4.0]], "eta": [[math.log(2)]], "phi": [[0.0]], "mass": [[12.0]]}
    rows = make(features=("energy", "pz", "rapidity", "mass"), max_length=1)(one)["particles"][0, 0]
    np.testing.assert_allclose(rows, [13, 3, math.asinh(3 / math.sqrt(160)), 12], rtol=2e-7)


@pytest.mark.parametrize("sample", ["simulated", "random_events"])
def test_as_plain_numpy(sample, request):
    jets = request.getfixturevalue(sample)
    everything = tuple(FEATURES)
    blocks = make(features=everything, max_length=48)(jets)
    expected = plain_jets.constituents(jets, 48)
    np.testing.assert_array_equal(blocks["particles_mask"], expected["mask"])
    momenta = [ak.sum(abs(jets["pt"] * np.cosh(jets["eta"])), axis=1)]
    momenta.append(np.hypot(*(ak.sum(jets["pt"] * f(jets["phi"]), axis=1) for f in (np.cos, np.sin))))
    # The axis of momenta that balance is as uncertain as their sum.
    balance = (momenta[0].to_numpy() / np.maximum(momenta[1], 1e-30))[:, None]
    for i, name in enumerate(everything):
        found, right = blocks["particles"][..., i], expected[name]
        if name in ("delta_eta", "delta_phi", "delta_r"):
            bound = 2e-6 * balance
        elif name.startswith("log") or name == "rapidity":
            bound = 2e-6
        elif name in ("px", "py", "pz"):  # they vanish along the axes
            bound = 2e-6 * expected["energy"]
        else:
            bound = 2e-6 * np.abs(right)
        assert np.all(np.abs(found - right) <= bound), name


def test_the_order_of_the_file_does_not_matter(simulated):
    random = np.random.default_rng(1)
    places = [random.permutation(n) for n in ak.num(simulated["pt"])]
    shuffled = {name: values[ak.Array(places)] for name, values in simulated.items()}
    particles = make(features=("pt", "delta_eta", "log_energy"), max_length=300, rotation="principal")
    before, after = particles(simulated), particles(shuffled)
    np.testing.assert_array_equal(before["particles"][..., 0], after["particles"][..., 0])
    difference = np.abs(before["particles"] - after["particles"]).max(axis=(1, 2))
    assert np.mean(difference < 2e-5) > 0.98  # two constituents of one pT keep the order that they come in


def test_sorting(simulated):
    few = {name: values[:20] for name, values in simulated.items()}
    far = make(features=("delta_r", "pt"), sort="delta_r", max_length=300)(few)
    for row, mask in zip(far["particles"], far["particles_mask"], strict=True):
        assert np.all(np.diff(row[mask > 0, 0]) >= 0)
    charge = make(features=("pt",), extra=("charge",), sort="charge", max_length=300)(few)
    for row, mask, pt in zip(charge["particles"], charge["particles_mask"], few["pt"], strict=True):
        assert np.all(np.diff(row[mask > 0, 1]) <= 0)
        positive = row[row[:, 1] > 0, 0]  # equal keys keep the order of the file
        assert positive.tolist() == [p for p in pt.to_list() if p in set(positive.tolist())]
    kept = make(features=("pt",), sort=None, max_length=300)(few)
    for row, pt in zip(kept["particles"], few["pt"], strict=True):
        assert row[: len(pt), 0].tolist() == pt.to_list()


def test_many_constituents_are_sorted_too():
    """Beyond 256 the ranks are not counted one by one."""
    pt = np.random.default_rng(1).permutation(np.arange(1, 1001)).astype(np.float32)
    events = {"pt": [pt], "eta": [np.zeros(1000)], "phi": [np.zeros(1000)], "mass": [np.zeros(1000)]}
    assert make(features=("pt",), max_length=1000)(events)["particles"][0, :, 0].tolist() == list(
        range(1000, 0, -1)
    )
    small = make(features=("pt",), max_length=1000, descending=False)(events)["particles"][0, :, 0]
    assert small.tolist() == list(range(1, 1001))


def test_axis_that_is_given():
    particles = make(features=("delta_eta", "delta_phi"), axis=("jet_eta", "jet_phi"), max_length=2)
    blocks = particles({**TWO, "jet_eta": [0.5], "jet_phi": [0.4 - 2 * math.pi]})
    np.testing.assert_allclose(blocks["particles"][0], [[-0.5, -0.4], [-0.5, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("axis", "expected"),
    [
        ("hardest", (0.2, -0.1)),
        ("centroid", (0.05, -0.1 + 0.3 * 0.25)),
        ("none", (0, 0)),
        ("hardest_phi", (0, -0.1)),
    ],
)
def test_axes(axis, expected):
    events = {"pt": [[1.0, 3.0]], "eta": [[-0.4, 0.2]], "phi": [[0.2, -0.1]], "mass": [[0.0, 0.0]]}
    rows = make(features=("delta_eta", "delta_phi"), axis=axis, max_length=2)(events)["particles"][0]
    eta, phi = expected
    np.testing.assert_allclose(rows, [[0.2 - eta, -0.1 - phi], [-0.4 - eta, 0.2 - phi]], atol=1e-7)


def turned(jets, angle):
    """The jets turned about their hardest constituent, in the plane of η and φ."""
    first = ak.argmax(jets["pt"], axis=1, keepdims=True)
    x, y = (jets[n] - ak.flatten(jets[n][first]) for n in ("eta", "phi"))
    y = plain_jets.wrapped(y)
    return {
        **jets,
        "eta": x * math.cos(angle) - y * math.sin(angle) + 0.3,
        "phi": x * math.sin(angle) + y * math.cos(angle) + 1,
    }


@pytest.mark.parametrize("rotation", ["principal", "subjets"])
def test_turned_jets_are_turned_back(simulated, rotation):
    """About the hardest constituent: the axis of the sum moves a little with the jet, and so do subjets,
    which are sums of momenta, too."""
    few = {name: values[:60] for name, values in simulated.items()}
    particles = make(
        features=("delta_eta", "delta_phi"), rotation=rotation, reflection=rotation == "principal",
        axis="hardest", max_length=200,
    )  # fmt: skip
    before, after = particles(turned(few, 0.0)), particles(turned(few, 1.1))
    difference = np.abs(before["particles"] - after["particles"]).max(axis=(1, 2))
    # A jet whose halves have nearly the same pT may be flipped the other way by rounding.
    assert np.mean(difference < (1e-4 if rotation == "principal" else 0.03)) > 0.95
    y, pt = after["particles"][..., 1], make(features=("pt",), max_length=200)(few)["particles"][..., 0]
    if rotation == "principal":
        x = after["particles"][..., 0]
        assert np.abs((pt * x * y).sum(axis=1) / (pt * (x**2 + y**2)).sum(axis=1)).max() < 1e-5
        assert np.all((pt * y**2).sum(axis=1) >= (pt * x**2).sum(axis=1))
        assert np.all((pt * np.sign(y)).sum(axis=1) >= -1e-3)
        assert np.all((pt * np.sign(x)).sum(axis=1) >= -1e-3)


def test_subjets_of_three_particles():
    """The last kT step joins the first two to the third, which is above them."""
    three = {"pt": [[5.0, 4.0, 3.0]], "eta": [[0.0, 0.1, 0.6]], "phi": [[0.0, 0.0, 0.0]], "mass": [[0.0] * 3]}
    rows = make(features=("delta_eta", "delta_phi"), rotation="subjets", max_length=3)(three)["particles"][0]
    np.testing.assert_allclose(rows[:, 0], 0, atol=1e-6)
    assert rows[0, 1] > rows[1, 1] > rows[2, 1]
    np.testing.assert_allclose(rows[0, 1] - rows[2, 1], 0.6, atol=1e-6)


def test_shifts_and_boosts_along_the_beam_leave_relative_features(simulated):
    massless = {**simulated, "mass": simulated["mass"] * 0}
    moved = {**massless, "eta": massless["eta"] + 1.5, "phi": massless["phi"] + 3}
    particles = make(features=("delta_phi", "log_pt_fraction"), max_length=64)
    before, after = particles(massless), particles(moved)
    np.testing.assert_allclose(before["particles"], after["particles"], atol=2e-6)
    # Differences of η are those to an axis that has a mass, unless that is the centroid.
    particles = make(features=("delta_eta",), axis="centroid", max_length=64)
    np.testing.assert_allclose(particles(massless)["particles"], particles(moved)["particles"], atol=2e-6)
    particles = make(features=("delta_eta", "energy"), frame="beam", max_length=64)
    np.testing.assert_allclose(
        particles(massless)["particles"], particles(moved)["particles"], rtol=1e-5, atol=1e-5
    )


def four_momenta(blocks, particles):
    return particles.inverse(blocks["particles"], blocks["particles_mask"])


def test_frames(simulated):
    features = ("pt", "eta", "phi", "mass")
    beam = make(features=features, frame="beam", max_length=300)
    total = four_momenta(beam(simulated), beam).sum(axis=1)
    lab = make(features=features, max_length=300)
    before = four_momenta(lab(simulated), lab).sum(axis=1)
    assert np.abs(total[:, 3] / total[:, 0]).max() < 1e-6
    np.testing.assert_allclose(total[:, 1:3], before[:, 1:3], atol=1e-3)
    np.testing.assert_allclose(total[:, 0] ** 2, before[:, 0] ** 2 - before[:, 3] ** 2, rtol=1e-5)
    for mass, energy in ((80.0, 500.0), (1.0, 1.0)):
        jet = make(features=features, frame="jet", frame_mass=mass, frame_energy=energy, max_length=300)
        total = four_momenta(jet(simulated), jet).sum(axis=1)
        momentum = math.sqrt(energy**2 - mass**2)
        np.testing.assert_allclose(
            total, np.tile([energy, momentum, 0, 0], (len(total), 1)), atol=2e-4 * energy
        )
    # Scaled momenta have scaled products: the angles in the rest frame do not depend on the boost.
    fast = make(features=features, frame="jet", frame_mass=1, frame_energy=9, max_length=300)
    p, q = four_momenta(fast(simulated), fast)[0], four_momenta(lab(simulated), lab)[0]
    metric = np.diag([1, -1, -1, -1])
    scale = (q.sum(0) @ metric @ q.sum(0)) ** -0.5
    product, right = p @ metric @ p.sum(0), q @ metric @ q.sum(0) * scale**2
    np.testing.assert_allclose(np.sort(product), np.sort(right), rtol=1e-3, atol=1e-6)


def test_a_jet_without_mass_has_no_frame():
    one = {"pt": [[4.0]], "eta": [[1.0]], "phi": [[0.0]], "mass": [[0.0]]}
    particles = make(features=("pt",), frame="jet", frame_mass=1, frame_energy=2, max_length=2)
    blocks, losses = particles.with_losses(one)
    assert blocks["particles"].tolist() == [[[0], [0]]]
    assert (losses.dropped.tolist(), losses.empty.tolist()) == ([1], [0])


def test_trimming():
    events = {
        "pt": [[80.0, 15.0, 3.0, 2.0]], "eta": [[0.0, 0.5, 0.52, 0.9]], "phi": [[0.0] * 4],
        "mass": [[0.0] * 4],
    }  # fmt: skip
    single, losses = make(features=("pt",), max_length=4, trim=0.04).with_losses(events)
    assert single["particles"][0, :, 0].tolist() == [80, 15, 0, 0]
    assert losses.dropped.tolist() == [2]
    # Subjets of radius 0.1: 80, 15 + 3, 2.
    subjets = make(features=("pt",), max_length=4, trim=0.04, trim_radius=0.1)(events)
    assert subjets["particles"][0, :, 0].tolist() == [80, 15, 3, 0]


@pytest.mark.parametrize(
    "features",
    [
        ("px", "py", "pz", "energy"),
        ("pt", "eta", "phi", "mass"),
        ("log_pt", "eta", "phi", "log_energy"),
        ("pt_fraction", "delta_eta", "delta_phi", "mass"),
        ("log_pt_fraction", "delta_eta", "delta_phi", "mass"),
    ],
)
def test_inverse(simulated, features):
    particles = make(features=features, max_length=300)
    found = particles.inverse(
        *particles(simulated).values(),
        axis=np.stack(plain_jets.axis(simulated), axis=1),
        total_pt=ak.sum(simulated["pt"], axis=1).to_numpy(),
    )
    plain = plain_jets.constituents(simulated, 300)
    expected = np.stack([plain[name] for name in ("energy", "px", "py", "pz")], axis=-1)
    np.testing.assert_allclose(found / 600, expected / 600, atol=2e-6)
    assert np.all(found[plain["mask"] == 0] == 0)


def test_inverse_that_does_not_exist():
    particles = make(features=("delta_eta", "delta_phi", "mass"), max_length=2)
    with pytest.raises(UnsupportedOperationError, match="log_pt_fraction"):
        particles.inverse(*particles(TWO).values())
    particles = make(features=("pt", "delta_r"), max_length=2)
    with pytest.raises(UnsupportedOperationError, match="eta and phi"):
        particles.inverse(*particles(TWO).values())


def test_description():
    particles = make(
        extra=("charge := q * 2",), axis=("jet_eta", "jet_phi"), max_length=5, rotation="principal"
    )
    description = particles.to_dict()
    assert [column["label"] for column in description["columns"]] == ["pt", "eta", "phi", "mass", "charge"]
    assert [column["label"] for column in description["scalars"]] == ["axis_eta", "axis_phi"]
    assert description["settings"]["rotation"] == "principal"
    assert "trim" not in description["settings"]
    block, mask = particles.blocks()
    assert (block.shape, mask.shape, mask.name) == ((5, 8), (5,), "particles_mask")
    assert block.labels == (*particles.features,)
    assert block.columns[-1].expression == "q * 2"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": ("delta_eta", "log_ptt")}, "log_pt"),
        ({"features": ("pt", "pt")}, "each once"),
        ({"features": ()}, "at least one"),
        ({"sort": "clusterin"}, "clustering"),
        ({"sort": "clustering", "algorithm": "cambrige"}, "cambridge"),
        ({"max_length": 0}, "max_length=0"),
        ({"max_length": 2.5}, "max_length=2.5"),
        ({"rotation": "principle"}, "principal"),
        ({"axis": "summ"}, "sum"),
        ({"axis": ("jet_eta",)}, "pair of columns"),
        ({"frame": "jett"}, "jet"),
        ({"frame": "jet", "frame_mass": 2.0, "frame_energy": 1.0}, "mass <= energy"),
        ({"frame_mass": 2.0}, "belong to frame='jet'"),
        ({"frame": "beam", "axis": ("jet_eta", "jet_phi")}, "leave the columns"),
        ({"trim": 1.0}, "trim=1.0"),
        ({"trim_radius": 0.2}, "a fraction to trim"),
        ({"extra": ("pt := x",)}, "extra column 'pt'"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        make(**settings)
