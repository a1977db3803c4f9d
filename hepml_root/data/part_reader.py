"""Reading one part of a lazy dataset: the selected events, block by block, as arrays of a dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hepml_root.data.feed import plan
from hepml_root.data.parameters import ParameterTable
from hepml_root.data.reading import Arrays, assemble, check
from hepml_root.data.recipe import Need, Part, Recipe
from hepml_root.data.survey import Selection, limited, selected
from hepml_root.errors import CorruptFileError


class PartReader:
    """Reads the selected events of one part, block by block; prepared once, run as often as wanted."""

    def __init__(
        self, recipe: Recipe, index: int, selection: Selection, table: ParameterTable | None
    ) -> None:
        self.recipe = recipe
        self.index = index
        self.part: Part = recipe.parts[index]
        self.selection = selection
        self.table = table
        self._plans: dict[tuple[Need, ...], Any] = {}

    def prepare(self, needs: Sequence[Need]) -> None:
        """Find and compile what is needed, ahead of a thread that then only reads."""
        needs = self._with_conditions(needs)
        if needs not in self._plans:
            self._plans[needs] = plan(self.part.frame, self.recipe.request(self.part, needs=needs))

    def _with_conditions(self, needs: Sequence[Need]) -> tuple[Need, ...]:
        return tuple(dict.fromkeys([*needs, *(c.need for c in self.selection if c.need)]))

    def arrays(self, needs: Sequence[Need]) -> Iterator[Arrays]:
        """Give the selected events in order, with what ``needs`` names beside the inputs."""
        self.prepare(needs)
        needs = self._with_conditions(needs)
        entry = 0
        for rows in limited(self._plans[needs], self.recipe):
            count = len(rows)
            arrays = assemble(self.recipe, (self.part,), rows, (count,), entry, needs)
            entries = np.arange(entry, entry + count)
            entry += count
            if self.selection:
                exact = dict(zip(needs, rows.exact.values(), strict=True))
                mask = selected(self.selection, self.index, entries, exact)
                arrays, entries = arrays.take(np.flatnonzero(mask)), entries[mask]
            if self.table is not None:
                arrays.X["parameters"] = self.table.draw(self.index, entries, self.recipe.seed)
            check(self.recipe, arrays, kind="parameter", first_entry=entry - count)
            if len(entries):
                yield arrays


def changed(expected: int, found: int) -> CorruptFileError:
    """Return the error for files that no longer give the events they gave before."""
    return CorruptFileError(
        f"the files gave {found} events where they had {expected} before: they changed while in use."
    )
