"""Pictures of inputs and of the training: distributions, correlations, ranking, loss curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hepml_root.evaluation.correlations import Correlation
from hepml_root.evaluation.distributions import Histogram
from hepml_root.evaluation.plot_style import (
    COLOURS,
    INK,
    axis_labels,
    colour_of,
    header,
    new_figure,
    single,
    styled,
    with_unit,
)
from hepml_root.evaluation.ranking import Ranking

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Numbers in a larger correlation matrix could not be read.
_MOST_NUMBERED = 20


@styled
def plot_inputs(
    inputs: Sequence[Mapping[str, Histogram]], *, signal: str | None = None, title: str = "", sample: str = ""
) -> Figure:
    """Draw up to twelve inputs, each as unit-area histograms per class.

    ``inputs`` holds one ``{class: histogram}`` per input; regression has a single class.
    """
    columns = min(4, max(1, len(inputs)))
    rows = -(-len(inputs) // columns)
    figure = new_figure(3.1 * columns + 0.2, 2.5 * rows + 0.5, wspace=0.05, hspace=0.06)
    for position, per_class in enumerate(inputs):
        axes = figure.add_subplot(rows, columns, position + 1)
        names = list(per_class)
        highest, lowest = 0.0, np.inf
        for index, (name, raw) in enumerate(per_class.items()):
            shape = raw.normalised()
            values = shape.values / np.diff(shape.edges)
            colour = colour_of(index, names, signal)
            axes.stairs(values, shape.edges, color=colour, linewidth=1.4, label=name)
            if index == 0:
                axes.stairs(values, shape.edges, color=colour, fill=True, alpha=0.18)
            highest = max(highest, float(values.max()))
            if (values > 0).any():
                lowest = min(lowest, float(values[values > 0].min()))
        axes.set_xlim(shape.edges[0], shape.edges[-1])
        axes.set_ylim(min(0.0, 1.1 * float(values.min())), 1.25 * (highest or 1.0))
        axes.set_xlabel(with_unit(shape.title, shape.unit), loc="right", fontsize=11)
        axes.tick_params(labelsize=9.5, pad=3)
        axes.tick_params(which="major", length=5)
        axes.tick_params(which="minor", length=2.5)
        axes.locator_params(axis="x", nbins=5)
        axes.locator_params(axis="y", nbins=4)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), fontsize=11.5)
    text = "  ".join(part for part in (title, sample) if part)
    if text:
        figure.suptitle(text, x=0.01, ha="left", fontsize=12.5, fontweight="bold")
    return figure


@styled
def plot_correlation(matrix: Correlation, *, title: str = "", sample: str = "") -> Figure:
    """Draw a matrix of correlation coefficients in percent; numbers are written if it is small enough."""
    number = len(matrix.columns)
    side = float(np.clip(2.8 + 0.15 * number, 4.2, 10.0))
    figure = new_figure(side + 1.0, side)
    axes = figure.add_subplot()
    image = axes.imshow(100 * matrix.matrix, cmap="RdBu_r", vmin=-100, vmax=100)
    # Three quarters of a row's height in points (72 an inch), about 1.6 inches being taken by the labels.
    size = float(np.clip(0.75 * 72.0 * (side - 1.6) / max(number, 1), 4.0, 11.0))
    axes.set_xticks(range(number), matrix.columns, rotation=90, fontsize=size)
    axes.set_yticks(range(number), matrix.columns, fontsize=size)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    if number <= _MOST_NUMBERED:
        for row in range(number):
            for column in range(number):
                value = 100 * matrix.matrix[row, column]
                if np.isfinite(value) and (abs(value) >= 0.5 or number <= 12):
                    colour = "white" if abs(value) > 60 else INK
                    small = 0.72 * size if number > 12 else 9
                    axes.text(
                        column, row, f"{value:.0f}", ha="center", va="center", fontsize=small, color=colour
                    )
    figure.colorbar(image, ax=axes, label="Linear correlation [%]", shrink=0.85)
    header(axes, title, sample)
    return figure


@styled
def plot_ranking(ranking: Ranking, *, most: int = 30, title: str = "", sample: str = "") -> Figure:
    """Draw the importance of the inputs with errors, largest above."""
    shown = ranking.inputs[:most]
    figure, axes = single(7.0, 1.6 + 0.26 * max(4, len(shown)))
    places = np.arange(len(shown))[::-1]
    values = np.array([item.importance.value for item in shown])
    errors = np.array([item.importance.error for item in shown])
    axes.barh(places, values, height=0.7, color=COLOURS[0], alpha=0.35)
    axes.errorbar(values, places, xerr=errors, fmt="o", color=COLOURS[0], markersize=4, linewidth=1.3)
    axes.axvline(0.0, color="0.4", linewidth=1.0)
    axes.set_yticks(places, [item.column for item in shown], fontsize=10.5)
    axes.tick_params(axis="y", which="both", length=0)
    axes.yaxis.minorticks_off()
    axes.set_ylim(-0.8, len(shown) - 0.2)
    axis_labels(axes, f"Loss of {ranking.metric} when shuffled")
    header(axes, title, sample)
    return figure


@styled
def plot_history(
    metrics: Mapping[str, Sequence[float | None]],
    best_epoch: int | None = None,
    pretraining_epochs: int = 0,
    *,
    title: str = "",
    sample: str = "",
) -> Figure:
    """Draw each metric against the epoch, its validation twin (``val_…``) dashed in the same panel.

    ``best_epoch`` is a position from 0; epochs are drawn from 1. A metric that was not finite is left out.
    The loss of the first ``pretraining_epochs`` is another one than that of the rest: it has a panel of its
    own.
    """
    names = list(dict.fromkeys(name.removeprefix("val_") for name, values in metrics.items() if len(values)))
    names.sort(key=lambda name: (name != "loss", name == "learning_rate"))
    longest = max((len(values) for values in metrics.values()), default=1)
    # (metric, label, first epoch, epoch after the last)
    panels = [(name, name.replace("_", " "), 0, longest) for name in names]
    switch = min(pretraining_epochs, longest)
    if switch and names[:1] == ["loss"]:
        own = [("loss", "loss", switch, longest)] if switch < longest else []
        panels[:1] = [("loss", "loss of the pretraining", 0, switch), *own]
    figure = new_figure(6.4, 1.6 + 2.1 * max(2, len(panels)), hspace=0.03)
    grid = figure.add_gridspec(max(1, len(panels)), 1)
    first = None
    for row, (name, title_of_axis, begin, end) in enumerate(panels):
        axes = figure.add_subplot(grid[row], sharex=first)
        first = first or axes
        lines = (name, "-", COLOURS[0], "training"), (f"val_{name}", "--", COLOURS[1], "validation")
        for key, line, colour, label in lines:
            values = list(metrics.get(key, ()))[begin:end]
            if values:
                numbers = np.array([np.nan if value is None else value for value in values])
                # A line of one point cannot be seen.
                marker = "o" if len(values) == 1 else None
                places = np.arange(begin + 1, begin + 1 + len(values))
                axes.plot(places, numbers, line, color=colour, label=label, marker=marker)
        if switch:
            axes.axvline(switch + 0.5, color="0.5", linewidth=1.0, label="end of the pretraining")
        if best_epoch is not None:
            label = f"best epoch {best_epoch + 1}"
            axes.axvline(best_epoch + 1, color="0.5", linestyle=":", linewidth=1.3, label=label)
        if name == "learning_rate":
            axes.set_yscale("log")
        axes.set_ylabel(title_of_axis)
        if row == 0:
            axes.legend(loc="best")
            header(axes, title, sample)
        if row < len(panels) - 1:
            axes.tick_params(labelbottom=False)
        else:
            axis_labels(axes, "Epoch")
            axes.set_xlim(0.5, longest + 0.5)
    return figure
