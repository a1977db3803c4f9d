"""The shape of a shower, layer by layer: its measurement, and cells that are made to have a given one."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.data.geometry import Geometry, Grid, Polar
from hepml_root.errors import SettingError
from hepml_root.models.layer_moments import TILTS, LayerMoments, by_power

# Of (energy - threshold) / threshold in the logarithm of a cell, so that a cell at the threshold has one.
_OFFSET = 0.1
_BISECTIONS = 12
# Of a number of hits before the next whole one: a rounding of the number grows by its inverse.
_RAMP = 0.2
_HIGHEST_RANK = 30.0
_QUANTITIES = 6  # of a layer besides its energy: x, y, their variances and correlation, hits
_DIRECTIONS = (((1, 0), (2, 0)), ((0, 1), (0, 2)))  # powers of the mean and the square of x, of y
_LEAST = 1e-3  # variance that is small for a layer, in squares of its pitch
_FEWEST = 10  # hits of a layer that has a centre and a width
_NARROWEST = 5.0  # sum of squares of the hits' distances from their mean in a direction that has these


@keras.saving.register_keras_serializable(package="hepml_root")
class ShowerShape(keras.layers.Layer):
    r"""The shape of a shower in numbers that a flow can learn, and showers that have it.

    For L layers the shape is :math:`7 L + 1` numbers: the logarithm of the energy of all cells over that of
    the particle, :math:`\log(E_l / (E_{l+1} + … + E_L))` for all layers but the last; in each layer the
    energy-weighted mean of x and of y, as :math:`\operatorname{arsinh}(\bar x / s)` with s from
    :meth:`adapt`, and the variances of both, as :math:`\log(v / 10^{-3} + 1)`, lengths in units of the
    layer's pitch in that direction, and their correlation; the number of hits, with noise in [0, 0.8) that
    makes it continuous; the logarithm of the share of the brightest cell. In place of what a layer does not
    have there is noise: with fewer than ten hits, of the usual values of the others; with hardly any hit
    outside of one row or column, a width below 0.

    The cells get a rank, by which hits are chosen, and a weight. :meth:`cells` is the way from a shape and
    any ranks and weights to a shower that has the energies of the layers exactly and the hits, centres and
    widths up to what the number of hits allows:

    .. math:: x_i = t\,k_i + (E_l - t \textstyle\sum_j k_j)\,
              \frac{k_i w_i}{\sum_j k_j w_j}, \qquad
              w_i \to w_i\, e^{a x_i + b x_i^2 + c y_i + d y_i^2 + h x_i y_i}

    k is 1 for the cells of the highest ranks, as many as there shall be hits, with a steep ramp. The tilt is
    the smallest change, in relative entropy, of the distribution over cells that gives it these means,
    variances and this correlation (:class:`hepml_root.models.layer_moments.LayerMoments`). Layers of fewer
    than ten hits are left as they are, for no tilt gives them any centre and width, and so is a direction in
    which hardly any hit is outside of one row.

    Arguments
    ---------
    geometry
        A :class:`Geometry` or its ``to_dict()``.
    threshold
        t [GeV].
    gap
        Between the ranks of a hit at the threshold and those of empty cells.
    seed
        Of the noise.

    Raises
    ------
    SettingError
        The threshold or the gap is not above 0.
    """

    def __init__(
        self,
        geometry: Geometry | dict[str, Any],
        threshold: float,
        gap: float = 0.5,
        seed: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not (threshold > 0 and gap > 0):
            raise SettingError(f"threshold={threshold}, gap={gap}: both must be above 0.")
        chosen = geometry if isinstance(geometry, Geometry) else Geometry.from_dict(geometry)
        self.threshold, self.gap, self.seed = float(threshold), float(gap), int(seed)
        self.geometry = chosen
        self.layer_count = len(chosen.layers)
        self.features = (_QUANTITIES + 1) * self.layer_count + 1
        self.lowest = math.log(_OFFSET)
        self.pitch = np.array([_pitch(layer.segmentation) for layer in chosen.layers], np.float32)
        place = chosen.centres[:, :2] / self.pitch[chosen.layer_of_cell]
        self._grouped = LayerMoments(chosen, *(place[:, k].astype(np.float32) for k in (0, 1)))
        self.noise = keras.random.SeedGenerator(seed)
        self.scales = self.add_weight(
            shape=(2 * self.layer_count,), initializer="ones", trainable=False, name="scales"
        )
        self.usual = self.add_weight(
            shape=(2, 5 * self.layer_count), initializer="ones", trainable=False, name="usual"
        )

    def build(self, *shapes: Any) -> None:  # noqa: ARG002
        self.built = True

    def adapt(self, cells: Any) -> ShowerShape:
        """Learn from ``(events, cells)`` [GeV] the usual centres, widths and correlations of the layers."""
        count = self.layer_count
        _, hits, means, lateral, wide = self._lateral(ops.convert_to_tensor(cells))
        many = np.tile(ops.convert_to_numpy(hits) >= _FEWEST - 0.5, (1, 5))
        known = many & ops.convert_to_numpy(_for_all(*wide))
        centres = np.where(known[:, : 2 * count], ops.convert_to_numpy(means), np.nan)
        enough = known.sum(axis=0) > 1
        low, high = np.nanquantile(np.where(enough[: 2 * count], centres, 0.0), [0.25, 0.75], axis=0)
        scale = np.where(high - low > 2e-4, 0.5 * (high - low), 1.0)
        self.scales.assign(scale.astype(np.float32))
        values = np.concatenate([np.arcsinh(centres / scale), ops.convert_to_numpy(lateral)], axis=1)
        values = np.where(known, values, 0.0)
        mean = values.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        spread = np.where(known, np.square(values - mean), 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        self.usual.assign(np.stack([mean, np.maximum(np.sqrt(spread), 0.1)]).astype(np.float32))
        return self

    # ------------------------------------------------------------------------------ from cells

    def measure(self, cells: Any, log_energy: Any) -> Any:
        """Return the shape ``(events, features)`` of cells ``(events, cells)`` of particles of log energies.

        The latter are ``(events, 1)``, energies in GeV.
        """
        count = self.layer_count
        x, hits, means, lateral, wide = self._lateral(cells)
        energy = self._grouped.sums(x)
        normal = keras.random.normal((ops.shape(cells)[0], 6 * count), seed=self.noise)
        uniform = keras.random.uniform((ops.shape(cells)[0], count), seed=self.noise)
        noise = self.threshold * ops.exp(-0.5 - ops.abs(normal[:, :count]))
        energy = ops.where(energy <= 0.0, noise, energy)
        total = ops.sum(energy, axis=-1, keepdims=True)
        rest, shares = energy[:, -1:], []
        for layer in range(count - 2, -1, -1):
            shares.append(ops.log(energy[:, layer : layer + 1]) - ops.log(rest))
            rest = rest + energy[:, layer : layer + 1]
        brightest = ops.log(ops.maximum(ops.max(x, axis=-1, keepdims=True), self.threshold) / total)
        lateral = ops.concatenate([ops.arcsinh(means / self.scales), lateral], axis=-1)
        normal = normal[:, count:]
        # A width below 0 says that there are hits enough, but hardly any beside one row or column.
        below = 0.2 * normal[:, 2 * count : 4 * count] - 1.0
        usual = self.usual[0] + self.usual[1] * normal
        narrow = ops.concatenate([usual[:, : 2 * count], below, usual[:, 4 * count :]], axis=-1)
        lateral = ops.where(_for_all(*wide), lateral, narrow)
        many = ops.concatenate([hits >= _FEWEST - 0.5] * 5, axis=-1)
        lateral = ops.where(many, lateral, usual)
        number = hits + (1.0 - _RAMP) * uniform
        parts = [ops.log(total) - log_energy, *reversed(shares), lateral, number, brightest]
        return ops.concatenate(parts, axis=-1)

    def _lateral(self, cells: Any) -> tuple[Any, Any, Any, Any, list[Any]]:
        """Return what the cells above the threshold are beside their energies.

        They are these cells, the hits, the means of x and of y, the logarithms of their variances with the
        correlation, and whether the hits are wide enough in x and in y to have these.
        """
        there = cells >= self.threshold
        x = ops.where(there, cells, ops.zeros_like(cells))
        moments = self._grouped.moments(x)
        m = by_power(moments / ops.maximum(moments[..., :1], 1e-20))
        n = by_power(self._grouped.moments(ops.cast(there, x.dtype)))
        variances, wide = [], []
        for first, second in _DIRECTIONS:
            variances.append(ops.maximum(m[second] - ops.square(m[first]), 0.0))
            squares = n[second] - ops.square(n[first]) / ops.maximum(n[0, 0], 1.0)
            wide.append(squares >= _NARROWEST)
        of_both = ops.maximum(ops.sqrt(variances[0] * variances[1]), 1e-6)
        correlation = ops.clip((m[1, 1] - m[1, 0] * m[0, 1]) / of_both, -1.0, 1.0)
        numbers = [*(ops.log(v / _LEAST + 1.0) for v in variances), correlation]
        means = ops.concatenate([m[1, 0], m[0, 1]], axis=-1)
        return x, n[0, 0], means, ops.concatenate(numbers, axis=-1), wide

    def describe(self, cells: Any) -> Any:
        r"""Return u ``(events, cells)`` of cells: ranks that say all of them.

        For a hit :math:`\log(x / t - 1 + 0.1)` with the threshold t, for an empty cell noise below all of
        these.
        """
        noise = ops.abs(keras.random.normal(ops.shape(cells), seed=self.noise))
        over = ops.maximum(cells / self.threshold - 1.0, 0.0)
        return ops.where(cells >= self.threshold, ops.log(over + _OFFSET), self.lowest - self.gap - noise)

    def log_weight(self, u: Any) -> Any:
        """Return the logarithm of the weights of cells that :meth:`describe` described."""
        return ops.log(ops.relu(ops.exp(ops.clip(u, -20.0, 20.0)) - _OFFSET) + 1e-4)

    def shares(self, cells: Any) -> tuple[Any, Any]:
        """Return hits (0 or 1) and shares in the layer's energy above the threshold, ``(events, cells)``."""
        there = ops.cast(cells >= self.threshold, cells.dtype)
        energy = ops.maximum(self._grouped.sums(there * cells), self.threshold)
        return there, there * (cells - self.threshold) / self._grouped.spread(energy)

    # ------------------------------------------------------------------------------ to cells

    def cells(self, shape: Any, log_energy: Any, rank: Any, log_weight: Any) -> Any:
        """Return cells ``(events, cells)`` [GeV] that have a shape, of ranks and weights of that form.

        Ranks are from -30 to 30, and those of cells of a layer apart by much more than ``gap / 12``.
        """
        count = self.layer_count
        energy = self._energies(shape, log_energy)
        there = self._kept(rank, _whole(ops.clip(shape[:, 6 * count : 7 * count], 0.0, 1e6)))
        moments = by_power(self._grouped.moments(there))
        number = moments[0, 0]
        # No more energy than there is goes to the thresholds of the cells.
        share = ops.minimum(1.0, 0.999 * energy / (self.threshold * ops.maximum(number, 1e-3)))
        floor = self.threshold * share * number
        over = (energy - floor) * ops.clip(number, 0.0, 1.0)
        # What the thresholds alone add to the moments is known: the rest has to give what is left.
        (mean_x, square_x), (mean_y, square_y) = self._wanted(shape)
        correlation = ops.clip(shape[:, 5 * count : 6 * count], -1.0, 1.0)
        product = correlation * ops.sqrt(square_x * square_y) + mean_x * mean_y
        part = floor / energy
        left = {}
        for powers, value in (
            ((1, 0), mean_x),
            ((2, 0), square_x + ops.square(mean_x)),
            ((0, 1), mean_y),
            ((0, 2), square_y + ops.square(mean_y)),
            ((1, 1), product),
        ):
            of_floor = moments[powers] / ops.maximum(number, 1e-3)
            left[powers] = (value - part * of_floor) / ops.maximum(1.0 - part, 1e-3)
        weights = self._grouped.tilted(
            log_weight, there, left, self._having(shape, number, square_x, square_y)
        )
        return there * self.threshold * self._grouped.spread(share) + weights * self._grouped.spread(over)

    def _having(self, shape: Any, number: Any, variance_x: Any, variance_y: Any) -> list[Any]:
        """Return with which factor x, y and xy are tilted: a few hits cannot have any centre and width."""
        count = self.layer_count
        many = ops.clip(number - (_FEWEST - 1.0), 0.0, 1.0)
        x, y = (many * ops.clip(4.0 * shape[:, k * count : (k + 1) * count] + 2.0, 0.0, 1.0) for k in (3, 4))
        # Nor a correlation, if all but a few are in one row.
        enough = ops.clip(10.0 * ops.minimum(variance_x, variance_y), 0.0, 1.0)
        return [x, y, x * y * enough * ops.clip(0.1 * (number - _FEWEST), 0.0, 1.0)]

    def _wanted(self, shape: Any) -> list[tuple[Any, Any]]:
        """Return means and variances of x and of y in the layers, in their pitches, as a shape has them."""
        count, found = self.layer_count, []
        for k in (0, 1):
            angle = ops.exp(ops.clip(shape[:, (1 + k) * count : (2 + k) * count], -8.0, 8.0))
            mean = 0.5 * self.scales[k * count : (k + 1) * count] * (angle - 1.0 / angle)
            width = ops.clip(shape[:, (3 + k) * count : (4 + k) * count], -5.0, 20.0)
            found.append((mean, _LEAST * ops.relu(ops.exp(width) - 1.0)))
        return found

    def places(self, shape: Any) -> list[Any]:
        r"""Return how far cells are from the layer's centre, ``(events, cells)`` along x and along y.

        In the logarithm of squares of the layer's width, of 0.3 cells at least: :math:`\log(1 + \xi^2)`.
        """
        found = []
        (mean_x, square_x), (mean_y, square_y) = self._wanted(shape)
        hits = _whole(shape[:, 6 * self.layer_count : 7 * self.layer_count])
        having = self._having(shape, hits, square_x, square_y)
        for k, (mean, variance) in enumerate(((mean_x, square_x), (mean_y, square_y))):
            scale = 1.0 / ops.sqrt(variance + 0.09)
            factors = [ops.zeros_like(scale)] * len(TILTS)
            factors[0], factors[1 + 2 * k] = -mean * scale, scale
            away = self._grouped.combined(ops.stack(factors, axis=-1))
            found.append(self._grouped.spread(having[k]) * ops.log(1.0 + ops.square(away)))
        return found

    def _energies(self, shape: Any, log_energy: Any) -> Any:
        rest = shape[:, :1] + log_energy
        energies = []
        for layer in range(1, self.layer_count):
            share = ops.clip(shape[:, layer : layer + 1], -40.0, 40.0)
            energies.append(rest - ops.softplus(-share))
            rest = rest - ops.softplus(share)
        return ops.exp(ops.clip(ops.concatenate([*energies, rest], axis=-1), -20.0, 20.0))

    def _kept(self, rank: Any, hits: Any) -> Any:
        """Return 1 for so many cells of the highest ranks in each layer, 0 for the others, a ramp between."""
        slope = 12.5 / self.gap

        def ramp(level: Any) -> Any:
            return ops.clip((rank - self._grouped.spread(level)) * slope + 0.5, 0.0, 1.0)

        low, high = ops.full_like(hits, -_HIGHEST_RANK), ops.full_like(hits, _HIGHEST_RANK)
        for _ in range(_BISECTIONS):
            level = 0.5 * (low + high)
            above = self._grouped.sums(ramp(level)) > hits
            low, high = ops.where(above, level, low), ops.where(above, high, level)
        # Between the last two levels the number is a straight line but for a few kinks.
        at_low, at_high = self._grouped.sums(ramp(low)), self._grouped.sums(ramp(high))
        fall = ops.clip((at_low - hits) / ops.maximum(at_low - at_high, 1e-3), 0.0, 1.0)
        alive = ops.clip(hits, 0.0, 1.0)
        return ramp(low + (high - low) * fall) * self._grouped.spread(alive)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "geometry": self.geometry.to_dict(), "threshold": self.threshold,
            "gap": self.gap, "seed": self.seed,
        }  # fmt: skip


def _whole(x: Any) -> Any:
    """Return the next lower whole number, with a ramp before the next one in place of a step."""
    below = ops.floor(x)
    return below + ops.clip((x - below - 1.0) / _RAMP + 1.0, 0.0, 1.0)


def _for_all(of_x: Any, of_y: Any) -> Any:
    """Return ``(events, 5 layers)`` from what holds for x and for y, in the order of a shape."""
    return ops.concatenate([of_x, of_y, of_x, of_y, ops.logical_and(of_x, of_y)], axis=-1)


def _pitch(cells: Grid | Polar) -> tuple[float, float]:
    """Return the distance of cells along x and along y [mm]; of polar ones that of the smallest in both."""
    if isinstance(cells, Grid):
        return cells.width, cells.height
    side = math.sqrt(float(cells.areas().min()))
    return side, side
