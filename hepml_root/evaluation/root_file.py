"""The report's ROOT file: histograms, graphs, matrices, and the tree of test events, written by ROOT."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import ColumnTypeError, MissingDependencyError, OutputWriteError

if TYPE_CHECKING:
    from hepml_root.evaluation.distributions import Histogram
    from hepml_root.evaluation.report import Report

TREE = "test"


def _root() -> Any:
    try:
        import ROOT
    except ImportError as error:
        raise MissingDependencyError(
            "the report's ROOT file needs ROOT, which is not installed: `pip install 'hepml_root[root]'`, or save the "
            "report without it (root_file=False)."
        ) from error
    ROOT.gROOT.SetBatch(True)
    return ROOT


def object_name(text: str) -> str:
    """Return a C++ identifier: the name of a branch or of an object in the ROOT file.

    Example
    -------
    >>> object_name("jet1_b-tag"), object_name("4l")
    ('jet1_b_tag', '_4l')
    """
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return name if name and not name[0].isdigit() else f"_{name}"


def tree_columns(report: Report) -> tuple[dict[str, NDArray[Any]], dict[str, tuple[NDArray[Any], NDArray[Any]]]]:
    """Return the columns of the tree: plain ones (events,), and jagged ones as (offsets, values).

    Plain: ``score`` (one per output: ``score_<class>``, ``prediction_<target>`` and ``target_<target>``),
    ``class_index``, ``weight``, ``training_weight``, ``event_number``, spectators, inputs and parameters, each
    under its label made an identifier; a label that is taken gets ``_`` at its end.

    Raises
    ------
    ColumnTypeError
        A spectator is neither a number nor a bool.
    """
    data, outputs = report.events, report.outputs
    plain: dict[str, NDArray[Any]] = {}
    jagged: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}

    def free(label: str) -> str:
        name = object_name(label)
        while name in plain or name in jagged:
            name += "_"
        return name

    assert outputs is not None
    for column, label in enumerate(data.schema.outputs):
        if report.task == "regression":
            plain[free(f"prediction_{label}")] = outputs[:, column]
            plain[free(f"target_{label}")] = data.target[:, column]
        else:
            plain["score" if report.task == "binary" else free(f"score_{label}")] = outputs[:, column]
    if data.labels is not None:
        plain["class_index"] = data.labels.astype(np.int32)
    plain["weight"] = data.weight
    plain["training_weight"] = data.training_weight
    if data.event_number is not None:
        plain["event_number"] = data.event_number
    for label, values in data.spectators.items():
        if values.dtype.kind not in "biuf":
            raise ColumnTypeError(
                f"the spectator '{label}' has the type {values.dtype}; a ROOT tree takes numbers and bools here."
            )
        plain[free(label)] = values.astype(np.float32) if values.dtype == np.float16 else values
    for block in data.blocks:
        if block.kind == "mask":
            continue
        array = data.X[block.name]
        if block.kind == "jagged":
            real = np.asarray(data.X[f"{block.name}_mask"], dtype=bool)
            offsets = np.concatenate([[0], np.cumsum(real.sum(axis=1))]).astype(np.uint64)
            for position, label in enumerate(block.labels):
                jagged[free(label)] = offsets, np.ascontiguousarray(array[..., position][real], dtype=np.float32)
        else:
            for position, label in enumerate(block.labels):
                plain[free(label)] = array[:, position]
    return {name: np.ascontiguousarray(values) for name, values in plain.items()}, jagged


def write_root_file(report: Report, path: Path) -> None:
    """Write the report's histograms and its test tree to a new ROOT file.

    Raises
    ------
    MissingDependencyError
        ROOT is not installed.
    OutputWriteError
        ROOT could not write the file.
    ColumnTypeError
        A spectator has a type that a tree does not take.
    """
    root = _root()
    _write_tree(root, report, path)
    file = root.TFile.Open(str(path), "UPDATE")
    if not file or file.IsZombie():
        raise OutputWriteError(f"ROOT could not open '{path}' for writing.")
    try:
        _Writer(root, file).report(report)
        if file.Write() < 0 or file.TestBit(root.TFile.kWriteError):
            raise OutputWriteError(f"ROOT could not write '{path}' to its end: the disk may be full.")
    finally:
        file.Close()


def _write_tree(root: Any, report: Report, path: Path) -> None:
    plain, jagged = tree_columns(report)
    # With several threads a snapshot does not keep the order of the events.
    threads = root.GetThreadPoolSize() if root.IsImplicitMTEnabled() else 0
    if threads:
        root.DisableImplicitMT()
    try:
        frame = root.RDF.FromNumpy(plain)
        for name, (offsets, values) in jagged.items():
            begin, numbers = offsets.ctypes.data, values.ctypes.data if values.size else 0
            frame = frame.Define(
                name,
                f"ROOT::RVecF(reinterpret_cast<float*>({numbers}ULL) + reinterpret_cast<ULong64_t*>({begin}ULL)[rdfentry_],"
                f" reinterpret_cast<float*>({numbers}ULL) + reinterpret_cast<ULong64_t*>({begin}ULL)[rdfentry_ + 1])",
            )
        frame.Snapshot(TREE, str(path), [*plain, *jagged])
    finally:
        if threads:
            root.EnableImplicitMT(threads)


class _Writer:
    """Turns the studies into ROOT objects in folders of an open file."""

    def __init__(self, root: Any, file: Any) -> None:
        self.root = root
        self.file = file

    def report(self, report: Report) -> None:
        for name, roc in report.roc.items():
            self.graph("roc", f"test_{name}", roc.signal_efficiency, roc.background_efficiency, roc.low, roc.high,
                       "ROC;Signal efficiency;Background efficiency")  # fmt: skip
        for name, roc in report.train_roc.items():
            self.graph("roc", f"train_{name}", roc.signal_efficiency, roc.background_efficiency, roc.low, roc.high,
                       "ROC;Signal efficiency;Background efficiency")  # fmt: skip
        for name, roc in report.compared.items():
            self.graph("roc", f"compared_{name}", roc.signal_efficiency, roc.background_efficiency, roc.low, roc.high,
                       "ROC;Signal efficiency;Background efficiency")  # fmt: skip
        for scores in report.scores:
            for histograms in (scores.test, scores.train):
                for histogram in histograms.values():
                    self.histogram("scores", histogram.name, histogram)
        for name, curve in report.calibration.items():
            self.graph("calibration", f"reliability_{name}", curve.mean_score, curve.fraction, curve.low, curve.high,
                       "Reliability;Mean score;Observed fraction")  # fmt: skip
        if report.significance is not None:
            scan = report.significance
            for name, y, low, high in (
                ("simple", scan.simple, scan.simple_low, scan.simple_high),
                ("asimov", scan.asimov, scan.asimov_low, scan.asimov_high),
                ("signal", scan.signal, scan.signal, scan.signal),
                ("background", scan.background, scan.background, scan.background),
            ):
                self.graph("significance", name, scan.threshold, y, low, high, f"{name};Cut on the score;{name}")
        if report.confusion is not None:
            matrix = report.confusion
            self.matrix("confusion", "fraction", matrix.fraction.T, matrix.classes, "Predicted class;True class",
                        matrix.error.T)  # fmt: skip
        for name, table in report.correlations.items():
            self.matrix("correlation", name, table.matrix, table.columns, "", None)
        for per_class in report.inputs:
            for name, histogram in per_class.items():
                self.histogram("inputs", f"{histogram.name}_{name}", histogram)
        if report.ranking is not None and report.ranking.inputs:
            self.bars("ranking", "importance", [item.column for item in report.ranking.inputs],
                      [item.importance.value for item in report.ranking.inputs],
                      [item.importance.error for item in report.ranking.inputs],
                      f";;Loss of {report.ranking.metric}")  # fmt: skip
        for study in report.residuals:
            self.histogram("residuals", study.histogram.name, study.histogram)
            self.histogram("residuals", study.pull.name, study.pull)
            for kind in ("bias", "resolution"):
                y, low, high = (getattr(study, f"bin_{kind}{end}") for end in ("", "_low", "_high"))
                self.graph("residuals", f"{kind}_{study.target}", study.mean_target, y, low, high,
                           f"{kind};True {study.target};{kind}")  # fmt: skip

    def _keep(self, folder: str, item: Any) -> None:
        directory = self.file.GetDirectory(folder) or self.file.mkdir(folder)
        if hasattr(item, "SetDirectory"):
            item.SetDirectory(self.root.nullptr)
        directory.WriteTObject(item, item.GetName())

    def histogram(self, folder: str, name: str, source: Histogram) -> None:
        bins = len(source.values)
        unit = f" [{source.unit}]" if source.unit else ""
        item = self.root.TH1D(object_name(name), f"{source.title};{source.title}{unit};Sum of weights", bins, source.edges)
        item.Sumw2()
        # The variance outside the edges is not kept, so these two bins carry no error.
        item.SetContent(np.concatenate([[source.underflow], source.values, [source.overflow]]))
        item.SetError(np.concatenate([[0.0], np.sqrt(source.variances), [0.0]]))
        item.SetEntries(source.entries)
        self._keep(folder, item)

    def graph(
        self, folder: str, name: str, x: NDArray[Any], y: NDArray[Any], low: NDArray[Any], high: NDArray[Any], title: str
    ) -> None:
        known = np.isfinite(x) & np.isfinite(y)
        x, y = x[known].astype(np.float64), y[known].astype(np.float64)
        below = np.maximum(np.nan_to_num(y - low[known]), 0.0)
        above = np.maximum(np.nan_to_num(high[known] - y), 0.0)
        none = np.zeros(len(x))
        item = self.root.TGraphAsymmErrors(len(x), x, y, none, none, below, above)
        item.SetName(object_name(name))
        item.SetTitle(title)
        self._keep(folder, item)

    def matrix(
        self, folder: str, name: str, values: NDArray[Any], labels: tuple[str, ...], axes: str, errors: NDArray[Any] | None
    ) -> None:
        number = len(labels)
        item = self.root.TH2D(object_name(name), f"{name};{axes}", number, 0.0, number, number, 0.0, number)
        for column, label in enumerate(labels, start=1):
            item.GetXaxis().SetBinLabel(column, label)
            item.GetYaxis().SetBinLabel(column, label)
            for row in range(1, number + 1):
                value = values[column - 1, row - 1]
                item.SetBinContent(column, row, float(value) if np.isfinite(value) else 0.0)
                if errors is not None:
                    item.SetBinError(column, row, float(errors[column - 1, row - 1]))
        self._keep(folder, item)

    def bars(self, folder: str, name: str, labels: list[str], values: list[float], errors: list[float], title: str) -> None:
        item = self.root.TH1D(object_name(name), title, len(labels), 0.0, len(labels))
        item.Sumw2()
        for position, (label, value, error) in enumerate(zip(labels, values, errors, strict=True), start=1):
            item.GetXaxis().SetBinLabel(position, label)
            item.SetBinContent(position, value)
            item.SetBinError(position, error)
        self._keep(folder, item)
