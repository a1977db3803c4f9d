"""Standardisation whose mean and spread follow the condition."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from hepml_root.layers.bijection import Bijection, Mapped

_ITERATIONS = 30


@keras.saving.register_keras_serializable(package="hepml_root")
class ConditionalStandardisation(Bijection):
    r"""Shift and scale of each feature by the mean and the spread that it has at the condition.

    .. math:: z_j = (x_j - \mu_j(c)) / \sigma_j(c), \qquad \log |\det| = - \sum_j \log \sigma_j(c)

    :math:`\mu` and :math:`\log \sigma` are polynomials of second degree of all conditions. A resolution that
    falls with the energy is so taken out, and a flow behind it has the less to learn.
    Takes ``(events, features)`` and conditions ``(events, conditions)``; beyond the range of the conditions
    that it was adapted to, mean and spread stay as they are at its end. The state is set by :meth:`adapt`
    and is not trained.

    Arguments
    ---------
    features, conditions
        Their numbers.

    Example
    -------
    >>> random = np.random.default_rng(1)
    >>> energy = random.uniform(-1, 1, (4000, 1))
    >>> x = 2 * energy + np.exp(energy) * random.normal(size=(4000, 1))
    >>> layer = ConditionalStandardisation(1, 1).adapt(x, energy)
    >>> z, _ = layer.forward(np.float32([[2.0 + np.e]]), np.float32([[1.0]]))
    >>> bool(abs(float(z[0, 0]) - 1) < 0.1)
    True
    """

    def __init__(self, features: int, conditions: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.features, self.conditions = int(features), int(conditions)
        terms = conditions + conditions * (conditions + 1) // 2

        def state(name: str, shape: tuple[int, ...], initializer: str) -> Any:
            return self.add_weight(shape=shape, initializer=initializer, trainable=False, name=name)

        self.centre = state("centre", (conditions,), "zeros")
        self.half = state("half", (conditions,), "ones")
        self.mean = state("mean", (features,), "zeros")
        self.mean_terms = state("mean_terms", (terms, features), "zeros")
        self.log_spread = state("log_spread", (features,), "zeros")
        self.log_spread_terms = state("log_spread_terms", (terms, features), "zeros")

    def adapt(self, x: ArrayLike, condition: ArrayLike) -> ConditionalStandardisation:
        """Learn from ``(events, features)`` and conditions ``(events, conditions)``.

        The spread is that of largest likelihood, were the features normal. Where it has no finite value, as
        of a feature that is constant, it is the same for all conditions, and 1 where there is none at all.
        """
        values, given = np.asarray(x, np.float64), np.asarray(condition, np.float64)
        low, high = given.min(axis=0), given.max(axis=0)
        half = np.where(high > low, 0.5 * (high - low), 1.0)
        self.centre.assign((0.5 * (low + high)).astype(np.float32))
        self.half.assign(half.astype(np.float32))
        inside = (given - 0.5 * (low + high)) / half
        columns = [np.ones_like(inside[:, :1]), inside]
        columns += [inside[:, place : place + 1] * inside[:, place:] for place in range(self.conditions)]
        terms = np.concatenate(columns, axis=1)
        solve = np.linalg.pinv(terms)
        mean = solve @ values
        squares = (values - terms @ mean) ** 2
        scales = 1.0 + np.abs(values.mean(axis=0))
        found = [_log_spread(terms, solve, *pair) for pair in zip(squares.T, scales, strict=True)]
        log_spread = np.stack(found, axis=1)
        self.mean.assign(mean[0].astype(np.float32))
        self.mean_terms.assign(mean[1:].astype(np.float32))
        self.log_spread.assign(log_spread[0].astype(np.float32))
        self.log_spread_terms.assign(log_spread[1:].astype(np.float32))
        return self

    def _at(self, condition: Any) -> tuple[Any, Any]:
        """Return mean and log-spread ``(events, features)`` at conditions."""
        inside = ops.clip((condition - self.centre) / self.half, -1.0, 1.0)
        products = [inside[:, place : place + 1] * inside[:, place:] for place in range(self.conditions)]
        terms = ops.concatenate([inside, *products], axis=-1)
        mean = ops.matmul(terms, self.mean_terms) + self.mean
        return mean, ops.matmul(terms, self.log_spread_terms) + self.log_spread

    def forward(self, x: Any, condition: Any = None) -> Mapped:
        mean, log_spread = self._at(condition)
        return (x - mean) * ops.exp(-log_spread), -ops.sum(log_spread, axis=-1)

    def inverse(self, z: Any, condition: Any = None) -> Mapped:
        mean, log_spread = self._at(condition)
        return z * ops.exp(log_spread) + mean, ops.sum(log_spread, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "features": self.features, "conditions": self.conditions}


def _log_spread(
    terms: NDArray[np.float64], solve: NDArray[np.float64], squares: NDArray[np.float64], scale: float
) -> NDArray[np.float64]:
    """Return the coefficients of log σ that make Σ (log σ² + r²/σ²) smallest, for squared residuals r²."""
    found = np.zeros(terms.shape[1])
    mean = squares.mean()
    if not mean > (1e-6 * scale) ** 2:
        return found
    log_variance = np.full(len(squares), np.log(mean))
    coefficients = found
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_ITERATIONS):  # Fisher's scoring: each step is a least-squares fit
            coefficients = solve @ (log_variance + squares * np.exp(-log_variance) - 1.0)
            log_variance = terms @ coefficients
        better = np.mean(log_variance + squares * np.exp(-log_variance)) <= np.log(mean) + 1.0
    if better and np.isfinite(coefficients).all():
        return 0.5 * coefficients
    found[0] = 0.5 * np.log(mean)
    return found
