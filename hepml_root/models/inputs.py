"""From a dataset's blocks to one flat tensor of transformed inputs, and the output a task asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.errors import NonFiniteInputError, SettingError, unknown
from hepml_root.layers.linear import TargetScale
from hepml_root.layers.manifest import ManifestLayer, describe, outputs_for, probe_events
from hepml_root.layers.transform import Transform
from hepml_root.layers.transforms import Chain, by_column, chain

_ADAPT_EVENTS = 500_000

Transforms = Chain | Mapping[str, Chain]


@keras.saving.register_keras_serializable(package="hepml_root")
class ZeroMasked(keras.layers.Layer):
    """Set padded constituents to zero, whatever they hold.

    Takes values ``(events, constituents, features)`` and a mask ``(events, constituents)``, 1 where a
    constituent is there; gives ``(events, constituents, features)``.

    Example
    -------
    >>> ZeroMasked()([np.array([[[5.0], [np.nan]]]), np.array([[1.0, 0.0]])]).numpy().tolist()
    [[[5.0], [0.0]]]
    """

    def call(self, inputs: Sequence[Any]) -> Any:
        values, mask = inputs
        return ops.where(ops.expand_dims(mask, -1) > 0.5, values, ops.zeros_like(values))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]


class InputBlocks:
    """The Keras inputs of a dataset's blocks, and their transforms, adapted to its events and training
    weights.

    Arguments
    ---------
    data
        A :class:`Dataset`, or its ``describe()`` dictionary: then transforms stay unadapted.
    transforms
        A chain such as "D,N" for every block, "auto", or a dictionary by column label ("*" for all others).
        "auto" is "standardise", with "impute" before it when an input holds NaN.

    Raises
    ------
    SettingError
        A transform is unknown.
    NonFiniteInputError
        An input holds NaN and the chain does not begin with "impute".
    """

    def __init__(self, data: Any, transforms: Transforms = "auto") -> None:
        self.description = describe(data)
        self.has_events = not isinstance(data, Mapping)
        self.data = _sample(data) if self.has_events else None
        self.transforms = transforms
        self.inputs = {
            block["name"]: keras.Input(tuple(block["shape"]), name=block["name"])
            for block in self.description["inputs"]
        }

    def _values(self, name: str) -> NDArray | None:
        return None if self.data is None else np.asarray(self.data.X[name])

    def _chain(self, block: Mapping[str, Any]) -> list[Transform]:
        """Return new layers for one block, adapted to its events."""
        values = self._values(block["name"])
        mask = self._values(block["mask"]) if block["kind"] == "jagged" else None
        labels = [column["label"] for column in block["columns"]]
        missing = _missing(values, mask)
        transforms = self.transforms
        if isinstance(transforms, Mapping):
            chosen = {label: names for label, names in transforms.items() if label in labels or label == "*"}
            layers: list[Transform] = [by_column(chosen, labels)] if chosen else []
        elif transforms == "auto":
            layers = chain("impute,standardise" if missing.any() else "standardise")
        else:
            # A fresh copy for each block: one layer object has the state of one block.
            layers = [type(layer).from_config(layer.get_config()) for layer in chain(transforms)]
        for number, layer in enumerate(layers, start=1):
            layer.name = f"{block['name']}_{number}_{type(layer).__name__.lower()}"
        if values is None:
            return layers
        if missing.any() and not layers:
            listed = ", ".join(f"{labels[i]}: {missing[i]}" for i in np.flatnonzero(missing)[:8])
            raise NonFiniteInputError(
                f"inputs hold NaN ({listed}). Put 'impute' first in the transforms: 'impute,standardise'."
            )
        weight = np.asarray(self.data.training_weight) if self.data is not None else None
        for layer in layers:
            layer.adapt(values, weight, mask)
            values = layer.transformed(values)
        return layers

    def transformed(self) -> dict[str, Any]:
        """Return ``{block: tensor}`` after transforms; masked constituents are zero, masks pass unchanged."""
        tensors = {}
        for block in self.description["inputs"]:
            tensor = self.inputs[block["name"]]
            if block["kind"] != "mask":
                for layer in self._chain(block):
                    tensor = layer(tensor)
            if block["kind"] == "jagged":
                tensor = ZeroMasked(name=f"{block['name']}_zero_masked")([tensor, self.inputs[block["mask"]]])
            tensors[block["name"]] = tensor
        if isinstance(self.transforms, Mapping):
            self._refuse_unknown_labels()
        return tensors

    def _refuse_unknown_labels(self) -> None:
        labels = [column["label"] for block in self.description["inputs"] for column in block["columns"]]
        for label in self.transforms if isinstance(self.transforms, Mapping) else ():
            if label != "*" and label not in labels:
                raise SettingError(unknown("column", label, labels, "It is named in 'transforms'."))

    def flat(self) -> Any:
        """Return all blocks side by side, ``(events, numbers)``."""
        tensors = [
            keras.layers.Flatten(name=f"{name}_flat")(tensor) if len(tensor.shape) > 2 else tensor
            for name, tensor in self.transformed().items()
        ]
        return tensors[0] if len(tensors) == 1 else keras.layers.Concatenate(name="inputs")(tensors)

    def model(self, hidden: Any, name: str, initializer: Any = "glorot_uniform") -> keras.Model:
        """Return the model from these inputs through ``hidden`` to the task's output ``(events, outputs)``.

        Binary: one sigmoid, the signal's probability. Multiclass: softmax over the classes. Regression:
        linear, brought to physical units by the mean and spread of the training target.
        """
        task = self.description["task"]
        labels = self.description["classes"] if task == "multiclass" else self.description.get("targets", [])
        units = 1 if task == "binary" else len(labels)
        activation = {"binary": "sigmoid", "multiclass": "softmax", "regression": "linear"}[task]
        last = keras.layers.Dense(units, activation=activation, kernel_initializer=initializer, name="output")
        output = last(hidden)
        if task == "regression":
            scale = TargetScale(name="target_scale")
            if self.data is not None:
                scale.adapt(self.data.target, self.data.training_weight)
            output = scale(output)
        description = {**self.description, "name": name, "outputs": outputs_for(self.description, units)}
        probe = probe_events(self.data) if self.data is not None else {}
        score = ManifestLayer(description, probe=probe, name="score")(output)
        return keras.Model(self.inputs, score, name=name)


def _sample(data: Any) -> Any:
    """Return events enough for any transform: all, or evenly spread ones; a sample of a lazy dataset."""
    if data.lazy:
        return data.sample()
    if len(data) <= _ADAPT_EVENTS:
        return data
    return data[np.unique(np.linspace(0, len(data) - 1, _ADAPT_EVENTS).astype(np.int64))]


def _missing(values: NDArray | None, mask: NDArray | None) -> NDArray[np.int64]:
    """Return the number of NaN in each column, over constituents that are there."""
    if values is None:
        return np.zeros(1, dtype=np.int64)
    missing = np.isnan(values)
    if mask is not None:
        missing &= np.asarray(mask)[..., None] > 0.5
    return np.count_nonzero(missing.reshape(-1, values.shape[-1]), axis=0)
