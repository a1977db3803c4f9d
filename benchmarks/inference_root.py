"""Part of `python -m benchmarks inference`: the score of a network inside RDataFrame, and written by `apply`.

One thread, 28 float columns of an uncompressed TTree, the network 28-64-64-1. The loops are compiled, run in
turns, and the best of each counts.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import hepml_root as hr
from benchmarks.feed import COLUMNS, NAMES, event_files, reference_library, result, turns


def run(network: Path, folder: Path, events: int = 2_000_000, repeats: int = 5) -> Iterator[dict[str, Any]]:
    """Give the results for a network of 28 inputs.

    Arguments
    ---------
    network:
        Its .onnx file; it is given a manifest with the columns of the events.
    folder:
        Where the events are written, and the scores.
    events:
        Length of the file.
    repeats:
        Turns of all candidates.
    """
    import ROOT

    block = np.random.default_rng(1).normal(size=(65536, COLUMNS)).astype(np.float32)
    data = hr.Dataset.from_arrays(block[:256], np.arange(256) % 2, columns=NAMES)
    model = hr.export.adopt(network, folder / "network_of_events.onnx", data=data)
    path = event_files(reference_library(folder), folder, events)["uncompressed"]
    file, tree = path.rsplit(":", 1)
    loops = _loops(folder)
    frame = ROOT.RDataFrame(tree, file)
    compiled = hr.compile(model)
    nodes = {
        "read": ROOT.RDF.AsRNode(frame),
        "define": ROOT.RDF.AsRNode(hr.define(frame, model)),
        "one": ROOT.RDF.AsRNode(hr.define(frame, model, ahead=False)),
    }
    infer = ctypes.cast(compiled.function(), ctypes.c_void_p)
    session = hr.Session(model)

    def loop(function: str, node: str, *arguments: Any) -> int:
        getattr(loops, function)(ctypes.c_void_p(ROOT.addressof(nodes[node])), *arguments)
        return events

    def alone() -> int:
        for _ in range(events // len(block)):
            session.infer(block)
        return events // len(block) * len(block)

    def applied() -> int:
        return hr.apply(model, path, folder / "scores.root", threads=1, overwrite=True, verbose=False).events

    rates = turns(
        {
            "read": (lambda: loop("loop_read", "read"), repeats),
            "define": (lambda: loop("loop_score", "define"), repeats),
            "define and read": (lambda: loop("loop_read_and_score", "define"), repeats),
            "one": (lambda: loop("loop_score", "one"), repeats),
            "one and read": (lambda: loop("loop_read_and_score", "one"), repeats),
            "hand": (lambda: loop("loop_by_hand", "read", infer), repeats),
            "alone": (alone, repeats),
            "apply": (applied, repeats),
        },
        repeats,
        "cpu",
    )
    reading, by_event = "RDataFrame reading the 28 columns", "RDataFrame loop with the score, event by event"

    def line(name: str, rate: str, reference: str = "", to: str | None = None) -> dict[str, Any]:
        return result(name, rates[rate], "events/s", reference, rates[rate] / rates[to or rate])

    def cost(rate: str) -> float:
        return (1 / rates[rate] - 1 / rates["read"]) * rates["read"]

    yield line("RDataFrame: reading the 28 columns", "read")
    yield line("RDataFrame: the score by define", "define", reading, "read")
    yield line("RDataFrame: the score by define, and the 28 columns", "define and read", reading, "read")
    for name, rate in (("by define", "define and read"), ("by define, event by event", "one and read")):
        share = round(cost(rate), 3)
        yield {
            "name": f"RDataFrame: what the score {name} adds to reading",
            "value": share,
            "unit": "of the time of reading",
            "reference": reading,
            "ratio": share,
        }
    yield line("RDataFrame: the score by define, event by event", "one", reading, "read")
    yield line("RDataFrame: the score in a compiled Define by hand", "hand", reading, "read")
    yield line("C++ alone: the same network in blocks", "alone", by_event, "one")
    yield line("apply: the file's scores as a friend tree", "apply", by_event, "one")
    yield line("apply: the same", "apply", "RDataFrame loop with the score by define", "define")


def _loops(folder: Path) -> ctypes.CDLL:
    import ROOT

    source, library = Path(__file__).with_suffix(".cxx"), folder / "inference_root.so"
    libraries = str(ROOT.TROOT.GetSharedLibDir())
    command = [os.environ.get("CXX", "g++"), "-std=c++17", "-O3", "-march=native", "-w", "-fPIC", "-shared"]
    command += [str(source), "-o", str(library), f"-I{ROOT.TROOT.GetIncludeDir()}"]
    command += [
        f"-L{libraries}",
        f"-Wl,-rpath,{libraries}",
        "-lCore",
        "-lTree",
        "-lROOTDataFrame",
        "-lROOTVecOps",
    ]
    subprocess.run(command, check=True)
    loops = ctypes.CDLL(str(library))
    for name in ("loop_read", "loop_score", "loop_read_and_score", "loop_by_hand"):
        getattr(loops, name).restype = ctypes.c_double
    return loops
