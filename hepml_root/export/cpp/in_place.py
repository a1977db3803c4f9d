"""Element-wise formulas that read moved values where they were, so that nothing is moved."""

from __future__ import annotations

import numpy as np

from hepml_root.export.cpp.expression import Broadcast, Expression, Load, loads, replace
from hepml_root.export.cpp.graph import Graph, Tensor
from hepml_root.export.cpp.moves import Move, loops_of
from hepml_root.export.cpp.steps import Map, Step

# One event alone is computed a register of features at a time: features that lie apart would be read one by
# one, which takes longer than to move them first.
SHORTEST_RUN = 16


def read_in_place(graph: Graph) -> None:
    """Let formulas read the source of a movement that only they read: halves of a value, repeated rows."""
    readers: dict[Step, list[Step]] = {}
    for step in graph.steps:
        for source in {tensor.step for tensor in step.reads()}:
            readers.setdefault(source, []).append(step)
    kept = {tensor.step for _, tensor in graph.outputs}
    for step in graph.steps:
        if isinstance(step, Move) and step not in kept:
            formulas = [reader for reader in readers.get(step, []) if isinstance(reader, Map)]
            if len(formulas) == len(readers.get(step, [])):
                _read_through(step, formulas)


def _read_through(step: Move, formulas: list[Map]) -> None:
    """Replace all loads of a movement by loads of its source, or none."""
    found: dict[int, Load] = {}
    for formula in formulas:
        for load in loads(formula.expression):
            if load.tensor.step is step:
                through = _through(step, load, formula.size)
                if through is None:
                    return
                found[id(load)] = through

    def change(part: Expression) -> Expression | None:
        return found.get(id(part))

    for formula in formulas:
        formula.expression = replace(formula.expression, change)


def _through(step: Move, load: Load, size: int) -> Load | None:
    if len(step.sources) != 1 or not isinstance(step.sources[0], Tensor):
        return None
    at = np.arange(size) if load.broadcast is None else load.broadcast.indices()
    loops, left, first = loops_of(np.arange(size), step.indices[load.tensor.offset + at])
    turns = loops.turns
    if left.size != 1 or not turns or min(turn[2] for turn in turns) < 0:
        return None
    if turns[-1][2] > 1 or turns[-1][0] < SHORTEST_RUN:
        return None
    source = step.sources[0]
    origin = Tensor(source.step, (size,), load.tensor.kind, source.offset + int(first[0]))
    if turns == ((size, 1, 1),):
        return Load(origin)
    return Load(origin, Broadcast(tuple(turn[0] for turn in turns), tuple(turn[2] for turn in turns)))
