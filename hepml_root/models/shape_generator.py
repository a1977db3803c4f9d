"""Generators in two steps: first the shape of a shower, by a small flow, then cells that have it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.data.showers import Showers
from hepml_root.layers.normalizing_flow import NormalizingFlow
from hepml_root.models.generator import Generator
from hepml_root.models.shower_shape import ShowerShape


class ShapeGenerator(Generator):
    r"""The base of generators that draw the shape of a shower before its cells.

    .. math:: f \sim p_A(f | c), \qquad r, w \sim p_B(r, w | f, c), \qquad x = X(f, r, w)

    The shape f (:class:`hepml_root.models.shower_shape.ShowerShape`: energies, centres, widths and hits of
    the layers) has a few numbers only, so that a small flow of splines learns all their correlations; the
    cells u are what a large network makes, given the shape; X then makes the shower have the very shape.
    What is measured of whole showers is therefore as good as the flow, whatever the network of the cells is.

    Training minimises :math:`-\log p_A(f|c)` for each of its numbers plus the objective of the cells.

    A child class writes :meth:`cell_objective`, :meth:`cell_sample` and :meth:`adapt_cells`.

    Arguments
    ---------
    source
        :func:`hepml_root.models.generator.describe_showers`.
    threshold, gap
        Of :class:`ShowerShape`.
    shape
        Settings of the shape's flow.
    """

    def __init__(
        self,
        source: Mapping[str, Any],
        *,
        threshold: float,
        gap: float,
        shape: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(source, **kwargs)
        self._shape_text = json.dumps({"threshold": threshold, "gap": gap, "shape": dict(shape)})
        self.measured = ShowerShape(self.geometry, threshold, gap, name="measured")
        self.shape_flow = NormalizingFlow(
            self.measured.features, len(self.labels), **json.loads(json.dumps(dict(shape))), name="shape_flow"
        )

    @property
    def rounding(self) -> float:
        """A fiftieth of the threshold: of a number of hits the fifth before the next whole one is a ramp."""
        return 0.02 * self.measured.threshold

    @property
    def condition_width(self) -> int:
        """Numbers that the cells are drawn for: the shape's and the conditions'."""
        return self.measured.features + len(self.labels)

    def cell_objective(self, cells: Any, shape: Any, condition: Any) -> Any:
        """Return ``(events,)`` to be minimised, for cells ``(events, cells)`` [GeV] of a shape."""
        raise NotImplementedError

    def cell_sample(self, shape: Any, condition: Any) -> tuple[Any, Any]:
        """Draw ranks and log-weights ``(events, cells)`` for a shape, and all of ``condition_of``.

        They are what :meth:`ShowerShape.cells` takes.
        """
        raise NotImplementedError

    def adapt_cells(self, cells: NDArray[np.float32]) -> None:
        """Learn the state of the preprocessing of cells ``(events, cells)`` [GeV]."""
        raise NotImplementedError

    def adapt(self, showers: Showers) -> ShapeGenerator:
        """Learn the standardisations from showers, a random 20 000 of them at most."""
        chosen = np.random.default_rng(1).permutation(len(showers))[:20_000]
        part = showers[np.sort(chosen)]
        # Some of them are enough, but not the first: samples are often in the order of their energies.
        self.measured.adapt(showers[np.sort(chosen[:4096])].energies)
        shapes, conditions = [], []
        for first in range(0, len(part), 1024):
            rows = slice(first, first + 1024)
            log_energy = self.log_energy(ops.convert_to_tensor(part.conditions[rows]))
            conditions.append(ops.convert_to_numpy(self.scaled(part.conditions[rows])))
            shapes.append(ops.convert_to_numpy(self.measured.measure(part.energies[rows], log_energy)))
        self.shape_flow.adapt(np.concatenate(shapes), condition=np.concatenate(conditions))
        self.adapt_cells(part.energies)
        return self

    def condition_of(self, shape: Any, scaled: Any) -> Any:
        """Return what the cells are drawn for, ``(events, condition_width)``, of order 1."""
        standard = ops.clip(self.shape_flow.standardise.forward(shape, scaled)[0], -8.0, 8.0)
        return ops.concatenate([standard, scaled], axis=-1)

    def objective(self, cells: Any, conditions: Any) -> Any:
        scaled = self.scaled(conditions)
        shape = self.measured.measure(cells, self.log_energy(conditions))
        of_shape = -self.shape_flow.log_prob(shape, scaled) / self.measured.features
        of_cells = self.cell_objective(cells, shape, self.condition_of(shape, scaled))
        return ops.expand_dims(of_shape + of_cells, -1)

    def generate(self, conditions: Any) -> Any:
        scaled = self.scaled(conditions)
        shape = self.shape_flow.sample(conditions, scaled)
        rank, log_weight = self.cell_sample(shape, self.condition_of(shape, scaled))
        return self.measured.cells(shape, self.log_energy(conditions), rank, log_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **json.loads(self._shape_text)}


def shape_settings(hidden: Sequence[int], steps: int, bins: int, activation: str) -> dict[str, Any]:
    """Return the settings of a shape's flow."""
    return {
        "hidden": list(hidden), "steps": int(steps), "bins": int(bins), "transform": "spline",
        "kind": "coupling", "mixing": "shuffle", "activation": activation, "conditional_scale": True,
    }  # fmt: skip
