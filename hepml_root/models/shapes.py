"""Input blocks written as plain shapes: what a model needs to know when there is no dataset yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hepml_root.errors import ShapeError

_KINDS = {1: "flat", 2: "jagged", 3: "image"}


def is_shapes(data: Any) -> bool:
    """Whether ``data`` is a ``{block: shape}`` mapping rather than a dataset or its description."""
    return isinstance(data, Mapping) and "inputs" not in data


def described(shapes: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the description of data of which only the blocks' shapes are known, with two classes.

    One axis is a flat block "features" ``(features,)``, or "parameters"; two axes are padded constituents
    ``(constituents, features)``, which bring their mask with them; three are an image
    ``(height, width, channels)``. Blocks named after another one have its graph: ``particles_neighbours``
    ``(constituents, k)`` and ``particles_edges`` ``(constituents, k, pair features)``, with its mask. In
    place of the length of the last axis, the labels of its columns may stand.

    Raises
    ------
    ShapeError
        A shape has no axis or more than three, or a length below 1.

    Example
    -------
    >>> blocks = described({"particles": (30, ["pt", "eta"]), "jet_image": (40, 40, 1)})["inputs"]
    >>> [(block["name"], block["kind"], block["shape"]) for block in blocks]
    [('particles', 'jagged', [30, 2]), ('particles_mask', 'mask', [30]), ('jet_image', 'image', [40, 40, 1])]
    """
    inputs: list[dict[str, Any]] = []
    given = dict(shapes)
    masks = {f"{name}_mask" for name, shape in given.items() if _axes(name, shape) > 1}
    for name, shape in given.items():
        if name in masks:
            continue
        kind = _kind(name, _axes(name, shape), given)
        lengths, labels = _lengths(name, shape)
        block: dict[str, Any] = {"name": name, "kind": kind, "shape": lengths, "columns": labels}
        inputs.append(block)
        if kind in ("jagged", "edges"):
            block["mask"] = f"{name}_mask"
            inputs.append({"name": f"{name}_mask", "kind": "mask", "shape": lengths[:-1], "columns": []})
    return {
        "task": "binary",
        "inputs": inputs,
        "classes": ["background", "signal"],
        "signal": "signal",
        "targets": [],
    }


def _axes(name: str, shape: Any) -> int:
    if isinstance(shape, (str, Mapping)) or not isinstance(shape, Sequence) or not 1 <= len(shape) <= 3:
        raise ShapeError(
            f"the block '{name}' has the shape {shape!r}; expected (features,), (constituents, features) or "
            "(height, width, channels)."
        )
    return len(shape)


def _kind(name: str, axes: int, given: Mapping[str, Any]) -> str:
    if axes == 1 and name == "parameters":
        return "parameter"
    base, _, part = name.rpartition("_")
    if base in given and (part, axes) in (("neighbours", 2), ("edges", 3)):
        return "index" if part == "neighbours" else "edges"
    return _KINDS[axes]


def _lengths(name: str, shape: Sequence[Any]) -> tuple[list[int], list[dict[str, str]]]:
    """Return the lengths of the axes, and the columns where labels stand for the last one."""
    *lead, last = shape
    labels = [] if isinstance(last, int) else [str(label) for label in last]
    lengths = [int(length) for length in lead] + [len(labels) if labels else int(last)]
    if any(length < 1 for length in lengths):
        raise ShapeError(f"the block '{name}' has the shape {shape!r}: every length must be at least 1.")
    return lengths, [{"label": label, "expression": label, "units": ""} for label in labels]
