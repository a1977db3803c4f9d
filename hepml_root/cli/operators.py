"""``hepml-root operators``: the ONNX operators that the C++ engine computes, read off its rules."""

from __future__ import annotations

import argparse
import importlib
import textwrap
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

EXAMPLES = """\
The table is made from the rules of the engine. Whether a network is taken depends on its shapes, too:
`hepml-root compile` names the first node that is refused, and why.

examples:
  hepml-root operators                                  the table
  hepml-root operators LSTM Loop Det                    whether there are rules for these"""

_WIDTH = 110
_CONTROL = ("If", "Loop", "Scan")
_KNOWN = ("Constant", "Shape", "Size", "Range", *_CONTROL)  # computed without a rule
DOMAINS = ("", "ai.onnx.ml")


def add_operators(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    added = command("operators", run, "list the ONNX operators that the C++ engine computes", EXAMPLES)
    added.add_argument("operator", nargs="*", metavar="NAME", help="say of these how they are computed")


def run(options: argparse.Namespace) -> int:
    """Run the command with its parsed options."""
    if options.operator:
        for name in options.operator:
            print(f"{name}: {how(name)}")
        return 0
    for _, about, operators in families():
        text = textwrap.fill(", ".join(operators), _WIDTH, initial_indent="  ", subsequent_indent="  ")
        print(f"{about} ({len(operators)})\n{text}")
    return 0


@cache
def families() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return the families of operators: the module of their rules, what they are, their names.

    The last two have no rules: what decides the graph itself, and what is computed by its definition.

    Example
    -------
    >>> next(operators for module, _, operators in families() if module == "recurrent")
    ('GRU', 'LSTM', 'RNN')
    """
    from hepml_root.export.cpp.graph import RULES
    from hepml_root.export.cpp.reading import load_rules

    load_rules()
    found: dict[str, list[str]] = defaultdict(list)
    for (domain, operator), rule in RULES.items():
        if domain in DOMAINS:
            found[rule.__module__].append(operator)
    table = [
        (module.rpartition(".")[2], _about(module), tuple(sorted(operators)))
        for module, operators in found.items()
    ]
    table.sort(key=lambda family: (-len(family[2]), family[0]))
    table.append(("control", _about("hepml_root.export.cpp.control"), _CONTROL))
    table.append(("bodies", _about("hepml_root.export.cpp.bodies"), _defined()))
    return tuple(table)


def how(operator: str) -> str:
    """Return how an operator is computed, in words.

    >>> how("GRU")
    'a rule in export/cpp/recurrent.py'
    >>> how("Det")
    'no rule; computed only where all its inputs are constant'
    """
    for module, _, operators in families():
        if operator in operators:
            words = {
                "control": "decided when the code is generated, in",
                "bodies": "by its ONNX definition, in",
            }
            return f"{words.get(module, 'a rule in')} export/cpp/{module}.py"
    return "no rule; computed only where all its inputs are constant"


def _about(module: str) -> str:
    """Return what a module of rules says of itself."""
    text = " ".join((importlib.import_module(module).__doc__ or "").split("\n\n")[0].split())
    text = text.removeprefix("Rules for ")
    return text[:1].upper() + text[1:].rstrip(".")


@cache
def _defined() -> tuple[str, ...]:
    """Return the operators without a rule whose definition by others ONNX gives, if those are computed.

    Of some the definition depends on the node; then it is not known here what it holds.
    """
    import onnx

    from hepml_root.export.cpp.graph import RULES

    names = []
    schemas: Sequence[Any] = onnx.defs.get_all_schemas()  # its type hints leave out what is needed of it
    for schema in schemas:
        if schema.domain or ("", schema.name) in RULES:
            continue
        inside = {node.op_type for node in schema.function_body.node} if schema.has_function else set()
        computed = all(("", name) in RULES or name in _KNOWN for name in inside)
        if schema.has_context_dependent_function or (inside and computed):
            names.append(schema.name)
    return tuple(sorted(names))


def operators_markdown() -> str:
    """Return the table for the documentation."""
    lines = ["| what | operators | rules |", "|---|---|---|"]
    for module, about, operators in families():
        names = ", ".join(f"`{name}`" for name in operators)
        lines.append(f"| {about} | {names} | `export/cpp/{module}.py` |")
    return "\n".join(lines)
