"""TMVA's Factory: methods are booked, trained, tested, compared, and written."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hepml_root.data.feed_library import import_root
from hepml_root.errors import ModelFileError, SettingError, unknown
from hepml_root.tmva import training
from hepml_root.tmva.booking import book, type_name
from hepml_root.tmva.configuration import gConfig
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.dataloader import DataLoader
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.method import Method
from hepml_root.tmva.methods.registry import method_class
from hepml_root.tmva.options.declaration import parse
from hepml_root.tmva.options.factory import FACTORY
from hepml_root.tmva.output.classifier_evaluation import (
    ClassifierEvaluation,
    evaluate_classifier,
    roc_curve,
    roc_integral,
)
from hepml_root.tmva.output.evaluation_table import evaluation_lines, ranking_lines
from hepml_root.tmva.output.file import write_output
from hepml_root.tmva.output.results import MethodResult
from hepml_root.tmva.output.roc_pictures import roc_canvas, roc_graphs
from hepml_root.tmva.weights.mva_pdfs import probability, rarity

_ANALYSES = {
    "Classification": "Classification",
    "Multiclass": "Multiclass classification",
    "Regression": "Regression",
}


@dataclass
class _Booked:
    """A method of a DataLoader, and what is known of it so far."""

    method: Method
    loader: DataLoader
    fitted: training.Fitted | None = None
    files: training.Files | None = None
    result: MethodResult | None = None
    evaluation: ClassifierEvaluation | None = None


class Factory:
    """Books methods, trains them, and compares them, with TMVA's calls and options.

    Weights go to ``<dataset>/weights/<job>_<title>.weights.xml``, with the ONNX file and the C++ header
    ``<job>_<title>.hxx`` beside it; the output file gets TMVA's directories, histograms and trees.

    Arguments
    ---------
    job
        A name that all weight files begin with.
    output
        An open ROOT.TFile, or None for none; may be left out.
    options
        TMVA's, as a text and as keywords.

    Raises
    ------
    SettingError
        An option is unknown (the nearest are named), or has a value that it cannot take.

    Reference: A. Hoecker et al., TMVA users guide, arXiv:physics/0703039.

    Example
    -------
    >>> import os, tempfile, numpy as np
    >>> from hepml_root import tmva as TMVA
    >>> os.chdir(tempfile.mkdtemp())
    >>> loader, rng = TMVA.DataLoader("dataset"), np.random.default_rng(1)
    >>> loader.AddVariable("x")
    >>> loader.AddSignalTree({"x": rng.normal(1, 1, 400)})
    >>> loader.AddBackgroundTree({"x": rng.normal(-1, 1, 400)})
    >>> loader.PrepareTrainingAndTestTree("", "SplitMode=Random:!V")
    >>> factory = TMVA.Factory("Example", "Silent:AnalysisType=Classification")
    >>> method = factory.BookMethod(loader, TMVA.Types.kFisher, "Fisher", H=False)
    >>> factory.TrainAllMethods()
    >>> factory.TestAllMethods()
    >>> factory.EvaluateAllMethods()
    >>> 0.88 < factory.GetROCIntegral(loader, "Fisher") < 0.96
    True
    >>> sorted(os.listdir("dataset/weights"))
    ['Example_Fisher.hxx', 'Example_Fisher.onnx', 'Example_Fisher.weights.xml']
    """

    def __init__(self, job: Any, *arguments: Any, **keywords: Any) -> None:
        self.job = str(job)
        self._output: Any = None
        rest = list(arguments)
        if rest and (rest[0] is None or hasattr(rest[0], "mkdir")):
            self._output = rest.pop(0)
        if len(rest) > 1:
            raise SettingError("Factory(job[, output file][, options]).")
        self.options = parse(FACTORY, rest[0] if rest else "", f"Factory '{self.job}'", keywords)
        root = import_root()
        self._console = Console(
            "Factory",
            silent=self._switch("Silent", gConfig().IsSilent()),
            verbose=bool(self.options["V"]),
            colour=self._switch("Color", gConfig().UseColor()) and not root.gROOT.IsBatch(),
        )
        self._analysis: str | None = None
        if self.options["AnalysisType"] != "Auto":
            self._analysis = str(self.options["AnalysisType"])
        self._methods: dict[str, dict[str, _Booked]] = {}
        self._variables_written: set[str] = set()

    def _switch(self, name: str, otherwise: bool) -> bool:
        """Return an option, or what gConfig() says where it was not given."""
        return bool(self.options[name]) if name in self.options.given else otherwise

    def __getattr__(self, name: str) -> Any:
        """Say where a call is now that the Factory had before there were DataLoaders (ROOT 6.08)."""
        said = f"'{type(self).__name__}' object has no attribute '{name}'"
        if not name.startswith("_") and hasattr(DataLoader, name):
            said += f". It is of the DataLoader: TMVA.DataLoader('dataset').{name}(…), as since ROOT 6.08."
        raise AttributeError(said)

    def GetName(self) -> str:
        """Return the job's name."""
        return self.job

    def SetVerbose(self, verbose: bool = True) -> None:
        """Say more, or less."""
        self._console.verbose = bool(verbose)

    # -- booking ---------------------------------------------------------------------------------------------

    def BookMethod(
        self, loader: Any, method: Any, title: Any, options: Any = "", **keywords: Any
    ) -> Method | None:
        """Book a method; its options are read and checked at once.

        Arguments
        ---------
        loader
            The :class:`DataLoader`.
        method
            ``TMVA.Types.kBDT``, or its name, ``"BDT"``.
        title
            A name of one's own, different from those of the other methods of this loader.
        options
            TMVA's option string; keywords are added to it (``H=False`` is ``!H``).

        Returns
        -------
        Method
            What was booked; ``AddMethod`` of kCategory is called on it. None, with a warning, if the method
            does not do this analysis.

        Raises
        ------
        SettingError
            There is no such method or option (the nearest are named), or the title is taken.
        """
        if not isinstance(loader, DataLoader):
            raise SettingError(
                f"BookMethod(loader, type, title, options): the first argument is a {type(loader).__name__}; "
                "a DataLoader is needed."
            )
        name = type_name(method)
        analysis = self._analysis = self._analysis or loader.analysis
        if analysis not in method_class(name).analyses:
            # As in TMVA, whose own tutorials book Fisher for several classes.
            self._console.warning(f"{title}: {name} does not do {_ANALYSES[analysis]}; it is not booked.")
            return None
        if not str(title).strip() or set(str(title)) & set("/\\:"):
            raise SettingError(
                f"the title '{title}' cannot be the name of a file: it is empty, or has / \\ or : in it."
            )
        booked = self._book(loader, name, str(title), options, keywords)
        own = self._methods.setdefault(loader.name, {})
        if str(title) in own:
            raise SettingError(f"a method '{title}' is booked already for the dataset '{loader.name}'.")
        if own and next(iter(own.values())).loader is not loader:
            raise SettingError(f"two DataLoaders are called '{loader.name}': give one of them another name.")
        own[str(title)] = _Booked(booked, loader)
        return booked

    def _book(
        self, loader: DataLoader, name: str, title: str, options: Any, keywords: Mapping[str, Any]
    ) -> Method:
        assert self._analysis is not None
        made = book(
            name, title, options, keywords, job=self.job, dataset=loader.name, analysis=self._analysis
        )
        self._console.line(f"Booking method: {title}")
        if made.options["H"] and made.summary:
            for line in (made.summary, *made.help.splitlines()):
                self._console.named(title).line(line)
        return made

    def DeleteAllMethods(self) -> None:
        """Forget all methods."""
        self._methods.clear()
        self._variables_written.clear()

    def GetMethod(self, dataset: Any, title: Any) -> Method:
        """Return a booked method.

        Raises
        ------
        SettingError
            There is no such dataset or method.
        """
        return self._one(dataset, title).method

    def HasMethod(self, dataset: Any, title: Any) -> bool:
        """Return whether a method of this title is booked."""
        return str(title) in self._methods.get(_name(dataset), {})

    def _one(self, dataset: Any, title: Any) -> _Booked:
        name = _name(dataset)
        if name not in self._methods:
            raise SettingError(unknown("dataset", name, self._methods))
        if str(title) not in self._methods[name]:
            raise SettingError(unknown("method", str(title), self._methods[name]))
        return self._methods[name][str(title)]

    def _all(self) -> Iterator[_Booked]:
        for methods in self._methods.values():
            yield from methods.values()

    # -- training and test -----------------------------------------------------------------------------------

    def TrainAllMethods(self) -> None:
        """Train every booked method, and write its files.

        Raises
        ------
        HepmlError
            The events cannot be read, a method cannot be trained on them, or its files cannot be written; the
            files of the methods before it are there.
        """
        self._console.line("Train all methods")
        if not self._methods:
            self._console.line("...nothing found to train")
        for booked in self._all():
            booking, data = booked.method.booking, self._data(booked)
            self._console.line(f"Train method: {booking.title} for {_ANALYSES[booking.analysis]}")
            console = self._console.named(booking.title)
            if booked.method.makes_events:
                for path in booked.method.train_generator(data, console):
                    console.line(f"Creating {path}")
                self._console.line("Training finished")
                continue
            fitted = training.fit(booked.method, data, console)
            booked.fitted = training.with_mva_pdfs(booking, data, fitted)
            console.line(
                f"Elapsed time for training with {len(data.training)} events: {booked.fitted.seconds:.3g} sec"
            )
            booked.files = training.write(booking, data, booked.fitted)
            console.line(f"Creating xml weight file: {booked.files.weights}")
            if booked.files.model is not None:
                console.line(f"Creating ONNX file: {booked.files.model}")
            if booked.files.header is not None:
                console.line(f"Creating C++ header: {booked.files.header}")
            self._console.line("Training finished")
        self._rank()

    def _data(self, booked: _Booked) -> DataSet:
        return booked.loader.prepared(booked.method.booking.analysis, self._console.named("DataSetFactory"))

    def _rank(self) -> None:
        for booked in self._all():
            ranking = booked.method.ranking() if booked.method.booking.analysis != "Regression" else None
            if not ranking:
                continue
            console = self._console.named(booked.method.booking.title)
            for line in ranking_lines(booked.method.ranked_by, ranking):
                console.line(line)

    def TestAllMethods(self) -> None:
        """Read the files of every method back, and evaluate it on training and test events.

        Raises
        ------
        SettingError
            A method is not trained.
        """
        self._console.line("Test all methods")
        if not self._methods:
            self._console.line("...nothing found to test")
        for booked in self._all():
            if booked.method.makes_events:
                title = booked.method.booking.title
                self._console.line(f"'{title}' makes events: there is no response to test")
                continue
            if booked.files is None or booked.fitted is None:
                raise SettingError(
                    f"the method '{booked.method.booking.title}' is not trained: call TrainAllMethods before."
                )
            booking, data = booked.method.booking, self._data(booked)
            self._console.line(f"Test method: {booking.title} for {_ANALYSES[booking.analysis]} performance")
            start = time.perf_counter()
            booked.result = self._result(booked, data)
            seconds = time.perf_counter() - start
            self._console.named(booking.title).line(
                f"Elapsed time for evaluation of {len(data.test)} events: {seconds:.3g} sec"
            )

    def _result(self, booked: _Booked, data: DataSet) -> MethodResult:
        booking, files, fitted = booked.method.booking, booked.files, booked.fitted
        assert files is not None
        assert fitted is not None
        if files.model is None:
            answers = [np.zeros((len(sample), 1), np.float32) for sample in (data.training, data.test)]
        else:
            samples = (data.training, data.test)
            answers = [training.responses(files.model, training.inputs(fitted, s)) for s in samples]
            for sample, answer in zip(("training", "test"), answers, strict=True):
                if not np.isfinite(answer).all():
                    raise ModelFileError(f"'{booking.title}' answers NaN or infinity to {sample} events.")
        result = MethodResult(
            booking.type_name, booking.title, data, files.weights, files.model or files.weights,
            answers[0], answers[1], fitted.seconds, fitted.trained.monitors,
        )  # fmt: skip
        if fitted.mva_pdfs is not None:
            result.mva_pdfs = fitted.mva_pdfs
            for what, answer in (("training", answers[0]), ("test", answers[1])):
                setattr(result, f"probability_{what}", probability(fitted.mva_pdfs, answer[:, 0]))
                setattr(result, f"rarity_{what}", rarity(fitted.mva_pdfs, answer[:, 0]))
        return result

    def EvaluateAllMethods(self) -> None:
        """Compare all methods on the test events, print the table, and write the output file.

        Raises
        ------
        SettingError
            A method was not tested.
        OutputWriteError
            The output file is closed, or the disk is full.
        """
        self._console.line("Evaluate all methods")
        for name in self._methods:
            methods = self._judging(name)
            if not methods:
                continue
            results = [self._tested(booked) for booked in methods]
            evaluations = {}
            for booked in methods:
                if booked.method.booking.analysis == "Classification":
                    booked.evaluation = evaluate_classifier(self._tested(booked))
                    evaluations[booked.method.booking.title] = booked.evaluation
            for line in evaluation_lines(
                results, evaluations, roc=bool(self.options["ROC"]),
                correlations=bool(self.options["Correlations"]),
            ):  # fmt: skip
                self._console.line(line)
            if self._output:
                data = results[0].data
                write_output(
                    self._output, data, results, str(self.options["Transformations"]),
                    evaluations=evaluations, variables=name not in self._variables_written,
                )  # fmt: skip
                self._variables_written.add(name)
                self._console.line(f"Dataset:{name} : Created tree 'TestTree' with {len(data.test)} events")
                self._console.line(
                    f"Dataset:{name} : Created tree 'TrainTree' with {len(data.training)} events"
                )

    def _tested(self, booked: _Booked) -> MethodResult:
        if booked.result is None:
            raise SettingError(
                f"the method '{booked.method.booking.title}' is not tested: call TestAllMethods before."
            )
        return booked.result

    # -- what they reach -------------------------------------------------------------------------------------

    def GetROCIntegral(self, dataset: Any, title: Any, iClass: int = 0) -> float:
        """Return the area under the ROC curve of the test events: not binned, weighted.

        Arguments
        ---------
        dataset, title
            The DataLoader or its name, and the method's title.
        iClass
            Of a multiclass method: this class against all others.
        """
        return roc_integral(self._tested(self._one(dataset, title)), int(iClass))

    def GetROCCurve(self, dataset: Any, title: Any = None, setTitles: bool = True, iClass: int = 0) -> Any:
        """Return the ROC curve of a method as a TGraph; without a title those of all, drawn on a TCanvas."""
        if title is None or isinstance(title, int):
            return roc_canvas(self._results(dataset), _name(dataset), int(title or 0))
        graph = roc_curve(self._tested(self._one(dataset, title)), int(iClass))
        if not setTitles:
            graph.GetXaxis().SetTitle("")
            graph.GetYaxis().SetTitle("")
        return graph

    def GetROCCurveAsMultiGraph(self, dataset: Any, iClass: int = 0) -> Any:
        """Return the ROC curves of all methods as a TMultiGraph."""
        return roc_graphs(self._results(dataset), int(iClass))

    def _results(self, dataset: Any) -> list[MethodResult]:
        name = _name(dataset)
        if name not in self._methods:
            raise SettingError(unknown("dataset", name, self._methods))
        return [self._tested(booked) for booked in self._judging(name)]

    def _judging(self, dataset: str) -> list[_Booked]:
        """Return the methods of a dataset that have a response."""
        return [booked for booked in self._methods[dataset].values() if not booked.method.makes_events]

    def result(self, dataset: Any, title: Any) -> MethodResult:
        """Return all that is known of a tested method: its responses, files and monitors."""
        return self._tested(self._one(dataset, title))

    def MakeClass(self, dataset: Any = "", title: Any = "") -> None:
        """Say where the C++ of the methods is: it was written when they were trained."""
        for booked in [self._one(dataset, title)] if str(title) else self._all():
            if booked.files is not None and booked.files.header is not None:
                self._console.line(f"C++ of {booked.method.booking.title}: {booked.files.header}")

    def PrintHelpMessage(self, dataset: Any = "", title: Any = "") -> None:
        """Print what methods are, and their options."""
        for booked in [self._one(dataset, title)] if str(title) else self._all():
            console = self._console.named(booked.method.booking.title)
            console.line(booked.method.summary or booked.method.type_name)
            for option in booked.method.options.declared:
                console.line(f"  {option.name}={option.default}: {option.help}")


def _name(dataset: Any) -> str:
    return dataset.name if isinstance(dataset, DataLoader) else str(dataset)
