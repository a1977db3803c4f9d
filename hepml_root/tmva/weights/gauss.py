"""Variables made flat or Gaussian by their cumulative distribution, in float32 also far out in the tails.

With the two tails c = F(x) and s = 1 − F(x), each from a table of its own, so that neither is lost beside 1,

    √2 erf⁻¹(c − s) = √2 (c − s) P(w),    w = −log(4 c s),

where P is a polynomial of w in the middle and of √w in the tails. It is fitted here, in double precision.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray
from scipy.special import erfcinv

from hepml_root.tmva.weights.graph import Graph
from hepml_root.tmva.weights.pdf import Pdf, add_lookup, add_values

# TMVA keeps F between these, and 2F − 1 between ∓0.99999999.
_LEAST, _LEAST_TAIL = 1e-9, 0.5e-8
_MIDDLE = 5.0
_DEGREES = (9, 10)


def add_uniform(graph: Graph, values: str, pdfs: Sequence[Pdf]) -> str:
    """Add F(x) of every column."""
    found = add_lookup(graph, values, pdfs)
    return graph.clipped(add_values(graph, found, pdfs), _LEAST, 1.0 - _LEAST)


def add_gauss(graph: Graph, values: str, pdfs: Sequence[Pdf], root_of_2: float) -> str:
    """Add √2 erf⁻¹(2 F(x) − 1) of every column."""
    found = add_lookup(graph, values, pdfs)
    lower, upper = (
        graph.clipped(add_values(graph, found, pdfs, complement), _LEAST_TAIL, 1.0)
        for complement in (False, True)
    )
    product = graph.add("Mul", graph.add("Mul", lower, graph.constant(4.0)), upper)
    w = graph.add("Max", graph.add("Neg", graph.add("Log", product)), graph.constant(0.0))
    middle, tail = _polynomials()
    inner = _horner(graph, graph.add("Sub", w, graph.constant(_MIDDLE / 2)), middle)
    root = graph.add("Sub", graph.add("Sqrt", w), graph.constant(_centre()))
    outer = _horner(graph, root, tail)
    factor = graph.add("Where", graph.add("Less", w, graph.constant(_MIDDLE)), inner, outer)
    argument = graph.add("Sub", lower, upper)
    return graph.add("Mul", graph.add("Mul", argument, factor), graph.constant(root_of_2))


def _centre() -> float:
    return float((np.sqrt(_MIDDLE) + np.sqrt(-np.log(4.0 * _LEAST_TAIL))) / 2)


@functools.cache
def _polynomials() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the coefficients, of the highest power first, in w − 2.5 and in √w − centre."""
    w = _MIDDLE / 2 * (1 - np.cos(np.linspace(0.0, np.pi, 400)))
    first = Chebyshev.fit(w - _MIDDLE / 2, _ratio(w), _DEGREES[0]).convert(kind=Polynomial)
    low, high = np.sqrt(_MIDDLE), np.sqrt(-np.log(4.0 * _LEAST_TAIL)) + 0.01
    root = low + (high - low) / 2 * (1 - np.cos(np.linspace(0.0, np.pi, 400)))
    second = Chebyshev.fit(root - _centre(), _ratio(root**2), _DEGREES[1]).convert(kind=Polynomial)
    return tuple(first.coef[::-1].tolist()), tuple(second.coef[::-1].tolist())


def _ratio(w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return erf⁻¹(x) / x where w = −log(1 − x²)."""
    x = np.sqrt(-np.expm1(-w))
    # erfc⁻¹ of 1 − x, which is known exactly where x is close to 1.
    inverse = erfcinv(np.exp(-w) / (1.0 + x))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(x > 1e-6, inverse / x, np.sqrt(np.pi) / 2)


def _horner(graph: Graph, x: str, coefficients: Sequence[float]) -> str:
    value = graph.constant(coefficients[0])
    for coefficient in coefficients[1:]:
        value = graph.add("Add", graph.add("Mul", value, x), graph.constant(coefficient))
    return value
