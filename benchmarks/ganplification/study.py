"""The study: errors of samples, fits and generators, amplification factors, the page and the picture."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ganplification.fits import draw_from_fit
from benchmarks.ganplification.generator import Ensemble, Settings
from benchmarks.ganplification.targets import TARGETS, Target, expected_error, quantile_error
from benchmarks.result_page import put_table
from hepml_root.output import writing

for _variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

TITLE = "GANplification"
#: Training points (the first size of each is that of the picture), cells of each coordinate, and the network.
PLAN: dict[str, tuple[tuple[int, ...], tuple[int, ...], Settings]] = {
    "camel-back": ((100, 50), (10, 20, 50), Settings(latent=1, steps=4000)),
    "shell": ((500, 100), (2, 3, 4), Settings(latent=5, units=64, batch=256, real=256, steps=1000)),
}
FAST: dict[str, tuple[tuple[int, ...], tuple[int, ...], Settings]] = {
    "camel-back": ((50,), (10, 20), Settings(latent=1, units=8, batch=32, steps=60)),
    "shell": ((100,), (2, 3), Settings(latent=5, units=16, batch=64, steps=60)),
}
_MULTIPLES = (1, 3, 10, 30, 100, 300, 1000)
_MOST = 200_000  # generated points, at most


def run(arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the amplification factors one by one; the options are in `--help`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks ganplification", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=20, help="training samples of each size (20)")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (1)")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/ganplification"), help="where results are kept"
    )
    parser.add_argument("--page", type=Path, help="Markdown file whose table is written anew")
    parser.add_argument("--picture", type=Path, help="file of the picture, as the figures of the paper")
    parser.add_argument("--fast", action="store_true", help="a few steps with small networks: seconds")
    chosen = parser.parse_args(arguments)
    chosen.folder.mkdir(parents=True, exist_ok=True)
    studies = []
    plan = FAST if chosen.fast else PLAN
    longest = max(len(sizes) for sizes, _, _ in plan.values())
    for place in range(longest):  # the first size of every target before the second
        for name, (sizes, cells, settings) in plan.items():
            if place >= len(sizes):
                continue
            size = sizes[place]
            path = (
                chosen.folder
                / f"{name}_{size}_{chosen.repetitions}_{chosen.seed}{'_fast' * chosen.fast}.json"
            )
            if not path.exists():
                found = study(
                    TARGETS[name], size, cells, settings, chosen.repetitions, chosen.seed, fast=chosen.fast
                )
                with writing(path) as temporary:
                    temporary.write_text(json.dumps(found, indent=1))
            studies.append(json.loads(path.read_text()))
    if chosen.picture is not None:
        from benchmarks.ganplification.picture import write_picture

        write_picture(studies, chosen.picture)
    if chosen.page is not None:
        put_table(chosen.page, table(studies), TITLE)
    for found in studies:
        for row in found["rows"]:
            value = amplification(row, "generator")[0]
            yield {
                "name": f"{found['title']}, {found['points']} points, {row['cells']} cells",
                "value": round(value, 3),
                "unit": "points of the truth with the generator's error, over training points",
                "reference": "the fit of the right function",
                "ratio": round(value / amplification(row, "fit")[0], 3),
            }


def study(
    target: Target, points: int, cells: tuple[int, ...], settings: Settings, repetitions: int, seed: int, *,
    fast: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return the quantile errors of sample, fit and generator for every repetition.

    ``rows`` has one entry for each number of cells, with the errors (repetitions,) and, for the generator, at
    several numbers of generated points.
    """
    begin = time.process_time()
    numbers = np.random.default_rng((seed, points, target.dimensions))
    samples = np.stack([target.draw(points, numbers) for _ in range(repetitions)])
    ensemble = Ensemble(samples, settings, seed)
    ensemble.train()
    seconds = time.process_time() - begin
    multiples = [multiple for multiple in _MULTIPLES if points * multiple <= (1000 if fast else _MOST)]
    most = points * multiples[-1]
    levels = {
        "sample": [target.levels(sample) for sample in samples],
        "fit": [target.levels(draw_from_fit(target, sample, most, numbers)) for sample in samples],
        "generator": [target.levels(made) for made in ensemble.draw(most, seed + 1)],
    }
    rows = []
    for number in cells:
        errors = {name: [quantile_error(one, number) for one in several] for name, several in levels.items()}
        curve = [
            [quantile_error(one[: points * multiple], number) for one in levels["generator"]]
            for multiple in multiples
        ]
        total = number**target.dimensions
        rows.append({"cells": total, "expected": expected_error(total, points), **errors, "curve": curve})
    return {
        "name": target.name, "title": target.title, "points": points, "repetitions": repetitions, "seed":
        seed, "settings": vars(settings), "multiples": multiples, "seconds": seconds, "rows": rows,
    }  # fmt: skip


def amplification(row: dict[str, Any], what: str, replicas: int = 1000) -> tuple[float, float]:
    """Return the amplification factor and its error: the expected error of a sample over the mean of
    ``what``.

    It is the size of a sample of the truth that has the same mean error, over that of the training sample.
    The error is that of the mean over the repetitions, from bootstrap replicas of them.
    """
    return ratio(row["expected"], row[what], replicas)


def ratio(expected: float, errors: list[float], replicas: int = 1000) -> tuple[float, float]:
    """Return ``expected`` over the mean of ``errors``, and its bootstrap error."""
    values: NDArray[np.float64] = np.asarray(errors)
    chosen = np.random.default_rng(1).integers(0, len(values), (replicas, len(values)))
    return expected / float(values.mean()), float(np.std(expected / values[chosen].mean(axis=1)))


def table(studies: list[dict[str, Any]]) -> str:
    """Return the tables of all targets as Markdown."""
    parts = []
    for name in dict.fromkeys(found["name"] for found in studies):
        members = sorted((f for f in studies if f["name"] == name), key=lambda found: found["points"])
        seconds = sum(found["seconds"] for found in members)
        parts.append(
            f"**{members[0]['title']}**: {members[0]['repetitions']} repetitions of each; training of all "
            f"generators "
            f"{seconds:.0f} s of one core\n"
        )
        parts.append(
            "| training points N | cells | sample of N | fit | generator, M = N | M = 10 N | M ≫ N | M / N "
            "|\n"
            "|---:|---:|---:|---:|---:|---:|---:|---:|"
        )
        for found in members:
            at = [found["multiples"].index(multiple) for multiple in (1, 10)]
            for row in found["rows"]:
                values = [ratio(row["expected"], row[key]) for key in ("sample", "fit")]
                values += [ratio(row["expected"], row["curve"][place]) for place in at]
                values.append(amplification(row, "generator"))
                cells = " | ".join(f"{value:.2f} ± {error:.2f}" for value, error in values)
                parts.append(f"| {found['points']} | {row['cells']} | {cells} | {found['multiples'][-1]} |")
        parts.append("")
    return "\n".join(parts)
