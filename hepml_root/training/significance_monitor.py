"""The discovery significance on validation events, as a metric that picks the best epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from hepml_root import losses
from hepml_root.errors import SettingError

SIGNIFICANCE = "val_significance"
# Cuts that are tried, at equal steps of signal efficiency. More would only find more lucky fluctuations.
_CUTS = 200


@dataclass(frozen=True)
class ValidationSignificance:
    r"""The largest Asimov significance :math:`Z_A` of a cut on the score of the validation events.

    Cuts are at equal steps of the signal efficiency, and only those count that enough validation events pass:
    a cut that three background events pass has whatever significance chance gives it, and the best epoch
    would be the one with the luckiest tail. With 25 effective events the background is known to 20 % and its
    significance to about 10 %. The value is still the largest of many, so biased upward: it compares epochs;
    quote the one of test events.

    Arguments
    ---------
    systematic
        Relative uncertainty of the background; None: that of the loss, 0 for a loss without one.
    minimum_background, minimum_signal
        Effective events (:math:`(\sum w)^2 / \sum w^2`) of each class that have to pass a cut.

    Raises
    ------
    SettingError
        A setting is negative.

    Reference: arXiv:1806.00322.

    Example
    -------
    >>> ValidationSignificance(systematic=0.3).minimum_background
    25.0
    """

    systematic: float | None = None
    minimum_background: float = 25.0
    minimum_signal: float = 25.0

    def __post_init__(self) -> None:
        for name in ("systematic", "minimum_background", "minimum_signal"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SettingError(f"monitor: {name}={value}: a number from 0 is needed.")

    def with_systematic_of(self, loss: Any) -> ValidationSignificance:
        """Return the same with the systematic uncertainty of a loss, if none is set.

        Raises
        ------
        SettingError
            The loss has several.
        """
        if self.systematic is not None:
            return self
        value = np.asarray(getattr(loss, "systematic", 0.0) or 0.0, dtype=np.float64)
        if value.size != 1:
            raise SettingError(
                "monitor: the loss has several systematic uncertainties, and the significance of a cut needs "
                "one: give ValidationSignificance(systematic=...)."
            )
        return ValidationSignificance(float(value.item()), self.minimum_background, self.minimum_signal)


def best_significance(
    score: ArrayLike,
    is_signal: ArrayLike,
    weight: ArrayLike,
    signal: float,
    background: float,
    monitor: ValidationSignificance,
) -> float:
    """Return the largest significance of a cut ``score ≥ t`` that enough events pass; NaN if there is none.

    Arguments
    ---------
    score, is_signal, weight
        ``(events,)``. Negative weights are used as they are.
    signal, background
        Expected events before the cut, to which the weights of each class are scaled.
    monitor
        The uncertainty and the least events; a systematic of None counts as 0.

    Example
    -------
    >>> score = np.repeat([0.9, 0.1], 200)
    >>> is_signal = np.concatenate([np.arange(200) < 150, np.arange(200) >= 150])
    >>> monitor = ValidationSignificance(systematic=0.0)
    >>> round(best_significance(score, is_signal, np.ones(400), 20.0, 100.0, monitor), 3)  # s = 15, b = 25
    2.757
    """
    score = np.asarray(score, dtype=np.float64)
    if not np.isfinite(score).all():
        return math.nan
    order = np.argsort(-score, kind="stable")
    weight = np.asarray(weight, dtype=np.float64)[order]
    of_signal = np.where(np.asarray(is_signal, dtype=bool)[order], weight, 0.0)
    of_background = weight - of_signal
    # A cut takes all events of one score, or none.
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    s, b, s2, b2 = (
        np.cumsum(values)[ends]
        for values in (of_signal, of_background, of_signal * of_signal, of_background * of_background)
    )
    if not (s[-1] > 0 and b[-1] > 0):
        return math.nan
    # The highest score at which each step of the efficiency is reached.
    efficiency = np.maximum.accumulate(s / s[-1])
    cuts = np.unique(np.searchsorted(efficiency, np.arange(1, _CUTS + 1) / _CUTS * efficiency[-1]))
    cuts = cuts[cuts < len(s)]
    s, b, s2, b2, whole_s, whole_b = s[cuts], b[cuts], s2[cuts], b2[cuts], s[-1], b[-1]
    enough = (s > 0) & (b > 0)
    enough &= (s * s >= monitor.minimum_signal * s2) & (b * b >= monitor.minimum_background * b2)
    if not enough.any():
        return math.nan
    value = losses.asimov_significance(
        signal * s[enough] / whole_s, background * b[enough] / whole_b, monitor.systematic or 0.0
    )
    return float(np.max(keras.ops.convert_to_numpy(value)))


def check_events(held: Any, monitor: ValidationSignificance) -> None:
    """Refuse validation events of which no cut can leave enough.

    Raises
    ------
    SettingError
        All of a class are fewer effective events than a cut has to leave.
    """
    for row in held.yields().values():
        kind = "signal" if row.name == held.signal else "background"
        least = getattr(monitor, f"minimum_{kind}")
        if row.effective < least:
            raise SettingError(
                f"monitor='{SIGNIFICANCE}': the class '{row.name}' has {row.effective:.1f} effective "
                f"validation events, and a cut counts from {least:g} on. Set more aside (validation=...), "
                f"monitor 'val_loss', or give ValidationSignificance(minimum_{kind}=...)."
            )
