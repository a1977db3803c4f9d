"""Jets a second on one core: the exported networks in ONNX Runtime and in the C++ engine, in one run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.top_tagging.entries import Entry
from hepml_root.output import writing

FILE = "rates.json"
_JETS = 4096
_BATCH = 256
_REPEATS = 5


def measure(entries: Sequence[Entry], samples: dict[str, str], folder: Path) -> Iterator[dict[str, Any]]:
    """Time the networks of seed 1 in ``folder``, write `rates.json` into it, and give a line for each."""
    import hepml_root as hr

    jets: dict[Any, Any] = {}
    found: dict[str, dict[str, float]] = {}
    for entry in entries:
        path = folder / f"{entry.name}_1.onnx"
        if not path.exists():
            continue
        if entry.inputs not in jets:
            jets[entry.inputs] = hr.Dataset.from_root(
                samples, entry.inputs(), signal="top", max_events=_JETS // 2
            ).X
        found[entry.name] = rates = _rates(path, jets[entry.inputs])
        yield {
            "name": f"top tagging: {entry.title}",
            "value": round(rates["cpp"]),
            "unit": "jets/s in C++",
            "reference": f"ONNX Runtime {rates['onnxruntime']:.0f}",
            "ratio": round(rates["cpp"] / rates["onnxruntime"], 3),
        }
    with writing(folder / FILE, overwrite=True) as path:
        path.write_text(json.dumps(found, indent=1))


def _rates(path: Path, X: dict[str, Any]) -> dict[str, float]:
    import onnxruntime

    import hepml_root as hr

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in session.get_inputs()]
    some = {name: np.ascontiguousarray(X[name][:_JETS], dtype=np.float32) for name in names}
    jets = len(some[names[0]])
    compiled = hr.Session(path, engine="cpp")

    def onnx_runtime() -> None:
        for first in range(0, jets, _BATCH):
            session.run(None, {name: array[first : first + _BATCH] for name, array in some.items()})

    seconds: dict[str, float] = {}
    ways: dict[str, Callable[[], Any]] = {"onnxruntime": onnx_runtime, "cpp": lambda: compiled.infer(some)}
    # In turns, the first of which warms up; processor time does not count what other programs take.
    for turn in range(_REPEATS + 1):
        for name, work in ways.items():
            began = time.process_time()
            work()
            taken = time.process_time() - began
            if turn:
                seconds[name] = min(taken, seconds.get(name, taken))
    return {name: jets / taken for name, taken in seconds.items()}
