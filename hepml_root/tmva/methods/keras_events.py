"""Between a DataSet and Keras: what a network is trained on, which events are set aside, and its graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError, WeightError
from hepml_root.export.onnx import emit
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.methods.method import OwnGraph

INPUT, OUTPUT = "features", "score"


@dataclass(frozen=True)
class Arrays:
    """What ``keras.Model.fit`` takes: inputs, wanted outputs and weights, float32."""

    inputs: NDArray[np.float32]
    wanted: NDArray[np.float32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, rows: slice | NDArray[np.generic]) -> Arrays:
        return Arrays(self.inputs[rows], self.wanted[rows], self.weights[rows])


def training_sample(data: DataSet, ignore_negative: bool, what: str) -> Sample:
    """Return the training events, without those of negative weight where these are to be left out.

    Raises
    ------
    WeightError
        The weights have no positive sum.
    """
    sample = data.training
    if ignore_negative:
        sample = sample.take(sample.weights >= 0)
    if not len(sample) or sample.weights.sum() <= 0:
        raise WeightError(f"{what}: the weights of the {len(sample)} training events have no positive sum.")
    return sample


def arrays(sample: Sample, data: DataSet, outputs: int | None = None) -> Arrays:
    """Return events for Keras: of classes one-hot, in their order; with one output 1 for the signal."""
    if data.analysis == "Regression":
        wanted = np.asarray(sample.targets, np.float32)
    elif outputs == 1:
        wanted = (sample.classes == data.signal).astype(np.float32)[:, None]
    else:
        wanted = np.eye(len(data.classes), dtype=np.float32)[sample.classes]
    return Arrays(
        np.ascontiguousarray(sample.variables, np.float32), wanted, np.asarray(sample.weights, np.float32)
    )


def check_validation_size(text: str, what: str) -> tuple[float, bool]:
    """Return a ValidationSize as a number, and whether it is a part of the events.

    Raises
    ------
    SettingError
        It is neither 20%, 0.2 nor 100.

    Example
    -------
    >>> check_validation_size("20%", "DL"), check_validation_size("100", "DL")
    ((0.2, True), (100.0, False))
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*(%?)\s*", text)
    value = float(found[1]) if found else 0.0
    if found and found[2]:
        value /= 100.0
    part = bool(found and found[2]) or value < 1.0
    if found is None or value <= 0 or (part and value >= 1) or (not part and value != int(value)):
        raise SettingError(
            f"{what}: ValidationSize={text}: 20% or 0.2 is a fifth of the events, 100 so many of them."
        )
    return value, part


def validation_events(text: str, events: int, what: str) -> int:
    """Return how many of the training events are set aside.

    Raises
    ------
    SettingError
        None would be, or none would be left to train on.

    Example
    -------
    >>> validation_events("20%", 50, "DL"), validation_events("30", 50, "DL")
    (10, 30)
    """
    value, part = check_validation_size(text, what)
    count = int(value * events + 1e-9) if part else int(value)
    if not 0 < count < events:
        raise SettingError(
            f"{what}: ValidationSize={text} sets {count} of {events} training events aside; at least one has "
            "to be, and one has to be left."
        )
    return count


def own_graph(
    model: keras.Model, variables: int, column: int | None = None, keras_file: Path | None = None
) -> OwnGraph:
    """Return a model ``(events, variables)`` → ``(events, outputs)`` as ONNX.

    Arguments
    ---------
    column
        The output that is the response; None: all of them.

    Raises
    ------
    UnsupportedOperationError
        A layer cannot be written.
    """
    values = keras.Input((variables,), name=INPUT)
    response: Any = model(values)
    if column is not None and response.shape[-1] > 1:
        response = response[:, column : column + 1]
    whole = keras.Model(values, response, name=model.name)
    return OwnGraph(emit(whole, inputs=[INPUT], outputs=[OUTPUT]), keras_file)


def convergence(history: dict[str, Sequence[float]]) -> dict[str, NDArray[np.generic]]:
    """Return the losses of a Keras history as the monitor "Convergence"."""
    train = np.asarray(history["loss"], float)
    test = np.asarray(history.get("val_loss", np.full(len(train), np.nan)), float)
    return {"epoch": np.arange(1, len(train) + 1, dtype=np.int32), "train": train, "test": test}
