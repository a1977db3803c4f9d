"""Boosted decision trees (BDT): a forest of cuts, as one TreeEnsembleRegressor and what TMVA does to its sum.

    AdaBoost, RealAdaBoost, Bagging   Σ wₜ hₜ(x) / Σ wₜ,  h the leaf's ±1 (UseYesNoLeaf) or its purity
    Grad                              2 / (1 + exp(−2 Σ hₜ(x))) − 1 = tanh Σ hₜ(x)
    regression                        Σ hₜ(x) + w₀ with Grad, Σ wₜ hₜ(x) / Σ wₜ otherwise
    AdaBoostR2                        the weighted median of hₜ(x), and the mean of a sixth of them around it
    multiclass                        softmax over the classes, tree t belonging to class t mod classes

An event goes to the right where ``x ≥ cut`` (``cType`` 1) or ``x < cut`` (``cType`` 0), both float32.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from hepml_root.errors import UnsupportedOperationError
from hepml_root.tmva.weights.graph import Forest, Graph
from hepml_root.tmva.weights.header import Header
from hepml_root.tmva.weights.preselection import PreselectionCut, add_preselection, read_preselection
from hepml_root.tmva.weights.xml_nodes import XmlNode

DEEPEST_TREE = 200
_REGRESSION = 1  # of a tree: its leaves hold a response
_BOOSTS = ("AdaBoost", "RealAdaBoost", "Grad", "Bagging", "AdaCost", "AdaBoostR2")
_MEDIAN = "AdaBoostR2"
_SIDES = {"l": 0, "r": 1}


@dataclass
class Tree:
    """One decision tree, a row for each node; the first is the root.

    Arguments
    ---------
    node, variables
        Where it is read from (None: it was trained), and the number of variables.
    weight
        Its boost weight.
    variable, cut, right_if_above
        The comparison of an inner node.
    left, right
        Rows of its daughters; −1 in a leaf.
    kind
        0 of an inner node, else the leaf's answer (TMVA's ``nType``).
    purity, response
        Of a leaf.
    """

    node: XmlNode | None
    variables: int
    weight: float = 0.0
    variable: array[int] = field(default_factory=lambda: array("i"))
    cut: array[float] = field(default_factory=lambda: array("f"))
    right_if_above: array[int] = field(default_factory=lambda: array("b"))
    left: array[int] = field(default_factory=lambda: array("i"))
    right: array[int] = field(default_factory=lambda: array("i"))
    kind: array[int] = field(default_factory=lambda: array("i"))
    purity: array[float] = field(default_factory=lambda: array("f"))
    response: array[float] = field(default_factory=lambda: array("f"))
    _path: list[int] = field(default_factory=list)

    # -- while it is read ----------------------------------------------------------------------------------

    def start(self, node: XmlNode) -> None:
        """Take one element of the tree."""
        if node.name != "Node":
            raise node.error("a tree consists of nodes <Node>.")
        row = len(self.kind)
        self._hang(node, row)
        self._path.append(row)
        if len(self._path) > DEEPEST_TREE:
            raise node.error(f"a tree deeper than {DEEPEST_TREE} nodes.")
        if node.integer("NCoef", most=100_000) if "NCoef" in node.attributes else 0:
            raise UnsupportedOperationError(
                f"{node.source}, line {node.line}: a cut on a Fisher discriminant (UseFisherCuts), "
                "which is not "
                "read. Train without it."
            )
        kind = node.integer("nType", least=-1000)
        variable = node.integer("IVar", least=-1000)
        if kind == 0 and not 0 <= variable < self.variables:
            raise node.error(f"IVar={variable}: there are {self.variables} variables, counted from 0.")
        self.kind.append(kind)
        self.variable.append(variable)
        self.cut.append(_float32(node, "Cut"))
        self.right_if_above.append(node.integer("cType", most=1))
        self.left.append(-1)
        self.right.append(-1)
        self.purity.append(_purity(node))
        self.response.append(_float32(node, "res") if "res" in node.attributes else 0.0)

    def _hang(self, node: XmlNode, row: int) -> None:
        side = node.attribute("pos")
        if not self._path:
            if row or side not in ("s", "0"):
                raise node.error("a tree has one root, at pos='s'.")
            return
        mother = self._path[-1]
        if side not in _SIDES:
            raise node.error(f"pos='{side[:20]}' is neither l nor r.")
        if self.kind[mother] != 0:
            raise node.error("it hangs on a leaf (nType of its mother is not 0).")
        daughters = (self.left, self.right)[_SIDES[side]]
        if daughters[mother] >= 0:
            raise node.error(f"its mother has two daughters at pos='{side}'.")
        daughters[mother] = row

    def end(self) -> None:
        """Leave the element at hand."""
        row = self._path.pop()
        if self.kind[row] == 0 and min(self.left[row], self.right[row]) < 0:
            assert self.node is not None  # it is being read
            raise self.node.error(f"node {row} of this tree has a cut, but not both daughters.")


@dataclass(frozen=True)
class BoostedTrees:
    """The weights of a BDT.

    Arguments
    ---------
    boost
        ``AdaBoost``, ``RealAdaBoost``, ``AdaCost``, ``Grad``, ``Bagging`` or ``AdaBoostR2``.
    leaf
        What the leaves answer: ``response``, ``purity`` or ``kind`` (±1).
    trees
        The forest.
    preselection
        Cuts before it, with DoPreselection.
    """

    boost: str
    leaf: str
    trees: tuple[Tree, ...]
    preselection: tuple[PreselectionCut, ...] = ()


def read_trees(node: XmlNode, header: Header) -> BoostedTrees:
    """Read the node ``Weights`` of a BDT.

    Raises
    ------
    ModelFileError
        A tree lacks something, or there are fewer than announced.
    UnsupportedOperationError
        Fisher cuts, or a boosting that is not known.
    """
    nodes = node.counted("BinaryTree", "NTrees")
    if not nodes:
        raise node.error("there is no tree.")
    boost = header.option("BoostType", "AdaBoost")
    if boost not in _BOOSTS:
        raise UnsupportedOperationError(
            f"{node.source}: BoostType={boost[:40]} is not read; {', '.join(_BOOSTS)} are."
        )
    if boost == _MEDIAN and header.analysis != "Regression":
        raise node.error(f"BoostType={boost} for {header.analysis}; TMVA has it for regressions.")
    if header.analysis == "Multiclass" and boost != "Grad":
        raise node.error(f"several classes with BoostType={boost}; TMVA has Grad for these.")
    if header.analysis == "Regression" and len(header.targets) != 1:
        raise node.error(f"{len(header.targets)} targets; a BDT of TMVA has one.")
    trees = []
    for entry in nodes:
        tree = entry.collected
        if not isinstance(tree, Tree) or not len(tree.kind):
            raise entry.error("the tree has no node.")
        tree.variables = len(header.variables)
        highest = max((v for v, kind in zip(tree.variable, tree.kind, strict=True) if kind == 0), default=0)
        if highest >= tree.variables:
            raise entry.error(f"IVar={highest}: there are {tree.variables} variables, counted from 0.")
        tree.weight = float(np.float32(entry.number("boostWeight")))
        trees.append(tree)
    if node.integer("AnalysisType", most=3) == _REGRESSION:
        leaf = "response"
    else:
        pure = boost in ("RealAdaBoost", "AdaCost", "Grad") or header.analysis != "Classification"
        leaf = "kind" if header.switched_on("UseYesNoLeaf", True) and not pure else "purity"
    cuts: tuple[PreselectionCut, ...] = ()
    if header.analysis == "Classification":
        cuts = read_preselection(node, len(header.variables))
        if header.switched_on("DoPreselection") and "PreselectionLowBkgVar0" not in node.attributes:
            raise node.error("the cuts of DoPreselection are missing.")
    return BoostedTrees(boost, leaf, tuple(trees), cuts)


def _float32(node: XmlNode, name: str) -> float:
    value = node.number(name)
    if abs(value) > float(np.finfo(np.float32).max):
        raise node.error(f"{name}={value:g} is beyond float32.")
    return value


def _purity(node: XmlNode) -> float:
    if "purity" in node.attributes:
        return _float32(node, "purity")
    signal, background = node.number("nS"), node.number("nB")
    return signal / (signal + background) if signal + background else 0.5


# ---- in the graph ----------------------------------------------------------------------------------------


def add_trees(graph: Graph, values: str, weights: BoostedTrees, header: Header) -> str:
    """Add the response of a BDT; return its name."""
    if weights.boost == _MEDIAN:
        return _add_median(graph, values, weights)
    grad = weights.boost == "Grad"
    classes = len(header.classes) if header.analysis == "Multiclass" else 1
    unweighted = not header.switched_on("UseWeightedTrees", True)
    factors = np.ones(len(weights.trees))
    if not grad:
        if not unweighted:
            factors = np.array([tree.weight for tree in weights.trees])
        norm = factors.sum()
        # TMVA's answer to a forest without weight.
        factors = factors / norm if norm > np.finfo(np.float64).eps else np.zeros(len(factors))
    forest = Forest(classes)
    for number, (tree, factor) in enumerate(zip(weights.trees, factors.tolist(), strict=True)):
        _add_tree(forest, tree, weights.leaf, number % classes, factor)
    total = forest.add_to(graph, values)
    if header.analysis == "Multiclass":
        return graph.add("Softmax", total, axis=1)
    if header.analysis == "Regression":
        return graph.add("Add", total, graph.constant(weights.trees[0].weight)) if grad else total
    result = graph.add("Tanh", total) if grad else total
    return add_preselection(graph, values, result, weights.preselection)


def _add_tree(forest: Forest, tree: Tree, leaf: str, target: int, factor: float) -> None:
    answers = getattr(tree, leaf)
    for row, kind in enumerate(tree.kind):
        if kind:
            forest.leaf(row, [(target, factor * answers[row])])
            continue
        below, above = tree.left[row], tree.right[row]
        if not tree.right_if_above[row]:
            below, above = above, below
        forest.split(row, tree.variable[row], tree.cut[row], below, above)
    forest.finish_tree()


def _add_median(graph: Graph, values: str, weights: BoostedTrees) -> str:
    """Add TMVA's answer of AdaBoost.R2: of the answers in ascending order the one where the weights of the
    trees reach half their sum, and the mean of it and a sixth of all on both sides."""
    count = len(weights.trees)
    forest = Forest(count)
    for number, tree in enumerate(weights.trees):
        _add_tree(forest, tree, weights.leaf, number, 1.0)
    answers = forest.add_to(graph, values)
    ascending, order = graph.add_several(
        "TopK", 2, answers, graph.constant([count], np.int64), axis=1, largest=0, sorted=1
    )
    table = np.array([tree.weight for tree in weights.trees])
    summed = graph.add(
        "CumSum", graph.add("Gather", graph.constant(table), order), graph.constant(1, np.int64)
    )
    low_ones = graph.add("LessOrEqual", summed, graph.constant(table.sum() / 2))
    ones = graph.constant(np.ones((count, 1)))
    before = graph.add("MatMul", graph.add("Cast", low_ones, to=1), ones)  # (events, 1)
    around = count // 6
    first = graph.add("Sub", before, graph.constant(float(around)))
    first = graph.add("Max", first, graph.constant(0.0))
    last = graph.add("Add", before, graph.constant(float(around + 1)))
    last = graph.add("Min", last, graph.constant(float(count)))
    places = graph.constant(np.arange(count, dtype=np.float32)[None])
    inside = graph.add("And", graph.add("GreaterOrEqual", places, first), graph.add("Less", places, last))
    kept = graph.add("Mul", ascending, graph.add("Cast", inside, to=1))
    return graph.add("Div", graph.add("MatMul", kept, ones), graph.add("Sub", last, first))
