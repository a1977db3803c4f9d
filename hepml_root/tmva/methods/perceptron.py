"""kMLP: a multilayer perceptron, written in TMVA's own form."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError, WeightError
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.methods.feed_forward import Events, FeedForward
from hepml_root.tmva.methods.method import Booking, Method, Trained
from hepml_root.tmva.methods.network_training import (
    REGULATED_WEIGHTS,
    BackPropagation,
    Genetic,
    QuasiNewton,
    Watch,
)
from hepml_root.tmva.options.declaration import Option
from hepml_root.tmva.options.networks import MLP
from hepml_root.tmva.weights.network import MOST_LAYERS


class Perceptron(Method):
    r"""A multilayer perceptron: hidden layers of neurons, each the function of a weighted sum.

    .. math:: a_j = f\left(\sum_i w_{ij} a_i + b_j\right)

    The response of a classifier is a sigmoid, trained for the cross entropy; that of several classes the
    softmax of the outputs, likewise; that of a regression is linear, trained for the squared deviations.
    Variables and targets are brought to mean 0 and spread 1 for the training, and the weights afterwards take
    that back, so that VarTransform is a matter of taste here. Convergence is judged by training events; the
    test is only watched.

    Raises
    ------
    SettingError
        HiddenLayers cannot be read, or a number is out of its range.

    Reference: A. Hoecker et al., TMVA users guide, arXiv:physics/0703039, section 8.10.
    """

    type_name: ClassVar[str] = "MLP"
    own_options: ClassVar[tuple[Option, ...]] = MLP
    analyses: ClassVar[tuple[str, ...]] = ("Classification", "Multiclass", "Regression")
    summary: ClassVar[str] = "multilayer perceptron"

    def __init__(self, booking: Booking) -> None:
        super().__init__(booking)
        self._what = f"{self.type_name} '{booking.title}'"
        hidden_layers(self.options["HiddenLayers"], None, self._what)
        self._check()
        # As TMVA: the analysis decides, and the file says what was taken.
        wanted = "CE" if booking.analysis == "Classification" else "MSE"
        self._other_estimator = (
            "EstimatorType" in self.options.given and self.options["EstimatorType"] != wanted
        )
        self.options = self.options.replaced("EstimatorType", wanted)
        self.booking = replace(booking, options=self.options)

    def _check(self) -> None:
        for name, least, most in (
            ("NCycles", 1, np.inf),
            ("TestRate", 1, np.inf),
            ("LearningRate", 1e-12, np.inf),
            ("DecayRate", 0.0, 0.999),
            ("Sampling", 1e-12, 1.0),
            ("SamplingEpoch", 0.0, 1.0),
            ("WeightRange", 1e-12, 1.0),
            ("UpdateLimit", 0, np.inf),
            ("RandomSeed", 0, np.inf),
        ):
            value = self.options[name]
            if not least <= value <= most:
                limits = f"at least {least:g}" if most == np.inf else f"from {least:g} to {most:g}"
                raise SettingError(f"{self._what}: {name}={value:g}: {limits} is needed.")
        if self.options["UseRegulator"] and self.options["TrainingMethod"] != "BFGS":
            raise SettingError(
                f"{self._what}: UseRegulator belongs to TrainingMethod=BFGS; "
                f"this is {self.options['TrainingMethod']}."
            )

    def train(self, data: DataSet, console: Console) -> Trained:
        """Train; monitors: "Convergence", the estimators every TestRate cycles.

        Those of a regression are in units of the spread of each target (of its size, where NeuronInputType
        is not sum), added over the targets.
        """
        options = self.options
        if self._other_estimator:
            console.warning(f"EstimatorType={options['EstimatorType']} is taken, as TMVA does here.")
        sample = data.training
        if options["IgnoreNegWeightsInTraining"]:
            sample = sample.take(sample.weights >= 0)
        if not len(sample) or sample.weights.sum() <= 0:
            raise WeightError(f"{self._what}: the weights of the {len(sample)} training events have no sum.")
        variables = len(data.variables)
        hidden = hidden_layers(options["HiddenLayers"], variables, self._what)
        estimator = {"Classification": "CE", "Multiclass": "softmax", "Regression": "MSE"}[data.analysis]
        network = FeedForward(
            [variables, *hidden, data.outputs], options["NeuronType"], options["NeuronInputType"], estimator
        )
        if options["UseRegulator"] and len(network.vector) > REGULATED_WEIGHTS:
            raise SettingError(
                f"{self._what}: UseRegulator with {len(network.vector)} weights; it takes up to "
                f"{REGULATED_WEIGHTS}. Take fewer neurons, or leave it out."
            )
        console.line(
            f"Network of {' - '.join(map(str, network.sizes))} neurons, {len(network.vector)} weights"
        )
        shift, scale = _spread(sample.variables, sample.weights)
        if options["NeuronInputType"] != "sum":
            scale, shift = np.sqrt(scale**2 + shift**2), np.zeros_like(shift)
        middle, width = np.zeros(data.outputs), np.ones(data.outputs)
        if data.analysis == "Regression":
            middle, width = _spread(sample.targets, sample.weights)
            if options["NeuronInputType"] != "sum":  # such an output has no offset to put the mean into
                width, middle = np.sqrt(width**2 + middle**2), np.zeros_like(middle)
        events, test = (_events(some, data, shift, scale, middle, width) for some in (sample, data.test))
        seed = int(options["RandomSeed"])
        rng = np.random.default_rng(seed or None)
        network.start(rng)
        watch = Watch(
            events, test, int(options["TestRate"]), int(options["ConvergenceTests"]),
            float(options["ConvergenceImprove"]), float(options["WeightRange"]),
        )  # fmt: skip
        self._trainer(len(events)).train(network, events, watch, rng)
        table = watch.table()
        if not np.isfinite(network.vector).all():
            raise SettingError(f"{self._what}: training diverged. Take a smaller LearningRate.")
        console.line(f"{table['epoch'][-1]} cycles, estimator {table['train'][-1]:.5g} in training")
        if data.analysis == "Regression":
            network.tables[-1] *= np.sqrt(width) if options["NeuronInputType"] == "sqsum" else width
            network.tables[-1][-1] += middle
        return Trained(network.network(shift, scale), {"Convergence": table})

    def _trainer(self, events: int) -> BackPropagation | QuasiNewton | Genetic:
        options = self.options
        cycles = int(options["NCycles"])
        if options["TrainingMethod"] == "BFGS":
            return QuasiNewton(cycles, bool(options["UseRegulator"]), int(options["UpdateLimit"]))
        if options["TrainingMethod"] == "GA":
            return Genetic(cycles)
        batch = None
        if options["BPMode"] == "batch":
            asked = int(options["BatchSize"])
            batch = asked if 1 <= asked < events else events
        sampling = float(options["Sampling"]) if options["SamplingTraining"] else 1.0
        return BackPropagation(
            cycles, float(options["LearningRate"]), float(options["DecayRate"]), batch, sampling,
            float(options["SamplingEpoch"]),
        )  # fmt: skip


def hidden_layers(text: str, variables: int | None, what: str = "MLP") -> list[int]:
    """Return the neurons of each hidden layer.

    Arguments
    ---------
    text
        Numbers, N, N+5 or N-1, separated by commas; empty: no hidden layer.
    variables
        N; None: not known yet, and only the form is looked at.
    what
        Who asks, for messages.

    Raises
    ------
    SettingError
        A layer cannot be read, or has no neuron.

    Example
    -------
    >>> hidden_layers("N+5,N-1,10", 4)
    [9, 3, 10]
    """
    found = []
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    for number, part in enumerate(parts, start=1):
        read = re.fullmatch(r"(N?)\s*([+-]?\s*\d+)?", part, re.IGNORECASE)
        if read is None or not part or (read[1] and read[2] and read[2][0] not in "+-"):
            raise SettingError(
                f"{what}: HiddenLayers={text}: layer {number} is '{part}'; a number of neurons, N, N+5 or "
                "N-1 is needed, layers separated by commas."
            )
        more = int((read[2] or "0").replace(" ", ""))
        if read[1] and variables is None:
            continue
        neurons = (variables or 0) * bool(read[1]) + more
        if neurons < 1:
            count = f" with {variables} variables" if read[1] else ""
            raise SettingError(
                f"{what}: HiddenLayers={text}: layer {number} ('{part}') has {neurons} neurons{count}; at "
                "least one is needed. Leave the layer out, or write a number."
            )
        found.append(neurons)
    if len(parts) > MOST_LAYERS - 2:
        raise SettingError(
            f"{what}: HiddenLayers has {len(parts)} layers; up to {MOST_LAYERS - 2} are taken."
        )
    return found


def _spread(values: NDArray[np.float32], weights: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Return the weighted mean and spread of columns; 1 for the spread of a constant."""
    values = values.astype(float)
    positive = np.maximum(weights, 0.0)
    mean = np.average(values, axis=0, weights=positive)
    spread = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=positive))
    return mean, np.where(spread > 1e-12 * (np.abs(mean) + 1e-30), spread, 1.0)


def _events(
    sample: Sample, data: DataSet, shift: NDArray, scale: NDArray, middle: NDArray, width: NDArray
) -> Events:
    inputs = (sample.variables.astype(float) - shift) / scale
    if data.analysis == "Regression":
        wanted = (sample.targets.astype(float) - middle) / width
    elif data.analysis == "Multiclass":
        wanted = np.eye(len(data.classes))[sample.classes]
    else:
        wanted = (sample.classes == data.signal).astype(float)[:, None]
    return Events(inputs, wanted, np.asarray(sample.weights, float))
