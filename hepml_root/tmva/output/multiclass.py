"""A method of several classes in the output file: responses of each class for each true class, ROC curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from hepml_root.errors import EmptySelectionError
from hepml_root.tmva.configuration import gConfig
from hepml_root.tmva.output.response_curves import roc_points
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.output.root_objects import graph, histogram, keep, normalised

_LOW, _HIGH = float(np.float32(-0.0002)), float(np.float32(1.0002))
_LABELS = ("Signal efficiency", "Background rejection (1 - eff)")


def write_multiclass(directory: Any, result: MethodResult) -> None:
    """Write the histograms and curves of one method.

    ``MVA_<T>_{Test,Train}_<c>_prob_for_<d>`` is the response for the class c of events that are d;
    ``…_rejBvsS_<c>`` the ROC curve of c against all others, ``…_1v1rejBvsS_<c>_vs_<d>`` against d alone. A
    curve of a class without events is left out.
    """
    data, bins = result.data, gConfig().GetVariablePlotting().fNbinsMVAoutput
    for part, sample, values in (
        ("Test", data.test, result.test),
        ("Train", data.training, result.training),
    ):
        prefix = f"MVA_{result.title}_{part}"
        for true, true_name in enumerate(data.classes):
            chosen = sample.classes == true
            for of, name in enumerate(data.classes):
                title = f"{prefix}_{name}_prob_for_{true_name}"
                item = histogram(
                    title, title, (bins, _LOW, _HIGH), values[chosen, of], sample.weights[chosen],
                    kind="F",
                )  # fmt: skip
                keep(directory, normalised(item))
        for of, name in enumerate(data.classes):
            everything = np.ones(len(sample), bool)
            pairs = [(f"{prefix}_rejBvsS_{name}", f"{prefix}_{name}", everything)]
            for other, other_name in enumerate(data.classes):
                if other != of:
                    both = (sample.classes == of) | (sample.classes == other)
                    ending = f"{name}_vs_{other_name}"
                    pairs.append((f"{prefix}_1v1rejBvsS_{ending}", f"{prefix}_{ending}", both))
            for item_name, title, kept in pairs:
                try:
                    signal, background = roc_points(
                        np.asarray(values[kept, of], np.float64),
                        sample.classes[kept] == of,
                        sample.weights[kept],
                    )
                except EmptySelectionError:
                    continue
                keep(directory, graph(item_name, title, signal, 1.0 - background, _LABELS))
