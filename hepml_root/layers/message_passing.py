"""Message passing on a graph of constituents: all ordered pairs, or given neighbours with pair features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.errors import SettingError
from hepml_root.layers.neighbours import gather


@keras.saving.register_keras_serializable(package="hepml_root")
class Messages(keras.layers.Layer):
    r"""Messages between the constituents, summed for each that receives them.

    .. math:: E_i = \sum_{j \ne i} f_R(x_i, x_j) \qquad \text{or} \qquad
        E_i = \sum_{j \in N_i} f_R(x_i, x_j, e_{ij})

    f_R is a multilayer perceptron. Without a graph, all ordered pairs of constituents that are there send
    messages. Takes a list of features ``(events, constituents, features)`` and mask
    ``(events, constituents)``, and for a graph also the neighbours' positions ``(events, constituents, k)``,
    which of them are there ``(events, constituents, k)``, and optionally pair features
    ``(events, constituents, k, pair features)``. Gives ``(events, constituents, widths[-1])``, zero where
    padded.

    Arguments
    ---------
    widths
        Neurons of the layers of f_R.
    activation
        Any name of Keras.
    mean
        Divide by the number of senders.

    Raises
    ------
    SettingError
        There is no layer, or a width is below 1.

    Reference: arXiv:1612.00222; arXiv:1908.05318.

    Example
    -------
    >>> import numpy as np
    >>> x, mask = np.ones((2, 4, 3), "float32"), np.ones((2, 4), "float32")
    >>> Messages((8, 5))([x, mask]).shape
    TensorShape([2, 4, 5])
    """

    def __init__(
        self, widths: Sequence[int], activation: str = "relu", mean: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.widths, self.mean = tuple(int(width) for width in widths), mean
        if not self.widths or min(self.widths) < 1:
            raise SettingError(f"widths={widths!r}: at least one width, each from 1, is needed.")
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        features = int(input_shape[0][-1])
        pair_features = int(input_shape[4][-1]) if len(input_shape) > 4 else 0
        self.features = features
        self.kernels, self.biases = [], []
        for number, (before, after) in enumerate(
            zip((2 * features + pair_features, *self.widths), self.widths, strict=False)
        ):
            self.kernels.append(
                self.add_weight(shape=(before, after), initializer="he_normal", name=f"kernel_{number}")
            )
            self.biases.append(self.add_weight(shape=(after,), initializer="zeros", name=f"bias_{number}"))

    def call(self, inputs: Sequence[Any]) -> Any:
        values, mask = inputs[0], inputs[1]
        node = ops.expand_dims(mask, -1)
        values = ops.where(node > 0.5, values, ops.zeros_like(values))
        receiver, sender = (
            self.kernels[0][: self.features],
            self.kernels[0][self.features : 2 * self.features],
        )
        # The first layer of a pair is the sum of one product for each constituent, not one for each pair.
        own = ops.expand_dims(ops.matmul(values, receiver) + self.biases[0], 2)
        other = ops.matmul(values, sender)
        if len(inputs) > 2:
            there = inputs[3] * node
            x = own + gather(other, inputs[2])
            if len(inputs) > 4:
                pair = ops.where(ops.expand_dims(there, -1) > 0.5, inputs[4], ops.zeros_like(inputs[4]))
                x = x + ops.matmul(pair, self.kernels[0][2 * self.features :])
        else:
            different = 1.0 - np.eye(values.shape[1], dtype=np.float32)
            there = ops.expand_dims(mask, 1) * node * different
            x = own + ops.expand_dims(other, 1)
        x = self.activation(x)
        for kernel, bias in zip(self.kernels[1:], self.biases[1:], strict=True):
            x = self.activation(ops.matmul(x, kernel) + bias)
        total = ops.sum(x * ops.expand_dims(there, -1), axis=2)
        if self.mean:
            total = total / ops.maximum(ops.sum(there, axis=2, keepdims=True), 1.0)
        return total

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[0][:-1], self.widths[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "widths": list(self.widths),
            "activation": keras.activations.serialize(self.activation),
            "mean": self.mean,
        }
