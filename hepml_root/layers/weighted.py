"""Weighted moments and quantiles of columns, as the transforms need them: signed weights, bounded memory.

Sums run in float64 over blocks of rows, so that float32 columns of any length lose no digits and are
never copied as a whole.

>>> import numpy as np
>>> mean, covariance = moments(np.array([[0.0], [2.0], [4.0]]), np.array([1.0, 1.0, -1.0]))
>>> float(mean[0])
-2.0
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import EmptySelectionError, NonFiniteInputError, ShapeError, WeightError

_BLOCK = 65536


def rows(
    x: NDArray, weight: ArrayLike | None = None, mask: ArrayLike | None = None
) -> tuple[NDArray, NDArray[np.float64]]:
    """Return values as ``(rows, features)`` and one weight for each row.

    Padded constituents, ``(events, constituents, features)`` with a mask ``(events, constituents)``, become
    rows of valid constituents, each with the weight of its event. Rows of weight zero are left out.

    Raises
    ------
    ShapeError
        Weight or mask do not fit the values.
    WeightError
        A weight is not finite, or the weights do not add up to something positive.
    EmptySelectionError
        No row is left.
    """
    if x.ndim < 2:
        raise ShapeError(f"a transform takes (events, features), not an array of shape {x.shape}.")
    lead = x.shape[:-1]
    each = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=np.float64)
    if each.shape != (len(x),):
        raise ShapeError(f"the weights have shape {each.shape}; {len(x)} events need one weight each.")
    if not np.isfinite(each).all():
        raise WeightError(f"{np.count_nonzero(~np.isfinite(each))} weights are NaN or infinite.")
    each = np.broadcast_to(each.reshape((-1,) + (1,) * (len(lead) - 1)), lead).reshape(-1)
    x = x.reshape(-1, x.shape[-1])
    used = each != 0
    if mask is not None:
        mask = np.asarray(mask)
        if mask.shape != lead:
            raise ShapeError(f"the mask has shape {mask.shape}; the values need {lead}.")
        used &= mask.reshape(-1) > 0.5
    if not used.all():
        x, each = x[used], each[used]
    if not len(x):
        raise EmptySelectionError(
            "a transform cannot adapt to no events: all are masked, absent, or of weight 0."
        )
    if each.sum() <= 0:
        raise WeightError(
            f"the weights add up to {each.sum():.4g}; a transform needs a positive sum. "
            "With many negative weights, adapt to their absolute values."
        )
    return x, each


def finite(x: NDArray, what: str) -> None:
    """Raise if a column holds NaN or infinity: moments and quantiles of such a column mean nothing.

    Raises
    ------
    NonFiniteInputError
        Names the columns by their position and says what to do.
    """
    bad = np.zeros(x.shape[1], dtype=np.int64)
    for first in range(0, len(x), _BLOCK):
        bad += np.count_nonzero(~np.isfinite(x[first : first + _BLOCK]), axis=0)
    if bad.any():
        listed = ", ".join(f"column {i}: {bad[i]}" for i in np.flatnonzero(bad)[:8])
        raise NonFiniteInputError(
            f"{what} cannot adapt to NaN or infinite values ({listed}). Put 'impute' first in the transforms."
        )


def moments(x: NDArray, weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return the weighted mean ``(features,)`` and covariance ``(features, features)`` of rows.

    .. math:: \mu = \frac{\sum w x}{\sum w}, \qquad C = \frac{\sum w (x - \mu)(x - \mu)^T}{\sum w}
    """
    total = weight.sum()
    mean = np.zeros(x.shape[1])
    for first in range(0, len(x), _BLOCK):
        mean += weight[first : first + _BLOCK] @ x[first : first + _BLOCK].astype(np.float64)
    mean /= total
    covariance = np.zeros((x.shape[1], x.shape[1]))
    for first in range(0, len(x), _BLOCK):
        centred = x[first : first + _BLOCK].astype(np.float64) - mean
        covariance += (centred * weight[first : first + _BLOCK, None]).T @ centred
    return mean, covariance / total


def spread(variance: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard deviation of columns, 1 for a column that is constant in float32.

    Raises
    ------
    WeightError
        Negative weights make a variance negative.
    """
    # A float32 column of value m is constant to its rounding when its variance is below (6e-8 m)^2.
    rounding = (1e-6 * np.abs(mean)) ** 2 + 1e-60
    if (variance < -rounding).any():
        column = int(np.argmin(variance))
        raise WeightError(
            f"the weighted variance of column {column} is {variance[column]:.4g}: negative weights dominate. "
            "Adapt to the absolute values of the weights."
        )
    constant = variance <= rounding
    return np.where(constant, 1.0, np.sqrt(np.where(constant, 1.0, variance)))


def distribution(x: NDArray, weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Return the distinct values of one column and the weighted distribution function at them.

    .. math:: F(v) = \frac{\sum_{x < v} w + \frac{1}{2} \sum_{x = v} w}{\sum w}

    With negative weights this sum is not monotone; the mean of its running maximum from the left and its
    running minimum from the right is returned, which is, and is the same where the sum is monotone.
    """
    order = np.argsort(x, kind="stable")
    values, starts = np.unique(x[order], return_index=True)
    in_value = np.add.reduceat(weight[order], starts)
    below = np.cumsum(in_value) - in_value
    function = (below + 0.5 * in_value) / weight.sum()
    rising = np.maximum.accumulate(function)
    falling = np.minimum.accumulate(function[::-1])[::-1]
    return values.astype(np.float64), np.clip(0.5 * (rising + falling), 0.0, 1.0)


def quantile(x: NDArray, weight: NDArray[np.float64], probability: float) -> float:
    """Return the value of one column below which the given part of the weight lies, interpolated.

    >>> quantile(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0]), 0.5)
    2.0
    """
    values, function = distribution(x, weight)
    return float(np.interp(probability, function, values))
