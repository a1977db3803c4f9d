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
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class LossOfSums(Protocol):
    """A loss that is a function of sums over the events of a batch."""

    def sums(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the sums, one tensor of fixed shape; those of two groups of events add up."""

    def value(self, sums: Any) -> Any:
        """Return the loss, a scalar."""
