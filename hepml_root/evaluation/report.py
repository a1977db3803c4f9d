"""All studies of a model in one object, and its page, numbers, pictures and ROOT file on disk."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.weights import Yields
from hepml_root.errors import OutputExistsError, SettingError, ShapeError
from hepml_root.evaluation.calibration import Reliability, reliability
from hepml_root.evaluation.confusion_matrix import Confusion, confusion
from hepml_root.evaluation.correlations import Correlation, correlation
from hepml_root.evaluation.distributions import Histogram, binning, histogram
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, to_json
from hepml_root.evaluation.model_card import describe_model, now, software
from hepml_root.evaluation.overtraining import ScoreDistributions, compare_scores
from hepml_root.evaluation.prediction import open_model, predict
from hepml_root.evaluation.ranking import Ranking, rank_inputs
from hepml_root.evaluation.regression import Residuals, study_residuals
from hepml_root.evaluation.roc import WORKING_POINTS, Roc, auc_difference, mean_auc, roc_curve
from hepml_root.evaluation.significance import SignificanceScan, scan_significance

if TYPE_CHECKING:
    from hepml_root.data.dataset import Dataset

FORMAT = "hepml_root report"
# The ranking uses fewer events where all its predictions would take longer than this, down to a minimum.
_RANKING_SECONDS = 20.0
_RANKING_LEAST = 1000


@dataclasses.dataclass
class Report:
    """Everything known about a model on test events; :func:`evaluate` makes it.

    Studies that do not apply to the task are empty or None.

    Attributes
    ----------
    model
        Name, kind, parameters, layers and manifest of the model.
    task, classes, signal
        Those of the test events.
    auc, auc_train
        Area under the ROC curve, with its interval (multiclass: mean of one against rest); None for
        regression.
    roc, train_roc
        ``{class: curve}`` against all other classes; binary has the signal only.
    compared, auc_differences
        ``{name: curve}`` of other models on the same events, and this model's AUC minus theirs.
    scores
        Score distributions per output; for regression those of the residuals.
    calibration
        ``{class: reliability}``; empty if the scores are no probabilities.
    significance, confusion, residuals, ranking, correlations, inputs
        The other studies; ``correlations`` by class, ``inputs`` one ``{class: histogram}`` per input.
    history
        Training metrics per epoch ``{name: list}``, with ``best_epoch`` (a position from 0) where known.
    yields
        ``{"test": table, "train": table}``.
    settings, provenance, software, created
        How it was made.
    """

    model: dict[str, Any]
    task: str
    classes: tuple[str, ...]
    signal: str | None
    yields: dict[str, Yields]
    settings: dict[str, Any]
    provenance: dict[str, Any]
    software: dict[str, str]
    created: str
    seconds: float
    events_per_second: float | None
    auc: Estimate | None = None
    auc_train: Estimate | None = None
    roc: dict[str, Roc] = dataclasses.field(default_factory=dict)
    train_roc: dict[str, Roc] = dataclasses.field(default_factory=dict)
    compared: dict[str, Roc] = dataclasses.field(default_factory=dict)
    auc_differences: dict[str, Estimate] = dataclasses.field(default_factory=dict)
    scores: list[ScoreDistributions] = dataclasses.field(default_factory=list)
    calibration: dict[str, Reliability] = dataclasses.field(default_factory=dict)
    significance: SignificanceScan | None = None
    confusion: Confusion | None = None
    residuals: list[Residuals] = dataclasses.field(default_factory=list)
    ranking: Ranking | None = None
    correlations: dict[str, Correlation] = dataclasses.field(default_factory=dict)
    inputs: list[dict[str, Histogram]] = dataclasses.field(default_factory=list)
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    best_epoch: int | None = None
    #: Test events and model outputs (events, outputs): the tree of the ROOT file and the response picture.
    events: Any = dataclasses.field(default=None, repr=False)
    outputs: NDArray[np.float32] | None = dataclasses.field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as strict JSON's types (None for what is not finite); events are left out."""
        content = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("events", "outputs", "yields")
        }
        tables = {part: table.to_dict() for part, table in self.yields.items()}
        return {"format": FORMAT, "version": 1, **to_json(content), "yields": to_json(tables)}

    def save(
        self, folder: str | os.PathLike[str], overwrite: bool = False, *, root_file: bool = True
    ) -> Path:
        """Write the report to a folder and return the path of its page.

        The folder gets ``report.html`` (one page with all pictures inside, no other file needed),
        ``report.json`` (all numbers), ``plots/`` (each picture as PDF and PNG) and ``report.root``
        (histograms, graphs and the tree ``test`` with scores, class, weights, spectators and inputs). It
        appears under its name only when all of it is written.

        Arguments
        ---------
        folder
            A folder that does not exist or is empty.
        overwrite
            Replace an earlier report there. A folder that holds something else is never removed.
        root_file
            Write ``report.root``, which needs ROOT.

        Raises
        ------
        OutputExistsError
            The folder exists and is not empty (and is no earlier report, if ``overwrite``).
        OutputWriteError
            The disk is full or the place is not writable.
        MissingDependencyError
            ROOT is not installed and ``root_file`` is True.
        """
        from hepml_root.evaluation.page import write_page
        from hepml_root.evaluation.pictures import pictures_of, write_pictures
        from hepml_root.output import writing

        folder = Path(folder)
        empty = folder.is_dir() and not any(folder.iterdir())
        if overwrite and folder.exists() and not empty and not _is_report(folder):
            raise OutputExistsError(
                f"'{folder}' exists and is no earlier report, so it is not replaced. Choose another folder."
            )
        with writing(folder, overwrite=overwrite or empty) as temporary:
            temporary.mkdir()
            pictures = pictures_of(self)
            sources = write_pictures(pictures, temporary / "plots")
            (temporary / "report.json").write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False))
            if root_file:
                from hepml_root.evaluation.root_file import write_root_file

                write_root_file(self, temporary / "report.root")
            write_page(self, pictures, sources, temporary / "report.html", root_file=root_file)
        return folder / "report.html"


def _is_report(folder: Path) -> bool:
    """Return whether the folder holds what :meth:`Report.save` wrote, and nothing of somebody else's."""
    if not folder.is_dir() or not (folder / "report.json").is_file():
        return False
    ours = {"report.html", "report.json", "report.root", "plots"}
    return {entry.name for entry in folder.iterdir()} <= ours


def evaluate(
    model: Any,
    test: Dataset,
    train: Dataset | None = None,
    *,
    compare: Mapping[str, Any] | None = None,
    bootstrap: int = 200,
    seed: int = 1,
    systematic: float = 0.1,
    signal_events: float | None = None,
    background_events: float | None = None,
    working_points: Sequence[float] = WORKING_POINTS,
    ranking: bool = True,
    ranking_events: int = 20_000,
    ranking_repeats: int = 3,
    bins: int = 40,
    level: float = ONE_SIGMA,
    history: Any = None,
) -> Report:
    """Study a model on test events, with errors, and return the :class:`Report`.

    Efficiencies, significances and residuals use the physics weights; the calibration uses the training
    weights, the mixture of classes that a probability was trained for. Errors are from Poisson bootstraps
    of the events, unless a study says otherwise; they hold neither the training's own spread nor
    systematic uncertainties of the simulation.

    Arguments
    ---------
    model
        A ``keras.Model``, the path of a ``.keras`` or ``.onnx`` file, a :class:`hepml_root.Session`, a
        boosted model, or an array of scores (events, outputs) of the test events; for the comparison with
        training events then a pair (scores of test, scores of train).
    test
        Events that the training has not seen.
    train
        Training events, for the overtraining check.
    compare
        ``{name: model}`` of other models of the same task, drawn in the same ROC (classification).
    bootstrap
        Number of replicas; 0 for no errors.
    seed
        Of all random numbers.
    systematic
        Relative uncertainty of the background in Z_A.
    signal_events, background_events
        Expected events before the cut for the significance; the sums of the physics weights if None.
    working_points
        Signal efficiencies at which the background rejection is quoted.
    ranking, ranking_events, ranking_repeats
        Whether to rank the inputs, with how many events and shuffles. Fewer events are taken if a slow model
        would need more than about twenty seconds; the report says how many.
    bins
        Bins of score histograms.
    level
        Coverage of the intervals.
    history
        What ``fit`` returned, or another object or mapping with ``metrics`` and ``best_epoch``; that of
        the model's manifest if None.

    Raises
    ------
    ShapeError
        The model's outputs do not fit the task.
    NonFiniteInputError
        A score is NaN or infinite.
    SettingError
        A setting is out of its range, or an array of scores is given for test events only, with ``train``.
    WeightError
        A class of the test events has no positive sum of weights.

    Example
    -------
    >>> import hepml_root as hr
    >>> x = np.random.default_rng(1).normal(size=(2000, 2)).astype("float32")
    >>> data = hr.Dataset.from_arrays(x, x[:, 0] + x[:, 1] > 0)
    >>> report = evaluate(1 / (1 + np.exp(-x[:, 0])), data, bootstrap=20)
    >>> 0.7 < report.auc.value < 0.9
    True
    """
    started = time.perf_counter()
    given = model
    train_scores = None
    if isinstance(model, tuple) and len(model) == 2:
        model, train_scores = (np.asarray(part) for part in model)
    model = open_model(model)
    if isinstance(model, np.ndarray) and train is not None and train_scores is None:
        raise SettingError(
            "scores are given for the test events only: with training events give a pair (scores of test, "
            "scores of train)."
        )
    outputs = predict(model, test)
    wanted = len(test.schema.outputs)
    if outputs.shape[1] != wanted:
        raise ShapeError(
            f"the model gives {outputs.shape[1]} outputs, the task '{test.task}' of these data has {wanted}: "
            f"{', '.join(test.schema.outputs)}."
        )
    train_outputs = None
    if train is not None:
        train_outputs = predict(model if train_scores is None else train_scores, train)

    card = describe_model(model, given)
    training = card["manifest"].get("training") or {}
    if history is not None:
        training = history if isinstance(history, Mapping) else vars(history)
    metrics = training.get("metrics") or {}
    report = Report(
        model=card,
        task=test.task,
        classes=tuple(test.classes),
        signal=test.signal,
        yields={"test": test.yields()} | ({"train": train.yields()} if train is not None else {}),
        settings={
            "bootstrap": bootstrap,
            "seed": seed,
            "level": level,
            "systematic": systematic,
            "signal_events": signal_events,
            "background_events": background_events,
        },
        provenance=test.describe()["provenance"],
        software=software(),
        created=now(),
        seconds=0.0,
        events_per_second=None,
        history={name: list(values) for name, values in metrics.items()},
        best_epoch=training.get("best_epoch"),
        events=test,
        outputs=outputs,
    )
    common: dict[str, Any] = {"bootstrap": bootstrap, "seed": seed, "level": level}
    if test.task == "regression":
        _study_regression(report, test, outputs, train, train_outputs, bins, common)
    else:
        _study_classes(report, test, outputs, train, train_outputs, bins, list(working_points), common)
        _compare(report, test, compare or {}, list(working_points), common)
    if test.task == "binary":
        report.significance = scan_significance(
            outputs[:, 0],
            test.labels == test.schema.signal_index,
            test.weight,
            systematic=systematic,
            signal_events=signal_events,
            background_events=background_events,
            **common,
        )
    _study_inputs(report, test)
    if not isinstance(model, np.ndarray):
        report.events_per_second = _speed(model, test)
        if ranking:
            report.ranking = _rank(
                model, test, report.events_per_second, ranking_events, ranking_repeats, seed
            )
    report.seconds = time.perf_counter() - started
    return report


def _study_classes(
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


def _compare(
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
        scores = predict(other, test)
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


def _study_regression(
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


def _study_inputs(report: Report, test: Dataset) -> None:
    """Fill in the distributions of all inputs and the correlations of those with one value per event."""
    labels = test.labels if test.labels is not None else np.zeros(len(test), dtype=np.int64)
    classes = test.classes or ("all events",)
    flat_columns, flat_names = [], []
    for block in test.blocks:
        if block.kind == "mask":
            continue
        array = test.X[block.name]
        for position, column in enumerate(block.columns):
            values = array[..., position]
            weights, of_class = test.weight, labels
            if block.kind == "jagged":
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


def _speed(model: Any, test: Dataset) -> float:
    """Return the events per second that :func:`predict` reaches, once compiled."""
    some = {name: array[: min(len(test), 8192)] for name, array in test.X.items()}
    predict(model, some)
    begin = time.perf_counter()
    predict(model, some)
    return len(next(iter(some.values()))) / max(time.perf_counter() - begin, 1e-9)


def _rank(model: Any, test: Dataset, speed: float, events: int, repeats: int, seed: int) -> Ranking:
    columns = {block.name: block.labels for block in test.blocks if block.kind != "mask"}
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
