"""The types of a model's values, as far as the generator tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx


def kind_of(dtype: np.dtype) -> str | None:
    """Return how values of a type are held in lanes: as "float", "bool" or "int"; None if they are not.

    >>> kind_of(np.dtype(np.int64)), kind_of(np.dtype(np.float64))
    ('int', None)
    """
    if dtype == np.float32:
        return "float"
    if dtype == np.bool_:
        return "bool"
    return "int" if dtype.kind in "iu" and dtype.name in _INTEGERS else None


def kind_of_constant(array: np.ndarray) -> str:
    """Return how the numbers of a constant are held, of whatever width they are."""
    return {"f": "float", "b": "bool"}.get(array.dtype.kind, "int")


# By name: the 4-bit integers that onnx adds to numpy say that they are integers, too.
_INTEGERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


@cache
def dtype_of(element: int) -> np.dtype | None:
    """Return the numpy type of a number of ``onnx.TensorProto.DataType``; None if there is none."""
    import onnx

    try:
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(element))
    except (KeyError, TypeError, ValueError):
        return None


@cache
def _written(text: str) -> np.dtype | None:
    """Return the type that a schema writes as "tensor(float)"."""
    import onnx

    name = text.removeprefix("tensor(").removesuffix(")").upper()
    number = onnx.TensorProto.DataType.Value(name) if name in onnx.TensorProto.DataType.keys() else 0  # noqa: SIM118
    return dtype_of(number) if number else None


def output_types(
    entry: onnx.NodeProto, opset: int, inputs: Sequence[np.dtype | None], attributes: dict[str, object]
) -> list[np.dtype | None]:
    """Return the types of a node's outputs, by the operator's definition and its inputs."""
    import onnx

    try:
        schema = onnx.defs.get_schema(entry.op_type, opset, entry.domain)
    except onnx.defs.SchemaError:
        return [None] * len(entry.output)
    bound: dict[str, np.dtype] = {}
    formal = schema.inputs
    for index, dtype in enumerate(inputs):
        if formal and dtype is not None:
            bound.setdefault(formal[min(index, len(formal) - 1)].type_str, dtype)
    named = attributes.get("to", attributes.get("dtype", 0))
    said = dtype_of(named) if isinstance(named, int) and named else None
    types: list[np.dtype | None] = []
    for index in range(len(entry.output)):
        if not schema.outputs:
            types.append(None)
            continue
        text = schema.outputs[min(index, len(schema.outputs) - 1)].type_str
        types.append(bound.get(text) or (_written(text) if "(" in text else said))
    return types


def wrapped(formula: str, dtype: np.dtype | None) -> str:
    """Return a formula whose result is brought into the range of an integer type, as the type itself does.

    Signed 32 and 64 bits are left as they are: floats do not hold what would have to be wrapped exactly.
    """
    if dtype is None or dtype.kind not in "iu" or (dtype.kind == "i" and dtype.itemsize > 2):
        return formula
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return f"engine::wrapped({formula}, {float(low)}f, {float(high) + 1}f)"


def integer_formula(operator: str, dtype: np.dtype) -> str:
    """Return the formula of an operation on two integers of a type."""
    bits = 8 * dtype.itemsize
    formula = {
        "Add": "{0} + {1}",
        "Sub": "{0} - {1}",
        "Mul": "engine::integer_product({0}, {1})" if bits == 16 else "{0} * {1}",
        "Div": "engine::truncate({0} / {1})",
    }[operator]
    return wrapped(formula, dtype)
