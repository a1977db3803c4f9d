"""TMVA's ROCCurve: background rejection against signal efficiency of two samples with weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError, ShapeError
from hepml_root.evaluation.arrays import checked_vector
from hepml_root.evaluation.roc import auc


class ROCCurve:
    """The ROC curve of a score, not binned: every event is a point.

    .. math:: AUC = P(s > b) + P(s = b)/2

    for a signal event s and a background event b, each drawn with the probability of its weight.

    ``ROCCurve(signal, background[, signal_weights, background_weights])`` takes the scores of two samples,
    ``ROCCurve(scores, is_signal[, weights])`` those of one with a truth value for each event (a list or array
    of bool, or ``std::vector<bool>``).

    Arguments
    ---------
    scores and weights
        One number for each event: arrays, lists, ``std::vector``. Weights may be contents of histograms, with
        the bins' centres as scores.

    Raises
    ------
    ShapeError
        Weights are not as many as scores.
    NonFiniteInputError, WeightError, EmptySelectionError
        A score is not finite, a sample is empty, or its weights do not have a positive sum.

    Example
    -------
    >>> curve = ROCCurve([0.4, 0.8], [0.1, 0.6])
    >>> curve.GetROCIntegral(), curve.GetEffSForEffB(0.5)
    (0.75, 1.0)
    >>> ROCCurve([0.4, 0.8, 0.1, 0.6], [True, True, False, False]).GetROCIntegral()
    0.75
    """

    def __init__(self, *arguments: Any) -> None:
        if not 2 <= len(arguments) <= 4:
            raise SettingError(
                "ROCCurve(signal, background[, signal weights, background weights]) or "
                "ROCCurve(scores, is_signal[, weights])."
            )
        second = np.asarray(arguments[1])
        if len(arguments) == 3 or (second.dtype == bool and len(arguments) == 2):
            scores = checked_vector("the scores", arguments[0])
            signal = checked_vector("is_signal", second, len(scores)) > 0.5
            weights = _weights(arguments[2] if len(arguments) == 3 else None, len(scores))
        else:
            samples = [checked_vector(f"the scores of {name}", values) for name, values in
                       zip(("signal", "background"), arguments[:2], strict=True)]  # fmt: skip
            given: Sequence[Any] = arguments[2:]
            if len(given) == 1:
                raise SettingError("ROCCurve: give the weights of both samples, or none.")
            scores = np.concatenate(samples)
            signal = np.repeat([True, False], [len(sample) for sample in samples])
            weights = np.concatenate(
                [_weights(given[i] if given else None, len(sample)) for i, sample in enumerate(samples)]
            )
        self._area = auc(scores, signal, weights, bootstrap=0).value
        order = np.argsort(-scores, kind="stable")
        above_s = np.cumsum(np.where(signal, weights, 0.0)[order])
        above_b = np.cumsum(np.where(signal, 0.0, weights)[order])
        ordered = scores[order]
        # Events of the same score pass a cut together.
        ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        self._signal = np.concatenate([[0.0], above_s[ends] / above_s[-1]])
        self._background = np.concatenate([[0.0], above_b[ends] / above_b[-1]])

    def GetROCIntegral(self, points: int = 41) -> float:
        """Return the area under the curve; it is exact, whatever number of points is asked for."""
        _points(points)
        return self._area

    def GetEffSForEffB(self, background_efficiency: float, points: int = 41) -> float:
        """Return the signal efficiency at a background efficiency, on straight lines between the events.

        Raises
        ------
        SettingError
            The efficiency is not between 0 and 1.
        """
        _points(points)
        if not 0 <= background_efficiency <= 1:
            raise SettingError(f"a background efficiency of {background_efficiency}: 0 to 1.")
        return float(_straight(self._background, self._signal, np.array([background_efficiency]))[0])

    def GetROCCurve(self, points: int = 100) -> Any:
        """Return the curve as a ``TGraph``: background rejection (1 − efficiency) against signal efficiency.

        Arguments
        ---------
        points
            How many, at equal distances in the signal efficiency from 0 to 1.
        """
        import ROOT

        _points(points)
        at = np.linspace(0.0, 1.0, points)
        # Of several background efficiencies at one signal efficiency the lowest: it is what a cut can reach.
        rejection = 1.0 - np.interp(at, *_lowest(self._signal, self._background))
        return ROOT.TGraph(points, at, rejection)


def _weights(given: Any, events: int) -> NDArray[np.float64]:
    if given is None:
        return np.ones(events)
    weights = np.asarray(given, np.float64)
    if weights.shape != (events,):
        raise ShapeError(f"{weights.size} weights for {events} scores.")
    return weights


def _points(points: int) -> None:
    if int(points) < 2:
        raise SettingError(f"a curve of {points} points: at least 2.")


def _lowest(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each x once, with the first of its y, and the end."""
    distinct, first = np.unique(x, return_index=True)
    return distinct, y[first]


def _straight(x: NDArray[np.float64], y: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate; of several y at one x the highest counts."""
    distinct, backward = np.unique(x[::-1], return_index=True)
    return np.interp(at, distinct, y[::-1][backward])
