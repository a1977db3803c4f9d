"""Boosted trees of LightGBM → ONNX: one TreeEnsembleRegressor between the inputs' blocks and the scores.

LightGBM compares in double precision, ONNX in float32: every threshold becomes the largest float32 that is
not above it, so that each float32 goes the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hepml_root.errors import ModelFileError, UnsupportedOperationError

OPSETS = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
IR_VERSION = 9
# Bits of LightGBM's `decision_type`.
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_ZERO, _MISSING_NAN = 1, 2, 4, 8


def float32_thresholds(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the largest float32 that are not above some doubles: x <= t decides the same for float32 x.

    >>> float32_thresholds(np.array([0.5, 0.1, 1e300])).tolist()
    [0.5, 0.09999999403953552, 3.4028234663852886e+38]
    """
    given = np.asarray(thresholds, np.float64)
    with np.errstate(over="ignore"):
        nearest = given.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest.astype(np.float64) > given, below, nearest)


def ensemble_attributes(booster: Any) -> dict[str, Any]:
    """Return the attributes of a TreeEnsembleRegressor with the raw scores of a LightGBM booster.

    Raises
    ------
    UnsupportedOperationError
        Splits by category, linear trees, or zeros taken as missing.
    """
    header, trees = _sections(booster.model_to_string())
    outputs = int(header.get("num_tree_per_iteration", "1"))
    nodes: dict[str, list[Any]] = {
        name: []
        for name in (
            *("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids"),
            "missing_value_tracks_true",
        )
    }
    leaves: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    for index, tree in enumerate(trees):
        _add_tree(index, tree, index % outputs, nodes, leaves)
    attributes: dict[str, Any] = {f"nodes_{name}": values for name, values in nodes.items()}
    attributes |= {f"target_{name}": values for name, values in leaves.items()}
    if "average_output" in header:  # a random forest
        scale = outputs / max(len(trees), 1)
        attributes["target_weights"] = [weight * scale for weight in attributes["target_weights"]]
    attributes["target_weights"] = np.float32(attributes["target_weights"]).tolist()
    return {**attributes, "n_targets": outputs}


def _sections(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return the header of LightGBM's text format, and its trees, as {name: text}."""
    sections = text.split("\nend of trees")[0].split("\nTree=")
    header, *trees = (dict(line.partition("=")[::2] for line in section.splitlines()) for section in sections)
    return header, trees


def _add_tree(
    index: int,
    tree: Mapping[str, str],
    output: int,
    nodes: dict[str, list[Any]],
    leaves: dict[str, list[Any]],
) -> None:
    values = _numbers(tree, "leaf_value", float)
    inner = len(values) - 1
    if tree.get("is_linear", "0").strip() == "1":
        raise UnsupportedOperationError(
            "LightGBM's linear trees cannot be exported; train without linear_tree."
        )
    if inner:
        kinds = _numbers(tree, "decision_type", int).astype(np.int64)
        if (kinds & _CATEGORICAL).any():
            raise UnsupportedOperationError(
                "LightGBM's splits by category cannot be exported; give the column as numbers."
            )
        if (kinds & _MISSING_ZERO).any():
            raise UnsupportedOperationError(
                "a LightGBM model that takes zeros as missing cannot be exported; train it with NaN."
            )
        thresholds = float32_thresholds(_numbers(tree, "threshold", float))
        # A feature that was never missing in training: LightGBM takes NaN as 0.
        by_default = (kinds & _MISSING_NAN) != 0
        left = np.where(by_default, (kinds & _DEFAULT_LEFT) != 0, thresholds >= 0)
        children = [
            np.where(ids >= 0, ids, inner - 1 - ids)
            for ids in (_numbers(tree, f"{side}_child", int) for side in ("left", "right"))
        ]
        nodes["featureids"] += _numbers(tree, "split_feature", int).tolist()
        nodes["values"] += thresholds.tolist()
        nodes["truenodeids"] += children[0].tolist()
        nodes["falsenodeids"] += children[1].tolist()
        nodes["missing_value_tracks_true"] += left.astype(int).tolist()
    count = 2 * inner + 1
    nodes["treeids"] += [index] * count
    nodes["nodeids"] += range(count)
    nodes["modes"] += ["BRANCH_LEQ"] * inner + ["LEAF"] * (inner + 1)
    for name in ("featureids", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true"):
        nodes[name] += [0.0 if name == "values" else 0] * (inner + 1)
    leaves["treeids"] += [index] * (inner + 1)
    leaves["nodeids"] += range(inner, count)
    leaves["ids"] += [output] * (inner + 1)
    leaves["weights"] += values.tolist()


def _numbers(tree: Mapping[str, str], name: str, kind: type) -> NDArray[Any]:
    try:
        return np.array([kind(word) for word in tree[name].split()])
    except (KeyError, ValueError) as error:
        raise ModelFileError(f"a tree of the LightGBM model has no list '{name}' of numbers.") from error


def score_nodes(objective: str, outputs: int) -> list[tuple[str, dict[str, Any], float | None]]:
    """Return what LightGBM does to raw scores as (ONNX operator, attributes, factor before it).

    Raises
    ------
    UnsupportedOperationError
        The objective is not known here.
    """
    words = objective.split()
    name = words[0] if words else "regression"
    settings = dict(word.partition(":")[::2] for word in words[1:])
    steepness = float(settings.get("sigmoid", 1.0) or 1.0)
    factor = None if steepness == 1.0 else steepness
    if name in ("binary", "multiclassova"):
        return [("Sigmoid", {}, factor)]
    if name == "cross_entropy":
        return [("Sigmoid", {}, None)]
    if name == "multiclass":
        return [("Softmax", {"axis": 1}, None)]
    if name in ("poisson", "gamma", "tweedie"):
        return [("Exp", {}, None)]
    plain = ("regression", "regression_l1", "huber", "fair", "quantile", "mape", "lambdarank", "rank_xendcg")
    if name in plain and "sqrt" not in words and outputs == 1:
        return []
    raise UnsupportedOperationError(f"LightGBM's objective '{objective}' cannot be exported.")


def emit_boosted(
    booster: Any, inputs: Sequence[Mapping[str, Any]], output: str, name: str
) -> onnx.ModelProto:
    """Return a LightGBM booster as an ONNX model.

    Arguments
    ---------
    booster
        The ``lightgbm.Booster``.
    inputs
        The manifest's blocks that it was trained on: those of constituents are read with their masks, and
        are missing (NaN) where there is no constituent.
    output
        Name of the output ``(events, outputs)``.
    name
        Of the graph.

    Raises
    ------
    UnsupportedOperationError
        Splits by category, linear trees, zeros taken as missing, or an objective that is not known.

    Example
    -------
    >>> import lightgbm, numpy as np
    >>> x = np.random.default_rng(1).normal(size=(500, 3))
    >>> data = lightgbm.Dataset(x, x[:, 0] > 0)
    >>> booster = lightgbm.train({"objective": "binary", "verbosity": -1}, data, 5)
    >>> block = {"name": "features", "kind": "flat", "shape": [3]}
    >>> [node.op_type for node in emit_boosted(booster, [block], "score", "trees").graph.node]
    ['TreeEnsembleRegressor', 'Sigmoid']
    """
    attributes = ensemble_attributes(booster)
    header, _ = _sections(booster.model_to_string())
    outputs = int(attributes["n_targets"])
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, NDArray[Any]] = {}
    free = _free_names([block["name"] for block in inputs] + [output])

    def add(operator: str, *given: str, to: str = "", **settings: Any) -> str:
        to = to or free(operator.lower())
        nodes.append(
            helper.make_node(operator, list(given), [to], name=f"{operator}_{len(nodes)}", **settings)
        )
        return to

    def weight(values: Any, dtype: Any) -> str:
        label = free("constant")
        weights[label] = np.asarray(values, dtype)
        return label

    parts = []
    for block in inputs:
        if block["kind"] == "mask":
            continue
        value = block["name"]
        if block["kind"] == "jagged":
            there = add("Greater", block["mask"], weight(0.5, np.float32))
            there = add("Unsqueeze", there, weight([2], np.int64))
            value = add("Where", there, value, weight(np.nan, np.float32))
        if len(block["shape"]) > 1:
            value = add("Flatten", value)
        parts.append(value)
    features = parts[0] if len(parts) == 1 else add("Concat", *parts, axis=1)
    steps = score_nodes(header.get("objective", ""), outputs)
    last = free("raw") if steps else output
    nodes.append(
        helper.make_node(
            "TreeEnsembleRegressor", [features], [last], name="trees", domain="ai.onnx.ml", **attributes
        )
    )
    for operator, settings, factor in steps:
        if factor is not None:
            last = add("Mul", last, weight(factor, np.float32))
        add(operator, last, to=output, **settings)
    single = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(b["name"], single, ["events", *b["shape"]]) for b in inputs],
        [helper.make_tensor_value_info(output, single, ["events", outputs])],
        [numpy_helper.from_array(array, label) for label, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION, producer_name="hepml_root")


def _free_names(taken: Sequence[str]) -> Any:
    """Return a function that gives names that are not taken."""
    used = set(taken)

    def free(stem: str) -> str:
        number = 0
        while f"{stem}_{number}" in used:
            number += 1
        used.add(f"{stem}_{number}")
        return f"{stem}_{number}"

    return free
