"""Blocks of whole batches, all of one size, from a stream of events: what a compiled loop wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Block = tuple[dict[str, NDArray[Any]], NDArray[np.float32], NDArray[np.float32]]

_BLOCK_EVENTS = 65_536
# A block should not take longer than about a second, so that Ctrl-C and the progress bar stay lively.
_BLOCK_OPERATIONS = 2e10


@dataclass(frozen=True)
class Plan:
    """How an epoch is cut: ``blocks`` blocks of ``steps`` steps of ``batch_size`` events.

    The events that are missing in the last block are taken once more from the epoch's first, which are other
    events in every epoch; so all batches are full, and a batch-wise loss is never estimated from a few
    events.
    """

    batch_size: int
    steps: int
    blocks: int

    @classmethod
    def of(cls, events: int, batch_size: int, operations: int, most_steps: int | None = None) -> Plan:
        """Return the plan for a number of events, and of operations of the network for one event.

        >>> Plan.of(events=1000, batch_size=128, operations=10_000)
        Plan(batch_size=128, steps=8, blocks=1)
        """
        batch_size = min(batch_size, events)
        wanted = -(-events // batch_size)
        # A step forward and back costs about three times as much as forward alone.
        limit = min(_BLOCK_EVENTS, _BLOCK_OPERATIONS / (3 * max(operations, 1)))
        most = max(1, most_steps or int(limit // batch_size))
        blocks = -(-wanted // most)
        return cls(batch_size, -(-wanted // blocks), blocks)

    @property
    def block_events(self) -> int:
        """Events in a block."""
        return self.steps * self.batch_size

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
