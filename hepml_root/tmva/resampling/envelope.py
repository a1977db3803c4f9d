"""What CrossValidation, HyperParameterOptimisation and VariableImportance share: methods that are tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hepml_root.errors import ModelFileError, SettingError
from hepml_root.tmva import training
from hepml_root.tmva.booking import book, type_name
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.dataloader import DataLoader
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.method import Method
from hepml_root.tmva.output.results import MethodResult


class OptionMap(dict[str, Any]):
    """Names and values, with TMVA's calls.

    Example
    -------
    >>> OptionMap(MethodName="BDT").GetValue("MethodName")
    'BDT'
    """

    def GetValue(self, name: str) -> Any:
        """Return a value."""
        return self[str(name)]

    def HasKey(self, name: str) -> bool:
        """Return whether there is a value of this name."""
        return str(name) in self

    def Print(self) -> None:
        """Print names and values."""
        for name, value in self.items():
            print(f"{name:<25}: {value}")


@dataclass(frozen=True)
class Wish:
    """A method as it was booked: it is made anew for every training."""

    type_name: str
    title: str
    options: str
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def method(self, title: str, job: str, data: DataSet, *further: str) -> Method:
        """Return the method, with further options that replace those given."""
        names = [text.partition("=")[0].strip().lower() for text in further]
        kept = [
            part
            for part in self.options.split(":")
            if part.strip() and part.partition("=")[0].strip().lstrip("!").lower() not in names
        ]
        # Keywords are read behind the text, and would take its values back.
        keywords = {name: value for name, value in self.keywords.items() if name.lower() not in names}
        return book(
            self.type_name, title, ":".join([*kept, *further]), keywords,
            job=job, dataset=data.name, analysis=data.analysis,
        )  # fmt: skip


class Envelope:
    """Books methods for a DataLoader.

    Raises
    ------
    SettingError
        The loader is none.
    """

    def __init__(self, job: Any, loader: Any, analysis: str | None) -> None:
        if not isinstance(loader, DataLoader):
            raise SettingError(
                f"{type(self).__name__}: a DataLoader is needed, and a {type(loader).__name__} was given."
            )
        self.job, self.loader = str(job), loader
        self._analysis = analysis
        self._wishes: list[Wish] = []
        self._console = Console(type(self).__name__)

    def BookMethod(self, method: Any, title: Any, options: Any = "", **keywords: Any) -> None:
        """Book a method; its options are read and checked at once.

        Arguments
        ---------
        method, title, options
            As in :meth:`hepml_root.tmva.Factory.BookMethod`.

        Raises
        ------
        SettingError
            There is no such method or option (the nearest are named), or the title is taken.
        """
        if str(title) in [wish.title for wish in self._wishes]:
            raise SettingError(f"a method '{title}' is booked already.")
        wish = Wish(type_name(method), str(title), str(options), keywords)
        made = book(
            wish.type_name, wish.title, wish.options, keywords,
            job=self.job, dataset=self.loader.name, analysis=self.analysis,
        )  # fmt: skip
        self._check(made)
        self._wishes.append(wish)
        self._console.line(f"Booking method: {title}")

    def _check(self, method: Method) -> None:
        """Refuse methods that cannot be here."""
        if method.booking.type_name == "Cuts":
            raise SettingError(
                f"{type(self).__name__}: '{method.booking.title}': Cuts has a box for each signal "
                "efficiency, and no response that could be compared."
            )
        if method.booking.type_name == "Category":
            raise SettingError(
                f"{type(self).__name__}: '{method.booking.title}': Category gets its regions by AddMethod, "
                "which is not there for methods that are trained several times."
            )

    @property
    def analysis(self) -> str:
        """Classification, Regression or Multiclass."""
        return self._analysis or self.loader.analysis

    def data(self) -> DataSet:
        """Return the events of the loader."""
        return self.loader.prepared(self.analysis, self._console.named("DataSetFactory"))

    def HasMethod(self, title: Any, *_: Any) -> bool:
        """Return whether a method of this title is booked."""
        return str(title) in [wish.title for wish in self._wishes]

    def GetMethods(self) -> list[OptionMap]:
        """Return what was booked: maps with MethodName (the type), MethodTitle and MethodOptions."""
        return [
            OptionMap(MethodName=wish.type_name, MethodTitle=wish.title, MethodOptions=wish.options)
            for wish in self._wishes
        ]

    def GetDataLoader(self) -> DataLoader:
        """Return the DataLoader."""
        return self.loader

    def SetVerbose(self, verbose: bool = True) -> None:
        """Say more, or less."""
        self._console.verbose = bool(verbose)

    def _wished(self) -> list[Wish]:
        if not self._wishes:
            raise SettingError(
                f"{type(self).__name__}: no method is booked: call BookMethod before Evaluate."
            )
        return self._wishes


def tried(method: Method, data: DataSet, console: Console) -> tuple[training.Fitted, MethodResult]:
    """Train a method, and evaluate it on its training and test events; nothing is written.

    Raises
    ------
    ModelFileError
        It answers NaN or infinity.
    """
    fitted = training.fit(method, data, console)
    model = training.graph(method.booking, data, fitted)
    answers = [
        training.graph_responses(model, training.inputs(fitted, sample))
        for sample in (data.training, data.test)
    ]
    title, folder = method.booking.title, method.booking.folder
    if not all(np.isfinite(answer).all() for answer in answers):
        raise ModelFileError(f"'{title}' answers NaN or infinity to events.")
    stem = f"{method.booking.job}_{title}"
    return fitted, MethodResult(
        method.booking.type_name, title, data, folder / f"{stem}.weights.xml", folder / f"{stem}.onnx",
        answers[0], answers[1], fitted.seconds, fitted.trained.monitors,
    )  # fmt: skip
