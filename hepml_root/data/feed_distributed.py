"""Distributed data frames: the workers evaluate columns and cut, and send arrays back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np

from hepml_root.data.feed_expressions import is_dummy
from hepml_root.data.feed_library import exact_type
from hepml_root.data.feed_rows import GrowingRows, Request, Rows
from hepml_root.data.observables_library import declare_observables, mentions_observables
from hepml_root.data.rdataframe import Frame
from hepml_root.errors import (
    ColumnNotFoundError,
    ColumnTypeError,
    HepmlError,
    UnsupportedOperationError,
    unknown,
)

_numbers = itertools.count()


class DistributedPlan:
    """How a request is read from a frame of ROOT.RDF.Distributed.

    Expressions are evaluated by RDataFrame on the workers, so functions in them must be known there, as those
    of the namespace ``hepml`` are.
    """

    def __init__(self, frame: Frame, request: Request, cut: str | None) -> None:
        if request.jagged:
            raise UnsupportedOperationError(
                "jagged columns of a distributed frame are not read. Write them to files with Snapshot first."
            )
        self.frame = frame
        self.request = request
        node = frame.node()
        self._names: dict[str, str] = {}
        known = {str(name) for name in node.GetColumnNames()}
        if any(map(mentions_observables, [cut or "", *request.matrix, *request.exact])):
            declare_observables(distributed=True)
        dummies = {name: f"hepml_root_alias_{next(_numbers)}" for name in sorted(known) if is_dummy(name)}
        for name, alias in dummies.items():
            node = node.Define(alias, name)

        def legal(expression: str) -> str:
            return re.sub(r"\bvar\d+\b", lambda found: dummies.get(found[0], found[0]), expression)

        if cut is not None:
            node = node.Filter(legal(cut))
        for expression in dict.fromkeys([*request.matrix, *request.exact]):
            if expression in known:
                self._names[expression] = expression
                continue
            if expression.isidentifier():
                raise ColumnNotFoundError(
                    unknown("column", expression, sorted(known), "Looked in the distributed frame.")
                )
            self._names[expression] = f"hepml_root_column_{next(_numbers)}"
            node = node.Define(self._names[expression], legal(expression))
        self._node = node
        self._arrays: dict[str, np.ndarray] | None = None

    @property
    def exact_types(self) -> list[str]:
        """Types of the exact columns; they are known when the workers have sent them."""
        return [str(self._read()[self._names[expression]].dtype) for expression in self.request.exact]

    def _read(self) -> dict[str, np.ndarray]:
        if self._arrays is None:
            try:
                arrays = self._node.AsNumpy(list(dict.fromkeys(self._names.values())))
                if hasattr(arrays, "GetValue"):
                    arrays = arrays.GetValue()
            except Exception as error:
                lines = [line for line in str(error).splitlines() if line.strip()]
                raise HepmlError(
                    f"the distributed event loop failed: {lines[-1] if lines else error}"
                ) from error
            for name, values in arrays.items():
                if values.dtype.kind not in "biuf":
                    original = next(text for text, column in self._names.items() if column == name)
                    raise ColumnTypeError(f"'{original}' is no number for each event.")
            self._arrays = arrays
        return self._arrays

    def fill(self, rows: GrowingRows, limit: int | None, threads: int) -> None:  # noqa: ARG002 - the cluster has its own
        """Append all rows, ``limit`` at most."""
        for piece in self.blocks(1 << 16, 0, None, 1):
            if limit is not None:
                piece = piece[:limit]
                limit -= len(piece)
            rows.append(piece)
        self._arrays = None

    def blocks(self, block_events: int, first: int, last: int | None, threads: int) -> Iterator[Rows]:  # noqa: ARG002
        """Give the rows in order; all of them come at once from the workers."""
        if first or last is not None:
            raise UnsupportedOperationError(
                "a distributed frame is read as a whole, not by ranges of entries."
            )
        arrays = self._read()
        total = len(next(iter(arrays.values()), ()))
        for start in range(0, total, block_events):
            part = slice(start, start + block_events)
            matrix = np.empty((min(block_events, total - start), len(self.request.matrix)), np.float32)
            for i, expression in enumerate(self.request.matrix):
                matrix[:, i] = arrays[self._names[expression]][part]
            exact = {}
            for expression in self.request.exact:
                values = arrays[self._names[expression]][part]
                exact[expression] = values.astype(exact_type(str(values.dtype)))
            yield Rows(matrix, {}, exact)
