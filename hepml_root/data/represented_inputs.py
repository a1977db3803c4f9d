"""Representations among the inputs of a dataset: what they read, checked, and what they lose, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.columns import Column
from hepml_root.data.feed_expressions import compile_expression, find_columns
from hepml_root.data.feed_library import CPP_TYPES, TYPES
from hepml_root.data.feed_rows import LOSSES, Represented
from hepml_root.data.representation import Representation
from hepml_root.data.schema import Block
from hepml_root.errors import ColumnTypeError, SettingError

if TYPE_CHECKING:
    from hepml_root.data.rdataframe import Frame

# {representation: {class: {"events", "truncated", "dropped", "empty"}}}
Counts = dict[str, dict[str, dict[str, int]]]


def separate(inputs: Sequence[Any]) -> tuple[list[Any], tuple[Representation, ...]]:
    """Divide the inputs into columns and representations, each in the order given."""
    listed = [inputs] if isinstance(inputs, str | Column | Representation) else list(inputs)
    representations = tuple(entry for entry in listed if isinstance(entry, Representation))
    names = [representation.name for representation in representations]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"two representations are called '{name}': give each a name of its own.")
    return [entry for entry in listed if not isinstance(entry, Representation)], representations


def represented(blocks: Sequence[Block]) -> tuple[Represented, ...]:
    """What the feed is asked for, for the blocks that belong to representations."""
    return tuple(
        Represented.of(block.representation.to_dict()) for block in blocks if block.representation is not None
    )


def check_columns(representation: Representation, frame: Frame) -> None:
    """Check that what a representation reads has several values per event, or one, as it needs them.

    Raises
    ------
    ColumnTypeError
        A column has one value where many are needed, or the other way round, or holds no numbers.
    ColumnNotFoundError, ExpressionError
        A column does not exist, or its expression is no C++.
    """
    what = f"the representation '{representation.name}'"
    for column in (*representation.columns, *representation.scalars):
        _require_columns(frame, column.expression)
    for column in representation.columns:
        if not is_jagged(frame, column.expression):
            raise ColumnTypeError(
                f"{what} needs '{column}' with one value per constituent, and in {frame.name} it has one per "
                "event. Name a jagged branch (RVec, vector or array)."
            )
        _refuse_text(frame, column, what)
    for column in representation.scalars:
        if is_jagged(frame, column.expression):
            raise ColumnTypeError(
                f"{what} needs '{column}' with one value per event, and in {frame.name} it has several. "
                f"Make it one: '{column.label} := {column.expression}[0]'."
            )


def _require_columns(frame: Frame, expression: str) -> None:
    """Raise the error of an expression that names no column at all, such as a branch that does not exist."""
    if frame.has(expression) or frame.plain(expression) is not None:
        return
    names = dict.fromkeys(frame.names())
    found = find_columns(expression, names)
    if not found.columns:
        compile_expression(found, {}, names)


def _refuse_text(frame: Frame, column: Column, what: str) -> None:
    if frame.has(column.expression) and "string" in (kind := frame.type_of(column.expression)):
        raise ColumnTypeError(f"{what} needs numbers, and '{column}' in {frame.name} is a {kind}.")


def is_jagged(frame: Frame, expression: str) -> bool:
    """Tell whether a column or expression has several values per event."""
    if frame.plain_list(expression) is not None:
        return True
    if frame.has(expression):
        return frame.type_of(expression) not in TYPES
    if frame.plain(expression) is not None:
        return False
    names = dict.fromkeys(frame.names())
    found = find_columns(expression, names)
    types = {name: frame.type_of(name) for name in found.columns}
    if all(kind in TYPES for kind in types.values()):
        return False
    cpp_types = {
        name: CPP_TYPES[TYPES.index(kind)] if kind in TYPES else kind for name, kind in types.items()
    }
    return compile_expression(found, cpp_types, names).jagged


def count_losses(
    losses: Mapping[str, NDArray[np.uint32]],
    labels: NDArray[np.integer[Any]] | None,
    classes: Sequence[str],
) -> Counts:
    """Count what the representations left out of some events, for each class.

    Arguments
    ---------
    losses:
        {representation: (events, 3)}, the numbers that LOSSES names.
    labels:
        Class of each event, (events,); None for regression.
    classes:
        Names of the classes.

    Example
    -------
    >>> lost = np.array([[3, 0, 0], [0, 1, 1]], np.uint32)
    >>> count_losses({"jets": lost}, np.array([0, 1]), ("top", "qcd"))["jets"]["qcd"]
    {'events': 1, 'truncated': 0, 'dropped': 1, 'empty': 1}
    """
    found: Counts = {}
    for name, of_events in losses.items():
        for label, class_name in enumerate(classes or ("all events",)):
            own = of_events if labels is None else of_events[labels == label]
            sums = own.sum(axis=0, dtype=np.int64)
            found.setdefault(name, {})[class_name] = {
                "events": len(own), **{what: int(sums[i]) for i, what in enumerate(LOSSES)},
            }  # fmt: skip
    return found


def describe_counts(counts: Counts) -> str:
    """Return a table of what was lost, a line for each representation and class.

    >>> print(describe_counts({"jets": {"top": {"events": 10, "truncated": 3, "dropped": 0, "empty": 1}}}))
    representation jets, of all events read: top 10 events, 3 constituents truncated, 0 dropped, 1 event empty
    """
    lines = []
    for name, classes in counts.items():
        parts = [
            f"{class_name} {own['events']} events, {own['truncated']} constituents truncated, "
            f"{own['dropped']} dropped, {own['empty']} event{'s' if own['empty'] != 1 else ''} empty"
            for class_name, own in classes.items()
        ]
        lines.append(f"representation {name}, of all events read: {'; '.join(parts)}")
    return "\n".join(lines)
