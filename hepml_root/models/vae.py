"""Variational autoencoders for calorimeter showers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.data.showers import Showers
from hepml_root.errors import SettingError
from hepml_root.layers.linear import Standardise
from hepml_root.layers.shower_images import ShowerImages
from hepml_root.layers.voxels import EmptyCells, ShowerShares
from hepml_root.losses.divergence import normal_divergence
from hepml_root.models.flow import brightest_cells, threshold_of
from hepml_root.models.generator import Generator, describe_showers
from hepml_root.models.seeds import seeded
from hepml_root.models.settings import known_activation, positive, widths

_ADAPTED = 20_000
_WIDEST = 4.0  # of a logarithm of a variance, in units of the data's spread
_NARROWEST = -10.0


@keras.saving.register_keras_serializable(package="hepml_root")
class ShowerVAE(Generator):
    """A variational autoencoder of showers; made by :func:`shower_vae`, which says what the settings are."""

    kind = "vae"

    def __init__(
        self,
        source: Mapping[str, Any],
        *,
        references: Sequence[int],
        threshold: float,
        hidden: Sequence[int],
        channels: int,
        latent: int,
        beta: float,
        activation: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(source, **kwargs)
        self.references, self.threshold = tuple(references), float(threshold)
        self.hidden, self.channels, self.latent = tuple(hidden), int(channels), int(latent)
        self.beta, self.activation = float(beta), activation
        self.layer_count = len(self.geometry.slices)
        sizes = [where.stop - where.start for where in self.geometry.slices]
        dense = keras.layers.Dense
        self.empty = EmptyCells(self.threshold, name="empty")
        self.shares = ShowerShares(sizes, self.references, name="shares")
        self.units = Standardise(name="units")
        self.units.build((None, self.geometry.cells))
        self.encoder = [
            dense(width, activation, name=f"encoder_{number}") for number, width in enumerate(self.hidden)
        ]
        self.latent_mean = dense(self.latent, name="latent_mean")
        self.latent_spread = dense(self.latent, kernel_initializer="zeros", name="latent_spread")
        self.decoder = [
            dense(width, activation, name=f"decoder_{number}")
            for number, width in enumerate(reversed(self.hidden[1:]))
        ]
        self.images = ShowerImages(self.geometry, self.hidden[0], self.channels, name="images")
        self.spread = dense(self.geometry.cells, kernel_initializer="zeros", name="spread")
        self.noise = keras.random.SeedGenerator(1)
        self.complete()

    def numbers(self, cells: Any, conditions: Any) -> Any:
        """Return total, layers and cells as logarithms of shares, ``(events, cells)``, standardised."""
        found, _ = self.shares.forward(cells)
        total = found[:, :1] - self.log_energy(conditions)
        return self.units(ops.concatenate([total, found[:, 1:]], axis=-1))

    def encode(self, numbers: Any, scaled: Any) -> tuple[Any, Any]:
        """Return mean and logarithm of the variance of the code, ``(events, latent)`` each."""
        x = ops.concatenate([numbers, scaled], axis=-1)
        for layer in self.encoder:
            x = layer(x)
        return self.latent_mean(x), ops.clip(self.latent_spread(x), _NARROWEST, _WIDEST)

    def decode(self, code: Any, conditions: Any) -> tuple[Any, Any]:
        """Return mean and logarithm of the variance of :meth:`numbers`, ``(events, cells)`` each."""
        x = ops.concatenate([code, self.scaled(conditions)], axis=-1)
        for layer in self.decoder:
            x = layer(x)
        cells = ops.exp(self.images(x) + self.log_energy(conditions))
        log_variance = ops.clip(self.spread(x), _NARROWEST, _WIDEST)
        return self.numbers(ops.maximum(cells, 1e-20), conditions), log_variance

    def objective(self, cells: Any, conditions: Any) -> Any:
        numbers = self.numbers(self.empty.fill(cells), conditions)
        mean, log_variance = self.encode(numbers, self.scaled(conditions))
        normal = keras.random.normal(ops.shape(mean), seed=self.noise)
        decoded, spread = self.decode(mean + ops.exp(0.5 * log_variance) * normal, conditions)
        terms = 0.5 * (ops.square(numbers - decoded) * ops.exp(-spread) + spread)
        total = ops.sum(terms, axis=-1, keepdims=True) + self.beta * normal_divergence(mean, log_variance)
        return total / self.geometry.cells

    def generate(self, conditions: Any) -> Any:
        events = ops.shape(conditions)[0]
        normal = keras.random.normal((events, self.latent + self.geometry.cells), seed=self.noise)
        mean, spread = self.decode(normal[:, : self.latent], conditions)
        numbers = self.units.inverse(mean + ops.exp(0.5 * spread) * normal[:, self.latent :])
        total = numbers[:, :1] + self.log_energy(conditions)
        cells, _ = self.shares.inverse(ops.concatenate([total, numbers[:, 1:]], axis=-1))
        return self.empty.cut(cells)

    def adapt(self, showers: Showers) -> ShowerVAE:
        """Begin at the mean shower, and learn the units of the numbers, from 20 000 showers at most."""
        chosen = np.random.default_rng(1).permutation(len(showers))[:_ADAPTED]
        part = showers[np.sort(chosen)]
        self.images.adapt(part.energies, part.condition("energy"))
        rows = []
        for first in range(0, len(part), 1024):
            where = slice(first, first + 1024)
            filled = self.empty.fill(part.energies[where])
            found = ops.convert_to_numpy(self.shares.forward(filled)[0]).copy()
            found[:, :1] -= ops.convert_to_numpy(self.log_energy(part.conditions[where]))
            rows.append(found)
        self.units.adapt(np.concatenate(rows))
        return self

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "references": self.references, "threshold": self.threshold,
            "hidden": self.hidden, "channels": self.channels, "latent": self.latent, "beta": self.beta,
            "activation": self.activation,
        }  # fmt: skip


def shower_vae(
    showers: Showers,
    hidden: Sequence[int] = (256, 128),
    *,
    latent: int = 16,
    channels: int = 4,
    beta: float = 1.0,
    threshold: float | None = None,
    activation: str = "relu",
    seed: int | None = 1,
    name: str = "shower_vae",
) -> ShowerVAE:
    r"""Return a generator of showers that is a variational autoencoder, conditional on the particle.

    .. math:: -\log p(x|c) \le \Big\langle \sum_j \frac{(y_j - \mu_j(z, c))^2}{2 \sigma_j^2(z, c)} +
              \log \sigma_j(z, c) \Big\rangle_{q(z|x,c)} + \beta\, KL\big( q(z|x, c) \,\|\, N(0, 1) \big)

    y are total energy, shares of the layers and of the cells as logarithms
    (:class:`hepml_root.layers.voxels.ShowerShares`), in units of their spread; empty cells get noise
    below the threshold. The decoder makes images layer by layer
    (:class:`hepml_root.layers.shower_images.ShowerImages`), and each number has a spread of its own,
    which is sampled, too. The bound, for each cell, is what ``hr.fit(generator, showers)`` makes small.

    Arguments
    ---------
    showers
        Those to learn, as in :func:`shower_flow`.
    hidden
        Neurons of the encoder's dense layers; the decoder has them in reverse, and images after them.
    latent
        Numbers of the code.
    channels
        Of the images.
    beta
        Weight of the divergence: below 1 rebuilds better, above 1 has codes nearer to a normal.
    threshold
        Below it a cell counts as empty [GeV]; None: as in :func:`shower_flow`.
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

    Reference: arXiv:1312.6114; conditional arXiv:1406.5298; beta: Higgins et al., ICLR 2017.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> random = np.random.default_rng(1)
    >>> showers = hr.data.Showers(random.exponential(0.1, (50, 504)), random.uniform(10, 100, 50), "lar-3")
    >>> generator = shower_vae(showers, hidden=(8,), latent=2, channels=2)
    >>> generator.sample(showers[:3], seed=1).energies.shape
    (3, 504)
    """
    positive(channels=channels, latent=latent)
    known_activation(activation)
    if not (math.isfinite(beta) and beta > 0):
        raise SettingError(f"beta={beta}: a number above 0 is needed.")
    with seeded(seed):
        generator = ShowerVAE(
            describe_showers(showers),
            references=brightest_cells(showers),
            threshold=threshold_of(showers, threshold),
            hidden=widths("hidden", hidden, 1),
            channels=channels,
            latent=latent,
            beta=beta,
            activation=activation,
            name=name,
        )
    return generator.adapt(showers)
