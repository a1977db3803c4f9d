"""Rules for operators that work element by element: arithmetic, comparison, logic, activations, casts.

Integers are held as floats. Those of all types are exact up to 2^24, and so are their sums, products and
quotients up to there; 8- and 16-bit results wrap around as the types do. Beyond 2^24 the results of 32- and
64-bit arithmetic are rounded like floats: indices and counts never come near, and constants that do are
refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from hepml_root.export.cpp.expression import Call, Expression, Load, Number, Weight, broadcast
from hepml_root.export.cpp.graph import Dimensions, Lowering, Node, Tensor, Value, check_size, rule
from hepml_root.export.cpp.steps import Map
from hepml_root.export.cpp.types import integer_formula, kind_of, kind_of_constant, wrapped

# Operators of one argument, as C++ of the engine (include/hepml_root/engine/functions.hxx).
UNARY = {
    "Ceil": "engine::ceil_of({0})",
    "Erf": "engine::error_function({0})",
    "Exp": "engine::exponential({0})",
    "Floor": "engine::floor_of({0})",
    "HardSwish": "engine::hard_swish({0})",
    "Log": "engine::logarithm({0})",
    "Mish": "engine::mish({0})",
    "Reciprocal": "1.0f / {0}",
    "Round": "engine::round_even({0})",
    "Sigmoid": "engine::sigmoid({0})",
    "Softplus": "engine::softplus({0})",
    "Softsign": "engine::softsign({0})",
    "Sqrt": "engine::square_root({0})",
    "Tanh": "engine::hyperbolic_tangent({0})",
    **{
        operator: f"engine::{function}({{0}})"
        for operator, function in {
            "Sin": "sine", "Cos": "cosine", "Tan": "tangent",
            "Asin": "arc_sine", "Acos": "arc_cosine", "Atan": "arc_tangent",
            "Sinh": "hyperbolic_sine", "Cosh": "hyperbolic_cosine",
            "Asinh": "area_sine", "Acosh": "area_cosine", "Atanh": "area_tangent",
        }.items()
    },
}  # fmt: skip

# The same for floats and integers.
EITHER = {
    "Abs": "engine::absolute({0})",
    "Neg": "-{0}",
    "Relu": "engine::relu({0})",
    "Sign": "engine::sign({0})",
}
BINARY = {"Add": "{0} + {1}", "Sub": "{0} - {1}", "Mul": "{0} * {1}", "Div": "{0} / {1}"}
COMPARISONS = {
    "Less": "engine::less({0}, {1})",
    "LessOrEqual": "engine::less_or_equal({0}, {1})",
    "Greater": "engine::less({1}, {0})",
    "GreaterOrEqual": "engine::less_or_equal({1}, {0})",
    "Equal": "engine::equal({0}, {1})",
}
LOGIC = {
    "And": "engine::logical_and({0}, {1})",
    "Or": "engine::logical_or({0}, {1})",
    "Xor": "engine::logical_xor({0}, {1})",
}
VARIADIC = {
    "Min": "engine::minimum({0}, {1})",
    "Max": "engine::maximum({0}, {1})",
    "Sum": "{0} + {1}",
    "Mean": "{0} + {1}",
}

# Activations with attributes: formula and the attributes' names with ONNX's defaults.
PARAMETRIC: dict[str, tuple[str, tuple[tuple[str, float], ...]]] = {
    "LeakyRelu": ("engine::leaky_relu({0}, {1})", (("alpha", 0.01),)),
    "Elu": ("engine::elu({0}, {1})", (("alpha", 1.0),)),
    "Celu": ("engine::celu({0}, {1})", (("alpha", 1.0),)),
    "Selu": (
        "engine::selu({0}, {1}, {2})",
        (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    ),
    "HardSigmoid": ("engine::hard_sigmoid({0}, {1}, {2})", (("alpha", 0.2), ("beta", 0.5))),
    "Shrink": ("engine::shrink({0}, {1}, {2})", (("bias", 0.0), ("lambd", 0.5))),
    "Swish": ("{0} * engine::sigmoid({1} * {0})", (("alpha", 1.0),)),
    "ThresholdedRelu": ("engine::thresholded_relu({0}, {1})", (("alpha", 1.0),)),
}

EXACT_INTEGERS = 1 << 24  # floats hold every integer up to here


def operand(node: Node, value: Value, out: tuple[int, ...]) -> Expression:
    """Return an input as part of a formula whose output has the shape ``out`` (of one event)."""
    if isinstance(value, Tensor):
        if node.batched and len(value.shape) != len(out):
            raise node.refuse(
                "its inputs have different numbers of axes, so that the batch would meet another axis."
            )
        return Load(value, broadcast(value.shape, out))
    if isinstance(value, Dimensions):
        raise node.refuse("computes with the number of events, which is not known.")
    array = node.aligned(constant(node, value), len(out))
    if array.size == 1:
        return Number(float(array.ravel()[0]))
    return Weight(array, broadcast(array.shape, out))


def constant(node: Node, array: np.ndarray) -> np.ndarray:
    """Return a constant as float32, or refuse one that floats cannot hold."""
    if array.dtype == np.float32:
        return array
    if kind_of(array.dtype) is not None:
        if array.size and np.abs(array.astype(np.float64)).max() > EXACT_INTEGERS:
            raise node.refuse("an integer constant above 2^24, which floats do not hold exactly.")
        return array.astype(np.float32)
    raise node.refuse(f"a constant of type {array.dtype}; float32 is taken.")


def output_shape(node: Node, values: Sequence[Value]) -> tuple[int, ...]:
    """Return the broadcast shape of some inputs, for one event."""
    at, batch = node.batch_axis, (1,) * node.leading
    shapes = [
        value.array.shape
        if isinstance(value, Dimensions)
        else (*value.shape[:at], *batch, *value.shape[at:])
        if isinstance(value, Tensor)
        else value.shape
        for value in values
    ]
    try:
        full = np.broadcast_shapes(*shapes)
    except ValueError:
        raise node.refuse(f"its inputs of shapes {shapes} cannot be broadcast.") from None
    if node.batched:
        rank = max(len(v.shape) + 1 for v in values if isinstance(v, Tensor))
        if len(full) != rank or full[at] != 1:
            raise node.refuse("a constant has more axes than the events' values, or several along the batch.")
    check_size(math.prod(full))
    return tuple(full[:at] + full[at + node.leading :])


def elementwise(
    node: Node,
    lowering: Lowering,
    formula: str,
    values: list[Value],
    kind: str = "float",
    headers: tuple[str, ...] = (),
) -> list[Tensor]:
    """Add one element-wise step over the broadcast inputs."""
    taken = {int(number) for number in re.findall(r"(?<!\{)\{(\d)\}", formula)} or {0}
    if len(values) != max(taken) + 1:
        raise node.refuse(f"{len(values)} inputs; it takes {max(taken) + 1}.")
    shape = output_shape(node, values)
    arguments = tuple(operand(node, value, shape) for value in values)
    expression = Call(formula, arguments, ("integers",) if integer(node) is not None else headers)
    return [lowering.add(Map(math.prod(shape), expression), shape, kind)]


def given(node: Node) -> list[Value]:
    return [value for value in node.inputs if value is not None]


def integer(node: Node) -> np.dtype | None:
    """Return the type in which a node computes with integers, or None if it computes with floats."""
    dtype = node.output_types[0] if node.output_types else None
    if dtype is None:
        tensors = [value for value in node.inputs if isinstance(value, Tensor)]
        return np.dtype(np.int64) if any(tensor.kind == "int" for tensor in tensors) else None
    return dtype if dtype.kind in "iu" else None


def floats(node: Node, values: list[Value]) -> None:
    """Refuse integer and bool values of the events where a float is computed."""
    for value in values:
        if isinstance(value, Tensor) and value.kind != "float":
            raise node.refuse(f"computes with {value.kind} values of the events; cast them to float.")


@rule(*UNARY)
def unary(node: Node, lowering: Lowering) -> list[Tensor]:
    floats(node, given(node))
    return elementwise(node, lowering, UNARY[node.operator], [node.tensor()])


@rule(*EITHER)
def unary_of_any_type(node: Node, lowering: Lowering) -> list[Tensor]:
    formula = wrapped(EITHER[node.operator], integer(node))
    return elementwise(node, lowering, formula, [node.tensor()], node.tensor().kind)


@rule(*BINARY)
def binary(node: Node, lowering: Lowering) -> list[Tensor]:
    dtype = integer(node)
    if dtype is None:
        values = given(node)
        floats(node, values)
        inverse = _inverse(values[1]) if node.operator == "Div" else None
        if inverse is not None:
            return elementwise(node, lowering, "engine::divided({0}, {1}, {2})", [*values, inverse])
        return elementwise(node, lowering, BINARY[node.operator], values)
    return elementwise(node, lowering, integer_formula(node.operator, dtype), given(node), "int")


def _inverse(divisor: Value) -> np.ndarray | None:
    """Return 1 / ``divisor`` if it is a constant whose inverse floats hold in all digits."""
    if not isinstance(divisor, np.ndarray) or divisor.dtype != np.float32 or not divisor.size:
        return None
    size = np.abs(divisor)
    return np.float32(1) / divisor if size.min() > 1e-37 and size.max() < 1e37 else None


@rule(*COMPARISONS)
def comparison(node: Node, lowering: Lowering) -> list[Tensor]:
    return elementwise(node, lowering, COMPARISONS[node.operator], given(node), "bool")


@rule(*LOGIC)
def logic(node: Node, lowering: Lowering) -> list[Tensor]:
    return elementwise(node, lowering, LOGIC[node.operator], given(node), "bool")


@rule("Not")
def negation(node: Node, lowering: Lowering) -> list[Tensor]:
    return elementwise(node, lowering, "engine::logical_not({0})", given(node), "bool")


@rule("IsNaN")
def is_nan(node: Node, lowering: Lowering) -> list[Tensor]:
    return elementwise(node, lowering, "engine::is_nan({0})", given(node), "bool")


@rule("IsInf")
def is_infinite(node: Node, lowering: Lowering) -> list[Tensor]:
    signs = (node.attributes.get("detect_negative", 1), node.attributes.get("detect_positive", 1))
    formula = {
        (1, 1): "engine::equal(engine::absolute({0}), at.scalar(engine::infinity))",
        (1, 0): "engine::equal({0}, at.scalar(-engine::infinity))",
        (0, 1): "engine::equal({0}, at.scalar(engine::infinity))",
        (0, 0): "at.scalar(0.0f)",
    }[signs]
    return elementwise(node, lowering, formula, given(node), "bool")


@rule(*VARIADIC)
def variadic(node: Node, lowering: Lowering) -> list[Tensor]:
    values = given(node)
    if integer(node) is None:
        floats(node, values)
    shape = output_shape(node, values)
    first, *rest = (operand(node, value, shape) for value in values)
    expression: Expression = first
    for other in rest:
        expression = Call(VARIADIC[node.operator], (expression, other))
    if node.operator == "Mean":
        expression = Call("{0} / {1}", (expression, Number(len(values))))
    kind = "float" if integer(node) is None else "int"
    return [lowering.add(Map(math.prod(shape), expression), shape, kind)]


@rule("Pow")
def power(node: Node, lowering: Lowering) -> list[Tensor]:
    base, exponent = node.inputs[0], node.inputs[1]
    if integer(node) is not None:
        return elementwise(node, lowering, "engine::integer_power({0}, {1})", given(node), "int")
    if isinstance(base, Tensor) and isinstance(exponent, np.ndarray) and exponent.size == 1:
        simple = {1.0: "{0}", 2.0: "{0} * {0}", 3.0: "{0} * {0} * {0}", 0.5: "engine::square_root({0})"}
        value = float(exponent.ravel()[0])
        if value in simple and exponent.ndim <= len(base.shape) + 1:
            return elementwise(node, lowering, simple[value], [base])
    return elementwise(node, lowering, "engine::power({0}, {1})", given(node))


@rule(*PARAMETRIC)
def parametric(node: Node, lowering: Lowering) -> list[Tensor]:
    floats(node, given(node))
    formula, attributes = PARAMETRIC[node.operator]
    source = node.tensor()
    numbers = tuple(Number(float(node.attributes.get(name, default))) for name, default in attributes)
    expression = Call(formula, (Load(source), *numbers))
    return [lowering.add(Map(source.size, expression), source.shape)]


@rule("PRelu")
def prelu(node: Node, lowering: Lowering) -> list[Tensor]:
    formula = wrapped("engine::leaky_relu({0}, {1})", integer(node))
    return elementwise(node, lowering, formula, given(node))


@rule("Gelu")
def gelu(node: Node, lowering: Lowering) -> list[Tensor]:
    floats(node, given(node))
    approximate = node.attributes.get("approximate", b"none")
    formulas = {b"none": "engine::gelu({0})", b"tanh": "engine::gelu_tanh({0})"}
    if approximate not in formulas:
        raise node.refuse(f"approximate={approximate!r}; 'none' and 'tanh' exist.")
    return elementwise(node, lowering, formulas[approximate], [node.tensor()])


@rule("Clip")
def clip(node: Node, lowering: Lowering) -> list[Tensor]:
    source, low, high = node.tensor(), node.optional(1), node.optional(2)
    # Where a bound is left out, the standard sets the largest finite number.
    largest = np.finfo(np.float32).max
    bounds: list[Value] = [
        np.array(-largest, np.float32) if low is None else low,
        np.array(largest, np.float32) if high is None else high,
    ]
    below, above = (operand(node, bound, source.shape) for bound in bounds)
    expression = Call("engine::clip_below({0}, {1})", (Load(source), below))
    expression = Call("engine::clip_above({0}, {1})", (expression, above))
    return [lowering.add(Map(source.size, expression), source.shape, source.kind)]


@rule("Where")
def where(node: Node, lowering: Lowering) -> list[Tensor]:
    kinds = {value.kind for value in node.inputs[1:] if isinstance(value, Tensor)}
    if len(kinds) > 1:
        raise node.refuse("chooses between values of different types.")
    kind = kinds.pop() if kinds else kind_of_constant(node.constant(1, "the value"))
    return elementwise(node, lowering, "engine::where({0}, {1}, {2})", given(node), kind)


@rule("Cast", "CastLike")
def cast(node: Node, lowering: Lowering) -> list[Tensor] | list[Value]:
    target = node.output_types[0]
    given_constant = node.optional(0)
    if isinstance(given_constant, np.ndarray) and target is not None:
        # CastLike, of whose second input only the type matters.
        constants: list[Value] = [given_constant.astype(target)]
        return constants
    source = node.tensor()
    kind = None if target is None else kind_of(target)
    if target is None or kind is None:
        raise node.refuse(f"casts to {target}; float, bool and integers are supported.")
    if kind == "float" or kind == source.kind == "bool":
        return [Tensor(source.step, source.shape, kind, source.offset)]
    if kind == "bool":
        return elementwise(node, lowering, "engine::not_zero({0})", [source], "bool")
    formula = "engine::truncate({0})" if source.kind == "float" else "{0}"
    came_from = node.dtype()
    if source.kind == "bool" or (came_from is not None and np.can_cast(came_from, target)):
        return [Tensor(source.step, source.shape, "int", source.offset)]
    return elementwise(node, lowering, wrapped(formula, target), [source], "int")
