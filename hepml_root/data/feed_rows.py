"""Rows of events: what is asked for, what comes back, and memory that grows without copying."""

from __future__ import annotations

import ctypes
import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hepml_root.data.feed_library import RowPlaces, exact_type, pointer_array

_BLOCK_BYTES = 32 << 20
LOSSES = ("truncated", "dropped", "empty")


@dataclass(frozen=True)
class Tensor:
    """One tensor that jagged columns become: float32 (events, *shape), or bool for a mask."""

    name: str
    shape: tuple[int, ...]
    mask: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """NumPy type of its values."""
        return np.dtype(np.bool_ if self.mask else np.float32)


@dataclass(frozen=True)
class Jagged:
    """Columns with several values per event: one tensor (events, max_length, columns) and a mask."""

    name: str
    columns: tuple[str, ...]
    max_length: int
    scalars: tuple[str, ...] = ()
    description: str | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The values and their mask."""
        shape = (self.max_length, len(self.columns))
        return Tensor(self.name, shape), Tensor(f"{self.name}_mask", shape[:1], mask=True)


@dataclass(frozen=True)
class Represented:
    """Columns with several values per event, and values of the event, that a representation makes tensors of.

    Arguments
    ---------
    name:
        Its name.
    description:
        What its C++ is made from (``Representation.to_dict()`` as JSON).
    columns, scalars:
        Expressions, in the order of the description.
    tensors:
        What it gives, in the order of the description.
    column_labels, scalar_labels:
        Labels of the columns and scalars.
    """

    name: str
    description: str
    columns: tuple[str, ...]
    scalars: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    column_labels: tuple[str, ...]
    scalar_labels: tuple[str, ...]
    max_length: int = 0

    @classmethod
    def of(cls, description: Mapping[str, Any], expressions: Mapping[str, str] | None = None) -> Represented:
        """Make one from what a manifest holds; ``expressions`` are read for the labels they name."""
        replaced = expressions or {}
        columns, scalars = (
            tuple(str(replaced.get(entry["label"], entry["expression"])) for entry in description[part])
            for part in ("columns", "scalars")
        )
        tensors = tuple(
            Tensor(entry["name"], tuple(entry["shape"]), entry["kind"] == "mask")
            for entry in description["outputs"]
        )
        labels, scalar_labels = (
            tuple(str(entry["label"]) for entry in description[part]) for part in ("columns", "scalars")
        )
        text = description_text(description)
        return cls(str(description["name"]), text, columns, scalars, tensors, labels, scalar_labels)


def description_text(description: Mapping[str, Any]) -> str:
    """Return the JSON that C++ makes a representation from: without expressions, which change no tensor."""
    kept = dict(description)
    for part in ("columns", "scalars"):
        kept[part] = [{"label": entry["label"]} for entry in description[part]]
    return json.dumps(kept, sort_keys=True)


@dataclass(frozen=True)
class Request:
    """What to read of each event.

    Arguments
    ---------
    matrix:
        Expressions that become the columns of one row-major float32 matrix.
    jagged:
        Groups of jagged columns that become tensors, padded or represented.
    exact:
        Expressions that are kept exactly: float64, int64 or uint64 (weights, event numbers, spectators).
    cut:
        Only events for which this expression is true; together with the cut of the source.
    """

    matrix: tuple[str, ...] = ()
    jagged: tuple[Jagged | Represented, ...] = ()
    exact: tuple[str, ...] = ()
    cut: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", tuple(self.matrix))
        object.__setattr__(self, "jagged", tuple(self.jagged))
        object.__setattr__(self, "exact", tuple(dict.fromkeys(self.exact)))

    def row_bytes(self) -> int:
        """Bytes that one row of the result takes."""
        tensors = sum(
            int(np.prod(tensor.shape, dtype=np.int64)) * tensor.dtype.itemsize
            for group in self.jagged
            for tensor in group.tensors
        )
        return 4 * len(self.matrix) + 8 * len(self.exact) + tensors

    def block_events(self, most: int) -> int:
        """Rows of one block: ``most``, or fewer where rows are long (images), to bound the memory."""
        return min(most, max(_BLOCK_BYTES // max(self.row_bytes(), 1), 256))


@dataclass
class Rows:
    """Events that were read; all arrays share the first axis.

    Attributes
    ----------
    matrix:
        (events, columns) float32, C-contiguous.
    jagged:
        {name of a group: its tensors}. Of padded columns these are values (events, length, columns) float32,
        padded with 0, and mask (events, length) bool.
    exact:
        {expression: (events,) float64, int64 or uint64}.
    losses:
        {name of a representation: (events, 3) uint32}, the numbers that LOSSES names.
    """

    matrix: np.ndarray
    jagged: dict[str, tuple[np.ndarray, ...]] = field(default_factory=dict)
    exact: dict[str, np.ndarray] = field(default_factory=dict)
    losses: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, events: slice) -> Rows:
        """Rows of a slice of the events, as views."""
        return Rows(
            self.matrix[events],
            {name: tuple(array[events] for array in tensors) for name, tensors in self.jagged.items()},
            {name: values[events] for name, values in self.exact.items()},
            {name: values[events] for name, values in self.losses.items()},
        )


class GrowingArray:
    """An array whose first axis grows in place: memory is mapped anew, never copied, touched when used."""

    def __init__(self, dtype: Any, shape: tuple[int, ...] = ()) -> None:
        self.dtype = np.dtype(dtype)
        self.shape = shape
        self.row_bytes = self.dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        self._memory: mmap.mmap | None = None
        self._rows = 0

    def reserve(self, rows: int) -> None:
        """Make room for this many rows in all."""
        if rows <= self._rows:
            return
        # Growing moves page tables only, but each time; address space costs nothing.
        if self._memory is not None:
            rows = max(rows, self._rows + self._rows // 2)
        size = max(rows * self.row_bytes, mmap.PAGESIZE)
        if self._memory is None:
            self._memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        else:
            self._memory.resize(size)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._rows = rows

    def address(self, row: int) -> int:
        """Address of a row; valid until the array grows."""
        if self._memory is None:
            return 0
        return ctypes.addressof(ctypes.c_char.from_buffer(self._memory)) + row * self.row_bytes

    def view(self, first: int, last: int) -> np.ndarray:
        """Rows [first, last) as an array; it must be gone before the memory grows."""
        if self._memory is None or self.row_bytes == 0:
            return np.empty((last - first, *self.shape), self.dtype)
        count = (last - first) * (self.row_bytes // self.dtype.itemsize)
        return np.frombuffer(self._memory, self.dtype, count, first * self.row_bytes).reshape(-1, *self.shape)

    def finish(self, rows: int) -> np.ndarray:
        """Give the first ``rows`` rows; what was reserved beyond them goes back to the system."""
        if self._memory is not None and self.row_bytes:
            self._memory.resize(max(rows * self.row_bytes, mmap.PAGESIZE))
        return self.view(0, rows)


class GrowingRows:
    """Rows that grow: where a reader writes, and what it becomes."""

    def __init__(self, request: Request, exact_types: Sequence[str]) -> None:
        self.request = request
        self.rows = 0
        self.matrix = GrowingArray(np.float32, (len(request.matrix),))
        self.exact = [GrowingArray(exact_type(kind)) for kind in exact_types]
        self.tensors = [
            GrowingArray(tensor.dtype, tensor.shape) for group in request.jagged for tensor in group.tensors
        ]
        self.losses = {
            group.name: GrowingArray(np.uint32, (len(LOSSES),))
            for group in request.jagged
            if isinstance(group, Represented)
        }

    def arrays(self) -> Iterator[GrowingArray]:
        """All arrays that grow together."""
        yield self.matrix
        yield from self.exact
        yield from self.tensors
        yield from self.losses.values()

    def places(self, row: int) -> RowPlaces:
        """Where the row of this number goes; valid until the arrays grow."""
        matrix = self.matrix.address(row) if self.matrix.row_bytes else 0
        losses = [
            self.losses[group.name].address(row) if group.name in self.losses else 0
            for group in self.request.jagged
        ]
        exact, tensors = ([array.address(row) for array in own] for own in (self.exact, self.tensors))
        return row_places(matrix, exact, tensors, losses)

    def reserve(self, more: int) -> None:
        """Make room for this many further rows."""
        for array in self.arrays():
            array.reserve(self.rows + more)

    def append(self, rows: Rows) -> None:
        """Copy rows to the end."""
        count = len(rows)
        self.reserve(count)
        first, last = self.rows, self.rows + count
        self.matrix.view(first, last)[...] = rows.matrix
        for array, expression in zip(self.exact, self.request.exact, strict=True):
            array.view(first, last)[...] = rows.exact[expression]
        given = [array for group in self.request.jagged for array in rows.jagged[group.name]]
        for array, values in zip(self.tensors, given, strict=True):
            array.view(first, last)[...] = values
        for name, array in self.losses.items():
            array.view(first, last)[...] = rows.losses[name]
        self.rows = last

    def finish(self) -> Rows:
        """Give what was read."""
        tensors = iter([array.finish(self.rows) for array in self.tensors])
        jagged = {group.name: tuple(next(tensors) for _ in group.tensors) for group in self.request.jagged}
        exact = {
            name: array.finish(self.rows) for name, array in zip(self.request.exact, self.exact, strict=True)
        }
        losses = {name: array.finish(self.rows) for name, array in self.losses.items()}
        return Rows(self.matrix.finish(self.rows), jagged, exact, losses)


def empty_rows(request: Request, events: int, exact_types: Sequence[str]) -> Rows:
    """Arrays for so many events, not filled."""
    return Rows(
        np.empty((events, len(request.matrix)), np.float32),
        {
            group.name: tuple(np.empty((events, *t.shape), t.dtype) for t in group.tensors)
            for group in request.jagged
        },
        {
            name: np.empty(events, exact_type(kind))
            for name, kind in zip(request.exact, exact_types, strict=True)
        },
        {
            group.name: np.empty((events, len(LOSSES)), np.uint32)
            for group in request.jagged
            if isinstance(group, Represented)
        },
    )


def places_of(rows: Rows, request: Request) -> RowPlaces:
    """Where the first of these rows goes; the arrays must be C-contiguous."""
    tensors = [array.ctypes.data for group in request.jagged for array in rows.jagged[group.name]]
    losses = [
        rows.losses[group.name].ctypes.data if group.name in rows.losses else 0 for group in request.jagged
    ]
    exact = [array.ctypes.data for array in rows.exact.values()]
    return row_places(rows.matrix.ctypes.data if rows.matrix.size else 0, exact, tensors, losses)


def row_places(matrix: int, exact: Sequence[int], tensors: Sequence[int], losses: Sequence[int]) -> RowPlaces:
    """Addresses as the C++ takes them."""
    return RowPlaces(
        matrix or None,
        pointer_array(exact),
        pointer_array(tensors),
        pointer_array([a or None for a in losses]),
    )
