"""Linear correlation of inputs, with event weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import ShapeError, WeightError
from hepml_root.evaluation.arrays import Floats, checked_weights
from hepml_root.evaluation.estimate import to_json


@dataclasses.dataclass(frozen=True)
class Correlation:
    """Matrix (columns, columns) of linear correlation coefficients; NaN for a constant column."""

    columns: tuple[str, ...]
    matrix: Floats

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def correlation(
    values: ArrayLike, weights: ArrayLike | None = None, columns: Sequence[str] = ()
) -> Correlation:
    """Return the weighted Pearson correlations of the columns of ``values`` (events, columns).

    ``r_jk = Σ w (x_j − m_j)(x_k − m_k) / √(v_j v_k)`` with weighted means m and variances v. Columns with NaN
    or infinite entries (missing values) use, for each pair, the events where both are finite. With negative
    weights a variance can come out negative; the coefficient is then NaN.

    Raises
    ------
    ShapeError
        ``values`` is not 2-D, or ``columns`` does not name each column.
    WeightError
        Weights are not one finite number per event, or do not have a positive sum.

    Example
    -------
    >>> x = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]])
    >>> correlation(x, columns=["a", "b"]).matrix.round(6)
    array([[1., 1.],
           [1., 1.]])
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2:
        raise ShapeError(f"correlations need an array (events, columns), not {values.shape}.")
    names = tuple(columns) if len(columns) else tuple(f"x{i}" for i in range(values.shape[1]))
    if len(names) != values.shape[1]:
        raise ShapeError(f"{len(names)} names for {values.shape[1]} columns.")
    weights = checked_weights(weights, len(values))
    if not weights.sum() > 0:
        raise WeightError(f"the weights sum to {weights.sum():.6g}; a correlation needs a positive sum.")
    finite = np.isfinite(values)
    present = finite.astype(np.float64)
    # Shift and scale to keep the sums of products well conditioned.
    with np.errstate(invalid="ignore", divide="ignore"):
        filled = np.where(finite, values, 0.0)
        counts = np.maximum(present.sum(axis=0), 1.0)
        centre = filled.sum(axis=0) / counts
        centred = np.where(finite, values - centre, 0.0)
        spread = np.sqrt((centred**2).sum(axis=0) / counts)
        centred = centred / np.where(spread > 0, spread, 1.0)
        weighted = centred * weights[:, None]
        total = (present * weights[:, None]).T @ present
        mean = (weighted.T @ present) / total  # mean of column j over events where j and k are finite
        product = (weighted.T @ centred) / total - mean * mean.T
        square = ((weighted * centred).T @ present) / total - mean**2
        matrix = product / np.sqrt(square * square.T)
    constant = spread <= 1e-12 * np.maximum(np.abs(centre), 1e-300)
    matrix[constant, :] = np.nan
    matrix[:, constant] = np.nan
    return Correlation(names, np.clip(matrix, -1.0, 1.0))
