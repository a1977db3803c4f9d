"""What every method is: options that were checked when it was booked, and training that gives weights."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError, UnsupportedOperationError
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.options.declaration import Option, Options
from hepml_root.tmva.weights.cuts import Cuts
from hepml_root.tmva.weights.likelihood import Likelihood
from hepml_root.tmva.weights.linear import Linear
from hepml_root.tmva.weights.neighbours import Neighbours
from hepml_root.tmva.weights.network import Network
from hepml_root.tmva.weights.own_model import OwnGraph
from hepml_root.tmva.weights.support_vectors import SupportVectors
from hepml_root.tmva.weights.trees import BoostedTrees

__all__ = ["Booking", "Method", "MethodWeights", "OwnGraph", "Trained"]

MethodWeights = BoostedTrees | Network | Linear | Likelihood | Cuts | Neighbours | SupportVectors | OwnGraph


@dataclass(frozen=True)
class Trained:
    """What training gives: weights, and tables of what happened (``results.MethodResult.monitors``)."""

    weights: MethodWeights
    monitors: Mapping[str, Mapping[str, NDArray[np.generic]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Booking:
    """How a method was booked.

    Arguments
    ---------
    job, dataset, title, type_name
        Names of the Factory, of the DataLoader, of the method, and of its type (``BDT``).
    options
        Values of its own and of the shared options.
    analysis
        ``Classification``, ``Regression`` or ``Multiclass``.
    folder
        Where its weight files go: ``<dataset>/weights``.
    extra
        Keyword arguments of BookMethod that no option string can hold (objects).
    """

    job: str
    dataset: str
    title: str
    type_name: str
    options: Options
    analysis: str
    folder: Path
    extra: Mapping[str, Any] = field(default_factory=dict)


class Method(abc.ABC):
    """A method: subclasses declare their options and analyses, check them, and train.

    Raises
    ------
    SettingError
        The method does not do this analysis, or an option has a value that it cannot take: said when it is
        booked, before anything is trained.
    """

    type_name: ClassVar[str]
    # With True, events in training are transformed by the set of their own class (D_Signal and so on).
    transforms_by_class: ClassVar[bool] = False
    own_options: ClassVar[tuple[Option, ...]] = ()
    analyses: ClassVar[tuple[str, ...]] = ("Classification",)
    summary: ClassVar[str] = ""
    # What the option H prints.
    help: ClassVar[str] = ""
    ranked_by: ClassVar[str] = "Variable importance"
    # True of what makes events instead of judging them: it has files of its own, no response and no test.
    makes_events: bool = False

    def __init__(self, booking: Booking) -> None:
        if booking.analysis not in self.analyses:
            raise SettingError(
                f"{self.type_name} '{booking.title}': it does {', '.join(self.analyses)}; "
                f"the analysis is {booking.analysis}."
            )
        self.booking = booking
        self.options = booking.options

    @abc.abstractmethod
    def train(self, data: DataSet, console: Console) -> Trained:
        """Train on ``data.training`` (variables after VarTransform); ``data.test`` may only be watched."""

    def train_generator(self, data: DataSet, console: Console) -> list[Path]:  # noqa: ARG002
        """Train what makes events, and return the files that were written.

        Raises
        ------
        UnsupportedOperationError
            The method judges events.
        """
        raise UnsupportedOperationError(f"{self.type_name} '{self.booking.title}' makes no events.")

    def ranking(self) -> list[tuple[str, float]] | None:
        """Return variables with their importance (``ranked_by``), best first; None where there is none."""
        return None


def positive_part(data: DataSet, options: Options) -> Sample:
    """Return the training events, without those of negative weight if IgnoreNegWeightsInTraining says so."""
    events = data.training
    return events.take(events.weights > 0) if options["IgnoreNegWeightsInTraining"] else events


def ranked(labels: Sequence[str], importance: NDArray[np.generic]) -> list[tuple[str, float]]:
    """Return names with numbers, the largest first.

    >>> ranked(["x", "y"], np.array([0.25, 0.75]))
    [('y', 0.75), ('x', 0.25)]
    """
    pairs = zip(labels, np.asarray(importance, np.float64).tolist(), strict=True)
    return sorted(pairs, key=lambda pair: -pair[1])
