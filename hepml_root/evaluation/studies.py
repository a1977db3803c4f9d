"""The studies of a report, filled in by task: classes, regression, inputs, ranking."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import EmptySelectionError, ShapeError, WeightError
from hepml_root.evaluation.best_cut import checked_sample, choose_cut, expected_events
from hepml_root.evaluation.binned_significance import choose_bins, significance_in_bins
from hepml_root.evaluation.calibration import reliability
from hepml_root.evaluation.confusion_matrix import confusion
from hepml_root.evaluation.correlations import correlation
from hepml_root.evaluation.distributions import binning, histogram
from hepml_root.evaluation.limits import upper_limit
from hepml_root.evaluation.model_card import describe_model
from hepml_root.evaluation.overtraining import compare_scores
from hepml_root.evaluation.prediction import open_model, predict, refuse_other_order
from hepml_root.evaluation.ranking import Ranking, rank_inputs
from hepml_root.evaluation.regression import study_residuals
from hepml_root.evaluation.roc import auc_difference, mean_auc, roc_curve
from hepml_root.evaluation.significance import scan_significance

if TYPE_CHECKING:
    from hepml_root.data.dataset import Dataset
    from hepml_root.evaluation.report import Report

# The ranking uses fewer events where all its predictions would take longer than this, down to a minimum.
_RANKING_SECONDS = 20.0
_RANKING_LEAST = 1000
_REPLICAS_OF_A_CUT = 50


def study_classes(
    report: Report,
    test: Dataset,
    outputs: NDArray[np.float32],
    train: Dataset | None,
    train_outputs: NDArray[np.float32] | None,
    bins: int,
    working_points: list[float],
    common: dict[str, Any],
) -> None:
    """Fill in ROC curves, score distributions, calibration and confusion."""
    assert test.labels is not None
    names = dict(enumerate(test.classes))
    for column, name in enumerate(test.schema.outputs):
        index = test.classes.index(name)
        is_class = test.labels == index
        report.roc[name] = roc_curve(
            outputs[:, column], is_class, test.weight, working_points=working_points, **common
        )
        train_part = None
        if train is not None and train_outputs is not None:
            assert train.labels is not None
            report.train_roc[name] = roc_curve(
                train_outputs[:, column],
                train.labels == index,
                train.weight,
                working_points=working_points,
                **common,
            )
            train_part = train_outputs[:, column], train.labels, train.weight
        title = "Score" if test.task == "binary" else f"Score for {name}"
        report.scores.append(
            compare_scores(
                outputs[:, column],
                test.labels,
                test.weight,
                train=train_part,
                classes=names,
                score=title,
                bins=bins,
            )
        )
    if outputs.min() >= 0 and outputs.max() <= 1:
        for column, name in enumerate(test.schema.outputs):
            is_class = test.labels == test.classes.index(name)
            report.calibration[name] = reliability(
                outputs[:, column], is_class, test.training_weight, **common
            )
    if test.task == "binary":
        report.auc = report.roc[str(test.signal)].auc
        report.auc_train = report.train_roc[str(test.signal)].auc if report.train_roc else None
        return
    report.auc = mean_auc(outputs, test.labels, test.weight)
    if train is not None and train_outputs is not None:
        report.auc_train = mean_auc(train_outputs, train.labels, train.weight)  # type: ignore[arg-type]
    report.confusion = confusion(outputs, test.labels, test.weight, test.classes, **common)


def study_others(
    report: Report,
    test: Dataset,
    others: Mapping[str, Any],
    working_points: list[float],
    common: dict[str, Any],
) -> None:
    """Fill in the ROC curves of other models: of the signal for binary, else of the first class."""
    assert test.labels is not None
    signal = test.schema.outputs[0]
    is_signal = test.labels == test.classes.index(signal)
    for name, other in others.items():
        model = open_model(other)
        refuse_other_order(describe_model(model, other)["manifest"], test, f"'{name}'")
        scores = predict(model, test)
        if scores.shape[1] != len(test.schema.outputs):
            raise ShapeError(
                f"'{name}' gives {scores.shape[1]} outputs; the task has {len(test.schema.outputs)}."
            )
        report.compared[name] = roc_curve(
            scores[:, 0], is_signal, test.weight, working_points=working_points, **common
        )
        assert report.outputs is not None
        report.auc_differences[name] = auc_difference(
            report.outputs[:, 0], scores[:, 0], is_signal, test.weight
        )


def study_significance(
    report: Report,
    test: Dataset,
    outputs: NDArray[np.float32],
    chooser: tuple[Dataset, NDArray[np.float32]] | None,
    minimum_background: float,
    bins: int,
    yields: dict[str, Any],
    common: dict[str, Any],
) -> None:
    """Fill in the scan, the best cut and the bins, both chosen on other events than they are read on.

    ``chooser`` holds validation events and their outputs; without any, one half of the test events takes
    their place. The last two are left out where no cut, or no bin, keeps enough background.
    """
    assert test.labels is not None
    scores, labels = outputs[:, 0], test.labels == test.schema.signal_index
    report.significance = scan_significance(
        scores, labels, test.weight, minimum_background=minimum_background, **yields, **common
    )
    expected = expected_events(
        checked_sample((scores, labels, test.weight)), yields["signal_events"], yields["background_events"]
    )
    totals = {**yields, "signal_events": expected[0], "background_events": expected[1]}
    if chooser is not None:
        other, other_outputs = chooser
        first: Any = (other_outputs[:, 0], other.labels == other.schema.signal_index, other.weight)
        second: Any = (scores, labels, test.weight)
        names: dict[str, Any] = {"chosen_on": "validation", "applied_on": "test"}
        # Sums of weights that nobody gave fluctuate with the test events, which they are of.
        given = yields
    else:
        chosen = half_of_each(labels, common["seed"])
        first, second = ((scores[part], labels[part], test.weight[part]) for part in (chosen, ~chosen))
        names = {"chosen_on": "half of the test events", "applied_on": "the other half"}
        given = totals
    with contextlib.suppress(EmptySelectionError, WeightError):
        # Replicas only say how far the place of the optimum moves: fewer do.
        fewer = {**common, "bootstrap": min(common["bootstrap"], _REPLICAS_OF_A_CUT)}
        report.best_cut = choose_cut(
            first, second, minimum_background=minimum_background, **given, **fewer, **names
        )
        binning = choose_bins(
            first, bins=bins, minimum_background=minimum_background, chosen_on=names["chosen_on"], **totals
        )
        report.binned = significance_in_bins(
            second, binning, applied_on=names["applied_on"], **given, **common
        )
        model = report.binned.likelihood()
        if model.signal.any() and model.background.any():
            report.limit = upper_limit(model)


def half_of_each(labels: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Return a mask (events,) of one half of each class, drawn by ``seed``.

    >>> int(half_of_each(np.array([True, False] * 10), seed=1)[::2].sum())
    5
    """
    chosen = np.zeros(len(labels), dtype=bool)
    generator = np.random.default_rng(seed)
    for members in (labels, ~labels):
        places = generator.permutation(np.flatnonzero(members))
        chosen[places[::2]] = True
    return chosen


def study_regression(
    report: Report,
    test: Dataset,
    outputs: NDArray[np.float32],
    train: Dataset | None,
    train_outputs: NDArray[np.float32] | None,
    bins: int,
    common: dict[str, Any],
) -> None:
    """Fill in residuals per target, and their distributions on test and training events."""
    for column, target in enumerate(test.targets):
        truth = test.target[:, column].astype(np.float64)
        prediction = outputs[:, column].astype(np.float64)
        study = study_residuals(
            prediction, truth, test.weight, name=target.label, unit=target.units, **common
        )
        report.residuals.append(study)
        if train is None or train_outputs is None:
            continue
        train_residual = train_outputs[:, column].astype(np.float64) - train.target[:, column]
        report.scores.append(
            compare_scores(
                prediction - truth,
                np.zeros(len(truth)),
                test.weight,
                train=(train_residual, np.zeros(len(train_residual)), train.weight),
                classes={0: "all events"},
                score=f"Residual of {target.label}",
                bins=bins,
            )
        )


def study_inputs(report: Report, test: Dataset) -> None:
    """Fill in the distributions of all inputs and the correlations of those with one value per event."""
    labels = test.labels if test.labels is not None else np.zeros(len(test), dtype=np.int64)
    classes = test.classes or ("all events",)
    flat_columns, flat_names = [], []
    for block in test.blocks:
        if block.kind in ("mask", "index"):
            continue
        array = test.X[block.name]
        for position, column in enumerate(block.columns):
            values = array[..., position]
            weights, of_class = test.weight, labels
            if block.kind not in ("flat", "parameter"):
                # Of padded tensors what is there; of images the pixels that are not empty.
                real = values != 0
                if block.kind != "image":
                    real = np.asarray(test.X[f"{block.name}_mask"], dtype=bool)
                events = np.nonzero(real)[0]
                values, weights, of_class = values[real], test.weight[events], labels[events]
            else:
                flat_columns.append(values)
                flat_names.append(column.label)
            present = np.isfinite(values)  # missing values are allowed where the model imputes them
            values, weights, of_class = values[present], weights[present], of_class[present]
            edges = binning(values, int(np.clip(2 * len(values) ** (1 / 3), 12, 40)))
            report.inputs.append(
                {
                    name: histogram(
                        column.label,
                        values[of_class == index],
                        edges,
                        weights[of_class == index],
                        title=column.label,
                        unit=column.units,
                    )
                    for index, name in enumerate(classes)
                }
            )
    if len(flat_columns) < 2:
        return
    table = np.stack(flat_columns, axis=1)
    for index, name in enumerate(classes):
        members = labels == index
        report.correlations[name] = correlation(table[members], test.weight[members], flat_names)


def measure_speed(model: Any, test: Dataset) -> float:
    """Return the events per second that :func:`predict` reaches, once compiled."""
    some = {name: array[: min(len(test), 8192)] for name, array in test.X.items()}
    predict(model, some)
    begin = time.perf_counter()
    predict(model, some)
    return len(next(iter(some.values()))) / max(time.perf_counter() - begin, 1e-9)


def study_ranking(model: Any, test: Dataset, speed: float, events: int, repeats: int, seed: int) -> Ranking:
    columns = {block.name: block.labels for block in test.blocks if block.columns}
    predictions = repeats * sum(len(labels) for labels in columns.values()) + 1
    affordable = int(_RANKING_SECONDS * speed / predictions)
    while events > _RANKING_LEAST and min(events, len(test)) > affordable:
        events //= 2
    if test.task == "regression":
        truth: Any = test.target
    elif test.task == "binary":
        truth = test.labels == test.schema.signal_index
    else:
        assert test.labels is not None
        truth = test.labels
    return rank_inputs(
        lambda blocks: predict(model, blocks),
        test.X,
        truth,
        test.weight,
        columns=columns,
        task=test.task,
        repeats=repeats,
        max_events=max(events, 2),
        seed=seed,
    )
