"""From a weight file of TMVA to an ONNX file with a manifest, which everything else here takes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import ModelFileError, NonFiniteInputError, SettingError, ShapeError
from hepml_root.export import certificate, parity
from hepml_root.export import manifest as manifests
from hepml_root.export.held_file import Points, write_held
from hepml_root.output import refuse_existing
from hepml_root.tmva.weights.cuts import Cuts, add_cuts
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.header import Variable
from hepml_root.tmva.weights.likelihood import Likelihood, add_likelihood
from hepml_root.tmva.weights.linear import Linear, add_linear
from hepml_root.tmva.weights.neighbours import Neighbours, add_neighbours
from hepml_root.tmva.weights.network import Network, add_network
from hepml_root.tmva.weights.own_model import OwnGraph, OwnModel
from hepml_root.tmva.weights.support_vectors import SupportVectors, add_support_vectors
from hepml_root.tmva.weights.transformations import ALL_CLASSES, add_inverse_of_targets, add_transformations
from hepml_root.tmva.weights.trees import add_trees
from hepml_root.tmva.weights.weights_xml import WeightFile, read_weights

INPUT, OUTPUT = "features", "score"
_TASKS = {"Classification": "binary", "Multiclass": "multiclass", "Regression": "regression"}
_EVENTS = 512


def convert(
    xml: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    signal_efficiency: float | None = None,
    events: ArrayLike | None = None,
    overwrite: bool = False,
    working_points: Sequence[Mapping[str, Any]] | Mapping[str, float] | None = None,
    certify: bool | Sequence[str] = True,
) -> Path:
    """Write a weight file that TMVA wrote (``*.weights.xml``) as an ONNX file with a manifest.

    The file computes what TMVA's Reader computes, variable transformations included;
    :class:`hepml_root.Session`, ``hr.define`` in RDataFrame, ``hr.apply``, ``hr.compile`` and generated
    C++ take it. Methods: BDT, MLP, Fisher, LD, Likelihood, Cuts, KNN, SVM. Input "features"
    ``(events, variables)`` in the units of the variables, in TMVA's order; output "score"
    ``(events, values)``: one value of a classifier, one for each class, or for each target in its units.

    Arguments
    ---------
    xml
        The weight file.
    path
        The ``.onnx`` file to write.
    signal_efficiency
        Of the method Cuts, and needed there: the efficiency whose cuts are taken (TMVA's ``aux``).
    events
        Events ``(events, variables)`` to compare runtimes on, and to keep some of as probe. By default events
        inside the ranges that the file says for its variables.
    overwrite, working_points, certify
        As in :func:`hepml_root.export.export`.

    Returns
    -------
    Path
        The path of the ONNX file.

    Raises
    ------
    SourceNotFoundError, ModelFileError, UnsupportedOperationError
        As :func:`hepml_root.tmva.read_weights`.
    SettingError
        ``signal_efficiency`` is missing, out of its range, or given for another method.
    ShapeError, NonFiniteInputError
        ``events`` do not have the variables as columns, or are no finite numbers.
    ParityError
        Runtimes differ; nothing is written.
    OutputExistsError, OutputWriteError
        The file exists or cannot be written.

    Reference: A. Hoecker et al., TMVA users guide, arXiv:physics/0703039.

    Example
    -------
    >>> import tempfile, hepml_root as hr
    >>> from hepml_root import tmva as TMVA
    >>> folder = tempfile.mkdtemp()
    >>> text = '''<MethodSetup Method="Fisher::Fisher"><GeneralInfo>
    ... <Info name="TMVA Release" value="4.2.1 [262657]"/></GeneralInfo><Options/>
    ... <Variables NVar="1"><Variable VarIndex="0" Expression="pt" Label="pt"/></Variables>
    ... <Transformations NTransformations="0"/>
    ... <Weights NCoeff="2"><Coefficient Index="0" Value="-1"/><Coefficient Index="1" Value="0.5"/></Weights>
    ... </MethodSetup>'''
    >>> _ = open(folder + "/fisher.weights.xml", "w").write(text)
    >>> file = TMVA.convert(folder + "/fisher.weights.xml", folder + "/fisher.onnx", certify=False)
    >>> hr.Session(file).infer([[10.0]]).tolist()
    [[4.0]]
    """
    path = Path(path)
    generated = certificate.wanted(certify)
    refuse_existing(path, overwrite)
    weights = read_weights(xml)
    return write(
        weights, path, signal_efficiency=signal_efficiency, events=events, overwrite=overwrite,
        points=working_points, generated=generated,
    )  # fmt: skip


def write(
    weights: WeightFile,
    path: Path,
    *,
    signal_efficiency: float | None,
    events: ArrayLike | None,
    overwrite: bool,
    points: Points,
    generated: Sequence[str],
) -> Path:
    """Write what :func:`convert` has read."""
    header = weights.header
    proto = emit(weights, signal_efficiency)
    description = describe(weights, signal_efficiency)
    if events is None:
        block, source = _events_in_ranges(weights), "the ranges of the variables in the weight file"
    else:
        block, source = _given(events, inputs(weights)), "data"
    runtime = parity.onnxruntime_predict(proto, [INPUT])
    held = parity.reference(
        runtime, {INPUT: block}, {INPUT: "flat"}, probabilities=header.analysis != "Regression"
    )
    if not np.isfinite(held.outputs[0][: held.events]).all():
        raise ModelFileError(
            f"'{weights.path}' ({header.method}::{header.title}): its weights overflow float32 for "
            "ordinary events."
        )
    runtimes = ("ONNX Runtime in one batch", "ONNX Runtime in batches")
    return write_held(proto, description, held, runtimes, source, path, overwrite, points, generated)


def emit(weights: WeightFile, signal_efficiency: float | None = None) -> onnx.ModelProto:
    """Return the ONNX graph of a weight file.

    Raises
    ------
    SettingError
        ``signal_efficiency`` is missing, or given for a method that has none.
    """
    header = weights.header
    if isinstance(weights.weights, OwnModel):
        return weights.weights.load()
    if (signal_efficiency is None) == isinstance(weights.weights, Cuts):
        raise SettingError(
            f"'{weights.path}': the method Cuts needs signal_efficiency=…, between 0 and 1: the file "
            "has a set of "
            "cuts for each."
            if signal_efficiency is None
            else f"'{weights.path}': signal_efficiency belongs to the method Cuts; this is {header.method}."
        )
    variables = len(header.variables)
    graph = Graph(INPUT)
    taken = inputs(weights)
    only_variables = INPUT if len(taken) == variables else graph.columns(INPUT, range(variables))

    def transformed(which: int) -> str:
        return add_transformations(graph, only_variables, weights.transformations, variables, which)

    found = weights.weights
    if isinstance(found, Likelihood):
        result = add_likelihood(graph, transformed(header.signal), transformed(header.background), found)
    else:
        values = transformed(ALL_CLASSES)
        if isinstance(found, Cuts):
            assert signal_efficiency is not None
            result = add_cuts(graph, values, found, signal_efficiency)
        elif isinstance(found, Linear):
            result = add_linear(graph, values, found)
        elif isinstance(found, OwnGraph):
            if len(taken) > variables:
                spectators = graph.columns(INPUT, range(variables, len(taken)))
                values = graph.add("Concat", values, spectators, axis=1)
            result = graph.embed(found.model, values)
        elif isinstance(found, Neighbours):
            result = add_neighbours(graph, values, found)
        elif isinstance(found, SupportVectors):
            result = add_support_vectors(graph, values, found, header.analysis == "Regression")
        elif isinstance(found, Network):
            result = add_network(graph, values, found, header)
        else:
            result = add_trees(graph, values, found, header)
    if header.analysis == "Regression":
        result = add_inverse_of_targets(graph, result, weights.transformations, len(header.targets))
    return graph.model(header.title or header.method, len(taken), result, OUTPUT, len(header.outputs))


def inputs(weights: WeightFile) -> tuple[Variable, ...]:
    """Return the columns that the graph takes: the variables, and spectators where a model needs them."""
    header, found = weights.header, weights.weights
    spectators = found.spectators if isinstance(found, OwnGraph | OwnModel) else ()
    return (*header.variables, *(header.spectators[number] for number in spectators))


def describe(weights: WeightFile, signal_efficiency: float | None = None) -> dict[str, Any]:
    """Return the manifest of a weight file, as far as it is known before the export."""
    header = weights.header
    content = weights.path.read_bytes()
    origin: dict[str, Any] = {
        "method": header.method,
        "title": header.title,
        "release": header.info.get("TMVA Release", ""),
        "root_release": header.info.get("ROOT Release", ""),
        "created": header.info.get("Date", ""),
        "training_events": header.info.get("Training events", ""),
        "options": {name: option.value for name, option in header.options.items()},
        "modified": [name for name, option in header.options.items() if option.modified],
        "transformations": [transformation.kind for transformation in weights.transformations],
    }
    if signal_efficiency is not None:
        origin["signal_efficiency"] = float(signal_efficiency)
    source = {
        "path": weights.path.name,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    columns = _columns(inputs(weights))
    regression = header.analysis == "Regression"
    return {
        "format": manifests.FORMAT,
        "version": manifests.VERSION,
        "task": _TASKS[header.analysis],
        "name": header.title or header.method,
        "inputs": [{"name": INPUT, "kind": "flat", "shape": [len(columns)], "columns": columns}],
        "outputs": [{"name": OUTPUT, "shape": [len(header.outputs)], "labels": list(header.outputs)}],
        "classes": [] if regression else list(header.classes),
        "signal": header.outputs[0] if header.analysis == "Classification" else None,
        "targets": _columns(header.targets),
        "spectators": _columns(header.spectators),
        "provenance": {"tmva": origin, "sources": [source]},
    }


def _columns(variables: Sequence[Variable]) -> list[dict[str, str]]:
    """Return variables as the manifest holds columns: labels are names, which TMVA's need not be."""
    columns: list[dict[str, str]] = []
    for variable in variables:
        names = [variable.label, variable.internal, f"variable{len(columns)}"]
        taken = [column["label"] for column in columns]
        label = next((name for name in names if name.isidentifier() and name not in taken), names[-1])
        columns.append({"label": label, "expression": variable.expression, "units": variable.unit})
    return columns


def _events_in_ranges(weights: WeightFile) -> NDArray[np.float32]:
    """Events for comparisons: evenly inside the range that each variable had in training."""
    taken = inputs(weights)
    rng = np.random.default_rng(sum(weights.header.title.encode()))
    low, high = (
        np.array([default if value is None else value for value in values])
        for values, default in (
            ([variable.minimum for variable in taken], -1.0),
            ([variable.maximum for variable in taken], 1.0),
        )
    )
    drawn = low + (high - low) * rng.random((_EVENTS, len(low)))
    whole = np.array([variable.kind == "I" for variable in taken])
    return np.where(whole, np.round(drawn), drawn).astype(np.float32)


def _given(events: ArrayLike, taken: Sequence[Variable]) -> NDArray[np.float32]:
    block = np.asarray(events)
    count = len(taken)
    if block.ndim != 2 or block.shape[1] != count or not len(block) or block.dtype.kind not in "fiub":
        raise ShapeError(
            f"events of shape {block.shape} and type {block.dtype}: numbers (events, {count}) are "
            "needed, with the "
            f"columns {', '.join(variable.label for variable in taken)}."
        )
    block = block.astype(np.float32)
    if not np.isfinite(block).all():
        raise NonFiniteInputError("events hold NaN, infinity, or numbers beyond float32.")
    return block[parity.spread(len(block), parity.MOST_EVENTS)]
