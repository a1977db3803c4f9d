"""Reading and writing job files: YAML checked against the settings that :mod:`hepml_root.cli.job` declares.

What is wrong is said with the file, the line, the path of the key and what would be right:

>>> parse("name: higgs\\ndata: {inputs: [m_bb]}\\nmodel: {hiden: [8]}", "job.yaml")
Traceback (most recent call last):
...
hepml_root.errors.JobFileError: job.yaml, line 3: model.hiden: unknown key, did you mean 'hidden'? model \
takes: kind, hidden, activation, transforms, dropout, l1, l2, batch_norm, residual, initializer.
"""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from hepml_root.cli.job import Boosted, Dense, Events, Job, Network
from hepml_root.cli.job_representations import check_representations
from hepml_root.cli.model_settings import check_model, networks
from hepml_root.errors import JobFileError, nearest

_SCALAR_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def read_job(path: str | os.PathLike[str], changes: Sequence[str] = ()) -> Job:
    """Return the job that a YAML file describes, its paths made absolute.

    Arguments
    ---------
    path:
        The job file. Relative paths inside it are relative to its folder.
    changes:
        ``"training.epochs=20"``: settings to replace, the value in YAML.

    Raises
    ------
    JobFileError
        The file is missing or no YAML, has an unknown or doubled key, lacks one, or has a wrong value.

    Example
    -------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "job.yaml"
    >>> _ = file.write_text("name: higgs\\ndata: {classes: {s: s.root:t, b: b.root:t}, inputs: [m_bb]}")
    >>> job = read_job(file, ["training.epochs=20"])
    >>> job.training.epochs, pathlib.Path(job.output).relative_to(file.parent).as_posix()
    (20, 'runs/higgs')
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        folder = path.parent if path.parent.is_dir() else Path()
        others = nearest(path.name, [other.name for other in folder.iterdir()])
        hint = f" Nearest in that folder: {', '.join(others)}." if others else ""
        raise JobFileError(
            f"no job file '{path}'.{hint} `hepml-root train --schema > job.yaml` writes one to start from."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise JobFileError(f"cannot read the job file '{path}': {error}.") from error
    return _absolute(parse(text, str(path), changes), path.absolute().parent)


def parse(text: str, name: str = "job", changes: Sequence[str] = ()) -> Job:
    """Return the job in ``text``, its paths as they stand; ``name`` is what errors call the file."""
    node = _compose(text, name)
    if node is None:
        raise JobFileError(f"{name} is empty. `hepml-root train --schema` prints an example.")
    for change in changes:
        _replace(node, change)
    job = _Reader(name).read(node, Job, "", None)
    _check_together(job, name)
    return job


def dump(job: Job) -> str:
    """Return the job as YAML text, leaving out what is empty; :func:`parse` gives back the same job."""
    return yaml.safe_dump(_plain(job), sort_keys=False, allow_unicode=True, width=110)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        items = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {key: item for key, item in items.items() if item not in (None, {})}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, (list, tuple)) else value


def _compose(text: str, name: str) -> Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise JobFileError(f"{name}{where}: this is no YAML: {problem}.") from error


def _replace(root: Node, change: str) -> None:
    """Put the value of ``a.b=value`` into the node tree, where the file would have it."""
    path, equals, text = change.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise JobFileError(f"--set {change}: write SECTION.KEY=VALUE, for example training.epochs=20.")
    node = root
    for depth, key in enumerate(keys):
        if not isinstance(node, MappingNode):
            raise JobFileError(f"--set {change}: {'.'.join(keys[:depth])} has no keys of its own.")
        value = next((item for name, item in node.value if name.value == key), None)
        if depth == len(keys) - 1:
            new = _compose(text, f"--set {change}") or ScalarNode("tag:yaml.org,2002:null", "")
            node.value = [(name, item) for name, item in node.value if name.value != key]
            node.value.append((_marked(ScalarNode("tag:yaml.org,2002:str", key), root), _marked(new, root)))
        elif value is None:
            value = _marked(MappingNode("tag:yaml.org,2002:map", []), root)
            node.value.append((_marked(ScalarNode("tag:yaml.org,2002:str", key), root), value))
        node = value if value is not None else node


def _marked(node: Node, place: Node) -> Node:
    """Give a node that stands in no file the mark of one that does, for errors."""
    node.start_mark = place.start_mark
    return node


class _Reader:
    """Turns YAML nodes into the declared dataclasses."""

    def __init__(self, name: str) -> None:
        self.name = name

    def fail(self, node: Node, path: str, problem: str) -> typing.NoReturn:
        raise JobFileError(f"{self.name}, line {node.start_mark.line + 1}: {path or 'the job'}: {problem}")

    def read(self, node: Node, kind: Any, path: str, field: Field | None) -> Any:
        """Return the value of ``node`` as the type ``kind``, which stands at ``path`` of the job file."""
        options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
        fitting = [option for option in options if _fits(node, option)]
        if isinstance(node, ScalarNode) and int in fitting:
            fitting = [int]
        if len(fitting) > 1 and all(dataclasses.is_dataclass(option) for option in fitting):
            fitting = [self.choose(node, path)]
        if not fitting:
            self.fail(node, path, f"expected {_words(options)}, got {_shown(node)}{_like(field)}.")
        value = self.build(node, fitting[0], path, field)
        if field is not None and isinstance(node, ScalarNode):
            self.check(node, value, path, field)
        return value

    def build(self, node: Node, kind: Any, path: str, field: Field | None) -> Any:
        if dataclasses.is_dataclass(kind):
            return self.section(node, kind, path)
        if typing.get_origin(kind) is list:
            (element,) = typing.get_args(kind)
            return [self.read(item, element, f"{path}[{i}]", field) for i, item in enumerate(node.value)]
        if kind is Any:
            return self.anything(node, path)
        if typing.get_origin(kind) is dict:
            element = typing.get_args(kind)[1]
            entries = self.entries(node, path)
            return {
                key: self.read(item, element, f"{path}.{key}", field) for key, (_, item) in entries.items()
            }
        if kind is type(None):
            return None
        if kind is str:
            return node.value
        value = yaml.SafeLoader("").construct_object(node)
        return float(value) if kind is float else value

    def anything(self, node: Node, path: str) -> Any:
        """Return a value of any shape, as it stands."""
        if isinstance(node, MappingNode):
            return {
                key: self.anything(item, f"{path}.{key}")
                for key, (_, item) in self.entries(node, path).items()
            }
        if isinstance(node, SequenceNode):
            return [self.anything(item, f"{path}[{i}]") for i, item in enumerate(node.value)]
        if node.tag.endswith(":str") and _number(node.value):  # YAML 1.1 takes 1e-3 for text
            return float(node.value)
        return yaml.SafeLoader("").construct_object(node)

    def entries(self, node: Node, path: str) -> dict[str, tuple[Node, Node]]:
        """Return the keys of a mapping as text (also `on` and `2`, which YAML takes for other things)."""
        found: dict[str, tuple[Node, Node]] = {}
        for key, item in node.value:
            if key.value in found:
                self.fail(key, f"{path}.{key.value}".lstrip("."), "given twice; leave one of them.")
            found[key.value] = (key, item)
        return found

    def section(self, node: Node, kind: Any, path: str) -> Any:
        hints = typing.get_type_hints(kind)
        fields = {field.name: field for field in dataclasses.fields(kind)}
        values: dict[str, Any] = {}
        for key, (key_node, item) in self.entries(node, path).items():
            place = f"{path}.{key}".lstrip(".")
            if key not in fields:
                close = nearest(key, fields)
                meant = f", did you mean '{close[0]}'?" if close else "."
                takes = f"{path or 'The job file'} takes: {', '.join(fields)}."
                self.fail(key_node, place, f"unknown key{meant} {takes}")
            empty = item.tag.endswith(":null") and item.value == ""
            optional = type(None) in typing.get_args(hints[key])
            if not (
                empty and not optional and not _required(fields[key])
            ):  # `weight:` alone keeps the default
                values[key] = self.read(item, hints[key], place, fields[key])
        for key, field in fields.items():
            if key not in values and _required(field):
                self.fail(
                    node, f"{path}.{key}".lstrip("."), f"missing: {field.metadata['help']}{_like(field)}."
                )
        return kind(**values)

    def choose(self, node: Node, path: str) -> Any:
        """Return the section that describes the model which is given under `kind`."""
        entries = self.entries(node, path)
        named = bool({"preset", "settings"} & set(entries))
        own = {"dense": Dense, "boosted": Boosted}
        name = str(entries["kind"][1].value) if "kind" in entries else "dense"
        if name in networks() and (named or name not in own):
            return Network
        if name not in own:
            self.fail(entries["kind"][1], f"{path}.kind", _unknown_choice(name, [*own, *networks()]))
        return own[name]

    def check(self, node: Node, value: Any, path: str, field: Field) -> None:
        choices, low, high = (field.metadata[key] for key in ("choices", "minimum", "maximum"))
        if choices and isinstance(value, str) and value not in choices:
            self.fail(node, path, _unknown_choice(value, choices))
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            bounds = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
            self.fail(node, path, f"must be {bounds}, got {node.value}.")


def _unknown_choice(value: str, choices: Iterable[str]) -> str:
    close = nearest(value, choices)
    meant = f", did you mean '{close[0]}'?" if close else "."
    return f"unknown value '{value}'{meant} It takes: {', '.join(choices)}."


def _fits(node: Node, kind: Any) -> bool:
    """Whether a node can be read as ``kind``, by its outer shape."""
    if kind is Any:
        return True
    if isinstance(node, MappingNode):
        return dataclasses.is_dataclass(kind) or typing.get_origin(kind) is dict
    if isinstance(node, SequenceNode):
        return typing.get_origin(kind) is list
    tag = node.tag.rpartition(":")[2]
    if kind is float and tag == "str" and _number(node.value):  # YAML 1.1 takes 1e-3 for text
        node.tag = "tag:yaml.org,2002:float"
        return True
    accepted = {str: ("str", "int", "float"), int: ("int",), float: ("int", "float"), bool: ("bool",)}
    return tag in accepted.get(kind, ("null",) if kind is type(None) else ())


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _required(field: Field) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _words(kinds: Iterable[Any]) -> str:
    """Return types in words: ``text or a list of text``."""
    words = []
    for kind in kinds:
        if dataclasses.is_dataclass(kind):
            words.append("a section of keys")
        elif typing.get_origin(kind) is list:
            words.append(
                "a list of " + _words(typing.get_args(kind)).replace("a whole number", "whole numbers")
            )
        elif typing.get_origin(kind) is dict:
            words.append("names with " + _words(_members(typing.get_args(kind)[1])))
        elif kind is Any:
            words.append("anything")
        elif kind is not type(None):
            words.append(_SCALAR_WORDS[kind])
    return " or ".join(dict.fromkeys(words))


def _members(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _shown(node: Node) -> str:
    shapes = {MappingNode: "a section of keys", SequenceNode: "a list"}
    return shapes.get(type(node)) or (f"'{node.value}'" if node.value else "nothing")


def _like(field: Field | None) -> str:
    example = field.metadata["example"] if field is not None else None
    if example is None and field is not None and field.default_factory is not MISSING:
        example = field.default_factory()
    return (
        "" if example in (None, [], {}) or dataclasses.is_dataclass(example) else f", for example {example!r}"
    )


def _check_together(job: Job, name: str) -> None:
    """Check what no single setting can: that one of classes and source is given, with what belongs to it."""
    data = job.data
    if bool(data.classes) == (data.source is not None):
        raise JobFileError(
            f"{name}: data: give either classes (classification) or source with targets (regression), not "
            f"{'both' if data.classes else 'neither'}."
        )
    if data.classes and len(data.classes) < 2:
        raise JobFileError(f"{name}: data.classes: needs two classes or more, got {', '.join(data.classes)}.")
    if data.source is not None and not data.targets:
        raise JobFileError(
            f"{name}: data.targets: missing; a regression with data.source needs the columns to learn."
        )
    if data.classes and data.targets:
        raise JobFileError(
            f"{name}: data.targets: belongs to a regression (data.source), not to data.classes."
        )
    if not data.inputs and not data.representations:
        raise JobFileError(
            f"{name}: data.inputs: is empty; name at least one column, or give data.representations."
        )
    check_representations(data.representations, name)
    if isinstance(job.model, Network):
        check_model(job.model.kind, job.model.preset, job.model.settings, name)
    if data.signal is not None and data.signal not in data.classes:
        raise JobFileError(f"{name}: data.signal: {_unknown_choice(data.signal, data.classes)}")
    if data.split.by == "event_number" and data.event_number is None:
        raise JobFileError(
            f"{name}: data.split.by: event_number needs data.event_number, the column that holds it."
        )
    if not job.name.isidentifier():
        raise JobFileError(
            f"{name}: name: '{job.name}' must be letters, digits and underscores, not starting with a digit, "
            "since it names the C++ class of the model."
        )


def _absolute(job: Job, folder: Path) -> Job:
    """Return the job with every path made absolute, as seen from ``folder``."""

    def place(files: Any) -> Any:
        if isinstance(files, list):
            return [place(item) for item in files]
        if isinstance(files, Events):
            return dataclasses.replace(files, files=place(files.files), friends=place(files.friends))
        text = os.path.expanduser(os.path.expandvars(files))
        if "://" in text or text.startswith("shipped:"):
            return text
        return os.path.normpath(folder / text)

    data = dataclasses.replace(
        job.data,
        classes={name: place(events) for name, events in job.data.classes.items()},
        source=None if job.data.source is None else place(job.data.source),
    )
    return dataclasses.replace(job, data=data, output=place(job.output.replace("{name}", job.name)))
