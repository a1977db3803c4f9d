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
    constants
        Those of its optimizer, as Keras calls them.
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
    constants: tuple[tuple[str, float], ...] = ()


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
# Constants of optimizers: TMVA's name, and Keras's.
_CONSTANTS = {
    "ADAM_beta1": "beta_1",
    "ADAM_beta2": "beta_2",
    "ADAM_eps": "epsilon",
    "ADAGRAD_eps": "epsilon",
    "RMSPROP_rho": "rho",
    "RMSPROP_eps": "epsilon",
    "ADADELTA_rho": "rho",
    "ADADELTA_eps": "epsilon",
}
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
        constants: dict[str, float] = {}
        for part in _parts(block, where):
            name, equals, given = (piece.strip() for piece in part.partition("="))
            if not equals or not given:
                raise SettingError(f"{where}: '{part}': name=value is needed.")
            known = [constant for constant in _CONSTANTS if constant.lower() == name.lower()]
            if known:
                constants[known[0]] = _constant(known[0], given, where)
            else:
                values |= _setting(name, given, where)
        optimizer = values.get("optimizer", Phase.optimizer)
        own = tuple(
            (_CONSTANTS[name], value) for name, value in constants.items() if name.startswith(f"{optimizer}_")
        )
        phases.append(Phase(**values, constants=own))
    return phases


def _parts(block: str, where: str) -> list[str]:
    """Return the settings of a phase; a comma that was forgotten between a number and a name is added.

    ROOT's own tutorials forget one (``MaxEpochs=10Optimizer=ADAM``), and TMVA reads the number.
    """
    names = "|".join((*_SETTINGS, "Optimizer", "Regularization", "DropConfig", *_CONSTANTS, *_UNUSED))
    parts = []
    for part in filter(None, (part.strip() for part in block.split(","))):
        found = re.fullmatch(rf"(\w+=[\d.+-]+(?:e[+-]?\d+)?)\s*((?:{names})=.*)", part, re.IGNORECASE)
        if found is None:
            parts.append(part)
            continue
        warnings.warn(
            f"{where}: '{part}': a comma is missing; it is read as {found[1]},{found[2]}.", stacklevel=2
        )
        parts += [found[1], found[2]]
    return parts


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
    found = [known for known in _SETTINGS if known.lower() == lower]
    if not found:
        known = [*_SETTINGS, "Optimizer", "Regularization", "DropConfig", *_CONSTANTS, *_UNUSED]
        raise SettingError(f"{where}: {unknown('setting', name, known)}")
    target, kind, least, most = _SETTINGS[found[0]]
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not least <= value <= most or (kind is int and value != int(value)):
        wanted = "a whole number" if kind is int else "a number"
        raise SettingError(f"{where}: {found[0]}={given}: {wanted} from {least:g} to {most:g} is needed.")
    return {target: kind(value)}


def _constant(name: str, given: str, where: str) -> float:
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not 0.0 < value < 1.0:
        raise SettingError(f"{where}: {name}={given}: a number between 0 and 1 is needed.")
    return value


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
