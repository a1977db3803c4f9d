"""Histograms, profiles, graphs and trees of ROOT from numpy arrays, filled by ROOT in bulk.

Events are handed to ROOT's own ``FillN``, so that contents, errors, statistics, underflow and overflow are
what a loop of ``Fill`` gives. A tree is filled by a small compiled loop over the arrays.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import MissingDependencyError, OutputWriteError, SettingError

Binning = tuple[int, float, float]


def import_root() -> Any:
    """Return the module ROOT.

    Raises
    ------
    MissingDependencyError
        ROOT is not installed.
    """
    try:
        import ROOT
    except ImportError as error:
        raise MissingDependencyError(
            "TMVA's output file is written by ROOT, which is not installed: `pip install "
            "'hepml_root[pyroot]'`, or give the Factory no output file."
        ) from error
    return ROOT


@contextlib.contextmanager
def loose_histograms() -> Iterator[None]:
    """Make histograms that belong to no directory, and leave the current directory as it was."""
    root = import_root()
    before = root.TH1.AddDirectoryStatus()
    context = root.TDirectory.TContext()
    root.TH1.AddDirectory(False)
    try:
        yield
    finally:
        root.TH1.AddDirectory(before)
        context.__destruct__()


def checked_directory(directory: Any) -> Any:
    """Return a TFile or TDirectory that can be written to.

    Raises
    ------
    SettingError
        It is something else.
    OutputWriteError
        It is closed, or open for reading only.
    """
    root = import_root()
    if not isinstance(directory, root.TDirectory):
        raise SettingError(
            f"the output file is a {type(directory).__name__}; an open ROOT.TFile, or a directory of one, is "
            "needed, such as ROOT.TFile.Open('TMVA.root', 'RECREATE')."
        )
    file = directory.GetFile()
    if not file or not file.IsOpen():
        raise OutputWriteError(f"the output file '{directory.GetName()}' is not open: open it again.")
    if not directory.IsWritable():
        raise OutputWriteError(
            f"the output file '{file.GetName()}' is open for reading only; open it with 'RECREATE' or "
            "'UPDATE'."
        )
    return directory


def folder(parent: Any, path: str, title: str = "") -> Any:
    """Return the directory ``path`` (parts separated by ``/``) of a directory; make what is not there."""
    for part in path.split("/"):
        found = parent.GetDirectory(part)
        if not found:
            found = parent.mkdir(part, title)
        if not found:
            raise OutputWriteError(f"ROOT could not make the directory '{path}' in '{parent.GetName()}'.")
        parent = found
    return parent


def keep(directory: Any, item: Any, name: str = "") -> None:
    """Write one object to a directory, in place of an older one with its name."""
    name = name or item.GetName()
    if directory.WriteTObject(item, name, "Overwrite") <= 0:
        raise OutputWriteError(f"ROOT could not write '{name}': the disk may be full.")


def keep_text(directory: Any, name: str, text: str) -> None:
    """Write a TObjString."""
    keep(directory, import_root().TObjString(text), name)


def _doubles(values: ArrayLike) -> NDArray[np.float64]:
    return np.ascontiguousarray(values, np.float64)


def histogram(
    name: str,
    title: str,
    binning: Binning,
    values: ArrayLike = (),
    weights: ArrayLike | None = None,
    *,
    kind: str = "D",
    labels: tuple[str, str] = ("", ""),
    errors: bool = False,
) -> Any:
    """Return a TH1 (``kind`` D, F or I) filled with values ``(events,)`` and weights.

    ``errors`` keeps the sum of the squared weights even where all of them are 1. ``labels`` are the titles of
    the axes.
    """
    root = import_root()
    item = getattr(root, f"TH1{kind}")(name, title, *binning)
    if errors:
        item.Sumw2()
    x = _doubles(values)
    if len(x):
        item.FillN(len(x), x, _doubles(np.ones(len(x)) if weights is None else weights))
    _label(item, labels)
    return item


def histogram_of(
    name: str,
    title: str,
    binning: Binning,
    contents: ArrayLike,
    *,
    kind: str = "D",
    labels: tuple[str, str] = ("", ""),
) -> Any:
    """Return a TH1 with given contents ``(bins,)``, without errors of its own."""
    item = histogram(name, title, binning, kind=kind, labels=labels)
    inner = np.asarray(contents)
    number = {"D": np.float64, "F": np.float32, "I": np.int32}[kind]
    item.SetContent(_doubles(np.concatenate([[0.0], inner.astype(number), [0.0]])))
    item.SetEntries(len(inner))
    return item


def histogram_2d(
    name: str,
    title: str,
    x_binning: Binning,
    y_binning: Binning,
    x: ArrayLike = (),
    y: ArrayLike = (),
    weights: ArrayLike | None = None,
    *,
    labels: tuple[str, str] = ("", ""),
) -> Any:
    """Return a TH2F filled with pairs of values."""
    item = import_root().TH2F(name, title, *x_binning, *y_binning)
    _fill_pairs(item, x, y, weights)
    _label(item, labels)
    return item


def profile(
    name: str,
    title: str,
    binning: Binning,
    x: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    labels: tuple[str, str] = ("", ""),
) -> Any:
    """Return a TProfile: the mean of y in bins of x."""
    item = import_root().TProfile(name, title, *binning)
    _fill_pairs(item, x, y, weights)
    _label(item, labels)
    return item


def _fill_pairs(item: Any, x: ArrayLike, y: ArrayLike, weights: ArrayLike | None) -> None:
    first, second = _doubles(x), _doubles(y)
    if len(first):
        w = _doubles(np.ones(len(first)) if weights is None else weights)
        item.FillN(len(first), first, second, w, 1)


def matrix(name: str, title: str, contents: NDArray[Any], labels: Sequence[str] = ()) -> Any:
    """Return a TH2F with a bin for each entry ``(columns, rows)`` of a matrix, and names of its bins."""
    columns, rows = contents.shape
    item = import_root().TH2F(name, title, columns, 0.0, float(columns), rows, 0.0, float(rows))
    padded = np.zeros((rows + 2, columns + 2))
    padded[1:-1, 1:-1] = contents.T.astype(np.float32)
    item.SetContent(_doubles(padded.ravel()))
    item.SetEntries(contents.size)
    for number, label in enumerate(labels, start=1):
        item.GetXaxis().SetBinLabel(number, label)
        item.GetYaxis().SetBinLabel(number, label)
    item.SetStats(False)
    return item


def graph(name: str, title: str, x: ArrayLike, y: ArrayLike, labels: tuple[str, str] = ("", "")) -> Any:
    """Return a TGraph."""
    first, second = _doubles(x), _doubles(y)
    item = import_root().TGraph(len(first), first, second)
    item.SetName(name)
    item.SetTitle(f"{title};{labels[0]};{labels[1]}" if any(labels) else title)
    return item


def _label(item: Any, labels: tuple[str, str]) -> None:
    if labels[0]:
        item.GetXaxis().SetTitle(labels[0])
    if labels[1]:
        item.GetYaxis().SetTitle(labels[1])


def normalised(item: Any) -> Any:
    """Scale a histogram so that its bins, without underflow and overflow, have the integral 1."""
    if item.GetSumw2N() == 0:
        item.Sumw2()
    axis = item.GetXaxis()
    integral = item.GetSumOfWeights() * (axis.GetXmax() - axis.GetXmin()) / item.GetNbinsX()
    if integral > 0:
        item.Scale(1.0 / integral)
    return item


def contents_of(item: Any) -> NDArray[np.float64]:
    """Return the contents of a histogram's bins ``(bins,)``, without underflow and overflow."""
    return np.array([item.GetBinContent(i) for i in range(1, item.GetNbinsX() + 1)])


# ---- trees -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Branch:
    """One branch: a column ``(events,)``, or several leaves ``(events, leaves)`` with their names."""

    values: NDArray[Any]
    leaves: tuple[str, ...] = ()


_LEAF = {"float32": "F", "float64": "D", "int32": "I"}
_FILLER = """
namespace hepml_root_tmva {
struct Filler {
  TTree &tree;
  std::vector<const char *> sources;
  std::vector<std::size_t> sizes;
  std::vector<std::unique_ptr<char[]>> buffers;
  const int *classes = nullptr;
  std::vector<std::string> names;
  std::unique_ptr<char[]> name;

  explicit Filler(TTree &into) : tree(into) {}

  void column(const char *branch, const char *leaves, std::size_t size, ULong64_t address) {
    sources.push_back(reinterpret_cast<const char *>(address));
    sizes.push_back(size);
    buffers.emplace_back(new char[size]);
    tree.Branch(branch, static_cast<void *>(buffers.back().get()), leaves);
  }
  void class_names(const char *branch, const std::vector<std::string> &of_classes, ULong64_t address) {
    classes = reinterpret_cast<const int *>(address);
    names = of_classes;
    std::size_t longest = 0;
    for (const auto &one : names)
      longest = std::max(longest, one.size());
    name.reset(new char[longest + 1]());
    tree.Branch(branch, static_cast<void *>(name.get()), (std::string(branch) + "/C").c_str());
  }
  Long64_t fill(ULong64_t events) {
    for (ULong64_t event = 0; event < events; ++event) {
      for (std::size_t i = 0; i < sources.size(); ++i)
        std::memcpy(buffers[i].get(), sources[i] + event * sizes[i], sizes[i]);
      if (classes)
        std::strcpy(name.get(), names[classes[event]].c_str());
      if (tree.Fill() < 0)
        return -1;
    }
    tree.ResetBranchAddresses();
    return tree.GetEntries();
  }
};
} // namespace hepml_root_tmva
"""


def write_tree(
    directory: Any,
    name: str,
    branches: Mapping[str, Branch],
    *,
    title: str = "",
    class_names: tuple[str, Sequence[str], NDArray[np.int32]] | None = None,
) -> None:
    """Write a TTree.

    Arguments
    ---------
    branches
        {name: column} of float32, float64 or int32, all of one length.
    class_names
        A branch with names: its own name (it comes second), the names, and which of them each event has.

    Raises
    ------
    OutputWriteError
        ROOT could not write it.
    """
    root = import_root()
    if not hasattr(root, "hepml_root_tmva"):
        root.gInterpreter.Declare(_FILLER)
    context = root.TDirectory.TContext(directory)
    tree = root.TTree(name, title or name)
    try:
        _fill_tree(root, tree, branches, class_names)
        if tree.Write("", root.TObject.kOverwrite) <= 0:
            raise OutputWriteError(f"ROOT could not write the tree '{name}': the disk may be full.")
    finally:
        tree.SetDirectory(root.nullptr)
        context.__destruct__()


def _fill_tree(
    root: Any,
    tree: Any,
    branches: Mapping[str, Branch],
    class_names: tuple[str, Sequence[str], NDArray[np.int32]] | None,
) -> None:
    filler = root.hepml_root_tmva.Filler(tree)
    held = []  # what the compiled loop reads has to stay alive
    events = 0
    for position, (label, branch) in enumerate(branches.items()):
        values = np.ascontiguousarray(branch.values)
        events = len(values)
        letter = _LEAF[values.dtype.name]
        # A colon or a slash would end the leaf's name.
        names = [re.sub(r"[:/]", "_", leaf) for leaf in (branch.leaves or (label,))]
        leaves = ":".join(f"{leaf}/{letter}" for leaf in names)
        size = values.dtype.itemsize * max(1, len(branch.leaves))
        filler.column(label, leaves, size, values.ctypes.data)
        held.append(values)
        if position == 0 and class_names is not None:
            which = np.ascontiguousarray(class_names[2], np.int32)
            held.append(which)
            filler.class_names(class_names[0], list(class_names[1]), which.ctypes.data)
    if filler.fill(events) < 0:
        raise OutputWriteError(f"ROOT could not fill the tree '{tree.GetName()}': the disk may be full.")
