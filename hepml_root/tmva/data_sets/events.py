"""The events that methods are trained and tested on: what a DataLoader has prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hepml_root.tmva.weights.header import Variable


@dataclass(frozen=True)
class Sample:
    """Events of training, or of the test.

    Arguments
    ---------
    variables, spectators, targets
        ``(events, …)``, float32, in the order in which they were added, in the units of the trees.
    classes
        ``(events,)``: index of the class; zeros of a regression.
    weights
        ``(events,)``: weight of the tree times that of the event; in training renormalised as
        NormMode says.
    """

    variables: NDArray[np.float32]
    spectators: NDArray[np.float32]
    targets: NDArray[np.float32]
    classes: NDArray[np.int32]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, rows: NDArray[np.generic] | slice) -> Sample:
        """Return some of the events (a mask, positions, or a slice)."""
        return Sample(
            self.variables[rows], self.spectators[rows], self.targets[rows],
            self.classes[rows], self.weights[rows],
        )  # fmt: skip

    def with_variables(self, variables: NDArray[np.float32]) -> Sample:
        """Return the same events with other variables, such as transformed ones."""
        return replace(self, variables=np.asarray(variables, np.float32))


@dataclass(frozen=True)
class DataSet:
    """A training sample and a test sample with what their columns are.

    Arguments
    ---------
    name
        That of the DataLoader: the folder of weights and of the output file.
    analysis
        ``Classification``, ``Regression`` or ``Multiclass``.
    variables, spectators, targets
        With labels, expressions, units, and minimum and maximum in training.
    classes
        Names, in the order of their indices; one of a regression.
    training, test
        The events.
    """

    name: str
    analysis: str
    variables: tuple[Variable, ...]
    spectators: tuple[Variable, ...]
    targets: tuple[Variable, ...]
    classes: tuple[str, ...]
    training: Sample
    test: Sample

    @property
    def signal(self) -> int:
        """Index of the class that a classifier's response is high for."""
        return self.classes.index("Signal") if "Signal" in self.classes else 0

    @property
    def outputs(self) -> int:
        """How many values a method gives for an event."""
        return {"Classification": 1, "Multiclass": len(self.classes), "Regression": len(self.targets)}[
            self.analysis
        ]

    @property
    def labels(self) -> Sequence[str]:
        return [variable.label for variable in self.variables]
