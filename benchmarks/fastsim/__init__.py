"""Generators of calorimeter showers: all on the same showers, with the same time to learn.

Each is trained for so many minutes of one core, exported, and held against showers of the source that it has
not seen, of the energies that it was trained on and of some that were left out. Then its rate is measured in
turns with that of the source. Beside the generators stand the source itself (what a perfect generator would
have), showers with all cells shuffled among showers of like energy, and the mean shower.

What is finished is kept in `--folder`; a second call does what is missing. `--page` writes the page.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# One thread, before TensorFlow is imported: that is what the rates are of.
for _variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.fastsim import plan, rates, results, sample  # noqa: E402
from benchmarks.fastsim.entries import GENERATORS  # noqa: E402
from benchmarks.fastsim.training import Study  # noqa: E402
from hepml_root.output import writing  # noqa: E402

_SAMPLE = Path("runs/samples/photon_showers_lar-3.root")


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the rows as they end, then the figures of the table; the options are in `--help`."""
    chosen = _parser().parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    path = chosen.sample
    if chosen.fast and path == _SAMPLE:
        path = chosen.folder / "showers.root"
        if not path.exists():
            sample.small(path)
    if not path.exists():
        raise SystemExit(f"no showers: {path}. `make benchmark-fastsim` generates them, or see --sample.")
    study = Study(path, chosen.folder, chosen.minutes, chosen.showers, chosen.fast)
    rows = plan.wanted(chosen.generators)
    plan.refuse_others(rows, study, sample.identity(path))
    for name, seconds in plan.make(rows, study, chosen.jobs or (1 if chosen.fast else 2)):
        yield _line(f"fastsim, {name}: all of it", round(seconds, 1), "s", None, None)
    _measure_rates(rows, study)
    found = results.read(rows, study)
    for row in found.rows:
        yield from row.lines()
    if chosen.page is not None:
        from benchmarks.fastsim import page

        page.write(chosen.page, found)


def _measure_rates(rows: list[str], study: Study) -> None:
    """Measure the rates that are not there yet, with nothing else of ours running."""
    judged = [name for name in rows if name in GENERATORS and GENERATORS[name].sampled]
    left = [name for name in judged if not study.file(name, "_rates.json").exists()]
    if not left:
        return
    data = study.parts()
    for name in left:
        found = rates.measure(study.file(name, ".keras"), study.file(name, ".onnx"), data, study.fast)
        with writing(study.file(name, "_rates.json"), overwrite=True) as temporary:
            temporary.write_text(json.dumps(found, indent=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks fastsim", description=__doc__)
    parser.add_argument("--sample", type=Path, default=_SAMPLE, help=f"ROOT file of showers ({_SAMPLE})")
    parser.add_argument("--showers", type=int, help="take the first so many of them only")
    parser.add_argument(
        "--generators", nargs="+", choices=[*GENERATORS], default=[*GENERATORS], help="some of them"
    )
    parser.add_argument(
        "--minutes", type=float, default=7.0, help="of one core for the training of each generator (7)"
    )
    parser.add_argument("--jobs", type=int, help="rows at a time, with one thread each (2)")
    parser.add_argument("--folder", type=Path, default=Path("runs/fastsim"), help="where results are kept")
    parser.add_argument("--page", type=Path, help="Markdown file whose tables are written anew")
    parser.add_argument(
        "--fast", action="store_true", help="few showers in a small calorimeter, tiny networks: seconds"
    )
    return parser


def _line(name: str, value: float, unit: str, reference: str | None, ratio: float | None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "reference": reference, "ratio": ratio}
