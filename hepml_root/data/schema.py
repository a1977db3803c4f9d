"""What a dataset consists of: input blocks, classes and targets, as a model's manifest holds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hepml_root.data.columns import DEFAULT_GROUP, Column
from hepml_root.errors import SettingError, unknown

if TYPE_CHECKING:
    from hepml_root.data.representation import Representation

TASKS = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Block:
    """One named input tensor of a model.

    Arguments
    ---------
    name:
        Name of the tensor: "features", "parameters", the group of jagged columns or the representation, or
        that with "_mask", "_neighbours", …
    kind:
        "flat", "parameter", "jagged", "mask", "image", "index" (whole numbers, such as the neighbours of a
        constituent) or "edges" (features of pairs).
    shape:
        Shape of one event: (features,), (parameters,), (constituents, features), (constituents,) of a mask,
        (height, width, channels), (constituents, neighbours) of an index, (constituents, neighbours,
        features) of edges.
    columns:
        The columns along the last axis; none for a mask or an index.
    representation:
        What fills this block and those after it that are ``of`` it; None for plain columns.
    of:
        Name of the representation whose first block is another one.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    columns: tuple[Column, ...] = ()
    representation: Representation | None = None
    of: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the columns."""
        return tuple(column.label for column in self.columns)

    @property
    def is_padded(self) -> bool:
        """True for plain jagged columns, side by side; False for what a representation fills."""
        return self.kind == "jagged" and self.representation is None and self.of is None

    def to_dict(self) -> dict[str, Any]:
        """Return the block as the manifest holds it."""
        entry: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "columns": [describe_column(column) for column in self.columns],
        }
        if self.kind in MASKED:
            entry["mask"] = mask_of(self.name)
        if self.representation is not None:
            entry["representation"] = self.representation.to_dict()
        if self.of is not None:
            entry["of"] = self.of
        return entry


# Kinds with padding, which a block of kind "mask" tells from values.
MASKED = ("jagged", "edges")


def mask_of(name: str) -> str:
    """Name of the mask block of the jagged block ``name``."""
    return f"{name}_mask"


def describe_column(column: Column) -> dict[str, str]:
    """Return a column as the manifest holds it."""
    return {"label": column.label, "expression": column.expression, "units": column.units}


def blocks_of(
    inputs: Sequence[Column],
    parameters: Sequence[Column] = (),
    representations: Sequence[Representation] = (),
) -> tuple[Block, ...]:
    """Arrange columns into blocks: plain inputs, parameters, one block and mask per jagged group, and the
    blocks of representations.

    Raises
    ------
    SettingError
        Columns of one group differ in their maximum length, or two blocks have one name.

    Example
    -------
    >>> columns = [Column("pt", "pt"), Column("jet_pt", "jet_pt", max_length=4, group="jets")]
    >>> [(block.name, block.shape) for block in blocks_of(columns)]
    [('features', (1,)), ('jets', (4, 1)), ('jets_mask', (4,))]
    """
    flat = tuple(column for column in inputs if column.max_length is None)
    blocks = [Block("features", "flat", (len(flat),), flat)] if flat else []
    if parameters:
        blocks.append(Block("parameters", "parameter", (len(parameters),), tuple(parameters)))
    groups: dict[str, list[Column]] = {}
    for column in inputs:
        if column.max_length is not None:
            groups.setdefault(column.group or DEFAULT_GROUP, []).append(column)
    for group, columns in groups.items():
        lengths = {column.max_length for column in columns}
        if len(lengths) > 1:
            raise SettingError(
                f"the columns of group '{group}' have different maximum lengths {sorted(lengths, key=str)}; "
                "columns of one group are read side by side and need the same one."
            )
        if group in {block.name for block in blocks}:
            raise SettingError(
                f"the group of jagged columns cannot be called '{group}': choose another name."
            )
        length = int(lengths.pop() or 0)
        blocks.append(Block(group, "jagged", (length, len(columns)), tuple(columns)))
        blocks.append(Block(mask_of(group), "mask", (length,)))
    for representation in representations:
        for number, block in enumerate(representation.blocks()):
            if block.name in {other.name for other in blocks}:
                raise SettingError(
                    f"two inputs are called '{block.name}': give each representation a name of its own."
                )
            own = {"of": representation.name} if number else {"representation": representation}
            blocks.append(replace(block, **own))
    return tuple(blocks)


def refuse_duplicates(labels: Iterable[str], what: str = "label") -> None:
    """Raise SettingError if a label is given twice."""
    seen: set[str] = set()
    for label in labels:
        if label in seen:
            raise SettingError(
                f"the {what} '{label}' is given twice. Give each column its own: 'label := expression'."
            )
        seen.add(label)


def signal_class(classes: Sequence[str], signal: str | None) -> str | None:
    """Return the signal class: the one asked for, else the one called sig…, else the first.

    A class called background… or bkg… is never taken for the signal where there is another.

    Raises
    ------
    SettingError
        ``signal`` is no class.
    """
    if signal is not None:
        if signal not in classes:
            raise SettingError(unknown("class", signal, classes))
        return signal
    named = [name for name in classes if name.casefold().startswith("sig")]
    others = [name for name in classes if not name.casefold().startswith(("background", "bkg"))]
    return next(iter([*named, *others, *classes]), None)


@dataclass(frozen=True)
class Schema:
    """Blocks, classes and targets of a dataset, without any event."""

    blocks: tuple[Block, ...]
    classes: tuple[str, ...] = ()
    signal: str | None = None
    targets: tuple[Column, ...] = ()

    @property
    def task(self) -> str:
        """ "binary", "multiclass" or "regression"."""
        return "regression" if self.targets else "binary" if len(self.classes) == 2 else "multiclass"

    @property
    def signal_index(self) -> int:
        """Index of the signal class in ``classes``."""
        return self.classes.index(str(self.signal))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Labels of what a model for these data gives out."""
        if self.task == "binary":
            return (str(self.signal),)
        return self.classes if self.classes else tuple(column.label for column in self.targets)

    def block(self, name: str) -> Block:
        """Return the block called ``name``.

        Raises
        ------
        SettingError
            There is no such block.
        """
        for block in self.blocks:
            if block.name == name:
                return block
        raise SettingError(unknown("block", name, [block.name for block in self.blocks]))

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as the manifest holds it."""
        outputs = self.outputs
        return {
            "format": "hepml_root",
            "version": 1,
            "task": self.task,
            "inputs": [block.to_dict() for block in self.blocks],
            "outputs": [{"name": "score", "shape": [len(outputs)], "labels": list(outputs)}],
            "classes": list(self.classes),
            "signal": self.signal,
            "targets": [describe_column(column) for column in self.targets],
        }
