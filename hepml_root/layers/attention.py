"""Attention between the constituents of an event, with masks and a bias for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.errors import SettingError

_ABSENT = -1e9


def mask_bias(mask: Any) -> Any:
    """Return what is added to attention so that nobody looks at padding, ``(events, 1, 1, constituents)``.

    0 where the mask ``(events, constituents)`` is 1, else -1e9, whose exponential is exactly 0.

    Example
    -------
    >>> import numpy as np
    >>> np.exp(mask_bias(np.array([[1.0, 0.0]], dtype="float32"))).ravel().tolist()
    [1.0, 0.0]
    """
    return ops.expand_dims(ops.expand_dims((1.0 - mask) * _ABSENT, 1), 1)


@keras.saving.register_keras_serializable(package="hepml_root")
class MaskBias(keras.layers.Layer):
    """:func:`mask_bias` as a layer, added to a bias ``(events, heads, queries, constituents)`` if one is
    given.

    Takes the mask, or a list of the mask and the bias. Made once, the sum serves all attention layers.

    Example
    -------
    >>> import numpy as np
    >>> MaskBias()(np.array([[1.0, 0.0, 1.0]])).shape
    TensorShape([1, 1, 1, 3])
    """

    def call(self, inputs: Any) -> Any:
        if isinstance(inputs, (list, tuple)):
            mask, bias = inputs
            return bias + mask_bias(mask)
        return mask_bias(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if isinstance(input_shape, list) or isinstance(input_shape[0], (list, tuple)):
            return tuple(input_shape[1])
        return (input_shape[0], 1, 1, input_shape[1])


@keras.saving.register_keras_serializable(package="hepml_root")
class SetAttention(keras.layers.Layer):
    r"""Attention of queries to the members of a set, with several heads and a bias for each pair.

    .. math:: y_i = W_o \Big[ g_h \sum_j \mathrm{softmax}_j \Big( \frac{q_{hi} \cdot k_{hj}}{\sqrt{d}}
        + b_{hij} \Big) v_{hj} \Big]_h

    Takes a list of queries ``(events, queries, features)``, values ``(events, constituents, features)``, and
    the bias ``(events, 1 or heads, 1 or queries, constituents)`` with the mask in it (:class:`MaskBias`).
    Gives ``(events, queries, units)``.

    Arguments
    ---------
    heads
        Number of heads.
    units
        Width of queries, keys and values of all heads together, and of the output: a multiple of ``heads``.
    dropout
        Fraction of the pairs left out in each training step.
    scale_heads
        Learn a factor g for each head (else 1), as in NormFormer.

    Raises
    ------
    SettingError
        ``units`` is no multiple of ``heads``, or a setting is out of its range.

    Reference: arXiv:1706.03762; arXiv:2110.09456 for the factors of the heads.

    Example
    -------
    >>> import numpy as np
    >>> x, mask = np.ones((2, 5, 4), "float32"), np.ones((2, 5), "float32")
    >>> SetAttention(heads=2, units=8)([x, x, mask_bias(mask)]).shape
    TensorShape([2, 5, 8])
    """

    def __init__(
        self, heads: int, units: int, dropout: float = 0.0, scale_heads: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if heads < 1 or units < 1 or units % heads:
            raise SettingError(f"attention: units={units} must be a multiple of heads={heads}.")
        if not 0.0 <= dropout < 1.0:
            raise SettingError(f"dropout={dropout} must lie in [0, 1).")
        self.heads, self.units, self.dropout, self.scale_heads = int(heads), int(units), dropout, scale_heads
        self.drop = keras.layers.Dropout(dropout) if dropout else None

    def build(self, input_shape: Any) -> None:
        units = self.units
        for name, features in (("query", input_shape[0][-1]), ("key", input_shape[1][-1])):
            self._weights(name, int(features), units)
        self._weights("value", int(input_shape[1][-1]), units)
        self._weights("output", units, units)
        if self.scale_heads:
            self.factor = self.add_weight(shape=(self.heads,), initializer="ones", name="factor")

    def _weights(self, name: str, features: int, units: int) -> None:
        kernel = self.add_weight(shape=(features, units), initializer="glorot_uniform", name=f"{name}_kernel")
        bias = self.add_weight(shape=(units,), initializer="zeros", name=f"{name}_bias")
        setattr(self, f"{name}_kernel", kernel)
        setattr(self, f"{name}_bias", bias)

    def _heads(self, x: Any, name: str, axes: tuple[int, ...] = (0, 2, 1, 3)) -> Any:
        x = ops.matmul(x, getattr(self, f"{name}_kernel")) + getattr(self, f"{name}_bias")
        x = ops.reshape(x, (-1, x.shape[1], self.heads, self.units // self.heads))
        return ops.transpose(x, axes)

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> Any:
        queries, values, bias = inputs
        # The factor goes onto the queries: fewer numbers than the pairs.
        q = self._heads(queries, "query") * (self.units // self.heads) ** -0.5
        # Keys go straight to (events, heads, width, constituents). One wide product for all would have to
        # be transposed with five axes, and that takes TensorFlow longer than the attention itself.
        k, v = self._heads(values, "key", (0, 2, 3, 1)), self._heads(values, "value")
        weight = ops.softmax(ops.matmul(q, k) + bias, axis=-1)
        if self.drop is not None:
            weight = self.drop(weight, training=training)
        y = ops.matmul(weight, v)
        if self.scale_heads:
            y = y * ops.reshape(self.factor, (1, -1, 1, 1))
        y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, queries.shape[1], self.units))
        return ops.matmul(y, self.output_kernel) + self.output_bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[0][:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "heads": self.heads,
            "units": self.units,
            "dropout": self.dropout,
            "scale_heads": self.scale_heads,
        }
