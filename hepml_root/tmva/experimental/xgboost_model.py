"""SaveXGBoost: trained models of XGBoost in the ROOT files that RBDT reads."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hepml_root.errors import (
    ModelFileError,
    SettingError,
    ShapeError,
    SourceNotFoundError,
    UnsupportedOperationError,
    unknown,
)
from hepml_root.tmva.experimental.forest import Tree, TreeModel, write_model

# XGBoost's names of what is learned, and what is done to the sum of the trees.
OBJECTIVES = {
    "binary:logistic": "logistic",
    "multi:softprob": "softmax",
    "multi:softmax": "softmax",
    "reg:linear": "identity",
    "reg:squarederror": "identity",
}


def SaveXGBoost(model: Any, key: str, filename: str | os.PathLike[str], num_inputs: int) -> None:
    """Write a trained model of XGBoost into a ROOT file, for :class:`RBDT` of this package and of ROOT.

    Arguments
    ---------
    model
        ``xgboost.XGBClassifier``, ``XGBRegressor`` or ``Booster``.
    key
        Name of the model in the file.
    filename
        The ROOT file; one that is there is replaced.
    num_inputs
        Number of variables.

    Raises
    ------
    SettingError
        It is no model of XGBoost.
    UnsupportedOperationError
        It is no forest of plain cuts: linear boosters, categories, other objectives.
    ShapeError
        The model has another number of variables.
    OutputWriteError
        The file cannot be written.

    Example
    -------
    >>> SaveXGBoost("a model", "bdt", "bdt.root", 2)
    Traceback (most recent call last):
    hepml_root.errors.SettingError: a str is no model of XGBoost (XGBClassifier, XGBRegressor, Booster).
    """
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    if not hasattr(booster, "save_raw"):
        raise SettingError(
            f"a {type(model).__name__} is no model of XGBoost (XGBClassifier, XGBRegressor, Booster)."
        )
    found = trees_of_json(json.loads(bytes(booster.save_raw(raw_format="json"))))
    if found.inputs != int(num_inputs):
        raise ShapeError(f"the model takes {found.inputs} variables, and num_inputs={num_inputs}.")
    write_model(found, str(key), str(filename))


def read_json(path: str | os.PathLike[str]) -> TreeModel:
    """Read a JSON file that XGBoost's ``save_model`` wrote.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    ModelFileError
        It holds something else.
    UnsupportedOperationError
        As :func:`SaveXGBoost`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise SourceNotFoundError(f"the model file '{path}' cannot be read: {error.strerror}.") from None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ModelFileError(f"'{path}' is no JSON: {error}. Save the model as .json.") from None
    return trees_of_json(document)


def trees_of_json(document: Mapping[str, Any]) -> TreeModel:
    """Read the JSON that XGBoost writes by ``save_model("file.json")``.

    Raises
    ------
    ModelFileError
        It is something else.
    UnsupportedOperationError
        As :func:`SaveXGBoost`.

    Example
    -------
    >>> trees_of_json({"learner": {}})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    hepml_root.errors.ModelFileError: this is no model of XGBoost: 'objective' is missing.
    """
    try:
        learner = document["learner"]
        objective = str(learner["objective"]["name"])
        if objective not in OBJECTIVES:
            raise UnsupportedOperationError(
                unknown("objective of XGBoost", objective, OBJECTIVES, "Only these have a form in an RBDT.")
            )
        booster = learner["gradient_booster"]
        if booster.get("name") != "gbtree":
            raise UnsupportedOperationError(
                f"XGBoost's booster '{booster.get('name')}': only gbtree is a sum of trees as an RBDT has it."
            )
        parameters, forest = learner["learner_model_param"], booster["model"]
        outputs = max(int(parameters.get("num_class", 0)), 1)
        outputs = 1 if OBJECTIVES[objective] != "softmax" else outputs
        base = _base(parameters["base_score"], objective, outputs)
        trees = tuple(
            _tree(entry, int(output))
            for entry, output in zip(forest["trees"], forest["tree_info"], strict=True)
        )
        inputs = int(parameters["num_feature"])
    except KeyError as error:
        raise ModelFileError(f"this is no model of XGBoost: {error} is missing.") from None
    if outputs == 2:
        raise UnsupportedOperationError(
            f"{objective} with two classes: an RBDT has one output or more than two. Train 'binary:logistic'."
        )
    return TreeModel(trees, base, OBJECTIVES[objective], inputs)


def _base(text: Any, objective: str, outputs: int) -> Any:
    """Return what the sums begin with: XGBoost writes a number, or since 3.1 a list of them, as a text."""
    values = np.atleast_1d(json.loads(str(text).replace("E", "e"))).astype(np.float64)
    if len(values) not in (1, outputs):
        raise UnsupportedOperationError(f"{len(values)} base scores of XGBoost for {outputs} outputs.")
    if OBJECTIVES[objective] == "logistic":
        values = np.array([math.log(value / (1 - value)) for value in values])
    return np.broadcast_to(values, (outputs,)).astype(np.float32)


def _tree(entry: Mapping[str, Any], output: int) -> Tree:
    if any(entry.get("split_type", [])) or entry.get("categories"):
        raise UnsupportedOperationError("a cut on a category of XGBoost: an RBDT has none. Use numbers.")
    left = np.asarray(entry["left_children"], np.int64)
    numbers = np.asarray(entry["split_conditions"], np.float32)  # cuts, and the values of leaves
    return Tree(
        np.asarray(entry["split_indices"], np.int64),
        numbers,
        left,
        np.asarray(entry["right_children"], np.int64),
        np.where(left < 0, numbers, np.float32(0)),
        output,
    )
