"""What every weight file says before its weights: method, options, variables, classes, targets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass

from hepml_root.errors import UnsupportedOperationError, unknown
from hepml_root.tmva.options.readable import KNOWN_OPTIONS, METHODS, NOT_READ
from hepml_root.tmva.weights.xml_nodes import XmlNode

ANALYSES = ("Classification", "Regression", "Multiclass")
MOST_VARIABLES = 5000


@dataclass(frozen=True)
class Option:
    """One option as it was in training; ``modified``: it was given; ``size``: of one for each variable."""

    value: str
    modified: bool
    size: int | None = None


@dataclass(frozen=True)
class Variable:
    """An input variable, a spectator or a target.

    Arguments
    ---------
    expression, label, title, unit
        As they were given to TMVA's DataLoader; the label is the expression where none was given.
    internal
        The label with all that C++ names cannot have replaced.
    kind
        ``F`` or ``I`` (whole numbers).
    minimum, maximum
        The range in training; None where the file does not say it.
    """

    expression: str
    label: str
    title: str
    unit: str
    internal: str
    kind: str
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True)
class Header:
    """The method and its data.

    Arguments
    ---------
    method, title
        Such as ``BDT`` and the name it was booked with.
    analysis
        ``Classification``, ``Regression`` or ``Multiclass``.
    info
        TMVA's GeneralInfo: releases, date, number of training events, …
    options
        {name: :class:`Option`}.
    variables, spectators, targets
        In TMVA's order.
    classes
        Names, in the order of their indices.
    release
        TMVA's version as ``(major, minor, patch)``.
    """

    method: str
    title: str
    analysis: str
    info: Mapping[str, str]
    options: Mapping[str, Option]
    variables: tuple[Variable, ...]
    spectators: tuple[Variable, ...]
    classes: tuple[str, ...]
    targets: tuple[Variable, ...]
    release: tuple[int, int, int]

    def option(self, name: str, default: str) -> str:
        """Return an option's value, or TMVA's default where an older file lacks it."""
        found = self.options.get(name)
        return default if found is None else found.value

    def switched_on(self, name: str, default: bool = False) -> bool:
        """Return an option that is True or False."""
        return self.option(name, str(default)).strip().lower() in ("true", "t", "1")

    @property
    def signal(self) -> int:
        """Index of the class that a classifier's response is high for."""
        return self.classes.index("Signal") if "Signal" in self.classes else 0

    @property
    def background(self) -> int:
        """Index of the other class."""
        return self.classes.index("Background") if "Background" in self.classes else 1

    @property
    def outputs(self) -> tuple[str, ...]:
        """Labels of the values that the method gives."""
        if self.analysis == "Regression":
            return tuple(target.label for target in self.targets)
        return self.classes if self.analysis == "Multiclass" else (self.classes[self.signal],)


def read_header(root: XmlNode, own_model: bool = False) -> Header:
    """Read all but transformations and weights.

    Arguments
    ---------
    root
        The file.
    own_model
        The weights are an ONNX file, which says all that methods and options could: any are read.

    Raises
    ------
    ModelFileError
        A node or an attribute is missing, a count is wrong, or a number is not finite.
    UnsupportedOperationError
        The method, or one of its options, is not known here.
    """
    if root.name != "MethodSetup":
        raise root.error("a weight file of TMVA begins with <MethodSetup>.")
    method, separator, title = root.attribute("Method").partition("::")
    if not separator:
        raise root.error(f"Method='{method}' is not of the form Type::Title.")
    if method not in METHODS and not own_model:
        why = NOT_READ.get(method, "")
        raise UnsupportedOperationError(
            f"{root.source}: " + unknown("method", method, METHODS, f"{method} {why}" if why else "")
        )
    info = {node.attribute("name"): node.attribute("value") for node in root.child("GeneralInfo").all("Info")}
    options = _options(root.child("Options"), None if own_model else KNOWN_OPTIONS[method])
    variables = _variables(root.child("Variables"), "Variable", "NVar", "VarIndex")
    if not 0 < len(variables) <= MOST_VARIABLES:
        raise root.child("Variables").error(f"{len(variables)} variables; 1 to {MOST_VARIABLES} are read.")
    labels = [variable.expression for variable in variables]
    if len(set(labels)) < len(labels):
        raise root.child("Variables").error("two variables have the same expression.")
    spectators = _optional(root, "Spectators", "Spectator", "NSpec", "SpecIndex")
    targets = _optional(root, "Targets", "Target", "NTrgt", "TargetIndex")
    classes = _classes(root)
    analysis = info.get("AnalysisType", "Regression" if targets else "Classification")
    header = Header(
        method, title, analysis, info, options, variables, spectators, classes, targets, _release(root, info)
    )
    _check_analysis(root, header)
    return header


def _options(node: XmlNode, known: Set[str] | None) -> dict[str, Option]:
    options = {}
    for entry in node.all("Option"):
        name = entry.attribute("name")
        if (
            known is not None
            and re.sub(r"(Sig|Bkg)?(\[\d+\])?\Z", "", name) not in known
            and name not in known
        ):
            raise UnsupportedOperationError(
                f"{node.source}, line {entry.line}: {unknown('option', name, sorted(known))} It may "
                "change what "
                "the method computes, so the file is not read."
            )
        modified = entry.attribute("modified", "No") == "Yes"
        size = entry.integer("size") if "size" in entry.attributes else None
        options[name] = Option("".join(entry.text).strip(), modified, size)
    return options


def _variables(node: XmlNode, name: str, count: str, index: str) -> tuple[Variable, ...]:
    return tuple(_variable(entry) for entry in node.in_order(name, count, index))


def _optional(root: XmlNode, group: str, name: str, count: str, index: str) -> tuple[Variable, ...]:
    """Spectators and targets: TMVA leaves the node out where there are none."""
    return _variables(root.child(group), name, count, index) if root.all(group) else ()


def _variable(node: XmlNode) -> Variable:
    expression = node.attribute("Expression")
    if not expression.strip():
        raise node.error("the expression is empty.")
    ranges = [node.number(name) if node.attributes.get(name) else None for name in ("Min", "Max")]
    return Variable(
        expression,
        node.attribute("Label"),
        node.attribute("Title", ""),
        node.attribute("Unit", ""),
        node.attribute("Internal", ""),
        node.attribute("Type", "F"),
        *ranges,
    )


def _classes(root: XmlNode) -> tuple[str, ...]:
    if not root.all("Classes"):
        return ("Signal", "Background")  # before TMVA 4.0.4 there was nothing else
    nodes = root.child("Classes").in_order("Class", "NClass", "Index")
    names = tuple(node.attribute("Name") for node in nodes)
    if len(set(names)) < len(names):
        raise root.child("Classes").error(f"two classes have the same name: {', '.join(names)}.")
    return names


def _check_analysis(root: XmlNode, header: Header) -> None:
    if header.analysis not in ANALYSES:
        raise root.error(unknown("analysis type", header.analysis, ANALYSES))
    if header.analysis == "Classification" and len(header.classes) != 2:
        raise root.error(f"a classification of {len(header.classes)} classes ({', '.join(header.classes)}).")
    if header.analysis == "Multiclass" and len(header.classes) < 2:
        raise root.error("a multiclass method with fewer than two classes.")
    if header.analysis == "Regression" and not header.targets:
        raise root.error("a regression without targets.")


def _release(root: XmlNode, info: Mapping[str, str]) -> tuple[int, int, int]:
    """TMVA writes "4.2.1 [262657]"."""
    text = info.get("TMVA Release", "")
    found = re.match(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})", text)
    if found is None:
        raise root.child("GeneralInfo").error(f"the TMVA release '{text[:40]}' cannot be read.")
    release = (int(found[1]), int(found[2]), int(found[3]))
    if release < (4, 1, 0):
        raise UnsupportedOperationError(
            f"{root.source} was written by TMVA {text}; files of 4.1.0 (ROOT 5.28) and later are read. "
            "Train again."
        )
    return release
