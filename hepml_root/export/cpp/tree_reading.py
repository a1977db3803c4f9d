"""The attributes of TreeEnsemble operators as trees of one kind of node: "key <= threshold ? left : right".

ONNX knows seven comparisons, missing values that go one way or the other at every node, and two ways to
write it all down (ai.onnx.ml 1 and 3, and 5). Each becomes nodes of that one kind: x > t is x <= t with the
children exchanged, x < t is x <= the float below t, x == t is two nodes, membership a chain of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hepml_root.export.cpp.graph import Node
from hepml_root.export.cpp.ml_attributes import numbers
from hepml_root.export.cpp.tree_tables import NEVER_RIGHT, Trees, keys_of

# In the order of the numbers of ai.onnx.ml 5.
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
LEQ, LT, GTE, GT, EQ, NEQ, MEMBER, LEAF = range(8)
MOST_VALUES = 1 << 25  # leaves times outputs


@dataclass
class Ensemble:
    """An ensemble as it is written: node by node, children by position, leaves with the number of their row
    in ``values`` (leaves, outputs); ``given`` says which outputs a leaf has."""

    mode: np.ndarray
    feature: np.ndarray
    split: np.ndarray
    true: np.ndarray
    false: np.ndarray
    missing_true: np.ndarray
    leaf: np.ndarray
    roots: list[int]
    values: np.ndarray
    given: np.ndarray
    members: dict[int, np.ndarray]


def leaf_values(
    node: Node,
    leaf: np.ndarray,
    output: np.ndarray,
    weight: np.ndarray,
    shape: tuple[int, int],
    aggregate: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return values (leaves, outputs) and which are given, from one entry per leaf and output."""
    if shape[0] * shape[1] > MOST_VALUES:
        raise node.refuse(f"{shape[0]:,} leaves times {shape[1]:,} outputs are too many.")
    if output.size and (output.min() < 0 or output.max() >= shape[1]):
        raise node.refuse(f"a leaf adds to output {output.max()} of {shape[1]}.")
    given = np.zeros(shape, bool)
    given[leaf, output] = True
    values = np.zeros(shape, np.float32)
    if aggregate in ("MIN", "MAX"):
        combine, start = (np.minimum, np.inf) if aggregate == "MIN" else (np.maximum, -np.inf)
        values[given] = start
        combine.at(values, (leaf, output), weight)
    else:
        np.add.at(values, (leaf, output), weight)
    return values, given


def read_by_node(node: Node, features: int, outputs: int, entries: str, aggregate: str) -> Ensemble:
    """Return the ensemble of TreeEnsembleRegressor ("target") or TreeEnsembleClassifier ("class")."""
    tree, name = (numbers(node, f"nodes_{which}", np.int64) for which in ("treeids", "nodeids"))
    count = len(tree)
    if not count or len(name) != count:
        raise node.refuse("it has no nodes, or nodes without a name.")
    texts = [
        m.decode(errors="replace") if isinstance(m, bytes) else str(m) for m in node.attributes["nodes_modes"]
    ]
    codes = {text: code for code, text in enumerate((*MODES[:MEMBER], "", "LEAF")) if text}
    unknown = sorted(set(texts) - set(codes))
    if unknown or len(texts) != count:
        raise node.refuse(f"nodes_modes {unknown} are not known, or of another length than the nodes.")
    mode = np.array([codes[text] for text in texts])
    place = {key: i for i, key in enumerate(zip(tree.tolist(), name.tolist(), strict=True))}
    if len(place) != count:
        raise node.refuse("two nodes of a tree have the same name.")

    inner = np.flatnonzero(mode != LEAF)
    children = []
    for which in ("true", "false"):
        named = numbers(node, f"nodes_{which}nodeids", np.int64, count)
        found = np.full(count, -1)
        found[inner] = [
            place.get(key, -1) for key in zip(tree[inner].tolist(), named[inner].tolist(), strict=True)
        ]
        if (found[inner] < 0).any():
            raise node.refuse("a node has a child that is not there.")
        children.append(found)

    at = (numbers(node, f"{entries}_{which}", np.int64) for which in ("treeids", "nodeids"))
    owner = np.array(
        [place.get(key, -1) for key in zip(*(ids.tolist() for ids in at), strict=True)], np.int64
    )
    output = numbers(node, f"{entries}_ids", np.int64, len(owner))
    weight = numbers(node, f"{entries}_weights", np.float32, len(owner))
    if owner.size and (owner.min() < 0 or (mode[owner] != LEAF).any()):
        raise node.refuse("a value belongs to a node that is no leaf.")
    leaf = np.full(count, -1)
    leaf[mode == LEAF] = np.arange((mode == LEAF).sum())
    values, given = leaf_values(
        node, leaf[owner], output, weight, (int((mode == LEAF).sum()), outputs), aggregate
    )
    is_child = np.zeros(count, bool)
    is_child[np.concatenate([c[inner] for c in children])] = True
    roots = np.flatnonzero(~is_child)
    if len(roots) != len(set(tree.tolist())) or len(set(tree[roots].tolist())) != len(roots):
        raise node.refuse("a tree has no root, or several.")
    ensemble = Ensemble(
        mode,
        numbers(node, "nodes_featureids", np.int64, count),
        numbers(node, "nodes_values", np.float32, count),
        children[0],
        children[1],
        numbers(node, "nodes_missing_value_tracks_true", np.int64, count) != 0,
        leaf,
        roots.tolist(),
        values,
        given,
        {},
    )
    return _checked(node, ensemble, features)


def read_by_leaf(node: Node, features: int, outputs: int, aggregate: str) -> Ensemble:
    """Return the ensemble of TreeEnsemble (ai.onnx.ml 5), whose leaves have numbers of their own."""
    mode = numbers(node, "nodes_modes", np.int64)
    count = len(mode)
    if not count or mode.min() < 0 or mode.max() > MEMBER:
        raise node.refuse("it has no nodes, or modes that are not known.")
    target = numbers(node, "leaf_targetids", np.int64)
    leaves = len(target)
    weight = numbers(node, "leaf_weights", np.float32, leaves)
    children = []
    for which in ("true", "false"):
        named = numbers(node, f"nodes_{which}nodeids", np.int64, count)
        to_leaf = numbers(node, f"nodes_{which}leafs", np.int64, count) != 0
        if (named < 0).any() or (named >= np.where(to_leaf, leaves, count)).any():
            raise node.refuse("a node has a child that is not there.")
        children.append(np.concatenate([np.where(to_leaf, count + named, named), np.full(leaves, -1)]))
    roots = numbers(node, "tree_roots", np.int64).tolist()
    if not roots or min(roots) < 0 or max(roots) >= count:
        raise node.refuse("a tree has a root that is not there.")
    values, given = leaf_values(node, np.arange(leaves), target, weight, (leaves, outputs), aggregate)
    member_nodes = np.flatnonzero(mode == MEMBER).tolist()
    listed = numbers(node, "membership_values", np.float32)
    ends = np.flatnonzero(np.isnan(listed))
    lists = np.split(listed, ends)[: len(ends)] if len(ends) else []
    if len(lists) != len(member_nodes):
        raise node.refuse(f"{len(lists)} lists of members for {len(member_nodes)} nodes with BRANCH_MEMBER.")
    members = {n: part[~np.isnan(part)] for n, part in zip(member_nodes, lists, strict=True)}
    more = np.zeros(leaves, np.int64)
    ensemble = Ensemble(
        np.concatenate([mode, more + LEAF]),
        np.concatenate([numbers(node, "nodes_featureids", np.int64, count), more]),
        np.concatenate([numbers(node, "nodes_splits", np.float32, count), more.astype(np.float32)]),
        children[0],
        children[1],
        np.concatenate([numbers(node, "nodes_missing_value_tracks_true", np.int64, count), more]) != 0,
        np.concatenate([np.full(count, -1), np.arange(leaves)]),
        roots,
        values,
        given,
        members,
    )
    return _checked(node, ensemble, features)


def _checked(node: Node, ensemble: Ensemble, features: int) -> Ensemble:
    """Refuse what is no set of trees: unknown features, shared nodes, circles."""
    inner = np.flatnonzero(ensemble.mode != LEAF)
    used = ensemble.feature[inner]
    if used.size and (used.min() < 0 or used.max() >= features):
        raise node.refuse(f"a node looks at feature {used.max()}; the input has {features}.")
    if np.isnan(ensemble.split[inner[ensemble.mode[inner] != MEMBER]]).any():
        raise node.refuse("a threshold is NaN.")
    # Leaves may be shared; that a leaf is written once for several nodes changes nothing.
    children = np.concatenate([ensemble.true[inner], ensemble.false[inner], np.array(ensemble.roots)])
    children = children[ensemble.mode[children] != LEAF]
    if len(np.unique(children)) != len(children):
        raise node.refuse("a node is below two others, or below itself.")
    return ensemble


def canonical(ensemble: Ensemble, row_of: Sequence[int] | np.ndarray, stride: int) -> Trees:
    """Return the trees as nodes of one kind.

    ``row_of`` gives the row of keys of a feature in which NaN is the largest key; ``stride`` rows later it is
    the smallest.
    """
    mode, split = ensemble.mode, ensemble.split
    key = keys_of(np.where(mode == LEAF, 0, split)).astype(np.int64)
    threshold = np.where((mode == LT) | (mode == GTE), key - 1, key)
    exchanged = (mode == GTE) | (mode == GT)
    left = np.where(exchanged, ensemble.false, ensemble.true)
    right = np.where(exchanged, ensemble.true, ensemble.false)
    # NaN goes where a comparison with it fails, unless it tracks true.
    nan_left = ensemble.missing_true != exchanged
    row = np.asarray(row_of)[ensemble.feature]
    is_leaf = mode == LEAF
    left[is_leaf] = right[is_leaf] = -1
    threshold[is_leaf], row = NEVER_RIGHT, np.where(is_leaf, 0, row)
    trees = Trees(
        threshold.astype(np.int32),
        np.where(is_leaf, 0, row + stride * nan_left),
        left,
        right,
        ensemble.leaf,
        ensemble.roots,
        ensemble.values,
        ensemble.given,
    )
    special = np.flatnonzero((mode == EQ) | (mode == NEQ) | (mode == MEMBER)).tolist()
    return _expand(ensemble, trees, row, stride, special) if special else trees


def _expand(ensemble: Ensemble, trees: Trees, row: np.ndarray, stride: int, special: list[int]) -> Trees:
    """Write nodes that ask for equality as pairs: x <= t, and then x <= the float below t."""
    columns = [trees.threshold, trees.row, trees.left, trees.right, trees.leaf]
    lists = [column.tolist() for column in columns]
    threshold, rows, left, right, _ = lists

    def pair(at: int, where: int, key: int, equal: int, other: int, nan_equal: bool) -> None:
        second = len(threshold)
        threshold[at], rows[at] = key, where + stride * nan_equal
        left[at], right[at] = second, other
        for column, value in zip(lists, (key - 1, where, other, equal, -1), strict=True):
            column.append(value)

    for n in special:
        where, yes, no = int(row[n]), int(ensemble.true[n]), int(ensemble.false[n])
        missing = bool(ensemble.missing_true[n])
        if ensemble.mode[n] == NEQ:
            pair(n, where, int(keys_of(ensemble.split[n : n + 1])[0]), no, yes, False)
            continue
        keys = keys_of(ensemble.members[n] if n in ensemble.members else ensemble.split[n : n + 1]).tolist()
        at = n
        for i, key in enumerate(keys):
            last = i + 1 == len(keys)
            after = no
            if not last:
                after = len(threshold)
                for column, value in zip(lists, (NEVER_RIGHT, where, no, no, -1), strict=True):
                    column.append(value)
            pair(at, where, key, yes, after, missing and i == 0)
            at = after
        if not keys:
            threshold[n], rows[n], left[n], right[n] = -NEVER_RIGHT - 1, where + stride * missing, yes, no
    for name, column in zip(("threshold", "row", "left", "right", "leaf"), lists, strict=True):
        setattr(trees, name, np.array(column, getattr(trees, name).dtype))
    return trees
