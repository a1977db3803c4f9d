"""What happens to the steps between reading and writing: fusing, dropping, and sharing room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hepml_root.export.cpp.expression import Expression, Load, Sum, loads, replace
from hepml_root.export.cpp.graph import Graph
from hepml_root.export.cpp.in_place import read_in_place
from hepml_root.export.cpp.rewriting import (
    drop_unused,
    into_products,
    merge_equal,
    readers,
    rename,
)
from hepml_root.export.cpp.steps import Epilogued, Map, Step

ALIGNMENT = 16  # floats


def optimise(graph: Graph) -> None:
    """Drop what no output needs, move features as little as possible, fuse element-wise steps."""
    drop_unused(graph)
    merge_equal(graph)
    into_products(graph)
    read_in_place(graph)
    drop_unused(graph)
    _fuse(graph)


def _whole(load: Load) -> bool:
    """Return whether a load goes over a storage element by element, from its first to its last."""
    return load.broadcast is None and load.tensor.offset == 0 and load.tensor.size == load.tensor.step.size


def _fuse(graph: Graph) -> None:
    """Move a step into the element-wise step that is its only reader.

    A ``Map`` read only by another ``Map`` becomes part of its formula; a step with an epilogue (a product)
    read only by a ``Map`` takes the formula. The fused step stands where the reader stood, so that all that
    the reader needs is there.
    """
    count = readers(graph)
    for step in list(graph.steps):
        if isinstance(step, Map):
            while _absorb(graph, step, count):
                pass
    for step in list(graph.steps):
        if isinstance(step, Map):
            _into_product(graph, step, count)


def _absorb(graph: Graph, step: Map, count: Counter[Step]) -> bool:
    """Merge one element-wise step that only ``step`` reads into it; return whether there was one."""
    sources = {load.tensor.step for load in loads(step.expression)}
    for source in sources:
        of_source = [load for load in loads(step.expression) if load.tensor.step is source]
        if isinstance(source, Map) and count[source] == 1 and all(map(_whole, of_source)):
            for shared in sources & {tensor.step for tensor in source.reads()}:
                count[shared] -= 1
            step.expression = replace(step.expression, _substitute(source, source.expression))
            graph.steps.remove(source)
            return True
    return False


def _substitute(source: Step, new: Expression) -> Callable[[Expression], Expression | None]:
    return lambda part: new if isinstance(part, Load) and part.tensor.step is source else None


def _into_product(graph: Graph, step: Map, count: Counter[Step]) -> None:
    for source in dict.fromkeys(load.tensor.step for load in loads(step.expression)):
        of_source = [load for load in loads(step.expression) if load.tensor.step is source]
        if not (isinstance(source, Epilogued) and isinstance(source.epilogue, Sum)):
            continue
        if count[source] == 1 and source.size == step.size and all(map(_whole, of_source)):
            source.take(replace(step.expression, _substitute(source, Sum())))
            graph.steps.remove(source)
            graph.steps[graph.steps.index(step)] = source
            rename(graph, step, source)
            count[source] = count[step]
            return


def place(graph: Graph) -> tuple[dict[Step, int], int]:
    """Return the place of every storage, in floats per event, and the room that all need together.

    Storages that are never needed at the same time may lie in the same place.
    """
    last: dict[Step, int] = {}
    for time, step in enumerate(graph.steps):
        last[step] = time
        for tensor in step.reads():
            last[tensor.step] = time
    for _, tensor in graph.outputs:
        last[tensor.step] = len(graph.steps)

    places: dict[Step, int] = {}
    room = 0
    for time, step in enumerate(graph.steps):
        # Inputs are all filled before the first step; the others exist from their step on.
        alive = sorted(
            (places[other], places[other] + _room(other)) for other in places if last[other] >= time
        )
        start = 0
        for first, end in alive:
            if first - start >= _room(step):
                break
            start = max(start, end)
        places[step] = start
        room = max(room, start + _room(step))
    return places, room + ALIGNMENT


def _room(step: Step) -> int:
    return -(-(step.size + step.slack) // ALIGNMENT) * ALIGNMENT


# What a block of events may take of the second-level cache, and the floats that a register holds at most.
CACHED = 1 << 20
LANES = 16


def vectors(graph: Graph, room: int) -> int:
    """Return how many registers of events make a block.

    Kernels need about three vectors for each weight that they load. In values with rows (constituents) these
    may be three rows; a block then is best one register, a third of the cache. Else they are three registers
    of events.
    """
    work = {True: 0, False: 0}
    for step in graph.steps:
        work[step.has_rows] += step.work
    return 1 if work[True] > work[False] or 3 * LANES * 4 * room > CACHED else 3
