"""Which inputs a trained model uses: permutation ranking with errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepml_root.errors import EmptySelectionError, SettingError, ShapeError
from hepml_root.evaluation.arrays import Floats, checked_binary, checked_weights
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, to_json
from hepml_root.evaluation.roc import mean_placements, placements, variance_of_means

Blocks = Mapping[str, NDArray[Any]]


@dataclasses.dataclass(frozen=True)
class RankedInput:
    """One input: its column label, its block, and how much the figure of merit falls when it is shuffled."""

    column: str
    block: str
    importance: Estimate

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Inputs in falling order of importance.

    ``metric`` says what falls, ``nominal`` is its value without shuffling, ``events`` and ``repeats`` are the
    events used and the shuffles of each input.
    """

    metric: str
    nominal: float
    inputs: tuple[RankedInput, ...]
    events: int
    repeats: int

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def rank_inputs(
    predict: Callable[[dict[str, NDArray[Any]]], NDArray[Any]],
    blocks: Blocks,
    truth: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    columns: Mapping[str, Sequence[str]],
    task: str = "binary",
    repeats: int = 3,
    max_events: int = 20_000,
    seed: int = 1,
) -> Ranking:
    """Return how much worse the model does when one input at a time is shuffled among the events.

    Importance of column j: ``M(x) − ⟨M(x with column j permuted)⟩`` over ``repeats`` permutations, where
    M is the weighted AUC (binary), the mean one-against-rest AUC (multiclass) or minus the root mean
    square residual relative to the target's spread, averaged over targets (regression). Labels, weights
    and the other inputs stay with their event. In a jagged block the values of one feature are permuted
    among all real constituents, padding stays. Of strongly correlated inputs each can look unimportant,
    since the others remain: the ranking is about this model, not about the information in a variable.

    The error joins the spread of the permutations with the statistics of the events; the latter comes from
    each event's own contribution to the difference (DeLong's placements), so that what is common to both
    terms cancels. Every random number comes from ``seed``; at most ``max_events`` events are used, drawn
    without replacement.

    Arguments
    ---------
    predict
        Function from input blocks to outputs (events, outputs).
    blocks
        ``{block: array}``; (events, features), or (events, constituents, features) with its ``block_mask``.
    truth
        Class indices (events,), 1 = signal for binary; for regression targets (events, targets).
    weights
        (events,).
    columns
        ``{block: labels of its last axis}``; only these blocks are shuffled.

    Raises
    ------
    SettingError
        Unknown task, or a setting out of range.
    ShapeError, WeightError, EmptySelectionError, NonFiniteInputError
        The arrays do not fit or cannot be used.

    Reference: L. Breiman, Mach. Learn. 45 (2001) 5; E. DeLong et al., Biometrics 44 (1988) 837.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> x = generator.normal(size=(2000, 2)).astype("float32")
    >>> labels = x[:, 0] + generator.normal(size=2000) > 0
    >>> ranking = rank_inputs(lambda b: b["features"][:, :1], {"features": x}, labels,
    ...                       columns={"features": ["useful", "noise"]})
    >>> [ranked.column for ranked in ranking.inputs], ranking.inputs[1].importance.value
    (['useful', 'noise'], 0.0)
    """
    if task not in ("binary", "multiclass", "regression"):
        raise SettingError(f"a ranking knows the tasks binary, multiclass and regression, not '{task}'.")
    if repeats < 1 or max_events < 2:
        raise SettingError("a ranking needs repeats ≥ 1 and max_events ≥ 2.")
    truth = np.asarray(truth)
    events = len(truth)
    if events == 0:
        raise EmptySelectionError("there are no events to rank the inputs with.")
    for name, array in blocks.items():
        if len(array) != events:
            raise ShapeError(f"block '{name}' has {len(array)} events, the truth has {events}.")
    for name, labels in columns.items():
        if name not in blocks or blocks[name].shape[-1] != len(labels):
            raise ShapeError(f"block '{name}' and its {len(labels)} column labels do not fit together.")
    weights = checked_weights(weights, events)
    generator = np.random.default_rng(seed)
    if events > max_events:
        chosen = np.sort(generator.choice(events, max_events, replace=False))
        blocks = {name: array[chosen] for name, array in blocks.items()}
        truth, weights, events = truth[chosen], weights[chosen], max_events

    figure = _figure_of_merit(task)
    nominal, own = figure(np.asarray(predict(dict(blocks))), truth, weights)
    groups = np.zeros(events) if task == "regression" else truth
    ranked = []
    for block, labels in columns.items():
        for position, label in enumerate(labels):
            falls, own_falls = [], np.zeros_like(own)
            for _ in range(repeats):
                shuffled = _shuffled(blocks, block, position, generator)
                value, own_value = figure(np.asarray(predict(shuffled)), truth, weights)
                falls.append(nominal - value)
                own_falls += (own - own_value) / repeats
            variance = variance_of_means(own_falls, groups, weights)
            if repeats > 1:
                variance += float(np.var(falls, ddof=1)) / repeats
            value, error = float(np.mean(falls)), float(np.sqrt(variance))
            ranked.append(RankedInput(label, block, Estimate(value, value - error, value + error, ONE_SIGMA)))
    ranked.sort(key=lambda item: -item.importance.value)
    metric = {
        "binary": "AUC",
        "multiclass": "mean one-against-rest AUC",
        "regression": "−RMS residual / spread",
    }
    return Ranking(metric[task], nominal, tuple(ranked), events, repeats)


def _shuffled(
    blocks: Blocks, block: str, position: int, generator: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Return the blocks with one feature of one block permuted among events (or real constituents)."""
    array = blocks[block].copy()
    if array.ndim == 2:
        array[:, position] = generator.permutation(array[:, position])
    else:
        mask = blocks.get(f"{block}_mask")
        real = np.ones(array.shape[:-1], dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
        feature = array[..., position]
        feature[real] = generator.permutation(feature[real])
    return {**blocks, block: array}


_Merit = tuple[float, Floats]


def _figure_of_merit(task: str) -> Callable[[NDArray[Any], NDArray[Any], Floats], _Merit]:
    """Return the function from outputs, truth and weights to the merit and each event's contribution.

    The variance of the merit is that of the sum over classes of the contributions' weighted means.
    """
    return {"binary": _binary_merit, "multiclass": _multiclass_merit, "regression": _regression_merit}[task]


def _binary_merit(outputs: NDArray[Any], truth: NDArray[Any], weights: Floats) -> _Merit:
    return placements(*checked_binary(outputs, truth, weights))


def _multiclass_merit(outputs: NDArray[Any], truth: NDArray[Any], weights: Floats) -> _Merit:
    return mean_placements(outputs.astype(np.float64), truth, weights)


def _regression_merit(outputs: NDArray[Any], truth: NDArray[Any], weights: Floats) -> _Merit:
    truth = truth.reshape(len(truth), -1).astype(np.float64)
    outputs = outputs.reshape(len(truth), -1).astype(np.float64)
    if outputs.shape != truth.shape:
        raise ShapeError(f"outputs {outputs.shape} and targets {truth.shape} do not have the same shape.")
    total = weights.sum()
    mean = weights @ truth / total
    spread = np.sqrt(np.maximum(weights @ (truth - mean) ** 2 / total, 0.0))
    spread = np.where(spread > 0, spread, 1.0)
    square = ((outputs - truth) / spread) ** 2
    rms = np.sqrt(np.maximum(weights @ square / total, 0.0))
    # √m of a mean m moves by δm / (2√m): the contribution whose mean has the error of the root.
    own = -np.mean(square / (2.0 * np.where(rms > 0, rms, 1.0)), axis=1)
    return -float(rms.mean()), own
