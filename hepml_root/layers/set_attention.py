"""The parts of a set transformer: attention blocks among the members of a set, and pooling by attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.errors import SettingError
from hepml_root.layers.attention import SetAttention, mask_bias
from hepml_root.layers.particle_attention import ClassToken


@keras.saving.register_keras_serializable(package="hepml_root")
class SetBlock(keras.layers.Layer):
    r"""Attention of one set to another, and a feed-forward network: the "MAB" of a set transformer.

    .. math:: \mathrm{MAB}(X, Y) = \mathrm{LN}(H + a(W H)), \qquad
        H = \mathrm{LN}(X + \mathrm{MHA}(X, Y, Y))

    Takes a list of queries X ``(events, queries, units)``, members Y ``(events, constituents, features)``
    and their mask ``(events, constituents)``; gives ``(events, queries, units)``. With X = Y it is a "SAB".

    Arguments
    ---------
    units, heads
        Width of the queries, and how many heads share it.
    activation
        Any name of Keras.
    norm
        Layer normalisations.

    Raises
    ------
    SettingError
        ``units`` is no multiple of ``heads``.

    Reference: arXiv:1810.00825.

    Example
    -------
    >>> import numpy as np
    >>> x, mask = np.ones((2, 5, 8), "float32"), np.ones((2, 5), "float32")
    >>> SetBlock(units=8, heads=2)([x, x, mask]).shape
    TensorShape([2, 5, 8])
    """

    def __init__(
        self, units: int, heads: int, activation: str = "relu", norm: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.settings = {"units": units, "heads": heads, "activation": activation, "norm": norm}
        self.attention = SetAttention(heads, units, name="attention")
        self.dense = keras.layers.Dense(units, activation=activation, name="dense")
        self.norms = [
            keras.layers.LayerNormalization(epsilon=1e-5, name=f"norm_{i}") for i in range(2 if norm else 0)
        ]

    def build(self, input_shape: Any) -> None:
        units = self.settings["units"]
        if input_shape[0][-1] != units:
            raise SettingError(f"queries have {input_shape[0][-1]} features; units={units} are needed.")
        self.attention.build([input_shape[0], input_shape[1], (None, 1, 1, None)])
        self.dense.build((None, None, units))
        for norm in self.norms:
            norm.build((None, None, units))

    def call(self, inputs: Sequence[Any]) -> Any:
        queries, members, mask = inputs
        x = self.attention([queries, members, mask_bias(mask)])
        # Where there is nobody, there is nothing to learn from them.
        anyone = ops.max(mask, axis=1, keepdims=True)
        x = queries + x * ops.expand_dims(anyone, -1)
        if self.norms:
            x = self.norms[0](x)
        x = x + self.dense(x)
        return self.norms[1](x) if self.norms else x

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}


@keras.saving.register_keras_serializable(package="hepml_root")
class InducedSetBlock(keras.layers.Layer):
    r"""Attention among the members of a set by way of a few learnt points: the "ISAB" of a set transformer.

    .. math:: \mathrm{ISAB}(X) = \mathrm{MAB}(X, \mathrm{MAB}(I, X))

    Costs (constituents × points), where all pairs cost constituents². Takes a list of members
    ``(events, constituents, units)`` and mask ``(events, constituents)``; gives the shape of the members,
    zero where padded.

    Arguments
    ---------
    units, heads, activation, norm
        As of :class:`SetBlock`.
    points
        Number of learnt points I; 0: attention among all pairs ("SAB").

    Reference: arXiv:1810.00825.

    Example
    -------
    >>> import numpy as np
    >>> x, mask = np.ones((2, 5, 8), "float32"), np.ones((2, 5), "float32")
    >>> InducedSetBlock(units=8, heads=2, points=3)([x, mask]).shape
    TensorShape([2, 5, 8])
    """

    def __init__(
        self,
        units: int,
        heads: int,
        points: int = 16,
        activation: str = "relu",
        norm: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if points < 0:
            raise SettingError(f"points={points}: a whole number from 0 is needed.")
        self.settings = {
            "units": units,
            "heads": heads,
            "points": points,
            "activation": activation,
            "norm": norm,
        }
        self.points = ClassToken(units, points, spread=1.0, name="points") if points else None
        self.inducing = SetBlock(units, heads, activation, norm, name="inducing") if points else None
        self.members = SetBlock(units, heads, activation, norm, name="members")

    def build(self, input_shape: Any) -> None:
        shape, mask = input_shape
        if self.points is not None and self.inducing is not None:
            points = (None, self.settings["points"], self.settings["units"])
            self.points.build(mask)
            self.inducing.build([points, shape, mask])
            self.members.build([shape, points, (None, points[1])])
        else:
            self.members.build([shape, shape, mask])

    def call(self, inputs: Sequence[Any]) -> Any:
        values, mask = inputs
        if self.points is not None and self.inducing is not None:
            summary = self.inducing([self.points(mask), values, mask])
            x = self.members([values, summary, ops.ones_like(summary[..., 0])])
        else:
            x = self.members([values, values, mask])
        return x * ops.expand_dims(mask, -1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.settings}
