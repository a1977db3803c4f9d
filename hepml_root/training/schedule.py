"""Learning-rate schedules: functions of epoch and history, so that a resumed training follows them too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError, unknown


@dataclass(frozen=True)
class Schedule:
    r"""A constant learning rate after a linear rise over the first ``warmup`` epochs; the base of all
    schedules.

    Arguments
    ---------
    warmup
        Length of the linear rise from 0, in epochs (fractions count).

    Example
    -------
    >>> Schedule(warmup=2).rates(1e-3, epoch=0, epochs=10, steps=2, monitored=[])
    array([0.     , 0.00025], dtype=float32)
    """

    warmup: float = 0.0

    def __post_init__(self) -> None:
        if self.warmup < 0:
            raise SettingError(f"warmup={self.warmup}: a number of epochs is not negative.")

    def factor(self, progress: float, epochs: int, monitored: Sequence[float]) -> float:
        """Return the learning rate in units of the base rate.

        ``progress`` counts epochs with fractions; ``monitored`` holds the validation loss of the epochs
        behind.
        """
        del progress, epochs, monitored
        return 1.0

    def rates(
        self, base: float, epoch: int, epochs: int, steps: int, monitored: Sequence[float]
    ) -> NDArray[np.float32]:
        """Return the learning rate of each step of an epoch, ``(steps,)``."""
        at = epoch + np.arange(steps) / steps
        rise = np.minimum(at / self.warmup, 1.0) if self.warmup else np.ones(steps)
        factors = np.array([self.factor(float(progress), epochs, monitored) for progress in at])
        return (base * rise * factors).astype(np.float32)


@dataclass(frozen=True)
class Cosine(Schedule):
    r"""Half a cosine from the base rate down to ``floor`` times it at the last epoch.

    .. math:: \eta = \eta_0 \left( f + (1 - f) \frac{1 + \cos(\pi t / T)}{2} \right)

    Reference: arXiv:1608.03983.

    Example
    -------
    >>> round(Cosine(floor=0.0).factor(5.0, 10, []), 3)
    0.5
    """

    floor: float = 0.01

    def factor(self, progress: float, epochs: int, monitored: Sequence[float]) -> float:
        del monitored
        part = min(max((progress - self.warmup) / max(epochs - self.warmup, 1e-9), 0.0), 1.0)
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * part))


@dataclass(frozen=True)
class Exponential(Schedule):
    r"""Fall by one half every ``half_life`` epochs, :math:`\eta = \eta_0\, 2^{-t/h}`.

    Example
    -------
    >>> Exponential(half_life=10).factor(20.0, 100, [])
    0.25
    """

    half_life: float = 10.0

    def factor(self, progress: float, epochs: int, monitored: Sequence[float]) -> float:
        del epochs, monitored
        return 0.5 ** (max(progress - self.warmup, 0.0) / self.half_life)


@dataclass(frozen=True)
class Plateau(Schedule):
    """Multiply the rate by ``factor_`` whenever the validation loss has not improved for ``patience`` epochs.

    Example
    -------
    >>> Plateau(patience=2).factor(4.0, 100, [1.0, 0.9, 0.95, 0.93])
    0.5
    """

    drop: float = 0.5
    patience: int = 3
    floor: float = 1e-3

    def factor(self, progress: float, epochs: int, monitored: Sequence[float]) -> float:
        del progress, epochs
        best, waited, factor = math.inf, 0, 1.0
        for value in monitored:
            if value < best:
                best, waited = value, 0
                continue
            waited += 1
            if waited == self.patience:
                factor, waited = factor * self.drop, 0
        return max(factor, self.floor)


_NAMES = {"constant": Schedule, "cosine": Cosine, "exponential": Exponential, "plateau": Plateau}


def schedule_of(schedule: str | Schedule | None) -> Schedule:
    """Return a schedule from its name, "constant", "cosine", "exponential" or "plateau", or as it is.

    Raises
    ------
    SettingError
        There is no such schedule.

    Example
    -------
    >>> schedule_of("cosine")
    Cosine(warmup=0.0, floor=0.01)
    """
    if schedule is None:
        return Schedule()
    if isinstance(schedule, Schedule):
        return schedule
    if not isinstance(schedule, str) or schedule not in _NAMES:
        raise SettingError(unknown("schedule", str(schedule), _NAMES, "Or give a Schedule object."))
    made: Any = _NAMES[schedule]
    return made()
