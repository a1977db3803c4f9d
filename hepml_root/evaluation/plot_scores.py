"""Pictures of classifiers: ROC, rejection, score distributions, reliability, significance, confusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hepml_root.evaluation.calibration import Reliability
from hepml_root.evaluation.confusion_matrix import Confusion
from hepml_root.evaluation.overtraining import ScoreDistributions
from hepml_root.evaluation.plot_style import (
    COLOURS,
    INK,
    axis_labels,
    colour_of,
    header,
    new_figure,
    single,
    styled,
    with_panel,
)
from hepml_root.evaluation.roc import Roc
from hepml_root.evaluation.significance import BestCut, SignificanceScan

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINES = ("-", "--", "-.", ":")
# A legend with more curves than this has its place beside the picture.
_MOST_INSIDE = 7


@styled
def plot_roc(curves: Mapping[str, Roc], *, title: str = "", sample: str = "") -> Figure:
    """Draw background efficiency against signal efficiency of one or several curves, with bands and areas."""
    figure, axes = single()
    for position, (name, roc) in enumerate(curves.items()):
        colour = COLOURS[position % len(COLOURS)]
        line = _LINES[position % len(_LINES)]
        x = np.concatenate([[0.0], roc.signal_efficiency])
        axes.fill_between(
            x,
            1 - np.concatenate([[0.0], roc.high]),
            1 - np.concatenate([[0.0], roc.low]),
            color=colour,
            alpha=0.3,
            linewidth=0,
        )
        axes.plot(
            x,
            1 - np.concatenate([[0.0], roc.background_efficiency]),
            line,
            color=colour,
            label=f"{name}: AUC = {roc.auc}",
        )
    axes.plot([0, 1], [1, 0], ":", color="0.55", linewidth=1.2, label="no separation")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower left")
    axis_labels(axes, "Signal efficiency", "Background rejection 1 − ε$_b$")
    header(axes, title, sample)
    return figure


@styled
def plot_rejection(
    curves: Mapping[str, Roc], *, ratio: bool = False, title: str = "", sample: str = ""
) -> Figure:
    """Draw the rejection 1/ε_b against signal efficiency; with ``ratio``, below, over the first curve."""
    several = ratio and len(curves) > 1
    many = len(curves) > _MOST_INSIDE
    panel = None
    if several:
        figure, axes, panel = with_panel()
    else:
        figure, axes = single(9.6) if many else single()
    reference = next(iter(curves.values()))
    top, ratios = 10.0, [0.8, 1.2]
    for position, (name, roc) in enumerate(curves.items()):
        colour, line = COLOURS[position % len(COLOURS)], _LINES[position % len(_LINES)]
        with np.errstate(divide="ignore"):
            central, low, high = (
                1 / np.maximum(e, 0) for e in (roc.background_efficiency, roc.high, roc.low)
            )
        seen = np.isfinite(central)
        x = roc.signal_efficiency
        if seen.any():
            top = max(top, float(np.max(central[seen])))
        axes.fill_between(
            x, low, np.where(np.isfinite(high), high, 1e12), color=colour, alpha=0.3, linewidth=0
        )
        axes.plot(x[seen], central[seen], line, color=colour, label=name)
        if panel is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                quotient = reference.background_efficiency / roc.background_efficiency
                band = reference.background_efficiency / roc.high, reference.background_efficiency / roc.low
            panel.plot(x, quotient, line, color=colour)
            # At the smallest efficiencies the ratio of a few events would set the scale.
            ratios += list(quotient[(x > 0.15) & np.isfinite(quotient)])
            panel.fill_between(x, *band, color=colour, alpha=0.25, linewidth=0)
    axes.plot(x, 1 / x, ":", color="0.55", linewidth=1.2, label="no separation")
    axes.set(yscale="log", xlim=(0, 1), ylim=(0.8, 3 * top))
    if many:
        figure.legend(loc="outside right upper")
    else:
        axes.legend(loc="upper right")
    axis_labels(axes, "" if several else "Signal efficiency", "Background rejection 1/ε$_b$")
    if panel is not None:
        panel.set_ylim(max(0.0, min(ratios) - 0.15), max(ratios) + 0.15)
        axis_labels(panel, "Signal efficiency", "")
        panel.set_ylabel("Ratio to first")
    header(axes, title, sample)
    return figure


@styled
def plot_scores(
    scores: ScoreDistributions, *, signal: str | None = None, title: str = "", sample: str = ""
) -> Figure:
    """Draw the score per class, test filled and training as points; below, training over test."""
    compared = bool(scores.train)
    if compared:
        figure, axes, panel = with_panel()
    else:
        figure, axes = single()
        panel = None
    classes = list(scores.test)
    filled = len(classes) < 3  # more areas on top of one another cannot be told apart
    highest, lowest = 0.0, np.inf
    occupied = [0.0]
    for position, (name, raw) in enumerate(scores.test.items()):
        colour = colour_of(position, classes, signal)
        test = raw.normalised()
        width = np.diff(test.edges)
        density, error = test.values / width, np.sqrt(test.variances) / width
        centres = 0.5 * (test.edges[1:] + test.edges[:-1])
        if filled:
            axes.stairs(density, test.edges, color=colour, fill=True, alpha=0.25)
        axes.stairs(density, test.edges, color=colour, linewidth=1.6, label=f"{name} (test)")
        highest = max(highest, float(density.max()))
        if (density > 0).any():
            lowest = min(lowest, float(density[density > 0].min()))
            occupied += list(density[density > 0])
        if panel is None or name not in scores.train:
            continue
        train = scores.train[name].normalised()
        train_density, train_error = train.values / width, np.sqrt(train.variances) / width
        label = f"{name} (train)"
        if name in scores.ks:
            label += f", KS p = {scores.ks[name].p_value:.2g}"
        axes.errorbar(
            centres,
            train_density,
            train_error,
            xerr=0.5 * width,
            fmt="o",
            color=colour,
            markersize=3.5,
            linewidth=1.1,
            label=label,
        )
        shown = (density > 0) & (train_density > 0)
        ratio = train_density[shown] / density[shown]
        shift = (position - 0.5 * (len(classes) - 1)) * 0.15 * width[shown]
        panel.errorbar(
            centres[shown] + shift,
            ratio,
            train_error[shown] / density[shown],
            fmt="o",
            color=colour,
            markersize=3.5,
            linewidth=1.1,
        )
        spread = np.where(density > 0, error / np.where(density > 0, density, 1.0), np.nan)
        if filled:
            panel.stairs(1 + spread, test.edges, baseline=1 - spread, fill=True, color=colour, alpha=0.2)
    axes.set(xlim=(test.edges[0], test.edges[-1]), ylim=(0, 1.55 * highest))
    # A peak far above the typical bin hides everything else on a linear axis.
    if highest > 8 * float(np.median(occupied)) and lowest > 0:
        axes.set(yscale="log", ylim=(0.3 * max(lowest, 1e-5 * highest), 60 * highest))
    axes.legend(loc="upper center", ncols=2 if compared else 1, fontsize=10.5, columnspacing=1.2)
    axis_labels(axes, "" if compared else scores.score, "Events, unit area")
    if panel is not None:
        panel.axhline(1.0, color="0.4", linewidth=1.0)
        panel.set_ylim(0.4, 1.6)
        axis_labels(panel, scores.score)
        panel.set_ylabel("Train / test")
    header(axes, title, sample)
    return figure


@styled
def plot_reliability(curves: Mapping[str, Reliability], *, title: str = "", sample: str = "") -> Figure:
    """Draw observed signal fraction against mean score; below, the difference."""
    figure, axes, panel = with_panel()
    for position, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[position % len(COLOURS)]
        good = np.isfinite(curve.fraction)
        x, y = curve.mean_score[good], curve.fraction[good]
        low, high = np.maximum(y - curve.low[good], 0), np.maximum(curve.high[good] - y, 0)
        label = f"{name}: ECE = {curve.ece}" if len(curves) > 1 else f"ECE = {curve.ece}"
        axes.errorbar(x, y, (low, high), fmt="o-", color=colour, linewidth=1.3, label=label)
        panel.errorbar(x, y - x, (low, high), fmt="o", color=colour, linewidth=1.3)
    axes.plot([0, 1], [0, 1], ":", color="0.4", linewidth=1.2, label="calibrated")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="upper left")
    axis_labels(axes, "", "Observed fraction")
    panel.axhline(0.0, color="0.4", linewidth=1.0)
    reach = max(0.03, *(float(np.nanmax(np.abs(c.fraction - c.mean_score))) * 1.5 for c in curves.values()))
    panel.set_ylim(-reach, reach)
    axis_labels(panel, "Mean score in bin")
    panel.set_ylabel("Difference")
    header(axes, title, sample)
    return figure


@styled
def plot_significance(scan: SignificanceScan, *, title: str = "", sample: str = "") -> Figure:
    """Draw s/√(s+b) and Z_A against the cut, with their best cuts; below, the yields above the cut."""
    figure, axes, panel = with_panel(share=0.34)
    kinds = (
        ("s/√(s+b)", scan.simple, scan.simple_low, scan.simple_high, scan.best_simple),
        (
            f"$Z_A$, {100 * scan.systematic:.3g} % syst.",
            scan.asimov,
            scan.asimov_low,
            scan.asimov_high,
            scan.best_asimov,
        ),
    )
    highest = 0.0
    for (name, central, low, high, best), colour in zip(kinds, (COLOURS[3], COLOURS[6]), strict=True):
        good = scan.allowed & np.isfinite(central)
        axes.plot(scan.threshold[good], central[good], color=colour, label=name + _best_text(best))
        axes.fill_between(scan.threshold[good], low[good], high[good], color=colour, alpha=0.25, linewidth=0)
        if best is not None:
            axes.plot(best.threshold.value, best.significance.value, "v", color=colour, markersize=8)
        if good.any():
            highest = max(highest, float(np.max(np.fmax(high[good], central[good]))))
    excluded = ~scan.allowed
    tightest = scan.threshold[scan.allowed].max(initial=-np.inf)
    beyond = scan.threshold[excluded & (scan.threshold > tightest)]
    if len(beyond):
        axes.axvspan(beyond[0], beyond[-1], color="0.85", linewidth=0, label="too little background")
    axes.set_xlim(scan.threshold.min(), scan.threshold.max())
    axes.set_ylim(0, 1.45 * (highest or 1.0))
    axes.legend(loc="upper left", fontsize=11)
    axis_labels(axes, "", "Expected significance")
    for name, values, colour in (
        ("signal s", scan.signal, COLOURS[1]),
        ("background b", scan.background, COLOURS[0]),
    ):
        seen = values > 0
        panel.plot(scan.threshold[seen], values[seen], color=colour, label=name)
    panel.set_yscale("log")
    panel.legend(loc="lower left", fontsize=10.5, ncols=2)
    axis_labels(panel, "Cut on the score")
    panel.set_ylabel("Events above")
    header(axes, title, sample)
    return figure


def _best_text(best: BestCut | None) -> str:
    return "" if best is None else f": best {best.significance} at {best.threshold.value:.3g}"


@styled
def plot_confusion(matrix: Confusion, *, title: str = "", sample: str = "") -> Figure:
    """Draw the fractions of each true class (rows) given to each class (columns), in percent."""
    number = len(matrix.classes)
    side = min(10.0, 3.6 + 0.75 * number)
    figure = new_figure(side + 0.6, 0.86 * side)
    axes = figure.add_subplot()
    image = axes.imshow(100 * matrix.fraction, cmap="Blues", vmin=0, vmax=100)
    _no_ticks(axes)
    axes.set_xticks(
        range(number),
        matrix.classes,
        rotation=0 if number < 5 else 40,
        ha="center" if number < 5 else "right",
    )
    axes.set_yticks(range(number), matrix.classes)
    for row in range(number):
        for column in range(number):
            fraction = matrix.fraction[row, column]
            text = f"{100 * fraction:.1f}\n±{100 * matrix.error[row, column]:.1f}"
            axes.text(
                column,
                row,
                text,
                ha="center",
                va="center",
                color="white" if fraction > 0.55 else INK,
                fontsize=11,
            )
    axis_labels(axes, "Predicted class", "True class")
    figure.colorbar(image, ax=axes, label="Share of the true class [%]", shrink=0.85)
    header(axes, title, sample)
    return figure


def _no_ticks(axes: Axes) -> None:
    """Remove tick marks where the axes show categories."""
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
