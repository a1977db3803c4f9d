"""Fisher and linear (LD) discriminants: y = c₀ + Σ cᵢ xᵢ, of LD for each target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.header import Header
from hepml_root.tmva.weights.xml_nodes import XmlNode


@dataclass(frozen=True)
class Linear:
    """Coefficients ``(outputs, 1 + variables)``; the first is the constant."""

    coefficients: NDArray[np.float64]


def read_fisher(node: XmlNode, header: Header) -> Linear:
    """Read the node ``Weights`` of a Fisher discriminant."""
    if header.analysis != "Classification":
        raise node.error(f"a Fisher discriminant for {header.analysis}; TMVA has it for two classes.")
    _check_count(node, header)
    rows = node.in_order("Coefficient", "NCoeff", "Index")
    return Linear(np.array([[row.number("Value") for row in rows]]))


def read_linear(node: XmlNode, header: Header) -> Linear:
    """Read the node ``Weights`` of a linear discriminant."""
    _check_count(node, header)
    outputs, count = node.integer("NOut"), node.integer("NCoeff")
    if header.analysis == "Multiclass" or outputs != len(header.outputs):
        raise node.error(f"NOut={outputs} for {header.analysis} with {len(header.outputs)} output(s).")
    table = np.full((outputs, count), np.nan)
    for entry in node.all("Coefficient"):
        place = entry.integer("IndexOut", most=outputs - 1), entry.integer("IndexCoeff", most=count - 1)
        if not np.isnan(table[place]):
            raise entry.error("a coefficient that is there already.")
        table[place] = entry.number("Value")
    if np.isnan(table).any():
        raise node.error(f"{int(np.isnan(table).sum())} of {table.size} coefficients are missing.")
    return Linear(table)


def _check_count(node: XmlNode, header: Header) -> None:
    if node.integer("NCoeff") != len(header.variables) + 1:
        raise node.error(
            f"NCoeff={node.integer('NCoeff')} for {len(header.variables)} variables and a constant."
        )


def add_linear(graph: Graph, values: str, weights: Linear) -> str:
    """Add the discriminant; return its name."""
    return graph.affine(values, weights.coefficients[:, 1:].T, weights.coefficients[:, 0])
