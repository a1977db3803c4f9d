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
from hepml_root.evaluation import studies
from hepml_root.evaluation.best_cut import ChosenCut
from hepml_root.evaluation.binned_significance import BinnedSignificance
from hepml_root.evaluation.calibration import Reliability
from hepml_root.evaluation.confusion_matrix import Confusion
from hepml_root.evaluation.correlations import Correlation
from hepml_root.evaluation.distributions import Histogram
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, to_json
from hepml_root.evaluation.limits import Limit
from hepml_root.evaluation.model_card import describe_model, now, software
from hepml_root.evaluation.overtraining import ScoreDistributions
from hepml_root.evaluation.prediction import open_model, predict, refuse_other_order
from hepml_root.evaluation.ranking import Ranking
from hepml_root.evaluation.regression import Residuals
from hepml_root.evaluation.roc import WORKING_POINTS, Roc
from hepml_root.evaluation.significance import SignificanceScan

if TYPE_CHECKING:
    from hepml_root.data.dataset import Dataset

FORMAT = "hepml_root report"


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
    significance
        The scan over the cuts on the test events.
    best_cut
        The cut that other events chose, with its yields on the test events; None if no cut keeps enough
        background.
    binned, limit
        The histogram of the score in bins that other events chose, with its significance, and the expected
        CLs limit on the signal strength that it gives.
    confusion, residuals, ranking, correlations, inputs
        The other studies; ``correlations`` by class, ``inputs`` one ``{class: histogram}`` per input.
    history
        Training metrics per epoch ``{name: list}``, with ``best_epoch`` (a position from 0) where known, and
        how many of the first epochs, ``pretraining_epochs``, had another loss.
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
    best_cut: ChosenCut | None = None
    binned: BinnedSignificance | None = None
    limit: Limit | None = None
    confusion: Confusion | None = None
    residuals: list[Residuals] = dataclasses.field(default_factory=list)
    ranking: Ranking | None = None
    correlations: dict[str, Correlation] = dataclasses.field(default_factory=dict)
    inputs: list[dict[str, Histogram]] = dataclasses.field(default_factory=list)
    history: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    best_epoch: int | None = None
    pretraining_epochs: int = 0
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
        return {
            "format": FORMAT,
            "version": 1,
            **to_json(content),
            "yields": to_json(tables),
            "working_points": self.working_points(),
        }

    def working_points(self) -> list[dict[str, Any]]:
        """Return the best cut as ``hr.export(..., working_points=report.working_points())`` takes it."""
        return [] if self.best_cut is None else [self.best_cut.working_point()]

    def save(
        self,
        folder: str | os.PathLike[str],
        overwrite: bool = False,
        *,
        root_file: bool = True,
        formats: Sequence[str] = ("pdf", "png"),
    ) -> Path:
        """Write the report to a folder and return the path of its page.

        The folder gets ``report.html`` (one page with all pictures inside, no other file needed),
        ``report.json`` (all numbers), ``plots/`` (each picture as PDF and PNG), ``report.root``
        (histograms, graphs and the tree ``test`` with scores, class, weights, spectators and inputs), and
        with a binned significance ``histfactory/``: the histogram of the score as a statistical model, in
        JSON for pyhf and as XML with a ROOT file for RooFit. The folder appears under its name only when all
        of it is written.

        Arguments
        ---------
        folder
            A folder that does not exist or is empty.
        overwrite
            Replace an earlier report there. A folder that holds something else is never removed.
        root_file
            Write ``report.root``, which needs ROOT.
        formats
            Of the files in ``plots/``: "pdf", "png", "svg". Fewer are quicker; the page needs none of them.

        Raises
        ------
        OutputExistsError
            The folder exists and is not empty (and is no earlier report, if ``overwrite``).
        OutputWriteError
            The disk is full or the place is not writable.
        MissingDependencyError
            ROOT is not installed and ``root_file`` is True.
        SettingError
            A picture format is unknown.
        """
        from hepml_root.evaluation.page import write_page
        from hepml_root.evaluation.pictures import FORMATS, pictures_of, write_pictures
        from hepml_root.output import writing

        if unknown := set(formats) - set(FORMATS):
            raise SettingError(f"no picture format '{min(unknown)}'. Available: {', '.join(FORMATS)}.")
        folder = Path(folder)
        empty = folder.is_dir() and not any(folder.iterdir())
        if overwrite and folder.exists() and not empty and not _is_report(folder):
            raise OutputExistsError(
                f"'{folder}' exists and is no earlier report, so it is not replaced. Choose another folder."
            )
        with writing(folder, overwrite=overwrite or empty, folder=True) as temporary:
            temporary.mkdir()
            (temporary / "report.json").write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False))
            if root_file:
                from hepml_root.evaluation.root_file import write_root_file

                write_root_file(self, temporary / "report.root")
            if self.binned is not None and self.limit is not None and np.isfinite(self.limit.bands[-1]):
                _write_model(self.binned, self.limit, temporary / "histfactory")
            pictures = pictures_of(self)
            sources = write_pictures(pictures, temporary / "plots", formats)
            write_page(
                self, pictures, sources, temporary / "report.html", root_file=root_file, formats=formats
            )
        return folder / "report.html"


def _is_report(folder: Path) -> bool:
    """Return whether the folder holds what :meth:`Report.save` wrote, and nothing of somebody else's."""
    if not folder.is_dir() or not (folder / "report.json").is_file():
        return False
    ours = {"report.html", "report.json", "report.root", "plots", "histfactory"}
    return {entry.name for entry in folder.iterdir()} <= ours


def _write_model(binned: BinnedSignificance, limit: Limit, folder: Path) -> None:
    """Write the histogram of the score as a statistical model for other programs."""
    from hepml_root.evaluation.histfactory import write_histfactory, write_workspace

    model, bound = binned.likelihood(), max(10.0, 10.0 * limit.bands[-1])
    write_histfactory(model, folder, edges=binned.edges, largest_strength=bound)
    write_workspace(model, folder / "workspace.json", largest_strength=bound)


def evaluate(
    model: Any,
    test: Dataset,
    train: Dataset | None = None,
    *,
    validation: Dataset | None = None,
    compare: Mapping[str, Any] | None = None,
    bootstrap: int = 200,
    seed: int = 1,
    systematic: float = 0.1,
    signal_events: float | None = None,
    background_events: float | None = None,
    minimum_background: float = 10.0,
    significance_bins: int = 10,
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
        boosted model, or an array of scores (events, outputs) of the test events; with training and
        validation events then a tuple, (scores of test, of train, of validation), one for each dataset.
    test
        Events that the training has not seen.
    train
        Training events, for the overtraining check.
    validation
        Events that choose the best cut and the bins of the score; the significances there are read on the
        test events. If None, one half of the test events chooses and the other half is read, scaled to all.
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
    minimum_background
        Effective background events that the best cut, and each bin, keeps at least.
    significance_bins
        Bins of the score for the binned significance, at most.
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
        The model's outputs do not fit the task, or it has the classes or inputs of the test events in another
        order.
    NonFiniteInputError
        A score is NaN or infinite.
    SettingError
        A setting is out of its range, or scores are given for test events only, with ``train``.
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
    further: list[Any] = []
    if isinstance(model, tuple) and len(model) in (2, 3):
        model, *further = (np.asarray(part) for part in model)
    model = open_model(model)
    others = [part for part in (train, validation) if part is not None]
    if not isinstance(model, np.ndarray):
        further = [model] * len(others)
    elif len(further) < len(others):
        raise SettingError(
            "scores are given for the test events only: with training events give a pair (scores of test, "
            "scores of train), with validation events their scores at the end."
        )
    card = describe_model(model, given)
    refuse_other_order(card["manifest"], test)
    outputs = predict(model, test)
    wanted = len(test.schema.outputs)
    if outputs.shape[1] != wanted:
        raise ShapeError(
            f"the model gives {outputs.shape[1]} outputs, the task '{test.task}' of these data has {wanted}: "
            f"{', '.join(test.schema.outputs)}."
        )
    train_outputs = None if train is None else predict(further[0], train)
    validation_outputs = None if validation is None else predict(further[len(others) - 1], validation)

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
            "minimum_background": minimum_background,
            "significance_bins": significance_bins,
        },
        provenance=test.describe()["provenance"],
        software=software(),
        created=now(),
        seconds=0.0,
        events_per_second=None,
        history={name: list(values) for name, values in metrics.items()},
        best_epoch=training.get("best_epoch"),
        pretraining_epochs=int(training.get("pretraining_epochs") or 0),
        events=test,
        outputs=outputs,
    )
    common: dict[str, Any] = {"bootstrap": bootstrap, "seed": seed, "level": level}
    if test.task == "regression":
        studies.study_regression(report, test, outputs, train, train_outputs, bins, common)
    else:
        studies.study_classes(report, test, outputs, train, train_outputs, bins, list(working_points), common)
        studies.study_others(report, test, compare or {}, list(working_points), common)
    if test.task == "binary":
        chooser = (
            None if validation is None or validation_outputs is None else (validation, validation_outputs)
        )
        yields = {
            "systematic": systematic,
            "signal_events": signal_events,
            "background_events": background_events,
        }
        studies.study_significance(
            report, test, outputs, chooser, minimum_background, significance_bins, yields, common
        )
    studies.study_inputs(report, test)
    if not isinstance(model, np.ndarray):
        report.events_per_second = studies.measure_speed(model, test)
        if ranking:
            report.ranking = studies.study_ranking(
                model, test, report.events_per_second, ranking_events, ranking_repeats, seed
            )
    report.seconds = time.perf_counter() - started
    return report
