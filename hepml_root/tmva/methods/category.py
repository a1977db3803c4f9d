"""Category: regions of the events, each with a method and variables of its own.

    y = yᵢ(x) where cut i holds; 0 outside of all regions

The regions must not overlap. Cuts are formulas (``weights/formula``) of variables and spectators;
the spectators in them are inputs of the exported file, behind the variables. The weights in a region are
those of the whole sample. (TMVA normalises them anew in each region, by the DataLoader's NormMode.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import EmptySelectionError, SettingError, unknown
from hepml_root.tmva import training
from hepml_root.tmva.booking import book, type_name
from hepml_root.tmva.composite import add_choice, named_columns
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.methods.method import Booking, Method, OwnGraph, Trained
from hepml_root.tmva.options.neighbours import CATEGORY
from hepml_root.tmva.weights.conversion import INPUT, OUTPUT
from hepml_root.tmva.weights.formula import Formula, read_formula
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.header import Variable

_LEAST_EVENTS = 10
_NOT_INSIDE = {
    "Cuts": "has a box for each signal efficiency, and no response.",
    "Category": "would be regions inside a region: combine the cuts with &&.",
}


@dataclass(frozen=True)
class _Region:
    """A region: its cut, the labels of its variables (none: all), and its method."""

    cut: Formula
    labels: tuple[str, ...]
    method: Method


class Category(Method):
    """A method for each region of the events; see the module.

    Example
    -------
    >>> from hepml_root.tmva.booking import book
    >>> method = book("Category", "FisherCat", job="job", dataset="d", analysis="Classification")
    >>> central = method.AddMethod("abs(eta)<=1.3", "var1:var2", "Fisher", "Central", "!H:!V:Fisher")
    >>> forward = method.AddMethod("abs(eta)>1.3", "", "Fisher", "Forward", "!H:!V:Fisher")
    >>> forward.booking.title
    'Forward'
    """

    type_name = "Category"
    own_options = CATEGORY
    analyses = ("Classification", "Regression", "Multiclass")
    summary = "A method of its own for each region of the events."
    help = """Regions of the events have methods of their own, with their own variables: barrel and
endcap, numbers of jets. AddMethod(cut, variables, type, title, options) of what BookMethod returned
adds a region. The cuts must not overlap, and may use spectators, which the Reader then needs as well."""

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        self._regions: list[_Region] = []
        if self.options["VarTransform"] != "None":
            raise SettingError(
                f"Category '{booking.title}': VarTransform belongs to the methods of the regions: give it to "
                "AddMethod, since the cuts are of variables as they are."
            )

    def AddMethod(
        self, cut: Any, variables: Any, method: Any, title: Any, options: Any = "", **keywords: Any
    ) -> Method:
        """Add a region.

        Arguments
        ---------
        cut
            What its events fulfil, such as ``abs(eta) <= 1.3`` (text, TString or TCut).
        variables
            Labels of its variables with ``:`` between them, of spectators as well; nothing: all variables.
        method, title, options
            As in BookMethod.

        Returns
        -------
        Method
            The method of the region.

        Raises
        ------
        ExpressionError
            The cut cannot be read.
        SettingError
            As BookMethod; the title is taken; or the method cannot be inside a category.
        """
        name, own = type_name(method), self.booking
        if name in _NOT_INSIDE:
            raise SettingError(f"Category '{own.title}': {name} {_NOT_INSIDE[name]}")
        if str(title) in [region.method.booking.title for region in self._regions]:
            raise SettingError(f"Category '{own.title}': a method '{title}' is there already.")
        text = cut.GetTitle() if hasattr(cut, "GetTitle") else cut
        made = book(
            name, str(title), options, keywords, job=own.job, dataset=own.dataset, analysis=own.analysis
        )
        labels = tuple(label.strip() for label in str(variables).split(":") if label.strip())
        self._regions.append(_Region(read_formula(str(text) or "1"), labels, made))
        return made

    def train(self, data: DataSet, console: Console) -> Trained:
        if not self._regions:
            raise SettingError(
                f"Category '{self.booking.title}' has no region: call AddMethod of what BookMethod returned."
            )
        columns = named_columns(data)
        taken = sorted({number for number in map(columns.get, self._names(columns)) if number is not None})
        spectators = tuple(n - len(data.variables) for n in taken if n >= len(data.variables))
        inside = self._inside(data, columns, console)
        graph = Graph(INPUT)
        places = {number: number for number in range(len(data.variables))}
        places |= {len(data.variables) + n: len(data.variables) + i for i, n in enumerate(spectators)}
        conditions, results = [], []
        for region, (in_training, in_test) in zip(self._regions, inside, strict=True):
            chosen = [columns[label] for label in region.labels] or list(range(len(data.variables)))
            part = self._part(data, in_training, in_test, chosen)
            own = console.named(region.method.booking.title)
            own.line(f"Train method: {len(part.training)} events with {region.cut.text}")
            fitted = training.fit(region.method, part, own)
            model = training.graph(region.method.booking, part, fitted)
            results.append(graph.embed(model, graph.columns(INPUT, [places[number] for number in chosen])))
            named = {name: graph.columns(INPUT, [places[columns[name]]]) for name in region.cut.names}
            conditions.append(region.cut.add_to(graph, named))
        result = add_choice(graph, conditions, results)
        width = len(data.variables) + len(spectators)
        model = graph.model(self.booking.title, width, result, OUTPUT, data.outputs)
        return Trained(OwnGraph(model, spectators=spectators))

    def _names(self, columns: dict[str, int]) -> list[str]:
        """Names of variables and spectators in all regions, all of which are there."""
        names = []
        for region in self._regions:
            for name in (*region.cut.names, *region.labels):
                if name not in columns:
                    raise SettingError(
                        f"Category '{self.booking.title}', region '{region.method.booking.title}': "
                        + unknown("variable or spectator", name, columns, "AddSpectator adds others.")
                    )
                names.append(name)
        return names

    def _inside(
        self, data: DataSet, columns: dict[str, int], console: Console
    ) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """For each region which training and test events are in it."""
        found = []
        for sample in (data.training, data.test):
            table = np.hstack([sample.variables, sample.spectators])
            named = {name: table[:, place] for name, place in columns.items()}
            found.append([region.cut.values(named) > 0.5 for region in self._regions])
        for what, masks in zip(("training", "test"), found, strict=True):
            number = np.sum(masks, axis=0, dtype=int)
            if (number > 1).any():
                cuts = ", ".join(f"'{region.cut.text}'" for region in self._regions)
                raise SettingError(
                    f"Category '{self.booking.title}': {int((number > 1).sum())} {what} events are in two "
                    f"regions or more: {cuts}."
                )
            if (number == 0).any():
                console.warning(f"{int((number == 0).sum())} {what} events are in no region; they get 0.")
        return list(zip(*found, strict=True))

    def _part(
        self, data: DataSet, in_training: NDArray[np.bool_], in_test: NDArray[np.bool_], chosen: Sequence[int]
    ) -> DataSet:
        """The events of a region with its variables."""
        columns = (*data.variables, *data.spectators)

        def some(sample: Sample, rows: NDArray[np.bool_]) -> Sample:
            table = np.hstack([sample.variables, sample.spectators])[rows][:, list(chosen)]
            return sample.take(rows).with_variables(table)

        part = replace(
            data, training=some(data.training, in_training), test=some(data.test, in_test), spectators=(),
            variables=tuple(columns[number] for number in chosen),
        )  # fmt: skip
        part = replace(part, training=_bare(part.training), test=_bare(part.test))
        if len(part.training) < _LEAST_EVENTS:
            raise EmptySelectionError(
                f"Category '{self.booking.title}': {len(part.training)} training events are in a region; "
                f"{_LEAST_EVENTS} are needed."
            )
        return replace(part, variables=_with_ranges(part))


def _bare(sample: Sample) -> Sample:
    return replace(sample, spectators=sample.spectators[:, :0])


def _with_ranges(data: DataSet) -> tuple[Variable, ...]:
    """The variables with their ranges in the region."""
    low, high = data.training.variables.min(axis=0), data.training.variables.max(axis=0)
    return tuple(
        replace(variable, minimum=float(least), maximum=float(most))
        for variable, least, most in zip(data.variables, low, high, strict=True)
    )
