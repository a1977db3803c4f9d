"""From the cells of a shower to numbers that a flow can learn, and back: noise, shares, logarithms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.errors import SettingError
from hepml_root.layers.bijection import Bijection, Mapped

_LARGEST_LOGARITHM = 40.0  # e^40 in any unit is no energy, and no overflow


@keras.saving.register_keras_serializable(package="hepml_root")
class EmptyCells(keras.layers.Layer):
    r"""Noise for empty cells, and the threshold that removes it again.

    A cell below the threshold t becomes :math:`t\,e^{-g - |n|}` with a normal n: positive, below the
    threshold by a gap, and with a density. The way back sets everything below :math:`t\,e^{-g/2}` to 0, by a
    ramp that is a fourth of the gap wide (as a logarithm), so that two runtimes agree.

    Takes and gives ``(events, cells)`` [GeV].

    Arguments
    ---------
    threshold
        t [GeV].
    gap
        g.
    seed
        Of the noise.

    Raises
    ------
    SettingError
        The threshold or the gap is not above 0.

    Reference: arXiv:2106.05285 adds noise in the same place.

    Example
    -------
    >>> layer = EmptyCells(0.001)
    >>> cells = np.array([[0.0, 0.5]], np.float32)
    >>> layer.cut(layer.fill(cells)).numpy().tolist()
    [[0.0, 0.5]]
    """

    def __init__(self, threshold: float, gap: float = 1.0, seed: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (threshold > 0 and gap > 0):
            raise SettingError(f"threshold={threshold}, gap={gap}: both must be above 0.")
        self.threshold, self.gap, self.seed = float(threshold), float(gap), int(seed)
        self.noise = keras.random.SeedGenerator(seed)

    def build(self, *shapes: Any) -> None:  # noqa: ARG002
        self.built = True

    def fill(self, cells: Any) -> Any:
        """Give cells below the threshold their noise."""
        noise = ops.abs(keras.random.normal(ops.shape(cells), seed=self.noise))
        empty = self.threshold * ops.exp(-self.gap - noise)
        return ops.where(cells < self.threshold, empty, cells)

    def cut(self, cells: Any) -> Any:
        """Set what is below the threshold to 0."""
        height = math.log(self.threshold) - 0.5 * self.gap
        width = 0.25 * self.gap
        above = ops.log(ops.maximum(cells, 1e-30)) - height
        return cells * ops.clip(above / width + 1.0, 0.0, 1.0)

    def call(self, cells: Any) -> Any:
        return self.fill(cells)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "threshold": self.threshold, "gap": self.gap, "seed": self.seed,
        }  # fmt: skip


@keras.saving.register_keras_serializable(package="hepml_root")
class ShowerShares(Bijection):
    r"""The cells of a shower as total energy, shares of the layers, and shares of the cells in their layer.

    With the energies :math:`E_l` of L layers, :math:`R_l = E_l + … + E_L` and a reference cell r in each,

    .. math:: t_0 = \log R_1, \quad t_l = \log (E_l / R_{l+1}), \quad
              v_i = \log (x_i / x_{r(l)}) \; (i \neq r), \qquad
              \log |\det \partial (t, v) / \partial x| = - \sum_i \log x_i

    As many numbers come out as go in: first the L numbers t, then the v layer by layer. All cells must be
    above 0 (:class:`EmptyCells`). The way back is a sigmoid for each layer and a softmax over its
    cells, so that whatever numbers come from a network are energies that add up to the layer's. The sum is
    the determinant because shares are: :math:`\partial E / \partial t = \prod_l E_l` and, in a layer,
    :math:`\partial x / \partial (E, v) = \prod_i x_i / E`.

    Shapes: ``(events, cells)`` both ways.

    Arguments
    ---------
    sizes
        Cells of each layer.
    references
        For each layer the place of its reference cell within the layer, best one that is rarely empty.

    Raises
    ------
    SettingError
        There is no layer, or a reference lies outside of its layer.

    Example
    -------
    >>> shares = ShowerShares([2, 1], [0, 0])
    >>> shares.forward(np.array([[1.0, 1.0, 2.0]], np.float32))[0].numpy().astype(float).round(4).tolist()
    [[1.3863, 0.0, 0.0]]
    """

    def __init__(self, sizes: Sequence[int], references: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sizes, self.references = tuple(map(int, sizes)), tuple(map(int, references))
        if not self.sizes or len(self.sizes) != len(self.references):
            raise SettingError(f"sizes={self.sizes}, references={self.references}: one of each a layer.")
        for size, place in zip(self.sizes, self.references, strict=True):
            if not 0 <= place < size:
                raise SettingError(f"a reference cell {place} in a layer of {size} cells.")

    def forward(self, x: Any, condition: Any = None) -> Mapped:  # noqa: ARG002
        logs = ops.log(x)
        energies, shares, first = [], [], 0
        for size, place in zip(self.sizes, self.references, strict=True):
            own = logs[:, first : first + size]
            energies.append(ops.sum(x[:, first : first + size], axis=-1, keepdims=True))
            others = np.delete(np.arange(size), place)
            if size > 1:
                shares.append(ops.take(own, others, axis=-1) - own[:, place : place + 1])
            first += size
        rest = energies[-1]
        layers = []
        for energy in reversed(energies[:-1]):
            layers.append(ops.log(energy) - ops.log(rest))
            rest = rest + energy
        numbers = [ops.log(rest), *reversed(layers), *shares]
        return ops.concatenate(numbers, axis=-1), -ops.sum(logs, axis=-1)

    def inverse(self, z: Any, condition: Any = None) -> Mapped:  # noqa: ARG002
        z = ops.clip(z, -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)
        count = len(self.sizes)
        # In logarithms, so that a layer of next to nothing does not round to zero.
        rest = z[:, :1]
        energies = []
        for layer in range(1, count):
            share = z[:, layer : layer + 1]
            energies.append(rest - ops.softplus(-share))
            rest = rest - ops.softplus(share)
        energies.append(rest)
        cells, first = [], count
        for size, place, energy in zip(self.sizes, self.references, energies, strict=True):
            own = z[:, first : first + size - 1]
            own = ops.concatenate([own[:, :place], ops.zeros_like(energy), own[:, place:]], axis=-1)
            cells.append(energy + ops.log_softmax(own, axis=-1))
            first += size - 1
        logs = ops.concatenate(cells, axis=-1)
        return ops.exp(logs), ops.sum(logs, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sizes": list(self.sizes), "references": list(self.references)}
