"""Small real model files for the tests here: ONNX graphs with manifest and probe, made without Keras."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from hepml_root.export.manifest import created, encode_array, versions, write_model

HIGGS = (
    *("lepton_pT", "lepton_eta", "lepton_phi", "missing_energy_magnitude", "missing_energy_phi"),
    *(f"jet{jet}_{what}" for jet in (1, 2, 3, 4) for what in ("pt", "eta", "phi", "b-tag")),
    *("m_jj", "m_jjj", "m_lv", "m_jlv", "m_bb", "m_wbb", "m_wwbb"),
)


class Network:
    """Collects the nodes and weights of one ONNX graph."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._random = np.random.default_rng(seed)

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def weight(self, values: np.ndarray) -> str:
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def dense(self, value: str, features: int, units: int) -> str:
        kernel = self.weight((self._random.normal(size=(features, units)) / features**0.5).astype(np.float32))
        bias = self.weight(self._random.normal(size=units).astype(np.float32))
        return self.add("Add", self.add("MatMul", value, kernel), bias)


def write_mlp(
    path: Path,
    columns: Sequence[str] = HIGGS,
    labels: Sequence[str] = ("signal",),
    parameters: Sequence[str] = (),
    hidden: Sequence[int] = (16, 16),
    seed: int = 1,
) -> Path:
    """Write a dense network; columns are "name" or "label := expression"."""
    network = Network(seed)
    value = "features"
    if parameters:
        value = network.add("Concat", "features", "parameters", axis=1)
    size = len(columns) + len(parameters)
    for units in hidden:
        value = network.add("Relu", network.dense(value, size, units))
        size = units
    value = network.dense(value, size, len(labels))
    network.add("Sigmoid" if len(labels) == 1 else "Softmax", value, output="score")
    inputs = [_block("features", "flat", [len(columns)], columns)]
    if parameters:
        inputs.append(_block("parameters", "parameter", [len(parameters)], parameters))
    return _write(path, network, inputs, [{"name": "score", "shape": [len(labels)], "labels": list(labels)}])


def write_deep_sets(path: Path, columns: Sequence[str], length: int, seed: int = 2) -> Path:
    """Write a network on jagged columns: a dense layer per constituent, a masked mean, a sigmoid."""
    network = Network(seed)
    value = network.add("Relu", network.dense("jets", len(columns), 8))
    mask = network.add("Unsqueeze", "jets_mask", network.weight(np.int64([2])))
    axis = network.weight(np.int64([1]))
    total = network.add("ReduceSum", network.add("Mul", value, mask), axis, keepdims=0)
    count = network.add("ReduceSum", mask, axis, keepdims=0)
    mean = network.add("Div", total, network.add("Max", count, network.weight(np.float32([1.0]))))
    network.add("Sigmoid", network.dense(mean, 8, 1), output="score")
    jagged = _block("jets", "jagged", [length, len(columns)], columns) | {"mask": "jets_mask"}
    inputs = [jagged, _block("jets_mask", "mask", [length], ())]
    return _write(path, network, inputs, [{"name": "score", "shape": [1], "labels": ["signal"]}])


def write_passing(path: Path, inputs: Sequence[dict[str, Any]]) -> Path:
    """Write a model that gives back all its inputs, one after the other; described as in a manifest."""
    network = Network(1)
    flat = [network.add("Flatten", entry["name"], axis=1) for entry in inputs]
    network.add("Concat", *flat, axis=1, output="score")
    size = int(sum(np.prod(entry["shape"]) for entry in inputs))
    outputs = [{"name": "score", "shape": [size], "labels": [f"v{i}" for i in range(size)]}]
    return _write(path, network, list(inputs), outputs)


GEOMETRY: dict[str, Any] = {
    "name": "tiny",
    "title": "a grid and rings",
    "scale": "visible",
    "threshold": 0.0,
    "reference": "",
    "layers": [
        {"grid": [2, 3, 10.0, 12.0]},
        {"count": 2, "polar": [2, [0.0, 10.0, 25.0]], "gaps": 3, "passive": "lead", "passive_mm": 2.0,
         "active": "liquid argon", "active_mm": 4.0},
    ],
}  # fmt: skip
CELLS = 14


def write_generator(
    path: Path,
    labels: Sequence[str] = ("energy", "eta"),
    geometry: Any = GEOMETRY,
    positive: bool = True,
    **changes: Any,
) -> Path:
    """Write a generator of showers: every cell is max(0, energy/50 + z), with z a normal number of its own.

    Trained, it says, from 10 to 100 GeV, and from -1 to 1 in all else. ``changes`` are put into what the
    manifest says of the generator. Without ``positive``, cells are z - energy/50.
    """
    network = Network(1)
    kernel = np.zeros((len(labels), CELLS), np.float32)
    kernel[0] = 0.02 if positive else -0.02
    mean = network.add("MatMul", "conditions", network.weight(kernel))
    noise = network.add("RandomNormalLike", mean)
    network.add("Relu" if positive else "Identity", network.add("Add", mean, noise), output="cells")
    ranges = {label: [-1, 1] for label in labels} | {"energy": [10, 100]}
    made: dict[str, Any] = {"geometry": geometry, "ranges": ranges, "kind": "noise", **changes}
    block = _block("conditions", "parameter", [len(labels)], labels)
    cells = [{"name": "cells", "shape": [CELLS], "labels": [f"cell_{cell}" for cell in range(CELLS)]}]
    return _write(path, network, [block], cells, task="regression", classes=[], generator=made)


def runtime_scores(path: Path, **inputs: np.ndarray) -> np.ndarray:
    """Scores by ONNX Runtime, (events, outputs)."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {name: np.ascontiguousarray(v, np.float32) for name, v in inputs.items()})
    return scores


def _block(name: str, kind: str, shape: list[int], columns: Sequence[str]) -> dict[str, Any]:
    entries = []
    for column in columns:
        label, _, expression = column.partition(":=")
        entries.append({"label": label.strip(), "expression": (expression or label).strip(), "units": ""})
    return {"name": name, "kind": kind, "shape": shape, "columns": entries}


def _write(
    path: Path, network: Network, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]], **more: Any
) -> Path:
    values = [helper.make_tensor_value_info(i["name"], TensorProto.FLOAT, ["N", *i["shape"]]) for i in inputs]
    results = [
        helper.make_tensor_value_info(o["name"], TensorProto.FLOAT, ["N", *o["shape"]]) for o in outputs
    ]
    graph = helper.make_graph(network.nodes, "network", values, results, network.weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(proto, full_check=True)
    random = np.random.default_rng(0)
    events = {}
    for entry in inputs:
        drawn = random.normal(size=(32, *entry["shape"]))
        events[entry["name"]] = (drawn < 0.5 if entry["kind"] == "mask" else drawn).astype(np.float32)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    scores = session.run(None, events)
    manifest = {
        "format": "hepml_root",
        "version": 1,
        "task": "binary" if outputs[0]["shape"] == [1] else "multiclass",
        "name": path.stem,
        "inputs": inputs,
        "outputs": outputs,
        "classes": outputs[0]["labels"],
        "targets": [],
        "working_points": [],
        "provenance": {"versions": versions(), "created": created(), "files": [], "split": {}},
        "probe": {
            "inputs": {name: encode_array(array) for name, array in events.items()},
            "outputs": {o["name"]: encode_array(s) for o, s in zip(outputs, scores, strict=True)},
        },
        "parity": {},
        **more,
    }
    return write_model(proto, manifest, path)
