"""Passes that spare steps: those that nothing needs, equal ones, and movements that a product can do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import replace

import numpy as np

from hepml_root.export.cpp.graph import Graph, Tensor
from hepml_root.export.cpp.matmul import MatrixProduct, Side, once, strides_of
from hepml_root.export.cpp.moves import Move
from hepml_root.export.cpp.steps import Dense, Input, Step


def drop_unused(graph: Graph) -> None:
    """Drop the steps that no output needs."""
    needed: set[Step] = {tensor.step for _, tensor in graph.outputs}
    for step in reversed(graph.steps):
        if step in needed:
            needed.update(tensor.step for tensor in step.reads())
    graph.steps = [step for step in graph.steps if step in needed or isinstance(step, Input)]


def readers(graph: Graph) -> Counter[Step]:
    """Count the steps that read each storage; an output counts as a reader."""
    count: Counter[Step] = Counter()
    for step in graph.steps:
        count.update({tensor.step for tensor in step.reads()})
    count.update(tensor.step for _, tensor in graph.outputs)
    return count


def redirect(graph: Graph, moved: Callable[[Tensor], Tensor]) -> None:
    """Replace the values that steps and outputs refer to by what ``moved`` makes of them."""
    for step in graph.steps:
        step.redirect(moved)
    graph.outputs = [(name, moved(tensor)) for name, tensor in graph.outputs]


def rename(graph: Graph, old: Step, new: Step) -> None:
    """Let everything that referred to the storage of ``old`` refer to that of ``new``."""
    redirect(graph, lambda tensor: replace(tensor, step=new) if tensor.step is old else tensor)


def merge_equal(graph: Graph) -> None:
    """Compute steps that are the same once."""
    first: dict[Hashable, Step] = {}
    for step in list(graph.steps):
        key = step.key()
        if key is None:
            continue
        if key in first:
            graph.steps.remove(step)
            rename(graph, step, first[key])
        else:
            first[key] = step


def into_products(graph: Graph) -> None:
    """Let products read and write with strides in place of movements before and after them."""
    count = readers(graph)
    for step in list(graph.steps):
        if isinstance(step, MatrixProduct):
            step.sides = [_read_through(side) for side in step.sides]
        elif isinstance(step, Dense):
            _turn_matrix(step)
        elif isinstance(step, Move):
            source = _source(step)
            if source is not None and isinstance(source.step, MatrixProduct) and count[source.step] == 1:
                _write_through(graph, source.step, step)


def _source(step: Step) -> Tensor | None:
    """Return the value that a movement reads, if it is one and it is only one."""
    if not isinstance(step, Move) or len(step.sources) != 1:
        return None
    return step.sources[0] if isinstance(step.sources[0], Tensor) else None


def _read_through(side: Side) -> Side:
    while isinstance(side.value, Tensor) and isinstance(side.value.step, Move):
        source = _source(side.value.step)
        if source is None:
            break
        places = side.value.step.indices[side.value.offset + once(side.places)]
        if strides_of(places) is None:
            break
        side = Side(source, np.broadcast_to(places, side.places.shape))
    return side


def _write_through(graph: Graph, product: MatrixProduct, step: Move) -> None:
    """Let a product store its results in the order of a movement of them, its only reader."""
    indices = step.sources[0].offset + step.indices  # type: ignore[union-attr]
    if not np.array_equal(np.sort(indices), np.arange(product.size)):
        return
    places = np.argsort(indices)[product.places]
    if strides_of(places) is not None:
        product.places = places
        graph.steps.remove(step)
        rename(graph, step, product)


def _turn_matrix(step: Dense) -> None:
    """Let a product of one row take its inputs as they are, and put its weights into their order."""
    source = _source(step.source.step)
    if step.rows != 1 or source is None:
        return
    assert isinstance(step.source.step, Move)
    indices = step.source.step.indices[step.source.offset : step.source.offset + step.source.size]
    first, last = int(indices.min()), int(indices.max())
    if last - first + 1 != indices.size or np.unique(indices).size != indices.size:
        return
    matrix = np.empty_like(step.matrix)
    matrix[indices - first] = step.matrix
    step.matrix = matrix
    step.source = Tensor(source.step, (indices.size,), source.kind, source.offset + first)
