"""Pictures of regressions: deviation from the target in planes, and its mean over all methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hepml_root.evaluation.plot_style import COLOURS, axis_labels, single, styled
from hepml_root.tmva.gui.output_content import Plane
from hepml_root.tmva.gui.panels import panels, small
from hepml_root.tmva.gui.tlatex import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def plot_deviations(items: Sequence[tuple[str, Plane]]) -> Figure:
    """Draw regression minus target against targets or variables, as densities of events."""
    figure, all_axes = panels(len(items), 4.0, 3.3, 3)
    for axes, (title, plane) in zip(all_axes, items, strict=True):
        values = np.where(plane.values > 0, plane.values, np.nan).T
        image = axes.pcolormesh(plane.x_edges, plane.y_edges, values, cmap="Blues", rasterized=True, vmin=0)
        figure.colorbar(image, ax=axes, pad=0.02).ax.tick_params(labelsize=8.5)
        axes.axhline(0.0, color="0.4", linewidth=0.9)
        axis_labels(axes, shown(plane.x_title), shown(plane.y_title))
        small(axes, title)
        axes.locator_params(axis="x", nbins=5)
    return figure


@dataclass(frozen=True)
class MeanDeviation:
    """Root mean squared deviation of a method, of all events and of the 90 % with the smallest."""

    title: str
    test: float
    train: float
    test_best: float
    train_best: float


@styled
def plot_mean_deviations(items: Sequence[MeanDeviation], target: str) -> Figure:
    """Draw the root mean squared deviations of all methods."""
    figure, axes = single(max(6.4, 0.9 * len(items) + 3.0))
    places = np.arange(len(items))
    series = (
        ("training, 90 % best", [item.train_best for item in items], "o", COLOURS[0], "none"),
        ("test, 90 % best", [item.test_best for item in items], "o", COLOURS[0], COLOURS[0]),
        ("training, all", [item.train for item in items], "s", COLOURS[1], "none"),
        ("test, all", [item.test for item in items], "s", COLOURS[1], COLOURS[1]),
    )
    for label, values, marker, colour, face in series:
        axes.plot(places, values, marker, color=colour, markerfacecolor=face, markersize=7, label=label)
    top = max((v for _, values, *_ in series for v in values if np.isfinite(v)), default=1.0)
    axes.set(xlim=(-0.6, len(items) - 0.4), ylim=(0, 1.45 * top or 1.0))
    axes.set_xticks(places, [shown(item.title) for item in items], rotation=30 if len(items) > 4 else 0,
                    ha="right" if len(items) > 4 else "center")  # fmt: skip
    axes.xaxis.minorticks_off()
    axes.legend(loc="upper right", ncols=2, fontsize=10.5)
    axis_labels(axes, "", f"RMS of regression − target, {shown(target)}")
    return figure
