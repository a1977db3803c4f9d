"""Particle Transformer: attention among a jet's constituents that knows the kinematics of each pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from hepml_root.errors import SettingError
from hepml_root.layers.attention import MaskBias
from hepml_root.layers.masked_normalization import MaskedBatchNormalization
from hepml_root.layers.pairwise import PairBias, PairKinematics
from hepml_root.layers.particle_attention import ClassAttentionBlock, ClassToken, ParticleAttentionBlock
from hepml_root.models.constituents import Constituents
from hepml_root.models.inputs import InputBlocks, Transforms
from hepml_root.models.settings import fraction, known_activation, positive, widths

#: Settings of the published network: 2.14 M parameters with the 17 features and 10 classes of JetClass.
PUBLISHED: dict[str, Any] = {
    "units": 128,
    "heads": 8,
    "blocks": 8,
    "class_blocks": 2,
    "embedding": (128, 512),
    "expansion": 4,
    "pair_widths": (64, 64, 64),
    "dropout": 0.1,
    "activation": "gelu",
}


def particle_transformer(
    data: Any,
    units: int = 64,
    *,
    heads: int = 4,
    blocks: int = 3,
    class_blocks: int = 1,
    embedding: Sequence[int] = (64,),
    expansion: int = 2,
    pair_widths: Sequence[int] | None = (16,),
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    activation: str = "relu",
    coordinates: Sequence[str] | None = None,
    pt: str | None = None,
    features: Sequence[str] | None = None,
    block: str | None = None,
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "particle_transformer",
) -> keras.Model:
    r"""Return a Particle Transformer.

    .. math:: \mathrm{P\text{-}MHA}(Q, K, V) = \mathrm{softmax}\Big(\frac{Q K^T}{\sqrt{d}} + U\Big) V, \qquad
        U_{ab} = f(\ln \Delta_{ab}, \ln k_{T,ab}, \ln z_{ab}, \ln m^2_{ab})

    Particles are embedded, pass blocks of attention with the pairs' kinematics as a bias, and are summed up
    by a class token that attends to them. By default a small network for CPUs (0.14 M parameters and
    13.5 MFLOP with 48 constituents of 7 features); ``particle_transformer(data, **PUBLISHED)`` is the
    published one (2.14 M parameters).

    Takes the constituents ``(events, constituents, features)`` and their mask; "features" and "parameters"
    join after the class attention. The pairs' features are computed inside from raw columns. Padding changes
    nothing.

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()`` dictionary, or ``{block: shape}`` with labels.
    units
        Width of a particle's embedding.
    heads
        Of all attention; ``units`` is a multiple of it.
    blocks, class_blocks
        Blocks of attention among particles, and of the class token to them.
    embedding
        Neurons of the layers of the embedding before the last, which has ``units``.
    expansion
        Width of the feed-forward networks, in ``units``.
    pair_widths
        Neurons of the hidden layers of f; None: no bias from pairs, and no need for kinematic columns.
    hidden
        Neurons of the layers after the class attention.
    dropout
        In the blocks among particles and after ``hidden``; class attention has none, as published.
    activation
        Any name of Keras. Published "gelu"; "relu" is a little faster on CPUs.
    coordinates
        Labels of the two columns of direction [rad]; None: "delta_eta" and "delta_phi", else "eta" and "phi".
    pt
        Label of the column of transverse momenta [GeV]; None: "pt", or exp("log_pt"), or the fractions. Where
        "mass" and "eta" are columns too, pairs get the exact invariant mass, else that of massless particles.
    features
        Labels of the columns that the network is given; None: all of the block.
    block
        Name of the block of constituents; None: the only one.
    transforms, inputs
        See :class:`~hepml_root.models.inputs.InputBlocks`.
    seed
        Of the initial weights and of dropout; None for different ones each time.
    name
        Of the model.

    Raises
    ------
    SettingError
        A setting is out of its range, or a column is missing.

    Reference: arXiv:2202.03772.

    Example
    -------
    >>> import hepml_root as hr
    >>> shapes = {"particles": (20, ["pt", "delta_eta", "delta_phi"])}
    >>> hr.models.particle_transformer(shapes, units=16, blocks=1).output.shape
    (None, 1)
    """
    positive(units=units, heads=heads, class_blocks=class_blocks, expansion=expansion)
    if blocks < 0:
        raise SettingError(f"blocks={blocks}: a whole number from 0 is needed.")
    embedding, hidden = widths("embedding", embedding), widths("hidden", hidden)
    fraction(dropout=dropout)
    known_activation(activation)
    ends = InputBlocks(data, transforms, inputs)
    with ends.seeded(seed):
        particles = Constituents(ends, block, features, "particle_transformer")
        mask = particles.mask
        norm = keras.layers.LayerNormalization
        x = MaskedBatchNormalization(name="embedding_norm")([particles.values, mask])
        for number, width in enumerate((*embedding, units), start=1):
            # Not on the inputs, which the authors' code normalises too (34 of 2.14 M parameters): over a
            # handful of columns that would lose two of them.
            if number > 1:
                x = norm(epsilon=1e-5, name=f"embedding_norm_{number}")(x)
            x = keras.layers.Dense(width, activation=activation, name=f"embedding_{number}")(x)
        if pair_widths is None:
            bias = MaskBias(name="bias")(mask)
        else:
            pairs = _pairs(particles, coordinates, pt)
            pair_widths = widths("pair_widths", pair_widths)
            network = PairBias(pair_widths, heads, activation, name="pair_bias")
            bias = MaskBias(name="bias")([mask, network([pairs, mask])])
        inside = expansion * units
        for number in range(1, blocks + 1):
            layer = ParticleAttentionBlock(units, heads, inside, dropout, activation, name=f"block_{number}")
            x = layer([x, bias, mask])
        token = ClassToken(units, name="class_token")(mask)
        for number in range(1, class_blocks + 1):
            layer = ClassAttentionBlock(units, heads, inside, 0.0, activation, name=f"class_block_{number}")
            token = layer([token, x, mask])
        token = norm(epsilon=1e-5, name="class_norm")(token)
        pooled = keras.layers.Reshape((units,), name="summary")(token)
        head = ends.head(pooled, hidden, activation=activation, dropout=dropout)
        return ends.model(head, name)


def _pairs(particles: Constituents, coordinates: Sequence[str] | None, pt: str | None) -> Any:
    """Return the kinematics of all pairs, from what columns there are."""
    if coordinates is None:
        absolute = particles.has("eta", "phi") and not particles.has("delta_eta", "delta_phi")
        coordinates = ("eta", "phi") if absolute else ("delta_eta", "delta_phi")
    if len(coordinates) != 2:
        raise SettingError(f"coordinates={coordinates!r}: two columns are needed, η and φ.")
    columns = [particles.raw(coordinates, "coordinates"), particles.transverse_momentum(pt)]
    # Fractions of the jet's momentum have another unit than masses.
    if particles.has("mass", "eta") and (pt is not None or particles.has("pt") or particles.has("log_pt")):
        columns.append(particles.raw(["mass", "eta"], "mass"))
    return PairKinematics(wrap=coordinates[1] == "phi", name="pairs")(columns)
