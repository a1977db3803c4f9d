"""Losses: functions of expected counts and thin classes around them, found by name through one dictionary.

>>> sorted(NAMES)
['asimov', 'asimovsignificance', 'meanscore', 'scaledsquarederror', 'significance']
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from hepml_root.errors import SettingError, unknown
from hepml_root.losses.reconstruction import MeanScore
from hepml_root.losses.regression import ScaledSquaredError
from hepml_root.losses.significance import (
    AsimovSignificance,
    Significance,
    asimov_significance,
    expected_counts,
    simple_significance,
)

__all__ = [
    "NAMES",
    "AsimovSignificance",
    "MeanScore",
    "ScaledSquaredError",
    "Significance",
    "asimov_significance",
    "expected_counts",
    "get",
    "simple_significance",
]

# Names are looked up without case and underscores.
NAMES: dict[str, Callable[..., keras.losses.Loss]] = {
    "asimov": AsimovSignificance,
    "asimovsignificance": AsimovSignificance,
    "significance": Significance,
    "meanscore": MeanScore,
    "scaledsquarederror": ScaledSquaredError,
}


class FunctionLoss(keras.losses.Loss):
    """A loss from a function (y_true, y_pred) that gives one number for each event."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__(name=getattr(function, "__name__", "loss"))
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def get(loss: str | keras.losses.Loss | Callable[..., Any], **settings: Any) -> keras.losses.Loss:
    """Return a loss from its name here or in Keras, with its settings; a loss object is given back as it is.

    Raises
    ------
    SettingError
        The name is unknown (the nearest are listed), or the settings do not fit the loss.

    Example
    -------
    >>> get("asimov", signal=31.2, background=20762, systematic=0.3).systematic
    0.3
    >>> get("binary_crossentropy").name
    'binary_crossentropy'
    """
    if isinstance(loss, keras.losses.Loss):
        return loss
    if not isinstance(loss, str):
        if not callable(loss):
            raise SettingError(
                f"a loss is a name, a Keras loss or a function (y_true, y_pred), not {loss!r}."
            )
        return FunctionLoss(loss)
    key = loss.replace("_", "").casefold()
    of_keras = {
        name.casefold(): made
        for name, made in vars(keras.losses).items()
        if isinstance(made, type) and issubclass(made, keras.losses.Loss) and made is not keras.losses.Loss
    }
    made = NAMES.get(key) or of_keras.get(
        {"mse": "meansquarederror", "mae": "meanabsoluteerror"}.get(key, key)
    )
    if made is None:
        raise SettingError(unknown("loss", loss, ["asimov", "significance", *of_keras]))
    try:
        return made(**settings)
    except TypeError as error:
        raise SettingError(f"loss '{loss}': {error}.") from error
