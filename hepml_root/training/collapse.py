"""Whether a generator makes always the same: spreads and distances of its events against the data's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DIVERSITY = 0.2
_SPREAD = 0.2
_CONSTANT = 1e-6  # a spread, over the mean size, that is none


@dataclass(frozen=True)
class Diversity:
    """How generated events differ among themselves and from the data.

    Attributes
    ----------
    distance
        Mean over observables of the Wasserstein distance to the data, in units of the data's spread.
    spread
        Median over observables of the generated spread at given conditions over that of the data.
    diversity
        Mean relative distance between two generated events of like conditions over that of the data.
    narrowest
        The observable with the smallest ratio of spreads, and the ratio.
    """

    distance: float
    spread: float
    diversity: float
    narrowest: tuple[str, float]

    @property
    def collapsed(self) -> bool:
        """Whether the events are nearly all alike."""
        return not (self.diversity >= _DIVERSITY and self.spread >= _SPREAD)

    @property
    def reason(self) -> str:
        """What was found, in words with numbers."""
        name, ratio = self.narrowest
        return (
            f"two generated events of like conditions are {self.diversity:.2f} times as far apart as two "
            f"real ones (less than {_DIVERSITY} is a collapse); at given conditions the spread of the "
            f"observables is {self.spread:.2f} times the real one in the median (less than {_SPREAD} is a "
            f"collapse), and smallest for '{name}' with {ratio:.2g}"
        )


class DiversityTest:
    """Compares generated events with real ones of the same conditions.

    Arguments
    ---------
    cells
        Real events, ``(events, cells)``.
    conditions
        ``(events, conditions)``.
    observables
        {name: (events,)}, of the real ones.

    Example
    -------
    >>> random = np.random.default_rng(1)
    >>> x, c = random.normal(size=(500, 2)), np.ones((500, 1))
    >>> test = DiversityTest(x, c, {"x": x[:, 0], "y": x[:, 1]})
    >>> y = 0.01 * random.normal(size=(500, 2)) + 1.0
    >>> test.measure(y, {"x": y[:, 0], "y": y[:, 1]}).collapsed
    True
    """

    def __init__(
        self,
        cells: NDArray[np.float32],
        conditions: NDArray[np.float32],
        observables: Mapping[str, NDArray[np.floating]],
    ) -> None:
        self._basis = _basis(np.asarray(conditions, np.float64))
        self._order = np.lexsort(conditions.T[::-1])
        self._real = {name: np.asarray(values, np.float64) for name, values in observables.items()}
        self._spreads = {name: self._spread(values) for name, values in self._real.items()}
        # Of observables that are the same in all real events there is nothing to compare.
        self._varying = [
            name
            for name, values in self._real.items()
            if self._spreads[name] > _CONSTANT * (np.abs(values).mean() + _CONSTANT)
        ]
        self._apart = self._mean_distance(cells)

    def measure(
        self, cells: NDArray[np.float32], observables: Mapping[str, NDArray[np.floating]]
    ) -> Diversity:
        """Return how generated events of the same conditions compare."""
        if not np.isfinite(cells).all():
            return Diversity(float("nan"), float("nan"), float("nan"), ("cells that are finite", 0.0))
        distances, ratios = [], {}
        for name in self._varying:
            real, found = np.sort(self._real[name]), np.sort(np.asarray(observables[name], np.float64))
            distances.append(np.abs(real - found).mean() / real.std())
            ratios[name] = self._spread(np.asarray(observables[name], np.float64)) / self._spreads[name]
        if not ratios:
            return Diversity(0.0, 1.0, 1.0, ("none", 1.0))
        narrowest = min(ratios, key=lambda name: ratios[name])
        apart = self._mean_distance(cells) / self._apart if self._apart else 1.0
        return Diversity(
            float(np.mean(distances)),
            float(np.median(list(ratios.values()))),
            float(apart),
            (narrowest, float(ratios[narrowest])),
        )

    def _spread(self, values: NDArray[np.float64]) -> float:
        """Return the standard deviation of what a quadratic function of the conditions does not explain."""
        fitted, *_ = np.linalg.lstsq(self._basis, values, rcond=None)
        return float(np.std(values - self._basis @ fitted))

    def _mean_distance(self, cells: NDArray[np.float32]) -> float:
        """Return the mean distance of neighbours in the conditions, relative to their size."""
        ordered = cells[self._order]
        apart = np.linalg.norm(ordered[1:] - ordered[:-1], axis=1)
        size = np.linalg.norm(ordered, axis=1)
        return float(np.mean(apart / np.maximum(size[1:] + size[:-1], 1e-30)))


def _basis(conditions: NDArray[np.float64]) -> NDArray[np.float64]:
    width = conditions.std(axis=0)
    scaled = (conditions - conditions.mean(axis=0)) / np.where(width > 0, width, 1.0)
    return np.concatenate([np.ones((len(scaled), 1)), scaled, scaled**2], axis=1)
