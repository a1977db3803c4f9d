"""Lists of particles, as users give them, for the C++ of the observables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.observables_library import of_lists, of_numbers
from hepml_root.errors import ShapeError

Values = NDArray[np.float64]


def of_events(name: str, lists: tuple[Any, ...], *settings: float) -> Any:
    """Return the observable of each event, or of the one event that was given."""
    columns, offsets, single = flat_lists(lists)
    result = of_lists(name, columns, offsets, settings)
    return result[0] if single else result


def of_values(name: str, arguments: list[NDArray[Any]]) -> Any:
    """Return the observable of numbers, in the shape that they broadcast to."""
    together = np.broadcast_arrays(*arguments)
    result = of_numbers(name, [array.ravel() for array in together])
    return result.reshape(together[0].shape)[()]


def flat_lists(lists: tuple[Any, ...]) -> tuple[list[Values], NDArray[np.int64], bool]:
    """Return the values of all events in a row, where each event begins, and whether there is one only."""
    found = [_one_list(values) for values in lists]
    columns = [values for values, _, _ in found]
    _, offsets, single = found[0]
    for values, other, _ in found[1:]:
        if len(other) != len(offsets):
            raise ShapeError(f"the lists are of {len(offsets) - 1} and {len(other) - 1} events.")
        if not np.array_equal(other, offsets):
            event = int(np.argmax(np.diff(other) != np.diff(offsets)))
            raise ShapeError(
                f"in event {event}, one list has {np.diff(offsets)[event]} values and another "
                f"{np.diff(other)[event]}: all must have one for each particle."
            )
        del values
    return columns, offsets, single


def _one_list(values: Any) -> tuple[Values, NDArray[np.int64], bool]:
    if not isinstance(values, np.ndarray):
        import awkward as ak

        array = values if isinstance(values, ak.Array) else ak.Array(values)
        if array.ndim == 2:
            counts = ak.to_numpy(ak.num(array, axis=1))
            flat = ak.to_numpy(ak.flatten(array, axis=1)).astype(np.float64)
            return flat, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), False
        values = ak.to_numpy(array)
    if values.dtype == object or values.ndim not in (1, 2):
        raise ShapeError(
            f"a list of particles has shape {values.shape}, expected (events, particles) or (particles,)."
        )
    single = values.ndim == 1
    array = np.atleast_2d(values).astype(np.float64)
    return array.ravel(), np.arange(len(array) + 1, dtype=np.int64) * array.shape[1], single
