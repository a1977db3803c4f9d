"""What methods ask of their options and of their training events before they begin."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hepml_root.errors import EmptySelectionError, SettingError, WeightError
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.method import Booking


def refused(booking: Booking, name: str, value: Any, needed: str) -> SettingError:
    """Return the error that says which value an option needs."""
    return SettingError(f"{booking.type_name} '{booking.title}': {name}={value}: {needed} is needed.")


def at_least(booking: Booking, name: str, least: float) -> Any:
    """Return an option that is a number, not below ``least``."""
    value = booking.options[name]
    if not (math.isfinite(value) and value >= least):
        raise refused(booking, name, value, f"at least {least:g}")
    return value


def positive(booking: Booking, name: str) -> float:
    """Return an option that is a number above 0."""
    value = float(booking.options[name])
    if not (math.isfinite(value) and value > 0.0):
        raise refused(booking, name, value, "a number above 0")
    return value


def share(booking: Booking, name: str, least: float, most: float, *, lowest_too: bool = False) -> float:
    """Return an option that is a number in a range, with or without its lower end."""
    value = float(booking.options[name])
    if not (least <= value <= most) or (value == least and not lowest_too):
        raise refused(
            booking, name, value, f"a number {'from' if lowest_too else 'above'} {least:g} to {most:g}"
        )
    return value


def whole_or_none(booking: Booking, name: str, least: int) -> int | None:
    """Return an option that is a whole number or None."""
    text = str(booking.options[name]).strip()
    if text == "None":
        return None
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise refused(booking, name, text, f"None, or a whole number from {least}")
    return value


def check_classes(booking: Booking, data: DataSet) -> None:
    """Make sure that every class has training events.

    Raises
    ------
    EmptySelectionError
        One has none.
    """
    counts = np.bincount(data.training.classes, minlength=len(data.classes))
    for name, count in zip(data.classes, counts, strict=True):
        if not count:
            raise EmptySelectionError(
                f"{booking.type_name} '{booking.title}': the class {name} has no training event."
            )


def refuse_negative_weights(booking: Booking, data: DataSet, why: str) -> None:
    """Raise a WeightError where training events have negative weights."""
    negative = int((data.training.weights < 0).sum())
    if negative:
        raise WeightError(
            f"{booking.type_name} '{booking.title}': {negative} of {len(data.training)} training events have "
            f"negative weights. {why} Book it with IgnoreNegWeightsInTraining."
        )
