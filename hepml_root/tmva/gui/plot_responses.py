"""Pictures of responses: test and training together, densities, ROC curves, efficiencies of cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hepml_root.evaluation.plot_style import COLOURS, axis_labels, colour_of, single, styled
from hepml_root.tmva.gui.output_content import Floats, Histogram1D
from hepml_root.tmva.gui.panels import LINES, draw_classes, named, panels, small
from hepml_root.tmva.gui.tlatex import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_IN_LEGEND = 8


@dataclass(frozen=True)
class Compared:
    """One panel of an overtraining check: test and training by class, and p-values with how they came."""

    title: str
    test: Mapping[str, Histogram1D]
    train: Mapping[str, Histogram1D]
    p_values: Mapping[str, float]


@styled
def plot_overtraining(items: Sequence[Compared], classes: Sequence[str], signal: str | None) -> Figure:
    """Draw responses of test events as areas and of training events as points, with Kolmogorov–Smirnov."""
    figure, all_axes = panels(len(items), 4.6, 3.9, 3)
    for place, (axes, item) in enumerate(zip(all_axes, items, strict=True)):
        highest = draw_classes(axes, item.test, signal, classes)
        for name, histogram in item.train.items():
            values, errors = histogram.normalised()
            filled = histogram.values != 0
            colour = colour_of(classes.index(name) if name in classes else 0, classes, signal)
            label = f"{named(name)} (training)"
            if name in item.p_values:
                label += f", KS p = {item.p_values[name]:.2g}"
            axes.errorbar(
                histogram.centres[filled], values[filled], errors[filled], fmt="o", color=colour,
                markersize=3.2, linewidth=1.0, label=label,
            )  # fmt: skip
            highest = max(highest, float((values + errors).max(initial=0.0)))
        handles, labels = axes.get_legend_handles_labels()
        tested = {named(name) for name in item.test}
        names = [f"{label} (test)" if label in tested else label for label in labels]
        if len(item.test) > 2:  # too many for a legend in each panel; p-values stand in the panels
            if place == 0:
                shorter = [name.split(", KS")[0] for name in names]
                figure.legend(handles, shorter, loc="outside upper right", ncols=4, fontsize=11)
            words = "\n".join(f"{shown(name)}: p = {p:.2g}" for name, p in item.p_values.items())
            axes.text(0.5, 0.97, words, transform=axes.transAxes, ha="center", va="top", fontsize=8.5)
        else:
            axes.set_ylim(0, highest * (1.15 + 0.11 * len(labels)) or 1.0)
            axes.legend(handles, names, loc="upper left", fontsize=9, ncols=1)
        small(axes, item.title)
        axis_labels(axes, f"{shown(item.title)} response", "Unit area" if place % 3 == 0 else "")
    return figure


@dataclass(frozen=True)
class Density:
    """One panel of densities: for each class a histogram and the density made of it."""

    title: str
    data: Mapping[str, Histogram1D]
    densities: Mapping[str, Histogram1D]
    x_title: str


@styled
def plot_densities(items: Sequence[Density], classes: Sequence[str], signal: str | None) -> Figure:
    """Draw histograms of training events as points and the densities made of them as lines."""
    figure, all_axes = panels(len(items), 4.0, 3.3, 3)
    for place, (axes, item) in enumerate(zip(all_axes, items, strict=True)):
        highest, low, high = 0.0, np.inf, -np.inf
        for name, histogram in item.data.items():
            colour = colour_of(classes.index(name) if name in classes else 0, classes, signal)
            values, errors = histogram.normalised()
            filled = histogram.values != 0
            axes.errorbar(
                histogram.centres[filled], values[filled], errors[filled], fmt="o", color=colour,
                markersize=3.0, linewidth=0.9, label=f"{named(name)}, events",
            )  # fmt: skip
            highest = max(highest, float((values + errors).max(initial=0.0)))
            if name in item.densities:
                density = item.densities[name]
                axes.plot(density.centres, density.normalised()[0], color=colour, linewidth=1.3,
                          label=f"{named(name)}, density")  # fmt: skip
            if filled.any():
                low = min(low, float(histogram.edges[:-1][filled][0]))
                high = max(high, float(histogram.edges[1:][filled][-1]))
        if high > low:
            axes.set_xlim(low, high)
        axes.set_ylim(0, 1.25 * highest or 1.0)
        small(axes, item.title)
        axis_labels(axes, shown(item.x_title), "Unit area" if place % 3 == 0 else "")
    handles, labels = all_axes[0].get_legend_handles_labels()
    columns = len(labels) if len(items) > 2 else 2
    figure.legend(handles, labels, loc="outside upper right", ncols=columns, fontsize=11)
    return figure


@styled
def plot_curves(
    curves: Mapping[str, tuple[Floats, Floats]],
    *,
    x_title: str,
    y_title: str,
    logarithmic: bool = False,
    reference: bool = True,
) -> Figure:
    """Draw curves of several methods, such as ROC curves, with the line of no separation.

    Arguments
    ---------
    curves
        {label: (signal efficiency, background rejection or inverse background efficiency)}.
    """
    many = len(curves) > _MOST_IN_LEGEND
    figure, axes = single(9.4 if many else 6.4)
    for place, (name, (x, y)) in enumerate(curves.items()):
        axes.plot(
            x, y, LINES[(place // len(COLOURS)) % len(LINES)], color=COLOURS[place % len(COLOURS)],
            label=named(name), linewidth=1.5,
        )  # fmt: skip
    grid = np.linspace(0.005, 1, 200)
    if reference:
        axes.plot(grid, 1 / grid if logarithmic else 1 - grid, ":", color="0.55", linewidth=1.2,
                  label="no separation")  # fmt: skip
    axes.set_xlim(0, 1)
    if logarithmic:
        seen = np.concatenate([y[y > 0] for _, y in curves.values()] or [np.ones(1)])
        axes.set(yscale="log", ylim=(0.8, 3 * float(seen.max(initial=10.0))))
    else:
        axes.set_ylim(0, 1.02)
    if many:
        figure.legend(loc="outside right upper", fontsize=10)
    else:
        axes.legend(loc="upper right" if logarithmic else "lower left", fontsize=10.5)
    axis_labels(axes, x_title, y_title)
    return figure


@dataclass(frozen=True)
class Efficiencies:
    """Efficiencies of signal and background above the cuts ``(cuts,)``."""

    title: str
    cuts: Floats
    signal: Floats
    background: Floats

    def significance(self, signal: float, background: float) -> Floats:
        """Return ``S/√(S + B)`` of events expected before the cut."""
        s, b = signal * self.signal, background * self.background
        return np.divide(s, np.sqrt(np.maximum(s + b, 0)), out=np.zeros_like(s), where=s + b > 0)


@styled
def plot_efficiencies(items: Sequence[Efficiencies], signal: float, background: float) -> Figure:
    """Draw efficiencies, purity and significance against the cut, with the best cut of each method."""
    figure, all_axes = panels(len(items), 4.9, 3.9, 3)
    for place, (axes, item) in enumerate(zip(all_axes, items, strict=True)):
        s, b = signal * item.signal, background * item.background
        purity = np.divide(s, s + b, out=np.full_like(s, np.nan), where=s + b > 0)
        for values, colour, label in (
            (item.signal, COLOURS[1], "signal efficiency"),
            (item.background, COLOURS[0], "background efficiency"),
            (purity, COLOURS[3], "purity S/(S+B)"),
            (item.signal * purity, COLOURS[4], "efficiency × purity"),
        ):
            axes.plot(item.cuts, values, color=colour, linewidth=1.4, label=label)
        twin = axes.twinx()
        significance = item.significance(signal, background)
        twin.plot(item.cuts, significance, color=COLOURS[2], linewidth=1.6, label="S/√(S+B), right axis")
        best = int(np.argmax(significance))
        twin.plot(item.cuts[best], significance[best], "v", color=COLOURS[2], markersize=7)
        twin.set_ylim(0, 1.25 * float(significance.max(initial=0.0)) or 1.0)
        twin.tick_params(labelsize=9.5)
        axes.set(xlim=(item.cuts[0], item.cuts[-1]), ylim=(0, 1.25))
        small(axes, f"{item.title}: best {significance[best]:.4g} at {item.cuts[best]:.4g}")
        axis_labels(axes, f"Cut on {shown(item.title)}", "Efficiency, purity" if place % 3 == 0 else "")
        if place % 3 == 2 or place == len(items) - 1:
            twin.set_ylabel("Significance", fontsize=11)
        if place == 0:
            first, second = axes.get_legend_handles_labels(), twin.get_legend_handles_labels()
            figure.legend(first[0] + second[0], first[1] + second[1], loc="outside upper right",
                          ncols=3 if len(items) < 3 else 5, fontsize=10.5)  # fmt: skip
    return figure
