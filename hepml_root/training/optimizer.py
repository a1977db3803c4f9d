"""The optimizer of a training: by name or as an object, and its state before the first step."""

from __future__ import annotations

import math
from typing import Any

import keras
from numpy.typing import NDArray

from hepml_root.errors import SettingError, unknown
from hepml_root.training.checkpoint import values_of


def optimizer_of(
    optimizer: str | keras.optimizers.Optimizer, learning_rate: float
) -> tuple[keras.optimizers.Optimizer, float]:
    """Return an optimizer and its base learning rate.

    Raises
    ------
    SettingError
        The name is unknown, the rate is not positive, or the optimizer brings a schedule of its own.

    Example
    -------
    >>> round(optimizer_of("adam", 0.001)[1], 6)
    0.001
    """
    if isinstance(optimizer, str):
        known = {
            name.casefold(): made
            for name, made in vars(keras.optimizers).items()
            if isinstance(made, type) and issubclass(made, keras.optimizers.Optimizer)
        }
        made = known.get(optimizer.casefold())
        if made is None or made is keras.optimizers.Optimizer:
            raise SettingError(
                unknown("optimizer", optimizer, [name for name in known if name != "optimizer"])
            )
        optimizer = made(learning_rate=learning_rate)
    if isinstance(
        getattr(optimizer, "_learning_rate", None), keras.optimizers.schedules.LearningRateSchedule
    ):
        raise SettingError(
            "the optimizer brings a schedule of its own; give a plain rate, and schedule=… to fit."
        )
    rate = float(keras.ops.convert_to_numpy(optimizer.learning_rate))
    if not (math.isfinite(rate) and rate > 0):
        raise SettingError(f"learning_rate={rate}: a positive number is needed.")
    return optimizer, rate


def fresh_state(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> list[NDArray[Any]]:
    """Return the values of an optimizer's variables before its first step, whatever it has done since."""
    fresh = type(optimizer).from_config(optimizer.get_config())
    fresh.build(model.trainable_variables)
    return values_of(fresh.variables)
