"""The events that a model carries with their scores: every build of the model must reproduce them."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hepml_root.errors import ModelFileError, ParityError

if TYPE_CHECKING:
    from hepml_root.inference.compile import CompiledModel

# Largest difference, relative to the largest absolute value of an output (at least 1): networks are computed
# in float32 in another order of additions, and the probe's scores are those of the training framework.
TOLERANCE = 1e-4


def probe_events(manifest: dict[str, Any], part: str) -> dict[str, np.ndarray]:
    """Return the probe's arrays of a manifest, ``part`` being "inputs" or "outputs"; empty if it has none.

    Raises
    ------
    ModelFileError
        The probe is damaged.
    """
    entries = (manifest.get("probe") or {}).get(part) or {}
    try:
        return {
            name: np.frombuffer(base64.b64decode(entry["data"]), dtype="<f4").reshape(entry["shape"]).astype(np.float32)
            for name, entry in entries.items()
        }
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"the probe events in the manifest are damaged ({error!r}). Export it again.") from error


def check(compiled: CompiledModel) -> dict[str, float]:
    """Run a compiled network on its model's probe events, in one block and one by one.

    Returns
    -------
    The largest absolute difference per output; empty if the model carries no probe.

    Raises
    ------
    ParityError
        A score differs by more than 1e-4 of the output's largest value (at least 1), or is NaN on one side only.
    """
    given, expected = (probe_events(compiled.manifest, part) for part in ("inputs", "outputs"))
    if not given or not expected:
        return {}
    try:
        inputs = [
            np.ascontiguousarray(given[entry["name"]].reshape(-1, math.prod(entry["shape"])))
            for entry in compiled.manifest["inputs"]
        ]
        wanted = {entry["name"]: expected[entry["name"]] for entry in compiled.manifest["outputs"]}
        sizes = [math.prod(entry["shape"]) for entry in compiled.manifest["outputs"]]
        rows = {len(array) for array in inputs} | {len(array) for array in wanted.values()}
    except (KeyError, ValueError) as error:
        raise ModelFileError(f"the probe does not fit the model's inputs and outputs ({error!r}).") from error
    if len(rows) != 1:
        raise ModelFileError("the probe's inputs and outputs have different numbers of events.")
    events = rows.pop()
    blocked, single = ([np.empty((events, size), np.float32) for size in sizes] for _ in range(2))
    compiled.infer(inputs, blocked)
    for event in range(events):
        compiled.infer([a[event : event + 1] for a in inputs], [a[event : event + 1] for a in single])

    largest: dict[str, float] = {}
    for (name, right), *results in zip(wanted.items(), blocked, single, strict=True):
        right = right.reshape(events, -1)
        scale = max(1.0, float(np.max(np.abs(right[np.isfinite(right)]), initial=0.0)))
        for how, got in zip(("in blocks", "one by one"), results, strict=True):
            same = (got == right) | (np.isnan(got) & np.isnan(right))
            with np.errstate(invalid="ignore"):
                difference = np.where(same, 0.0, np.abs(got.astype(np.float64) - right))
            worst = float(np.max(np.where(np.isnan(difference), np.inf, difference), initial=0.0))
            if not worst <= TOLERANCE * scale:
                raise ParityError(
                    f"the compiled network does not reproduce the model's probe events: output '{name}' differs "
                    f"{how} by up to {worst:.3g} (allowed {TOLERANCE * scale:.3g}). It is not used; please report it."
                )
            largest[name] = max(largest.get(name, 0.0), worst)
    return largest
