"""Rules for products with constant matrices."""

from __future__ import annotations

import math

import numpy as np

from hepml_root.export.cpp_elementwise import constant, floats
from hepml_root.export.cpp_expression import Call, Load, Weight, broadcast
from hepml_root.export.cpp_graph import Lowering, Node, Tensor, rule
from hepml_root.export.cpp_steps import Dense, Map


@rule("Gemm")
def gemm(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    floats(node, [source])
    if node.attributes.get("transA", 0):
        raise node.refuse("transA=1 would mix events.")
    matrix = constant(node, node.constant(1, "the matrix")).astype(np.float64)
    matrix = (matrix.T if node.attributes.get("transB", 0) else matrix) * node.attributes.get("alpha", 1.0)
    bias = np.zeros(matrix.shape[1])
    if node.optional(2) is not None:
        given = constant(node, node.constant(2, "the bias")) * np.float64(node.attributes.get("beta", 1.0))
        if given.ndim == 2 and given.shape[0] != 1:
            raise node.refuse(f"a bias of shape {given.shape} has a value per event of the batch.")
        bias = np.broadcast_to(given.reshape(-1), bias.shape) if given.size in (1, bias.size) else given
    return product(node, lowering, source, matrix, bias)


@rule("MatMul")
def matmul(node: Node, lowering: Lowering) -> list[Tensor]:
    source = node.tensor()
    floats(node, [source])
    matrix = constant(node, node.constant(1, "the right-hand matrix"))
    if matrix.ndim != 2:
        raise node.refuse(f"a constant with {matrix.ndim} axes; a matrix is taken.")
    return product(node, lowering, source, matrix, np.zeros(matrix.shape[1]))


def product(
    node: Node, lowering: Lowering, source: Tensor, matrix: np.ndarray, bias: np.ndarray
) -> list[Tensor]:
    """Add the product of the last axis with a constant matrix (inputs, neurons)."""
    if not source.shape or source.shape[-1] != matrix.shape[0] or bias.shape != (matrix.shape[1],):
        raise node.refuse(f"shapes {source.shape}, {matrix.shape} and {bias.shape} do not fit.")
    rows = math.prod(source.shape[:-1])
    step = Dense(source, matrix.astype(np.float32), bias.astype(np.float32), rows)
    return [lowering.add(step, (*source.shape[:-1], matrix.shape[1]))]


@rule("BatchNormalization")
def batch_normalization(node: Node, lowering: Lowering) -> list[Tensor]:
    """At inference a scale and a shift per channel; the channel is the first axis after the batch."""
    source = node.tensor()
    floats(node, [source])
    if node.attributes.get("training_mode", 0):
        raise node.refuse("training_mode=1 would mix events.")
    if not source.shape:
        raise node.refuse("its input has no channel axis.")
    scale, shift, mean, variance = (
        constant(node, node.constant(i, "a parameter")).astype(np.float64) for i in range(1, 5)
    )
    factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    channels = (-1,) + (1,) * (len(source.shape) - 1)
    how = broadcast((source.shape[0],) + (1,) * (len(source.shape) - 1), source.shape)
    arrays = [part.reshape(channels).astype(np.float32) for part in (factor, shift - mean * factor)]
    expression = Call("{0} * {1} + {2}", (Load(source), *(Weight(array, how) for array in arrays)))
    return [lowering.add(Map(source.size, expression), source.shape)]
