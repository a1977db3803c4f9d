"""Boost: a method that is trained several times, each time with other weights of the events.

    y = Σᵢ αᵢ T(yᵢ(x)) / Σᵢ αᵢ

    AdaBoost   αᵢ = β log((1 − εᵢ)/εᵢ), εᵢ the weights of wrongly classified events, which are multiplied with
               exp(αᵢ) for the next training; then both classes are brought to half of all weights
    Bagging    αᵢ = 1; the weights are multiplied with Poisson numbers of mean BaggedSampleFraction

    T(y) = ±1 (step), y (linear), log(max(y, c) − c + 1/e) (log), exp(−(y − c − 1)²/2) (gauss)

An event is classified as signal where y is on the signal's side of c, the cut whose Gini index is best. It is
booked by ``Boost_Num`` among the options of any method. TMVA's step with Bagging takes c = 0; here it is the
best cut, too. Reference: Y. Freund, R. Schapire, J. Comput. Syst. Sci. 55 (1997) 119.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hepml_root.errors import SettingError
from hepml_root.tmva import training
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.methods.checks import at_least, positive, refuse_negative_weights
from hepml_root.tmva.methods.method import Booking, Method, OwnGraph, Trained
from hepml_root.tmva.options.neighbours import BOOST
from hepml_root.tmva.weights.conversion import INPUT, OUTPUT
from hepml_root.tmva.weights.graph import Graph

_NOT_BOOSTED = ("Cuts", "Category", "Boost", "PyKeras", "HepML")
_STOP = 0.49999  # an error that is no better than guessing


@dataclass(frozen=True)
class _Step:
    """One training: its graph, the weight α, the cut c, and on which side of it signal is (1 above)."""

    model: onnx.ModelProto
    weight: float
    error: float
    cut: float
    side: float


class Boost(Method):
    """A boosted method; see the module.

    Example
    -------
    >>> from hepml_root.tmva.booking import book
    >>> options = "Boost_Num=20:Boost_Transform=log:Boost_AdaBoostBeta=0.2:!H:Fisher"
    >>> method = book("Fisher", "Boosted", options, job="job", dataset="d", analysis="Classification")
    >>> method.booking.type_name, method.boosted.booking.type_name, method.options["Boost_Num"]
    ('Boost', 'Fisher', 20)
    """

    type_name = "Boost"
    own_options = BOOST
    analyses = ("Classification",)
    summary = "A method that is trained several times, with more weight for what was wrong before."
    help = """A method is trained several times, with more weight for events that were wrong before
(AdaBoost), or on random samples (Bagging). Weak methods gain, strong ones do not: where the error is
near 0.5 at once, take a smaller Boost_AdaBoostBeta. Linear methods need Boost_Transform=step or log: a
sum of lines is a line."""

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        boosted = booking.extra.get("boosted")
        if not isinstance(boosted, Method):
            raise SettingError(
                f"Boost '{booking.title}': book what is boosted, with Boost_Num=… among its options."
            )
        name = boosted.booking.type_name
        if name in _NOT_BOOSTED:
            raise SettingError(f"Boost '{booking.title}': {name} cannot be boosted.")
        if self.options["Boost_Type"] == "RealAdaBoost":
            raise SettingError(
                f"Boost '{booking.title}': Boost_Type=RealAdaBoost is not there for methods; book AdaBoost "
                "or Bagging, or kBDT with BoostType=RealAdaBoost."
            )
        at_least(booking, "Boost_Num", 1)
        at_least(booking, "Boost_RandomSeed", 0)
        positive(booking, "Boost_AdaBoostBeta")
        positive(booking, "Boost_BaggedSampleFraction")
        self.boosted = boosted

    def train(self, data: DataSet, console: Console) -> Trained:
        refuse_negative_weights(self.booking, data, "Boosting multiplies them.")
        steps = self._steps(data, console)
        graph = Graph(INPUT)
        norm = sum(step.weight for step in steps)
        parts = []
        for step in steps:
            answer = self._transformed(graph, graph.embed(step.model, INPUT), step)
            parts.append(graph.add("Mul", answer, graph.constant([[step.weight / norm]])))
        result = parts[0] if len(parts) == 1 else graph.add("Sum", *parts)
        monitor: dict[str, NDArray[Any]] = {
            "iMethod": np.arange(len(steps)),
            "boostWeight": np.array([step.weight for step in steps]),
            "errorFraction": np.array([step.error for step in steps]),
        }
        model = graph.model(self.booking.title, len(data.variables), result, OUTPUT, 1)
        return Trained(OwnGraph(model), {"MonitorBoost": monitor})

    def _steps(self, data: DataSet, console: Console) -> list[_Step]:
        wanted, bagging = self.options["Boost_Num"], self.options["Boost_Type"] == "Bagging"
        seed = self.options["Boost_RandomSeed"]
        random = np.random.default_rng(seed or None)
        sample, factors = data.training, np.ones(len(data.training))
        signal = sample.classes == data.signal
        quiet = Console(console.source, silent=True)
        steps: list[_Step] = []
        for number in range(wanted):
            if bagging:
                factors = random.poisson(self.options["Boost_BaggedSampleFraction"], len(sample)).astype(
                    float
                )
            weighted = replace(sample, weights=sample.weights * factors)
            model = self._trained(data, weighted, quiet if number else console)
            answers = training.graph_responses(model, sample.variables)[:, 0]
            cut, side = best_cut(answers, signal, weighted.weights)
            wrong = (answers > cut if side > 0 else answers < cut) != signal
            error = float(weighted.weights[wrong].sum() / weighted.weights.sum())
            weight = 1.0 if bagging else self._weight(error)
            steps.append(_Step(model, weight, error, cut, side))
            if bagging:
                continue
            if error <= 0.0 or error > _STOP:
                console.line(
                    f"Boosting stops after {number + 1} of {wanted} trainings, at an error of {error:.4f}."
                )
                break
            factors = _boosted(factors, sample.weights, wrong, signal, weight)
        console.line(f"{len(steps)} trainings; errors from {steps[0].error:.4f} to {steps[-1].error:.4f}")
        return _that_count(steps)

    def _weight(self, error: float) -> float:
        if error <= 0.0:
            return math.inf
        return float(self.options["Boost_AdaBoostBeta"]) * math.log((1.0 - error) / error)

    def _trained(self, data: DataSet, weighted: Sample, console: Console) -> onnx.ModelProto:
        some = replace(data, training=weighted.take(weighted.weights > 0))
        fitted = training.fit(self.boosted, some, console)
        return training.graph(self.boosted.booking, some, fitted)

    def _transformed(self, graph: Graph, value: str, step: _Step) -> str:
        transform = self.options["Boost_Transform"]
        if transform == "linear":
            return value
        cut = graph.constant([[step.cut]])
        if transform == "step":
            above = graph.add("Greater", *((value, cut) if step.side > 0 else (cut, value)))
            return graph.add("Where", above, graph.constant([[1.0]]), graph.constant([[-1.0]]))
        distance = graph.add("Sub", value, cut)
        if transform == "log":
            above = graph.add("Max", distance, graph.constant([[0.0]]))
            return graph.add("Log", graph.add("Add", above, graph.constant([[math.exp(-1.0)]])))
        moved = graph.add("Sub", distance, graph.constant([[1.0]]))
        return graph.add("Exp", graph.add("Mul", graph.add("Mul", moved, moved), graph.constant([[-0.5]])))


def best_cut(
    answers: NDArray[np.generic], signal: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the cut that lowers the Gini index p (1 − p) most, and 1 where signal is above it, −1 below.

    Arguments
    ---------
    answers, signal, weights
        Of the events, ``(events,)``.

    Example
    -------
    >>> best_cut(np.array([0.0, 1.0, 2.0, 3.0]), np.array([True, True, False, False]), np.ones(4))
    (1.5, -1.0)
    """
    order = np.argsort(answers, kind="stable")
    values = np.asarray(answers, np.float64)[order]
    of_signal = np.cumsum(np.where(signal[order], weights[order], 0.0))
    of_all = np.cumsum(weights[order])
    places = np.flatnonzero(values[1:] > values[:-1])
    if not len(places):
        return float(values[0]) - 1.0, 1.0
    s, t, all_s, all_t = of_signal[places], of_all[places], of_signal[-1], of_all[-1]
    below = s * (t - s) / np.maximum(t, 1e-300)
    above = (all_s - s) * (all_t - t - all_s + s) / np.maximum(all_t - t, 1e-300)
    place = int(np.argmin(below + above))
    cut = float(np.float32(0.5 * (values[places[place]] + values[places[place] + 1])))
    more_below = s[place] * (all_t - all_s) > (t[place] - s[place]) * all_s
    return cut, -1.0 if more_below else 1.0


def _boosted(
    factors: NDArray[np.float64],
    weights: NDArray[np.float64],
    wrong: NDArray[np.bool_],
    signal: NDArray[np.bool_],
    alpha: float,
) -> NDArray[np.float64]:
    """Return the next factors of the weights: those of the events that were wrong grow."""
    total = float((weights * factors).sum())
    factors = np.where(wrong, factors * math.exp(alpha), factors)
    for rows in (signal, ~signal):
        factors[rows] *= 0.5 * total / float((weights[rows] * factors[rows]).sum())
    return factors


def _that_count(steps: list[_Step]) -> list[_Step]:
    """One that is never wrong decides alone; one training alone has weight 1, however bad it is."""
    perfect = [step for step in steps if math.isinf(step.weight)]
    if perfect:
        return [replace(perfect[0], weight=1.0)]
    if len(steps) == 1:
        return [replace(steps[0], weight=1.0)]
    kept = [step for step in steps if step.weight > 0.0]
    return kept or [replace(steps[0], weight=1.0)]
