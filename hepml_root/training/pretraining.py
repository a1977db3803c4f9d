"""A few epochs with another loss before the one that is meant, and what happens at the switch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hepml_root.errors import SettingError, unknown

_STATES = ("reset", "keep")


@dataclass(frozen=True)
class Pretraining:
    """The first epochs of a training, with a loss of their own.

    A significance has hardly a gradient where nothing is separated yet, or where the network has closed its
    output for all events; a few epochs with s/√(s+b) or the cross entropy bring it to where the gradient is
    useful. The best epoch and early stopping are sought only after the switch: the values of two losses do
    not compare.

    Arguments
    ---------
    loss
        As ``fit`` takes it: a name, a Keras loss, or a function.
    epochs
        Length; they come before the ``epochs`` of ``fit``, and the schedule runs over both.
    learning_rate
        Base rate of these epochs; None: that of ``fit``.
    batch_size
        Events of a batch, or "auto"; None: as in ``fit``.
    accumulate
        Batches of a step; None: as in ``fit``.
    optimizer_state
        "reset": the optimizer forgets at the switch. Adam divides by gradients it has seen over about 1000
        steps; those of another loss, larger or smaller by orders, would make the first steps of the new one
        far too short or too long. "keep": it goes on as it is, for two losses of a kind.
    warmup
        Epochs (fractions count) over which the learning rate rises from 0 after the switch: an optimizer
        without a memory steps by the full rate wherever the first batch points.
    sharpen
        At the switch, scale and shift the argument of the output's sigmoid so that the new loss is smallest
        (:func:`hepml_root.training.sharpening.sharpen`): for a significance after a cross entropy, which
        else loses what was learnt in its first steps.

    Raises
    ------
    SettingError
        A setting is out of its range.

    Reference: A. Elwood, D. Krücker, arXiv:1806.00322, who pretrain with s/√(s+b).

    Example
    -------
    >>> Pretraining("binary_crossentropy", epochs=3).optimizer_state
    'reset'
    """

    loss: Any
    epochs: int = 5
    learning_rate: float | None = None
    batch_size: int | str | None = None
    accumulate: int | None = None
    optimizer_state: str = "reset"
    warmup: float = 1.0
    sharpen: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            check_whole(f"pretrain: {name}", getattr(self, name), _ALSO[name])
        rate = self.learning_rate
        if rate is not None and not (math.isfinite(rate) and rate > 0):
            raise SettingError(f"pretrain: learning_rate={rate}: a positive number is needed.")
        if not (math.isfinite(self.warmup) and self.warmup >= 0):
            raise SettingError(f"pretrain: warmup={self.warmup}: a number of epochs is not negative.")
        if self.optimizer_state not in _STATES:
            raise SettingError(unknown("optimizer_state", str(self.optimizer_state), _STATES))


_ALSO: dict[str, tuple[Any, ...]] = {"epochs": (), "batch_size": (None, "auto"), "accumulate": (None,)}


def check_whole(name: str, value: Any, also: tuple[Any, ...] = ()) -> None:
    """Refuse what is not a whole number from 1, nor one of ``also``.

    Raises
    ------
    SettingError
        It is something else.

    Example
    -------
    >>> check_whole("epochs", 0)
    Traceback (most recent call last):
    ...
    hepml_root.errors.SettingError: epochs=0: a whole number from 1 is needed.
    """
    if value is None or isinstance(value, str):
        right = value in also
    else:
        right = (
            not isinstance(value, bool) and isinstance(value, (int, float)) and value >= 1 and value % 1 == 0
        )
    if not right:
        words = "".join(f" or {other!r}" for other in also)
        raise SettingError(f"{name}={value!r}: a whole number from 1{words} is needed.")


def pretraining_of(pretrain: Any) -> Pretraining | None:
    """Return a pretraining from what ``fit`` takes: None, a :class:`Pretraining`, or only its loss.

    Example
    -------
    >>> pretraining_of("significance").epochs
    5
    """
    return pretrain if pretrain is None or isinstance(pretrain, Pretraining) else Pretraining(pretrain)
