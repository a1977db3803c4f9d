"""Cells that are hit or not, each by itself given what is known of the shower: a hurdle model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from hepml_root.layers.coupling import Conditioner

_LEAST_SHARE = 0.02  # of a hit, as a cube root in standard deviations from 0
# Logarithms of the spread, in that of the training data: their middle, and how far they may be from it.
_MIDDLE, _REACH = -0.75, 2.25
_BEGIN = math.atanh(-_MIDDLE / _REACH)


@keras.saving.register_keras_serializable(package="hepml_root")
class HurdleCells(keras.layers.Layer):
    r"""A hurdle model of cells: a probability to be hit, and a distribution of the energy of those that are.

    .. math:: p(k, s | f) = \prod_i \sigma(l_i)^{k_i} (1 - \sigma(l_i))^{1 - k_i}\,
              N\!\left(\sqrt[3]{s_i};\, \mu_i, \sigma_i\right)^{k_i}

    k are the hits, s the cells' shares in their layer, f what is known of the shower; one network gives
    :math:`l, \mu, \sigma` of all cells. The cube root makes sums of a few deposits nearly normal (Wilson and
    Hilferty), from the brightest cell to one just above the threshold. Given f the cells are independent: f
    has to hold what correlates them. Two numbers for each cell that depend on f, ``places``, go into
    :math:`l` with factors of their layer that the network gives: distances from where the shower is, which
    no network learns as well.

    Arguments
    ---------
    sizes
        Numbers of the layers' cells.
    conditions
        Numbers of f.
    hidden, activation
        Of the network.

    Reference: E. B. Wilson and M. M. Hilferty, PNAS 17 (1931) 684; J. Mullahy, J. Econometrics 33 (1986) 341.

    Example
    -------
    >>> layer = HurdleCells([3, 2], 2, hidden=(4,))
    >>> away = [np.zeros((3, 5), np.float32)] * 2
    >>> rank, log_weight = layer.sample(np.zeros((3, 2), np.float32), away)
    >>> rank.shape
    TensorShape([3, 5])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        conditions: int,
        *,
        hidden: Sequence[int],
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sizes, self.conditions = tuple(int(size) for size in sizes), int(conditions)
        self.cells = sum(self.sizes)
        layers = len(self.sizes)
        self._layer = np.repeat(np.eye(layers, dtype=np.float32), self.sizes, axis=1)  # (layers, cells)
        self.hidden, self.activation = tuple(hidden), activation
        outputs = 3 * self.cells + 2 * layers
        self.network = Conditioner(self.conditions, outputs, 1, self.hidden, activation, name="network")
        state = {"shape": (self.cells,), "trainable": False}
        self.logit = self.add_weight(**state, initializer="zeros", name="logit")
        self.mean = self.add_weight(**state, initializer="zeros", name="mean")
        self.spread = self.add_weight(**state, initializer="ones", name="spread")
        self.noise = keras.random.SeedGenerator(2)

    def build(self, *shapes: Any) -> None:  # noqa: ARG002
        self.built = True

    def adapt(self, hits: ArrayLike, shares: ArrayLike) -> HurdleCells:
        """Learn from hits and shares ``(events, cells)`` how often each cell is hit, and how much it gets."""
        there = np.asarray(hits, np.float64)
        root = np.cbrt(np.asarray(shares, np.float64))
        often = there.sum(axis=0)
        fraction = (often + 0.5) / (len(there) + 1.0)
        # Cells that are hardly ever hit get what all of them have.
        overall = (there * root).sum() / max(often.sum(), 1.0)
        mean = ((there * root).sum(axis=0) + 3.0 * overall) / (often + 3.0)
        away = there * np.square(root - mean)
        typical = away.sum() / max(often.sum(), 1.0)
        spread = np.sqrt((away.sum(axis=0) + 3.0 * typical) / (often + 3.0))
        self.logit.assign(np.log(fraction / (1.0 - fraction)).astype(np.float32))
        self.mean.assign(mean.astype(np.float32))
        self.spread.assign(np.maximum(spread, 1e-6).astype(np.float32))
        return self

    def _parameters(self, condition: Any, places: Sequence[Any]) -> tuple[Any, Any, Any]:
        raw = self.network(condition)[:, :, 0]
        logit, mean, spread = (raw[:, k * self.cells : (k + 1) * self.cells] for k in range(3))
        first, layers = 3 * self.cells, len(self.sizes)
        logit = self.logit + logit
        for k, place in enumerate(places):
            factor = raw[:, first + k * layers : first + (k + 1) * layers]
            logit = logit - ops.matmul(factor, self._layer) * place
        return logit, mean, _MIDDLE + _REACH * ops.tanh(spread / _REACH + _BEGIN)

    def loss(self, hits: Any, shares: Any, condition: Any, places: Sequence[Any]) -> Any:
        r"""Return :math:`-\log p` for each cell, ``(events,)``, up to a constant."""
        logit, mean, log_spread = self._parameters(condition, places)
        root = ops.exp(ops.log(ops.maximum(shares, 1e-12)) / 3.0)
        away = ((root - self.mean) / self.spread - mean) * ops.exp(-log_spread)
        of_energy = 0.5 * ops.square(ops.clip(away, -20.0, 20.0)) + log_spread
        return ops.mean(ops.softplus(logit) - hits * logit + hits * of_energy, axis=-1)

    def sample(self, condition: Any, places: Sequence[Any]) -> tuple[Any, Any]:
        """Draw ranks, above 0 with the probability to be hit, and log-weights, ``(events, cells)``."""
        logit, mean, log_spread = self._parameters(condition, places)
        size = (ops.shape(condition)[0], self.cells)
        uniform = ops.clip(keras.random.uniform(size, seed=self.noise), 1e-6, 1.0 - 1e-6)
        rank = logit + ops.log(uniform) - ops.log(1.0 - uniform)
        drawn = mean + ops.exp(log_spread) * keras.random.normal(size, seed=self.noise)
        root = ops.maximum(self.mean + self.spread * drawn, _LEAST_SHARE * self.spread)
        return ops.clip(rank, -29.0, 29.0), 3.0 * ops.log(root)

    def call(self, condition: Any, *places: Any) -> Any:
        return self.sample(condition, places)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "sizes": list(self.sizes), "conditions": self.conditions,
            "hidden": list(self.hidden), "activation": self.activation,
        }  # fmt: skip
