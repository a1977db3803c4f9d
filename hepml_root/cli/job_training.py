"""The training section of a job file as the arguments of :func:`hepml_root.fit`."""

from __future__ import annotations

import dataclasses
from typing import Any

from hepml_root.cli.job import Loss, Monitor, Pretrain, Training
from hepml_root.errors import JobFileError, SettingError


def fit_settings(training: Training) -> dict[str, Any]:
    """Return the keyword arguments of ``fit``.

    Raises
    ------
    JobFileError
        A loss does not exist, or does not take its settings.

    Example
    -------
    >>> fit_settings(Training(loss=Loss(name="asimov", systematic=0.3), epochs=7))["loss"].systematic
    0.3
    """
    settings = {field.name: getattr(training, field.name) for field in dataclasses.fields(training)}
    settings["loss"] = _loss_of(training.loss, "training.loss")
    settings["pretrain"] = _pretraining_of(training.pretrain)
    if isinstance(training.monitor, Monitor):
        settings["monitor"] = _monitor_of(training.monitor)
    return settings


def _loss_of(loss: str | Loss | None, place: str) -> Any:
    from hepml_root import losses

    if loss is None:
        return None
    name, settings = loss, {}
    if isinstance(loss, Loss):
        given = {field: getattr(loss, field) for field in ("signal", "background", "systematic")}
        given = {field: value for field, value in given.items() if value is not None}
        twice = sorted(set(given) & set(loss.settings))
        if twice:
            raise JobFileError(f"{place}.settings: {', '.join(twice)}: given twice; leave it in {place}.")
        name, settings = loss.name, given | loss.settings
    try:
        return losses.get(name, **settings)
    except SettingError as error:
        raise JobFileError(f"{place}: {error}") from error


def _pretraining_of(pretrain: str | Pretrain | None) -> Any:
    from hepml_root.training.pretraining import Pretraining

    if pretrain is None:
        return None
    if isinstance(pretrain, str):
        pretrain = Pretrain(loss=pretrain)
    settings = {field.name: getattr(pretrain, field.name) for field in dataclasses.fields(pretrain)}
    settings["loss"] = _loss_of(pretrain.loss, "training.pretrain.loss")
    try:
        return Pretraining(**settings)
    except SettingError as error:
        raise JobFileError(f"training.{error}") from error


def _monitor_of(monitor: Monitor) -> Any:
    from hepml_root.training.significance_monitor import ValidationSignificance

    return ValidationSignificance(
        systematic=monitor.systematic,
        minimum_background=monitor.minimum_background,
        minimum_signal=monitor.minimum_signal,
    )
