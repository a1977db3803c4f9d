"""Finding NaN and infinity in the inputs before a network does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.schema import Block
from hepml_root.errors import NonFiniteInputError, SettingError, unknown

MISSING = ("error", "keep")

# Small enough to stay in the second-level cache, so that a check costs one pass over the memory.
_VALUES_AT_ONCE = 1 << 16


def all_finite(values: NDArray[np.floating[Any]]) -> bool:
    """Tell whether ``values`` hold neither NaN nor infinity, in one pass and without a temporary array."""
    flat = values.reshape(-1) if values.flags.c_contiguous else values.ravel()
    zeros = np.zeros(min(_VALUES_AT_ONCE, flat.size), dtype=flat.dtype)
    # 0 · x is 0 for every finite x and NaN for the others; a dot product is the fastest sum there is.
    with np.errstate(invalid="ignore"):
        return all(
            np.dot(chunk, zeros[: chunk.size]) == 0
            for chunk in (
                flat[first : first + zeros.size] for first in range(0, flat.size, max(zeros.size, 1))
            )
        )


def check_missing_setting(missing: str) -> None:
    """Raise SettingError unless ``missing`` is "error" or "keep"."""
    if missing not in MISSING:
        raise SettingError(unknown("setting of `missing`", str(missing), MISSING))


def check_finite(
    X: Mapping[str, NDArray[Any]],
    blocks: tuple[Block, ...],
    missing: str,
    labels: NDArray[np.integer[Any]] | None,
    classes: tuple[str, ...],
    first_entry: int = 0,
) -> None:
    """Raise NonFiniteInputError if an input holds infinity, or NaN where these are not to be kept.

    Arguments
    ---------
    X:
        Blocks of inputs, first axis (events).
    blocks:
        Their description.
    missing:
        "error" refuses NaN; "keep" lets it pass for the Impute transform. Infinity is always refused.
    labels, classes:
        To say in which class the first bad entry is.
    first_entry:
        Number of the first event within its class, for blocks of a longer sample.
    """
    for block in blocks:
        if block.kind == "mask":
            continue
        values = X[block.name]
        if not all_finite(values):
            _report(values, block, missing, labels, classes, first_entry)


def _report(
    values: NDArray[Any],
    block: Block,
    missing: str,
    labels: NDArray[np.integer[Any]] | None,
    classes: tuple[str, ...],
    first_entry: int,
) -> None:
    for index, column in enumerate(block.columns):
        of_column = values[..., index]
        bad = np.isinf(of_column) if missing == "keep" else ~np.isfinite(of_column)
        if not bad.any():
            continue
        events = np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))
        event = int(events[0])
        where = f"entry {event + first_entry}"
        if labels is not None:
            label = int(labels[event])
            where = f"entry {int((labels[:event] == label).sum()) + first_entry} of class '{classes[label]}'"
        nan, infinite = int(np.isnan(of_column[bad]).sum()), int(np.isinf(of_column).sum())
        name = column.label if column.label == column.expression else f"{column.label} := {column.expression}"
        raise NonFiniteInputError(
            f"the input '{name}' is not finite in {len(events)} of {len(values)} events "
            f"({nan} NaN, {infinite} infinite values); the first is {where}, counted after the cut. "
            "Cut these events away, mend the expression, or keep NaN with missing='keep' and the "
            "'impute' transform (infinity is always refused)."
        )
