"""C++ expressions of columns: found names, compiled once by ROOT's interpreter, errors made short."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from hepml_root.data.feed_library import CPP_TYPES, HEADERS, TYPES, address_of, import_root
from hepml_root.data.observables_library import declare_observables, mentions_observables
from hepml_root.errors import ColumnNotFoundError, ColumnTypeError, ExpressionError, unknown

_IDENTIFIER = r"[A-Za-z_]\w*"
_WORD = re.compile(rf"{_IDENTIFIER}(?:\s*(?:\.|::)\s*{_IDENTIFIER})*")
_NAME = re.compile(_IDENTIFIER)
_TEXT = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'')
_UNDECLARED = re.compile(r"use of undeclared identifier '([^']+)'")
_counter = 0
_made: dict[tuple[str, tuple[str, ...]], Function] = {}


@dataclass(frozen=True)
class Expression:
    """An expression with its columns found: `text` calls them column0_, column1_, … in their order."""

    original: str
    text: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    """A compiled expression.

    name: C++ name of a function of the columns; type: its result, one of TYPES; jagged: whether the result
    has several values (of that type) per event; scalar arguments make `kernel`, a function over arrays.
    """

    name: str
    type: str
    jagged: bool
    kernel: str | None


def is_dummy(name: str) -> bool:
    """Whether RDataFrame may take a column for another one in an expression of several columns.

    It replaces them by var0, var1, … one after the other, and so replaces a column of such a name again. An
    alias is resolved before; a Define of that column alone is not.

    >>> is_dummy("var12"), is_dummy("variable")
    (True, False)
    """
    return re.fullmatch(r"var\d+", name, flags=re.ASCII) is not None


def find_columns(expression: str, names: Mapping[str, object]) -> Expression:
    """Find the columns that an expression names.

    A column whose name is no C++ identifier is found before anything else, the longest name first.

    >>> find_columns("abs(jet1_b-tag - x.pt) * b", {"jet1_b-tag": 1, "x.pt": 1, "b": 1, "tag": 1}).text
    'abs(column0_ - column1_) * column2_'
    """
    columns: list[str] = []

    def place(name: str) -> str:
        if name not in columns:
            columns.append(name)
        return f"column{columns.index(name)}_"

    strange = [
        name
        for name in names
        if not re.fullmatch(rf"{_IDENTIFIER}(\.{_IDENTIFIER})*", name) and name in expression
    ]
    strange.sort(key=len, reverse=True)
    # One pass from left to right over words, text literals and strange names: nothing is replaced twice.
    patterns = [_TEXT.pattern]
    if strange:
        patterns.append(
            "(?P<strange>" + "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in strange) + ")"
        )
    patterns.append(rf"(?P<word>{_WORD.pattern})")
    patterns.append(r"\d[\w.]*")

    def word(text: str, after: str, before: str) -> str:
        if (
            text in names
            and not after.lstrip().startswith("(")
            and not before.rstrip().endswith((".", "->", "::"))
        ):
            return place(text)
        if "::" in text:
            return text
        # x.pt.size(): the longest leading part that is a column; the rest is C++.
        parts = text.split(".")
        if before.rstrip().endswith((".", "->", "::")):
            return text
        for length in range(len(parts) - 1, 0, -1):
            head = ".".join(parts[:length])
            if head in names:
                return ".".join([place(head), *parts[length:]])
        return text

    def replacement(match: re.Match[str]) -> str:
        found = match.groupdict()
        if found.get("strange"):
            return place(found["strange"])
        if found.get("word"):
            return word(found["word"], expression[match.end() :], expression[: match.start()])
        return match.group()

    text = re.sub("|".join(patterns), replacement, expression)
    return Expression(expression, text, tuple(columns))


def compile_expression(
    expression: Expression, types: Mapping[str, str], available: Mapping[str, object]
) -> Function:
    """Compile an expression for columns of the given C++ types.

    Arguments
    ---------
    expression:
        From :func:`find_columns`.
    types:
        C++ type of each of its columns.
    available:
        All column names, for the message when a name is unknown.

    Raises
    ------
    ColumnNotFoundError
        The expression names something that is neither a column nor known to C++.
    ExpressionError
        It does not compile; the message holds the compiler's own, in short.
    ColumnTypeError
        Its result is neither a number nor a list of numbers.
    """
    key = (expression.text, tuple(types[column] for column in expression.columns))
    if key not in _made:
        _made[key] = _compile(expression, key[1], available)
    return _made[key]


def _compile(expression: Expression, types: tuple[str, ...], available: Mapping[str, object]) -> Function:
    global _counter
    ROOT = import_root()
    if not _made and not _counter:
        ROOT.gInterpreter.AddIncludePath(str(HEADERS))
        ROOT.gInterpreter.Declare('#include "hepml_root/feed/expression.hxx"')
    if mentions_observables(expression.text):
        declare_observables()
    _counter += 1
    name = f"expression_{_counter}"
    full = f"hepml_root::feed::{name}"
    scalar = [text in CPP_TYPES for text in types]
    arguments = ", ".join(
        f"const {text} column{i}_" if plain else f"const {text} &column{i}_"
        for i, (text, plain) in enumerate(zip(types, scalar, strict=True))
    )
    body = expression.text if re.search(r"\breturn\b", expression.text) else f"return ({expression.text});"
    _declare(
        f"namespace hepml_root::feed {{ inline auto {name}({arguments}) {{\n{body}\n; }}\n"
        f"using {name}_result = Result<decltype({name}({', '.join(_example(t) for t in types)}))>; }}",
        expression,
        available,
    )
    code = int(ROOT.gInterpreter.Calc(f"(long long){full}_result::code"))
    if code < 0:
        raise ColumnTypeError(
            f"the expression '{expression.original}' gives neither a number nor a list of numbers. "
            "Make it one, for instance by taking a member of the object."
        )
    jagged = bool(ROOT.gInterpreter.Calc(f"(long long){full}_result::jagged"))
    kernel = None
    if all(scalar) and not jagged:
        values = ", ".join(f"static_cast<const {text} *>(inputs[{i}])[i]" for i, text in enumerate(types))
        _declare(
            f"namespace hepml_root::feed {{ void {name}_kernel(const void *const *inputs, std::size_t count, "
            f"void *result) {{ auto *to = static_cast<{name}_result::Value *>(result); "
            f"for (std::size_t i = 0; i < count; ++i) to[i] = {name}({values}); }} }}",
            expression,
            available,
        )
        kernel = f"{full}_kernel"
    return Function(full, TYPES[code], jagged, kernel)


def kernel_address(function: Function) -> int:
    """Address of the function over arrays."""
    assert function.kernel is not None
    return address_of(function.kernel)


def _example(cpp_type: str) -> str:
    return f"std::declval<const {cpp_type} &>()"


def _declare(code: str, expression: Expression, available: Mapping[str, object]) -> None:
    """Give code to the interpreter; what it prints about errors becomes the exception's message."""
    ROOT = import_root()
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            good = ROOT.gInterpreter.Declare(code)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        caught.seek(0)
        output = caught.read().decode(errors="replace")
    if good:
        return
    errors = [line.split("error:", 1)[1].strip() for line in output.splitlines() if "error:" in line]
    unknown_name = _UNDECLARED.search(output)
    if unknown_name:
        message = unknown("column", unknown_name.group(1), list(available))
        raise ColumnNotFoundError(f"in the expression '{expression.original}': {message}")
    message = errors[0] if errors else "it does not compile"
    for i, column in enumerate(expression.columns):
        message = re.sub(rf"\bcolumn{i}_\b", column.replace("\\", r"\\"), message)
    raise ExpressionError(
        f"the expression '{expression.original}' is no valid C++: {message}. "
        "Expressions are written as for RDataFrame's Define and Filter."
    )
