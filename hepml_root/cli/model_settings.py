"""Settings of the models of the zoo, read from their source: names, types, defaults and meanings.

The signature of a model's function and the "Arguments" of its docstring are all there is to know, and they
are read without importing anything, so that a job file is checked before Keras is loaded.

>>> [setting.name for setting in settings_of("gru")][:3]
['units', 'bidirectional', 'hidden']
>>> settings_of("gru")[0].meaning
'Size of the state of each layer, one on top of the other.'
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hepml_root.errors import JobFileError, nearest

_FOLDER = Path(__file__).resolve().parents[1] / "models"
# What a job gives by itself.
_GIVEN = ("data", "seed", "name", "validation", "threads")


@dataclass(frozen=True)
class ModelSetting:
    """One setting of a model.

    Attributes
    ----------
    name:
        As in the function and in a job file.
    type:
        As it is annotated, in words of a job file.
    default:
        As it is written in the source.
    meaning:
        From the docstring.
    """

    name: str
    type: str
    default: str
    meaning: str
    annotation: str

    def accepts(self, value: Any) -> bool:
        """Whether a value of a job file has a type that the setting takes."""
        return _accepts(ast.parse(self.annotation, mode="eval").body, value)


@cache
def zoo() -> Mapping[str, Any]:
    """Return what is written down about each model: presets.yaml of the models."""
    return yaml.safe_load((_FOLDER / "presets.yaml").read_text(encoding="utf-8"))


@cache
def settings_of(model: str) -> tuple[ModelSetting, ...]:
    """Return the settings of a model of the zoo, in the order of its function."""
    source = ast.parse((_FOLDER / f"{zoo()[model]['module']}.py").read_text(encoding="utf-8"))
    function = next(node for node in source.body if isinstance(node, ast.FunctionDef) and node.name == model)
    meanings = _meanings(ast.get_docstring(function) or "")
    given = function.args
    positional = given.args
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    pairs = [*zip(positional, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return tuple(
        ModelSetting(
            argument.arg,
            _words(argument.annotation),
            "" if default is None else ast.unparse(default),
            meanings.get(argument.arg, ""),
            "Any" if argument.annotation is None else ast.unparse(argument.annotation),
        )
        for argument, default in pairs
        if argument.arg not in _GIVEN
    )


def networks() -> list[str]:
    """Return the names of all networks of the zoo."""
    return [name for name, words in zoo().items() if words.get("network", True)]


def check_model(model: str, preset: str, settings: Mapping[str, Any], file: str) -> None:
    """Check a job file's preset and settings of a network of the zoo.

    Raises
    ------
    JobFileError
        There is no such preset or setting (the nearest is named), or a value has the wrong type.

    Example
    -------
    >>> check_model("gru", "default", {"unit": [8]}, "job.yaml")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    hepml_root.errors.JobFileError: job.yaml: model.settings.unit: unknown setting, did you mean 'units'? ...
    """
    presets = ["default", *(zoo()[model].get("presets") or {})]
    if preset not in presets:
        raise JobFileError(f"{file}: model.preset: unknown preset '{preset}'{_meant(preset, presets, model)}")
    known = {setting.name: setting for setting in settings_of(model)}
    for key, value in settings.items():
        if key not in known:
            raise JobFileError(f"{file}: model.settings.{key}: unknown setting{_meant(key, known, model)}")
        if not known[key].accepts(value):
            raise JobFileError(
                f"{file}: model.settings.{key}: expected {known[key].type}, got {value!r}; the default is "
                f"{known[key].default}."
            )


def _meant(name: str, names: Iterable[str], model: str) -> str:
    close = nearest(name, names)
    meant = f", did you mean '{close[0]}'?" if close else "."
    return f"{meant} {model} has: {', '.join(names)}."


def _meanings(text: str) -> dict[str, str]:
    """Return what the section "Arguments" of a docstring says about each, on one line."""
    section = text.partition("Arguments\n---------\n")[2].partition("\n\n")[0]
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.split(",")]
        else:
            for name in names:
                found.setdefault(name, []).append(line.strip())
    return {name: " ".join(lines) for name, lines in found.items()}


def _options(annotation: ast.expr | None) -> list[ast.expr]:
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return [*_options(annotation.left), *_options(annotation.right)]
    return [] if annotation is None else [annotation]


_SCALARS = {"int": "integer", "float": "number", "str": "text", "bool": "true or false"}
_ALIASES = {
    "Transforms": "text or label: text",
    "Branch": "text or section",
    "Any": "anything",
    "None": "",
}


def _words(annotation: ast.expr | None) -> str:
    """Return a type as a job file's author knows it."""
    words = []
    for option in _options(annotation):
        name = ast.unparse(option)
        if isinstance(option, ast.Subscript):
            parts = option.slice.elts if isinstance(option.slice, ast.Tuple) else [option.slice]
            inner = _words(parts[-1])
            listed = f"list of {inner}"
            words.append(f"name: {inner}" if ast.unparse(option.value) == "Mapping" else listed)
        else:
            words.append(_SCALARS.get(name, _ALIASES.get(name, name)))
    return " or ".join(dict.fromkeys(word for word in words if word))


def _accepts(annotation: ast.expr, value: Any) -> bool:
    for option in _options(annotation):
        name = ast.unparse(option)
        if isinstance(option, ast.Subscript):
            parts = option.slice.elts if isinstance(option.slice, ast.Tuple) else [option.slice]
            mapping = ast.unparse(option.value) == "Mapping"
            if mapping and isinstance(value, Mapping):
                return all(_accepts(parts[-1], item) for item in value.values())
            if not mapping and isinstance(value, list):
                return all(_accepts(parts[-1], item) for item in value)
        elif name == "float":
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return True
        elif name == "int":
            if isinstance(value, int) and not isinstance(value, bool):
                return True
        elif name in ("str", "bool", "None"):
            if isinstance(value, {"str": str, "bool": bool, "None": type(None)}[name]):
                return True
        elif name in ("Transforms", "Branch"):
            if value is None or isinstance(value, (str, Mapping, list)):
                return True
        else:
            return True  # a type that job files have no word for: the function itself checks it
    return False
