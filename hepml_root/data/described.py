"""What a dataset in memory and a lazy one have in common: a schema, an origin, yields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from hepml_root.data.columns import Column
from hepml_root.data.schema import Block, Schema, describe_column
from hepml_root.data.weights import Yields


class Described(ABC):
    """Base of :class:`Dataset` and :class:`LazyDataset`."""

    schema: Schema
    provenance: dict[str, Any]
    split_depth: int

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Input blocks, in the order of the model's inputs."""
        return self.schema.blocks

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty for regression."""
        return self.schema.classes

    @property
    def signal(self) -> str | None:
        """Name of the signal class."""
        return self.schema.signal

    @property
    def targets(self) -> tuple[Column, ...]:
        """Columns of the regression targets; empty for classification."""
        return self.schema.targets

    @property
    def task(self) -> str:
        """Return "binary", "multiclass" or "regression"."""
        return self.schema.task

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def yields(self) -> Yields:
        """Table of events, sum of physics weights, negative fraction and effective number, per class."""

    def describe(self) -> dict[str, Any]:
        """Return the data part of a model's manifest, JSON-able: inputs, outputs, classes, yields, origin."""
        provenance = dict(self.provenance)
        return {
            **self.schema.to_dict(),
            "cut": provenance.pop("cut", {}),
            "weights": provenance.pop("weights", {}),
            "spectators": [describe_column(column) for column in provenance.pop("spectators", ())],
            "yields": self.yields().to_dict(),
            "provenance": {"files": [], "split": {}, **provenance},
        }

    def _with_split(self, part: str, rule: Mapping[str, Any]) -> dict[str, Any]:
        """Provenance of a part: the rule it came about by, and those before."""
        split = {"part": part, **rule}
        if self.provenance.get("split"):
            split["of"] = self.provenance["split"]
        return {**self.provenance, "split": split}

    def __str__(self) -> str:
        inputs = ", ".join(f"{block.name} {block.shape}" for block in self.blocks)
        return f"{len(self)} events for {self.task}; inputs: {inputs}\n{self.yields()}"

    __repr__ = __str__
