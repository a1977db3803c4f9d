"""Top tagging: every architecture of the zoo on the same jets with the same budget, and the table of it.

`python -m benchmarks top_tagging` generates 100 000 top and 100 000 QCD jets (cached), trains each network
with each seed in a process of its own, `--jobs` at a time, and writes the table, the ROC plot and the page.
What is done is kept in `--output`; a second call does what is missing. `--fast` is a small run of a few
networks on the jets of the tests, to see that all of it works.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.top_tagging.entries import ENTRIES

_ROOT = Path(__file__).resolve().parents[2]
_FAST = ("boosted", "dense", "pfn")


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give one result for each training and the table's numbers; the options are in `--help`."""
    names = [entry.name for entry in ENTRIES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks top_tagging", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names, default=None, help="some of the networks")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each network (5)")
    parser.add_argument("--budget", type=float, default=600.0, help="core seconds of each training (600)")
    parser.add_argument("--events", type=int, default=100_000, help="jets of each class (100 000)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="trainings at a time (all cores)"
    )
    parser.add_argument("--top", help="FILE.root:TREE of top jets, in place of generated ones")
    parser.add_argument("--qcd", help="FILE.root:TREE of QCD jets, in place of generated ones")
    parser.add_argument("--output", type=Path, default=Path("runs/top_tagging"), help="folder of the results")
    parser.add_argument("--page", type=Path, help="also write the page with the table here (Markdown)")
    parser.add_argument(
        "--rates", action="store_true", help="also time the networks of seed 1, in ONNX Runtime and in C++"
    )
    parser.add_argument("--fast", action="store_true", help="three networks, a few hundred jets, seconds")
    parser.add_argument("--train", nargs=2, metavar=("NAME", "SEED"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.fast:
        chosen.only, chosen.seeds, chosen.budget = chosen.only or _FAST, min(chosen.seeds, 2), 1.0
    if chosen.train:
        yield from _train_here(chosen)
        return

    from benchmarks.top_tagging import rates, table

    chosen.output.mkdir(parents=True, exist_ok=True)
    samples = _samples(chosen)
    wanted = [entry for entry in ENTRIES if chosen.only is None or entry.name in chosen.only]
    # Seed after seed, so that whatever is finished when it is stopped is a complete comparison.
    left = [
        (entry.name, seed)
        for seed in range(1, chosen.seeds + 1)
        for entry in wanted
        if not (chosen.output / f"{entry.name}_{seed}.json").exists()
    ]
    yield from _train_all(left, chosen, samples)
    if chosen.rates:
        yield from rates.measure(wanted, samples, chosen.output)
    yield from table.write(chosen.output, [entry.name for entry in wanted], chosen.page)


def _samples(chosen: argparse.Namespace) -> dict[str, str]:
    """Return FILE:TREE of both classes: as given, or made (once)."""
    if chosen.top and chosen.qcd:
        return {"top": _absolute(chosen.top), "qcd": _absolute(chosen.qcd)}
    import hepml_root as hr

    few = 400 if chosen.fast else chosen.events
    return {name: f"{hr.simulation.sample(f'{name}-jets', few, seed=1)}:jets" for name in ("top", "qcd")}


def _absolute(source: str) -> str:
    file, _, tree = source.rpartition(":")
    return f"{Path(file).resolve()}:{tree}"


def _train_here(chosen: argparse.Namespace) -> Iterator[dict[str, Any]]:
    from benchmarks.top_tagging.training import train

    name, seed = chosen.train
    entry = next(entry for entry in ENTRIES if entry.name == name)
    samples = {"top": chosen.top, "qcd": chosen.qcd}
    train(entry, int(seed), chosen.budget, samples, chosen.events, chosen.output)
    yield json.loads((chosen.output / f"{name}_{seed}.json").read_text())


def _train_all(
    left: list[tuple[str, int]], chosen: argparse.Namespace, samples: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Run the trainings in processes with one thread each; give a line for each that ends."""
    environment = os.environ | dict.fromkeys(
        ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
    )
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}
    left = list(left)
    try:
        while left or running:
            while left and len(running) < chosen.jobs:
                name, seed = left.pop(0)
                command = [sys.executable, "-m", "benchmarks", "top_tagging", "--train", name, str(seed)]
                command += ["--budget", str(chosen.budget), "--events", str(chosen.events)]
                command += ["--output", str(chosen.output.resolve())]
                command += [word for key, where in samples.items() for word in (f"--{key}", where)]
                log = (chosen.output / f"{name}_{seed}.log").open("wb")
                running[name, seed] = subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=_ROOT
                )
            time.sleep(0.2)
            for key in [key for key, process in running.items() if process.poll() is not None]:
                yield _ended(key, running.pop(key).returncode, chosen.output)
    finally:
        for process in running.values():
            process.terminate()


def _ended(key: tuple[str, int], code: int, output: Path) -> dict[str, Any]:
    name, seed = key
    if code:
        log = (output / f"{name}_{seed}.log").read_text(errors="replace")
        raise RuntimeError(f"the training of {name} with seed {seed} failed:\n{log[-3000:]}")
    result = json.loads((output / f"{name}_{seed}.json").read_text())
    return {
        "name": f"{result['title']}, seed {seed}",
        "value": round(max(result["val_auc"]), 5) if "val_auc" in result else None,
        "unit": "validation AUC",
        "reference": f"{result.get('epochs', result.get('trees'))} epochs or trees",
        "ratio": None,
    }
