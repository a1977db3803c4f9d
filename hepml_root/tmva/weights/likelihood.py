"""Likelihood: the product of one-dimensional densities of the signal, against that of the background.

    y = p_S / (p_S + p_B),  p_C = Πᵢ max(f_C,i(xᵢ), ε)

and with TransformOutput −log(1/y − 1)/15. It is computed with sums of logarithms, which do not underflow;
values outside the range of the densities are taken at its edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hepml_root.errors import UnsupportedOperationError
from hepml_root.tmva.weights.graph import Forest, Graph
from hepml_root.tmva.weights.header import Header
from hepml_root.tmva.weights.pdf import Pdf, add_lookup, add_values, read_pdf, step_edges
from hepml_root.tmva.weights.xml_nodes import XmlNode

# TMVA's ε, 1000 times the smallest normal double.
_LEAST_LOG = math.log(1e3 * float(np.finfo(np.float64).tiny))
_STEEPNESS = 15.0
# Where y would be 1 in double precision, TMVA takes 1 − 1e-15.
_ONE_LOG, _NEARLY_ONE_LOG = 54 * math.log(2.0), -math.log(1.0 / (1.0 - 1e-15) - 1.0)


@dataclass(frozen=True)
class Likelihood:
    """For each variable the density of the signal and that of the background."""

    densities: tuple[tuple[Pdf, Pdf], ...]
    transformed: bool


def read_likelihood(node: XmlNode, header: Header) -> Likelihood:
    """Read the node ``Weights`` of a likelihood.

    Raises
    ------
    ModelFileError
        A density is missing, or signal and background have different ranges.
    UnsupportedOperationError
        Densities of kernels, or with different interpolations for signal and background.
    """
    if header.analysis != "Classification":
        raise node.error(f"a likelihood for {header.analysis}; TMVA has it for two classes.")
    count = len(header.variables)
    if (node.integer("NVariables"), node.integer("NClasses")) != (count, 2):
        raise node.error(f"densities of {node.attribute('NVariables')} variables; the file has {count}.")
    entries = {}
    for entry in node.all("PDFDescriptor"):
        place = entry.integer("VarIndex"), entry.integer("ClassIndex")
        if place in entries:
            raise entry.error("a density that is there already.")
        entries[place] = entry
    wanted = [(variable, which) for variable in range(count) for which in (0, 1)]
    if sorted(entries) != wanted:
        raise node.error(f"{len(entries)} densities; 2 for each of {count} variables are needed.")
    densities = []
    for variable in range(count):
        both = [read_pdf(entries[variable, which].child("PDF"), normalised=True) for which in (0, 1)]
        signal, background = both
        if (signal.low, signal.high) != (background.low, background.high):
            raise entries[variable, 1].error("the ranges of signal and background differ.")
        if signal.interpolated != background.interpolated:
            raise UnsupportedOperationError(
                f"{node.source}: the densities of '{header.variables[variable].label}' are interpolated in "
                "different ways for signal and background, which is not read."
            )
        densities.append((signal, background))
    return Likelihood(tuple(densities), header.switched_on("TransformOutput"))


def add_likelihood(graph: Graph, signal: str, background: str, weights: Likelihood) -> str:
    """Add the response; return its name.

    Arguments
    ---------
    signal, background
        The variables ``(events, variables)`` with the transformations of each class.
    """
    count = len(weights.densities)
    smooth = [i for i, (density, _) in enumerate(weights.densities) if density.interpolated]
    stepped = [i for i in range(count) if i not in smooth]
    joined = graph.add("Concat", signal, background, axis=1)
    sums = []
    if smooth:
        places = [*smooth, *(count + i for i in smooth)]
        pdfs = [weights.densities[i][which] for which in (0, 1) for i in smooth]
        read = joined if not stepped else graph.columns(joined, places)
        low, high = (graph.constant([getattr(pdf, end) for pdf in pdfs]) for end in ("low", "high"))
        inside = graph.add("Min", graph.add("Max", read, low), high)
        logs = _logarithms(graph, add_values(graph, add_lookup(graph, inside, pdfs), pdfs))
        sums.append(graph.affine(logs, np.repeat(np.eye(2), len(smooth), axis=0)))
    if stepped:
        forest = Forest(2)
        for which in (0, 1):
            for i in stepped:
                pdf = weights.densities[i][which]
                content = np.maximum(pdf.values.astype(np.float64), math.exp(_LEAST_LOG))
                forest.steps(which * count + i, step_edges(pdf), np.log(content), which)
        sums.append(forest.add_to(graph, joined))
    both = graph.add(
        "Max", sums[0] if len(sums) == 1 else graph.add("Add", *sums), graph.constant(_LEAST_LOG)
    )
    ratio = graph.affine(both, np.array([[1.0], [-1.0]]))
    if not weights.transformed:
        return graph.add("Sigmoid", ratio)
    certain = graph.add("Greater", ratio, graph.constant(_ONE_LOG))
    ratio = graph.add("Where", certain, graph.constant(_NEARLY_ONE_LOG), ratio)
    return graph.add("Mul", ratio, graph.constant(1.0 / _STEEPNESS))


def _logarithms(graph: Graph, values: str) -> str:
    """Logarithms of densities; of those that are not positive that of TMVA's ε. NaN stays NaN."""
    least = float(np.finfo(np.float32).tiny)
    logs = graph.add("Log", graph.add("Max", values, graph.constant(least)))
    nothing = graph.add("Less", values, graph.constant(least))
    return graph.add("Where", nothing, graph.constant(_LEAST_LOG), logs)
