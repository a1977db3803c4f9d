"""The two blocks of a Particle Transformer: attention among particles, and of the class to the particles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.layers.attention import SetAttention


class _Block(keras.layers.Layer):
    """Attention and a feed-forward network, each inside a shortcut, in the layer order of NormFormer."""

    def __init__(
        self,
        units: int,
        heads: int,
        hidden: int,
        dropout: float = 0.0,
        activation: str = "gelu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.settings = {
            "units": units,
            "heads": heads,
            "hidden": hidden,
            "dropout": dropout,
            "activation": activation,
        }
        self.attention = SetAttention(heads, units, dropout, scale_heads=True, name="attention")
        self.first = keras.layers.Dense(hidden, activation=activation, name="first")
        self.second = keras.layers.Dense(units, name="second")
        norm = keras.layers.LayerNormalization
        self.before, self.after = norm(epsilon=1e-5, name="before"), norm(epsilon=1e-5, name="after")
        self.before_first = norm(epsilon=1e-5, name="before_first")
        self.before_second = norm(epsilon=1e-5, name="before_second")
        self.drop = keras.layers.Dropout(dropout)

    def _build(self, features: int, around: int) -> None:
        shape = (None, None, features)
        units = self.settings["units"]
        self.attention.build([shape, (None, None, around), (None, 1, 1, None)])
        self.before.build((None, None, around))
        self.after.build((None, None, units))
        self.before_first.build((None, None, units))
        self.first.build((None, None, units))
        self.before_second.build((None, None, self.settings["hidden"]))
        self.second.build((None, None, self.settings["hidden"]))
        self.factor = self.add_weight(shape=(units,), initializer="ones", name="factor")

    def _forward(self, x: Any, attended: Any, training: bool | None) -> Any:
        x = x + self.drop(self.after(attended), training=training)
        y = self.before_second(self.first(self.before_first(x)))
        y = self.second(self.drop(y, training=training))
        return self.drop(y, training=training) + x * self.factor

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


@keras.saving.register_keras_serializable(package="hepml_root")
class ParticleAttentionBlock(_Block):
    r"""Attention of all particles to one another, biased by their pairs.

    .. math:: x' = x + \mathrm{LN}(\mathrm{P\text{-}MHA}(\mathrm{LN}(x))), \qquad
        y = \lambda x' + W_2 \, \mathrm{LN}(a(W_1 \mathrm{LN}(x')))

    Takes a list of particles ``(events, constituents, units)``, the bias with the mask in it
    ``(events, 1 or heads, 1 or constituents, constituents)``, and the mask ``(events, constituents)``; gives
    ``(events, constituents, units)``, zero where padded.

    Arguments
    ---------
    units, heads
        Width of the particles, and how many heads share it.
    hidden
        Width of the feed-forward network.
    dropout
        Of the pairs, and of the neurons.
    activation
        Of the feed-forward network.

    Reference: arXiv:2202.03772; arXiv:2110.09456.

    Example
    -------
    >>> import numpy as np
    >>> from hepml_root.layers.attention import mask_bias
    >>> x, mask = np.ones((2, 5, 8), "float32"), np.ones((2, 5), "float32")
    >>> ParticleAttentionBlock(units=8, heads=2, hidden=16)([x, mask_bias(mask), mask]).shape
    TensorShape([2, 5, 8])
    """

    def build(self, input_shape: Any) -> None:
        self._build(int(input_shape[0][-1]), int(input_shape[0][-1]))

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> Any:
        x, bias, mask = inputs
        normal = self.before(x)
        attended = self.attention([normal, normal, bias], training=training)
        return self._forward(x, attended, training) * ops.expand_dims(mask, -1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]


@keras.saving.register_keras_serializable(package="hepml_root")
class ClassAttentionBlock(_Block):
    r"""Attention of the class token to itself and all particles: how a transformer sums up a jet.

    .. math:: c' = c + \mathrm{LN}(\mathrm{MHA}(c, \mathrm{LN}([c, x]))), \qquad
        y = \lambda c' + W_2 \, \mathrm{LN}(a(W_1 \mathrm{LN}(c')))

    Takes a list of the token ``(events, 1, units)``, the particles ``(events, constituents, units)`` and the
    mask ``(events, constituents)``; gives ``(events, 1, units)``. As the token sees itself, an event without
    constituents has an answer too. Arguments are those of :class:`ParticleAttentionBlock`.

    Reference: arXiv:2103.17239 (CaiT), arXiv:2202.03772.

    Example
    -------
    >>> import numpy as np
    >>> token, x = np.ones((2, 1, 8), "float32"), np.ones((2, 5, 8), "float32")
    >>> ClassAttentionBlock(units=8, heads=2, hidden=16)([token, x, np.zeros((2, 5), "float32")]).shape
    TensorShape([2, 1, 8])
    """

    def build(self, input_shape: Any) -> None:
        self._build(int(input_shape[0][-1]), int(input_shape[1][-1]))

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> Any:
        token, x, mask = inputs
        seen = self.before(ops.concatenate([token, x], axis=1))
        mask = ops.concatenate([ops.ones_like(mask[:, :1]), mask], axis=1)
        bias = ops.expand_dims(ops.expand_dims((1.0 - mask) * -1e9, 1), 1)
        return self._forward(token, self.attention([token, seen, bias], training=training), training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]


@keras.saving.register_keras_serializable(package="hepml_root")
class ClassToken(keras.layers.Layer):
    """A learnt vector, the same for every event: what class attention starts from.

    Takes any tensor ``(events, …)`` for the number of events; gives ``(events, tokens, units)``. Also the
    seeds of pooling by attention.

    Arguments
    ---------
    units
        Length of the vector.
    tokens
        How many of them.
    spread
        Standard deviation of their initial values.

    Example
    -------
    >>> import numpy as np
    >>> ClassToken(units=8)(np.zeros((3, 5))).shape
    TensorShape([3, 1, 8])
    """

    def __init__(self, units: int, tokens: int = 1, spread: float = 0.02, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.tokens, self.spread = int(units), int(tokens), spread

    def build(self, input_shape: Any) -> None:  # noqa: ARG002 - any shape
        self.token = self.add_weight(
            shape=(1, self.tokens, self.units),
            initializer=keras.initializers.TruncatedNormal(stddev=self.spread),
            name="token",
        )

    def call(self, like: Any) -> Any:
        # Added to zeros that have the axis of events, which is free in exported models.
        events = ops.zeros_like(ops.reshape(like, (-1, math.prod(like.shape[1:])))[:, :1])
        return ops.expand_dims(events, -1) + self.token

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], self.tokens, self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "tokens": self.tokens, "spread": self.spread}
