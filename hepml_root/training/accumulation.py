r"""Several batches in one step, exactly: the loss of all their events together, in the memory of one batch.

A loss that is a mean over events may be accumulated as the mean of the batches' gradients. A significance
may not: the mean of Z over small batches is not the Z of their events together, and its gradient points
elsewhere. But such a loss is a function of a few sums over the events, :math:`L(S)` with
:math:`S = \sum_k S_k`, and

.. math:: \nabla_\theta L(S) = \sum_k \frac{\partial L}{\partial S}\bigg|_{S} \cdot \nabla_\theta S_k

So a first pass forward over the K batches makes S, its slope is taken once, and a second pass collects the
gradient of the linear function slope · S_k batch by batch. The result is the gradient of one batch of all the
events, to rounding, for one more pass forward: a third more time than K single batches.

**The protocol.** A loss takes part by two methods, :class:`LossOfSums`:

- ``sums(y_true, y_pred, sample_weight=None)`` returns one tensor of fixed shape, additive over events: the
  sums of two groups of events add up to those of both. The weights' own sums belong to it where the loss
  divides by them: a significance gives (Σ_sig wŷ, Σ_sig w, Σ_bkg wŷ, Σ_bkg w).
- ``value(sums)`` returns the scalar loss, written in ``keras.ops`` and differentiable.

and ``loss(y_true, y_pred, sample_weight)`` equals ``value(sums(y_true, y_pred, sample_weight))``.

Losses that Keras reduces (one loss for each event, then a sum or a mean) need nothing:
:func:`accumulation_of` says how those of several batches go together. Two things stay those of single
batches: the mean and variance of batch normalisation, and a penalty on activities.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import keras
from keras import ops

from hepml_root.errors import SettingError


@runtime_checkable
class LossOfSums(Protocol):
    """A loss that is a function of sums over the events of a batch."""

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the sums, one tensor of fixed shape; those of two groups of events add up."""

    def value(self, sums: Any) -> Any:
        """Return the loss, a scalar."""


class WeightedMean:
    r"""A Keras loss with the reduction "mean_with_sample_weight" as a function of sums,
    :math:`\sum w \ell / \sum w` of (Σwℓ, Σw).

    Example
    -------
    >>> loss = WeightedMean(keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"))
    >>> target, score, weight = ops.zeros((2, 1)), ops.ones((2, 1)), ops.convert_to_tensor([1.0, 3.0])
    >>> [float(value) for value in loss.sums(target, score, weight)], float(loss.value([4.0, 8.0]))
    ([4.0, 4.0], 0.5)
    """

    def __init__(self, loss: keras.losses.Loss) -> None:
        self.loss = loss

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return (Σwℓ, Σw) of a batch, ``(2,)``."""
        mean = self.loss(y_true, y_pred, sample_weight=sample_weight)
        if sample_weight is None:
            total = ops.cast(ops.shape(y_pred)[0], mean.dtype)
        else:
            total = ops.sum(ops.cast(sample_weight, mean.dtype))
        return ops.stack([mean * total, total])

    def value(self, sums: Any) -> Any:
        """Return the mean, 0 where the weights cancel, as Keras has it."""
        return ops.divide_no_nan(sums[0], sums[1])


def accumulation_of(loss: keras.losses.Loss, batches: int) -> LossOfSums | float:
    """Return how a loss goes together over batches of one size: as a function of sums, or, where the losses
    of the single batches simply add up, the factor that each of them gets.

    Raises
    ------
    SettingError
        The loss is computed from a whole batch and does not say from which sums.

    Example
    -------
    >>> accumulation_of(keras.losses.BinaryCrossentropy(), 4)
    0.25
    """
    if isinstance(loss, LossOfSums):
        return loss
    reduction = getattr(loss, "reduction", None)
    if type(loss).__call__ is keras.losses.Loss.__call__:
        if reduction in ("sum_over_batch_size", "mean"):
            return 1.0 / batches
        if reduction == "sum":
            return 1.0
        if reduction == "mean_with_sample_weight":
            return WeightedMean(loss)
    raise SettingError(
        f"accumulate={batches}: the loss '{loss.name}' gives one number for a whole batch, and those of "
        f"{batches} batches do not add up to that of their events. Give it the methods sums(y_true, y_pred, "
        "sample_weight) and value(sums) (hepml_root.training.accumulation), or take larger batches."
    )
