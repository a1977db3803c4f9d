"""The hurdle model of cells: what it draws and what it costs, where both are known."""

from __future__ import annotations

import numpy as np
import pytest

from hepml_root.layers.hurdle import HurdleCells

EVENTS = 20_000


def test_begins_with_what_is_known_of_each_cell():
    """Before any training hits and energies are those of the data, whatever the condition is."""
    random = np.random.default_rng(1)
    hits = (random.uniform(size=(EVENTS, 3)) < [0.1, 0.5, 0.9]).astype(np.float32)
    root = np.abs(random.normal([0.3, 0.5, 0.8], [0.03, 0.05, 0.02], (EVENTS, 3)))
    layer = HurdleCells([2, 1], 2, hidden=(4,)).adapt(hits, hits * root**3)
    condition = random.normal(size=(EVENTS, 2)).astype(np.float32)
    away = [random.uniform(size=(EVENTS, 3)).astype(np.float32)] * 2
    rank, log_weight = (np.asarray(x) for x in layer.sample(condition, away))
    # A fraction of 20 000 is known to 0.0035, and so is that of the data: five of these together.
    np.testing.assert_allclose((rank > 0).mean(axis=0), [0.1, 0.5, 0.9], atol=0.025)
    drawn = np.exp(log_weight / 3.0)
    np.testing.assert_allclose(drawn.mean(axis=0), [0.3, 0.5, 0.8], atol=0.005)
    np.testing.assert_allclose(drawn.std(axis=0), [0.03, 0.05, 0.02], rtol=0.1)


def test_loss_by_hand():
    """Two cells, one hit a standard deviation above its mean: log 2 for each, and 1/2 for the hit."""
    layer = HurdleCells([2], 1, hidden=(4,))
    layer.mean.assign([0.4, 0.4])
    layer.spread.assign([0.1, 0.1])
    hits, shares = np.array([[1.0, 0.0]], np.float32), np.array([[0.125, 0.0]], np.float32)
    loss = layer.loss(hits, shares, np.zeros((1, 1), np.float32), [np.zeros((1, 2), np.float32)] * 2)
    assert float(loss[0]) == pytest.approx(0.5 * (2 * np.log(2.0) + 0.5), abs=1e-5)


def test_distances_count_by_layers():
    """The factor of a layer's distances takes its own cells only."""
    layer = HurdleCells([2, 1], 1, hidden=())
    bias = np.zeros(3 * 3 + 4, np.float32)
    bias[9] = 2.0  # of x in the first layer
    layer.network.last.bias.assign(bias)
    ones = np.ones((1, 3), np.float32)
    logit, _, log_spread = layer._parameters(np.zeros((1, 1), np.float32), [3.0 * ones, ones])
    assert np.asarray(logit).tolist() == [[-6.0, -6.0, 0.0]]
    np.testing.assert_allclose(log_spread, 0.0, atol=1e-6)
