"""Checks of the arrays that every study starts from: scores, labels, weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import (
    EmptySelectionError,
    NonFiniteInputError,
    SettingError,
    ShapeError,
    WeightError,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def checked_vector(name: str, values: ArrayLike, events: int | None = None) -> Floats:
    """Return ``values`` as a finite float64 vector (events,); a column (events, 1) is taken as well.

    Raises
    ------
    ShapeError
        It is no vector, or not ``events`` long.
    NonFiniteInputError
        An entry is NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ShapeError(f"{name} must have the shape (events,), not {array.shape}.")
    if events is not None and len(array) != events:
        raise ShapeError(
            f"{name} has {len(array)} entries, but there are {events} events: give one per event."
        )
    finite = np.isfinite(array)
    if not finite.all():
        raise NonFiniteInputError(
            f"{name} holds {np.count_nonzero(~finite)} values that are NaN or infinite "
            f"(first at entry {int(np.argmin(finite))}): look for such values in the inputs, or for a "
            "training "
            "that has diverged."
        )
    return array


def checked_weights(weights: ArrayLike | None, events: int) -> Floats:
    """Return ``weights`` (events,) as float64, ones if None.

    Raises
    ------
    WeightError
        They are not finite or not one per event.
    """
    if weights is None:
        return np.ones(events)
    try:
        return checked_vector("the weight", weights, events)
    except (ShapeError, NonFiniteInputError) as error:
        raise WeightError(str(error)) from None


def checked_binary(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> tuple[Floats, Bools, Floats]:
    """Return scores (events,), labels (events,) with True for signal, and weights (events,).

    Labels are bool or 0 and 1. Weights may be negative, but must have a positive sum in each class.

    Raises
    ------
    ShapeError
        Lengths differ, or labels are other than 0 and 1.
    NonFiniteInputError
        A score is NaN or infinite.
    EmptySelectionError
        One of the two classes has no events.
    WeightError
        Weights are not finite, or do not have a positive sum in a class.

    Example
    -------
    >>> checked_binary([0.1, 0.9], [0, 1])[1]
    array([False,  True])
    """
    scores = checked_vector("the score", scores)
    flags = checked_vector("the label", labels, len(scores))
    signal = flags == 1.0
    if not np.all(signal | (flags == 0.0)):
        raise ShapeError(
            "labels must be 0 (background) or 1 (signal); for more classes study one against the rest."
        )
    weights = checked_weights(weights, len(scores))
    for name, members in (("signal", signal), ("background", ~signal)):
        if not members.any():
            raise EmptySelectionError(
                f"there are no {name} events among the {len(scores)} given: both classes are needed here."
            )
        total = float(weights[members].sum())
        if not total > 0:
            raise WeightError(
                f"the weights of the {name} events sum to {total:.6g}; efficiencies need a positive sum. "
                "Use more events, or another weight."
            )
    return scores, signal, weights


def weights_of_yields(
    signal: Bools, weights: Floats, signal_events: float | None, background_events: float | None
) -> Floats:
    """Return the weights (events,) of checked events, scaled such that each class has its expected events.

    Where these are None, the sum of the class's weights stays.

    Raises
    ------
    SettingError
        Expected events are not positive.

    Example
    -------
    >>> weights_of_yields(np.array([True, True, False]), np.array([1.0, 3.0, 2.0]), 8.0, None).tolist()
    [2.0, 6.0, 2.0]
    """
    scaled = weights.copy()
    for name, members, wanted in (
        ("signal", signal, signal_events),
        ("background", ~signal, background_events),
    ):
        if wanted is None:
            continue
        if not (np.isfinite(wanted) and wanted > 0):
            raise SettingError(f"the expected {name} events must be positive, got {wanted!r}.")
        scaled[members] *= wanted / weights[members].sum()
    return scaled
