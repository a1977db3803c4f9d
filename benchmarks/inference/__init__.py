"""`python -m benchmarks inference`: events per second of networks in C++ and in ONNX Runtime, one thread.

Without options: the dense networks, what ROOT's interpreter makes of them, and the score inside RDataFrame.
`--all`: all architectures of networks.py; `--networks NAME ...`: some of them; `--model FILE.onnx`: any
network. A table of all results follows on the error stream.

All candidates and the core's multiply-add peak are measured in turns, in slices of about a millisecond (or
of one batch), by the processor time of the thread, and the best slice of each counts: what else the machine
does falls on all of them, or on none. ONNX Runtime is called through its C interface with tensors made
beforehand, so that nothing of Python is in its time; its best batch is looked for among 1 to 1024, and it is
the one that we are compared with. Several threads are measured by the clock.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.inference import networks
from benchmarks.inference.candidates import BLOCK, SLICE, Candidate, Data, Driver, turns
from benchmarks.inference.operations import operations
from hepml_root.errors import UnsupportedOperationError
from hepml_root.inference.compile import CompiledModel, compile
from hepml_root.output import cache_folder

BATCHES = tuple(2**power for power in range(11))
EVENTS = 3072
MOST_NUMBERS = 4_000_000  # of the inputs of all events together
TRIED = 3  # batch sizes of ONNX Runtime that are in the turns, after a first look at all of them
DENSE = ("mlp", "mlp-300", "mlp-tanh", "mlp-300-tanh")


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the results, one network after the other."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks inference", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="all architectures")
    which.add_argument("--networks", nargs="+", choices=list(networks.NETWORKS), metavar="NAME",
                       help=f"some: {', '.join(networks.NETWORKS)}")  # fmt: skip
    which.add_argument("--model", type=Path, help="an ONNX file")
    parser.add_argument("--small", action="store_true", help="the small variants of the networks")
    parser.add_argument(
        "--rounds", type=int, default=300, help="turns of all candidates of a network, at most"
    )
    parser.add_argument("--seconds", type=float, default=20, help="time for these turns, at most")
    parser.add_argument("--threads", type=int, default=2, help="to compare one thread with; 1: do not")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep what is compiled in the cache; the time is then not measured",
    )
    parser.add_argument("--events", type=int, default=2_000_000, help="of the file that RDataFrame reads")
    options = parser.parse_args(arguments)
    cache = cache_folder()
    if options.model:
        files = {options.model.stem: options.model}
    else:
        names = options.networks or (list(networks.NETWORKS) if options.all else DENSE)
        files = {name: networks.file(name, cache, options.small) for name in names}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        if not options.keep:
            os.environ["HEPML_ROOT_CACHE"] = str(Path(folder) / "cache")
        driver = Driver(Path(folder))
        for name, path in files.items():
            row = measure(name, path, driver, options)
            rows.append(row)
            yield from row.lines()
            if not (options.all or options.networks or options.model):
                yield _interpreted(row, path)
        print("\n" + table(rows), file=sys.stderr)
        if not (options.all or options.networks or options.model):
            from benchmarks import inference_root

            yield from inference_root.run(files["mlp"], Path(folder), options.events)


@dataclass
class Row:
    """What is known of one network."""

    name: str
    about: str
    operations: int
    refused: str = ""
    compiling: float | None = None
    difference: float | None = None
    peak: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)
    batch: int = 0

    @property
    def share(self) -> float:
        """The part of the peak that the products alone would need."""
        return self.rates["block"] * self.operations / self.peak

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the results as lines of the benchmark."""
        if self.refused:
            reference = (
                f"ONNX Runtime, batches of {self.batch}: {self.rates.get('runtime best', 0):.0f} events/s"
            )
            yield result(f"{self.name}: refused by the C++ engine: {self.refused}", 0.0, "", reference, 0.0)
            return
        rates = self.rates
        yield result(f"{self.name}: multiply-add peak of the core", self.peak / 1e9, "GFLOP/s", "", 1.0)
        if self.operations:
            name = f"{self.name}: C++ in blocks, part of the peak ({self.operations / 1e3:.0f} kFLOP/event)"
            yield result(name, self.share, "of peak", "multiply-add peak", self.share)
        for ours, theirs, how in (
            ("block", "runtime best", f"batches of {self.batch}"),
            ("single", "runtime single", "one by one"),
        ):
            here = "in blocks" if ours == "block" else "one by one"
            if theirs in rates:
                yield result(
                    f"{self.name}: C++ {here}",
                    rates[ours],
                    "events/s",
                    f"ONNX Runtime, {how}: {rates[theirs]:.0f}",
                    rates[ours] / rates[theirs],
                )
            else:
                yield result(f"{self.name}: C++ {here}", rates[ours], "events/s", "", 1.0)
        if "threads" in rates:
            yield result(
                f"{self.name}: C++ in several threads",
                rates["threads"],
                "events/s",
                f"one thread, {rates['thread']:.0f}",
                rates["threads"] / rates["thread"],
            )
        if self.compiling is not None:
            seconds = self.compiling
            name = f"{self.name}: generating, compiling and checking"
            yield result(name, seconds, "s", "at most 20 s", seconds / 20)
        if self.difference is not None:
            yield result(
                f"{self.name}: largest difference to ONNX Runtime",
                self.difference,
                "of the output's scale",
                "1e-5",
                self.difference / 1e-5,
            )


def measure(name: str, path: Path, driver: Driver, options: argparse.Namespace) -> Row:
    """Measure one network."""
    model = onnx.load(str(path))
    network = networks.NETWORKS.get(name)
    row = Row(name, network.about if network else name, operations(model))
    data = events_for(model)
    try:
        start = time.perf_counter()
        compiled: CompiledModel | None = compile(path)
        row.compiling = None if options.keep else time.perf_counter() - start
    except UnsupportedOperationError as error:
        row.refused = str(error).split(":")[0]
        compiled = None

    peak = driver.peak()
    ours = _ours(driver, compiled, data) if compiled else {}
    try:
        runtime = driver.runtime(path, data, BATCHES)
    except RuntimeError as error:
        print(f"{name}: {error}", file=sys.stderr)
        runtime = {}
    turns(runtime.values(), options.seconds / 4, 5)
    best = sorted(runtime, key=lambda batch: -runtime[batch].rate)[:TRIED]
    kept = [runtime[batch] for batch in sorted({1, *best} & runtime.keys())]
    turns([peak, *ours.values(), *kept], options.seconds if compiled else 2, options.rounds)

    row.peak = peak.rate
    if compiled:
        row.rates["block"] = max(c.rate for key, c in ours.items() if key != "single")
        row.rates["single"] = ours["single"].rate
        row.difference = _difference(compiled, data, path)
        if options.threads > 1:
            _threads(driver, compiled, data, row, options.threads, row.rates["block"])
    if runtime:
        row.batch = max(runtime, key=lambda batch: runtime[batch].rate)
        row.rates["runtime best"] = runtime[row.batch].rate
        row.rates["runtime single"] = runtime[1].rate
    return row


def events_for(model: onnx.ModelProto) -> Data:
    """Return random events for a network, and room for its outputs."""
    shapes = [
        [d.dim_value for d in list(value.type.tensor_type.shape.dim)[1:]]
        for value in (*model.graph.input, *model.graph.output)
    ]
    numbers = sum(int(np.prod(shape)) for shape in shapes)
    events = int(np.clip(MOST_NUMBERS // max(numbers, 1), 64, EVENTS))
    inputs = networks.events(model, events)
    outputs = {
        value.name: np.zeros(
            (events, *(d.dim_value for d in list(value.type.tensor_type.shape.dim)[1:])),
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
        )
        for value in model.graph.output
    }
    return Data(inputs, outputs)


def _ours(driver: Driver, compiled: CompiledModel, data: Data) -> dict[str, Candidate]:
    function = compiled.function()
    first = driver.in_block(function, data, BLOCK)
    for _ in range(3):
        first.take()
    most = int(np.clip(first.rate * SLICE // BLOCK, 1, data.events // BLOCK)) * BLOCK
    single = driver.one_by_one(function, data, 1)
    for _ in range(3):
        single.take()
    few = int(np.clip(single.rate * SLICE / 4, 1, data.events))
    sizes = {BLOCK, max(most // 4 // BLOCK, 1) * BLOCK, most}
    return {
        **{f"block {events}": driver.in_block(function, data, events) for events in sorted(sizes)},
        "single": driver.one_by_one(function, data, few),
    }


def _threads(
    driver: Driver, compiled: CompiledModel, data: Data, row: Row, threads: int, rate: float
) -> None:
    """Compare threads with one: slices of some milliseconds, in turns."""
    function = compiled.function()
    events = min(data.events // BLOCK * BLOCK, 20 * BLOCK)
    repeats = max(1, int(0.004 * rate / events))
    one = driver.in_threads(function, data, events, 1, repeats)
    several = driver.in_threads(function, data, events, threads, repeats)
    turns([one, several], 4, 200)
    row.rates["thread"], row.rates["threads"] = one.rate, several.rate


def _difference(compiled: CompiledModel, data: Data, path: Path) -> float | None:
    """Return the largest difference to ONNX Runtime, of the scale of each output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base
        print(f"ONNX Runtime: {error}", file=sys.stderr)
        return None
    few = slice(0, min(data.events, 211))  # whole blocks, a narrow one, and a rest
    given, results = ([array[few].copy() for array in arrays] for arrays in data.floats)
    compiled.infer(given, results)
    right = session.run(list(data.outputs), {name: array[few] for name, array in data.inputs.items()})
    largest = 0.0
    for found, wanted in zip(results, right, strict=True):
        scale = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=1e-30))
        largest = max(largest, float(np.nanmax(np.abs(found - wanted), initial=0.0)) / scale)
    return largest


def _interpreted(row: Row, path: Path) -> dict[str, Any]:
    """Measure what ROOT's interpreter makes of the same header, and the compiled code in turns with it."""
    code = f"""
        import os, time, warnings, onnx
        warnings.simplefilter("ignore")
        from benchmarks.inference import events_for
        from hepml_root.inference.compile import compile_or_interpret
        from hepml_root.inference.interface import call
        compiled = compile_or_interpret({str(path)!r}).function()
        os.environ["CXX"] = "no-compiler"
        interpreted = compile_or_interpret({str(path)!r}).function()
        given, results = events_for(onnx.load({str(path)!r})).floats
        given, results = ([array[:960] for array in arrays] for arrays in (given, results))
        best = [1e9, 1e9]
        for turn in range(400):
            for which, function in enumerate((interpreted, compiled)):
                start = time.perf_counter()
                call(function, given, results)
                best[which] = min(best[which], time.perf_counter() - start)
        print("rates", 960 / best[0], 960 / best[1])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    rate, compiled = map(float, done.stdout.split("rates")[-1].split())
    name = f"{row.name}: C++ in blocks, by ROOT's interpreter"
    return result(name, rate, "events/s", f"compiled, in turns with it: {compiled:.0f}", rate / compiled)


def table(rows: list[Row]) -> str:
    """Return the results as a table in Markdown."""
    head = (
        "network", "kFLOP/event", "in blocks [1/s]", "of FMA peak", "ONNX Runtime, best batch", "ratio",
        "one by one [1/s]", "ONNX Runtime, 1", "ratio", "threads", "compiled in", "difference",
    )  # fmt: skip
    lines = [head, ("---",) * len(head)]
    for row in rows:
        rates = row.rates
        best, single = rates.get("runtime best", float("nan")), rates.get("runtime single", float("nan"))
        runtime = (f"{_short(best)} ({row.batch})", _short(single))
        if row.refused:
            cells = [f"refused: {row.refused}", "", runtime[0], "", "", runtime[1], "", "", "", ""]
            lines.append((row.about, f"{row.operations / 1e3:.0f}", *cells))
            continue
        lines.append(
            (
                row.about,
                f"{row.operations / 1e3:.0f}",
                _short(rates["block"]),
                f"{100 * row.share:.0f} %" if row.operations else "",
                runtime[0],
                f"{rates['block'] / best:.2f}",
                _short(rates["single"]),
                runtime[1],
                f"{rates['single'] / single:.1f}",
                f"{rates['threads'] / rates['thread']:.2f}" if "threads" in rates else "",
                f"{row.compiling:.1f} s" if row.compiling is not None else "",
                f"{row.difference:.1e}" if row.difference is not None else "",
            )
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _short(rate: float) -> str:
    """Return a rate with three digits.

    >>> _short(12_345_678.0), _short(9_876.0), _short(12.3)
    ('12.3 M', '9.88 k', '12.3')
    """
    for unit, name in ((1e6, " M"), (1e3, " k")):
        if rate >= unit:
            return f"{rate / unit:.3g}{name}"
    return f"{rate:.3g}"


def result(name: str, value: float, unit: str, reference: str, ratio: float) -> dict[str, Any]:
    """One line of output."""
    return {
        "name": name,
        "value": float(f"{value:.4g}") if abs(value) < 1 else round(value, 3),
        "unit": unit,
        "reference": reference,
        "ratio": round(ratio, 3),
    }
