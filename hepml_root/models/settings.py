"""Checks of the settings that models share, with the nearest names in what they say."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import keras

from hepml_root.errors import SettingError, unknown


def known_activation(name: str) -> str:
    """Return ``name`` if Keras has such an activation.

    Raises
    ------
    SettingError
        It has not; the nearest names are listed.

    Example
    -------
    >>> known_activation("gelu")
    'gelu'
    """
    return _known("activation", name, keras.activations)


def known_initializer(name: str) -> str:
    """Return ``name`` if Keras has such an initialiser, else raise SettingError with the nearest."""
    return _known("initializer", name, keras.initializers)


def _known(kind: str, name: str, module: Any) -> str:
    try:
        module.get(name)
    except ValueError:
        names = [
            known for known, value in vars(module).items() if known.islower() and not inspect.ismodule(value)
        ]
        raise SettingError(unknown(kind, name, names)) from None
    return name


def widths(name: str, values: Sequence[int], least: int = 0) -> tuple[int, ...]:
    """Return layer widths as a tuple of whole numbers from 1, at least ``least`` of them.

    >>> widths("hidden", [64, 32])
    (64, 32)

    Raises
    ------
    SettingError
        A width is below 1 or no whole number, or there are too few.
    """
    if isinstance(values, (str, int)) or any(int(value) != value or value < 1 for value in values):
        raise SettingError(f"{name}={values!r}: every layer needs at least one neuron, as {name}=(64, 64).")
    if len(values) < least:
        raise SettingError(f"{name}={values!r}: at least {least} layer(s) are needed.")
    return tuple(int(value) for value in values)


def positive(**settings: int) -> None:
    """Raise SettingError if a setting is no whole number from 1: ``positive(units=64, heads=8)``."""
    for name, value in settings.items():
        if isinstance(value, bool) or int(value) != value or value < 1:
            raise SettingError(f"{name}={value!r}: a whole number from 1 is needed.")


def fraction(**settings: float) -> None:
    """Raise SettingError if a setting does not lie in [0, 1): ``fraction(dropout=0.1)``."""
    for name, value in settings.items():
        if not 0.0 <= value < 1.0:
            raise SettingError(f"{name}={value} must lie in [0, 1).")


def one_of(kind: str, value: str, choices: Sequence[str]) -> str:
    """Return ``value`` if it is among ``choices``, else raise SettingError with the nearest."""
    if value not in choices:
        raise SettingError(unknown(kind, str(value), choices))
    return value
