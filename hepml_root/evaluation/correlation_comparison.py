"""Correlations of all pairs of quantities in two samples, and how far they are apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import ShapeError
from hepml_root.evaluation.arrays import Floats
from hepml_root.evaluation.distances import Distance, count_pairs, effective, positive_weights
from hepml_root.evaluation.estimate import to_json
from hepml_root.evaluation.frechet import checked_features


@dataclasses.dataclass(frozen=True)
class ComparedCorrelations:
    """Matrices of linear correlation coefficients of two samples.

    Attributes
    ----------
    columns
        Names of the quantities.
    first, second
        Coefficients (columns, columns); NaN where a quantity is constant.
    distance
        Root mean square of the differences of all pairs, with error and floor. What is constant in one
        sample only is not correlated with anything there: 0.
    largest
        The two names and the difference, second minus first, of the pair that differs most.
    """

    columns: tuple[str, ...]
    first: Floats
    second: Floats
    distance: Distance
    largest: tuple[str, str, float]

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def compare_correlations(
    first: ArrayLike,
    second: ArrayLike,
    columns: Sequence[str],
    *,
    first_weights: ArrayLike | None = None,
    second_weights: ArrayLike | None = None,
    bootstrap: int = 50,
    seed: int = 1,
) -> ComparedCorrelations:
    """Return the correlations of both samples and the root mean square of their differences.

    Arguments
    ---------
    first, second
        Quantities (events, columns) of the source and of the generator.
    columns
        Their names.
    first_weights, second_weights
        Weights (events,); 1 if None.
    bootstrap, seed
        Replicas for error and floor, and their seed.

    Raises
    ------
    ShapeError
        The names do not fit the columns, or there are fewer than two.
    NonFiniteInputError, WeightError
        The arrays cannot be used.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> x, y = generator.normal(size=(2, 4000, 2))
    >>> y[:, 1] += y[:, 0]  # a correlation of 1/√2
    >>> print(compare_correlations(x, y, ["a", "b"]).distance)
    0.716 ± 0.016
    """
    one, two = checked_features(first, second)
    if one.shape[1] != len(columns) or len(columns) < 2:
        raise ShapeError(f"{len(columns)} names for {one.shape[1]} columns; two or more are needed.")
    w_one = positive_weights("the first sample", first_weights, len(one))
    w_two = positive_weights("the second sample", second_weights, len(two))
    pairs = np.triu_indices(len(columns), 1)
    tables = [(table - table.mean(axis=0)) / _positive(table.std(axis=0)) for table in (one, two)]
    matrices = [_coefficients(table, w) for table, w in zip(tables, (w_one, w_two), strict=True)]

    def apart(a: Floats, b: Floats) -> float:
        difference = _difference(a, b)[pairs]
        return float(np.sqrt(np.nanmean(difference**2))) if np.isfinite(difference).any() else 0.0

    replicas: list[float] = []
    floor: list[float] = []
    for rate, found, others, w_other in (
        (None, replicas, tables[1], w_two),
        (effective(w_two) / effective(w_one), floor, tables[0], w_one),
    ):
        for left, right in count_pairs(len(one), len(others), bootstrap, seed + len(floor), rate):
            for a, b in zip(left, right, strict=True):
                found.append(apart(_coefficients(tables[0], w_one * a), _coefficients(others, w_other * b)))
    difference = np.nan_to_num(_difference(*matrices), nan=0.0)
    at = int(np.argmax(np.abs(difference[pairs])))
    row, column = int(pairs[0][at]), int(pairs[1][at])
    distance = Distance.from_replicas(apart(*matrices), np.array(replicas), np.array(floor))
    largest = columns[row], columns[column], float(difference[row, column])
    return ComparedCorrelations(tuple(columns), matrices[0], matrices[1], distance, largest)


def _coefficients(table: Floats, weights: Floats) -> Floats:
    """Return the weighted correlations of standardised columns; NaN where a column is constant."""
    total = weights.sum()
    mean = weights @ table / total
    covariance = (table * weights[:, None]).T @ table / total - mean[:, None] * mean[None, :]
    variance = np.diag(covariance)
    scale = np.sqrt(np.where(variance > 1e-12, variance, np.nan))
    return covariance / scale[:, None] / scale[None, :]


def _difference(first: Floats, second: Floats) -> Floats:
    """Return second minus first, with 0 for what one of them lacks, and NaN for what both do."""
    nowhere = np.isnan(first) & np.isnan(second)
    return np.where(nowhere, np.nan, np.nan_to_num(second, nan=0.0) - np.nan_to_num(first, nan=0.0))


def _positive(scale: Floats) -> Floats:
    return np.where(scale > 0, scale, 1.0)
