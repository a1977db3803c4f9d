"""Export rules of `keras.ops` that multiply and contract tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.rules import Call, op_rule


def matrix_product(graph: Graph, a: Tensor, b: Tensor) -> Tensor:
    """NumPy's matmul; vectors have to be the second operand."""
    graph.refuse_events(a, a.rank - 1, "a product")
    if b.rank == 1:
        shape: list[int] = list(a.shape[:-1])
    else:
        leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        shape = [*leading, *a.shape[-2:-1], b.shape[-1]]
    return graph.node("MatMul", a, b, shape=shape)


@op_rule("Matmul")
def matmul(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    return matrix_product(graph, graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype))


def _contract(graph: Graph, equation: str, operands: list[Tensor], shape: tuple[int, ...]) -> Tensor:
    """An Einsum; contractions of the last axes with a constant become one matrix product."""
    sources, target = equation.split("->")
    for letters, operand in zip(sources.split(","), operands, strict=True):
        before, _, after = letters.partition("...")
        for axis, letter in [*enumerate(before), *enumerate(after, operand.rank - len(after))]:
            if letter not in target:
                graph.refuse_events(operand, axis, "a sum")
    simple = _as_matrix_product(graph, equation, operands, shape)
    if simple is None:
        simple = _as_product_at_each_place(graph, equation, operands, shape)
    if simple is None:
        simple = _as_batched_product(graph, equation, operands)
    if simple is not None:
        return simple
    return graph.node("Einsum", *operands, shape=shape, equation=equation)


def _as_matrix_product(
    graph: Graph, equation: str, operands: list[Tensor], shape: tuple[int, ...]
) -> Tensor | None:
    if len(operands) != 2 or operands[1].value is None or "." in equation:
        return None
    sources, target = equation.split("->")
    left, right = sources.split(",")
    summed = [c for c in left if c in right and c not in target]
    kept = [c for c in left if c not in right]
    new = [c for c in right if c not in left]
    plain = (
        len(set(left)) == len(left) and len(set(right)) == len(right) and len(summed) + len(new) == len(right)
    )
    if not plain or not summed or list(left) != kept + summed or list(target) != kept + new:
        return None
    matrix = operands[1].value.transpose([right.index(c) for c in summed + new])
    rows = int(np.prod(matrix.shape[: len(summed)]))
    value = graph.reshape(operands[0], [*operands[0].shape[: len(kept)], rows])
    product = matrix_product(graph, value, graph.constant(matrix.reshape(rows, -1)))
    return graph.reshape(product, shape)


def _as_product_at_each_place(
    graph: Graph, equation: str, operands: list[Tensor], shape: tuple[int, ...]
) -> Tensor | None:
    """A row for each event and place times a constant matrix of the place, as locally connected layers have:
    "npk,pko->npo" with the events staying in front. None where it is something else."""
    if len(operands) != 2 or "." in equation:
        return None
    a, constant = operands[0], operands[1].value
    if constant is None:
        return None
    sources, target = equation.split("->")
    left, right = sources.split(",")
    if any(len(set(letters)) != len(letters) for letters in (left, right, target)):
        return None
    places = [c for c in left if c in right and c in target]
    summed = [c for c in left if c in right and c not in target]
    new = [c for c in right if c not in left]
    events = left[0]
    if events in right or not places or not summed:
        return None
    if list(left) != [events, *places, *summed] or list(target) != [events, *places, *new]:
        return None
    matrices = constant.transpose([right.index(c) for c in places + summed + new])
    if matrices.shape[: len(places) + len(summed)] != tuple(a.shape[1:]):
        return None
    lengths = matrices.shape[: len(places)]
    row = int(np.prod(matrices.shape[len(places) : len(places) + len(summed)]))
    value = graph.reshape(a, [a.shape[0], *lengths, 1, row])
    product = matrix_product(graph, value, graph.constant(matrices.reshape(*lengths, row, -1)))
    return graph.reshape(product, shape)


def _as_batched_product(graph: Graph, equation: str, operands: list[Tensor]) -> Tensor | None:
    """A contraction of two tensors as Transpose, MatMul, Transpose; None where it is none."""
    if len(operands) != 2 or "." in equation:
        return None
    sources, target = equation.split("->")
    left, right = sources.split(",")
    if any(len(set(letters)) != len(letters) for letters in (left, right, target)):
        return None
    a, b = operands
    summed = [c for c in left if c in right and c not in target]
    if not summed or any(c not in target and c not in summed for c in left + right):
        return None
    both = [c for c in target if c in left and c in right]
    rows, columns = ([c for c in target if c in side and c not in both] for side in (left, right))
    sizes = dict(zip(right, b.shape, strict=True)) | dict(zip(left, a.shape, strict=True))
    for letters, tensor in ((left, a), (right, b)):  # a constant has one row for all events
        for letter, size in zip(letters, tensor.shape, strict=True):
            sizes[letter] = max(sizes[letter], size)
            if size == 1 < sizes[letter] and letter not in both:
                return None
    a = graph.transpose(a, [left.index(c) for c in both + rows + summed])
    b = graph.transpose(b, [right.index(c) for c in both + summed + columns])
    length = int(np.prod([sizes[c] for c in summed]))
    kept = [sizes[c] for c in rows]
    if both:
        kept = [int(np.prod(kept))]
    a = graph.reshape(a, [*a.shape[: len(both)], *kept, length])
    width = int(np.prod([sizes[c] for c in columns]))
    b = graph.reshape(b, [*b.shape[: len(both)], length, width])
    product = matrix_product(graph, a, b)
    order = both + rows + columns
    product = graph.reshape(product, [sizes[c] for c in order])
    return graph.transpose(product, [order.index(c) for c in target])


@op_rule("Einsum")
def einsum(graph: Graph, call: Call, *operands: Any, **_options: Any) -> Tensor:
    equation = call.operation.subscripts.replace(" ", "")
    tensors = [graph.tensor(operand, call.dtype) for operand in operands]
    if "->" not in equation:
        letters = sorted(c for c in set(equation) if c.isalpha() and equation.count(c) == 1)
        equation = f"{equation}->{'...' if '...' in equation else ''}{''.join(letters)}"
    return _contract(graph, equation, tensors, call.shape)


def _letters(rank: int, first: int) -> str:
    if first + rank > 26:
        raise UnsupportedOperationError("tensors with more than 26 axes in total cannot be contracted.")
    return "".join(chr(ord("a") + first + i) for i in range(rank))


@op_rule("Tensordot", "Inner", "Dot")
def tensordot(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    a, b = graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype)
    name = type(call.operation).__name__
    if name == "Dot" and (a.rank == 0 or b.rank == 0):
        return graph.node("Mul", a, b)
    axes = call.operation.axes if name == "Tensordot" else ([a.rank - 1], [b.rank - 1])
    if name == "Dot" and b.rank > 1:
        axes = ([a.rank - 1], [b.rank - 2])
    if isinstance(axes, int):
        axes = (list(range(a.rank - axes, a.rank)), list(range(axes)))
    pairs = [[int(i) % t.rank for i in np.atleast_1d(side)] for side, t in zip(axes, (a, b), strict=True)]
    left, right = _letters(a.rank, 0), list(_letters(b.rank, a.rank))
    for i, j in zip(*pairs, strict=True):
        right[j] = left[i]
    rest = [c for i, c in enumerate(left) if i not in pairs[0]] + [
        c for j, c in enumerate(right) if j not in pairs[1]
    ]
    return _contract(graph, f"{left},{''.join(right)}->{''.join(rest)}", [a, b], call.shape)


@op_rule("Outer")
def outer(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    a, b = graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype)
    column = graph.reshape(a, [int(np.prod(a.shape)), 1])
    row = graph.reshape(b, [1, int(np.prod(b.shape))])
    return graph.node("Mul", column, row)
