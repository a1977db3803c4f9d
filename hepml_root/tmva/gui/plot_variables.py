"""Pictures of the variables: scatter plots with profiles, and parallel coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hepml_root.evaluation.plot_style import INK, axis_labels, new_figure, styled
from hepml_root.tmva.gui.output_content import Histogram1D, Plane
from hepml_root.tmva.gui.panels import panels, small
from hepml_root.tmva.gui.tlatex import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELLS = 60  # a scatter plot's 300 bins are too fine for a small panel


@styled
def plot_scatter(pairs: Sequence[tuple[Plane, Histogram1D | None]]) -> Figure:
    """Draw densities of pairs of variables, with the mean of y in bins of x as points."""
    figure, all_axes = panels(len(pairs), 3.1, 2.8, 4)
    for axes, (plane, means) in zip(all_axes, pairs, strict=True):
        x, y, values = coarser(plane)
        axes.pcolormesh(x, y, np.where(values > 0, values, np.nan).T, cmap="Blues", rasterized=True, vmin=0)
        if means is not None:
            known = means.errors > 0
            axes.errorbar(
                means.centres[known], means.values[known], means.errors[known],
                xerr=0.5 * np.diff(means.edges)[known], fmt="none", ecolor=INK, linewidth=0.9,
            )  # fmt: skip
        axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
        axis_labels(axes, shown(plane.x_title), shown(plane.y_title))
        small(axes)
        axes.locator_params(axis="x", nbins=5)
        axes.locator_params(axis="y", nbins=5)
    return figure


def coarser(plane: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return edges and contents with at most 60 bins on an axis, where whole groups of bins fit."""
    edges, values = [plane.x_edges, plane.y_edges], plane.values
    for axis in (0, 1):
        bins = values.shape[axis]
        group = next((g for g in range(-(-bins // _CELLS), bins + 1) if bins % g == 0), 1)
        if group > 1 and group < bins:
            shape = list(values.shape)
            shape[axis : axis + 1] = [bins // group, group]
            values = values.reshape(shape).sum(axis=axis + 1)
            edges[axis] = edges[axis][::group]
    return edges[0], edges[1], values


def correlation_of(plane: Plane) -> float:
    """Return the linear correlation coefficient of a two-dimensional histogram; 0 if it is empty."""
    total = float(plane.values.sum())
    if total <= 0:
        return 0.0
    x, y = (0.5 * (edges[1:] + edges[:-1]) for edges in (plane.x_edges, plane.y_edges))
    of_x, of_y = plane.values.sum(axis=1) / total, plane.values.sum(axis=0) / total
    dx, dy = x - of_x @ x, y - of_y @ y
    spread = float(np.sqrt((of_x @ dx**2) * (of_y @ dy**2)))
    return float(dx @ plane.values @ dy / total) / spread if spread > 0 else 0.0


@styled
def plot_parallel(
    columns: Sequence[str],
    tables: Sequence[tuple[str, NDArray[np.float64]]],
) -> Figure:
    """Draw parallel coordinates: for each class events as lines through all axes.

    Arguments
    ---------
    columns
        Names of the axes; the first is the response, by which lines are coloured.
    tables
        (class, events (events, columns)); all axes run from the smallest to the largest value of all classes.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    together = np.concatenate([table for _, table in tables])
    low, high = together.min(axis=0), together.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    number = len(columns)
    figure = new_figure(max(7.0, 1.0 * number + 2.6), 3.3 * len(tables) + 0.6, hspace=0.06)
    places = np.arange(number)
    scale = Normalize(float(low[0]), float(high[0]) if high[0] > low[0] else float(low[0]) + 1.0)
    mapped = ScalarMappable(scale, "viridis")
    all_axes = []
    for row, (name, table) in enumerate(tables):
        axes = figure.add_subplot(len(tables), 1, row + 1)
        all_axes.append(axes)
        lines = np.empty((len(table), number, 2))
        lines[..., 0], lines[..., 1] = places, (table - low) / span
        axes.add_collection(
            LineCollection(list(lines), colors=mapped.to_rgba(table[:, 0]), linewidths=0.5, alpha=0.5)
        )
        axes.set(xlim=(-0.15, number - 0.85), ylim=(-0.03, 1.03), yticks=[])
        axes.vlines(places, 0, 1, color=INK, linewidth=1.0)
        axes.set_xticks(places, [shown(column) for column in columns], rotation=35 if number > 6 else 0,
                        ha="right" if number > 6 else "center", fontsize=10.5)  # fmt: skip
        axes.tick_params(which="both", length=0)
        axes.minorticks_off()
        for spine in axes.spines.values():
            spine.set_visible(False)
        for place in places:
            for value, height, side in ((low[place], 0.0, "bottom"), (high[place], 1.0, "top")):
                axes.text(place + 0.04, height, f"{value:.3g}", fontsize=8, va=side, color="0.25")
        axes.set_title(f"{shown(name)}: {len(table)} events", fontsize=12, loc="left", fontweight="bold")
    figure.colorbar(mapped, ax=all_axes, label=shown(columns[0]), shrink=0.8, pad=0.01)
    return figure
