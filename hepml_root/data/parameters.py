"""Parameters of a parameterised network, drawn for the classes that have none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.split import split_key, uniform_hash
from hepml_root.errors import NonFiniteInputError

# Keeps these draws apart from the splits made with the same seed.
_STREAM = 0x706172616D


def fill_parameters(
    parameters: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    classes: Sequence[str],
    weight: NDArray[np.floating[Any]],
    seed: int,
) -> NDArray[np.float32]:
    """Give events of classes without parameters the parameters of events that have them.

    A signal sample is made at known values of, say, a mass; the background has none. A parameterised network
    must see the same distribution of the parameter in every class, or it would separate the classes by the
    parameter itself. All parameters of one event are drawn together, with probability ∝ |weight|. Event i of
    a class takes the event at the quantile u of the summed |weight|, u being a hash of class, i and seed (see
    :mod:`hepml_root.data.split`): the draw is the same on any machine.

    Arguments
    ---------
    parameters:
        (events, parameters); all NaN for the classes that have none.
    labels, classes:
        Class of each event, and names.
    weight:
        Physics weights, (events,).
    seed:
        Seed of the draw.

    Returns
    -------
    The parameters, (events, parameters), without NaN; the same array if there was nothing to fill.

    Raises
    ------
    NonFiniteInputError
        Some events of a class have parameters and others not, or no class has any.

    References
    ----------
    P. Baldi et al., Parameterized neural networks for high-energy physics, arXiv:1601.07913.

    Example
    -------
    >>> values = np.array([[100.0], [300.0], [np.nan], [np.nan]], dtype=np.float32)
    >>> fill_parameters(values, np.array([0, 0, 1, 1]), ("signal", "background"), np.ones(4), seed=1).ravel()
    array([100., 300., 100., 100.], dtype=float32)
    """
    absent = np.asarray(np.isnan(parameters).any(axis=1))
    if not absent.any():
        return parameters
    lacking = []
    for index, name in enumerate(classes):
        of_class = absent[labels == index]
        if of_class.all():
            lacking.append(index)
        elif of_class.any():
            raise NonFiniteInputError(
                f"a parameter of class '{name}' is NaN in {int(of_class.sum())} of {len(of_class)} events: "
                "a class has parameters for all of its events, or for none (they are then drawn)."
            )
    donors = np.flatnonzero(~absent)
    if not len(donors):
        raise NonFiniteInputError("no class has values for the parameters: there is nothing to draw from.")
    table = ParameterTable(parameters[donors], weight[donors])
    filled = parameters.copy()
    for index in lacking:
        where = np.flatnonzero(labels == index)
        filled[where] = table.draw(index, np.arange(len(where)), seed)
    return filled


class ParameterTable:
    """Parameter values, (rows, parameters), with their weights, to draw from."""

    def __init__(self, values: NDArray[np.float32], weight: NDArray[np.floating[Any]]) -> None:
        self.values = values
        self._summed = np.cumsum(np.abs(weight, dtype=np.float64))

    def draw(self, class_index: int, entries: NDArray[np.integer[Any]], seed: int) -> NDArray[np.float32]:
        """Parameters for the ``entries`` (positions in the class) of a class, (entries, parameters)."""
        u = uniform_hash(entries, split_key(seed, stream=_STREAM + class_index))
        rows = np.searchsorted(self._summed, u * self._summed[-1], side="right")
        return self.values[np.minimum(rows, len(self.values) - 1)]
