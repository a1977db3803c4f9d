"""The state of a training between two epochs, in one file: stopped there, it goes on with the same result."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import InterruptedTrainingError
from hepml_root.output import writing

FILE = "training.npz"
_VERSION = 1


@dataclass
class State:
    """Everything that the rest of a training depends on, besides the data and the settings.

    The order of events and the dropped neurons are functions of the seed and the epoch; schedules and early
    stopping are functions of the metrics. So the state is the values of the variables and the metrics so far.
    """

    variables: list[NDArray[Any]]
    optimizer: list[NDArray[Any]]
    best: list[NDArray[Any]]
    metrics: dict[str, list[float]]
    best_epoch: int | None
    seconds: float


def values_of(variables: Sequence[Any]) -> list[NDArray[Any]]:
    """Return copies of the values of Keras variables."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assign(variables: Sequence[Any], values: Sequence[NDArray[Any]]) -> None:
    """Set Keras variables to values."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def fingerprint(model: keras.Model, data: Any, settings: dict[str, Any]) -> dict[str, str]:
    """Return what must be the same for a training to be continued: model, data and settings."""
    shapes = [(variable.path.split("/", 1)[-1], tuple(variable.shape)) for variable in model.variables]
    X, target, weight = next(iter(data.stream(batch_size=256, seed=0).epoch(0)))
    digest = hashlib.sha256()
    for array in (*(X[name][:256] for name in sorted(X)), target[:256], weight[:256]):
        digest.update(np.ascontiguousarray(array).tobytes())
    return {
        "model": hashlib.sha256(repr(shapes).encode()).hexdigest()[:16],
        "data": f"{len(data)} events, {digest.hexdigest()[:16]}",
        **{name: json.dumps(value, sort_keys=True, default=str) for name, value in settings.items()},
    }


class Checkpoint:
    """A folder that holds the state of one training.

    Arguments
    ---------
    folder
        Where; made when the first epoch ends.
    mark
        The training's :func:`fingerprint`.
    """

    def __init__(self, folder: str | os.PathLike[str], mark: dict[str, str]) -> None:
        self.path = Path(folder) / FILE
        self.mark = mark

    @property
    def exists(self) -> bool:
        """Whether there is a state to continue from."""
        return self.path.exists()

    def save(self, state: State) -> None:
        """Replace the state in the folder, in one step: after a crash the old or the new one is there."""
        arrays = {
            f"{kind}_{number}": array
            for kind in ("variables", "optimizer", "best")
            for number, array in enumerate(getattr(state, kind))
        }
        record = {
            "version": _VERSION,
            "mark": self.mark,
            "metrics": state.metrics,
            "best_epoch": state.best_epoch,
            "seconds": state.seconds,
            "counts": {kind: len(getattr(state, kind)) for kind in ("variables", "optimizer", "best")},
        }
        with writing(self.path, overwrite=True) as temporary:
            np.savez(temporary, record=np.array(json.dumps(record)), **arrays)

    def load(self) -> State:
        """Return the state in the folder.

        Raises
        ------
        InterruptedTrainingError
            There is none, it cannot be read, or it belongs to another model, other data or other settings.
        """
        if not self.exists:
            raise InterruptedTrainingError(
                f"there is no training to resume: '{self.path}' does not exist. Start it with resume=False."
            )
        try:
            with np.load(self.path, allow_pickle=False) as file:
                record = json.loads(str(file["record"]))
                arrays = {
                    kind: [file[f"{kind}_{number}"] for number in range(count)]
                    for kind, count in record["counts"].items()
                }
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise InterruptedTrainingError(
                f"the checkpoint '{self.path}' cannot be read ({error}). Delete it and start anew."
            ) from error
        differing = [name for name in self.mark if record["mark"].get(name) != self.mark[name]]
        if record["version"] != _VERSION or differing:
            listed = "; ".join(
                f"{name} was {record['mark'].get(name)} and is {self.mark[name]}" for name in differing
            )
            raise InterruptedTrainingError(
                f"the checkpoint '{self.path}' belongs to another training: {listed or 'another version'}. "
                "Give the same model, data and settings, or another folder."
            )
        return State(
            **arrays,
            metrics=record["metrics"],
            best_epoch=record["best_epoch"],
            seconds=record["seconds"],
        )
