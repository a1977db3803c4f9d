"""The base of all representations: what turns the constituents of an event into input tensors of a network.

A representation names the columns it reads and the blocks it gives; the computation itself is C++
(``include/hepml_root/representations``), made from :meth:`Representation.to_dict`, which the manifest of a
model holds. So the same code runs when a dataset is read and when a model is applied in the event loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.columns import Column
from hepml_root.data.schema import Block, describe_column

if TYPE_CHECKING:
    from hepml_root.data.represented_arrays import Losses


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

    def __call__(self, arrays: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
        """Return the blocks made of events in memory, computed by the C++ that also reads files.

        Arguments
        ---------
        arrays:
            Each column by its label or its expression: a list of arrays, one for each event, or an awkward
            array; ``scalars`` are arrays (events,).

        Raises
        ------
        ColumnNotFoundError, ColumnTypeError, ShapeError
            A column is missing, holds no numbers, or differs from the others in its length.
        NonFiniteInputError
            A value that is needed is NaN or infinite.
        """
        return self.with_losses(arrays)[0]

    def with_losses(self, arrays: Mapping[str, Any]) -> tuple[dict[str, NDArray[np.float32]], Losses]:
        """Return the blocks as a call does, and for each event how many constituents are not in them."""
        from hepml_root.data.represented_arrays import represent

        return represent(self, arrays)
