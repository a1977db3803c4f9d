"""Streams: every event once an epoch, the same for a seed, well shuffled, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest

import hepml_root as hr
from hepml_root.errors import SettingError


def dataset(events: int = 1000) -> hr.Dataset:
    return hr.Dataset.from_arrays(
        np.arange(events, dtype=np.float32)[:, None],
        np.repeat([0, 1], [events // 4, events - events // 4]),
        classes=("signal", "background"),
        weight=np.random.default_rng(1).exponential(size=events),
    )


def order(stream: hr.data.Stream) -> np.ndarray:
    return np.concatenate([X["features"][:, 0] for X, _, _ in stream]).astype(int)


class TestInMemory:
    def test_each_event_once_an_epoch_with_its_own_target_and_weight(self) -> None:
        data = dataset()
        seen = []
        for X, target, weight in data.stream(batch_size=64):
            rows = X["features"][:, 0].astype(int)
            np.testing.assert_array_equal(target, data.target[rows])
            np.testing.assert_array_equal(weight, data.training_weight[rows])
            seen += rows.tolist()
        assert sorted(seen) == list(range(1000))

    def test_sizes(self) -> None:
        stream = dataset().stream(batch_size=64, epochs=2)
        sizes = [len(target) for _, target, _ in stream]
        assert stream.steps_per_epoch == 16
        assert sizes == ([64] * 15 + [40]) * 2
        full = dataset().stream(batch_size=64, drop_last=True)
        assert [len(target) for _, target, _ in full] == [64] * 15
        assert full.steps_per_epoch == 15

    def test_chunks_are_whole_batches(self) -> None:
        sizes = [len(target) for _, target, _ in dataset(200_000).stream(batch_size=1000).chunks()]
        assert sizes == [65_000, 65_000, 65_000, 5_000]

    def test_seed(self) -> None:
        data = dataset()
        np.testing.assert_array_equal(order(data.stream(seed=3)), order(data.stream(seed=3)))
        assert (order(data.stream(seed=3)) != order(data.stream(seed=4))).mean() > 0.9
        two = order(data.stream(batch_size=100, epochs=2))
        assert (two[:1000] != two[1000:]).mean() > 0.9

    def test_for_ever(self) -> None:
        batches = iter(dataset().stream(batch_size=500, epochs=None))
        assert sum(len(next(batches)[1]) for _ in range(7)) == 3500

    def test_bad_settings(self) -> None:
        with pytest.raises(SettingError, match="batch_size"):
            dataset().stream(batch_size=0)
        with pytest.raises(SettingError, match="epochs"):
            dataset().stream(epochs=0)
        with pytest.raises(SettingError, match="no batch"):
            dataset().stream(batch_size=2000, drop_last=True)
