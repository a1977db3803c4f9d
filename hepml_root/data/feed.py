"""ROOT files to arrays: the one way in, over two roads.

Scalar and jagged branches of files, C++ expressions of scalars and cuts are read in bulk
(hepml_root.data.feed_bulk); data frames, friends, jagged expressions and everything else go through
RDataFrame's event loop into one compiled action (hepml_root.data.feed_loop), with the plain branches of the
selected events still read in bulk where that pays (hepml_root.data.feed_mixed). All write rows in order, in
bounded memory, and make tensors of jagged columns with the same C++.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hepml_root.data.feed_bulk import BulkPlan
from hepml_root.data.feed_library import NotPlainError, exact_type, import_root
from hepml_root.data.feed_loop import LoopPlan
from hepml_root.data.feed_mixed import MixedPlan
from hepml_root.data.feed_rows import GrowingRows, Jagged, Represented, Request, Rows
from hepml_root.data.rdataframe import Frame
from hepml_root.errors import SettingError

__all__ = ["Jagged", "Represented", "Request", "Rows", "blocks", "read"]


def read(
    parts: Sequence[tuple[Frame, Request]],
    threads: int | None = None,
    max_events: int | None = None,
) -> tuple[Rows, list[int]]:
    """Read all rows of several frames into one set of arrays.

    The arrays are written once, in place: memory peaks little above what is returned.

    Arguments
    ---------
    parts:
        (frame, request) for each part; the requests have the same numbers of columns, and may differ in cut
        and expressions. The result carries the names of the first.
    threads:
        Threads for reading in bulk; by default as many as ROOT's implicit multi-threading has, or one. Data
        frames use the threads they were made with. The result does not depend on it.
    max_events:
        At most this many rows of each part.

    Returns
    -------
    The rows, one part after the other, and how many each part has.

    Raises
    ------
    ColumnNotFoundError
        A column does not exist; with the nearest names.
    ColumnTypeError
        A column is no number, or jagged without a length (or the other way round).
    ExpressionError
        An expression does not compile.
    CorruptFileError
        A file is damaged or truncated.

    Example
    -------
    >>> from hepml_root.data.shipped import shipped_file
    >>> frame = Frame.open(shipped_file("Higgs_data.root") + ":sig_tree")
    >>> rows, counts = read([(frame, Request(matrix=("m_bb", "abs(lepton_phi)"), cut="lepton_pT > 1"))])
    >>> rows.matrix.shape, counts
    ((3712, 2), [3712])
    """
    if not parts:
        raise SettingError("nothing to read: no part was given.")
    if max_events is not None and max_events < 1:
        raise SettingError(f"max_events is {max_events}; it must be at least 1.")
    plans = [plan(frame, request) for frame, request in parts]
    first = plans[0].request
    for other in plans[1:]:
        if _layout(other.request) != _layout(first):
            raise SettingError("the parts of one read need the same numbers of columns and lengths.")
    kinds = [_common(column) for column in zip(*(plan.exact_types for plan in plans), strict=True)]
    result = GrowingRows(first, kinds)
    counts = []
    workers = _threads(threads)
    for current in plans:
        before = result.rows
        result.request = current.request
        current.fill(result, max_events, workers)
        counts.append(result.rows - before)
    result.request = first
    return result.finish(), counts


def blocks(
    frame: Frame,
    request: Request,
    block_events: int = 65536,
    first: int = 0,
    last: int | None = None,
    threads: int | None = None,
) -> Iterator[Rows]:
    """Read a frame block by block, in order, however long it is.

    Arguments
    ---------
    frame, request, threads:
        As for :func:`read`.
    block_events:
        The most rows a block has; it can have fewer.
    first, last:
        Range of entries, before any cut: [first, last), or to the end.

    Raises
    ------
    As :func:`read`.

    Example
    -------
    >>> from hepml_root.data.shipped import shipped_file
    >>> frame = Frame.open(shipped_file("Higgs_data.root") + ":sig_tree")
    >>> [len(rows) for rows in blocks(frame, Request(matrix=("m_bb",)), block_events=4000)]
    [4000, 4000, 2000]
    """
    if block_events < 1:
        raise SettingError(f"block_events is {block_events}; it must be at least 1.")
    yield from plan(frame, request).blocks(block_events, first, last, _threads(threads))


def plan(frame: Frame, request: Request) -> Any:
    """Choose the road for a request, and check its columns."""
    cuts = [cut for cut in (frame.source.cut, request.cut) if cut]
    cut = cuts[0] if len(cuts) == 1 else " && ".join(f"({cut})" for cut in cuts) or None
    if frame.distributed:
        from hepml_root.data.feed_distributed import DistributedPlan

        return DistributedPlan(frame, request, cut)
    for road in (BulkPlan, MixedPlan):
        try:
            return road(frame, request, cut)
        except NotPlainError:
            continue
    return LoopPlan(frame, request, cut)


def _layout(request: Request) -> tuple[Any, ...]:
    groups = [(group.name, group.tensors) for group in request.jagged]
    return len(request.matrix), len(request.exact), groups


def _common(kinds: tuple[str, ...]) -> str:
    """The exact type that takes a column of all parts."""
    types = {exact_type(kind) for kind in kinds}
    return kinds[0] if len(types) == 1 else str(np.result_type(*types))


def _threads(threads: int | None) -> int:
    if threads is not None:
        if threads < 1:
            raise SettingError(f"threads is {threads}; it must be at least 1.")
        return threads
    ROOT = import_root()
    return int(ROOT.GetThreadPoolSize()) if ROOT.IsImplicitMTEnabled() else 1
