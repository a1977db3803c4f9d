"""The dataset in memory: inputs in blocks, classes or targets, weights, spectators and their origin."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.arrays import from_arrays
from hepml_root.data.described import Described
from hepml_root.data.reading import from_root
from hepml_root.data.represented_inputs import describe_counts
from hepml_root.data.schema import Schema
from hepml_root.data.split import PARTS, KFold, SplitRule, integral, parts_by_hash, parts_by_position
from hepml_root.data.weights import (
    Yield,
    Yields,
    balance_factors,
    check_total,
    class_sums,
    effective_events,
)
from hepml_root.errors import ColumnNotFoundError, EmptySelectionError, SettingError, ShapeError, unknown

if TYPE_CHECKING:
    from hepml_root.data.stream import Stream


class Dataset(Described):
    """Events in memory, ready to train on.

    Make one with :meth:`from_root` or :meth:`from_arrays`; then ``split``, ``folds``, or ``stream`` it, index
    it with a slice (a view), a mask or an array of positions, and ``print`` it for its table of yields.

    Attributes
    ----------
    X:
        Inputs {block: array}. "features" (events, features) float32; "parameters" (events, parameters)
        float32; each group g of jagged columns: g (events, constituents, features) float32, padded with 0,
        and g + "_mask" (events, constituents) bool, True where there is a constituent; of a representation,
        its blocks: such a tensor and mask, an image (events, height, width, channels), …
    labels:
        Index into ``classes``, (events,) int32; None for regression.
    target:
        What a network learns, float32. Binary: (events, 1), 1 for signal. Multiclass: (events, classes),
        one-hot. Regression: (events, targets).
    weight:
        Physics weight, (events,) float64: weight expression × σ·L normalisation.
    training_weight:
        (events,) float32. The physics weight, or a given one, scaled so that every class has the same sum
        and the mean is 1. Negative weights keep their sign.
    spectators:
        {label: (events,) array}, in the type of the branch.
    event_number:
        (events,) integers, or None.
    schema:
        Blocks, classes and targets.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> x = np.random.default_rng(1).normal(size=(100, 2))
    >>> data = hr.Dataset.from_arrays(x, x[:, 0] > 0, columns=["pt", "eta"])
    >>> train, test = data.split(test=0.3, seed=1)
    >>> len(train), len(test), train.X["features"].shape
    (70, 30, (70, 2))
    """

    lazy = False

    def __init__(
        self,
        schema: Schema,
        X: dict[str, NDArray[Any]],
        *,
        labels: NDArray[np.integer[Any]] | None,
        regression_target: NDArray[np.float32] | None,
        weight: NDArray[np.float64],
        training_base: NDArray[np.floating[Any]] | None = None,
        training_factors: NDArray[np.float64] | None = None,
        balanced: bool = True,
        spectators: Mapping[str, NDArray[Any]] | None = None,
        event_number: NDArray[np.integer[Any]] | None = None,
        provenance: Mapping[str, Any] | None = None,
        split_depth: int = 0,
        counts_as_yields: bool = False,
    ) -> None:
        # Checked by the two constructors users call; slices and splits come here with nothing left to check.
        self.schema = schema
        self.X = X
        self.labels = labels
        self.weight = weight
        self.spectators = dict(spectators or {})
        self.event_number = event_number
        self.provenance = dict(provenance or {})
        self.split_depth = split_depth
        self._regression_target = regression_target
        self._training_base = training_base
        self._balanced = balanced
        self._counts_as_yields = counts_as_yields
        self._training_factors = self._factors() if training_factors is None else training_factors

    # ---------------------------------------------------------------- making one

    from_root = classmethod(from_root)
    from_arrays = classmethod(from_arrays)

    # ---------------------------------------------------------------- what it is

    def __len__(self) -> int:
        return len(self.weight)

    @cached_property
    def target(self) -> NDArray[np.float32]:
        """What a network learns: (events, 1), (events, classes) or (events, targets), float32."""
        if self._regression_target is not None:
            return self._regression_target
        assert self.labels is not None  # one of the two is always there
        if self.task == "binary":
            return (self.labels == self.schema.signal_index).astype(np.float32)[:, None]
        return np.eye(len(self.classes), dtype=np.float32)[self.labels]

    @cached_property
    def training_weight(self) -> NDArray[np.float32]:
        """Training weights, (events,) float32: equal sums of all classes, mean 1 in each part of a split."""
        base = self.weight if self._training_base is None else self._training_base
        factors = self._training_factors
        per_event = factors[0] if self.labels is None else factors[self.labels]
        return (base * per_event).astype(np.float32)

    def _factors(self) -> NDArray[np.float64]:
        """Scale of the training weights of each class."""
        base = self.weight if self._training_base is None else self._training_base
        if self.labels is None or not self._balanced:
            total = float(base.sum())
            if len(self):
                check_total(total, "the training weights")
            return np.full(max(len(self.classes), 1), len(self) / total if len(self) else 0.0)
        sums, counts = class_sums(base, self.labels, len(self.classes))
        return balance_factors(sums.tolist(), counts.tolist(), self.classes)

    def column(self, label: str) -> NDArray[Any]:
        """Return a feature, parameter, target or spectator by its label, first axis (events); a view.

        Of a label that several blocks have, it is the first one's; "block.label" says which.

        Raises
        ------
        ColumnNotFoundError
            There is no such column.
        """
        for block in self.blocks:
            for own in (label, label.removeprefix(f"{block.name}.")):
                if own in block.labels:
                    return self.X[block.name][..., block.labels.index(own)]
        target_labels = [column.label for column in self.targets]
        if label in target_labels:
            return self.target[:, target_labels.index(label)]
        if label in self.spectators:
            return self.spectators[label]
        known = [name for block in self.blocks for name in block.labels]
        raise ColumnNotFoundError(unknown("column", label, [*known, *target_labels, *self.spectators]))

    def event_numbers(self, by: str) -> NDArray[np.integer[Any]]:
        """Return the whole numbers that name the events: "event_number", or the label of a spectator.

        Raises
        ------
        SettingError
            The dataset was made without that column.
        ColumnTypeError
            The column does not hold whole numbers.
        """
        if by == "event_number" and self.event_number is not None:
            return self.event_number
        if by in self.spectators:
            return integral(self.spectators[by], by)
        have = [*(["event_number"] if self.event_number is not None else []), *self.spectators]
        raise SettingError(
            unknown("event-number column", by, have, "Name one with event_number=… when making the dataset.")
        )

    @property
    def counts_as_yields(self) -> bool:
        """True if no physics weight was given at all, so that weights only count events."""
        return self._counts_as_yields

    def yields(self) -> Yields:
        """Table of events, sum of physics weights, negative fraction and effective number, per class."""
        if self.labels is None:
            return Yields([Yield.of("all events", self.weight)])
        return Yields(
            [Yield.of(name, self.weight[self.labels == index]) for index, name in enumerate(self.classes)]
        )

    def __str__(self) -> str:
        effective = effective_events(self.training_weight)
        text = f"{super().__str__()}\neffective events in training: {effective:.1f}"
        lost = self.provenance.get("representations")
        return f"{text}\n{describe_counts(lost)}" if lost else text

    __repr__ = __str__

    # ---------------------------------------------------------------- parts of it

    def __getitem__(self, index: Any) -> Dataset:
        """Return some of the events: a slice gives views, a mask or positions (events,) copies."""
        if isinstance(index, int | np.integer):
            if not -len(self) <= index < len(self):
                raise IndexError(f"event {index} of {len(self)}")
            index = slice(int(index) % len(self), int(index) % len(self) + 1)
        if not isinstance(index, slice):
            index = np.asarray(index)
            if index.dtype == bool:
                if index.shape != (len(self),):
                    raise ShapeError(
                        f"a mask of shape {index.shape} does not select from {len(self)} events."
                    )
                index = np.flatnonzero(index)
            elif index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
                raise ShapeError(
                    f"events are selected by a slice, a mask or positions, not by {index.dtype} "
                    f"of shape {index.shape}."
                )
            else:
                index = index.astype(np.intp, copy=False)
        return self._part(index, {})

    def _part(self, index: slice | NDArray[np.intp], changes: dict[str, Any]) -> Dataset:
        def take(array: NDArray[Any] | None) -> Any:
            if array is None:
                return None
            return array[index] if isinstance(index, slice) else np.take(array, index, axis=0)

        settings: dict[str, Any] = {
            "labels": take(self.labels),
            "regression_target": take(self._regression_target),
            "weight": take(self.weight),
            "training_base": take(self._training_base),
            "training_factors": self._training_factors,
            "balanced": self._balanced,
            "spectators": {label: take(values) for label, values in self.spectators.items()},
            "event_number": take(self.event_number),
            "provenance": self.provenance,
            "split_depth": self.split_depth,
            "counts_as_yields": self._counts_as_yields,
        }
        return Dataset(
            self.schema, {name: take(array) for name, array in self.X.items()}, **settings | changes
        )

    def split(
        self,
        test: float | int | Mapping[str, int] = 0.3,
        seed: int = 1,
        *,
        validation: float | int | Mapping[str, int] = 0.0,
        by: str | None = None,
        mode: str = "random",
        renormalise: bool | None = None,
    ) -> tuple[Dataset, ...]:
        """Divide into (train, test), or (train, validation, test) if a validation part is asked for.

        The training weights of each part are balanced anew. The *physics weights* of each part are scaled,
        per class, so that every part still stands for the yield of the whole sample (see ``renormalise``).

        Arguments
        ---------
        test, validation:
            Fractions in [0, 1), or numbers of events per class (an int, or {class: int}).
        seed:
            Seed of the hash; the same seed gives the same split on any machine.
        by:
            None: by position, with exact sizes in each class. "event_number", or the label of a spectator
            with whole numbers: by a hash of that number, so that the same event is in the same part in
            every sample; the sizes are then right on average.
        mode:
            By position: "random", or TMVA's "alternate" (dealt out in turn) and "block" (first the events to
            train on, then validation, then test).
        renormalise:
            Scale physics weights so that each part has the yield of the whole. None means: if the weights
            are physics, that is, if a weight or a cross section was given; weights that are all 1 just
            because none were given stay 1 and count events.

        Raises
        ------
        EmptySelectionError
            A part would have no event of a class.
        SettingError
            A fraction out of range, an unknown mode, or no event number to split by.

        Example
        -------
        >>> import numpy as np, hepml_root as hr
        >>> data = hr.Dataset.from_arrays(np.zeros((10, 1)), np.arange(10) % 2, weight=np.full(10, 0.5))
        >>> train, validation, test = data.split(test=0.2, validation=0.2)
        >>> len(train), len(validation), len(test), test.yields()["signal"].sum
        (6, 2, 2, 2.5)
        """
        rule = SplitRule(test, validation, seed, by, mode, self.split_depth)
        if by is None:
            parts = parts_by_position(self.labels, self.classes, len(self), rule)
        else:
            parts = parts_by_hash(self.event_numbers(by), rule)
        wanted = {"train": True, "validation": _asked(validation), "test": _asked(test)}
        selected = {
            name: np.flatnonzero(parts == number) for number, name in enumerate(PARTS) if wanted[name]
        }
        return self.divide(selected, rule.to_dict(), renormalise)

    def divide(
        self, parts: Mapping[str, NDArray[np.intp]], rule: Mapping[str, Any], renormalise: bool | None = None
    ) -> tuple[Dataset, ...]:
        """Make one dataset of each named array of positions; ``rule`` is recorded in the provenance."""
        if renormalise is None:
            renormalise = not self._counts_as_yields
        whole = self._sums(self.labels, self.weight)
        # A class may be gone before: the background alone is what an autoencoder learns from.
        present = [
            self.labels is None or bool((self.labels == label).any())
            for label in range(len(self.classes) or 1)
        ]
        result = []
        for name, index in parts.items():
            labels = None if self.labels is None else self.labels[index]
            for label, class_name in enumerate(self.classes or ("all events",)):
                if present[label] and not (len(index) if labels is None else (labels == label).any()):
                    raise EmptySelectionError(
                        f"the {name} part has no event of class '{class_name}' (of {len(self)} events). "
                        "Take another fraction, fewer folds, or more events."
                    )
            weight = self.weight[index]
            base = None if self._training_base is None else self._training_base[index]
            if renormalise:
                sums = self._sums(labels, weight)
                names = self.classes or ("all events",)
                for class_name, total, there in zip(names, sums, present, strict=True):
                    if there:
                        check_total(float(total), f"the {name} part of class '{class_name}'")
                scale = whole / np.where(present, sums, 1.0)
                if base is None and not self._balanced:
                    base = weight  # unbalanced training weights keep the ratio of the classes
                weight = weight * (scale[0] if labels is None else scale[labels])
            result.append(
                self._part(
                    index,
                    {
                        "weight": weight,
                        "training_base": base,
                        "training_factors": None,
                        "provenance": self._with_split(name, rule),
                        "split_depth": self.split_depth + 1,
                    },
                )
            )
        return tuple(result)

    def _sums(
        self, labels: NDArray[np.integer[Any]] | None, weight: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        if labels is None:
            return np.array([weight.sum()])
        return class_sums(weight, labels, len(self.classes))[0]

    def folds(
        self, k: int, seed: int = 1, *, by: str | None = None, renormalise: bool | None = None
    ) -> KFold:
        """Make k folds: iterate over (train, test), and find the model for each event with ``fold_of``.

        Arguments as in :meth:`split`; see :class:`hepml_root.data.split.KFold`.
        """
        return KFold(self, k, seed=seed, by=by, renormalise=renormalise)

    def stream(
        self,
        batch_size: int = 1024,
        buffer_events: int = 200_000,
        seed: int = 1,
        epochs: int | None = 1,
        *,
        drop_last: bool = False,
    ) -> Stream:
        """Give shuffled batches (X, target, training weight); see :class:`hepml_root.data.stream.Stream`.

        Arguments
        ---------
        batch_size:
            Events in a batch.
        buffer_events:
            Size of the shuffle buffer of a lazy dataset. One in memory is shuffled as a whole.
        seed:
            Seed of the order.
        epochs:
            Number of times each event comes; None goes on for ever.
        drop_last:
            Leave out the last batch of an epoch if it is not full.

        Example
        -------
        >>> import numpy as np, hepml_root as hr
        >>> data = hr.Dataset.from_arrays(np.zeros((10, 3)), np.arange(10) % 2)
        >>> [X["features"].shape for X, target, weight in data.stream(batch_size=4)]
        [(4, 3), (4, 3), (2, 3)]
        """
        from hepml_root.data.stream import MemoryStream

        del buffer_events
        return MemoryStream(self, batch_size, seed, epochs, drop_last)


def _asked(size: float | int | Mapping[str, int]) -> bool:
    return any(size.values()) if isinstance(size, Mapping) else size > 0
