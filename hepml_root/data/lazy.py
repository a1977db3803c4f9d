"""The lazy dataset: files of any size that are split and streamed without being held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.dataset import Dataset
from hepml_root.data.described import Described
from hepml_root.data.part_reader import PartReader, changed
from hepml_root.data.reading import Arrays, refuse_empty
from hepml_root.data.recipe import Recipe
from hepml_root.data.represented_inputs import count_losses
from hepml_root.data.split import PARTS, KFold, SplitRule
from hepml_root.data.survey import Condition, PartSummary, Selection, Survey
from hepml_root.data.weights import Yield, Yields, balance_factors, check_total
from hepml_root.errors import EmptySelectionError, NotInMemoryError, SettingError, unknown

if TYPE_CHECKING:
    from hepml_root.data.stream import FileStream

_IN_MEMORY = ("X", "labels", "target", "weight", "training_weight", "spectators", "event_number", "column")
# Keeps the draw of a sample apart from the splits made with the same seed.
_SAMPLE = 0x73616D706C65


class LazyDataset(Described):
    """A dataset that stays in its files; made by ``Dataset.from_root(..., lazy=True)``.

    ``split`` it, look at its ``yields``, and ``stream`` it into ``hr.fit``; ``sample`` and ``load`` give
    datasets in memory. The first use of sums, such as ``len``, ``yields`` or ``stream``, reads the weights of
    the files once; nothing else is read before it is needed.

    Splits go by hash: of the event number, or of the position of the event in its source (after the cut).
    The sizes of the parts are right on average.

    Example
    -------
    >>> import hepml_root as hr
    >>> higgs = hr.data.shipped_file("Higgs_data.root")
    >>> data = hr.Dataset.from_root(
    ...     {"signal": f"{higgs}:sig_tree", "background": f"{higgs}:bkg_tree"},
    ...     inputs=["m_bb", "m_wbb"], lazy=True)
    >>> train, test = data.split(test=0.3, seed=1)
    >>> len(train), len(test)
    (13994, 6006)
    >>> X, target, weight = next(iter(train.stream(batch_size=128)))
    >>> X["features"].shape, target.shape, weight.shape
    ((128, 2), (128, 1), (128,))
    """

    lazy = True

    def __init__(
        self,
        recipe: Recipe,
        selection: Selection = (),
        *,
        survey: Survey | None = None,
        provenance: dict[str, Any] | None = None,
        split_depth: int = 0,
        yield_of: LazyDataset | None = None,
    ) -> None:
        self.recipe = recipe
        self.schema = recipe.schema
        self.selection = selection
        self.provenance = recipe.provenance() if provenance is None else provenance
        self.split_depth = split_depth
        self._survey = Survey(recipe) if survey is None else survey
        self._survey.add(selection)
        # The dataset whose yield this part stands for; None if it only stands for itself.
        self._yield_of = yield_of

    def __repr__(self) -> str:
        # A look at it in a notebook must not read the files; print() does, for the yields.
        inputs = ", ".join(f"{block.name} {block.shape}" for block in self.blocks)
        sources = ", ".join(part.frame.name for part in self.recipe.parts)
        return f"LazyDataset for {self.task}; inputs: {inputs}; from {sources}"

    # ---------------------------------------------------------------- sums

    def __len__(self) -> int:
        return sum(summary.physics.events for summary in self._summaries())

    def _summaries(self) -> list[PartSummary]:
        summaries = self._survey.summaries(self.selection)
        if not self.selection:
            refuse_empty(self.recipe, [summary.physics.events for summary in summaries])
        return summaries

    def _class_yields(self) -> list[Yield]:
        """Yield of each class, before any scaling to the yield of a larger sample."""
        rows = [Yield(name, 0, 0.0, 0.0, 0) for name in self.classes or ("all events",)]
        for part, summary in zip(self.recipe.parts, self._summaries(), strict=True):
            rows[part.label] = rows[part.label] + summary.physics
        part_name = self.provenance.get("split", {}).get("part", "")
        for row in rows:
            if not row.events:
                raise EmptySelectionError(
                    f"the {part_name} part has no event of class '{row.name}'. "
                    "Take another fraction or more events."
                )
        return rows

    def _scales(self) -> list[float]:
        """Factor on the physics weights of each class, so that they stand for the whole yield."""
        own = self._class_yields()
        if self._yield_of is None:
            return [1.0] * len(own)
        larger = self._yield_of
        whole = [row.sum * f for row, f in zip(larger._class_yields(), larger._scales(), strict=True)]
        for row in own:
            check_total(row.sum, f"the part of class '{row.name}'")
        return [total / row.sum for total, row in zip(whole, own, strict=True)]

    @property
    def counts_as_yields(self) -> bool:
        """True if no physics weight was given at all, so that weights only count events."""
        return self.recipe.counts_as_yields

    def yields(self) -> Yields:
        """Table of events, sum of physics weights, negative fraction and effective number, per class."""
        return Yields(
            [row.scaled(factor) for row, factor in zip(self._class_yields(), self._scales(), strict=True)]
        )

    def training_factors(self) -> NDArray[np.float64]:
        """Factor of each class that balances its training weights, (classes,)."""
        names = self.classes or ("all events",)
        sums = np.zeros(len(names))
        counts = np.zeros(len(names), dtype=np.int64)
        for part, summary in zip(self.recipe.parts, self._summaries(), strict=True):
            sums[part.label] += summary.training_sum
            counts[part.label] += summary.physics.events
        if self.recipe.balance:
            return balance_factors(sums.tolist(), counts.tolist(), names)
        check_total(float(sums.sum()), "the training weights")
        return np.full(len(names), counts.sum() / sums.sum())

    # ---------------------------------------------------------------- parts of it

    def split(
        self,
        test: float = 0.3,
        seed: int = 1,
        *,
        validation: float = 0.0,
        by: str | None = None,
        mode: str = "random",
        renormalise: bool | None = None,
    ) -> tuple[LazyDataset, ...]:
        """Divide into (train, test), or (train, validation, test), by hash; as :meth:`Dataset.split`.

        Raises
        ------
        SettingError
            A fraction out of range, a mode other than "random" (that needs the number of events), or no
            event number to split by.
        """
        rule = SplitRule(test, validation, seed, by, mode, self.split_depth)
        if mode != "random":
            raise SettingError(f"mode='{mode}' is for datasets in memory; a lazy one is split by hash.")
        if by is not None:
            self._check_number(by)
        if renormalise is None:
            renormalise = not self.recipe.counts_as_yields
        test_edge, validation_edge = rule.edges()
        edges = {
            "train": (validation_edge, 1.0),
            "validation": (test_edge, validation_edge),
            "test": (0.0, test_edge),
        }
        return tuple(
            self._part(name, rule.to_dict(), Condition(by, seed, self.split_depth, *edges[name]), renormalise)
            for name in PARTS
            if edges[name][1] > edges[name][0]
        )

    def folds(
        self, k: int, seed: int = 1, *, by: str | None = None, renormalise: bool | None = None
    ) -> KFold:
        """Make k folds by hash: iterate over (train, test), both lazy; see :class:`Dataset.folds`."""
        if by is not None:
            self._check_number(by)
        return KFold(self, k, seed=seed, by=by, renormalise=renormalise)

    def fold_parts(
        self, rule: Mapping[str, Any], renormalise: bool | None = None
    ) -> tuple[LazyDataset, LazyDataset]:
        """Return (train, test) of the fold that ``rule`` describes."""
        fold = Condition(
            rule["by"], rule["seed"], self.split_depth, rule["fold"], rule["fold"] + 1, scale=rule["folds"]
        )
        if renormalise is None:
            renormalise = not self.recipe.counts_as_yields
        return (
            self._part("train", rule, replace(fold, outside=True), renormalise),
            self._part("test", rule, fold, renormalise),
        )

    def _part(
        self, name: str, rule: Mapping[str, Any], condition: Condition, renormalise: bool
    ) -> LazyDataset:
        return LazyDataset(
            self.recipe,
            (*self.selection, condition),
            survey=self._survey,
            provenance=self._with_split(name, rule),
            split_depth=self.split_depth + 1,
            yield_of=self if renormalise else None,
        )

    def __getattr__(self, name: str) -> Any:
        if name in _IN_MEMORY:
            raise NotInMemoryError(
                f"a lazy dataset has no '{name}' in memory: stream() it, or read it with load() or sample()."
            )
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _check_number(self, by: str) -> None:
        if by == "event_number" and self.recipe.event_number is not None:
            return
        labels = [column.label for column in self.recipe.spectators]
        if by not in labels:
            have = [*(["event_number"] if self.recipe.event_number is not None else []), *labels]
            raise SettingError(
                unknown(
                    "event-number column", by, have, "Name one with event_number=… when making the dataset."
                )
            )

    def stream(
        self,
        batch_size: int = 1024,
        buffer_events: int = 200_000,
        seed: int = 1,
        epochs: int | None = 1,
        *,
        drop_last: bool = False,
    ) -> FileStream:
        """Give shuffled batches (X, target, training weight) with bounded memory.

        Arguments as in :meth:`Dataset.stream`; see :class:`hepml_root.data.stream.FileStream`.
        """
        from hepml_root.data.stream import FileStream

        return FileStream(self, batch_size, buffer_events, seed, epochs, drop_last)

    def sample(self, events: int = 100_000, seed: int = 1) -> Dataset:
        """Read about ``events`` random events into memory (all, if there are no more), in one pass."""
        fraction = events / max(len(self), 1)
        if fraction >= 1:
            return self.load()
        drawn = Condition(None, seed, 0, 0.0, fraction, stream=_SAMPLE)
        sampled = LazyDataset(
            self.recipe,
            (*self.selection, drawn),
            survey=self._survey,
            provenance=self._with_split("sample", {"events": events, "seed": seed}),
            split_depth=self.split_depth,
            yield_of=None if self.recipe.counts_as_yields else self,
        )
        return sampled.load()

    def load(self) -> Dataset:
        """Read the selected events into memory, spectators and all."""
        events = len(self)
        kept: Arrays | None = None
        first = 0
        for index in range(len(self.recipe.parts)):
            for arrays in self.reader(index).arrays(self.recipe.needs):
                if kept is None:
                    kept = arrays.empty(events)
                if first + len(arrays.weight) > events:
                    raise changed(events, first + len(arrays.weight))
                first = kept.put(first, arrays)
        if kept is None or first != events:
            raise changed(events, first)
        scales = np.array(self._scales())
        if (scales != 1).any():
            if kept.training_base is None and not self.recipe.balance:
                kept.training_base = kept.weight.copy()
            kept.weight *= scales[0] if kept.labels is None else scales[kept.labels]
        provenance = self.provenance
        if kept.losses:
            lost = count_losses(kept.losses, kept.labels, self.classes)
            provenance = {**provenance, "representations": lost}
        return Dataset(
            self.schema,
            kept.X,
            labels=kept.labels,
            regression_target=kept.regression_target,
            weight=kept.weight,
            training_base=kept.training_base,
            balanced=self.recipe.balance,
            spectators=kept.spectators,
            event_number=kept.event_number,
            provenance=provenance,
            split_depth=self.split_depth,
            counts_as_yields=self.recipe.counts_as_yields,
        )

    # ---------------------------------------------------------------- reading

    def part_events(self) -> list[int]:
        """Number of selected events of each part."""
        return [summary.physics.events for summary in self._summaries()]

    def reader(self, index: int) -> PartReader:
        """Prepare to read the selected events of one part."""
        table = self._survey.table() if None in self.recipe.parts[index].parameters else None
        return PartReader(self.recipe, index, self.selection, table)
