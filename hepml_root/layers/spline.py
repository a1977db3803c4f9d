"""Monotonic rational-quadratic splines: flexible one-dimensional maps with an inverse in closed form."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

MINIMUM = 1e-2  # of a bin's width and height, as a part of the whole, and of a slope: float32 inverts these
_EVEN = 0.5  # of many narrow bins: their least part, in equal parts
_AT_ONE = math.log(math.expm1(1.0 - MINIMUM))  # where softplus makes a slope 1


def parameters(bins: int) -> int:
    """Return the raw numbers that a spline is made of: widths, heights, and slopes at the inner knots.

    >>> parameters(8)
    23
    """
    return 3 * bins - 1


def rational_quadratic(x: Any, raw: Any, bound: float, inverse: bool = False) -> tuple[Any, Any]:
    r"""Map each number by its own monotonic spline, in either direction.

    On [-B, B] the map runs through K + 1 knots. In bin k, with :math:`\xi = (x - x_k) / w_k`, the mean slope
    :math:`s_k = h_k / w_k` and the slopes :math:`\delta` at the knots,

    .. math:: y = y_k + \frac{h_k (s_k \xi^2 + \delta_k \xi (1 - \xi))}
              {s_k + (\delta_{k+1} + \delta_k - 2 s_k) \xi (1 - \xi)}

    Outside it is the identity, so that it is continuous with its slope, and finite and invertible for every
    number ("linear tails"). Raw numbers that are all 0 give the identity.

    Arguments
    ---------
    x
        ``(…, features)``.
    raw
        ``(…, features, 3 K - 1)``: widths and heights before a softmax, slopes before a softplus.
    bound
        B.
    inverse
        From y to x.

    Returns
    -------
    The mapped numbers, and the logarithm of the slope of the map in the direction asked for, both
    ``(…, features)``.

    Reference: arXiv:1906.04032.

    Example
    -------
    >>> import numpy as np
    >>> y, slope = rational_quadratic(np.array([0.3, 7.0]), np.zeros((2, 11)), 5.0)
    >>> y.numpy().round(6).tolist(), bool(abs(slope.numpy()).max() < 1e-6)
    ([0.3, 7.0], True)
    """
    bins = (raw.shape[-1] + 1) // 3
    widths, left = _bins(raw[..., :bins], bound)
    heights, low = _bins(raw[..., bins : 2 * bins], bound)
    slopes = MINIMUM + ops.softplus(raw[..., 2 * bins :] + _AT_ONE)
    end = ops.ones_like(slopes[..., :1])
    first = ops.concatenate([end, slopes], axis=-1)
    last = ops.concatenate([slopes, end], axis=-1)

    inside = ops.logical_and(x > -bound, x < bound)
    value = ops.expand_dims(ops.clip(x, -bound, bound), -1)
    # The bin is the last whose lower edge is not above: a difference of two rows of comparisons picks it, and
    # a sum of products with 0 and 1 reads its numbers exactly.
    above = ops.cast(value >= (low if inverse else left)[..., 1:], raw.dtype)
    ones = ops.ones_like(above[..., :1])
    chosen = ops.concatenate([ones, above], axis=-1) - ops.concatenate([above, 0.0 * ones], axis=-1)

    def of_bin(numbers: Any) -> Any:
        return ops.sum(chosen * numbers, axis=-1)

    width, height = of_bin(widths), of_bin(heights)
    x_k, y_k = of_bin(left), of_bin(low)
    d_0, d_1 = of_bin(first), of_bin(last)
    mean = height / width
    bend = d_1 + d_0 - 2.0 * mean
    value = value[..., 0]
    if inverse:
        rise = value - y_k
        a = height * (mean - d_0) + rise * bend
        b = height * d_0 - rise * bend
        root = ops.sqrt(ops.maximum(ops.square(b) + 4.0 * a * mean * rise, 0.0))
        xi = ops.clip(2.0 * mean * rise / (b + root), 0.0, 1.0)
        result = xi * width + x_k
    else:
        xi = (value - x_k) / width
    between = xi * (1.0 - xi)
    below = mean + bend * between
    if not inverse:
        result = y_k + height * (mean * ops.square(xi) + d_0 * between) / below
    slope = d_1 * ops.square(xi) + 2.0 * mean * between + d_0 * ops.square(1.0 - xi)
    log_slope = 2.0 * ops.log(mean) + ops.log(slope) - 2.0 * ops.log(below)
    if inverse:
        log_slope = -log_slope
    return ops.where(inside, result, x), ops.where(inside, log_slope, ops.zeros_like(log_slope))


def _bins(raw: Any, bound: float) -> tuple[Any, Any]:
    """Return the lengths of the bins on one axis, and their lower ends, both ``(…, bins)``."""
    bins = raw.shape[-1]
    # From a hundred bins on all would be of the least length, or of none: they keep half of what is to share.
    least = min(MINIMUM, _EVEN / bins)
    parts = least + (1.0 - least * bins) * ops.softmax(raw, axis=-1)
    ends = 2.0 * bound * ops.cumsum(parts, axis=-1) - bound
    inner = ends[..., :-1]
    edge = ops.ones_like(ends[..., :1]) * bound
    low = ops.concatenate([-edge, inner], axis=-1)
    high = ops.concatenate([inner, edge], axis=-1)
    return high - low, low
