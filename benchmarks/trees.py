"""`python -m benchmarks trees`: events per second of boosted trees in C++ and in LightGBM itself, one thread.

850 trees of 31 leaves with 28 inputs, float32. LightGBM's single events go through its fastest interface,
`LGBM_BoosterPredictForMatSingleRowFast`, and for comparison through `Booster.predict`. All are measured in
turns, and the best of each counts.
"""

from __future__ import annotations

import argparse
import ctypes
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from benchmarks.inference.candidates import Candidate, turns
from hepml_root.export.trees import emit_boosted
from hepml_root.inference.compile import compile

FEATURES, TREES, LEAVES = 28, 850, 31
BLOCK, SINGLE = 960, 100  # events of a slice


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Train, export, compile, compare, and give the rates."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks trees", description=__doc__)
    parser.add_argument("--trees", type=int, default=TREES)
    parser.add_argument("--seconds", type=float, default=20, help="time for the turns, at most")
    options = parser.parse_args(arguments)
    booster = train(options.trees)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trees.onnx"
        block = {"name": "features", "kind": "flat", "shape": [FEATURES]}
        onnx.save(emit_boosted(booster, [block], "score", "trees"), path)
        x = toy_events(BLOCK, seed=2)[0]
        compiled = compile(path)
        y = np.empty((BLOCK, 1), np.float32)
        compiled.infer([x], [y])
        difference = float(np.abs(y[:, 0] - booster.predict(x)).max())
        candidates = {**_ours(compiled, x, y), **_theirs(booster, x), **_runtime(path, x)}
        turns(candidates.values(), options.seconds, 1000)
    rates = {name: candidate.rate for name, candidate in candidates.items()}
    name = f"LightGBM, {options.trees} trees of {LEAVES} leaves"
    yield _line(f"{name}: largest difference", difference, "", "LightGBM", difference)
    for ours, theirs in (
        ("C++ in blocks", "LightGBM in blocks"),
        ("C++ in blocks", "ONNX Runtime in blocks"),
        ("C++ one by one", "LightGBM one by one"),
        ("C++ one by one", "LightGBM's Booster.predict one by one"),
        ("C++ one by one", "ONNX Runtime one by one"),
    ):
        reference = f"{theirs}: {rates[theirs]:.0f}"
        yield _line(f"{name}: {ours}", rates[ours], "events/s", reference, rates[ours] / rates[theirs])


def toy_events(events: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 inputs (events, 28) and labels that depend on some of them and on pairs."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(events, FEATURES)).astype(np.float32)
    signal = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + np.abs(x[:, 25]) - x[:, 5] ** 2 + x[:, 10]
    return x, signal + random.normal(size=events) > 0


def train(trees: int) -> Any:
    """Return a LightGBM booster with so many trees, trained on one thread."""
    import lightgbm

    x, y = toy_events(20_000, seed=1)
    settings = {"objective": "binary", "num_leaves": LEAVES, "learning_rate": 0.03, "feature_fraction": 0.7}
    settings |= {"verbosity": -1, "num_threads": 1, "seed": 1}
    return lightgbm.train(settings, lightgbm.Dataset(x, y), trees)


def _timed(work: Callable[[], object], events: int) -> Candidate:
    def slice() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return Candidate(slice, events)


def _ours(compiled: Any, x: np.ndarray, y: np.ndarray) -> dict[str, Candidate]:
    function = compiled.function()
    rows = [[(ctypes.c_void_p * 1)(array[i:].ctypes.data) for array in (x, y)] for i in range(SINGLE)]

    def one_by_one() -> None:
        for given, to in rows:
            function(given, 1, to)

    return {
        "C++ in blocks": _timed(lambda: function(rows[0][0], BLOCK, rows[0][1]), BLOCK),
        "C++ one by one": _timed(one_by_one, SINGLE),
    }


def _theirs(booster: Any, x: np.ndarray) -> dict[str, Candidate]:
    import lightgbm

    library, prepared = lightgbm.basic._LIB, ctypes.c_void_p()
    probability, all_trees, float32 = 0, -1, 0
    failed = library.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle,
        probability,
        0,
        all_trees,
        float32,
        FEATURES,
        b"num_threads=1",
        ctypes.byref(prepared),
    )
    if failed:
        raise RuntimeError("LightGBM's interface for single rows does not open the model.")
    rows = [ctypes.c_void_p(x[i:].ctypes.data) for i in range(SINGLE)]
    length, score = ctypes.c_int64(), ctypes.c_double()

    def one_by_one() -> None:
        for row in rows:
            library.LGBM_BoosterPredictForMatSingleRowFast(
                prepared, row, ctypes.byref(length), ctypes.byref(score)
            )

    def predict() -> None:
        for i in range(10):
            booster.predict(x[i : i + 1], num_threads=1)

    return {
        "LightGBM in blocks": _timed(lambda: booster.predict(x, num_threads=1), BLOCK),
        "LightGBM one by one": _timed(one_by_one, SINGLE),
        "LightGBM's Booster.predict one by one": _timed(predict, 10),
    }


def _runtime(path: Path, x: np.ndarray) -> dict[str, Candidate]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def one_by_one() -> None:
        for i in range(10):
            session.run(None, {"features": x[i : i + 1]})

    return {
        "ONNX Runtime in blocks": _timed(lambda: session.run(None, {"features": x}), BLOCK),
        "ONNX Runtime one by one": _timed(one_by_one, 10),
    }


def _line(name: str, value: float, unit: str, reference: str, ratio: float) -> dict[str, Any]:
    rounded = {"value": float(f"{value:.5g}"), "ratio": float(f"{ratio:.4g}")}
    return {"name": name, "unit": unit, "reference": reference, **rounded}
