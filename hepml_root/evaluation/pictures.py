"""Which pictures a report has, with section, title and caption, and how they are written."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hepml_root.evaluation import plot_inputs, plot_regression, plot_scores, plot_significance, plot_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hepml_root.evaluation.report import Report

_INPUTS_A_PICTURE = 12
#: Formats of the files of pictures.
FORMATS = ("pdf", "png", "svg")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure with the name of its files, the section it belongs to, and what to say about it."""

    name: str
    section: str
    title: str
    caption: str
    figure: Figure
    wide: bool = False


def file_name(text: str) -> str:
    """Return a name for files and ROOT objects: letters, digits and underscores.

    Example
    -------
    >>> file_name("Score for W→qq")
    'score_for_w_qq'
    """
    return re.sub(r"[^0-9a-zA-Z]+", "_", text).strip("_").lower() or "unnamed"


def pictures_of(report: Report) -> list[Picture]:
    """Return all pictures of a report, in the order of its page."""
    maker = _Maker(report)
    if report.task == "regression":
        maker.regression()
    else:
        maker.performance()
    maker.distributions()
    if report.task != "regression":
        maker.calibration()
        maker.significance()
    maker.inputs()
    maker.training()
    return maker.pictures


def write_pictures(pictures: list[Picture], folder: Path, formats: Sequence[str]) -> dict[str, str]:
    """Write each picture in the given formats into ``folder`` and return ``{name: data URI}`` for the page.

    The page shows SVG, but of pictures with many small parts PNG, which is smaller there.
    """
    if formats:
        folder.mkdir(parents=True, exist_ok=True)
    sources = {}
    for picture in pictures:
        shown = "png" if picture.wide else "svg"
        for form in {*formats, shown}:
            content = plot_style.rendered(picture.figure, form)
            if form in formats:
                (folder / f"{picture.name}.{form}").write_bytes(content)
            if form == shown:
                kind = {"png": "image/png", "svg": "image/svg+xml"}[form]
                sources[picture.name] = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return sources


class _Maker:
    """Collects the pictures of a report, section by section."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.pictures: list[Picture] = []
        self.title = report.model["name"]
        self.sample = f"{len(report.events):,} test events".replace(",", "\u202f")
        self.labels = {"title": self.title, "sample": self.sample}
        self.signal = report.signal if report.task == "binary" else None
        number = report.settings["bootstrap"]
        self.errors = (
            f"the {100 * report.settings['level']:.1f} % interval of {number} Poisson bootstrap replicas of "
            "the events"
            if number
            else "not computed (no bootstrap was asked for)"
        )

    def add(
        self, name: str, section: str, title: str, caption: str, figure: Figure, wide: bool = False
    ) -> None:
        self.pictures.append(Picture(file_name(name), section, title, caption, figure, wide))

    def performance(self) -> None:
        report = self.report
        if report.task == "multiclass":
            curves, what, remark = report.roc, "each class against all others", ""
        else:
            what, remark = f"{report.signal} against background", ""
            curves = {"test": report.roc[str(report.signal)]}
            if report.train_roc:
                curves["training"] = report.train_roc[str(report.signal)]
                remark = (
                    " The training curve lies above the test curve as far as the model has learned its "
                    "training events by heart."
                )
        caption = (
            "One minus the background efficiency against the signal efficiency of a cut on the score, "
            f"{what}, with physics weights. The band is {self.errors}. AUC is the area under the curve: 1 "
            f"for perfect separation, 0.5 for none.{remark}"
        )
        self.add("roc", "performance", "ROC curve", caption, plot_scores.plot_roc(curves, **self.labels))

        caption = (
            "Inverse background efficiency against signal efficiency, on the test events. "
            f"The band is {self.errors}; curves end where no background event is left."
        )
        if report.compared:
            caption += " The lower panel divides each curve by the first (above 1: better)."
            first = next(iter(report.roc))
            shown = {self.title or first: report.roc[first], **report.compared}
            labels = {"title": f"Signal: {first}", "sample": self.sample}
        else:
            shown, labels = report.roc, self.labels
        figure = plot_scores.plot_rejection(shown, ratio=bool(report.compared), **labels)
        self.add("rejection", "performance", "Background rejection", caption, figure)

        if report.confusion is not None:
            caption = (
                "Share of each true class (rows, physics weights) that gets its largest score for each class "
                "(columns), in percent; errors are standard deviations of "
                f"{report.settings['bootstrap']} bootstrap replicas. Mean of the diagonal: "
                f"{report.confusion.accuracy}."
            )
            figure = plot_scores.plot_confusion(report.confusion, **self.labels)
            self.add("confusion", "performance", "Confusion matrix", caption, figure)

    def regression(self) -> None:
        for column, study in enumerate(self.report.residuals):
            key, target = file_name(study.target), study.target
            truth = self.report.events.target[:, column].astype(np.float64)
            prediction = np.asarray(self.report.outputs, dtype=np.float64)[:, column]
            caption = (
                "Density of test events (physics weights) in true and predicted value. Points: mean "
                "prediction in bins of the truth with equal numbers of events; their bars are the "
                "resolution in the bin."
            )
            figure = plot_regression.plot_response(
                prediction, truth, self.report.events.weight, study, **self.labels
            )
            self.add(f"response_{key}", "performance", f"Prediction against truth, {target}", caption, figure)
            caption = (
                "Prediction minus truth; bars are statistical (√Σw²). The resolution is half of the central "
                f"interval with 68.3 % of the events, which tails do not move; its error is {self.errors}. "
                f"{100 * study.tail_fraction.value:.2g} % of the events are more than three resolutions off "
                "(Gaussian: 0.27 %)."
            )
            figure = plot_regression.plot_residuals(study, **self.labels)
            self.add(f"residual_{key}", "performance", f"Residuals, {target}", caption, figure)
            caption = (
                f"In bins of the truth with equal numbers of events; vertical bars are {self.errors}, "
                "horizontal bars the bins."
            )
            figure = plot_regression.plot_resolution(study, **self.labels)
            self.add(f"resolution_{key}", "performance", f"Resolution and bias, {target}", caption, figure)
            divisor = (
                "the uncertainty that the model gives"
                if study.pull_from == "model"
                else "the resolution in the event's bin of the truth (so its width is near one by "
                "construction; its shape shows tails and bias)"
            )
            caption = (
                f"Residual divided by {divisor}, with the unit Gaussian; the lower panel divides by it. "
                f"Errors of mean and width are {self.errors}."
            )
            figure = plot_regression.plot_pull(study, **self.labels)
            self.add(f"pull_{key}", "performance", f"Pull, {target}", caption, figure)

    def distributions(self) -> None:
        residuals = self.report.task == "regression"
        for scores in self.report.scores:
            caption = "Residuals" if residuals else "Score"
            caption += (
                " of test events, physics weights, each class scaled to unit area; bars are statistical "
                "(√Σw²)."
            )
            title = scores.score if residuals else f"{scores.score}, test"
            if scores.train:
                title += "" if residuals else " and training"
                shaded = " (whose error is shaded)" if len(scores.test) < 3 else ""
                caption += (
                    " Points are training events, and the lower panel divides them by the test "
                    f"histogram{shaded}. p is that of a two-sample Kolmogorov–Smirnov test, unbinned, with "
                    "weights and effective events: a small value (below about 0.01) means that the model "
                    "behaves differently on events it has seen."
                )
            figure = plot_scores.plot_scores(scores, signal=self.signal, **self.labels)
            self.add(scores.score, "scores", title, caption, figure)

    def calibration(self) -> None:
        curves = self.report.calibration
        if not curves:
            return
        caption = (
            "Fraction of the class against the mean score, in bins with equal numbers of test events, with "
            "the training weights: a score is a probability for the mixture of classes it was trained "
            f"with. Bars are {self.errors}. ECE is the mean distance from the diagonal, weighted with the "
            "bins' content; it is never negative."
        )
        if len(curves) == 1 and self.report.settings["bootstrap"]:
            curve = next(iter(curves.values()))
            caption += (
                f" Statistical fluctuations alone would give ECE = {curve.ece_if_calibrated} (toys with "
                f"labels drawn from the scores); {100 * curve.p_value:.2g} % of the toys have an ECE at "
                "least as large as the observed one."
            )
        figure = plot_scores.plot_reliability(curves, **self.labels)
        self.add("reliability", "calibration", "Reliability", caption, figure)

    def significance(self) -> None:
        scan = self.report.significance
        if scan is None:
            return
        caption = (
            "Significance of a counting experiment above the cut on the score: s/√(s+b), and the Asimov "
            "significance Z_A (arXiv:1806.00322) with a background uncertainty of "
            f"{100 * scan.systematic:.3g} %. The band is {self.errors}. Expected before the cut: s = "
            f"{scan.signal[0]:.4g}, b = {scan.background[0]:.4g}. The best cut (triangle) is sought where "
            f"at least {scan.minimum_background:.3g} effective simulated background events pass; as the "
            "largest of many fluctuating values it is somewhat optimistic."
        )
        best = self.report.best_cut
        if best is not None and best.applied is not None:
            caption += (
                f" Chosen on {best.chosen_on} instead, the best cut is {best.threshold:.4g} and has Z_A = "
                f"{best.applied.asimov} on {best.applied_on}."
            )
        figure = plot_scores.plot_significance(scan, **self.labels)
        self.add("significance", "significance", "Expected significance", caption, figure)
        binned = self.report.binned
        if binned is None:
            return
        caption = (
            f"Expected events in bins of the score, which were chosen on {binned.chosen_on} for the largest "
            f"significance with the fewest bins; filled with {binned.applied_on}. Bars are statistical. "
            f"The lower panel is Z_A of each bin with {100 * binned.systematic:.3g} % background error. All "
            f"bins together: {binned.quadrature} if the errors of the bins are independent (quadrature), "
            f"{binned.correlated} if they are one common scale; the errors are {self.errors}."
        )
        if self.report.limit is not None:
            caption += (
                f" Signal strength: {self.report.limit} (asymptotic CLs, with the common scale and each "
                "bin's statistical uncertainty)."
            )
        figure = plot_significance.plot_binned_significance(binned, **self.labels)
        self.add("binned_significance", "significance", "Significance of the binned score", caption, figure)

    def inputs(self) -> None:
        report = self.report
        if report.ranking is not None and report.ranking.inputs:
            ranking = report.ranking
            caption = (
                f"Loss of {ranking.metric} when one input is shuffled among the events, mean of "
                f"{ranking.repeats} shuffles of {ranking.events} test events. Errors (68.3 %) join the "
                "spread of the shuffles and the statistics of the events. Of strongly correlated inputs "
                "each can look unimportant, since the others remain."
            )
            figure = plot_inputs.plot_ranking(ranking, **self.labels)
            self.add("ranking", "inputs", "Permutation ranking", caption, figure)
        shown = list(plot_style.pages(report.inputs, _INPUTS_A_PICTURE))
        for page, inputs in enumerate(shown):
            part = f" ({page + 1} of {len(shown)})" if len(shown) > 1 else ""
            caption = (
                "Test events with physics weights, each class scaled to unit area; no errors are drawn. "
                "The axes show the central 99 % of the values."
            )
            figure = plot_inputs.plot_inputs(inputs, signal=self.signal)
            self.add(f"inputs_{page + 1}", "inputs", f"Input distributions{part}", caption, figure, wide=True)
        for name, matrix in report.correlations.items():
            caption = (
                "Linear (Pearson) correlation coefficients in percent, with physics weights; blank where "
                "an input is constant. The statistical error of a coefficient r is about (1 − r²)/√N with "
                "N effective events."
            )
            figure = plot_inputs.plot_correlation(matrix, title=name, sample=self.sample)
            self.add(f"correlation_{name}", "inputs", f"Correlation of the inputs, {name}", caption, figure)

    def training(self) -> None:
        if self.report.history:
            caption = (
                "Loss, metrics and learning rate after each epoch, on training and on validation events "
                "(the validation events choose the best epoch; the test events take no part). Single "
                "values, without errors."
            )
            if self.report.pretraining_epochs:
                caption += (
                    f" The first {self.report.pretraining_epochs} epochs were trained with another loss, "
                    "whose values have a scale of their own."
                )
            figure = plot_inputs.plot_history(
                self.report.history, self.report.best_epoch, self.report.pretraining_epochs, title=self.title
            )
            self.add("history", "training", "Training history", caption, figure)
