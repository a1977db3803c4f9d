"""Rules for products of rows with one constant matrix: the dense layer."""

from __future__ import annotations

import math

import numpy as np

from hepml_root.export.cpp.elementwise import constant, elementwise, floats
from hepml_root.export.cpp.expression import Call, Load, Number
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, Value, rule
from hepml_root.export.cpp.matmul import Side, multiply
from hepml_root.export.cpp.moves import numbered
from hepml_root.export.cpp.steps import Dense, Map
from hepml_root.export.cpp.weights import number


@rule("Gemm")
def gemm(node: Node, lowering: Lowering) -> list[Tensor]:
    """alpha A B + beta C, with A, B or C of the events where that leaves the events apart."""
    left, right = (_matrix(node, i) for i in (0, 1))
    if node.batched and (not isinstance(left.value, Tensor) or isinstance(right.value, Tensor)):
        raise node.refuse("multiplies with a matrix of the events, which would mix them.")
    alpha, beta = (float(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    given: Value | None = node.optional(2)
    if isinstance(right.value, np.ndarray) and isinstance(left.value, Tensor):
        right = Side(right.value * np.float64(alpha), right.places)
        alpha = 1.0
        bias = _bias(node, given, right.places.shape[1], beta)
        if bias is not None:
            return [_rows(node, dense(node, lowering, left, right, bias))]
    result = _rows(node, multiply(node, lowering, left, right))
    if alpha != 1.0:
        scaled = Call("{0} * {1}", (Load(result), Number(alpha)))
        result = lowering.add(Map(result.size, scaled), result.shape)
    if given is None:
        return [result]
    floats(node, [given])
    formula = "{0} + {1}" if beta == 1.0 else f"{{0}} + {{1}} * at.scalar({number(beta)})"
    if isinstance(given, Tensor) and len(given.shape) < len(result.shape):  # in static models only
        given = Tensor(given.step, (1, *given.shape), given.kind, given.offset)
    return elementwise(node, lowering, formula, [result, given])


def _matrix(node: Node, index: int) -> Side:
    """Return A or B of a Gemm, transposed where the node says so."""
    value = node.inputs[index]
    if isinstance(value, Tensor):
        floats(node, [value])
        places = numbered(value).reshape((1,) * node.leading + value.shape)
    else:
        value = constant(node, node.constant(index, "the matrix"))
        places = np.arange(value.size).reshape(value.shape)
    if places.ndim != 2:
        raise node.refuse(f"a factor of {places.ndim} axes; matrices are taken.")
    if node.attributes.get("transA" if index == 0 else "transB", 0):
        if node.batched and isinstance(value, Tensor):
            raise node.refuse("transA=1 would mix events.")
        places = places.T
    return Side(value, places)


def _rows(node: Node, result: Tensor) -> Tensor:
    """Return a product of matrices without its axis of events."""
    return Tensor(result.step, result.shape[node.leading :], "float", result.offset)


def _bias(node: Node, given: Value | None, neurons: int, beta: float) -> np.ndarray | None:
    """Return C as a bias of the neurons, or None if it is no such thing."""
    if given is None:
        return np.zeros(neurons)
    if not isinstance(given, np.ndarray):
        return None
    array = constant(node, given) * np.float64(beta)
    if array.ndim == 2 and array.shape[0] != 1:
        if node.batched:
            raise node.refuse(f"a bias of shape {array.shape} has a value per event of the batch.")
        return None
    return np.broadcast_to(array.reshape(-1), (neurons,))


def dense(node: Node, lowering: Lowering, left: Side, right: Side, bias: np.ndarray) -> Tensor:
    """Add the product of the rows of a value with a constant matrix (inputs, neurons)."""
    if right.places.ndim != 2:
        raise node.refuse(f"shapes {left.places.shape} and {right.places.shape} do not fit.")
    return product(node, lowering, left.tensor(lowering), right.array(), bias)[0]


def product(
    node: Node, lowering: Lowering, source: Tensor, matrix: np.ndarray, bias: np.ndarray
) -> list[Tensor]:
    """Add the product of the last axis with a constant matrix (inputs, neurons)."""
    if not source.shape or source.shape[-1] != matrix.shape[0] or bias.shape != (matrix.shape[1],):
        raise node.refuse(f"shapes {source.shape}, {matrix.shape} and {bias.shape} do not fit.")
    rows = math.prod(source.shape[:-1])
    step = Dense(source, matrix.astype(np.float32), bias.astype(np.float32), rows)
    return [lowering.add(step, (*source.shape[:-1], matrix.shape[1]))]
