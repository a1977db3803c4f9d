"""Is a response distributed on test events as on training events? From trees of a file, or histograms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hepml_root.errors import CorruptFileError, HepmlError
from hepml_root.evaluation.overtraining import ks_test
from hepml_root.tmva.gui.output_content import Dataset, Floats, Histogram1D

_TREES = ("TestTree", "TrainTree")
Columns = Mapping[str, Mapping[str, Any]]


def responses(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return {tree: {column: values}} with the responses of all methods, weights and names of classes.

    A tree that lacks weights or classes is left out. Responses of several values are structured arrays.

    Raises
    ------
    CorruptFileError
        A tree cannot be read.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in _TREES:
        tree = dataset.folder.tree(name)
        if tree is None:
            continue
        there = set(tree.keys())
        titles = [method.title for method in dataset.methods if method.title in there]
        if not {"className", "weight"} <= there:
            continue
        try:
            found[name] = tree.arrays([*titles, "className", "weight"], library="np")
        except Exception as error:  # uproot raises many kinds for damaged files
            raise CorruptFileError(f"the tree '{name}' cannot be read: {error}.") from error
    return found


def agreement(
    columns: Columns,
    title: str,
    test: Mapping[str, Histogram1D],
    train: Mapping[str, Histogram1D],
    of: str = "",
) -> tuple[dict[str, float], bool]:
    """Return p-values of Kolmogorov–Smirnov tests by class, and whether they come from histograms.

    Arguments
    ---------
    columns
        What :func:`responses` gives.
    of
        Which value of a response of several.
    """
    found, binned = {}, False
    for name in test:
        samples = []
        for part in _TREES:
            table = columns.get(part, {})
            if title not in table:
                break
            chosen = table["className"] == name
            values = np.asarray(table[title])
            if values.dtype.names is not None:
                if of not in values.dtype.names:
                    break
                values = values[of]
            samples.append((values[chosen], np.asarray(table["weight"])[chosen]))
        try:
            if len(samples) == 2:
                (first, first_weights), (second, second_weights) = samples
                found[name] = ks_test(first, second, first_weights, second_weights).p_value
            else:
                found[name] = _binned_p_value(test[name], train[name])
                binned = True
        except HepmlError:  # an empty class, or weights without a positive sum
            continue
    return found, binned


def _binned_p_value(first: Histogram1D, second: Histogram1D) -> float:
    """The test on the centres of bins, with the effective events of the histograms."""
    samples: list[tuple[Floats, Floats]] = []
    for histogram in (first, second):
        total, squares = float(histogram.values.sum()), float((histogram.errors**2).sum())
        events = total**2 / squares if squares > 0 else 0.0
        filled = histogram.values > 0
        # Equal weights that add up to the effective events in each bin.
        counts = np.maximum(1, np.round(histogram.values[filled] / total * events).astype(int))
        samples.append((np.repeat(histogram.centres[filled], counts), np.ones(int(counts.sum()))))
    (a, a_weights), (b, b_weights) = samples
    return ks_test(a, b, a_weights, b_weights).p_value
