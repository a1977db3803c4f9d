"""Is the score distributed on test events as on training events?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from hepml_root.data.weights import effective_events
from hepml_root.errors import EmptySelectionError, ShapeError, WeightError
from hepml_root.evaluation.arrays import checked_vector, checked_weights
from hepml_root.evaluation.distributions import Histogram, histogram
from hepml_root.evaluation.estimate import to_json


@dataclasses.dataclass(frozen=True)
class KsResult:
    """A two-sample Kolmogorov–Smirnov test: largest distance, p-value, effective events of the samples."""

    distance: float
    p_value: float
    effective_events: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def ks_test(
    first: ArrayLike,
    second: ArrayLike,
    first_weights: ArrayLike | None = None,
    second_weights: ArrayLike | None = None,
) -> KsResult:
    """Return the weighted two-sample Kolmogorov–Smirnov test.

    The distance is ``D = max_t |F₁(t) − F₂(t)|`` with ``F(t) = Σ_{x≤t} w / Σ w``. Its p-value is Kolmogorov's
    ``Q(λ) = 2 Σ_k (−1)^{k−1} exp(−2k²λ²)`` at ``λ = D (√n + 0.12 + 0.11/√n)``, ``1/n = 1/n₁ + 1/n₂``,
    with the effective events ``n_i = (Σw)²/Σw²`` (exact only asymptotically and for weights that do not
    depend on x; conservative for a few hundred events with very different weights; a guide with negative
    weights). The test is unbinned; ties are taken together.

    Raises
    ------
    EmptySelectionError
        A sample is empty.
    NonFiniteInputError, WeightError
        Values or weights are not finite, or weights do not have a positive sum.

    Reference: M. A. Stephens, J. R. Stat. Soc. B 32 (1970) 115 for the small-sample term.

    Example
    -------
    >>> result = ks_test(np.arange(100), np.arange(100) + 50)
    >>> round(result.distance, 6), result.p_value < 1e-10
    (0.5, True)
    """
    samples = []
    for name, values, weights in (("first", first, first_weights), ("second", second, second_weights)):
        values = checked_vector(f"the {name} sample", values)
        if len(values) == 0:
            raise EmptySelectionError(f"the {name} sample of the Kolmogorov–Smirnov test is empty.")
        weights = checked_weights(weights, len(values))
        if not weights.sum() > 0:
            raise WeightError(
                f"the weights of the {name} sample sum to {weights.sum():.6g}, not to a positive number."
            )
        samples.append((values, weights))
    (values_1, weights_1), (values_2, weights_2) = samples
    together = np.concatenate([values_1, values_2])
    steps = np.concatenate([weights_1 / weights_1.sum(), -weights_2 / weights_2.sum()])
    order = np.argsort(together, kind="stable")
    together = together[order]
    last = np.append(together[1:] != together[:-1], True)
    distance = float(np.max(np.abs(np.cumsum(steps[order])[last])))
    n_1, n_2 = effective_events(weights_1), effective_events(weights_2)
    root = math.sqrt(n_1 * n_2 / (n_1 + n_2))
    p_value = float(special.kolmogorov(distance * (root + 0.12 + 0.11 / root)))
    return KsResult(distance, p_value, (n_1, n_2))


@dataclasses.dataclass(frozen=True)
class ScoreDistributions:
    """Histograms of one score per class, on test events and, where given, on training events.

    ``test`` and ``train`` map class names to histograms on common edges; ``ks`` maps them to the test of
    train against test. ``score`` names the output.
    """

    score: str
    test: dict[str, Histogram]
    train: dict[str, Histogram]
    ks: dict[str, KsResult]

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def compare_scores(
    scores: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    train: tuple[ArrayLike, ArrayLike, ArrayLike | None] | None = None,
    classes: Mapping[int, str] | None = None,
    score: str = "score",
    bins: int = 40,
) -> ScoreDistributions:
    """Return the score distributions per class and, with ``train``, how they compare.

    Arguments
    ---------
    scores, labels, weights
        Arrays (events,) of the test events; labels are class indices.
    train
        The same three arrays for training events.
    classes
        Names of the class indices; background and signal for 0 and 1 if None.
    score
        Name of the output.
    bins
        Number of bins, over [0, 1] if all scores are inside, else over their range.

    Raises
    ------
    ShapeError, NonFiniteInputError, WeightError
        The arrays cannot be used, or a label has no name.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> test, train = generator.uniform(size=(2, 1000))
    >>> labels = np.arange(1000) % 2
    >>> result = compare_scores(test, labels, train=(train, labels, None))
    >>> bool(result.ks["signal"].p_value > 0.01)
    True
    """
    names = dict(classes) if classes is not None else {0: "background", 1: "signal"}
    parts = {"test": (scores, labels, weights)} | ({"train": train} if train is not None else {})
    checked = {}
    for part, (values, flags, part_weights) in parts.items():
        values = checked_vector(f"the {part} score", values)
        flags = checked_vector(f"the {part} label", flags, len(values)).astype(np.int64)
        if unnamed := set(np.unique(flags)) - set(names):
            raise ShapeError(f"label {min(unnamed)} has no class name; the classes are {names}.")
        checked[part] = values, flags, checked_weights(part_weights, len(values))
    everything = np.concatenate([values for values, _, _ in checked.values()])
    low, high = (float(everything.min()), float(everything.max())) if len(everything) else (0.0, 1.0)
    if low >= 0.0 and high <= 1.0:
        low, high = 0.0, 1.0
    elif high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    filled: dict[str, dict[str, Histogram]] = {"test": {}, "train": {}}
    ks = {}
    for index, name in names.items():
        chosen = {}
        for part, (values, flags, part_weights) in checked.items():
            members = flags == index
            chosen[part] = values[members], part_weights[members]
            filled[part][name] = histogram(
                f"{score}_{part}_{name}", chosen[part][0], edges, chosen[part][1], title=score
            )
        if "train" in chosen and all(len(values) and w.sum() > 0 for values, w in chosen.values()):
            ks[name] = ks_test(chosen["train"][0], chosen["test"][0], chosen["train"][1], chosen["test"][1])
    return ScoreDistributions(score, filled["test"], filled["train"], ks)
