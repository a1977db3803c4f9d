"""Element-wise formulas: small trees that become the body of one loop, or the end of a product.

A formula is made of :class:`Load` (a value of the event), :class:`Weight` (a constant array),
:class:`Number`, :class:`Call` and :class:`Sum` (the sum that a product has just computed). Broadcasting is
part of loads and weights: ``extents`` and ``strides`` say how the output's index becomes theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hepml_root.export.cpp.weights import Weights, number

if TYPE_CHECKING:
    from hepml_root.export.cpp.graph import Tensor


class Expression:
    """Base of the parts of a formula; compared by identity, so that shared parts are computed once."""


@dataclass(eq=False, frozen=True)
class Broadcast:
    """How the index of an output becomes that of an operand with fewer axes."""

    extents: tuple[int, ...]
    strides: tuple[int, ...]

    def indices(self) -> np.ndarray:
        """Return the index of the operand for every index of the output.

        >>> Broadcast((2, 3), (0, 1)).indices()
        array([0, 1, 2, 0, 1, 2])
        """
        result = np.zeros(1, np.int64)
        for extent, stride in zip(self.extents, self.strides, strict=True):
            result = (result[:, None] + stride * np.arange(extent)).ravel()
        return result

    def code(self) -> str:
        extents, strides = (", ".join(map(str, numbers)) for numbers in (self.extents, self.strides))
        return f"engine::Broadcast<engine::Extent<{extents}>, engine::Stride<{strides}>>{{}}"


@dataclass(eq=False, frozen=True)
class Load(Expression):
    tensor: Tensor
    broadcast: Broadcast | None = None


@dataclass(eq=False, frozen=True)
class Weight(Expression):
    array: np.ndarray
    broadcast: Broadcast | None = None


@dataclass(eq=False, frozen=True)
class Number(Expression):
    value: float


@dataclass(eq=False, frozen=True)
class Call(Expression):
    """``formula`` is C++ with ``{0}``, ``{1}``, … for the arguments.

    ``headers`` are those of the engine that it needs beside functions.hxx.
    """

    formula: str
    arguments: tuple[Expression, ...]
    headers: tuple[str, ...] = ()


@dataclass(eq=False, frozen=True)
class Sum(Expression):
    """What a product hands to its epilogue."""


def broadcast(shape: tuple[int, ...], out: tuple[int, ...]) -> Broadcast | None:
    """Return how an operand of ``shape`` is read for an output of shape ``out``; None if element by element.

    Neighbouring axes that are walked in one go are merged.

    >>> broadcast((4,), (3, 4)).code()
    'engine::Broadcast<engine::Extent<3, 4>, engine::Stride<0, 1>>{}'
    """
    full = (1,) * (len(out) - len(shape)) + tuple(shape)
    if full == tuple(out):
        return None
    strides: list[int] = []
    step = 1
    for length in reversed(full):
        strides.insert(0, 0 if length == 1 else step)
        step *= length
    merged: list[list[int]] = []
    for extent, stride in zip(out, strides, strict=True):
        if extent == 1:
            continue
        if merged and merged[-1][1] == stride * extent:
            merged[-1] = [merged[-1][0] * extent, stride]
        else:
            merged.append([extent, stride])
    return Broadcast(tuple(m[0] for m in merged), tuple(m[1] for m in merged))


def parts(expression: Expression) -> Iterator[Expression]:
    """Yield an expression and everything in it, each once."""
    seen: set[int] = set()
    todo = [expression]
    while todo:
        current = todo.pop()
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            if isinstance(current, Call):
                todo.extend(current.arguments)


def headers(expression: Expression) -> tuple[str, ...]:
    """Return the headers of the engine that an expression needs."""
    named = [part.headers for part in parts(expression) if isinstance(part, Call)]
    return ("functions", *dict.fromkeys(header for some in named for header in some))


def loads(expression: Expression) -> list[Load]:
    """Return the loads in an expression."""
    return [part for part in parts(expression) if isinstance(part, Load)]


def replace(expression: Expression, change: Callable[[Expression], Expression | None]) -> Expression:
    """Return the expression with every part for which ``change`` gives another one replaced."""
    done: dict[int, Expression] = {}

    def walk(current: Expression) -> Expression:
        if id(current) not in done:
            new = change(current)
            if new is None and isinstance(current, Call):
                arguments = tuple(walk(argument) for argument in current.arguments)
                new = Call(current.formula, arguments, current.headers)
            done[id(current)] = current if new is None else new
        return done[id(current)]

    return walk(expression)


def redirected(expression: Expression, moved: Callable[[Tensor], Tensor]) -> Expression:
    """Return the expression with the value of every load replaced by what ``moved`` makes of it."""

    def change(part: Expression) -> Expression | None:
        if isinstance(part, Load) and moved(part.tensor) is not part.tensor:
            return Load(moved(part.tensor), part.broadcast)
        return None

    return replace(expression, change)


def emit(expression: Expression, place: Callable[[Tensor], str], weights: Constants) -> list[str]:
    """Return the C++ statements of a function body that computes an expression, the last one returning it."""
    names: dict[int, str] = {}
    statements: list[str] = []

    def walk(current: Expression) -> str:
        if id(current) in names:
            return names[id(current)]
        if isinstance(current, Sum):
            return "sum"
        if isinstance(current, Number):
            code = f"at.scalar({number(current.value)})"
        elif isinstance(current, Load):
            code = f"at.value({place(current.tensor)}{_second(current.broadcast)})"
        elif isinstance(current, Weight):
            code = f"at.constant({weights.code(current.array)}{_second(current.broadcast)})"
        elif isinstance(current, Call):
            code = current.formula.format(*[walk(argument) for argument in current.arguments])
        else:
            raise TypeError(type(current).__name__)
        names[id(current)] = f"t{len(names)}"
        statements.append(f"const auto {names[id(current)]} = {code};")
        return names[id(current)]

    result = walk(expression)
    return [*statements, f"return {result};"]


def functor(
    expression: Expression, place: Callable[[Tensor], str], weights: Weights, arguments: str = "At at"
) -> str:
    """Return C++ that makes the function object of an expression; ``arguments`` are those of its call.

    Its type holds the formula, its members the addresses: steps that differ in their addresses only have
    functions of the same type, so that the compiler sees the kernels which take them once.
    """
    members = _Members(weights)
    body = emit(expression, lambda tensor: members.name(place(tensor)), members)
    used = any("at." in line for line in body)
    arguments = arguments if used else re.sub(r"\bat\b", "", arguments).rstrip()
    code = [
        *(f"const float* {name};" for name in members.addresses.values()),
        f"template <{', '.join(f'class {kind}' for kind in re.findall(r'([A-Z][a-z]*) ', arguments + ' '))}>",
        f"HEPML_ROOT_INLINE auto operator()({arguments}) const {{",
        *(f"   {line}" for line in body),
        "}",
    ]
    return f"{weights.formula(chr(10).join(code))}{{{', '.join(members.addresses)}}}"


class Constants(Protocol):
    """Gives the C++ addresses of constants."""

    def code(self, array: np.ndarray) -> str: ...


class _Members:
    """Names for the addresses in a formula."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.addresses: dict[str, str] = {}

    def name(self, address: str) -> str:
        return self.addresses.setdefault(address, f"a{len(self.addresses)}")

    def code(self, array: np.ndarray) -> str:
        return self.name(self.weights.code(array))


def _second(how: Broadcast | None) -> str:
    return "" if how is None else f", {how.code()}"
