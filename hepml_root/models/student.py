"""A fast student of a slow teacher: an inverse autoregressive flow that learns what a masked one samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.data.showers import Showers
from hepml_root.errors import UnsupportedOperationError
from hepml_root.models.flow import ShowerFlow
from hepml_root.models.generator import Generator
from hepml_root.models.seeds import seeded
from hepml_root.models.settings import known_activation, widths


@keras.saving.register_keras_serializable(package="hepml_root")
class ShowerStudent(ShowerFlow):
    r"""A :class:`ShowerFlow` whose cells are drawn as another one, the teacher, draws them.

    Made by :func:`student`. The flow of the layers' energies is the teacher's, unchanged. That of the cells
    learns the teacher's map of noise to cells, G, from both sides; with its own map S, data v and noise z,

    .. math:: L = \frac{1}{n} | S(G^{-1}(v)) - v |^2 / \sigma^2 + \frac{1}{n} | G^{-1}(S(z)) - z |^2

    so that only the teacher's fast direction, the density, is ever used. The teacher is needed for training
    and is not part of the student's file.
    """

    kind = "student"

    def __init__(
        self, source: Mapping[str, Any], *, teacher: ShowerFlow | None = None, **kwargs: Any
    ) -> None:
        self._teach(teacher)
        super().__init__(source, **kwargs)
        self.energy_flow.trainable = False

    def _teach(self, teacher: ShowerFlow | None) -> None:
        # Behind a function, so that Keras does not take the teacher's layers for the student's.
        self._teacher = lambda: teacher

    def objective(self, cells: Any, conditions: Any) -> Any:
        teacher = self._teacher()
        if teacher is None:
            raise UnsupportedOperationError(
                f"the student '{self.name}' has no teacher, which its file does not hold. Make it anew: "
                "hr.models.student(teacher)."
            )
        t, v, _ = self._shares_of(cells, conditions)
        condition = self._condition_of_cells(t, self.scaled(conditions))
        z = ops.stop_gradient(teacher.cell_flow.forward(v, condition)[0])
        away = (self.cell_flow.inverse(z, condition)[0] - v) / self.cell_flow.standardise.spread
        noise = keras.random.normal(ops.shape(v), seed=self.cell_flow.noise)
        drawn = self.cell_flow.inverse(noise, condition)[0]
        back = teacher.cell_flow.forward(drawn, condition)[0] - noise
        loss = ops.mean(ops.square(ops.clip(away, -10.0, 10.0)), axis=-1)
        return ops.expand_dims(loss + ops.mean(ops.square(ops.clip(back, -10.0, 10.0)), axis=-1), -1)

    def density(self, cells: Any, conditions: Any) -> Any:  # noqa: ARG002
        raise UnsupportedOperationError(
            "the density of a student is the slow direction of its map: ask its teacher for log_prob."
        )

    def complete(self) -> None:
        if self._teacher() is None:  # from a file: nothing to learn, and all weights are there
            self.built = True
        else:
            super().complete()

    def adapt(self, showers: Showers) -> ShowerStudent:  # noqa: ARG002
        """Nothing: what the teacher learnt holds."""
        return self


def student(
    teacher: Generator,
    hidden: Sequence[int] = (256,),
    *,
    steps: int = 4,
    activation: str = "relu",
    seed: int | None = 1,
    name: str = "student",
) -> ShowerStudent:
    r"""Return a generator that learns to draw in one pass what a masked flow draws slowly.

    .. math:: L = \frac{1}{n} | S(G^{-1}(v)) - v |^2 / \sigma^2 + \frac{1}{n} | G^{-1}(S(z)) - z |^2

    G is the teacher's map of noise to cells, S the student's, an inverse autoregressive flow. Train the
    teacher first, then ``hr.fit(student, showers)`` on the same showers; the student alone is sampled and
    exported.

    Arguments
    ---------
    teacher
        A trained :class:`ShowerFlow`, whose flow of the cells is "maf" or "coupling".
    hidden, steps
        Of the student's flow of the cells.
    activation
        Of the hidden layers: any name of Keras.
    seed
        Of the initial weights.
    name
        Of the generator.

    Raises
    ------
    UnsupportedOperationError
        The teacher is another kind of generator.
    SettingError
        A setting is unknown or out of its range.

    Reference: arXiv:2110.11377 (CaloFlow II).

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> random = np.random.default_rng(1)
    >>> showers = hr.data.Showers(random.exponential(0.1, (50, 504)), random.uniform(10, 100, 50), "lar-3")
    >>> small = {"hidden": (8,), "steps": 2, "energy_hidden": (8,), "energy_steps": 2}
    >>> teacher = hr.models.shower_flow(showers, kind="maf", **small)
    >>> student(teacher, hidden=(8,), steps=2).sample(showers[:3], seed=1).energies.shape
    (3, 504)
    """
    hidden = widths("hidden", hidden)
    known_activation(activation)
    if not isinstance(teacher, ShowerFlow) or isinstance(teacher, ShowerStudent):
        raise UnsupportedOperationError(
            f"a student learns from a shower_flow; '{teacher.name}' is a {getattr(teacher, 'kind', 'model')}."
        )
    config = teacher.get_config()
    if config["cells"].get("kind") == "iaf":
        raise UnsupportedOperationError("the teacher's density is the slow direction of its flow ('iaf').")
    config |= {
        "name": name,
        "cells": {
            "hidden": hidden, "steps": steps, "kind": "iaf", "transform": "affine", "mixing": "reverse",
            "activation": activation,
        },
    }  # fmt: skip
    config.pop("training")
    with seeded(seed):
        made = ShowerStudent(**config, teacher=teacher)
    made.energy_flow.set_weights(teacher.energy_flow.get_weights())
    made.cell_flow.standardise.set_weights(teacher.cell_flow.standardise.get_weights())
    return made
