"""Flow matching: showers carried from noise along a learnt velocity, in few steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.data.showers import Showers
from hepml_root.layers.bijection import Standardisation
from hepml_root.layers.flow_matching import Velocity, check_solver
from hepml_root.models.flow import threshold_of
from hepml_root.models.generator import describe_showers
from hepml_root.models.seeds import seeded
from hepml_root.models.settings import known_activation, widths
from hepml_root.models.shape_generator import ShapeGenerator, shape_settings


@keras.saving.register_keras_serializable(package="hepml_root")
class ShowerDiffusion(ShapeGenerator):
    """A flow of shapes, then cells by flow matching. Made by :func:`shower_diffusion`.

    The cells' objective is that of :class:`hepml_root.layers.flow_matching.Velocity`.
    """

    kind = "diffusion"

    def __init__(
        self,
        source: Mapping[str, Any],
        *,
        cells: Mapping[str, Any],
        solver: str,
        solver_steps: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(source, **kwargs)
        check_solver(solver, solver_steps)
        self._cells_text = json.dumps(dict(cells))
        self.solver, self.solver_steps = solver, int(solver_steps)
        self.cell_scale = Standardisation(self.geometry.cells, name="cell_scale")
        self.velocity = Velocity(
            self.geometry.cells, self.condition_width, **json.loads(self._cells_text), name="velocity"
        )
        self.complete()

    def cell_objective(self, cells: Any, shape: Any, condition: Any) -> Any:  # noqa: ARG002
        return self.velocity.loss(self.cell_scale.forward(self.measured.describe(cells))[0], condition)

    def cell_sample(self, shape: Any, condition: Any) -> tuple[Any, Any]:  # noqa: ARG002
        u, _ = self.cell_scale.inverse(self.velocity.sample(condition, self.solver_steps, self.solver))
        return ops.clip(u, -29.0, 29.0), self.measured.log_weight(u)

    def adapt_cells(self, cells: NDArray[np.float32]) -> None:
        parts = [cells[first : first + 1024] for first in range(0, len(cells), 1024)]
        described = [ops.convert_to_numpy(self.measured.describe(part)) for part in parts]
        self.cell_scale.adapt(np.concatenate(described))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "cells": json.loads(self._cells_text), "solver": self.solver,
            "solver_steps": self.solver_steps,
        }  # fmt: skip


def shower_diffusion(
    showers: Showers,
    hidden: Sequence[int] = (256, 256),
    *,
    solver: str = "midpoint",
    solver_steps: int = 4,
    shape_hidden: Sequence[int] = (64, 64),
    shape_steps: int = 8,
    shape_bins: int = 8,
    threshold: float | None = None,
    gap: float = 0.5,
    activation: str = "relu",
    seed: int | None = 1,
    name: str = "shower_diffusion",
) -> ShowerDiffusion:
    r"""Return a generator that draws the shape of a shower by a flow, then its cells by flow matching.

    .. math:: f \sim p_A(f | c), \qquad u(0) \sim N(0, 1), \quad \frac{du}{dt} = v(u, t, f, c), \qquad
              x = X(f, u(1))

    As :func:`hepml_root.models.shape_flow`, with a velocity in place of the cells' flow: a network without
    any constraint on its form, trained by a mean square, which is run several times for each shower. The
    steps are fixed and written out in the exported graph: a "midpoint" or "heun" step takes two passes of
    the network, an "euler" step one. This is the deterministic form of a score-based (diffusion) model.

    Train it with ``hr.fit(generator, showers)``. There is no density.

    Arguments
    ---------
    showers
        Those to learn: their geometry, conditions and ranges become the generator's, and the preprocessing is
        adapted to them.
    hidden
        Neurons of the velocity's hidden layers.
    solver, solver_steps
        "euler", "midpoint" or "heun", and its number of steps.
    shape_hidden, shape_steps, shape_bins, threshold, gap
        As in :func:`hepml_root.models.shape_flow`.
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

    Reference: arXiv:2210.02747; for showers arXiv:2206.11898, arXiv:2305.11934.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> random = np.random.default_rng(1)
    >>> showers = hr.data.Showers(random.exponential(0.1, (50, 504)), random.uniform(10, 100, 50), "lar-3")
    >>> generator = shower_diffusion(showers, hidden=(8,), solver_steps=2, shape_hidden=(8,), shape_steps=2)
    >>> generator.sample(showers[:3], seed=1).energies.shape
    (3, 504)
    """
    hidden, shape_hidden = widths("hidden", hidden), widths("shape_hidden", shape_hidden)
    known_activation(activation)
    with seeded(seed):
        generator = ShowerDiffusion(
            describe_showers(showers),
            threshold=threshold_of(showers, threshold),
            gap=gap,
            shape=shape_settings(shape_hidden, shape_steps, shape_bins, activation),
            cells={"hidden": hidden, "activation": activation},
            solver=solver,
            solver_steps=solver_steps,
            name=name,
        )
    generator.adapt(showers)
    return generator
