"""The cut that one sample chooses, and what it is worth on another: the yields without the chooser's luck."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import EmptySelectionError, SettingError, ShapeError, StatisticsWarning, unknown
from hepml_root.evaluation.arrays import Bools, Floats, checked_binary, weights_of_yields
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, finite_or_none, to_json
from hepml_root.evaluation.significance import (
    BestCut,
    asimov_gradient,
    asimov_significance,
    scan_significance,
    simple_gradient,
    simple_significance,
)
from hepml_root.evaluation.yield_errors import efficiency_variance, gaussian_estimate, propagated

OBJECTIVES = ("asimov", "simple")

# Scores, labels and, if there are any, weights: arrays (events,).
Sample = Sequence[Any]


@dataclasses.dataclass(frozen=True)
class CutYields:
    """What passes ``score ≥ threshold`` in one sample, with its statistical errors.

    Attributes
    ----------
    threshold
        The cut; a float32 number.
    signal, background
        Expected events that pass.
    asimov, simple
        Z_A and ``s/√(s+b)`` of them; undefined where no background passes.
    signal_efficiency, background_efficiency
        Parts of the yields that pass.
    effective_signal, effective_background
        ``(Σw)²/Σw²`` of the simulated events that pass.
    systematic
        Relative uncertainty of the background in Z_A.
    """

    threshold: float
    signal: Estimate
    background: Estimate
    asimov: Estimate
    simple: Estimate
    signal_efficiency: float
    background_efficiency: float
    effective_signal: float
    effective_background: float
    systematic: float

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


@dataclasses.dataclass(frozen=True)
class ChosenCut:
    """A cut chosen on one sample and applied to another.

    Attributes
    ----------
    threshold
        The cut: a float32 number, the same in Python, RDataFrame and C++, half-way between two scores.
    objective
        What was maximised: "asimov" or "simple".
    chosen, applied
        The yields in the sample that chose the cut, whose significance is biased upward as the largest of
        many, and in the other one, whose is not; None where there is none.
    chosen_on, applied_on
        What the two samples are called.
    interval
        The threshold with the interval of the optimum's place over the bootstrap replicas.
    """

    threshold: float
    objective: str
    chosen: CutYields
    applied: CutYields | None
    chosen_on: str
    applied_on: str
    interval: Estimate

    @property
    def optimism(self) -> float:
        """Significance on the sample that chose minus that on the other; NaN where there is none."""
        if self.applied is None:
            return float("nan")
        first, second = (getattr(part, self.objective) for part in (self.chosen, self.applied))
        return float(first.value - second.value)

    def working_point(self, name: str | None = None, output: str | None = None) -> dict[str, Any]:
        """Return the cut as the model file's manifest holds it, for ``hr.export(..., working_points=[...])``.

        The yields are those of the sample that did not choose the cut, where there is one. ``name`` is, if
        None, the objective with its systematic uncertainty (``"asimov_0.3"``); ``output`` the label of the
        output that is cut on, needed of models with several.

        Example
        -------
        >>> generator = np.random.default_rng(1)
        >>> scores = np.concatenate([generator.uniform(0, 1, 5000), generator.beta(4, 1, 5000)])
        >>> cut = choose_cut((scores, np.arange(10000) >= 5000), systematic=0.3)
        >>> point = cut.working_point()
        >>> point["name"], point["chosen_on"], point["threshold"] == cut.threshold
        ('asimov_0.3', 'validation', True)
        """
        yields = self.chosen if self.applied is None else self.applied
        significance = getattr(yields, self.objective)
        default = f"asimov_{yields.systematic:g}" if self.objective == "asimov" else "simple"
        point: dict[str, Any] = {"name": name or default}
        if output is not None:
            point["output"] = output
        return point | {
            "threshold": self.threshold,
            "chosen_on": self.chosen_on,
            "yields_on": self.chosen_on if self.applied is None else self.applied_on,
            "objective": self.objective,
            "signal": finite_or_none(yields.signal.value),
            "background": finite_or_none(yields.background.value),
            "significance": finite_or_none(significance.value),
            "significance_error": finite_or_none(significance.error),
            "systematic": yields.systematic,
        }

    def to_dict(self) -> dict[str, Any]:
        return {
            **to_json(self),
            "working_point": self.working_point(),
            "optimism": finite_or_none(self.optimism),
        }


def passes(scores: ArrayLike, threshold: float) -> Bools:
    """Return which events pass ``score ≥ threshold``, both as float32, the precision of every engine.

    A NaN never passes. The C++ of working points compares in the same way, so that yields agree exactly.

    Example
    -------
    >>> passes(np.float32([0.1, 0.9, 0.90001]), 0.9).tolist()  # 0.9 is no float32: both are rounded
    [False, True, True]
    """
    with np.errstate(over="ignore"):
        return np.asarray(scores).astype(np.float32) >= np.float32(threshold)


def yields_above(
    threshold: float,
    scores: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    signal_events: float | None = None,
    background_events: float | None = None,
    systematic: float = 0.1,
    level: float = ONE_SIGMA,
) -> CutYields:
    """Return what passes a cut that was chosen elsewhere.

    Errors are Gaussian: ``√Σw²`` of the yields (or those of the efficiencies, where totals are given), and
    the linear propagation of both to the significances.

    Arguments
    ---------
    threshold
        The cut ``score ≥ threshold``, compared as float32 (:func:`passes`).
    scores, labels, weights
        Arrays (events,); labels are 1 for signal.
    signal_events, background_events
        Events expected before the cut; the sums of weights if None.
    systematic
        Relative uncertainty of the background.
    level
        Coverage of the intervals.

    Raises
    ------
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError
        The arrays cannot be used; see :func:`hepml_root.evaluation.arrays.checked_binary`.
    SettingError
        A total is not positive, or the threshold is no finite number.

    Example
    -------
    >>> found = yields_above(0.5, [0.1, 0.6, 0.7, 0.2], [0, 0, 1, 1], [30, 10, 4, 4], systematic=0)
    >>> print(found.signal, found.background)
    4 ± 4 10 ± 10
    """
    if not np.isfinite(threshold):
        raise SettingError(f"a cut is a finite number, not {threshold!r}.")
    passing = passes(scores, threshold).reshape(-1)
    scores, signal, weights = checked_binary(scores, labels, weights)
    weights = weights_of_yields(signal, weights, signal_events, background_events)
    found = []
    for members, wanted in ((signal, signal_events), (~signal, background_events)):
        w = weights[members]
        above = w[passing[members]]
        variance = efficiency_variance(above.sum(), (above**2).sum(), w.sum(), (w**2).sum(), fixed=wanted)
        found.append((float(above.sum()), float(variance), float((above**2).sum()), float(w.sum())))
    (s, variance_s, squares_s, all_s), (b, variance_b, squares_b, all_b) = found

    def significance(value: Floats, gradient: tuple[Floats, Floats]) -> Estimate:
        # A cut that no simulated background passes has an unknown significance, not an infinite one.
        known = float(value) if b > 0 else np.nan
        error = propagated(gradient, np.asarray(variance_s), np.asarray(variance_b))
        return gaussian_estimate(known, float(error), level)

    return CutYields(
        threshold=float(np.float32(threshold)),
        signal=gaussian_estimate(s, variance_s**0.5, level),
        background=gaussian_estimate(b, variance_b**0.5, level),
        asimov=significance(asimov_significance(s, b, systematic), asimov_gradient(s, b, systematic)),
        simple=significance(simple_significance(s, b), simple_gradient(s, b)),
        signal_efficiency=s / all_s,
        background_efficiency=b / all_b,
        effective_signal=s * s / squares_s if squares_s > 0 else 0.0,
        effective_background=b * b / squares_b if squares_b > 0 else 0.0,
        systematic=float(systematic),
    )


def choose_cut(
    validation: Sample,
    test: Sample | None = None,
    *,
    objective: str = "asimov",
    signal_events: float | None = None,
    background_events: float | None = None,
    systematic: float = 0.1,
    minimum_background: float = 10.0,
    cuts: int = 200,
    bootstrap: int = 100,
    seed: int = 1,
    level: float = ONE_SIGMA,
    chosen_on: str = "validation",
    applied_on: str = "test",
) -> ChosenCut:
    """Return the cut that is best on the validation events, with its yields on the test events.

    The largest of many fluctuating significances is biased upward, the more so the fewer events there are;
    on events that took no part in the choice it is not. Both samples are scaled to the same expected
    events: those given, else the sums of weights of the test events (of the validation events without
    any), because the best cut depends on them.

    Arguments
    ---------
    validation, test
        ``(scores, labels)`` or ``(scores, labels, weights)``, each an array (events,); labels are 1 for
        signal.
    objective
        What is maximised: "asimov" (Z_A) or "simple" (``s/√(s+b)``).
    signal_events, background_events, systematic, minimum_background, cuts, bootstrap, seed, level
        As in :func:`hepml_root.evaluation.significance.scan_significance`.
    chosen_on, applied_on
        What the two samples are called in tables and in the manifest.

    Raises
    ------
    SettingError
        A setting is out of range.
    EmptySelectionError
        No cut keeps the required effective background events.
    ShapeError, NonFiniteInputError, WeightError
        The arrays cannot be used.

    Warns
    -----
    StatisticsWarning
        All events behind the cut have the same score, so that no tighter one could be tried.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> scores = np.concatenate([generator.uniform(0, 1, 5000), generator.beta(4, 1, 5000)])
    >>> labels = np.arange(10000) >= 5000
    >>> cut = choose_cut((scores[::2], labels[::2]), (scores[1::2], labels[1::2]), signal_events=100,
    ...                background_events=1000, systematic=0.2)
    >>> bool(abs(cut.optimism) < 1), cut.applied.systematic
    (True, 0.2)
    """
    if objective not in OBJECTIVES:
        raise SettingError(unknown("objective of a cut", objective, OBJECTIVES))
    chooser, judge = checked_sample(validation), None if test is None else checked_sample(test)
    # Sums of weights that nobody gave fluctuate with the sample that they are of.
    given = signal_events, background_events
    totals = given if judge is None else expected_events(judge, *given)
    scan = scan_significance(
        chooser[0].astype(np.float32), chooser[1], chooser[2],
        signal_events=totals[0], background_events=totals[1], systematic=systematic,
        minimum_background=minimum_background, cuts=cuts, bootstrap=bootstrap, seed=seed, level=level,
    )  # fmt: skip
    best: BestCut | None = scan.best_asimov if objective == "asimov" else scan.best_simple
    if best is None:
        raise EmptySelectionError(
            f"no cut keeps {minimum_background:g} effective background events of the {len(chooser[0]):,} "
            f"{chosen_on} events. Use more events, or ask for fewer with minimum_background."
        )
    _warn_of_ties(chooser[0], best.threshold.value, chosen_on)
    threshold = _in_the_gap(chooser[0], best.threshold.value)
    chosen, applied = (
        None
        if part is None
        else yields_above(
            threshold, *part, signal_events=wanted[0], background_events=wanted[1],
            systematic=systematic, level=level,
        )
        for part, wanted in ((chooser, totals), (judge, given))
    )  # fmt: skip
    assert chosen is not None
    interval = dataclasses.replace(best.threshold, value=threshold)
    return ChosenCut(threshold, objective, chosen, applied, chosen_on, applied_on, interval)


def _warn_of_ties(scores: Floats, threshold: float, chosen_on: str) -> None:
    single = scores.astype(np.float32)
    passing = single[single >= np.float32(threshold)]
    if len(passing) > 1 and passing.min() == passing.max():
        warnings.warn(
            f"all {len(passing):,} {chosen_on} events behind the best cut have the same score, "
            f"{passing[0]:.9g}: a tighter cut may be better, but none can divide them. A network ends there "
            "where its sigmoid is steeper than float32 can tell; train with a smaller learning rate or a "
            "penalty on the weights.",
            StatisticsWarning,
            stacklevel=3,
        )


def _in_the_gap(scores: Floats, threshold: float) -> float:
    """Return the float32 in the middle between the scores next to a threshold; it passes the same events.

    A threshold that is a score itself would depend on the last bit, in which engines may differ.
    """
    single = scores.astype(np.float32)
    passing = single >= np.float32(threshold)
    if passing.all() or not passing.any():
        return float(np.float32(threshold))
    below, above = single[~passing].max(), single[passing].min()
    middle = np.float32(0.5 * (float(below) + float(above)))
    return float(middle if middle > below else above)


def expected_events(
    sample: tuple[Floats, Bools, Floats], signal_events: float | None, background_events: float | None
) -> tuple[float, float]:
    """Return the expected events of signal and background: those given, else the sums of weights."""
    _, signal, weights = sample
    return (
        float(weights[signal].sum()) if signal_events is None else float(signal_events),
        float(weights[~signal].sum()) if background_events is None else float(background_events),
    )


def checked_sample(sample: Sample) -> tuple[Floats, Bools, Floats]:
    """Return scores, labels and weights (events,), checked as :func:`checked_binary` does.

    Raises
    ------
    ShapeError
        It is neither ``(scores, labels)`` nor ``(scores, labels, weights)``.
    """
    if not isinstance(sample, Sequence) or len(sample) not in (2, 3):
        raise ShapeError(
            "a sample is (scores, labels) or (scores, labels, weights), each an array (events,)."
        )
    return checked_binary(*sample)
