"""What a method's training left behind, in the output file: boosting, convergence, weights, references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import HepmlError
from hepml_root.tmva.output.classifier import density_histogram, histogram_bins
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.output.root_objects import Branch, histogram, histogram_of, keep, matrix, write_tree
from hepml_root.tmva.weights.likelihood import Likelihood
from hepml_root.tmva.weights.network import Network
from hepml_root.tmva.weights.trees import BoostedTrees
from hepml_root.tmva.weights.weights_xml import WeightFile, read_weights

_BOOST_BINS, _BOOST_HIGH = 100, 30.0
_EVENTS_A_BIN = 50
_FEWEST_BINS, _MOST_BINS = 10, 100
_NICE = 5  # so many of too many bins become one

Table = Mapping[str, NDArray[Any]]


def write_monitors(directory: Any, result: MethodResult) -> None:
    """Write the monitors of one method, as far as its weight file and its tables have them.

    BDT: ``MonitorNtuple`` (iTree, boostWeight, errorFraction), ``BoostWeight``, ``BoostWeightVsTree``,
    ``ErrFractHist``, ``NodesBeforePruning``, ``NodesAfterPruning``. Networks: ``estimatorHistTrain`` and
    ``estimatorHistTest``; MLP ``weights_hist<layer><next>``. Likelihood: ``<variable>_{sig,bgd}``, the same
    with ``_nice``, and the densities ``…_smoothed_hist_from_spline…``. Boost: ``MonitorBoost`` (iMethod,
    boostWeight, errorFraction), ``BoostWeight`` and ``ErrFraction``.
    """
    boosting = result.monitors.get("MonitorNtuple")
    if boosting is not None:
        _write_boosting(directory, boosting)
    boosted = result.monitors.get("MonitorBoost")
    if boosted is not None:
        _write_boosted(directory, boosted)
    convergence = result.monitors.get("Convergence")
    if convergence is not None:
        _write_convergence(directory, convergence)
    file = _weights(result)
    if file is None:
        return
    if isinstance(file.weights, BoostedTrees):
        nodes = [len(tree.kind) for tree in file.weights.trees]
        for ending, text in (("BeforePruning", "before"), ("AfterPruning", "after")):
            keep(directory, histogram_of(
                f"Nodes{ending}", f"nodes {text} pruning", (len(nodes), 0.0, float(len(nodes))), nodes,
                kind="I", labels=("#tree", "#tree nodes"),
            ))  # fmt: skip
    elif isinstance(file.weights, Network):
        layers = file.weights.layers
        for number, table in enumerate(layers):
            name = f"weights_hist{number}{number + 1}"
            bias = 0 if number + 1 == len(layers) else 1  # the next layer's bias has no weights into it
            keep(directory, matrix(name, name, np.pad(np.float64(table), ((0, 0), (0, bias)))))
    elif isinstance(file.weights, Likelihood):
        _write_references(directory, result, file, file.weights)


def _weights(result: MethodResult) -> WeightFile | None:
    """Return what the weight file says; None where its form is not TMVA's, or there is none."""
    try:
        return read_weights(result.weight_file)
    except HepmlError:
        return None


def _write_boosting(directory: Any, table: Table) -> None:
    weight = np.asarray(table["boostWeight"], np.float64)
    number = np.asarray(table.get("iTree", np.arange(len(weight))), np.int32)
    branches = {"iTree": Branch(number), "boostWeight": Branch(weight)}
    binning = (len(weight), 0.0, float(len(weight)))
    if "errorFraction" in table:
        error = np.asarray(table["errorFraction"], np.float64)
        branches["errorFraction"] = Branch(error)
        keep(directory, histogram_of(
            "ErrFractHist", "error fraction vs tree number", binning, error, kind="F",
            labels=("#tree", "error fraction"),
        ))  # fmt: skip
    write_tree(directory, "MonitorNtuple", branches, title="BDT variables")
    # Logarithms of ratios of small trees would all lie in the first of the bins up to 30.
    largest = float(weight.max(initial=0.0))
    high = _BOOST_HIGH if largest > 0.1 * _BOOST_HIGH else 1.1 * largest or 1.0
    keep(directory, histogram(
        "BoostWeight", "BoostWeight", (_BOOST_BINS, 0.0, high), weight, kind="F", labels=("boost weight", ""),
    ))  # fmt: skip
    keep(directory, histogram_of(
        "BoostWeightVsTree", "Boost weights vs tree", binning, weight, kind="F",
        labels=("#tree", "boost weight"),
    ))  # fmt: skip


def _write_boosted(directory: Any, table: Table) -> None:
    """Weight and error of each training of a boosted method."""
    number = np.asarray(table["iMethod"], np.int32)
    branches = {"iMethod": Branch(number)}
    for name, called, title in (
        ("boostWeight", "BoostWeight", "Boost Weight"),
        ("errorFraction", "ErrFraction", "Error Fraction (by boosted event weights)"),
    ):
        values = np.asarray(table[name], np.float64)
        branches[name] = Branch(values)
        keep(directory, histogram_of(
            called, title, (len(number), 0.0, float(len(number))), values, kind="F",
            labels=("Index of boosted classifier", title),
        ))  # fmt: skip
    write_tree(directory, "MonitorBoost", branches, title="Boost variables")


def _write_convergence(directory: Any, table: Table) -> None:
    """The loss of training and test, in bins around the epochs in which it was computed."""
    epochs = np.asarray(table["epoch"], np.float64)
    if not len(epochs):
        return
    steps = np.diff(epochs)
    step = float(steps.min()) if len(steps) and steps.min() > 0 else 1.0
    low = epochs[0] - step / 2
    number = max(1, round((epochs[-1] - epochs[0]) / step) + 1)
    place = np.clip(((epochs - low) / step).astype(int), 0, number - 1)
    for column, ending, text in (("train", "Train", "training"), ("test", "Test", "test")):
        if column not in table:
            continue
        contents = np.zeros(number)
        contents[place] = table[column]
        keep(directory, histogram_of(
            f"estimatorHist{ending}", f"{text} estimator", (number, low, low + number * step), contents,
            kind="F", labels=("Epochs", "Estimator"),
        ))  # fmt: skip


def _write_references(directory: Any, result: MethodResult, file: WeightFile, weights: Likelihood) -> None:
    data = result.data
    signal = data.training.classes == data.signal
    for which, (chosen, ending) in enumerate(((signal, "sig"), (~signal, "bgd"))):
        variables = data.training.variables
        if file.transformations:
            from hepml_root.tmva.data_sets.fitting import transform

            of_class = file.header.signal if which == 0 else file.header.background
            variables = transform(file.transformations, variables, of_class)
        events, weights_of = variables[chosen], data.training.weights[chosen]
        for place, densities in enumerate(weights.densities):
            pdf = densities[which]
            label = file.header.variables[place].internal or data.variables[place].label
            name, title = f"{label}_{ending}", f"{label} {'signal' if which == 0 else 'background'} training"
            bins = histogram_bins(pdf)
            if bins is None:
                bins = min(max(len(events) // _EVENTS_A_BIN, _FEWEST_BINS), _MOST_BINS)
            item = histogram(
                name, title, (bins, pdf.low, pdf.high), events[:, place], weights_of, kind="F", errors=True
            )
            keep(directory, item)
            if bins > _MOST_BINS and bins % _NICE == 0:
                item.Rebin(_NICE)
                item.Scale(1.0 / _NICE)
            keep(directory, item, f"{name}_nice")
            keep(directory, density_histogram(name, pdf))
