"""The end of every export: runtimes are held to a reference, and only then the file gets its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx

from hepml_root.export import certificate, parity
from hepml_root.export import manifest as manifests

Certify = bool | Sequence[str]
Points = Sequence[Mapping[str, Any]] | Mapping[str, float] | None


def write_held(
    proto: onnx.ModelProto,
    description: dict[str, Any],
    held: parity.Reference,
    runtimes: tuple[str, str],
    events_from: str,
    path: Path,
    overwrite: bool,
    points: Points,
    generated: Sequence[str],
    compared: onnx.ModelProto | None = None,
) -> Path:
    """Hold ONNX Runtime and generated code to the reference, and only then write the file.

    Arguments
    ---------
    proto, description
        The graph and its manifest, as far as it is known.
    held
        Events, and what the reference gives for them.
    runtimes
        Names of the reference and of what it is compared with, for messages.
    events_from
        Where the events come from.
    points
        Working points.
    generated
        Which generated code takes part (:func:`hepml_root.export.certificate.wanted`).
    compared
        The graph to compare, where that is another one: without its random numbers.

    Raises
    ------
    ParityError
        Runtimes differ; nothing is written.
    """
    outputs = [block["name"] for block in description["outputs"]]
    compared = compared or proto
    runtime = parity.onnxruntime_predict(compared, [block["name"] for block in description["inputs"]])
    result = parity.check(held, runtime, outputs, runtimes)
    reference = runtimes[0] if runtimes[1] == "ONNX Runtime" else "ONNX Runtime"
    version = certificate.onnxruntime_version()
    agreement = {
        "reference": reference,
        "onnxruntime": {**result, "events_from": events_from, "version": version},
    }
    complete = _completed(description, points, agreement, held, outputs)
    complete["parity"] |= certificate.generated(compared, complete, path.name, held, reference, generated)
    if compared is not proto:
        complete["probe"] = {"inputs": {}, "outputs": {}}  # no build gives the same scores twice
    return manifests.write_model(proto, complete, path, overwrite)


def _completed(
    description: Mapping[str, Any],
    points: Points,
    agreement: Mapping[str, Any],
    held: parity.Reference,
    outputs: Sequence[str],
) -> dict[str, Any]:
    """Fill the manifest with what is known at export."""
    labels = [label for block in description["outputs"] for label in block["labels"]]
    provenance = dict(description.get("provenance") or {})
    provenance.update(versions=manifests.versions(), created=manifests.created())
    complete: dict[str, Any] = {
        "classes": [],
        "targets": [],
        "cut": {},
        "yields": {},
        "training": {},
        **description,
    }
    given = points if points is not None else description.get("working_points")
    complete["working_points"] = manifests.working_points(given, [*outputs, *labels])
    complete["provenance"] = provenance
    complete["probe"] = parity.probe(held, outputs)
    complete["parity"] = dict(agreement)
    complete.setdefault("signal", None)
    return complete
