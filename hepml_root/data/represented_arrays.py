"""Representations of events that are in memory: jagged arrays through the C++ that also reads files."""

from __future__ import annotations

import ctypes
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.columns import Column
from hepml_root.data.feed_library import library
from hepml_root.errors import ColumnNotFoundError, ColumnTypeError, ShapeError, unknown

if TYPE_CHECKING:
    from hepml_root.data.representation import Representation


@dataclass(frozen=True)
class Losses:
    """What is not, or not as it was, in the tensors of each event; arrays (events,).

    Attributes
    ----------
    truncated:
        Constituents beyond the maximum length.
    dropped:
        Constituents without positive pT, or outside an image.
    empty:
        1 for an event without any constituent, whose tensors are all zero.
    """

    truncated: NDArray[np.uint32]
    dropped: NDArray[np.uint32]
    empty: NDArray[np.uint32]


def represent(
    representation: Representation, arrays: Mapping[str, Any]
) -> tuple[dict[str, NDArray[np.float32]], Losses]:
    """Return the blocks that a representation makes of arrays, and what was lost.

    Arguments
    ---------
    representation:
        Names the columns.
    arrays:
        Each column by its label or its expression: a list of arrays, one for each event, or an awkward array;
        columns with one value per event are arrays (events,).

    Raises
    ------
    ColumnNotFoundError
        A column is missing.
    ColumnTypeError
        A column is no array of one number per constituent (per event).
    ShapeError
        Columns differ in their numbers of events or of constituents.
    NonFiniteInputError
        A value that is needed is NaN or infinite.
    SettingError
        C++ does not know the representation, or one of its settings.
    """
    jagged = {column: flat_values(column, find_array(column, arrays)) for column in representation.columns}
    counts = _agreeing({column: counts for column, (_, counts) in jagged.items()})
    scalars = {column: one_each(column, find_array(column, arrays)) for column in representation.scalars}
    for column, values in scalars.items():
        if len(values) != len(counts):
            raise ShapeError(
                f"column '{column.label}' has {len(values)} values for {len(counts)} events: one each."
            )
    first = np.zeros(len(counts) + 1, np.uint64)
    np.cumsum(counts, out=first[1:])
    blocks = {
        block.name: np.empty((len(counts), *block.shape), np.float32) for block in representation.blocks()
    }
    losses = np.zeros((len(counts), 3), np.uint32)
    library("represent").checked(
        "hepml_represent_fill",
        made(json.dumps(representation.to_dict())),
        _addresses([values for values, _ in jagged.values()]),
        first.ctypes.data,
        len(counts),
        _addresses(list(scalars.values())),
        _addresses(list(blocks.values())),
        losses.ctypes.data,
        about=f"representation '{representation.name}', ",
    )
    return blocks, Losses(*np.ascontiguousarray(losses.T))


@functools.lru_cache(maxsize=256)
def made(description: str) -> int:
    """Return the address of the C++ representation that a description, as JSON, asks for.

    Raises
    ------
    SettingError
        There is no such kind or setting.
    """
    address = ctypes.c_void_p()
    library("represent").checked("hepml_represent_make", description.encode(), ctypes.byref(address))
    return int(address.value or 0)


def find_array(column: Column, arrays: Mapping[str, Any]) -> Any:
    for name in (column.label, column.expression):
        if name in arrays:
            return arrays[name]
    raise ColumnNotFoundError(
        unknown(
            "array",
            column.label,
            list(arrays),
            f"Give one called '{column.label}'"
            + (f" or '{column.expression}'." if column.expression != column.label else "."),
        )
    )


def flat_values(column: Column, values: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The values of all events, one after the other, and the number of values of each event."""
    import awkward

    if not isinstance(values, awkward.Array):
        values = _joined(column, values)
    else:
        if values.ndim != 2:
            raise ColumnTypeError(f"column '{column.label}' needs one value per constituent; it has none.")
        counts = np.asarray(awkward.num(values, axis=1), np.int64)
        try:
            values = np.asarray(awkward.flatten(values, axis=1)), counts
        except (TypeError, ValueError):
            raise _no_numbers(column) from None
    flat, counts = values
    if flat.dtype.kind not in "fiub":
        raise _no_numbers(column)
    return np.ascontiguousarray(flat, np.float32), counts


def _joined(column: Column, values: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    try:
        parts = [np.asarray(part) for part in values]
    except (TypeError, ValueError):
        raise _no_numbers(column) from None
    if any(part.ndim != 1 for part in parts):
        raise ColumnTypeError(f"column '{column.label}' needs a list of one array per event.")
    counts = np.array([len(part) for part in parts], np.int64)
    filled = [part for part in parts if len(part)]
    return (np.concatenate(filled) if filled else np.empty(0, np.float32)), counts


def one_each(column: Column, values: Any) -> NDArray[np.float32]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        raise _no_numbers(column) from None
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        raise ColumnTypeError(f"column '{column.label}' needs an array of one number per event.")
    return np.ascontiguousarray(array, np.float32)


def _no_numbers(column: Column) -> ColumnTypeError:
    return ColumnTypeError(f"column '{column.label}' does not hold numbers.")


def _agreeing(counts: Mapping[Column, NDArray[np.int64]]) -> NDArray[np.int64]:
    (first, expected), *others = counts.items()
    for column, own in others:
        if len(own) != len(expected):
            raise ShapeError(
                f"column '{first.label}' has {len(expected)} events and '{column.label}' has {len(own)}."
            )
        if not np.array_equal(own, expected):
            event = int(np.flatnonzero(own != expected)[0])
            raise ShapeError(
                f"event {event}: column '{first.label}' has {expected[event]} values and '{column.label}' "
                f"has {own[event]}; columns of one representation need the same number."
            )
    return expected


def _addresses(arrays: Sequence[NDArray[Any]]) -> Any:
    return (ctypes.c_void_p * max(len(arrays), 1))(*[array.ctypes.data for array in arrays])
