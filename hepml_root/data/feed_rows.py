"""Rows of events: what is asked for, what comes back, and memory that grows without copying."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hepml_root.data.feed_library import exact_type


@dataclass(frozen=True)
class Jagged:
    """Columns with several values per event: one tensor (events, max_length, columns) and a mask."""

    name: str
    expressions: tuple[str, ...]
    max_length: int


@dataclass(frozen=True)
class Request:
    """What to read of each event.

    Arguments
    ---------
    matrix:
        Expressions that become the columns of one row-major float32 matrix.
    jagged:
        Groups of jagged columns.
    exact:
        Expressions that are kept exactly: float64, int64 or uint64 (weights, event numbers, spectators).
    cut:
        Only events for which this expression is true; together with the cut of the source.
    """

    matrix: tuple[str, ...] = ()
    jagged: tuple[Jagged, ...] = ()
    exact: tuple[str, ...] = ()
    cut: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", tuple(self.matrix))
        object.__setattr__(self, "jagged", tuple(self.jagged))
        object.__setattr__(self, "exact", tuple(dict.fromkeys(self.exact)))

    def row_bytes(self) -> int:
        """Bytes that one row of the result takes."""
        lists = sum(group.max_length * (4 * len(group.expressions) + 1) for group in self.jagged)
        return 4 * len(self.matrix) + 8 * len(self.exact) + lists


@dataclass
class Rows:
    """Events that were read; all arrays share the first axis.

    Attributes
    ----------
    matrix:
        (events, columns) float32, C-contiguous.
    jagged:
        {name: (values (events, length, columns) float32, mask (events, length) bool)}; padded with 0.
    exact:
        {expression: (events,) float64, int64 or uint64}.
    """

    matrix: np.ndarray
    jagged: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    exact: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.matrix)

    def __getitem__(self, events: slice) -> Rows:
        """Rows of a slice of the events, as views."""
        return Rows(
            self.matrix[events],
            {name: (values[events], mask[events]) for name, (values, mask) in self.jagged.items()},
            {name: values[events] for name, values in self.exact.items()},
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
        self.values = [
            GrowingArray(np.float32, (group.max_length, len(group.expressions))) for group in request.jagged
        ]
        self.masks = [GrowingArray(np.bool_, (group.max_length,)) for group in request.jagged]

    def arrays(self) -> Iterator[GrowingArray]:
        """All arrays that grow together."""
        yield self.matrix
        yield from self.exact
        yield from self.values
        yield from self.masks

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
        for values, mask, group in zip(self.values, self.masks, self.request.jagged, strict=True):
            values.view(first, last)[...], mask.view(first, last)[...] = rows.jagged[group.name]
        self.rows = last

    def finish(self) -> Rows:
        """Give what was read."""
        jagged = {
            group.name: (values.finish(self.rows), mask.finish(self.rows))
            for group, values, mask in zip(self.request.jagged, self.values, self.masks, strict=True)
        }
        exact = {
            name: array.finish(self.rows) for name, array in zip(self.request.exact, self.exact, strict=True)
        }
        return Rows(self.matrix.finish(self.rows), jagged, exact)
