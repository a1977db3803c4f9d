"""A method as a Factory books, trains, writes and reads it, without the rest of the Factory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from hepml_root import tmva as TMVA
from hepml_root.tmva import training
from hepml_root.tmva.booking import book
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.weights.conversion import emit


def method(type_name: str, options: str = "", analysis: str = "Classification"):
    return book(type_name, type_name, options, job="job", dataset="dataset", analysis=analysis)


class Trained:
    """What training gives, and its answers."""

    def __init__(self, type_name: str, options: str, data: DataSet, folder: Path | None = None) -> None:
        self.method = method(type_name, options, data.analysis)
        self.data = data
        self.fitted = training.fit(self.method, data, Console(type_name, silent=True))
        self.weights = self.fitted.trained.weights
        self.model = None
        if folder is not None:  # by way of its weight file
            booking = replace(self.method.booking, folder=folder)
            files = training.write(booking, data, self.fitted)
            self.file = TMVA.read_weights(files.weights)
            self.model = emit(self.file)

    def answers(self, events: np.ndarray) -> np.ndarray:
        model = self.model or training.graph(self.method.booking, self.data, self.fitted)
        found = training.graph_responses(model, np.asarray(events, np.float32))
        return found[:, 0] if found.shape[1] == 1 else found
