"""The manifest of a model file: what a trained network takes, gives and was made of, as JSON inside the ONNX
file.

It lives in the file's ``metadata_props`` under the key ``hepml_root``; ARCHITECTURE.md lists its keys.
Whoever has the file can apply the network without the script that trained it. Nothing here needs Keras.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from hepml_root.errors import ModelFileError, SettingError, ShapeError, SourceNotFoundError
from hepml_root.output import writing

KEY = "hepml_root"
FORMAT = "hepml_root"
VERSION = 1
KINDS = ("flat", "parameter", "jagged", "mask", "image", "index", "edges")
TASKS = ("binary", "multiclass", "regression")
_LARGEST_INLINE = 2**31 - 1  # bytes of one protobuf message

_COLUMN = {"label": str, "expression": str, "units": str}
# Required keys with their types; a list of one schema means a list of such. Further keys are free.
_SCHEMA: dict[str, Any] = {
    "format": str,
    "version": int,
    "task": str,
    "name": str,
    "inputs": [{"name": str, "kind": str, "shape": [int], "columns": [_COLUMN]}],
    "outputs": [{"name": str, "shape": [int], "labels": [str]}],
    "classes": [str],
    "targets": [_COLUMN],
    "working_points": [{"name": str, "threshold": (int, float)}],
    "provenance": {"versions": dict, "created": str},
    "probe": {"inputs": dict, "outputs": dict},
    "parity": dict,
}


_REPRESENTATION: dict[str, Any] = {
    "kind": str,
    "name": str,
    "columns": [_COLUMN],
    "scalars": [_COLUMN],
    "outputs": [{"name": str, "kind": str, "shape": [int]}],
    "settings": dict,
}


def validate(manifest: Any, proto: onnx.ModelProto | None = None) -> dict[str, Any]:
    """Check a manifest, and that it names the inputs and outputs of the graph it belongs to; return it.

    Raises
    ------
    ModelFileError
        A key is missing or has the wrong type, the version is newer than this package knows, or the names
        are not those of the graph.

    Example
    -------
    >>> validate({"format": "hepml_root", "version": 0})
    Traceback (most recent call last):
    hepml_root.errors.ModelFileError: the manifest has no usable version (0).
    """
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelFileError(
            f'the manifest does not begin with "format": "{FORMAT}": it was written by something else.'
        )
    version = manifest.get("version")
    if not isinstance(version, int) or version < 1:
        raise ModelFileError(f"the manifest has no usable version ({version!r}).")
    if version > VERSION:
        raise ModelFileError(
            f"the manifest has version {version}; this hepml_root reads up to {VERSION}. Update hepml_root."
        )
    _check(manifest, _SCHEMA, "manifest")
    if manifest["task"] not in TASKS:
        raise ModelFileError(f"the manifest's task '{manifest['task']}' is none of {', '.join(TASKS)}.")
    _check_inputs(manifest["inputs"])
    if proto is not None:
        require_names(manifest, proto)
    return manifest


def _check(value: Any, schema: Any, where: str) -> None:
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            raise ModelFileError(f"{where} is no dictionary.")
        for key, inner in schema.items():
            if key not in value:
                raise ModelFileError(f"{where} lacks the key '{key}'.")
            _check(value[key], inner, f"{where}.{key}")
    elif isinstance(schema, list):
        if not isinstance(value, list):
            raise ModelFileError(f"{where} is no list.")
        for index, item in enumerate(value):
            _check(item, schema[0], f"{where}[{index}]")
    elif not isinstance(value, schema) or (isinstance(value, bool) and schema is not bool):
        kinds = schema if isinstance(schema, tuple) else (schema,)
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ModelFileError(f"{where} is {type(value).__name__} instead of {names}.")


def _check_inputs(inputs: Sequence[Mapping[str, Any]]) -> None:
    names = [block["name"] for block in inputs]
    if len(set(names)) < len(names):
        raise ModelFileError(f"the manifest names an input twice: {names}.")
    shapes = {block["name"]: block["shape"] for block in inputs if block["kind"] == "mask"}
    for block in inputs:
        name, kind, shape = block["name"], block["kind"], block["shape"]
        if kind not in KINDS:
            raise ModelFileError(f"input '{name}' is of kind '{kind}'; known are {', '.join(KINDS)}.")
        if any(length < 1 for length in shape):
            raise ModelFileError(f"input '{name}' has the shape {shape}.")
        # What is read for an event is filled in column by column: nothing may be left over.
        columns = len(block["columns"])
        axes = {"jagged": 2, "image": 3, "edges": 3}.get(kind, 1)
        if columns and (len(shape) != axes or shape[-1] != columns):
            raise ModelFileError(f"input '{name}' has {columns} columns but the shape {shape}.")
        if kind in ("jagged", "edges"):
            if str(block.get("mask")) not in shapes:
                raise ModelFileError(f"the {kind} input '{name}' does not name an input of kind mask.")
            if shapes[block["mask"]] != shape[:-1]:
                raise ModelFileError(
                    f"the {kind} input '{name}' has the shape {shape}, but its mask "
                    f"'{block['mask']}' has {shapes[block['mask']]}."
                )
    _check_representations(inputs)


def _check_representations(inputs: Sequence[Mapping[str, Any]]) -> None:
    """Check that inputs have the shapes that their representations fill; a model may take only some."""
    blocks = {block["name"]: block for block in inputs}
    filled: dict[str, str] = {}
    for block in inputs:
        description = block.get("representation")
        if description is None:
            continue
        where = f"the representation of input '{block['name']}'"
        _check(description, _REPRESENTATION, where)
        for number, output in enumerate(description["outputs"]):
            name = output["name"]
            other = blocks.get(name)
            if other is None:
                continue
            if [other["kind"], other["shape"]] != [output["kind"], output["shape"]]:
                raise ModelFileError(f"{where} fills '{name}' {output['shape']}, which is no such input.")
            if number and other.get("of") != description["name"]:
                raise ModelFileError(f"{where} fills '{name}', which does not say so.")
            filled[name] = description["name"]
    for name, block in blocks.items():
        if block.get("of") is not None and filled.get(name) != block["of"]:
            raise ModelFileError(f"input '{name}' is of a representation '{block['of']}' that is not there.")


def graph_inputs(proto: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs of a graph that are no weights (older files list weights among the inputs)."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    return [value for value in proto.graph.input if value.name not in weights]


def require_names(manifest: Mapping[str, Any], proto: onnx.ModelProto) -> None:
    """Raise ModelFileError unless inputs and outputs of a manifest are those of the graph, name by name."""
    for what, values in (("inputs", graph_inputs(proto)), ("outputs", proto.graph.output)):
        stated, real = [block["name"] for block in manifest[what]], [value.name for value in values]
        if stated != real:
            raise ModelFileError(f"the manifest's {what} are {stated}, but those of the graph are {real}.")
        for block, value in zip(manifest[what], values, strict=True):
            shape = [
                d.dim_value if d.HasField("dim_value") else None for d in value.type.tensor_type.shape.dim
            ][1:]
            if len(shape) != len(block["shape"]) or any(
                a not in (None, b) for a, b in zip(shape, block["shape"], strict=True)
            ):
                raise ModelFileError(
                    f"'{block['name']}' has the shape {block['shape']} per event in the manifest, but "
                    f"{shape} in the graph."
                )


# -- files ------------------------------------------------------------------------------------------------


def load_onnx(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """Read an ONNX file, with or without a manifest.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    ModelFileError
        It is no ONNX file, or a damaged one.
    """
    path = Path(path)
    if not path.is_file():
        raise SourceNotFoundError(f"there is no model file '{path}'.")
    try:
        proto = onnx.load(str(path))
    except onnx.checker.ValidationError as error:  # weights in a file that is not there, or elsewhere
        raise ModelFileError(f"'{path}' cannot be read: {str(error).splitlines()[0]}") from error
    except (DecodeError, ValueError, OSError) as error:
        if path.name.endswith(".weights.xml"):
            raise ModelFileError(
                f"'{path}' is a weight file of TMVA: take the .onnx file beside it, or one that "
                "hepml_root.tmva.convert (hepml-root adopt) makes of it."
            ) from error
        raise ModelFileError(
            f"'{path}' cannot be read as an ONNX file ({type(error).__name__}): it is damaged or something "
            "else. "
            "Export the model again."
        ) from error
    if not proto.graph.node or not proto.graph.output or not proto.opset_import:
        raise ModelFileError(
            f"'{path}' holds no ONNX graph: it is damaged or something else. Export the model again."
        )
    return proto


def read_model(path: str | os.PathLike[str]) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """Read a model file: its ONNX graph and its manifest, checked against each other.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    ModelFileError
        It is no ONNX file, is damaged, or has no manifest or one that does not fit the graph.
    """
    proto = load_onnx(path)
    try:
        return proto, manifest_in(proto)
    except ModelFileError as error:
        raise ModelFileError(f"'{path}': {error}") from error


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the manifest of a model file; see :func:`read_model` for the errors."""
    return read_model(path)[1]


def manifest_in(proto: onnx.ModelProto) -> dict[str, Any]:
    """Return the manifest that an ONNX model carries.

    Raises
    ------
    ModelFileError
        There is none, it is damaged, or it does not fit the graph.
    """
    texts = [entry.value for entry in proto.metadata_props if entry.key == KEY]
    if not texts:
        raise ModelFileError(
            "this ONNX file carries no hepml_root manifest, so nothing says which columns it takes. Write "
            "it with "
            "hr.export(model, path), or give a file from elsewhere its manifest with "
            "hepml_root.export.adopt(path, new_path, data=dataset)."
        )
    try:
        manifest = json.loads(texts[0])
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"the manifest is damaged: {error}. Export the model again.") from error
    return validate(manifest, proto)


def write_model(
    proto: onnx.ModelProto, manifest: Mapping[str, Any], path: str | os.PathLike[str], overwrite: bool = False
) -> Path:
    """Write one self-contained model file: the graph with the manifest in its metadata. Returns its path.

    The bytes depend on nothing but the graph and the manifest.

    Raises
    ------
    OutputExistsError
        ``path`` exists and ``overwrite`` is False.
    OutputWriteError
        The file cannot be written.
    ModelFileError
        The manifest is not valid for this graph, or the weights are above the 2 GB an ONNX file can hold.
    """
    checked = validate(dict(manifest), proto)
    complete = onnx.ModelProto()
    complete.CopyFrom(proto)
    others = [entry for entry in proto.metadata_props if entry.key != KEY]
    del complete.metadata_props[:]
    complete.metadata_props.extend(others)
    entry = complete.metadata_props.add()
    entry.key, entry.value = (
        KEY,
        json.dumps(checked, sort_keys=False, ensure_ascii=True, separators=(",", ":")),
    )
    if complete.ByteSize() > _LARGEST_INLINE:
        raise ModelFileError(
            f"the model needs {complete.ByteSize():,} bytes; one ONNX file holds up to 2 GB."
        )
    with writing(path, overwrite) as temporary:
        temporary.write_bytes(complete.SerializeToString(deterministic=True))
    return Path(path)


# -- parts of a manifest --------------------------------------------------------------------------------


def encode_array(array: NDArray[Any]) -> dict[str, Any]:
    """An array as JSON: its shape and its float32 values, little-endian, in base64."""
    values = np.ascontiguousarray(array, dtype="<f4")
    return {"shape": list(values.shape), "data": base64.b64encode(values.tobytes()).decode("ascii")}


def decode_array(entry: Mapping[str, Any]) -> NDArray[np.float32]:
    """The array that :func:`encode_array` wrote.

    Raises
    ------
    ModelFileError
        The text is no base64, or does not hold as many numbers as the shape says.

    Example
    -------
    >>> decode_array(encode_array(np.ones((2, 1)))).tolist()
    [[1.0], [1.0]]
    """
    try:
        values = np.frombuffer(base64.b64decode(entry["data"], validate=True), dtype="<f4")
        return values.reshape(entry["shape"]).astype(np.float32)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ModelFileError(f"an array in the manifest is damaged: {error}.") from error


def probe_arrays(
    manifest: Mapping[str, Any],
) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Return the probe events in a manifest, ``{input: array}``, and the outputs they must give, ``{output:
    array}``.

    Raises
    ------
    ModelFileError
        The arrays are damaged, or differ in their number of events.
    """
    inputs, outputs = (
        {name: decode_array(entry) for name, entry in manifest["probe"][part].items()}
        for part in ("inputs", "outputs")
    )
    if len({len(array) for array in (*inputs.values(), *outputs.values())}) > 1:
        raise ModelFileError("the probe events in the manifest differ in length.")
    return inputs, outputs


def created() -> str:
    """The time for the provenance, in UTC; `SOURCE_DATE_EPOCH` sets it, for reproducible bytes."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is not None and not epoch.strip().isdigit():
        raise SettingError(f"SOURCE_DATE_EPOCH='{epoch}' is no number of seconds since 1970.")
    now = (
        datetime.datetime.now(datetime.UTC)
        if epoch is None
        else datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
    )
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def versions() -> dict[str, str]:
    """The versions of this package, of Python, and of the packages in use that matter."""
    from hepml_root import __version__

    found = {"hepml_root": __version__, "python": platform.python_version()}
    for package in ("keras", "tensorflow", "jax", "torch", "numpy", "onnx", "onnxruntime", "lightgbm"):
        if package in sys.modules:
            found[package] = importlib.metadata.version(package)
    if "keras" in sys.modules:
        found["keras_backend"] = sys.modules["keras"].backend.backend()
    if "ROOT" in sys.modules:
        found["ROOT"] = str(sys.modules["ROOT"].gROOT.GetVersion())
    return found


def working_points(
    given: Sequence[Mapping[str, Any]] | Mapping[str, float] | None, outputs: Sequence[str]
) -> list[dict[str, Any]]:
    """Check working points, ``[{"name", "threshold", ...}]`` or ``{name: threshold}``, and return them as a
    list.

    What else describes a point is kept; numbers of numpy become Python's, and those that are not finite None.
    An entry may be a :class:`hepml_root.evaluation.best_cut.ChosenCut` or anything with ``working_point()``.
    The cut is ``score ≥ threshold``, both rounded to float32 wherever it is applied.

    Raises
    ------
    SettingError
        A point lacks a name or a finite threshold, a name comes twice, or its output is unknown.

    Example
    -------
    >>> working_points({"tight": 0.9}, ["signal"])
    [{'name': 'tight', 'threshold': 0.9}]
    """
    if isinstance(given, Mapping):
        given = [{"name": name, "threshold": threshold} for name, threshold in given.items()]
    points = [
        _plain(point.working_point() if hasattr(point, "working_point") else point) for point in given or ()
    ]
    for point in points:
        name, threshold = point.get("name"), point.get("threshold")
        if (
            not isinstance(name, str)
            or not isinstance(threshold, (int, float, np.floating))
            or not np.isfinite(threshold)
        ):
            raise SettingError(f"a working point is {{'name': ..., 'threshold': number, ...}}, not {point}.")
        if "output" in point and point["output"] not in outputs:
            raise SettingError(
                f"the working point '{name}' is for the output '{point['output']}'; there are "
                f"{list(outputs)}."
            )
        point["threshold"] = value = float(threshold)
        if abs(value) > float(np.finfo(np.float32).max):
            raise SettingError(f"the threshold of working point '{name}' is beyond float32: {value:g}.")
    names = [point["name"] for point in points]
    if len(set(names)) < len(names):
        raise SettingError(f"working points of the same name: {names}.")
    return points


def _plain(point: Mapping[str, Any]) -> dict[str, Any]:
    """Return a working point as JSON's types; its threshold stays as it is, to be checked."""

    def plain(value: Any) -> Any:
        value = value.item() if isinstance(value, np.generic) else value
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return {key: value if key == "threshold" else plain(value) for key, value in point.items()}


def shapes_per_event(blocks: Mapping[str, NDArray[Any]]) -> dict[str, list[int]]:
    """Return ``{name: shape without the axis of the events}`` of arrays that have the same number of events.

    Raises
    ------
    ShapeError
        The arrays differ in length.
    """
    lengths = {name: len(array) for name, array in blocks.items()}
    if len(set(lengths.values())) > 1:
        raise ShapeError(f"the blocks differ in their number of events: {lengths}.")
    return {name: list(np.shape(array)[1:]) for name, array in blocks.items()}
