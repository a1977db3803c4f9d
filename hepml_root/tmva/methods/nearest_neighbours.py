"""KNN: keeps the training events, the nearest of which an event is compared with.

The response is that of ``weights/neighbours``. The weight file has TMVA's form, but not with the
Gaussian kernel and ScaleFrac: there TMVA compares scaled training events with events that are not scaled, so
that it would answer something else. Of that, and of very many events, the weights are an ONNX file.
"""

from __future__ import annotations

from hepml_root.errors import EmptySelectionError, SettingError
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.checks import at_least, refused
from hepml_root.tmva.methods.method import Booking, Method, OwnGraph, Trained
from hepml_root.tmva.options.neighbours import NEIGHBOURS
from hepml_root.tmva.weights.conversion import INPUT, OUTPUT
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.neighbours import LEAST_TO_SCALE, PADDING, Neighbours, add_neighbours

_MOST_IN_XML = 3_000_000  # numbers, of 25 characters each


class NearestNeighbours(Method):
    """k nearest neighbours; see the module."""

    type_name = "KNN"
    own_options = NEIGHBOURS
    analyses = ("Classification", "Regression")
    summary = "The share of signal among the nearest training events."
    help = """The response is the share of signal among the training events nearest to an event. Few
neighbours (nkNN below 10) follow fluctuations of the training events, many (above 100) wash out what is
local. It suits few variables: in many dimensions no event is near. Variables that do not separate add
noise: leave them out. UseKernel gives near neighbours more weight. Evaluation compares with every
training event, and takes its time."""

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        if self.options["UseLDA"]:
            raise SettingError(
                f"KNN '{booking.title}': UseLDA, a discriminant fitted for every event, is not there. Book "
                "it with UseKernel, or book kFisher or kLD of all events."
            )
        at_least(booking, "nkNN", 1)
        if not 0.0 <= self.options["ScaleFrac"] <= 1.0:
            raise refused(booking, "ScaleFrac", self.options["ScaleFrac"], "a number from 0 to 1")
        if not self.options["SigmaFact"] > 0.0:
            raise refused(booking, "SigmaFact", self.options["SigmaFact"], "a number above 0")
        if booking.analysis == "Regression" and self.options["UseKernel"]:
            raise refused(
                booking,
                "UseKernel",
                True,
                "for a regression UseKernel=False, as TMVA has no kernel there; it",
            )

    def train(self, data: DataSet, console: Console) -> Trained:
        sample, options = data.training, self.options
        neighbours = Neighbours(
            sample.variables, sample.classes == data.signal, sample.weights, sample.targets,
            options["nkNN"], int(100.0 * options["ScaleFrac"]),
            options["Kernel"] if options["UseKernel"] else "", options["SigmaFact"],
            options["UseWeight"], options["Trim"],
        )  # fmt: skip
        self._check(data, neighbours)
        console.line(
            f"{len(neighbours.kept().weights)} training events are kept, {neighbours.k} of them count for "
            "an event."
        )
        if neighbours.as_tmva and sample.variables.size <= _MOST_IN_XML:
            return Trained(neighbours)
        graph = Graph(INPUT)
        result = add_neighbours(graph, INPUT, neighbours)
        return Trained(
            OwnGraph(graph.model(self.booking.title, len(data.variables), result, OUTPUT, data.outputs))
        )

    def _check(self, data: DataSet, neighbours: Neighbours) -> None:
        count, k = len(neighbours.kept().weights), neighbours.k
        if count < k + PADDING:
            raise EmptySelectionError(
                f"KNN '{self.booking.title}': {count} training events for nkNN={k} neighbours; "
                f"{k + PADDING} are needed."
            )
        if neighbours.percent and count < LEAST_TO_SCALE:
            raise EmptySelectionError(
                f"KNN '{self.booking.title}': {count} training events; ScaleFrac needs {LEAST_TO_SCALE}. "
                "Book it with ScaleFrac=0."
            )
        for variable, width in zip(data.variables, neighbours.kept().widths(), strict=True):
            if not width > 0.0:
                raise SettingError(
                    f"KNN '{self.booking.title}': the middle {neighbours.percent} % of the training events "
                    f"have all the same {variable.label}. Leave it out, or book KNN with ScaleFrac=0."
                )
