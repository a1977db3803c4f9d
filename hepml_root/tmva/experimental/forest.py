"""TMVA's RBDT: boosted trees of XGBoost, read from the ROOT files that SaveXGBoost writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from hepml_root.errors import CorruptFileError, ModelFileError, SettingError, unknown
from hepml_root.output import writing
from hepml_root.tmva.experimental.root_objects import (
    open_file,
    read_object,
    read_standard,
    tmva_class,
    write_object,
)
from hepml_root.tmva.experimental.scorer import Scorer
from hepml_root.tmva.weights.graph import Forest, Graph

_CLASS = "TMVA::Experimental::RBDT"
OBJECTIVES = ("identity", "logistic", "softmax")
# Of the files before ROOT 6.32, below the name of the model.
_OLD_INTEGERS = ("max_depth", "num_trees", "num_inputs", "num_outputs", "inputs", "outputs")
_OLD_PARTS = {"thresholds": "std::vector<float>", "objective": "std::string"}


@dataclass(frozen=True)
class Tree:
    """One tree, a row for each node, the first being the root.

    Arguments
    ---------
    feature, cut
        The comparison of an inner node: an event goes to the left where ``x < cut``, both float32.
    left, right
        Rows of its daughters; −1 in a leaf.
    value
        What a leaf adds.
    output
        The output that the tree adds to.
    """

    feature: NDArray[np.int64]
    cut: NDArray[np.float32]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float32]
    output: int = 0


@dataclass(frozen=True)
class TreeModel:
    """Trees, and what is made of their sums.

    Arguments
    ---------
    trees
        The forest.
    base
        What each output begins with: ``(outputs,)``.
    objective
        ``identity``, ``logistic`` (one output) or ``softmax`` (several).
    inputs
        Number of variables.
    """

    trees: tuple[Tree, ...]
    base: NDArray[np.float32]
    objective: str
    inputs: int

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise SettingError(unknown("objective of trees", self.objective, OBJECTIVES))
        if not self.trees:
            raise ModelFileError("a model without trees.")

    def graph(self) -> onnx.ModelProto:
        """Return the ONNX graph: ``features`` ``(events, inputs)`` to ``score`` ``(events, outputs)``."""
        graph, outputs = Graph("features"), len(self.base)
        forest = Forest(outputs)
        for tree in self.trees:
            for row in range(len(tree.left)):
                if tree.left[row] < 0:
                    forest.leaf(row, [(tree.output, float(tree.value[row]))])
                else:
                    forest.split(
                        row, int(tree.feature[row]), float(tree.cut[row]), int(tree.left[row]),
                        int(tree.right[row]),
                    )  # fmt: skip
            forest.finish_tree()
        base = graph.constant(self.base[None])
        found = graph.add("Add", forest.add_to(graph, "features"), base)
        if self.objective == "logistic":
            found = graph.add("Sigmoid", found)
        elif self.objective == "softmax":
            found = graph.add("Softmax", found, axis=1)
        return graph.model("trees", self.inputs, found, "score", outputs)


class RBDT:
    """Evaluates trees of a ROOT file as ``TMVA::Experimental::RBDT`` does.

    Shapes: events are ``(events, inputs)`` or ``(inputs,)``; responses ``(events, outputs)`` or
    ``(outputs,)``: the probability of the signal, that of each class, or the value of a regression. Where NaN
    goes is not defined.

    Arguments
    ---------
    key
        Name of the model in the file.
    filename
        A ROOT file of ``SaveXGBoost``, of this package or of any ROOT since 6.20.
    engine
        As in :class:`hepml_root.Session`.

    Raises
    ------
    SourceNotFoundError
        There is no such file, or no such model in it.
    CorruptFileError
        It is no ROOT file, or the trees in it are damaged.

    Example
    -------
    >>> import tempfile
    >>> rows = dict(feature=[0, 0, 0], cut=[0.5, 0, 0], left=[1, -1, -1], right=[2, -1, -1], value=[0, -1, 1])
    >>> tree = Tree(**{name: np.array(values) for name, values in rows.items()})
    >>> path = tempfile.mkdtemp() + "/trees.root"
    >>> write_model(TreeModel((tree,), np.zeros(1, np.float32), "identity", 1), "bdt", path)
    >>> RBDT("bdt", path, engine="onnxruntime").Compute([[0.0], [0.5]]).tolist()
    [[-1.0], [1.0]]
    """

    def __init__(self, key: str, filename: str, *, engine: str = "auto") -> None:
        self._take(read_model(str(key), str(filename)), engine)

    @classmethod
    def LoadXGBoost(cls, path: str | os.PathLike[str], *, engine: str = "auto") -> RBDT:
        """Return the trees of a JSON file that XGBoost's ``save_model`` wrote.

        Raises
        ------
        SourceNotFoundError, ModelFileError, UnsupportedOperationError
            As :func:`hepml_root.tmva.experimental.xgboost_model.read_json`.
        """
        from hepml_root.tmva.experimental.xgboost_model import read_json

        made = cls.__new__(cls)
        made._take(read_json(path), engine)
        return made

    def _take(self, model: TreeModel, engine: str) -> None:
        self._model = model
        self._scorer = Scorer(model.graph(), "the trees", engine)

    @property
    def model(self) -> TreeModel:
        """The trees."""
        return self._model

    def Compute(self, *x: Any) -> NDArray[np.float32]:
        """Return the response for one event or many.

        Arguments
        ---------
        x
            The values of one event, in one row or one by one, or an array ``(events, inputs)``. Those behind
            the last that a tree compares may be left out.

        Raises
        ------
        ShapeError
            An event has fewer values than the trees compare.
        """
        values = np.asarray(x[0] if len(x) == 1 else x, np.float32)
        return self._scorer.compute((values[..., : self._model.inputs],))

    def functor(self, count: int, kind: str) -> Any:
        """Return what ``Compute[count, kind](model)`` gives to RDataFrame's Define."""
        return self._scorer.functor(count, kind, spare=True)


def read_model(key: str, filename: str | os.PathLike[str]) -> TreeModel:
    """Read a model from a ROOT file, of either of the layouts that SaveXGBoost has had.

    Raises
    ------
    SourceNotFoundError, CorruptFileError
        As :class:`RBDT`.
    """
    kind = tmva_class("RBDT.hxx", _CLASS)
    with open_file(filename, "READ") as file:
        folder = file.GetDirectory(key)
        if folder and folder.GetKey("thresholds"):
            parts = {
                name: read_standard(file, f"{key}/{name}", _OLD_PARTS.get(name, "std::vector<int>"))
                for name in (*_OLD_INTEGERS, *_OLD_PARTS)
            }
            missing = [name for name, part in parts.items() if part is None]
            if missing:
                raise CorruptFileError(f"'{filename}': the model '{key}' lacks {', '.join(missing)}.")
            text = parts.pop("objective")
            objective = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
            arrays = {name: np.array(part) for name, part in parts.items()}
            return _old_model(arrays, objective, str(filename))
        stored = read_object(file, key, kind)
        arrays = {
            name: np.array(getattr(stored, f"f{name}"))
            for name in (
                *("RootIndices", "CutIndices", "CutValues", "LeftIndices", "RightIndices", "Responses"),
                *("TreeNumbers", "BaseResponses"),
            )
        }
        return _new_model(arrays, float(stored.fBaseScore), bool(stored.fLogistic), str(filename))


def _new_model(
    arrays: dict[str, NDArray[Any]], base_score: float, logistic: bool, filename: str
) -> TreeModel:
    """Take the arrays of an RBDT apart; a daughter that is not positive is a leaf."""
    outputs = len(arrays["BaseResponses"]) if len(arrays["BaseResponses"]) > 2 else 1
    base = np.float32(base_score) + arrays["BaseResponses"][:outputs].astype(np.float32)
    cuts, responses = arrays["CutIndices"], arrays["Responses"]
    trees = []
    for root, number in zip(arrays["RootIndices"].tolist(), arrays["TreeNumbers"].tolist(), strict=True):
        rows: list[tuple[int, float, int, int, float]] = []
        waiting, seen = [(root, False, -1)], 0  # node or leaf, which of both, and where its number goes
        while waiting:
            index, is_leaf, place = waiting.pop()
            seen += 1
            count = len(responses) if is_leaf else len(cuts)
            if not 0 <= index < count or seen > 2 * len(cuts) + 1:
                raise CorruptFileError(f"'{filename}': the trees of the model are damaged.")
            row = len(rows)
            if place >= 0:
                mother = list(rows[place // 2])
                mother[2 + place % 2] = row
                rows[place // 2] = tuple(mother)  # type: ignore[assignment]
            if is_leaf:
                rows.append((0, 0.0, -1, -1, float(responses[index])))
                continue
            rows.append((int(cuts[index]), float(arrays["CutValues"][index]), 0, 0, 0.0))
            for side, name in ((1, "RightIndices"), (0, "LeftIndices")):
                daughter = int(arrays[name][index])
                waiting.append((abs(daughter), daughter <= 0, 2 * row + side))
        trees.append(_tree(rows, int(number) % outputs))
    objective = "softmax" if outputs > 1 else "logistic" if logistic else "identity"
    return TreeModel(tuple(trees), base, objective, int(cuts.max()) + 1 if len(cuts) else 1)


def _tree(rows: Sequence[tuple[int, float, int, int, float]], output: int) -> Tree:
    feature, cut, left, right, value = (np.array(column) for column in zip(*rows, strict=True))
    return Tree(
        feature.astype(np.int64), cut.astype(np.float32), left.astype(np.int64), right.astype(np.int64),
        value.astype(np.float32), output,
    )  # fmt: skip


def _old_model(arrays: dict[str, NDArray[Any]], objective: str, filename: str) -> TreeModel:
    """Read complete trees: daughters of node i are 2i+1 and 2i+2, and an input of −1 ends a branch.

    These went to the right where ``x > cut``; the next float32 above is the same cut for ``x < cut``.
    """
    depth, count = int(arrays["max_depth"][0]), int(arrays["num_trees"][0])
    inputs, outputs = int(arrays["num_inputs"][0]), int(arrays["num_outputs"][0])
    inner, all_nodes = 2**depth - 1, 2 ** (depth + 1) - 1
    sizes = {"inputs": count * inner, "thresholds": count * all_nodes, "outputs": count}
    for name, size in sizes.items():
        if len(arrays[name]) != size:
            raise CorruptFileError(f"'{filename}': {len(arrays[name])} {name}, {size} are needed.")
    features = arrays["inputs"].reshape(count, inner)
    numbers = arrays["thresholds"].reshape(count, all_nodes).astype(np.float32)
    trees = []
    for tree in range(count):
        rows: list[tuple[int, float, int, int, float]] = []
        for node in range(all_nodes):
            feature = int(features[tree, node]) if node < inner else -1
            if feature >= inputs:
                raise CorruptFileError(f"'{filename}': input {feature} of {inputs}.")
            if feature < 0:
                rows.append((0, 0.0, -1, -1, float(numbers[tree, node])))
            else:
                cut = float(np.nextafter(numbers[tree, node], np.float32(np.inf)))
                rows.append((feature, cut, 2 * node + 1, 2 * node + 2, 0.0))
        trees.append(_tree(_reached(rows), int(arrays["outputs"][tree])))
    return TreeModel(tuple(trees), np.zeros(outputs, np.float32), objective, inputs)


def _reached(rows: Sequence[tuple[int, float, int, int, float]]) -> list[tuple[int, float, int, int, float]]:
    """Leave out nodes below leaves."""
    kept = [0]
    places: dict[int, int] = {}
    for row in kept:
        places[row] = len(places)
        kept += [daughter for daughter in rows[row][2:4] if daughter >= 0]
    return [
        (feature, cut, places.get(left, -1), places.get(right, -1), value)
        for feature, cut, left, right, value in (rows[row] for row in kept)
    ]


def write_model(model: TreeModel, key: str, filename: str | os.PathLike[str]) -> None:
    """Write a model into a ROOT file of its own, as the class RBDT; a file that is there is replaced.

    Raises
    ------
    OutputWriteError
        The file cannot be written.
    """
    kind = tmva_class("RBDT.hxx", _CLASS)
    made = kind()
    base = model.base.astype(np.float64).copy()
    for number, tree in enumerate(model.trees):
        if tree.left[0] < 0:  # a tree without a cut is part of what an output begins with
            base[tree.output] += float(tree.value[0])
            continue
        inner = np.cumsum(tree.left >= 0) - 1 + made.fCutIndices.size()
        leaf = np.cumsum(tree.left < 0) - 1 + made.fResponses.size()
        made.fRootIndices.push_back(int(made.fCutIndices.size()))
        made.fTreeNumbers.push_back(tree.output if len(base) > 1 else number)
        for row in range(len(tree.left)):
            if tree.left[row] < 0:
                made.fResponses.push_back(float(tree.value[row]))
                continue
            made.fCutIndices.push_back(int(tree.feature[row]))
            made.fCutValues.push_back(float(tree.cut[row]))
            for side, target in ((tree.left[row], made.fLeftIndices), (tree.right[row], made.fRightIndices)):
                target.push_back(int(-leaf[side] if tree.left[side] < 0 else inner[side]))
    made.fBaseScore = 0.0
    for value in base.tolist():
        made.fBaseResponses.push_back(value)
    made.fLogistic = model.objective == "logistic"
    with writing(filename, overwrite=True) as temporary, open_file(temporary, "RECREATE") as file:
        write_object(file, made, key)
