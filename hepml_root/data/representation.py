"""The base of all representations: what turns the constituents of an event into input tensors of a network.

A representation names the columns it reads and the blocks it gives; the computation itself is C++
(``include/hepml_root/representations``), made from :meth:`Representation.to_dict`, which the manifest of a
model holds. So the same code runs when a dataset is read and when a model is applied in the event loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from hepml_root.data.columns import Column
from hepml_root.data.schema import Block, describe_column


class Representation(ABC):
    """Several jagged columns of one event, such as the particles of a jet, as tensors of fixed shape.

    Attributes
    ----------
    kind:
        Name by which C++ finds the computation: "constituents", "image", …
    name:
        Name of the first block it gives, and of the representation.
    columns:
        The jagged columns it reads; in each event all have the same number of values.
    scalars:
        Columns with one value per event that it reads besides, such as the axis of the jet.
    """

    kind: ClassVar[str]
    name: str
    columns: tuple[Column, ...]
    scalars: tuple[Column, ...]

    @abstractmethod
    def blocks(self) -> tuple[Block, ...]:
        """Blocks of the dataset and inputs of the model, in the order in which the C++ fills them."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON-able settings that the C++ needs besides the columns."""

    def to_dict(self) -> dict[str, Any]:
        """Return what the manifest holds, and C++ is made from."""
        return {
            "kind": self.kind,
            "name": self.name,
            "columns": [describe_column(column) for column in self.columns],
            "scalars": [describe_column(column) for column in self.scalars],
            "outputs": [
                {"name": block.name, "kind": block.kind, "shape": list(block.shape)}
                for block in self.blocks()
            ],
            "settings": self.settings(),
        }
