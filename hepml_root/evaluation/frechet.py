"""Fréchet and kernel physics distance: one number for all high-level features together."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hepml_root.errors import EmptySelectionError, SettingError, ShapeError
from hepml_root.evaluation.arrays import Floats
from hepml_root.evaluation.distances import effective, positive_weights, refuse_nan
from hepml_root.evaluation.estimate import ONE_SIGMA, Estimate, to_json

NORMALISATIONS = ("maximum", "deviation", "none")


@dataclasses.dataclass(frozen=True)
class FrechetDistance:
    """The Fréchet distance at several sample sizes, and extrapolated to infinite ones.

    Attributes
    ----------
    estimate
        The distance at infinite sample size, with its error; for equal distributions it is zero within it.
    inverse_size, values
        One over the number of events of each sample, and the mean distance at it (sizes,).
    slope
        Of the straight line: the distance is ``estimate + slope · inverse_size``.
    """

    estimate: Estimate
    inverse_size: Floats
    values: Floats
    slope: float

    def to_dict(self) -> dict[str, Any]:
        return to_json(self)


def gaussian_frechet_distance(
    first_mean: ArrayLike, first_covariance: ArrayLike, second_mean: ArrayLike, second_covariance: ArrayLike
) -> float:
    r"""Return the squared Fréchet (Wasserstein-2) distance of two Gaussian distributions.

    .. math:: d^2 = |\mu_1 - \mu_2|^2 + \mathrm{Tr}\left(\Sigma_1 + \Sigma_2 -
              2 \left(\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2}\right)^{1/2}\right)

    Arguments
    ---------
    first_mean, second_mean
        Means (features,).
    first_covariance, second_covariance
        Covariance matrices (features, features); they may be singular.

    Raises
    ------
    ShapeError
        Means and matrices do not fit together.

    Reference: D. Dowson and B. Landau, J. Multivar. Anal. 12 (1982) 450.

    Example
    -------
    >>> gaussian_frechet_distance([0.0], [[1.0]], [3.0], [[4.0]])  # 3² + (2 − 1)²
    10.0
    """
    means = [np.atleast_1d(np.asarray(mean, dtype=np.float64)) for mean in (first_mean, second_mean)]
    matrices = [np.asarray(matrix, dtype=np.float64) for matrix in (first_covariance, second_covariance)]
    size = means[0].shape[0]
    if means[1].shape != (size,) or any(matrix.shape != (size, size) for matrix in matrices):
        raise ShapeError(
            f"means {means[0].shape}, {means[1].shape} and covariances {matrices[0].shape}, "
            f"{matrices[1].shape} "
            "do not fit together: needed are (features,) and (features, features)."
        )
    return float(_frechet(means[0][None], matrices[0][None], means[1][None], matrices[1][None])[0])


def _frechet(mean_1: Floats, covariance_1: Floats, mean_2: Floats, covariance_2: Floats) -> Floats:
    """Return the distances (sets,) of means (sets, features) and covariances (sets, features, features)."""
    values, vectors = np.linalg.eigh(covariance_1)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]) @ vectors.transpose(0, 2, 1)
    product = np.maximum(np.linalg.eigvalsh(root @ covariance_2 @ root), 0.0)
    traces = np.trace(covariance_1, axis1=1, axis2=2) + np.trace(covariance_2, axis1=1, axis2=2)
    return np.sum((mean_1 - mean_2) ** 2, axis=1) + traces - 2.0 * np.sqrt(product).sum(axis=1)


def frechet_physics_distance(
    first: ArrayLike,
    second: ArrayLike,
    first_weights: ArrayLike | None = None,
    second_weights: ArrayLike | None = None,
    *,
    normalise: str = "maximum",
    blocks: int = 20,
    repeats: int = 5,
    seed: int = 1,
) -> FrechetDistance:
    r"""Return the Fréchet physics distance of two samples of features, extrapolated to infinite sample size.

    The distance of :func:`gaussian_frechet_distance` between the means and covariances of finite samples
    is too large by a term proportional to 1/N. It is computed for subsamples of one half up to all of the
    events, and a straight line in 1/N is followed to 1/N = 0. Here the subsamples are unions of blocks of
    events, and the error is the jackknife over the blocks: each block left out of both samples once,
    everything repeated. For equal distributions that error is on the safe side, by about a factor 1.7.

    Arguments
    ---------
    first, second
        Features (events, features) of the source and of the generator.
    first_weights, second_weights
        Weights (events,); 1 if None.
    normalise
        "maximum": each feature over its largest absolute value in the first sample, as published;
        "deviation": over its standard deviation; "none".
    blocks, repeats
        Blocks of events, and subsamples averaged at each size.
    seed
        Of the order of the events.

    Raises
    ------
    ShapeError
        The arrays are not (events, features), or have different features.
    EmptySelectionError
        A sample has fewer than four events for each block.
    NonFiniteInputError, WeightError, SettingError
        The arrays or settings cannot be used.

    Reference: arXiv:2211.10295; the extrapolation is that of arXiv:1911.07023.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> one, two = generator.normal(size=(2, 4000, 3))
    >>> same = frechet_physics_distance(one, two, normalise="none").estimate
    >>> moved = frechet_physics_distance(one, two + [1.0, 0.0, 0.0], normalise="none").estimate
    >>> bool(abs(same.value) < 3 * same.error), bool(abs(moved.value - 1) < 3 * moved.error)
    (True, True)
    """
    one, two = checked_features(first, second)
    if blocks < 4 or repeats < 1:
        raise SettingError(f"blocks must be 4 or more and repeats positive, got {blocks} and {repeats}.")
    weights = [
        positive_weights(name, given, len(table))
        for name, given, table in (
            ("the first sample", first_weights, one),
            ("the second sample", second_weights, two),
        )
    ]
    if min(len(one), len(two)) < 4 * blocks:
        raise EmptySelectionError(
            f"{len(one)} and {len(two)} events are too few for {blocks} blocks of at least 4: use more "
            f"events."
        )
    one, two = normalised(one, two, normalise)
    generator = np.random.default_rng(seed)
    sums = [_block_sums(table, w, blocks, generator) for table, w in zip((one, two), weights, strict=True)]
    per_block = 2.0 / sum(blocks / effective(w) for w in weights)
    value, inverse, values, slope = _extrapolated(sums[0], sums[1], per_block, repeats)
    left_out = []
    for block in range(blocks):
        kept = np.arange(blocks) != block
        parts = [tuple(column[kept] for column in columns) for columns in sums]
        left_out.append(_extrapolated(parts[0], parts[1], per_block, repeats)[0])
    error = float(np.sqrt((blocks - 1) / blocks * np.sum((np.array(left_out) - np.mean(left_out)) ** 2)))
    return FrechetDistance(Estimate(value, value - error, value + error, ONE_SIGMA), inverse, values, slope)


_Sums = tuple[Floats, ...]


def _block_sums(table: Floats, weights: Floats, blocks: int, generator: np.random.Generator) -> _Sums:
    """Return Σw, Σw², Σwx, Σwxxᵀ of each block of events, blocks along the first axis."""
    parts = np.array_split(generator.permutation(len(table)), blocks)
    sums: list[list[Any]] = [[], [], [], []]
    centre = weights @ table / weights.sum()  # products of small numbers lose fewer digits
    for part in parts:
        x, w = table[part] - centre, weights[part]
        for column, value in zip(sums, (w.sum(), np.sum(w**2), w @ x, (x * w[:, None]).T @ x), strict=True):
            column.append(value)
    return (*(np.array(column) for column in sums), np.broadcast_to(centre, (blocks, len(centre))))


def _moments(sums: _Sums, chosen: Any) -> tuple[Floats, Floats]:
    """Return mean (sets, features) and covariance of unions of blocks, chosen (sets, blocks) with 0 and 1."""
    total, squares, linear, products, centre = sums
    w = chosen @ total
    mean = chosen @ linear / w[:, None]
    covariance = (
        np.tensordot(chosen, products, axes=1) / w[:, None, None] - mean[:, :, None] * mean[:, None, :]
    )
    size = w**2 / (chosen @ squares)
    return mean + centre[0], covariance * (size / (size - 1.0))[:, None, None]


def _extrapolated(
    first: _Sums, second: _Sums, per_block: float, repeats: int
) -> tuple[float, Floats, Floats, float]:
    """Return the value at 1/N = 0, the points 1/N and their values, and the slope.

    The subsamples of a size are rings of neighbouring blocks, so that all blocks are used about equally
    often.
    """
    blocks = len(first[0])
    sizes = np.unique(np.round(blocks / np.linspace(1.0, 2.0, 5)).astype(int))
    rows, groups = [], []
    for size in sizes:
        for begin in np.arange(repeats if size < blocks else 1) * blocks // repeats:
            ring = np.zeros(blocks)
            ring[(begin + np.arange(size)) % blocks] = 1.0
            rows.append(ring)
            groups.append(size)
    chosen = np.array(rows)
    found = _frechet(*_moments(first, chosen), *_moments(second, chosen))
    values = np.array([found[np.array(groups) == size].mean() for size in sizes])
    inverse = 1.0 / (per_block * sizes)
    slope, value = np.polyfit(inverse, values, 1)
    return float(value), inverse, values, float(slope)


def kernel_physics_distance(
    first: ArrayLike,
    second: ArrayLike,
    first_weights: ArrayLike | None = None,
    second_weights: ArrayLike | None = None,
    *,
    normalise: str = "maximum",
    degree: int = 4,
    batches: int = 10,
    batch_size: int = 5000,
    seed: int = 1,
) -> Estimate:
    r"""Return the kernel physics distance of two samples: the squared maximum mean discrepancy, unbiased.

    .. math:: \mathrm{MMD}^2 = \langle k(x, x')\rangle + \langle k(y, y')\rangle - 2 \langle k(x, y)\rangle,
              \quad k(x, y) = \left(\frac{x \cdot y}{d} + 1\right)^4

    with d features, and x, x' different events. It is zero on average for equal distributions, and can be
    negative. The value is the mean over batches that share no events, and its error the standard error of
    that mean (the publication gives median and spread of batches drawn with replacement).

    Arguments
    ---------
    first, second, first_weights, second_weights, normalise
        As in :func:`frechet_physics_distance`.
    degree
        Power of the kernel.
    batches, batch_size
        Number of batches, and events of each sample in a batch, at most; smaller batches if there are fewer
        events.
    seed
        Of the order of the events.

    Raises
    ------
    ShapeError
        The arrays are not (events, features), or have different features.
    EmptySelectionError
        A sample has fewer than four events for each batch.
    NonFiniteInputError, WeightError, SettingError
        The arrays or settings cannot be used.

    Reference: arXiv:2211.10295.

    Example
    -------
    >>> generator = np.random.default_rng(1)
    >>> one, two = generator.normal(size=(2, 2000, 2))
    >>> same, moved = kernel_physics_distance(one, two), kernel_physics_distance(one, two + 0.5)
    >>> bool(abs(same.value) < 3 * same.error), bool(moved.value > 5 * moved.error)
    (True, True)
    """
    one, two = checked_features(first, second)
    if degree < 1 or batches < 2 or batch_size < 4:
        raise SettingError("a kernel distance needs degree ≥ 1, batches ≥ 2 and batch_size ≥ 4.")
    w_one = positive_weights("the first sample", first_weights, len(one))
    w_two = positive_weights("the second sample", second_weights, len(two))
    size = min(batch_size, len(one) // batches, len(two) // batches)
    if size < 4:
        raise EmptySelectionError(
            f"{len(one)} and {len(two)} events are too few for {batches} batches of at least 4: use more "
            f"events."
        )
    one, two = normalised(one, two, normalise)
    generator = np.random.default_rng(seed)
    orders = generator.permutation(len(one)), generator.permutation(len(two))
    found = []
    for begin in range(0, batches * size, size):
        a, b = (order[begin : begin + size] for order in orders)
        x, u, y, v = one[a], w_one[a], two[b], w_two[b]
        cross = _kernel_sum(x, u, y, v, degree) / (u.sum() * v.sum())
        found.append(_same_sum(x, u, degree) + _same_sum(y, v, degree) - 2.0 * cross)
    value, error = float(np.mean(found)), float(np.std(found, ddof=1) / np.sqrt(batches))
    return Estimate(value, value - error, value + error, ONE_SIGMA)


def _kernel_sum(x: Floats, u: Floats, y: Floats, v: Floats, degree: int, rows: int = 1000) -> float:
    """Return Σᵢⱼ uᵢ k(xᵢ, yⱼ) vⱼ."""
    dimensions = x.shape[1]
    return float(
        sum(
            u[begin : begin + rows] @ ((x[begin : begin + rows] @ y.T / dimensions + 1.0) ** degree @ v)
            for begin in range(0, len(x), rows)
        )
    )


def _same_sum(x: Floats, u: Floats, degree: int) -> float:
    """Return the weighted mean of k over all pairs of different events of one sample."""
    diagonal = u**2 @ (np.sum(x**2, axis=1) / x.shape[1] + 1.0) ** degree
    return (_kernel_sum(x, u, x, u, degree) - float(diagonal)) / float(u.sum() ** 2 - np.sum(u**2))


def checked_features(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    """Return two finite float64 tables (events, features) with the same features.

    Raises
    ------
    ShapeError, NonFiniteInputError
        They are something else.
    """
    tables = [np.asarray(table, dtype=np.float64) for table in (first, second)]
    tables = [table[:, None] if table.ndim == 1 else table for table in tables]
    if any(table.ndim != 2 for table in tables) or tables[0].shape[1] != tables[1].shape[1]:
        shapes = " and ".join(str(table.shape) for table in tables)
        raise ShapeError(f"features must be (events, features) with the same features, not {shapes}.")
    for name, table in zip(("the first sample", "the second sample"), tables, strict=True):
        refuse_nan(name, table)
    return tables[0], tables[1]


def normalised(first: Floats, second: Floats, how: str) -> tuple[Floats, Floats]:
    """Return both tables divided by the scale of each feature in the first one.

    Raises
    ------
    SettingError
        ``how`` is none of :data:`NORMALISATIONS`.
    """
    if how not in NORMALISATIONS:
        raise SettingError(f"no normalisation '{how}'. Available: {', '.join(NORMALISATIONS)}.")
    if how == "none":
        return first, second
    scale = np.abs(first).max(axis=0) if how == "maximum" else first.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return first / scale, second / scale
