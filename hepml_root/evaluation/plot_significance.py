"""Pictures of significances: several trainings in one, and the histogram of the score with its bins' Z_A."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepml_root.evaluation.binned_significance import BinnedSignificance
from hepml_root.evaluation.comparison import SignificanceComparison
from hepml_root.evaluation.plot_style import (
    BACKGROUND,
    COLOURS,
    INK,
    SIGNAL,
    axis_labels,
    header,
    single,
    styled,
    with_panel,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINES = ("-", "--", "-.", ":")
_TITLES = {"signal_efficiency": "Signal efficiency", "threshold": "Cut on the score"}


@styled
def plot_significance_comparison(
    comparison: SignificanceComparison,
    *,
    against: str = "signal_efficiency",
    title: str = "",
    sample: str = "",
) -> Figure:
    """Draw Z_A of several trainings against signal efficiency or threshold, with bands and chosen cuts.

    The triangles are the cuts that the validation events chose, with the significance on the test events.

    Raises
    ------
    SettingError
        ``against`` is neither "signal_efficiency" nor "threshold".
    """
    figure, axes = single()
    highest = 0.0
    for position, training in enumerate(comparison.trainings):
        colour, line = COLOURS[position % len(COLOURS)], _LINES[position % len(_LINES)]
        x, central, low, high = training.curve(against)
        axes.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
        label = f"{training.name}: $Z_A$ = {training.asimov}"
        axes.plot(x, central, line, color=colour, label=label)
        for cut in training.cuts:
            if cut.applied is not None:
                place = getattr(cut.applied, against)
                axes.plot(place, cut.applied.asimov.value, "v", color=colour, markersize=7)
        if np.isfinite(high).any():
            highest = max(highest, float(np.nanmax(high)))
    axes.set_ylim(0, (1.2 + 0.09 * len(comparison.trainings)) * (highest or 1.0))
    axes.legend(loc="upper right" if against == "signal_efficiency" else "upper left", fontsize=11)
    syst = f"Expected significance $Z_A$, {100 * comparison.systematic:.3g} % syst."
    axis_labels(axes, _TITLES[against], syst)
    header(axes, title, sample)
    return figure


@styled
def plot_binned_significance(binned: BinnedSignificance, *, title: str = "", sample: str = "") -> Figure:
    """Draw expected signal and background in the bins of the score, each of the same width; below, Z_A.

    The bins are drawn equally wide, with their edges as labels: those that matter are narrow.
    """
    figure, axes, panel = with_panel(share=0.34)
    bins = len(binned.signal)
    places = np.arange(bins + 1.0)
    centres = places[:-1] + 0.5
    for name, values, errors, colour in (
        ("background b", binned.background, binned.background_error, BACKGROUND),
        ("signal s", binned.signal, binned.signal_error, SIGNAL),
    ):
        seen = np.maximum(values, 0.0)
        axes.stairs(seen, places, color=colour, linewidth=1.6, label=name)
        axes.errorbar(centres, seen, errors, fmt="none", ecolor=colour, linewidth=1.2)
    positive = np.concatenate([binned.signal, binned.background])
    positive = positive[positive > 0]
    if len(positive):
        axes.set(yscale="log", ylim=(0.3 * positive.min(), 30.0 * positive.max()))
    axes.legend(loc="upper right")
    axes.set_xlim(0, bins)
    axis_labels(axes, "", "Expected events in the bin")
    panel.stairs(np.nan_to_num(binned.asimov), places, color=INK, fill=True, alpha=0.35)
    ticks = places[:: max(1, -(-bins // 8))]
    panel.set_xticks(ticks, [f"{binned.edges[int(tick)]:.3g}" for tick in ticks])
    panel.minorticks_off()
    axis_labels(panel, "Edges of the bins of the score")
    panel.set_ylabel("$Z_A$ of the bin")
    header(axes, title, sample)
    return figure
