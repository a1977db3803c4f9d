"""A number with its interval, and the Poisson bootstrap that gives the intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import SettingError

#: Probability inside plus or minus one standard deviation of a Gaussian.
ONE_SIGMA = math.erf(1.0 / math.sqrt(2.0))


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with the central interval ``[low, high]`` that covers the truth with probability ``level``.

    Attributes
    ----------
    value, low, high
        The estimate and its interval, in the same units. ``low`` and ``high`` are NaN where no interval
        was asked for.
    level
        Coverage of the interval; 0.683 (one standard deviation) unless said otherwise.

    Example
    -------
    >>> estimate = Estimate(0.785, 0.782, 0.788)
    >>> print(estimate)
    0.785 ± 0.003
    >>> round(estimate.error, 3)
    0.003
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    level: float = ONE_SIGMA

    @classmethod
    def from_replicas(cls, value: float, replicas: ArrayLike, level: float = ONE_SIGMA) -> Estimate:
        """Return ``value`` with the central percentile interval of bootstrap ``replicas`` (1-D).

        Example
        -------
        >>> print(Estimate.from_replicas(5.0, range(11), level=0.8))
        5 ± 4
        """
        low, high = central_interval(np.asarray(replicas, dtype=np.float64), level)
        return cls(float(value), float(low), float(high), level)

    @property
    def error(self) -> float:
        """Half of the interval's width."""
        return 0.5 * (self.high - self.low)

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        return self.format()

    def format(self, unit: str = "") -> str:
        """Return value and error, rounded to one or two digits of the error: ``0.785 ± 0.003``.

        Two errors are written only if one is at least two thirds larger than the other: bootstrap ends
        fluctuate by less.
        """
        unit = f" {unit}" if unit else ""
        if not math.isfinite(self.value):
            text = "∞" if self.value > 0 else "undefined"
            return f"{text}{unit}" if not math.isfinite(self.low) else f"> {self.low:.3g}{unit}"
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return _minus(f"{self.value:.4g}{unit}")
        up, down = self.high - self.value, self.value - self.low
        largest = max(abs(up), abs(down))
        if largest == 0:
            return _minus(f"{self.value:.4g} ± 0{unit}")
        outside = up < 0 or down < 0  # where a bias is taken back, the interval can lie beside the value
        symmetric = not outside and abs(up - down) <= 0.25 * (up + down)
        if symmetric:
            largest = 0.5 * (up + down)
        digits = min(8, max(0, -math.floor(math.log10(largest)) + (1 if _leading(largest) < 3 else 0)))
        value = f"{self.value:.{digits}f}"
        if outside:
            return _minus(f"{value} [{self.low:.{digits}f}, {self.high:.{digits}f}]{unit}")
        if symmetric:
            return _minus(f"{value} ± {largest:.{digits}f}{unit}")
        return _minus(f"{value} +{up:.{digits}f} -{down:.{digits}f}{unit}")

    def to_dict(self) -> dict[str, float | None]:
        """Return the four numbers for JSON, with None for what is not finite."""
        return {key: finite_or_none(number) for key, number in dataclasses.asdict(self).items()}


def _leading(number: float) -> float:
    """Return the first digits of ``number``, as a number from 1 to 10."""
    return number / 10.0 ** math.floor(math.log10(number))


def _minus(text: str) -> str:
    """Return the text with typographic minus signs."""
    return text.replace("-", "−")


def finite_or_none(number: float) -> float | None:
    """Return the number for strict JSON, which has no NaN and no infinity."""
    number = float(number)
    return number if math.isfinite(number) else None


def to_json(value: Any) -> Any:
    """Return ``value`` (dataclasses, arrays, mappings, sequences, numbers) as strict JSON's types.

    Example
    -------
    >>> to_json({"x": np.array([1.0, np.nan]), "n": np.int64(3)})
    {'x': [1.0, None], 'n': 3}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return to_json(value.tolist())
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return finite_or_none(float(value))
    return value if value is None else str(value)


def central_interval(replicas: NDArray[np.float64], level: float = ONE_SIGMA) -> NDArray[np.float64]:
    """Return the percentiles ``(1 ∓ level)/2`` of ``replicas`` (replicas, ...) along the first axis.

    Percentiles are taken by order, without arithmetic between infinite values. With no replicas the
    answer is NaN.

    Raises
    ------
    SettingError
        ``level`` is not between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise SettingError(f"the level of an interval must lie between 0 and 1, not {level!r}.")
    if len(replicas) == 0:
        return np.full((2, *replicas.shape[1:]), np.nan)
    quantiles = [0.5 * (1.0 - level), 0.5 * (1.0 + level)]
    if np.isfinite(replicas).all():
        return np.quantile(replicas, quantiles, axis=0)
    return np.quantile(replicas, quantiles, axis=0, method="nearest")


def _poisson_table() -> NDArray[np.float64]:
    """Return 65536 counts whose frequencies are those of a Poisson distribution of mean 1."""
    size = 1 << 16
    probability, cumulative, counts = math.exp(-1.0), 0.0, np.zeros(size)
    begin = 0
    for count in range(12):
        cumulative += probability
        end = min(size, round(size * cumulative))
        counts[begin:end] = count
        begin, probability = end, probability / (count + 1)
    return counts


_POISSON_TABLE = _poisson_table()


def poisson_replicas(
    events: int, replicas: int, seed: int, block_elements: int = 1 << 18
) -> Iterator[NDArray[np.float64]]:
    """Give Poisson(1) counts in blocks of shape ``(block, events)``, ``replicas`` rows in all.

    A bootstrap replica of a weighted sample multiplies every event's weight by such a count; unlike
    drawing with replacement this needs no gathering of events, and the sample size fluctuates, as it
    does in an experiment. The counts come from a table of 2^16 entries, so that frequencies are right
    within 10⁻⁵; each block reuses its memory, so use it before asking for the next one.

    Raises
    ------
    SettingError
        ``replicas`` is negative.

    Example
    -------
    >>> counts = np.concatenate([block.copy() for block in poisson_replicas(1000, 50, seed=1)])
    >>> counts.shape, bool(abs(counts.mean() - 1) < 0.02), bool(abs(counts.var() - 1) < 0.03)
    ((50, 1000), True, True)
    """
    if replicas < 0:
        raise SettingError(f"the number of bootstrap replicas cannot be negative, got {replicas}.")
    generator = np.random.default_rng(seed)
    rows = max(1, min(replicas, block_elements // max(1, events)))
    memory = np.empty((rows, events))
    for first in range(0, replicas, rows):
        block = memory[: min(rows, replicas - first)]
        draws = generator.integers(0, 1 << 16, size=block.shape, dtype=np.uint16)
        np.take(_POISSON_TABLE, draws, out=block, mode="clip")
        yield block
