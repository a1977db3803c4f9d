"""TMVA's CrossValidation: each fold of the training events is tested by a method that the others trained."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.feed_library import import_root
from hepml_root.errors import SettingError
from hepml_root.output import writing
from hepml_root.tmva import training
from hepml_root.tmva.composite import add_choice, named_columns
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.method import Booking, OwnGraph, Trained
from hepml_root.tmva.options.declaration import parse
from hepml_root.tmva.options.envelope import CROSS_VALIDATION, FOLDS_IN_FILES
from hepml_root.tmva.options.shared import SHARED
from hepml_root.tmva.output.classifier_evaluation import evaluate_classifier
from hepml_root.tmva.output.evaluation_table import evaluation_lines
from hepml_root.tmva.output.file import write_output
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.resampling.cross_validation_result import CrossValidationResult
from hepml_root.tmva.resampling.envelope import Envelope, Wish, tried
from hepml_root.tmva.resampling.folds import (
    COUNTS,
    check_folds,
    folds_of_formula,
    formula_of_folds,
    random_folds,
)
from hepml_root.tmva.weights.conversion import INPUT, OUTPUT
from hepml_root.tmva.weights.formula import Formula
from hepml_root.tmva.weights.graph import Graph

_TYPE = "CrossValidation"


@dataclass(frozen=True)
class _Trained:
    """One fold: the method that the other folds trained."""

    fitted: training.Fitted
    booking: Booking
    data: DataSet
    result: MethodResult


class CrossValidation(Envelope):
    """Cross validation of methods, and weight files that give each event the method that has not seen it.

    The training events of the DataLoader are divided into folds (its test events are not used). For each
    fold the method is trained on all other folds and tested on this one. With ``SplitExpr`` the fold is a
    formula of spectators, such as an event number, and ``<job>_<title>.weights.xml`` evaluates every event
    with the method of its fold; with ``OutputEnsembling=Avg`` new events get the mean of all. The output file
    has every training event with the response of the method that was not trained on it.

    Arguments
    ---------
    job, loader
        As of a Factory.
    output
        An open ROOT.TFile, or None; may be left out.
    options
        Those of a Factory, and NumFolds=2, SplitType=Random|RandomStratified|Deterministic, SplitExpr,
        SplitSeed=100, OutputEnsembling=None|Avg, FoldFileOutput=F.

    Raises
    ------
    SettingError
        An option is unknown, or has a value that it cannot take.

    Example
    -------
    >>> import os, tempfile
    >>> from hepml_root import tmva as TMVA
    >>> os.chdir(tempfile.mkdtemp())
    >>> loader, rng = TMVA.DataLoader("dataset"), np.random.default_rng(1)
    >>> loader.AddVariable("x")
    >>> loader.AddSpectator("eventID")
    >>> for name, mean in (("Signal", 1), ("Background", -1)):
    ...     loader.AddTree({"x": rng.normal(mean, 1, 500), "eventID": np.arange(500.0)}, name)
    >>> loader.PrepareTrainingAndTestTree("", "nTest_Signal=1:nTest_Background=1:!V")
    >>> cv = TMVA.CrossValidation("cv", loader, "Silent:NumFolds=4:SplitExpr=int([eventID])%int([NumFolds])")
    >>> cv.BookMethod(TMVA.Types.kFisher, "Fisher", "!H:!V")
    >>> cv.Evaluate()
    >>> result = cv.GetResults()[0]
    >>> 0.9 < result.GetROCAverage() < 0.95, len(result.GetROCValues())
    (True, 4)
    """

    def __init__(self, job: Any, loader: Any, *arguments: Any, **keywords: Any) -> None:
        rest = list(arguments)
        self._output: Any = None
        if rest and (rest[0] is None or hasattr(rest[0], "mkdir")):
            self._output = rest.pop(0)
        if len(rest) > 1:
            raise SettingError("CrossValidation(job, loader[, output file][, options]).")
        self.options = parse(CROSS_VALIDATION, rest[0] if rest else "", f"CrossValidation '{job}'", keywords)
        analysis = str(self.options["AnalysisType"])
        super().__init__(job, loader, None if analysis == "Auto" else analysis)
        self._console.silent = bool(self.options["Silent"])
        self._console.verbose = bool(self.options["V"])
        self._folds = int(self.options["NumFolds"])
        self._expression = str(self.options["SplitExpr"]).strip()
        self._results: list[CrossValidationResult] = []
        check_folds(self._folds, self._folds)
        if self.options["SplitType"] == "Deterministic" and not self._expression:
            raise SettingError(
                "CrossValidation: SplitType=Deterministic needs SplitExpr, such as "
                "int(fabs([eventID]))%int([NumFolds])."
            )
        if self.options["FoldFileOutput"] and not self._output:
            raise SettingError("CrossValidation: FoldFileOutput needs an output file: it writes beside it.")

    def SetNumFolds(self, folds: int) -> None:
        """Set the number of folds."""
        check_folds(int(folds), int(folds))
        self._folds = int(folds)

    def GetNumFolds(self) -> int:
        """Return the number of folds."""
        return self._folds

    def SetSplitExpr(self, expression: Any) -> None:
        """Set the formula of the folds."""
        self._expression = str(expression).strip()

    def GetResults(self) -> list[CrossValidationResult]:
        """Return the results, one for each method in the order of booking.

        Raises
        ------
        SettingError
            Evaluate was not called.
        """
        if not self._results:
            raise SettingError("CrossValidation: there are no results: call Evaluate before.")
        return self._results

    # -- evaluation ------------------------------------------------------------------------------------------

    def Evaluate(self) -> None:
        """Train and test all methods in all folds, print the table, write weight files and output file.

        Raises
        ------
        SettingError
            No method is booked, or SplitExpr gives no numbers of folds.
        HepmlError
            A method cannot be trained, or its files cannot be written.
        """
        wishes, data = self._wished(), self.data()
        formula = formula_of_folds(self._expression, data) if self._expression else None
        if formula is not None:
            folds = folds_of_formula(formula, data, self._folds)
        else:
            stratified = self.options["SplitType"] == "RandomStratified"
            folds = random_folds(data.training, self._folds, int(self.options["SplitSeed"]), stratified)
        self._results, together = [], []
        for wish in wishes:
            self._console.line(f"Evaluate method: {wish.title}")
            found = CrossValidationResult(wish.title, data.analysis)
            start = time.perf_counter()
            parts = [self._fold(wish, number, folds, data) for number in range(self._folds)]
            for part in parts:
                found.add(part.result)
            self._results.append(found)
            seconds = time.perf_counter() - start
            together.append(self._together(wish, parts, folds, data, formula, seconds))
        self._compare(data, together)
        self._console.line("Evaluation done.")

    def _fold(self, wish: Wish, number: int, folds: NDArray[np.int64], data: DataSet) -> _Trained:
        title = f"{wish.title}_fold{number + 1}"
        method = wish.method(title, self.job, data)
        part = replace(
            data, training=data.training.take(folds != number), test=data.training.take(folds == number)
        )
        quiet = replace(self._console.named(title), silent=not self.options["V"] or self._console.silent)
        fitted, result = tried(method, part, quiet)
        if self.options["ModelPersistence"]:
            training.write(method.booking, part, fitted)
        if self.options["FoldFileOutput"]:
            path = Path(str(self._output.GetName())).parent / f"{title}.root"
            with writing(path, True) as temporary:
                file = import_root().TFile.Open(str(temporary), "RECREATE")
                write_output(file, part, [result], str(self.options["Transformations"]))
                file.Close()
        self._console.line(f"Fold {number + 1} of {self._folds}: {self._said(result)}")
        return _Trained(fitted, method.booking, part, result)

    def _said(self, result: MethodResult) -> str:
        one = CrossValidationResult(result.title, result.data.analysis)
        one.add(result)
        if result.data.analysis == "Regression":
            return f"deviation {one.GetDeviationValues()[0]:.4g}"
        return f"ROC-Int {one.GetROCAverage():.4f}"

    def _together(
        self,
        wish: Wish,
        parts: list[_Trained],
        folds: NDArray[np.int64],
        data: DataSet,
        formula: Formula | None,
        seconds: float,
    ) -> MethodResult:
        """Write the weight file of all folds, and return the response to every event in its own fold."""
        answers = np.zeros((len(data.training), data.outputs), np.float32)
        for number, part in enumerate(parts):
            answers[folds == number] = part.result.test
        average = self.options["OutputEnsembling"] == "Avg"
        texts = [f"NumFolds={self._folds}", f"OutputEnsembling={self.options['OutputEnsembling']}"]
        texts += [f"EncapsulatedMethodName={wish.title}", f"EncapsulatedMethodTypeName={wish.type_name}"]
        options = parse((*SHARED, *FOLDS_IN_FILES), ":".join([*texts, f"SplitExpr={self._expression}"]))
        booking = replace(parts[0].booking, title=wish.title, type_name=_TYPE, options=options, extra={})
        every = replace(data, test=data.training)
        weight_file = booking.folder / f"{self.job}_{wish.title}.weights.xml"
        known = average or formula is not None
        if known and self.options["ModelPersistence"]:
            graph = _of_all(wish.title, parts, data, None if average else formula, self._folds)
            files = training.write(booking, every, training.Fitted((), Trained(graph), seconds))
            self._console.line(f"Creating xml weight file: {files.weights}")
        elif not known:
            self._console.line(
                f"No weight file of all folds of {wish.title} is written: folds are random, so that nobody "
                "knows the fold of a new event. Give SplitExpr, or OutputEnsembling=Avg."
            )
        model = weight_file.with_name(f"{self.job}_{wish.title}.onnx")
        return MethodResult(_TYPE, wish.title, every, weight_file, model, answers, answers, seconds)

    def _compare(self, data: DataSet, results: list[MethodResult]) -> None:
        evaluations = {}
        if data.analysis == "Classification":
            evaluations = {result.title: evaluate_classifier(result) for result in results}
        for line in evaluation_lines(results, evaluations):
            self._console.line(line)
        if self._output:
            every = results[0].data
            write_output(
                self._output, every, results, str(self.options["Transformations"]), evaluations=evaluations
            )


def _of_all(
    title: str, parts: list[_Trained], data: DataSet, formula: Formula | None, folds: int
) -> OwnGraph:
    """Return the graph that chooses the method of an event's fold, or takes the mean of all."""
    columns, variables = named_columns(data), len(data.variables)
    of_formula = [columns[name] for name in formula.names if name in columns] if formula else []
    spectators = {place - variables for place in of_formula if place >= variables}
    own = [part.fitted.trained.weights for part in parts]
    for weights in own:
        spectators |= set(weights.spectators if isinstance(weights, OwnGraph) else ())
    order = sorted(spectators)
    places = {place: place for place in range(variables)}
    places |= {variables + number: variables + i for i, number in enumerate(order)}
    graph = Graph(INPUT)
    results = []
    for part, weights in zip(parts, own, strict=True):
        numbers = weights.spectators if isinstance(weights, OwnGraph) else ()
        taken = [*range(variables), *(places[variables + number] for number in numbers)]
        values = INPUT if len(taken) == len(places) else graph.columns(INPUT, taken)
        results.append(graph.embed(training.graph(part.booking, part.data, part.fitted), values))
    if formula is None:
        total = graph.add("Sum", *results)
        result = graph.add("Mul", total, graph.constant(1.0 / len(results)))
    else:
        named = {
            name: graph.columns(INPUT, [places[columns[name]]]) for name in formula.names if name in columns
        }
        named |= {name: graph.constant([[float(folds)]]) for name in COUNTS if name not in named}
        fold = formula.add_to(graph, named)
        conditions = [
            graph.add("Cast", graph.add("Equal", fold, graph.constant([[float(number)]])), to=1)
            for number in range(len(results))
        ]
        result = add_choice(graph, conditions, results)
    return OwnGraph(graph.model(title, len(places), result, OUTPUT, data.outputs), spectators=tuple(order))
