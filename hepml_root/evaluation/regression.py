"""How well a regression finds its target: bias, resolution, tails."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import EmptySelectionError, SettingError, WeightError
from hepml_root.evaluation.arrays import Floats, checked_vector, checked_weights
from hepml_root.evaluation.distributions import Histogram, binning, histogram
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, central_interval, poisson_replicas, to_json


@dataclasses.dataclass(frozen=True)
class Residuals:
    """Residuals ``prediction − target`` of one target.

    Attributes
    ----------
    target, unit
        Name and unit.
    bias
        Weighted mean residual.
    resolution
        Half of the central interval that holds 68.3 % of the residuals: the standard deviation of a Gaussian,
        but not moved by tails.
    rms
        Weighted root mean square of the residuals.
    explained
        Explained variance ``1 − Var(residual)/Var(target)``.
    tail_fraction
        Fraction of events more than three resolutions from the median; 0.0027 for a Gaussian.
    edges, mean_target
        Bins in the true target (bins + 1,), and the mean target in each (bins,).
    bin_bias, bin_bias_low, bin_bias_high, bin_resolution, bin_resolution_low, bin_resolution_high
        Bias and resolution per bin with bootstrap intervals (bins,).
    histogram
        Distribution of the residuals.
    pull, pull_mean, pull_width
        Distribution, mean and 68.3 % half-width of ``residual / uncertainty``.
    pull_from
        What the uncertainty is: ``"model"`` if given, else ``"resolution"`` of the event's bin, in which case
        the pull shows tails and bias but its width is near 1 by construction.
    """

    target: str
    unit: str
    bias: Estimate
    resolution: Estimate
    rms: Estimate
    explained: Estimate
    tail_fraction: Estimate
    edges: Floats
    mean_target: Floats
    bin_bias: Floats
    bin_bias_low: Floats
    bin_bias_high: Floats
    bin_resolution: Floats
    bin_resolution_low: Floats
    bin_resolution_high: Floats
    histogram: Histogram
    pull: Histogram
    pull_mean: Estimate
    pull_width: Estimate
    pull_from: str

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


class _Ordered:
    """Values in rising order, for weighted quantiles in many replicas."""

    def __init__(self, values: Floats) -> None:
        self.order = np.argsort(values, kind="stable")
        self.values = values[self.order]

    def quantiles(self, weights: Floats, probabilities: Floats) -> Floats:
        """Return weighted quantiles (replicas, probabilities) for weights (replicas, events)."""
        running = np.cumsum(weights[:, self.order], axis=1)
        found = np.full((len(weights), len(probabilities)), np.nan)
        for row, sums in enumerate(running):
            if sums[-1] > 0:
                # Negative weights let the sum fall back: take the first place where each share is reached.
                reached = np.maximum.accumulate(sums)
                at = np.searchsorted(reached, probabilities * sums[-1], side="left")
                found[row] = self.values[np.minimum(at, len(self.values) - 1)]
        return found


_CENTRAL = np.array([0.5 * (1 - ONE_SIGMA), 0.5, 0.5 * (1 + ONE_SIGMA)])


def _half_width(ordered: _Ordered, weights: Floats) -> Floats:
    quantiles = ordered.quantiles(weights, _CENTRAL)
    return 0.5 * (quantiles[:, 2] - quantiles[:, 0])


def _mean(values: Floats, weights: Floats) -> Floats:
    """Return weighted means (replicas,); NaN where the weights have no positive sum."""
    total = weights.sum(axis=1)
    return np.where(total > 0, weights @ values / np.where(total > 0, total, 1.0), np.nan)


def study_residuals(
    prediction: ArrayLike,
    target: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    uncertainty: ArrayLike | None = None,
    name: str = "target",
    unit: str = "",
    bins: int = 10,
    bootstrap: int = 200,
    seed: int = 1,
    level: float = ONE_SIGMA,
) -> Residuals:
    """Return residuals, bias and resolution, overall and against the true target, and pulls.

    Bins in the target hold equal numbers of events. Quantiles are weighted; with negative weights they are
    the first places where the running sum of weights reaches the asked share.

    Arguments
    ---------
    prediction, target, weights
        Arrays (events,), in the target's unit; weights are 1 if None and may be negative.
    uncertainty
        (events,) what the model says its error is, for the pull; None takes the bin's resolution.
    name, unit
        Of the target, for axes.
    bins
        Number of bins in the target.

    Raises
    ------
    ShapeError, NonFiniteInputError, EmptySelectionError, WeightError, SettingError
        The arrays do not fit, are not finite, hold fewer events than bins, or weights have no positive sum.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> truth = generator.uniform(20, 100, 5000)
    >>> study = study_residuals(truth + generator.normal(1.0, 2.0, 5000), truth, unit="GeV")
    >>> study.bias.low < 1.05 and study.bias.high > 0.95, abs(study.resolution.value - 2.0) < 0.1
    (True, True)
    """
    prediction = checked_vector("the prediction", prediction)
    target = checked_vector("the target", target, len(prediction))
    weights = checked_weights(weights, len(prediction))
    if bins < 1:
        raise SettingError(f"a study of residuals needs at least 1 bin, got {bins}.")
    if len(prediction) < max(2, bins):
        raise EmptySelectionError(f"{len(prediction)} events are too few for {bins} bins in '{name}'.")
    if not weights.sum() > 0:
        raise WeightError(f"the weights sum to {weights.sum():.6g}; residuals need a positive sum.")

    residual = prediction - target
    edges = np.unique(np.quantile(target, np.arange(bins + 1) / bins))
    if len(edges) < 2:
        edges = np.array([edges[0] - 0.5, edges[0] + 0.5])
    index = np.clip(np.searchsorted(edges, target, side="right") - 1, 0, len(edges) - 2)
    members = [np.flatnonzero(index == k) for k in range(len(edges) - 1)]
    ordered = _Ordered(residual)
    bin_ordered = [_Ordered(residual[chosen]) for chosen in members]
    one = weights[None, :]
    half_width = _half_width(ordered, one)[0]
    median = ordered.quantiles(one, _CENTRAL[1:2])[0, 0]
    in_tail = (np.abs(residual - median) > 3.0 * half_width).astype(np.float64)

    def overall(w: Floats) -> tuple[Floats, ...]:
        bias = _mean(residual, w)
        square = _mean(residual**2, w)
        spread = _mean(target**2, w) - _mean(target, w) ** 2
        with np.errstate(invalid="ignore", divide="ignore"):
            explained = 1.0 - (square - bias**2) / spread
        return bias, _half_width(ordered, w), np.sqrt(np.maximum(square, 0.0)), explained, _mean(in_tail, w)

    def per_bin(w: Floats) -> tuple[Floats, Floats]:
        biases = [_mean(residual[chosen], w[:, chosen]) for chosen in members]
        widths = [
            _half_width(order, w[:, chosen]) for order, chosen in zip(bin_ordered, members, strict=True)
        ]
        return np.stack(biases, axis=1), np.stack(widths, axis=1)

    central = overall(one)
    bin_bias, bin_width = (values[0] for values in per_bin(one))
    if uncertainty is None:
        scale = bin_width[index]
    else:
        scale = checked_vector("the uncertainty", uncertainty, len(residual))
    usable = scale > 0
    if not usable.any():
        usable, scale = np.ones(len(residual), dtype=bool), np.ones(len(residual))
    pull = residual[usable] / scale[usable]
    pull_ordered = _Ordered(pull)

    collected: list[list[Floats]] = [[] for _ in range(9)]
    for counts in poisson_replicas(len(residual), bootstrap, seed):
        replica = counts * weights
        of_pull = replica[:, usable]
        values = (
            *overall(replica),
            *per_bin(replica),
            _mean(pull, of_pull),
            _half_width(pull_ordered, of_pull),
        )
        for store, value in zip(collected, values, strict=True):
            store.append(value)
    replicas = [np.concatenate(store) if store else np.empty(0) for store in collected]

    def estimate(value: float, which: int) -> Estimate:
        many = replicas[which]
        return Estimate.from_replicas(float(value), many[np.isfinite(many)], level)

    def band(which: int) -> Floats:
        return central_interval(replicas[which].reshape(-1, len(members)), level)

    pull_one = one[:, usable]
    return Residuals(
        target=name,
        unit=unit,
        bias=estimate(central[0][0], 0),
        resolution=estimate(central[1][0], 1),
        rms=estimate(central[2][0], 2),
        explained=estimate(central[3][0], 3),
        tail_fraction=estimate(central[4][0], 4),
        edges=edges,
        mean_target=np.array([float(_mean(target[chosen], one[:, chosen])[0]) for chosen in members]),
        bin_bias=bin_bias,
        bin_bias_low=band(5)[0],
        bin_bias_high=band(5)[1],
        bin_resolution=bin_width,
        bin_resolution_low=band(6)[0],
        bin_resolution_high=band(6)[1],
        histogram=histogram(
            f"residual_{name}",
            residual,
            binning(residual, 60),
            weights,
            title=f"prediction − true {name}",
            unit=unit,
        ),
        pull=histogram(
            f"pull_{name}", pull, np.linspace(-5, 5, 51), weights[usable], title=f"pull of {name}"
        ),
        pull_mean=estimate(_mean(pull, pull_one)[0], 7),
        pull_width=estimate(_half_width(pull_ordered, pull_one)[0], 8),
        pull_from="resolution" if uncertainty is None else "model",
    )
