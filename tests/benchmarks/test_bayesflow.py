"""The comparison with bayesflow, which is not among the dependencies."""

from __future__ import annotations

import sys

import pytest

from benchmarks import bayesflow


def test_without_it_the_benchmark_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "bayesflow", None)
    with pytest.raises(SystemExit, match="pip install"):
        next(bayesflow.run([]))


def test_our_half_of_it_exports_and_works():
    pytest.importorskip("tensorflow")
    import argparse

    import numpy as np

    chosen = argparse.Namespace(features=4, steps=2, hidden=[8], solver_steps=2)
    x, condition = np.zeros((16, 4), np.float32), np.zeros((16, 1), np.float32)
    for kind in bayesflow._KINDS:
        parts = bayesflow._ours(kind, chosen)
        works = bayesflow._works(*parts, x, condition)
        assert np.isfinite(works["training step"]())
        assert works["draw"]().shape == (16, 4)
        assert bayesflow._exports(parts[2], 4) == "yes"
    assert bayesflow._exports(lambda condition: condition.numpy(), 4).startswith("no: ")
