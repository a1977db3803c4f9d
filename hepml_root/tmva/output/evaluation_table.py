"""The tables that EvaluateAllMethods prints, as lines: classification, several classes, regression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import EmptySelectionError
from hepml_root.tmva.output.classifier_evaluation import (
    BACKGROUNDS,
    ClassifierEvaluation,
    evaluate_classifier,
    roc_integral,
    signal_efficiency_at,
)
from hepml_root.tmva.output.regression_evaluation import RegressionEvaluation, evaluate_regression
from hepml_root.tmva.output.response_curves import roc_points
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.output.variables import correlation

_SHORT_LINE = "-" * 80
_LINE = "-" * 115
_CLASS_LINE = "-" * 103
_REGRESSION_LINE = "-" * 98

Evaluations = Mapping[str, ClassifierEvaluation]


def evaluation_lines(
    results: Sequence[MethodResult],
    evaluations: Evaluations | None = None,
    *,
    roc: bool = True,
    correlations: bool = False,
) -> list[str]:
    """Return what is printed of methods of one dataset.

    Arguments
    ---------
    results
        The methods, all of one analysis.
    evaluations
        {title: evaluation} of classifiers, where these are there already.
    roc
        The Factory's option ``ROC``: without it classifiers have no table.
    correlations
        The Factory's option ``Correlations``: correlations of classifiers with one another and with the
        variables, and how often they agree.

    Raises
    ------
    EmptySelectionError, NonFiniteInputError, WeightError
        A method cannot be evaluated; the message names it.

    Example
    -------
    >>> evaluation_lines([])
    []
    """
    if not results:
        return []
    analysis = results[0].data.analysis
    if analysis == "Regression":
        return _regression_lines(results)
    if analysis == "Multiclass":
        return _multiclass_lines(results)
    known = dict(evaluations or {})
    for result in results:
        known.setdefault(result.title, evaluate_classifier(result))
    ranked = sorted((known[result.title] for result in results), key=lambda entry: -entry.area)
    lines = _correlation_lines(results, known) if correlations else []
    return lines + (_classifier_lines(results[0].data.name, ranked) if roc else [])


def _classifier_lines(dataset: str, ranked: Sequence[ClassifierEvaluation]) -> list[str]:
    lines = [
        "",
        "Evaluation results ranked by best signal efficiency and purity (area)",
        _LINE,
        "DataSet       MVA                       ",
        "Name:         Method:          ROC-integ",
        *(f"{dataset:<13} {entry.title:<15}: {entry.roc_integral:#1.3f}" for entry in ranked),
        _LINE,
        "",
        "DataSet              MVA              Signal efficiency at bkg eff.(error):"
        "                | Sepa-    Signifi-",
        "Name:                Method:          @B=0.01    @B=0.10    @B=0.30    ROC-integ"
        "       | ration:  cance:",
        _LINE,
    ]
    for entry in ranked:
        quoted = "  ".join(
            f"{value:#1.3f}({int(1000 * error):02d})"
            for value, error in zip(entry.signal_efficiencies, entry.errors, strict=True)
        )
        last = "--       --"
        if entry.separation >= 0 and entry.significance >= 0:
            last = f"{entry.separation:#1.3f}    {entry.significance:#1.3f}"
        lines.append(f"{dataset:<20} {entry.title:<15}: {quoted}    {entry.roc_integral:#1.3f}    | {last}")
    lines += [
        _LINE,
        "",
        "Testing efficiency compared to training efficiency (overtraining check)",
        _LINE,
        "DataSet              MVA              Signal efficiency: from test sample (from training sample) ",
        "Name:                Method:          @B=0.01             @B=0.10            @B=0.30   ",
        _LINE,
    ]
    for entry in ranked:
        pairs = zip(entry.signal_efficiencies, entry.training_efficiencies_at, strict=True)
        first, second, third = (f"{test:#1.3f} ({train:#1.3f})" for test, train in pairs)
        lines.append(f"{dataset:<20} {entry.title:<15}: {first}       {second}      {third}")
    return [*lines, _LINE, ""]


# ---- several classes -------------------------------------------------------------------------------------


def _multiclass_lines(results: Sequence[MethodResult]) -> list[str]:
    def row(*cells: str) -> str:
        return "".join(f"{cell:<15}" for cell in cells)

    lines = [
        "",
        "1-vs-rest performance metrics per class",
        _CLASS_LINE,
        "",
        "The class of a row is signal, all others are background. 0.820 (0.850) means",
        "0.820 on the test events and 0.850 on the training events.",
        "",
        row("Dataset", "MVA Method", "ROC AUC", *(f"Sig eff@B={b:.2f}" for b in BACKGROUNDS)),
        row("Name:", "/ Class:", *["test  (train)"] * 4),
    ]
    for result in results:
        lines += ["", row(result.data.name, result.title), "-" * 30]
        for index, name in enumerate(result.data.classes):
            lines.append(row("", name, *_class_cells(result, index)))
    lines += [
        "", _CLASS_LINE, "", "",
        "Confusion matrices for all methods", _CLASS_LINE, "",
        "Two classes at a time: that of the row is signal, that of the column background.", "",
    ]  # fmt: skip
    for result in results:
        lines.append(f"=== Showing confusion matrix for method : {result.title:<15}")
        for background in BACKGROUNDS:
            lines += [f"(Signal Efficiency for Background Efficiency {background:.2f})", "-" * 51]
            lines += [*_confusion_lines(result, background), ""]
    return [*lines, _CLASS_LINE, ""]


def _class_cells(result: MethodResult, index: int) -> Iterable[str]:
    """Return "test (train)" of the area and of the efficiencies; "-" where a class has no events."""
    measures: list[Callable[[str], float]] = [lambda part: roc_integral(result, index, part)]
    for background in BACKGROUNDS:
        measures.append(
            lambda part, background=background: signal_efficiency_at(result, background, index, part)  # type: ignore[misc]
        )
    for measure in measures:
        values = []
        for part in ("test", "training"):
            try:
                values.append(f"{measure(part):5.3f}")
            except EmptySelectionError:
                values.append("  -  ")
        yield f"{values[0]} ({values[1]})"


def confusion(result: MethodResult, background: float, part: str = "test") -> NDArray[np.float64]:
    """Return signal efficiencies at a background efficiency of class pairs ``(signal, background)``.

    The response is that of the class of the row, the events are those of the two classes. The diagonal, and
    pairs of a class without events, are NaN.
    """
    data = result.data
    sample = data.test if part == "test" else data.training
    values = np.asarray(result.test if part == "test" else result.training, np.float64)
    found = np.full((len(data.classes), len(data.classes)), np.nan)
    for row in range(len(data.classes)):
        for column in range(len(data.classes)):
            kept = (sample.classes == row) | (sample.classes == column)
            if row == column:
                continue
            try:
                signal, passed = roc_points(
                    values[kept, row], sample.classes[kept] == row, sample.weights[kept]
                )
            except EmptySelectionError:
                continue
            found[row, column] = np.interp(background, passed, signal)
    return found


def _confusion_lines(result: MethodResult, background: float) -> list[str]:
    names = result.data.classes
    test, training = confusion(result, background), confusion(result, background, "training")
    lines = [
        f" {'':<14}" + "".join(f" {name:<14}" for name in names),
        f" {'':<14}" + "".join(f" {' test (train)':<14}" for _ in names),
    ]
    for row, name in enumerate(names):
        cells = []
        for column in range(len(names)):
            known = np.isfinite(test[row, column]) and np.isfinite(training[row, column])
            cell = f"{test[row, column]:5.3f} ({training[row, column]:5.3f})" if known else "-"
            cells.append(f" {cell:<14}")
        lines.append(f" {name:<14}" + "".join(cells))
    return lines


# ---- regression ------------------------------------------------------------------------------------------


def _regression_lines(results: Sequence[MethodResult]) -> list[str]:
    head = "DataSet Name:         MVA Method:        <Bias>   <Bias_T>    RMS    RMS_T  |  MutInf MutInf_T"
    tested = [evaluate_regression(result) for result in results]
    order = sorted(range(len(results)), key=lambda place: tested[place].rms)
    trained = [evaluate_regression(result, "training") for result in results]
    lines = [
        "",
        "Evaluation results ranked by smallest RMS on test sample:",
        "(Bias: mean of regression minus target; MutInf: mutual information of the two;",
        " _T: without events that deviate by more than two RMS from the bias.)",
    ]
    for entries in (tested, trained):
        if entries is trained:
            lines += [
                "",
                "Evaluation results ranked by smallest RMS on training sample:",
                "(overtraining check)",
            ]
        lines += [_REGRESSION_LINE, head, _REGRESSION_LINE]
        lines += [_regression_row(results[place].data.name, entries[place]) for place in order]
        lines.append(_REGRESSION_LINE)
    return [*lines, ""]


def _regression_row(dataset: str, entry: RegressionEvaluation) -> str:
    numbers = (entry.bias, entry.truncated_bias, entry.rms, entry.truncated_rms)
    return (
        f"{dataset:<20} {entry.title:<15}:"
        + "".join(f"{number:#9.3g}" for number in numbers)
        + f"  |  {entry.mutual_information:#5.3f}  {entry.truncated_mutual_information:#5.3f}"
    )


# ---- correlations ----------------------------------------------------------------------------------------


def _correlation_lines(results: Sequence[MethodResult], known: Evaluations) -> list[str]:
    """Correlations of responses and variables, and the shares of events on which two methods agree."""
    kept = [result for result in results if known[result.title].reference_cut is not None]
    if not kept:
        return []
    data, count = kept[0].data, len(kept)
    titles = [result.title for result in kept]
    table = np.hstack(
        [*(result.test[:, :1] for result in kept), data.test.variables],
    ).astype(np.float64)
    cuts = np.array([known[title].reference_cut for title in titles], np.float64)
    lines: list[str] = []
    agreement: list[str] = []
    for name, chosen in (
        ("signal", data.test.classes == data.signal),
        ("background", data.test.classes != data.signal),
    ):
        coefficients = correlation(table[chosen], data.test.weights[chosen])
        if count > 1:
            lines += ["", f"Inter-MVA correlation matrix ({name}):"]
            lines += matrix_lines(coefficients[:count, :count], titles, titles)
        lines += ["", f"Correlations between input variables and MVA response ({name}):"]
        lines += matrix_lines(coefficients[count:, :count], data.labels, titles)
        above = table[chosen, :count] > cuts
        shares = np.array([[np.mean(above[:, i] == above[:, j]) for j in range(count)] for i in range(count)])
        if count > 1:
            agreement += ["", f"Inter-MVA overlap matrix ({name}):", *matrix_lines(shares, titles, titles)]
    lines += [
        "",
        "Overlap: the share of events that two methods both take for signal, or both for background.",
    ]
    lines += ["An event is signal-like above these cuts, where eff(signal) = 1 - eff(background):"]
    width = max(map(len, ["Method", *titles]))
    lines += [f"{title:>{width}}: {cut:+1.3f}" for title, cut in zip(titles, cuts, strict=True)]
    if count < len(results):
        lines.append("Cuts has no response, and is left out here.")
    return lines + agreement


def matrix_lines(values: NDArray[np.float64], rows: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Return a matrix with the names of its rows and columns.

    >>> print("\\n".join(matrix_lines(np.eye(2), ["var1", "x"], ["BDT", "Fisher"])))
    ---------------------
              BDT Fisher
     var1: +1.000 +0.000
        x: +0.000 +1.000
    ---------------------
    """
    left = max(map(len, rows)) + 1
    widths = [max(len(name), 6) for name in columns]
    bar = "-" * (left + 2 + sum(width + 1 for width in widths))
    lines = [
        bar,
        " " * (left + 1) + "".join(f"{name:>{w + 1}}" for name, w in zip(columns, widths, strict=True)),
    ]
    for name, numbers in zip(rows, values, strict=True):
        cells = "".join(f"{f'{n:+1.3f}':>{w + 1}}" for n, w in zip(numbers, widths, strict=True))
        lines.append(f"{name:>{left}}:{cells}")
    return [*lines, bar]


def ranking_lines(measure: str, ranking: Sequence[tuple[str, float]]) -> list[str]:
    """Return a ranking, best first, as TMVA prints it.

    >>> print("\\n".join(ranking_lines("Separation", [("myvar1", 0.25)])))
    Ranking result (top variable is best ranked)
    -----------------------------
    Rank : Variable : Separation
    -----------------------------
       1 : myvar1   : 2.500e-01
    -----------------------------
    """
    width = max([len("Variable"), *(len(name) for name, _ in ranking)])
    head = f"Rank : {'Variable':<{width}} : {measure}"
    bar = "-" * (len(head) + 1)
    rows = [f"{place:4d} : {name:<{width}} : {value:.3e}" for place, (name, value) in enumerate(ranking, 1)]
    return ["Ranking result (top variable is best ranked)", bar, head, bar, *rows, bar]


__all__ = ["confusion", "evaluation_lines", "matrix_lines", "ranking_lines"]
