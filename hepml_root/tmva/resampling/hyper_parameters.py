"""TMVA's HyperParameterOptimisation: the settings of a method that are best for held-out events."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError, unknown
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.method import Method
from hepml_root.tmva.output.classifier_evaluation import (
    evaluate_classifier,
    roc_arrays,
    roc_integral,
    signal_efficiency_at,
)
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.resampling.envelope import Envelope, Wish, tried
from hepml_root.tmva.resampling.folds import check_folds, random_folds
from hepml_root.tmva.resampling.tuning import FITTERS, Place, Range, checked, ranges_of, search

_SIGNAL_AT = {"SigEffAtBkgEff01": 0.1, "SigEffAtBkgEff001": 0.01, "SigEffAtBkgEff002": 0.02}
FIGURES = ("Separation", "ROCIntegral", *_SIGNAL_AT, "BkgRejAtSigEff05", "BkgEffAtSigEff05")


def figure_of_merit(result: MethodResult, name: str) -> float:
    """Return a figure of merit of the test events; larger is better.

    Arguments
    ---------
    name
        ``Separation``; ``ROCIntegral``; the signal efficiency at a background efficiency of 0.1, 0.01 or
        0.02 (``SigEffAtBkgEff01``, ``…001``, ``…002``); the background rejection at a signal efficiency of
        0.5 (``BkgRejAtSigEff05``, and ``BkgEffAtSigEff05``, of which TMVA makes the efficiency smallest).
    """
    if name == "Separation":
        return evaluate_classifier(result).separation
    if name == "ROCIntegral":
        return roc_integral(result)
    if name in _SIGNAL_AT:
        return signal_efficiency_at(result, _SIGNAL_AT[name])
    signal, rejection = roc_arrays(result)
    return float(np.interp(0.5, signal, rejection))


@dataclass
class HyperParameterOptimisationResult:
    """What was found for one method.

    Arguments
    ---------
    method_name, title
        Its type and title.
    parameters
        For each fold the best settings: {option: value}.
    figures
        For each fold the figure of merit of these settings, of events that they were not trained on.
    tried
        For each fold how many settings were tried.
    """

    method_name: str
    title: str
    figure: str
    parameters: list[dict[str, float]] = field(default_factory=list)
    figures: list[float] = field(default_factory=list)
    tried: list[int] = field(default_factory=list)

    def GetMethodName(self) -> str:
        """Return the method's type."""
        return self.method_name

    def GetFoldParameters(self) -> list[dict[str, float]]:
        """Return the best settings of each fold."""
        return [dict(values) for values in self.parameters]

    def GetFOMValues(self) -> list[float]:
        """Return the figure of merit of each fold."""
        return list(self.figures)

    def Print(self) -> None:
        """Print the settings of each fold."""
        console = Console("HyperParameterOptimisation")
        for fold, (values, worth) in enumerate(zip(self.parameters, self.figures, strict=True), 1):
            console.line("===========================================================")
            console.line(f"Optimisation for {self.method_name} fold {fold}: {self.figure} {worth:.4f}")
            for name, value in values.items():
                console.line(f"{name}     {value:g}")


class HyperParameterOptimisation(Envelope):
    """Finds settings of methods: those with the best figure of merit on events that were held out.

    The training events are divided into folds, with equal shares of the classes; for each fold the settings
    are searched that, trained on the other folds, are best on this one. TMVA varies options of BDT and SVM in
    ranges of its own; :meth:`SetRange` adds options of any method.

    Arguments
    ---------
    loader
        The DataLoader, of two classes.

    Example
    -------
    >>> from hepml_root import tmva as TMVA
    >>> loader, rng = TMVA.DataLoader("dataset"), np.random.default_rng(1)
    >>> loader.AddVariable("x")
    >>> for name, mean in (("Signal", 1), ("Background", -1)):
    ...     loader.AddTree({"x": rng.normal(mean, 1, 200)}, name)
    >>> loader.PrepareTrainingAndTestTree("", "nTest_Signal=1:nTest_Background=1:!V")
    >>> search = TMVA.HyperParameterOptimisation(loader)
    >>> search.SetNumFolds(2)
    >>> search.SetFOMType("ROCIntegral")
    >>> search.SetFitter("Scan")
    >>> search.SetRange("nkNN", 1, 61, 4)
    >>> search.SetSilent()
    >>> search.BookMethod(TMVA.Types.kKNN, "KNN", "!V:UseWeight=F")
    >>> search.Evaluate()
    >>> [values["nkNN"] > 1 for values in search.GetResults().GetFoldParameters()]
    [True, True]
    """

    def __init__(self, loader: Any) -> None:
        super().__init__("HyperParameterOptimisation", loader, "Classification")
        self._figure, self._fitter, self._folds = "Separation", "Minuit", 5
        self._most = 100
        self._ranges: dict[str, Range] = {}
        self._results: dict[str, HyperParameterOptimisationResult] = {}

    def SetSilent(self, silent: bool = True) -> None:
        """Say nothing but warnings."""
        self._console.silent = bool(silent)

    def SetFOMType(self, name: Any) -> None:
        """Set the figure of merit: see :func:`figure_of_merit`."""
        if str(name) not in FIGURES:
            raise SettingError(unknown("figure of merit", str(name), FIGURES))
        self._figure = str(name)

    def SetFitter(self, name: Any) -> None:
        """Set the search: ``Scan``, ``FitGA`` or ``Minuit`` (``search``)."""
        if str(name) not in FITTERS:
            raise SettingError(unknown("fitter", str(name), FITTERS))
        self._fitter = str(name)

    def SetNumFolds(self, folds: int) -> None:
        """Set the number of folds."""
        check_folds(int(folds), int(folds))
        self._folds = int(folds)

    def GetNumFolds(self) -> int:
        """Return the number of folds."""
        return self._folds

    def SetMaxEvaluations(self, most: int) -> None:
        """Set how many settings FitGA and Minuit try in each fold, 100 if not set."""
        if int(most) < 1:
            raise SettingError(f"SetMaxEvaluations({most}): at least 1 is needed.")
        self._most = int(most)

    def SetRange(self, name: Any, least: float, most: float, steps: int, logarithmic: bool = False) -> None:
        """Vary an option that is a number, in equal steps, or in equal ratios; in place of TMVA's ranges.

        Raises
        ------
        SettingError
            The range cannot be.
        """
        self._ranges[str(name)] = checked(
            Range(str(name), float(least), float(most), int(steps), logarithmic)
        )

    def GetResults(self, title: Any = None) -> HyperParameterOptimisationResult:
        """Return the result of a method; of the last one that was booked if no title is given.

        Raises
        ------
        SettingError
            Evaluate was not called, or there is no such method.
        """
        if not self._results:
            raise SettingError("HyperParameterOptimisation: there are no results: call Evaluate before.")
        title = list(self._results)[-1] if title is None else str(title)
        if title not in self._results:
            raise SettingError(unknown("method", title, self._results))
        return self._results[title]

    def Evaluate(self) -> None:
        """Search in all folds of all methods.

        Raises
        ------
        SettingError
            No method is booked, a method has no options to vary, or one of them is no number of it.
        """
        wishes, data = self._wished(), self.data()
        folds = random_folds(data.training, self._folds, 1, stratified=True)
        self._results = {}
        for wish in wishes:
            ranges = self._varied(wish.method(wish.title, self.job, data))
            found = HyperParameterOptimisationResult(wish.type_name, wish.title, self._figure)
            for number in range(self._folds):
                self._fold(wish, ranges, data, folds == number, found)
                texts = ", ".join(f"{name}={value:g}" for name, value in found.parameters[-1].items())
                self._console.line(
                    f"{wish.title}, fold {number + 1} of {self._folds}: {self._figure} "
                    f"{found.figures[-1]:.4f} with {texts} ({found.tried[-1]} settings tried)"
                )
            self._results[wish.title] = found

    def _varied(self, method: Method) -> tuple[Range, ...]:
        numbers = {
            option.name: option
            for option in method.options.declared
            if not isinstance(option.default, bool)
            and (isinstance(option.default, (int, float)) or option.name == "MinNodeSize")
        }
        if not self._ranges:
            ranges = ranges_of(method)
            if not ranges:
                raise SettingError(
                    f"HyperParameterOptimisation: TMVA varies nothing of {method.booking.type_name}: "
                    "say what by SetRange(option, least, most, steps)."
                )
            return ranges
        for name in self._ranges:
            if name not in numbers:
                raise SettingError(
                    f"{method.booking.type_name}: {unknown('option that is a number', name, numbers)}"
                )
        return tuple(
            replace(one, whole=isinstance(numbers[one.name].default, int)) for one in self._ranges.values()
        )

    def _fold(
        self,
        wish: Wish,
        ranges: tuple[Range, ...],
        data: DataSet,
        held_out: NDArray[np.bool_],
        found: HyperParameterOptimisationResult,
    ) -> None:
        part = replace(data, training=data.training.take(~held_out), test=data.training.take(held_out))
        texts = [one.texts() for one in ranges]
        quiet = replace(self._console, silent=True)
        count = 0

        def worth(place: Place) -> float:
            nonlocal count
            count += 1
            further = [f"{one.name}={texts[axis][place[axis]]}" for axis, one in enumerate(ranges)]
            method = wish.method(f"{wish.title}_opt", self.job, part, *further)
            return figure_of_merit(tried(method, part, quiet)[1], self._figure)

        best, value = search([len(values) for values in texts], worth, self._fitter, self._most)
        found.parameters.append({one.name: float(texts[axis][best[axis]]) for axis, one in enumerate(ranges)})
        found.figures.append(value)
        found.tried.append(count)
