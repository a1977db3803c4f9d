"""Graphs: two particles by hand, and neighbours and pairs against plain numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import plain_jets
from hepml_root.errors import SettingError
from hepml_root.representations.constituents import constituents
from hepml_root.representations.graph import EDGE_FEATURES, Graph, graph

COLUMNS = {"pt": "pt", "eta": "eta", "phi": "phi", "mass": "mass"}
LENGTH = 24


def make(**settings) -> Graph:
    return graph(**{**COLUMNS, "max_length": LENGTH, **settings})


def test_two_particles_by_hand():
    pair = {"pt": [[3.0, 1.0]], "eta": [[0.0, 0.3]], "phi": [[3.1, 3.5 - 2 * math.pi]], "mass": [[0.0, 0.0]]}
    everything = tuple(EDGE_FEATURES)
    blocks = make(max_length=3, neighbours=2, edge_features=everything)(pair)
    assert blocks["particles_neighbours"].tolist() == [[[1, 0], [0, 0], [0, 0]]]
    assert blocks["particles_edges_mask"].tolist() == [[[1, 0], [1, 0], [0, 0]]]
    square = 2 * 3 * 1 * (math.cosh(0.3) - math.cos(0.4))
    expected = [math.log(0.5), math.log(0.5), math.log(0.25), math.log(square), 0.3, 0.4]
    np.testing.assert_allclose(blocks["particles_edges"][0, 0], [expected, [0] * 6], atol=1e-6)
    np.testing.assert_allclose(blocks["particles_edges"][0, 1, 0], [*expected[:4], -0.3, -0.4], atol=1e-6)
    assert not blocks["particles_edges"][0, 2].any()


def test_nodes_are_constituents(simulated):
    nodes = constituents(**COLUMNS, max_length=LENGTH)(simulated)
    blocks = make()(simulated)
    for name, values in nodes.items():
        np.testing.assert_array_equal(blocks[name], values)


@pytest.mark.parametrize("radius", [None, 0.1])
@pytest.mark.parametrize("neighbours", [1, 7, 30])
def test_neighbours_as_plain_numpy(simulated, neighbours, radius):
    blocks = make(neighbours=neighbours, radius=radius)(simulated)
    rows = plain_jets.constituents(simulated, LENGTH)
    x, y, mask = rows["delta_eta"], rows["delta_phi"], rows["mask"] > 0
    distance = np.hypot(x[:, :, None] - x[:, None], plain_jets.wrapped(y[:, :, None] - y[:, None]))
    distance[:, np.arange(LENGTH), np.arange(LENGTH)] = np.inf
    distance[~(mask[:, :, None] & mask[:, None])] = np.inf
    if radius is not None:
        distance[distance >= radius] = np.inf
    order = np.argsort(distance, axis=2, kind="stable")[..., :neighbours]
    expected = np.take_along_axis(distance, order, axis=2)
    found_mask = blocks["particles_edges_mask"]
    edges = min(neighbours, LENGTH)
    np.testing.assert_array_equal(found_mask[..., :edges], np.isfinite(expected))
    assert not found_mask[..., edges:].any()
    place = blocks["particles_neighbours"].astype(int)
    found = np.take_along_axis(distance, place[..., :edges], axis=2)
    # Two that are equally near, up to rounding, may change places: compare how near they are.
    np.testing.assert_allclose(found[np.isfinite(expected)], expected[np.isfinite(expected)], atol=2e-6)
    assert not place[found_mask == 0].any()


def test_pairs_as_plain_numpy(simulated):
    everything = tuple(EDGE_FEATURES)
    blocks = make(neighbours=5, edge_features=everything)(simulated)
    rows = plain_jets.constituents(simulated, LENGTH)
    place, mask = blocks["particles_neighbours"].astype(int), blocks["particles_edges_mask"] > 0
    event, i, k = np.nonzero(mask)
    j = place[event, i, k]
    one, other = ({name: values[event, at] for name, values in rows.items()} for at in (i, j))
    phi = plain_jets.wrapped(other["phi"] - one["phi"])
    delta = np.hypot(other["rapidity"] - one["rapidity"], phi)
    least = np.minimum(one["pt"], other["pt"])
    total = {name: one[name] + other[name] for name in ("energy", "px", "py", "pz", "pt")}
    square = total["energy"] ** 2 - total["px"] ** 2 - total["py"] ** 2 - total["pz"] ** 2
    # In this form the masses of pairs at small angles cancel, even in double precision: 1e-14 of the energy.
    sure = square > 1e-6 * np.maximum(total["energy"] ** 2 * 1e-6, 1e-2)
    found = {name: blocks["particles_edges"][event, i, k, f] for f, name in enumerate(everything)}
    np.testing.assert_allclose(found["log_delta"], np.log(delta), atol=5e-4)  # of rounded directions
    assert np.median(np.abs(found["log_delta"] - np.log(delta))) < 1e-5
    np.testing.assert_allclose(found["log_kt"], np.log(least * delta), atol=5e-4)
    np.testing.assert_allclose(found["log_z"], np.log(least / total["pt"]), atol=2e-6)
    np.testing.assert_allclose(found["log_mass_squared"][sure], np.log(square[sure]), atol=1e-3)
    assert np.median(np.abs(found["log_mass_squared"] - np.log(np.maximum(square, 1e-8)))[sure]) < 1e-5
    assert sure.mean() > 0.9
    np.testing.assert_allclose(found["delta_eta"], other["eta"] - one["eta"], atol=1e-6)
    np.testing.assert_allclose(found["delta_phi"], phi, atol=1e-6)


def test_neighbours_in_another_space():
    events = {
        "pt": [[8.0, 4.0, 7.0]],
        "eta": [[0.0, 0.1, 2.0]],
        "phi": [[0.0, 0.1, 1.0]],
        "mass": [[0.0] * 3],
    }
    blocks = make(neighbours=1, max_length=3, space=("pt",))(events)
    assert blocks["particles"].shape == (1, 3, 7)
    assert blocks["particles_neighbours"][0, :, 0].tolist() == [1, 0, 1]  # sorted: 8, 7, 4
    charged = make(neighbours=1, max_length=3, space=("charge",), extra=("charge",), sort=None)
    blocks = charged({**events, "charge": [[1.0, -1.0, 0.9]]})
    assert blocks["particles_neighbours"][0, :, 0].tolist() == [2, 2, 0]


def test_blocks():
    blocks = make(neighbours=4).blocks()
    assert [(block.name, block.kind, block.shape) for block in blocks] == [
        ("particles", "jagged", (LENGTH, 7)),
        ("particles_mask", "mask", (LENGTH,)),
        ("particles_neighbours", "index", (LENGTH, 4)),
        ("particles_edges", "edges", (LENGTH, 4, 4)),
        ("particles_edges_mask", "mask", (LENGTH, 4)),
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"neighbours": 0}, "neighbours=0"),
        ({"radius": 0.0}, "radius=0.0"),
        ({"space": ("delta_et",)}, "delta_eta"),
        ({"space": ()}, "at least one"),
        ({"edge_features": ("log_delt",)}, "log_delta"),
        ({"edge_features": ("log_z", "log_z")}, "each once"),
        ({"sort": "ptt"}, "pt"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        make(**settings)
