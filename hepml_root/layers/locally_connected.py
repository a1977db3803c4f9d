"""Locally connected layers: convolutions whose weights differ from place to place, as calorimeters do."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from hepml_root.errors import SettingError


@keras.saving.register_keras_serializable(package="hepml_root")
class LocallyConnected(keras.layers.Layer):
    r"""Every pixel has weights of its own for the pixels around it.

    .. math:: y_{rco} = b_{rco} + \sum_{|i| \le k/2} \sum_{|j| \le k/2} \sum_m
              W_{rc,ijmo}\, x_{r+i,\, c+j,\, m}

    Shapes: ``(events, rows, columns, channels)`` to ``(events, rows, columns, filters)``; around the image
    there are zeros.

    A shower is no picture of a cat: its core is always in the middle, so the same pattern means something
    else elsewhere, and weights that are shared by all places, as a convolution's, cannot tell.

    Arguments
    ---------
    filters
        Channels of the output.
    kernel
        Rows and columns of the neighbourhood, odd.
    wrap
        The rows are angles around an axis: the first and the last one are neighbours.
    gain
        Size of the initial weights over that of Glorot's rule.

    Raises
    ------
    SettingError
        A number is out of its range, or the neighbourhood has no middle.

    Reference: arXiv:1701.05927, arXiv:1705.02355.

    Example
    -------
    >>> LocallyConnected(2)(keras.ops.ones((5, 4, 3, 1))).shape
    TensorShape([5, 4, 3, 2])
    """

    def __init__(
        self,
        filters: int,
        kernel: tuple[int, int] = (3, 3),
        *,
        wrap: bool = False,
        gain: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if filters < 1 or any(length < 1 or length % 2 == 0 for length in kernel):
            raise SettingError(
                f"filters={filters}, kernel={tuple(kernel)}: filters from 1 on, and odd lengths, as (3, 3)."
            )
        self.filters, self.lengths, self.wrap = int(filters), (int(kernel[0]), int(kernel[1])), bool(wrap)
        self.gain = float(gain)

    def build(self, shape: Any) -> None:
        _, rows, columns, channels = shape
        around = self.lengths[0] * self.lengths[1] * channels
        places = rows * columns
        # Glorot's rule with the fans of one pixel; Keras would take all pixels for one matrix.
        limit = self.gain * math.sqrt(6.0 / (around + self.filters))
        self.kernel = self.add_weight(
            shape=(places, around, self.filters),
            initializer=keras.initializers.RandomUniform(-limit, limit),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(places, self.filters), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        rows, columns, channels = x.shape[1:]
        up, left = self.lengths[0] // 2, self.lengths[1] // 2
        if self.wrap and up:
            x = ops.concatenate([x[:, -up:], x, x[:, :up]], axis=1)
        x = ops.pad(x, ((0, 0), (0 if self.wrap else up,) * 2, (left, left), (0, 0)))
        # Slices rather than a gather: their gradient adds blocks, not single numbers.
        around = [
            x[:, i : i + rows, j : j + columns]
            for i in range(self.lengths[0])
            for j in range(self.lengths[1])
        ]
        patches = ops.reshape(ops.concatenate(around, axis=-1), (-1, rows * columns, len(around) * channels))
        y = ops.einsum("npk,pko->npo", patches, self.kernel) + self.bias
        return ops.reshape(y, (-1, rows, columns, self.filters))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "filters": self.filters, "kernel": self.lengths, "wrap": self.wrap,
            "gain": self.gain,
        }  # fmt: skip
