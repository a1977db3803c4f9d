"""Coupling layers: half of the features are mapped by what the other half and the condition say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.errors import SettingError, unknown
from hepml_root.layers import spline
from hepml_root.layers.bijection import Bijection, Mapped

TRANSFORMS = ("affine", "spline")
# Of the features that a network sees, in standard deviations.
FARTHEST_SEEN = 10.0


class ElementMap:
    r"""A monotonic map of each number by raw parameters of its own: "affine" or "spline".

    "affine": :math:`z = x e^{s} + t` with :math:`s = 2 \tanh(r / 2)`, so that a step stretches by at most
    e², and extreme inputs stay finite; "spline": :func:`hepml_root.layers.spline.rational_quadratic`.

    Arguments
    ---------
    transform
        "affine" or "spline".
    bins, bound
        Of splines.

    Raises
    ------
    SettingError
        There is no such transform, or the bins or the bound are out of their range.
    """

    def __init__(self, transform: str, bins: int = 8, bound: float = 5.0) -> None:
        if transform not in TRANSFORMS:
            raise SettingError(unknown("transform", str(transform), TRANSFORMS))
        if transform == "spline" and (not 2 <= bins <= 256 or not bound > 0):
            raise SettingError(f"bins={bins}, bound={bound}: 2 to 256 bins and a positive bound are needed.")
        self.transform, self.bins, self.bound = transform, int(bins), float(bound)
        self.parameters = 2 if transform == "affine" else spline.parameters(self.bins)

    def __call__(self, x: Any, raw: Any, inverse: bool = False) -> Mapped:
        """Map ``(events, features)`` by ``(events, features, parameters)``; also give the log-slopes."""
        if self.transform == "spline":
            return spline.rational_quadratic(x, raw, self.bound, inverse)
        log_scale = 2.0 * ops.tanh(0.5 * raw[..., 0])
        if inverse:
            return (x - raw[..., 1]) * ops.exp(-log_scale), -log_scale
        return x * ops.exp(log_scale) + raw[..., 1], log_scale


@keras.saving.register_keras_serializable(package="hepml_root")
class Conditioner(keras.layers.Layer):
    """The network of a coupling: ``(events, numbers)`` and a condition to raw parameters.

    Dense layers; without any number the condition goes in alone. The last layer begins at zero, so that a
    flow begins as the identity. Output: ``(events, features, parameters)``.

    Arguments
    ---------
    inputs
        Numbers that go in, with those of the condition.
    features, parameters
        Of the output.
    hidden
        Neurons of each hidden layer.
    activation
        Of the hidden layers.
    """

    def __init__(
        self,
        inputs: int,
        features: int,
        parameters: int,
        hidden: Sequence[int],
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inputs = int(inputs)
        self.features, self.parameters = int(features), int(parameters)
        self.hidden, self.activation = tuple(hidden), activation
        self.stack = [
            keras.layers.Dense(
                units, activation=activation, kernel_initializer="he_normal", name=f"dense_{i}"
            )
            for i, units in enumerate(self.hidden, start=1)
        ]
        self.last = keras.layers.Dense(
            self.features * self.parameters, kernel_initializer="zeros", name="raw"
        )
        for layer, width in zip([*self.stack, self.last], [self.inputs, *self.hidden], strict=True):
            layer.build((None, width))

    def build(self, *shapes: Any) -> None:  # noqa: ARG002
        self.built = True

    def call(self, x: Any, condition: Any = None) -> Any:
        if condition is not None:
            x = condition if x is None else ops.concatenate([x, condition], axis=-1)
        for layer in self.stack:
            x = layer(x)
        return ops.reshape(self.last(x), (-1, self.features, self.parameters))

    def compute_output_shape(self, x_shape: Any, condition_shape: Any = None) -> Any:
        return ((x_shape or condition_shape)[0], self.features, self.parameters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "inputs": self.inputs, "features": self.features,
            "parameters": self.parameters, "hidden": list(self.hidden), "activation": self.activation,
        }  # fmt: skip


@keras.saving.register_keras_serializable(package="hepml_root")
class Coupling(Bijection):
    r"""A coupling layer: the first features stay, the others are mapped element by element.

    .. math:: z_a = x_a, \qquad z_b = g(x_b; \theta(x_a, c)), \qquad
              \log |\det| = \sum_b \log |\partial g / \partial x_b|

    Both directions cost one pass of the network :math:`\theta`. With one feature nothing stays, and the
    network sees the condition alone (or, if there is none, a constant).

    Arguments
    ---------
    features
        Their number.
    transform
        "affine" or "spline" (:class:`ElementMap`).
    hidden, activation
        Of the network.
    bins, bound
        Of splines.
    conditions
        Numbers of the condition.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range.

    Reference: arXiv:1605.08803 for affine couplings, arXiv:1906.04032 for splines.

    Example
    -------
    >>> import numpy as np
    >>> Coupling(3, "spline", hidden=(4,)).forward(np.ones((2, 3), np.float32))[0].shape
    TensorShape([2, 3])
    """

    def __init__(
        self,
        features: int,
        transform: str = "affine",
        *,
        hidden: Sequence[int] = (64, 64),
        activation: str = "relu",
        bins: int = 8,
        bound: float = 5.0,
        conditions: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.features, self.conditions = int(features), int(conditions)
        self.kept = self.features // 2
        self.map = ElementMap(transform, bins, bound)
        self.hidden, self.activation = tuple(hidden), activation
        self.network = Conditioner(
            max(self.kept + self.conditions, 1), self.features - self.kept, self.map.parameters, self.hidden,
            activation, name="network",
        )  # fmt: skip

    def forward(self, x: Any, condition: Any = None) -> Mapped:
        return self._mapped(x, condition, inverse=False)

    def inverse(self, z: Any, condition: Any = None) -> Mapped:
        return self._mapped(z, condition, inverse=True)

    def _mapped(self, x: Any, condition: Any, inverse: bool) -> Mapped:
        kept, moved = x[:, : self.kept], x[:, self.kept :]
        # What the network sees is bounded: an extreme number must not make an extreme map of the others.
        seen = ops.clip(kept, -FARTHEST_SEEN, FARTHEST_SEEN)
        known = seen if self.kept else ops.ones_like(x) if condition is None else None
        raw = self.network(known, condition)
        result, log_slope = self.map(moved, raw, inverse)
        if self.kept:
            result = ops.concatenate([kept, result], axis=-1)
        return result, ops.sum(log_slope, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "features": self.features, "transform": self.map.transform,
            "hidden": list(self.hidden), "activation": self.activation, "bins": self.map.bins,
            "bound": self.map.bound, "conditions": self.conditions,
        }  # fmt: skip


@keras.saving.register_keras_serializable(package="hepml_root")
class MarginalSplines(Bijection):
    """A spline of its own for each feature, the same for all events: takes care of what is odd in each alone.

    Shapes: ``(events, features)`` both ways.

    Arguments
    ---------
    features
        Their number.
    bins, bound
        Of the splines.

    Raises
    ------
    SettingError
        The bins or the bound are out of their range.

    Example
    -------
    >>> import numpy as np
    >>> float(MarginalSplines(2).forward(np.array([[0.5, 9.0]], np.float32))[0][0, 1])
    9.0
    """

    def __init__(self, features: int, bins: int = 8, bound: float = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.features, self.map = int(features), ElementMap("spline", bins, bound)
        shape = (1, self.features, self.map.parameters)
        self.raw = self.add_weight(shape=shape, initializer="zeros", name="raw")

    def forward(self, x: Any, condition: Any = None) -> Mapped:  # noqa: ARG002
        result, log_slope = self.map(x, self.raw, inverse=False)
        return result, ops.sum(log_slope, axis=-1)

    def inverse(self, z: Any, condition: Any = None) -> Mapped:  # noqa: ARG002
        result, log_slope = self.map(z, self.raw, inverse=True)
        return result, ops.sum(log_slope, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "features": self.features, "bins": self.map.bins, "bound": self.map.bound,
        }  # fmt: skip


def log_normal(z: Any) -> Any:
    """Return the log-density of independent standard normal numbers ``(events, features)``: ``(events,)``.

    >>> import numpy as np
    >>> round(float(log_normal(np.zeros((1, 2)))[0]), 4)
    -1.8379
    """
    return -0.5 * ops.sum(ops.square(z), axis=-1) - 0.5 * z.shape[-1] * math.log(2.0 * math.pi)
