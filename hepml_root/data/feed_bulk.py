"""The bulk road of the feed: columns of files, expressions and cuts of scalars, without an event loop."""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from hepml_root.data.feed_expressions import compile_expression, find_columns, kernel_address
from hepml_root.data.feed_groups import group_places
from hepml_root.data.feed_library import (
    CPP_TYPES,
    TYPES,
    ColumnPlace,
    KernelPlace,
    Library,
    NotPlainError,
    RowPlaces,
    exact_type,
    import_root,
    int_array,
    library,
    quiet,
    text_array,
)
from hepml_root.data.feed_loop import Shortcut
from hepml_root.data.feed_rows import GrowingRows, Request, Rows, empty_rows, places_of
from hepml_root.data.feed_trees import StoredTree, open_file
from hepml_root.data.rdataframe import Frame
from hepml_root.errors import ColumnTypeError

# Columns that RDataFrame defines itself: rdfentry_, rdfslot_, rdfsampleinfo_.
_LOOP_COLUMN = re.compile(r"\brdf(entry|slot|sampleinfo)_")


class BulkPlan(Shortcut):
    """How a request is read from the files of a frame.

    Raises NotPlainError where a column needs the event loop.
    """

    def __init__(self, frame: Frame, request: Request, cut: str | None) -> None:
        if not frame.trees or frame.source.friends:
            raise NotPlainError("the source is no plain file")
        self.frame = frame
        self.request = request
        self.cut_text = cut
        self._places: list[tuple[str, str, int]] = []
        self._types: list[str] = []
        self._kernels: list[tuple[int, list[int], str]] = []
        self._kernel_of: dict[str, int] = {}
        self._lists = self._plain_lists(frame, request)
        scalars = [expression for group in request.jagged for expression in group.scalars]
        wanted = [*request.matrix, *request.exact, *scalars, *([cut] if cut else [])]
        plain = {expression: frame.plain(expression) for expression in wanted}
        names = frame._plain if frame._complete else dict.fromkeys(frame.names())
        found = {e: find_columns(e, names) for e, column in plain.items() if column is None}
        # First all stored columns, then the expressions: kernels are numbered after the columns.
        for column in plain.values():
            if column is not None:
                self._stored(*column)
        for expression in found.values():
            if _LOOP_COLUMN.search(expression.text):
                raise NotPlainError(f"'{expression.original}' asks the event loop for its position")
            for name in expression.columns:
                column = frame.plain(name)
                if column is None:
                    raise NotPlainError(f"'{name}' is no scalar")
                self._stored(*column)
        for text, expression in found.items():
            types = {name: self._cpp_type(name) for name in expression.columns}
            function = compile_expression(expression, types, names)
            if function.jagged:
                raise ColumnTypeError(f"'{text}' has several values per event, and one is needed.")
            inputs = [self._stored(*frame.plain(name)) for name in expression.columns]  # type: ignore[misc]
            self._kernel_of[text] = len(self._kernels)
            self._kernels.append((kernel_address(function), inputs, function.type))
        self._plain_of = plain
        self.cut = -1 if cut is None else self._number(cut)
        self.matrix = [self._number(expression) for expression in request.matrix]
        self.exact = [self._number(expression) for expression in request.exact]
        self.groups = group_places(
            request.jagged,
            [[self._lists.index(expression) for expression in group.columns] for group in request.jagged],
            [[self._number(expression) for expression in group.scalars] for group in request.jagged],
        )
        every = [*self._types, *(kernel[2] for kernel in self._kernels)]
        self.exact_types = [every[number] for number in self.exact]

    @staticmethod
    def _plain_lists(frame: Frame, request: Request) -> list[str]:
        """The jagged columns, by name."""
        names = dict.fromkeys(expression for group in request.jagged for expression in group.columns)
        for expression in names:
            if frame.plain_list(expression) is None:
                raise NotPlainError(f"'{expression}' is no plain list")
        return list(names)

    def _stored(self, column: Any, element: int) -> int:
        place = (column.branch, column.leaf, element)
        if place not in self._places:
            self._places.append(place)
            self._types.append(column.type)
        return self._places.index(place)

    def _cpp_type(self, name: str) -> str:
        return CPP_TYPES[TYPES.index(self.frame._plain[name].type)]

    def _number(self, expression: str) -> int:
        column = self._plain_of[expression]
        if column is not None:
            return self._stored(*column)
        return len(self._places) + self._kernel_of[expression]

    def _fill(self, rows: GrowingRows, limit: int | None, threads: int) -> None:
        end = None if limit is None else rows.rows + limit
        if threads > 1 and self.cut >= 0:
            for piece in self._blocks(1 << 16, 0, None, threads):
                if end is not None and rows.rows + len(piece) > end:
                    piece = piece[: end - rows.rows]
                rows.append(piece)
                if rows.rows == end:
                    return
            return
        before = rows.rows
        for stored in self.frame.trees:
            if rows.rows == end:
                break
            table = Table(self, stored)
            if self.cut >= 0:
                self._fill_selected(table, rows, end)
            else:
                count = table.entries if end is None else min(table.entries, end - rows.rows)
                self._fill_all(table, rows, count, threads)
        for array, kind in zip(rows.exact, self.exact_types, strict=True):
            if array.dtype != exact_type(kind):  # of a column that has another type in other parts
                written = array.view(before, rows.rows)
                written[...] = written.view(exact_type(kind)).astype(array.dtype)
                del written

    def _fill_selected(self, table: Table, rows: GrowingRows, end: int | None) -> None:
        filler = Filler(table)
        for first, last in table.pieces(1 << 16, 0, table.entries, whole=False):
            rows.reserve(last - first)
            most = last - first if end is None else min(last - first, end - rows.rows)
            rows.rows += filler.fill(first, last, most, rows.places(rows.rows))
            if rows.rows == end:
                return

    def _fill_all(self, table: Table, rows: GrowingRows, count: int, threads: int) -> None:
        rows.reserve(count)
        start = rows.rows

        def work(first: int, last: int) -> None:
            table.filler().fill(first, last, last - first, rows.places(start + first))

        pieces = list(table.pieces(1 << 16 if threads > 1 else 1 << 18, 0, count, whole=threads > 1))
        for _ in in_order(work, iter(pieces), threads):
            pass
        rows.rows += count

    def _blocks(self, block_events: int, first: int, last: int | None, threads: int) -> Iterator[Rows]:
        block_events = self.request.block_events(block_events)

        def tasks() -> Iterator[tuple[Table, int, int]]:
            offset = 0
            for stored in self.frame.trees:
                if last is not None and offset >= last:
                    return
                table = Table(self, stored)
                begin = max(first - offset, 0)
                end = table.entries if last is None else min(table.entries, last - offset)
                for piece in table.pieces(block_events, begin, end, whole=threads > 1):
                    yield (table, *piece)
                offset += table.entries

        for rows in in_order(self._piece, tasks(), threads):
            for start in range(0, len(rows), block_events):
                yield rows[start : start + block_events]

    def _piece(self, table: Table, first: int, last: int) -> Rows:
        count = last - first
        rows = empty_rows(self.request, count, self.exact_types)
        return rows[: table.filler().fill(first, last, count, places_of(rows, self.request))]


class Table:
    """One opened file of a plan. Its fillers, one per thread, read it."""

    def __init__(self, plan: BulkPlan, stored: StoredTree) -> None:
        self.plan = plan
        self.stored = stored
        self._library: Library = library("ntuple" if stored.format == "rntuple" else "tree")
        self._about = f"'{stored.path}:{stored.tree}': "
        self._handle = ctypes.c_void_p()
        self._local = threading.local()
        places = (ColumnPlace * max(len(plan._places), 1))(
            *[ColumnPlace(branch.encode(), leaf.encode(), element) for branch, leaf, element in plan._places]
        )
        open_file(stored.path).Close()  # says what is wrong with a file better than the reader could
        with quiet():
            self._call(
                f"hepml_{'ntuple' if stored.format == 'rntuple' else 'tree'}_open", stored.path.encode(),
                stored.tree.encode(), places, len(plan._places), text_array(plan._lists), len(plan._lists),
                ctypes.byref(self._handle),
            )  # fmt: skip
        types = (ctypes.c_int * max(len(plan._types), 1))()
        self._library.hepml_table_types(self._handle, types)
        for (branch, _, _), expected, got in zip(plan._places, plan._types, types, strict=False):
            if TYPES[got] != expected:
                raise ColumnTypeError(
                    f"column '{branch}' is {TYPES[got]} in '{stored.path}' and {expected} in "
                    f"'{plan.frame.trees[0].path}'. Give files of one kind as one source."
                )
        self.entries = int(self._library.hepml_table_entries(self._handle))

    def _call(self, name: str, *arguments: Any) -> int:
        return self._library.checked(name, *arguments, about=self._about)

    def filler(self) -> Filler:
        """Return the filler of this thread."""
        if not hasattr(self._local, "filler"):
            self._local.filler = Filler(self)
        return self._local.filler

    def pieces(self, events: int, first: int, last: int, whole: bool) -> Iterator[tuple[int, int]]:
        """Cut [first, last) into pieces of about ``events`` entries; ``whole``: at boundaries of clusters.

        Threads that stop inside a cluster would unpack its baskets twice.
        """
        borders = list(range(first, last, events))
        if whole and borders:
            count = int(self._library.hepml_table_clusters(self._handle, None, 0))
            starts = (ctypes.c_ulonglong * max(count, 1))()
            self._library.hepml_table_clusters(self._handle, starts, count)
            borders = [first]
            for start in starts[:count]:
                if start < last and start - borders[-1] >= events:
                    borders.append(start)
        return zip(borders, [*borders[1:], last], strict=False)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.hepml_table_close(self._handle)


class Filler:
    """What turns the entries of a table into rows; belongs to one thread."""

    def __init__(self, table: Table) -> None:
        plan = table.plan
        self._library = table._library
        self._about = table._about
        self._handle = ctypes.c_void_p()
        inputs = [int_array(kernel[1]) for kernel in plan._kernels]
        kernels = (KernelPlace * max(len(inputs), 1))(
            *[
                KernelPlace(
                    address, ctypes.cast(array, ctypes.POINTER(ctypes.c_int)), len(columns), TYPES.index(kind)
                )
                for (address, columns, kind), array in zip(plan._kernels, inputs, strict=True)
            ]
        )
        table._call(
            "hepml_filler_open", table._handle, kernels, len(inputs), plan.cut, int_array(plan.matrix),
            len(plan.matrix), int_array(plan.exact), len(plan.exact), plan.groups, len(plan.request.jagged),
            ctypes.byref(self._handle),
        )  # fmt: skip

    def fill(self, first: int, last: int, limit: int, places: RowPlaces) -> int:
        """Write the rows of entries [first, last); return their number."""
        return self._library.checked(
            "hepml_filler_fill", self._handle, first, last, limit, ctypes.byref(places), about=self._about
        )

    def gather(self, entries: np.ndarray, places: RowPlaces) -> None:
        """Write the rows of these entries (uint64, ascending)."""
        self._library.checked(
            "hepml_filler_gather", self._handle, entries.ctypes.data, len(entries), ctypes.byref(places),
            about=self._about,
        )  # fmt: skip

    def __del__(self) -> None:
        if self._handle:
            self._library.hepml_filler_close(self._handle)


def in_order(work: Callable[..., Any], tasks: Iterator[tuple[Any, ...]], threads: int) -> Iterator[Any]:
    """Do the tasks in threads, a few ahead, and give their results in order."""
    if threads > 1:
        import_root().EnableThreadSafety()
    else:
        for task in tasks:
            yield work(*task)
        return
    with ThreadPoolExecutor(threads, "hepml_root feed") as pool:
        waiting: list[Future[Any]] = []
        try:
            for task in tasks:
                waiting.append(pool.submit(work, *task))
                if len(waiting) > 2 * threads:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
