"""Masked autoregressive maps: every feature is mapped by what those before it say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.errors import UnsupportedOperationError
from hepml_root.layers.bijection import Bijection, Mapped
from hepml_root.layers.coupling import FARTHEST_SEEN, ElementMap

# Steps of the slow direction that are written out: each is one pass of the network.
MOST_STEPS = 64


@keras.saving.register_keras_serializable(package="hepml_root")
class MaskedDense(keras.layers.Layer):
    """A dense layer whose neurons see only inputs of a lower degree.

    Arguments
    ---------
    degrees_in, degrees_out
        Of the inputs and of the neurons; a neuron of degree d sees inputs of degree ≤ d, or, if ``strict``,
        < d.
    activation, strict, zeros
        ``zeros``: weights begin at 0.

    Reference: arXiv:1502.03509.
    """

    def __init__(
        self,
        degrees_in: Sequence[int],
        degrees_out: Sequence[int],
        activation: str | None = None,
        strict: bool = False,
        zeros: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.degrees_in, self.degrees_out = tuple(degrees_in), tuple(degrees_out)
        self.activation, self.strict, self.zeros = keras.activations.get(activation), strict, zeros
        inputs, neurons = np.asarray(degrees_in)[:, None], np.asarray(degrees_out)[None]
        self.mask = ((inputs < neurons) if strict else (inputs <= neurons)).astype(np.float32)
        initializer = "zeros" if self.zeros else "he_normal"
        self.kernel = self.add_weight(shape=self.mask.shape, initializer=initializer, name="kernel")
        self.bias = self.add_weight(shape=(self.mask.shape[1],), initializer="zeros", name="bias")

    def build(self, *shapes: Any) -> None:  # noqa: ARG002
        self.built = True

    def call(self, x: Any) -> Any:
        return self.activation(ops.matmul(x, self.kernel * self.mask) + self.bias)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], len(self.degrees_out))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "degrees_in": list(self.degrees_in),
            "degrees_out": list(self.degrees_out), "strict": self.strict, "zeros": self.zeros,
            "activation": keras.activations.serialize(self.activation),
        }  # fmt: skip


@keras.saving.register_keras_serializable(package="hepml_root")
class Autoregressive(Bijection):
    r"""An autoregressive map: one pass of a masked network in one direction, one pass a feature in the other.

    .. math:: z_j = g(x_j; \theta_j(x_1, …, x_{j-1}, c)), \qquad
              \log |\det| = \sum_j \log |\partial g / \partial x_j|

    As it stands ("MAF") densities cost one pass, and samples as many passes as there are features, one after
    the other: of more than 64 features it cannot be exported. ``inverted`` swaps the directions ("IAF"): one
    pass for a sample, and the density of given data is the slow one.

    Arguments
    ---------
    features, transform, hidden, activation, bins, bound
        As in :class:`hepml_root.layers.coupling.Coupling`.
    conditions
        Numbers of the condition; every neuron sees them.
    inverted
        Make samples fast instead of densities.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range.
    UnsupportedOperationError
        The slow direction is asked for with more than 64 features.

    Reference: arXiv:1705.07057 (MAF), arXiv:1606.04934 (IAF).

    Example
    -------
    >>> layer = Autoregressive(2, hidden=(8,))
    >>> z, _ = layer.forward(np.array([[0.5, -1.0]], np.float32))
    >>> layer.inverse(z)[0].numpy().tolist()
    [[0.5, -1.0]]
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
        inverted: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.features, self.conditions, self.inverted = int(features), int(conditions), bool(inverted)
        self.map = ElementMap(transform, bins, bound)
        self.hidden, self.activation = tuple(hidden), activation
        degrees = [*[0] * self.conditions, *range(1, self.features + 1)]
        self.stack = []
        for number, units in enumerate(self.hidden, start=1):
            # Degrees 0 to features - 1, evenly: those of degree 0 see the condition alone.
            neurons = (np.arange(units) * self.features // max(units, 1)).tolist()
            self.stack.append(MaskedDense(degrees, neurons, activation, name=f"dense_{number}"))
            degrees = neurons
        outputs = np.repeat(np.arange(1, self.features + 1), self.map.parameters).tolist()
        self.last = MaskedDense(degrees, outputs, strict=True, zeros=True, name="raw")

    def forward(self, x: Any, condition: Any = None) -> Mapped:
        return self._slow(x, condition, False) if self.inverted else self._fast(x, condition, False)

    def inverse(self, z: Any, condition: Any = None) -> Mapped:
        return self._fast(z, condition, True) if self.inverted else self._slow(z, condition, True)

    def raw(self, known: Any, condition: Any) -> Any:
        """Return the raw parameters ``(events, features, parameters)`` that the features before give."""
        known = ops.clip(known, -FARTHEST_SEEN, FARTHEST_SEEN)
        x = known if condition is None else ops.concatenate([condition, known], axis=-1)
        for layer in self.stack:
            x = layer(x)
        return ops.reshape(self.last(x), (-1, self.features, self.map.parameters))

    def _fast(self, x: Any, condition: Any, inverse: bool) -> Mapped:
        result, log_slope = self.map(x, self.raw(x, condition), inverse)
        return result, ops.sum(log_slope, axis=-1)

    def _slow(self, z: Any, condition: Any, inverse: bool) -> Mapped:
        if self.features > MOST_STEPS:
            raise UnsupportedOperationError(
                f"{'the density' if self.inverted else 'sampling'} of an autoregressive map takes one pass "
                f"of its network for each of {self.features} features, one after the other; up to "
                f"{MOST_STEPS} are written out. Take a coupling flow, or distil it into a fast student."
            )
        known: list[Any] = []
        total = 0.0
        rest = ops.zeros_like(z)
        for step in range(self.features):
            so_far = ops.concatenate([*known, rest[:, step:]], axis=-1) if known else rest
            raw = self.raw(so_far, condition)[:, step : step + 1]
            value, log_slope = self.map(z[:, step : step + 1], raw, inverse)
            known.append(value)
            total = total + log_slope[:, 0]
        return ops.concatenate(known, axis=-1), total

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "features": self.features, "transform": self.map.transform,
            "hidden": list(self.hidden), "activation": self.activation, "bins": self.map.bins,
            "bound": self.map.bound, "conditions": self.conditions, "inverted": self.inverted,
        }  # fmt: skip
