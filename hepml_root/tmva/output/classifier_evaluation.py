"""How good a classifier is: area, signal efficiencies at fixed background, separation, significance."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hepml_root.errors import EmptySelectionError, HepmlError, SettingError, unknown
from hepml_root.tmva.configuration import gConfig
from hepml_root.tmva.data_sets.events import Sample
from hepml_root.tmva.output.response_curves import (
    Floats,
    ResponseStatistics,
    background_against_signal,
    background_at,
    binned_area,
    centres,
    cut_at,
    cut_efficiency,
    response_statistics,
    roc_area,
    roc_points,
    signal_at,
    smooth_separation,
    working_point,
)
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.weights.cuts import Cuts
from hepml_root.tmva.weights.transformations import ALL_CLASSES
from hepml_root.tmva.weights.weights_xml import read_weights

#: Background efficiencies at which the signal efficiency is quoted.
BACKGROUNDS = (0.01, 0.10, 0.30)


@dataclass(frozen=True)
class ClassifierEvaluation:
    """What the table of all methods and the output file show of a classifier.

    Arguments
    ---------
    title
        Its name.
    roc_integral
        Unbinned, weighted area under the ROC curve of the test events; of Cuts that of its boxes.
    area
        The mean background rejection at (100) bins of the signal efficiency, by which methods are ranked.
    signal_efficiencies, errors, training_efficiencies_at
        At background efficiencies of 0.01, 0.10 and 0.30: of the test events with binomial errors, and of
        the training events.
    separation, significance
        Of the test events; −1 of Cuts, which has no response.
    reference_cut
        Where the signal efficiency is the background rejection; None of Cuts.
    statistics
        Means, standard deviations and range; None of Cuts.
    curve, training_curve
        Background efficiency in (100) bins of the signal efficiency.
    efficiencies, training_efficiencies
        Of signal and background at 10 000 cuts; empty of Cuts.
    """

    title: str
    roc_integral: float
    area: float
    signal_efficiencies: tuple[float, ...]
    errors: tuple[float, ...]
    training_efficiencies_at: tuple[float, ...]
    separation: float
    significance: float
    reference_cut: float | None
    statistics: ResponseStatistics | None
    curve: Floats = field(repr=False)
    training_curve: Floats = field(repr=False)
    efficiencies: tuple[Floats, ...] = field(default=(), repr=False)
    training_efficiencies: tuple[Floats, ...] = field(default=(), repr=False)


def evaluate_classifier(result: MethodResult) -> ClassifierEvaluation:
    """Evaluate a classifier on its test and training events.

    Raises
    ------
    SettingError
        The analysis is no classification.
    EmptySelectionError, WeightError, NonFiniteInputError
        A class has no test events or no positive weight, or a response is not finite; the message names the
        method.
    """
    if result.data.analysis != "Classification":
        raise SettingError(f"'{result.title}' does {result.data.analysis}, which has no signal efficiency.")
    try:
        return _cuts(result) if result.type_name == "Cuts" else _classifier(result)
    except HepmlError as error:
        raise type(error)(f"method '{result.title}': {error}") from error


def _classifier(result: MethodResult) -> ClassifierEvaluation:
    data = result.data
    test, training = (np.asarray(part[:, 0], np.float64) for part in (result.test, result.training))
    signal, train_signal = data.test.classes == data.signal, data.training.classes == data.signal
    weights, train_weights = data.test.weights, data.training.weights
    found = response_statistics(test, signal, weights)
    low, high = found.low, found.upper_edge

    def shares(values: Floats, of: Floats) -> Floats:
        return cut_efficiency(values, of, low, high, found.upwards)

    efficiencies = (shares(test[signal], weights[signal]), shares(test[~signal], weights[~signal]))
    in_training = (
        shares(training[train_signal], train_weights[train_signal]),
        shares(training[~train_signal], train_weights[~train_signal]),
    )
    plotting = gConfig().GetVariablePlotting()
    curve, training_curve = (
        background_against_signal(*shares_of, plotting.fNbinsXOfROCCurve)
        for shares_of in (efficiencies, in_training)
    )
    contents = [
        np.histogram(test[chosen], plotting.fNbinsMVAoutput, (low, high), weights=weights[chosen])[0]
        for chosen in (signal, ~signal)
    ]
    at, errors = _quoted(curve, float(weights[signal].sum()))
    return ClassifierEvaluation(
        result.title,
        roc_area(test, signal, weights),
        binned_area(curve),
        at,
        errors,
        tuple(signal_at(training_curve, background) for background in BACKGROUNDS),
        smooth_separation(contents[0], contents[1], low, high),
        found.significance,
        cut_at(efficiencies[0], low, high, working_point(curve)),
        found,
        curve,
        training_curve,
        efficiencies,
        in_training,
    )


def _quoted(curve: Floats, events: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return signal efficiencies with the errors √(ε(1 − ε)/events)."""
    at = tuple(signal_at(curve, background) for background in BACKGROUNDS)
    return at, tuple(math.sqrt(max(0.0, e * (1 - e)) / events) if events > 0 else 0.0 for e in at)


def _cuts(result: MethodResult) -> ClassifierEvaluation:
    """Cuts has a box for each signal efficiency, and no response: its curve is that of the boxes."""
    file = read_weights(result.weight_file)
    if not isinstance(file.weights, Cuts):
        raise SettingError(f"'{result.weight_file}' holds no cuts.")
    curves = []
    for sample in (result.data.test, result.data.training):
        variables = sample.variables
        if file.transformations:
            from hepml_root.tmva.data_sets.fitting import transform

            variables = transform(file.transformations, variables, ALL_CLASSES)
        curves.append(_curve_of_boxes(file.weights, sample, variables, result.data.signal))
    curve, training_curve = curves
    test = result.data.test
    at, errors = _quoted(curve, float(test.weights[test.classes == result.data.signal].sum()))
    area = binned_area(curve)
    at_training = tuple(signal_at(training_curve, background) for background in BACKGROUNDS)
    return ClassifierEvaluation(
        result.title, area, area, at, errors, at_training, -1.0, -1.0, None, None, curve, training_curve
    )  # fmt: skip


def _curve_of_boxes(boxes: Cuts, sample: Sample, variables: Any, signal: int) -> Floats:
    of_signal = sample.classes == signal
    sums = [float(sample.weights[chosen].sum()) for chosen in (of_signal, ~of_signal)]
    if min(sums) <= 0:
        raise EmptySelectionError("there is no signal or no background with a positive weight.")
    points = [(0.0, 0.0), (1.0, 1.0)]
    values = np.asarray(variables, np.float64)
    for least, most in zip(boxes.least, boxes.most, strict=True):
        inside = ((values > least) & (values <= most)).all(axis=1)
        passed = [float(sample.weights[inside & chosen].sum()) for chosen in (of_signal, ~of_signal)]
        points.append((passed[0] / sums[0], passed[1] / sums[1]))
    found = np.array(sorted(points))
    return background_at(found[:, 0], found[:, 1], centres(gConfig().GetVariablePlotting().fNbinsXOfROCCurve))


def _class_index(result: MethodResult, which: int | str | None) -> int:
    data = result.data
    if data.analysis == "Regression":
        raise SettingError(f"'{result.title}' does a regression, which has no ROC curve.")
    if which is None:
        return data.signal if data.analysis == "Classification" else 0
    if isinstance(which, str):
        if which not in data.classes:
            raise SettingError(unknown("class", which, data.classes))
        return data.classes.index(which)
    if not 0 <= which < len(data.classes):
        raise SettingError(f"class {which} of '{result.title}'; there are {len(data.classes)}, from 0.")
    return which


def _binary(result: MethodResult, which: int | str | None, part: str) -> tuple[Floats, Any, Floats]:
    """Return responses, which are signal, and weights, one class against all others."""
    if part not in ("test", "training"):
        raise SettingError(f"part={part!r}: the events are those of 'test' or of 'training'.")
    index = _class_index(result, which)
    sample = result.data.test if part == "test" else result.data.training
    values = np.asarray(result.test if part == "test" else result.training, np.float64)
    if result.data.analysis == "Classification":
        sign = 1.0 if index == result.data.signal else -1.0
        return sign * values[:, 0], sample.classes == index, sample.weights
    return values[:, index], sample.classes == index, sample.weights


def roc_integral(result: MethodResult, which: int | str | None = None, part: str = "test") -> float:
    """Return the area under the ROC curve: weighted, unbinned, equal responses counting one half.

    Arguments
    ---------
    which
        Index or name of the class that is signal; the others are background. The signal of a classifier, and
        the first class of several, where not given.
    part
        ``test`` or ``training`` events.

    Raises
    ------
    SettingError
        The method does a regression, or there is no such class.
    """
    if result.type_name == "Cuts":
        _class_index(result, which)
        evaluated = evaluate_classifier(result)
        return binned_area(evaluated.curve if part == "test" else evaluated.training_curve)
    return roc_area(*_binary(result, which, part))


def roc_arrays(
    result: MethodResult, which: int | str | None = None, part: str = "test"
) -> tuple[Floats, Floats]:
    """Return all points of the ROC curve: signal efficiency and background rejection.

    Arguments and errors are those of :func:`roc_integral`.
    """
    if result.type_name == "Cuts":
        _class_index(result, which)
        evaluated = evaluate_classifier(result)
        curve = evaluated.curve if part == "test" else evaluated.training_curve
        signal = np.concatenate([[0.0], centres(len(curve)), [1.0]])
        return signal, 1.0 - np.concatenate([[0.0], curve, [1.0]])
    signal, background = roc_points(*_binary(result, which, part))
    return signal, 1.0 - background


def roc_curve(result: MethodResult, which: int | str | None = None, part: str = "test") -> Any:
    """Return the ROC curve as a TGraph: background rejection against signal efficiency.

    Arguments and errors are those of :func:`roc_integral`.
    """
    from hepml_root.tmva.output.root_objects import graph

    labels = ("Signal efficiency", "Background rejection (1 - eff)")
    return graph(f"ROC_{result.title}", result.title, *roc_arrays(result, which, part), labels)


def signal_efficiency_at(
    result: MethodResult, background: float, which: int | str | None = None, part: str = "test"
) -> float:
    """Return the signal efficiency at a background efficiency, by straight lines along the ROC curve.

    Arguments and errors are those of :func:`roc_integral`.
    """
    signal, rejection = roc_arrays(result, which, part)
    return float(np.interp(background, 1.0 - rejection, signal))
