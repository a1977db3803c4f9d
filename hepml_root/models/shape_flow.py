"""A flow of shower shapes, then cells that have them: the generator for showers by the thousand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.data.showers import Showers
from hepml_root.layers.hurdle import HurdleCells
from hepml_root.models.flow import threshold_of
from hepml_root.models.generator import describe_showers
from hepml_root.models.seeds import seeded
from hepml_root.models.settings import known_activation, widths
from hepml_root.models.shape_generator import ShapeGenerator, shape_settings


@keras.saving.register_keras_serializable(package="hepml_root")
class ShapeFlow(ShapeGenerator):
    r"""A flow of shapes, then a hurdle model of cells given the shape. Made by :func:`shape_flow`.

    The cells' objective is :math:`-\log p_B(k, s | f, c)` for each cell
    (:class:`hepml_root.layers.hurdle.HurdleCells`).
    """

    kind = "shape_flow"

    def __init__(self, source: Mapping[str, Any], *, cells: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(source, **kwargs)
        self._cells_text = json.dumps(dict(cells))
        sizes = [where.stop - where.start for where in self.geometry.slices]
        self.hurdle = HurdleCells(sizes, self.condition_width, **json.loads(self._cells_text), name="hurdle")
        self.complete()

    def cell_objective(self, cells: Any, shape: Any, condition: Any) -> Any:
        return self.hurdle.loss(*self.measured.shares(cells), condition, self.measured.places(shape))

    def cell_sample(self, shape: Any, condition: Any) -> tuple[Any, Any]:
        return self.hurdle.sample(condition, self.measured.places(shape))

    def adapt_cells(self, cells: NDArray[np.float32]) -> None:
        self.hurdle.adapt(*(ops.convert_to_numpy(part) for part in self.measured.shares(cells)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cells": json.loads(self._cells_text)}


def shape_flow(
    showers: Showers,
    hidden: Sequence[int] = (256, 256),
    *,
    shape_hidden: Sequence[int] = (64, 64),
    shape_steps: int = 8,
    shape_bins: int = 8,
    threshold: float | None = None,
    gap: float = 0.5,
    activation: str = "relu",
    seed: int | None = 1,
    name: str = "shape_flow",
) -> ShapeFlow:
    r"""Return a generator that draws the shape of a shower by a flow, then cells that have it.

    .. math:: f \sim p_A(f | c), \qquad k, s \sim \prod_i p_i(k_i, s_i | f, c), \qquad x = X(f, k, s)

    f are energies, centres, widths and hits of the layers and the brightest cell, learnt by a small flow of
    splines; k says which cells are hit and s with which share, each cell by itself, by one pass of a network
    (:class:`hepml_root.layers.hurdle.HurdleCells`); X makes the shower have the energies, hits, centres and
    widths that were drawn (:class:`hepml_root.models.shower_shape.ShowerShape`). What is measured of whole
    showers is so as good as the small flow is. There is no density: for that see :func:`shower_flow`.

    Train it with ``hr.fit(generator, showers)``; the loss is -log p for each number of f, plus that for each
    cell.

    Arguments
    ---------
    showers
        Those to learn: their geometry, conditions and ranges become the generator's, and the preprocessing is
        adapted to them.
    hidden
        Neurons of the hidden layers of the cells' network.
    shape_hidden, shape_steps, shape_bins
        Of the flow of the shapes.
    threshold
        As in :func:`shower_flow`.
    gap
        How steeply hits are told from empty cells: the ramp is ``gap / 12.5`` of a logit.
    activation
        Of the hidden layers: any name of Keras.
    seed
        Of the initial weights.
    name
        Of the generator.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range.
    EmptySelectionError
        All showers are empty.

    Reference: arXiv:2106.05285 has energies of layers first; the tilt is that of maximum entropy.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> random = np.random.default_rng(1)
    >>> showers = hr.data.Showers(random.exponential(0.1, (50, 504)), random.uniform(10, 100, 50), "lar-3")
    >>> generator = shape_flow(showers, hidden=(8,), shape_hidden=(8,), shape_steps=2)
    >>> generator.sample(showers[:3], seed=1).energies.shape
    (3, 504)
    """
    hidden, shape_hidden = widths("hidden", hidden), widths("shape_hidden", shape_hidden)
    known_activation(activation)
    with seeded(seed):
        generator = ShapeFlow(
            describe_showers(showers),
            threshold=threshold_of(showers, threshold),
            gap=gap,
            shape=shape_settings(shape_hidden, shape_steps, shape_bins, activation),
            cells={"hidden": hidden, "activation": activation},
            name=name,
        )
    generator.adapt(showers)
    return generator
