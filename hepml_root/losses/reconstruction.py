"""The loss of networks whose output is itself what is to become small."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="hepml_root")
class MeanScore(keras.losses.Loss):
    r"""The mean output of the network, whatever the target: for autoencoders, whose output is their error.

    .. math:: \ell_i = \frac{1}{K} \sum_k \hat y_{ik}

    Shapes: ``(events, outputs)``; targets are not looked at.

    Example
    -------
    >>> float(MeanScore()([[1.0], [0.0]], [[0.5], [1.5]]))
    1.0
    """

    def __init__(self, *, reduction: str = "sum_over_batch_size", name: str = "mean_score") -> None:
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:  # noqa: ARG002 - Keras's signature
        return ops.mean(y_pred, axis=-1)
