"""Expected events of a training's classes, for losses and metrics that are functions of them."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np

from hepml_root.data.weights import Yield, check_total
from hepml_root.errors import SettingError, StatisticsWarning


def expected_events(data: Any, what: str) -> tuple[float, float]:
    """Return the expected events (signal, background) before any cut: the sums of the physics weights.

    Each part of a split stands for the yield of the whole sample, so those of the training events are those
    of the sample. ``what`` needs them, for the messages.

    Raises
    ------
    SettingError
        There are not two classes, a signal and a background.
    WeightError
        A class has no positive sum of weights.

    Example
    -------
    >>> import hepml_root as hr
    >>> weight = np.array([0.5, 0.5, 20.0, 30.0])
    >>> data = hr.Dataset.from_arrays(np.zeros((4, 1)), [1, 1, 0, 0], weight=weight)
    >>> expected_events(data, "the loss")
    (1.0, 50.0)
    """
    if data.task != "binary":
        raise SettingError(
            f"{what} counts signal over background, and these data are for {data.task}. Make a dataset of "
            "two classes (several sources may go into one)."
        )
    rows = data.yields()
    for row in rows.values():
        check_total(row.sum, f"the class '{row.name}'")
    signal = rows[str(data.signal)].sum
    background = sum(row.sum for row in rows.values()) - signal
    if data.counts_as_yields:
        warnings.warn(
            f"{what}: the data have no weights, so the expected events are taken to be the numbers of "
            f"events, {signal:g} of signal and {background:g} of background. Give the dataset a weight= (or "
            "a cross section and a luminosity), or the loss its signal= and background=.",
            StatisticsWarning,
            stacklevel=4,
        )
    return signal, background


def with_yields(loss: keras.losses.Loss, data: Any) -> keras.losses.Loss:
    """Return a loss that knows its expected events: what it was not given are those of the data."""
    if not getattr(loss, "needs_yields", False):
        return loss
    made: Any = loss
    return made.with_yields(*expected_events(data, f"the loss '{loss.name}'"))


def class_sums_of(data: Any) -> tuple[Yield, Yield]:
    """Return (signal, background) as they are trained on: events, sums of training weights and their squares.

    Those of a lazy dataset have the physics weights, of which there are sums at hand.
    """
    if data.lazy:
        rows = data.yields()
        (other,) = (name for name in rows if name != data.signal)
        return rows[str(data.signal)], rows[other]
    is_signal = data.labels == data.schema.signal_index
    weight = data.training_weight.astype(np.float64)
    return Yield.of("signal", weight[is_signal]), Yield.of("background", weight[~is_signal])
