"""`python -m benchmarks inference`: events per second of dense networks, ours and ONNX Runtime's, one thread.

All candidates and the core's multiply-add peak are measured in turns, in slices of about a millisecond, and
the best slice of each counts: what else the machine does falls on all of them. ONNX Runtime is called through
its C interface with tensors made beforehand, so that nothing of Python is in its time.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import math
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks import inference_root
from hepml_root.inference.compile import CompiledModel, compile
from hepml_root.inference.compiler import FLAGS, find_compiler

FEATURES = 28
NETWORKS: dict[str, tuple[tuple[int, ...], str]] = {
    "28-64-64-1 relu": ((64, 64), "Relu"),
    "28-300x5-1 relu": ((300,) * 5, "Relu"),
    "28-64-64-1 tanh": ((64, 64), "Tanh"),
    "28-300x5-1 tanh": ((300,) * 5, "Tanh"),
}
BATCHES = (16, 64, 128, 256, 512, 1024)  # of ONNX Runtime, to find its best
EVENTS = 3072  # inputs, of which each slice takes what fits
SLICE = 1.5e-3  # seconds

Slice = Callable[[], float]


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the results, one network after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks inference", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="turns of all candidates of a network")
    parser.add_argument("--networks", nargs="*", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument(
        "--events", type=int, default=2_000_000, help="events of the file that RDataFrame reads"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["HEPML_ROOT_CACHE"] = str(folder / "cache")  # so that compiling is measured, too
        driver = _driver(folder)
        for network in options.networks:
            yield from _network(network, folder, driver, options.rounds)
        yield from inference_root.run(
            write_network(folder / "events.onnx", (64, 64), "Relu"), folder, options.events
        )


def write_network(path: Path, hidden: tuple[int, ...], activation: str) -> Path:
    """Write a dense network of 28 standardised inputs and one sigmoid output as ONNX."""
    r = np.random.default_rng(1)
    weights = [("mean", r.normal(size=FEATURES)), ("scale", r.uniform(0.5, 2, FEATURES))]
    nodes = [helper.make_node("Sub", ["features", "mean"], ["centred"])]
    nodes.append(helper.make_node("Mul", ["centred", "scale"], ["value0"]))
    sizes = (FEATURES, *hidden, 1)
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        last = i == len(hidden)
        weights.append((f"kernel{i}", r.normal(size=(inputs, outputs)) * math.sqrt(2 / inputs)))
        weights.append((f"bias{i}", r.normal(size=outputs) * 0.3))
        nodes.append(helper.make_node("Gemm", [f"value{i}", f"kernel{i}", f"bias{i}"], [f"sum{i}"]))
        to = "score" if last else f"value{i + 1}"
        nodes.append(helper.make_node("Sigmoid" if last else activation, [f"sum{i}"], [to]))
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["events", FEATURES])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["events", 1])],
        [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in weights],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def operations(hidden: tuple[int, ...]) -> int:
    """Return the floating-point operations of the products of one event."""
    sizes = (FEATURES, *hidden, 1)
    return sum(2 * a * b for a, b in itertools.pairwise(sizes))


def _driver(folder: Path) -> ctypes.CDLL:
    library = folder / "driver.so"
    source = Path(__file__).with_name("inference_driver.cxx")
    find_compiler().run([*FLAGS, "-fvisibility=default", str(source), "-o", str(library)], folder)
    driver = ctypes.CDLL(str(library))
    for name in ("operations", "peak", "in_block", "one_by_one", "runtime_run"):
        getattr(driver, name).restype = ctypes.c_double
    driver.runtime_open.restype = ctypes.c_void_p
    return driver


@dataclass
class Candidate:
    """Something that is timed: ``work`` events or operations per slice."""

    slice: Slice
    work: float
    best: float = math.inf

    def take(self) -> None:
        """Run twice: the first time brings the weights back into the cache from which others drove them."""
        for _ in range(2):
            seconds = self.slice()
            if seconds <= 0:
                raise RuntimeError("ONNX Runtime failed in a benchmark.")
            self.best = min(self.best, seconds)

    @property
    def rate(self) -> float:
        return self.work / self.best


@dataclass
class Data:
    """Inputs and room for outputs, and their addresses."""

    x: np.ndarray
    y: np.ndarray

    @property
    def pointers(self) -> tuple[ctypes.c_void_p, ctypes.c_void_p]:
        return ctypes.c_void_p(self.x.ctypes.data), ctypes.c_void_p(self.y.ctypes.data)


def _peak(driver: ctypes.CDLL) -> Candidate:
    steps = 8000
    sink = np.zeros(1, np.float32)
    return Candidate(
        lambda: driver.peak(ctypes.c_size_t(steps), ctypes.c_float(0.999), ctypes.c_void_p(sink.ctypes.data)),
        driver.operations(ctypes.c_size_t(steps)),
    )


def _ours(driver: ctypes.CDLL, compiled: CompiledModel, data: Data, guess: float) -> dict[str, Candidate]:
    function = compiled.function()
    x, y = data.pointers
    block = _events(guess)
    single = max(16, block // 4)
    size = ctypes.c_size_t
    return {
        "block": Candidate(lambda: driver.in_block(function, x, size(block), y), block),
        "single": Candidate(lambda: driver.one_by_one(function, x, size(FEATURES), size(single), y), single),
    }


def _events(rate: float) -> int:
    """Return how many events a slice takes at about ``rate`` events/s; a multiple of 48, our block."""
    return int(min(max(rate * SLICE // 48, 1) * 48, EVENTS // 48 * 48))


def _runtime(driver: ctypes.CDLL, path: Path, data: Data, batch: int, guess: float) -> Candidate:
    events = min(EVENTS, max(batch, int(guess * SLICE) // batch * batch))
    library = next(Path(_onnxruntime_folder()).glob("capi/libonnxruntime.so*"), None) or next(
        Path(_onnxruntime_folder()).glob("capi/onnxruntime_pybind11_state*.so")
    )
    base = ctypes.CDLL(str(library)).OrtGetApiBase
    base.restype = ctypes.c_void_p
    x, y = data.pointers
    size = ctypes.c_size_t
    names = (b"features", b"score")  # kept alive by the closure below
    opened = driver.runtime_open(
        ctypes.c_void_p(base()), str(path).encode(), *names, x, size(FEATURES), size(events), size(batch), y
    )
    if not opened:
        raise RuntimeError("ONNX Runtime's C interface does not open the model.")
    return Candidate(lambda: driver.runtime_run(ctypes.c_void_p(opened)) if names else -1.0, events)


def _onnxruntime_folder() -> str:
    import onnxruntime

    return os.path.dirname(onnxruntime.__file__)


def _network(name: str, folder: Path, driver: ctypes.CDLL, rounds: int) -> Iterator[dict[str, Any]]:
    hidden, activation = NETWORKS[name]
    path = write_network(folder / f"{name.replace(' ', '_')}.onnx", hidden, activation)
    start = time.perf_counter()
    compiled = compile(path)
    seconds = time.perf_counter() - start
    random = np.random.default_rng(2)
    data = Data(random.normal(size=(EVENTS, FEATURES)).astype(np.float32), np.empty(EVENTS, np.float32))
    guess = 1e11 / operations(hidden)
    peak = _peak(driver)
    ours = _ours(driver, compiled, data, guess)
    single = _runtime(driver, path, data, 1, 2e5 if len(hidden) < 3 else 3e4)
    blocks = {batch: _runtime(driver, path, data, batch, guess / 2) for batch in BATCHES}
    for _ in range(rounds):
        for candidate in (peak, *ours.values(), single, *blocks.values()):
            candidate.take()

    best = max(blocks, key=lambda batch: blocks[batch].rate)
    share = ours["block"].rate * operations(hidden) / peak.rate
    yield result(f"{name}: multiply-add peak of the core", peak.rate / 1e9, "GFLOP/s", "", 1.0)
    yield result(f"{name}: C++ in blocks, part of the peak", share, "of peak", "multiply-add peak", share)
    yield result(
        f"{name}: C++ in blocks",
        ours["block"].rate,
        "events/s",
        f"ONNX Runtime, batches of {best}: {blocks[best].rate:.0f}",
        ours["block"].rate / blocks[best].rate,
    )
    yield result(
        f"{name}: C++ one by one",
        ours["single"].rate,
        "events/s",
        f"ONNX Runtime, one by one: {single.rate:.0f}",
        ours["single"].rate / single.rate,
    )
    yield result(f"{name}: generating, compiling and checking", seconds, "s", "at most 10 s", seconds / 10)
    interpreted = _interpreted(path)
    yield result(
        f"{name}: C++ in blocks, by ROOT's interpreter",
        interpreted,
        "events/s",
        f"compiled: {ours['block'].rate:.0f}",
        interpreted / ours["block"].rate,
    )


def _interpreted(path: Path) -> float:
    """Return the rate of what ROOT's interpreter makes of the same header, in a process of its own."""
    code = f"""
        import time, warnings, numpy as np
        warnings.simplefilter("ignore")
        from hepml_root.inference.compile import compile_or_interpret
        from hepml_root.inference.interface import call
        function = compile_or_interpret({str(path)!r}).function()
        x = np.random.default_rng(2).normal(size=(960, {FEATURES})).astype(np.float32)
        y = np.empty((960, 1), np.float32)
        best = 1e9
        for _ in range(200):
            start = time.perf_counter()
            call(function, [x], [y])
            best = min(best, time.perf_counter() - start)
        print("rate", 960 / best)
    """
    environment = {**os.environ, "CXX": "no-compiler"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split("rate")[-1])


def result(name: str, value: float, unit: str, reference: str, ratio: float) -> dict[str, Any]:
    """One line of output."""
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "reference": reference,
        "ratio": round(ratio, 3),
    }
