"""Support vector machines (SVM): a sum of kernels around few training events.

    f(x) = Σᵢ αᵢ K(xᵢ, x) + b,    y = 1 / (1 + exp(−f)); in a regression f itself

TMVA's files hold for two classes |αᵢ| with a sign of −1 for signal, for a regression two numbers whose
difference is αᵢ; and b as ``fBparm``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import UnsupportedOperationError
from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.header import Header
from hepml_root.tmva.weights.vector_kernels import KERNELS, Kernel
from hepml_root.tmva.weights.xml_nodes import XmlNode

FIRST_VARIABLE = 4  # of a row: its number, the sign, two α, the variables


@dataclass(frozen=True)
class SupportVectors:
    """The weights of an SVM.

    Arguments
    ---------
    vectors, alphas
        ``(vectors, variables)`` and ``(vectors,)``.
    offset
        b.
    kernel
        K.
    """

    vectors: NDArray[np.float64]
    alphas: NDArray[np.float64]
    offset: float
    kernel: Kernel

    @property
    def as_tmva(self) -> bool:
        """TMVA's Reader adds the kernels of a product."""
        return self.kernel.added or len(self.kernel.names) == 1

    def rows(self, regression: bool) -> NDArray[np.float64]:
        """Return the table that a weight file holds, ``(vectors, 4 + variables)``."""
        count, positive = len(self.alphas), self.alphas > 0
        sign = np.where(positive, -1.0, 1.0)
        above, below = np.abs(self.alphas), np.zeros(count)
        if regression:
            above, below = np.maximum(self.alphas, 0.0), np.maximum(-self.alphas, 0.0)
        return np.column_stack([np.arange(count), sign, above, below, self.vectors])


def read_support_vectors(node: XmlNode, header: Header) -> SupportVectors:
    """Read the node ``Weights`` of an SVM.

    Raises
    ------
    ModelFileError
        A vector or a number is missing.
    UnsupportedOperationError
        The kernel is not known, or is a product, which TMVA's Reader takes for a sum.
    """
    if header.analysis == "Multiclass" or len(header.outputs) != 1:
        raise node.error("a support vector machine of several classes or targets; TMVA has it for one.")
    variables = len(header.variables)
    chosen = header.option("Kernel", "RBF")
    names = header.option("KernelList", "None").split("+") if chosen == "Sum" else [chosen]
    names = [name.strip() for name in names]
    if not set(names) <= set(KERNELS):
        raise UnsupportedOperationError(
            f"{node.source}: Kernel={chosen[:20]}, KernelList={header.option('KernelList', 'None')[:40]}; "
            f"{', '.join(KERNELS)} and sums of them are read."
        )
    entries = node.counted("SupportVector", "NSupVec")
    if not entries:
        raise node.error("there is no support vector.")
    width = variables + FIRST_VARIABLE
    for entry in entries:
        if (entry.integer("Rows"), entry.integer("Columns")) != (1, width):
            raise entry.error(f"{entry.attribute('Columns')} numbers; {width} are needed.")
    table = np.array([entry.numbers(width) for entry in entries])
    if header.analysis == "Regression":
        alphas = table[:, 2] - table[:, 3]
    else:
        alphas = -table[:, 1] * table[:, 2]
    gammas = np.ones(variables)
    if "MultiGauss" in names and node.attribute("fGammaList", ""):
        try:
            gammas = np.array([float(text) for text in node.attribute("fGammaList").split(",")])
        except ValueError:
            gammas = np.zeros(0)
        if len(gammas) != variables or not (np.isfinite(gammas) & (gammas > 0)).all():
            raise node.error(f"fGammaList: {variables} numbers above 0 are needed, with commas.")
    order = node.integer("fOrder", 1, 100) if "Polynomial" in names else 1
    theta = node.number("fTheta") if "Polynomial" in names else 0.0
    gamma = node.number("fGamma")
    if "RBF" in names and gamma <= 0.0:
        raise node.error(f"fGamma={gamma:g}: a number above 0 is needed.")
    kernel = Kernel(tuple(names), chosen == "Sum", gamma, gammas, order, theta)
    return SupportVectors(table[:, FIRST_VARIABLE:], alphas, node.number("fBparm"), kernel)


def add_support_vectors(graph: Graph, values: str, weights: SupportVectors, regression: bool) -> str:
    """Add the response; return its name."""
    total = weights.kernel.add_decision(graph, values, weights.vectors, weights.alphas)
    total = graph.add("Add", total, graph.constant(weights.offset))
    return total if regression else graph.add("Sigmoid", total)
