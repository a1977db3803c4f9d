"""Rules for operators of integers: remainders and bits, with engine/integers.hxx."""

from __future__ import annotations

import numpy as np

from hepml_root.export.cpp.elementwise import elementwise, floats, given, integer
from hepml_root.export.cpp.graph import Lowering, Node, Tensor, rule

BITWISE = {"BitwiseAnd": "and", "BitwiseOr": "or", "BitwiseXor": "xor"}


@rule("Mod")
def remainder(node: Node, lowering: Lowering) -> list[Tensor]:
    name = "remainder" if node.attributes.get("fmod", 0) else "modulus"
    kind = "float" if integer(node) is None else "int"
    if kind == "float":
        floats(node, given(node))
    return elementwise(node, lowering, f"engine::{name}({{0}}, {{1}})", given(node), kind, ("integers",))


@rule("BitShift")
def bit_shift(node: Node, lowering: Lowering) -> list[Tensor]:
    dtype, direction = integer(node), node.attributes["direction"]
    if dtype is None or direction not in (b"LEFT", b"RIGHT"):
        raise node.refuse(f"shifts {dtype} in the direction {direction!r}.")
    name = "shifted_left" if direction == b"LEFT" else "shifted_right"
    bits = f"{8 * dtype.itemsize}, {'true' if dtype.kind == 'i' else 'false'}"
    return elementwise(node, lowering, f"engine::{name}<{bits}>({{0}}, {{1}})", given(node), "int")


@rule(*BITWISE)
def bitwise(node: Node, lowering: Lowering) -> list[Tensor]:
    formula = f"engine::bitwise_{BITWISE[node.operator]}({{0}}, {{1}})"
    return elementwise(node, lowering, formula, given(node), "int")


@rule("BitwiseNot")
def bitwise_not(node: Node, lowering: Lowering) -> list[Tensor]:
    dtype = integer(node)
    if dtype is None or (dtype.kind == "u" and dtype.itemsize > 2):
        raise node.refuse(f"its result as {dtype} is above 2^24, which floats do not hold exactly.")
    formula = "-1.0f - {0}" if dtype.kind == "i" else f"{np.iinfo(dtype).max}.0f - {{0}}"
    return elementwise(node, lowering, formula, given(node), "int")
