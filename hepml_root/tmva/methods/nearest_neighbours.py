"""KNN: the share of signal among the k training events that are nearest.

    d²(x, t) = Σᵢ ((xᵢ − tᵢ) / sᵢ)²      s: the width of the middle ScaleFrac of the training events
    y = Σ_signal v w / Σ v w              over the k nearest; w their event weights (UseWeight), else 1
    v = 1                                 without UseKernel
    v = exp(−½ Σᵢ (xᵢ − tᵢ)² / σᵢ²)       Gaus; σᵢ = SigmaFact × root mean square of xᵢ − tᵢ of the k nearest
    v = (1 − (d / d_k)³)³                 Poln; d_k: the distance of the k-th

Of the kernels, training events at distance 0 (the event itself, where it was trained on) do not enter σ and
d_k, for which the next ones are taken. A regression is the mean of the targets, weighted with w alone. Where
the sum of the weights is not positive, which takes negative weights, the response is 0. TMVA's own Gaus
compares scaled training events with events that are not scaled; here both are.

The graph holds the training events. It looks for candidates by one product of matrices, and computes their
distances anew from differences, in which nothing cancels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import EmptySelectionError, SettingError
from hepml_root.tmva.console import Console
from hepml_root.tmva.conversion import INPUT, OUTPUT
from hepml_root.tmva.events import DataSet, Sample
from hepml_root.tmva.graph import Graph
from hepml_root.tmva.methods.checks import at_least, refused
from hepml_root.tmva.methods.method import Booking, Method, OwnGraph, Trained
from hepml_root.tmva.options.neighbours import NEIGHBOURS

_PADDING = 2  # neighbours beyond k, for the kernels' width, as in TMVA
_CANDIDATES = 16  # that the rough distances may have in a wrong order
_LEAST_TO_SCALE = 100


@dataclass(frozen=True)
class Neighbours:
    """The training events and how they are counted.

    Arguments
    ---------
    events
        ``(events, variables)``, scaled.
    scale
        ``(variables,)``: what variables are divided by.
    weights
        ``(events,)``: of each neighbour.
    answers
        ``(events, outputs)``: what is averaged: 1 for signal and 0 else, or the targets.
    k, kernel, sigma
        The number of neighbours, ``""``, ``Gaus`` or ``Poln``, and the factor of the Gaussian's width.
    """

    events: NDArray[np.float32]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]
    answers: NDArray[np.float64]
    k: int
    kernel: str
    sigma: float


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
        sample = self._trimmed(data) if self.options["Trim"] else data.training
        k = self.options["nkNN"]
        if len(sample) < k + _PADDING:
            raise EmptySelectionError(
                f"KNN '{self.booking.title}': {len(sample)} training events for nkNN={k} neighbours; "
                f"{k + _PADDING} are needed."
            )
        scale = self._scale(data, sample)
        answers = (
            sample.targets if data.analysis == "Regression" else (sample.classes == data.signal)[:, None]
        )
        neighbours = Neighbours(
            # Divided as the graph divides an event, so that an event has no distance to itself.
            np.divide(sample.variables, scale, dtype=np.float32, casting="same_kind"), scale,
            sample.weights if self.options["UseWeight"] else np.ones(len(sample)),
            np.asarray(answers, np.float64), k,
            self.options["Kernel"] if self.options["UseKernel"] else "", self.options["SigmaFact"],
        )  # fmt: skip
        console.line(f"{len(sample)} training events are kept, {k} of them count for an event.")
        graph = Graph(INPUT)
        result = add_neighbours(graph, INPUT, neighbours)
        return Trained(
            OwnGraph(graph.model(self.booking.title, len(data.variables), result, OUTPUT, data.outputs))
        )

    def _trimmed(self, data: DataSet) -> Sample:
        """The first events of each class, as many as the smaller one has."""
        rows = [np.flatnonzero(data.training.classes == which) for which in range(len(data.classes))]
        least = min(map(len, rows))
        return data.training.take(np.sort(np.concatenate([places[:least] for places in rows])))

    def _scale(self, data: DataSet, sample: Sample) -> NDArray[np.float64]:
        """Widths of the variables; where they are, is what TMVA takes in whole per cent."""
        percent = int(100.0 * self.options["ScaleFrac"])
        if not percent:
            return np.ones(sample.variables.shape[1])
        count = len(sample)
        if count < _LEAST_TO_SCALE:
            raise EmptySelectionError(
                f"KNN '{self.booking.title}': {count} training events; ScaleFrac needs {_LEAST_TO_SCALE}. "
                "Book it with ScaleFrac=0."
            )
        below = (100 - percent) // 2
        first, last = -(-below * count // 100), -(-(100 - below) * count // 100)
        ordered = np.sort(sample.variables.astype(np.float64), axis=0)
        widths: NDArray[np.float64] = ordered[min(last, count - 1)] - ordered[first]
        for variable, width in zip(data.variables, widths, strict=True):
            if not width > 0.0:
                raise SettingError(
                    f"KNN '{self.booking.title}': the middle {percent} % of the training events have all the "
                    f"same {variable.label}. Leave it out, or book KNN with ScaleFrac=0."
                )
        return widths


def add_neighbours(graph: Graph, values: str, neighbours: Neighbours) -> str:
    """Add the response of nearest neighbours; return its name.

    Arguments
    ---------
    values
        The variables ``(events, variables)``.
    """
    events = neighbours.events
    padded = neighbours.k + _PADDING
    scaled = graph.add("Div", values, graph.constant(neighbours.scale))
    # Nearest first, but for |x|², which is the same for all; around the middle the rounding is smallest.
    middle = events.mean(axis=0, dtype=np.float64)
    centred = graph.add("Sub", scaled, graph.constant(middle))
    around = events.astype(np.float64) - middle
    rough = graph.affine(centred, -2.0 * around.T, (around**2).sum(axis=1))
    _, found = _smallest(graph, rough, min(padded + _CANDIDATES, len(events)))
    differences, squares = _distances(graph, scaled, found, events)
    distances, order = _smallest(graph, squares, padded)
    nearest = graph.add("GatherElements", found, order, axis=1)
    counted = _counted(graph, neighbours.weights, nearest)
    if neighbours.kernel:
        differences, distances = _distances(graph, scaled, nearest, events)
        kernel = _gaus if neighbours.kernel == "Gaus" else _poln
        counted = graph.add("Mul", counted, kernel(graph, differences, distances, neighbours))
    first = np.zeros((1, padded))
    first[0, : neighbours.k] = 1.0
    counted = graph.add("Mul", counted, graph.constant(first))
    total = _sum(graph, counted)
    sums = []
    for answers in neighbours.answers.T:
        sums.append(_sum(graph, graph.add("Mul", counted, _counted(graph, answers, nearest))))
    above = sums[0] if len(sums) == 1 else graph.add("Concat", *sums, axis=1)
    some = graph.add("Greater", total, graph.constant(0.0))
    divisor = graph.add("Where", some, total, graph.constant(1.0))
    return graph.add("Where", some, graph.add("Div", above, divisor), graph.constant(0.0))


def _smallest(graph: Graph, values: str, count: int) -> tuple[str, str]:
    """Return the smallest values of each event, in order, and their places."""
    name = f"topk_{len(graph.nodes)}"
    place = graph.add("TopK", values, graph.constant([count], np.int64), axis=1, largest=0, sorted=1)
    graph.nodes[-1].output.append(f"{name}_places")
    return place, f"{name}_places"


def _distances(graph: Graph, scaled: str, places: str, events: NDArray[np.float32]) -> tuple[str, str]:
    """Return differences ``(events, neighbours, variables)`` and the sums of their squares."""
    neighbours = graph.add("Gather", graph.constant(events), places, axis=0)
    event = graph.add("Unsqueeze", scaled, graph.constant([1], np.int64))
    differences = graph.add("Sub", neighbours, event)
    squares = graph.add("Mul", differences, differences)
    return differences, graph.add("ReduceSum", squares, graph.constant([2], np.int64), keepdims=0)


def _counted(graph: Graph, values: NDArray[np.float64], places: str) -> str:
    return graph.add("Gather", graph.constant(values), places, axis=0)


def _sum(graph: Graph, values: str) -> str:
    return graph.add("ReduceSum", values, graph.constant([1], np.int64), keepdims=1)


def _first_apart(graph: Graph, distances: str, k: int) -> str:
    """Return 1 for the first k neighbours that are not at distance 0, and 0 for others."""
    apart = graph.add("Cast", graph.add("Greater", distances, graph.constant(0.0)), to=1)
    count = graph.add("CumSum", apart, graph.constant(1, np.int64))
    early = graph.add("Cast", graph.add("Less", count, graph.constant(k + 0.5)), to=1)
    return graph.add("Mul", apart, early)


def _gaus(graph: Graph, differences: str, distances: str, neighbours: Neighbours) -> str:
    squares = graph.add("Mul", differences, differences)
    taken = _first_apart(graph, distances, neighbours.k)
    number = graph.add("Max", _sum(graph, taken), graph.constant(1.0))
    flags = graph.add("Unsqueeze", taken, graph.constant([2], np.int64))
    summed = graph.add(
        "ReduceSum", graph.add("Mul", squares, flags), graph.constant([1], np.int64), keepdims=1
    )
    mean = graph.add("Div", summed, graph.add("Unsqueeze", number, graph.constant([2], np.int64)))
    # Where all neighbours have the same value of a variable it cannot tell them apart: no exponent.
    some = graph.add("Greater", mean, graph.constant(0.0))
    divisor = graph.add("Where", some, mean, graph.constant(1.0))
    ratio = graph.add("Where", some, graph.add("Div", squares, divisor), graph.constant(0.0))
    total = graph.add("ReduceSum", ratio, graph.constant([2], np.int64), keepdims=0)
    return graph.add("Exp", graph.add("Mul", total, graph.constant(-0.5 / neighbours.sigma**2)))


def _poln(graph: Graph, _: str, distances: str, neighbours: Neighbours) -> str:
    taken = _first_apart(graph, distances, neighbours.k)
    inside = graph.add("Mul", distances, taken)
    furthest = graph.add("ReduceMax", inside, graph.constant([1], np.int64), keepdims=1)
    some = graph.add("Greater", furthest, graph.constant(0.0))
    ratio = graph.add("Div", distances, graph.add("Where", some, furthest, graph.constant(1.0)))
    distance = graph.clipped(graph.add("Sqrt", ratio), 0.0, 1.0)
    cube = graph.add("Mul", graph.add("Mul", distance, distance), distance)
    rest = graph.add("Sub", graph.constant(1.0), cube)
    return graph.add("Mul", graph.add("Mul", rest, rest), rest)
