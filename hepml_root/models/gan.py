"""Generative adversarial networks for calorimeter showers: layer by layer, locally connected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.data.showers import Showers
from hepml_root.layers.linear import Standardise
from hepml_root.layers.shower_images import ShowerImages
from hepml_root.layers.voxels import EmptyCells
from hepml_root.losses.critic import adversarial_loss
from hepml_root.models.adversarial_generator import AdversarialGenerator
from hepml_root.models.flow import threshold_of
from hepml_root.models.generator import describe_showers
from hepml_root.models.seeds import seeded
from hepml_root.models.settings import positive, widths

_SLOPE = 0.2


@keras.saving.register_keras_serializable(package="hepml_root")
class ShowerGAN(AdversarialGenerator):
    """A generator of showers that learns from a critic; made by :func:`shower_gan`, which says what the
    settings are."""

    kind = "gan"

    def __init__(
        self,
        source: Mapping[str, Any],
        *,
        threshold: float,
        hidden: Sequence[int],
        channels: int,
        latent: int,
        critic_hidden: Sequence[int],
        loss: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(source, **kwargs)
        self.threshold, self.default_loss = float(threshold), loss
        self.hidden, self.critic_hidden = tuple(hidden), tuple(critic_hidden)
        self.channels, self.latent = int(channels), int(latent)
        self.noise = keras.random.SeedGenerator(1)
        self.empty = EmptyCells(self.threshold, name="empty")
        self.trunk = [
            keras.layers.Dense(width, name=f"trunk_{number}") for number, width in enumerate(self.hidden[:-1])
        ]
        self.images = ShowerImages(self.geometry, self.hidden[-1], self.channels, name="images")
        self.features = Standardise(name="features")
        self.judge = [
            keras.layers.Dense(width, name=f"critic_{number}")
            for number, width in enumerate(self.critic_hidden)
        ]
        self.verdict = keras.layers.Dense(1, name="critic_score")
        self.complete()
        probe = self._probe()[:2]
        self.criticise(self.seen(self.generate(probe), probe), probe)

    @property
    def critic_layers(self) -> list[Any]:
        return [*self.judge, self.verdict]

    def generate(self, conditions: Any) -> Any:
        scaled = self.scaled(conditions)
        events = ops.shape(conditions)[0]
        noise = keras.random.normal((events, self.latent + self.geometry.cells), seed=self.noise)
        code = ops.concatenate([noise[:, : self.latent], scaled], axis=-1)
        for layer in self.trunk:
            code = ops.leaky_relu(layer(code), _SLOPE)
        logs = self.images(code, noise[:, self.latent :])
        return self.empty.cut(ops.exp(logs + self.log_energy(conditions)))

    def criticise(self, features: Any, conditions: Any) -> Any:
        features = ops.concatenate([features, self.scaled(conditions)], axis=-1)
        for layer in self.judge:
            features = ops.leaky_relu(layer(features), _SLOPE)
        return self.verdict(features)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "threshold": self.threshold, "hidden": self.hidden,
            "channels": self.channels, "latent": self.latent, "critic_hidden": self.critic_hidden,
            "loss": self.default_loss,
        }  # fmt: skip


def shower_gan(
    showers: Showers,
    hidden: Sequence[int] = (64, 64),
    *,
    channels: int = 4,
    latent: int = 32,
    critic_hidden: Sequence[int] = (256, 128),
    loss: str = "wasserstein",
    threshold: float | None = None,
    seed: int | None = 1,
    name: str = "shower_gan",
) -> ShowerGAN:
    r"""Return a generator of showers that a critic teaches.

    Noise and conditions go through dense layers to one image for each layer of the calorimeter, which
    locally connected layers refine, knowing the image of the layer before
    (:class:`hepml_root.layers.shower_images.ShowerImages`). Unlike in CaloGAN, the energies of the layers
    are numbers of their own, the cells share them, and each cell has noise of its own, as the
    fluctuations of neighbouring cells are mostly their own. What is below the threshold is 0.

    The critic is dense and sees logarithms of cells, energies and hits of the layers, and the conditions
    (:meth:`AdversarialGenerator.seen`).

    Train it with ``hr.fit(generator, showers, learning_rate=1e-3, epochs=…)``
    (:func:`hepml_root.training.fit_adversarial`).

    Arguments
    ---------
    showers
        Those to learn, as in :func:`shower_flow`.
    hidden
        Neurons of the generator's dense layers, at least one.
    channels
        Of the images.
    latent
        Numbers of noise that all layers see.
    critic_hidden
        Neurons of the critic's layers.
    loss
        "wasserstein" or "least_squares": what ``hr.fit`` takes unless told.
    threshold
        Below it a cell counts as empty [GeV]; None: as in :func:`shower_flow`.
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

    Reference: arXiv:1705.02355, arXiv:1712.10321, arXiv:1704.00028.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> random = np.random.default_rng(1)
    >>> showers = hr.data.Showers(random.exponential(0.1, (50, 504)), random.uniform(10, 100, 50), "lar-3")
    >>> generator = shower_gan(showers, hidden=(8,), channels=2, critic_hidden=(8,))
    >>> generator.sample(showers[:3], seed=1).energies.shape
    (3, 504)
    """
    positive(channels=channels, latent=latent)
    adversarial_loss(loss)
    with seeded(seed):
        generator = ShowerGAN(
            describe_showers(showers),
            threshold=threshold_of(showers, threshold),
            hidden=widths("hidden", hidden, 1),
            channels=channels,
            latent=latent,
            critic_hidden=widths("critic_hidden", critic_hidden, 1),
            loss=loss,
            name=name,
        )
    return generator.adapt(showers)
