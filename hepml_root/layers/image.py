"""Scales of image channels, learnt from weighted data; empty pixels stay empty."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.layers import weighted
from hepml_root.layers.transform import Transform


@keras.saving.register_keras_serializable(package="hepml_root")
class ScaleImage(Transform):
    r"""Divide each channel by its weighted root mean square over all pixels of all training images.

    .. math:: y = x / r_c, \qquad r_c^2 = \frac{\sum_{events,pixels} w x^2}{\sum_{events,pixels} w};
              \qquad y = \mathrm{sign}(x) \ln(1 + |x| / r_c) \; \text{with } logarithm

    Unlike a standardisation it leaves zero where it is, so that pixels without energy stay zero. A channel
    that is empty in all images is not changed. Shapes: ``(events, height, width, channels)`` to the same.
    Invertible everywhere.

    Arguments
    ---------
    logarithm
        Compress large values, for energies that span orders of magnitude.

    Example
    -------
    >>> layer = ScaleImage().adapt(np.full((1, 2, 2, 1), 4.0))
    >>> float(layer(np.full((1, 2, 2, 1), 2.0))[0, 0, 0, 0])
    0.5
    """

    def __init__(self, logarithm: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.logarithm = bool(logarithm)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.scale = self.state("scale", np.ones(int(input_shape[-1] or 1)))

    def learn(self, x: NDArray, weight: NDArray[np.float64]) -> None:
        weighted.finite(x, "the scale of an image")
        square = weight @ np.square(x, dtype=np.float64) / weight.sum()
        self.scale.assign(np.sqrt(np.where(square > 0, square, 1.0)))

    def call(self, x: Any) -> Any:
        y = x / self.scale
        return ops.sign(y) * ops.log1p(ops.abs(y)) if self.logarithm else y

    def inverse(self, y: Any) -> Any:
        """Return the values that give ``y``; exact to rounding for every ``y``."""
        y = ops.convert_to_tensor(y, "float32")
        return (ops.sign(y) * ops.expm1(ops.abs(y)) if self.logarithm else y) * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "logarithm": self.logarithm}
