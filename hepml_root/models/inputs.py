"""From a dataset's blocks to the tensors a network takes, and the output a task asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.errors import ColumnNotFoundError, NonFiniteInputError, SettingError, unknown
from hepml_root.layers.image import ScaleImage
from hepml_root.layers.linear import TargetScale
from hepml_root.layers.manifest import ManifestLayer, describe, outputs_for, probe_events
from hepml_root.layers.transform import Transform
from hepml_root.layers.transforms import Chain, by_column, chain
from hepml_root.models.seeds import seeded
from hepml_root.models.settings import fraction, known_activation, widths
from hepml_root.models.shapes import described, is_shapes

_ADAPT_EVENTS = 500_000
# Images and constituents are many numbers an event; so many give any mean and quantile, and fit in memory.
_ADAPT_NUMBERS = 50_000_000

IMAGE_SCALINGS = ("rms", "log")

Transforms = Chain | Mapping[str, Chain]


@keras.saving.register_keras_serializable(package="hepml_root")
class ZeroMasked(keras.layers.Layer):
    """Set padded constituents to zero, whatever they hold.

    Takes values ``(events, constituents, features)`` and a mask ``(events, constituents)``, 1 where a
    constituent is there; gives ``(events, constituents, features)``. The same with more axes: values
    ``(events, constituents, k, features)`` and a mask ``(events, constituents, k)``.

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
    """The Keras inputs of a dataset's blocks, their transforms, and the task's output: a model's two ends.

    A model is written between them::

        blocks = InputBlocks(data, transforms)
        with blocks.seeded(seed):                             # initial weights follow from the seed
            name = blocks.one_of_kind("jagged", asked_by="deep_sets")
            x, mask = blocks.tensor(name), blocks.mask(name)  # (events, constituents, features), 0 or 1
            pt = blocks.raw(name)[..., blocks.column(name, "pt")]
            ...                                               # pooled: (events, numbers)
            hidden = blocks.head(pooled, hidden=(64,))        # joins "features" and "parameters"
            return blocks.model(hidden, name="deep_sets")

    Kinds of blocks, one event each: "flat" ``(features,)``, "parameter" ``(parameters,)``, "jagged"
    ``(constituents, features)`` with a "mask" ``(constituents,)``, "image" ``(height, width, channels)``,
    "index" ``(constituents, k)`` whole numbers as float32, "edges" ``(constituents, k, pair features)`` with
    a mask ``(constituents, k)``. What padding holds never reaches :meth:`raw` and :meth:`tensor`: it is zero
    there; after a layer with a bias it is not any more, so use the mask in every sum, mean and maximum over
    constituents.

    Arguments
    ---------
    data
        A :class:`Dataset`; or its ``describe()`` dictionary, or ``{block: shape}`` such as
        ``{"particles": (30, 4)}`` (:func:`hepml_root.models.shapes.described`): then transforms stay
        unadapted.
    transforms
        A chain such as "D,N" for every block, "auto", or a dictionary by column label ("*" for all others).
        "auto" is "standardise", with "impute" before it when an input holds NaN. Images and index blocks are
        left as they are; an image only follows a dictionary that names its channels.
    inputs
        Names of the blocks that the model takes, without their masks; None: all that it can. A model refuses
        to leave out a block of numbers, constituents or an image unless told so here; graphs ("index",
        "edges") which it has no use for are left out.
    images
        Scaling of images: None leaves pixels as they are; "rms" divides each channel by its root mean square
        in the training images; "log" takes the logarithm after that
        (:class:`hepml_root.layers.image.ScaleImage`).

    Raises
    ------
    SettingError
        A transform, a label in ``transforms``, a block in ``inputs``, or a scaling is unknown.
    NonFiniteInputError
        An input holds NaN and the chain does not begin with "impute".
    """

    def __init__(
        self,
        data: Any,
        transforms: Transforms = "auto",
        inputs: Sequence[str] | None = None,
        *,
        images: str | None = None,
    ) -> None:
        if images is not None and images not in IMAGE_SCALINGS:
            raise SettingError(unknown("scaling of images", str(images), IMAGE_SCALINGS, "Or None."))
        self.description = describe(described(data) if is_shapes(data) else data)
        self.has_events = not isinstance(data, Mapping)
        self.transforms = transforms
        self.images = images
        self.chosen = inputs is not None
        if inputs is not None:
            self._keep([inputs] if isinstance(inputs, str) else list(inputs))
        self._blocks = {block["name"]: block for block in self.description["inputs"]}
        numbers = sum(int(np.prod(block["shape"])) for block in self._blocks.values())
        self.data = _sample(data, numbers) if self.has_events else None
        self.inputs = {
            name: keras.Input(tuple(block["shape"]), name=name) for name, block in self._blocks.items()
        }
        self._tensors: dict[str, Any] = {}
        self._raw: dict[str, Any] = {}
        self._used: set[str] = set()
        if isinstance(transforms, Mapping):
            labels = [label for name in self._blocks for label in self.labels(name)]
            for label in transforms:
                if label != "*" and label not in labels:
                    raise SettingError(unknown("column", label, labels, "It is named in 'transforms'."))

    def _keep(self, names: list[str]) -> None:
        """Drop the blocks that were not asked for; masks stay with their blocks."""
        blocks = self.description["inputs"]
        known = [block["name"] for block in blocks if block["kind"] != "mask"]
        for name in names:
            if name not in known:
                raise SettingError(unknown("block", name, known, "It is named in 'inputs'."))
        masks = {block.get("mask") for block in blocks if block["name"] in names}
        kept = [block for block in blocks if block["name"] in names or block["name"] in masks]
        self.description = {**self.description, "inputs": kept}

    # ------------------------------------------------------------------------------------ what there is

    seeded = staticmethod(seeded)

    def of_kind(self, *kinds: str) -> list[str]:
        """Return the names of the blocks of these kinds, in their order."""
        return [name for name, block in self._blocks.items() if block["kind"] in kinds]

    def one_of_kind(self, kind: str, chosen: str | None = None, asked_by: str = "the model") -> str:
        """Return the name of the only block of a kind, or of the ``chosen`` one.

        Raises
        ------
        SettingError
            There is none or several and none was chosen, or the chosen one is of another kind; it names what
            exists.
        """
        names = self.of_kind(kind)
        exist = ", ".join(
            f"'{name}' ({block['kind']} {tuple(block['shape'])})"
            for name, block in self._blocks.items()
            if block["kind"] != "mask"
        )
        if chosen is not None:
            if chosen not in names:
                raise SettingError(f"{asked_by} has no {kind} block '{chosen}'; the data have {exist}.")
            return chosen
        if not names:
            raise SettingError(f"{asked_by} needs a block of kind {kind}; the data have {exist}.")
        if len(names) > 1:
            raise SettingError(
                f"{asked_by} takes one block of kind {kind}; the data have {exist}. Choose one by its name."
            )
        return names[0]

    def kind(self, name: str) -> str:
        """Return the kind of a block."""
        return str(self._block(name)["kind"])

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a block for one event."""
        return tuple(self._block(name)["shape"])

    def labels(self, name: str) -> tuple[str, ...]:
        """Return the labels of a block's columns (or channels); empty where they are not known."""
        return tuple(column["label"] for column in self._block(name)["columns"])

    def column(self, name: str, label: str) -> int:
        """Return the position of a column along the last axis of a block.

        Raises
        ------
        ColumnNotFoundError
            The block has no such column; the nearest are listed.
        """
        labels = self.labels(name)
        if label not in labels:
            raise ColumnNotFoundError(
                unknown("column", label, labels, f"It is needed in the block '{name}'.")
            )
        return labels.index(label)

    def columns(self, name: str, labels: Sequence[str]) -> list[int]:
        """Return the positions of several columns, as :meth:`column` does."""
        return [self.column(name, label) for label in labels]

    def _block(self, name: str) -> Mapping[str, Any]:
        if name not in self._blocks:
            raise SettingError(unknown("block", name, self._blocks))
        return self._blocks[name]

    # ------------------------------------------------------------------------------------ its tensors

    def mask(self, name: str) -> Any:
        """Return the mask of a jagged or edges block: 1 where something is, ``(events, constituents[, k])``.

        Raises
        ------
        SettingError
            The block has none.
        """
        mask = self._block(name).get("mask")
        if mask is None:
            raise SettingError(f"the block '{name}' is of kind {self.kind(name)} and has no mask.")
        self._used.add(mask)
        return self.inputs[mask]

    def given(self, name: str) -> Any:
        """Return a block or mask as it is given, whatever its padding holds: for networks with own inputs."""
        self._used.add(name)
        return self.inputs[name]

    def raw(self, name: str) -> Any:
        """Return a block in its physical units, before transforms, zero where it is padded."""
        if name not in self._raw:
            self._used.add(name)
            tensor = self.inputs[name]
            if self._block(name).get("mask"):
                tensor = ZeroMasked(name=f"{name}_raw")([tensor, self.mask(name)])
            self._raw[name] = tensor
        return self._raw[name]

    def tensor(self, name: str) -> Any:
        """Return a block after its transforms, zero where it is padded; masks and indices as they are."""
        if name not in self._tensors:
            block = self._block(name)
            self._used.add(name)
            tensor = self.inputs[name]
            for layer in self._chain(block):
                tensor = layer(tensor)
            if block.get("mask"):
                tensor = ZeroMasked(name=f"{name}_zero_masked")([tensor, self.mask(name)])
            self._tensors[name] = tensor
        return self._tensors[name]

    def transformed(self) -> dict[str, Any]:
        """Return :meth:`tensor` of every block, ``{block: tensor}``."""
        return {name: self.tensor(name) for name in self._blocks}

    def flat(self) -> Any:
        """Return numbers, constituents with their masks, and pixels side by side, ``(events, numbers)``."""
        masks = {self._block(name)["mask"] for name in self.of_kind("jagged")}
        names = [
            name
            for name, block in self._blocks.items()
            if block["kind"] in ("flat", "parameter", "jagged", "image") or name in masks
        ]
        return self._joined(names, "inputs")

    def numbers(self, without: Sequence[str] = ()) -> Any:
        """Return "features" and "parameters" after their transforms, side by side; None if there are none."""
        names = [name for name in self.of_kind("flat", "parameter") if name not in without]
        return self._joined(names, "numbers") if names else None

    def _joined(self, names: Sequence[str], called: str) -> Any:
        tensors = [
            keras.layers.Flatten(name=f"{name}_flat")(self.tensor(name))
            if len(self.shape(name)) > 1
            else self.tensor(name)
            for name in names
        ]
        return tensors[0] if len(tensors) == 1 else keras.layers.Concatenate(name=called)(tensors)

    # ------------------------------------------------------------------------------------ transforms

    def _values(self, name: str) -> NDArray | None:
        return None if self.data is None else np.asarray(self.data.X[name])

    def _chain(self, block: Mapping[str, Any]) -> list[Transform]:
        """Return new layers for one block, adapted to its events."""
        if block["kind"] in ("mask", "index"):
            return []
        values = self._values(block["name"])
        mask = self._values(block["mask"]) if block.get("mask") else None
        labels = [column["label"] for column in block["columns"]]
        missing = _missing(values, mask)
        layers = self._layers(block, labels, bool(missing.any()))
        for number, layer in enumerate(layers, start=1):
            layer.name = f"{block['name']}_{number}_{type(layer).__name__.lower()}"
        if values is None:
            return layers
        if missing.any() and not layers:
            columns = labels or [f"{block['name']}[{i}]" for i in range(len(missing))]
            listed = ", ".join(f"{columns[i]}: {missing[i]}" for i in np.flatnonzero(missing)[:8])
            raise NonFiniteInputError(
                f"inputs hold NaN ({listed}). Put 'impute' first in the transforms: 'impute,standardise'."
            )
        weight = np.asarray(self.data.training_weight) if self.data is not None else None
        for number, layer in enumerate(layers, start=1):
            layer.adapt(values, weight, mask)
            if number < len(layers):
                values = layer.transformed(values)
        return layers

    def _layers(self, block: Mapping[str, Any], labels: list[str], missing: bool) -> list[Transform]:
        """Return new, unadapted layers for one block."""
        transforms = self.transforms
        image = block["kind"] == "image"
        chosen: dict[str, Chain] = {}
        if isinstance(transforms, Mapping):
            chosen = {
                label: names
                for label, names in transforms.items()
                if label in labels or (label == "*" and not image)
            }
        if image and not chosen:
            return [ScaleImage(logarithm=self.images == "log")] if self.images else []
        if isinstance(transforms, Mapping):
            return [by_column(chosen, labels)] if chosen else []
        if transforms == "auto":
            return chain("impute,standardise" if missing else "standardise")
        # A fresh copy for each block: one layer object has the state of one block.
        return [type(layer).from_config(layer.get_config()) for layer in chain(transforms)]

    # ------------------------------------------------------------------------------------ the output

    def head(
        self,
        pooled: Any,
        hidden: Sequence[int] = (64,),
        *,
        activation: str = "relu",
        dropout: float = 0.0,
        initializer: str = "he_normal",
        without: Sequence[str] = (),
    ) -> Any:
        """Join "features" and "parameters" to what the network made of the other blocks, and add layers.

        Arguments
        ---------
        pooled
            ``(events, numbers)``.
        hidden
            Neurons of each layer "head_1", "head_2", …; none: only join.
        activation, dropout, initializer
            Of these layers.
        without
            Blocks of numbers that have gone another way already.

        Raises
        ------
        SettingError
            A setting is unknown or out of its range.
        """
        hidden = widths("hidden", hidden)
        fraction(dropout=dropout)
        known_activation(activation)
        numbers = self.numbers(without)
        x = pooled if numbers is None else keras.layers.Concatenate(name="head_inputs")([pooled, numbers])
        for number, units in enumerate(hidden, start=1):
            dense = keras.layers.Dense(
                units, activation=activation, kernel_initializer=initializer, name=f"head_{number}"
            )
            x = dense(x)
            if dropout:
                x = keras.layers.Dropout(dropout, name=f"head_dropout_{number}")(x)
        return x

    def model(self, hidden: Any, name: str, initializer: Any = "glorot_uniform") -> keras.Model:
        """Return the model from these inputs through ``hidden`` to the task's output ``(events, outputs)``.

        Binary: one sigmoid, the signal's probability. Multiclass: softmax over the classes. Regression:
        linear, brought to physical units by the mean and spread of the training target. The model's inputs
        are the blocks that were used.

        Raises
        ------
        SettingError
            A block of numbers, constituents or an image was not used, and ``inputs`` does not leave it out.
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
        return self.finish(output, name)

    def finish(self, output: Any, name: str, description: Mapping[str, Any] | None = None) -> keras.Model:
        """Return the model from the used inputs to ``output`` ``(events, outputs)``, carrying its manifest.

        Arguments
        ---------
        output
            What the model gives, whole; :meth:`model` makes it from the last hidden layer.
        name
            Of the model.
        description
            Entries of the manifest in place of those that follow from the task.
        """
        used = self._used_blocks(name)
        manifest = {**self.description, "name": name, "inputs": [self._blocks[block] for block in used]}
        manifest["outputs"] = (
            outputs_for(self.description, int(output.shape[-1])) if description is None else []
        )
        manifest |= description or {}
        probe = probe_events(self.data) if self.data is not None else {}
        probe = {block: values for block, values in probe.items() if block in used}
        score = ManifestLayer(manifest, probe=probe, name="score")(output)
        return keras.Model({block: self.inputs[block] for block in used}, score, name=name)

    def _used_blocks(self, model: str) -> list[str]:
        """Return the used blocks in their order, after refusing to lose any that holds data."""
        forgotten = [
            name for name in self.of_kind("flat", "parameter", "jagged", "image") if name not in self._used
        ]
        if forgotten:
            listed = ", ".join(f"'{name}'" for name in forgotten)
            rest = [name for name in self._blocks if name in self._used and not name.endswith("_mask")]
            raise SettingError(
                f"the model '{model}' has no use for {listed}. Leave it out with inputs={rest!r}, or join "
                "several kinds of data with models.fusion."
            )
        return [name for name in self._blocks if name in self._used]


def _sample(data: Any, numbers: int) -> Any:
    """Return events enough for any transform: all, or evenly spread ones; a sample of a lazy dataset."""
    if data.lazy:
        return data.sample()
    most = min(_ADAPT_EVENTS, max(10_000, _ADAPT_NUMBERS // max(numbers, 1)))
    if len(data) <= most:
        return data
    return data[np.unique(np.linspace(0, len(data) - 1, most).astype(np.int64))]


def _missing(values: NDArray | None, mask: NDArray | None) -> NDArray[np.int64]:
    """Return the number of NaN in each column, over constituents that are there."""
    if values is None:
        return np.zeros(1, dtype=np.int64)
    missing = np.isnan(values)
    if mask is not None:
        missing &= np.asarray(mask)[..., None] > 0.5
    return np.count_nonzero(missing.reshape(-1, values.shape[-1]), axis=0)
