"""Scores of whole files in bulk, written as a friend tree."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hepml_root.data.feed import Jagged, Represented, Request, Rows, blocks
from hepml_root.data.feed_trees import expand
from hepml_root.data.rdataframe import Frame
from hepml_root.errors import EmptySelectionError, OutputExistsError, SettingError, unknown
from hepml_root.inference.bindings import InputBlock, bind, identifier, output_columns, output_labels
from hepml_root.inference.friend_file import FORMATS, FriendFile
from hepml_root.inference.session import Session
from hepml_root.inference.trained_ranges import require_inside
from hepml_root.inference.working_points import working_point
from hepml_root.interrupts import interrupts
from hepml_root.output import refuse_existing, writing

# A block of 28 inputs takes 7 MB: large enough for whole baskets, small enough to stay in the cache.
BLOCK_EVENTS = 65536
ENTRY = "entry"


@dataclass(frozen=True)
class Applied:
    """What :func:`apply` did.

    Arguments
    ---------
    path:
        The file written.
    tree:
        Name of the tree (or RNTuple) in it.
    columns:
        The columns written.
    events:
        Number of events scored.
    seconds:
        Time from opening the source to the finished file.
    """

    path: Path
    tree: str
    columns: tuple[str, ...]
    events: int
    seconds: float

    @property
    def events_per_second(self) -> float:
        """Events scored per second, reading and writing included."""
        return self.events / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        return (
            f"{self.path}:{self.tree} has {', '.join(self.columns)} of {self.events:,} events "
            f"({self.events_per_second:,.0f} events/s)"
        )


def apply(
    path: str | os.PathLike[str],
    source: Any,
    output: str | os.PathLike[str],
    *,
    column: str | Sequence[str] = "score",
    format: str = "ttree",
    tree: str = "scores",
    inputs: Mapping[str, str] | None = None,
    parameters: Mapping[str, float | str] | None = None,
    cut: str | None = None,
    select: str | None = None,
    keep: Sequence[str] = (),
    threads: int | None = None,
    engine: str = "auto",
    seed: int = 0,
    allow_extrapolation: bool = False,
    overwrite: bool = False,
    verbose: bool = True,
) -> Applied:
    """Score all events of a source and write the scores as a friend tree.

    Events are read in bulk, scored in blocks by the compiled model and written in order, one entry for each
    entry of the source, so that the file is a friend as it is:

        chain.AddFriend("scores", "scores.root");  ROOT.RDataFrame(chain).Filter("score > 0.9")

    With a cut (``cut``, ``select``, or that of a Source) only the selected events are written, and the
    entries no longer correspond: the column ``entry`` then holds the number of each event's entry in the
    source, to build an index from. A data frame gives one entry for each event that passes its filters. An
    RNTuple cannot be a friend in ROOT's RDataFrame; it is for programs that read scores by themselves.

    The file is compressed lightly (Zstandard, level 1), which takes less time than writing more bytes. It
    also holds the text ``hepml_root``: model, sources and settings as JSON. It gets its name only when it is
    complete; after an error or Ctrl-C nothing is left.

    Arguments
    ---------
    path:
        The ``.onnx`` file of an exported model.
    source:
        Anything that data are read from: "file.root:tree", a list, a glob, TTree, TChain, RNTuple file,
        RDataFrame node, Source.
    output:
        The ROOT file to write.
    column:
        Name of the score column, with the same rules for several output values as in
        :func:`hepml_root.define`; ``"score[]"`` writes a fixed-size array column (TTree only).
    format:
        "ttree" or "rntuple".
    tree:
        Name of the tree or RNTuple in the file.
    inputs, parameters:
        As for :func:`hepml_root.define`.
    cut:
        A ROOT expression; only events for which it holds are scored and written.
    select:
        Name of a working point of the model; only events that pass its cut are written, as with ``cut``.
    keep:
        Columns or expressions of the source that are written next to the scores.
    threads:
        Number of threads that read and score; by default one for each core that this process may use.
    engine:
        "cpp", "onnxruntime" or "auto", as for :class:`hepml_root.Session`.
    seed:
        Of a network that draws random numbers: an event's draws are a function of the seed and of its place
        among the events that are written.
    allow_extrapolation:
        Of a generator of showers: whether conditions outside of the range that it was trained in are taken.
    overwrite:
        Whether an existing output is replaced.
    verbose:
        Show a progress bar on a terminal.

    Raises
    ------
    OutputExistsError
        The output exists and ``overwrite`` is not set.
    OutputWriteError
        The disk is full or the folder cannot be written.
    SourceNotFoundError, ColumnNotFoundError, ColumnTypeError, CorruptFileError
        The source cannot be read, or lacks what the model needs.
    EmptySelectionError
        There is no event to score.
    SettingError
        An unknown format, input, parameter or working point, a column that the source has already, or a
        particle that a generator was not trained for.
    ModelFileError
        The file is no model exported by hepml_root.

    Example
    -------
    >>> import tempfile, hepml_root as hr
    >>> file = hr.data.shipped_file("Higgs_data.root")
    >>> sources = {"signal": f"{file}:sig_tree", "background": f"{file}:bkg_tree"}
    >>> data = hr.Dataset.from_root(sources, inputs=["m_bb", "jet1_b-tag"])
    >>> path = hr.export(hr.models.dense(data, hidden=(8,)), tempfile.mkdtemp() + "/higgs.onnx", data=data)
    >>> done = hr.apply(path, f"{file}:sig_tree", path.with_name("scores.root"))
    >>> done.events, done.columns
    (10000, ('score',))
    """
    if format not in FORMATS:
        raise SettingError(unknown("format", format, FORMATS))
    refuse_existing(output, overwrite)
    start = time.perf_counter()
    session = Session(path, engine=engine)
    names = output_columns(column, output_labels(session.manifest))
    frame = Frame.open(source)
    _refuse_source(output, frame)
    # Where events are left out, the others are told by their numbers.
    chosen = None if select is None else working_point(session.manifest, select)
    if chosen is not None:
        chosen.position()  # refused before any event is read
    selected = bool(cut or frame.source.cut or chosen)
    reading = _Reading(bind(session.manifest, inputs, parameters), keep, cut, selected)
    workers = len(os.sched_getaffinity(0)) if threads is None else threads
    score_names = [names] if isinstance(names, str) else names
    columns = _refuse_taken([*score_names, *([ENTRY] if selected else []), *keep], keep, frame)

    def score(numbered: tuple[int, Rows]) -> dict[str, np.ndarray]:
        first, rows = numbered
        arrays = reading.arrays(rows)
        require_inside(session.manifest, list(arrays.values()), allow_extrapolation)
        found = session.infer(arrays, seed=seed, first_event=first)
        outputs = list(found.values()) if isinstance(found, dict) else [found]
        scores = np.concatenate([output.reshape(len(rows), -1) for output in outputs], axis=1)
        values = [scores] if isinstance(names, str) else list(scores.T)
        made = dict(zip(columns, values + reading.extra(rows), strict=True))
        if chosen is None:
            return made
        passing = chosen.passes(scores)
        return {name: array[passing] for name, array in made.items()}

    events = 0
    description = {
        "model": Path(path).name,
        "sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        "sources": [{"path": stored.path, "tree": stored.tree} for stored in frame.trees],
        "inputs": dict(inputs or {}),
        "parameters": dict(parameters or {}),
        "cut": cut,
        "working_point": select,
        "friend": not selected,
    }
    with (
        writing(output, overwrite) as temporary,
        FriendFile(temporary, format, tree, description) as file,
        progress_bar(f"scoring {frame.name}", verbose) as advance,
        interrupts() as check,
    ):
        read = blocks(frame, reading.request, BLOCK_EVENTS, threads=workers)
        for block in _in_order(score, _numbered(read), workers):
            check()
            file.extend(block)
            scored = len(block[columns[0]])
            events += scored
            advance(scored)
        if not events:
            named = " and ".join(
                [f"the cut '{cut}'"] * bool(cut) + [f"the working point '{select}'"] * bool(select)
            )
            raise EmptySelectionError(
                f"no event of {frame.name} passes {named}." if named else f"{frame.name} has no events."
            )
    return Applied(Path(output), tree, tuple(columns), events, time.perf_counter() - start)


def _refuse_source(output: str | os.PathLike[str], frame: Frame) -> None:
    """Refuse to replace a file that events are read from, whatever ``overwrite`` says."""
    read = [stored.path for stored in frame.trees]
    for friend in frame.source.friends:
        read += [path for path, _ in expand(friend, None)]
    if Path(output).resolve() in [Path(path).resolve() for path in read]:
        raise OutputExistsError(
            f"'{output}' holds the events themselves and is not replaced. Name another output."
        )


class _Reading:
    """The request to the feed that gives what a model needs, and where its arrays lie in the answer."""

    def __init__(
        self, bound: Sequence[InputBlock], keep: Sequence[str], cut: str | None, selected: bool
    ) -> None:
        self._blocks = bound
        self._names = {block.name for block in bound}
        self._slices: dict[str, list[int | float]] = {}
        matrix: list[str] = []
        for block in bound:
            if block.kind in ("flat", "parameter"):
                places: list[int | float] = []
                for column in block.columns:
                    if column.expression is None:
                        places.append(float(column.constant or 0.0))
                    else:
                        places.append(len(matrix))
                        matrix.append(column.expression)
                self._slices[block.name] = places
        jagged: list[Jagged | Represented] = [
            Jagged(block.name, tuple(str(column.expression) for column in block.columns), block.shape[0])
            for block in bound
            if block.is_padded
        ]
        jagged += [block.represented for block in bound if block.represented is not None]
        self._exact = [*(["rdfentry_"] if selected else []), *keep]
        self.request = Request(matrix=tuple(matrix), jagged=tuple(jagged), exact=tuple(self._exact), cut=cut)

    def arrays(self, rows: Rows) -> dict[str, np.ndarray]:
        """The model's input arrays."""
        found: dict[str, np.ndarray] = {}
        for block in self._blocks:
            if block.represented is not None:
                tensors = block.represented.tensors
                made = zip(tensors, rows.jagged[block.represented.name], strict=True)
                found.update((tensor.name, array) for tensor, array in made if tensor.name in self._names)
            elif block.is_padded:
                found[block.name], mask = rows.jagged[block.name]
                if block.mask is not None:
                    found[block.mask] = mask
            elif block.kind in ("flat", "parameter"):
                found[block.name] = self._flat(rows.matrix, self._slices[block.name])
        return found

    def extra(self, rows: Rows) -> list[np.ndarray]:
        """The columns that are written next to the scores."""
        return [rows.exact[expression] for expression in self._exact]

    @staticmethod
    def _flat(matrix: np.ndarray, places: list[int | float]) -> np.ndarray:
        if places == list(range(matrix.shape[1])):
            return matrix
        values = np.empty((len(matrix), len(places)), np.float32)
        for index, place in enumerate(places):
            values[:, index] = matrix[:, place] if isinstance(place, int) else place
        return values


def _refuse_taken(columns: list[str], keep: Sequence[str], frame: Frame) -> list[str]:
    """Return names for all columns, those kept as identifiers; refuse one that the source has already."""
    names = [identifier(name) if name in keep else name for name in columns]
    if len(set(names)) != len(names):
        raise SettingError(
            f"the columns {', '.join(names)} are not all different; choose another column='...'."
        )
    present = frame.columns()
    for name in columns:
        if name in present and name not in keep:
            raise SettingError(
                f"{frame.name} has a column '{name}' already, which the friend's would meet: "
                "ask for another one with column='...'."
            )
    return names


def _numbered(blocks: Iterable[Rows]) -> Iterator[tuple[int, Rows]]:
    """Give each block with the number of its first row."""
    first = 0
    for rows in blocks:
        yield first, rows
        first += len(rows)


def _in_order(
    call: Callable[[tuple[int, Rows]], dict[str, np.ndarray]],
    items: Iterable[tuple[int, Rows]],
    threads: int,
) -> Iterator[dict[str, np.ndarray]]:
    """Give ``call(item)`` for all items in their order, computed by so many threads while items are read."""
    if threads == 1:
        yield from map(call, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[dict[str, np.ndarray]]] = deque()
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextlib.contextmanager
def progress_bar(title: str, wanted: bool) -> Iterator[Callable[[int], None]]:
    """Show how many events are done and how fast, on a terminal only; give the function that counts."""
    if not (wanted and sys.stderr.isatty()):
        yield lambda _events: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}: {task.fields[text]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None, text="0 events")
        begin, done = time.perf_counter(), 0

        def advance(events: int) -> None:
            nonlocal done
            done += events
            rate = done / max(time.perf_counter() - begin, 1e-9)
            progress.update(task, text=f"{done:,} events, {rate:,.0f} events/s")

        yield advance
