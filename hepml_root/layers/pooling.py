"""Pooling over the constituents of an event: from a set of any size to a fixed number of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.errors import SettingError, unknown

POOLINGS = ("sum", "mean", "max")


@keras.saving.register_keras_serializable(package="hepml_root")
class MaskedPooling(keras.layers.Layer):
    r"""Sum, mean or maximum over the constituents that are there.

    .. math:: y = \sum_i m_i x_i, \qquad y = \frac{\sum_i m_i x_i}{\sum_i m_i}, \qquad
        y = \max_{i: m_i = 1} x_i

    Takes values ``(events, constituents, features)`` and a mask ``(events, constituents)``; gives
    ``(events, features)``, in the units of the values. An event without constituents gives 0. Padding may
    hold anything, NaN included.

    Arguments
    ---------
    how
        "sum", "mean" or "max".

    Raises
    ------
    SettingError
        There is no such pooling.

    Reference: arXiv:1703.06114.

    Example
    -------
    >>> import numpy as np
    >>> x, mask = np.array([[[1.0], [3.0], [np.nan]]]), np.array([[1.0, 1.0, 0.0]])
    >>> [float(MaskedPooling(how)([x, mask])[0, 0]) for how in ("sum", "mean", "max")]
    [4.0, 2.0, 3.0]
    """

    def __init__(self, how: str = "sum", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if how not in POOLINGS:
            raise SettingError(unknown("pooling", str(how), POOLINGS))
        self.how = how

    def call(self, inputs: Sequence[Any]) -> Any:
        values, mask = inputs
        there = ops.expand_dims(mask, -1) > 0.5
        number = ops.sum(mask, axis=1, keepdims=True)
        if self.how == "max":
            largest = ops.max(ops.where(there, values, ops.full_like(values, -1e30)), axis=1)
            return ops.where(number > 0.5, largest, ops.zeros_like(largest))
        total = ops.sum(ops.where(there, values, ops.zeros_like(values)), axis=1)
        return total / ops.maximum(number, 1.0) if self.how == "mean" else total

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0][0], input_shape[0][-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "how": self.how}


@keras.saving.register_keras_serializable(package="hepml_root")
class WeightedPooling(keras.layers.Layer):
    r"""Sum over the constituents with given weights, as the energy fractions of an energy-flow network.

    .. math:: y = \frac{\sum_i m_i w_i x_i}{\sum_i m_i w_i}

    Takes values ``(events, constituents, features)``, weights that are not negative
    ``(events, constituents)`` and a mask ``(events, constituents)``; gives ``(events, features)``. An event
    whose weights add up to 0 gives 0. Padding may hold anything, NaN included.

    Example
    -------
    >>> import numpy as np
    >>> x, pt = np.array([[[1.0], [5.0], [np.nan]]]), np.array([[3.0, 1.0, np.nan]])
    >>> float(WeightedPooling()([x, pt, np.array([[1.0, 1.0, 0.0]])])[0, 0])
    2.0
    """

    def call(self, inputs: Sequence[Any]) -> Any:
        values, weight, mask = inputs
        there = mask > 0.5
        weight = ops.where(there, weight, ops.zeros_like(weight))
        # 1e-30 GeV is no energy of anything, but keeps 0/0 away.
        fraction = weight / ops.maximum(ops.sum(weight, axis=1, keepdims=True), 1e-30)
        values = ops.where(ops.expand_dims(there, -1), values, ops.zeros_like(values))
        return ops.squeeze(ops.matmul(ops.expand_dims(fraction, 1), values), 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0][0], input_shape[0][-1])


@keras.saving.register_keras_serializable(package="hepml_root")
class AttentionPooling(keras.layers.Layer):
    r"""Sum over the constituents with weights that are learnt from the constituents themselves.

    .. math:: y = \sum_i \alpha_i x_i, \qquad
        \alpha_i = \frac{m_i e^{u \cdot x_i}}{\sum_j m_j e^{u \cdot x_j}}

    Takes values ``(events, constituents, features)`` and a mask ``(events, constituents)``; gives
    ``(events, features)``. An event without constituents gives 0. Padding may hold anything, NaN included.

    Arguments
    ---------
    heads
        Number of vectors u; with several, each weighs its own share of the features.

    Raises
    ------
    SettingError
        The number of features is no multiple of ``heads``.

    Reference: arXiv:1802.04712.

    Example
    -------
    >>> import numpy as np
    >>> x = np.array([[[1.0, 2.0], [np.nan, np.nan]]], dtype="float32")
    >>> AttentionPooling()([x, np.array([[1.0, 0.0]], dtype="float32")]).numpy().tolist()
    [[1.0, 2.0]]
    """

    def __init__(self, heads: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if heads < 1:
            raise SettingError(f"heads={heads}: a whole number from 1 is needed.")
        self.heads = int(heads)

    def build(self, input_shape: Any) -> None:
        features = int(input_shape[0][-1])
        if features % self.heads:
            raise SettingError(f"{features} features cannot be shared among heads={self.heads} equally.")
        self.query = self.add_weight(shape=(features, self.heads), initializer="glorot_uniform", name="query")

    def call(self, inputs: Sequence[Any]) -> Any:
        values, mask = inputs
        there = ops.expand_dims(mask, -1)
        values = ops.where(there > 0.5, values, ops.zeros_like(values))
        score = ops.where(there > 0.5, ops.matmul(values, self.query), -1e30)
        weight = ops.softmax(score, axis=1) * ops.cast(there, score.dtype)
        constituents, features = values.shape[1], values.shape[2]
        share = features // self.heads
        values = ops.reshape(values, (-1, constituents, self.heads, share))
        pooled = ops.sum(values * ops.expand_dims(weight, -1), axis=1)
        return ops.reshape(pooled, (-1, features))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0][0], input_shape[0][-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heads": self.heads}
