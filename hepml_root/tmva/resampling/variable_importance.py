"""TMVA's VariableImportance: how much the area under the ROC curve falls when a variable is left out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hepml_root.data.feed_library import import_root
from hepml_root.errors import SettingError, StatisticsWarning, unknown
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet, Sample
from hepml_root.tmva.output.classifier_evaluation import roc_integral
from hepml_root.tmva.resampling.envelope import Envelope, OptionMap, Wish, tried
from hepml_root.tmva.types import VIType

_MOST_VARIABLES_OF_ALL = 12  # 4096 trainings
_BY_CHANCE = 0.5


@dataclass
class VariableImportanceResult:
    """The importance of each variable, in per cent of their sum.

    Arguments
    ---------
    importance
        {label: per cent}.
    areas
        The areas that were computed: {labels of the variables: area}.
    """

    title: str
    type: VIType
    importance: dict[str, float] = field(default_factory=dict)
    areas: dict[tuple[str, ...], float] = field(default_factory=dict)

    def GetImportanceValues(self) -> OptionMap:
        """Return the importance of each variable as TMVA writes it: ``"12.34 % "``."""
        return OptionMap({label: f"{value:.4g} % " for label, value in self.importance.items()})

    def GetType(self) -> VIType:
        """Return the way in which subsets were chosen."""
        return self.type

    def GetImportanceHist(self) -> Any:
        """Return a TH1F with a bin for each variable, the most important first."""
        ROOT = import_root()
        ordered = sorted(self.importance.items(), key=lambda pair: -pair[1])
        histogram = ROOT.TH1F(f"vihist_{self.title}", "", len(ordered), 0, len(ordered))
        histogram.SetDirectory(ROOT.nullptr)
        for number, (label, value) in enumerate(ordered, 1):
            histogram.GetXaxis().SetBinLabel(number, label)
            histogram.SetBinContent(number, value)
        histogram.SetStats(False)
        histogram.GetXaxis().SetTitle(" Variable Names ")
        histogram.GetYaxis().SetTitle(" Importance (%) ")
        return histogram

    def Draw(self, name: str = "VariableImportance") -> Any:
        """Return a TCanvas with the histogram."""
        ROOT = import_root()
        canvas = ROOT.TCanvas(str(name), "Variable importance")
        histogram = self.GetImportanceHist()
        histogram.SetFillColor(ROOT.kGreen + 3)
        histogram.SetBarWidth(0.97)
        histogram.Draw("B")
        ROOT.SetOwnership(histogram, False)
        histogram.SetBit(ROOT.kCanDelete)  # the canvas deletes it
        return canvas

    def Print(self) -> None:
        """Print the importance of each variable, the most important first."""
        console = Console("VariableImportance")
        console.line(f"Variable Importance Results ({self.type.name[1:]}) of {self.title}")
        for label, value in sorted(self.importance.items(), key=lambda pair: -pair[1]):
            console.line(f"{label:<25}: {value:.4g} %")


class VariableImportance(Envelope):
    """Trains a method with subsets of the variables, and compares their areas under the ROC curve (AUC).

    ``I(v) = Σ AUC(S) − AUC(S without v)`` over subsets S that hold v; the AUC of no variable is 1/2. It is
    given in per cent of the sum over the variables. S is the set of all variables (kShort), all subsets
    (kAll: 2ⁿ trainings) or n² random ones (kRandom).

    Arguments
    ---------
    loader
        The DataLoader, of two classes.

    Example
    -------
    >>> from hepml_root import tmva as TMVA
    >>> loader, rng = TMVA.DataLoader("dataset"), np.random.default_rng(1)
    >>> loader.AddVariable("good")
    >>> loader.AddVariable("noise")
    >>> for name, mean in (("Signal", 1), ("Background", -1)):
    ...     loader.AddTree({"good": rng.normal(mean, 1, 500), "noise": rng.normal(0, 1, 500)}, name)
    >>> loader.PrepareTrainingAndTestTree("", "!V")
    >>> importance = TMVA.VariableImportance(loader)
    >>> importance.SetSilent()
    >>> importance.SetType(TMVA.VIType.kAll)
    >>> importance.BookMethod(TMVA.Types.kFisher, "Fisher", "!H:!V")
    >>> importance.Evaluate()
    >>> importance.GetResults().importance["good"] > 90
    True
    """

    def __init__(self, loader: Any) -> None:
        super().__init__("VariableImportance", loader, "Classification")
        self._type, self._seed = VIType.kShort, 1
        self._results: dict[str, VariableImportanceResult] = {}

    def SetSilent(self, silent: bool = True) -> None:
        """Say nothing but warnings."""
        self._console.silent = bool(silent)

    def SetType(self, type: Any) -> None:
        """Set how subsets are chosen: ``TMVA.VIType.kShort``, ``kAll`` or ``kRandom``, or 0, 1, 2."""
        try:
            self._type = VIType(int(type))
        except ValueError:
            names = [f"{one.name} ({int(one)})" for one in VIType]
            raise SettingError(unknown("type of VariableImportance", str(type), names)) from None

    def GetType(self) -> VIType:
        """Return how subsets are chosen."""
        return self._type

    def SetSeed(self, seed: int) -> None:
        """Set the seed of kRandom."""
        self._seed = int(seed)

    def GetResults(self, title: Any = None) -> VariableImportanceResult:
        """Return the result of a method; of the last one that was booked if no title is given.

        Raises
        ------
        SettingError
            Evaluate was not called, or there is no such method.
        """
        if not self._results:
            raise SettingError("VariableImportance: there are no results: call Evaluate before.")
        title = list(self._results)[-1] if title is None else str(title)
        if title not in self._results:
            raise SettingError(unknown("method", title, self._results))
        return self._results[title]

    def Evaluate(self) -> None:
        """Train all methods with all subsets that are needed.

        Raises
        ------
        SettingError
            No method is booked, or there are too many variables for kAll.
        """
        wishes, data = self._wished(), self.data()
        labels = tuple(data.labels)
        subsets = self._subsets(len(labels))
        self._results = {}
        for wish in wishes:
            areas: dict[int, float] = {0: _BY_CHANCE}
            total = np.zeros(len(labels))
            for subset in subsets:
                for place in range(len(labels)):
                    if subset >> place & 1:
                        rest = subset & ~(1 << place)
                        for one in (subset, rest):
                            if one not in areas:
                                areas[one] = self._area(wish, data, one)
                        total[place] += areas[subset] - areas[rest]
            named = {
                tuple(label for place, label in enumerate(labels) if subset >> place & 1): area
                for subset, area in areas.items()
            }
            percent = _per_cent(wish.title, total)
            self._results[wish.title] = VariableImportanceResult(
                wish.title, self._type, dict(zip(labels, percent, strict=True)), named
            )
        self._console.line("Evaluation done.")

    def _subsets(self, variables: int) -> Sequence[int]:
        """Subsets as numbers, with a bit for each variable."""
        everything = (1 << variables) - 1
        if self._type is VIType.kShort:
            return [everything]
        if self._type is VIType.kAll:
            if variables > _MOST_VARIABLES_OF_ALL:
                raise SettingError(
                    f"VariableImportance: kAll of {variables} variables is {everything + 1} trainings; "
                    f"{_MOST_VARIABLES_OF_ALL} variables are possible. Take kRandom or kShort."
                )
            return range(1, everything + 1)
        if variables < 10:
            self._console.warning("with less than 10 variables random subsets leave out some; take kAll.")
        random = np.random.default_rng(self._seed)
        bits = random.random((variables**2, variables)) < 0.5
        drawn = [sum(1 << int(place) for place in np.flatnonzero(row)) for row in bits]
        return [subset for subset in drawn if subset]

    def _area(self, wish: Wish, data: DataSet, subset: int) -> float:
        places = [place for place in range(len(data.variables)) if subset >> place & 1]

        def some(sample: Sample) -> Sample:
            return sample.with_variables(sample.variables[:, places])

        part = replace(
            data, variables=tuple(data.variables[place] for place in places), training=some(data.training),
            test=some(data.test),
        )  # fmt: skip
        method = wish.method(wish.title, self.job, part)
        area = roc_integral(tried(method, part, replace(self._console, silent=True))[1])
        names = ", ".join(variable.label for variable in part.variables)
        self._console.line(f"{wish.title} with {names}: ROC-Int {area:.4f}")
        return area


def _per_cent(title: str, importance: np.ndarray) -> list[float]:
    total = float(importance.sum())
    if not total > 0.0:
        warnings.warn(
            f"VariableImportance of '{title}': leaving variables out does not lower the area in all; the "
            "percentages are of the sum of absolute values.",
            StatisticsWarning, 3,
        )  # fmt: skip
        total = float(np.abs(importance).sum()) or 1.0
    return [100.0 * float(value) / total for value in importance]
