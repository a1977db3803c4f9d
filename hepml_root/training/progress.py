"""One line that shows how a training goes, on a terminal only."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

_SHOWN = ("loss", "val_loss", "val_auc", "val_accuracy", "val_significance")


class TrainingProgress:
    """A progress bar over the blocks of all epochs, with the newest metrics; silent without a terminal."""

    def __init__(self, epochs: int, blocks: int, shown: bool) -> None:
        self.epochs = epochs
        self.bar: Progress | None = None
        if shown and sys.stderr.isatty():
            self.bar = Progress(
                TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
                BarColumn(bar_width=12),
                TextColumn("{task.fields[metrics]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self.task = self.bar.add_task("", total=blocks, epoch=0, epochs=epochs, metrics="compiling")

    def __enter__(self) -> TrainingProgress:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def block(self, epoch: int) -> None:
        """A block of an epoch (from 0) is done."""
        if self.bar:
            self.bar.update(self.task, advance=1, epoch=epoch + 1)

    def epoch(self, metrics: dict[str, float], events_per_second: float) -> None:
        """An epoch is done."""
        if self.bar:
            # Short enough for a terminal of 80 columns.
            names = {name: name.replace("val_loss", "val").removeprefix("val_") for name in metrics}
            if "val_significance" in metrics:
                names["val_significance"] = "Z"
            shown = [f"{names[name]} {value:.4f}" for name, value in metrics.items() if name in _SHOWN]
            self.bar.update(self.task, metrics=" ".join([*shown, f"{events_per_second / 1000:,.0f}k/s"]))
