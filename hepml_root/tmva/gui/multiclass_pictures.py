"""Pictures of methods of several classes, and of regressions, from an output file."""

from __future__ import annotations

import re

import numpy as np

from hepml_root.evaluation.pictures import file_name
from hepml_root.tmva.gui.agreement import agreement, responses
from hepml_root.tmva.gui.output_content import Histogram1D, MethodContent, Plane
from hepml_root.tmva.gui.panels import plot_class_histograms
from hepml_root.tmva.gui.pictures import Pictures
from hepml_root.tmva.gui.plot_deviations import MeanDeviation, plot_deviations, plot_mean_deviations
from hepml_root.tmva.gui.plot_responses import Compared, plot_curves, plot_overtraining

_PANELS = 6


def add_multiclass(collection: Pictures) -> None:
    """Add responses of each class, their check against training, and ROC curves of one class and the rest."""
    dataset = collection.dataset
    classes = dataset.classes
    columns = responses(dataset)
    for method in dataset.methods:
        panels, compared = [], []
        for of in classes:
            test, train = (_of_true_classes(method, part, of, classes) for part in ("Test", "Train"))
            if test:
                panels.append((f"{method.title}, {of}", test))
            if test and train:
                p_values, _ = agreement(columns, method.title, test, train, of)
                compared.append(Compared(f"{method.title}, {of}", test, train, p_values))
        if not panels:
            collection.lack("Classifier output", f"{method.title} has no MVA_…_Test_…_prob_for_…")
            continue
        name = file_name(method.title)
        collection.in_pages(
            panels, _PANELS, f"output_{name}", "output", f"Response of {method.title} for each class",
            "Test events of each true class with their weights, scaled to unit area.",
            lambda part: plot_class_histograms(
                part, classes=classes, signal=None, columns=3, size=(4.0, 3.2),
                x_titles=["Response"] * len(part),
            ),
        )  # fmt: skip
        collection.in_pages(
            compared, _PANELS, f"overtraining_{name}", "output",
            f"Response of {method.title} on test and training events",
            "Test events (lines) and training events (points with errors) of each true class, unit area. p "
            "is that of a Kolmogorov–Smirnov test of the two.",
            lambda part: plot_overtraining(part, classes, None),
        )  # fmt: skip
    _one_against_rest(collection)


def _of_true_classes(
    method: MethodContent, part: str, of: str, classes: tuple[str, ...]
) -> dict[str, Histogram1D]:
    found = {}
    for true in classes:
        histogram = method.folder.histogram(f"MVA_{method.title}_{part}_{of}_prob_for_{true}")
        if histogram is not None:
            found[true] = histogram
    return found


def _one_against_rest(collection: Pictures) -> None:
    found = False
    for of in collection.dataset.classes:
        curves = {}
        for method in collection.dataset.methods:
            curve = method.folder.graph(f"MVA_{method.title}_Test_rejBvsS_{of}")
            if curve is not None:
                order = np.argsort(curve[0], kind="stable")
                x, y = curve[0][order], curve[1][order]
                curves[f"{method.title}: {np.trapezoid(y, x):.3f}"] = (x, y)
        if curves:
            found = True
            collection.add(
                f"roc_{of}", "roc", f"ROC curves, {of} against all others",
                "Of the test events; the number is the area under the curve.",
                plot_curves(
                    curves, x_title=f"Efficiency of {of}", y_title="Rejection of all others 1 − ε"
                ), wide=False,
            )  # fmt: skip
    if not found:
        collection.lack("ROC curves", "the file has no MVA_…_Test_rejBvsS_<class> (TMVA before ROOT 6.10)")


def add_regression(collection: Pictures) -> None:
    """Add deviations from targets against targets and variables, and their means."""
    methods = collection.dataset.methods
    for part, of in (("test", "test sample"), ("train", "training sample")):
        for kind, against in (("tgt", "target"), ("var", "input variables")):
            items: list[tuple[str, Plane]] = []
            for method in methods:
                pattern = re.compile(rf"MVA_{re.escape(method.title)}{part}_reg_{kind}\d+_rtgt\d+\Z")
                for name in filter(pattern.match, method.folder.names("TH2")):
                    plane = method.folder.plane(name)
                    items += [(method.title, plane)] if plane is not None else []
            title = f"Deviation against {against}, {of}"
            if not items:
                collection.lack(title, f"the file has no MVA_<title>{part}_reg_{kind}…")
            collection.in_pages(
                items, 2 * _PANELS, f"deviation_{kind}_{part}", "deviations", title,
                "Regression minus true value; events are counted without weights.", plot_deviations,
            )  # fmt: skip
    _means(collection)


def _means(collection: Pictures) -> None:
    methods = collection.dataset.methods
    targets = sorted(
        {
            int(match[1])
            for method in methods
            for name in method.folder.classes
            if (match := re.search(r"_Quadr_Deviation_target_(\d+)_\Z", name))
        }
    )
    for target in targets:
        items = []
        for method in methods:
            values = []
            for kind in ("Quadr_Deviation", "Quadr_Dev_best90perc"):
                for part in ("test", "train"):
                    name = f"MVA_{method.title}{part}_{kind}_target_{target}_"
                    histogram = method.folder.histogram(name)
                    values.append(_root_mean(histogram))
            items.append(MeanDeviation(method.title, *values))
        collection.add(
            f"mean_deviation_{target}", "deviations", f"Mean deviations, target {target}",
            "Square root of the mean squared deviation, with weights, of all events and of the 90 % that "
            "deviate least, from histograms of 500 bins.",
            plot_mean_deviations(items, f"target {target}"), wide=False,
        )  # fmt: skip
    if not targets:
        collection.lack("Summary of average deviations", "the file has no …_Quadr_Deviation_target_…")


def _root_mean(histogram: Histogram1D | None) -> float:
    if histogram is None or not histogram.values.sum() > 0:
        return float("nan")
    return float(np.sqrt(histogram.values @ histogram.centres / histogram.values.sum()))
