"""`python -m benchmarks tmva_reader`: events per second of TMVA weight files in C++, one thread.

hepml_root::Reader beside plain loops over the same weights, as TMVA's Reader has them: trees of nodes that
point to their daughters, neurons that add up synapse by synapse, a sum. 28 inputs: a BDT with 850 trees of
depth 3, an MLP with a hidden layer of 33 neurons, Fisher. `EvaluateMVA` takes one event from the addresses of
its variables, `Evaluate` a block. All are measured in turns, and the best of each counts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.tmva_reader.files import VARIABLES, write_files
from benchmarks.trees import toy_events
from hepml_root.inference.compiler import find_compiler

EVENTS = 4096
TREES = 850
_INCLUDE = Path(__file__).resolve().parents[2] / "hepml_root" / "include"
_FLAGS = ("-std=c++17", "-O2", "-march=native")


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Write the weight files, compile the loops, compare, and give the rates."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks tmva_reader", description=__doc__)
    parser.add_argument("--trees", type=int, default=TREES)
    parser.add_argument("--bdt", help="a weight file of a BDT with 28 variables, in place of our own")
    parser.add_argument("--seconds", type=float, default=10, help="time for each method, at most")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        methods = write_files(folder, options.trees, options.bdt)
        toy_events(EVENTS, seed=2)[0].tofile(folder / "events")
        driver = folder / "driver"
        source = Path(__file__).with_name("driver.cxx")
        find_compiler().run([*_FLAGS, f"-I{_INCLUDE}", str(source), "-o", str(driver), "-ldl"], folder)
        for method, (file, what) in methods.items():
            done = subprocess.run(
                [str(driver), method, str(file), str(folder), str(options.seconds), str(VARIABLES)],
                capture_output=True, text=True, check=False,
                env=os.environ | {"HEPML_ROOT_PYTHON": sys.executable},
            )  # fmt: skip
            if done.returncode:
                raise RuntimeError(done.stderr)
            difference, plain, single, block = map(float, done.stdout.split())
            yield _line(f"{what}: largest difference", difference, "", "plain loop", difference)
            yield _line(
                f"{what}: EvaluateMVA", single, "events/s", f"plain loop: {plain:.0f}", single / plain
            )
            yield _line(f"{what}: Evaluate", block, "events/s", f"plain loop: {plain:.0f}", block / plain)


def _line(name: str, value: float, unit: str, reference: str, ratio: float) -> dict[str, Any]:
    rounded = {"value": float(f"{value:.5g}"), "ratio": float(f"{ratio:.4g}")}
    return {"name": name, "unit": unit, "reference": reference, **rounded}
