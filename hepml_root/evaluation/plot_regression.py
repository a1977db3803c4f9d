"""Pictures of regressions: residuals, pulls, prediction against truth, bias and resolution against truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hepml_root.evaluation.arrays import Floats
from hepml_root.evaluation.plot_style import (
    COLOURS,
    axis_labels,
    header,
    new_figure,
    single,
    styled,
    with_panel,
    with_unit,
)
from hepml_root.evaluation.regression import Residuals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _gaussian(x: Floats, mean: float, width: float) -> Floats:
    return np.exp(-0.5 * ((x - mean) / width) ** 2) / (width * math.sqrt(2 * math.pi))


@styled
def plot_residuals(study: Residuals, *, title: str = "", sample: str = "") -> Figure:
    """Draw the residuals, with a Gaussian of their bias and resolution."""
    figure, axes = single()
    shape = study.histogram.normalised()
    width = np.diff(shape.edges)
    centres = 0.5 * (shape.edges[1:] + shape.edges[:-1])
    axes.stairs(shape.values / width, shape.edges, color=COLOURS[0], fill=True, alpha=0.25)
    axes.errorbar(
        centres,
        shape.values / width,
        np.sqrt(shape.variances) / width,
        fmt="o",
        markersize=3.5,
        linewidth=1.1,
        color=COLOURS[0],
        label="test events",
    )
    x = np.linspace(shape.edges[0], shape.edges[-1], 400)
    if study.resolution.value > 0:
        axes.plot(
            x,
            _gaussian(x, study.bias.value, study.resolution.value),
            "--",
            color=COLOURS[1],
            label="Gaussian of bias and resolution",
        )
    unit = study.unit
    lines = (
        f"bias {study.bias.format(unit)}",
        f"resolution {study.resolution.format(unit)}",
        f"RMS {study.rms.format(unit)}",
    )
    axes.text(0.04, 0.95, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=11.5)
    axes.axvline(0.0, color="0.4", linewidth=1.0, linestyle=":")
    axes.set_xlim(shape.edges[0], shape.edges[-1])
    axes.set_ylim(0, 1.5 * float((shape.values / width).max()))
    axes.legend(loc="upper right")
    axis_labels(axes, with_unit(f"Prediction − true {study.target}", unit), f"Events, unit area{_per(unit)}")
    header(axes, title, sample)
    return figure


def _per(unit: str) -> str:
    return f" [1/{unit}]" if unit else ""


@styled
def plot_pull(study: Residuals, *, title: str = "", sample: str = "") -> Figure:
    """Draw the pull with the unit Gaussian; below, the pull over that Gaussian's expectation."""
    figure, axes, panel = with_panel()
    shape = study.pull.normalised()
    width = np.diff(shape.edges)
    centres = 0.5 * (shape.edges[1:] + shape.edges[:-1])
    density, error = shape.values / width, np.sqrt(shape.variances) / width
    axes.stairs(density, shape.edges, color=COLOURS[0], fill=True, alpha=0.25)
    axes.errorbar(
        centres,
        density,
        error,
        fmt="o",
        markersize=3.5,
        linewidth=1.1,
        color=COLOURS[0],
        label=f"mean {study.pull_mean}\nwidth {study.pull_width}",
    )
    x = np.linspace(-5, 5, 300)
    axes.plot(x, _gaussian(x, 0.0, 1.0), "--", color=COLOURS[1], label="unit Gaussian")
    axes.set_ylim(0, 1.45 * max(0.4, float(density.max())))
    axes.legend(loc="upper right")
    # Mean of the Gaussian over each bin, since bins are wide in the tails.
    cumulative = np.array([0.5 * (1 + math.erf(edge / math.sqrt(2))) for edge in shape.edges])
    expected = np.diff(cumulative) / width
    panel.errorbar(
        centres,
        density / expected,
        error / expected,
        fmt="o",
        markersize=3.5,
        linewidth=1.1,
        color=COLOURS[0],
    )
    panel.axhline(1.0, color="0.4", linewidth=1.0)
    panel.set(xlim=(-5, 5), ylim=(0, 3))
    axis_labels(axes, "", "Events, unit area")
    divisor = "model's uncertainty" if study.pull_from == "model" else "resolution in its bin"
    axis_labels(panel, f"Pull: residual of {study.target} / {divisor}")
    panel.set_ylabel("Over Gaussian")
    header(axes, title, sample)
    return figure


@styled
def plot_resolution(study: Residuals, *, title: str = "", sample: str = "") -> Figure:
    """Draw the resolution and, below, the bias against the true target."""
    figure, axes, panel = with_panel(share=0.42)
    x = study.mean_target
    across = np.abs(np.stack([x - study.edges[:-1], study.edges[1:] - x]))

    def points(where: Axes, y: Floats, low: Floats, high: Floats, colour: str) -> None:
        error = np.maximum(np.nan_to_num(np.stack([y - low, high - y])), 0.0)
        where.errorbar(x, y, error, across, fmt="o", color=colour, linewidth=1.3)

    points(axes, study.bin_resolution, study.bin_resolution_low, study.bin_resolution_high, COLOURS[0])
    axes.axhline(study.resolution.value, color=COLOURS[0], linestyle="--", linewidth=1.1, label="all events")
    axes.set_ylim(0, 1.4 * float(np.nanmax(study.bin_resolution)) or 1.0)
    axes.legend(loc="upper left")
    axis_labels(axes, "", with_unit("Resolution", study.unit))
    points(panel, study.bin_bias, study.bin_bias_low, study.bin_bias_high, COLOURS[1])
    panel.axhline(0.0, color="0.4", linewidth=1.0)
    panel.set_xlim(study.edges[0], study.edges[-1])
    axis_labels(panel, with_unit(f"True {study.target}", study.unit))
    panel.set_ylabel(with_unit("Bias", study.unit))
    header(axes, title, sample)
    return figure


@styled
def plot_response(
    prediction: Floats,
    target: Floats,
    weights: Floats,
    study: Residuals,
    *,
    title: str = "",
    sample: str = "",
) -> Figure:
    """Draw the prediction against the truth as a weighted density, with the median prediction in bins."""
    from matplotlib.colors import LogNorm

    figure = new_figure(6.8, 5.6)
    axes = figure.add_subplot()
    both = np.concatenate([prediction, target])
    low, high = np.quantile(both, [0.002, 0.998])
    if not high > low:
        low, high = low - 0.5, high + 0.5
    counts, x_edges, y_edges = np.histogram2d(
        target, prediction, bins=80, range=[[low, high]] * 2, weights=weights
    )
    positive = counts[counts > 0]
    norm = (
        LogNorm(positive.min(), positive.max()) if len(positive) and positive.max() > positive.min() else None
    )
    mesh = axes.pcolormesh(
        x_edges, y_edges, np.where(counts > 0, counts, np.nan).T, cmap="viridis", norm=norm, rasterized=True
    )
    axes.plot([low, high], [low, high], "--", color=COLOURS[1], linewidth=1.3, label="prediction = truth")
    axes.errorbar(
        study.mean_target,
        study.mean_target + study.bin_bias,
        study.bin_resolution,
        fmt="o",
        color="white",
        ecolor="black",
        markeredgecolor="black",
        linewidth=1.3,
        label="mean and resolution in bins",
    )
    axes.set(xlim=(low, high), ylim=(low, high))
    legend = axes.legend(loc="upper left", frameon=True)
    legend.get_frame().set(facecolor="0.55", alpha=0.6, edgecolor="none")
    figure.colorbar(mesh, ax=axes, label="Events")
    axis_labels(
        axes,
        with_unit(f"True {study.target}", study.unit),
        with_unit(f"Predicted {study.target}", study.unit),
    )
    header(axes, title, sample)
    return figure
