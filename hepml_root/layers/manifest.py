"""The manifest that a model carries: what its inputs and outputs mean, and some real events to check it
with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import ModelFileError, SettingError, ShapeError

FORMAT = "hepml_root"
VERSION = 1
PROBE_EVENTS = 256


@keras.saving.register_keras_serializable(package="hepml_root")
class ManifestLayer(keras.layers.Layer):
    """The identity, at a model's output, holding the model's manifest and probe events.

    The manifest is a JSON-able dictionary: task, inputs by name with their ROOT expressions and units,
    outputs, classes, cuts, training and provenance (ARCHITECTURE.md lists the keys). The probe holds up to
    256 real events, ``{block: (events, ...)}``, on which exported models are checked. Both are saved with the
    model; they are no weights, so they change no parameter count. Shapes: any, unchanged.

    Arguments
    ---------
    manifest
        The dictionary; an empty one is filled in later through :attr:`manifest`.
    probe
        ``{block: array}``, all with the same number of events.

    Raises
    ------
    SettingError
        The manifest is no JSON-able dictionary.
    ShapeError
        The probe's blocks differ in length.

    Example
    -------
    >>> layer = ManifestLayer({"task": "binary"}, probe={"features": np.ones((2, 3))})
    >>> layer.manifest["task"], layer.probe["features"].shape
    ('binary', (2, 3))
    """

    def __init__(
        self,
        manifest: Mapping[str, Any] | str | None = None,
        probe: Mapping[str, NDArray] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        text = manifest if isinstance(manifest, str) else _as_json(manifest or {})
        # Keras wraps dictionaries in attributes to track layers in them; JSON text stays what it is.
        self._manifest_text = text
        self._probe: tuple[tuple[str, NDArray[np.float32]], ...] = ()
        self.probe = dict(probe or {})

    @property
    def manifest(self) -> dict[str, Any]:
        """A copy of the manifest; assign a changed dictionary to replace it."""
        return json.loads(self._manifest_text)

    @manifest.setter
    def manifest(self, value: Mapping[str, Any]) -> None:
        self._manifest_text = _as_json(value)

    @property
    def probe(self) -> dict[str, NDArray[np.float32]]:
        """Real events ``{block: (events, ...)}`` in float32, at most 256; masks are 0 and 1."""
        return dict(self._probe)

    @probe.setter
    def probe(self, blocks: Mapping[str, NDArray]) -> None:
        lengths = {name: len(array) for name, array in blocks.items()}
        if len(set(lengths.values())) > 1:
            raise ShapeError(f"the probe's blocks differ in length: {lengths}.")
        self._probe = tuple(
            (name, np.asarray(array[:PROBE_EVENTS], dtype=np.float32)) for name, array in blocks.items()
        )

    def call(self, x: Any) -> Any:
        return x

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "manifest": self._manifest_text}

    def save_own_variables(self, store: Any) -> None:
        for name, array in self._probe:
            store[name] = array

    def load_own_variables(self, store: Any) -> None:
        self.probe = {name: np.asarray(store[name]) for name in store.keys()}  # noqa: SIM118 - no mapping


def _as_json(manifest: Mapping[str, Any]) -> str:
    try:
        return json.dumps(manifest)
    except (TypeError, ValueError) as error:
        raise SettingError(f"the manifest cannot be written as JSON: {error}.") from error


def manifest_layer(model: keras.Model) -> ManifestLayer:
    """Return the layer of a model that holds its manifest.

    Raises
    ------
    ModelFileError
        The model has none.
    """
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, ManifestLayer):
            return layer
    raise ModelFileError(
        f"the model '{model.name}' carries no hepml_root manifest: what its inputs mean is unknown. "
        "For a Keras model of your own, use `model = hr.attach(model, data)` with its dataset."
    )


def manifest_of(model: keras.Model) -> dict[str, Any]:
    """Return a model's manifest, a JSON-able dictionary.

    Raises
    ------
    ModelFileError
        The model carries none; the message says how to attach one.
    """
    return manifest_layer(model).manifest


def probe_of(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Return the real events that a model carries, ``{block: (events, ...)}``."""
    return manifest_layer(model).probe


def output_labels(description: Mapping[str, Any]) -> list[str]:
    """Return the labels of the values that a model for a task gives: the signal, the classes, the targets."""
    if description["task"] == "binary":
        return [description.get("signal") or "signal"]
    if description["task"] == "multiclass":
        return list(description["classes"])
    return [target["label"] for target in description["targets"]]


def outputs_for(description: Mapping[str, Any], units: int) -> list[dict[str, Any]]:
    """Return the manifest's ``outputs`` for a task: one block "score" with a label for each of its ``units``.

    Raises
    ------
    ShapeError
        The model has another number of outputs than the task asks for.
    """
    labels = output_labels(description)
    if len(labels) != units:
        raise ShapeError(
            f"the model has {units} output(s); the task '{description['task']}' needs {len(labels)}: "
            f"{', '.join(labels)}."
        )
    return [{"name": "score", "shape": [units], "labels": labels}]


def describe(data: Any) -> dict[str, Any]:
    """Return the data part of a manifest from a dataset, or from such a dictionary itself."""
    description = dict(data) if isinstance(data, Mapping) else dict(data.describe())
    return {"format": FORMAT, "version": VERSION, **description}


def probe_events(data: Any) -> dict[str, NDArray]:
    """Return up to 256 events of a dataset, evenly spread over it; none from a mere description."""
    if isinstance(data, Mapping):
        return {}
    chosen = np.unique(np.linspace(0, len(data) - 1, PROBE_EVENTS).astype(int))
    return {name: np.asarray(block[chosen], dtype=np.float32) for name, block in data.X.items()}


def attach(model: keras.Model, data: Any) -> keras.Model:
    """Give a Keras model of one's own the manifest of its data, so that it can be evaluated, exported and
    applied.

    The model takes either the dataset's blocks by name, or, when the dataset has one block, a single input.
    The layers are shared with the given model, not copied.

    Arguments
    ---------
    model
        Any built Keras model with one output ``(events, outputs)``.
    data
        The :class:`Dataset` it is meant for.

    Raises
    ------
    ShapeError
        The model's inputs or outputs do not fit the dataset.

    Example
    -------
    >>> description = {"task": "binary", "signal": "signal", "classes": ["signal", "background"], "inputs": [
    ...     {"name": "features", "kind": "flat", "shape": [3], "columns": []}]}
    >>> own = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")])
    >>> manifest_of(attach(own, description))["outputs"][0]["labels"]
    ['signal']
    """
    description = describe(data)
    blocks = {block["name"]: tuple(block["shape"]) for block in description["inputs"]}
    inputs = {name: keras.Input(shape, name=name) for name, shape in blocks.items()}
    given = model.inputs
    try:
        if len(given) == 1 and len(inputs) == 1:
            output = model(next(iter(inputs.values())))
        elif {tensor.name for tensor in given} == set(inputs):
            output = model({tensor.name: inputs[tensor.name] for tensor in given})
        else:
            raise ShapeError(
                f"the model's inputs are {[tensor.name for tensor in given]}; "
                f"the dataset's blocks are {list(blocks)}. "
                "Name the keras.Input layers after the blocks."
            )
    except ValueError as error:
        if isinstance(error, ShapeError):
            raise
        raise ShapeError(f"the model does not take the dataset's blocks {blocks}: {error}") from error
    if isinstance(output, (list, tuple, dict)) or len(output.shape) != 2:
        raise ShapeError("a model with a manifest has one output of shape (events, outputs).")
    description["name"] = description.get("name") or model.name
    description["outputs"] = outputs_for(description, int(output.shape[-1]))
    score = ManifestLayer(description, probe=probe_events(data), name="score")(output)
    return keras.Model(inputs, score, name=model.name)
