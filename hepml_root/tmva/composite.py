"""Graphs made of graphs: each of several methods answers, and the one whose turn it is counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hepml_root.tmva.data_sets.events import DataSet
from hepml_root.tmva.weights.graph import Graph


def add_choice(graph: Graph, chosen: Sequence[str], results: Sequence[str]) -> str:
    """Return, event by event, the result whose condition ``(events, 1)`` is above 0.5, and 0 where none is.

    Of several the last one counts.
    """
    value = graph.constant(np.zeros((1, 1)))
    for condition, result in zip(chosen, results, strict=True):
        value = graph.add("Where", graph.add("Greater", condition, graph.constant(0.5)), result, value)
    return value


def named_columns(data: DataSet) -> dict[str, int]:
    """Return the places of variables, and of the spectators behind them, by label and by expression.

    A label comes before an expression of another column, and a variable before a spectator.
    """
    columns = (*data.variables, *data.spectators)
    places: dict[str, int] = {}
    for attribute in ("label", "expression", "internal"):
        for place, column in enumerate(columns):
            places.setdefault(getattr(column, attribute), place)
    return places
