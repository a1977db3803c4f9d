"""Small real datasets and models for the tests of the evaluation."""

from __future__ import annotations

import numpy as np
import pytest

import hepml_root as hr


@pytest.fixture(scope="session")
def binary():
    """Return (train, test) with three inputs, weights of both signs, a spectator and event numbers."""
    generator = np.random.default_rng(1)
    labels = np.arange(3000) % 2
    x = generator.normal(size=(3000, 3))
    x[:, 0] += labels
    x[:, 1] = 50 + 10 * x[:, 1] - 5 * labels
    weights = generator.uniform(0.5, 1.5, 3000) * np.where(generator.random(3000) < 0.05, -1, 1)
    data = hr.Dataset.from_arrays(
        x,
        labels,
        columns=["angle", "m_bb", "jet1_b-tag"],
        units={"m_bb": "GeV"},
        weight=np.where(labels == 1, 0.05, 1.0) * weights,
        spectators={"run": np.arange(3000), "m_true": x[:, 1].astype(np.float64)},
        event_number=np.arange(3000) + 10_000_000_000,
    )
    return data.split(test=0.4)


@pytest.fixture(scope="session")
def multiclass():
    """Return (train, test) with three classes and names that are no identifiers."""
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 3, 2400)
    x = generator.normal(size=(2400, 2)) + np.stack([labels, labels == 1], axis=1)
    data = hr.Dataset.from_arrays(x, labels, classes=["QCD", "W→qq", "top quark"], columns=["a", "b"])
    return data.split(test=0.5)


@pytest.fixture(scope="session")
def regression():
    """Return (train, test) with one target in GeV."""
    generator = np.random.default_rng(3)
    x = generator.uniform(0, 1, (2000, 2))
    target = 50 * x[:, 0] + 20 + generator.normal(0, 2, 2000)
    data = hr.Dataset.from_arrays(
        x, target=target, targets=["E"], columns=["cells", "depth"], units={"E": "GeV"}
    )
    return data.split(test=0.5)


@pytest.fixture(scope="session")
def trained(binary):
    """Return a dense network after a few epochs on the binary toy, and its history."""
    train, _ = binary
    model = hr.models.dense(train, hidden=(16,), name="toy")
    history = hr.fit(model, train, epochs=10, batch_size=64, learning_rate=1e-2, verbose=False)
    return model, history
