"""What happens to the steps between reading and writing: fusing, dropping, and sharing room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hepml_root.export.cpp_expression import Expression, Load, Sum, loads, replace
from hepml_root.export.cpp_graph import Graph, Tensor
from hepml_root.export.cpp_steps import Input, Map, Product, Step

ALIGNMENT = 16  # floats


def optimise(graph: Graph) -> None:
    """Fuse element-wise steps and drop the steps that no output needs."""
    _drop_unused(graph)
    _fuse(graph)


def _drop_unused(graph: Graph) -> None:
    needed: set[Step] = {tensor.step for _, tensor in graph.outputs}
    for step in reversed(graph.steps):
        if step in needed:
            needed.update(tensor.step for tensor in step.reads())
    graph.steps = [step for step in graph.steps if step in needed or isinstance(step, Input)]


def _readers(graph: Graph) -> Counter[Step]:
    """Count the steps that read each storage; an output counts as a reader."""
    count: Counter[Step] = Counter()
    for step in graph.steps:
        count.update({tensor.step for tensor in step.reads()})
    count.update(tensor.step for _, tensor in graph.outputs)
    return count


def _whole(load: Load) -> bool:
    """Return whether a load goes over a storage element by element, from its first to its last."""
    return load.broadcast is None and load.tensor.offset == 0 and load.tensor.size == load.tensor.step.size


def _fuse(graph: Graph) -> None:
    """Move a step into the element-wise step that is its only reader.

    A ``Map`` read only by another ``Map`` becomes part of its formula; a ``Product`` read only by a ``Map``
    takes the formula as its epilogue. The fused step stands where the reader stood, so that all that the
    reader needs is there; it keeps the identity of the reader, to which later steps and outputs refer.
    """
    readers = _readers(graph)
    for step in list(graph.steps):
        if isinstance(step, Map):
            while _absorb(graph, step, readers):
                pass
    for step in list(graph.steps):
        if isinstance(step, Map):
            _into_product(graph, step, readers)


def _absorb(graph: Graph, step: Map, readers: Counter[Step]) -> bool:
    """Merge one element-wise step that only ``step`` reads into it; return whether there was one."""
    sources = {load.tensor.step for load in loads(step.expression)}
    for source in sources:
        of_source = [load for load in loads(step.expression) if load.tensor.step is source]
        if isinstance(source, Map) and readers[source] == 1 and all(map(_whole, of_source)):
            for shared in sources & {tensor.step for tensor in source.reads()}:
                readers[shared] -= 1
            step.expression = replace(step.expression, _substitute(source, source.expression))
            graph.steps.remove(source)
            return True
    return False


def _substitute(source: Step, new: Expression) -> Callable[[Expression], Expression | None]:
    return lambda part: new if isinstance(part, Load) and part.tensor.step is source else None


def _into_product(graph: Graph, step: Map, readers: Counter[Step]) -> None:
    for source in dict.fromkeys(load.tensor.step for load in loads(step.expression)):
        of_source = [load for load in loads(step.expression) if load.tensor.step is source]
        if not (isinstance(source, Product) and isinstance(source.epilogue, Sum)):
            continue
        if readers[source] == 1 and source.size == step.size and all(map(_whole, of_source)):
            fused = source.with_epilogue(replace(step.expression, _substitute(source, Sum())))
            graph.steps[graph.steps.index(step)] = fused
            graph.steps.remove(source)
            _rename(graph, step, fused)
            readers[fused] = readers[step]
            return


def _rename(graph: Graph, old: Step, new: Step) -> None:
    """Let everything that referred to the storage of ``old`` refer to that of ``new``."""

    def moved(tensor: Tensor) -> Tensor:
        return Tensor(new, tensor.shape, tensor.kind, tensor.offset) if tensor.step is old else tensor

    for step in graph.steps:
        step.redirect(moved)
    graph.outputs = [(name, moved(tensor)) for name, tensor in graph.outputs]


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
