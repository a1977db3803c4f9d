"""What happened in a training, epoch by epoch."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hepml_root.errors import SettingError, unknown
from hepml_root.output import writing


@dataclass
class History:
    """The course of a training, as data and as a plot.

    Attributes
    ----------
    metrics
        One list for each metric, with one number for each epoch: "loss" (of the training batches, without
        penalties), "learning_rate" (at the end of the epoch), and with validation events "val_loss" and, by
        task, "val_auc" (binary) or "val_accuracy" (multiclass), and "val_significance" where it is monitored.
    best_epoch
        Position of the epoch whose weights the model has in the end; None if no epoch was completed. With a
        pretraining it is sought after that.
    monitor
        The metric that decided which epoch is best.
    stopped
        Why it ended: "epochs" (all done), "early" (no better value for ``patience`` epochs), "interrupted"
        (Ctrl-C) or "callback".
    seconds
        Wall time over all epochs, validation included.
    events_per_second
        Training events over the time spent on training them, without the first epoch when there are others
        (it contains the compilation).
    settings
        What the training was asked for: loss, optimizer, batch size, seed and so on.
    pretraining_epochs
        The first so many epochs have the loss of a pretraining, and "loss" and "val_loss" are of that one.

    Example
    -------
    >>> history = History(metrics={"loss": [1.0, 0.5], "val_loss": [1.1, 0.7]}, best_epoch=1)
    >>> history.best["val_loss"]
    0.7
    """

    metrics: dict[str, list[float]] = field(default_factory=dict)
    best_epoch: int | None = None
    monitor: str = "val_loss"
    stopped: str = "epochs"
    seconds: float = 0.0
    events_per_second: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)
    pretraining_epochs: int = 0

    @property
    def epochs(self) -> int:
        """Number of completed epochs."""
        return len(self.metrics.get("loss", []))

    @property
    def best(self) -> dict[str, float]:
        """The metrics of the best epoch; empty if none was completed."""
        if self.best_epoch is None:
            return {}
        return {name: values[self.best_epoch] for name, values in self.metrics.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary; numbers that are not finite become None."""
        record = asdict(self)
        record["metrics"] = {
            name: [value if math.isfinite(value) else None for value in values]
            for name, values in self.metrics.items()
        }
        return record

    def summary(self) -> dict[str, Any]:
        """Return what a model's manifest keeps: settings, how it ended, and the best epoch's metrics."""
        record = self.to_dict()
        record.pop("metrics")
        best = {name: value if math.isfinite(value) else None for name, value in self.best.items()}
        return {**record.pop("settings"), **record, "epochs_done": self.epochs, "best": best}

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """Write :meth:`to_dict` as JSON.

        Raises
        ------
        OutputExistsError
            The file exists and ``overwrite`` is not set.
        """
        with writing(path, overwrite) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=1))
        return Path(path)

    def plot(self, path: str | os.PathLike[str] | None = None, overwrite: bool = False) -> Any:
        """Draw loss, validation metric and, if it changes, learning rate against the epoch; write the figure
        if a path is given.

        Returns the matplotlib figure.

        Raises
        ------
        SettingError
            matplotlib cannot write the format of the path's ending.
        OutputExistsError
            The file exists and ``overwrite`` is not set.
        """
        from matplotlib.figure import Figure

        extra = [name for name in self.metrics if name not in ("loss", "val_loss", "learning_rate")]
        scheduled = len(set(self.metrics.get("learning_rate", []))) > 1
        switch = min(self.pretraining_epochs, self.epochs)
        # The values of two losses have nothing to do with one another: a panel each.
        parts = [(switch, self.epochs, "loss")] if switch < self.epochs or not switch else []
        if switch:
            parts.insert(0, (0, switch, "loss of the pretraining"))
        panels = len(parts) + len(extra) + scheduled
        figure = Figure(figsize=(6.0, 1.5 + 1.9 * panels), layout="constrained")
        axes = figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0]
        epochs = range(1, self.epochs + 1)
        for axis, (begin, end, label) in zip(axes, parts, strict=False):
            for name, curve in (("loss", "training"), ("val_loss", "validation")):
                if name in self.metrics:
                    marker = "o" if end - begin == 1 else None
                    axis.plot(epochs[begin:end], self.metrics[name][begin:end], label=curve, marker=marker)
            axis.set_ylabel(label)
        for axis, name in zip(axes[len(parts) :], extra, strict=False):
            axis.plot(epochs, self.metrics[name], color="C1", label="validation")
            axis.set_ylabel(name.removeprefix("val_").replace("auc", "AUC"))
        if scheduled:
            axes[-1].plot(epochs, self.metrics["learning_rate"], color="C2")
            axes[-1].set_ylabel("learning rate")
            axes[-1].set_yscale("log")
        for axis in axes:
            if switch:
                axis.axvline(switch + 0.5, color="0.5", linestyle="--", label="end of the pretraining")
            if self.best_epoch is not None:
                axis.axvline(self.best_epoch + 1, color="0.5", linestyle=":", label="best epoch")
        if self.epochs:
            axes[0].legend(frameon=False)
        axes[-1].set_xlabel("epoch")
        if path is not None:
            suffix = Path(path).suffix.lstrip(".") or "png"
            kinds = figure.canvas.get_supported_filetypes()
            if suffix not in kinds:
                raise SettingError(unknown("picture format", suffix, kinds))
            with writing(path, overwrite) as temporary:
                figure.savefig(temporary, format=suffix, dpi=150)
        return figure
