"""Smooth, differentiable counts of a batch: behind a soft cut, or in the soft bins of a network's output.

They are made of sums over events (:func:`batch_sums`) that add up over batches: the sums of several batches,
added, are those of one large batch, so a loss of counts can be accumulated exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.errors import SettingError


@dataclass(frozen=True)
class SoftBins:
    r"""Bins of a score whose edges are sigmoids, so that counts have a gradient.

    .. math:: m_k(\hat y) = \sigma\!\left( \frac{\hat y - e_k}{h_k} \right)
              - \sigma\!\left( \frac{\hat y - e_{k+1}}{h_{k+1}} \right)

    The first and the last bin take in everything below and above, so an event's memberships add up to 1.
    **What resolution is lost:** the score is smeared with a logistic distribution of standard deviation 1.81
    h (h = ``bandwidth`` × bin width); of events spread evenly over a bin, the part 2 ln 2 · ``bandwidth``
    counts in other bins, 14 % by default. A narrower band loses less, but only events within some h of an
    edge have a gradient. Count with hard bins to quote a result.

    Arguments
    ---------
    edges
        From the lower end of the first bin to the upper end of the last, increasing.
    bandwidth
        h in units of the narrower of the two bins at an edge.

    Raises
    ------
    SettingError
        There are fewer than two bins, the edges do not increase, or the bandwidth is not positive.

    Example
    -------
    >>> members = SoftBins.of(4).memberships(np.array([0.125, 0.5]))
    >>> np.round(np.asarray(members), 3).tolist()
    [[0.993, 0.007, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]]
    """

    edges: tuple[float, ...]
    bandwidth: float = 0.1

    def __post_init__(self) -> None:
        if len(self.edges) < 3 or not (np.isfinite(self.edges).all() and (np.diff(self.edges) > 0).all()):
            raise SettingError(
                f"bins={list(self.edges)}: give a number of bins from 2, or at least 3 increasing edges."
            )
        if not (np.isfinite(self.bandwidth) and self.bandwidth > 0):
            raise SettingError(f"bandwidth={self.bandwidth}: a positive part of the bin width is needed.")

    @classmethod
    def of(cls, bins: int | Sequence[float], bandwidth: float = 0.1) -> SoftBins:
        """Return so many equal bins of a score from 0 to 1, or bins of given edges."""
        edges = np.linspace(0.0, 1.0, max(bins, 0) + 1) if isinstance(bins, (int, np.integer)) else bins
        return cls(tuple(float(edge) for edge in edges), float(bandwidth))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def above(self, score: Any) -> Any:
        """Return the part of each event above each inner edge, ``(events, bins - 1)``, of ``(events,)``."""
        score = ops.convert_to_tensor(score)
        widths = np.diff(self.edges)
        inner = np.asarray(self.edges[1:-1])
        slopes = 1.0 / (self.bandwidth * np.minimum(widths[:-1], widths[1:]))
        return ops.sigmoid(
            ops.expand_dims(score, -1) * ops.cast(slopes, score.dtype) - ops.cast(slopes * inner, score.dtype)
        )

    def memberships(self, score: Any) -> Any:
        """Return the part of each event in each bin, ``(events, bins)``, of scores ``(events,)``."""
        above = self.above(score)
        return ops.concatenate([1.0 - above[:, :1], above[:, :-1] - above[:, 1:], above[:, -1:]], axis=-1)


def in_single(outputs: Any) -> Any:
    """Return outputs in float32, if they are of half precision: sums of weights are beyond its range.

    Example
    -------
    >>> [keras.backend.standardize_dtype(in_single(np.ones(1, kind)).dtype) for kind in ("f2", "f8")]
    ['float32', 'float64']
    """
    outputs = ops.convert_to_tensor(outputs)
    half = keras.backend.standardize_dtype(outputs.dtype) in ("float16", "bfloat16")
    return ops.cast(outputs, "float32") if half else outputs


def batch_sums(y_true: Any, y_pred: Any, sample_weight: Any, bins: SoftBins | None = None) -> Any:
    r"""Return the sums of weights of a batch that its counts are made of, ``(2, 1 + bins)``.

    Row 0 is of signal, row 1 of background; column 0 is the sum of weights :math:`\sum w_i`, the others
    :math:`\sum w_i m_{ik}` of each bin, or :math:`\sum w_i \hat y_i` where there are none. Shapes: ``y_true``
    and ``y_pred`` ``(events, 1)``, ``sample_weight`` ``(events,)`` or None.

    Raises
    ------
    SettingError
        The model has more than one output.

    Example
    -------
    >>> sums = batch_sums(np.array([[1.0], [0.0]]), np.array([[0.5], [0.1]]), None)
    >>> np.round(np.asarray(sums), 2).tolist()
    [[1.0, 0.5], [1.0, 0.1]]
    """
    if len(y_pred.shape) > 1 and y_pred.shape[-1] != 1:
        raise SettingError(
            f"a significance needs one output, the score of the signal; this model has {y_pred.shape[-1]}."
        )
    score = ops.reshape(in_single(y_pred), (-1,))
    target = ops.cast(ops.reshape(y_true, (-1,)), score.dtype)
    if sample_weight is None:
        of_signal, of_background = target, 1.0 - target
    else:
        weight = ops.cast(ops.reshape(sample_weight, (-1,)), score.dtype)
        of_signal = weight * target
        of_background = weight - of_signal
    classes = ops.stack([of_signal, of_background])
    if bins is None:
        return ops.stack([ops.sum(classes, axis=1), ops.sum(classes * score, axis=1)], axis=1)
    # Sums above the edges, which are half the work of sums in the bins.
    total = ops.sum(classes, axis=1, keepdims=True)
    above = ops.concatenate([total, ops.matmul(classes, bins.above(score))], axis=1)
    inside = above[:, :-1] - above[:, 1:]
    return ops.concatenate([total, inside, above[:, -1:]], axis=1)


def counts_of(sums: Any, signal: float | None, background: float | None) -> tuple[Any, Any]:
    """Return the counts (s, b) of sums of weights: scalars, or ``(bins,)`` each, in expected events.

    Each class is normalised by its own sum of weights, to the events that are expected of it; None: the sums
    of weights are the expected events themselves. Shapes: ``sums`` as :func:`batch_sums` gives them.

    With negative weights a sum may come out below 0; such a count is 0. A class whose weights have no
    positive sum counts 0 everywhere.

    Example
    -------
    >>> s, b = counts_of(np.array([[4.0, 1.0, 3.0], [2.0, 1.5, 0.5]]), signal=8.0, background=100.0)
    >>> np.asarray(s).tolist(), np.asarray(b).tolist()
    ([2.0, 6.0], [75.0, 25.0])
    """
    sums = ops.convert_to_tensor(sums)
    total, part = sums[:, :1], ops.maximum(sums[:, 1:], 0.0)
    there = total > 0
    total = ops.where(there, total, 1.0)
    if signal is None or background is None:
        own = [
            total[row, 0] if value is None else ops.cast(value, sums.dtype)
            for row, value in enumerate((signal, background))
        ]
        expected = ops.expand_dims(ops.stack(own), -1)
    else:
        expected = ops.cast(np.array([[signal], [background]]), sums.dtype)
    counts = ops.where(there, part * (expected / total), 0.0)
    if sums.shape[1] == 2:
        return counts[0, 0], counts[1, 0]
    return counts[0], counts[1]


def expected_counts(
    y_true: Any,
    y_pred: Any,
    sample_weight: Any = None,
    signal: float | None = None,
    background: float | None = None,
    bins: SoftBins | None = None,
) -> tuple[Any, Any]:
    r"""Return the smooth counts (s, b) of a batch, in expected events: two scalars, or two ``(bins,)``.

    .. math:: s = S \frac{\sum_{i \in sig} w_i \hat y_i}{\sum_{i \in sig} w_i}, \qquad
              b = B \frac{\sum_{i \in bkg} w_i \hat y_i}{\sum_{i \in bkg} w_i}

    and with bins the membership of the event in the bin for ŷ. Normalised to S and B, the expectation depends
    neither on the size of the batch, nor on its composition, nor on the scale of the weights. A class without
    (positive) weight in the batch counts 0. Shapes: ``y_true`` and ``y_pred`` ``(events, 1)``,
    ``sample_weight`` ``(events,)`` or None.

    Arguments
    ---------
    signal, background
        Expected events S and B before the cut; None: the sum of the weights, for a whole sample with physics
        weights at once.
    bins
        Count in these bins of the score.

    Example
    -------
    >>> target, score = np.array([[1.0], [0.0]]), np.array([[0.5], [0.1]])
    >>> s, b = expected_counts(target, score, None, signal=10.0, background=100.0)
    >>> round(float(s), 4), round(float(b), 4)
    (5.0, 10.0)
    """
    return counts_of(batch_sums(y_true, y_pred, sample_weight, bins), signal, background)
