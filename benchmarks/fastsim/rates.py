"""Showers per second of one core: the source, and a generator in Keras, in ONNX Runtime and in compiled C++.

All four take turns, so that what else the machine does falls on all of them; the fastest turn of each counts,
by the processor time of the whole process, which has one thread. The particles are those of the test.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fastsim.sample import Parts, energies_like
from benchmarks.showers import GEANT4_RATES
from hepml_root.simulation import simulate_showers

#: Geant4's photons of 50 GeV, showers/s: see benchmarks/showers.py.
GEANT4_ENERGY = 50.0
GEANT4_RATE = GEANT4_RATES[GEANT4_ENERGY]
_BLOCKS = (64, 256, 1024)
_SECONDS, _TURNS = 25.0, 12


def measure(network: Path, file: Path, data: Parts, fast: bool = False) -> dict[str, Any]:
    """Return ``{"source": …, "keras": …, "onnxruntime": …, "cpp": …}`` in showers/s, and the sizes of blocks.

    Arguments
    ---------
    network, file
        The generator as ``.keras`` and as ``.onnx``.
    data
        Where the particles are taken from.
    fast
        One turn of few showers.
    """
    blocks = _BLOCKS[:1] if fast else _BLOCKS
    conditions = {size: energies_like(data.test, size) for size in blocks}
    few = conditions[blocks[0] if fast else 256]
    energy = few[:, list(data.test.labels).index("energy")].astype(float)
    works: dict[str, tuple[int, Callable[[], object]]] = {
        "source": (len(few), lambda: simulate_showers(data.test.geometry, energy, seed=1))
    }
    makers = {"keras": _keras(network), "onnxruntime": _runtime(file), "cpp": _compiled(file)}
    for name, make in makers.items():
        for size, particles in conditions.items():
            works[f"{name} {size}"] = size, lambda make=make, particles=particles: make(particles)
    best = _turns({name: work for name, (_, work) in works.items()}, 1 if fast else _TURNS, _SECONDS)
    found: dict[str, Any] = {"source": len(few) / best["source"], "block": {}}
    for name in makers:
        rates = {size: size / best[f"{name} {size}"] for size in blocks}
        size = max(rates, key=lambda block: rates[block])
        found[name], found["block"][name] = rates[size], size
    return found


def _turns(works: dict[str, Callable[[], object]], turns: int, seconds: float) -> dict[str, float]:
    """Return the processor seconds of the fastest call of each, after one that does not count."""
    best = dict.fromkeys(works, float("inf"))
    for work in works.values():
        work()
    end = time.perf_counter() + seconds
    for _ in range(turns):
        for name, work in works.items():
            began = time.process_time()
            work()
            best[name] = min(best[name], max(time.process_time() - began, 1e-6))
        if time.perf_counter() > end:
            break
    return best


def _keras(path: Path) -> Callable[[Any], object]:
    import hepml_root as hr

    sampler = hr.load_model(path).sampler()
    return lambda particles: sampler.predict_on_batch({"conditions": particles})


def _runtime(path: Path) -> Callable[[Any], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (name,) = (entry.name for entry in session.get_inputs())
    return lambda particles: session.run(None, {name: np.ascontiguousarray(particles, np.float32)})


def _compiled(path: Path) -> Callable[[Any], object]:
    from hepml_root.inference.session import Session

    session = Session(path, engine="cpp")
    return lambda particles: session.infer(particles, seed=1)
