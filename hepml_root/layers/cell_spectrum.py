"""The spectrum of cell energies: as numbers of a shower, and a small network that corrects it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.errors import SettingError
from hepml_root.layers.linear import Standardise

_SLOPE = 0.2
_FARTHEST = 3.0  # of a correction, as a logarithm
_UNIT = 6.0  # of a logarithm of an energy over the threshold: inputs of order one
_DIMMEST = 1e-30  # GeV, under a logarithm


@keras.saving.register_keras_serializable(package="hepml_root")
class CellSpectrum(keras.layers.Layer):
    r"""How bright the cells of each layer are: for a row of energies, the share of cells above each.

    .. math:: c_{lj} = \frac{1}{n_l} \sum_{i \in l} r\Big( \frac{\log(x_i / e_j)}{\Delta} + \tfrac12 \Big),
              \qquad \log e_j = \log t + j \Delta, \quad j = 0 \dots m - 1, \qquad r(u) = \min(\max(u, 0), 1)

    in units of their mean and spread over showers (:meth:`adapt`). The energies go up in equal steps of
    the logarithm from the threshold t to the brightest cell; a cell crosses an energy on a ramp that is one
    step wide, so that there is a slope everywhere.

    Takes ``(events, cells)`` [GeV], gives ``(events, layers * bins)``.

    Arguments
    ---------
    sizes
        Cells of each layer.
    threshold
        t [GeV].
    brightest
        The highest cell energy that there is [GeV].
    bins
        m, at least 2.

    Raises
    ------
    SettingError
        There is no layer, the energies do not ascend, or there are too few bins.

    Example
    -------
    >>> layer = CellSpectrum([4], threshold=1.0, brightest=1000.0, bins=3)
    >>> layer(np.array([[0.0, 10.0, 10.0, 100.0]], np.float32)).numpy().round(3).tolist()
    [[0.75, 0.5, 0.125]]
    """

    def __init__(
        self, sizes: Sequence[int], threshold: float, brightest: float, bins: int = 8, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sizes, self.bins = tuple(map(int, sizes)), int(bins)
        self.threshold, self.brightest = float(threshold), float(brightest)
        if not self.sizes or min(self.sizes) < 1 or self.bins < 2 or not 0 < self.threshold < self.brightest:
            raise SettingError(
                f"sizes={self.sizes}, bins={self.bins}, threshold={threshold}, brightest={brightest}: "
                "cells in every layer, two bins, and a threshold between 0 and the brightest cell are needed."
            )
        self.units = Standardise(name="units")
        self.units.build((None, len(self.sizes) * self.bins))

    def build(self, *shapes: Any) -> None:  # noqa: ARG002
        self.built = True

    @property
    def edges(self) -> list[float]:
        """The energies [GeV]."""
        step = math.log(self.brightest / self.threshold) / self.bins
        return [self.threshold * math.exp(number * step) for number in range(self.bins)]

    def counts(self, cells: Any) -> Any:
        """Return the shares of cells above the energies, ``(events, layers * bins)``."""
        logs = ops.log(ops.maximum(cells, _DIMMEST))
        step = math.log(self.brightest / self.threshold) / self.bins
        found, first = [], 0
        for size in self.sizes:
            own = logs[:, first : first + size]
            for edge in self.edges:
                ramp = ops.clip((own - math.log(edge)) / step + 0.5, 0.0, 1.0)
                found.append(ops.mean(ramp, axis=-1, keepdims=True))
            first += size
        return ops.concatenate(found, axis=-1)

    def adapt(self, cells: Any) -> CellSpectrum:
        """Learn the units from showers ``(events, cells)`` [GeV]."""
        parts = [self.counts(cells[first : first + 1024]) for first in range(0, len(cells), 1024)]
        self.units.adapt(np.concatenate([ops.convert_to_numpy(part) for part in parts]))
        return self

    def call(self, cells: Any) -> Any:
        return self.units(self.counts(cells))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0], len(self.sizes) * self.bins)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "sizes": list(self.sizes), "threshold": self.threshold,
            "brightest": self.brightest, "bins": self.bins,
        }  # fmt: skip


@keras.saving.register_keras_serializable(package="hepml_root")
class SpectrumCorrection(keras.layers.Layer):
    r"""A small network that makes cells brighter or dimmer, and leaves the energies of the layers alone.

    .. math:: \log y_i = \log x_i + \delta_i
              - \log \frac{\sum_{k \in l} x_k e^{\delta_k}}{\sum_{k \in l} x_k}, \qquad
              \delta_i = 3 \tanh \tfrac13 f\Big( \log \frac{x_i}{t}, \log \frac{E_l}{t}, l, c \Big)

    The network f of one cell is the same for all cells: it sees the cell's energy, that of its layer, where
    the layer stands, and what the event is (c). It begins with 0, so the correction begins as none.

    Takes logarithms of energies ``(events, cells)`` and c ``(events, numbers)``; gives logarithms
    ``(events, cells)``.

    Arguments
    ---------
    sizes
        Cells of each layer.
    threshold
        t, in the unit of the energies.
    hidden
        Neurons of the two hidden layers of f.

    Raises
    ------
    SettingError
        There is no layer.

    Reference: arXiv:2005.05334 (post-processing by convolutions with kernels of one cell).

    Example
    -------
    >>> layer = SpectrumCorrection([2, 1], threshold=0.001)
    >>> logs = np.log(np.array([[0.5, 0.1, 2.0]], np.float32))
    >>> bool(np.allclose(layer(logs, np.zeros((1, 1), np.float32)), logs, atol=1e-6))
    True
    """

    def __init__(self, sizes: Sequence[int], threshold: float, hidden: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes, self.hidden = tuple(map(int, sizes)), int(hidden)
        self.threshold = float(threshold)
        if not self.sizes or min(self.sizes) < 1:
            raise SettingError(f"sizes={self.sizes}: at least one layer, and cells in each, are needed.")
        self.of_cell = keras.layers.Dense(self.hidden, use_bias=False, name="of_cell")
        self.of_layer = keras.layers.Dense(self.hidden, name="of_layer")
        self.middle = keras.layers.Dense(self.hidden, name="middle")
        self.end = keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False, name="end")

    def build(self, logs_shape: Any, context_shape: Any = None) -> None:  # noqa: ARG002
        self.of_cell.build((None, None, 1))
        self.of_layer.build((None, 2 + int(context_shape[-1])))
        self.middle.build((None, None, self.hidden))
        self.end.build((None, None, self.hidden))
        self.built = True

    def call(self, logs: Any, context: Any) -> Any:
        moved, first = [], 0
        for number, size in enumerate(self.sizes):
            own = logs[:, first : first + size]
            energy = ops.log(ops.maximum(ops.sum(ops.exp(own), axis=-1, keepdims=True), _DIMMEST))
            # Where the layer stands, from -1 to 1.
            place = ops.zeros_like(energy) + (2.0 * number / max(len(self.sizes) - 1, 1) - 1.0)
            of_layer = self.of_layer(ops.concatenate([self._scaled(energy), place, context], axis=-1))
            x = self.of_cell(self._scaled(own)[:, :, None]) + of_layer[:, None, :]
            x = ops.leaky_relu(self.middle(ops.leaky_relu(x, _SLOPE)), _SLOPE)
            delta = _FARTHEST * ops.tanh(self.end(x)[:, :, 0] / _FARTHEST)
            # In logarithms, so that the sum over the layer stays what it is.
            moved.append(energy + ops.log_softmax(own + delta, axis=-1))
            first += size
        return moved[0] if len(moved) == 1 else ops.concatenate(moved, axis=-1)

    def _scaled(self, logs: Any) -> Any:
        """Return logarithms of energies as numbers of order one; far below the threshold all are alike."""
        return ops.clip((logs - math.log(self.threshold)) / _UNIT, -1.0, 3.0)

    def compute_output_shape(self, logs_shape: Any, context_shape: Any = None) -> Any:  # noqa: ARG002
        return logs_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "sizes": list(self.sizes), "threshold": self.threshold,
            "hidden": self.hidden,
        }  # fmt: skip
