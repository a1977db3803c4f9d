"""Decision trees as tables of 32-bit words, as engine/trees.hxx reads them.

A tree is a set of nodes "key of a feature <= key of a threshold ? left : right". Keys are integers in the
order of the floats, so that integer comparisons decide as those of the floats do; see :func:`keys_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

GROUP = 16  # trees that go together
PIECE = 32  # leaves of a piece
PAD = 16  # words to which the parts of a table are padded
NEVER_RIGHT = 0x7FFFFFFF  # no key is above
# Trees of more leaves are walked through: looking at every node then takes longer.
MOST_BIT_LEAVES = 128


@dataclass
class Trees:
    """The trees of an ensemble, node by node.

    ``threshold`` holds keys, ``row`` the row of keys that a node compares, ``left`` and ``right`` the nodes
    where keys up to, or above, the threshold go; leaves have ``left`` -1, and in ``leaf`` the number of their
    values. ``values`` is (leaves, outputs), ``given`` says which of them a leaf has. Nodes may be shared
    by several parents.
    """

    threshold: np.ndarray
    row: np.ndarray
    left: np.ndarray
    right: np.ndarray
    leaf: np.ndarray
    roots: list[int]
    values: np.ndarray
    given: np.ndarray


def keys_of(numbers: np.ndarray) -> np.ndarray:
    """Return int32 keys in the order of float32 numbers; -0 and 0 have the same one.

    >>> keys = keys_of(np.float32([-np.inf, -1, -1e-45, -0.0, 0, 1e-45, 1, np.inf]))
    >>> (np.diff(keys) >= 0).all(), keys[3] == keys[4] == 0
    (np.True_, np.True_)
    """
    raw = (np.asarray(numbers, np.float32) + np.float32(0)).view(np.int32)
    return raw ^ ((raw >> 31) & np.int32(0x7FFFFFFF))


@dataclass
class Walk:
    """The leaves of a tree from left to right, and of each node the leaves on its left side."""

    root: int
    leaves: list[int]
    nodes: list[tuple[int, int, int]]  # node, first leaf and end of the leaves to its left


def in_order(trees: Trees, root: int, most: int) -> Walk | None:
    """Walk through a tree; None if it has more than ``most`` leaves (shared ones count each time)."""
    left, right = trees.left, trees.right
    walk = Walk(root, [], [])
    todo: list[tuple[int, int]] = [(root, -1)]
    while todo:
        node, first = todo.pop()
        if first >= 0:
            walk.nodes.append((node, first, len(walk.leaves)))
            todo.append((int(right[node]), -1))
        elif left[node] < 0:
            walk.leaves.append(node)
            if len(walk.leaves) > most:
                return None
        else:
            todo.append((node, len(walk.leaves)))
            todo.append((int(left[node]), -1))
            if len(todo) > 4 * most:
                return None
    return walk


def padded(words: np.ndarray) -> np.ndarray:
    """Return words with zeros up to the next multiple of 16."""
    flat = np.ascontiguousarray(words).ravel().view(np.int32)
    return np.concatenate([flat, np.zeros(-flat.size % PAD, np.int32)])


def bit_tables(trees: Trees, walks: Sequence[Walk], neutral: float) -> tuple[np.ndarray, int]:
    """Return the table of small trees for ``bit_trees``, and the number of its groups."""
    outputs = [tuple(np.flatnonzero(trees.given[trees.leaf[w.leaves]].any(axis=0)).tolist()) for w in walks]
    pieces = [-(-len(w.leaves) // PIECE) for w in walks]
    # Trees of a group add to the same outputs; those of a size go together.
    order = sorted(range(len(walks)), key=lambda i: (outputs[i], pieces[i], len(walks[i].nodes)))
    groups: list[list[int]] = []
    for i in order:
        last = groups[-1][-1] if groups else i
        same = outputs[last] == outputs[i] and (pieces[last] == pieces[i] or not groups)
        if not groups or len(groups[-1]) == GROUP or not same:
            groups.append([])
        groups[-1].append(i)
    parts = []
    for group in groups:
        parts += _bit_group(trees, [walks[i] for i in group], outputs[group[0]], pieces[group[0]], neutral)
    return (np.concatenate(parts) if parts else np.zeros(0, np.int32)), len(groups)


def _bit_group(
    trees: Trees, group: Sequence[Walk], outputs: Sequence[int], pieces: int, neutral: float
) -> list[np.ndarray]:
    # Of each piece and tree, the nodes that have leaves of the piece to their left.
    nodes: list[list[list[tuple[int, int]]]] = [[[] for _ in group] for _ in range(pieces)]
    for lane, walk in enumerate(group):
        for node, first, end in walk.nodes:
            for piece in range(first // PIECE, (end - 1) // PIECE + 1):
                low, high = max(first - piece * PIECE, 0), min(end - piece * PIECE, PIECE)
                nodes[piece][lane].append((node, (1 << high) - (1 << low)))
    rows = [max(len(of_tree) for of_tree in piece) for piece in nodes]
    parts = [padded(np.array([len(group), pieces, len(outputs), *rows, *outputs], np.int32))]
    for piece, count in zip(range(pieces), rows, strict=True):
        rows_of_tree = np.zeros(GROUP, np.int32)
        feature = np.zeros((count, GROUP), np.uint16)
        threshold = np.full((count, GROUP), NEVER_RIGHT, np.int32)
        left = np.zeros((count, GROUP), np.uint32)
        values = np.full((len(outputs), GROUP, PIECE), neutral, np.float32)
        for lane, walk in enumerate(group):
            of_tree = nodes[piece][lane]
            rows_of_tree[lane] = len(of_tree)
            if of_tree:
                at = np.array([node for node, _ in of_tree])
                feature[: len(at), lane] = trees.row[at]
                threshold[: len(at), lane] = trees.threshold[at]
                left[: len(at), lane] = [bits for _, bits in of_tree]
            leaves = trees.leaf[walk.leaves[piece * PIECE : (piece + 1) * PIECE]]
            # The engine looks for leaf i at place (i - 1) modulo 32.
            place = (np.arange(len(leaves)) - 1) % PIECE
            chosen = np.where(trees.given[leaves], trees.values[leaves], np.float32(neutral))
            values[:, lane, place] = chosen[:, list(outputs)].T
        parts += [rows_of_tree, padded(feature), padded(threshold), padded(left), padded(values)]
    return parts


def walked_tables(
    trees: Trees, roots: Sequence[int], neutral: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Return groups, nodes and values of large trees for ``walked_trees``, and the number of groups."""
    slots: list[int] = []  # the node in each place of the table
    children: dict[int, int] = {}
    places, outputs = [], []
    for root in roots:
        places.append(len(slots))
        slots.append(root)
        next_slot = len(slots) - 1
        while next_slot < len(slots):
            node = slots[next_slot]
            if trees.left[node] >= 0 and node not in children:
                children[node] = len(slots)
                slots += [int(trees.left[node]), int(trees.right[node])]
            next_slot += 1
        of_tree = trees.leaf[slots[places[-1] :]]
        outputs.append(tuple(np.flatnonzero(trees.given[of_tree[of_tree >= 0]].any(axis=0)).tolist()))
    at = np.array(slots, np.int64)
    is_leaf = trees.left[at] < 0
    table = np.zeros((len(at), 4), np.int32)
    table[:, 0] = np.where(is_leaf, NEVER_RIGHT, trees.threshold[at])
    table[:, 1] = np.where(is_leaf, 0, trees.row[at])
    table[:, 2] = [i if leaf else children[n] for i, (n, leaf) in enumerate(zip(slots, is_leaf, strict=True))]
    values, length = [], 0
    groups: list[np.ndarray] = []
    order = sorted(range(len(roots)), key=lambda i: outputs[i])
    ends = [*places[1:], len(slots)]
    chosen = np.where(trees.given, trees.values, np.float32(neutral))
    waiting: list[int] = []
    for position, i in enumerate(order):
        of_tree = np.arange(places[i], ends[i])[is_leaf[places[i] : ends[i]]]
        numbers = chosen[trees.leaf[at[of_tree]]][:, np.array(outputs[i], np.int64)]
        table[of_tree, 3] = length + np.arange(len(of_tree)) * len(outputs[i])
        values.append(numbers.astype(np.float32).ravel())
        length += numbers.size
        waiting.append(places[i])
        last = position + 1 == len(order) or outputs[order[position + 1]] != outputs[i]
        if last or len(waiting) == GROUP:
            filled = waiting + [waiting[0]] * (GROUP - len(waiting))
            groups.append(padded(np.array([len(waiting), len(outputs[i]), *filled, *outputs[i]], np.int32)))
            waiting = []
    return np.concatenate(groups), padded(table), padded(np.concatenate(values)), len(groups)
