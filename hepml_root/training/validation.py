"""Metrics on events that are not trained on, from one pass over them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from hepml_root.training.loop import Loop
from hepml_root.training.significance_monitor import SIGNIFICANCE, ValidationSignificance, best_significance


def weighted_auc(is_signal: ArrayLike, score: ArrayLike, weight: ArrayLike) -> float:
    r"""Return the area under the ROC curve of weighted events; ties count half.

    .. math:: \frac{\sum_{i \in sig} \sum_{j \in bkg} w_i w_j ( [s_i > s_j] + \tfrac12 [s_i = s_j] )}
              {\sum_{i \in sig} w_i \; \sum_{j \in bkg} w_j}

    Signed weights are used as they are. NaN if a class has no weight. Shapes: all ``(events,)``.

    Example
    -------
    >>> weighted_auc([1, 1, 0, 0], [0.9, 0.4, 0.4, 0.1], [1.0, 1.0, 1.0, 1.0])
    0.875
    """
    score = np.asarray(score)
    order = np.argsort(score)
    weight = np.asarray(weight, dtype=np.float64)[order]
    of_signal = np.where(np.asarray(is_signal, dtype=bool)[order], weight, 0.0)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(score[order]) != 0]))
    signal = np.add.reduceat(of_signal, starts)
    background = np.add.reduceat(weight - of_signal, starts)
    norm = signal.sum() * background.sum()
    below = np.cumsum(background) - background
    return float(np.sum(signal * (below + 0.5 * background)) / norm) if norm else float("nan")


class Validation:
    """The loss and, by task, AUC or accuracy of a model on a dataset, weighted with its training weights;
    and, if asked for, the best significance, weighted with its physics weights.

    The loss is that of all events as one batch, as losses that depend on sums over the events need.

    Arguments
    ---------
    data
        The events. Those of a lazy dataset are read anew in each epoch, and come with training weights only:
        they weight its significance too.
    loss
        What to measure.
    significance
        How to measure the significance of a cut, and the expected events (signal, background) before it.
    """

    def __init__(
        self,
        data: Any,
        loss: keras.losses.Loss,
        significance: tuple[ValidationSignificance, float, float] | None = None,
        batch_size: int = 8192,
    ) -> None:
        self.task = data.task
        self.loss, self.significance = loss, significance
        extra = {"binary": ["val_auc"], "multiclass": ["val_accuracy"]}.get(data.task, [])
        self.names = ["val_loss", *extra, *([SIGNIFICANCE] if significance else [])]
        self.data = data
        # Kept in the stream's order: no metric depends on it, and a lazy dataset is only ever read forward.
        self.stream = data.stream(batch_size=batch_size, seed=0) if data.lazy else None

    def _scored(self, loop: Loop) -> tuple[Any, Any, Any, Any]:
        """Return outputs, targets, training weights and physics weights."""
        if self.stream is None:
            data = self.data
            return loop.predict(data.X), data.target, data.training_weight, data.weight
        parts = [(loop.predict(X), target, weight) for X, target, weight in self.stream.epoch(0)]
        score, target, weight = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return score, target, weight, weight

    def metrics(self, loop: Loop) -> dict[str, float]:
        """Return {"val_loss": …}, the metric of the task, and the significance."""
        score, target, weight, physics = self._scored(loop)
        found = {
            "val_loss": float(keras.ops.convert_to_numpy(self.loss(target, score, sample_weight=weight)))
        }
        if self.task == "binary":
            found["val_auc"] = weighted_auc(target[:, 0] > 0.5, score[:, 0], weight)
        elif self.task == "multiclass":
            right = score.argmax(axis=1) == target.argmax(axis=1)
            found["val_accuracy"] = float(
                np.sum(weight * right, dtype=np.float64) / np.sum(weight, dtype=np.float64)
            )
        if self.significance is not None:
            monitor, signal, background = self.significance
            found[SIGNIFICANCE] = best_significance(
                score[:, 0], target[:, 0] > 0.5, physics, signal, background, monitor
            )
        return found
