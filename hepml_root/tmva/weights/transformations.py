"""Variable transformations of a weight file (options ``VarTransform``), one after the other in the graph.

A file holds each transformation once for every class and once more for all classes together. When TMVA
applies a file it takes the last of these, "all classes", whatever class the option named in training;
Likelihood alone asks for that of the signal and that of the background.

    Normalize       x' = 2 (x − min) / (max − min) − 1
    Decorrelation   x' = M x, M the inverse square root of the covariance
    PCA             x' = Vᵀ (x − mean)
    Uniform         x' = F(x), the cumulative distribution (:mod:`hepml_root.tmva.weights.pdf`)
    Gauss           x' = √2 erf⁻¹(2 F(x) − 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import UnsupportedOperationError
from hepml_root.tmva.weights.gauss import add_gauss, add_uniform
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.header import Header, Variable
from hepml_root.tmva.weights.pdf import Pdf, read_pdf
from hepml_root.tmva.weights.xml_nodes import XmlNode

MOST_TRANSFORMATIONS = 50
ALL_CLASSES = -1
_SQUARE_ROOT_OF_2 = 1.414213562  # as many digits as TMVA takes


@dataclass(frozen=True)
class Transformation:
    """One transformation.

    Arguments
    ---------
    kind
        ``Normalize``, ``Decorrelation``, ``PCA``, ``Gauss`` or ``Uniform``.
    takes, puts
        Positions of the variables that it reads, and of those that it replaces.
    targets
        Positions of the targets of a regression that it normalises, and where these are among its inputs.
    ranges
        Normalize: for each class ``(inputs, 2)``, minimum and maximum.
    matrices
        Decorrelation and PCA: for each class the matrix ``(inputs, inputs)`` that multiplies a row ``x`` from
        the right.
    means
        PCA: for each class ``(inputs,)``.
    cumulative
        Gauss and Uniform: for each class one distribution per input.
    """

    kind: str
    takes: tuple[int, ...]
    puts: tuple[int, ...]
    targets: tuple[tuple[int, int], ...] = ()
    ranges: tuple[NDArray[np.float64], ...] = ()
    matrices: tuple[NDArray[np.float64], ...] = ()
    means: tuple[NDArray[np.float64], ...] = ()
    cumulative: tuple[tuple[Pdf, ...], ...] = ()

    @property
    def sets(self) -> int:
        """For how many classes it is there, "all classes" included."""
        return max(map(len, (self.ranges, self.matrices, self.cumulative)))


def read_transformations(root: XmlNode, header: Header) -> tuple[Transformation, ...]:
    """Read the transformations of a file.

    Raises
    ------
    ModelFileError
        A node or number is missing, or the file has no node ``Transformations`` at all.
    UnsupportedOperationError
        The transformation is not known here, or is one of targets that cannot be taken back.
    """
    node = root.child("Transformations")
    entries = node.counted("Transform", "NTransformations")
    if len(entries) > MOST_TRANSFORMATIONS:
        raise node.error(f"{len(entries)} transformations; {MOST_TRANSFORMATIONS} are read.")
    found = tuple(_transformation(entry, header) for entry in entries)
    if sum(bool(entry.targets) for entry in found) > 1:
        raise UnsupportedOperationError(
            f"{node.source}, line {node.line}: two transformations of the targets. TMVA takes only one "
            "of them "
            "back, so its values are not those of the targets."
        )
    return found


def _transformation(node: XmlNode, header: Header) -> Transformation:
    name = node.attribute("Name")
    if name not in _READERS:
        raise UnsupportedOperationError(
            f"{node.source}, line {node.line}: the transformation '{name}' is not read; known are "
            f"{', '.join(_READERS)}."
        )
    if not node.all("Selection"):
        raise node.error("the node <Selection> is missing: what it transforms is unknown.")
    selection = node.child("Selection")
    inputs = _selected(selection.child("Input"), "Input", "NInputs", header)
    outputs = _selected(selection.child("Output"), "Output", "NOutputs", header)
    if [kind for kind, _ in inputs] != [kind for kind, _ in outputs]:
        raise selection.error("its inputs and its outputs differ in number or kind.")
    targets = tuple((position, place) for place, (kind, position) in enumerate(inputs) if kind == "Target")
    if targets and (
        name != "Normalize" or [p for k, p in outputs if k == "Target"] != [p for p, _ in targets]
    ):
        raise UnsupportedOperationError(
            f"{node.source}, line {node.line}: the targets went through '{name}', which cannot be taken "
            "back. "
            "Train with VarTransform=N, or transform the variables only (VarTransform=D(_V_))."
        )
    return _READERS[name](node, inputs, outputs, targets, _sets(header))


def _sets(header: Header) -> int:
    """For how many classes TMVA writes a transformation: each, and all of them together."""
    classes = len(header.classes)
    return 1 if classes <= 1 else classes + 1


def _selected(node: XmlNode, name: str, count: str, header: Header) -> list[tuple[str, int]]:
    """Return (kind, position) of what a transformation reads or writes."""
    groups: dict[str, Sequence[Variable]] = {"Variable": header.variables, "Target": header.targets}
    found = []
    for entry in node.counted(name, count):
        kind = entry.attribute("Type")
        if kind not in groups:
            raise UnsupportedOperationError(
                f"{node.source}, line {entry.line}: a transformation of a {kind.lower()[:20]}; those of "
                "variables "
                "and targets are read."
            )
        label, expression = entry.attribute("Label"), entry.attribute("Expression")
        places = [
            place
            for place, variable in enumerate(groups[kind])
            if variable.label == label or variable.expression == expression
        ]
        if not places:
            raise entry.error(f"there is no {kind.lower()} '{label}' ({expression}) in the file.")
        found.append((kind, places[0]))
    if not found:
        raise node.error("nothing is transformed.")
    if len(set(found)) < len(found):
        raise node.error("something is named twice.")
    return found


Selected = list[tuple[str, int]]
Targets = tuple[tuple[int, int], ...]


def _variables(selected: Selected) -> tuple[int, ...]:
    return tuple(position for kind, position in selected if kind == "Variable")


def _normalize(
    node: XmlNode, inputs: Selected, outputs: Selected, targets: Targets, sets: int
) -> Transformation:
    ranges = []
    for index, entry in enumerate(_by_class(node, "Class", "ClassIndex", sets)):
        table = np.zeros((len(inputs), 2))
        rows = sorted(entry.child("Ranges").all("Range"), key=lambda row: row.integer("Index"))
        if [row.integer("Index") for row in rows] != list(range(len(inputs))):
            raise entry.error(f"{len(rows)} ranges for {len(inputs)} inputs of class {index}.")
        for place, row in enumerate(rows):
            table[place] = np.array([row.number("Min"), row.number("Max")], np.float32)
            if not table[place, 0] < table[place, 1]:
                raise row.error(f"the range {table[place, 0]:g} to {table[place, 1]:g} is empty.")
        ranges.append(table)
    return Transformation("Normalize", _variables(inputs), _variables(outputs), targets, ranges=tuple(ranges))


def _decorrelation(
    node: XmlNode, inputs: Selected, outputs: Selected, targets: Targets, sets: int
) -> Transformation:
    entries = node.all("Matrix")
    if len(entries) != sets:
        raise node.error(f"{len(entries)} matrices <Matrix>; {sets} are needed.")
    matrices = tuple(_matrix(entry, "Rows", "Columns", len(inputs)).T for entry in entries)
    return Transformation(
        "Decorrelation", _variables(inputs), _variables(outputs), targets, matrices=matrices
    )


def _pca(node: XmlNode, inputs: Selected, outputs: Selected, targets: Targets, sets: int) -> Transformation:
    means = []
    for entry in _by_class(node, "Statistics", "ClassIndex", sets):
        if entry.integer("NRows") != len(inputs):
            raise entry.error(f"NRows={entry.integer('NRows')} for {len(inputs)} inputs.")
        means.append(np.array(entry.numbers(len(inputs))))
    entries = _by_class(node, "Eigenvectors", "ClassIndex", sets)
    matrices = tuple(_matrix(entry, "NRows", "NCols", len(inputs)) for entry in entries)
    return Transformation(
        "PCA", _variables(inputs), _variables(outputs), targets, matrices=matrices, means=tuple(means)
    )


def _cumulative(
    node: XmlNode, inputs: Selected, outputs: Selected, targets: Targets, sets: int
) -> Transformation:
    entries = sorted(node.all("Variable"), key=lambda entry: entry.integer("VarIndex"))
    if [entry.integer("VarIndex") for entry in entries] != list(range(len(inputs))):
        raise node.error(f"{len(entries)} nodes <Variable> for {len(inputs)} inputs.")
    classes = []
    for index in range(sets):
        owners = [entry.child(f"CumulativePDF_cls{index}") for entry in entries]
        classes.append(tuple(read_pdf(owner.child("PDF"), normalised=False) for owner in owners))
    kinds = {"Flat": "Uniform", "Gauss": "Gauss"}
    flat = node.attribute("FlatOrGauss")
    if flat not in kinds:
        raise node.error(f"FlatOrGauss='{flat[:40]}' is neither Flat nor Gauss.")
    return Transformation(
        kinds[flat], _variables(inputs), _variables(outputs), targets, cumulative=tuple(classes)
    )


_READERS = {
    "Normalize": _normalize,
    "Decorrelation": _decorrelation,
    "PCA": _pca,
    "Gauss": _cumulative,
    "Uniform": _cumulative,
}


def _by_class(node: XmlNode, name: str, index: str, sets: int) -> list[XmlNode]:
    entries = sorted(node.all(name), key=lambda entry: entry.integer(index))
    if [entry.integer(index) for entry in entries] != list(range(sets)):
        raise node.error(
            f"{len(entries)} nodes <{name}>; one for each class and one for all of them are needed, {sets}."
        )
    return entries


def _matrix(node: XmlNode, rows: str, columns: str, size: int) -> NDArray[np.float64]:
    if (node.integer(rows), node.integer(columns)) != (size, size):
        raise node.error(f"a matrix {node.integer(rows)} x {node.integer(columns)} for {size} inputs.")
    return np.array(node.numbers(size * size)).reshape(size, size)


# ---- in the graph ----------------------------------------------------------------------------------------


def add_transformations(
    graph: Graph, values: str, transformations: Sequence[Transformation], variables: int, which: int
) -> str:
    """Add a chain of transformations to a graph; return the name of the transformed values.

    Arguments
    ---------
    values
        Name of the variables ``(events, variables)``.
    which
        Index of a class, or ``ALL_CLASSES``.
    """
    for transformation in transformations:
        index = which if 0 <= which < transformation.sets else transformation.sets - 1
        takes, puts = transformation.takes, transformation.puts
        if not takes:
            continue
        everything = list(range(variables))
        read = values if list(takes) == everything else graph.columns(values, takes)
        made = _one(graph, read, transformation, index)
        if list(puts) == everything:
            values = made
            continue
        places = {position: variables + place for place, position in enumerate(puts)}
        joined = graph.add("Concat", values, made, axis=1)
        values = graph.columns(joined, [places.get(position, position) for position in everything])
    return values


def _one(graph: Graph, values: str, transformation: Transformation, index: int) -> str:
    if transformation.kind == "Normalize":
        places = [place for place, _ in enumerate(transformation.ranges[index])]
        targets = {place for _, place in transformation.targets}
        table = transformation.ranges[index][[place for place in places if place not in targets]]
        scale = np.float32(1.0 / (table[:, 1] - table[:, 0]).astype(np.float32))
        moved = graph.add("Sub", values, graph.constant(table[:, 0]))
        scaled = graph.add("Mul", moved, graph.constant(2.0 * scale))
        return graph.add("Sub", scaled, graph.constant(1.0))
    if transformation.kind == "PCA":
        values = graph.add("Sub", values, graph.constant(transformation.means[index]))
    if transformation.matrices:
        return graph.affine(values, transformation.matrices[index])
    pdfs = transformation.cumulative[index]
    if transformation.kind == "Uniform":
        return add_uniform(graph, values, pdfs)
    return add_gauss(graph, values, pdfs, _SQUARE_ROOT_OF_2)


def add_inverse_of_targets(
    graph: Graph, values: str, transformations: Sequence[Transformation], targets: int
) -> str:
    """Bring the values of a regression back to those of its targets."""
    for transformation in transformations:
        if not transformation.targets:
            continue
        low, scale = np.zeros(targets), np.ones(targets)
        offset = np.zeros(targets)
        table = transformation.ranges[-1]
        for position, place in transformation.targets:
            step = np.float32(1.0 / np.float32(table[place, 1] - table[place, 0]))
            low[position], scale[position], offset[position] = table[place, 0], 0.5 / step, 1.0
        moved = graph.add("Add", values, graph.constant(offset))
        values = graph.add("Add", graph.add("Mul", moved, graph.constant(scale)), graph.constant(low))
    return values
