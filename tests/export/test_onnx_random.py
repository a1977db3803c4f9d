"""keras.random in exported models: each draw is an operator, compared by its middle, reproducible in C++."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from keras import layers, ops

import hepml_root as hr
from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx import emit
from hepml_root.export.onnx.random import without_draws

EVENTS = 20_000


class Sampling(layers.Layer):
    """Numbers around ``x``: normal with the width 2, and evenly between 0 and 3; and two more normal ones."""

    def call(self, x):
        normal = x + keras.random.normal(ops.shape(x), stddev=2.0, seed=1)
        even = keras.random.uniform(ops.shape(x), 0, 3)
        pair = keras.random.normal((ops.shape(x)[0], 2)) + keras.random.normal((ops.shape(x)[0], 2))
        return ops.concatenate([normal, even, pair], axis=1)


def model() -> keras.Model:
    x = keras.Input((3,), name="features")
    return keras.Model(x, Sampling()(layers.Rescaling(2.0)(x)))


def test_draws_become_operators() -> None:
    proto = emit(model())
    kinds = [node.op_type for node in proto.graph.node if node.op_type.startswith("Random")]
    assert sorted(kinds) == ["RandomNormalLike"] * 3 + ["RandomUniformLike"]
    onnx.checker.check_model(proto)
    assert without_draws(without_draws(proto)) == without_draws(proto)


def test_export_and_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The export is compared with Keras although both draw; scores depend on seed and event alone."""
    monkeypatch.setenv("HEPML_ROOT_CACHE", str(tmp_path / "cache"))
    given = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32)
    names = [f"score{number}" for number in range(8)]
    data = hr.Dataset.from_arrays(given, target=np.ones((40, 8)), targets=names)
    path = hr.export(model(), tmp_path / "sampling.onnx", data=data)
    session = hr.Session(path, engine="cpp")
    x = np.random.default_rng(1).normal(size=(EVENTS, 3)).astype(np.float32)
    scores = session.infer(x, seed=7)
    np.testing.assert_array_equal(scores[100:105], session.infer(x[100:105], seed=7, first_event=100))
    assert not (scores == session.infer(x, seed=8)).any()
    bound = 5 / EVENTS**0.5
    noise = (scores[:, :3] - 2 * x) / 2
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=bound)
    np.testing.assert_allclose(noise.var(axis=0), 1, atol=2**0.5 * bound)
    np.testing.assert_allclose(scores[:, 3:6].mean(axis=0), 1.5, atol=3 / 12**0.5 * bound)
    np.testing.assert_allclose(
        scores[:, 6:].var(axis=0), 2, atol=2 * 2**0.5 * bound
    )  # 4 if they were the same
    assert np.abs(np.corrcoef(scores[:, 6:].T)[0, 1]) < bound


def test_draws_that_are_the_same_for_all_events_are_refused() -> None:
    class Shared(layers.Layer):
        def call(self, x):
            return x + keras.random.normal((1, 3))

    x = keras.Input((3,), name="features")
    with pytest.raises(UnsupportedOperationError, match="the same for all events"):
        emit(keras.Model(x, Shared()(x)))
