"""From a model to its file: graph, manifest, parity, and only then the name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from numpy.typing import NDArray
from scipy.stats import rankdata

from hepml_root.errors import ModelFileError, ShapeError, UnsupportedOperationError
from hepml_root.export import certificate, foreign, parity
from hepml_root.export import manifest as manifests
from hepml_root.export.held_file import Certify, Points, write_held
from hepml_root.export.onnx import emit, input_names, predict
from hepml_root.export.onnx.random import middle_draws, without_draws
from hepml_root.layers.manifest import ManifestLayer, describe, manifest_layer, output_labels, outputs_for
from hepml_root.models.boosted import BoostedModel, labels_of
from hepml_root.models.generator import Generator
from hepml_root.output import refuse_existing

# Area under the ROC curve below which a score is likely to be that of the other class.
_REVERSED = 0.4


def write_checked(
    model: Any,
    path: Path,
    *,
    data: Any,
    overwrite: bool,
    points: Points,
    tolerance: float,
    certify: Certify,
) -> Path:
    """The work of :func:`hepml_root.export.export`."""
    generated = certificate.wanted(certify)
    refuse_existing(path, overwrite)
    boosted = boosted_model(model, data)
    if boosted is not None:
        return _write_boosted(boosted, path, data, overwrite, points, tolerance, generated)
    model = _keras_model(model)
    if isinstance(model, Generator):
        model = model.sampler()
    description, carried = _description(model, data)
    names = [block["name"] for block in description["inputs"]]
    _require_inputs(model, description)
    events, source = _events(description, data, carried)
    proto = emit(
        model,
        inputs=names,
        outputs=_output_names(description),
        name=str(description["name"]),
        prefix_masks=_prefix_masks(description, data, events),
    )
    description["outputs"] = _outputs(description, proto)
    kinds = {block["name"]: block["kind"] for block in description["inputs"]}

    def reference(blocks: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        with middle_draws():
            return predict(model, blocks)

    held = parity.reference(
        reference,
        events,
        kinds,
        probabilities=description["task"] != "regression",
        missing=any(type(layer).__name__ == "Impute" for layer in model._flatten_layers()),
        tolerance=tolerance,
        least=parity.least_scale(description),
    )
    runtimes = ("Keras", "ONNX Runtime")
    return write_held(
        proto, description, held, runtimes, source, path, overwrite, points, generated, without_draws(proto)
    )


def boosted_model(model: Any, data: Any) -> BoostedModel | None:
    """Return trees as our own model: one of those, its file, or a LightGBM model; None for anything else.

    Raises
    ------
    ModelFileError
        The file is damaged, or nothing says which columns a LightGBM model takes.
    """
    if isinstance(model, BoostedModel):
        return model
    if isinstance(model, (str, Path)) and Path(model).suffix == ".trees":
        return BoostedModel.load(model)
    if type(model).__module__.partition(".")[0] != "lightgbm":
        return None
    booster = getattr(model, "booster_", model)  # that of LightGBM's classes for scikit-learn
    if not hasattr(booster, "model_to_string") or data is None:
        raise ModelFileError(
            "a LightGBM model carries no manifest, so nothing says which columns it takes. Give the dataset "
            "it was trained on: hr.export(booster, path, data=dataset)."
        )
    description = dict(data) if isinstance(data, Mapping) else describe(data)
    return BoostedModel(booster, {"name": "boosted", **description})


def _write_boosted(
    model: BoostedModel,
    path: Path,
    data: Any,
    overwrite: bool,
    points: Points,
    tolerance: float,
    generated: Sequence[str],
) -> Path:
    from hepml_root.export.trees import emit_boosted

    description = dict(model.manifest)
    description.setdefault("name", model.name)
    features = len(labels_of(description))
    if model.booster.num_feature() != features:
        raise ShapeError(f"the trees take {model.booster.num_feature()} numbers; the data have {features}.")
    events, source = _events(description, data, {})
    output = (_output_names(description) or ["score"])[0]
    proto = emit_boosted(model.booster, description["inputs"], output, str(description["name"]))
    description["outputs"] = _outputs(description, proto)
    kinds = {block["name"]: block["kind"] for block in description["inputs"]}
    held = parity.reference(
        lambda blocks: [model.predict(blocks)],
        events,
        kinds,
        probabilities=description["task"] != "regression",
        missing=True,
        tolerance=tolerance,
    )
    _warn_if_reversed(description, data, held, "Train it on data.target, which is 1 for the signal.")
    runtimes = ("LightGBM", "ONNX Runtime")
    return write_held(proto, description, held, runtimes, source, path, overwrite, points, generated)


def write_adopted(
    source: Path,
    path: Path,
    *,
    data: Any,
    inputs: Mapping[str, str],
    output: str | None,
    labels: Sequence[str] | None,
    overwrite: bool,
    points: Points,
    certify: Certify,
) -> Path:
    """The work of :func:`hepml_root.export.adopt`."""
    generated = certificate.wanted(certify)
    refuse_existing(path, overwrite)
    proto = manifests.load_onnx(source)
    description = {**_described(data), "name": source.stem}
    names = [block["name"] for block in description["inputs"]]
    foreign.name_inputs(proto, source, names, inputs)
    foreign.choose_output(proto, output)
    foreign.require_float32(proto, source)
    foreign.order_output(proto, source, output_labels(description), labels)
    description["outputs"] = _outputs(description, proto)
    manifests.require_names(description, proto)
    events, kind = _events(description, data, {})
    kinds = {block["name"]: block["kind"] for block in description["inputs"]}
    compared = without_draws(proto)
    runtime = parity.onnxruntime_predict(compared, names)
    held = parity.reference(runtime, events, kinds, probabilities=description["task"] != "regression")
    _warn_if_reversed(description, data, held, "Say what the network gives with labels=[…].")
    runtimes = ("ONNX Runtime in one batch", "ONNX Runtime in batches")
    return write_held(proto, description, held, runtimes, kind, path, overwrite, points, generated, compared)


def _warn_if_reversed(description: Mapping[str, Any], data: Any, held: parity.Reference, remedy: str) -> None:
    """Warn where a model from elsewhere seems to give the probability of the background."""
    if description["task"] != "binary" or data is None or isinstance(data, Mapping) or data.lazy:
        return
    score = held.outputs[0][: held.events]
    signal = data.target[parity.spread(len(data), parity.MOST_EVENTS), 0] > 0.5
    if len(held.outputs) > 1 or score.size != len(score) or signal.all() or not signal.any():
        return
    ranks = rankdata(score.ravel())
    count = int(signal.sum())
    area = (ranks[signal].sum() / count - (count + 1) / 2) / (len(signal) - count)
    if area < _REVERSED:
        warnings.warn(
            f"the score is lower for '{description['signal']}' than for the other class (area under the ROC "
            f"curve {area:.2f}), as if it were that of the other class. {remedy}",
            stacklevel=4,
        )


def _keras_model(model: Any) -> keras.Model:
    if isinstance(model, keras.Model):
        return model
    if isinstance(model, (str, Path)):
        from hepml_root.models.saved import load_model

        return load_model(model)
    raise UnsupportedOperationError(
        f"a {type(model).__name__} cannot be exported: hr.export takes a Keras model, boosted trees, or the "
        "path of a .keras or .trees file."
    )


def _description(model: keras.Model, data: Any) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """The manifest as far as it is known before the export, and the events that the model carries."""
    try:
        layer: ManifestLayer = manifest_layer(model)
    except ModelFileError as error:
        if data is None:
            raise ModelFileError(
                f"the model '{model.name}' carries no hepml_root manifest, so nothing says which columns it "
                "takes. "
                "Give the dataset it was trained on: hr.export(model, path, data=dataset)."
            ) from error
        return {**_described(data), "name": model.name}, {}
    description = layer.manifest
    if not description.get("inputs"):
        raise ModelFileError(
            f"the manifest of the model '{model.name}' is empty. Attach one: hr.attach(model, dataset)."
        )
    # The data may have more blocks: a model need not take all of a dataset.
    have = {block["name"]: block for block in describe(data)["inputs"]} if data is not None else {}
    if data is not None and any(have.get(block["name"]) != block for block in description["inputs"]):
        wanted, given = (
            [(b["name"], b["shape"]) for b in blocks] for blocks in (description["inputs"], have.values())
        )
        raise ShapeError(
            f"data has other inputs than the model was trained with: {given} instead of {wanted}"
            + ("." if wanted != given else ", and other columns in them.")
        )
    return description, layer.probe


def _described(data: Any) -> dict[str, Any]:
    """The data part of a manifest, without the outputs: those come from the network."""
    description = describe(data)
    description.pop("outputs", None)
    return description


def _require_inputs(model: keras.Model, description: Mapping[str, Any]) -> None:
    shapes = {
        name: tuple(tensor.shape[1:])
        for name, tensor in zip(input_names(model), model.inputs or (), strict=False)
    }
    blocks = {block["name"]: tuple(block["shape"]) for block in description["inputs"]}
    if shapes != blocks:
        raise ShapeError(
            f"the model's inputs {shapes} are not the blocks of the data {blocks}. Name the keras.Input "
            "layers after "
            "the blocks, or use hr.attach(model, dataset)."
        )


def _output_names(description: Mapping[str, Any]) -> list[str] | None:
    stated = description.get("outputs")
    return [block["name"] for block in stated] if stated else None


def _outputs(description: Mapping[str, Any], proto: onnx.ModelProto) -> list[dict[str, Any]]:
    """The manifest's outputs: as stated, by the task for a single output, else named one by one."""
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]
        for value in proto.graph.output
    }
    if description.get("outputs"):
        return [{**block, "shape": shapes[block["name"]]} for block in description["outputs"]]
    if len(shapes) == 1:
        ((name, shape),) = shapes.items()
        if len(shape) == 1:
            return [{**outputs_for(description, shape[0])[0], "name": name, "shape": shape}]
    entries = []
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        entries.append(
            {
                "name": name,
                "shape": shape,
                "labels": [name] if count == 1 else [f"{name}_{i}" for i in range(count)],
            }
        )
    return entries


def _events(
    description: Mapping[str, Any], data: Any, carried: Mapping[str, NDArray[np.float32]]
) -> tuple[dict[str, NDArray[np.float32]], str]:
    """Real events to check on, and where they come from."""
    blocks = description["inputs"]
    if data is not None and not isinstance(data, Mapping):
        if data.lazy:
            data = data.sample(parity.MOST_EVENTS)
        chosen = parity.spread(len(data), parity.MOST_EVENTS)
        return {
            block["name"]: np.asarray(data.X[block["name"]][chosen], np.float32) for block in blocks
        }, "data"
    if carried:
        return {block["name"]: carried[block["name"]] for block in blocks}, "model"
    return {block["name"]: _random_values(block) for block in blocks}, "random numbers"


def _random_values(block: Mapping[str, Any]) -> NDArray[np.float32]:
    """Numbers that a block may hold: constituents are there up to some number, neighbours exist."""
    rng = np.random.default_rng(sum(block["name"].encode()))
    shape = (256, *block["shape"])
    if block["kind"] == "index":
        return rng.integers(0, block["shape"][0], shape).astype(np.float32)
    if block["kind"] != "mask":
        return rng.normal(size=shape).astype(np.float32)
    there = np.arange(shape[1])[None] < rng.integers(0, shape[1] + 1, (256, 1))
    if len(shape) > 2:
        there = there[..., None] & (rng.random(shape) < 0.5)
    return there.astype(np.float32)


def _prefix_masks(
    description: Mapping[str, Any], data: Any, events: Mapping[str, NDArray[np.float32]]
) -> list[str]:
    """Masks of constituents that are ones and then zeros in all events at hand.

    So are all that are made from jagged columns. Arrays from elsewhere may have holes; then recurrent layers
    are exported in the form that looks for them.
    """
    owners = {block.get("mask") for block in description["inputs"] if block["kind"] == "jagged"}
    names = []
    for block in description["inputs"]:
        if block["name"] not in owners or block["kind"] != "mask" or len(block["shape"]) != 1:
            continue
        known = data is not None and not isinstance(data, Mapping) and not data.lazy
        mask = np.asarray(data.X[block["name"]] if known else events[block["name"]]) > 0.5
        if not np.any(mask[:, 1:] & ~mask[:, :-1]):
            names.append(block["name"])
    return names
