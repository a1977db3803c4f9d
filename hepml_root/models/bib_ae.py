"""Bounded-information-bottleneck autoencoders for calorimeter showers: a VAE that critics teach."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
from keras import ops

from hepml_root.data.showers import Showers
from hepml_root.errors import SettingError
from hepml_root.layers.cell_spectrum import CellSpectrum, SpectrumCorrection
from hepml_root.layers.linear import Standardise
from hepml_root.layers.manifest import ManifestLayer
from hepml_root.layers.shower_images import ShowerImages
from hepml_root.layers.voxels import EmptyCells
from hepml_root.losses.critic import adversarial_loss
from hepml_root.losses.divergence import mean_discrepancy, normal_divergence
from hepml_root.models.adversarial_generator import AdversarialGenerator
from hepml_root.models.flow import threshold_of
from hepml_root.models.generator import describe_showers
from hepml_root.models.seeds import seeded
from hepml_root.models.settings import positive, widths

_SLOPE = 0.2
_WIDEST, _NARROWEST = 4.0, -10.0  # of a logarithm of a variance
CRITICS = ("shower", "difference", "code")


@keras.saving.register_keras_serializable(package="hepml_root")
class ShowerBIBAE(AdversarialGenerator):
    """An autoencoder of showers that critics teach; made by :func:`shower_bib_ae`, which says what the
    settings are."""

    kind = "bib-ae"

    def __init__(
        self,
        source: Mapping[str, Any],
        *,
        threshold: float,
        brightest: float,
        hidden: Sequence[int],
        channels: int,
        latent: int,
        critic_hidden: Sequence[int],
        critics: Sequence[float],
        reconstruction: float,
        beta: float,
        discrepancy: float,
        moving: float,
        correction_epochs: int,
        loss: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(source, **kwargs)
        self.threshold, self.brightest, self.default_loss = float(threshold), float(brightest), loss
        self.hidden, self.critic_hidden = tuple(hidden), tuple(critic_hidden)
        self.channels, self.latent = int(channels), int(latent)
        self.critics, self.reconstruction = tuple(map(float, critics)), float(reconstruction)
        self.beta, self.discrepancy = float(beta), float(discrepancy)
        self.moving, self.correction_epochs = float(moving), int(correction_epochs)
        self.noise = keras.random.SeedGenerator(1)
        self.empty = EmptyCells(self.threshold, name="empty")
        dense = keras.layers.Dense
        self.features = Standardise(name="features")
        self.encoder = [
            dense(width, name=f"encoder_{number}") for number, width in enumerate(reversed(self.hidden))
        ]
        self.latent_mean = dense(self.latent, name="latent_mean")
        self.latent_spread = dense(self.latent, kernel_initializer="zeros", name="latent_spread")
        self.trunk = [dense(width, name=f"trunk_{number}") for number, width in enumerate(self.hidden[:-1])]
        self.images = ShowerImages(self.geometry, self.hidden[-1], self.channels, name="images")
        sizes = [where.stop - where.start for where in self.geometry.slices]
        self.correction: SpectrumCorrection | None = None
        if self.correction_epochs:
            self.correction = SpectrumCorrection(sizes, self.threshold, name="correction")
        self.spectrum = CellSpectrum(sizes, self.threshold, self.brightest, name="spectrum")
        self.judges = [
            [
                *(
                    dense(width, name=f"critic_{one}_{number}")
                    for number, width in enumerate(self.critic_hidden)
                ),
                dense(1, name=f"critic_{one}_score"),
            ]
            for one in CRITICS
        ]
        self.complete()
        cells, conditions = ops.ones((2, self.geometry.cells)), ops.convert_to_tensor(self._probe()[:2])
        self.criticise(self.sides(cells, conditions)[0], conditions)

    @property
    def critic_layers(self) -> list[Any]:
        return list(itertools.chain.from_iterable(self.judges))

    @property
    def critic_features(self) -> tuple[int, ...]:
        return self.seen_features, self.seen_features, self.latent

    @property
    def generator_variables(self) -> list[Any]:
        layers = [self.correction] if self.correction is not None else []
        apart = {id(variable) for layer in layers for variable in layer.trainable_variables}
        return [variable for variable in super().generator_variables if id(variable) not in apart]

    def encode(self, cells: Any, conditions: Any) -> tuple[Any, Any]:
        """Return mean and logarithm of the variance of the code, ``(events, latent)`` each."""
        x = ops.concatenate([self.seen(cells, conditions), self.scaled(conditions)], axis=-1)
        for layer in self.encoder:
            x = ops.leaky_relu(layer(x), _SLOPE)
        return self.latent_mean(x), ops.clip(self.latent_spread(x), _NARROWEST, _WIDEST)

    def decode(self, code: Any, noise: Any, conditions: Any) -> Any:
        """Return logarithms of cells [GeV] before correction and threshold, from a code ``(events, latent)``
        and the cells' own noise ``(events, cells)``."""
        x = ops.concatenate([code, self.scaled(conditions)], axis=-1)
        for layer in self.trunk:
            x = ops.leaky_relu(layer(x), _SLOPE)
        return self.images(x, noise) + self.log_energy(conditions)

    def generate(self, conditions: Any) -> Any:
        logs = self.decode(*self._drawn(ops.shape(conditions)[0], self.noise), conditions)
        if self.correction is not None:
            logs = self.correction(logs, self.scaled(conditions))
        return self.empty.cut(ops.exp(logs))

    def sides(self, cells: Any, conditions: Any) -> tuple[Any, Any, Any]:
        """Return what the three critics see of real showers and of rebuilt ones, and the other terms."""
        events = ops.shape(cells)[0]
        mean, log_variance = self.encode(cells, conditions)
        draw, noise = self._drawn(events, self.noise)
        code = mean + ops.exp(0.5 * log_variance) * draw
        normal = keras.random.normal((events, self.latent), seed=self.noise)
        wanted = self.seen(cells, conditions)
        rebuilt = self.seen(self.empty.cut(ops.exp(self.decode(code, noise, conditions))), conditions)
        difference = rebuilt - wanted
        own = self.beta * normal_divergence(mean, log_variance)
        own = own + self.discrepancy * mean_discrepancy(code, normal)
        own = own + self.reconstruction * ops.mean(ops.square(difference), axis=-1, keepdims=True)
        of_real = [wanted, ops.zeros_like(difference), normal]
        of_fake = [rebuilt, difference, code]
        # A distance is in the units of what its critic sees, so they are its weight.
        real, fake = (
            ops.concatenate([w * x for w, x in zip(self.critics, parts, strict=True)], axis=-1)
            for parts in (of_real, of_fake)
        )
        return real, fake, own

    def criticise(self, features: Any, conditions: Any) -> Any:
        scaled, scores, first = self.scaled(conditions), [], 0
        for judge, count in zip(self.judges, self.critic_features, strict=True):
            x = ops.concatenate([features[:, first : first + count], scaled], axis=-1)
            for layer in judge[:-1]:
                x = ops.leaky_relu(layer(x), _SLOPE)
            scores.append(judge[-1](x))
            first += count
        return ops.concatenate(scores, axis=-1)

    def correction_learner(self) -> keras.Model:
        if "correction" not in self._untracked.models:
            inputs = {
                "cells": keras.Input((self.geometry.cells,), name="cells"),
                "conditions": keras.Input((len(self.labels),), name="conditions"),
            }
            score = _CorrectionObjective(self)(inputs["cells"], inputs["conditions"])
            score = ManifestLayer({**self.manifest(), "loss": "mean_score"}, name="score")(score)
            self._untracked.models["correction"] = keras.Model(inputs, score, name="correction")
        return self._untracked.models["correction"]

    def adapt(self, showers: Showers) -> Self:
        """Begin at the mean shower; learn the units of what critics see and of the spectrum of cells."""
        self.spectrum.adapt(showers.energies[:: max(1, len(showers) // 20_000)])
        return super().adapt(showers)

    def _drawn(self, events: Any, noise: Any) -> tuple[Any, Any]:
        """Draw normal codes ``(events, latent)`` and the cells' noise ``(events, cells)``."""
        drawn = keras.random.normal((events, self.latent + self.geometry.cells), seed=noise)
        return drawn[:, : self.latent], drawn[:, self.latent :]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "threshold": self.threshold, "brightest": self.brightest,
            "hidden": self.hidden, "channels": self.channels, "latent": self.latent,
            "critic_hidden": self.critic_hidden, "critics": self.critics,
            "reconstruction": self.reconstruction, "beta": self.beta, "discrepancy": self.discrepancy,
            "moving": self.moving, "correction_epochs": self.correction_epochs, "loss": self.default_loss,
        }  # fmt: skip


class _Teacher:
    """Holds a generator whose weights are not to be trained: Keras would take them for the layer's."""

    def __init__(self, generator: ShowerBIBAE) -> None:
        self.generator = generator


class _CorrectionObjective(keras.layers.Layer):
    """What the correction makes small, ``(events, 1)``; its weights are the only ones of the layer."""

    def __init__(self, generator: ShowerBIBAE, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        assert generator.correction is not None
        self.correction, self.noise = generator.correction, keras.random.SeedGenerator(2)
        self.teacher = _Teacher(generator)

    def build(self, *shapes: Any) -> None:  # noqa: ARG002
        self.built = True

    def call(self, cells: Any, conditions: Any) -> Any:
        generator = self.teacher.generator
        drawn = generator._drawn(ops.shape(cells)[0], self.noise)
        logs = ops.stop_gradient(generator.decode(*drawn, conditions))
        moved = self.correction(logs, generator.scaled(conditions))
        spectra = generator.spectrum(generator.empty.cut(ops.exp(moved))), generator.spectrum(cells)
        moves = ops.mean(ops.square(moved - logs), axis=-1, keepdims=True)
        return mean_discrepancy(*spectra) + generator.moving * moves

    def compute_output_spec(self, cells: Any, conditions: Any) -> keras.KerasTensor:  # noqa: ARG002
        return keras.KerasTensor((cells.shape[0], 1), dtype="float32")


def shower_bib_ae(
    showers: Showers,
    hidden: Sequence[int] = (64, 64),
    *,
    channels: int = 4,
    latent: int = 24,
    critic_hidden: Sequence[int] = (256, 128),
    critics: Sequence[float] = (1.0, 1.0, 1.0),
    reconstruction: float = 1.0,
    beta: float = 0.05,
    discrepancy: float = 10.0,
    moving: float = 0.01,
    correction_epochs: int = 5,
    loss: str = "wasserstein",
    threshold: float | None = None,
    seed: int | None = 1,
    name: str = "shower_bib_ae",
) -> ShowerBIBAE:
    r"""Return a generator of showers that is a bounded-information-bottleneck autoencoder (BIB-AE).

    .. math:: L = \underbrace{W(s(\hat x), s(x))}_{shower} + \underbrace{W(s(\hat x) - s(x), 0)}_{difference}
              + \underbrace{W(z, n)}_{code} + \beta\, KL\big(q(z|x, c) \,\|\, N(0, 1)\big)
              + \gamma\, MMD^2(z, n) + \rho\, \overline{(s(\hat x) - s(x))^2}

    z is the code of a shower x, :math:`\hat x` what is rebuilt from it, n are normal numbers, and s is
    what a critic sees (:meth:`AdversarialGenerator.seen`). Each W is a Wasserstein distance that a critic
    of its own measures, knowing the conditions; the encoder and the decoder make the sum small. A plain
    autoencoder blurs what the code does not hold: here the decoder has noise of each cell besides the code
    (:class:`hepml_root.layers.shower_images.ShowerImages`), and the first critic wants showers that look
    real. The second wants them to be the ones that were given: its distance is the mean length of the
    difference. The third, the divergence and the discrepancy make the codes normal, since new showers are
    made of normal codes, and no critic sees those.

    **Spectrum of the cells.** Adversarial training does not get the peak and the steep sides of the cells'
    energies right. A small network corrects cell by cell in the exported graph, and leaves the energy of
    each layer as it was (:class:`hepml_root.layers.cell_spectrum.SpectrumCorrection`). It is trained when all
    else is, on newly made showers, to make

    .. math:: MMD^2\big(c(y), c(x)\big) + \mu\, \overline{(\log y - \log \hat x)^2}

    small: c are the shares of cells above each of a row of energies
    (:class:`hepml_root.layers.cell_spectrum.CellSpectrum`), and the second term keeps cells where they are.

    Train it with ``hr.fit(generator, showers, learning_rate=1e-3, epochs=…)``
    (:func:`hepml_root.training.fit_adversarial`). That is two trainings, one after the other: the networks
    in turns for ``epochs``, then the correction for ``correction_epochs`` at the same rate, falling as a
    cosine. The history is of the first; ``generator.training["correction"]`` tells of the second, whose
    checkpoint is in a folder of the first one's. Ctrl-C in the first leaves out the second.

    Arguments
    ---------
    showers
        Those to learn, as in :func:`shower_flow`.
    hidden
        Neurons of the decoder's dense layers, at least one; the encoder has them in reverse.
    channels
        Of the images.
    latent
        Numbers of the code.
    critic_hidden
        Neurons of each critic's layers.
    critics
        Weights of the critics of the shower, of the difference and of the code.
    reconstruction, beta, discrepancy
        :math:`\rho`, :math:`\beta` and :math:`\gamma`; 0 leaves a term out.
    moving
        :math:`\mu`.
    correction_epochs
        Of its training; 0: there is no correction.
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

    Reference: arXiv:1912.00830; for showers arXiv:2005.05334, arXiv:2112.09709.

    Example
    -------
    >>> import numpy as np, hepml_root as hr
    >>> random = np.random.default_rng(1)
    >>> showers = hr.data.Showers(random.exponential(0.1, (50, 504)), random.uniform(10, 100, 50), "lar-3")
    >>> generator = shower_bib_ae(showers, hidden=(8,), latent=2, channels=2, critic_hidden=(8,))
    >>> generator.sample(showers[:3], seed=1).energies.shape
    (3, 504)
    """
    positive(channels=channels, latent=latent)
    adversarial_loss(loss)
    if len(critics) != len(CRITICS) or not all(math.isfinite(one) and one > 0 for one in critics):
        raise SettingError(f"critics={critics}: a number above 0 for each of {', '.join(CRITICS)} is needed.")
    for word, value in {
        "reconstruction": reconstruction, "beta": beta, "discrepancy": discrepancy, "moving": moving,
    }.items():  # fmt: skip
        if not (math.isfinite(value) and value >= 0):
            raise SettingError(f"{word}={value}: a number from 0 on is needed.")
    if correction_epochs:
        positive(correction_epochs=correction_epochs)
    source, threshold = describe_showers(showers), threshold_of(showers, threshold)
    with seeded(seed):
        generator = ShowerBIBAE(
            source,
            threshold=threshold,
            brightest=max(float(showers.energies.max()), 2.0 * threshold),
            hidden=widths("hidden", hidden, 1),
            channels=channels,
            latent=latent,
            critic_hidden=widths("critic_hidden", critic_hidden, 1),
            critics=critics,
            reconstruction=reconstruction,
            beta=beta,
            discrepancy=discrepancy,
            moving=moving,
            correction_epochs=correction_epochs,
            loss=loss,
            name=name,
        )
    return generator.adapt(showers)
