"""What a report says about the model itself: kind, size, layers, training, software."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from hepml_root.errors import ModelFileError
from hepml_root.evaluation.prediction import is_keras_model

# Packages whose versions can change a result.
_PACKAGES = ("hepml_root", "numpy", "keras", "tensorflow", "onnx", "onnxruntime", "lightgbm", "ROOT")


def describe_model(model: Any, given: Any = None) -> dict[str, Any]:
    """Return ``{"name", "kind", "parameters", "layers", "manifest"}`` of a model.

    ``layers`` is a list of ``{"name", "type", "output", "parameters"}`` (Keras only), ``parameters`` the
    number of trainable parameters or None, ``manifest`` the model's manifest or an empty dictionary.
    ``given`` is what the user gave, such as the path that ``model`` was read from.

    Example
    -------
    >>> import numpy as np
    >>> describe_model(np.zeros(3))["kind"]
    'array of scores'
    """
    import numpy as np

    card: dict[str, Any] = {
        "name": "",
        "kind": type(model).__name__,
        "parameters": None,
        "layers": [],
        "manifest": {},
    }
    if isinstance(model, np.ndarray):
        card["kind"] = "array of scores"
    elif is_keras_model(model):
        card.update(_keras_card(model))
    else:
        manifest = getattr(model, "manifest", None)
        card["manifest"] = dict(manifest) if isinstance(manifest, dict) else {}
        card["name"] = str(getattr(model, "name", "") or "")
    if isinstance(given, (str, os.PathLike)):
        path = Path(given)
        card["kind"] = {".onnx": "ONNX file", ".keras": "Keras model"}.get(path.suffix, card["kind"])
        card["name"] = card["name"] or path.stem
    card["name"] = card["manifest"].get("name") or card["name"]
    return card


def _keras_card(model: Any) -> dict[str, Any]:
    from hepml_root.layers.manifest import manifest_of

    layers = []
    for layer in model.layers:
        shape = _output_shape(layer)
        if shape is None:
            continue
        layers.append(
            {
                "name": layer.name,
                "type": type(layer).__name__,
                "output": shape,
                "parameters": int(layer.count_params()) if layer.built else 0,
            }
        )
    try:
        manifest = manifest_of(model)
    except ModelFileError:  # a Keras model of the user's own can be evaluated without one
        manifest = {}
    trainable = sum(
        int(weight.numpy().size if hasattr(weight, "numpy") else weight.size)
        for weight in model.trainable_variables
    )
    return {
        "name": model.name,
        "kind": "Keras model",
        "parameters": trainable,
        "layers": layers,
        "manifest": manifest,
    }


def _output_shape(layer: Any) -> list[int | None] | None:
    """Return the shape of a layer's only output without the events axis, None if it has several outputs."""
    nodes = getattr(layer, "_inbound_nodes", [])
    if not nodes or len(nodes[0].outputs) != 1:
        return None
    return list(nodes[0].outputs[0].shape[1:])


def software() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that can change a result.

    Example
    -------
    >>> sorted(software())[-1], "numpy" in software()
    ('tensorflow', True)
    """
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # an optional package that is not there had no influence
    return versions


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
