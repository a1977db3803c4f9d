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
            "the report's ROOT file needs ROOT, which is not installed: `pip install 'hepml_root[pyroot]'`, "
            "or save the "
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


def tree_columns(
    report: Report,
) -> tuple[dict[str, NDArray[Any]], dict[str, tuple[NDArray[Any], NDArray[Any]]]]:
    """Return the columns of the tree: plain ones (events,), and jagged ones as (offsets, values).

    Plain: ``score`` (one per output: ``score_<class>``, ``prediction_<target>`` and ``target_<target>``),
    ``class_index``, ``weight``, ``training_weight``, ``event_number``, spectators, inputs and parameters,
    each under its label made an identifier; a label that is taken gets ``_`` at its end.

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
                f"the spectator '{label}' has the type {values.dtype}; a ROOT tree takes numbers and bools "
                "here."
            )
        plain[free(label)] = values.astype(np.float32) if values.dtype == np.float16 else values
    for block in data.blocks:
        if block.kind not in ("flat", "parameter", "jagged"):
            continue  # masks are in the lengths of lists; images and graphs follow from the events themselves
        array = data.X[block.name]
        if block.kind == "jagged":
            real = np.asarray(data.X[f"{block.name}_mask"], dtype=bool)
            offsets = np.concatenate([[0], np.cumsum(real.sum(axis=1))]).astype(np.uint64)
            for position, label in enumerate(block.labels):
                jagged[free(label)] = (
                    offsets,
                    np.ascontiguousarray(array[..., position][real], dtype=np.float32),
                )
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
    file = root.TFile.Open(str(path), "RECREATE")
    if not file or file.IsZombie():
        raise OutputWriteError(f"ROOT could not open '{path}' for writing.")
    try:
        _write_tree(root, report, file)
        _Writer(root, file).report(report)
        if file.Write() < 0 or file.TestBit(root.TFile.kWriteError):
            raise OutputWriteError(f"ROOT could not write '{path}' to its end: the disk may be full.")
    finally:
        file.Close()


# Fills a tree from arrays in memory: one row-wise copy per event into the branches' buffers. It is far
# quicker to compile than a data frame with as many columns.
_FILL = """
namespace hepml_root_report {
struct Filler {
  TTree &tree;
  std::vector<const char *> sources;
  std::vector<std::size_t> sizes;
  std::vector<std::unique_ptr<char[]>> buffers;
  std::vector<const ULong64_t *> offsets;
  std::vector<const float *> values;
  std::vector<std::unique_ptr<std::vector<float>>> lists;

  explicit Filler(TTree &into) : tree(into) {}

  void plain(const char *name, const char *leaf, std::size_t size, ULong64_t address) {
    sources.push_back(reinterpret_cast<const char *>(address));
    sizes.push_back(size);
    buffers.emplace_back(new char[8]);
    tree.Branch(name, buffers.back().get(), (std::string(name) + "/" + leaf).c_str());
  }
  void jagged(const char *name, ULong64_t offsets_address, ULong64_t values_address) {
    offsets.push_back(reinterpret_cast<const ULong64_t *>(offsets_address));
    values.push_back(reinterpret_cast<const float *>(values_address));
    lists.emplace_back(new std::vector<float>);
    tree.Branch(name, lists.back().get());
  }
  Long64_t fill(ULong64_t events) {
    for (ULong64_t event = 0; event < events; ++event) {
      for (std::size_t i = 0; i < sources.size(); ++i)
        std::memcpy(buffers[i].get(), sources[i] + event * sizes[i], sizes[i]);
      for (std::size_t i = 0; i < lists.size(); ++i)
        lists[i]->assign(values[i] + offsets[i][event], values[i] + offsets[i][event + 1]);
      if (tree.Fill() < 0)
        return -1;
    }
    tree.ResetBranchAddresses();
    return tree.GetEntries();
  }
};
} // namespace hepml_root_report
"""

# Letters of TTree's leaf lists by numpy type.
_LEAVES = {
    "float32": "F",
    "float64": "D",
    "bool": "O",
    "int8": "B",
    "uint8": "b",
    "int16": "S",
    "uint16": "s",
    "int32": "I",
    "uint32": "i",
    "int64": "L",
    "uint64": "l",
}


def _write_tree(root: Any, report: Report, file: Any) -> None:
    plain, jagged = tree_columns(report)
    if not hasattr(root, "hepml_root_report"):
        root.gInterpreter.Declare(_FILL)
    file.cd()
    tree = root.TTree(TREE, "test events with the model's scores")
    filler = root.hepml_root_report.Filler(tree)
    for name, values in plain.items():
        filler.plain(name, _LEAVES[values.dtype.name], values.dtype.itemsize, values.ctypes.data)
    for name, (offsets, values) in jagged.items():
        filler.jagged(name, offsets.ctypes.data, values.ctypes.data)
    if filler.fill(len(report.events)) < 0:
        raise OutputWriteError(f"ROOT could not write the tree '{TREE}': the disk may be full.")
    tree.Write()


class _Writer:
    """Turns the studies into ROOT objects in folders of an open file."""

    def __init__(self, root: Any, file: Any) -> None:
        self.root = root
        self.file = file

    def report(self, report: Report) -> None:
        title = "ROC;Signal efficiency;Background efficiency"
        for part, curves in (
            ("test", report.roc),
            ("train", report.train_roc),
            ("compared", report.compared),
        ):
            for name, roc in curves.items():
                y, low, high = roc.background_efficiency, roc.low, roc.high
                self.graph("roc", f"{part}_{name}", roc.signal_efficiency, y, low, high, title)
        for scores in report.scores:
            for histograms in (scores.test, scores.train):
                for histogram in histograms.values():
                    self.histogram("scores", histogram.name, histogram)
        for name, curve in report.calibration.items():
            self.graph(
                "calibration",
                f"reliability_{name}",
                curve.mean_score,
                curve.fraction,
                curve.low,
                curve.high,
                "Reliability;Mean score;Observed fraction",
            )
        if report.significance is not None:
            scan = report.significance
            for name, y, low, high in (
                ("simple", scan.simple, scan.simple_low, scan.simple_high),
                ("asimov", scan.asimov, scan.asimov_low, scan.asimov_high),
                ("signal", scan.signal, scan.signal, scan.signal),
                ("background", scan.background, scan.background, scan.background),
            ):
                self.graph(
                    "significance", name, scan.threshold, y, low, high, f"{name};Cut on the score;{name}"
                )
        if report.confusion is not None:
            matrix = report.confusion
            self.matrix(
                "confusion",
                "fraction",
                matrix.fraction.T,
                matrix.classes,
                "Predicted class;True class",
                matrix.error.T,
            )
        for name, table in report.correlations.items():
            self.matrix("correlation", name, table.matrix, table.columns, "", None)
        for per_class in report.inputs:
            for name, histogram in per_class.items():
                self.histogram("inputs", f"{histogram.name}_{name}", histogram)
        if report.ranking is not None and report.ranking.inputs:
            self.bars(
                "ranking",
                "importance",
                [item.column for item in report.ranking.inputs],
                [item.importance.value for item in report.ranking.inputs],
                [item.importance.error for item in report.ranking.inputs],
                f";;Loss of {report.ranking.metric}",
            )
        for study in report.residuals:
            self.histogram("residuals", study.histogram.name, study.histogram)
            self.histogram("residuals", study.pull.name, study.pull)
            for kind in ("bias", "resolution"):
                y, low, high = (getattr(study, f"bin_{kind}{end}") for end in ("", "_low", "_high"))
                self.graph(
                    "residuals",
                    f"{kind}_{study.target}",
                    study.mean_target,
                    y,
                    low,
                    high,
                    f"{kind};True {study.target};{kind}",
                )

    def _keep(self, folder: str, item: Any) -> None:
        directory = self.file.GetDirectory(folder) or self.file.mkdir(folder)
        if hasattr(item, "SetDirectory"):
            item.SetDirectory(self.root.nullptr)
        directory.WriteTObject(item, item.GetName())

    def histogram(self, folder: str, name: str, source: Histogram) -> None:
        bins = len(source.values)
        unit = f" [{source.unit}]" if source.unit else ""
        item = self.root.TH1D(
            object_name(name), f"{source.title};{source.title}{unit};Sum of weights", bins, source.edges
        )
        item.Sumw2()
        # The variance outside the edges is not kept, so these two bins carry no error.
        item.SetContent(np.concatenate([[source.underflow], source.values, [source.overflow]]))
        item.SetError(np.concatenate([[0.0], np.sqrt(source.variances), [0.0]]))
        item.SetEntries(source.entries)
        self._keep(folder, item)

    def graph(
        self,
        folder: str,
        name: str,
        x: NDArray[Any],
        y: NDArray[Any],
        low: NDArray[Any],
        high: NDArray[Any],
        title: str,
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
        self,
        folder: str,
        name: str,
        values: NDArray[Any],
        labels: tuple[str, ...],
        axes: str,
        errors: NDArray[Any] | None,
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

    def bars(
        self, folder: str, name: str, labels: list[str], values: list[float], errors: list[float], title: str
    ) -> None:
        item = self.root.TH1D(object_name(name), title, len(labels), 0.0, len(labels))
        item.Sumw2()
        for position, (label, value, error) in enumerate(zip(labels, values, errors, strict=True), start=1):
            item.GetXaxis().SetBinLabel(position, label)
            item.SetBinContent(position, value)
            item.SetBinError(position, error)
        self._keep(folder, item)
