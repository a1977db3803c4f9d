"""Working points: the cuts that a model file holds, applied in Python and in RDataFrame.

An event passes where ``score ≥ threshold`` with both as float32 numbers. Python, RDataFrame and C++
(``hepml_root/manifest.hxx``) compare in this one way, so that they select the same events, also those whose
score is the threshold itself. A score that is no number never passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import SettingError, ShapeError, unknown
from hepml_root.inference.bindings import output_labels


@dataclass(frozen=True)
class WorkingPoint:
    """A named cut on one output value of a model.

    Arguments
    ---------
    name
        Its name in the model file.
    threshold
        The cut; a float32 number.
    value
        Position of the output value that is cut on; None where the file does not say it and there are
        several.
    label
        Label of that value.
    facts
        What else the file says: ``chosen_on``, ``signal``, ``background``, ``significance``, …
    """

    name: str
    threshold: float
    value: int | None
    label: str | None
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def passes(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """Return which events pass.

        Arguments
        ---------
        scores
            What the model gave: (events, values), or the value that is cut on, (events,) or (events, 1).

        Raises
        ------
        ShapeError
            There are fewer values than the cut needs.
        SettingError
            The model has several values and the file does not say which one is cut on.

        Example
        -------
        >>> tight = WorkingPoint("tight", float(np.float32(0.9)), 0, "signal")
        >>> tight.passes(np.float32([[0.1], [0.9], [0.95]])).tolist()
        [False, True, True]
        """
        array = np.asarray(scores)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim == 2:
            position = self.position()
            if position >= array.shape[1]:
                raise ShapeError(f"working point '{self.name}' cuts on value {position} of {array.shape[1]}.")
            array = array[:, position]
        if array.ndim != 1:
            raise ShapeError(f"scores have the shape (events, values), not {array.shape}.")
        with np.errstate(over="ignore"):
            return array.astype(np.float32) >= np.float32(self.threshold)

    def position(self) -> int:
        """Return the position of the output value that is cut on.

        Raises
        ------
        SettingError
            The model has several values and the file does not say which one.
        """
        if self.value is None:
            raise SettingError(
                f"the model has several output values, and working point '{self.name}' does not say which "
                'one is cut on. Export it again with {"name": ..., "output": LABEL, "threshold": ...}.'
            )
        return self.value

    def expression(self, column: str) -> str:
        """Return the cut on a column of float scores as C++.

        The number is written in full and without an exponent, whose letter could be taken for a column.

        >>> WorkingPoint("tight", float(np.float32(0.9)), 0, "signal").expression("score")
        'score >= 0.8999999761581421'
        """
        return f"{column} >= {np.format_float_positional(np.float64(self.threshold), trim='0')}"


def working_points_of(manifest: Mapping[str, Any]) -> dict[str, WorkingPoint]:
    """Return the working points of a model by name, in the manifest's order.

    Example
    -------
    >>> manifest = {"outputs": [{"name": "score", "shape": [1], "labels": ["signal"]}],
    ...             "working_points": [{"name": "tight", "threshold": 0.5, "signal": 12.0}]}
    >>> tight = working_points_of(manifest)["tight"]
    >>> tight.label, tight.threshold, tight.facts["signal"]
    ('signal', 0.5, 12.0)
    """
    labels = output_labels(manifest)
    # An output tensor may be named in place of its label where it has one value.
    places: dict[str, int] = {}
    for index, label in enumerate(labels):
        places.setdefault(label, index)
    start = 0
    for output in manifest["outputs"]:
        size = int(np.prod(output["shape"]))
        if size == 1:
            places.setdefault(output["name"], start)
        start += size
    points = {}
    for entry in manifest.get("working_points", ()):
        named = entry.get("output")
        value = places.get(named) if named is not None else (0 if len(labels) == 1 else None)
        facts = {key: item for key, item in entry.items() if key not in ("name", "threshold", "output")}
        with np.errstate(over="ignore"):
            threshold = float(np.float32(entry["threshold"]))
        points[entry["name"]] = WorkingPoint(
            entry["name"], threshold, value, None if value is None else labels[value], facts
        )
    return points


def working_point(manifest: Mapping[str, Any], name: str) -> WorkingPoint:
    """Return one working point of a model.

    Raises
    ------
    SettingError
        The model has none of that name.
    """
    points = working_points_of(manifest)
    if name not in points:
        hint = "hr.export(..., working_points={name: threshold}) writes some into the file."
        raise SettingError(unknown("working point", name, points, "" if points else hint))
    return points[name]
