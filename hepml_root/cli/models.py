"""``hepml-root models``: the model zoo, its presets with what they cost, and the settings of a model."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from hepml_root.cli.model_settings import ModelSetting, settings_of, zoo
from hepml_root.errors import SettingError, unknown

EXAMPLES = """\
Parameters and operations (FLOPs per event) are counted on the networks as they are built, for the inputs that
the table names. A model is used in Python, as hr.models.cnn(data, filters=...) or
hr.models.preset("cnn", "small", data), and in a job file:
  model: {kind: particle_net, preset: lite, settings: {dropout: 0.2}}

examples:
  hepml-root models                                     the table of all models and presets
  hepml-root models particle_net                        the settings and presets of one"""

_HEADINGS = ("model", "preset", "input", "parameters", "FLOPs", "reference")
_WIDTH = 110


def add_models(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    added = command("models", run, "list the model zoo: presets, parameters, FLOPs, settings", EXAMPLES)
    added.add_argument("model", nargs="?", metavar="NAME", help="say what settings and presets a model has")


def run(options: argparse.Namespace) -> int:
    """Run the command with its parsed options."""
    if options.model is None:
        from hepml_root.cli.quiet import import_keras

        import_keras()
        print(aligned(rows()))
    elif options.model in zoo():
        print(described(options.model))
    else:
        raise SettingError(unknown("model", options.model, zoo()))
    return 0


def rows() -> list[tuple[str, ...]]:
    """Return the table: a row for each preset of each model, costs counted."""
    from hepml_root.models.cost import flops, parameters
    from hepml_root.models.presets import zoo as entries

    table: list[tuple[str, ...]] = []
    for entry in entries().values():
        for preset in entry.presets.values():
            costs = ("", "")
            if entry.network:
                model = entry.build(dict(preset.shapes), preset.name)
                costs = (f"{parameters(model):,}", with_prefix(flops(model)))
            table.append((entry.name, preset.name, _inputs(preset.shapes), *costs, preset.reference))
    return table


def with_prefix(number: float) -> str:
    """Return a number with three digits and a prefix.

    >>> with_prefix(12_345), with_prefix(385_758_000), with_prefix(12)
    ('12.3 k', '386 M', '12')
    """
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            return (
                f"{number / size:.3g} {prefix}" if number < 999.5 * size else f"{number / size:.0f} {prefix}"
            )
    return f"{number:.0f}"


def _inputs(shapes: Mapping[str, Any]) -> str:
    """Return shapes as ``particles 30×7``."""
    words = []
    for name, shape in shapes.items():
        lengths = [*shape[:-1], shape[-1] if isinstance(shape[-1], int) else len(shape[-1])]
        words.append(f"{name} {'×'.join(map(str, lengths))}")
    return ", ".join(words)


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Return rows with their headings, in columns; a model is named once."""
    lines = [_HEADINGS, *table]
    widths = [max(len(row[column]) for row in lines) for column in range(len(_HEADINGS))]
    shown, before = [], ""
    for row in lines:
        cells = [
            text.rjust(width) if column in (3, 4) else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        if row[0] == before:
            cells[0] = " " * widths[0]
        before = row[0]
        shown.append("  ".join(cells).rstrip())
    return "\n".join([shown[0], "-" * max(map(len, shown)), *shown[1:]])


def zoo_markdown() -> str:
    """Return two Markdown tables for the documentation: what each model is for, and what its presets cost."""
    lines = ["| model | data | what it is | when to take it |", "|---|---|---|---|"]
    for name, words in zoo().items():
        lines.append(f"| `{name}` | {words['data']} | {words['summary']} | {words['when']} |")
    lines += ["", "| " + " | ".join(_HEADINGS) + " |", "|---|---|---|--:|--:|---|"]
    before = ""
    for row in rows():
        name = "" if row[0] == before else f"`{row[0]}`"
        lines.append(f"| {name} | {' | '.join(row[1:])} |")
        before = row[0]
    return "\n".join(lines)


def described(model: str) -> str:
    """Return what a model is, its settings with their meanings, and its presets, as text."""
    words = zoo()[model]
    lines = [f"{model}: {words['summary']}", f"for: {words['when']}", f"reference: {words['reference']}", ""]
    lines.append("settings:")
    for setting in settings_of(model):
        lines += _setting(setting)
    for name, preset in (words.get("presets") or {}).items():
        settings = yaml.safe_dump(preset.get("settings", {}), default_flow_style=True, width=1000).strip()
        lines += ["", f"preset {name}:", *_wrapped(settings, 2)]
        if "reference" in preset:
            lines += _wrapped(preset["reference"], 2)
    return "\n".join(lines)


def _setting(setting: ModelSetting) -> list[str]:
    head = f"  {setting.name} = {setting.default}" if setting.default else f"  {setting.name}"
    return [f"{head}  ({setting.type})", *_wrapped(setting.meaning, 6)]


def _wrapped(text: str, indent: int) -> list[str]:
    space = " " * indent
    return textwrap.wrap(text, _WIDTH, initial_indent=space, subsequent_indent=space)
