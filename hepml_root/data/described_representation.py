"""A representation as a manifest describes it: it fills the tensors without the class that wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hepml_root.data.columns import Column
from hepml_root.data.representation import Representation
from hepml_root.data.schema import Block


class DescribedRepresentation(Representation):
    """A representation made from ``Representation.to_dict()``, for arrays and datasets.

    Arguments
    ---------
    description:
        The entry "representation" of a manifest's input.

    Example
    -------
    >>> description = {"kind": "constituents", "name": "particles", "settings": {}, "scalars": [],
    ...     "columns": [{"label": "pt", "expression": "jet_pt", "units": "GeV"}],
    ...     "outputs": [{"name": "particles", "kind": "jagged", "shape": [4, 1]}]}
    >>> DescribedRepresentation(description).blocks()[0].shape
    (4, 1)
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        self._description = dict(description)
        self.kind = str(description["kind"])  # type: ignore[misc]  # of this object, not of the class
        self.name = str(description["name"])
        self.columns = _columns(description["columns"])
        self.scalars = _columns(description["scalars"])

    def blocks(self) -> tuple[Block, ...]:
        return tuple(
            Block(output["name"], output["kind"], tuple(output["shape"]))
            for output in self._description["outputs"]
        )

    def settings(self) -> dict[str, Any]:
        return dict(self._description["settings"])


def _columns(entries: Any) -> tuple[Column, ...]:
    return tuple(
        Column(entry["label"], entry["expression"], units=entry.get("units", "")) for entry in entries
    )
