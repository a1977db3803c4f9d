"""Rules for ensembles of decision trees: TreeEnsembleRegressor, TreeEnsembleClassifier, TreeEnsemble."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hepml_root.export.cpp.expression import Call, Expression, Load, Number, Weight
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, Value, check_size, rule
from hepml_root.export.cpp.ml_attributes import ML, TRANSFORMS, numbers, source_of, text
from hepml_root.export.cpp.ml_scores import labelled, probit, two_scores, written
from hepml_root.export.cpp.moves import pick
from hepml_root.export.cpp.steps import Map, Moved, Place, Step
from hepml_root.export.cpp.tree_reading import LEAF, Ensemble, canonical, read_by_leaf, read_by_node
from hepml_root.export.cpp.tree_tables import MOST_BIT_LEAVES, Trees, bit_tables, in_order, walked_tables
from hepml_root.export.cpp.weights import Weights

ROWS = 32  # rows of keys in two registers of a single event
MOST_BIT_ROWS = 1 << 16

COMBINE = {"SUM": "AddTrees", "AVERAGE": "AddTrees", "MIN": "SmallestTree", "MAX": "LargestTree"}
NEUTRAL = {"MIN": np.inf, "MAX": -np.inf}
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")  # in the order of the numbers of ai.onnx.ml 5


class Keys(Step):
    """Features as integers in the order of the floats, see engine/trees.hxx; with ``both`` in two forms."""

    headers = ("trees",)

    def __init__(self, source: Tensor, stride: int, both: bool) -> None:
        super().__init__(stride * 2 if both else stride)
        self.source, self.stride, self.both = source, stride, both

    def reads(self) -> Iterator[Tensor]:
        yield self.source

    def redirect(self, moved: Moved) -> None:
        self.source = moved(self.source)

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:  # noqa: ARG002
        both = "true" if self.both else "false"
        parameters = f"M, {self.source.size}, {self.stride}, {both}"
        return [f"engine::ordered_keys<{parameters}>({place(self.source)}, {to});"]


class Forest(Step):
    """The sums (or extrema) of the values of all trees."""

    headers = ("trees",)

    def __init__(self, keys: Tensor, trees: Trees, outputs: int, aggregate: str) -> None:
        super().__init__(outputs)
        self.keys, self.trees, self.aggregate = keys, trees, aggregate

    def reads(self) -> Iterator[Tensor]:
        yield self.keys

    def redirect(self, moved: Moved) -> None:
        self.keys = moved(self.keys)

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        step = self.keys.step
        assert isinstance(step, Keys)
        combine = f"engine::{COMBINE[self.aggregate]}"
        neutral = NEUTRAL.get(self.aggregate, 0.0)
        most = MOST_BIT_LEAVES if step.size <= MOST_BIT_ROWS else 0
        walks = [(root, in_order(self.trees, root, most)) for root in self.trees.roots]
        small = [walk for _, walk in walks if walk is not None]
        large = [root for root, walk in walks if walk is None]
        start = f"{combine}::template start<typename M::V>()"
        code = [f"engine::each<M, {self.size}>({to}, [](auto) {{ return {start}; }});"]
        if small:
            words, groups = bit_tables(self.trees, small, neutral)
            parameters = f"M, {combine}, {step.source.size}, {step.stride}, {step.size}"
            table = weights.table(words)
            code.append(f"engine::bit_trees<{parameters}>({place(self.keys)}, {table}, {groups}, {to});")
        if large:
            *tables, groups = walked_tables(self.trees, large, neutral)
            placed = ", ".join(weights.table(words) for words in tables)
            code.append(f"engine::walked_trees<M, {combine}>({place(self.keys)}, {placed}, {groups}, {to});")
        return code


def forest(lowering: Lowering, source: Tensor, ensemble: Ensemble, outputs: int, aggregate: str) -> Tensor:
    """Add the steps that give the aggregated values of all trees, without base values."""
    check_size(outputs)
    inner = ensemble.mode != LEAF
    used = np.unique(ensemble.feature[inner])
    if not used.size:
        used = np.zeros(1, np.int64)  # all trees are leaves
    row_of = np.zeros(source.size, np.int64)
    row_of[used] = np.arange(len(used))
    chosen = pick(lowering, source, used)
    stride = -(-len(used) // ROWS) * ROWS
    trees = canonical(ensemble, row_of, stride)
    both = bool((trees.row[trees.left >= 0] >= stride).any())
    keys = Keys(chosen, stride, both)
    rows = lowering.add(keys, (keys.size,), "int")
    result = lowering.add(Forest(rows, trees, outputs, aggregate), (outputs,))
    if aggregate == "AVERAGE":
        formula = Call("{0} / {1}", (Load(result), Number(len(ensemble.roots))))
        return lowering.add(Map(outputs, formula), (outputs,))
    if aggregate in NEUTRAL and not all(given_by_some_tree(ensemble)):
        # An output to which no leaf of the event adds is 0.
        none = Call("engine::equal({0}, {1})", (Load(result), Number(NEUTRAL[aggregate])))
        formula = Call("engine::where({0}, {1}, {2})", (none, Number(0.0), Load(result)))
        return lowering.add(Map(outputs, formula), (outputs,))
    return result


def given_by_some_tree(ensemble: Ensemble) -> list[bool]:
    """Return for each output whether there is a tree all of whose leaves have it."""
    outputs = ensemble.given.shape[1]
    found = np.zeros(outputs, bool)
    for root in ensemble.roots:
        missing = ~found
        todo = [root]
        while todo and missing.any():
            at = todo.pop()
            if ensemble.mode[at] == LEAF:
                missing &= ensemble.given[ensemble.leaf[at]]
            else:
                todo += [int(ensemble.true[at]), int(ensemble.false[at])]
        found |= missing
        if found.all():
            break
    return found.tolist()


def shifted(lowering: Lowering, raw: Tensor, base: np.ndarray) -> Tensor:
    """Return values plus base values, if there are any."""
    if not base.size or not base.any():
        return raw
    other: Expression = Number(float(base[0])) if base.size == 1 else Weight(base)
    return lowering.add(Map(raw.size, Call("{0} + {1}", (Load(raw), other))), raw.shape)


@rule("TreeEnsembleRegressor", "TreeEnsemble", domain=ML)
def regressor(node: Node, lowering: Lowering) -> list[Tensor]:
    source = source_of(node)
    features, outputs = source.shape[-1], int(node.attributes.get("n_targets", 0))
    check_size(outputs)
    if outputs < 1:
        raise node.refuse(f"n_targets={outputs}; at least one is needed.")
    by_leaf = node.operator == "TreeEnsemble"
    aggregate = text(node, "aggregate_function", "SUM", AGGREGATES)
    transform = text(node, "post_transform", "NONE", TRANSFORMS)
    if by_leaf:
        ensemble = read_by_leaf(node, features, outputs, aggregate)
    else:
        ensemble = read_by_node(node, features, outputs, "target", aggregate)
    raw = forest(lowering, source, ensemble, outputs, aggregate)
    base = numbers(node, "base_values", np.float32)
    if base.size not in (0, outputs):
        raise node.refuse(f"{base.size} base_values for {outputs} targets.")
    raw = shifted(lowering, raw, base)
    if outputs == 1:
        # ONNX Runtime knows no other transform of a single number.
        result = probit(lowering, raw) if transform == "PROBIT" else raw
    else:
        result = written(lowering, raw, transform)
    return [Tensor(result.step, (*source.shape[:-1], outputs), "float", result.offset)]


@rule("TreeEnsembleClassifier", domain=ML)
def classifier(node: Node, lowering: Lowering) -> list[Value | None]:
    source = source_of(node)
    labels = numbers(node, "classlabels_int64s", np.int64)
    names = node.attributes.get("classlabels_strings", [])
    classes = len(names) or len(labels)
    if classes < 2 or (len(labels) and len(names)):
        raise node.refuse(f"it has {classes} classes, or two lists of them; at least two are needed.")
    transform = text(node, "post_transform", "NONE", TRANSFORMS)
    ensemble = read_by_node(node, source.shape[-1], classes, "class", "SUM")
    base = numbers(node, "base_values", np.float32)
    ids = numbers(node, "class_ids", np.int64)
    weights = numbers(node, "class_weights", np.float32)
    always, ever = given_by_some_tree(ensemble), ensemble.given.sum(axis=0) > 0
    raw = forest(lowering, source, ensemble, classes, "SUM")
    if classes > 2:
        if base.size not in (0, classes):
            raise node.refuse(f"{base.size} base_values for {classes} classes.")
        raw = shifted(lowering, raw, base)
        scores = written(lowering, raw, transform)
        known = all(always) or base.size or (weights >= 0).all()
        label = labelled(lowering, raw, labels) if len(labels) and known else None
        return [label, scores]
    if always[1] != ever[1]:
        raise node.refuse("some leaves have no value for the second class, others do.")
    binary, positive = len(set(ids.tolist())) == 1, bool((weights >= 0).all())
    return list(two_scores(node, lowering, raw, labels, base, transform, bool(ever[1]), binary, positive))
