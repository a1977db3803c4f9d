"""The job file's schema as text: an annotated example to start from, and the tables of the docs.

Both are made from the declarations in :mod:`hepml_root.cli.job`, so they agree with what is accepted.

>>> schema_example().splitlines()[3]
'name: higgs                           # name of the model, in C++ too'
"""

from __future__ import annotations

import dataclasses
import textwrap
import types
import typing
from dataclasses import MISSING, Field
from typing import Any

import yaml

from hepml_root.cli.job import (
    Boosted,
    Data,
    Dense,
    Evaluation,
    Events,
    Export,
    Job,
    Loss,
    Monitor,
    Network,
    Pretrain,
    Split,
    Training,
)

# Settings of the training that are a name or a section.
_SECTIONS_INSTEAD: dict[str, Any] = {"loss": Loss, "pretrain": Pretrain, "monitor": Monitor}
_COMMENT_COLUMN = 38
_WIDTH = 106


def schema_example() -> str:
    """Return a job file with every setting explained, that runs as it is.

    Settings without a default are shown with an example, commented out unless they are needed. It trains on
    the events that are shipped inside ROOT.
    """
    lines = [
        "# A job file of hepml-root: every setting, its meaning and default; leave out what you do not need.",
        "# Run it:  hepml-root train JOB.yaml      Paths are relative to this file.",
        "",
    ]
    for field in dataclasses.fields(Job):
        kind = _section_of(Job, field)
        if kind is None:
            lines += _setting(Job, field, 0)
            continue
        lines += ["", f"# {_summary(kind)}", f"{field.name}:", *_section(kind, 1)]
        if field.name == "model":
            lines += ["", "# Or, in place of the model above:", "# model:"]
            lines += ["# " + line for line in _section(Boosted, 1)]
            lines += ["", "# Or any other network of the zoo, on data that it takes:", "# model:"]
            lines += ["# " + line for line in _section(Network, 1)]
    return "\n".join(lines) + "\n"


def schema_markdown() -> str:
    """Return the settings of every section as Markdown tables, for the documentation."""
    sections: list[tuple[str, str, Any]] = [
        ("The job", "", Job),
        ("data", "data", Data),
        ("data.classes.NAME, data.source", "data-classes", Events),
        ("data.split", "data-split", Split),
        ("model, `kind: dense`", "model-dense", Dense),
        ("model, `kind: boosted`", "model-boosted", Boosted),
        ("model, any other `kind`", "model-network", Network),
        ("training", "training", Training),
        ("training.loss", "training-loss", Loss),
        ("training.pretrain", "training-pretrain", Pretrain),
        ("training.monitor", "training-monitor", Monitor),
        ("evaluation", "evaluation", Evaluation),
        ("export", "export", Export),
    ]
    lines: list[str] = []
    for title, _, kind in sections:
        lines += [f"### {title}", "", (kind.__doc__ or "").split("\n\n")[0], ""]
        lines += ["| setting | type | default | meaning |", "|---|---|---|---|"]
        for field in dataclasses.fields(kind):
            default = _default(field)
            if _section_of(kind, field) is not None:
                shown = "required" if default is MISSING else "see below"
            elif default is MISSING:
                shown = "required"
            else:
                shown = "" if default in (None, [], {}) else f"`{_inline(default)}`"
            words = f"`{_type_words(typing.get_type_hints(kind)[field.name])}`"
            lines.append(
                f"| `{field.name}` | {words} | {shown} | {_meaning(field)} |".replace(" |  |", " | |")
            )
        lines.append("")
    return "\n".join(lines)


def _summary(kind: Any) -> str:
    return " ".join((kind.__doc__ or "").split())


def _section_of(kind: Any, field: Field) -> Any:
    """Return the dataclass of a field that is a section (the first, where there are several), else None."""
    hint = typing.get_type_hints(kind)[field.name]
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return options[0] if dataclasses.is_dataclass(options[0]) else None


def _section(kind: Any, depth: int) -> list[str]:
    lines: list[str] = []
    for field in dataclasses.fields(kind):
        inner = _section_of(kind, field)
        if inner is None:
            lines += _setting(kind, field, depth)
        else:
            lines += [
                *_commented("  " * depth + f"{field.name}:", _summary(inner)),
                *_section(inner, depth + 1),
            ]
    return lines


def _setting(kind: Any, field: Field, depth: int) -> list[str]:
    """Return the lines of one setting: its value, and its meaning as a comment."""
    default, example = _default(field), field.metadata["example"]
    if default not in (MISSING, None, [], {}):
        value, active = default, True
    else:  # of the settings without a default, the example needs the required ones and its two classes
        value, active = example, default is MISSING or (kind is Data and field.name in ("classes", "inputs"))
    flow = isinstance(value, list) and (len(value) == 1 or not isinstance(value[0], str))
    text = yaml.safe_dump(
        {field.name: value}, sort_keys=False, width=200, default_flow_style=None if flow else False
    )
    first, *rest = text.rstrip().replace("\n- ", "\n  - ").splitlines()
    indent = "  " * depth + ("" if active else "# ")
    lines = [*_commented(indent + first, _meaning(field)), *(indent + line for line in rest)]
    if kind is Data and field.name == "classes":
        lines += _alternative("or, for each class, a section of keys:", "signal", Events, depth)
    if kind is Training and field.name in _SECTIONS_INSTEAD:
        lines += _alternative("or a section of keys:", field.name, _SECTIONS_INSTEAD[field.name], depth)
    return lines


def _alternative(words: str, key: str, kind: Any, depth: int) -> list[str]:
    """Return the long form of a setting, commented out."""
    indent = "  " * depth + "#   "
    return [
        indent + words,
        f"{indent}{key}:",
        *(f"{indent}  {line.removeprefix('# ')}" for line in _section(kind, 0)),
    ]


def _commented(text: str, comment: str) -> list[str]:
    """Return a line with its comment behind it, or above it where it is long."""
    line = f"{text:<{_COMMENT_COLUMN - 2}}  # {comment}"
    if len(line) <= _WIDTH:
        return [line]
    indent = text[: len(text) - len(text.lstrip())]
    return [
        *textwrap.wrap(comment, _WIDTH - 8, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "),
        text,
    ]


def _meaning(field: Field) -> str:
    data = field.metadata
    notes = [data["unit"]] if data["unit"] else []
    if len(data["choices"]) > 1:
        notes.append(" or ".join(data["choices"]))
    if data["minimum"] is not None and data["maximum"] is not None:
        notes.append(f"between {data['minimum']:g} and {data['maximum']:g}")
    return data["help"] + (f" ({'; '.join(notes)})" if notes else "")


def _default(field: Field) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _inline(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=200).removesuffix("\n").removesuffix("\n...")


def _type_words(hint: Any) -> str:
    """Return a type as a job file's author knows it: ``text or list of text``."""
    if isinstance(hint, types.UnionType):
        words = [_type_words(option) for option in typing.get_args(hint) if option is not type(None)]
        return " or ".join(dict.fromkeys(words))
    if typing.get_origin(hint) is list:
        return f"list of {_type_words(typing.get_args(hint)[0])}"
    if typing.get_origin(hint) is dict:
        return f"name: {_type_words(typing.get_args(hint)[1])}"
    if dataclasses.is_dataclass(hint):
        return "section"
    return {str: "text", int: "integer", float: "number", bool: "true or false", Any: "anything"}[hint]
