"""`python -m benchmarks feed`: how fast ROOT files become arrays, and how much memory that takes.

All readers run side by side in one process, in turns, and the best of the repeats counts, so that what else
the machine does falls on all of them. Memory is measured in processes of their own.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = 28
FORMATS = ("zlib", "uncompressed", "rntuple")
NAMES = tuple(f"x{i}" for i in range(COLUMNS))
DEFINE, FILTER = "x0 * x1 + x2", "x3 > 0.5f"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
_STREAM_FILES = 8


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the results: events/s of each reader and format, and bytes of memory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks feed", description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000, help="events in each file")
    parser.add_argument("--repeats", type=int, default=5, help="turns; the slow readers take fewer")
    parser.add_argument(
        "--folder", type=Path, help="where the files are written and kept (default: temporary)"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of the feed in the speed runs")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: processor time, for a machine that is not idle"
    )
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        reference = reference_library(Path(temporary))
        files = event_files(reference, folder, options.events)
        for form in FORMATS:
            yield from _speeds(reference, files[form], form, options)
        yield from _selected(files["zlib"], options)
        for form in FORMATS:
            yield _memory(files[form], form)
        yield from _streaming(files["zlib"])


def result(name: str, value: float, unit: str, reference: str, ratio: float) -> dict[str, Any]:
    """One line of output."""
    return {
        "name": name,
        "value": round(value, 1),
        "unit": unit,
        "reference": reference,
        "ratio": round(ratio, 3),
    }


def turns(readers: dict[str, tuple[Callable[[], Any], int]], repeats: int, clock: str) -> dict[str, float]:
    """Run the readers in turns, each a given number of times. Give the best events/s of each.

    A reader returns the events that it read, or their number.
    """
    best = dict.fromkeys(readers, 0.0)
    for turn in range(repeats):
        for name, (reader, most) in readers.items():
            if turn < most:
                start = CLOCKS[clock]()
                events = reader()
                seconds = CLOCKS[clock]() - start  # what was read is freed after the clock has stopped
                best[name] = max(best[name], (events if isinstance(events, int) else len(events)) / seconds)
                del events
    return best


def _speeds(reference: ctypes.CDLL, path: str, form: str, options: Any) -> Iterator[dict[str, Any]]:
    from hepml_root.data.feed import Request, read
    from hepml_root.data.rdataframe import Frame

    def feed() -> Any:
        return read([(Frame.open(path), Request(matrix=NAMES))], threads=options.threads)[0]

    def bulk() -> int:
        function = reference.read_ntuple if form == "rntuple" else reference.read_tree
        function.restype = ctypes.c_long
        return int(function(path.partition(":")[0].encode(), COLUMNS))

    readers = {
        "feed": (feed, options.repeats),
        "ROOT bulk read": (bulk, options.repeats),
        "uproot": (lambda: _uproot(path), 2),
        "AsNumpy": (lambda: _as_numpy(path), 1),
        "RDataLoader.as_tensorflow": (lambda: _data_loader(path), 1),
    }
    best = turns(readers, options.repeats, options.clock)
    for name, value in best.items():
        if name != "feed":
            yield result(f"feed {form}: {name}", value, "events/s", "itself", 1.0)
    for name, value in best.items():
        if name != "feed":
            yield result(f"feed {form}", best["feed"], "events/s", name, best["feed"] / value)


def _selected(path: str, options: Any) -> Iterator[dict[str, Any]]:
    """One Define and one Filter: in the expressions of a request, and in a data frame that is given."""
    import ROOT

    from hepml_root.data.feed import Request, read
    from hepml_root.data.rdataframe import Frame

    file, _, tree = path.partition(":")
    columns = [*NAMES, "y"]

    def node() -> Any:
        return ROOT.RDataFrame(tree, file).Define("y", DEFINE).Filter(FILTER)

    def expressions() -> int:
        read([(Frame.open(path), Request(matrix=(*NAMES, DEFINE), cut=FILTER))], threads=options.threads)
        return options.events

    def frame() -> int:
        read([(Frame.open(node()), Request(matrix=tuple(columns)))])
        return options.events

    def as_numpy() -> int:
        arrays = node().AsNumpy(columns)
        np.column_stack([arrays[name] for name in columns])
        return options.events

    readers = {"expressions": (expressions, 3), "data frame": (frame, 2), "AsNumpy": (as_numpy, 2)}
    best = turns(readers, 3, options.clock)
    yield result("feed zlib Define+Filter: AsNumpy", best["AsNumpy"], "events/s", "itself", 1.0)
    for name in ("expressions", "data frame"):
        ratio = best[name] / best["AsNumpy"]
        yield result(f"feed zlib Define+Filter, {name}", best[name], "events/s", "AsNumpy", ratio)


def _uproot(path: str) -> Any:
    import uproot

    with uproot.open(path) as tree:
        arrays = tree.arrays(list(NAMES), library="np")
    return np.column_stack([arrays[name] for name in NAMES])


def _as_numpy(path: str) -> Any:
    import ROOT

    file, _, tree = path.partition(":")
    arrays = ROOT.RDataFrame(tree, file).AsNumpy(list(NAMES))
    return np.column_stack([arrays[name] for name in NAMES])


def _data_loader(path: str) -> int:
    import ROOT

    file, _, tree = path.partition(":")
    frame = ROOT.RDataFrame(tree, file)
    loader = ROOT.Experimental.ML.RDataLoader(frame, batch_size=1024, columns=list(NAMES), shuffle=False)
    return sum(int(batch.shape[0]) for batch in loader.as_tensorflow())


# What a process of its own does: prints the bytes that its memory grew by, and those of the array.
_MEMORY = """
import resource, sys
import hepml_root.data.feed as feed
from hepml_root.data.rdataframe import Frame
names = tuple(f"x{{i}}" for i in range({columns}))
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
frame = Frame.open({paths!r})
next(feed.blocks(frame, feed.Request(matrix=names), block_events=1000))
before = peak()
{body}
print(peak() - before, size, peak())
"""


def _child(paths: Any, body: str, program: str = _MEMORY) -> list[int]:
    code = program.format(columns=COLUMNS, paths=paths, body=body)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()[-3:]]


def _memory(path: str, form: str) -> dict[str, Any]:
    body = "rows, _ = feed.read([(frame, feed.Request(matrix=names))])\nsize = rows.matrix.nbytes"
    grown, size, _ = _child(path, body)
    return result(f"feed {form}: peak memory of read", grown, "bytes", "array", grown / size)


# Goes through all batches of a lazy dataset, and prints the peak before and after, and the bytes that came.
_STREAM = """
import hepml_root as hr
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
import ROOT
before = (ROOT.gInterpreter.Calc("1"), peak())[1]
names = [f"x{{i}}" for i in range({columns})]
data = hr.Dataset.from_root({paths!r}, names[1:], targets=names[:1], lazy=True)
size = 0
for X, target, weight in data.stream(batch_size=1024):
    size += X["features"].nbytes + target.nbytes
print(before, size, peak())
"""


def _streaming(path: str) -> Iterator[dict[str, Any]]:
    """Memory of a process that goes through a long chain batch by batch; ROOT alone takes most of it."""
    before, size, peak = _child([path] * _STREAM_FILES, "", _STREAM)
    yield result("feed zlib: memory of stream, whole process", peak, "bytes", "data", peak / size)
    yield result(
        "feed zlib: memory of stream, beyond ROOT", peak - before, "bytes", "data", (peak - before) / size
    )


def reference_library(folder: Path) -> ctypes.CDLL:
    import ROOT

    library = folder / "feed_reference.so"
    command = [os.environ.get("CXX", "g++"), "-std=c++17", "-O3", "-march=native", "-fPIC", "-shared"]
    command += [str(Path(__file__).with_suffix("").parent / "feed_reference.cxx"), "-o", str(library)]
    command += [f"-I{ROOT.TROOT.GetIncludeDir()}"]
    subprocess.run(command, check=True)
    for name in ("libRIO", "libTree", "libROOTNTuple"):
        ROOT.gSystem.Load(name)
    return ctypes.CDLL(str(library))


def event_files(reference: ctypes.CDLL, folder: Path, events: int) -> dict[str, str]:
    """Write the events in each format: momenta, angles, masses, and a few discrete columns."""
    paths = {form: folder / f"feed_{form}_{events}.root" for form in FORMATS}
    if not all(path.exists() for path in paths.values()):
        random = np.random.default_rng(1)
        columns = []
        for i in range(COLUMNS):
            kind = i % 4
            if kind == 0:
                values = random.exponential(1.0, events)
            elif kind == 1:
                values = random.normal(0.0, 1.0, events)
            elif kind == 2:
                values = random.uniform(-np.pi, np.pi, events)
            else:
                values = random.lognormal(0.0, 0.5, events)
            if i in (8, 12, 16, 20):
                values = random.choice([0.0, 1.0866, 2.1731], events)
            columns.append(values.astype(np.float32))
        pointers = (ctypes.c_void_p * COLUMNS)(*[column.ctypes.data for column in columns])
        for form, path in paths.items():
            arguments: list[Any] = [str(path).encode(), pointers, ctypes.c_long(events), COLUMNS]
            if form == "rntuple":
                reference.write_ntuple(*arguments)
            else:
                reference.write_tree(*arguments, 101 if form == "zlib" else 0)
    return {form: f"{path}:events" for form, path in paths.items()}
