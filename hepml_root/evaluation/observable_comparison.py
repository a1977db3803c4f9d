"""Two samples compared in many quantities: histograms, distances with errors, and their floor."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import EmptySelectionError, SettingError, ShapeError
from hepml_root.evaluation.arrays import Floats
from hepml_root.evaluation.distances import (
    Distance,
    SortedPair,
    SpectrumPair,
    count_pairs,
    effective,
    positive_weights,
    refuse_nan,
)
from hepml_root.evaluation.distributions import Histogram, binning, histogram
from hepml_root.evaluation.estimate import ONE_SIGMA, to_json


@dataclasses.dataclass(frozen=True)
class Observable:
    """A quantity of every event of a sample.

    Attributes
    ----------
    name
        Key, for JSON and file names.
    values
        One number per event (events,), or a spectrum (events, bins): what each event puts into each bin. NaN
        in (events,) says that the event does not have the quantity (the centre of an empty layer, say).
    title, unit
        Of the axis.
    group
        The heading it is shown under.
    edges
        Edges of a spectrum's bins (bins + 1,), or the bins of the histogram, if they are not to be chosen
        from the first sample.
    logarithmic
        Whether its contents span decades and are drawn on a logarithmic axis.
    """

    name: str
    values: Floats
    title: str = ""
    unit: str = ""
    group: str = ""
    edges: Floats | None = None
    logarithmic: bool = False

    @property
    def is_spectrum(self) -> bool:
        """Whether every event has many bins."""
        return self.values.ndim == 2


@dataclasses.dataclass(frozen=True)
class ComparedObservable:
    """A quantity of two samples.

    Attributes
    ----------
    name, title, unit, group, logarithmic
        Those of the :class:`Observable`.
    first, second
        Histograms with their variances: events in bins, or for a spectrum the mean contents per event.
    separation
        Separation power.
    wasserstein
        Wasserstein distance in the units of the quantity.
    spread
        Standard deviation of the quantity in the first sample: the distance divided by it can be compared
        with that of other quantities.
    missing
        Fractions of the weight in the first and second sample without the quantity; they are left out above.
    """

    name: str
    title: str
    unit: str
    group: str
    logarithmic: bool
    first: Histogram
    second: Histogram
    separation: Distance
    wasserstein: Distance
    spread: float
    missing: tuple[float, float] = (0.0, 0.0)

    @property
    def relative(self) -> Distance:
        """The Wasserstein distance in units of the first sample's standard deviation."""
        scale = 1.0 / self.spread if self.spread > 0 else 1.0
        e = self.wasserstein.estimate
        return Distance(
            dataclasses.replace(e, value=e.value * scale, low=e.low * scale, high=e.high * scale),
            self.wasserstein.floor * scale,
            self.wasserstein.floor_high * scale,
        )

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def compare_observables(
    first: Sequence[Observable],
    second: Sequence[Observable],
    *,
    first_weights: ArrayLike | None = None,
    second_weights: ArrayLike | None = None,
    again: Sequence[Observable] | None = None,
    again_weights: ArrayLike | None = None,
    bins: int = 40,
    bootstrap: int = 50,
    seed: int = 1,
    level: float = ONE_SIGMA,
) -> list[ComparedObservable]:
    r"""Return separation power and Wasserstein distance of each quantity, with errors and floor.

    Errors are the spread of Poisson bootstrap replicas of both samples. The floor is the distance that two
    samples of the first's distribution have, of as many effective events as the two given ones: pairs of
    bootstrap replicas of the first sample, or, with ``again``, the distance between the first sample and
    this further, independent sample of the same source.

    Arguments
    ---------
    first, second
        The same quantities, in the same order, of the source and of the generator.
    first_weights, second_weights
        Weights of the events (events,); 1 if None. They may be negative, with a positive sum.
    again, again_weights
        A further sample of the first's source. The bootstrap does not know that showers were generated for
        the very energies of the source's showers; such a sample, with the same energies, does.
    bins
        Bins of the histograms of single numbers, over the central 99.5 % of the first sample; what is outside
        counts in two more bins of the separation power.
    bootstrap, seed, level
        Replicas, their seed, coverage of the intervals; 0 replicas for neither errors nor floor.

    Raises
    ------
    ShapeError
        The samples do not have the same quantities, or the bins of a spectrum differ.
    EmptySelectionError
        No event has a quantity.
    NonFiniteInputError, WeightError, SettingError
        The arrays or settings cannot be used.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> source = Observable("x", generator.normal(0.0, 1.0, 5000))
    >>> shifted = Observable("x", generator.normal(0.5, 1.0, 5000))
    >>> [found] = compare_observables([source], [shifted])
    >>> print(found.wasserstein, found.wasserstein.at_the_floor)
    0.507 ± 0.016 False
    """
    if bootstrap < 0 or bins < 1:
        raise SettingError(
            f"bootstrap must not be negative and bins be positive, got {bootstrap} and {bins}."
        )
    _check_same(first, second)
    if again is not None:
        _check_same(first, again)
    if not first:
        return []
    one = positive_weights("the first sample", first_weights, len(first[0].values))
    two = positive_weights("the second sample", second_weights, len(second[0].values))
    three = None if again is None else positive_weights("`again`", again_weights, len(again[0].values))

    prepared = [_Prepared(a, b, one, two, bins) for a, b in zip(first, second, strict=True)]
    rate = effective(two) / effective(one)
    replicas = _replicas([item.pair for item in prepared], len(one), len(two), bootstrap, seed, None)
    floors = _replicas([item.twins for item in prepared], len(one), len(one), bootstrap, seed + 1, rate)
    found = []
    for position, item in enumerate(prepared):
        apart, separation = (float(column[0]) for column in item.pair.distances(None, None))
        floor = floors[position]
        if again is not None and three is not None:
            twin = _Prepared(first[position], again[position], one, three, bins)
            exact = twin.pair.distances(None, None)
            # The value is known, its fluctuation is that of the replicas.
            floor = (_moved(floor[0], exact[0]), _moved(floor[1], exact[1]))
        found.append(
            ComparedObservable(
                item.one.name, item.one.title or item.one.name, item.one.unit, item.one.group,
                item.one.logarithmic, item.histograms[0], item.histograms[1],
                Distance.from_replicas(separation, replicas[position][1], floor[1], level),
                Distance.from_replicas(apart, replicas[position][0], floor[0], level),
                item.spread,
                item.missing,
            )
        )  # fmt: skip
    return found


def _check_same(first: Sequence[Observable], second: Sequence[Observable]) -> None:
    names, others = [item.name for item in first], [item.name for item in second]
    if names != others:
        differing = [name for name in names if name not in others] or [
            name for name in others if name not in names
        ]
        raise ShapeError(
            f"the samples do not have the same quantities in the same order (see {differing[:3]})."
        )
    for sample in (first, second):
        if len({len(item.values) for item in sample}) > 1:
            raise ShapeError("the quantities of a sample do not have the same number of events.")
    for a, b in zip(first, second, strict=True):
        if a.values.shape[1:] != b.values.shape[1:]:
            raise ShapeError(
                f"'{a.name}' has {a.values.shape[1:]} bins in one sample, {b.values.shape[1:]} in the other."
            )


class _Prepared:
    """One quantity of two samples: histograms, and the pairs whose distances are asked for."""

    pair: SortedPair | SpectrumPair
    twins: SortedPair | SpectrumPair

    def __init__(self, a: Observable, b: Observable, one: Floats, two: Floats, bins: int) -> None:
        self.one = a
        if a.is_spectrum:
            self._spectrum(a, b, one, two)
        else:
            self._numbers(a, b, one, two, bins)

    def _spectrum(self, a: Observable, b: Observable, one: Floats, two: Floats) -> None:
        for item in (a, b):
            refuse_nan(f"'{item.name}'", item.values)
        edges = (
            np.arange(a.values.shape[1] + 1.0) if a.edges is None else np.asarray(a.edges, dtype=np.float64)
        )
        if len(edges) != a.values.shape[1] + 1:
            raise ShapeError(
                f"'{a.name}' has {a.values.shape[1]} bins and {len(edges)} edges: one more is needed."
            )
        centres = 0.5 * (edges[1:] + edges[:-1])
        self.pair = SpectrumPair(a.values, one, b.values, two, centres)
        self.twins = SpectrumPair(a.values, one, a.values, one, centres)
        self.histograms = tuple(_mean_spectrum(item, w, edges) for item, w in ((a, one), (b, two)))
        content = self.histograms[0].values
        total = content.sum() or 1.0
        mean = float(content @ centres / total)
        self.spread = float(np.sqrt(max(0.0, content @ (centres - mean) ** 2 / total)))
        self.missing = 0.0, 0.0

    def _numbers(self, a: Observable, b: Observable, one: Floats, two: Floats, bins: int) -> None:
        values, weights, missing = [], [], []
        for item, w in ((a, one), (b, two)):
            there = ~np.isnan(item.values)
            known = np.where(there, item.values, 0.0).astype(np.float64)
            refuse_nan(f"'{item.name}'", known)
            if not w[there].sum() > 0:
                raise EmptySelectionError(f"no event has the quantity '{item.name}'.")
            # Events without the quantity stay, with the weight zero, so that all quantities share the
            # replicas; they are moved to a value that is there, since the range of values must not depend on
            # them.
            values.append(np.where(there, known, known[there][0]))
            weights.append(np.where(there, w, 0.0))
            missing.append(1.0 - float(w[there].sum() / w.sum()))
        edges = binning(values[0][weights[0] != 0], bins, 0.995) if a.edges is None else np.asarray(a.edges)
        self.pair = SortedPair(values[0], weights[0], values[1], weights[1], edges)
        self.twins = SortedPair(values[0], weights[0], values[0], weights[0], edges)
        self.histograms = tuple(
            histogram(item.name, v[w != 0], edges, w[w != 0], title=item.title or item.name, unit=item.unit)
            for item, v, w in zip((a, b), values, weights, strict=True)
        )
        total = weights[0].sum()
        mean = float(weights[0] @ values[0] / total)
        self.spread = float(np.sqrt(max(0.0, weights[0] @ (values[0] - mean) ** 2 / total)))
        self.missing = missing[0], missing[1]


def _mean_spectrum(item: Observable, weights: Floats, edges: Floats) -> Histogram:
    """Return the mean contents per event, with the variances of the means."""
    total = weights.sum()
    mean = weights @ item.values / total
    variance = weights**2 @ (item.values - mean) ** 2 / total**2
    return Histogram(
        item.name, edges, mean, variance, 0.0, 0.0, len(weights), item.title or item.name, item.unit
    )


def _moved(replicas: Floats, value: Floats) -> Floats:
    """Return the replicas moved so that their mean is ``value``; the value itself if there are none."""
    return replicas - replicas.mean() + value[0] if len(replicas) else value


def _replicas(
    pairs: Sequence[SortedPair | SpectrumPair],
    first: int,
    second: int,
    number: int,
    seed: int,
    rate: float | None,
) -> list[tuple[Floats, Floats]]:
    """Return the distances (replicas,) of every pair; all pairs see the same replicas of the events."""
    blocks: list[list[tuple[Floats, Floats]]] = [[] for _ in pairs]
    for one, two in count_pairs(first, second, number, seed, rate):
        usable = (one.sum(axis=1) > 0) & (two.sum(axis=1) > 0)
        for position, pair in enumerate(pairs):
            blocks[position].append(pair.distances(one[usable], two[usable]))
    empty = np.empty(0)
    gathered = []
    for found in blocks:
        columns = [np.concatenate(column) if found else empty for column in zip(*found, strict=True)] or [
            empty,
            empty,
        ]
        # A replica of a tiny sample can be left without an event that has the quantity.
        gathered.append((columns[0][np.isfinite(columns[0])], columns[1][np.isfinite(columns[1])]))
    return gathered
