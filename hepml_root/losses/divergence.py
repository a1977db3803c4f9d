"""How far distributions are from one another: Kullback-Leibler of normals, maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops


def normal_divergence(mean: Any, log_variance: Any) -> Any:
    r"""Return the Kullback-Leibler divergence of independent normals from the standard one, ``(events, 1)``.

    .. math:: KL = \tfrac12 \sum_k \left( \mu_k^2 + \sigma_k^2 - 1 - \log \sigma_k^2 \right)

    Arguments
    ---------
    mean, log_variance
        :math:`\mu` and :math:`\log \sigma^2`, ``(events, dimensions)``.

    Reference: arXiv:1312.6114, appendix B.

    Example
    -------
    >>> import numpy as np
    >>> float(normal_divergence(np.array([[1.0, 2.0]], np.float32), np.zeros((1, 2), np.float32))[0, 0])
    2.5
    """
    terms = ops.square(mean) + ops.exp(log_variance) - 1.0 - log_variance
    return 0.5 * ops.sum(terms, axis=-1, keepdims=True)


def mean_discrepancy(x: Any, y: Any, widths: Sequence[float] = (0.5, 1.0, 2.0, 4.0)) -> Any:
    r"""Return the squared maximum mean discrepancy of two samples, one number, without bias.

    .. math:: \frac{1}{n(n-1)} \sum_{i \ne j} k(x_i, x_j) + \frac{1}{m(m-1)} \sum_{i \ne j} k(y_i, y_j)
              - \frac{2}{nm} \sum_{ij} k(x_i, y_j), \qquad
              k(a, b) = \frac1W \sum_w e^{-|a-b|^2 / 2 w^2 d}

    d are the dimensions. It is 0 on average for two samples of one distribution, and may be below.

    Arguments
    ---------
    x, y
        ``(events, dimensions)``; at least two events each.
    widths
        The w.

    Reference: Gretton et al., Journal of Machine Learning Research 13 (2012) 723.

    Example
    -------
    >>> import numpy as np
    >>> x = np.zeros((3, 1), np.float32)
    >>> float(mean_discrepancy(x, x)), float(mean_discrepancy(x, x + 1000.0))
    (0.0, 2.0)
    """

    def kernel(a: Any, b: Any) -> Any:
        squared = ops.sum(ops.square(a[:, None, :] - b[None, :, :]), axis=-1) / a.shape[-1]
        return sum(ops.exp(-squared / (2.0 * width**2)) for width in widths) / len(widths)

    def within(a: Any) -> Any:
        count = ops.cast(ops.shape(a)[0], "float32")
        return (ops.sum(kernel(a, a)) - count) / (count * (count - 1.0))  # k(a, a) = 1 on the diagonal

    return within(x) + within(y) - 2.0 * ops.mean(kernel(x, y))
