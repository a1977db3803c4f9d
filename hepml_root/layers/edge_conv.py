"""Edge convolution: each constituent learns from the differences to its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.errors import SettingError
from hepml_root.layers.masked_normalization import MaskedBatchNormalization
from hepml_root.layers.neighbours import gather


@keras.saving.register_keras_serializable(package="hepml_root")
class EdgeConv(keras.layers.Layer):
    r"""Edge convolution as in ParticleNet: a network of each pair of neighbours, averaged, and a shortcut.

    .. math:: y_i = a\Big( \frac{1}{|N_i|} \sum_{j \in N_i} h(x_i,\, x_j - x_i) + S x_i \Big)

    h is a sequence of dense layers without bias, each followed by batch normalisation and the activation a;
    the shortcut S is one dense layer with batch normalisation. All statistics are those of neighbours and
    constituents that are there. A constituent without neighbours has the sum 0.

    Takes features ``(events, constituents, features)``, neighbours' positions
    ``(events, constituents, k)``, which of them are there ``(events, constituents, k)``
    (:class:`~hepml_root.layers.neighbours.NearestNeighbours`, or a graph of the dataset), and the mask
    ``(events, constituents)``; gives ``(events, constituents, channels[-1])``, zero where padded.

    Arguments
    ---------
    channels
        Widths of the layers of h.
    activation
        Any name of Keras that maps 0 to 0, such as "relu", "gelu", "silu".
    initializer
        Of the kernels: a name of Keras.

    Raises
    ------
    SettingError
        There is no layer or a width is below 1.

    Reference: arXiv:1902.08570 (ParticleNet), arXiv:1801.07829 (EdgeConv).

    Example
    -------
    >>> import numpy as np
    >>> x, there = np.ones((1, 3, 2), "float32"), np.ones((1, 3, 1), "float32")
    >>> index = np.array([[[1], [0], [1]]])
    >>> EdgeConv((8, 4))([x, index, there, np.ones((1, 3), "float32")]).shape
    TensorShape([1, 3, 4])
    """

    def __init__(
        self,
        channels: Sequence[int],
        activation: str = "relu",
        initializer: str = "he_normal",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.channels = tuple(int(width) for width in channels)
        if not self.channels or min(self.channels) < 1:
            raise SettingError(f"channels={channels!r}: at least one width, each from 1, is needed.")
        self.activation = keras.activations.get(activation)
        self.initializer = initializer  # its name: each kernel draws a seed of its own
        self.normalizations = [MaskedBatchNormalization(name=f"norm_{i}") for i, _ in enumerate(channels)]
        self.shortcut_normalization = MaskedBatchNormalization(name="shortcut_norm")

    def build(self, input_shape: Any) -> None:
        features = int(input_shape[0][-1])
        self.kernels = []
        # The first layer sees x_i and x_j - x_i one behind the other.
        for number, (before, after) in enumerate(
            zip((2 * features, *self.channels), self.channels, strict=False)
        ):
            self.kernels.append(
                self.add_weight(
                    shape=(before, after),
                    initializer=self.initializer,
                    name=f"kernel_{number}",
                )
            )
            self.normalizations[number].build_features(after)
        self.shortcut = self.add_weight(
            shape=(features, self.channels[-1]),
            initializer=self.initializer,
            name="shortcut",
        )
        self.shortcut_normalization.build_features(self.channels[-1])
        self.features = features

    def call(self, inputs: Sequence[Any], training: bool | None = None) -> Any:
        values, index, there, mask = inputs
        node = ops.expand_dims(mask, -1)
        values = ops.where(node > 0.5, values, ops.zeros_like(values))
        edge = ops.expand_dims(there, -1)
        x = self._first_product(values, index)
        for number, normalization in enumerate(self.normalizations):
            if number:
                x = ops.matmul(x, self.kernels[number])
            x = self.activation(normalization.normalised(x, there, training)) * edge
        neighbours = ops.maximum(ops.sum(there, axis=2), 1.0)
        mean = ops.sum(x, axis=2) / ops.expand_dims(neighbours, -1)
        shortcut = ops.matmul(values, self.shortcut)
        shortcut = self.shortcut_normalization.normalised(shortcut, mask, training)
        return self.activation(mean + shortcut) * node

    def _first_product(self, values: Any, index: Any) -> Any:
        """Return W (x_i, x_j - x_i) of all pairs.

        Split into (W_1 - W_2) x_i + W_2 x_j, so that there are two products for each constituent instead of
        one for each of its k neighbours.
        """
        own, difference = self.kernels[0][: self.features], self.kernels[0][self.features :]
        one = ops.expand_dims(ops.matmul(values, own - difference), 2)
        return one + gather(ops.matmul(values, difference), index)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[0][:-1], self.channels[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "channels": list(self.channels),
            "activation": keras.activations.serialize(self.activation),
            "initializer": self.initializer,
        }
