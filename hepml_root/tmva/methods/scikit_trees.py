"""Trees of scikit-learn: their settings from TMVA's options, and their answers as a forest in ONNX."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.export.trees import float32_thresholds
from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.methods.checks import at_least, refused, share, whole_or_none
from hepml_root.tmva.methods.method import Booking, OwnGraph
from hepml_root.tmva.weights.conversion import OUTPUT
from hepml_root.tmva.weights.graph import Forest, Graph


def add_tree(forest: Forest, tree: Any, answers: NDArray[np.float64]) -> None:
    """Add a tree of scikit-learn (its ``tree_``) with ``answers`` ``(nodes, targets)``.

    It goes to the left where x <= threshold, for float32 x and a threshold in double precision: which is
    x < the float32 above the largest one that is not above the threshold.
    """
    below = float32_thresholds(tree.threshold)
    with np.errstate(over="ignore"):
        cuts = np.nextafter(below, np.float32(np.inf))
    for node, (left, right) in enumerate(zip(tree.children_left, tree.children_right, strict=True)):
        if left < 0:
            forest.leaf(node, [(target, float(value)) for target, value in enumerate(answers[node])])
        else:
            forest.split(node, int(tree.feature[node]), float(cuts[node]), int(left), int(right))
    forest.finish_tree()


def probabilities(tree: Any) -> NDArray[np.float64]:
    """Return the shares of the classes in each node of a tree, ``(nodes, classes)``."""
    shares = np.asarray(tree.value[:, 0, :], np.float64)
    total = shares.sum(axis=1, keepdims=True)
    return np.divide(shares, total, out=np.zeros_like(shares), where=total != 0.0)


def own_graph(graph: Graph, title: str, data: DataSet, classes: str) -> OwnGraph:
    """Return the graph of a classifier: of probabilities ``(events, classes)`` that of the signal, or all."""
    variables = len(data.variables)
    result = classes if data.analysis == "Multiclass" else graph.columns(classes, [data.signal])
    return OwnGraph(graph.model(title, variables, result, OUTPUT, data.outputs))


def tree_settings(booking: Booking) -> dict[str, Any]:
    """Return the settings that all methods of trees have, checked.

    Raises
    ------
    SettingError
        One is out of its range.
    """
    return {
        "n_estimators": at_least(booking, "NEstimators", 1),
        "max_depth": whole_or_none(booking, "MaxDepth", 1),
        "min_samples_split": at_least(booking, "MinSamplesSplit", 2),
        "min_samples_leaf": at_least(booking, "MinSamplesLeaf", 1),
        "min_weight_fraction_leaf": share(booking, "MinWeightFractionLeaf", 0.0, 0.5, lowest_too=True),
        "max_features": _max_features(booking),
        "max_leaf_nodes": whole_or_none(booking, "MaxLeafNodes", 2),
        "random_state": whole_or_none(booking, "RandomState", 0),
        "verbose": at_least(booking, "Verbose", 0),
    }


def _max_features(booking: Booking) -> str | int | float | None:
    text = str(booking.options["MaxFeatures"]).strip().strip("'\"")
    if text in ("auto", "sqrt"):
        return "sqrt"
    if text in ("None", "log2"):
        return None if text == "None" else text
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if "." not in text and value >= 1:
        return int(value)
    if 0.0 < value <= 1.0:
        return value
    raise refused(
        booking, "MaxFeatures", text, "auto, sqrt, log2, None, a whole number, or a share such as 0.5"
    )


def tree_of_text(booking: Booking, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in ``DecisionTreeClassifier(max_depth=2)``; nothing is executed.

    Arguments
    ---------
    parameters
        The settings that there are.
    """
    text = str(booking.options[name]).strip()
    needed = "None or DecisionTreeClassifier(max_depth=2, …) with plain values"
    if text == "None":
        return {"max_depth": 1}
    try:
        call = ast.parse(text, mode="eval").body
        if (
            not isinstance(call, ast.Call)
            or ast.unparse(call.func).split(".")[-1] != "DecisionTreeClassifier"
        ):
            raise ValueError
        if call.args or any(word.arg not in parameters for word in call.keywords):
            raise ValueError
        return {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    except (ValueError, SyntaxError):
        raise refused(booking, name, text, needed) from None
