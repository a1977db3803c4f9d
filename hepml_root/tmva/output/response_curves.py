"""What TMVA computes of a classifier's response: ranges, cut efficiencies, background against signal.

Efficiencies are step functions of 10 000 bins, straight lines through the centres of these in between; ROC
histograms have bins of the signal efficiency (TMVA: 100). The area that :func:`roc_area` gives is unbinned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import EmptySelectionError, NonFiniteInputError, ShapeError, WeightError
from hepml_root.evaluation.roc import auc
from hepml_root.tmva.weights.pdf import FINE_BINS, SMALLEST
from hepml_root.tmva.weights.splines import SPLINES

EFFICIENCY_BINS = 10_000
_MOST_RMS = 10.0  # a plot's range ends that many standard deviations from the means
_MARGIN = 0.00001  # so that the largest response lies inside
_STEPS = 1000  # in which TMVA walks along a ROC curve
_SEPARATION_STEPS = 100

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ResponseStatistics:
    """Weighted means and standard deviations of two classes, and the range of the plots.

    ``upwards`` is True where signal has the larger mean: cuts keep what is above them.
    """

    mean_signal: float
    mean_background: float
    rms_signal: float
    rms_background: float
    low: float
    high: float

    @property
    def upwards(self) -> bool:
        return self.mean_signal > self.mean_background

    @property
    def upper_edge(self) -> float:
        """Upper edge of the histograms."""
        return max(self.high + _MARGIN, math.nextafter(self.high, math.inf))

    @property
    def significance(self) -> float:
        """``|mean_S − mean_B| / √(rms_S² + rms_B²)``."""
        spread = math.hypot(self.rms_signal, self.rms_background)
        return abs(self.mean_signal - self.mean_background) / spread if spread > 0 else 0.0


def response_statistics(values: Floats, signal: Bools, weights: Floats) -> ResponseStatistics:
    """Return mean, standard deviation and range of a response ``(events,)``.

    The standard deviation has the factor ``n/(n − 1)`` with the effective events ``n = (Σw)²/Σw²``, as
    ROOT's weighted one. The range is that of all values, cut at ten standard deviations around the means.

    Raises
    ------
    NonFiniteInputError
        A response is NaN or infinite.
    EmptySelectionError, WeightError
        There is no signal or no background, or its weights do not have a positive sum.
    """
    if not (values.shape == signal.shape == weights.shape):
        raise ShapeError(f"responses {values.shape}, classes {signal.shape} and weights {weights.shape}.")
    if not np.isfinite(values).all():
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise NonFiniteInputError(f"{bad} of {len(values)} responses are NaN or infinite.")
    moments = []
    for name, chosen in (("signal", signal), ("background", ~signal)):
        if not chosen.any():
            raise EmptySelectionError(f"there is no {name} event: a response has no efficiency then.")
        moments.append(_moments(values[chosen], weights[chosen], name))
    (mean_s, rms_s), (mean_b, rms_b) = moments
    low = max(min(mean_s - _MOST_RMS * rms_s, mean_b - _MOST_RMS * rms_b), float(values.min()))
    high = min(max(mean_s + _MOST_RMS * rms_s, mean_b + _MOST_RMS * rms_b), float(values.max()))
    return ResponseStatistics(mean_s, mean_b, rms_s, rms_b, low, high)


def _moments(values: Floats, weights: Floats, name: str) -> tuple[float, float]:
    total, squares = float(weights.sum()), float((weights**2).sum())
    if not total > 0:
        raise WeightError(f"the weights of the {name} events sum to {total:g}, not to a positive number.")
    mean = float(weights @ values) / total
    effective = total**2 / squares
    if effective <= 1:
        return mean, 0.0
    variance = abs(float(weights @ (values - mean) ** 2) / total)
    return mean, math.sqrt(variance * effective / (effective - 1.0))


def cut_efficiency(values: Floats, weights: Floats, low: float, high: float, upwards: bool) -> Floats:
    """Return the share of a class that passes a cut at each of 10 000 bins ``(bins,)``.

    Bin i holds what lies in bins i and above (``upwards``), or below bin i. Events below the range count in
    the first bin, events above it do not (the other way round where signal is low), and the largest share
    is scaled to 1: so TMVA has it.

    Example
    -------
    >>> shares = cut_efficiency(np.array([0.1, 0.5, 0.7, 0.9]), np.ones(4), 0.0, 1.0, True)
    >>> shares[[0, 3000, 6000, 9500]].tolist()
    [1.0, 0.75, 0.5, 0.0]
    """
    # C++ cuts numbers off towards zero when it makes them whole.
    number = np.trunc((values - low) / (high - low) * EFFICIENCY_BINS).astype(np.int64) + 1
    if upwards:
        counts = np.bincount(
            np.clip(number, 1, EFFICIENCY_BINS + 1), weights=weights, minlength=EFFICIENCY_BINS + 2
        )
        shares = np.cumsum(counts[EFFICIENCY_BINS:0:-1])[::-1]
    else:
        kept = number >= 1
        counts = np.bincount(
            np.minimum(number[kept], EFFICIENCY_BINS), weights=weights[kept], minlength=EFFICIENCY_BINS + 1
        )
        shares = np.concatenate([[0.0], np.cumsum(counts[1:EFFICIENCY_BINS])])
    return shares / max(float(np.finfo(np.float64).eps), float(shares.max()))


def background_against_signal(signal: Floats, background: Floats, bins: int = 100) -> Floats:
    """Return the background efficiency at the centres of bins of the signal efficiency ``(bins,)``.

    ``signal`` and ``background`` are those of :func:`cut_efficiency`. The cut is the tightest one that
    reaches a signal efficiency.
    """
    if signal[0] < signal[-1]:  # loosest cut last: turn it round
        signal, background = signal[::-1], background[::-1]
    return background_at(signal[::-1], background[::-1], centres(bins))


def background_at(signal: Floats, background: Floats, targets: Floats) -> Floats:
    """Return the background efficiency where cuts, from tight to loose, first reach signal efficiencies."""
    reached = np.maximum.accumulate(signal)
    place = np.clip(np.searchsorted(reached, targets, side="left"), 1, len(reached) - 1)
    before, after = reached[place - 1], reached[place]
    part = np.clip((targets - before) / np.where(after > before, after - before, 1.0), 0.0, 1.0)
    return background[place - 1] + part * (background[place] - background[place - 1])


def centres(bins: int) -> Floats:
    """Return the centres of equal bins from 0 to 1."""
    return np.asarray((np.arange(bins) + 0.5) / bins, np.float64)


def cut_at(signal: Floats, low: float, high: float, target: float) -> float:
    """Return the tightest cut with a signal efficiency, from efficiencies at 10 000 bins."""
    cuts = low + centres(len(signal)) * (high - low)
    if signal[0] >= signal[-1]:
        signal, cuts = signal[::-1], cuts[::-1]
    return float(background_at(signal, cuts, np.array([target]))[0])


def _along(curve: Floats) -> tuple[Floats, Floats]:
    """Walk along background efficiencies at bins in 1000 steps, by straight lines continued outwards."""
    signal = centres(_STEPS)
    _, _, straight = SPLINES[0]
    return signal, straight(centres(len(curve)), curve, signal)


def signal_at(curve: Floats, background: float) -> float:
    """Return the signal efficiency at a background efficiency, from :func:`background_against_signal`.

    Half way between the two steps where the curve passes it, as TMVA quotes it.
    """
    signal, efficiency = _along(curve)
    below = efficiency - background
    before = np.concatenate([[-background], below[:-1]])
    passed = np.flatnonzero(below * before <= 0)
    place = int(passed[0]) if len(passed) else _STEPS - 1
    return 0.5 * float(signal[place] + (signal[place - 1] if place else 0.0))


def binned_area(curve: Floats) -> float:
    """Return the mean background rejection, the area that TMVA takes to rank methods."""
    return float(np.mean(1.0 - _along(curve)[1]))


def working_point(curve: Floats) -> float:
    """Return the signal efficiency that equals the background rejection there."""
    steps = 5000
    signal = centres(steps)
    _, _, straight = SPLINES[0]
    difference = signal - (1.0 - straight(centres(len(curve)), curve, signal))
    passed = np.flatnonzero(difference[1:] * difference[:-1] < 0)
    place = int(passed[0]) if len(passed) else steps - 2
    return 0.5 * float(signal[place] + signal[place + 1])


def separation(signal: Floats, background: Floats, low: float, high: float) -> float:
    """Return ``½ ∫ (s − b)²/(s + b) dx`` of two histograms ``(bins,)`` with equal bins.

    Both are scaled to unit area; the integral is a sum over the bins.

    Example
    -------
    >>> separation(np.array([1.0, 0.0]), np.array([0.0, 3.0]), 0.0, 1.0)
    1.0
    """
    width = (high - low) / len(signal)
    sums = [float(side.sum()) * width for side in (signal, background)]
    if min(sums) <= 0:
        return 0.0
    s, b = signal / sums[0], background / sums[1]
    return 0.5 * width * float(np.sum(np.divide((s - b) ** 2, s + b, out=np.zeros_like(s), where=s + b > 0)))


def smooth_separation(signal: Floats, background: Floats, low: float, high: float) -> float:
    """Return the separation of densities that are parabolas through the bins' centres, as TMVA quotes it."""
    edges = np.linspace(low, high, len(signal) + 1)
    fine = np.asarray(low + (np.arange(FINE_BINS) + 0.5) * ((high - low) / FINE_BINS), np.float64)
    at = low + (np.arange(_SEPARATION_STEPS) + 0.5) * ((high - low) / _SEPARATION_STEPS)
    _, _, parabola = SPLINES[1]
    densities: list[Floats] = []
    for contents in (signal, background):
        values = parabola((edges[:-1] + edges[1:]) / 2, contents, fine)
        bins = np.minimum((np.arange(FINE_BINS) * len(contents)) // FINE_BINS, len(contents) - 1)
        values = np.maximum(np.where(values <= SMALLEST, contents[bins], values), SMALLEST)
        normalised = values / (float(values.mean()) * (high - low))
        densities.append(np.interp(at, fine, normalised))
    s, b = densities
    return 0.5 * (high - low) / _SEPARATION_STEPS * float(np.sum((s - b) ** 2 / (s + b)))


def roc_area(values: Floats, signal: Bools, weights: Floats) -> float:
    """Return the unbinned, weighted area under the ROC curve; equal responses count one half."""
    return auc(values, signal, weights, bootstrap=0).value


def roc_points(values: Floats, signal: Bools, weights: Floats) -> tuple[Floats, Floats]:
    """Return all points of the weighted ROC curve: efficiencies of signal and background, from 0 to 1."""
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    curves = []
    for chosen in (signal, ~signal):
        running = np.cumsum(np.where(chosen, weights, 0.0)[order])
        if not len(running) or not running[-1] > 0:
            raise EmptySelectionError("a ROC curve needs events of both classes with a positive weight.")
        curves.append(np.concatenate([[0.0], running[ends] / running[-1]]))
    return curves[0], curves[1]
