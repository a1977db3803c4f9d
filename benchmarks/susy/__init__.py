"""Which loss finds stops? Cross entropy, s/√(s+b) and the Asimov significance on one lepton and jets.

The search of arXiv:1806.00322 on events of our own (`hepml-root generate stop-900-100`, `stop-600-400`,
`ttbar-1l`): each loss, for a background uncertainty of 10, 30 and 50 %, for a signal with a large and one
with a small difference of masses, for a small and a deep network, with several seeds. The cut is chosen on
validation events; s, b and Z_A are those of test events. Three studies go with it: how many background
events are enough, what the batch size does, and where the gradients are small.

Each training is kept in `--folder` as one JSON file; a second call does what is missing. `--page` writes the
page with its pictures, `--export` counts the cut of one network in RDataFrame and in compiled C++.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# One thread, before TensorFlow is imported: that is what networks of this size need.
for _variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.susy import plan  # noqa: E402
from benchmarks.susy.samples import NAMES, SIGNALS, YIELDS, Samples  # noqa: E402
from benchmarks.susy.training import NETWORKS, SETTINGS, Settings, recipe  # noqa: E402
from hepml_root.output import writing  # noqa: E402

_STATE = "study.json"


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the trainings as they end, then the rows of the table; the options are in `--help`."""
    chosen = _parser().parse_args(arguments)
    if chosen.fast:
        chosen.seeds = min(chosen.seeds, 2)
    jobs = chosen.jobs or (1 if chosen.fast else 2)
    samples = Samples(chosen.samples, dict(chosen.cross_section), chosen.luminosity)
    if chosen.formulas is not None:
        from benchmarks.susy import formulas

        yield from formulas.write(chosen.formulas)
        return
    _check(samples)
    settings = {name: _faster(one) for name, one in SETTINGS.items()} if chosen.fast else SETTINGS
    chosen.folder.mkdir(parents=True, exist_ok=True)
    _same_study(chosen.folder, samples, settings)
    table = plan.cases(chosen.signals, chosen.networks, chosen.yields)
    sizes = plan.BATCH_SIZES[:2] if chosen.fast else plan.BATCH_SIZES
    wanted = plan.trainings(table, chosen.seeds, chosen.studies, sizes)
    for training, seconds in plan.make(wanted, samples, settings, chosen.folder, jobs):
        yield {
            "name": f"susy training {training.name}",
            "value": round(seconds, 2),
            "unit": "s",
            "reference": None,
            "ratio": None,
        }
    from benchmarks.susy import page

    found = page.Results.read(table, chosen.signals, samples, chosen.folder, chosen.seeds, sizes, settings)
    for rows in found.table:
        yield from (row.line(rows[0]) for row in rows)
    for rows in found.background:
        yield from (row.line(rows[0]) for row in rows)
    found.write(chosen.folder)
    if chosen.export:
        from benchmarks.susy import counts

        found.counted = counts.count(found, samples, chosen.folder)
        yield from (one.line() for one in found.counted)
    if chosen.page is not None:
        page.write(chosen.page, found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks susy", description=__doc__)
    parser.add_argument(
        "--samples", type=Path, default=Path("runs/samples/susy"), help="folder with NAME.root of each sample"
    )
    parser.add_argument(
        "--signals", nargs="+", choices=[*SIGNALS], default=[*SIGNALS], help="some of the signals"
    )
    parser.add_argument(
        "--networks", nargs="+", choices=[*NETWORKS], default=[*NETWORKS], help="some of the networks"
    )
    parser.add_argument(
        "--yields", nargs="+", choices=YIELDS, default=[*YIELDS],
        help="expected events: of the samples, or those of the talk (both)",
    )  # fmt: skip
    parser.add_argument(
        "--cross-section", action="append", type=_cross_section, default=[], metavar="NAME=FB",
        help=f"another cross section of {', '.join(NAMES)}",
    )  # fmt: skip
    parser.add_argument("--luminosity", type=float, help="in 1/fb (that of the samples, 30)")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each kind (5)")
    parser.add_argument(
        "--studies", nargs="*", choices=plan.STUDIES, default=[*plan.STUDIES], help="some of the studies"
    )
    parser.add_argument("--jobs", type=int, help="trainings at a time, with one thread each (2)")
    parser.add_argument("--folder", type=Path, default=Path("runs/susy"), help="where trainings are kept")
    parser.add_argument("--page", type=Path, help="Markdown file whose tables are written anew")
    parser.add_argument(
        "--export", action="store_true", help="also count the cut of one network in RDataFrame and in C++"
    )
    parser.add_argument(
        "--formulas", type=Path, metavar="FOLDER", help="only draw the pictures that need no events, there"
    )
    parser.add_argument("--fast", action="store_true", help="few epochs, two seeds: to see that it works")
    return parser


def _cross_section(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}': NAME=FB, as stop-900-100=17.6") from None


def _check(samples: Samples) -> None:
    missing = samples.missing()
    if missing:
        files = ", ".join(str(path) for path in missing)
        raise SystemExit(f"no samples: {files}. `make benchmark-susy` generates them, or see --samples.")


def _faster(settings: Settings) -> Settings:
    return replace(settings, epochs=4, pretraining=min(settings.pretraining, 2))


def _same_study(folder: Path, samples: Samples, settings: dict[str, Settings]) -> None:
    """Note what the trainings in a folder are made of; refuse to add others to them."""
    state: dict[str, Any] = {
        "samples": {name: _identity(samples.made(name)) for name in NAMES},
        "expected": {name: {kind: samples.expected(name, kind) for kind in YIELDS} for name in NAMES},
        **recipe(settings),
    }
    state = json.loads(json.dumps(state))
    path = folder / _STATE
    if not path.exists():
        with writing(path) as temporary:
            temporary.write_text(json.dumps(state, indent=1))
        return
    kept = json.loads(path.read_text())
    different = [key for key in state if kept.get(key) != state[key]]
    if different:
        raise SystemExit(
            f"'{folder}' has trainings with other {' and '.join(different)}. Name another --folder, "
            "or remove this one."
        )


def _identity(made: dict[str, Any]) -> dict[str, Any]:
    keys: Sequence[str] = ("events", "seed", "generated", "options", "pythia", "expected_events", "versions")
    return {key: made.get(key) for key in keys}
