"""Boosted decision trees (BDT): a forest of cuts, as one TreeEnsembleRegressor and what TMVA does to its sum.

    AdaBoost, RealAdaBoost, Bagging   Σ wₜ hₜ(x) / Σ wₜ,  h the leaf's ±1 (UseYesNoLeaf) or its purity
    Grad                              2 / (1 + exp(−2 Σ hₜ(x))) − 1 = tanh Σ hₜ(x)
    regression                        Σ hₜ(x) + w₀ with Grad, Σ wₜ hₜ(x) / Σ wₜ otherwise
    multiclass                        softmax over the classes, tree t belonging to class t mod classes

An event goes to the right where ``x ≥ cut`` (``cType`` 1) or ``x < cut`` (``cType`` 0), both float32.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from hepml_root.errors import UnsupportedOperationError
from hepml_root.tmva.graph import Forest, Graph
from hepml_root.tmva.header import Header
from hepml_root.tmva.xml_nodes import XmlNode

DEEPEST_TREE = 200
_REGRESSION = 1  # of a tree: its leaves hold a response
_BOOSTS = ("AdaBoost", "RealAdaBoost", "Grad", "Bagging", "AdaCost", "AdaBoostR2")
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
        ``AdaBoost``, ``RealAdaBoost``, ``Grad`` or ``Bagging``.
    leaf
        What the leaves answer: ``response``, ``purity`` or ``kind`` (±1).
    trees
        The forest.
    """

    boost: str
    leaf: str
    trees: tuple[Tree, ...]


def read_trees(node: XmlNode, header: Header) -> BoostedTrees:
    """Read the node ``Weights`` of a BDT.

    Raises
    ------
    ModelFileError
        A tree lacks something, or there are fewer than announced.
    UnsupportedOperationError
        Fisher cuts, preselection cuts, or a boosting that is not known.
    """
    nodes = node.counted("BinaryTree", "NTrees")
    if not nodes:
        raise node.error("there is no tree.")
    if header.switched_on("DoPreselection"):
        raise UnsupportedOperationError(
            f"{node.source}: cuts before the trees (DoPreselection) are not read. Train without them."
        )
    boost = header.option("BoostType", "AdaBoost")
    if boost not in _BOOSTS or boost == "AdaBoostR2":
        raise UnsupportedOperationError(
            f"{node.source}: BoostType={boost[:40]} is not read; "
            "AdaBoost, RealAdaBoost, Grad and Bagging are."
            + (" AdaBoostR2 takes the median of its trees." if boost == "AdaBoostR2" else "")
        )
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
    return BoostedTrees(boost, leaf, tuple(trees))


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
        answers = getattr(tree, weights.leaf)
        for row, kind in enumerate(tree.kind):
            if kind:
                forest.leaf(row, [(number % classes, factor * answers[row])])
                continue
            below, above = tree.left[row], tree.right[row]
            if not tree.right_if_above[row]:
                below, above = above, below
            forest.split(row, tree.variable[row], tree.cut[row], below, above)
        forest.finish_tree()
    total = forest.add_to(graph, values)
    if header.analysis == "Multiclass":
        return graph.add("Softmax", total, axis=1)
    if header.analysis == "Regression":
        return graph.add("Add", total, graph.constant(weights.trees[0].weight)) if grad else total
    return graph.add("Tanh", total) if grad else total
