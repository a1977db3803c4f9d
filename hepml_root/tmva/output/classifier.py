"""A classifier in the output file: responses, cut efficiencies, ROC; probabilities, rarities, densities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.tmva.configuration import gConfig
from hepml_root.tmva.output.classifier_evaluation import ClassifierEvaluation, evaluate_classifier
from hepml_root.tmva.output.response_curves import EFFICIENCY_BINS, ResponseStatistics
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.output.root_objects import histogram, histogram_of, keep, normalised
from hepml_root.tmva.weights.pdf import INTERPOLATIONS, Pdf

_PDF_BINS = 60
_STEPS = 4000  # equal bins in place of others
_SIDES = ("S", "B")
_UNIT = (0.0, 1.0)


def write_classifier(
    directory: Any, result: MethodResult, evaluation: ClassifierEvaluation | None = None
) -> None:
    """Write the histograms of one classifier into its directory ``Method_<Type>/<Title>``."""
    found = evaluate_classifier(result) if evaluation is None else evaluation
    name = f"MVA_{result.title}"
    if found.statistics is not None:
        _write_responses(directory, name, result, found.statistics)
    _write_curves(directory, name, found)
    for kind, values in (("Proba", result.probability_test), ("Rarity", result.rarity_test)):
        if values is not None:
            test = result.data.test
            signal = test.classes == result.data.signal
            for side, chosen in zip(_SIDES, (signal, ~signal), strict=True):
                title = f"{name}_{kind}_{side}"
                item = histogram(
                    title, title, (_bins(), *_UNIT), values[chosen], test.weights[chosen], errors=True
                )
                keep(directory, normalised(item))
    if result.mva_pdfs is not None:
        _write_densities(directory, result)


def _bins() -> int:
    return gConfig().GetVariablePlotting().fNbinsMVAoutput


def _sides(result: MethodResult, part: str) -> list[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Return (S or B, responses, weights) of the test or training events."""
    sample = result.data.test if part == "test" else result.data.training
    values = (result.test if part == "test" else result.training)[:, 0]
    signal = sample.classes == result.data.signal
    return [
        (side, values[chosen], sample.weights[chosen])
        for side, chosen in zip(_SIDES, (signal, ~signal), strict=True)
    ]


def _write_responses(directory: Any, name: str, result: MethodResult, statistics: ResponseStatistics) -> None:
    ends = (statistics.low, statistics.upper_edge)
    for part, prefix in (("test", name), ("training", f"{name}_Train")):
        for side, values, weights in _sides(result, part):
            title = f"{prefix}_{side}"
            item = histogram(title, title, (_bins(), *ends), values, weights, errors=True)
            keep(directory, normalised(item))
            if part == "test":
                title += "_high"
                item = histogram(title, title, (EFFICIENCY_BINS, *ends), values, weights, errors=True)
                keep(directory, normalised(item))


def _write_curves(directory: Any, name: str, found: ClassifierEvaluation) -> None:
    classes = ("signal", "background")
    if found.statistics is not None:
        binning = (EFFICIENCY_BINS, found.statistics.low, found.statistics.upper_edge)
        for prefix, efficiencies in (
            ("eff", found.efficiencies),
            ("trainingEff", found.training_efficiencies),
        ):
            for side, text, contents in zip(_SIDES, classes, efficiencies, strict=True):
                title = f"{name} ({text})"
                keep(directory, histogram_of(f"{name}_{prefix}{side}", title, binning, contents))
    binning = (len(found.curve), *_UNIT)
    test, training = found.curve, found.training_curve
    inverse = np.divide(1.0, test, out=np.zeros_like(test), where=test > np.finfo(np.float64).eps)
    signal = "Signal eff"
    for ending, contents, labels in (
        ("effBvsS", test, (signal, "Backgr eff")),
        ("rejBvsS", 1.0 - test, (signal, "Backgr rejection (1-eff)")),
        ("invBeffvsSeff", inverse, (signal, "Inverse backgr. eff (1/eff)")),
        ("trainingEffBvsS", training, ("", "")),
        ("trainingRejBvsS", 1.0 - training, ("", "")),
    ):
        keep(directory, histogram_of(f"{name}_{ending}", name, binning, contents, labels=labels))


def _write_densities(directory: Any, result: MethodResult) -> None:
    """The responses of training that the densities were made of, and these densities."""
    values = result.training[:, 0]
    ends = (float(values.min()), float(values.max()))
    ends = ends if ends[1] > ends[0] else (ends[0], ends[0] + 1.0)
    pdfs = result.mva_pdfs or ()
    for (side, chosen, weights), pdf in zip(_sides(result, "training"), pdfs, strict=True):
        title = f"{result.title}_tr_{side}"
        bins = histogram_bins(pdf) or _PDF_BINS
        item = histogram(title, title, (bins, *ends), chosen, weights, errors=True)
        keep(directory, normalised(item))
        keep(directory, density_histogram(title, pdf))


def density_histogram(name: str, pdf: Pdf) -> Any:
    """Return a density as TMVA keeps it, named after the histogram that it was made of."""
    kind = f"spline{2 if pdf.interpolated else 0}"
    if pdf.source is not None:
        kind = INTERPOLATIONS[pdf.source.method].replace("Spline", "spline")
    title = f"{name}_smoothed_hist_from_{kind}"
    contents = pdf.values
    if not pdf.uniform:  # ROOT's reader of these plots knows equal bins only
        centres = pdf.low + (np.arange(_STEPS) + 0.5) * (pdf.high - pdf.low) / _STEPS
        inside = np.clip(np.searchsorted(pdf.edges, centres, side="right") - 1, 0, len(contents) - 1)
        contents = contents[inside]
    return histogram_of(title, title, (len(contents), pdf.low, pdf.high), contents, kind="F")


def histogram_bins(pdf: Pdf) -> int | None:
    """Return how many bins the histogram has that a density was made of; None if that is not known."""
    return len(pdf.source.contents) if pdf.source is not None and pdf.source.uniform else None
