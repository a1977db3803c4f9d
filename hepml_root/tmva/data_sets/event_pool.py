"""What is given for one class of events, and all its events that pass the cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hepml_root.errors import EmptySelectionError, SettingError
from hepml_root.tmva.console import Console
from hepml_root.tmva.data_sets.splitting import Available
from hepml_root.tmva.data_sets.tree_reading import Quantity, entries, read

EITHER, TRAINING, TEST = "either", "training", "test"


@dataclass(frozen=True)
class SourceTree:
    """A tree or data frame with its weight, its cut, and what its events are for."""

    source: Any
    weight: float
    purpose: str
    cut: str


@dataclass
class EventClass:
    """What was given for one class: trees, single events, weight expression, cut."""

    trees: list[SourceTree] = field(default_factory=list)
    events: dict[str, list[tuple[Sequence[float], float]]] = field(default_factory=dict)
    weight: str = ""
    cut: str = ""

    def copied(self) -> EventClass:
        """Return one of the same trees and events, to which others can be added."""
        events = {purpose: [*found] for purpose, found in self.events.items()}
        return EventClass([*self.trees], events, self.weight, self.cut)


class EventPool:
    """All events of a class that pass its cuts.

    Arguments
    ---------
    dataset, name
        Names of the DataLoader and of the class.
    one
        What was given for the class.
    quantities
        Variables, then targets, then spectators.
    cut, weight
        Those of all classes.

    Attributes
    ----------
    values, weights
        ``(events, numbers)`` and ``(events,)``.
    available
        Which rows are for what.

    Raises
    ------
    EmptySelectionError
        No event passes.
    """

    def __init__(
        self, dataset: str, name: str, one: EventClass, quantities: Sequence[Quantity], cut: str, weight: str,
        console: Console,
    ) -> None:  # fmt: skip
        parts = []
        before = after = 0.0
        for tree in one.trees:
            asked = both(both(cut, one.cut), tree.cut)
            found = read(tree.source, quantities, asked, one.weight or weight)
            parts.append((tree.purpose, found.values, found.weights * tree.weight))
            before += found.weight_before_cut * tree.weight
            after += float(found.weights.sum()) * tree.weight
            passed = len(found.weights)
            console.verbose_line(f"{name}: {entries(tree.source)} entries, {passed} events after cuts")
            if asked:
                console.line(
                    f'[{dataset}] : {name} requirement: "{asked}": {passed} of {found.before_cut} events pass'
                )
        for purpose, events in one.events.items():
            values = np.array([event for event, _ in events], np.float32)
            parts.append((purpose, values, np.array([weight for _, weight in events], np.float64)))
        self.values = np.concatenate([values for _, values, _ in parts])
        self.weights = np.concatenate([weights for _, _, weights in parts])
        purposes = np.concatenate([np.full(len(weights), purpose) for purpose, _, weights in parts])
        if not len(self.weights):
            raise EmptySelectionError(f"no event of the class '{name}' is left after the cuts.")
        negative = int((self.weights < 0).sum())
        if negative:
            console.warning(f"{name}: {negative} of {len(self.weights)} events have negative weights.")
        rows = {kind: np.flatnonzero(purposes == kind) for kind in (TRAINING, TEST, EITHER)}
        efficiency = after / before if before else 1.0
        self.available = Available(name, rows[TRAINING], rows[TEST], rows[EITHER], efficiency)


def both(first: str, second: str) -> str:
    """Return two cuts as one."""
    return f"({first})&&({second})" if first and second else first or second


def purpose_of(treetype: Any) -> str:
    """Return what the events are for: TMVA has texts and an enumeration."""
    if treetype is None:
        return EITHER
    number: Mapping[int, str] = {0: TRAINING, 1: TEST}
    if not isinstance(treetype, str) and not hasattr(treetype, "Data"):
        return number.get(int(treetype), EITHER)
    text = str(treetype).lower()
    training, test = "train" in text, "test" in text
    if not training and not test:
        raise SettingError(
            f'\'{treetype}\': a tree is for "Training", for "Test", or for "Training and Testing".'
        )
    return EITHER if training and test else TRAINING if training else TEST
