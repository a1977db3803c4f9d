"""What generators with a critic share: what the critic sees of a shower, and what it is judged by."""

from __future__ import annotations

from typing import Any, Self

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.data.showers import Showers
from hepml_root.layers.linear import Standardise
from hepml_root.layers.shower_images import ShowerImages
from hepml_root.models.generator import Generator

_CELL_SCALE = 0.25  # log(1 + x / threshold) is at most some 10
_ADAPTED = 20_000


class AdversarialGenerator(Generator):
    r"""The base of generators that learn from a critic; ``hr.fit`` trains both in turns.

    Beyond what :class:`Generator` asks for, a child class has ``threshold`` [GeV], ``images``, which make
    its showers, and ``features``, the units of what the critic sees, and writes

    ``criticise(features, conditions)``
        The critic's scores ``(events, 1)`` of what :meth:`seen` gives. With several critics ``(events,
        critics)``, of what a :meth:`sides` of its own gives, and ``critic_features`` says which part is whose
        (:class:`hepml_root.training.adversarial.TwoNetworks`).
    ``critic_layers``
        The layers that are the critic's; all other trainable weights are the generator's, but for those of
        the correction.
    ``default_loss``
        Name of the adversarial loss that it is made for.
    ``correction_epochs``, ``correction_learner()``
        How long ``hr.fit`` trains a correction of the showers after the two networks, and the model, with
        the output ``(events, 1)`` to be made small and the weights of the correction alone; 0 epochs: none.

    **What the critic sees**, :meth:`seen`: for each cell :math:`\tfrac14 \log(1 + x/t)` with the threshold
    t; for each layer its share of the particle's energy, the logarithm of that, and the fraction of its cells
    with a hit; and the energy of all over the particle's. The sums over many cells that physics is judged by
    are hard to read off the cells to a percent, so it is given them, in units of their spread.
    """

    threshold: float
    images: ShowerImages
    features: Standardise
    default_loss: str = "wasserstein"
    correction_epochs: int = 0

    def criticise(self, features: Any, conditions: Any) -> Any:
        """Return the critic's scores ``(events, 1)``."""
        raise NotImplementedError

    @property
    def critic_layers(self) -> list[Any]:
        """The critic's layers."""
        raise NotImplementedError

    def correction_learner(self) -> keras.Model:
        """Return the model that is trained after the two networks, for ``correction_epochs``."""
        raise NotImplementedError

    @property
    def critic_features(self) -> tuple[int, ...]:
        """How many of the features each critic sees, in their order."""
        return (self.seen_features,)

    @property
    def critic_variables(self) -> list[Any]:
        """What the critic learns."""
        return [variable for layer in self.critic_layers for variable in layer.trainable_variables]

    @property
    def generator_variables(self) -> list[Any]:
        """What the generator learns."""
        critic = {id(variable) for variable in self.critic_variables}
        return [variable for variable in self.trainable_variables if id(variable) not in critic]

    @property
    def seen_features(self) -> int:
        """How many numbers the critic sees of a shower."""
        return self.geometry.cells + 3 * len(self.geometry.slices) + 1

    def seen(self, cells: Any, conditions: Any) -> Any:
        """Return what the critic sees, ``(events, seen_features)``."""
        logs, sums = self._seen_parts(cells, conditions)
        return ops.concatenate([logs, self.features(sums)], axis=-1)

    def adapt(self, showers: Showers) -> Self:
        """Begin at the mean shower, and learn the units of what the critic sees, from 20 000 at most."""
        chosen = np.random.default_rng(1).permutation(len(showers))[:_ADAPTED]
        part = showers[np.sort(chosen)]
        self.images.adapt(part.energies, part.condition("energy"))
        rows = []
        for first in range(0, len(part), 1024):
            where = slice(first, first + 1024)
            _, sums = self._seen_parts(part.energies[where], part.conditions[where])
            rows.append(ops.convert_to_numpy(sums))
        self.features.adapt(np.concatenate(rows))
        return self

    def _seen_parts(self, cells: Any, conditions: Any) -> tuple[Any, Any]:
        """Return logarithms of the cells, and sums over them in their own units."""
        scale = ops.exp(-self.log_energy(conditions))
        logs = _CELL_SCALE * ops.log(1.0 + cells / self.threshold)
        shares, hits = [], []
        # A hit is a cell from the threshold on; a ramp, so that the generator feels where it stands.
        hit = ops.clip(2.0 * cells / self.threshold - 0.5, 0.0, 1.0)
        for where in self.geometry.slices:
            shares.append(ops.sum(cells[:, where], axis=-1, keepdims=True) * scale)
            hits.append(ops.mean(hit[:, where], axis=-1, keepdims=True))
        share = ops.concatenate(shares, axis=-1)
        total = ops.sum(share, axis=-1, keepdims=True)
        return logs, ops.concatenate([share, _CELL_SCALE * ops.log(share + 1e-4), *hits, total], axis=-1)

    def sides(self, cells: Any, conditions: Any) -> tuple[Any, Any, Any]:
        """Return what the critic sees of real and of generated showers, and None: nothing else counts."""
        return self.seen(cells, conditions), self.seen(self.generate(conditions), conditions), None

    def observables(
        self, cells: NDArray[np.float32], conditions: NDArray[np.float32]
    ) -> dict[str, NDArray[np.floating]]:
        """Return numbers of showers by which a training is judged, ``{name: (events,)}``.

        "response" (all energy over the particle's), for each layer its share of the energy, the fraction of
        its cells with a hit, and its brightest cell over the layer's energy; for up to 50 layers.
        """
        energy = conditions[:, self.labels.index("energy")]
        total = cells.sum(axis=1, dtype=np.float64)
        found: dict[str, NDArray[np.floating]] = {"response": total / energy}
        for number, where in enumerate(self.geometry.slices[:50]):
            own = cells[:, where]
            of_layer = own.sum(axis=1, dtype=np.float64)
            found[f"share of layer {number}"] = of_layer / np.maximum(total, 1e-30)
            found[f"hits of layer {number}"] = (own >= self.threshold).mean(axis=1)
            found[f"peak of layer {number}"] = own.max(axis=1) / np.maximum(of_layer, 1e-30)
        return found
