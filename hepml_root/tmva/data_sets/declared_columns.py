"""Variables, spectators and targets as users declare them, and as data sets describe them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError
from hepml_root.tmva.weights.header import Variable

# What TMVA makes of signs that names of histograms and C++ variables cannot have.
_SIGNS = {"*": "_T_", "/": "_D_", "+": "_P_", "-": "_M_", "[": "_", "]": "_", "::": "_"} | dict.fromkeys(
    "$&|!%^()'<>?= ", "_"
)


@dataclass(frozen=True)
class DeclaredColumn:
    """A variable, spectator or target as it was added; with a length, all elements of an array."""

    expression: str
    label: str
    title: str
    unit: str
    kind: str
    length: int = 0

    @classmethod
    def of(cls, what: str, text: Any, title: Any, unit: Any, kind: Any, length: int = 0) -> DeclaredColumn:
        """Read what TMVA's calls are given: ``"label := expression"``, or the type in place of the title.

        Raises
        ------
        SettingError
            There is no expression, or the type is not known.
        """
        label, separator, expression = str(text).partition(":=")
        label, expression = (part.strip() for part in (label, expression if separator else label))
        expression = "".join(expression.split())
        if not expression:
            raise SettingError(f"the {what} '{text}' has no expression.")
        title, unit, kind = str(title), str(unit), str(kind)
        if title in ("F", "I") and not unit:
            title, kind = "", title
        if kind not in ("F", "I"):
            raise SettingError(f"the {what} '{text}': type '{kind}'; known are F and I (whole numbers).")
        label = label if separator else expression
        return cls(expression, label, title or label, unit, kind, length)


def width(columns: Sequence[DeclaredColumn]) -> int:
    """Return how many numbers they are for one event."""
    return sum(max(column.length, 1) for column in columns)


def described(columns: Sequence[DeclaredColumn], values: NDArray[np.float32]) -> tuple[Variable, ...]:
    """Return the columns with what their values ``(events, columns)`` range over."""
    found: list[Variable] = []
    for column in columns:
        for element in range(max(column.length, 1)):
            end = f"[{element}]" if column.length else ""
            place = len(found)
            found.append(
                Variable(
                    column.expression + end, column.label + end, column.title + end, column.unit,
                    internal_name(column.label + end), column.kind,
                    float(values[:, place].min()), float(values[:, place].max()),
                )
            )  # fmt: skip
    return tuple(found)


def internal_name(label: str) -> str:
    """Return a label as TMVA writes it where signs are not allowed.

    >>> internal_name("var1+var2[0]")
    'var1_P_var2_0_'
    """
    return re.sub("|".join(re.escape(sign) for sign in _SIGNS), lambda found: _SIGNS[found[0]], label)
