"""Negative weights paired away (NegWeightTreatment=PairNegWeightsGlobal).

Each event of negative weight takes weight from the events of its class with positive weight that are
closest, in units of the covariance of its class, until nothing negative is left.
"""

from __future__ import annotations

import numpy as np

from hepml_root.errors import WeightError
from hepml_root.tmva.data_sets.events import Sample

_NEGLIGIBLE = 1e-12  # part of the weight that is a rounding


def paired(events: Sample) -> Sample:
    """Return the events without negative weights; each class keeps the sum of its weights.

    Raises
    ------
    WeightError
        The weights of a class add up to nothing positive.

    Example
    -------
    >>> x = np.float32([[0], [1], [5]])
    >>> nothing = np.zeros((3, 0), np.float32)
    >>> sample = Sample(x, nothing, nothing, np.zeros(3, np.int32), np.array([-0.5, 1.0, 1.0]))
    >>> paired(sample).weights.tolist()
    [0.5, 1.0]
    """
    weights = events.weights.astype(np.float64).copy()
    for one in np.unique(events.classes):
        members = np.flatnonzero(events.classes == one)
        negative = members[weights[members] < 0]
        if not len(negative):
            continue
        if not weights[members].sum() > 0:
            raise WeightError(
                f"the weights of class {one} add up to {weights[members].sum():g} in training: events of "
                "negative weight cannot be paired away."
            )
        x = events.variables[members].astype(np.float64)
        covariance = np.atleast_2d(np.cov(x.T, aweights=np.abs(weights[members])))
        metric = np.linalg.pinv(covariance)
        positive = members[weights[members] > 0]
        for event in negative:
            step = events.variables[positive].astype(np.float64) - events.variables[event]
            order = positive[np.argsort(np.einsum("ij,jk,ik->i", step, metric, step), kind="stable")]
            left = np.cumsum(weights[order])
            # As many of the closest ones as it takes.
            needed = -weights[event]
            last = min(int(np.searchsorted(left, needed)), len(order) - 1)
            rest = left[last] - needed
            weights[order[:last]] = 0.0
            weights[order[last]] = rest if rest > _NEGLIGIBLE * needed else 0.0
            weights[event] = 0.0
            positive = positive[weights[positive] > 0]
    kept = weights > 0
    left_over = events.take(kept)
    return Sample(
        left_over.variables, left_over.spectators, left_over.targets, left_over.classes, weights[kept]
    )
