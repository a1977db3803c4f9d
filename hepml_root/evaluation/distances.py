"""How far apart two samples are in one quantity: separation power, Wasserstein distance, and their floor."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import EmptySelectionError, NonFiniteInputError, ShapeError, WeightError
from hepml_root.evaluation.arrays import Floats, checked_vector, checked_weights
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, central_interval, poisson_replicas, to_json

#: Quantile of the floor that a distance has to exceed before it says anything.
FLOOR_LEVEL = 0.95
# Values at which the distribution functions of replicas are compared.
_NODES = 1024
# Elements of a block of counts: 32 MB.
_BLOCK = 1 << 22


@dataclasses.dataclass(frozen=True)
class Distance:
    """A distance between two samples, and what two samples of the same source give.

    Attributes
    ----------
    estimate
        The value with its interval.
    floor
        Mean distance of two samples of the same source, as large as these two: no perfect generator is
        closer.
    floor_high
        What 95 % of such pairs stay below.
    """

    estimate: Estimate
    floor: float
    floor_high: float

    @property
    def at_the_floor(self) -> bool:
        """Whether the value is what two samples of the same source give as well."""
        return self.estimate.value <= self.floor_high

    def __float__(self) -> float:
        return float(self.estimate)

    def __str__(self) -> str:
        return str(self.estimate)

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)

    @classmethod
    def from_replicas(
        cls, value: float, replicas: Floats, floor: Floats, level: float = ONE_SIGMA
    ) -> Distance:
        """Return the distance with the errors of bootstrap ``replicas`` and its floor from those of one
        source.

        A replica adds to each sample the fluctuations that it has already, so that replicas lie around a
        larger distance than the sample's; only their spread is taken.
        """
        low, high = central_interval(replicas, level)
        half = 0.5 * float(high - low)
        if len(floor) == 0:
            return cls(Estimate(value, value - half, value + half, level), math.nan, math.nan)
        return cls(
            Estimate(value, value - half, value + half, level),
            float(floor.mean()),
            float(np.quantile(floor, FLOOR_LEVEL)),
        )


def separation_power(first: ArrayLike, second: ArrayLike) -> float:
    r"""Return the separation power of two histograms: 0 for equal shapes, 1 if they do not overlap.

    .. math:: S = \frac{1}{2} \sum_i \frac{(p_i - q_i)^2}{p_i + q_i}, \quad \sum_i p_i = \sum_i q_i = 1

    Arguments
    ---------
    first, second
        Contents of the same bins (bins,), of any normalisation. A bin whose sum is not positive (negative
        weights) is left out.

    Raises
    ------
    ShapeError
        The numbers of bins differ.
    WeightError
        A histogram has no positive sum.

    Reference: TMVA users guide, arXiv:physics/0703039; used by arXiv:2410.21611.

    Example
    -------
    >>> separation_power([3, 1], [1, 3])  # ½ · 2 · (½)² / 1
    0.25
    """
    p, q = checked_vector("the first histogram", first), checked_vector("the second histogram", second)
    if len(p) != len(q):
        raise ShapeError(f"the histograms have {len(p)} and {len(q)} bins: use the same bins for both.")
    for name, content in (("first", p), ("second", q)):
        if not content.sum() > 0:
            raise WeightError(
                f"the {name} histogram has the sum {content.sum():.6g}; a shape needs a positive one."
            )
    return float(separations((p / p.sum())[None], (q / q.sum())[None])[0])


def separations(p: Floats, q: Floats) -> Floats:
    """Return the separation power of normalised histograms (replicas, bins), one for each replica."""
    both = p + q
    return 0.5 * np.sum(np.divide((p - q) ** 2, both, out=np.zeros_like(both), where=both > 0), axis=1)


def wasserstein_distance(
    first: ArrayLike,
    second: ArrayLike,
    first_weights: ArrayLike | None = None,
    second_weights: ArrayLike | None = None,
) -> float:
    r"""Return the Wasserstein distance of order one (earth mover's distance) of two samples.

    .. math:: W_1 = \int |F(x) - G(x)| \, dx

    with the weighted distribution functions F and G: the mean way by which one sample has to be moved to
    become the other, in the units of the values.

    Arguments
    ---------
    first, second
        Values (events,).
    first_weights, second_weights
        Weights (events,), with a positive sum.

    Raises
    ------
    EmptySelectionError
        A sample has no events.
    ShapeError, NonFiniteInputError, WeightError
        The arrays cannot be used.

    Example
    -------
    >>> wasserstein_distance([0.0, 1.0], [5.0, 6.0])
    5.0
    """
    pair = SortedPair(
        *checked_sample("the first sample", first, first_weights),
        *checked_sample("the second sample", second, second_weights),
    )
    return float(pair.distances(None, None)[0][0])


def checked_sample(name: str, values: ArrayLike, weights: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """Return values (events,) and weights (events,) of a sample that has events and a positive sum of
    weights.

    Raises
    ------
    EmptySelectionError, ShapeError, NonFiniteInputError, WeightError
        The arrays cannot be used.
    """
    vector = checked_vector(name, values)
    if len(vector) == 0:
        raise EmptySelectionError(f"{name} has no events.")
    return vector, positive_weights(name, weights, len(vector))


def positive_weights(name: str, weights: ArrayLike | None, events: int) -> Floats:
    """Return weights (events,) with a positive sum, ones if None.

    Raises
    ------
    WeightError
        They are not finite, not one per event, or have no positive sum.
    """
    checked = checked_weights(weights, events)
    if not checked.sum() > 0:
        raise WeightError(
            f"the weights of {name} sum to {checked.sum():.6g}; a distribution needs a positive sum."
        )
    return checked


def effective(weights: Floats) -> float:
    """Return the effective number of events, ``(Σw)² / Σw²``."""
    return float(weights.sum() ** 2 / np.sum(weights**2))


class SortedPair:
    """Two samples of one quantity in rising order, for the distances of many bootstrap replicas.

    The distance of the samples is exact. That of replicas, of which only spread and mean are needed, takes
    the distribution functions at about a thousand of the values.

    Arguments
    ---------
    first, first_weights, second, second_weights
        Values and weights (events,) of each sample.
    edges
        Edges of the bins (bins + 1,) of the separation power; what is outside fills two more bins.
    """

    def __init__(
        self,
        first: Floats,
        first_weights: Floats,
        second: Floats,
        second_weights: Floats,
        edges: Floats | None = None,
    ) -> None:
        values = np.concatenate([first, second])
        order = np.argsort(values, kind="stable")
        self.values = values[order]
        self.order = order
        self.weights = first_weights, second_weights
        # Positions in the sorted values; the last bin includes its upper edge, as in
        # evaluation.distributions.
        self.ends = np.empty(0, dtype=np.intp)
        if edges is not None:
            self.ends = np.searchsorted(self.values, edges, side="left")
            self.ends[-1] = np.searchsorted(self.values, edges[-1], side="right")
        self._tables: tuple[Any, Any] | None = None

    def distances(self, first: Floats | None, second: Floats | None) -> tuple[Floats, Floats]:
        """Return Wasserstein distances and separation powers (replicas,) for counts (replicas, events).

        Counts multiply the weights of each sample; None stands for one replica with counts of 1.
        """
        if first is None or second is None:
            zeros = np.zeros(len(self.weights[0])), np.zeros(len(self.weights[1]))
            pooled = (
                np.concatenate([self.weights[0], zeros[1]])[self.order],
                np.concatenate([zeros[0], self.weights[1]])[self.order],
            )
            below = [np.cumsum(weights)[None] / weights.sum() for weights in pooled]
            return np.abs(below[0] - below[1])[:, :-1] @ np.diff(self.values), self._separations(
                below, self.ends
            )
        nodes = self._nodes()
        if self._tables is None:
            self._tables = self._between(nodes)
        below = []
        for table, counts in zip(self._tables, (first, second), strict=True):
            running = np.cumsum((table @ counts.T).T, axis=1)
            below.append(running / running[:, -1:])
        at = self.values[np.minimum(nodes, len(self.values) - 1)]
        # Right of a node the functions are those of the next: exact if every value is one.
        apart = np.abs(below[0] - below[1]) @ np.diff(at)
        return apart, self._separations(below, np.searchsorted(nodes, self.ends))

    def _separations(self, below: list[Floats], ends: Any) -> Floats:
        if len(ends) == 0:
            return np.full(len(below[0]), np.nan)
        return separations(*(_contents(fractions, ends) for fractions in below))

    def _nodes(self) -> Any:
        """Return positions (nodes + 1,) in the sorted values, from 0 to the end, never inside ties."""
        size = len(self.values)
        if size <= _NODES:
            wanted = np.arange(size)
        else:
            tail = np.arange(_NODES // 16)
            wanted = np.concatenate([tail, np.linspace(0, size - 1, _NODES).astype(np.intp), size - 1 - tail])
        starts = np.searchsorted(self.values, self.values[wanted], side="left")
        return np.unique(np.concatenate([[0], starts, self.ends, [size]]))

    def _between(self, nodes: Any) -> tuple[Any, Any]:
        """Return sparse matrices (nodes, events) that add the weights between nodes, for each sample."""
        from scipy.sparse import csr_array

        place = np.empty(len(self.values), dtype=np.intp)
        place[self.order] = np.searchsorted(nodes, np.arange(len(self.values)), side="right") - 1
        tables, begin = [], 0
        for weights in self.weights:
            events = len(weights)
            where = (place[begin : begin + events], np.arange(events))
            tables.append(csr_array((weights, where), shape=(len(nodes) - 1, events)))
            begin += events
        return tables[0], tables[1]


def _contents(below: Floats, ends: Any) -> Floats:
    """Return the contents (replicas, bins + 1) between positions ``ends`` of running sums, and outside."""
    padded = np.concatenate([np.zeros((len(below), 1)), below], axis=1)
    return np.diff(padded[:, [0, *ends, -1]], axis=1)


class SpectrumPair:
    """Two samples of spectra (events, bins) for the distances of many replicas; errors are those of the
    events.

    A spectrum is what each event puts into each bin: energy per layer, or a number of cells in each bin of
    energy. The bins of one event go together, so that a replica takes or leaves the whole event.

    Arguments
    ---------
    first, first_weights, second, second_weights
        Contents (events, bins) and weights (events,) of each sample.
    centres
        Positions of the bins (bins,), between which the Wasserstein distance is measured.
    """

    def __init__(
        self, first: Floats, first_weights: Floats, second: Floats, second_weights: Floats, centres: Floats
    ) -> None:
        self.contents = first * first_weights[:, None], second * second_weights[:, None]
        self.steps = np.diff(centres)

    def distances(self, first: Floats | None, second: Floats | None) -> tuple[Floats, Floats]:
        """Return Wasserstein distances and separation powers (replicas,) for counts (replicas, events)."""
        shapes = []
        for table, counts in zip(self.contents, (first, second), strict=True):
            sums = table.sum(axis=0)[None] if counts is None else counts @ table
            total = sums.sum(axis=1, keepdims=True)
            shapes.append(np.divide(sums, total, out=np.zeros_like(sums), where=total > 0))
        apart = np.abs(np.cumsum(shapes[0] - shapes[1], axis=1))[:, :-1] @ self.steps
        return apart, separations(*shapes)


def count_pairs(
    first: int, second: int, replicas: int, seed: int, rate: float | None = None
) -> Iterator[tuple[Floats, Floats]]:
    """Give Poisson counts in blocks: (block, first) of mean 1 and (block, second) of mean ``rate`` (1 if
    None).

    Both are made anew in each block, from generators of their own: use them before asking for the next.
    """
    generator = np.random.default_rng((seed, 1))
    # Blocks of both must have the same number of rows.
    elements = _BLOCK * first // max(1, first, second)
    for block in poisson_replicas(first, replicas, seed, max(1, elements)):
        mean = 1.0 if rate is None else rate
        yield block, generator.poisson(mean, (len(block), second)).astype(np.float64)


def refuse_nan(name: str, table: Floats) -> None:
    """Raise NonFiniteInputError if a table holds NaN or infinity."""
    if not np.isfinite(table).all():
        bad = int(np.count_nonzero(~np.isfinite(table)))
        raise NonFiniteInputError(f"{name} holds {bad} values that are NaN or infinite.")
