"""ROC curves of several methods in one picture, as ROOT's objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hepml_root.data.feed_library import import_root
from hepml_root.tmva.output.classifier_evaluation import roc_curve
from hepml_root.tmva.output.results import MethodResult


def roc_graphs(results: Sequence[MethodResult], which: int = 0) -> Any:
    """Return a TMultiGraph with the background rejection of each method against its signal efficiency.

    Arguments
    ---------
    results
        Tested methods.
    which
        Of a multiclass analysis: the class that is signal; the others are background.
    """
    ROOT = import_root()
    together = ROOT.TMultiGraph()
    for number, result in enumerate(results):
        graph = roc_curve(result, which)
        graph.SetLineWidth(2)
        graph.SetLineColor(number + 1)
        graph.SetFillColor(10)
        ROOT.SetOwnership(graph, False)  # the TMultiGraph deletes it
        together.Add(graph)
    together.SetTitle("Signal efficiency vs. background rejection")
    together.GetXaxis().SetTitle("Signal efficiency (Sensitivity)")
    together.GetYaxis().SetTitle("Background rejection (Specificity)")
    return together


def roc_canvas(results: Sequence[MethodResult], dataset: str, which: int = 0) -> Any:
    """Return a TCanvas with :func:`roc_graphs` drawn on it, and a legend."""
    ROOT = import_root()
    canvas = ROOT.TCanvas(f"ROCCurve {dataset} class {which}", "ROC Curve", 200, 10, 700, 500)
    canvas.SetGrid()
    together = roc_graphs(results, which)
    together.Draw("AL")
    canvas.BuildLegend(0.15, 0.15, 0.35, 0.3, "MVA Method")
    ROOT.SetOwnership(together, False)
    together.SetBit(ROOT.kCanDelete)  # the canvas deletes it
    return canvas
