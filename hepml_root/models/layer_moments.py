"""Moments of the cells in each layer, and weights of cells that are tilted until they have given moments."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.data.geometry import Geometry

# Powers of x and y of which there are moments, and where those of a tilt are among them.
POWERS = (*((k, 0) for k in range(5)), *((0, k) for k in range(1, 5)), (1, 1), (2, 1), (1, 2), (2, 2))
TILTS = ((0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (1, 1))
_PLACES = [POWERS.index(powers) for powers in TILTS]
_RIDGE = 1.01  # of variances, where they are inverted
_STEPS = 8
_NARROWEST = 1e-4  # variance that can be wanted
_FARTHEST = 40.0  # logarithm of a weight from 1
_STEEPEST = 1.5  # change of the logarithm of a weight in one step


class LayerMoments:
    r"""Sums over the cells of each layer and the way back, as matrix products, so that graphs stay small.

    Lengths are in the units of ``x`` and ``y`` ``(cells,)``. :meth:`tilted` multiplies weights by

    .. math:: e^{a x + b x^2 + c y + d y^2 + h x y}

    until they have the means, variances and covariance that are wanted: the smallest change, in relative
    entropy, that does. Eight steps of Newton's method, for x, y and xy each by itself. They are for the
    logarithm of the variance where it must fall, which is exact for a few cells far away, and for its inverse
    where it must grow, exact for a bell; the mean moves by one standard deviation at most, and no weight by
    more than a factor 4.5 in a step, so that none overshoots where only a few cells have a weight. (Where a
    step was cut, the tilt is no longer of that form exactly.)

    Arguments
    ---------
    geometry
        Its layers are those of the cells.
    x, y
        Places of the cells ``(cells,)``.
    """

    def __init__(self, geometry: Geometry, x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
        self.count, self.cells = len(geometry.slices), geometry.cells
        sizes = {where.stop - where.start for where in geometry.slices}
        size = self.cells // self.count
        rows = np.stack([x**j * y**k for j, k in POWERS], axis=-1)  # (cells, 13)
        first = rows[:size]
        self.alike = len(sizes) == 1 and np.allclose(rows.reshape(self.count, -1), first.reshape(1, -1))
        if self.alike:  # one matrix does for all layers
            self.size = size
            self.table, self.tilts = first, np.ascontiguousarray(first[:, _PLACES].T)
            return
        layer = np.eye(self.count, dtype=np.float32)[geometry.layer_of_cell]  # (cells, layers)
        table = layer[:, :, None] * rows[:, None, :]
        self.one_hot = layer
        self.table = table.reshape(self.cells, -1)
        self.tilts = np.ascontiguousarray(table[:, :, _PLACES].reshape(self.cells, -1).T)

    def moments(self, weight: Any) -> Any:
        """``(events, cells)`` to sums of them times powers of x and y, ``(events, layers, 13)``."""
        if self.alike:
            return ops.matmul(ops.reshape(weight, (-1, self.count, self.size)), self.table)
        return ops.reshape(ops.matmul(weight, self.table), (-1, self.count, len(POWERS)))

    def sums(self, x: Any) -> Any:
        """``(events, cells)`` to ``(events, layers)``."""
        if self.alike:
            return ops.sum(ops.reshape(x, (-1, self.count, self.size)), axis=-1)
        return ops.matmul(x, self.one_hot)

    def combined(self, factors: Any) -> Any:
        """Factors ``(events, layers, 6)`` of 1, x, x², y, y², xy to their sum ``(events, cells)``."""
        if self.alike:
            return ops.reshape(ops.matmul(factors, self.tilts), (-1, self.cells))
        return ops.matmul(ops.reshape(factors, (-1, self.tilts.shape[0])), self.tilts)

    def spread(self, t: Any) -> Any:
        """``(events, layers)`` to ``(events, cells)``: every cell gets the number of its layer."""
        if self.alike:
            return ops.reshape(ops.repeat(ops.expand_dims(t, -1), self.size, axis=-1), (-1, self.cells))
        return ops.matmul(t, np.ascontiguousarray(self.one_hot.T))

    def tilted(
        self, log_weight: Any, there: Any, wanted: dict[tuple[int, int], Any], having: list[Any]
    ) -> Any:
        """Return the shares of cells in their layers ``(events, cells)``, with the moments that are wanted.

        Arguments
        ---------
        log_weight
            Logarithms of the weights to begin with.
        there
            Factor of each weight that stays: 0 for a cell that is not hit.
        wanted
            Means of x, x², y, y², xy by their powers, each ``(events, layers)``.
        having
            Factors of the steps ``(events, layers)`` of x, y, and xy, 0 for a layer that is left alone.
        """
        mean_x, mean_y = wanted[1, 0], wanted[0, 1]
        variance_x = ops.maximum(wanted[2, 0] - ops.square(mean_x), _NARROWEST)
        variance_y = ops.maximum(wanted[0, 2] - ops.square(mean_y), _NARROWEST)
        bound = 0.98 * ops.sqrt(variance_x * variance_y)
        covariance = wanted[1, 1] - mean_x * mean_y
        covariance = ops.maximum(ops.minimum(covariance, bound), -bound)
        of_x, of_y, of_both = having
        log_weight = ops.clip(log_weight, -_FARTHEST, _FARTHEST)
        for _ in range(_STEPS):
            weight = there * ops.exp(log_weight)
            sums = self.moments(weight)
            m = by_power(sums / ops.maximum(sums[..., :1], 1e-20))
            x, x2 = _step([m[k, 0] for k in range(1, 5)], mean_x, variance_x)
            y, y2 = _step([m[0, k] for k in range(1, 5)], mean_y, variance_y)
            xy = of_both * _step_of_product(m, covariance, variance_x * variance_y)
            x, x2 = of_x * x - xy * m[0, 1], of_x * x2
            y, y2 = of_y * y - xy * m[1, 0], of_y * y2
            at = -x * m[1, 0] - x2 * m[2, 0] - y * m[0, 1] - y2 * m[0, 2] - xy * m[1, 1]
            change = self.combined(ops.stack([at, x, x2, y, y2, xy], axis=-1))
            log_weight = ops.clip(log_weight + ops.clip(change, -_STEEPEST, _STEEPEST), -_FARTHEST, _FARTHEST)
        weight = there * ops.exp(log_weight)
        return weight / self.spread(ops.maximum(self.sums(weight), 1e-20))


def by_power(moments: Any) -> dict[tuple[int, int], Any]:
    """Return :meth:`LayerMoments.moments` by the powers of x and y, each ``(events, layers)``."""
    return {powers: moments[..., place] for place, powers in enumerate(POWERS)}


def _step(powers: list[Any], mean: Any, variance: Any) -> tuple[Any, Any]:
    """Return what one step adds to the factors of x and x²; ``powers`` are the means of x to x⁴ now."""
    m1, m2, m3, m4 = powers
    squared = ops.square(m1)
    v = ops.relu(m2 - squared)
    third = m3 - 3.0 * m1 * m2 + 2.0 * m1 * squared
    fourth = ops.relu(m4 - 4.0 * m1 * m3 + 6.0 * squared * m2 - 3.0 * ops.square(squared) - ops.square(v))
    root = ops.sqrt(v + 1e-12)
    away = ops.maximum(ops.minimum(mean - m1, root), -root)
    ratio = v / variance
    grow = v * ops.where(ratio > 1.0, -ops.log(ops.clip(ratio, 1.0, 10.0)), 1.0 - ratio)
    # A little on the diagonal keeps it regular where a few cells are hit.
    a, b = _RIDGE * v + 1e-4 * variance, _RIDGE * fourth + 1e-4 * ops.square(variance)
    determinant = ops.maximum(a * b - ops.square(third), 1e-3 * a * b)
    of_x, of_square = (b * away - third * grow) / determinant, (a * grow - third * away) / determinant
    return of_x - 2.0 * m1 * of_square, of_square


def _step_of_product(m: dict[tuple[int, int], Any], covariance: Any, scale: Any) -> Any:
    """Return what one step adds to the factor of xy; m are the means now."""
    x, y = m[1, 0], m[0, 1]
    now = m[1, 1] - x * y
    both = m[2, 2] - 2.0 * y * m[2, 1] - 2.0 * x * m[1, 2] + 4.0 * x * y * m[1, 1]
    both = both + ops.square(y) * m[2, 0] + ops.square(x) * m[0, 2] - 3.0 * ops.square(x * y)
    return (covariance - now) / (_RIDGE * ops.relu(both - ops.square(now)) + 1e-2 * scale)
