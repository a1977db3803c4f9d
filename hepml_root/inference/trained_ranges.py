"""The conditions a generator was trained for, of its manifest: checked in Python, and by C++ in the loop."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hepml_root.data.conditions import condition_table
from hepml_root.errors import ModelFileError

_HEADER = Path(__file__).resolve().parent.parent / "include" / "hepml_root" / "trained_ranges.hxx"


def ranges_of(manifest: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return ``{condition: (lowest, highest)}``, in the order of the conditions; of no generator nothing.

    Raises
    ------
    ModelFileError
        The manifest is that of a generator, and does not say the range of each of its conditions.

    Example
    -------
    >>> columns = [{"label": "energy", "expression": "energy", "units": "GeV"}]
    >>> inputs = [{"name": "conditions", "kind": "parameter", "shape": [1], "columns": columns}]
    >>> ranges_of({"inputs": inputs, "generator": {"ranges": {"energy": [10, 100]}}})
    {'energy': (10.0, 100.0)}
    >>> ranges_of({"inputs": inputs})
    {}
    """
    made = manifest.get("generator")
    if made is None:
        return {}
    labels = [column["label"] for block in manifest["inputs"] for column in block.get("columns", ())]
    try:
        ranges = {label: made["ranges"][label] for label in labels}
        found = {label: (float(low), float(high)) for label, (low, high) in ranges.items()}
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ModelFileError(
            f"the manifest of the generator does not say the trained range of each condition "
            f"({', '.join(labels) or 'it has none'}): {error!r}."
        ) from error
    if len(manifest["inputs"]) != 1 or not labels:
        raise ModelFileError(
            "a generator has one input, the conditions; this one has "
            f"{', '.join(block['name'] for block in manifest['inputs'])}."
        )
    return found


def require_inside(
    manifest: Mapping[str, Any], arrays: Sequence[np.ndarray], allow_extrapolation: bool
) -> None:
    """Refuse events of a generator whose conditions it was not trained for; nothing of other models.

    Raises
    ------
    SettingError, NonFiniteInputError
        As :func:`hepml_root.data.conditions.condition_table`.
    """
    ranges = ranges_of(manifest)
    if ranges and len(arrays[0]):
        condition_table(arrays[0], list(ranges), ranges, allow_extrapolation=allow_extrapolation)


def ranges_code(manifest: Mapping[str, Any], symbol: str) -> str:
    """Return C++ of ``<symbol>_require(conditions, allow_extrapolation)``, which throws; "" of no generator.

    It stands outside of the code of the nodes, since RDataFrame takes words there for columns, in texts too.
    """
    ranges = ranges_of(manifest)
    if not ranges:
        return ""
    entries = ", ".join(
        f"{{{json.dumps(label)}, {low!r}, {high!r}}}" for label, (low, high) in ranges.items()
    )
    guard = f"HEPML_ROOT_RANGES_{symbol}"
    name = json.dumps(str(manifest.get("name", "")))
    return (
        f"{_HEADER.read_text(encoding='ascii')}\n#ifndef {guard}\n#define {guard}\n"
        f"inline void {symbol}_require(const float *conditions, bool allow_extrapolation) {{\n"
        f"   static const hepml_root::TrainedRanges ranges({name}, {{{entries}}});\n"
        f"   ranges.require(conditions, allow_extrapolation);\n}}\n#endif\n"
    )
