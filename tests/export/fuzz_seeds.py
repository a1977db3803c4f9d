"""Models to be damaged: small ones that between them have most kinds of nodes, attributes and types."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hepml_root.export import manifest as manifests

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
RNG = np.random.default_rng(1)


class Builder:
    """A graph, node by node."""

    def __init__(self, name: str) -> None:
        self.name, self.nodes, self.weights, self.functions = name, [], [], []

    def weight(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def normal(self, *shape: int) -> str:
        return self.weight(RNG.normal(size=shape))

    def add(self, operator: str, *given: str, count: int = 1, **attributes: Any) -> Any:
        names = [f"v{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(operator, list(given), names, f"n{len(self.nodes)}", **attributes))
        return names[0] if count == 1 else names

    def model(
        self, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], ml: int = 3
    ) -> onnx.ModelProto:
        declared = [helper.make_tensor_value_info(n, FLOAT, ["N", *shape]) for n, shape in inputs.items()]
        given = [helper.make_tensor_value_info(n, FLOAT, ["N", *shape]) for n, shape in outputs.items()]
        graph = helper.make_graph(self.nodes, self.name, declared, given, self.weights)
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", ml)]
        opsets += [helper.make_opsetid("local", 1)] * bool(self.functions)
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=self.functions)


def image() -> onnx.ModelProto:
    b = Builder("image")
    x = b.add("Relu", b.add("Conv", "x", b.normal(4, 2, 3, 3), b.normal(4), pads=[1, 1, 1, 1]))
    x = b.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    four = [b.weight(np.ones(4)) for _ in range(4)]
    x = b.add("BatchNormalization", x, *four)
    x = b.add("ConvTranspose", x, b.normal(4, 3, 2, 2), strides=[2, 2])
    x = b.add("GlobalAveragePool", b.add("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]))
    x = b.add("Gemm", b.add("Flatten", x), b.normal(3, 5), b.normal(5))
    return b.model({"x": [2, 6, 6]}, {b.add("Softmax", x): [5]})


def filters() -> onnx.ModelProto:
    """Two convolutions by minimal filtering, odd sizes, the maximum behind them and a dense layer."""
    b = Builder("filters")
    x = b.add("Relu", b.add("Conv", "x", b.normal(9, 8, 3, 3), b.normal(9), pads=[1, 1, 1, 1]))
    x = b.add("Relu", b.add("Conv", x, b.normal(17, 9, 3, 3), b.normal(17), pads=[1, 0, 0, 1]))
    x = b.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    return b.model({"x": [8, 9, 7]}, {b.add("Gemm", b.add("Flatten", x), b.normal(17 * 4 * 3, 5)): [5]})


def shapes() -> onnx.ModelProto:
    b = Builder("shapes")

    def whole(*values: int) -> str:
        return b.weight(values, np.int64)

    length = b.add("Gather", b.add("Shape", "x"), whole(0))
    x = b.add("Reshape", "x", b.add("Concat", length, whole(-1, 2), axis=0))
    x = b.add("Transpose", x, perm=[0, 2, 1])
    x = b.add("Slice", x, whole(0), whole(3), whole(2))
    a, c = b.add("Split", x, axis=1, num_outputs=2, count=2)
    x = b.add("Where", b.add("Greater", a, c), a, b.add("Expand", c, whole(1, 1, 3)))
    x = b.add("Pad", x, whole(0, 0, 1, 0, 0, 2), b.weight(0.5))
    x = b.add("Tile", x, whole(1, 2, 1))
    best, _ = b.add("TopK", x, whole(2), count=2, axis=-1)
    x = b.add("Concat", x, best, axis=2)
    x = b.add("ReduceSum", x, whole(1), keepdims=0)
    x = b.add("Add", x, b.add("Cast", b.add("ArgMax", x, axis=1, keepdims=1), to=FLOAT))
    x = b.add("Unsqueeze", b.add("CumSum", x, b.weight(1, np.int64)), whole(1, 2))
    x = b.add("Resize", x, "", b.weight([1, 1, 2, 2]), mode="nearest")
    x = b.add("Squeeze", b.add("ReduceMean", x, whole(2)), whole(1, 2))
    x = b.add("Einsum", x, b.normal(16, 3), equation="bi,ij->bj")
    return b.model({"x": [6]}, {b.add("LayerNormalization", x, b.normal(3)): [3]})


def recurrent() -> onnx.ModelProto:
    b = Builder("recurrent")
    x = b.add("Transpose", "x", perm=[1, 0, 2])
    y, *_ = b.add("LSTM", x, b.normal(1, 16, 3), b.normal(1, 16, 4), b.normal(1, 32), count=3, hidden_size=4)
    y = b.add("Squeeze", y, b.weight([1], np.int64))
    y, last = b.add(
        *("GRU", y, b.normal(2, 9, 4), b.normal(2, 9, 3), b.normal(2, 18)),
        count=2, hidden_size=3, direction="bidirectional", linear_before_reset=1,
    )  # fmt: skip
    x = b.add("Reshape", b.add("Transpose", last, perm=[1, 0, 2]), b.weight([0, 6], np.int64))
    score = b.add("Sigmoid", b.add("MatMul", x, b.normal(6, 1)))
    return b.model({"x": [5, 3]}, {score: [1]})


def trees() -> onnx.ModelProto:
    b = Builder("trees")
    nodes: dict[str, list[Any]] = {
        "treeids": [0] * 5 + [1], "nodeids": [0, 1, 2, 3, 4, 0], "featureids": [0, 2, 0, 0, 0, 0],
        "modes": ["BRANCH_LEQ", "BRANCH_GT"] + ["LEAF"] * 4, "values": [0.5, -1.0, 0, 0, 0, 0],
        "truenodeids": [1, 3, 0, 0, 0, 0], "falsenodeids": [2, 4, 0, 0, 0, 0],
        "missing_value_tracks_true": [1, 0, 0, 0, 0, 0],
    }  # fmt: skip
    attributes = {f"nodes_{name}": values for name, values in nodes.items()}
    leaves = {
        "treeids": [0, 0, 0, 1],
        "nodeids": [2, 3, 4, 0],
        "ids": [0, 1, 2, 1],
        "weights": [0.5, 1.0, -1, 2],
    }
    ml = {"domain": "ai.onnx.ml"}
    x = b.add("Scaler", "x", offset=[1.0, 2.0, 3.0], scale=[0.5], **ml)
    targets = {f"target_{name}": values for name, values in leaves.items()}
    first = b.add("TreeEnsembleRegressor", x, **attributes, **targets, n_targets=3, **ml)
    classes = {f"class_{name}": values for name, values in leaves.items()}
    more = {"classlabels_int64s": [1, 2, 3], "post_transform": "SOFTMAX"}
    _, second = b.add("TreeEnsembleClassifier", "x", **attributes, **classes, **more, count=2, **ml)
    fourth = b.add("LinearRegressor", "x", coefficients=[0.5] * 9, intercepts=[0.0] * 3, targets=3, **ml)
    return b.model({"x": [3]}, {b.add("Sum", first, second, fourth): [3]})


def trees_by_leaf() -> onnx.ModelProto:
    """The form of version 5, with members."""
    b = Builder("trees_by_leaf")
    five = {
        "nodes_splits": numpy_helper.from_array(np.float32([0.5])), "nodes_featureids": [1],
        "nodes_modes": numpy_helper.from_array(np.uint8([6])), "nodes_truenodeids": [0],
        "nodes_falsenodeids": [1], "nodes_trueleafs": [1], "nodes_falseleafs": [1], "tree_roots": [0],
        "leaf_targetids": [0, 1], "leaf_weights": numpy_helper.from_array(np.float32([1, 2])), "n_targets": 3,
        "membership_values": numpy_helper.from_array(np.float32([1, 4, np.nan])),
    }  # fmt: skip
    score = b.add("TreeEnsemble", "x", **five, domain="ai.onnx.ml")
    return b.model({"x": [3]}, {score: [3]}, 5)


def control() -> onnx.ModelProto:
    """If, Loop, Scan, and a function of the model's own."""
    b = Builder("control")

    def graph(name: str, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: Any = ()) -> Any:
        return helper.make_graph(nodes, name, inputs, outputs, list(weights))

    value = helper.make_tensor_value_info
    branches = {
        f"{which}_branch": graph(
            which, [helper.make_node(op, ["x"], [which])], [], [value(which, FLOAT, None)]
        )
        for which, op in (("then", "Relu"), ("else", "Tanh"))
    }
    chosen = b.add("If", b.weight(True, np.bool_), **branches)
    body = graph(
        "body",
        [helper.make_node("Identity", ["go"], ["again"]), helper.make_node("Sigmoid", ["state"], ["next"])],
        [value("i", INT64, []), value("go", TensorProto.BOOL, []), value("state", FLOAT, None)],
        [value("again", TensorProto.BOOL, []), value("next", FLOAT, None)],
    )
    looped = b.add("Loop", b.weight(3, np.int64), b.weight(True, np.bool_), chosen, body=body)
    own = helper.make_function(
        "local", "twice", ["a"], ["c"],
        [helper.make_node("Add", ["a", "a"], ["b"]), helper.make_node("Neg", ["b"], ["c"])],
        [helper.make_opsetid("", 20)],
    )  # fmt: skip
    b.functions = [own]
    twice = b.add("twice", looped, domain="local")
    return b.model({"x": [4]}, {b.add("Mul", twice, chosen): [4]})


def described() -> onnx.ModelProto:
    """A network with a manifest, several inputs and a mask."""
    b = Builder("described")
    there = b.add("Unsqueeze", "jets_mask", b.weight([2], np.int64))
    pooled = b.add("ReduceMean", b.add("Mul", "jets", there), b.weight([1], np.int64), keepdims=0)
    x = b.add("Gelu", b.add("MatMul", b.add("Concat", "features", pooled, axis=1), b.normal(5, 4)))
    score = b.add("Clip", b.add("Erf", b.add("MatMul", x, b.normal(4, 2))), b.weight(-0.5), b.weight(0.9))
    model = b.model({"features": [3], "jets": [2, 2], "jets_mask": [2]}, {score: [2]})

    def columns(*labels: str) -> list[dict[str, str]]:
        return [{"label": label, "expression": f"{label} + 1", "units": "GeV"} for label in labels]

    manifest = {
        "format": "hepml_root", "version": 1, "task": "multiclass", "name": "described",
        "inputs": [
            {"name": "features", "kind": "flat", "shape": [3], "columns": columns("a", "b", "c")},
            {
                "name": "jets", "kind": "jagged", "shape": [2, 2], "columns": columns("pt", "eta"),
                "mask": "jets_mask",
            },
            {"name": "jets_mask", "kind": "mask", "shape": [2], "columns": []},
        ],
        "outputs": [{"name": score, "shape": [2], "labels": ["top", "w"]}],
        "classes": ["top", "w"], "signal": None, "targets": [],
        "working_points": [{"name": "tight", "threshold": 0.9}],
        "provenance": {"versions": {}, "created": "2026-01-01T00:00:00Z"},
        "probe": {
            "inputs": {"features": manifests.encode_array(np.ones((2, 3)))},
            "outputs": {score: manifests.encode_array(np.ones((2, 2)))},
        },
        "parity": {},
    }  # fmt: skip
    entry = model.metadata_props.add()
    entry.key, entry.value = manifests.KEY, json.dumps(manifests.validate(manifest, model))
    return model


SEEDS = (image, filters, shapes, recurrent, trees, trees_by_leaf, control, described)
