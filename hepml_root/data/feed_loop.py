"""The event-loop road of the feed: data frames, friends, jagged columns, and all else that C++ computes."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from hepml_root.data.feed_expressions import compile_expression, find_columns, is_dummy
from hepml_root.data.feed_groups import group_places
from hepml_root.data.feed_library import (
    CPP_TYPES,
    TYPES,
    GroupPlace,
    NotPlainError,
    import_root,
    int_array,
    library,
    quiet,
    text_array,
)
from hepml_root.data.feed_rows import GrowingRows, Request, Rows, empty_rows
from hepml_root.data.feed_trees import NUMBER_TYPES
from hepml_root.data.rdataframe import Frame
from hepml_root.errors import ColumnTypeError, HepmlError, SettingError

_WINDOW_BYTES = 64 << 20
_POLL_MILLISECONDS = 200
_MOST_EXACT, _MOST_TENSORS, _MOST_GROUPS = 256, 256, 64
_LOOP_COLUMNS = {"rdfentry_": "ULong64_t", "rdfslot_": "unsigned int"}
_LAST = (1 << 63) - 1
_numbers = itertools.count()
# Held while the loop of a data frame runs that does not belong to the feed alone.
_running = threading.Lock()

# RDataFrame keeps its nodes private, and the feed's action hangs below one. An explicit instantiation may
# name private members, which is the one way C++ leaves open.
_PARTS = """
#include <ROOT/RDF/RInterface.hxx>
#include <ROOT/RTTreeDS.hxx>
namespace hepml_root::feed {
struct NodeMember {
   using type = std::shared_ptr<ROOT::Detail::RDF::RNodeBase> ROOT::RDF::RNode::*;
   friend type member(NodeMember);
};
template <typename Tag, typename Tag::type pointer> struct Reveal {
   friend typename Tag::type member(Tag) { return pointer; }
};
template struct Reveal<NodeMember, &ROOT::RDF::RNode::fProxiedPtr>;
struct NodeParts : ROOT::RDF::RNode {
   NodeParts(const ROOT::RDF::RNode &node) : ROOT::RDF::RNode(node) {}
   unsigned long long node() { return reinterpret_cast<unsigned long long>(&(this->*member(NodeMember{}))); }
   unsigned long long columns() { return reinterpret_cast<unsigned long long>(&fColRegister); }
   bool defined(const std::string &name) { return fColRegister.IsDefineOrAlias(name); }
   bool reads_data() { return fLoopManager->GetDataSource(); }
   TTree *tree() {
      auto *source = dynamic_cast<ROOT::Internal::RDF::RTTreeDS *>(fLoopManager->GetDataSource());
      return source ? source->GetTree() : nullptr;
   }
};
}
"""


class _LoopPlace(ctypes.Structure):
    _fields_ = (
        ("names", ctypes.POINTER(ctypes.c_char_p)),
        ("cpp_types", ctypes.POINTER(ctypes.c_char_p)),
        ("types", ctypes.POINTER(ctypes.c_int)),
        ("columns", ctypes.c_size_t),
        ("matrix", ctypes.POINTER(ctypes.c_int)),
        ("matrix_size", ctypes.c_size_t),
        ("exact", ctypes.POINTER(ctypes.c_int)),
        ("exact_size", ctypes.c_size_t),
        ("groups", ctypes.POINTER(GroupPlace)),
        ("group_count", ctypes.c_size_t),
        ("block_rows", ctypes.c_size_t),
        ("queue_blocks", ctypes.c_size_t),
        ("limit", ctypes.c_ulonglong),
        ("places", ctypes.c_int),
    )


class _BlockPlace(ctypes.Structure):
    _fields_ = (
        ("block", ctypes.c_void_p),
        ("rows", ctypes.c_ulonglong),
        ("sample", ctypes.c_char_p),
        ("range", ctypes.c_ulonglong),
        ("entry", ctypes.c_ulonglong),
        ("matrix", ctypes.c_void_p),
        ("exact", ctypes.c_void_p * _MOST_EXACT),
        ("tensors", ctypes.c_void_p * _MOST_TENSORS),
        ("losses", ctypes.c_void_p * _MOST_GROUPS),
        ("file", ctypes.c_char_p),
        ("entries", ctypes.c_void_p),
    )


class LoopPlan:
    """How a request is read through RDataFrame's event loop."""

    def __init__(
        self,
        frame: Frame,
        request: Request,
        cut: str | None,
        complete: Callable[[Rows, str, np.ndarray], Rows] | None = None,
    ) -> None:
        """``complete(rows, file, entries)`` may add what it reads itself for the selected entries."""
        tensors = sum(len(group.tensors) for group in request.jagged)
        if max(len(request.exact), tensors) > _MOST_EXACT or len(request.jagged) > _MOST_GROUPS:
            raise SettingError(
                f"at most {_MOST_EXACT} exact columns, {_MOST_GROUPS} jagged groups and {_MOST_TENSORS} "
                "tensors are read at once."
            )
        ROOT = import_root()
        self.frame = frame
        self.request = request
        self.whole = request  # of which this may be a part: it says how long the rows become
        self._complete = complete
        self._names: list[str] = []
        self._cpp_types: list[str] = []
        self._types: list[int] = []
        self._aliases: dict[str, str] = {}
        self._known = dict.fromkeys([*frame.names(), *_LOOP_COLUMNS])
        self._node = frame.node()
        self._number_of: dict[tuple[str, bool], int] = {}
        if cut is not None:
            call, _ = self._call(cut, jagged=False)
            self._node = self._node.Filter(call)
        self.matrix = [self._column(expression, jagged=False) for expression in request.matrix]
        self.exact = [self._column(expression, jagged=False) for expression in request.exact]
        self.groups = group_places(
            request.jagged,
            [[self._column(e, jagged=True) for e in group.columns] for group in request.jagged],
            [[self._column(e, jagged=False) for e in group.scalars] for group in request.jagged],
        )
        self.exact_types = [TYPES[self._types[number]] for number in self.exact]
        self._node = ROOT.RDF.AsRNode(self._node)

    def _cpp_type(self, name: str) -> str:
        return _LOOP_COLUMNS.get(name) or self.frame.cpp_type(name)

    def _legal(self, name: str) -> str:
        """A name that C++ can take for a column."""
        dummy = is_dummy(name)
        if not dummy and all(part.isidentifier() for part in name.split(".")):
            return name
        if name not in self._aliases:
            alias = self._aliases[name] = f"hepml_root_alias_{next(_numbers)}"
            self._node = self._node.Define(alias, name) if dummy else self._node.Alias(alias, name)
        return self._aliases[name]

    def _call(self, text: str, jagged: bool) -> tuple[str, str]:
        """C++ call that computes an expression, and its result's type; lists become RVec<float>."""
        expression = find_columns(text, self._known)
        types = {}
        for name in expression.columns:
            cpp_type = self._cpp_type(name)
            number = NUMBER_TYPES.get(cpp_type)
            types[name] = CPP_TYPES[TYPES.index(number)] if number else cpp_type
        function = compile_expression(expression, types, self._known)
        _check_kind(text, function.jagged, jagged)
        call = f"{function.name}({', '.join(self._legal(name) for name in expression.columns)})"
        return (f"hepml_root::feed::floats({call})", "float32") if jagged else (call, function.type)

    def _column(self, expression: str, jagged: bool) -> int:
        key = (expression, jagged)
        if key not in self._number_of:
            name, kind = self._named(expression, jagged)
            self._names.append(name)
            self._cpp_types.append(str(self._node.GetColumnType(name)))
            self._types.append(TYPES.index(kind))
            self._number_of[key] = len(self._names) - 1
        return self._number_of[key]

    def _named(self, expression: str, jagged: bool) -> tuple[str, str]:
        """Name of the data frame's column for an expression, and the type of its number(s)."""
        if expression in self._known:
            cpp_type = self._cpp_type(expression)
            number = NUMBER_TYPES.get(cpp_type)
            if number and not jagged:
                return expression, number
            listed = _list_of(cpp_type)
            _check_kind(expression, listed is not None or not number, jagged)
            if listed:
                return expression, listed
        call, kind = self._call(expression, jagged)
        name = f"hepml_root_column_{next(_numbers)}"
        self._node = self._node.Define(name, call)
        return name, kind

    def _in_own_words(self, message: str) -> str:
        """A message with expressions in place of the names that the loop gave them."""
        for (expression, _), number in self._number_of.items():
            message = message.replace(f"'{self._names[number]}'", f"'{expression}'")
        return message

    def fill(self, rows: GrowingRows, limit: int | None, threads: int) -> None:  # noqa: ARG002 - the loop has its own
        """Append all rows, ``limit`` at most."""
        with contextlib.nullcontext() if self.frame.trees else _running:
            for piece in self._blocks(1 << 16, 0, None, limit, exclusive=False):
                rows.append(piece)

    def blocks(self, block_events: int, first: int, last: int | None, threads: int) -> Iterator[Rows]:  # noqa: ARG002
        """Give the rows of the entries [first, last) in order, at most ``block_events`` at a time."""
        return self._blocks(block_events, first, last, None, exclusive=not self.frame.trees)

    def _blocks(
        self, block_events: int, first: int, last: int | None, limit: int | None, exclusive: bool
    ) -> Iterator[Rows]:
        """As :meth:`blocks`. ``exclusive``: no loop is left open while the caller has a block.

        A data frame, which other frames may hang on, runs one loop at a time: blocks of two classes that are
        filters of one frame are read in turn, and their loops must not be open together.
        """
        block_events = self.whole.block_events(block_events)
        ROOT = import_root()
        slots = int(self._node.GetNSlots())
        left = limit
        ranges: list[tuple[int, int] | None] = [None]
        if (slots > 1 or exclusive) and node_parts(ROOT, self._node).reads_data():
            ranges = list(self._windows(first, last, slots)) or [None]
        elif first or last is not None:
            ranges = [(first, _LAST if last is None else last)]
        for window in ranges:
            if exclusive:
                with _running, _entries(ROOT, self._node, window):
                    loop = self._run(ROOT, block_events, None, slots)
                    pieces = list(loop if slots == 1 else _sorted(loop, self._files()))
                pieces.reverse()
                while pieces:
                    yield pieces.pop()
                continue
            with _entries(ROOT, self._node, window):
                loop = self._run(ROOT, block_events, left if slots == 1 else None, slots)
                for piece in loop if slots == 1 else _sorted(loop, self._files()):
                    if left is not None:
                        piece = piece[:left]
                        left -= len(piece)
                    if len(piece):
                        yield piece
                    if left == 0:
                        loop.close()
                        return

    def _windows(self, first: int, last: int | None, slots: int) -> Iterator[tuple[int, int]]:
        """Cut the entries into windows of clusters, which a multi-threaded loop reads one after the other.

        Threads finish in any order; inside a window the rows are sorted, and memory stays bounded.
        """
        ROOT = import_root()
        row_bytes = max(self.whole.row_bytes(), 1)
        events = max(_WINDOW_BYTES // row_bytes, 1 << 13) if slots > 1 else self.whole.block_events(1 << 15)
        with quiet():
            clusters = [
                (int(a), int(b)) for a, b in ROOT.Internal.RDF.GetDatasetGlobalClusterBoundaries(self._node)
            ]
        end = clusters[-1][1] if clusters else 0
        last = end if last is None else min(last, end)
        begin, count = first, 0
        for _, stop in clusters:
            count += 1
            if stop > begin and ((stop - begin >= events and count >= slots) or stop >= last):
                yield begin, min(stop, last)
                begin, count = stop, 0
                if begin >= last:
                    return

    def _files(self) -> dict[str, int]:
        """Position of each file of a chain, by the name that the event loop gives its samples."""
        tree = node_parts(import_root(), self._node).tree()
        if not tree or not hasattr(tree, "GetListOfFiles"):
            return {}
        names = [f"{item.GetTitle()}/{item.GetName()}" for item in tree.GetListOfFiles()]
        return {name: position for position, name in enumerate(names)}

    def _run(self, ROOT: Any, block_events: int, limit: int | None, slots: int) -> Generator[Any]:
        ROOT.EnableThreadSafety()
        functions = library("loop")
        place = _LoopPlace(
            text_array(self._names), text_array(self._cpp_types), int_array(self._types), len(self._names),
            int_array(self.matrix), len(self.matrix), int_array(self.exact), len(self.exact), self.groups,
            len(self.request.jagged),
            block_events, 2 + 2 * slots, limit or 0, self._complete is not None,
        )  # fmt: skip
        parts = node_parts(ROOT, self._node)
        handle = ctypes.c_void_p()
        about = f"{self.frame.name}: "
        functions.checked(
            "hepml_loop_start",
            parts.node(),
            parts.columns(),
            ctypes.byref(place),
            ctypes.byref(handle),
            about=about,
        )
        block = _BlockPlace()
        try:
            while True:
                try:
                    code = functions.checked(
                        "hepml_loop_next", handle, ctypes.byref(block), _POLL_MILLISECONDS, about=about
                    )
                except HepmlError as error:
                    raise type(error)(self._in_own_words(str(error))) from None
                if code == 0:
                    return
                if code == 1:
                    rows = self._rows(block)
                    key = (block.sample, block.range, block.entry)
                    functions.hepml_loop_release(block.block)
                    yield (key, rows) if slots > 1 else rows
        finally:
            functions.hepml_loop_close(handle)

    def _rows(self, block: _BlockPlace) -> Rows:
        count = int(block.rows)
        rows = empty_rows(self.request, count, self.exact_types)
        _copy(block.matrix, rows.matrix)
        for place, values in zip(block.exact, rows.exact.values(), strict=False):
            _copy(place, values)
        tensors = [array for group in self.request.jagged for array in rows.jagged[group.name]]
        for place, values in zip(block.tensors, tensors, strict=False):
            _copy(place, values)
        for place, group in zip(block.losses, self.request.jagged, strict=False):
            if group.name in rows.losses:
                _copy(place, rows.losses[group.name])
        if self._complete is None:
            return rows
        return self._complete(rows, block.file.decode(), _copy(block.entries, np.empty(count, np.uint64)))


class Shortcut:
    """A plan that avoids the event loop for what is stored plainly.

    That a file stores it otherwise can be found out late, when the file is opened; then the event loop, which
    reads everything, does it all.
    """

    frame: Frame
    request: Request
    cut_text: str | None

    def _fill(self, rows: GrowingRows, limit: int | None, threads: int) -> None:
        raise NotImplementedError

    def _blocks(self, block_events: int, first: int, last: int | None, threads: int) -> Iterator[Rows]:
        raise NotImplementedError

    def _loop(self) -> LoopPlan:
        return LoopPlan(self.frame, self.request, self.cut_text)

    def fill(self, rows: GrowingRows, limit: int | None, threads: int) -> None:
        """Append all rows, ``limit`` at most."""
        before = rows.rows
        try:
            self._fill(rows, limit, threads)
        except NotPlainError:
            rows.rows = before
        else:
            return
        self._loop().fill(rows, limit, threads)

    def blocks(self, block_events: int, first: int, last: int | None, threads: int) -> Iterator[Rows]:
        """Give the rows of the entries [first, last) in order, at most ``block_events`` at a time."""
        given = 0
        try:
            for rows in self._blocks(block_events, first, last, threads):
                given += len(rows)
                yield rows
        except NotPlainError:
            pass
        else:
            return
        for rows in self._loop().blocks(block_events, first, last, threads):
            if len(rows) > given:
                yield rows[given:] if given else rows
            given = max(given - len(rows), 0)


def _sorted(loop: Iterator[Any], files: dict[str, int]) -> Iterator[Rows]:
    """Order the pieces of a multi-threaded loop as one thread would give them: by file, range and entry."""

    def key(piece: Any) -> tuple[Any, ...]:
        sample, first, entry = piece[0]
        if sample.startswith(b"Empty source"):
            return 0, 0, entry
        return files.get(sample.decode(), len(files)), first, entry

    pieces = sorted(loop, key=key, reverse=True)
    while pieces:  # one by one, so that their memory is free when it has been used
        yield pieces.pop()[1]


def _copy(address: int, to: np.ndarray) -> np.ndarray:
    """Fill an array from an address."""
    if to.nbytes:
        ctypes.memmove(to.ctypes.data, address, to.nbytes)
    return to


def _list_of(cpp_type: str) -> str | None:
    """Type of the numbers of an RVec, whose values lie one after the other; None for any other type."""
    for start in ("ROOT::VecOps::RVec<", "ROOT::RVec<"):
        if cpp_type.startswith(start):
            return NUMBER_TYPES.get(cpp_type[len(start) : -1].strip())
    return None


def _check_kind(text: str, is_jagged: bool, wanted: bool) -> None:
    if is_jagged and not wanted:
        raise ColumnTypeError(
            f"'{text}' has several values per event (or is no number). Give the column a max_length, or make "
            f"it a number: '{text}[0]', 'Sum({text})'."
        )
    if wanted and not is_jagged:
        raise ColumnTypeError(f"'{text}' has one value per event, so it takes no max_length.")


@functools.cache
def _declare_parts() -> None:
    import_root().gInterpreter.Declare(_PARTS)


def node_parts(ROOT: Any, node: Any) -> Any:
    """Return what the feed needs of a data frame's node (NodeParts above)."""
    _declare_parts()
    return ROOT.hepml_root.feed.NodeParts(node)


@contextlib.contextmanager
def _entries(ROOT: Any, node: Any, window: tuple[int, int] | None) -> Iterator[None]:
    """Restrict the loop of a node to a range of entries."""
    if window is None:
        yield
        return
    ROOT.Internal.RDF.ChangeBeginAndEndEntries(node, *window)
    try:
        yield
    finally:
        ROOT.Internal.RDF.ChangeBeginAndEndEntries(node, 0, _LAST)
