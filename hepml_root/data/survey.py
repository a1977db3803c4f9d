"""The first, cheap pass over files: sums of weights and numbers of events of every part of a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.data.feed import plan
from hepml_root.data.parameters import ParameterTable
from hepml_root.data.recipe import EVENT_NUMBER, TRAINING_WEIGHT, WEIGHT, Need, Recipe
from hepml_root.data.split import integral, split_key, uniform_hash
from hepml_root.data.weights import Yield, check_weights
from hepml_root.errors import SettingError

if TYPE_CHECKING:
    from hepml_root.data.feed import Rows

BLOCK_EVENTS = 32_768
# A table of parameters to draw from is thinned to at most this many rows.
_TABLE_ROWS = 1 << 17
# Keeps the thinning apart from the splits made with the same seed.
_THINNING = 0x7468696E


@dataclass(frozen=True)
class Condition:
    """Events with low ≤ scale · u < high are in (or out); u is the hash of event number or of position."""

    by: str | None
    seed: int
    depth: int
    low: float
    high: float
    stream: int = 0
    scale: float = 1.0
    outside: bool = False

    @property
    def need(self) -> Need | None:
        """What must be read to decide."""
        return (
            None if self.by is None else EVENT_NUMBER if self.by == "event_number" else ("spectator", self.by)
        )

    def mask(
        self, part: int, entries: NDArray[np.integer[Any]], exact: Mapping[Need, NDArray[Any]]
    ) -> NDArray[np.bool_]:
        """Tell which of the events are in, (events,)."""
        if self.need is None:
            u = uniform_hash(entries, split_key(self.seed, self.depth, self.stream + part + 1))
        else:
            u = uniform_hash(
                integral(exact[self.need], str(self.by)), split_key(self.seed, self.depth, self.stream)
            )
        u *= self.scale
        return ((u >= self.low) & (u < self.high)) != self.outside


Selection = tuple[Condition, ...]


@dataclass(frozen=True)
class PartSummary:
    """Physics weights of the selected events of one part, and the sum of what training weights start from."""

    physics: Yield
    training_sum: float


def selected(
    selection: Selection, part: int, entries: NDArray[np.integer[Any]], exact: Mapping[Need, NDArray[Any]]
) -> NDArray[np.bool_]:
    """Tell which events meet all conditions, (events,)."""
    mask = np.ones(len(entries), dtype=bool)
    for condition in selection:
        mask &= condition.mask(part, entries, exact)
    return mask


def limited(prepared: Any, recipe: Recipe, block_events: int = BLOCK_EVENTS) -> Iterator[Rows]:
    """Blocks of rows of one part, no more than the recipe's max_events in all."""
    left = recipe.max_events
    for rows in prepared.blocks(block_events, 0, None, recipe.threads or 1):
        if left is not None:
            rows = rows[:left]
            left -= len(rows)
        if len(rows):
            yield rows
        if left == 0:
            return


class Survey:
    """Sums of the weights of several selections of one recipe, found in one pass over the weights."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._wanted: list[Selection] = []
        self._found: dict[Selection, list[PartSummary]] = {}
        self._table: ParameterTable | None = None

    def add(self, selection: Selection) -> None:
        """Include a selection in the next pass."""
        if selection not in self._found and selection not in self._wanted:
            self._wanted.append(selection)

    def summaries(self, selection: Selection) -> list[PartSummary]:
        """Sums of each part for one selection."""
        if selection not in self._found:
            self.add(selection)
            self._run()
        return self._found[selection]

    def table(self) -> ParameterTable:
        """Parameters to draw from, with their weights."""
        if self._table is None:
            self._run()
        assert self._table is not None
        return self._table

    def _run(self) -> None:
        recipe = self._recipe
        wanted, self._wanted = self._wanted, []
        conditions = {condition.need for selection in wanted for condition in selection}
        needs = [need for need in recipe.needs if need in (WEIGHT, TRAINING_WEIGHT) or need in conditions]
        tabulate = self._table is None and any(None in part.parameters for part in recipe.parts)
        if tabulate:
            needs += [need for need in recipe.needs if need[0] == "parameter"]
        found: dict[Selection, list[PartSummary]] = {selection: [] for selection in wanted}
        donors: list[tuple[NDArray[np.float32], NDArray[np.float64]]] = []
        for index, part in enumerate(recipe.parts):
            sums = {
                selection: PartSummary(Yield(part.class_name, 0, 0.0, 0.0, 0), 0.0) for selection in wanted
            }
            thin = _Thinned()
            entry = 0
            request = recipe.request(part, inputs=False, needs=needs)
            for rows in limited(plan(part.frame, request), recipe):
                exact = dict(zip(needs, rows.exact.values(), strict=True))
                entries = np.arange(entry, entry + len(rows))
                entry += len(rows)
                weight = np.full(len(rows), part.factor)
                if WEIGHT in exact:
                    weight *= exact[WEIGHT]
                base = exact.get(TRAINING_WEIGHT, weight)
                check_weights(weight, len(rows), "the weights")
                check_weights(base, len(rows), "the training weights")
                for selection in wanted:
                    mask = selected(selection, index, entries, exact) if selection else slice(None)
                    sums[selection] = PartSummary(
                        sums[selection].physics + Yield.of(part.class_name, weight[mask]),
                        sums[selection].training_sum + float(base[mask].sum()),
                    )
                if tabulate and None not in part.parameters:
                    values = [exact["parameter", column.label] for column in recipe.parameters]
                    thin.add(np.stack(values, axis=1).astype(np.float32), weight, entries)
            for selection in wanted:
                found[selection].append(sums[selection])
            if thin.rows:
                donors.append(thin.result())
        if tabulate:
            if not donors:
                raise SettingError(
                    "no class has expressions for all parameters: there is nothing to draw from."
                )
            self._table = ParameterTable(
                np.concatenate([values for values, _ in donors]),
                np.concatenate([weight for _, weight in donors]),
            )
        self._found.update(found)


class _Thinned:
    """Rows of parameters with their weights; when there are many, a random half is kept, and again."""

    def __init__(self) -> None:
        self._kept: list[tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]] = []
        self._edge = 1.0
        self.rows = 0

    def add(
        self, values: NDArray[np.float32], weight: NDArray[np.float64], entries: NDArray[np.integer[Any]]
    ) -> None:
        u = uniform_hash(entries, split_key(0, stream=_THINNING))
        self._keep([(values, weight, u)])
        while self.rows > _TABLE_ROWS:
            self._edge /= 2
            kept, self._kept, self.rows = self._kept, [], 0
            self._keep(kept)

    def _keep(self, rows: list[tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]]) -> None:
        for values, weight, u in rows:
            inside = u < self._edge
            self._kept.append((values[inside], weight[inside], u[inside]))
            self.rows += int(inside.sum())

    def result(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Values, and weights scaled up by what was left out."""
        values = np.concatenate([kept[0] for kept in self._kept])
        return values, np.concatenate([kept[1] for kept in self._kept]) / self._edge
