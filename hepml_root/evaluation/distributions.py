"""Weighted histograms, as plain arrays."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import NonFiniteInputError
from hepml_root.evaluation.arrays import Floats, checked_weights
from hepml_root.evaluation.estimate import to_json


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Sums of weights in bins, with their variances.

    Attributes
    ----------
    name, title, unit
        Key, axis title and unit of the quantity.
    edges
        Bin edges (bins + 1,).
    values, variances
        ``Σw`` and ``Σw²`` per bin (bins,).
    underflow, overflow
        ``Σw`` outside the edges.
    entries
        Number of events filled, inside and outside.
    """

    name: str
    edges: Floats
    values: Floats
    variances: Floats
    underflow: float = 0.0
    overflow: float = 0.0
    entries: int = 0
    title: str = ""
    unit: str = ""

    def normalised(self) -> Histogram:
        """Return the histogram divided by its sum of weights, outside included; unchanged if that is ≤ 0."""
        total = float(self.values.sum()) + self.underflow + self.overflow
        if total <= 0:
            return self
        return dataclasses.replace(
            self,
            values=self.values / total,
            variances=self.variances / total**2,
            underflow=self.underflow / total,
            overflow=self.overflow / total,
        )

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def histogram(
    name: str,
    values: ArrayLike,
    edges: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    title: str = "",
    unit: str = "",
) -> Histogram:
    """Return the weighted histogram of ``values`` (events,); the last bin includes its upper edge.

    Raises
    ------
    NonFiniteInputError
        A value is NaN (infinite values go to the underflow and the overflow).
    WeightError
        The weights are not one finite number per event.

    Example
    -------
    >>> h = histogram("x", [0.1, 0.6, 0.7, 2.0], [0.0, 0.5, 1.0], [1.0, 2.0, 3.0, 4.0])
    >>> h.values, h.variances, h.overflow
    (array([1., 5.]), array([ 1., 13.]), 4.0)
    """
    values = np.asarray(values, dtype=np.float64).ravel()
    weights = checked_weights(weights, len(values))
    edges = np.asarray(edges, dtype=np.float64)
    if np.isnan(values).any():
        raise NonFiniteInputError(f"'{name}' holds {int(np.isnan(values).sum())} NaN: they belong to no bin.")
    bins = len(edges) - 1
    index = np.searchsorted(edges, values, side="right")
    index[values == edges[-1]] = bins
    sums: Floats = np.bincount(index, weights, bins + 2).astype(np.float64)
    squares: Floats = np.bincount(index, weights**2, bins + 2).astype(np.float64)
    return Histogram(
        name,
        edges,
        sums[1:-1],
        squares[1:-1],
        float(sums[0]),
        float(sums[-1]),
        len(values),
        title or name,
        unit,
    )


def binning(values: ArrayLike, bins: int = 40, coverage: float = 0.99) -> Floats:
    """Return edges (bins + 1,) over the central ``coverage`` of the values, or one bin per integer if few.

    Long tails are cut, so that the bulk of a distribution is seen; a limit that is less than a fifth of the
    width away is kept, so that physical borders (zero, one) stay where they are.

    Example
    -------
    >>> binning([0.0, 1.0, 2.0, 1.0])
    array([-0.5,  0.5,  1.5,  2.5])
    """
    values = np.asarray(values, dtype=np.float64).ravel()
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return np.linspace(0.0, 1.0, bins + 1)
    lowest, highest = float(values.min()), float(values.max())
    integers = np.unique(values[:10_000])
    if len(integers) <= 25 and np.all(integers == np.round(integers)) and highest - lowest < 60:
        return np.arange(lowest - 0.5, highest + 1.0)
    low, high = np.quantile(values, [0.5 * (1 - coverage), 0.5 * (1 + coverage)])
    width = high - low
    if width <= 0:
        low, high = lowest, highest
        width = high - low
        if width <= 0:
            return np.linspace(low - 0.5, low + 0.5, bins + 1)
    low = lowest if low - lowest < 0.2 * width else low
    high = highest if highest - high < 0.2 * width else high
    return np.linspace(low, high, bins + 1)
