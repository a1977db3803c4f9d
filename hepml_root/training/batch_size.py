"""How many events a batch needs for the loss that is made of it."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from hepml_root.errors import StatisticsWarning
from hepml_root.losses.batch_loss import SignificanceLoss
from hepml_root.losses.batch_statistics import assess_batch, propose_batch_size
from hepml_root.training.automatic import auto_batch
from hepml_root.training.blocks import Plan
from hepml_root.training.expected_events import class_sums_of


def batch_size_of(
    loss: keras.losses.Loss, data: Any, parameters: int, operations: int, accumulate: int
) -> int:
    """Return the events of a batch: what the loss needs for its estimate, or else what suits the network.

    A significance is estimated in a step, so ``accumulate`` batches share what it needs.
    """
    if not isinstance(loss, SignificanceLoss):
        return auto_batch(len(data), parameters, operations)
    wanted = propose_batch_size(*class_sums_of(data), loss=loss)
    return max(1, min(-(-wanted // accumulate), len(data) // accumulate))


def warn_of_bias(loss: keras.losses.Loss, data: Any, plan: Plan) -> None:
    """Warn if a significance is biased because a step has few effective events to estimate it from."""
    if not isinstance(loss, SignificanceLoss):
        return
    text = assess_batch(loss, *class_sums_of(data), batch_size=plan.step_events).warning()
    if text:
        # From here over phase, all and fit to who called fit.
        warnings.warn(f"loss '{loss.name}': {text}", StatisticsWarning, stacklevel=5)
