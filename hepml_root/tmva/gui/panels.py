"""Figures of many small panels: how they are laid out, and the histograms in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hepml_root.evaluation.plot_style import axis_labels, colour_of, new_figure, styled
from hepml_root.tmva.gui.output_content import Histogram1D
from hepml_root.tmva.gui.tlatex import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES = ("-", "--", "-.", ":")
_PEAKED = 8.0
_LEAST_OUTSIDE = 1e-4  # less than that share is not worth a word


def panels(number: int, width: float, height: float, most: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with that many panels, ``most`` in a row, each of a size in inches."""
    columns = min(most, max(1, number))
    rows = -(-number // columns)
    figure = new_figure(width * columns + 0.2, height * rows + 0.4, wspace=0.06, hspace=0.08)
    return figure, [figure.add_subplot(rows, columns, place + 1) for place in range(number)]


def small(axes: Axes, title: str = "") -> None:
    """Make ticks and labels of a small panel smaller; write its title inside above the axes."""
    axes.tick_params(labelsize=9.5, pad=3)
    axes.tick_params(which="major", length=5)
    axes.tick_params(which="minor", length=2.5)
    axes.xaxis.label.set_fontsize(11)
    axes.yaxis.label.set_fontsize(11)
    if title:
        axes.set_title(shown(title), fontsize=11, loc="left", fontweight="bold", pad=5)


def named(name: str) -> str:
    """Return a name for legends; matplotlib would leave out those that begin with an underscore."""
    text = shown(name)
    return f" {text}" if text.startswith("_") else text


def range_of(histograms: Sequence[Histogram1D]) -> tuple[float, float]:
    """Return the range that is not empty, a bin wider on each side."""
    low, high = [], []
    for histogram in histograms:
        filled = np.flatnonzero(histogram.values)
        if len(filled):
            low.append(histogram.edges[max(filled[0] - 1, 0)])
            high.append(histogram.edges[min(filled[-1] + 2, len(histogram.edges) - 1)])
    edges = histograms[0].edges
    return (float(min(low)), float(max(high))) if low else (float(edges[0]), float(edges[-1]))


def draw_classes(
    axes: Axes, histograms: Mapping[str, Histogram1D], signal: str | None, classes: Sequence[str]
) -> float:
    """Draw histograms of classes with unit area; return the largest content."""
    highest = 0.0
    for name, histogram in histograms.items():
        values, _ = histogram.normalised()
        colour = colour_of(classes.index(name) if name in classes else 0, classes, signal)
        if len(histograms) < 3:
            axes.stairs(values, histogram.edges, color=colour, fill=True, alpha=0.2)
        axes.stairs(values, histogram.edges, color=colour, linewidth=1.4, label=named(name))
        highest = max(highest, float(values.max(initial=0.0)))
    low, high = range_of(list(histograms.values()))
    if high > low:
        axes.set_xlim(low, high)
    axes.set_ylim(0, 1.3 * (highest or 1.0))
    occupied = np.concatenate([h.normalised()[0] for h in histograms.values()])
    occupied = occupied[occupied > 0]
    # Of several classes most lie in one bin: on a linear axis nothing else could be seen.
    if len(histograms) > 2 and len(occupied) and highest > _PEAKED * float(np.median(occupied)):
        axes.set(yscale="log", ylim=(0.3 * max(float(occupied.min()), 1e-4 * highest), 10 * highest))
    return highest


def outside(histograms: Mapping[str, Histogram1D]) -> str:
    """Return how much lies outside the range, in words; "" if nothing does."""
    parts = []
    for name, histogram in histograms.items():
        total = float(histogram.values.sum()) + histogram.below + histogram.above
        if total > 0 and max(abs(histogram.below), abs(histogram.above)) >= _LEAST_OUTSIDE * total:
            parts.append(
                f"{name} {100 * histogram.below / total:.2g} / {100 * histogram.above / total:.2g} %"
            )
    return "out of range: " + ", ".join(parts) if parts else ""


@styled
def plot_class_histograms(
    items: Sequence[tuple[str, Mapping[str, Histogram1D]]],
    *,
    classes: Sequence[str],
    signal: str | None,
    columns: int = 4,
    x_titles: Sequence[str] | None = None,
    size: tuple[float, float] = (3.1, 2.6),
) -> Figure:
    """Draw one panel for each item (title, {class: histogram}), with unit areas.

    The x axis has the histogram's own title, or one of ``x_titles``.
    """
    figure, all_axes = panels(len(items), *size, columns)
    for place, (axes, (title, histograms)) in enumerate(zip(all_axes, items, strict=True)):
        highest = draw_classes(axes, histograms, signal, classes)
        small(axes, title)
        label = x_titles[place] if x_titles else next(iter(histograms.values())).x_title
        axis_labels(axes, shown(label), "Unit area" if place % columns == 0 else "")
        axes.locator_params(axis="x", nbins=5)
        if axes.get_yscale() == "linear":
            axes.locator_params(axis="y", nbins=4)
        if note := outside(histograms):
            axes.text(0.98, 0.97, note, transform=axes.transAxes, ha="right", va="top", fontsize=7.5)
            if axes.get_yscale() == "linear":
                axes.set_ylim(0, 1.4 * (highest or 1.0))
    handles, labels = all_axes[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside upper right", ncols=min(6, len(labels)), fontsize=11.5)
    return figure
