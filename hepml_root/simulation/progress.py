"""One line that shows how a generation goes, on a terminal only."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class GenerationProgress:
    """A progress bar over the events of a sample; silent without a terminal.

    >>> with GenerationProgress("top-jets", 100, shown=False) as progress:
    ...     progress.chunk(0, 60)
    """

    def __init__(self, name: str, events: int, shown: bool = True) -> None:
        self.bar: Progress | None = None
        self.rows: dict[int, int] = {}
        self.before = 0
        self.start = time.monotonic()
        if shown and sys.stderr.isatty():
            self.bar = Progress(
                TextColumn(name),
                BarColumn(bar_width=24),
                TextColumn("{task.completed:,.0f}/{task.total:,.0f} events {task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self.task = self.bar.add_task("", total=events, rate="")

    def __enter__(self) -> GenerationProgress:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def had(self, rows: int) -> None:
        """So many rows were there at the start."""
        self.before = rows
        self._show()

    def chunk(self, number: int, rows: int) -> None:
        """A chunk has so many rows now."""
        self.rows[number] = rows
        self._show()

    def _show(self) -> None:
        if self.bar:
            made = sum(self.rows.values())
            rate = made / max(time.monotonic() - self.start, 1e-3)
            self.bar.update(self.task, completed=self.before + made, rate=f"{rate:,.0f}/s")
