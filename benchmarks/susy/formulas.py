"""The pictures that need no events: which cuts the significances prefer, and what a batch knows.

`python -m benchmarks susy --formulas docs/images` draws them. Two Gaussians stand for the scores of signal
and background, so that everything is a formula.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from hepml_root.evaluation import asimov_significance
from hepml_root.evaluation.plot_style import (
    COLOURS,
    INK,
    axis_labels,
    header,
    rendered,
    single,
    styled,
)
from hepml_root.evaluation.significance import simple_significance
from hepml_root.output import writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SYSTEMATICS = (0.0, 0.1, 0.3, 0.5)
# Expected events before the cut, and the distance of the two Gaussians.
SIGNAL, BACKGROUND, DISTANCE = 500.0, 20_000.0, 1.8


def write(folder: Path) -> Iterator[dict[str, Any]]:
    """Write the pictures as PNG files; give the cuts that the second one shows."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {"equal_significance": equal_significance(), "preferred_cut": preferred_cut(), "bias": bias()}
    for name, figure in figures.items():
        with writing(folder / f"significance_{name}.png", overwrite=True) as path:
            path.write_bytes(rendered(figure, "png"))
    for title, s, b in best_cuts():
        yield {
            "name": f"two Gaussians, cut for {title}",
            "value": round(float(asimov_significance(s, b, 0.3)), 4),
            "unit": "Z_A at a systematic of 0.3",
            "reference": f"s {s:.4g}, b {b:.4g}, s/b {s / b:.3g}",
            "ratio": None,
        }


def yields_above(cut: Any) -> tuple[Any, Any]:
    """Return s and b of the two Gaussians above a cut.

    >>> [round(float(one), 2) for one in yields_above(DISTANCE)]
    [250.0, 718.61]
    """
    return SIGNAL * norm.sf(np.asarray(cut) - DISTANCE), BACKGROUND * norm.sf(cut)


def best_cuts() -> Iterator[tuple[str, float, float]]:
    """Give the title, s and b of the cut that is best for each figure of merit."""
    s, b = yields_above(np.linspace(-2.0, 8.0, 4001))
    merits = {"s/√(s+b)": simple_significance(s, b)}
    merits |= {f"Z_A, {100 * one:g} %": asimov_significance(s, b, one) for one in _SYSTEMATICS[1:]}
    for title, merit in merits.items():
        place = int(np.nanargmax(merit))
        yield title, float(s[place]), float(b[place])


@styled
def equal_significance() -> Figure:
    """Draw how much signal is needed for three standard deviations, against the background."""
    figure, axes = single()
    background = np.geomspace(0.3, 3e4, 300)
    for place, systematic in enumerate(_SYSTEMATICS):
        axes.plot(
            background, needed(background, systematic), color=COLOURS[place],
            label=f"$Z_A$, {100 * systematic:g} % systematic",
        )  # fmt: skip
    # s² = 9 (s + b)
    axes.plot(background, 4.5 + np.sqrt(20.25 + 9 * background), "--", color=INK, label=r"$s/\sqrt{s+b}$")
    axes.set(xscale="log", yscale="log")
    axes.legend(loc="upper left")
    axis_labels(axes, "Background events b", "Signal events s for 3 standard deviations")
    return figure


def needed(background: Any, systematic: float, standard_deviations: float = 3.0) -> Any:
    """Return the signal whose Asimov significance is given, by bisection; shape of ``background``.

    >>> round(float(asimov_significance(needed(5.0, 0.3), 5.0, 0.3)), 6)
    3.0
    """
    background = np.asarray(background, dtype=float)
    low, high = np.zeros_like(background), np.full_like(background, 1e9)
    for _ in range(200):
        middle = 0.5 * (low + high)
        enough = asimov_significance(middle, background, systematic) > standard_deviations
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


@styled
def preferred_cut() -> Figure:
    """Draw the significances against the signal efficiency: where on one ROC curve each has its best cut."""
    figure, axes = single()
    s, b = yields_above(np.linspace(0.0, 6.5, 600))
    merits = [(r"$s/\sqrt{s+b}$", simple_significance(s, b), INK, "--")]
    merits += [
        (f"$Z_A$, {100 * one:g} %", asimov_significance(s, b, one), COLOURS[place], "-")
        for place, one in enumerate(_SYSTEMATICS)
        if one > 0
    ]
    for title, merit, colour, line in merits:
        relative = merit / np.nanmax(merit)
        best = int(np.nanargmax(merit))
        label = f"{title}: best {merit[best]:.1f}, s = {s[best]:.0f}, b = {b[best]:.3g}"
        axes.plot(s / SIGNAL, relative, line, color=colour, label=label)
        axes.plot(s[best] / SIGNAL, 1.0, "v", color=colour)
    axes.set_ylim(0, 1.55)
    axes.legend(loc="upper left", fontsize=10.5)
    axis_labels(axes, "Signal efficiency of the cut", "Figure of merit / its maximum")
    header(axes, "Two Gaussians", f"S = {SIGNAL:g}, B = {BACKGROUND:g}")
    return figure


@styled
def bias() -> Figure:
    """Draw by how much the loss of a batch is biased, against the events in it."""
    import hepml_root as hr

    figure, axes = single()
    sizes = 2 ** np.arange(7, 16)
    events = np.ones(100_000)
    loss = hr.losses.AsimovSignificance(SIGNAL, BACKGROUND, 0.3)
    for place, (of_signal, of_background) in enumerate(((0.5, 1e-2), (0.3, 1e-3), (0.1, 1e-4))):
        found = [
            abs(
                hr.losses.assess_batch(
                    loss,
                    events,
                    events,
                    int(size),
                    signal_efficiency=of_signal,
                    background_efficiency=of_background,
                ).bias
            )
            for size in sizes
        ]
        label = f"cut keeps {100 * of_signal:g} % of the signal, {100 * of_background:g} % of the background"
        axes.plot(sizes, found, "o-", color=COLOURS[place], label=label)
    axes.axhline(5.0, color=INK, linestyle=":", label="above, fit() warns")
    axes.set(xscale="log", yscale="log")
    axes.set_ylim(None, 60 * max(line.get_ydata().max() for line in axes.get_lines()[:-1]))
    axes.set_xticks(sizes[::2], [str(size) for size in sizes[::2]])
    axes.minorticks_off()
    axes.legend(loc="upper left", fontsize=10)
    axis_labels(axes, "Events in a batch, half of them signal", "Bias of the Asimov loss [%]")
    header(axes, "", f"S = {SIGNAL:g}, B = {BACKGROUND:g}, 30 % systematic")
    return figure
