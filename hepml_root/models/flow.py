"""Normalising flows: densities of a dataset's numbers, and generators of calorimeter showers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.data.showers import Showers
from hepml_root.errors import SettingError, UnsupportedOperationError
from hepml_root.layers.normalizing_flow import NormalizingFlow
from hepml_root.layers.voxels import EmptyCells, ShowerShares
from hepml_root.models.generator import Generator, describe_showers
from hepml_root.models.inputs import InputBlocks, Transforms
from hepml_root.models.seeds import seeded
from hepml_root.models.settings import known_activation, widths

_SCORE = "negative_log_density"


def flow(
    data: Any,
    hidden: Sequence[int] = (64, 64),
    *,
    steps: int = 6,
    kind: str = "coupling",
    transform: str = "spline",
    bins: int = 8,
    bound: float = 5.0,
    mixing: str = "shuffle",
    activation: str = "relu",
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "flow",
) -> keras.Model:
    r"""Return a normalising flow as an estimator of density: its score is the negative logarithm of it.

    .. math:: s(x) = - \log p(x | c) = - \log N(f(x; c); 0, 1) - \log |\det \partial f / \partial x|

    x are the features after their transforms; a block "parameters" is the condition c. Output:
    ``(events, 1)``, called "score": large for what is unlike the training data. The density is that of the
    transformed inputs; among events it ranks as the transforms' choice of units says.

    Train it with ``hr.fit(model, background)``: the loss is its own output, whatever the classes are, so give
    it events of the background alone. ``hr.evaluate`` on data of two classes then draws how well the density
    tells the signal.

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()``, or ``{block: shape}``.
    hidden
        Neurons of each step's network.
    steps, kind, transform, bins, bound, mixing
        As in :class:`hepml_root.layers.normalizing_flow.NormalizingFlow`: "coupling" or "maf" (often the
        better density for its size); "spline" or "affine".
    activation
        Of the hidden layers: any name of Keras.
    transforms
        As in :func:`dense`.
    inputs
        Names of the dataset's blocks to take; None: all.
    seed
        Of the initial weights.
    name
        Of the model.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range, or there are no features.

    Reference: arXiv:1705.07057, arXiv:1906.04032; for anomalies arXiv:2001.04990.

    Example
    -------
    >>> model = flow({"features": (3,)}, hidden=(8,), steps=2)
    >>> model.output_shape
    (None, 1)
    """
    hidden = widths("hidden", hidden)
    known_activation(activation)
    blocks = InputBlocks(data, transforms, inputs)
    with blocks.seeded(seed):
        condition = None
        parameters = blocks.of_kind("parameter")
        for block in parameters:
            condition = blocks.tensor(block)
        x = blocks.numbers(without=parameters)
        if x is None:
            blocks.one_of_kind("flat", asked_by=name)  # says what there is instead
        layer = NormalizingFlow(
            int(x.shape[-1]), 0 if condition is None else int(condition.shape[-1]), kind=kind,
            transform=transform, steps=steps, hidden=hidden, activation=activation, bins=bins, bound=bound,
            mixing=mixing, shuffle_seed=0 if seed is None else seed, name="normalizing_flow",
        )  # fmt: skip
        score = layer(x, condition)
    words: dict[str, Any] = {"loss": "mean_score", "score": _SCORE}
    labels = [str(blocks.description.get("signal") or "signal")]
    if blocks.description["task"] != "binary":
        labels = [_SCORE]
        words |= {"task": "regression", "classes": [], "signal": None}
        words["targets"] = [{"label": _SCORE, "expression": _SCORE, "units": ""}]
    words["outputs"] = [{"name": "score", "shape": [1], "labels": labels}]
    return blocks.finish(score, name, words)


@keras.saving.register_keras_serializable(package="hepml_root")
class ShowerFlow(Generator):
    r"""Two flows, one after the other: energies of the layers, then the cells in them.

    .. math:: p(x|c) = p_A(t | c)\, p_B(v | t, c)\, \prod_i x_i^{-1}

    t and v are the shares of :class:`hepml_root.layers.voxels.ShowerShares`. Made by :func:`shower_flow`,
    which says what the settings are.
    """

    kind = "flow"

    def __init__(
        self,
        source: Mapping[str, Any],
        *,
        references: Sequence[int],
        threshold: float,
        gap: float,
        energies: Mapping[str, Any],
        cells: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(source, **kwargs)
        self._own = _frozen_settings(references, threshold, gap, energies, cells)
        sizes = [where.stop - where.start for where in self.geometry.slices]
        self.layer_count = len(sizes)
        conditions = len(self.labels)
        self.empty = EmptyCells(threshold, gap, name="empty")
        self.shares = ShowerShares(sizes, references, name="shares")
        self.energy_flow = NormalizingFlow(self.layer_count, conditions, **energies, name="energies")
        self.cell_flow = NormalizingFlow(
            self.geometry.cells - self.layer_count, conditions + self.layer_count, **cells, name="cells"
        )
        self.complete()

    def complete(self) -> None:
        try:
            super().complete()
        except UnsupportedOperationError:
            # A masked flow of many cells is not sampled, but it is trained, and teaches a student.
            self.objective(ops.ones((2, self.geometry.cells)), ops.convert_to_tensor(self._probe()[:2]))

    def adapt(self, showers: Showers) -> ShowerFlow:
        """Learn the standardisations from showers, a random 20 000 of them at most."""
        chosen = np.random.default_rng(1).permutation(len(showers))[:20_000]
        part = showers[np.sort(chosen)]
        energies, cells, conditions = [], [], []
        for first in range(0, len(part), 1024):
            rows = slice(first, first + 1024)
            t, v, _ = self._shares_of(part.energies[rows], part.conditions[rows])
            energies.append(ops.convert_to_numpy(t))
            cells.append(ops.convert_to_numpy(v))
            conditions.append(ops.convert_to_numpy(self.scaled(part.conditions[rows])))
        self.energy_flow.adapt(np.concatenate(energies), condition=np.concatenate(conditions))
        self.cell_flow.adapt(np.concatenate(cells))
        return self

    def _shares_of(self, cells: Any, conditions: Any) -> tuple[Any, Any, Any]:
        """Return t, its total relative to the particle's energy, v, and the log-determinant."""
        numbers, change = self.shares.forward(self.empty.fill(cells))
        total = numbers[:, :1] - self.log_energy(conditions)
        t = ops.concatenate([total, numbers[:, 1 : self.layer_count]], axis=-1)
        return t, numbers[:, self.layer_count :], change

    def _condition_of_cells(self, t: Any, scaled: Any) -> Any:
        return ops.concatenate([self.energy_flow.standardise.forward(t, scaled)[0], scaled], axis=-1)

    def _log_probs(self, cells: Any, conditions: Any) -> tuple[Any, Any]:
        t, v, change = self._shares_of(cells, conditions)
        scaled = self.scaled(conditions)
        log_p = self.energy_flow.log_prob(t, scaled)
        return log_p + self.cell_flow.log_prob(v, self._condition_of_cells(t, scaled)), change

    def objective(self, cells: Any, conditions: Any) -> Any:
        # The last term of the density depends on no weight: left out, and the rest counted for each cell.
        return ops.expand_dims(-self._log_probs(cells, conditions)[0] / self.geometry.cells, -1)

    def density(self, cells: Any, conditions: Any) -> Any:
        log_p, change = self._log_probs(cells, conditions)
        return log_p + change

    def generate(self, conditions: Any) -> Any:
        scaled = self.scaled(conditions)
        t = self.energy_flow.sample(conditions, scaled)
        v = self.cell_flow.sample(conditions, self._condition_of_cells(t, scaled))
        total = t[:, :1] + self.log_energy(conditions)
        cells, _ = self.shares.inverse(ops.concatenate([total, t[:, 1:], v], axis=-1))
        return self.empty.cut(cells)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._own()}


def _frozen_settings(
    references: Sequence[int], threshold: float, gap: float, energies: Mapping[str, Any], cells: Any
) -> Any:
    """Return the settings behind a function: Keras wraps dictionaries in attributes to track layers."""
    kept = {
        "references": [int(place) for place in references], "threshold": float(threshold), "gap": float(gap),
        "energies": dict(energies), "cells": dict(cells),
    }  # fmt: skip
    return lambda: kept


def shower_flow(
    showers: Showers,
    hidden: Sequence[int] = (256, 256),
    *,
    steps: int = 6,
    kind: str = "coupling",
    transform: str = "affine",
    bins: int = 8,
    mixing: str = "shuffle",
    energy_hidden: Sequence[int] = (64, 64),
    energy_steps: int = 6,
    threshold: float | None = None,
    gap: float = 1.0,
    activation: str = "relu",
    seed: int | None = 1,
    name: str = "shower_flow",
) -> ShowerFlow:
    r"""Return a generator of showers of two flows: energies of the layers, then the cells given these.

    .. math:: \log p(x|c) = \log p_A(t|c) + \log p_B(v|t, c) - \sum_i \log x_i

    t are the total energy over the particle's and the shares of the layers, v the logarithms of the cells
    relative to the brightest one of their layer (:class:`hepml_root.layers.voxels.ShowerShares`). The density
    is exact for showers whose empty cells have been given noise below the threshold
    (:class:`hepml_root.layers.voxels.EmptyCells`). The flow of the energies is one of splines.

    Train it with ``hr.fit(generator, showers)``; the loss is -log p for each cell, up to a constant.

    Arguments
    ---------
    showers
        Those to learn: their geometry, conditions and ranges become the generator's, and the preprocessing is
        adapted to them.
    hidden, steps, kind, transform, bins, mixing
        Of the flow of the cells (:class:`hepml_root.layers.normalizing_flow.NormalizingFlow`). A "maf" has
        the better density, but samples of it are sequential, and of more than 64 cells not to be had; "iaf"
        is for students.
    energy_hidden, energy_steps
        Of the flow of the energies.
    threshold
        Below it a cell counts as empty [GeV]; None: that of the geometry, or, if that is 0, the energy that
        one in a thousand of the cells with any energy is below.
    gap
        Between the threshold and the noise of empty cells, as a logarithm.
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

    Reference: arXiv:2106.05285.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> random = np.random.default_rng(1)
    >>> showers = hr.data.Showers(random.exponential(0.1, (50, 504)), random.uniform(10, 100, 50), "lar-3")
    >>> generator = shower_flow(showers, hidden=(8,), steps=2, energy_hidden=(8,), energy_steps=2)
    >>> generator.sample(showers[:3], seed=1).energies.shape
    (3, 504)
    """
    hidden, energy_hidden = widths("hidden", hidden), widths("energy_hidden", energy_hidden)
    known_activation(activation)
    source = describe_showers(showers)
    with seeded(seed):
        generator = ShowerFlow(
            source,
            references=brightest_cells(showers),
            threshold=threshold_of(showers, threshold),
            gap=gap,
            energies={
                "hidden": energy_hidden, "steps": energy_steps, "activation": activation,
                "mixing": "shuffle", "conditional_scale": True,
            },
            cells={
                "hidden": hidden, "steps": steps, "kind": kind, "transform": transform, "bins": bins,
                "mixing": mixing, "activation": activation,
            },
            name=name,
        )  # fmt: skip
    return generator.adapt(showers)


def threshold_of(showers: Showers, asked: float | None) -> float:
    """Return the energy below which a cell counts as empty [GeV]; see :func:`shower_flow`."""
    if asked is not None:
        if not asked > 0:
            raise SettingError(f"threshold={asked}: an energy above 0 [GeV].")
        return float(asked)
    if showers.geometry.threshold > 0:
        return float(showers.geometry.threshold)
    # Of all parts of a sample, which is often in the order of its energies; all of it if these are empty.
    energies = showers.energies[:: max(1, len(showers) // 5000)]
    energies = energies if energies.any() else showers.energies
    return float(np.quantile(energies[energies > 0], 1e-3))


def brightest_cells(showers: Showers) -> list[int]:
    """Return, for each layer, the place of the cell with the largest mean energy."""
    mean = showers.energies.mean(axis=0)
    return [int(np.argmax(mean[where])) for where in showers.geometry.slices]
