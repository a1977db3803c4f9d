"""Event weights: effective numbers, balancing, σ × L normalisation and the table of yields.

Two kinds of weights are kept apart everywhere. The *physics weight* says how many expected events one
simulated event stands for; the *training weight* says how much the training loss listens to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import WeightError, unknown


def effective_events(weight: ArrayLike) -> float:
    r"""Effective number of events: the size of an unweighted sample with the same relative error.

    Formula: (Σ wᵢ)² / Σ wᵢ². It equals the number of events for equal weights, is smaller for spread
    weights, and smaller still when some are negative. An empty sample, or one of zeros, has none.

    Arguments
    ---------
    weight:
        Weights, shape (events,).

    Example
    -------
    >>> effective_events([2.0, 2.0, 2.0])
    3.0
    >>> effective_events([1.0, 1.0, -1.0])
    0.3333333333333333
    """
    weight = np.asarray(weight, dtype=np.float64)
    squares = float(np.dot(weight, weight))
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def normalisation(cross_section: float, luminosity: float, generated: float) -> float:
    r"""Factor that turns generator weights into expected events.

    Formula: wᵢ → wᵢ · σ · L · 1000 / G, with the cross section σ in pb, the integrated luminosity L in
    1/fb (1 pb · 1/fb = 1000 events) and G the sum of the generator weights of *all* generated events,
    before any cut. Cuts then only lower the yield by their efficiency.

    Arguments
    ---------
    cross_section:
        Cross section σ, in pb.
    luminosity:
        Integrated luminosity L, in 1/fb.
    generated:
        Sum of weights G of the whole generated sample.

    Raises
    ------
    WeightError
        One of the three is not a positive finite number.

    Example
    -------
    >>> normalisation(cross_section=0.5, luminosity=140, generated=35_000)
    2.0
    """
    for name, value in (
        ("cross section", cross_section),
        ("luminosity", luminosity),
        ("generated sum of weights", generated),
    ):
        if not (np.isfinite(value) and value > 0):
            raise WeightError(
                f"the {name} must be a positive number, not {value}. "
                "Give the cross section in pb, the luminosity in 1/fb, and `generated` as the sum of "
                "weights of the whole sample before any cut."
            )
    return float(cross_section) * float(luminosity) * 1000.0 / float(generated)


def balance_factors(
    sums: Sequence[float], events: Sequence[int], classes: Sequence[str]
) -> NDArray[np.float64]:
    """Factor per class that gives all classes equal sums of weights and a mean weight of 1.

    Formula: f_c = N / (K · S_c), with S_c the sum of weights of class c, N the number of events of all
    classes, and K the number of classes that have events. A class without events gets 0.

    Arguments
    ---------
    sums, events, classes:
        Sum of weights, number of events, and name of each class.

    Raises
    ------
    WeightError
        A class with events has a zero, negative or infinite sum of weights.

    Example
    -------
    >>> balance_factors([10.0, 1.0], [50, 150], ["signal", "background"])
    array([ 10., 100.])
    """
    counts = np.asarray(events, dtype=np.int64)
    present = int((counts > 0).sum())
    factors = np.zeros(len(classes))
    for index, (name, total) in enumerate(zip(classes, sums, strict=True)):
        if counts[index] == 0:
            continue
        check_total(float(total), f"class '{name}'")
        factors[index] = counts.sum() / (present * float(total))
    return factors


def balance(
    weight: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]] | None, classes: Sequence[str]
) -> NDArray[np.float32]:
    """Training weights: all classes have the same sum, and the mean weight is 1. Signs are kept.

    Without labels (regression) only the mean is brought to 1.

    Arguments
    ---------
    weight:
        Weights to start from, shape (events,).
    labels:
        Class index of each event, shape (events,), or None.
    classes:
        Names of the classes.

    Returns
    -------
    Training weights, shape (events,), float32.

    Raises
    ------
    WeightError
        A class has a zero or negative sum of weights.

    Example
    -------
    >>> balance(np.array([1.0, 1.0, 1.0, 2.0]), np.array([0, 1, 1, 1]), ["signal", "background"])
    array([2. , 0.5, 0.5, 1. ], dtype=float32)
    """
    if labels is None:
        labels, classes = np.zeros(len(weight), dtype=np.int8), ("all events",)
    sums, counts = class_sums(weight, labels, len(classes))
    factors = balance_factors(sums.tolist(), counts.tolist(), classes)
    return (weight * factors[labels]).astype(np.float32)


def class_sums(
    weight: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum of weights and number of events of each class, both of shape (classes,)."""
    sums = np.bincount(labels, weights=weight, minlength=classes).astype(np.float64, copy=False)
    counts = np.bincount(labels, minlength=classes)
    return sums, counts.astype(np.int64)


def check_total(total: float, what: str) -> None:
    """Raise WeightError unless the sum of weights ``total`` of ``what`` is positive and finite."""
    if np.isfinite(total) and total > 0:
        return
    kind = "zero" if total == 0 else "negative" if total < 0 else "not finite"
    raise WeightError(
        f"{what}: the sum of weights is {kind} ({total:g}). Check the weight expression and the cut; "
        "with negative weights the sum must still be positive."
    )


def check_weights(weight: NDArray[np.floating[Any]], events: int, what: str) -> None:
    """Raise WeightError unless ``weight`` has shape (events,) and is finite.

    The sum may be anything here: it is checked per class, where it matters.
    """
    if weight.shape != (events,):
        raise WeightError(
            f"{what}: {weight.shape} weights were given for {events} events. Give one weight per event, "
            f"shape ({events},)."
        )
    if not np.isfinite(weight.sum()):
        bad = np.flatnonzero(~np.isfinite(weight))
        if len(bad):
            raise WeightError(
                f"{what}: {len(bad)} of {events} weights are not finite; the first is entry {bad[0]} "
                f"({weight[bad[0]]}). Mend the weight expression or cut these events away."
            )


@dataclass(frozen=True)
class Yield:
    """What one class amounts to in physics weights."""

    name: str
    events: int
    sum: float
    sum_of_squares: float
    negative: int

    @classmethod
    def of(cls, name: str, weight: NDArray[np.floating[Any]]) -> Yield:
        """Count one class with these physics weights, shape (events,)."""
        return cls(
            name=name,
            events=len(weight),
            sum=float(weight.sum()),
            sum_of_squares=float(np.dot(weight, weight)),
            negative=int((weight < 0).sum()),
        )

    @property
    def uncertainty(self) -> float:
        """Statistical uncertainty of the sum: √Σ wᵢ²."""
        return float(np.sqrt(self.sum_of_squares))

    @property
    def effective(self) -> float:
        """Effective number of events, (Σ w)² / Σ w²."""
        return self.sum**2 / self.sum_of_squares if self.sum_of_squares > 0 else 0.0

    @property
    def negative_fraction(self) -> float:
        """Fraction of the events that have a negative weight."""
        return self.negative / self.events if self.events else 0.0

    def __add__(self, other: Yield) -> Yield:
        return Yield(
            self.name,
            self.events + other.events,
            self.sum + other.sum,
            self.sum_of_squares + other.sum_of_squares,
            self.negative + other.negative,
        )

    def scaled(self, factor: float) -> Yield:
        """Return the yield with every weight multiplied by a positive ``factor``."""
        return Yield(
            self.name, self.events, self.sum * factor, self.sum_of_squares * factor**2, self.negative
        )


class Yields(Mapping[str, Yield]):
    """Table of the yields of all classes; ``print`` shows it, ``yields["signal"].sum`` reads it.

    Example
    -------
    >>> rows = [Yield.of("signal", np.array([0.5, 0.5])), Yield.of("background", np.array([2.0, -1.0]))]
    >>> print(Yields(rows))
    class       events  sum of weights      ±  negative  effective events
    signal           2               1  0.707     0.0 %               2.0
    background       2               1   2.24    50.0 %               0.2
    """

    def __init__(self, rows: Sequence[Yield]) -> None:
        self._rows = {row.name: row for row in rows}

    def __getitem__(self, name: str) -> Yield:
        try:
            return self._rows[name]
        except KeyError:
            raise KeyError(unknown("class", name, self._rows)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return the table as JSON-able numbers."""
        return {
            name: {
                "events": row.events,
                "sum": row.sum,
                "uncertainty": row.uncertainty,
                "negative_fraction": row.negative_fraction,
                "effective": row.effective,
            }
            for name, row in self._rows.items()
        }

    def __str__(self) -> str:
        header = ("class", "events", "sum of weights", "±", "negative", "effective events")
        lines = [
            (
                row.name,
                f"{row.events}",
                f"{row.sum:.6g}",
                f"{row.uncertainty:.3g}",
                f"{100 * row.negative_fraction:.1f} %",
                f"{row.effective:.1f}",
            )
            for row in self._rows.values()
        ]
        return aligned([header, *lines])

    __repr__ = __str__


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows of text as a table: first column to the left, the others to the right.

    Example
    -------
    >>> print(aligned([("name", "n"), ("a", "10")]))
    name   n
    a     10
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in rows
    )
