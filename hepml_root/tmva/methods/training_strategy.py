"""kDL's TrainingStrategy: phases separated by ``|``, each with settings separated by commas."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

from hepml_root.errors import SettingError, unknown


@dataclass(frozen=True)
class Phase:
    """One phase of a training.

    Arguments
    ---------
    learning_rate, momentum, optimizer, batch_size
        Of the steps; the momentum is that of SGD.
    epochs
        At most.
    every
        Epochs between two looks at the validation.
    patience
        Epochs without a better one there after which the phase ends.
    weight_decay, regularization
        Strength of a penalty ``L1`` (Σ|w|) or ``L2`` (Σ w²); none without one of these.
    drop
        Part of the values that is left out before each layer.
    of_optimizers
        Names and values of what single optimizers take, such as ``("ADAM_beta1", 0.9)``.
    """

    learning_rate: float = 1e-3
    momentum: float = 0.0
    optimizer: str = "ADAM"
    batch_size: int = 30
    epochs: int = 2000
    every: int = 7
    patience: int = 100
    weight_decay: float = 0.0
    regularization: str = "NONE"
    drop: tuple[float, ...] = ()
    of_optimizers: tuple[tuple[str, float], ...] = ()

    def of_optimizer(self) -> dict[str, float]:
        """Return what the phase's own optimizer takes: ``{"beta1": 0.9}``."""
        start = f"{self.optimizer}_"
        return {name[len(start) :]: value for name, value in self.of_optimizers if name.startswith(start)}


OPTIMIZERS = ("SGD", "ADAM", "ADAGRAD", "RMSPROP", "ADADELTA")
# Of each setting: the field, its type, and what it may be.
_SETTINGS: dict[str, tuple[str, type, float, float]] = {
    "LearningRate": ("learning_rate", float, 1e-12, 1e6),
    "Momentum": ("momentum", float, 0.0, 0.9999),
    "BatchSize": ("batch_size", int, 1, 1e9),
    "MaxEpochs": ("epochs", int, 1, 1e9),
    "TestRepetitions": ("every", int, 1, 1e9),
    "ConvergenceSteps": ("patience", int, 1, 1e9),
    "WeightDecay": ("weight_decay", float, 0.0, 1e6),
}
# Of single optimizers: the largest value that each may have (0 is the smallest).
_OF_OPTIMIZERS = {
    "ADAM_beta1": 0.99999, "ADAM_beta2": 0.99999, "ADAM_eps": 1.0, "ADADELTA_rho": 0.99999,
    "ADADELTA_eps": 1.0, "ADAGRAD_eps": 1.0, "RMSPROP_rho": 0.99999, "RMSPROP_eps": 1.0,
}  # fmt: skip
# What TMVA's kDL reads and does not use, either.
_UNUSED = ("Repetitions", "DropRepetitions", "Renormalize", "Multithreading")


def parse_strategy(text: str, what: str = "DL") -> list[Phase]:
    """Return the phases of a TrainingStrategy.

    Raises
    ------
    SettingError
        A setting is unknown, or has a value that it cannot take.

    Example
    -------
    >>> phases = parse_strategy("LearningRate=1e-2,Optimizer=sgd,DropConfig=0+0.5|LearningRate=1e-3")
    >>> [(phase.optimizer, phase.learning_rate, phase.drop) for phase in phases]
    [('SGD', 0.01, (0.0, 0.5)), ('ADAM', 0.001, ())]
    """
    phases = []
    blocks = [block.strip() for block in text.split("|")]
    for number, block in enumerate(blocks, start=1):
        where = f"{what}: TrainingStrategy, phase {number}"
        if not block:
            raise SettingError(f"{where}: it is empty.")
        values: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in _with_commas(block, where).split(","))):
            name, equals, given = (piece.strip() for piece in part.partition("="))
            if not equals or not given:
                raise SettingError(f"{where}: '{part}': name=value is needed.")
            found = _setting(name, given, where)
            if "of_optimizers" in found:
                found["of_optimizers"] = (*values.get("of_optimizers", ()), *found["of_optimizers"])
            values |= found
        phases.append(Phase(**values))
    return phases


def _with_commas(block: str, where: str) -> str:
    """Return a phase with the commas that were forgotten between a number and the next setting.

    TMVA reads ``MaxEpochs=10Optimizer=ADAM``, which is in ROOT's own tutorial of recurrent networks.
    """
    names = "|".join((*_SETTINGS, *_OF_OPTIMIZERS, "Optimizer", "Regularization", "DropConfig", *_UNUSED))
    forgotten = rf"(?<=[0-9.])\s*(?=({names})\s*=)"
    for name in re.findall(forgotten, block):
        warnings.warn(f"{where}: there is no comma before '{name}'; it is read as if.", stacklevel=4)
    return re.sub(forgotten, ",", block)


def _setting(name: str, given: str, where: str) -> dict[str, Any]:
    lower = name.lower()
    if lower in (unused.lower() for unused in _UNUSED):
        return {}
    if lower == "optimizer":
        if given.upper() not in OPTIMIZERS:
            raise SettingError(f"{where}: {unknown('Optimizer', given.upper(), OPTIMIZERS)}")
        return {"optimizer": given.upper()}
    if lower == "regularization":
        if given.upper() not in ("NONE", "L1", "L2"):
            raise SettingError(f"{where}: Regularization={given}: None, L1 or L2 is needed.")
        return {"regularization": given.upper()}
    if lower == "dropconfig":
        return {"drop": _drop(given, where)}
    special = [known for known in _OF_OPTIMIZERS if known.lower() == lower]
    if special:
        value = _number(given)
        if not 0 <= value <= _OF_OPTIMIZERS[special[0]]:
            raise SettingError(
                f"{where}: {special[0]}={given}: a number from 0 to {_OF_OPTIMIZERS[special[0]]:g} is needed."
            )
        return {"of_optimizers": ((special[0], value),)}
    found = [known for known in _SETTINGS if known.lower() == lower]
    if not found:
        known = [*_SETTINGS, *_OF_OPTIMIZERS, "Optimizer", "Regularization", "DropConfig", *_UNUSED]
        raise SettingError(f"{where}: {unknown('setting', name, known)}")
    target, kind, least, most = _SETTINGS[found[0]]
    value = _number(given)
    if not least <= value <= most or (kind is int and value != int(value)):
        wanted = "a whole number" if kind is int else "a number"
        raise SettingError(f"{where}: {found[0]}={given}: {wanted} from {least:g} to {most:g} is needed.")
    return {target: kind(value)}


def _number(given: str) -> float:
    try:
        return float(given)
    except ValueError:
        return float("nan")


def _drop(given: str, where: str) -> tuple[float, ...]:
    try:
        parts = tuple(float(part) for part in given.rstrip("+. ").split("+")) if given.rstrip("+. ") else ()
    except ValueError:
        parts = (float("nan"),)
    if not all(0.0 <= part < 1.0 for part in parts):
        raise SettingError(
            f"{where}: DropConfig={given}: parts from 0 to below 1, one for each layer, as 0.0+0.5+0.5, are "
            "needed."
        )
    return parts
