"""Which class is taken for which."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import EmptySelectionError, NonFiniteInputError, ShapeError, WeightError
from hepml_root.evaluation.arrays import Floats, checked_vector, checked_weights
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, poisson_replicas, to_json


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Weighted confusion matrix, true class by predicted class.

    Attributes
    ----------
    classes
        Names, in the order of rows and columns.
    yields
        Sums of weights (true class, predicted class).
    fraction, error
        Rows divided by their sum, and the bootstrap standard deviation (true class, predicted class).
    accuracy
        Mean of the diagonal of ``fraction``: each class counts the same, however many events it has.
    """

    classes: tuple[str, ...]
    yields: Floats
    fraction: Floats
    error: Floats
    accuracy: Estimate

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def confusion(
    scores: ArrayLike,
    labels: ArrayLike,
    weights: ArrayLike | None = None,
    classes: Sequence[str] = (),
    *,
    bootstrap: int = 200,
    seed: int = 1,
    level: float = ONE_SIGMA,
) -> Confusion:
    """Return the confusion matrix of the largest score.

    Arguments
    ---------
    scores
        (events, classes).
    labels
        Class indices (events,).
    weights
        (events,), 1 if None; negative weights are allowed while each class has a positive sum.

    Raises
    ------
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError
        The arrays do not fit, a score is not finite, a class has no events or no positive sum of weights.

    Example
    -------
    >>> matrix = confusion([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0, 1, 1], classes=["b", "s"])
    >>> matrix.fraction
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ShapeError(f"a confusion matrix needs scores (events, classes), not {scores.shape}.")
    if not np.isfinite(scores).all():
        raise NonFiniteInputError(
            f"the scores hold {int((~np.isfinite(scores)).sum())} values that are not finite."
        )
    number = scores.shape[1]
    names = tuple(classes) if len(classes) else tuple(str(i) for i in range(number))
    if len(names) != number:
        raise ShapeError(f"{len(names)} class names for {number} scores.")
    truth = checked_vector("the label", labels, len(scores)).astype(np.int64)
    weights = checked_weights(weights, len(scores))
    if len(truth) and not (truth.min() >= 0 and truth.max() < number):
        raise ShapeError(f"labels lie in [{truth.min()}, {truth.max()}], but there are {number} classes.")
    cell = truth * number + np.argmax(scores, axis=1)
    yields: Floats = np.bincount(cell, weights, number * number).astype(np.float64).reshape(number, number)
    for index, name in enumerate(names):
        if not (truth == index).any():
            raise EmptySelectionError(f"class '{name}' has no events.")
        if not yields[index].sum() > 0:
            raise WeightError(
                f"the weights of class '{name}' sum to {yields[index].sum():.6g}, not above zero."
            )
    order = np.argsort(cell, kind="stable")
    occupied, starts = np.unique(cell[order], return_index=True)
    sorted_weights = weights[order]
    replicas = [np.empty((0, number, number))]
    for counts in poisson_replicas(len(scores), bootstrap, seed):
        sums = np.zeros((len(counts), number * number))
        sums[:, occupied] = np.add.reduceat(counts * sorted_weights, starts, axis=1)
        replicas.append(sums.reshape(-1, number, number))
    many = np.concatenate(replicas)
    with np.errstate(invalid="ignore", divide="ignore"):
        fractions = many / many.sum(axis=2, keepdims=True)
    fractions = fractions[np.isfinite(fractions).all(axis=(1, 2))]
    fraction = yields / yields.sum(axis=1, keepdims=True)
    error = fractions.std(axis=0) if len(fractions) else np.full((number, number), np.nan)
    diagonals = np.trace(fractions, axis1=1, axis2=2) / number
    return Confusion(
        names,
        yields,
        fraction,
        error,
        Estimate.from_replicas(float(np.trace(fraction)) / number, diagonals, level),
    )
