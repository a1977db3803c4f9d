"""What cross validation found for one method: numbers of each fold, and their curves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hepml_root.data.feed_library import import_root
from hepml_root.errors import SettingError
from hepml_root.tmva.console import Console
from hepml_root.tmva.output.classifier_evaluation import evaluate_classifier, roc_arrays, roc_integral
from hepml_root.tmva.output.regression_evaluation import evaluate_regression
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.output.root_objects import graph

_AXES = ("Signal efficiency", "Background rejection (1 - eff)")


@dataclass
class _Fold:
    """The numbers of one fold; of a regression only the deviation is there, of several classes the area."""

    area: float = 0.0
    binned_area: float = 0.0
    significance: float = 0.0
    separation: float = 0.0
    efficiencies: tuple[float, ...] = (0.0, 0.0, 0.0)
    training: tuple[float, ...] = (0.0, 0.0, 0.0)
    curve: tuple[Any, Any] | None = None
    deviation: float = 0.0


@dataclass
class CrossValidationResult:
    """The result of one method; folds are counted from 0.

    Example
    -------
    >>> result = CrossValidationResult("Fisher")
    >>> result.folds += [_Fold(area=0.9), _Fold(area=0.8)]
    >>> round(result.GetROCAverage(), 4), round(result.GetROCStandardDeviation(), 4)
    (0.85, 0.0707)
    """

    title: str
    analysis: str = "Classification"
    folds: list[_Fold] = field(default_factory=list)

    def add(self, result: MethodResult) -> None:
        """Take the next fold: a method trained on the other folds, tested on this one."""
        if self.analysis == "Regression":
            self.folds.append(_Fold(deviation=evaluate_regression(result).rms))
            return
        fold = _Fold(area=roc_integral(result), curve=roc_arrays(result))
        if self.analysis == "Classification":
            found = evaluate_classifier(result)
            fold.binned_area, fold.significance, fold.separation = (
                found.area, found.significance, found.separation
            )  # fmt: skip
            fold.efficiencies, fold.training = found.signal_efficiencies, found.training_efficiencies_at
        self.folds.append(fold)

    # -- numbers ---------------------------------------------------------------------------------------------

    def GetROCValues(self) -> dict[int, float]:
        """Return the area under the ROC curve of each fold: {fold: area}."""
        return {number: fold.area for number, fold in enumerate(self.folds)}

    def GetROCAverage(self) -> float:
        """Return the mean area."""
        return float(np.mean([fold.area for fold in self.folds])) if self.folds else math.nan

    def GetROCStandardDeviation(self) -> float:
        """Return the standard deviation of the area, with n − 1 in the denominator."""
        return float(np.std([fold.area for fold in self.folds], ddof=1)) if len(self.folds) > 1 else math.nan

    def GetSigValues(self) -> list[float]:
        """Return the significance of each fold: the distance of the means over the spreads."""
        return [fold.significance for fold in self.folds]

    def GetSepValues(self) -> list[float]:
        """Return the separation of each fold."""
        return [fold.separation for fold in self.folds]

    def GetEff01Values(self) -> list[float]:
        """Return the signal efficiency of each fold at a background efficiency of 0.01."""
        return [fold.efficiencies[0] for fold in self.folds]

    def GetEff10Values(self) -> list[float]:
        """Return the signal efficiency of each fold at a background efficiency of 0.10."""
        return [fold.efficiencies[1] for fold in self.folds]

    def GetEff30Values(self) -> list[float]:
        """Return the signal efficiency of each fold at a background efficiency of 0.30."""
        return [fold.efficiencies[2] for fold in self.folds]

    def GetTrainEff01Values(self) -> list[float]:
        """Return the same as GetEff01Values for the training events."""
        return [fold.training[0] for fold in self.folds]

    def GetTrainEff10Values(self) -> list[float]:
        """Return the same as GetEff10Values for the training events."""
        return [fold.training[1] for fold in self.folds]

    def GetTrainEff30Values(self) -> list[float]:
        """Return the same as GetEff30Values for the training events."""
        return [fold.training[2] for fold in self.folds]

    def GetEffAreaValues(self) -> list[float]:
        """Return the mean background rejection of each fold over 100 bins of the signal efficiency."""
        return [fold.binned_area for fold in self.folds]

    def GetDeviationValues(self) -> list[float]:
        """Return the standard deviation of response − target of each fold of a regression."""
        return [fold.deviation for fold in self.folds]

    # -- curves ----------------------------------------------------------------------------------------------

    def _curves(self) -> list[tuple[Any, Any]]:
        curves = [fold.curve for fold in self.folds if fold.curve is not None]
        if not curves:
            raise SettingError(f"'{self.title}' has no ROC curves: it does {self.analysis}, or has no fold.")
        return curves

    def GetROCCurves(self, *_: bool) -> Any:
        """Return the ROC curves of all folds as a TMultiGraph."""
        ROOT = import_root()
        together = ROOT.TMultiGraph()
        for number, (signal, rejection) in enumerate(self._curves()):
            name = f"{self.title}_fold{number + 1}"
            one = graph(name, name, signal, rejection, _AXES)
            one.SetLineColor(number + 1)
            one.SetLineWidth(2)
            ROOT.SetOwnership(one, False)  # the TMultiGraph deletes it
            together.Add(one)
        return together

    def GetAvgROCCurve(self, numSamples: int = 100) -> Any:
        """Return the mean of the folds' curves as a TGraph of so many points."""
        points = np.linspace(0.0, 1.0, int(numSamples))
        mean = np.mean([_along(points, *curve) for curve in self._curves()], axis=0)
        return graph(f"{self.title}_average", "Avg ROC Curve", points, mean, _AXES)

    def Draw(self, name: str = "CrossValidation") -> Any:
        """Return a TCanvas with the ROC curves of all folds."""
        ROOT = import_root()
        canvas = ROOT.TCanvas(str(name), "Cross Validation ROC Curves")
        return _drawn(canvas, self.GetROCCurves(), "Cross Validation ROC Curves")

    def DrawAvgROCCurve(self, drawFolds: bool = False, title: str = "") -> Any:
        """Return a TCanvas with the mean ROC curve, and those of the folds behind it if asked for."""
        ROOT = import_root()
        together = self.GetROCCurves() if drawFolds else ROOT.TMultiGraph()
        for one in together.GetListOfGraphs() or ():
            one.SetLineColor(ROOT.kGray)
            one.SetLineWidth(1)
        mean = self.GetAvgROCCurve()
        mean.SetLineColor(ROOT.kRed)
        mean.SetLineWidth(3)
        ROOT.SetOwnership(mean, False)
        together.Add(mean)
        title = str(title) or "Cross Validation Average ROC Curve"
        return _drawn(ROOT.TCanvas(f"average_{self.title}", title), together, title)

    def Print(self) -> None:
        """Print the numbers of each fold, their mean and standard deviation."""
        console = Console("CrossValidation")
        console.line(f"==== Results of {self.title} ====")
        if self.analysis == "Regression":
            for number, fold in enumerate(self.folds):
                console.line(f"Fold  {number} deviation : {fold.deviation:.4g}")
            return
        for number, fold in enumerate(self.folds):
            console.line(f"Fold  {number} ROC-Int : {fold.area:.4f}")
        console.line("------------------------")
        console.line(f"Average ROC-Int : {self.GetROCAverage():.4f}")
        console.line(f"Std-Dev ROC-Int : {self.GetROCStandardDeviation():.4f}")


def _along(points: Any, signal: Any, rejection: Any) -> Any:
    """The rejection at given signal efficiencies, by straight lines."""
    order = np.argsort(signal, kind="stable")
    return np.interp(points, np.asarray(signal)[order], np.asarray(rejection)[order])


def _drawn(canvas: Any, together: Any, title: str) -> Any:
    ROOT = import_root()
    canvas.SetGrid()
    together.SetTitle(title)
    together.GetXaxis().SetTitle(_AXES[0])
    together.GetYaxis().SetTitle(_AXES[1])
    together.Draw("AL")
    canvas.BuildLegend(0.15, 0.15, 0.4, 0.35)
    ROOT.SetOwnership(together, False)
    together.SetBit(ROOT.kCanDelete)  # the canvas deletes it
    return canvas
