"""Which pictures a report has, with section, title and caption, and how they are written."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from hepml_root.evaluation import plot_inputs, plot_regression, plot_scores, plot_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hepml_root.evaluation.report import Report

_INPUTS_A_PICTURE = 12


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


def write_pictures(pictures: list[Picture], folder: Path) -> dict[str, bytes]:
    """Write each picture as PDF and PNG into ``folder`` and return ``{name: SVG}`` for the page."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors = {}
    for picture in pictures:
        for form in ("pdf", "png"):
            (folder / f"{picture.name}.{form}").write_bytes(plot_style.rendered(picture.figure, form))
        vectors[picture.name] = plot_style.rendered(picture.figure, "svg")
    return vectors


class _Maker:
    """Collects the pictures of a report, section by section."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.pictures: list[Picture] = []
        self.title = report.model["name"]
        self.sample = f"{len(report.events):,} test events".replace(",", "\u202f")
        percent = f"{100 * report.settings['level']:.1f} %"
        number = report.settings["bootstrap"]
        self.errors = (
            f"the {percent} interval of {number} Poisson bootstrap replicas of the events"
            if number
            else "not computed (no bootstrap was asked for)"
        )

    def add(self, name: str, section: str, title: str, caption: str, figure: Figure, wide: bool = False) -> None:
        self.pictures.append(Picture(file_name(name), section, title, caption, figure, wide))

    def performance(self) -> None:
        report = self.report
        multiclass = report.task == "multiclass"
        curves = dict(report.roc)
        if not multiclass:
            curves = {"test": report.roc[str(report.signal)]}
            if report.train_roc:
                curves["training"] = report.train_roc[str(report.signal)]
        what = "each class against all others" if multiclass else f"{report.signal} against background"
        self.add(
            "roc", "performance", "ROC curve",
            f"One minus the background efficiency against the signal efficiency of a cut on the score, {what}, with "
            f"physics weights. The band is {self.errors}. AUC is the area under the curve: 1 for perfect "
            "separation, 0.5 for none." + (
                " The training curve lies above the test curve as far as the model has learned its training events by "
                "heart." if report.train_roc and not multiclass else ""),
            plot_scores.plot_roc(curves, title=self.title, sample=self.sample),
        )  # fmt: skip
        name = "test" if not multiclass else next(iter(report.roc))
        others = {self.title or name: next(iter(report.roc.values())), **report.compared}
        shown = others if report.compared or not multiclass else report.roc
        self.add(
            "rejection", "performance", "Background rejection",
            "Inverse background efficiency against signal efficiency, on the test events. "
            f"The band is {self.errors}; curves end where no background event is left. " + (
                "The lower panel divides each curve by the first (above 1: better)." if len(shown) > 1 else ""),
            plot_scores.plot_rejection(shown, title="" if report.compared else self.title, sample=self.sample),
        )  # fmt: skip
        if report.confusion is not None:
            self.add(
                "confusion", "performance", "Confusion matrix",
                "Share of each true class (rows, physics weights) that gets its largest score for each class "
                f"(columns), in percent; errors are standard deviations of {report.settings['bootstrap']} bootstrap "
                f"replicas. Mean of the diagonal: {report.confusion.accuracy}.",
                plot_scores.plot_confusion(report.confusion, title=self.title, sample=self.sample),
            )  # fmt: skip

    def regression(self) -> None:
        report = self.report
        for column, study in enumerate(report.residuals):
            truth, prediction = report.events.target[:, column], report.outputs[:, column]  # type: ignore[index]
            settings = {"title": self.title, "sample": self.sample}
            key = file_name(study.target)
            self.add(
                f"response_{key}", "performance", f"Prediction against truth, {study.target}",
                "Density of test events (physics weights) in true and predicted value. Points: mean prediction in bins "
                "of the truth with equal numbers of events; their bars are the resolution in the bin.",
                plot_regression.plot_response(prediction, truth, report.events.weight, study, **settings),
            )  # fmt: skip
            self.add(
                f"residual_{key}", "performance", f"Residuals, {study.target}",
                "Prediction minus truth; bars are statistical (√Σw²). The resolution is half of the central interval with "
                f"68.3 % of the events, which tails do not move; its error is {self.errors}. "
                f"{100 * study.tail_fraction.value:.2g} % of the events are more than three resolutions off "
                "(Gaussian: 0.27 %).",
                plot_regression.plot_residuals(study, **settings),
            )  # fmt: skip
            self.add(
                f"resolution_{key}", "performance", f"Resolution and bias, {study.target}",
                f"In bins of the truth with equal numbers of events; vertical bars are {self.errors}, "
                "horizontal bars the bins.",
                plot_regression.plot_resolution(study, **settings),
            )  # fmt: skip
            self.add(
                f"pull_{key}", "performance", f"Pull, {study.target}",
                "Residual divided by " + (
                    "the uncertainty that the model gives" if study.pull_from == "model" else
                    "the resolution in the event's bin of the truth: its width is near one by construction, its shape shows "
                    "tails and bias") + f", with the unit Gaussian. Errors of mean and width are {self.errors}.",
                plot_regression.plot_pull(study, **settings),
            )  # fmt: skip

    def distributions(self) -> None:
        residuals = self.report.task == "regression"
        for scores in self.report.scores:
            against = ""
            if scores.train:
                against = (
                    " Points are training events, and the lower panel divides them by the test histogram (whose error is "
                    "shaded). p is that of a two-sample Kolmogorov–Smirnov test, unbinned, with weights and effective "
                    "events: a small value (below about 0.01) means that the model behaves differently on events it has seen."
                )
            self.add(
                scores.score, "scores",
                scores.score if residuals else f"{scores.score}, test" + (" and training" if scores.train else ""),
                ("Residuals" if residuals else "Score") + " of test events, physics weights, each class scaled to unit area; "
                "bars are statistical (√Σw²)." + against,
                plot_scores.plot_scores(
                    scores, signal=self.report.signal if self.report.task == "binary" else None,
                    title=self.title, sample=self.sample,
                ),
            )  # fmt: skip

    def calibration(self) -> None:
        if not self.report.calibration:
            return
        first = next(iter(self.report.calibration.values()))
        single = len(self.report.calibration) == 1
        expected = (
            f" Statistical fluctuations alone would give ECE = {first.ece_if_calibrated} (toys with labels drawn from the "
            f"scores); {100 * first.p_value:.2g} % of the toys have an ECE at least as large as the observed one."
            if single and self.report.settings["bootstrap"]
            else ""
        )
        self.add(
            "reliability", "calibration", "Reliability",
            "Fraction of the class against the mean score, in bins with equal numbers of test events, with the training "
            "weights: a score is a probability for the mixture of classes it was trained with. Bars are "
            f"{self.errors}. ECE is the mean distance from the diagonal, weighted with the bins' content; it is never "
            f"negative.{expected}",
            plot_scores.plot_reliability(self.report.calibration, title=self.title, sample=self.sample),
        )  # fmt: skip

    def significance(self) -> None:
        scan = self.report.significance
        if scan is None:
            return
        self.add(
            "significance", "significance", "Expected significance",
            "Significance of a counting experiment above the cut on the score: s/√(s+b), and the Asimov significance Z_A "
            f"(arXiv:1806.00322) with a background uncertainty of {100 * scan.systematic:.3g} %. The band is {self.errors}. "
            f"Expected before the cut: s = {scan.signal[0]:.4g}, b = {scan.background[0]:.4g}. The best cut (triangle) is "
            f"sought where at least {scan.minimum_background:.3g} effective simulated background events pass; as the largest "
            "of many fluctuating values it is somewhat optimistic.",
            plot_scores.plot_significance(scan, title=self.title, sample=self.sample),
        )  # fmt: skip

    def inputs(self) -> None:
        report = self.report
        settings = {"title": self.title, "sample": self.sample}
        if report.ranking is not None and report.ranking.inputs:
            ranking = report.ranking
            self.add(
                "ranking", "inputs", "Permutation ranking",
                f"Loss of {ranking.metric} when one input is shuffled among the events, mean of {ranking.repeats} shuffles of "
                f"{ranking.events} test events. Errors (68.3 %) join the spread of the shuffles and the statistics of the "
                "events. Of strongly correlated inputs each can look unimportant, since the others remain.",
                plot_inputs.plot_ranking(ranking, **settings),
            )  # fmt: skip
        shown = list(plot_style.pages(report.inputs, _INPUTS_A_PICTURE))
        for page, inputs in enumerate(shown):
            part = f" ({page + 1} of {len(shown)})" if len(shown) > 1 else ""
            self.add(
                f"inputs_{page + 1}", "inputs", f"Input distributions{part}",
                "Test events with physics weights, each class scaled to unit area. The axes show the central 99 % of the "
                "values." + (" No errors are drawn." if page == 0 else ""),
                plot_inputs.plot_inputs(inputs, signal=report.signal if report.task == "binary" else None), wide=True,
            )  # fmt: skip
        for name, matrix in report.correlations.items():
            self.add(
                f"correlation_{name}", "inputs", f"Correlation of the inputs, {name}",
                "Linear (Pearson) correlation coefficients in percent, with physics weights; blank where an input is "
                "constant. The statistical error of a coefficient r is about (1 − r²)/√N with N effective events.",
                plot_inputs.plot_correlation(matrix, title=name, sample=self.sample),
            )  # fmt: skip

    def training(self) -> None:
        if self.report.history:
            self.add(
                "history", "training", "Training history",
                "Loss, metrics and learning rate after each epoch, on training and on validation events "
                "(the validation events choose the best epoch; the test events take no part).",
                plot_inputs.plot_history(self.report.history, self.report.best_epoch, title=self.title),
            )  # fmt: skip
