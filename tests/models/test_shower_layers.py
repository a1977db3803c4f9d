"""The preprocessing of showers: there and back, and volumes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from hepml_root.data.geometry import Geometry
from hepml_root.errors import SettingError
from hepml_root.layers.voxels import EmptyCells, ShowerShares

GEOMETRY = Geometry.from_dict({
    "name": "test", "threshold": 0.01,
    "layers": [{"grid": [6, 6, 10.0, 10.0]}, {"grid": [5, 4, 12.0, 15.0]}],
})  # fmt: skip


def showers(number: int = 200, seed: int = 1) -> np.ndarray:
    """Bell-shaped layers with noise; what is below the threshold is empty."""
    random = np.random.default_rng(seed)
    x, y, _ = GEOMETRY.centres.T
    centre = random.normal(0.0, 3.0, (2, number, 1))
    width = random.uniform(8.0, 14.0, (number, 1))
    mean = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * width**2))
    cells = random.gamma(2.0, 0.5 * mean * random.uniform(0.1, 1.0, (number, 1)))
    return np.where(cells < GEOMETRY.threshold, 0.0, cells).astype(np.float32)


def test_empty_cells():
    layer = EmptyCells(0.01, gap=1.0)
    cells = showers()
    filled = np.asarray(layer.fill(cells))
    assert (filled > 0).all()
    assert (filled[cells == 0] <= 0.01 * np.exp(-1.0)).all()
    np.testing.assert_array_equal(filled[cells > 0], cells[cells > 0])
    np.testing.assert_array_equal(layer.cut(filled), cells)
    for settings in ({"threshold": 0.0}, {"threshold": 0.1, "gap": 0.0}):
        with pytest.raises(SettingError):
            EmptyCells(**settings)


def test_shares_there_and_back():
    layer = ShowerShares([36, 20], [14, 9])
    cells = np.asarray(EmptyCells(0.01).fill(showers()))
    numbers, change = layer.forward(cells)
    assert numbers.shape == cells.shape
    back, change_back = layer.inverse(numbers)
    np.testing.assert_allclose(back, cells, rtol=1e-4)
    # A sum of 56 logarithms of size 5: 300 in float32 is good to some 1e-4.
    np.testing.assert_allclose(change + change_back, 0.0, atol=2e-3)
    totals = np.exp(np.asarray(numbers)[:, 0])
    np.testing.assert_allclose(totals, cells.sum(axis=1), rtol=1e-5)
    for sizes, places in (([], []), ([3], [3]), ([3, 2], [0])):
        with pytest.raises(SettingError):
            ShowerShares(sizes, places)


def test_volume_of_shares():
    layer = ShowerShares([3, 1, 2], [1, 0, 0])
    cells = np.random.default_rng(1).uniform(0.2, 2.0, (8, 6)).astype(np.float32)
    with tf.GradientTape(persistent=True) as tape:
        x = tf.constant(cells)
        tape.watch(x)
        numbers, change = layer.forward(x)
    matrix = tape.batch_jacobian(numbers, x, experimental_use_pfor=False)
    np.testing.assert_allclose(np.linalg.slogdet(matrix)[1], change, atol=1e-4)
    # Garbage from a network is still energies.
    wild = layer.inverse(np.full((1, 6), 1e9, np.float32))[0]
    assert np.isfinite(wild).all()
    assert (np.asarray(wild) >= 0).all()
