"""What a Factory knows of a method when it was trained and tested: what the output file shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.tmva.data_sets.events import DataSet


@dataclass
class MethodResult:
    """One method.

    Arguments
    ---------
    type_name, title
        Such as ``BDT`` and the name it was booked with.
    data
        The events, as the DataLoader gave them: variables without VarTransform.
    weight_file, model_file
        ``*.weights.xml`` and the ``.onnx`` file beside it.
    training, test
        Responses ``(events, outputs)`` for the events of ``data.training`` and ``data.test``.
    seconds
        Of training.
    monitors
        What the method says of its training: {name: columns of one table, {column: (rows,)}}, such as
        ``"MonitorNtuple": {"iTree": …, "boostWeight": …, "errorFraction": …}`` of a BDT, and
        ``"Convergence": {"epoch": …, "train": …, "test": …}`` of a network.
    probability_training, probability_test, rarity_training, rarity_test
        With CreateMVAPdfs, of a classifier: ``(events,)``.
    mva_pdfs
        With CreateMVAPdfs: the densities of the response (``Pdf``), signal first.
    """

    type_name: str
    title: str
    data: DataSet
    weight_file: Path
    model_file: Path
    training: NDArray[np.float32]
    test: NDArray[np.float32]
    seconds: float
    monitors: Mapping[str, Mapping[str, NDArray[Any]]] = field(default_factory=dict)
    probability_training: NDArray[np.float32] | None = None
    probability_test: NDArray[np.float32] | None = None
    rarity_training: NDArray[np.float32] | None = None
    rarity_test: NDArray[np.float32] | None = None
    mva_pdfs: tuple[Any, Any] | None = None
