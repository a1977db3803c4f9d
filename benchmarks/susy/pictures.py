"""The pictures of the results: Z_A by loss, against the background events, the batch size and the epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.susy.samples import SIGNALS
from benchmarks.susy.studies import BatchSize, Gradients
from benchmarks.susy.table import Row
from benchmarks.susy.training import LOSSES, SYSTEMATICS
from hepml_root.evaluation.plot_style import COLOURS, axis_labels, header, new_figure, single, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = dict(zip(LOSSES, COLOURS, strict=False))
_MARKS = dict(zip(LOSSES, "osv", strict=True))


@styled
def losses(table: Sequence[list[Row]], network: str, yields: str) -> Figure:
    """Draw Z_A of the losses against the systematic, a panel for each signal."""
    signals = list(dict.fromkeys(rows[0].case.signal for rows in table))
    figure = new_figure(5.2 * len(signals), 4.6)
    for place, signal in enumerate(signals):
        axes = figure.add_subplot(1, len(signals), place + 1)
        for offset, loss in enumerate(LOSSES):
            series = [
                row
                for rows in table
                for row in rows
                if (row.case.signal, row.case.network, row.case.yields, row.loss)
                == (signal, network, yields, loss)
            ]
            if not series:
                continue
            x = np.array([100 * row.case.systematic for row in series]) + 0.8 * (offset - 1)
            axes.errorbar(
                x, [row.asimov for row in series], [row.error for row in series], fmt=f"{_MARKS[loss]}-",
                color=_COLOURS[loss], label=LOSSES[loss], capsize=3,
            )  # fmt: skip
        axes.set_xticks([100 * one for one in SYSTEMATICS])
        axes.set_ylim(0, None)
        axes.legend(loc="best")
        axis_labels(axes, "Uncertainty of the background [%]", "Expected significance $Z_A$")
        header(axes, SIGNALS[signal])
    return figure


@styled
def background(rows: Sequence[list[Row]], events: int) -> Figure:
    """Draw Z_A against the number of simulated background events; ``events`` are all of them."""
    figure, axes = single()
    signals = list(dict.fromkeys(group[0].case.signal for group in rows))
    lines = dict(zip(signals, ("-", "--"), strict=False))
    for signal in signals:
        for loss in LOSSES:
            series = [row for group in rows for row in group if (row.case.signal, row.loss) == (signal, loss)]
            if not series:
                continue
            axes.errorbar(
                [row.case.share * events for row in series], [row.asimov for row in series],
                [row.error for row in series], fmt=_MARKS[loss], linestyle=lines[signal],
                color=_COLOURS[loss], capsize=3, label=f"{SIGNALS[signal]}: {LOSSES[loss]}",
            )  # fmt: skip
    axes.set_xscale("log", base=2)
    ticks = sorted({round(group[0].case.share * events) for group in rows})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylim(0, 1.5 * max(row.asimov + row.error for group in rows for row in group))
    axes.legend(loc="upper left", fontsize=10)
    axis_labels(axes, "Simulated background events, all parts", "Expected significance $Z_A$")
    return figure


@styled
def batch_sizes(found: Sequence[BatchSize]) -> Figure:
    """Draw Z_A of the trainings and the bias of the loss against the batch size."""
    figure = new_figure(10.4, 4.6)
    sizes = [one.size for one in found]
    for place, (key, errors, label) in enumerate(
        (("asimov", "spread", "$Z_A$ on test events"), ("bias", "scatter", "Loss of one batch: bias [%]"))
    ):
        axes = figure.add_subplot(1, 2, place + 1)
        values = np.array([getattr(one, key) for one in found])
        bars = np.nan_to_num([getattr(one, errors) for one in found])
        axes.errorbar(sizes, values, bars, fmt="o-", color=COLOURS[place], capsize=3)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes], rotation=40)
        if key == "asimov":
            axes.set_ylim(0, 1.25 * (values + bars).max())
        axis_labels(axes, "Events in a batch", label)
    return figure


@styled
def gradients(found: Gradients) -> Figure:
    """Draw the norm of the gradient against the systematic, and the significance against the epoch."""
    figure = new_figure(10.4, 4.6)
    axes = figure.add_subplot(1, 2, 1)
    for place, (epochs, norms) in enumerate(zip(found.pretraining, found.norms, strict=True)):
        label = f"after {epochs} epoch{'s' * (epochs > 1)} of cross entropy" if epochs else "random weights"
        axes.plot(found.systematics, norms, "o-", color=COLOURS[place], label=label)
    axes.set_xscale("symlog", linthresh=0.02, linscale=0.4)
    axes.set_yscale("log")
    ticks = (0.0, 0.02, 0.1, 0.5, 1.0)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.legend(loc="best", fontsize=10)
    axis_labels(axes, "Relative uncertainty of the background", r"$\|\nabla_\theta Z_A\|$")
    axes = figure.add_subplot(1, 2, 2)
    for place, (title, several) in enumerate(found.curves.items()):
        values = np.array(several, dtype=float)
        epochs = np.arange(1, values.shape[1] + 1)
        _band(axes, epochs, values, COLOURS[place], title)
    axes.set_ylim(0, None)
    axes.legend(loc="best", fontsize=10)
    axis_labels(axes, "Epoch", "Validation significance")
    return figure


def _band(axes: Any, x: Any, values: Any, colour: str, label: str) -> None:
    """Draw the mean of rows and the range between the smallest and the largest."""
    known = np.isfinite(values).any(axis=0)
    x, values = x[known], values[:, known]
    axes.plot(x, np.nanmean(values, axis=0), color=colour, label=label)
    axes.fill_between(
        x, np.nanmin(values, axis=0), np.nanmax(values, axis=0), color=colour, alpha=0.2, lw=0
    )  # fmt: skip
