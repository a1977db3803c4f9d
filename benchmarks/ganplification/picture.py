"""The picture: quantile error against the number of generated points, as in the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hepml_root.evaluation.plot_style import COLOURS, axis_labels, header, new_figure, rendered, styled
from hepml_root.output import writing


@styled
def write_picture(studies: list[dict[str, Any]], path: Path) -> None:
    """Draw one panel for each target (the first of its training sizes), and write a PNG, SVG or PDF file."""
    chosen: dict[str, dict[str, Any]] = {}
    for found in studies:
        chosen.setdefault(found["name"], found)
    figure = new_figure(6.4 * len(chosen), 5.4, wspace=0.05)
    for position, found in enumerate(chosen.values()):
        axes = figure.add_subplot(1, len(chosen), position + 1)
        made = found["points"] * np.array(found["multiples"])
        for colour, row in zip(COLOURS, found["rows"], strict=False):
            curve = np.sqrt(np.array(row["curve"])) * row["cells"]
            mean, error = curve.mean(axis=1), curve.std(axis=1) / np.sqrt(curve.shape[1])
            axes.plot(
                made, mean, "-o", color=colour, label=f"{row['cells']} cells: generator", markersize=3.5
            )
            axes.fill_between(made, mean - error, mean + error, color=colour, alpha=0.3, linewidth=0)
            for key, line, name in (("sample", ":", "sample"), ("fit", "--", "fit")):
                value = float(np.mean(np.sqrt(row[key])) * row["cells"])
                axes.axhline(value, color=colour, linestyle=line, linewidth=1.3)
                axes.text(made[-1], value, f" {name}", color=colour, va="bottom", ha="right", fontsize=9)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(0.45 * axes.get_ylim()[0])  # room for the legend
        axes.legend(loc="lower left", fontsize=10.5)
        axis_labels(axes, "Generated points M", "Relative error of a cell, √MSE · cells")
        header(axes, found["title"], f"{found['points']} training points")
    form = path.suffix.lstrip(".") or "png"
    with writing(path, overwrite=True) as temporary:
        temporary.write_bytes(rendered(figure, form))
