"""The shape of showers: numbers worked out by hand, and cells that have the shape they should."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hepml_root.data.geometry import Geometry
from hepml_root.data.showers import Showers
from hepml_root.errors import SettingError
from hepml_root.models.flow import threshold_of
from hepml_root.models.layer_moments import POWERS, LayerMoments
from hepml_root.models.shape_flow import shape_flow
from hepml_root.models.shower_shape import ShowerShape

GEOMETRY = Geometry.from_dict({
    "name": "test", "threshold": 0.01,
    "layers": [{"grid": [6, 6, 10.0, 10.0]}, {"grid": [5, 4, 12.0, 15.0]}],
})  # fmt: skip
ALIKE = Geometry.from_dict({"name": "alike", "layers": [{"grid": [6, 6, 10.0, 10.0]}] * 2})


def showers(number: int = 200, seed: int = 1, away: float = 3.0) -> np.ndarray:
    """Bell-shaped layers with noise; what is below the threshold is empty."""
    random = np.random.default_rng(seed)
    x, y, _ = GEOMETRY.centres.T
    centre = random.normal(0.0, away, (2, number, 1))
    width = random.uniform(8.0, 14.0, (number, 1))
    mean = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * width**2))
    cells = random.gamma(2.0, 0.5 * mean * random.uniform(0.1, 1.0, (number, 1)))
    return np.where(cells < GEOMETRY.threshold, 0.0, cells).astype(np.float32)


def test_a_threshold_is_that_of_all_parts_of_a_sample():
    """Samples are often in the order of their energies: the first showers may be all empty, or bright."""
    cells = np.zeros((12_000, GEOMETRY.cells), np.float32)
    cells[6000:] = 1.0 + np.arange(GEOMETRY.cells)
    bare = dataclasses.replace(GEOMETRY, threshold=0.0)
    assert threshold_of(Showers(cells, np.full(12_000, 10.0), bare), None) == 1.0
    cells[:6000], cells[6000:] = 1.0, 1e-4 * np.eye(1, GEOMETRY.cells)
    assert threshold_of(Showers(cells, np.full(12_000, 10.0), bare), None) == pytest.approx(1e-4)
    one = np.zeros((12_000, GEOMETRY.cells), np.float32)
    one[11_999, 3] = 2.0  # not among those that are looked at first
    assert threshold_of(Showers(one, np.full(12_000, 10.0), bare), None) == 2.0


def test_units_are_those_of_all_parts_of_a_sample():
    """The first 4096 showers are all in the middle, the others are not: units are of both."""
    cells = np.concatenate([showers(4200, 1, away=0.0), showers(4200, 2, away=10.0)])
    made = Showers(cells, np.linspace(10.0, 100.0, len(cells)), GEOMETRY)
    generator = shape_flow(made, hidden=(4,), shape_hidden=(4,), shape_steps=1)
    first = ShowerShape(GEOMETRY, 0.01).adapt(cells[:4096])
    # Of a mixture of two equal parts the quartiles are those of the wide part, in the narrow one's middle.
    assert (np.asarray(generator.measured.scales) > 1.5 * np.asarray(first.scales)).all()


@pytest.mark.parametrize("geometry", [GEOMETRY, ALIKE])
def test_moments_and_tilts(geometry):
    """Sums as written out; and any weights get the moments of a bell that the cells can have."""
    x, y = (geometry.centres[:, k].astype(np.float32) / 10.0 for k in (0, 1))
    layers = LayerMoments(geometry, x, y)
    random = np.random.default_rng(1)
    weight = random.gamma(2.0, size=(3, geometry.cells)).astype(np.float32)
    found = np.asarray(layers.moments(weight))
    for layer, where in enumerate(geometry.slices):
        for k, (of_x, of_y) in enumerate(POWERS):
            wanted = (weight[:, where] * x[where] ** of_x * y[where] ** of_y).sum(axis=1)
            np.testing.assert_allclose(found[:, layer, k], wanted, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(layers.sums(weight), found[..., 0], rtol=1e-5)
    assert np.asarray(layers.spread(np.float32([[1.0, 2.0]])))[0, geometry.slices[1]].tolist() == [2.0] * (
        geometry.slices[1].stop - geometry.slices[1].start
    )
    mean_x, mean_y, variance, covariance = 0.4, -0.3, 0.9, 0.2
    values = {
        (1, 0): mean_x, (0, 1): mean_y, (2, 0): variance + mean_x**2, (0, 2): variance + mean_y**2,
        (1, 1): covariance + mean_x * mean_y,
    }  # fmt: skip
    wanted = {powers: np.full((3, 2), value, np.float32) for powers, value in values.items()}
    shares = layers.tilted(np.log(weight), np.ones_like(weight), wanted, [np.ones((3, 2), np.float32)] * 3)
    np.testing.assert_allclose(layers.sums(shares), 1.0, rtol=1e-5)
    found = np.asarray(layers.moments(shares))
    # Eight steps, x and y each by itself: where they are correlated that is linear convergence.
    for powers, value in values.items():
        np.testing.assert_allclose(found[..., POWERS.index(powers)], value, atol=0.05)
    # A factor of 0 leaves the layer as it is.
    left = layers.tilted(np.log(weight), np.ones_like(weight), wanted, [np.zeros((3, 2), np.float32)] * 3)
    np.testing.assert_allclose(left * layers.spread(layers.sums(weight)), weight, rtol=1e-4)


def test_shape_by_hand():
    """A block of 3 × 4 cells of 0.25 GeV each in one layer; in the other a single cell of 1 GeV."""
    layer = ShowerShape(GEOMETRY, 0.01)
    cells = np.zeros((1, GEOMETRY.cells), np.float32)
    cells[0, [6 * row + column for row in (1, 2, 3, 4) for column in (2, 3, 4)]] = 0.25
    cells[0, 36] = 1.0
    assert layer.features == 15
    found = np.asarray(layer.measure(cells, np.log([[10.0]]).astype(np.float32)))[0]
    energy, shares, centre_x, centre_y, width_x, width_y, correlation, hits, brightest = np.split(
        found, [1, 2, 4, 6, 8, 10, 12, 14]
    )
    assert energy == pytest.approx(np.log(0.4), abs=1e-6)
    assert shares == pytest.approx(np.log(3.0), abs=1e-6)
    # In cells: the mean of x is half a cell off the middle, the variances are 2/3 and 5/4.
    assert centre_x[0] == pytest.approx(np.arcsinh(0.5), abs=1e-5)
    assert centre_y[0] == pytest.approx(0.0, abs=1e-5)
    assert width_x[0] == pytest.approx(np.log(1 + 2 / 3 / 1e-3), abs=1e-4)
    assert width_y[0] == pytest.approx(np.log(1 + 1250), abs=1e-4)
    assert correlation[0] == pytest.approx(0.0, abs=1e-5)
    assert np.floor(hits).tolist() == [12, 1]
    assert brightest == pytest.approx(np.log(0.25), abs=1e-6)
    # Two rows: as wide as before in x, but of no width in y.
    cells = np.zeros((1, GEOMETRY.cells), np.float32)
    cells[0, 12:24] = 0.25
    found = np.asarray(layer.measure(cells, np.log([[10.0]]).astype(np.float32)))[0]
    assert found[6] == pytest.approx(np.log(1 + 35 / 12 / 1e-3), abs=1e-4)
    assert found[8] < 0


def test_cells_have_their_shape():
    cells = showers()
    layer = ShowerShape(GEOMETRY, GEOMETRY.threshold)
    layer.adapt(cells)
    log_energy = np.log(np.full((len(cells), 1), 20.0, np.float32))
    shape, u = layer.measure(cells, log_energy), layer.describe(cells)
    # From its own description a shower comes back, but for the few whose hits are on the ramp (one in fifty
    # of each layer).
    away = np.abs(np.asarray(layer.cells(shape, log_energy, u, layer.log_weight(u))) - cells).max(axis=1)
    assert (away < 1e-3).mean() > 0.9
    # From that of another one it gets the energies exactly, and the rest where enough cells are hit.
    u = np.roll(u, 1, axis=0)
    made = np.asarray(layer.cells(shape, log_energy, u, layer.log_weight(u)))
    assert np.isfinite(made).all()
    assert (made >= 0).all()
    again = np.asarray(layer.measure(made, log_energy))
    shape = np.asarray(shape)
    np.testing.assert_allclose(again[:, :2], shape[:, :2], atol=0.05)
    away = np.median(np.abs(again - shape), axis=0)
    spread = shape.std(axis=0)
    assert (away[2:10] < 0.05 * spread[2:10]).all(), away / spread
    # Up to twenty hits the correlation is imposed only in part.
    assert (away[10:12] < 0.3 * spread[10:12]).all(), away / spread
    hits = np.abs(np.floor(again[:, 12:14]) - np.floor(shape[:, 12:14]))
    assert hits.mean() < 2.0


def test_empty_showers_and_garbage():
    layer = ShowerShape(GEOMETRY, 0.01)
    nothing = np.zeros((3, GEOMETRY.cells), np.float32)
    layer.adapt(nothing)
    log_energy = np.zeros((3, 1), np.float32)
    shape, u = layer.measure(nothing, log_energy), layer.describe(nothing)
    assert np.isfinite(shape).all()
    assert np.isfinite(u).all()
    assert np.asarray(layer.cells(shape, log_energy, u, layer.log_weight(u))).sum() < 0.01
    for size in (-1e6, 1e6):
        wild = np.full((3, layer.features), size, np.float32)
        made = layer.cells(wild, log_energy, np.clip(nothing + size, -29.0, 29.0), nothing + size)
        assert np.isfinite(made).all()
        assert (np.asarray(made) >= 0).all()
        assert np.isfinite(layer.places(wild)).all()
    with pytest.raises(SettingError):
        ShowerShape(GEOMETRY, 0.0)
