"""The events that a model carries with their scores: every build of the model must reproduce them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hepml_root.errors import ModelFileError, ParityError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hepml_root.inference.compile import CompiledModel

# Largest difference allowed, of the largest absolute value of an output (at least 1): networks add in float32
# in different orders, and the stored scores are those of the training framework.
TOLERANCE = 2e-5
# What moving every input by this factor does to the scores says how well they are determined at all.
NUDGE = np.float32(1 + 2.0**-22)


def check(
    compiled: CompiledModel, infer: Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], None] | None = None
) -> dict[str, float]:
    """Run a compiled network on its model's probe events, in one block and one by one.

    Arguments
    ---------
    compiled
        The network.
    infer
        What is run, if not its own ``infer``: one of the builds of a portable library.

    Returns
    -------
    The largest absolute difference per output; empty if the model carries no probe.

    Raises
    ------
    ParityError
        A score differs by more than 2e-5 of the output's largest value (at least 1) plus eight times what the
        last bits of the inputs change, or is NaN on one side only.
    ModelFileError
        The probe is damaged or does not fit the model.
    """
    if not compiled.manifest.get("probe"):
        return {}
    infer = infer or compiled.infer
    from hepml_root.export.manifest import probe_arrays  # needs onnx: only when a library is new

    given, wanted = probe_arrays(compiled.manifest)
    shapes = {
        part: {entry["name"]: math.prod(entry["shape"]) for entry in compiled.manifest[part]}
        for part in ("inputs", "outputs")
    }
    events = len(next(iter(given.values()), ()))
    try:
        inputs = [
            np.ascontiguousarray(given[name].reshape(events, size)) for name, size in shapes["inputs"].items()
        ]
        expected = {name: wanted[name].reshape(events, size) for name, size in shapes["outputs"].items()}
    except (KeyError, ValueError) as error:
        raise ModelFileError(f"the probe does not fit the model's inputs and outputs ({error!r}).") from error

    def run(arrays: list[np.ndarray], at_once: int) -> list[np.ndarray]:
        results = [np.empty((events, size), np.float32) for size in shapes["outputs"].values()]
        for first in range(0, events, at_once):
            block = slice(first, first + at_once)
            infer([array[block] for array in arrays], [result[block] for result in results])
        return results

    moved = run([np.where(np.isin(array, (0, 1)), array, array * NUDGE) for array in inputs], events)
    largest = dict.fromkeys(expected, 0.0)
    for how, results in (("in one block", run(inputs, max(events, 1))), ("one by one", run(inputs, 1))):
        for (name, right), got, other in zip(expected.items(), results, moved, strict=True):
            difference, unsure = _distance(got, right), np.nan_to_num(_distance(got, other), posinf=0.0)
            scale = max(1.0, float(np.max(np.abs(right), initial=0.0, where=np.isfinite(right))))
            if not (difference <= TOLERANCE * scale + 8 * unsure).all():
                raise ParityError(
                    f"the compiled network does not reproduce the model's probe events: output '{name}' "
                    f"differs {how} by up to {difference.max():.3g} (scale {scale:.3g}). It is not used; "
                    "please report it."
                )
            largest[name] = max(largest[name], float(difference.max(initial=0.0)))
    return largest


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return absolute differences: 0 where both are the same or NaN, infinite if only one is NaN."""
    with np.errstate(invalid="ignore"):
        difference = np.abs(a.astype(np.float64) - b)
    difference[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
    return np.where(np.isnan(difference), np.inf, difference)
