"""Pictures of two samples of showers: quantities, distances, correlations, response, neighbours, images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.evaluation.classifier_test import ClassifierTest
from hepml_root.evaluation.correlation_comparison import ComparedCorrelations
from hepml_root.evaluation.distributions import Histogram
from hepml_root.evaluation.frechet import FrechetDistance
from hepml_root.evaluation.memorising import CopyingTest
from hepml_root.evaluation.observable_comparison import ComparedObservable
from hepml_root.evaluation.plot_style import (
    BACKGROUND,
    COLOURS,
    SIGNAL,
    axis_labels,
    header,
    new_figure,
    single,
    styled,
    with_unit,
)
from hepml_root.evaluation.response import AIMS, ResponseStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SOURCE, GENERATED = BACKGROUND, SIGNAL
_IMAGES = 6
_SUBSCRIPTS = str.maketrans({"₀": "$_0$", "₁": "$_1$"})


@styled
def plot_observables(
    observables: Sequence[ComparedObservable],
    *,
    names: Sequence[str] = ("source", "generated"),
    columns: int = 3,
) -> Figure:
    """Draw up to twelve quantities: source (filled) and generated, and their ratio below."""
    columns = min(columns, max(1, len(observables)))
    rows = -(-len(observables) // columns)
    figure = new_figure(4.1 * columns + 0.2, 3.5 * rows + 0.5, wspace=0.05, hspace=0.02, h_pad=0.03)
    outer = figure.add_gridspec(rows, columns)
    for position, item in enumerate(observables):
        inner = outer[position // columns, position % columns].subgridspec(
            2, 1, height_ratios=(0.72, 0.28), hspace=0.0
        )
        top = figure.add_subplot(inner[0])
        bottom = figure.add_subplot(inner[1], sharex=top)
        _overlay(top, bottom, item, names)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, fontsize=11.5)
    return figure


def _overlay(top: Axes, bottom: Axes, item: ComparedObservable, names: Sequence[str]) -> None:
    spectrum = item.group in ("profiles", "cells") and item.name not in ("hits",)
    shapes = [one if spectrum else one.normalised() for one in (item.first, item.second)]
    width = np.diff(shapes[0].edges)
    filled = np.flatnonzero((shapes[0].values > 0) | (shapes[1].values > 0))
    for shape, colour, name in zip(shapes, (SOURCE, GENERATED), names, strict=True):
        values = shape.values / width
        top.stairs(values, shape.edges, color=colour, linewidth=1.5, label=name)
        if colour == SOURCE:
            top.stairs(values, shape.edges, color=colour, fill=True, alpha=0.18)
    highest = max(float((shape.values / width).max()) for shape in shapes) or 1.0
    if item.logarithmic:
        positive = [v for shape in shapes for v in (shape.values / width) if v > 0]
        top.set_yscale("log")
        top.set_ylim(0.5 * max(min(positive, default=1e-6), 1e-7 * highest), 30.0 * highest)
    else:
        top.set_ylim(0.0, 1.45 * highest)
    if len(filled):
        top.set_xlim(shapes[0].edges[filled[0]], shapes[0].edges[filled[-1] + 1])
    text = f"S = {item.separation}\n$W_1$/σ = {item.relative}  (same source {item.relative.floor:.2g})"
    top.text(0.03, 0.96, text, transform=top.transAxes, va="top", fontsize=8.8)
    ratio, error = _ratio(*shapes)
    centres = 0.5 * (shapes[0].edges[1:] + shapes[0].edges[:-1])
    bottom.axhline(1.0, color="0.4", linewidth=1.0)
    bottom.errorbar(centres, ratio, yerr=error, fmt=".", color=GENERATED, markersize=3.5, linewidth=1.0)
    bottom.set_ylim(0.5, 1.5)
    bottom.set_xlabel(with_unit(item.title, item.unit).translate(_SUBSCRIPTS), loc="right", fontsize=11)
    bottom.set_ylabel("ratio", fontsize=9.5)
    for axes in (top, bottom):
        axes.tick_params(labelsize=9.5, pad=3)
        axes.tick_params(which="major", length=5)
        axes.tick_params(which="minor", length=2.5)
    top.tick_params(labelbottom=False)
    bottom.locator_params(axis="x", nbins=5)


def _ratio(first: Histogram, second: Histogram) -> tuple[Any, Any]:
    """Return generated over source, and its statistical error; NaN where either is empty."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((first.values > 0) & (second.values > 0), second.values / first.values, np.nan)
        error = ratio * np.sqrt(first.variances / first.values**2 + second.variances / second.values**2)
    return ratio, error


@styled
def plot_distances(observables: Sequence[ComparedObservable], *, most: int = 40, title: str = "") -> Figure:
    """Draw the Wasserstein distances in standard deviations, largest above, with what one source gives."""
    shown = sorted(observables, key=lambda item: -item.relative.estimate.value)[:most]
    figure, axes = single(7.4, 1.6 + 0.24 * max(4, len(shown)))
    places = np.arange(len(shown))[::-1]
    values = np.array([item.relative.estimate.value for item in shown])
    errors = np.array([item.relative.estimate.error for item in shown])
    floors = np.array([item.relative.floor_high for item in shown])
    lowest = max(1e-5, 0.3 * float(np.nanmin([*values[values > 0], *floors[floors > 0], 1.0])))
    axes.barh(places, floors - lowest, left=lowest, height=0.8, color=COLOURS[4], alpha=0.45,
              label="95 % of pairs of the source")  # fmt: skip
    drawn = np.minimum(errors, 0.99 * values)
    axes.errorbar(values, places, xerr=drawn, fmt="o", color=GENERATED, markersize=4,
                  linewidth=1.3, label="generated")  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(lowest, 2.0 * float(np.nanmax([*values, *floors[np.isfinite(floors)], 2 * lowest])))
    axes.set_yticks(places, [item.name.replace("_", " ") for item in shown], fontsize=10)
    axes.tick_params(axis="y", which="both", length=0)
    axes.yaxis.minorticks_off()
    axes.set_ylim(-0.8, len(shown) - 0.2)
    axes.legend(loc="lower right")
    axis_labels(axes, "Wasserstein distance / σ of the source")
    header(axes, title)
    return figure


@styled
def plot_correlations(
    compared: ComparedCorrelations, *, names: Sequence[str] = ("source", "generated")
) -> Figure:
    """Draw the correlation matrices of both samples, and their difference, in percent."""
    number = len(compared.columns)
    figure = new_figure(13.2, 5.2, wspace=0.03)
    labels = [name.replace("_", " ") for name in compared.columns]
    matrices = (compared.first, compared.second, compared.second - compared.first)
    limit = max(10.0, 100.0 * float(np.nanmax(np.abs(matrices[2]), initial=0.0)))
    for position, (matrix, title) in enumerate(zip(matrices, (*names, "difference"), strict=True)):
        axes = figure.add_subplot(1, 3, position + 1)
        span = limit if position == 2 else 100.0
        image = axes.imshow(100 * matrix, cmap="RdBu_r" if position < 2 else "PuOr_r", vmin=-span, vmax=span)
        size = float(np.clip(150.0 / max(number, 1), 5.0, 10.0))
        axes.set_xticks(range(number), labels, rotation=90, fontsize=size)
        axes.set_yticks(range(number), labels if position == 0 else [""] * number, fontsize=size)
        axes.tick_params(which="both", length=0)
        axes.minorticks_off()
        figure.colorbar(image, ax=axes, shrink=0.7, label="[%]")
        header(axes, title)
    return figure


@styled
def plot_response(study: ResponseStudy, *, names: Sequence[str] = ("source", "generated")) -> Figure:
    """Draw response and resolution against the energy, with ratios below; open: left out of training."""
    from matplotlib.ticker import FuncFormatter

    figure = new_figure(12.6, 5.8, wspace=0.04, hspace=0.02, h_pad=0.03)
    grid = figure.add_gridspec(2, 2, height_ratios=(0.66, 0.34))
    tables = (
        ("Response $E / E_0$", study.response, study.response_error, study.response_ratio,
        study.response_ratio_error, AIMS[0]), ("Resolution $\\sigma / E$", study.resolution,
        study.resolution_error, study.resolution_ratio,
         study.resolution_ratio_error, AIMS[1]),
    )  # fmt: skip
    for column, (title, values, errors, ratio, ratio_error, aim) in enumerate(tables):
        top = figure.add_subplot(grid[0, column])
        bottom = figure.add_subplot(grid[1, column], sharex=top)
        for row, (name, colour) in enumerate(zip(names, (SOURCE, GENERATED), strict=True)):
            top.errorbar(study.energy, values[row], yerr=errors[row], fmt="none", color=colour, linewidth=1.3)
            for held in (False, True):
                chosen = study.held_out == held
                if chosen.any():
                    label = f"{name}, not in the training" if held else name
                    top.plot(study.energy[chosen], values[row][chosen], "os"[row], color=colour, label=label,
                             markerfacecolor="white" if held else colour)  # fmt: skip
            if column == 1 and np.isfinite(study.stochastic[row]):
                x = np.geomspace(study.energy.min(), study.energy.max(), 100)
                terms = (
                    study.stochastic[row] ** 2 / x + study.noise[row] ** 2 / x**2 + study.constant[row] ** 2
                )
                top.plot(x, np.sqrt(terms), "-", color=colour, linewidth=1.0)
        bottom.axhspan(1 - aim, 1 + aim, color=COLOURS[4], alpha=0.3, linewidth=0)
        bottom.axhline(1.0, color="0.4", linewidth=1.0)
        bottom.errorbar(study.energy, ratio, yerr=ratio_error, fmt="o", color=GENERATED, linewidth=1.3)
        reach = 1.3 * max(float(np.abs(ratio[np.isfinite(ratio)] - 1.0).max(initial=0.0)), 2 * aim)
        bottom.set_ylim(1 - reach, 1 + reach)
        top.set_xscale("log")
        for axis in (top.xaxis, bottom.xaxis):
            axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
            axis.set_minor_formatter(FuncFormatter(_few_labels))
        top.tick_params(which="both", labelbottom=False)
        axis_labels(top, "", title)
        axis_labels(bottom, "Energy of the particle [GeV]", "ratio")
        top.legend(loc="best", fontsize=10.5)
    return figure


def _few_labels(x: float, _: int) -> str:
    """Label the ticks 2, 3 and 5 between powers of ten."""
    leading = x / 10 ** np.floor(np.log10(x)) if x > 0 else 0.0
    return f"{x:g}" if round(float(leading), 6) in (2.0, 3.0, 5.0) else ""


@styled
def plot_classifiers(tests: Mapping[str, ClassifierTest]) -> Figure:
    """Draw the ROC curves of the classifiers; on the diagonal the samples cannot be told apart."""
    figure, axes = single()
    axes.plot([0, 1], [0, 1], "--", color="0.6", linewidth=1.0)
    for position, (name, test) in enumerate(tests.items()):
        colour = COLOURS[position % len(COLOURS)]
        x = np.concatenate([[0.0], test.roc.signal_efficiency])
        axes.plot(
            x,
            np.concatenate([[0.0], test.roc.background_efficiency]),
            color=colour,
            label=f"{name}: {test.auc}",
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.legend(loc="upper left", title="area under the curve", fontsize=10.5)
    axis_labels(axes, "Fraction of generated showers", "Fraction of source showers")
    return figure


@styled
def plot_neighbours(tests: Mapping[str, CopyingTest]) -> Figure:
    """Draw the distances to the nearest training shower, of test and of generated showers."""
    figure = new_figure(6.2 * len(tests), 4.6, wspace=0.04)
    for position, (space, test) in enumerate(tests.items()):
        axes = figure.add_subplot(1, len(tests), position + 1)
        both = np.concatenate([test.test_distances, test.generated_distances])
        edges = np.linspace(0.0, float(np.quantile(both, 0.99)) or 1.0, 41)
        for values, colour, name in (
            (test.test_distances, SOURCE, "source, not in the training"),
            (test.generated_distances, GENERATED, "generated"),
        ):
            contents = np.histogram(values, edges)[0] / max(1, len(values))
            axes.stairs(contents, edges, color=colour, label=name, linewidth=1.5)
            if colour == SOURCE:
                axes.stairs(contents, edges, color=colour, fill=True, alpha=0.18)
        axes.set_ylim(0.0, 1.5 * axes.get_ylim()[1])
        axes.legend(loc="upper right", fontsize=10.5)
        axis_labels(axes, f"Distance to the nearest training shower, {space}", "Fraction")
        header(axes, f"P(generated nearer) = {test.nearer}")
    return figure


@styled
def plot_frechet(distance: FrechetDistance, floor: FrechetDistance | None = None) -> Figure:
    """Draw the Fréchet distance against 1/N, with the straight line to infinite sample size."""
    figure, axes = single(6.4, 4.6)
    for found, colour, name in (
        (distance, GENERATED, "generated"),
        (floor, SOURCE, "two samples of the source"),
    ):
        if found is None:
            continue
        axes.plot(found.inverse_size, found.values, "o", color=colour, label=f"{name}: {found.estimate}")
        x = np.array([0.0, found.inverse_size.max()])
        axes.plot(x, found.estimate.value + found.slope * x, "-", color=colour, linewidth=1.0)
        axes.errorbar([0.0], [found.estimate.value], yerr=[found.estimate.error], fmt="s", color=colour)
    axes.legend(loc="best", fontsize=10.5)
    axis_labels(axes, "1 / showers of each sample", "Fréchet distance")
    return figure


@styled
def plot_mean_images(
    mean_cells: Any, shapes: Sequence[tuple[int, int]], *, names: Sequence[str] = ("source", "generated")
) -> Figure:
    """Draw the mean energy of the cells of up to six layers: source above, generated below."""
    from matplotlib.colors import LogNorm

    number = len(shapes)
    chosen = np.unique(np.linspace(0, number - 1, min(_IMAGES, number)).round().astype(int))
    ends = np.cumsum([0, *(rows * columns for rows, columns in shapes)])
    figure = new_figure(2.5 * len(chosen) + 1.2, 5.4, wspace=0.02, hspace=0.02)
    highest = float(mean_cells.max()) or 1.0
    norm = LogNorm(vmin=1e-4 * highest, vmax=highest)
    grid = figure.subplots(2, len(chosen), squeeze=False)
    for row, name in enumerate(names):
        for column, layer in enumerate(chosen):
            axes = grid[row][column]
            image = mean_cells[row, ends[layer] : ends[layer + 1]].reshape(shapes[layer])
            drawn = axes.imshow(np.maximum(image, 1e-5 * highest), norm=norm, cmap="viridis", aspect="auto")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.minorticks_off()
            header(axes, f"layer {layer}" if row == 0 else "")
            if column == 0:
                axes.set_ylabel(name)
    figure.colorbar(drawn, ax=list(grid.ravel()), label="Mean energy of a cell [GeV]", shrink=0.9)
    return figure
