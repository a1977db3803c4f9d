"""Nearest neighbours (KNN): the share of signal among the k training events that are nearest.

    d²(x, t) = Σᵢ ((xᵢ − tᵢ) / sᵢ)²      s: the width of the middle ScaleFrac of the training events
    y = Σ_signal v w / Σ v w              over the k nearest; w their event weights (UseWeight), else 1
    v = 1                                 without UseKernel
    v = exp(−½ Σᵢ (xᵢ − tᵢ)² / σᵢ²)       Gaus; σᵢ = SigmaFact × root mean square of xᵢ − tᵢ of the k nearest
    v = (1 − (d / d_k)³)³                 Poln; d_k: the distance of the k-th

Of the kernels, training events at distance 0 (the event itself, where it was trained on) do not enter σ and
d_k, for which the next ones are taken. A regression is the mean of the targets, weighted with w alone. Where
the sum of the weights is not positive, which takes negative weights, the response is 0.

The graph holds the training events. It looks for candidates by one product of matrices, and computes their
distances anew from differences, in which nothing cancels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import UnsupportedOperationError
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.header import Header
from hepml_root.tmva.weights.xml_nodes import XmlNode

PADDING = 2  # neighbours beyond k, for the kernels' width, as in TMVA
LEAST_TO_SCALE = 100
_CANDIDATES = 16  # that the rough distances may have in a wrong order
_SIGNAL, _BACKGROUND = 1, 2


@dataclass(frozen=True)
class Neighbours:
    """The training events and how they are counted.

    Arguments
    ---------
    events
        ``(events, variables)``, as VarTransform leaves them.
    signal
        ``(events,)``.
    weights
        ``(events,)``.
    targets
        ``(events, targets)``; of two classes none.
    k, percent, kernel, sigma
        The number of neighbours; the share of events whose width variables are divided by; ``""``, ``Gaus``
        or ``Poln``; the factor of the Gaussian's width.
    weighted, trimmed
        Neighbours count with their weights; of the larger class only as many as the other has are kept.
    """

    events: NDArray[np.float32]
    signal: NDArray[np.bool_]
    weights: NDArray[np.float64]
    targets: NDArray[np.float32]
    k: int
    percent: int
    kernel: str
    sigma: float
    weighted: bool
    trimmed: bool = False

    @property
    def as_tmva(self) -> bool:
        """TMVA's Gaussian compares training events that are scaled with events that are not."""
        return not (self.kernel == "Gaus" and self.percent)

    def kept(self) -> Neighbours:
        """Return the same with the events that are left of Trim: the first ones of each class."""
        if not self.trimmed:
            return self
        both = (np.flatnonzero(self.signal), np.flatnonzero(~self.signal))
        rows = [row for row in both if len(row)]  # a regression has one class
        places = np.sort(np.concatenate([row[: min(map(len, rows))] for row in rows]))
        return replace(
            self, events=self.events[places], signal=self.signal[places], weights=self.weights[places],
            targets=self.targets[places], trimmed=False,
        )  # fmt: skip

    def widths(self) -> NDArray[np.float64]:
        """Return what variables are divided by ``(variables,)``; TMVA takes the share in whole per cent."""
        count, variables = self.events.shape
        if not self.percent:
            return np.ones(variables)
        below = (100 - self.percent) // 2
        first, last = -(-below * count // 100), -(-(100 - below) * count // 100)
        ordered = np.sort(self.events.astype(np.float64), axis=0)
        widths: NDArray[np.float64] = ordered[min(last, count - 1)] - ordered[first]
        return widths

    @property
    def enough(self) -> int:
        """How many events are needed."""
        return max(self.k + PADDING, LEAST_TO_SCALE if self.percent else 0)


def read_neighbours(node: XmlNode, header: Header) -> Neighbours:
    """Read the node ``Weights`` of a KNN.

    Raises
    ------
    ModelFileError
        An event or a number is missing, or there are too few events.
    UnsupportedOperationError
        The response is a discriminant of the neighbours (UseLDA), or the Gaussian kernel is used with scaled
        variables, which TMVA compares with events that are not scaled.
    """
    if header.analysis == "Multiclass":
        raise node.error("nearest neighbours of several classes; TMVA has them for two.")
    if header.switched_on("UseLDA"):
        raise UnsupportedOperationError(f"{node.source}: UseLDA is not read. Train without it.")
    variables, targets = len(header.variables), len(header.targets)
    if node.integer("NVar") != variables or node.integer("NTgt") != targets:
        raise node.error(
            f"events of NVar={node.attribute('NVar')} and NTgt={node.attribute('NTgt')} numbers."
        )
    entries = node.counted("Event", "NEvents")
    table = np.array([entry.numbers(variables + targets) for entry in entries]).reshape(len(entries), -1)
    if table.size and np.abs(table).max() > np.finfo(np.float32).max:
        raise node.error("an event is beyond float32.")
    kinds = np.array([entry.integer("Type", _SIGNAL, _BACKGROUND) for entry in entries])
    found = Neighbours(
        table[:, :variables].astype(np.float32), kinds == _SIGNAL,
        np.array([entry.number("Weight") for entry in entries]), table[:, variables:].astype(np.float32),
        int(_number(node, header, "nkNN", 20)),
        int(100.0 * min(max(_number(node, header, "ScaleFrac", 0.8), 0.0), 1.0)),
        header.option("Kernel", "Gaus") if header.switched_on("UseKernel") and not targets else "",
        abs(_number(node, header, "SigmaFact", 1.0)),
        header.switched_on("UseWeight", True), header.switched_on("Trim"),
    )  # fmt: skip
    if not found.as_tmva:
        raise UnsupportedOperationError(
            f"{node.source}: UseKernel with Kernel=Gaus and ScaleFrac, where TMVA compares scaled training "
            "events with events that are not scaled. Train with ScaleFrac=0 and VarTransform=N, or with "
            "Kernel=Poln."
        )
    kept = found.kept()
    if found.k < 1 or found.kernel not in ("", "Gaus", "Poln") or len(kept.weights) < found.enough:
        raise node.error(
            f"{len(entries)} events for nkNN={found.k} neighbours, kernel '{found.kernel[:20]}'."
        )
    if not (kept.widths() > 0.0).all():
        raise node.error("a variable is the same in all its events.")
    return found


def _number(node: XmlNode, header: Header, name: str, default: float) -> float:
    text = header.option(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise node.error(f"the option {name}='{text[:20]}' is no number.")
    return value


def add_neighbours(graph: Graph, values: str, neighbours: Neighbours) -> str:
    """Add the response of nearest neighbours; return its name.

    Arguments
    ---------
    values
        The variables ``(events, variables)``.
    """
    neighbours = neighbours.kept()
    scale = neighbours.widths()
    # Divided as the graph divides an event, so that an event has no distance to itself.
    events = np.divide(neighbours.events, scale, dtype=np.float32, casting="same_kind")
    padded = neighbours.k + PADDING
    scaled = graph.add("Div", values, graph.constant(scale))
    # Nearest first, but for |x|², which is the same for all; around the middle the rounding is smallest.
    middle = events.mean(axis=0, dtype=np.float64)
    centred = graph.add("Sub", scaled, graph.constant(middle))
    around = events.astype(np.float64) - middle
    rough = graph.affine(centred, -2.0 * around.T, (around**2).sum(axis=1))
    _, found = _smallest(graph, rough, min(padded + _CANDIDATES, len(events)))
    differences, squares = _distances(graph, scaled, found, events)
    distances, order = _smallest(graph, squares, padded)
    nearest = graph.add("GatherElements", found, order, axis=1)
    weights = neighbours.weights if neighbours.weighted else np.ones(len(events))
    counted = _counted(graph, weights, nearest)
    if neighbours.kernel:
        differences, distances = _distances(graph, scaled, nearest, events)
        kernel = _gaus if neighbours.kernel == "Gaus" else _poln
        counted = graph.add("Mul", counted, kernel(graph, differences, distances, neighbours))
    first = np.zeros((1, padded))
    first[0, : neighbours.k] = 1.0
    counted = graph.add("Mul", counted, graph.constant(first))
    total = _sum(graph, counted)
    sums = []
    averaged = neighbours.targets if neighbours.targets.shape[1] else neighbours.signal[:, None]
    for answers in averaged.astype(np.float64).T:
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
