"""What a tutorial's output must show: functions of the output that return what is wrong, or an empty text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np

Check = Callable[[str], str]

# A line of TMVA's table of areas, such as "Factory       : dataset       BDT            : 0.754".
_AREA = r"^\w*\s*: \S+\s+(\S+)\s*: ([01]\.\d+)\s*$"


def says(pattern: str, meaning: str) -> Check:
    """A line of the output has the pattern."""
    return lambda output: "" if re.search(pattern, output, re.M) else f"it is not said that {meaning}"


def areas(output: str, pattern: str | None = None) -> dict[str, float]:
    """Return the areas under ROC curves that are printed, by the names of the methods."""
    return {name: float(area) for name, area in re.findall(pattern or _AREA, output, re.M)}


def areas_above(pattern: str | None, least: float | Mapping[str, float], count: int = 0) -> Check:
    """At least ``count`` methods have areas of at least ``least``, or each named one its own."""

    def check(output: str) -> str:
        found = areas(output, pattern)
        if isinstance(least, Mapping):
            wrong = [f"{name} {found.get(name)}" for name, area in least.items() if found.get(name, 0) < area]
            return f"areas too small: {', '.join(wrong)}" if wrong else ""
        good = [name for name, area in found.items() if area >= least]
        return "" if len(good) >= count else f"areas of {least} and more: {len(good)} of {count} ({found})"

    return check


def numbers(output: str, pattern: str) -> list[float]:
    return [float(text) for text in re.findall(pattern, output, re.M)]


def equal(pattern: str, count: int) -> Check:
    """The pattern is found ``count`` times, each time with a finite number."""

    def check(output: str) -> str:
        found = [number for number in numbers(output, pattern) if abs(number) < float("inf")]
        return "" if len(found) == count else f"{len(found)} numbers instead of {count}"

    return check


def spread_above(pattern: str, least: float) -> Check:
    """The numbers that the pattern finds are not all the same."""

    def check(output: str) -> str:
        found = numbers(output, pattern)
        spread = max(found) - min(found) if found else 0.0
        return "" if spread >= least else f"the numbers differ by {spread:g} only"

    return check


def correlates(pattern: str, least: float) -> Check:
    """The pattern finds pairs of numbers, whose linear correlation is at least ``least``."""

    def check(output: str) -> str:
        pairs = np.array(re.findall(pattern, output, re.M), float).reshape(-1, 2)
        if len(pairs) < 3:
            return f"{len(pairs)} pairs of numbers"
        found = float(np.corrcoef(pairs.T)[0, 1])
        return "" if found >= least else f"the correlation is {found:.2f}"

    return check


def falls(pattern: str, least: float) -> Check:
    """The numbers of the first half are larger on average than those of the second, by ``least``."""

    def check(output: str) -> str:
        found = numbers(output, pattern)
        half = len(found) // 2
        if not half:
            return "there are no numbers"
        difference = sum(found[:half]) / half - sum(found[half:]) / (len(found) - half)
        return "" if difference >= least else f"signal is above background by {difference:.2f} only"

    return check


def numbers_sum_to_one(pattern: str, rows: int, columns: int) -> Check:
    """A list of ``rows`` × ``columns`` numbers is printed, of which each row sums to 1."""

    def check(output: str) -> str:
        found = re.search(pattern, output)
        values = [float(text.strip().rstrip("f")) for text in found[1].split(",")] if found else []
        if len(values) != rows * columns:
            return f"{len(values)} numbers instead of {rows * columns}"
        sums = [sum(values[row * columns : (row + 1) * columns]) for row in range(rows)]
        return "" if all(abs(total - 1) < 1e-4 for total in sums) else f"rows sum to {sums}"

    return check
