"""Export rules of element-wise `keras.ops`: arithmetic, comparison, logic, elementary functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hepml_root.errors import UnsupportedOperationError
from hepml_root.export.onnx.graph import Graph, Tensor
from hepml_root.export.onnx.rules import Call, op_rule

_UNARY = {
    "Abs": "Abs", "Absolute": "Abs", "Fabs": "Abs", "Negative": "Neg", "Sign": "Sign", "Floor": "Floor",
    "Ceil": "Ceil", "Exp": "Exp", "Log": "Log", "Sqrt": "Sqrt", "Reciprocal": "Reciprocal", "Erf": "Erf",
    "Sin": "Sin", "Cos": "Cos", "Tan": "Tan", "Arcsin": "Asin", "Arccos": "Acos", "Arctan": "Atan",
    "Sinh": "Sinh", "Cosh": "Cosh", "Tanh": "Tanh", "Arcsinh": "Asinh", "Arccosh": "Acosh",
    "Arctanh": "Atanh",
}  # fmt: skip
_ARITHMETIC = {
    "Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div", "TrueDivide": "Div",
    "Maximum": "Max", "Minimum": "Min", "Power": "Pow",
}  # fmt: skip
_COMPARISON = {
    "Greater": "Greater", "GreaterEqual": "GreaterOrEqual", "Less": "Less", "LessEqual": "LessOrEqual",
    "Equal": "Equal", "NotEqual": "Equal",
}  # fmt: skip
_LOGIC = {"LogicalAnd": "And", "LogicalOr": "Or", "LogicalXor": "Xor"}
_FACTORS = {"Deg2rad": math.pi / 180, "Rad2deg": 180 / math.pi}
_LOG_BASES = {"Log2": math.log(2.0), "Log10": math.log(10.0)}


def scalar(graph: Graph, value: float, dtype: str = "float32") -> Tensor:
    return graph.constant(np.asarray(value, dtype=dtype), dtype)


def common_type(*values: Any) -> str:
    """The type Keras promotes operands to (numbers in Python adapt to the tensors)."""
    import keras

    kinds = [value.dtype if hasattr(value, "dtype") else type(value) for value in values]
    kind = keras.backend.result_type(
        *(k if isinstance(k, type) else keras.backend.standardize_dtype(k) for k in kinds)
    )
    return "float32" if kind == "float64" else kind


@op_rule(*_UNARY)
def unary(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node(_UNARY[type(call.operation).__name__], graph.tensor(x, call.dtype))


@op_rule(*_ARITHMETIC)
def arithmetic(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    op = _ARITHMETIC[type(call.operation).__name__]
    if call.dtype == "bool":  # NumPy's meaning of + and × for truth values
        op = {"Add": "Or", "Max": "Or", "Mul": "And", "Min": "And"}.get(op, op)
    return graph.node(op, graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype))


@op_rule(*_COMPARISON)
def comparison(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    name = type(call.operation).__name__
    dtype = common_type(x1, x2)
    if dtype == "bool" and name not in ("Equal", "NotEqual"):
        dtype = "int32"
    result = graph.node(_COMPARISON[name], graph.tensor(x1, dtype), graph.tensor(x2, dtype), dtype="bool")
    return graph.node("Not", result) if name == "NotEqual" else result


def truth(graph: Graph, x: Any) -> Tensor:
    """``x`` as true or false; a number is true if it is not zero."""
    tensor = graph.tensor(x)
    return graph.cast(tensor, "bool")


@op_rule(*_LOGIC)
def logic(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    return graph.node(_LOGIC[type(call.operation).__name__], truth(graph, x1), truth(graph, x2))


@op_rule("LogicalNot")
def logical_not(graph: Graph, _call: Call, x: Any) -> Tensor:
    return graph.node("Not", truth(graph, x))


@op_rule("Where")
def where(graph: Graph, call: Call, condition: Any, x1: Any = None, x2: Any = None) -> Tensor:
    if x1 is None or x2 is None:
        raise UnsupportedOperationError(
            f"{graph.where()}: keras.ops.where without values gives a list of unknown length and cannot be "
            "exported. "
            "Give it the two values to choose between."
        )
    left, right = graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype)
    chosen = truth(graph, condition)
    shape = np.broadcast_shapes(chosen.shape, left.shape, right.shape)
    return graph.node("Where", chosen, left, right, shape=shape, dtype=call.dtype)


@op_rule("Clip")
def clip(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    low, high = (graph.tensor(bound, call.dtype) for bound in (call.operation.x_min, call.operation.x_max))
    if low.rank == 0 and high.rank == 0 and low.value is not None and high.value is not None:
        return graph.node("Clip", value, low, high)
    return graph.node("Min", graph.node("Max", value, low), high)


@op_rule("Cast", "SaturateCast", "ConvertToTensor", "View")
def cast(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.tensor(x, call.dtype)


@op_rule("Copy", "StopGradient", "Real", "Conjugate")
def unchanged(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.tensor(x, call.dtype)


@op_rule("Square")
def square(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    return graph.node("Mul", value, value)


@op_rule("Rsqrt")
def reciprocal_square_root(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("Reciprocal", graph.node("Sqrt", graph.tensor(x, call.dtype)))


@op_rule("Cbrt")
def cube_root(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    root = graph.node("Pow", graph.node("Abs", value), scalar(graph, 1.0 / 3.0))
    return graph.node("Mul", graph.node("Sign", value), root)


@op_rule("Round")
def rounded(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    if not value.dtype.startswith("float"):
        return value
    if call.operation.decimals == 0:
        return graph.node("Round", value)
    factor = scalar(graph, 10.0**call.operation.decimals)
    return graph.node("Div", graph.node("Round", graph.node("Mul", value, factor)), factor)


@op_rule("Trunc")
def truncated(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    if not value.dtype.startswith("float"):
        return value
    return graph.node("Mul", graph.node("Sign", value), graph.node("Floor", graph.node("Abs", value)))


@op_rule(*_LOG_BASES)
def log_of_base(graph: Graph, call: Call, x: Any) -> Tensor:
    logarithm = graph.node("Log", graph.tensor(x, call.dtype))
    return graph.node("Mul", logarithm, scalar(graph, 1.0 / _LOG_BASES[type(call.operation).__name__]))


@op_rule("Log1p")
def log1p(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("Log", graph.node("Add", graph.tensor(x, call.dtype), scalar(graph, 1.0)))


@op_rule("Expm1")
def expm1(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("Sub", graph.node("Exp", graph.tensor(x, call.dtype)), scalar(graph, 1.0))


@op_rule("Exp2")
def exp2(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("Exp", graph.node("Mul", graph.tensor(x, call.dtype), scalar(graph, math.log(2.0))))


@op_rule("Erfc")
def erfc(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node("Sub", scalar(graph, 1.0), graph.node("Erf", graph.tensor(x, call.dtype)))


# Coefficients of M. Giles, "Approximating the erfinv function" (GPU Computing Gems, 2011), highest power
# first.
_ERFINV_CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
_ERFINV_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
    -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip


@op_rule("Erfinv")
def erfinv(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    one = scalar(graph, 1.0)
    product = graph.node("Mul", graph.node("Sub", one, value), graph.node("Add", one, value))
    w = graph.node("Neg", graph.node("Log", product))

    def polynomial(coefficients: tuple[float, ...], variable: Tensor) -> Tensor:
        total = scalar(graph, coefficients[0])
        for coefficient in coefficients[1:]:
            total = graph.node("Add", graph.node("Mul", total, variable), scalar(graph, coefficient))
        return total

    centre = polynomial(_ERFINV_CENTRE, graph.node("Sub", w, scalar(graph, 2.5)))
    tail = polynomial(_ERFINV_TAIL, graph.node("Sub", graph.node("Sqrt", w), scalar(graph, 3.0)))
    near = graph.node("Less", w, scalar(graph, 5.0), dtype="bool")
    chosen = graph.node("Where", near, centre, tail, dtype="float32")
    finite = graph.node("Mul", chosen, value)
    # At ±1 the polynomial would be evaluated at infinity: NaN instead of the infinity that is meant.
    edge = graph.node("Equal", graph.node("Abs", value), one, dtype="bool")
    infinite = graph.node("Mul", value, scalar(graph, math.inf))
    return graph.node("Where", edge, infinite, finite, dtype="float32")


@op_rule(*_FACTORS)
def angle_unit(graph: Graph, call: Call, x: Any) -> Tensor:
    return graph.node(
        "Mul", graph.tensor(x, call.dtype), scalar(graph, _FACTORS[type(call.operation).__name__])
    )


@op_rule("Arctan2")
def arctan2(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    y, x = graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype)
    zero = scalar(graph, 0.0)
    left = graph.node("Less", x, zero, dtype="bool")
    below = graph.node("Less", y, zero, dtype="bool")
    half_turn = graph.node("Where", below, scalar(graph, -math.pi), scalar(graph, math.pi), dtype="float32")
    ratio = graph.node("Atan", graph.node("Div", y, x))
    turned = graph.node("Where", left, graph.node("Add", ratio, half_turn), ratio, dtype="float32")
    origin = graph.node(
        "And", graph.node("Equal", x, zero, dtype="bool"), graph.node("Equal", y, zero, dtype="bool")
    )
    return graph.node("Where", origin, zero, turned, dtype="float32")


@op_rule("Hypot")
def hypot(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    squares = [graph.node("Mul", t, t) for t in (graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype))]
    return graph.node("Sqrt", graph.node("Add", *squares))


@op_rule("Logaddexp")
def logaddexp(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    a, b = graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype)
    distance = graph.node("Neg", graph.node("Abs", graph.node("Sub", a, b)))
    return graph.node("Add", graph.node("Max", a, b), graph.node("Softplus", distance))


@op_rule("FloorDivide")
def floor_divide(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    quotient = graph.node("Div", graph.tensor(x1, "float32"), graph.tensor(x2, "float32"))
    return graph.cast(graph.node("Floor", quotient), call.dtype)


@op_rule("Mod")
def modulo(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    a, b = graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype)
    if not call.dtype.startswith("float"):
        return graph.node("Mod", a, b)
    return graph.node("Sub", a, graph.node("Mul", graph.node("Floor", graph.node("Div", a, b)), b))


@op_rule("Fmod")
def c_modulo(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    return graph.node("Mod", graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype), fmod=1)


@op_rule("DivideNoNan")
def divide_or_zero(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    a, b = graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype)
    zero = scalar(graph, 0.0)
    nothing = graph.node("Equal", b, zero, dtype="bool")
    quotient = graph.node("Div", a, b)
    return graph.node("Where", nothing, zero, quotient, shape=quotient.shape, dtype="float32")


@op_rule("Isnan")
def is_nan(graph: Graph, _call: Call, x: Any) -> Tensor:
    return graph.node("IsNaN", graph.tensor(x, "float32"), dtype="bool")


@op_rule("Isinf")
def is_infinite(graph: Graph, _call: Call, x: Any) -> Tensor:
    return graph.node("IsInf", graph.tensor(x, "float32"), dtype="bool")


@op_rule("Isposinf", "Isneginf")
def is_one_infinity(graph: Graph, call: Call, x: Any) -> Tensor:
    infinity = math.inf if type(call.operation).__name__ == "Isposinf" else -math.inf
    return graph.node("Equal", graph.tensor(x, "float32"), scalar(graph, infinity), dtype="bool")


@op_rule("Isfinite")
def is_finite(graph: Graph, _call: Call, x: Any) -> Tensor:
    # Comparisons with NaN are false, so this one comparison is false for NaN and for both infinities.
    magnitude = graph.node("Abs", graph.tensor(x, "float32"))
    return graph.node("Less", magnitude, scalar(graph, math.inf), dtype="bool")


@op_rule("NanToNum")
def nan_to_num(graph: Graph, call: Call, x: Any) -> Tensor:
    value = graph.tensor(x, call.dtype)
    largest = float(np.finfo(np.float32).max)
    replacements = (
        (graph.node("IsNaN", value, dtype="bool"), call.operation.nan, 0.0),
        (graph.node("Equal", value, scalar(graph, math.inf), dtype="bool"), call.operation.posinf, largest),
        (graph.node("Equal", value, scalar(graph, -math.inf), dtype="bool"), call.operation.neginf, -largest),
    )
    for condition, replacement, default in replacements:
        number = graph.tensor(default if replacement is None else replacement, "float32")
        value = graph.node("Where", condition, number, value, shape=value.shape, dtype="float32")
    return value


@op_rule("Heaviside")
def heaviside(graph: Graph, call: Call, x1: Any, x2: Any) -> Tensor:
    value, at_zero = graph.tensor(x1, call.dtype), graph.tensor(x2, call.dtype)
    zero = scalar(graph, 0.0)
    step = graph.node(
        "Where", graph.node("Greater", value, zero, dtype="bool"), scalar(graph, 1.0), zero, dtype="float32"
    )
    here = graph.node("Equal", value, zero, dtype="bool")
    return graph.node("Where", here, at_zero, step, dtype="float32")


@op_rule("Isclose")
def is_close(graph: Graph, call: Call, x1: Any, x2: Any, rtol: Any = 1e-5, atol: Any = 1e-8) -> Tensor:
    if call.operation.equal_nan:
        raise UnsupportedOperationError(
            f"{graph.where()}: keras.ops.isclose with equal_nan=True cannot be exported."
        )
    a, b = graph.tensor(x1, "float32"), graph.tensor(x2, "float32")
    bound = graph.node("Mul", graph.node("Abs", b), graph.tensor(rtol, "float32"))
    bound = graph.node("Add", bound, graph.tensor(atol, "float32"))
    return graph.node("LessOrEqual", graph.node("Abs", graph.node("Sub", a, b)), bound, dtype="bool")
