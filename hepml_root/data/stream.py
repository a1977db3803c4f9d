"""Streams of shuffled batches: from a dataset in memory, or from files of any size with bounded memory."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.feed_library import import_root
from hepml_root.data.part_reader import PartReader, changed
from hepml_root.data.schema import Schema
from hepml_root.data.split import check_seed
from hepml_root.errors import SettingError

if TYPE_CHECKING:
    from hepml_root.data.dataset import Dataset
    from hepml_root.data.lazy import LazyDataset

Batch = tuple[dict[str, NDArray[Any]], NDArray[np.float32], NDArray[np.float32]]

# Batches are cut out of chunks of about this many events, so that gathering rows costs one call a chunk.
_CHUNK_EVENTS = 65_536

# The shuffle buffer never takes more than this, whatever buffer_events says; with the chunks under way a
# stream holds less than twice as much.
BUFFER_BYTES = 64 * 2**20


class Stream(ABC):
    """Shuffled batches (X, target, training weight) of a dataset; made by ``data.stream(...)``.

    Iterate it for batches, or over :meth:`chunks` for many batches at once. ``hr.fit`` makes its own; Keras
    takes one with ``epochs=None`` as ``model.fit(iter(stream), steps_per_epoch=stream.steps_per_epoch)``.

    Each event comes exactly once in each epoch; the last batch of an epoch may be smaller. Same data, same
    settings and same seed give the same batches; every epoch has another order.

    Attributes
    ----------
    batch_size:
        Events in a batch.
    events:
        Events in an epoch.
    steps_per_epoch:
        Batches in an epoch.
    epochs:
        Epochs of one iteration; None goes on for ever.
    schema:
        Blocks, classes and targets.
    """

    def __init__(
        self, schema: Schema, events: int, batch_size: int, seed: int, epochs: int | None, drop_last: bool
    ) -> None:
        check_seed(seed)
        if batch_size < 1:
            raise SettingError(f"batch_size={batch_size}: a batch has at least one event.")
        if epochs is not None and epochs < 1:
            raise SettingError(f"epochs={epochs}: give a positive number, or None to go on for ever.")
        if drop_last and events < batch_size:
            raise SettingError(
                f"drop_last=True leaves no batch: there are {events} events and batch_size={batch_size}."
            )
        self.schema = schema
        self.events = events
        self.batch_size = batch_size
        self.seed = seed
        self.epochs = epochs
        self.drop_last = drop_last

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return self.events // self.batch_size if self.drop_last else -(-self.events // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for X, target, weight in self.chunks():
            for first in range(0, len(target), self.batch_size):
                rows = slice(first, first + self.batch_size)
                yield {name: array[rows] for name, array in X.items()}, target[rows], weight[rows]

    def chunks(self) -> Iterator[Batch]:
        """Give (X, target, training weight) of many batches at once.

        The number of events is a multiple of ``batch_size``, except for the last chunk of an epoch. The
        arrays belong to the caller: they are not written to again.
        """
        epoch = 0
        while self.epochs is None or epoch < self.epochs:
            yield from self.epoch(epoch)
            epoch += 1

    def epoch(self, number: int) -> Iterator[Batch]:
        """Give the chunks of epoch ``number`` (from 0) only."""
        left = self.steps_per_epoch * self.batch_size if self.drop_last else self.events
        for X, target, weight in self._epoch(number):
            if len(target) > left:
                X, target, weight = (
                    {name: array[:left] for name, array in X.items()},
                    target[:left],
                    weight[:left],
                )
            left -= len(target)
            if len(target):
                yield X, target, weight

    @abstractmethod
    def _epoch(self, number: int) -> Iterator[Batch]: ...

    def _generator(self, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch])


class MemoryStream(Stream):
    """Stream of a dataset in memory: every epoch is one permutation of all events."""

    def __init__(
        self, data: Dataset, batch_size: int, seed: int, epochs: int | None, drop_last: bool
    ) -> None:
        super().__init__(data.schema, len(data), batch_size, seed, epochs, drop_last)
        self._data = data

    def _epoch(self, number: int) -> Iterator[Batch]:
        data = self._data
        order = self._generator(number).permutation(len(data))
        size = self.batch_size * max(1, _CHUNK_EVENTS // self.batch_size)
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            yield (
                {name: np.take(array, rows, axis=0) for name, array in data.X.items()},
                np.take(data.target, rows, axis=0),
                np.take(data.training_weight, rows),
            )


class FileStream(Stream):
    """Stream of a lazy dataset: the files are read once per epoch, all classes side by side.

    Every refill takes from each part of each class its share of what is read, so that classes stay mixed
    from the first to the last batch. The rows go into a buffer; a chunk is a random eighth of it, and the
    next rows take the free places. With a buffer as large as the dataset every epoch is a full permutation,
    and the files are read once only. Reading, drawing and copying happen in a thread of their own.

    Memory does not depend on the length of the files: it holds the buffer (64 MB at most), three chunks, and
    for each part one block of rows and what is open of its file, mainly a basket per column.

    The order depends on the data, the seed and the settings of the stream, not on how the files are divided
    into clusters or blocks.
    """

    def __init__(
        self,
        data: LazyDataset,
        batch_size: int,
        buffer_events: int,
        seed: int,
        epochs: int | None,
        drop_last: bool,
    ) -> None:
        if buffer_events < 1:
            raise SettingError(
                f"buffer_events={buffer_events}: the buffer needs room for at least one event."
            )
        super().__init__(data.schema, len(data), batch_size, seed, epochs, drop_last)
        self._layout = row_layout(data.schema)
        row_bytes = sum(
            int(np.prod(shape, dtype=np.int64)) * dtype.itemsize for shape, dtype in self._layout.values()
        )
        least = 2 * max(batch_size, len(data.recipe.parts))
        self.buffer_events = min(max(least, min(buffer_events, BUFFER_BYTES // row_bytes)), self.events)
        self._chunk = batch_size * max(1, self.buffer_events // 8 // batch_size)
        self._factors = data.training_factors()
        self._readers = [data.reader(index) for index in range(len(data.recipe.parts))]
        self._part_events = data.part_events()
        self._needs = [need for need in data.recipe.needs if need[0] not in ("spectator", "event_number")]
        for reader in self._readers:
            reader.prepare(self._needs)
        import_root().EnableThreadSafety()
        self._kept: dict[str, NDArray[Any]] | None = None

    def _epoch(self, number: int) -> Iterator[Batch]:
        yield from _ahead(self._shuffled(number))

    def _shuffled(self, number: int) -> Generator[Batch, None, None]:
        random = self._generator(number)
        if self._kept is not None:
            yield from self._drain(self._kept, random.permutation(self.events))
            return
        size = self.buffer_events
        pool = {name: np.empty((size, *shape), dtype=dtype) for name, (shape, dtype) in self._layout.items()}
        filled = np.empty(0, dtype=np.intp)
        free = np.arange(size)
        parts = [
            _PartRows(self._rows(reader), events)
            for reader, events in zip(self._readers, self._part_events, strict=True)
        ]
        given = 0
        while True:
            asked = min(given + size, self.events)
            for part in parts:
                # Shares are counted from the start, so that no rounding adds up.
                share = asked * part.events // self.events - part.taken
                slots, free = free[:share], free[share:]
                part.take(pool, slots)
                filled = np.concatenate([filled, slots])
            if asked == self.events:
                break
            places = random.choice(len(filled), self._chunk, replace=False)
            chosen, filled = filled[places], np.delete(filled, places)
            free = np.concatenate([free, chosen])
            given += len(chosen)
            yield self._gather(pool, chosen)
        if self.buffer_events >= self.events:
            self._kept = pool
        yield from self._drain(pool, random.permutation(filled))

    def _drain(self, pool: dict[str, NDArray[Any]], order: NDArray[np.intp]) -> Iterator[Batch]:
        for first in range(0, len(order), self._chunk):
            yield self._gather(pool, order[first : first + self._chunk])

    @staticmethod
    def _gather(pool: dict[str, NDArray[Any]], rows: NDArray[np.intp]) -> Batch:
        taken = {name: np.take(array, rows, axis=0) for name, array in pool.items()}
        target, weight = taken.pop(_TARGET), taken.pop(_WEIGHT)
        return taken, target, weight

    def _rows(self, reader: PartReader) -> Iterator[dict[str, NDArray[Any]]]:
        for arrays in reader.arrays(self._needs):
            base = arrays.weight if arrays.training_base is None else arrays.training_base
            target = np.empty((len(base), len(self.schema.outputs)), dtype=np.float32)
            if arrays.regression_target is not None:
                target[:] = arrays.regression_target
            elif self.schema.task == "binary":
                target[:] = reader.part.label == self.schema.signal_index
            else:
                target[:] = np.arange(len(self.schema.classes)) == reader.part.label
            yield {**arrays.X, _TARGET: target, _WEIGHT: base * self._factors[reader.part.label]}


class _PartRows:
    """The rows of one part, taken a given number at a time."""

    def __init__(self, blocks: Iterator[dict[str, NDArray[Any]]], events: int) -> None:
        self.events = events
        self.taken = 0
        self._blocks = blocks
        self._block: dict[str, NDArray[Any]] = {}
        self._at = 0
        self._length = 0

    def take(self, pool: dict[str, NDArray[Any]], slots: NDArray[np.intp]) -> None:
        """Put the next rows into the ``slots`` of the pool."""
        while len(slots):
            if self._at == self._length:
                self._next()
            count = min(len(slots), self._length - self._at)
            for name, array in self._block.items():
                pool[name][slots[:count]] = array[self._at : self._at + count]
            slots = slots[count:]
            self._at += count
            self.taken += count

    def _next(self) -> None:
        self._block = next(self._blocks, {})
        if not self._block:
            raise changed(self.events, self.taken)
        self._at, self._length = 0, len(self._block[_WEIGHT])


# Names of the target and the training weight among the arrays of a row; no block is called so.
_TARGET = " target"
_WEIGHT = " training weight"


def row_layout(schema: Schema) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of all that one row of a stream has: the input blocks, target and training weight."""
    single = np.dtype(np.float32)
    layout = {
        block.name: (block.shape, np.dtype(np.bool_) if block.kind == "mask" else single)
        for block in schema.blocks
    }
    return {**layout, _TARGET: ((len(schema.outputs),), single), _WEIGHT: ((), single)}


def _ahead(batches: Generator[Batch, None, None]) -> Iterator[Batch]:
    """Run an iterator in a thread, one item ahead of whoever takes them; its errors are raised here."""
    ready: queue.Queue[Any] = queue.Queue(maxsize=1)
    stop = threading.Event()
    done = object()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for batch in batches:
                if not put((batch, None)):
                    return
            put((done, None))
        except BaseException as error:  # handed over, and raised where the batches are taken
            put((done, error))
        finally:
            batches.close()

    thread = threading.Thread(target=work, name="hepml_root stream", daemon=True)
    thread.start()
    try:
        while True:
            batch, error = ready.get()
            if error is not None:
                raise error
            if batch is done:
                return
            yield batch
    finally:
        stop.set()
        thread.join()
