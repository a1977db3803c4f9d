"""Searches of the best settings of a method: on a grid of values, each of which is tried once at most."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError, unknown
from hepml_root.tmva.methods.method import Method

FITTERS = ("Scan", "FitGA", "Minuit")
_MOST_OF_A_SCAN = 10_000
_POPULATION = 12
Place = tuple[int, ...]


@dataclass(frozen=True)
class Range:
    """Values of one option, both ends among them.

    Example
    -------
    >>> Range("MaxDepth", 2, 4, 3, whole=True).texts(), Range("C", 0.01, 1, 3, logarithmic=True).texts()
    (['2', '3', '4'], ['0.01', '0.1', '1'])
    """

    name: str
    low: float
    high: float
    steps: int
    logarithmic: bool = False
    whole: bool = False

    def values(self) -> NDArray[np.float64]:
        """Return the values, in rising order."""
        if self.logarithmic:
            found = np.geomspace(self.low, self.high, self.steps)
        else:
            found = np.linspace(self.low, self.high, self.steps)
        return np.unique(np.round(found)) if self.whole else found

    def texts(self) -> list[str]:
        """Return the values as they stand in an option string."""
        return [f"{value:.6g}" for value in self.values()]


def ranges_of(method: Method) -> tuple[Range, ...]:
    """Return what TMVA varies of a method: of BDT and SVM, with TMVA's ranges; nothing of others.

    Raises
    ------
    SettingError
        The option Tune of an SVM cannot be read.
    """
    options, name = method.options, method.booking.type_name
    if name == "BDT":
        boost = str(options["BoostType"])
        own = {
            "AdaBoost": (Range("AdaBoostBeta", 0.2, 1.0, 5),),
            "Grad": (Range("Shrinkage", 0.05, 0.5, 5),),
        }.get(boost, ())
        return (
            Range("NTrees", 10, 1000, 5, whole=True),
            Range("MaxDepth", 2, 4, 3, whole=True),
            Range("MinNodeSize", 1, 30, 30, logarithmic=True),
            *own,
        )
    if name == "SVM":
        known = {
            "RBF": (Range("Gamma", 0.01, 1.0, 100), Range("C", 0.01, 1.0, 100)),
            "Polynomial": (
                Range("Order", 1, 10, 10, whole=True),
                Range("Theta", 0.01, 1.0, 100),
                Range("C", 0.01, 1.0, 100),
            ),
        }.get(str(options["Kernel"]), (Range("C", 0.01, 1.0, 100),))
        return known if options["Tune"] == "All" else _tuned(str(options["Tune"]))
    return ()


def _tuned(text: str) -> tuple[Range, ...]:
    """Read ``Gamma[0.01;1.0;10],C[0.1;10;5]``."""
    found = []
    for part in re.split(r",(?![^\[]*\])", text):
        match = re.fullmatch(r"\s*(\w+)\s*\[([^;\]]+);([^;\]]+);([^;\]]+)\]\s*", part)
        try:
            if match is None:
                raise ValueError
            one = Range(match[1], float(match[2]), float(match[3]), int(match[4]), whole=match[1] == "Order")
        except ValueError:
            raise SettingError(
                f"Tune={text}: '{part.strip()}' is not of the form Name[least;most;steps]."
            ) from None
        found.append(checked(one))
    return tuple(found)


def checked(one: Range) -> Range:
    """Return a range that can be.

    Raises
    ------
    SettingError
        Its ends are not finite or in the wrong order, or it has fewer than two steps.
    """
    finite = math.isfinite(one.low) and math.isfinite(one.high)
    if not finite or not one.low < one.high or one.steps < 2 or (one.logarithmic and one.low <= 0):
        raise SettingError(
            f"{one.name} from {one.low:g} to {one.high:g} in {one.steps} steps: the first must be the "
            "smaller one (above 0 of a logarithmic range), and there must be 2 steps or more."
        )
    return one


def search(
    sizes: Sequence[int], worth: Callable[[Place], float], fitter: str, most: int, seed: int = 1
) -> tuple[Place, float]:
    """Return the place on a grid with the greatest worth, and the worth.

    Arguments
    ---------
    sizes
        Number of values in each direction.
    worth
        Of a place; it is asked for no place twice.
    fitter
        ``Scan`` all places; ``Minuit``: uphill in one direction after the other, with steps that become
        smaller; ``FitGA``: a population of places that are crossed and changed.
    most
        Number of places that are tried, of the last two.

    Raises
    ------
    SettingError
        There is no such fitter, or the grid is too large to scan.

    Example
    -------
    >>> for fitter in ("Scan", "Minuit", "FitGA"):
    ...     search((20, 20), lambda place: -abs(place[0] - 13) - abs(place[1] - 4), fitter, 300)
    ((13, 4), 0)
    ((13, 4), 0)
    ((13, 4), 0)
    """
    if fitter not in FITTERS:
        raise SettingError(unknown("fitter", fitter, FITTERS))
    known: dict[Place, float] = {}

    def value(place: Place) -> float:
        if place not in known:
            known[place] = worth(place)
        return known[place]

    if fitter == "Scan":
        if math.prod(sizes) > _MOST_OF_A_SCAN:
            raise SettingError(
                f"a scan of {math.prod(sizes)} settings; {_MOST_OF_A_SCAN} are possible. Take "
                "SetFitter('FitGA'), or fewer steps by SetRange."
            )
        for place in itertools.product(*map(range, sizes)):
            value(place)
    elif fitter == "Minuit":
        _uphill(sizes, value, known, most)
    else:
        _generations(sizes, value, known, most, np.random.default_rng(seed))
    best = max(known, key=lambda place: known[place])
    return best, known[best]


def _uphill(
    sizes: Sequence[int], value: Callable[[Place], float], known: dict[Place, float], most: int
) -> None:
    here = tuple(size // 2 for size in sizes)
    value(here)
    steps = [max(1, size // 4) for size in sizes]
    while len(known) < most:
        before = here
        for axis, size in enumerate(sizes):
            for way in (steps[axis], -steps[axis]):
                there = here[:axis] + (min(max(here[axis] + way, 0), size - 1),) + here[axis + 1 :]
                if len(known) < most and value(there) > value(here):
                    here = there
                    break
        if here == before:
            if max(steps) == 1:
                return
            steps = [max(1, step // 2) for step in steps]


def _generations(
    sizes: Sequence[int],
    value: Callable[[Place], float],
    known: dict[Place, float],
    most: int,
    random: np.random.Generator,
) -> None:
    most = min(most, math.prod(sizes))
    while len(known) < min(_POPULATION, most):
        value(tuple(int(random.integers(size)) for size in sizes))
    idle = 0
    while len(known) < most and idle < 1000:  # where all neighbours are known, nothing new comes
        best = sorted(known, key=lambda place: -known[place])[: _POPULATION // 2]
        mother, father = (best[int(random.integers(len(best)))] for _ in range(2))
        child = []
        for axis, size in enumerate(sizes):
            gene = (mother, father)[int(random.integers(2))][axis]
            if random.random() < 0.5:
                gene += int(np.rint(random.normal(0.0, max(1.0, size / 8))))
            child.append(min(max(gene, 0), size - 1))
        idle = idle + 1 if tuple(child) in known else 0
        value(tuple(child))
