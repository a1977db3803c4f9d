"""From the trainings to the table, the ROC plot with its bands, and the page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.result_page import put_table
from benchmarks.top_tagging.rates import FILE
from hepml_root.evaluation.estimate import Estimate
from hepml_root.evaluation.plot_scores import plot_rejection
from hepml_root.evaluation.plot_style import rendered
from hepml_root.evaluation.roc import Roc, roc_curve
from hepml_root.output import writing

_POINTS = (0.3, 0.5)


@dataclass(frozen=True)
class Row:
    """What the trainings of one network gave: the mean over its seeds, the spread, the bootstrap error."""

    result: dict[str, Any]
    seeds: int
    numbers: dict[str, Estimate]
    spread: dict[str, float]
    roc: Roc

    @property
    def title(self) -> str:
        return str(self.result["title"])


def rows(folder: Path, names: Sequence[str]) -> list[Row]:
    """Return a row for each network of which trainings are in the folder, best AUC first."""
    found = []
    stored = folder / FILE
    rates = json.loads(stored.read_text()) if stored.exists() else {}
    for name in names:
        files = sorted(path for path in folder.glob(f"{name}_[0-9]*.json"))
        if files:
            results = [json.loads(path.read_text()) for path in files]
            found.append(_row([result | {"rates": rates.get(name, {})} for result in results], folder))
    return sorted(found, key=lambda row: -row.numbers["auc"].value)


def _row(results: list[dict[str, Any]], folder: Path) -> Row:
    curves, accuracies = [], []
    for result in results:
        with np.load(folder / f"{result['name']}_{result['seed']}.npz") as stored:
            curves.append(roc_curve(stored["scores"], stored["labels"], working_points=_POINTS))
        accuracies.append(result["accuracy"])
    jets = results[0]["jets"]["test"]
    values: dict[str, list[Estimate]] = {"auc": [curve.auc for curve in curves]}
    for position, point in enumerate(_POINTS):
        values[f"rejection_{point}"] = [
            curve.working_points[position].background_rejection for curve in curves
        ]
    values["accuracy"] = [
        Estimate(a, a - np.sqrt(a * (1 - a) / jets), a + np.sqrt(a * (1 - a) / jets)) for a in accuracies
    ]
    spread = {key: _spread([e.value for e in several]) for key, several in values.items()}
    return Row(
        result=results[0]
        | {
            key: float(np.mean([result[key] for result in results]))
            for key in ("seconds", "epochs")
            if key in results[0]
        },
        seeds=len(results),
        numbers={key: _mean(several) for key, several in values.items()},
        spread=spread,
        roc=_mean_curve(curves),
    )


def _spread(values: Sequence[float]) -> float:
    """Standard deviation; NaN for a single training, and where no background jet passed."""
    usable = len(values) > 1 and bool(np.isfinite(values).all())
    return float(np.std(values, ddof=1)) if usable else float("nan")


def _mean(estimates: list[Estimate]) -> Estimate:
    """The mean over seeds, with the mean bootstrap interval: all are measured on the same test jets."""
    return Estimate(
        float(np.mean([e.value for e in estimates])),
        float(np.mean([e.low for e in estimates])),
        float(np.mean([e.high for e in estimates])),
    )


def _mean_curve(curves: list[Roc]) -> Roc:
    """The mean curve over seeds; its band adds bootstrap error and spread of the seeds in quadrature."""
    efficiency = np.array([curve.background_efficiency for curve in curves])
    mean = efficiency.mean(axis=0)
    spread = efficiency.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros_like(mean)
    low = mean - np.mean([curve.low for curve in curves], axis=0)
    high = np.mean([curve.high for curve in curves], axis=0) - mean
    return replace(
        curves[0],
        background_efficiency=mean,
        low=np.maximum(mean - np.hypot(low, spread), 0.0),
        high=mean + np.hypot(high, spread),
    )


def markdown(table: Sequence[Row]) -> str:
    """The table: mean over seeds ± bootstrap error of the test jets ± spread over seeds."""
    lines = [
        "| network | seeds | AUC | accuracy | 1/ε_B at ε_S = 0.5 | 1/ε_B at ε_S = 0.3 | parameters "
        "| FLOPs per jet | epochs | training, core s | ONNX Runtime, jets/s | C++, jets/s |",
        "|---|---:|---|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in table:
        result = row.result
        rates = result["rates"]
        cells = [
            row.title,
            str(row.seeds),
            _cell(row, "auc", 4),
            _cell(row, "accuracy", 3),
            _cell(row, "rejection_0.5", 0),
            _cell(row, "rejection_0.3", 0),
            _large(result.get("parameters")),
            _large(result.get("flops")),
            f"{result['epochs']:.0f}" if "epochs" in result else f"{result['trees']} trees",
            f"{result['seconds']:.0f}",
            _large(rates.get("onnxruntime")),
            _large(rates.get("cpp")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: Row, key: str, digits: int) -> str:
    estimate, spread = row.numbers[key], row.spread[key]
    if not np.isfinite(estimate.value):  # no background jet passed
        return f"> {estimate.low:.{digits}f}"
    text = f"{estimate.value:.{digits}f} ± {estimate.error:.{digits}f}"
    return text if np.isnan(spread) else f"{text} ± {spread:.{digits}f}"


def _large(number: float | None) -> str:
    if number is None:
        return "—"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.3g}"


def write(folder: Path, names: Sequence[str], page: Path | None) -> Iterator[dict[str, Any]]:
    """Write `table.md`, `roc.svg` and `roc.png` into the folder, and give the table's numbers."""
    table = rows(folder, names)
    text = markdown(table)
    with writing(folder / "table.md", overwrite=True) as path:
        path.write_text(text + "\n")
    figure = plot_rejection({row.title: row.roc for row in table}, title="Top tagging")
    pictures = {form: rendered(figure, form) for form in ("png", "svg")}
    for form, picture in pictures.items():
        with writing(folder / f"roc.{form}", overwrite=True) as path:
            path.write_bytes(picture)
    if page is not None:
        put_table(page, text, "Top tagging")
    for row in table:
        estimate = row.numbers["auc"]
        yield {
            "name": f"top tagging: {row.title}",
            "value": round(estimate.value, 5),
            "unit": "AUC",
            "reference": f"bootstrap {estimate.error:.5f}, spread over {row.seeds} {row.spread['auc']:.5f}",
            "ratio": round(estimate.value / table[0].numbers["auc"].value, 5),
        }
