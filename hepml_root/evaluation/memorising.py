"""Whether a generator copies its training events and covers all of the source: nearest neighbours."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import EmptySelectionError, SettingError
from hepml_root.evaluation.arrays import Floats
from hepml_root.evaluation.distances import positive_weights
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, to_json
from hepml_root.evaluation.frechet import checked_features
from hepml_root.evaluation.roc import auc

# A generated event this near to a training event, in units of the median distance of test events, is a copy.
_COPY = 1e-3
# Elements of a block of distances: 64 MB.
_BLOCK = 1 << 24


@dataclasses.dataclass(frozen=True)
class CopyingTest:
    """Distances of generated and of test events to their nearest training event.

    Attributes
    ----------
    nearer
        Probability that a generated event is nearer to the training events than a test event is. One half for
        new events of the same distribution; more if the generator copies; less if it misses the distribution.
    close
        Fraction of generated events that are nearer than 1 % of the test events are: 0.01 for new events,
        more if a part of them is copied. Copies, which have a figure of their own, do not count in it: of a
        source that repeats events, the nearest 1 % would all be at distance 0.
    copies
        Fraction of generated events that are the same as a training event, but for rounding.
    expected_copies, copies_error
        That fraction of the test events, and what the two may differ by. It is above 0 where the source
        itself repeats events: empty showers are all alike.
    test_distances, generated_distances
        The distances (events,).
    """

    nearer: Estimate
    close: Estimate
    copies: float
    test_distances: Floats
    generated_distances: Floats
    expected_copies: float = 0.0
    copies_error: float = 0.0

    @property
    def memorised(self) -> bool:
        """Whether one of the figures is more than three standard deviations beyond that of new events."""
        return bool(
            self.nearer.value - 0.5 > 3.0 * self.nearer.error
            or self.close.value - 0.01 > 3.0 * self.close.error
            or self.copies > self.expected_copies + 3.0 * self.copies_error
        )

    def to_dict(self) -> dict[str, Any]:
        content = to_json(self)
        return {**content, "memorised": self.memorised}


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How generated events lie among those of the source.

    Attributes
    ----------
    coverage
        Fraction of source events with a generated event within the distance of their k-th neighbour: falls if
        modes or tails are missing.
    expected_coverage
        That of events of the same distribution.
    density
        Mean number of such neighbourhoods around a generated event, over k: 1 for the same distribution,
        less if events lie where the source has none.
    self_nearer
        Probability that a generated event has a nearer neighbour among the generated ones than a source
        event has among those of the source: one half for the same distribution, more if events repeat
        themselves.
    neighbours
        The k.
    """

    coverage: Estimate
    expected_coverage: float
    density: Estimate
    self_nearer: Estimate
    neighbours: int

    @property
    def collapsed(self) -> bool:
        """Whether coverage or repetition are more than three standard deviations from those of the source."""
        return bool(
            self.expected_coverage - self.coverage.value > 3.0 * self.coverage.error
            or self.self_nearer.value - 0.5 > 3.0 * self.self_nearer.error
        )

    def to_dict(self) -> dict[str, Any]:
        content = to_json(self)
        return {**content, "collapsed": self.collapsed}


def nearest_distances(
    points: ArrayLike, reference: ArrayLike, neighbours: int = 1, *, same: bool = False
) -> Floats:
    """Return the Euclidean distances (points, neighbours) to the nearest events of ``reference``, rising.

    All pairs are compared, in blocks; the distances of those that are found are computed anew in double
    precision, so that those of copies are zero.

    Arguments
    ---------
    points, reference
        Features (events, features).
    neighbours
        How many.
    same
        Whether both are the same array: an event is then not its own neighbour.

    Raises
    ------
    ShapeError, NonFiniteInputError
        The arrays cannot be used.
    EmptySelectionError
        There are fewer events in ``reference`` than neighbours asked for.

    Example
    -------
    >>> nearest_distances([[0.0], [5.0]], [[1.0], [7.0]])[:, 0]
    array([1., 2.])
    """
    x, y = checked_features(points, reference)
    found = neighbours + int(same)
    if neighbours < 1 or len(y) < found:
        raise EmptySelectionError(f"{len(y)} events have no {neighbours} neighbours: use more events.")
    centre = y.mean(axis=0)
    a, b = (x - centre).astype(np.float32), (y - centre).astype(np.float32)
    squares = np.einsum("ij,ij->i", b, b)
    rows = max(1, _BLOCK // len(b))
    distances = np.empty((len(x), neighbours))
    for begin in range(0, len(a), rows):
        block = slice(begin, begin + rows)
        score = squares[None, :] - 2.0 * (a[block] @ b.T)
        index = _smallest(score, found)
        exact = np.sqrt(np.sum((x[block, None, :] - y[index]) ** 2, axis=2))
        if same:
            own = np.arange(begin, begin + len(index))[:, None]
            exact = np.where(index == own, -1.0, exact)
        distances[block] = np.sort(exact, axis=1)[:, int(same) :]
    return distances


def _smallest(score: NDArray[np.float32], number: int) -> NDArray[np.intp]:
    """Return the positions (rows, number) of the smallest entries of each row."""
    if number == 1:
        return np.argmin(score, axis=1)[:, None]
    return np.argpartition(score, number - 1, axis=1)[:, :number]


def copying_test(
    train: ArrayLike,
    test: ArrayLike,
    generated: ArrayLike,
    *,
    test_weights: ArrayLike | None = None,
    generated_weights: ArrayLike | None = None,
    max_events: int = 5000,
    bootstrap: int = 200,
    seed: int = 1,
) -> CopyingTest:
    """Return whether generated events are nearer to the training events than new events of the source are.

    The nearest training event of each generated and of each test event is looked for. With new events of the
    same distribution both distances have the same distribution, whatever that is; a Mann-Whitney test says
    whether they do. A generator that is wrong can be far from the training events and copy nevertheless:
    hence the second figure, of the very near ones.

    Arguments
    ---------
    train
        Features (events, features) of all events of the training: of what is left out here, copies are not
        seen.
    test
        Of events of the source that were not used in the training.
    generated
        Of the generator. Features that the conditions determine say nothing; divide energies by that of the
        incident particle.
    test_weights, generated_weights
        Weights (events,); 1 if None.
    max_events
        At most so many test and generated events take part.
    bootstrap, seed
        Of the errors, and of the choice of events.

    Raises
    ------
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError
        The arrays cannot be used.

    Reference: arXiv:2004.05675.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> train, test, new = generator.normal(size=(3, 1000, 2))
    >>> copying_test(train, test, new).memorised, copying_test(train, test, train).memorised
    (False, True)
    """
    tables = _checked(train, test, generated)
    chosen, weights = [], []
    generator = np.random.default_rng(seed)
    for name, table, given in (
        ("test", tables[1], test_weights),
        ("generated", tables[2], generated_weights),
    ):
        w = positive_weights(f"the {name} events", given, len(table))
        rows = some_rows(len(table), max_events, generator)
        chosen.append(table[rows])
        weights.append(w[rows])
    before, after = (nearest_distances(table, tables[0])[:, 0] for table in chosen)
    scores = np.concatenate([-before, -after])
    flags = np.concatenate([np.zeros(len(before)), np.ones(len(after))])
    nearer = auc(scores, flags, np.concatenate(weights), bootstrap=bootstrap, seed=seed)
    same = [distances <= _COPY * np.median(before) for distances in (before, after)]
    close = _very_near(
        *(distances[~there] for distances, there in zip((before, after), same, strict=True)),
        *(w[~there] for w, there in zip(weights, same, strict=True)),
    )
    expected, copies = (float(w[there].sum() / w.sum()) for w, there in zip(weights, same, strict=True))
    # Where no test event is a copy, a single generated one says it all: there is no error.
    per_event = sum(np.sum(w**2) / w.sum() ** 2 for w in weights)
    error = float(np.sqrt(max(expected * (1.0 - expected), 0.0) * per_event))
    return CopyingTest(nearer, close, copies, before, after, expected, error)


def _very_near(before: Floats, after: Floats, test_weights: Floats, weights: Floats) -> Estimate:
    """Return the fraction of generated events that are nearer than 1 % of the test events are."""
    if not len(before) or not len(after):  # nothing but copies
        return Estimate(0.01, 0.0, 1.0, ONE_SIGMA)
    order = np.argsort(before)
    running = np.cumsum(test_weights[order]) / test_weights.sum()
    limit = before[order][min(len(order) - 1, int(np.searchsorted(running, 0.01)))]
    close = _fraction(after < limit, weights, at_least=0.01)
    # The limit is itself an estimate, from 1 % of the test events.
    size = 0.01 * test_weights.sum() ** 2 / np.sum(test_weights**2)
    error = float(np.hypot(close.error, max(close.value, 0.01) / np.sqrt(max(size, 1.0))))
    return Estimate(close.value, close.value - error, close.value + error, ONE_SIGMA)


def _checked(*given: ArrayLike) -> list[Floats]:
    """Return tables of training, test and generated events with the same features."""
    first, *others = given
    tables = [checked_features(first, other)[1] for other in (first, *others)]
    for name, table in zip(("training", "test", "generated"), tables, strict=True):
        if len(table) == 0:
            raise EmptySelectionError(f"there are no {name} events.")
    return tables


def some_rows(events: int, most: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Return all rows, or ``most`` of them drawn without replacement, in rising order."""
    if events <= most:
        return np.arange(events)
    return np.sort(generator.choice(events, most, replace=False))


def _fraction(flags: Any, weights: Floats, at_least: float = 0.0) -> Estimate:
    """Return the weighted fraction of flags with its binomial error, not below that of ``at_least``."""
    value = float(weights[flags].sum() / weights.sum())
    size = weights.sum() ** 2 / np.sum(weights**2)
    guess = min(max(value, at_least, 1.0 / size), 1.0 - 1.0 / size)
    error = float(np.sqrt(max(guess * (1.0 - guess), 0.0) / size))
    return Estimate(value, value - error, value + error, ONE_SIGMA)


def coverage_test(
    source: ArrayLike,
    generated: ArrayLike,
    *,
    source_weights: ArrayLike | None = None,
    neighbours: int = 5,
    max_events: int = 5000,
    bootstrap: int = 200,
    seed: int = 1,
) -> Coverage:
    r"""Return whether generated events are wherever those of the source are, and nowhere else.

    With balls around the N source events that reach to their k-th neighbours, the coverage is the fraction of
    balls that hold one of the M generated events, and the density the mean number of balls that hold a
    generated event, over k. For the same distribution the density is 1 and

    .. math:: \langle \mathrm{coverage} \rangle = 1 - \prod_{i=1}^{k} \frac{N - i}{N + M - i}

    Arguments
    ---------
    source, generated
        Features (events, features), of comparable scales.
    source_weights
        Weights (events,) of the source events in the coverage; 1 if None.
    neighbours
        The k.
    max_events
        At most so many events of each take part.
    bootstrap, seed
        Of the error of the repetition, and of the choice of events.

    Raises
    ------
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError, SettingError
        The arrays or settings cannot be used.

    Reference: arXiv:2002.09797.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> source, same = generator.normal(size=(2, 1000, 2))
    >>> coverage_test(source, same).collapsed, coverage_test(source, np.abs(same)).collapsed
    (False, True)
    """
    if neighbours < 1 or max_events < neighbours + 1:
        raise SettingError(
            f"neighbours={neighbours} must be positive, and less than max_events={max_events}."
        )
    x, y = checked_features(source, generated)
    generator = np.random.default_rng(seed)
    rows, others = (some_rows(len(table), max_events, generator) for table in (x, y))
    weights = positive_weights("the source", source_weights, len(x))[rows]
    x, y = x[rows], y[others]
    among = nearest_distances(x, x, neighbours, same=True)
    radius = among[:, -1]
    covered = nearest_distances(x, y)[:, 0] <= radius
    # Neighbouring balls share generated events; the factors here and below are those of toy samples.
    coverage = _fraction(covered, weights)
    error = 1.25 * coverage.error
    coverage = Estimate(coverage.value, coverage.value - error, coverage.value + error, ONE_SIGMA)
    balls = _balls(x, radius, y) / neighbours
    size, drawn = len(x), len(y)
    steps = np.arange(1, neighbours + 1)
    expected = 1.0 - float(np.prod((size - steps) / (size + drawn - steps)))
    spread = float(balls.std() * np.sqrt(1.0 / drawn + 1.0 / size))
    mean = float(balls.mean())
    # Distances to neighbours depend on how many events there are. As many are drawn: samples are often in the
    # order of their energies, and the first ones would be another distribution.
    number = min(size, drawn)
    parts = [table[some_rows(len(table), number, generator)] for table in (x, y)]
    own = [nearest_distances(part, part, same=True)[:, 0] for part in parts]
    flags = np.concatenate([np.zeros(number), np.ones(number)])
    repeated = auc(-np.concatenate(own), flags, bootstrap=bootstrap, seed=seed)
    error = (
        float(np.sqrt(2.0)) * repeated.error
    )  # most nearest neighbours are so mutually: one distance, not two
    repeated = Estimate(repeated.value, repeated.value - error, repeated.value + error, ONE_SIGMA)
    return Coverage(
        coverage, expected, Estimate(mean, mean - spread, mean + spread, ONE_SIGMA), repeated, neighbours
    )


def _balls(centres: Floats, radius: Floats, points: Floats) -> Floats:
    """Return in how many balls each point lies (points,)."""
    offset = centres.mean(axis=0)
    a, b = (points - offset).astype(np.float32), (centres - offset).astype(np.float32)
    limit = (radius**2 - np.einsum("ij,ij->i", b, b)).astype(np.float32)
    rows = max(1, _BLOCK // len(b))
    counts = np.empty(len(a))
    for begin in range(0, len(a), rows):
        block = a[begin : begin + rows]
        inside = np.einsum("ij,ij->i", block, block)[:, None] - 2.0 * (block @ b.T) <= limit[None, :]
        counts[begin : begin + rows] = inside.sum(axis=1)
    return counts
