"""Splits into training, validation and test events, and k folds: reproducible on any machine.

Everything random here is an integer hash, not a generator's stream, so that a split depends on nothing
but the seed and the events. The hash is splitmix64 (Steele, Lea and Flood, OOPSLA 2014,
doi:10.1145/2660193.2660195), a bijection of 64-bit integers:

    z = x + 0x9E3779B97F4A7C15;  z = (z ^ z >> 30) · 0xBF58476D1CE4E5B9
    z = (z ^ z >> 27) · 0x94D049BB133111EB;  splitmix64(x) = z ^ z >> 31      (all modulo 2⁶⁴)

An event with number e meets u = splitmix64(e ^ key) >> 11, divided by 2⁵³: a number in [0, 1). The key is
splitmix64(seed); it is hashed once more for every earlier split of the same events, because otherwise a
second split with the same seed would only see the u that the first one left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import ColumnTypeError, NotInMemoryError, SettingError, ShapeError, unknown

if TYPE_CHECKING:
    from hepml_root.data.dataset import Dataset
    from hepml_root.data.lazy import LazyDataset

MODES = ("random", "alternate", "block")
PARTS = ("train", "validation", "test")

# From here on float64 does not tell all whole numbers apart.
_ROUNDED = 2.0**53

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def splitmix64(values: NDArray[np.integer[Any]] | int) -> NDArray[np.uint64]:
    """Hash 64-bit integers with splitmix64 (formula above). Negative ones count as their two's complement.

    Example
    -------
    >>> hex(int(splitmix64(0)))
    '0xe220a8397b1dcdaf'
    """
    z = np.array(values, dtype=np.int64 if np.asarray(values).dtype.kind != "u" else np.uint64, ndmin=1)
    z = z.view(np.uint64)
    z += _GOLDEN
    z ^= z >> np.uint64(30)
    z *= _FIRST
    z ^= z >> np.uint64(27)
    z *= _SECOND
    z ^= z >> np.uint64(31)
    return np.asarray(z if np.ndim(values) else z.reshape(()), dtype=np.uint64)


def check_seed(seed: int) -> None:
    """Raise SettingError unless ``seed`` is a whole number from 0 to 2⁶³ - 1."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise SettingError(f"seed={seed!r}: a seed is a whole number, not negative.")


def split_key(seed: int, depth: int = 0, stream: int = 0) -> np.uint64:
    """Key of a split: the seed, hashed ``depth`` + 1 times, then mixed with ``stream`` unless that is 0."""
    key = splitmix64(int(seed))
    for _ in range(depth):
        key = splitmix64(key)
    if stream:
        key = splitmix64(key ^ splitmix64(stream))
    return np.uint64(key)


def uniform_hash(numbers: NDArray[np.integer[Any]], key: np.uint64) -> NDArray[np.float64]:
    """Number in [0, 1) of each event: splitmix64(number ^ key) >> 11, over 2⁵³. Shape (events,).

    Example
    -------
    >>> uniform_hash(np.array([1, 2, 3]), split_key(seed=1)).round(4)
    array([0.914 , 0.7377, 0.5267])
    """
    numbers = np.ascontiguousarray(numbers)
    unsigned = numbers if numbers.dtype == np.uint64 else numbers.astype(np.int64, copy=False).view(np.uint64)
    return np.multiply(splitmix64(unsigned ^ key) >> np.uint64(11), 2.0**-53, dtype=np.float64)


def integral(values: NDArray[Any], label: str) -> NDArray[np.integer[Any]]:
    """Return an event-number column as integers.

    Raises
    ------
    ColumnTypeError
        The column holds text, numbers with a fractional part, or floating-point numbers from 2⁵³ on, which
        are no longer all apart: such a column does not name events.
    """
    values = np.asarray(values)
    if values.dtype.kind in "iu":
        return values
    if values.dtype.kind == "f" and (np.abs(values) >= _ROUNDED).any():
        raise ColumnTypeError(
            f"'{label}' is no event number: it holds {values.dtype} values of 2⁵³ and more, where "
            "neighbouring whole numbers are rounded to one. Name an integer branch; where it is signed in "
            "one file and unsigned in another, cast it to one type, as in 'ULong64_t(event)'."
        )
    if values.dtype.kind in "bf" and np.isfinite(values).all():
        whole = values.astype(np.int64)
        if np.array_equal(whole, values):
            return whole
    raise ColumnTypeError(
        f"'{label}' is no event number: it holds {values.dtype} values that are not whole numbers. "
        "Name an integer branch as event_number."
    )


@dataclass(frozen=True)
class SplitRule:
    """How events are divided; it travels in the manifest, so that a split can be made again.

    Arguments
    ---------
    test, validation:
        Fractions in [0, 1), or numbers of events per class (an int, or {class: int}).
    seed:
        Seed of the random modes.
    by:
        None: by position, stratified per class. Or the name of the event-number column.
    mode:
        "random", "alternate" (train, validation, test in turn) or "block" (in that order).
    depth:
        Number of earlier splits of these events.
    """

    test: float | int | Mapping[str, int]
    validation: float | int | Mapping[str, int] = 0.0
    seed: int = 1
    by: str | None = None
    mode: str = "random"
    depth: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.mode not in MODES:
            raise SettingError(unknown("split mode", str(self.mode), MODES))
        if self.by is not None and self.mode != "random":
            raise SettingError(
                f"mode='{self.mode}' goes by position, by='{self.by}' by event number: give one of the two."
            )
        fractions = 0.0
        for name, size in (("test", self.test), ("validation", self.validation)):
            if isinstance(size, Mapping | int) and not isinstance(size, bool):
                numbers = size.values() if isinstance(size, Mapping) else (size,)
                if any(number < 0 for number in numbers):
                    raise SettingError(f"{name}={size}: a number of events cannot be negative.")
                if self.by is not None and any(numbers):
                    raise SettingError(
                        f"{name}={size}: a split by event number takes a fraction, because the hash decides."
                    )
            elif isinstance(size, float | np.floating):
                if not 0 <= size < 1:
                    raise SettingError(f"{name}={size}: a fraction must be in [0, 1).")
                fractions += float(size)
            else:
                raise SettingError(f"{name}={size!r}: expected a fraction or a number of events per class.")
        if fractions >= 1:
            raise SettingError(
                f"test={self.test} and validation={self.validation} leave nothing to train on."
            )

    def counts(self, events: int, name: str) -> tuple[int, int, int]:
        """Numbers of training, validation and test events of class ``name`` with ``events`` events."""
        sizes = []
        for part, size in (("validation", self.validation), ("test", self.test)):
            if isinstance(size, Mapping):
                if name not in size:
                    raise SettingError(f"{part}={dict(size)} says nothing about class '{name}'.")
                sizes.append(int(size[name]))
            elif isinstance(size, int):
                sizes.append(size)
            else:
                sizes.append(int(np.floor(events * float(size) + 0.5)))
        validation, test = sizes
        if validation + test > events:
            raise SettingError(
                f"class '{name}' has {events} events; {test} for the test and {validation} for validation "
                "are more than that."
            )
        return events - validation - test, validation, test

    def edges(self) -> tuple[float, float]:
        """Upper edges in u of the test part, [0, test), and of the validation part, [test, test + …)."""
        sizes = [0.0 if size == 0 else size for size in (self.test, self.validation)]
        if any(isinstance(size, Mapping | int) for size in sizes):
            raise SettingError("this split goes by hash: give fractions for test and validation.")
        test, validation = (float(size) for size in sizes)  # type: ignore[arg-type]
        return test, test + validation

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as JSON-able values."""
        return {
            "test": dict(self.test) if isinstance(self.test, Mapping) else self.test,
            "validation": dict(self.validation) if isinstance(self.validation, Mapping) else self.validation,
            "seed": self.seed,
            "by": self.by,
            "mode": self.mode,
            "depth": self.depth,
            "hash": "splitmix64",
        }


def parts_by_hash(numbers: NDArray[np.integer[Any]], rule: SplitRule) -> NDArray[np.int8]:
    """Part of each event by its number: 0 train, 1 validation, 2 test; shape (events,).

    The same event is in the same part in every sample and on every machine; the sizes of the parts are
    therefore right only on average (binomial).
    """
    test, validation = rule.edges()
    u = uniform_hash(numbers, split_key(rule.seed, rule.depth))
    parts = np.zeros(len(u), dtype=np.int8)
    parts[u < validation] = 1
    parts[u < test] = 2
    return parts


def parts_by_position(
    labels: NDArray[np.integer[Any]] | None, classes: Sequence[str], events: int, rule: SplitRule
) -> NDArray[np.int8]:
    """Part of each event by its position in its class: 0 train, 1 validation, 2 test; shape (events,).

    The sizes are exact in every class. In the modes of TMVA: "random" draws them, "block" takes the first
    events to train on, then validation, then test, and "alternate" deals the events out in turn (train,
    validation, test, train, …); a part that is full is left out.
    """
    parts = np.empty(events, dtype=np.int8)
    for index, name, where in positions(labels, classes, events):
        counts = rule.counts(len(where), name)
        parts[where] = _deal(counts, rule.mode, split_key(rule.seed, rule.depth, index + 1))
    return parts


def positions(
    labels: NDArray[np.integer[Any]] | None, classes: Sequence[str], events: int
) -> Iterator[tuple[int, str, NDArray[np.intp]]]:
    """Give the index and name of each class with events, and where these are. Without labels: one class."""
    if labels is None:
        yield 0, "all events", np.arange(events)
        return
    for index, name in enumerate(classes):
        where = np.flatnonzero(labels == index)
        if len(where):
            yield index, name, where


def _deal(counts: Sequence[int], mode: str, key: np.uint64) -> NDArray[np.int8]:
    """Part of each of sum(counts) events, with ``counts`` events in each part."""
    events = int(sum(counts))
    numbers = np.arange(len(counts), dtype=np.int8)
    if mode == "block":
        return np.repeat(numbers, counts)
    if mode == "alternate":
        turn = np.concatenate([np.arange(count) for count in counts])
        who = np.repeat(numbers, counts)
        return who[np.lexsort((who, turn))]
    # The events with the smallest hashes come last in the list of parts: [0, test) as in a split by number.
    hashes = splitmix64(np.arange(events, dtype=np.uint64) ^ key)
    edges = np.cumsum(list(counts)[::-1])[:-1]
    inner = np.unique(edges[(edges > 0) & (edges < events)])
    order = np.argpartition(hashes, inner) if len(inner) else np.arange(events)
    parts = np.empty(events, dtype=np.int8)
    parts[order] = np.repeat(numbers[::-1], list(counts)[::-1])
    return parts


def set_aside(data: Dataset | LazyDataset, fraction: float, seed: int) -> tuple[Any, Any]:
    """Divide training events into (train, validation): by event number, if they came about by that.

    Several candidates or variations of one event, which have one number, then stay together; else some would
    be trained on and the others validated with.
    """
    rule = data.provenance.get("split")
    while rule and not rule.get("by"):
        rule = rule.get("of")
    train, validation = data.split(test=fraction, seed=seed, by=rule["by"] if rule else None)
    return train, validation


class KFold:
    """k folds of a dataset: each event is tested by the one model that has not seen it.

    Fold i is the test part of the i-th pair; the i-th model is trained on all other folds. By event number
    the fold is floor(k · u), u being the hash of :mod:`hepml_root.data.split`, so that the right model is
    found for any later event too. Without one the folds are drawn per class, equal in size, and known only
    for the events of this dataset (by the hash of the position, for a lazy one).

    Arguments
    ---------
    data:
        The dataset to fold, in memory or lazy.
    k:
        Number of folds, at least 2.
    seed:
        Seed of the hash.
    by:
        None, "event_number", or the label of a spectator that holds a whole number per event.
    renormalise:
        As in :meth:`Dataset.split`.

    Raises
    ------
    SettingError
        Fewer than two folds, or more folds than events in a class.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> data = hr.Dataset.from_arrays(np.arange(12.0)[:, None], np.arange(12) % 2, event_number=np.arange(12))
    >>> folds = data.folds(3, by="event_number")
    >>> [(len(train), len(test)) for train, test in folds]
    [(8, 4), (9, 3), (7, 5)]
    """

    def __init__(
        self,
        data: Dataset | LazyDataset,
        k: int,
        *,
        seed: int = 1,
        by: str | None = None,
        renormalise: bool | None = None,
    ) -> None:
        check_seed(seed)
        if k < 2:
            raise SettingError(f"folds need k of at least 2, not {k}.")
        self.k, self.seed, self.by, self.renormalise = k, seed, by, renormalise
        self._data = data
        self._fold = None if data.lazy else self._draw(data)  # type: ignore[arg-type]

    def _draw(self, data: Dataset) -> NDArray[np.integer[Any]]:
        if self.by is not None:
            return self._fold_of_numbers(data.event_numbers(self.by))
        fold: NDArray[np.integer[Any]] = np.empty(len(data), np.int8 if self.k < 128 else np.int32)
        for index, name, where in positions(data.labels, data.classes, len(data)):
            if len(where) < self.k:
                raise SettingError(f"class '{name}' has {len(where)} events, too few for {self.k} folds.")
            sizes = [int(size) for size in np.diff(np.linspace(0, len(where), self.k + 1).round())]
            fold[where] = _deal(sizes, "random", split_key(self.seed, data.split_depth, index + 1))
        return fold

    def __len__(self) -> int:
        return self.k

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for index in range(self.k):
            yield self[index]

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return (train, test) of one fold; lazy if the dataset is."""
        if not 0 <= index < self.k:
            raise IndexError(f"fold {index} of {self.k}")
        rule = {"folds": self.k, "fold": index, "seed": self.seed, "by": self.by, "hash": "splitmix64"}
        if self._fold is None:
            return self._data.fold_parts(rule, self.renormalise)  # type: ignore[union-attr]
        test = self._fold == index
        parts = {"train": np.flatnonzero(~test), "test": np.flatnonzero(test)}
        train_data, test_data = self._data.divide(parts, rule, self.renormalise)
        return train_data, test_data

    def fold_of(self, events: Dataset | NDArray[np.integer[Any]] | None = None) -> NDArray[np.integer[Any]]:
        """Fold of each event, shape (events,): the index of the model that may be applied to it.

        Arguments
        ---------
        events:
            A dataset, an array of event numbers, or None for the dataset the folds were made of.

        Raises
        ------
        SettingError
            Other events are asked for, and the folds were not made by event number.
        """
        if (events is None or events is self._data) and self._fold is not None:
            return self._fold
        if events is None:
            raise NotInMemoryError(
                "the events are not in memory: give fold_of those to look up, with load()."
            )
        if self.by is None:
            raise SettingError(
                "these folds were drawn by position and are known for their own dataset only. "
                "Make them with folds(k, by='event_number') to apply them to other events."
            )
        if isinstance(events, np.ndarray):
            return self._fold_of_numbers(integral(events, self.by))
        return self._fold_of_numbers(events.event_numbers(self.by))

    def predict(
        self,
        models: Sequence[Any],
        data: Dataset | None = None,
        predict: Callable[[Any, Dataset], NDArray[Any]] | None = None,
    ) -> NDArray[Any]:
        """Apply to each event the model that has not been trained on it.

        Arguments
        ---------
        models:
            k models, in the order of the folds.
        data:
            Events to apply them to; the dataset of the folds if None.
        predict:
            Function (model, dataset) → outputs; ``model.predict(dataset.X, verbose=0)`` if None.

        Returns
        -------
        Outputs, shape (events, outputs).

        Raises
        ------
        ShapeError
            The number of models is not k.
        """
        if len(models) != self.k:
            raise ShapeError(f"{self.k} folds need {self.k} models, not {len(models)}.")
        fold = self.fold_of(data)
        if data is None:
            data = self._data  # type: ignore[assignment]
        assert data is not None
        outputs: NDArray[Any] | None = None
        for index, model in enumerate(models):
            where = np.flatnonzero(fold == index)
            if not len(where):
                continue
            part = data[where]
            result = np.asarray(predict(model, part) if predict else model.predict(part.X, verbose=0))
            if outputs is None:
                outputs = np.empty((len(data), *result.shape[1:]), dtype=result.dtype)
            outputs[where] = result
        return np.empty((0, 1), dtype=np.float32) if outputs is None else outputs

    def _fold_of_numbers(self, numbers: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        u = uniform_hash(numbers, split_key(self.seed, self._data.split_depth))
        return (u * self.k).astype(np.int8 if self.k < 128 else np.int32)
