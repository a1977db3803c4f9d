"""Losses of regressions in units of the targets' own spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.errors import SettingError


@keras.saving.register_keras_serializable(package="hepml_root")
class ScaledSquaredError(keras.losses.Loss):
    r"""Squared error with each target in units of its spread, averaged over targets.

    .. math:: \ell_i = \frac{1}{K} \sum_k \left( \frac{\hat y_{ik} - y_{ik}}{\sigma_k} \right)^2

    It is 1 for a network that gives the mean, whatever the targets' units. Shapes: ``(events, targets)``.

    Arguments
    ---------
    scale
        σ of each target, in its units.

    Raises
    ------
    SettingError
        A scale is not positive.

    Example
    -------
    >>> loss = ScaledSquaredError([10.0])
    >>> float(loss(np.array([[100.0]]), np.array([[120.0]])))
    4.0
    """

    def __init__(
        self,
        scale: Sequence[float],
        *,
        reduction: str = "sum_over_batch_size",
        name: str = "scaled_squared_error",
    ) -> None:
        super().__init__(name=name, reduction=reduction)
        self.scale = [float(value) for value in scale]
        if not all(np.isfinite(value) and value > 0 for value in self.scale):
            raise SettingError(f"{name}: the scales {self.scale} must be positive numbers.")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        pull = (y_pred - ops.cast(y_true, y_pred.dtype)) / ops.cast(self.scale, y_pred.dtype)
        return ops.mean(pull * pull, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}
