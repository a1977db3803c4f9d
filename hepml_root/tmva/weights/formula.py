"""Formulas of variables and spectators in a graph: the cuts of categories, the fold of an event.

Written as TTree::Draw and TFormula read them: ``abs(eta) <= 1.3 && pt > 20``,
``int(fabs([eventID])) % int([NumFolds])``. A name is the label or the expression of a variable or spectator,
in brackets or not. ``^`` is a power and ``1/2`` is 0.5; comparisons give 1 or 0. All is computed in float32,
where whole numbers are exact up to 2^24 = 16 777 216.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import ExpressionError, unknown
from hepml_root.tmva.weights.graph import Graph

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|\[(?P<bracket>[^\[\]]+)\]"
    r"|(?P<name>[A-Za-z_]\w*(?:(?:::|\.)[A-Za-z_]\w*)*)|(?P<sign>\|\||&&|[<>=!]=|[-+*/%^!<>?:(),]))"
)
_ONE = {
    "abs": "Abs", "fabs": "Abs", "sqrt": "Sqrt", "exp": "Exp", "log": "Log", "sin": "Sin", "cos": "Cos",
    "tan": "Tan", "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh",
    "tanh": "Tanh", "floor": "Floor", "ceil": "Ceil",
}  # fmt: skip
_TWO = {"min": "Min", "max": "Max", "pow": "Pow"}
_OWN = ("int", "log10", "sq")
_LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"))
_OPERATORS = {
    "==": "Equal", "<": "Less", "<=": "LessOrEqual", ">": "Greater", ">=": "GreaterOrEqual",
    "+": "Add", "-": "Sub", "*": "Mul", "/": "Div",
}  # fmt: skip
_DEEPEST = 80  # brackets count twice
Tree = tuple[Any, ...]  # (what, parts…)


@dataclass(frozen=True)
class Formula:
    """A formula that was read.

    Arguments
    ---------
    text
        As it was written.
    tree
        What it consists of.
    names
        The variables and spectators in it.

    Example
    -------
    >>> formula = read_formula("int(fabs([eventID])) % 3 == 1 && pt > 20")
    >>> formula.names
    ('eventID', 'pt')
    >>> formula.values({"eventID": [1, -4, 5], "pt": [30, 30, 30]}).tolist()
    [1.0, 1.0, 0.0]
    """

    text: str
    tree: Tree
    names: tuple[str, ...]

    def add_to(self, graph: Graph, columns: Mapping[str, str]) -> str:
        """Add the formula to a graph; return the name of its value ``(events, 1)``.

        Arguments
        ---------
        columns
            For each name the name of its value ``(events, 1)`` in the graph.

        Raises
        ------
        ExpressionError
            A name is none of these.
        """
        for name in self.names:
            if name not in columns:
                raise ExpressionError(f"'{self.text}': {unknown('variable or spectator', name, columns)}")
        return _add(graph, self.tree, columns)

    def values(self, columns: Mapping[str, NDArray[np.generic] | list[float]]) -> NDArray[np.float32]:
        """Return the value of each event ``(events,)``, as the graph computes it."""
        import onnxruntime

        graph = Graph("features")
        names = list(columns)
        places = {name: graph.columns("features", [place]) for place, name in enumerate(names)}
        arrays = [np.asarray(columns[name], np.float32) for name in names]
        # A formula of constants is one number: it is added to as many zeros as there are events.
        zeros = graph.add("Mul", places[names[0]], graph.constant(0.0))
        value = graph.add("Where", graph.add("IsNaN", zeros), graph.constant(0.0), zeros)
        model = graph.model(
            "formula", len(names), graph.add("Add", self.add_to(graph, places), value), "value", 1
        )
        session = onnxruntime.InferenceSession(model.SerializeToString())
        found: NDArray[np.float32] = session.run(None, {"features": np.stack(arrays, axis=1)})[0][:, 0]
        return found


def read_formula(text: str) -> Formula:
    """Read a formula; see the module for its form.

    Raises
    ------
    ExpressionError
        It is no formula, or has a function that is not known.
    """
    reader = _Reader(str(text))
    tree = reader.whole()
    return Formula(str(text).strip(), tree, tuple(dict.fromkeys(reader.names)))


class _Reader:
    """Reads one formula by descent through the levels of its operators."""

    def __init__(self, text: str) -> None:
        self.text, self.names = text, list[str]()
        self._tokens: list[tuple[str, str]] = []
        self._depth = 0
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None:
                raise self._error(f"'{text[place:].strip()[:20]}' is not understood")
            kind = str(found.lastgroup)
            self._tokens.append((kind, found[kind].strip()))
            place = found.end()

    def _error(self, why: str) -> ExpressionError:
        return ExpressionError(f"'{self.text.strip()}' is no formula: {why}.")

    def _next(self, *signs: str) -> str:
        """Take the next token if it is one of these signs; return it, or nothing."""
        if self._tokens and self._tokens[0][0] == "sign" and self._tokens[0][1] in signs:
            return self._tokens.pop(0)[1]
        return ""

    def _need(self, sign: str) -> None:
        if not self._next(sign):
            raise self._error(
                f"'{sign}' is missing" + (f" before '{self._tokens[0][1]}'" if self._tokens else "")
            )

    def whole(self) -> Tree:
        tree = self._choice()
        if self._tokens:
            raise self._error(f"'{self._tokens[0][1]}' was not expected")
        return tree

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error("it is nested too deeply")

    def _choice(self) -> Tree:
        self._deeper()
        tree = self._level(0)
        if self._next("?"):
            first = self._choice()
            self._need(":")
            tree = ("?", tree, first, self._choice())
        self._depth -= 1
        return tree

    def _level(self, level: int) -> Tree:
        if level == len(_LEVELS):
            return self._unary()
        tree = self._level(level + 1)
        while sign := self._next(*_LEVELS[level]):
            tree = (sign, tree, self._level(level + 1))
        return tree

    def _unary(self) -> Tree:
        signs = []
        while sign := self._next("-", "+", "!"):
            signs.append(sign)
        self._deeper()
        tree = self._atom()
        if self._next("^"):
            tree = ("pow", tree, self._unary())
        self._depth -= 1
        for sign in reversed(signs):
            tree = tree if sign == "+" else ("!" if sign == "!" else "negative", tree)
        return tree

    def _atom(self) -> Tree:
        if self._next("("):
            tree = self._choice()
            self._need(")")
            return tree
        if not self._tokens or self._tokens[0][0] == "sign":
            place = f"before '{self._tokens[0][1]}'" if self._tokens else "at its end"
            raise self._error(f"a number or a name is missing {place}")
        kind, token = self._tokens.pop(0)
        if kind == "number":
            return ("number", token)
        if kind == "name" and self._next("("):
            return self._call(token)
        self.names.append(token)
        return ("name", token)

    def _call(self, written: str) -> Tree:
        name = written.removeprefix("TMath::").removeprefix("std::")
        name = name.lower() if written.startswith("TMath::") else name
        known = (*_ONE, *_TWO, *_OWN)
        if name not in known:
            raise ExpressionError(f"'{self.text.strip()}': {unknown('function', written, known)}")
        parts = [self._choice()]
        while self._next(","):
            parts.append(self._choice())
        self._need(")")
        count = 2 if name in _TWO else 1
        if len(parts) != count:
            raise self._error(f"{written} takes {count} argument{'s' * (count > 1)}")
        return (name, *parts)


# ---- in the graph ----------------------------------------------------------------------------------------


def _add(graph: Graph, tree: Tree, columns: Mapping[str, str]) -> str:
    what, *parts = tree
    if what == "number":
        return graph.constant([[float(parts[0])]])
    if what == "name":
        return columns[parts[0]]
    if what in ("!", "&&", "||", "?"):
        return _logical(graph, what, [_add(graph, part, columns) for part in parts])
    values = [_add(graph, part, columns) for part in parts]
    if what == "negative":
        return graph.add("Neg", values[0])
    if what == "!=":
        return _number(graph, graph.add("Not", graph.add("Equal", *values)))
    if what == "%":  # of whole numbers, as in C++: the sign is that of the first
        return graph.add("Mod", *(_whole(graph, value) for value in values), fmod=1)
    if what in _OPERATORS:
        found = graph.add(_OPERATORS[what], *values)
        return _number(graph, found) if what[0] in "=<>" else found
    if what == "int":
        return _whole(graph, values[0])
    if what == "sq":
        return graph.add("Mul", values[0], values[0])
    if what == "log10":
        return graph.add("Mul", graph.add("Log", values[0]), graph.constant(1.0 / np.log(10.0)))
    return graph.add((_ONE | _TWO)[what], *values)


def _logical(graph: Graph, what: str, values: list[str]) -> str:
    first = _true(graph, values[0])
    if what == "!":
        return _number(graph, graph.add("Not", first))
    if what == "?":
        return graph.add("Where", first, *values[1:])
    second = _true(graph, values[1])
    return _number(graph, graph.add("And" if what == "&&" else "Or", first, second))


def _true(graph: Graph, value: str) -> str:
    return graph.add("Not", graph.add("Equal", value, graph.constant(0.0)))


def _number(graph: Graph, truth: str) -> str:
    return graph.add("Cast", truth, to=1)


def _whole(graph: Graph, value: str) -> str:
    """Cut off what is behind the point."""
    return graph.add("Mul", graph.add("Sign", value), graph.add("Floor", graph.add("Abs", value)))
