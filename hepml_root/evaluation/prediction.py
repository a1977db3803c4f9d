"""Scores of any kind of model, on a dataset or on input blocks, as one array."""

from __future__ import annotations

import math
import os
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import (
    ModelFileError,
    NonFiniteInputError,
    ShapeError,
    SourceNotFoundError,
    UnsupportedOperationError,
)

# A batch's activations stay below this many numbers (256 MB in float32), and a batch is at most so long.
_ACTIVATIONS = 1 << 26
_LONGEST_BATCH = 1 << 15
# Layers hold more than they give, as the pairs of constituents; that grows with what they compute.
_OPERATIONS = 4e9
# A study predicts many times with one model.
_SIZES: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def predict(model: Any, data: Any, *, batch_size: int | None = None) -> NDArray[np.float32]:
    """Return the model's outputs (events, outputs) for a dataset.

    A Keras model runs as one compiled function on large batches, several times faster than
    ``model.predict``; the last batch is filled up, so that it is compiled for one shape only.

    Arguments
    ---------
    model
        A ``keras.Model``; the path of a ``.keras`` file; the path of an ``.onnx`` file or a
        :class:`hepml_root.Session`; an object with ``predict`` (a boosted model); or an array of scores
        (events,) or (events, outputs), which is given back as it is, once its length is checked.
    data
        A :class:`hepml_root.Dataset`, or input blocks ``{name: array}``.
    batch_size
        Events per call of a Keras model; chosen from the size of the model if None.

    Raises
    ------
    SourceNotFoundError
        The model file does not exist.
    ModelFileError
        The object is no model that is known here.
    ShapeError
        The model's output does not have one row per event, or its inputs do not fit.
    NonFiniteInputError
        A score is NaN or infinite.

    Example
    -------
    >>> predict(np.array([0.25, 0.75]), {"features": np.zeros((2, 3))})
    array([[0.25],
           [0.75]], dtype=float32)
    """
    blocks: Mapping[str, NDArray[Any]] = data if isinstance(data, Mapping) else data.X
    events = len(next(iter(blocks.values())))
    outputs = np.asarray(_outputs(model, data, blocks, batch_size))
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if outputs.ndim != 2 or len(outputs) != events:
        raise ShapeError(
            f"the model gave outputs {outputs.shape} for {events} events; (events, outputs) are needed."
        )
    finite = np.isfinite(outputs).all(axis=1)
    if not finite.all():
        raise NonFiniteInputError(
            f"{np.count_nonzero(~finite)} of {events} scores are NaN or infinite (first at event "
            f"{int(np.argmin(finite))}): look for such values in the inputs, or for a training that has "
            "diverged."
        )
    return outputs.astype(np.float32, copy=False)


def _outputs(model: Any, data: Any, blocks: Mapping[str, NDArray[Any]], batch_size: int | None) -> Any:
    model = open_model(model)
    if isinstance(model, np.ndarray):
        return model
    if is_keras_model(model):
        return _keras_outputs(model, blocks, batch_size)
    if hasattr(model, "infer"):
        return model.infer(dict(blocks))
    if hasattr(model, "predict"):
        return model.predict(data)
    raise ModelFileError(
        f"a {type(model).__name__} is no model: give a keras.Model, the path of a .keras or .onnx file, a "
        "Session, "
        "an object with predict, or an array of scores."
    )


def open_model(model: Any) -> Any:
    """Return ``model`` with a path replaced by what the file holds, and a sequence by an array.

    Raises
    ------
    SourceNotFoundError
        The file does not exist.
    ModelFileError
        The file's suffix is neither ``.keras`` nor ``.onnx``, or the file cannot be read.
    """
    if isinstance(model, (list, tuple)):
        return np.asarray(model)
    if not isinstance(model, (str, os.PathLike)):
        return model
    path = Path(model)
    if not path.exists():
        raise SourceNotFoundError(f"the model file '{path}' does not exist.")
    if path.suffix == ".onnx":
        from hepml_root.inference.session import Session

        return Session(path)
    if path.suffix == ".keras":
        from hepml_root.models.saved import load_model

        return load_model(path)
    raise ModelFileError(f"'{path}' is neither a .keras nor an .onnx file.")


def refuse_other_order(manifest: Mapping[str, Any], data: Any, name: str = "the model") -> None:
    """Raise ShapeError where inputs or outputs of a manifest are those of a dataset in another order.

    Names that differ altogether pass: data are often called otherwise than those of the training.
    """
    if not manifest:
        return
    wanted = list(data.schema.outputs)
    given = [label for output in manifest.get("outputs", ()) for label in output["labels"]]
    other_signal = data.task == "binary" and len(given) == 1 and given[0] in data.classes
    if given != wanted and (other_signal or sorted(given) == sorted(wanted)):
        raise ShapeError(
            f"{name} gives {', '.join(given)}; these data have {', '.join(wanted)} in its place. Make the "
            "dataset with the classes in the order of the training, and with the same signal=…."
        )
    blocks = {block.name: list(block.labels) for block in data.blocks}
    for block in manifest.get("inputs", ()):
        labels = [column["label"] for column in block["columns"]]
        have = blocks.get(block["name"], labels)
        if labels != have and sorted(labels) == sorted(have):
            raise ShapeError(
                f"{name} takes '{block['name']}' in the order {', '.join(labels)}; these data have "
                f"{', '.join(have)}. Make the dataset with the inputs in the order of the training."
            )


def is_keras_model(model: Any) -> bool:
    """Return whether this is a Keras model, without importing Keras for one that cannot be."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


def _keras_outputs(
    model: Any, blocks: Mapping[str, NDArray[Any]], batch_size: int | None
) -> NDArray[np.float32]:
    inputs = _inputs_for(model, blocks)
    first = next(iter(inputs.values())) if isinstance(inputs, dict) else inputs
    events = len(first)
    if events == 0:
        return np.empty((0, *model.output_shape[1:]), dtype=np.float32)
    size = min(batch_size or _batch_size(model), events)

    def part(array: NDArray[Any], begin: int) -> NDArray[Any]:
        chosen = array[begin : begin + size]
        if len(chosen) == size:
            return chosen
        return np.concatenate([chosen, np.repeat(chosen[-1:], size - len(chosen), axis=0)])

    results = []
    for begin in range(0, events, size):
        batch: Any
        if isinstance(inputs, dict):
            batch = {name: part(array, begin) for name, array in inputs.items()}
        else:
            batch = part(inputs, begin)
        results.append(np.asarray(model.predict_on_batch(batch)))
    return np.concatenate(results)[:events]


def _inputs_for(model: Any, blocks: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]] | NDArray[Any]:
    """Return the blocks that the model takes, by name; a model with one input takes the only block."""
    names = [tensor.name.split(":")[0] for tensor in model.inputs]
    if set(names) <= set(blocks):
        taken = {name: blocks[name] for name in names}
        return taken if isinstance(model.input, dict) or len(names) > 1 else taken[names[0]]
    if len(names) == 1 and len(blocks) == 1:
        return next(iter(blocks.values()))
    raise ShapeError(
        f"the model's inputs are {names}, the data have the blocks {list(blocks)}: name the model's inputs "
        "(keras.Input(name=...)) as the blocks."
    )


def _batch_size(model: Any) -> int:
    """Return a power of two, so that all activations of a batch together stay within a bounded memory."""
    if model not in _SIZES:
        _SIZES[model] = _fitting_size(model)
    return _SIZES[model]


def _fitting_size(model: Any) -> int:
    numbers = 0
    for layer in model._flatten_layers(include_self=False, recursive=True):
        shape = getattr(getattr(layer, "output", None), "shape", None) if _has_one_output(layer) else None
        if shape is not None:
            numbers += math.prod(size for size in shape[1:] if size is not None)
    fitting = min(_ACTIVATIONS // max(1, numbers), int(_OPERATIONS / max(1, _operations(model))))
    return int(min(_LONGEST_BATCH, max(64, 1 << max(0, fitting.bit_length() - 1))))


def _operations(model: Any) -> int:
    """Return the operations of one event, 0 if they cannot be counted."""
    from hepml_root.models.cost import flops

    try:
        return flops(model)
    except (UnsupportedOperationError, AttributeError, ValueError):
        return 0


def _has_one_output(layer: Any) -> bool:
    """Return whether ``layer.output`` can be asked for: the layer is in a graph once and gives one tensor."""
    nodes = getattr(layer, "_inbound_nodes", [])
    return len(nodes) == 1 and len(nodes[0].outputs) == 1
