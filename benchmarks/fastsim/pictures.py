"""The pictures of the comparison: response and resolution, quality against speed, distributions, learning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.fastsim.entries import SOURCE
from benchmarks.fastsim.judging import DRAWN
from benchmarks.fastsim.rates import GEANT4_RATE
from benchmarks.fastsim.results import Results, Row
from benchmarks.fastsim.sample import HELD_OUT
from hepml_root.evaluation.plot_style import COLOURS, INK, axis_labels, header, new_figure, single, styled
from hepml_root.evaluation.response import AIMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKS = "osv^D<>Pph"


def _style(rows: list[Row], row: Row) -> tuple[str, str]:
    """Return colour and marker of a generator."""
    place = rows.index(row)
    return COLOURS[place % len(COLOURS)], _MARKS[place % len(_MARKS)]


@styled
def response(found: Results) -> Figure:
    """Draw response and resolution over those of the source against the particle's energy."""
    figure = new_figure(12.0, 4.8)
    wanted = zip(("response", "resolution"), AIMS, strict=True)
    for place, (what, aim) in enumerate(wanted):
        axes = figure.add_subplot(1, 2, place + 1)
        axes.axvspan(*HELD_OUT, color="0.93", linewidth=0)
        axes.axhspan(1 - aim, 1 + aim, color="0.8", alpha=0.6, linewidth=0)
        axes.axhline(1.0, color=INK, linewidth=0.8)
        largest = 2.0 * aim
        for row in found.generators:
            colour, mark = _style(found.generators, row)
            judged = row.judged["response"]
            ratio = np.array(judged[f"{what}_ratio"], dtype=float)
            error = np.array(judged[f"{what}_ratio_error"], dtype=float)
            axes.errorbar(judged["energy"], ratio, error, fmt=f"{mark}-", color=colour, label=row.title)
            largest = max(largest, 1.15 * float(np.nanmax(np.abs(ratio - 1))))
        axes.set_xscale("log")
        axes.set_ylim(max(1 - largest, 0), 1 + 1.25 * largest)  # room for the legend
        ticks = [10, 20, 50, 100]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        if not place:
            axes.legend(loc="upper center", ncols=2, fontsize=10)
        axis_labels(axes, "Energy of the photon [GeV]", f"{what.capitalize()} / that of the source")
        header(
            axes,
            what.capitalize(),
            f"±{100 * aim:g} %; no training from {HELD_OUT[0]:g} to {HELD_OUT[1]:g} GeV",
        )
    return figure


@styled
def speed(found: Results) -> Figure:
    """Draw the high-level AUC of the generators against their rate in C++."""
    figure, axes = single(7.6, 5.4)
    rows = [row for row in found.generators if row.rates is not None]
    for row in rows:
        assert row.rates is not None
        colour, mark = _style(found.generators, row)
        axes.plot([row.rates["cpp"]], [row.high_level], mark, color=colour, label=row.title, markersize=9)
    source = float(np.median([row.rates["source"] for row in rows if row.rates is not None]))
    for rate, name in ((source, "our source"), (GEANT4_RATE, "Geant4, 50 GeV")):
        axes.axvline(rate, color=INK, linestyle=":", linewidth=1.2)
        axes.text(rate, 0.52, f" {name}", fontsize=10, rotation=90, va="bottom", ha="right")
    axes.axhline(0.65, color="0.6", linestyle="--", linewidth=1.2)
    axes.axvline(1e4, color="0.6", linestyle="--", linewidth=1.2)
    axes.set_xscale("log")
    axes.set_xlim(2, None)
    axes.set_ylim(0.48, 1.03)
    axes.legend(loc="center left", bbox_to_anchor=(0.12, 0.4), fontsize=10)
    axis_labels(axes, "Showers per second and core in C++", "AUC, high level (0.5: not to be told apart)")
    header(axes, "Quality and speed", "dashed: aims")
    return figure


@styled
def distributions(found: Results) -> Figure:
    """Draw distributions of some quantities: the source as an area, the generators as lines."""
    names = [name for name in DRAWN if all(name in row.judged["histograms"] for row in found.rows)]
    figure = new_figure(6.0 * 2, 4.4 * ((len(names) + 1) // 2))
    for place, name in enumerate(names):
        axes = figure.add_subplot((len(names) + 1) // 2, 2, place + 1)
        for row in found.generators:
            drawn = row.judged["histograms"][name]
            if row is found.generators[0]:
                _steps(axes, drawn["first"], fill=True, color="0.8", label="source")
            _steps(axes, drawn["second"], color=_style(found.generators, row)[0], label=row.title)
        drawn = found.generators[0].judged["histograms"][name]
        if drawn["logarithmic"]:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, None)
        if not place:
            axes.legend(loc="upper left", fontsize=9.5)
        unit = f" [{drawn['unit']}]" if drawn["unit"] else ""
        title = drawn["title"].replace("log₁₀", r"$\log_{10}$")  # the font lacks these digits
        axis_labels(axes, f"{title}{unit}", "Share of the showers" if name != "cells" else "Cells")
    return figure


def _steps(axes: Axes, content: dict[str, Any], **style: Any) -> None:
    """Draw a histogram; that of events as shares, that of a spectrum as it is."""
    values, edges = np.array(content["values"], dtype=float), np.array(content["edges"], dtype=float)
    total = values.sum() + content["underflow"] + content["overflow"]
    if content["entries"] and total > 0:
        values = values / total
    axes.stairs(values, edges, linewidth=1.4, **style)


@styled
def quantities(found: Results) -> Figure:
    """Draw the Wasserstein distance of each quantity, the largest above, a column for each generator."""
    rows = found.generators
    floor = next((row for row in found.rows if row.name == SOURCE), None)
    names = list(rows[0].judged["quantities"])
    names = [name for name in names if all(name in row.judged["quantities"] for row in found.rows)]
    mean = {name: np.mean([row.judged["quantities"][name] for row in rows]) for name in names}
    names.sort(key=lambda name: mean[name])
    figure, axes = single(7.6, 0.21 * len(names) + 1.6)
    for row in rows:
        colour, mark = _style(rows, row)
        values = [row.judged["quantities"][name] for name in names]
        axes.plot(values, range(len(names)), mark, color=colour, label=row.title, markersize=4.5)
    if floor is not None:
        values = [floor.judged["quantities"][name] for name in names]
        axes.plot(values, range(len(names)), "|", color=INK, label="source", markersize=9)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], fontsize=8.5)
    axes.minorticks_off()
    axes.set_ylim(-0.8, len(names) - 0.2)
    axes.legend(loc="lower right", fontsize=9.5)
    axis_labels(axes, "Wasserstein distance to the source [σ of the source]")
    return figure
