"""Blocks of whole batches, all of one size, from a stream of events: what a compiled loop wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import SettingError

Block = tuple[dict[str, NDArray[Any]], NDArray[np.float32], NDArray[np.float32]]

_BLOCK_EVENTS = 65_536
# A block should not take longer than about a second, so that Ctrl-C and the progress bar stay lively.
_BLOCK_OPERATIONS = 2e10


@dataclass(frozen=True)
class Plan:
    """How an epoch is cut: ``blocks`` blocks of ``steps`` steps of ``accumulate`` batches of ``batch_size``
    events.

    The events that are missing in the last block are taken once more from the epoch's first, which are other
    events in every epoch; so all batches are full, and a batch-wise loss is never estimated from a few
    events.
    """

    batch_size: int
    steps: int
    blocks: int
    accumulate: int = 1

    @classmethod
    def of(
        cls,
        events: int,
        batch_size: int,
        operations: int,
        most_steps: int | None = None,
        accumulate: int = 1,
    ) -> Plan:
        """Return the plan for a number of events, and of operations of the network for one event.

        Raises
        ------
        SettingError
            One step would take more events than there are.

        >>> Plan.of(events=1000, batch_size=128, operations=10_000)
        Plan(batch_size=128, steps=8, blocks=1, accumulate=1)
        """
        batch_size = min(batch_size, events)
        if batch_size * accumulate > events:
            raise SettingError(
                f"accumulate={accumulate}: that many batches of {batch_size} are {batch_size * accumulate} "
                f"events a step, and there are {events} to train on. Accumulate {events // batch_size} at "
                f"most, or take batches of {events // accumulate} or fewer."
            )
        at_once = batch_size * accumulate
        wanted = -(-events // at_once)
        # A step forward and back costs about three times as much as forward alone.
        limit = min(_BLOCK_EVENTS, _BLOCK_OPERATIONS / (3 * max(operations, 1)))
        most = max(1, most_steps or int(limit // at_once))
        blocks = -(-wanted // most)
        return cls(batch_size, -(-wanted // blocks), blocks, accumulate)

    @property
    def step_events(self) -> int:
        """Events in a step of the optimizer."""
        return self.batch_size * self.accumulate

    @property
    def block_events(self) -> int:
        """Events in a block."""
        return self.steps * self.step_events

    @property
    def epoch_events(self) -> int:
        """Events in an epoch, those that come twice included."""
        return self.block_events * self.blocks

    def cut(self, chunks: Iterable[Block]) -> Iterator[Block]:
        """Give the blocks of an epoch from chunks of any sizes."""
        parts: list[Block] = []
        first: Block | None = None
        held = given = 0
        for chunk in chunks:
            parts.append(chunk)
            held += len(chunk[1])
            while held >= self.block_events:
                whole = _joined(parts)
                block, rest = _rows(whole, 0, self.block_events), _rows(whole, self.block_events, held)
                first = first or block
                yield block
                given += 1
                parts, held = [rest], held - self.block_events
        if given < self.blocks:
            left = _joined(parts)
            pool = first or left
            missing = self.block_events - held
            wrapped = [_rows(pool, 0, min(missing, len(pool[1])))] if missing else []
            yield _joined([left, *wrapped])


def _rows(block: Block, begin: int, end: int) -> Block:
    X, target, weight = block
    return {name: array[begin:end] for name, array in X.items()}, target[begin:end], weight[begin:end]


def _joined(parts: list[Block]) -> Block:
    if len(parts) == 1:
        return parts[0]
    names = parts[0][0]
    return (
        {name: np.concatenate([part[0][name] for part in parts]) for name in names},
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
    )
