"""Events out of what users have: trees, chains, files, data frames, tables of arrays.

Expressions of trees are ROOT's formulas, as in TMVA: ``1/2`` is 0.5 there and 0 in the C++ of a data frame.
Where all that is asked for are plain branches of a file, the feed reads them in bulk instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data import feed
from hepml_root.data.feed_library import import_root, quiet
from hepml_root.data.rdataframe import Frame, is_frame
from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    ExpressionError,
    NonFiniteInputError,
    SourceNotFoundError,
    unknown,
)
from hepml_root.tmva.data_sets.interpreter import declared


@dataclass(frozen=True)
class Quantity:
    """An expression; with a length, an array of so many numbers of each event."""

    expression: str
    length: int = 0


@dataclass(frozen=True)
class Read:
    """Events of one tree that pass its cut.

    Arguments
    ---------
    values
        ``(events, numbers)`` float32, the quantities one after the other.
    weights
        ``(events,)``: the weight expression, 1 without one.
    entries, before_cut, weight_before_cut
        Entries of the tree, events before the cut (an entry of arrays has several), and their weights.
    """

    values: NDArray[np.float32]
    weights: NDArray[np.float64]
    entries: int
    before_cut: int
    weight_before_cut: float


def opened(source: Any) -> Any:
    """Return a tree or data frame for anything that holds events.

    Arguments
    ---------
    source
        A TTree or TChain, an RDataFrame, ``"file.root"`` or ``"file.root:tree"`` (also with wildcards), a
        text file as TTree.ReadFile takes it, a dictionary of arrays, a pandas table.

    Raises
    ------
    SourceNotFoundError
        There is no such file or tree.
    ColumnTypeError
        It is nothing of that.
    """
    ROOT = import_root()
    if source is None or (isinstance(source, ROOT.TObject) and not source):
        raise SourceNotFoundError("the tree does not exist (a null pointer): look at its name in the file.")
    if isinstance(source, ROOT.TTree) or is_frame(source):
        return source
    if isinstance(source, (str, os.PathLike, ROOT.TString)):
        return _file(ROOT, str(source))
    columns = {str(name): np.ascontiguousarray(source[name]) for name in source} if _table(source) else None
    if columns is None:
        raise ColumnTypeError(
            f"a {type(source).__name__} holds no events: give a TTree, a TChain, an RDataFrame, a file name, "
            "or a dictionary of arrays."
        )
    return ROOT.RDF.FromNumpy(columns)


def _table(source: Any) -> bool:
    return isinstance(source, Mapping) or (hasattr(source, "columns") and hasattr(source, "dtypes"))


def _file(ROOT: Any, name: str) -> Any:
    if not re.search(r"\.root(:|$|\?)", name) and os.path.isfile(name):
        tree = ROOT.TTree(os.path.splitext(os.path.basename(name))[0], name)
        tree.SetDirectory(ROOT.nullptr)
        if tree.ReadFile(name) <= 0:
            raise SourceNotFoundError(
                f"'{name}' is no ROOT file, and no text file that TTree.ReadFile reads."
            )
        return tree
    frame = Frame.open(name)
    if not frame.trees or frame.trees[0].format != "ttree":
        return frame.node()
    chain = ROOT.TChain(frame.trees[0].tree)
    for stored in frame.trees:
        chain.Add(f"{stored.path}/{stored.tree}" if stored.tree != frame.trees[0].tree else stored.path)
    return chain


def entries(source: Any) -> int:
    """Return how many entries a tree or data frame has."""
    return int(source.Count().GetValue() if is_frame(source) else source.GetEntries())


def read(source: Any, quantities: Sequence[Quantity], cut: str = "", weight: str = "") -> Read:
    """Read the events of one tree or data frame (what :func:`opened` returned).

    Raises
    ------
    ColumnNotFoundError
        An expression names no branch of the tree; with the nearest names.
    ExpressionError
        An expression cannot be read, or arrays have different lengths.
    NonFiniteInputError
        Events that pass the cut have NaN or infinity: which expressions, and how many events.
    """
    if not is_frame(source) and not _plain(source, quantities, cut, weight):
        found = _by_formulas(source, quantities, cut, weight)
    else:
        found = _by_feed(source, quantities, cut, weight)
    return found


def _plain(tree: Any, quantities: Sequence[Quantity], cut: str, weight: str) -> bool:
    """True if all that is asked for are scalar branches of a file."""
    if cut or any(quantity.length for quantity in quantities) or not tree.GetCurrentFile():
        return False
    with quiet():
        frame = Frame.open(tree)
    wanted = [quantity.expression for quantity in quantities] + ([weight] if weight else [])
    plain = [frame.plain(name) for name in wanted if frame.trees]
    return len(plain) == len(wanted) and all(found is not None and found[1] == 0 for found in plain)


def _by_feed(source: Any, quantities: Sequence[Quantity], cut: str, weight: str) -> Read:
    names: list[str] = []
    for quantity in quantities:
        names += [f"{quantity.expression}[{i}]" for i in range(quantity.length)] or [quantity.expression]
    frame = Frame.open(source)
    request = feed.Request(matrix=tuple(names), exact=(weight,) if weight else (), cut=cut or None)
    rows, _ = feed.read([(frame, request)])
    weights = rows.exact[weight].astype(np.float64) if weight else np.ones(len(rows.matrix))
    bad = {name: int(n) for name, n in zip(names, (~np.isfinite(rows.matrix)).sum(axis=0), strict=True) if n}
    if not np.isfinite(weights).all():
        bad[weight] = int((~np.isfinite(weights)).sum())
    _refuse_not_finite(bad, frame.name)
    if not cut:
        return Read(rows.matrix, weights, len(weights), len(weights), float(weights.sum()))
    everything = frame.node()
    total = int(everything.Count().GetValue())
    if not weight:
        return Read(rows.matrix, weights, total, total, float(total))
    column = weight
    if not frame.has(weight):
        column = "hepml_weight_before_cut"
        everything = everything.Define(column, f"double({weight})")
    sum_before = float(everything.Sum(column).GetValue())
    return Read(rows.matrix, weights, total, total, sum_before)


def _by_formulas(tree: Any, quantities: Sequence[Quantity], cut: str, weight: str) -> Read:
    ROOT = import_root()
    cpp = declared("formulas.hxx")
    expressions = ROOT.std.vector["std::string"]([quantity.expression for quantity in quantities])
    lengths = ROOT.std.vector["int"]([quantity.length for quantity in quantities])
    level, ROOT.gErrorIgnoreLevel = ROOT.gErrorIgnoreLevel, ROOT.kFatal
    try:
        events = cpp.evaluate_formulas(tree, expressions, lengths, cut, weight)
    except Exception as error:  # PyROOT's class for a C++ exception derives from this only
        text = str(error).rsplit("=>", 1)[-1].strip()
        text = text.removeprefix("runtime_error:").strip()
        raise _explained(tree, text) from None
    finally:
        ROOT.gErrorIgnoreLevel = level
    width = sum(max(quantity.length, 1) for quantity in quantities)
    names = [*(quantity.expression for quantity in quantities), cut, weight]
    bad = {name: int(n) for name, n in zip(names, events.not_finite, strict=True) if n}
    _refuse_not_finite(bad, f"tree '{tree.GetName()}'")
    values = np.array(events.values, np.float32).reshape(-1, width)
    return Read(
        values,
        np.array(events.weights, np.float64),
        int(events.entries),
        int(events.before_cut),
        float(events.weight_before_cut),
    )


def _refuse_not_finite(bad: Mapping[str, int], where: str) -> None:
    if bad:
        found = ", ".join(f"'{name}' in {count} events" for name, count in bad.items())
        raise NonFiniteInputError(
            f"{where}: NaN or infinity in {found} that pass the cuts. Cut them away, such as with "
            "!TMath::IsNaN(x), or mend the expression."
        )


def _explained(tree: Any, text: str) -> Exception:
    """Return the error for what the C++ says, with the nearest branches of a name that is none."""
    where = f"tree '{tree.GetName()}'"
    if not text.startswith("bad expression: "):
        return ExpressionError(f"{where}: {text}.")
    expression = text.removeprefix("bad expression: ").splitlines()[0]
    branches = [str(leaf.GetName()) for leaf in tree.GetListOfLeaves()]
    branches += [str(alias.GetName()) for alias in tree.GetListOfAliases() or []]
    for name in re.findall(r"(?<![\w.:$])[A-Za-z_][\w.]*(?!\s*\(|::|[\w.])", expression):
        if name not in branches:
            return ColumnNotFoundError(
                f"{where}, expression '{expression}': {unknown('branch', name, branches)}"
            )
    return ExpressionError(f"{where}: the expression '{expression}' cannot be read by ROOT's TTreeFormula.")
