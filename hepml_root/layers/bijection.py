"""Invertible maps of vectors whose volume change is known: what normalising flows are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from hepml_root.errors import SettingError

Mapped = tuple[Any, Any]


class Bijection(keras.layers.Layer):
    r"""The base of all invertible maps of ``(events, features)`` that may depend on a condition.

    .. math:: z = f(x; c), \qquad \log p_x(x|c) = \log p_z(f(x; c)) + \log |\det \partial f / \partial x|

    A new one overrides :meth:`forward` (from data towards noise) and :meth:`inverse` (from noise towards
    data). Both give the mapped values ``(events, features)`` and the logarithm of the absolute value of their
    own Jacobian's determinant ``(events,)``, so that those of ``inverse(*forward(x))`` add up to 0. The
    condition is ``(events, conditions)``, or None.

    The sizes are settings, so all weights are made by the constructor: a flow is whole before its first call.
    """

    def build(self, *shapes: Any) -> None:  # noqa: ARG002
        self.built = True

    def forward(self, x: Any, condition: Any = None) -> Mapped:
        """Map data towards noise."""
        raise NotImplementedError

    def inverse(self, z: Any, condition: Any = None) -> Mapped:
        """Map noise towards data."""
        raise NotImplementedError

    def call(self, x: Any, condition: Any = None) -> Any:
        return self.forward(x, condition)[0]

    def compute_output_shape(self, x_shape: Any, condition_shape: Any = None) -> Any:  # noqa: ARG002
        return x_shape


def no_change(x: Any) -> Any:
    """Return the log-determinant of a map that keeps volumes: zeros ``(events,)``."""
    return ops.zeros_like(x[:, 0])


@keras.saving.register_keras_serializable(package="hepml_root")
class Permutation(Bijection):
    """Another order of the features: reversed, or shuffled by a seed. Volumes stay.

    Arguments
    ---------
    order
        Positions ``(features,)``: feature k of the result is feature ``order[k]`` of the argument.

    Raises
    ------
    SettingError
        ``order`` is no permutation of 0, 1, …

    Example
    -------
    >>> Permutation([2, 0, 1]).forward(np.array([[1.0, 2.0, 3.0]]))[0].numpy().tolist()
    [[3.0, 1.0, 2.0]]
    """

    def __init__(self, order: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.order = tuple(int(place) for place in order)
        if sorted(self.order) != list(range(len(self.order))):
            raise SettingError(f"order={self.order}: each of 0 to {len(self.order) - 1} once is needed.")
        self._back = np.argsort(self.order)

    def forward(self, x: Any, condition: Any = None) -> Mapped:  # noqa: ARG002
        return ops.take(x, np.asarray(self.order), axis=-1), no_change(x)

    def inverse(self, z: Any, condition: Any = None) -> Mapped:  # noqa: ARG002
        return ops.take(z, self._back, axis=-1), no_change(z)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "order": list(self.order)}


@keras.saving.register_keras_serializable(package="hepml_root")
class LinearMap(Bijection):
    r"""An invertible matrix, learnt in its triangular factors: a permutation that may also mix.

    .. math:: z = L U P x, \qquad \log |\det| = \sum_k \log |U_{kk}|

    P is a fixed permutation, L has ones on its diagonal, that of U is positive. The inverse matrix is made of
    the factors' inverses by a finite sum, :math:`(1 + N)^{-1} = \prod_k (1 + (-N)^{2^k})` for the nilpotent
    N. It depends on no event, so exported samplers hold it as one matrix.

    Arguments
    ---------
    order
        The permutation, as in :class:`Permutation`.

    Reference: arXiv:1807.03039.

    Example
    -------
    >>> LinearMap([1, 0]).forward(np.array([[1.0, 2.0]], np.float32))[0].numpy().tolist()
    [[2.0, 1.0]]
    """

    def __init__(self, order: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.permutation = Permutation(order)
        size = len(self.permutation.order)
        zeros = {"shape": (size, size), "initializer": "zeros"}
        self.lower = self.add_weight(**zeros, name="lower")
        self.upper = self.add_weight(**zeros, name="upper")
        self.log_diagonal = self.add_weight(shape=(size,), initializer="zeros", name="log_diagonal")
        below = np.tril(np.ones((size, size), np.float32), -1)
        self._below, self._above, self._one = below, below.T, np.eye(size, dtype=np.float32)

    def forward(self, x: Any, condition: Any = None) -> Mapped:
        x, change = self.permutation.forward(x, condition)
        scale = ops.exp(self.log_diagonal)
        upper = self._one + self.upper * self._above
        matrix = ops.matmul(self._one + self.lower * self._below, ops.expand_dims(scale, -1) * upper)
        return ops.matmul(x, ops.transpose(matrix)), change + ops.sum(self.log_diagonal)

    def inverse(self, z: Any, condition: Any = None) -> Mapped:
        lower = _unit_inverse(self.lower * self._below, self._one)
        upper = _unit_inverse(self.upper * self._above, self._one)
        matrix = ops.matmul(upper * ops.exp(-self.log_diagonal), lower)
        x, change = self.permutation.inverse(ops.matmul(z, ops.transpose(matrix)), condition)
        return x, change - ops.sum(self.log_diagonal)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "order": list(self.permutation.order)}


def _unit_inverse(nilpotent: Any, one: Any) -> Any:
    """Return the inverse of 1 + N for a strictly triangular N."""
    power, result = -nilpotent, one - nilpotent
    reached = 2
    while reached < len(one):
        power = ops.matmul(power, power)
        result = ops.matmul(result, one + power)
        reached *= 2
    return result


@keras.saving.register_keras_serializable(package="hepml_root")
class Standardisation(Bijection):
    r"""Shift and scale of each feature by its mean and spread in the training data.

    .. math:: z_j = (x_j - \mu_j) / \sigma_j, \qquad \log |\det| = - \sum_j \log \sigma_j

    The state is set by :meth:`adapt` and is not trained.

    Arguments
    ---------
    features
        Their number.

    Example
    -------
    >>> layer = Standardisation(1).adapt(np.array([[1.0], [3.0]]))
    >>> np.asarray(layer.forward(np.array([[5.0]], np.float32))[0]).tolist()
    [[3.0]]
    """

    def __init__(self, features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.features = int(features)
        self.mean = self.add_weight(shape=(features,), initializer="zeros", trainable=False, name="mean")
        self.spread = self.add_weight(shape=(features,), initializer="ones", trainable=False, name="spread")

    def adapt(self, x: ArrayLike, weight: ArrayLike | None = None) -> Standardisation:
        """Learn mean and spread from ``(events, features)`` and weights ``(events,)``; a constant keeps 1."""
        values = np.asarray(x, np.float64)
        given = None if weight is None else np.asarray(weight, np.float64)
        mean = np.average(values, axis=0, weights=given)
        spread = np.sqrt(np.maximum(np.average((values - mean) ** 2, axis=0, weights=given), 0.0))
        self.mean.assign(mean.astype(np.float32))
        self.spread.assign(np.where(spread > 1e-6 * (1.0 + np.abs(mean)), spread, 1.0).astype(np.float32))
        return self

    def forward(self, x: Any, condition: Any = None) -> Mapped:  # noqa: ARG002
        change = no_change(x) - ops.sum(ops.log(self.spread))
        return (x - self.mean) / self.spread, change

    def inverse(self, z: Any, condition: Any = None) -> Mapped:  # noqa: ARG002
        return z * self.spread + self.mean, no_change(z) + ops.sum(ops.log(self.spread))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "features": self.features}
