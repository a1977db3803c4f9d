"""Steps that only move features, and how their lists of indices become loops.

Every rule that moves features says, for each feature of its result, where it comes from: numpy does to the
numbers of the features what the operator does to their values. What comes from a run of neighbours is a view
and costs nothing; movements of moved features become one movement, so that transposes cancel and a slice of a
join reads only its piece.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hepml_root.export.cpp.graph import Lowering, Tensor, check_size
from hepml_root.export.cpp.steps import Moved, Place, Step
from hepml_root.export.cpp.weights import Weights

MOST_LENGTHS = 8  # of runs, each of which becomes a function of its own
MOST_NESTS = 12  # functions of one movement, where a table would do
LONGEST_TABLE = 1 << 14  # places that are written as numbers in the code; longer tables go to the weights


@dataclass(frozen=True)
class Loops:
    """A nest of loops, outermost first: turns, and how far target and source move in each, in features."""

    turns: tuple[tuple[int, int, int], ...]

    def code(self) -> str:
        return "".join(f", engine::Loop<{extent}, {to}, {start}>" for extent, to, start in self.turns)


def loops_of(to: np.ndarray, start: np.ndarray) -> tuple[Loops, np.ndarray, np.ndarray]:
    """Return the inner loops of a movement from ``start`` to ``to``, and the places where each begins.

    Of a regular movement a single place is left.

    >>> rows = np.arange(6)
    >>> loops_of(rows, rows.reshape(2, 3).T.ravel())[0].turns
    ((3, 2, 1), (2, 1, 3))
    """
    turns: list[tuple[int, int, int]] = []
    while to.size > 1:
        step_to, step_start = int(to[1] - to[0]), int(start[1] - start[0])
        same = (np.diff(to) == step_to) & (np.diff(start) == step_start)
        # The longest run that fits between all places where the step is another one.
        length = int(np.gcd.reduce(np.append(np.flatnonzero(~same) + 1, to.size)))
        if length == 1:
            break
        turns.insert(0, (length, step_to, step_start))
        to, start = to[::length], start[::length]
    return Loops(tuple(turns)), to, start


def nests_of(to: np.ndarray, start: np.ndarray) -> list[tuple[Loops, np.ndarray, np.ndarray]]:
    """Return nests of loops, each with all places where it begins, that together are a movement.

    A regular movement is one nest that begins once. Others, as a mirrored border and what is inside, are cut
    into runs of equal length where that makes the tables of places shorter.
    """
    loops, to, start = loops_of(to, start)
    if to.size <= 4:
        return [(loops, to, start)]
    # Pairs of steps as one number: places are far below 2^32. The most frequent pair makes the runs.
    pairs = np.diff(to) * (1 << 32) + np.diff(start)
    kinds, firsts, counts = np.unique(pairs, return_index=True, return_counts=True)
    first = firsts[counts.argmax()]
    step_to, step_start = int(to[first + 1] - to[first]), int(start[first + 1] - start[first])
    breaks = np.flatnonzero(pairs != kinds[counts.argmax()]) + 1
    begins = np.append(0, breaks)
    lengths = np.diff(np.append(begins, to.size))
    if begins.size > to.size // 2 or np.unique(lengths).size > MOST_LENGTHS:
        return [(loops, to, start)]
    nests = []
    for length in np.unique(lengths):
        places = begins[lengths == length]
        inner = ((int(length), step_to, step_start),) if length > 1 else ()
        for outer, tos, starts in nests_of(to[places], start[places]):
            nests.append((Loops(outer.turns + inner + loops.turns), tos, starts))
    return nests


class Move(Step):
    """Features of some values and constants in a new order.

    ``indices`` counts through all ``sources``, one after the other.
    """

    headers = ("move",)

    def __init__(self, sources: Sequence[Tensor | np.ndarray], indices: np.ndarray) -> None:
        super().__init__(indices.size)
        self.sources = list(sources)
        self.indices = indices

    def reads(self) -> Iterator[Tensor]:
        return (source for source in self.sources if isinstance(source, Tensor))

    def redirect(self, moved: Moved) -> None:
        self.sources = [moved(source) if isinstance(source, Tensor) else source for source in self.sources]

    def key(self) -> Hashable:
        """Equal movements of equal values; of constants those that are the same array."""
        sources = tuple(
            (source.step, source.offset, source.size) if isinstance(source, Tensor) else id(source)
            for source in self.sources
        )
        return sources, self.indices.tobytes()

    def code(self, to: str, place: Place, weights: Weights) -> list[str]:
        lines: list[str] = []
        for source, targets, starts in self.pieces():
            if isinstance(source, Tensor):
                kind, x = "Features", place(source)
            else:
                kind, x = "Constants", f"w + {weights.place(source)}"
            lines += _movement(f"engine::{kind}<M>", x, to, targets, starts, weights)
        return lines

    def pieces(self) -> Iterator[tuple[Tensor | np.ndarray, np.ndarray, np.ndarray]]:
        """Yield each source with the places that it fills and those in it that are read."""
        begins = _begins(self.sources)
        if len(self.sources) == 1:
            yield self.sources[0], np.arange(self.size), self.indices
            return
        for source, begin, end in zip(self.sources, begins[:-1], begins[1:], strict=True):
            targets = np.flatnonzero((self.indices >= begin) & (self.indices < end))
            if targets.size:
                yield source, targets, self.indices[targets] - begin


def _movement(source: str, x: str, y: str, to: np.ndarray, start: np.ndarray, weights: Weights) -> list[str]:
    """Return the code that moves features ``start`` of ``x`` to the places ``to`` of ``y``."""
    lines = []
    nests = nests_of(to, start)
    if len(nests) > MOST_NESTS:
        inner = loops_of(to, start)
        nests = [inner] if inner[1].size <= LONGEST_TABLE else nests
    for loops, tos, starts in nests:
        if tos.size == 1:
            unit = "M::lanes" if source.startswith("engine::Features") else "1"
            from_there = f"{x} + {starts[0]} * {unit}" if starts[0] else x
            to_there = f"{y} + {tos[0]} * M::lanes" if tos[0] else y
            lines.append(f"engine::move<{source}{loops.code()}>({from_there}, {to_there});")
            continue
        table = np.stack([tos, starts], axis=1).ravel()
        if tos.size > LONGEST_TABLE:
            call = f"engine::move_each<{source}, float{loops.code()}>"
            lines.append(f"{call}({x}, w + {weights.place(table)}, {tos.size}, {y});")
        else:
            numbers = ", ".join(map(str, table.tolist()))
            call = f"engine::move_each<{source}, std::uint32_t{loops.code()}>"
            lines += [
                "{",
                f"   static constexpr std::uint32_t table[] = {{{numbers}}};",
                f"   {call}({x}, table, {tos.size}, {y});",
                "}",
            ]
    return lines


def _begins(sources: Sequence[Tensor | np.ndarray]) -> np.ndarray:
    return np.cumsum([0] + [source.size for source in sources])


def numbered(source: Tensor | np.ndarray) -> np.ndarray:
    """Return the index of every feature of a value, in its shape."""
    return np.arange(source.size).reshape(source.shape)


def view(source: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the same features under another shape: no step is needed."""
    return Tensor(source.step, tuple(int(n) for n in shape), source.kind, source.offset)


def pick(lowering: Lowering, source: Tensor, indices: np.ndarray) -> Tensor:
    """Return the features ``indices`` (in the shape wanted) of ``source``."""
    return assemble(lowering, [source], indices, source.kind)


def join(lowering: Lowering, sources: Sequence[Tensor]) -> Tensor:
    """Return the features of several values one after the other, as a list."""
    return assemble(lowering, sources, np.arange(sum(source.size for source in sources)), sources[0].kind)


def assemble(
    lowering: Lowering, sources: Sequence[Tensor | np.ndarray], indices: np.ndarray, kind: str
) -> Tensor:
    """Return features of several values and constants in a new order.

    Arguments
    ---------
    sources
        Values of the events, and constants (any shape, counted without a batch axis).
    indices
        For each feature of the result, in its shape, where it is if all sources stand one after the other.
    kind
        What the result holds: float, bool or int.
    """
    check_size(indices.size)
    flat, shape = indices.ravel(), indices.shape
    sources, flat = _origins(sources, flat)
    if len(sources) == 1 and isinstance(sources[0], Tensor):
        first = int(flat[0])
        if np.array_equal(flat, np.arange(first, first + flat.size)):
            return Tensor(sources[0].step, shape, kind, sources[0].offset + first)
    return lowering.add(Move(sources, flat), shape, kind)


def _origins(
    sources: Sequence[Tensor | np.ndarray], indices: np.ndarray
) -> tuple[list[Tensor | np.ndarray], np.ndarray]:
    """Return the storages and constants that features come from in the end, and their places there.

    What earlier steps have moved is taken from where these took it; they go if nothing else needs them.
    """
    origins: dict[int, Tensor | np.ndarray] = {}  # by identity of the step or of the constant
    begins: dict[int, int] = {}
    total = 0

    def begin_of(origin: Step | np.ndarray) -> int:
        nonlocal total
        if id(origin) not in begins:
            begins[id(origin)] = total
            whole = origin if isinstance(origin, np.ndarray) else Tensor(origin, (origin.size,))
            origins[id(origin)] = whole
            total += origin.size
        return begins[id(origin)]

    # For each feature of the sources, its place among all origins.
    places: list[np.ndarray] = []
    for source in sources:
        if isinstance(source, np.ndarray):
            places.append(begin_of(source) + np.arange(source.size))
        elif not isinstance(source.step, Move):
            places.append(begin_of(source.step) + source.offset + np.arange(source.size))
        else:
            of_step = []
            for origin in source.step.sources:
                # A Move reads whole storages and constants.
                base = origin if isinstance(origin, np.ndarray) else origin.step
                offset = 0 if isinstance(origin, np.ndarray) else origin.offset
                of_step.append(begin_of(base) + offset + np.arange(origin.size))
            moved = np.concatenate(of_step)[source.step.indices]
            places.append(moved[source.offset : source.offset + source.size])
    found = np.concatenate(places)[indices] if len(places) > 1 else places[0][indices]

    # Only the origins that are used, one after the other.
    order = sorted(begins, key=begins.__getitem__)
    ends = np.cumsum([origins[key].size for key in order])
    owner = np.searchsorted(ends, found, side="right")
    used = np.bincount(owner, minlength=len(order)) > 0
    gaps = np.cumsum(np.where(used, 0, [origins[key].size for key in order]))
    kept = [origins[key] for key, use in zip(order, used, strict=True) if use]
    return kept, found - gaps[owner]


def affine(tensor: Tensor) -> tuple[Tensor, tuple[int, ...], tuple[int, ...]] | None:
    """Return how a moved value can be read where it was: the value there, extents and strides in features.

    None if the value is not the result of a regular movement from one storage. Kernels that walk through
    their operands by strides can so spare the copy.
    """
    if not isinstance(tensor.step, Move):
        return None
    step = tensor.step
    if len(step.sources) != 1 or not isinstance(step.sources[0], Tensor):
        return None
    start = step.indices[tensor.offset : tensor.offset + tensor.size]
    loops, targets, starts = loops_of(np.arange(start.size), start)
    if targets.size != 1:
        return None
    origin = step.sources[0]
    extents = tuple(turn[0] for turn in loops.turns)
    strides = tuple(turn[2] for turn in loops.turns)
    # The value that begins there; its shape is that of the moved one, as its strides say.
    return Tensor(origin.step, tensor.shape, tensor.kind, origin.offset + int(starts[0])), extents, strides


def product_of(shape: Sequence[int]) -> int:
    """Return the number of features of a shape, having refused what is too large or empty."""
    size = math.prod(int(n) for n in shape)
    check_size(size)
    return size
