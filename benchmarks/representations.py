"""`python -m benchmarks representations`: how fast the constituents of jets become what networks take.

Jets of 50 constituents on average, in any order, become 40×40 images, tensors of 64 constituents with 7
features, Lund planes and graphs: from arrays in memory, and from ROOT files with jagged branches through
`Dataset.from_root`. Side by side, in turns in one process and on one thread: the same with uproot, awkward
and numpy (benchmarks/plain_jets.py). Before the clock starts, both must give the same numbers.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from benchmarks import plain_jets
from benchmarks.feed import CLOCKS, result, turns

FORMATS = ("uncompressed", "lz4", "zlib")
COLUMNS = ("pt", "eta", "phi", "mass")
LENGTH, PIXELS, HALF_WIDTH, AVERAGE = 64, 40, 1.0, 50


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the results: jets/s of each representation and source."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks representations", description=__doc__)
    parser.add_argument("--jets", type=int, default=100_000, help="jets in memory and in each file")
    parser.add_argument("--repeats", type=int, default=5, help="turns; the slow versions take fewer")
    parser.add_argument(
        "--folder", type=Path, help="where the files are written and kept (default: temporary)"
    )
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: processor time, for a machine that is not idle"
    )
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    jets = simulated(options.jets)
    yield from _arrays(jets, options)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for form in FORMATS:
            yield from _files(jet_file(jets, folder, form), form, options)


def simulated(events: int) -> dict[str, ak.Array]:
    """Jets of the size of those of 600 GeV with R = 0.8, constituents in no order; all from one seed."""
    random = np.random.default_rng(1)
    counts = np.clip(random.poisson(random.gamma(12, AVERAGE / 12, events)), 1, 200)
    total = int(counts.sum())
    event = np.repeat(np.arange(events), counts)
    distance = np.minimum(random.exponential(0.2, total), 0.8)
    angle = random.uniform(-np.pi, np.pi, total)
    columns = {
        "pt": random.pareto(1.3, total) + 0.5,
        "eta": random.uniform(-2, 2, events)[event] + distance * np.cos(angle),
        "phi": plain_jets.wrapped(random.uniform(-np.pi, np.pi, events)[event] + distance * np.sin(angle)),
        "mass": random.choice([0.13957, 0.0, 0.93957], total, p=[0.6, 0.3, 0.1]),
    }
    return {name: ak.unflatten(values.astype(np.float32), counts) for name, values in columns.items()}


def jet_file(jets: dict[str, ak.Array], folder: Path, form: str) -> str:
    """Write the jets as a tree with jagged branches, as the samples of `hepml-root generate` have them."""
    import uproot

    path = folder / f"jets_{form}_{len(jets['pt'])}.root"
    compression = {"uncompressed": None, "lz4": uproot.LZ4(4), "zlib": uproot.ZLIB(1)}[form]
    if not path.exists():
        with uproot.recreate(path, compression=compression) as file:
            inner = ", ".join(f'"{name}": float32' for name in COLUMNS)
            tree = file.mktree("jets", {"constituent": f"var * {{{inner}}}", "jet_pt": "float32"})
            for start in range(0, len(jets["pt"]), 20_000):
                some = {name: values[start : start + 20_000] for name, values in jets.items()}
                tree.extend({"constituent": ak.zip(some), "jet_pt": ak.sum(some["pt"], axis=1)})
    return f"{path}:jets"


def representations(prefix: str) -> dict[str, Any]:
    """All that is measured, of columns whose names begin so."""
    import hepml_root.representations as hr
    from hepml_root.representations.constituents import STANDARD_FEATURES

    columns = {name: prefix + name for name in COLUMNS}
    return {
        "constituents": hr.constituents(**columns, features=STANDARD_FEATURES, max_length=LENGTH),
        "images": hr.image(**columns, pixels=PIXELS, half_width=HALF_WIDTH),
        "lund": hr.lund(**columns),
        "graph": hr.graph(**columns, max_length=LENGTH, neighbours=16),
    }


def _plain(kind: str, jets: dict[str, ak.Array]) -> Any:
    """A representation with awkward and numpy, two thousand jets after the other to stay in the caches."""
    from hepml_root.representations.constituents import STANDARD_FEATURES

    parts = []
    for start in range(0, len(jets["pt"]), 2000):
        some = {name: values[start : start + 2000] for name, values in jets.items()}
        if kind == "images":
            parts.append(plain_jets.images(some, PIXELS, HALF_WIDTH))
        else:
            parts.append(plain_jets.tensor(some, LENGTH, STANDARD_FEATURES))
    return np.concatenate(parts)


def _same(found: Any, expected: Any) -> None:
    """Raise if the two do not agree up to rounding, which may carry a few constituents into other pixels."""
    wrong = ~np.isclose(np.squeeze(found), expected, rtol=1e-4, atol=1e-5)
    if wrong.mean() > 1e-4:
        raise AssertionError(f"{wrong.mean():.2%} of the numbers differ from the plain version's")


def _arrays(jets: dict[str, ak.Array], options: Any) -> Iterator[dict[str, Any]]:
    made = representations("")
    few = {name: values[:5000] for name, values in jets.items()}
    readers: dict[str, tuple[Callable[[], Any], int]] = {}
    for kind, representation in made.items():
        first = next(iter(representation(few).values()))
        if kind in ("constituents", "images"):
            _same(first, _plain(kind, few))
            readers[f"{kind} plain"] = (lambda kind=kind: _plain(kind, jets), 2)
        readers[kind] = (lambda one=representation: _events(one(jets)), options.repeats)
    best = turns(readers, options.repeats, options.clock)
    yield from _compared("from arrays", made, best, "awkward and numpy")


def _files(path: str, form: str, options: Any) -> Iterator[dict[str, Any]]:
    import hepml_root as hr

    made = {
        kind: one
        for kind, one in representations("constituent_").items()
        if kind in ("constituents", "images")
    }

    def read(representation: Any) -> Any:
        return hr.Dataset.from_root(path, inputs=[representation], targets=["jet_pt"], threads=1)

    readers: dict[str, tuple[Callable[[], Any], int]] = {}
    for kind, one in made.items():
        blocks = read(one).X
        _same(next(iter(blocks.values())), _plain(kind, _uproot(path)))
        readers[kind] = (lambda one=one: _events(read(one).X), options.repeats)
        readers[f"{kind} plain"] = (lambda kind=kind: _plain(kind, _uproot(path)), 2)
    readers["reading"] = (lambda: _events(_uproot(path)), 2)
    best = turns(readers, options.repeats, options.clock)
    yield result(f"reading alone from {form} file: uproot", best["reading"], "jets/s", "itself", 1.0)
    yield from _compared(f"from {form} file", made, best, "uproot, awkward and numpy")


def _events(blocks: dict[str, Any]) -> int:
    return len(next(iter(blocks.values())))


def _uproot(path: str) -> dict[str, ak.Array]:
    import uproot

    with uproot.open(path) as tree:
        arrays = tree.arrays([f"constituent_{name}" for name in COLUMNS])
    return {name: arrays[f"constituent_{name}"] for name in COLUMNS}


def _compared(
    source: str, made: dict[str, Any], best: dict[str, float], reference: str
) -> Iterator[dict[str, Any]]:
    for kind in made:
        if f"{kind} plain" in best:
            plain = best[f"{kind} plain"]
            yield result(f"{kind} {source}: {reference}", plain, "jets/s", "itself", 1.0)
            yield result(f"{kind} {source}", best[kind], "jets/s", reference, best[kind] / plain)
        else:
            yield result(f"{kind} {source}", best[kind], "jets/s", "itself", 1.0)
