"""Kernels of support vector machines, and decisions of them as a graph.

    K = exp(−Γ |x − z|²)             RBF
    K = exp(−Σᵢ Γᵢ (xᵢ − zᵢ)²)       MultiGauss
    K = (x·z + θ)ⁿ                   Polynomial
    K = K₁ K₂ …  or  K₁ + K₂ + …     products and sums

What is added up of a decision Σᵢ αᵢ K(xᵢ, x) cancels, and the graph has float32. A polynomial is therefore
multiplied out beforehand, in double precision: its graph has a coefficient for each product of variables, and
no support vectors. Of other kernels the mean over the vectors is taken off, which changes nothing where
Σᵢ αᵢ = 0, and the rest is added in groups of mixed signs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from hepml_root.tmva.weights.graph import Graph

GAUSSIAN, POLYNOMIAL = ("RBF", "MultiGauss"), "Polynomial"
KERNELS = (*GAUSSIAN, POLYNOMIAL)
_MOST_MONOMIALS = 20_000
_NOTHING = 1e-10  # of a sum that is 0 but for rounding


@dataclass(frozen=True)
class Kernel:
    """A kernel, or a product or sum of them.

    Arguments
    ---------
    names
        Out of ``KERNELS``.
    added
        They are added, not multiplied.
    gamma, gammas
        Γ of RBF, and those of MultiGauss ``(variables,)``.
    order, theta
        n and θ of the polynomial.

    Example
    -------
    >>> kernel = Kernel(("RBF", "Polynomial"), True, 0.5, np.ones(1), 2, 1.0)
    >>> kernel(np.array([[1.0]]), np.array([[1.0], [3.0]])).round(3).tolist()  # 1 + 4, exp(-2) + 16
    [[5.0, 16.135]]
    """

    names: tuple[str, ...]
    added: bool
    gamma: float
    gammas: NDArray[np.float64]
    order: int
    theta: float

    def widths(self, name: str) -> NDArray[np.float64]:
        """Return Γ of each variable."""
        return self.gammas if name == "MultiGauss" else np.full(len(self.gammas), self.gamma)

    def __call__(self, x: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the kernels of all pairs, ``(events of x, events of z)``."""
        parts = []
        for name in self.names:
            if name == POLYNOMIAL:
                parts.append((x @ z.T + self.theta) ** self.order)
                continue
            scale = np.sqrt(self.widths(name))
            a, b = x * scale, z * scale
            squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2.0 * (a @ b.T)
            parts.append(np.exp(-np.maximum(squares, 0.0)))
        found = parts[0]
        for part in parts[1:]:
            found = found + part if self.added else found * part
        return found

    def add_decision(
        self, graph: Graph, values: str, vectors: NDArray[np.float64], alphas: NDArray[np.float64]
    ) -> str:
        """Add Σᵢ αᵢ K(xᵢ, x) to a graph; return its name.

        Arguments
        ---------
        vectors, alphas
            The support vectors ``(vectors, variables)`` and their α ``(vectors,)``.
        """
        groups = [(name,) for name in self.names] if self.added else [self.names]
        parts = [self._product(graph, values, names, vectors, alphas) for names in groups]
        return _chained(graph, "Add", parts)

    def _product(
        self,
        graph: Graph,
        values: str,
        names: tuple[str, ...],
        vectors: NDArray[np.float64],
        alphas: NDArray[np.float64],
    ) -> str:
        gaussian = [self.widths(name) for name in names if name != POLYNOMIAL]
        order = self.order * (len(names) - len(gaussian))
        if order and not gaussian and math.comb(len(self.gammas) + order, order) <= _MOST_MONOMIALS:
            return _polynomial(graph, values, vectors, alphas, order, self.theta)
        vectors, alphas, groups = _grouped(vectors, alphas)
        parts = []
        if gaussian:
            parts.append(_gaussian(graph, values, vectors, np.sqrt(sum(gaussian))))
        if order:
            base = graph.affine(values, vectors.T, np.full(len(vectors), self.theta))
            parts += [base] * order
        kernels = _chained(graph, "Mul", parts)
        mean = graph.add("ReduceMean", kernels, graph.constant([1], np.int64), keepdims=1)
        terms = graph.add("Mul", graph.add("Sub", kernels, mean), graph.constant(alphas))
        shape = graph.constant([0, groups, len(alphas) // groups], np.int64)
        sums = graph.add(
            "ReduceSum", graph.add("Reshape", terms, shape), graph.constant([2], np.int64), keepdims=0
        )
        total = graph.add("ReduceSum", sums, graph.constant([1], np.int64), keepdims=1)
        left = float(alphas.sum())
        if abs(left) <= _NOTHING * float(np.abs(alphas).sum()):
            return total
        return graph.add("Add", total, graph.add("Mul", mean, graph.constant(left)))


def _grouped(
    vectors: NDArray[np.float64], alphas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Shuffle vectors, and fill them up with some of weight 0 to groups of one size, as many as it is."""
    order = np.random.default_rng(1).permutation(len(alphas))
    groups = math.isqrt(len(alphas) - 1) + 1
    missing = -len(alphas) % groups
    vectors = np.concatenate([vectors[order], np.repeat(vectors[:1], missing, axis=0)])
    return vectors, np.concatenate([alphas[order], np.zeros(missing)]), groups


def _chained(graph: Graph, operator: str, parts: list[str]) -> str:
    found = parts[0]
    for part in parts[1:]:
        found = graph.add(operator, found, part)
    return found


def _gaussian(graph: Graph, values: str, vectors: NDArray[np.float64], scale: NDArray[np.float64]) -> str:
    """Squares of distances by a product of matrices, around the middle of the support vectors."""
    middle = vectors.mean(axis=0)
    around = (vectors - middle) * scale
    moved = graph.add("Mul", graph.add("Sub", values, graph.constant(middle)), graph.constant(scale))
    square = graph.add("Mul", moved, moved)
    own = graph.add("ReduceSum", square, graph.constant([1], np.int64), keepdims=1)
    mixed = graph.affine(moved, -2.0 * around.T, (around**2).sum(axis=1))
    distance = graph.add("Max", graph.add("Add", mixed, own), graph.constant(0.0))
    return graph.add("Exp", graph.add("Neg", distance))


def _polynomial(
    graph: Graph,
    values: str,
    vectors: NDArray[np.float64],
    alphas: NDArray[np.float64],
    order: int,
    theta: float,
) -> str:
    """Σᵢ αᵢ (xᵢ·x + θ)ⁿ, by its products of variables: (θ + Σⱼ uⱼ)ⁿ has n! / Πₖ mₖ! of each."""
    variables = vectors.shape[1]
    # In float32 arithmetic near 0: around the middle of the support vectors.
    middle = vectors.mean(axis=0)
    start = vectors @ middle + theta  # (x − middle)·z + this
    moved = graph.add("Sub", values, graph.constant(middle))
    total = graph.constant([[float((alphas * start**order).sum())]])
    products = ""
    earlier: dict[tuple[int, ...], int] = {}
    for degree in range(1, order + 1):
        places = list(combinations_with_replacement(range(variables), degree))
        last = moved if degree == 1 else graph.columns(moved, [place[-1] for place in places])
        products = (
            last
            if degree == 1
            else graph.add("Mul", graph.columns(products, [earlier[place[:-1]] for place in places]), last)
        )
        rest = alphas * start ** (order - degree)
        coefficients = [
            ways * float((rest * np.prod(vectors[:, list(place)], axis=1)).sum())
            for place, ways in zip(places, _ways(places, order), strict=True)
        ]
        total = graph.add("Add", graph.affine(products, np.array(coefficients)[:, None]), total)
        earlier = {place: number for number, place in enumerate(places)}
    return total


def _ways(places: list[tuple[int, ...]], order: int) -> Iterator[float]:
    """How often each product of variables is in the power of a sum with a constant."""
    for place in places:
        repeated = math.prod(math.factorial(place.count(variable)) for variable in set(place))
        yield math.factorial(order) / (math.factorial(order - len(place)) * repeated)
