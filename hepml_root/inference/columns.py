"""The inputs of a model from columns of events in memory, as they would be read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.columns import Column
from hepml_root.data.described_representation import DescribedRepresentation
from hepml_root.data.represented_arrays import find_array, flat_values, one_each
from hepml_root.errors import ModelFileError, ShapeError


def arrays_of(manifest: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
    """Return the input tensors of a model, ``{input: array (events, …)}``.

    Arguments
    ---------
    manifest:
        The model's manifest.
    columns:
        The columns that the manifest names, by label or by expression: arrays (events,), and for jagged
        columns awkward arrays, or lists of one array (or list, RVec) per event.

    Raises
    ------
    ColumnNotFoundError
        A column is missing.
    ColumnTypeError
        A column does not hold one number per event (per constituent).
    ShapeError
        Columns differ in their number of events, or of constituents.
    NonFiniteInputError
        A value that a representation needs is NaN or infinite.
    ModelFileError
        The manifest does not name the columns.
    """
    found: dict[str, NDArray[np.float32]] = {}
    taken = {entry["name"] for entry in manifest["inputs"]}
    for entry in manifest["inputs"]:
        name, kind = entry["name"], entry.get("kind")
        if entry.get("representation") is not None:
            made = DescribedRepresentation(entry["representation"])(columns)
            found.update((block, array) for block, array in made.items() if block in taken)
        elif kind == "mask" or entry.get("of") is not None:
            continue
        elif not entry.get("columns"):
            raise ModelFileError(
                f"the model file does not name the columns of its input '{name}': give the array to infer()."
            )
        elif kind == "jagged":
            found[name], found[entry["mask"]] = _padded(entry, columns)
        else:
            values = [one_each(column, find_array(column, columns)) for column in _columns(entry)]
            _agreeing(
                {column.label: len(array) for column, array in zip(_columns(entry), values, strict=True)}
            )
            found[name] = np.stack(values, axis=1)
    return found


def _columns(entry: Mapping[str, Any]) -> list[Column]:
    return [Column(column["label"], column["expression"]) for column in entry["columns"]]


def _padded(
    entry: Mapping[str, Any], columns: Mapping[str, Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Jagged columns side by side, cut to the model's length and padded with 0, and their mask."""
    length, features = entry["shape"]
    first: NDArray[np.int64] | None = None
    for index, column in enumerate(_columns(entry)):
        flat, counts = flat_values(column, find_array(column, columns))
        if first is None:
            first = counts
            kept = np.arange(length) < counts[:, None]
            starts = np.cumsum(counts) - counts
            places = (starts[:, None] + np.arange(length))[kept]
            values = np.zeros((len(counts), length, features), np.float32)
        elif not np.array_equal(counts, first):
            raise ShapeError(
                f"column '{column.label}' has other numbers of constituents than the first column of input "
                f"'{entry['name']}'."
            )
        values[..., index][kept] = flat[places]
    return values, kept.astype(np.float32)


def _agreeing(lengths: Mapping[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        raise ShapeError(f"the columns have different numbers of events: {dict(lengths)}.")
