"""What a generator of showers is asked for: conditions as a table, held to the ranges of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import EmptySelectionError, NonFiniteInputError, SettingError, ShapeError, unknown

_ROUNDING = 1e-5  # of a range: its ends as float32 are inside


def condition_table(
    given: Any,
    labels: Sequence[str],
    ranges: Mapping[str, Sequence[float]],
    *,
    allow_extrapolation: bool = False,
) -> NDArray[np.float32]:
    """Return conditions as ``(showers, conditions)`` in the order of ``labels``, after checking them.

    Arguments
    ---------
    given
        Anything with ``conditions`` and ``labels``, as :class:`Showers`; ``{label: number or (showers,)}``;
        an array ``(showers, conditions)``; or for a single label ``(showers,)``.
    labels
        What the generator needs.
    ranges
        ``{label: (lowest, highest)}`` of the showers that it was trained on.
    allow_extrapolation
        Take values outside of the ranges, too.

    Raises
    ------
    SettingError
        A label is unknown or missing, or a value is outside of the trained range.
    ShapeError
        The shape is another one, or they are no numbers.
    NonFiniteInputError
        NaN or infinity.
    EmptySelectionError
        There is no shower.

    Example
    -------
    >>> condition_table({"energy": [20.0, 50.0]}, ["energy"], {"energy": (10, 100)}).tolist()
    [[20.0], [50.0]]
    >>> condition_table([200.0], ["energy"], {"energy": (10, 100)})
    Traceback (most recent call last):
    hepml_root.errors.SettingError: energy=200 of shower 0 is outside of 10 to 100, the range that the \
generator was trained in. What it gives there was never compared with anything; \
allow_extrapolation=True (--allow-extrapolation) takes it all the same.
    """
    labels = list(labels)
    if hasattr(given, "conditions") and hasattr(given, "labels"):
        given = dict(zip(given.labels, np.asarray(given.conditions).T, strict=True))
        given = {label: values for label, values in given.items() if label in labels}
    if isinstance(given, Mapping):
        for label in given:
            if label not in labels:
                raise SettingError(unknown("condition", str(label), labels))
        missing = [label for label in labels if label not in given]
        if missing:
            raise SettingError(f"the generator also needs {', '.join(missing)} for each shower.")
        columns = [np.atleast_1d(_numbers(given[label], label)) for label in labels]
        try:
            table = np.stack(np.broadcast_arrays(*columns), axis=-1)
        except ValueError:
            shapes = {label: column.shape for label, column in zip(labels, columns, strict=True)}
            raise ShapeError(f"the conditions differ in their number of showers: {shapes}.") from None
    else:
        table = _numbers(given, ", ".join(labels))
        if len(labels) == 1 and table.ndim <= 1:
            table = np.atleast_1d(table)[:, None]
    if table.ndim != 2 or table.shape[1] != len(labels):
        raise ShapeError(
            f"the conditions have the shape {table.shape}; (showers, {len(labels)}) is needed, with "
            f"{', '.join(labels)}."
        )
    if not len(table):
        raise EmptySelectionError("no shower is asked for.")
    if not np.isfinite(table).all():
        shower, column = (int(place[0]) for place in np.nonzero(~np.isfinite(table)))
        raise NonFiniteInputError(f"{labels[column]} of shower {shower} is {table[shower, column]}.")
    if not allow_extrapolation:
        _require_inside(table, labels, ranges)
    elif "energy" in labels and (table[:, labels.index("energy")] <= 0).any():
        raise SettingError("the energy of a particle must be above 0.")
    return np.ascontiguousarray(table, np.float32)


def _numbers(given: Any, name: str) -> NDArray[np.float32]:
    try:
        return np.asarray(given, np.float32)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{name}: a number, or as many as showers, is needed; {error}.") from None


def _require_inside(
    table: NDArray[np.float32], labels: Sequence[str], ranges: Mapping[str, Sequence[float]]
) -> None:
    for column, label in enumerate(labels):
        low, high = (float(end) for end in ranges[label])
        margin = _ROUNDING * max(abs(low), abs(high))
        outside = (table[:, column] < low - margin) | (table[:, column] > high + margin)
        if outside.any():
            shower = int(np.argmax(outside))
            raise SettingError(
                f"{label}={table[shower, column]:g} of shower {shower} is outside of {low:g} to {high:g}, "
                "the range that the generator was trained in. What it gives there was never compared with "
                "anything; allow_extrapolation=True (--allow-extrapolation) takes it all the same."
            )
