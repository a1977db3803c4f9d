"""`python -m benchmarks showers`: the shower source, its physics at 10 GeV against Geant4, its files.

Rates are of processor time on one core, the best of some repetitions. Those of Geant4, and its hits,
resolution and mean layer, were measured with geant4-pybind 0.1.3 in 30 layers of 30 × 30 cells of tungsten
and silicon; Geant4 and its data do not run here.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hepml_root.data.geometry import geometry, geometry_names
from hepml_root.data.showers import Showers
from hepml_root.simulation import showers, simulate_showers

# Photons in the silicon-tungsten prototype: showers/s of Geant4 at these energies [GeV].
GEANT4_RATES = {1.0: 161.0, 5.0: 41.0, 10.0: 19.0, 50.0: 4.0}
PROTOTYPE = "si-w-30"
RANGE = (10.0, 100.0)


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give rates, then physics, then files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks showers", description=__doc__)
    parser.add_argument("--showers", type=int, default=1024, help="for each rate (1024)")
    parser.add_argument("--physics", type=int, default=5000, help="for the physics at 10 GeV (5000)")
    parser.add_argument("--repeats", type=int, default=3, help="of each rate (3)")
    parser.add_argument("--geometry", nargs="+", default=geometry_names(), metavar="NAME")
    options = parser.parse_args(arguments)
    for name in options.geometry:
        yield from _rates(name, options.showers, options.repeats)
        yield from _files(name, options.showers, options.repeats)
    if PROTOTYPE in options.geometry:
        yield from _against_geant4(options.showers, options.repeats)
        yield from _physics(options.physics)


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """Processor time of the fastest of some calls."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return max(min(times), 1e-6)


def _rates(name: str, events: int, repeats: int) -> Iterator[dict[str, Any]]:
    for particle in ("photon", "electron"):
        rate = events / _seconds(
            lambda one=particle: showers(name, events, energy=RANGE, particle=one), repeats
        )
        yield _line(
            f"source, {name}, {particle}s of 10 to 100 GeV", rate, "showers/s a core", "1000", rate / 1e3
        )


def _files(name: str, events: int, repeats: int) -> Iterator[dict[str, Any]]:
    made = showers(name, events, energy=RANGE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "showers.root"
        writing = events / _seconds(lambda: made.write(path, overwrite=True), repeats)
        reading = events / _seconds(lambda: Showers.from_root(path), repeats)
        size = path.stat().st_size / events
    dense = made.energies.nbytes / events
    yield _line(f"file, {name}, writing", writing, "showers/s a core", "1000", writing / 1e3)
    yield _line(f"file, {name}, reading to all cells", reading, "showers/s a core", "1000", reading / 1e3)
    yield _line(f"file, {name}, size", size, "bytes a shower", f"all cells: {dense:.0f}", size / dense)


def _against_geant4(events: int, repeats: int) -> Iterator[dict[str, Any]]:
    for energy, theirs in GEANT4_RATES.items():
        rate = events / _seconds(lambda at=energy: simulate_showers(PROTOTYPE, np.full(events, at)), repeats)
        reference = f"Geant4: {theirs:g}"
        yield _line(f"source, photons of {energy:g} GeV", rate, "showers/s a core", reference, rate / theirs)


def _physics(events: int) -> Iterator[dict[str, Any]]:
    parts = [
        simulate_showers(PROTOTYPE, np.full(500, 10.0), seed=1 + seed) for seed in range(-(-events // 500))
    ]
    hits = np.concatenate([(part.energies > 0).sum(axis=1) for part in parts])
    total = np.concatenate([part.total_energies() for part in parts]).astype(float)
    layers = np.concatenate([part.layer_energies() for part in parts]).astype(float).sum(axis=0)
    for name, value, theirs in (
        ("mean number of hits", hits.mean(), 220.0),
        ("spread of the number of hits", hits.std(), 22.0),
        ("resolution, times root of the energy", total.std() / total.mean() * 10**0.5, 0.171),
        ("mean layer", layers @ np.arange(len(layers)) / layers.sum(), 12.3),
    ):
        yield _line(f"photons of 10 GeV, {name}", value, "", f"Geant4: {theirs:g}", value / theirs)
    for energy in (10.0, 30.0, 100.0):
        made = simulate_showers(geometry(PROTOTYPE), np.full(500, energy))
        share = float(made.total_energies().mean()) / energy
        yield _line(f"photons of {energy:g} GeV, response", share, "", "1", share)


def _line(name: str, value: float, unit: str, reference: str, ratio: float) -> dict[str, Any]:
    rounded = {"value": float(f"{value:.4g}"), "ratio": float(f"{ratio:.3g}")}
    return {"name": name, "unit": unit, "reference": reference, **rounded}
