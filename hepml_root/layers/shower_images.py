"""From a few numbers to the cells of a shower: layer by layer, each looking at the one before it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from hepml_root.layers.locally_connected import LocallyConnected

if TYPE_CHECKING:
    from hepml_root.data.geometry import Geometry

_SLOPE = 0.2  # of leaky rectifiers: arXiv:1511.06434
_FAR = 15.0  # of a logarithm from a network: more is no energy, and no overflow
_SMALL = 0.1  # of the first corrections to the mean shower
_LEAST = 1e-6  # share of a cell that is always empty


def resampling(before: Any, after: Any) -> np.ndarray | None:
    """Return ``(cells before, cells after)``: the share of each cell that lies in front of another one.

    Found by points spread over the cells before, five by five; every column adds up to 1, so that an even
    image stays even. None where the cells are the same.
    """
    if before == after:
        return None
    matrix = np.zeros((before.rows * before.columns, after.rows * after.columns), np.float32)
    x, y, cell = _points(before)
    place = after.locate(x, y)
    inside = place >= 0
    np.add.at(matrix, (cell[inside], place[inside]), 1.0)
    # Cells behind nothing look at the nearest one.
    for column in np.flatnonzero(matrix.sum(axis=0) == 0):
        own_x, own_y = (values.reshape(-1)[column] for values in after.centres())
        matrix[cell[np.argmin((x - own_x) ** 2 + (y - own_y) ** 2)], column] = 1.0
    return matrix / matrix.sum(axis=0)


def _polar(segmentation: Any) -> bool:
    """Whether rows are angles and columns lie between the edges of radii."""
    return hasattr(segmentation, "edges")


def _points(segmentation: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x and y of points spread over all cells, and the cells that they are in."""
    parts = (np.arange(5) + 0.5) / 5
    if _polar(segmentation):
        edges = np.asarray(segmentation.edges)
        radius = (edges[:-1, None] + parts * np.diff(edges)[:, None]).ravel()
        angle = (np.arange(segmentation.rows * 5) + 0.5) * 2 * np.pi / (segmentation.rows * 5) - np.pi
        x, y = np.cos(angle)[:, None] * radius, np.sin(angle)[:, None] * radius
    else:
        rows, columns = segmentation.rows, segmentation.columns
        x, y = np.meshgrid(
            ((np.arange(columns * 5) + 0.5) / 5 - columns / 2) * segmentation.width,
            ((np.arange(rows * 5) + 0.5) / 5 - rows / 2) * segmentation.height,
        )
    x, y = x.ravel(), y.ravel()
    return x, y, segmentation.locate(x, y)


class ShowerImages(keras.layers.Layer):
    r"""Energies of cells from a code, as logarithms of shares of the particle's energy.

    .. math:: \log \frac{x_i}{E} = \underbrace{\rho(h)}_{total} + \underbrace{\log \mathrm{softmax}_l\,
              \lambda(h)}_{layers} + \underbrace{\log \mathrm{softmax}_{i \in l}\, a_i(h, n, s_{l-1})}_{cells}

    h is the code after a dense layer. Each layer of the calorimeter has an image of its own from h, with
    noise n of each cell, if it is given, as one more channel, and the image :math:`s_{l-1}` of the layer
    before, brought to this one's cells, as another; two locally connected layers make a of it. Biases
    begin at the mean shower (:meth:`adapt`), so that a training begins near it.

    Takes ``(events, code)`` and noise ``(events, cells)`` or None, gives ``(events, cells)``.

    Arguments
    ---------
    geometry
        The calorimeter.
    hidden
        Neurons of the dense layer on the code.
    channels
        Of the images.

    Reference: arXiv:1705.02355 (layer by layer, locally connected).
    """

    def __init__(self, geometry: Geometry, hidden: int, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slices, self.shapes = geometry.slices, geometry.shapes
        self.cells = geometry.cells
        kinds = [layer.segmentation for layer in geometry.layers]
        self.matrices = _Constants([resampling(*pair) for pair in itertools.pairwise(kinds)])
        self.channels = int(channels)
        self.hidden = keras.layers.Dense(hidden, name="hidden")
        self.energies = keras.layers.Dense(
            1 + len(kinds), kernel_initializer=keras.initializers.VarianceScaling(_SMALL**2), name="energies"
        )
        self.starts: list[Any] = []
        self.middles: list[Any] = []
        self.ends: list[Any] = []
        for number, (kind, (rows, columns)) in enumerate(zip(kinds, self.shapes, strict=True)):
            wrap = _polar(kind)
            start = keras.layers.Dense(rows * columns * self.channels, name=f"start_{number}")
            self.starts.append(start)
            self.middles.append(LocallyConnected(self.channels, wrap=wrap, name=f"middle_{number}"))
            self.ends.append(LocallyConnected(1, wrap=wrap, gain=0.5, name=f"end_{number}"))

    def build(self, *shapes: Any) -> None:  # noqa: ARG002
        self.built = True

    def adapt(self, energies: ArrayLike, particle: ArrayLike) -> ShowerImages:
        """Begin at the mean shower: cells ``(events, cells)`` and energies of the particles ``(events,)``."""
        energies, particle = np.asarray(energies, np.float64), np.asarray(particle, np.float64)
        of_layers = np.stack([energies[:, where].sum(axis=1) for where in self.slices], axis=1).mean(axis=0)
        shares = np.maximum(of_layers / of_layers.sum(), _LEAST)
        response = np.mean(energies.sum(axis=1) / particle)
        self.energies.bias.assign(np.concatenate([[np.log(response)], np.log(shares)]).astype(np.float32))
        mean = energies.mean(axis=0)
        for where, end in zip(self.slices, self.ends, strict=True):
            own = mean[where] / max(mean[where].sum(), 1e-30)
            end.bias.assign(np.log(np.maximum(own, _LEAST))[:, None].astype(np.float32))
        return self

    def call(self, code: Any, noise: Any = None) -> Any:
        hidden = ops.leaky_relu(self.hidden(code), _SLOPE)
        numbers = ops.clip(self.energies(hidden), -_FAR, _FAR)
        of_layers = numbers[:, :1] + ops.log_softmax(numbers[:, 1:], axis=-1)
        cells, previous = [], None
        for number, (where, (rows, columns)) in enumerate(zip(self.slices, self.shapes, strict=True)):
            start = ops.leaky_relu(self.starts[number](hidden), _SLOPE)
            channels = [ops.reshape(start, (-1, rows, columns, self.channels))]
            if noise is not None:
                channels.append(ops.reshape(noise[:, where], (-1, rows, columns, 1)))
            if previous is not None:
                matrix = self.matrices.arrays[number - 1]
                seen = previous if matrix is None else ops.matmul(previous, matrix)
                seen = ops.log(1.0 + rows * columns * seen)
                channels.append(ops.reshape(seen, (-1, rows, columns, 1)))
            image = channels[0] if len(channels) == 1 else ops.concatenate(channels, axis=-1)
            image = ops.leaky_relu(self.middles[number](image), _SLOPE)
            logits = ops.reshape(self.ends[number](image), (-1, rows * columns))
            shares = ops.log_softmax(ops.clip(logits, -_FAR, _FAR), axis=-1)
            previous = ops.exp(shares)
            cells.append(shares + of_layers[:, number : number + 1])
        return cells[0] if len(cells) == 1 else ops.concatenate(cells, axis=-1)


class _Constants:
    """Holds arrays that Keras has no business with."""

    def __init__(self, arrays: Sequence[np.ndarray | None]) -> None:
        self.arrays = list(arrays)
