"""XML that may come from anywhere, read with bounded memory: no DOCTYPE, no entities, no surprises.

A file becomes a tree of :class:`XmlNode`, whose methods give attributes and lists of numbers, or say which
file, method, line and node lacks them. Elements that a file has by the million (the nodes of decision
trees) are handed to a collector while they are read, and never become such objects.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from xml.parsers import expat

from hepml_root.errors import HepmlError, ModelFileError, SourceNotFoundError, unknown

LARGEST_FILE = 192 * 1024 * 1024  # bytes; 2000 trees of depth 8 take about 130 MB
MOST_NODES = 2_000_000  # outside of trees
DEEPEST = 40
LONGEST_TEXT = 32 * 1024 * 1024  # characters between two tags: a million numbers take 16 million
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")


class Collector(Protocol):
    """What takes an element and all inside it, event by event."""

    def start(self, node: XmlNode) -> None: ...

    def end(self) -> None: ...


@dataclass
class Source:
    """Where nodes come from, for messages: the file, and the method once its name is known."""

    path: Path
    method: str = ""

    def __str__(self) -> str:
        return f"'{self.path}'" + (f" ({self.method})" if self.method else "")


@dataclass(slots=True)
class XmlNode:
    """One element: name, attributes, text, children, and the line it begins in."""

    name: str
    attributes: Mapping[str, str]
    line: int
    source: Source
    children: list[XmlNode] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    collected: Any = None

    def error(self, what: str) -> ModelFileError:
        """Return an error that says where it happened."""
        return ModelFileError(f"{self.source}, line {self.line}, <{self.name}>: {what}")

    def attribute(self, name: str, default: str | None = None) -> str:
        """Return an attribute.

        Raises
        ------
        ModelFileError
            It is missing and there is no default.
        """
        value = self.attributes.get(name, default)
        if value is None:
            raise self.error(unknown("attribute", name, self.attributes))
        return value

    def integer(self, name: str, least: int = 0, most: int = 10_000_000) -> int:
        """Return an attribute as a whole number between two limits."""
        text = self.attribute(name).strip()
        if not _INTEGER.match(text):
            raise self.error(f"{name}='{_short(text)}' is no whole number.")
        if not least <= int(text) <= most:
            raise self.error(f"{name}={text} is not between {least} and {most}.")
        return int(text)

    def number(self, name: str) -> float:
        """Return an attribute as a finite number."""
        return self._finite(self.attribute(name).strip(), f"{name}=")

    def numbers(self, count: int) -> list[float]:
        """Return the text as finite numbers.

        Raises
        ------
        ModelFileError
            There are more or fewer than ``count``, or one is no finite number.
        """
        words = "".join(self.text).split()
        if len(words) != count:
            raise self.error(f"{count} numbers are announced, {len(words)} are there.")
        return [self._finite(word) for word in words]

    def child(self, name: str) -> XmlNode:
        """Return the one child of that name."""
        found = self.all(name)
        if len(found) != 1:
            names = sorted({child.name for child in self.children})
            raise self.error(
                f"there are {len(found)} nodes <{name}>; one is needed."
                if found
                else unknown("node", name, names)
            )
        return found[0]

    def all(self, name: str) -> list[XmlNode]:
        """Return the children of that name."""
        return [child for child in self.children if child.name == name]

    def counted(self, name: str, attribute: str) -> list[XmlNode]:
        """Return the children of that name, as many as an attribute announces."""
        found, wanted = self.all(name), self.integer(attribute)
        if len(found) != wanted:
            raise self.error(f"{attribute}={wanted}, but there are {len(found)} nodes <{name}>.")
        return found

    def in_order(self, name: str, attribute: str, index: str) -> list[XmlNode]:
        """Return the children of that name by their index, which has to count from 0 without a gap."""
        found = sorted(self.counted(name, attribute), key=lambda child: child.integer(index))
        for position, child in enumerate(found):
            if child.integer(index) != position:
                raise child.error(f"{index}={child.integer(index)} where {position} is expected.")
        return found

    def _finite(self, text: str, prefix: str = "") -> float:
        value = float(text) if _NUMBER.match(text) else math.nan
        if not math.isfinite(value):
            raise self.error(f"{prefix}'{_short(text)}' is no finite number.")
        return value

    def __iter__(self) -> Iterator[XmlNode]:
        return iter(self.children)


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "…"


def read_xml(path: Path, collectors: Mapping[str, Callable[[XmlNode], Collector]]) -> XmlNode:
    """Read a file; return its root.

    Arguments
    ---------
    path
        The file.
    collectors
        {name of an element: what makes the collector that takes this element's inside}. The collector becomes
        the ``collected`` of its node.

    Raises
    ------
    SourceNotFoundError
        There is no such file.
    ModelFileError
        The file is too large, no well-formed XML, or has a DOCTYPE, entities, or far too many nodes.
    """
    if not path.is_file():
        raise SourceNotFoundError(f"there is no weight file '{path}'.")
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise ModelFileError(
            f"'{path}' has {size:,} bytes; weight files up to {LARGEST_FILE:,} are read. Train with fewer or "
            "shallower trees."
        )
    return _Reading(path, collectors).run()


class _Reading:
    """The state of one pass through a file."""

    def __init__(self, path: Path, collectors: Mapping[str, Callable[[XmlNode], Collector]]) -> None:
        self.source, self.collectors = Source(path), collectors
        self.root: XmlNode | None = None
        self.open: list[XmlNode] = []
        self.collector: Collector | None = None
        self.inside = 0  # how deep inside the collected element
        self.count = 0
        self.characters = 0  # since the last tag
        self.parser = expat.ParserCreate(namespace_separator=None)
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.StartDoctypeDeclHandler = self.refuse
        self.parser.EntityDeclHandler = self.refuse
        self.parser.ExternalEntityRefHandler = self.refuse

    def run(self) -> XmlNode:
        try:
            with self.source.path.open("rb") as file:
                self.parser.ParseFile(file)
        except (expat.ExpatError, UnicodeError, ValueError) as error:
            if isinstance(error, HepmlError):  # of the handlers below
                raise
            raise ModelFileError(
                f"{self.source} is no well-formed XML: {error}. It is damaged, or cut short; copy it again."
            ) from error
        assert self.root is not None  # expat refuses a file without an element
        return self.root

    def refuse(self, *_: Any) -> int:
        raise ModelFileError(
            f"{self.source}, line {self.parser.CurrentLineNumber}: a DOCTYPE or an entity. TMVA writes "
            "neither, and "
            "neither is read."
        )

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.characters = 0
        node = XmlNode(name, attributes, self.parser.CurrentLineNumber, self.source)
        if self.collector is not None:
            self.inside += 1
            self.collector.start(node)
            return
        self.count += 1
        if self.count > MOST_NODES or len(self.open) >= DEEPEST:
            raise node.error("there are far more nodes, or deeper ones, than TMVA writes.")
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node
            self.source.method = attributes.get("Method", "")[:80]
        self.open.append(node)
        if name in self.collectors:
            self.collector, self.inside = self.collectors[name](node), 0
            node.collected = self.collector

    def end(self, _: str) -> None:
        self.characters = 0
        if self.collector is not None and self.inside:
            self.inside -= 1
            self.collector.end()
            return
        self.collector = None
        self.open.pop()

    def text(self, text: str) -> None:
        if self.collector is not None or not self.open or text.isspace():
            return
        self.characters += len(text)
        if self.characters > LONGEST_TEXT:
            raise self.open[-1].error("its text is far longer than TMVA writes.")
        self.open[-1].text.append(text)
