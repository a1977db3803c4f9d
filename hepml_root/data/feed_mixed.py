"""The mixed road of the feed: the event loop for what needs it, bulk reading for the plain branches.

A data frame's loop reads a branch value by value, many times slower than in bulk. So the loop evaluates
filters, Defines and jagged expressions only, and notes which entries passed; the branches that the rows and
representations take as they are stored are then gathered from the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hepml_root.data.feed_bulk import BulkPlan, Table
from hepml_root.data.feed_library import NotPlainError, import_root
from hepml_root.data.feed_loop import LoopPlan, Shortcut, node_parts
from hepml_root.data.feed_rows import (
    GrowingRows,
    Jagged,
    Represented,
    Request,
    Rows,
    empty_rows,
    places_of,
)
from hepml_root.data.feed_trees import StoredTree
from hepml_root.data.rdataframe import Frame, Source

_FEWEST = 3  # below, opening the files a second time does not pay


class MixedPlan(Shortcut):
    """How a request is read partly in bulk from the files below a data frame.

    Raises NotPlainError where there is too little to gain, or the data frame does not stand on plain TTrees.
    """

    def __init__(self, frame: Frame, request: Request, cut: str | None) -> None:
        self.frame = frame
        self.request = request
        self.cut_text = cut
        if frame.trees and frame.trees[0].format != "ttree":
            raise NotPlainError("an RNTuple that needs the event loop is read there")
        parts = node_parts(import_root(), import_root().RDF.AsRNode(frame.node()))
        trees = frame.trees or _trees_below(parts.tree())
        stored = Frame(Source([tree.path for tree in trees]), frame.name, trees)

        def is_plain(expression: str) -> bool:
            place = stored.plain(expression)
            return place is not None and not parts.defined(expression.partition("[")[0].strip())

        def is_plain_group(group: Jagged | Represented) -> bool:
            return all(map(is_plain, group.scalars)) and all(
                stored.plain_list(name) is not None and not parts.defined(name) for name in group.columns
            )

        self._plain = [is_plain(expression) for expression in request.matrix]
        self._plain_exact = [expression for expression in request.exact if is_plain(expression)]
        groups = [group for group in request.jagged if is_plain_group(group)]
        if sum(self._plain) + len(self._plain_exact) < _FEWEST and not groups:
            raise NotPlainError("too few plain branches")
        matrix = [e for e, plain in zip(request.matrix, self._plain, strict=True) if plain]
        others = [e for e, plain in zip(request.matrix, self._plain, strict=True) if not plain]
        left = [e for e in request.exact if e not in self._plain_exact]
        gathered = Request(matrix=tuple(matrix), jagged=tuple(groups), exact=tuple(self._plain_exact))
        self._bulk = BulkPlan(stored, gathered, None)
        looped = Request(
            matrix=tuple(others),
            jagged=tuple(group for group in request.jagged if group not in groups),
            exact=tuple(left),
        )
        self._inner = LoopPlan(frame, looped, cut, self._complete)
        self._inner.whole = request
        kinds = dict(zip(self._plain_exact, self._bulk.exact_types, strict=True))
        kinds.update(zip(left, self._inner.exact_types, strict=True))
        self.exact_types = [kinds[expression] for expression in request.exact]
        self._stored = {tree.path: tree for tree in trees}
        self._table: Table | None = None

    def _fill(self, rows: GrowingRows, limit: int | None, threads: int) -> None:
        self._inner.fill(rows, limit, threads)

    def _blocks(self, block_events: int, first: int, last: int | None, threads: int) -> Iterator[Rows]:
        return self._inner.blocks(block_events, first, last, threads)

    def _complete(self, rows: Rows, path: str, entries: np.ndarray) -> Rows:
        """Gather the plain columns of the entries that the loop selected in a file."""
        count = len(entries)
        if self._table is None or self._table.stored.path != path:
            self._table = Table(self._bulk, self._stored[path])
        gathered = empty_rows(self._bulk.request, count, self._bulk.exact_types)
        self._table.filler().gather(entries, places_of(gathered, self._bulk.request))
        matrix = gathered.matrix
        if not all(self._plain):
            matrix = np.empty((count, len(self._plain)), np.float32)
            plain = np.asarray(self._plain, dtype=bool)
            matrix[:, plain] = gathered.matrix
            matrix[:, ~plain] = rows.matrix
        exact = {**rows.exact, **gathered.exact}
        return Rows(
            matrix,
            {**rows.jagged, **gathered.jagged},
            {expression: exact[expression] for expression in self.request.exact},
            {**rows.losses, **gathered.losses},
        )


def _trees_below(tree: Any) -> list[StoredTree]:
    """The files of the tree that a data frame reads."""
    if not tree or tree.GetEntryList():
        raise NotPlainError("the data frame reads no tree, or a list of its entries")
    if hasattr(tree, "GetListOfFiles"):
        files = tree.GetListOfFiles()
        trees = [StoredTree(str(item.GetTitle()), str(item.GetName()), "ttree") for item in files]
    else:
        file = tree.GetCurrentFile()
        if not file or file.IsWritable():
            raise NotPlainError("the tree is not in a finished file")
        folder = str(tree.GetDirectory().GetPath()).split(":", 1)[1].strip("/")
        name = f"{folder}/{tree.GetName()}" if folder else str(tree.GetName())
        trees = [StoredTree(str(file.GetName()), name, "ttree")]
    if not trees or len({stored.path for stored in trees}) != len(trees):
        raise NotPlainError("a file is read twice")
    return trees
