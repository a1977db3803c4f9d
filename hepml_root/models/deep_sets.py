"""Deep sets of particles: particle-flow networks and infrared- and collinear-safe energy-flow networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from hepml_root.layers.linear import Standardise
from hepml_root.layers.pooling import AttentionPooling, MaskedPooling, WeightedPooling
from hepml_root.models.constituents import Constituents
from hepml_root.models.inputs import InputBlocks, Transforms
from hepml_root.models.settings import fraction, known_activation, one_of, widths

_POOLINGS = ("sum", "mean", "max", "attention")

#: Widths of the published networks: 82 k parameters with three columns (PFN) or two (EFN), arXiv:1902.09914.
PUBLISHED: dict[str, Any] = {"phi": (100, 100, 256), "hidden": (100, 100, 100)}


def pfn(
    data: Any,
    phi: Sequence[int] = (100, 100, 256),
    hidden: Sequence[int] = (100, 100, 100),
    *,
    activation: str = "relu",
    pooling: str = "sum",
    dropout: float = 0.0,
    features: Sequence[str] | None = None,
    block: str | None = None,
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "pfn",
) -> keras.Model:
    r"""Return a particle-flow network: a deep set of a jet's or event's constituents.

    .. math:: y = F\Big( \sum_i \Phi(x_i) \Big)

    Any function of a set can be written so. :math:`\Phi` and F are multilayer perceptrons; by default with
    the published widths (82 k parameters).

    Takes the constituents ``(events, constituents, features)`` and their mask; "features" and "parameters"
    join before F. Padding changes nothing.

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()`` dictionary, or ``{block: shape}``.
    phi
        Neurons of each layer of :math:`\Phi`.
    hidden
        Neurons of each hidden layer of F.
    activation
        Of all hidden layers: any name of Keras.
    pooling
        "sum" as published, "mean", "max", or "attention" (weights learnt from the constituents).
    dropout
        After each layer of F.
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
        A setting is unknown or out of its range.

    Reference: arXiv:1810.05165; arXiv:1703.06114 for deep sets.

    Example
    -------
    >>> import hepml_root as hr
    >>> hr.models.pfn({"particles": (30, 3)}).count_params()
    82363
    """
    phi, hidden = widths("phi", phi, least=1), widths("hidden", hidden)
    fraction(dropout=dropout)
    known_activation(activation)
    one_of("pooling", pooling, _POOLINGS)
    blocks = InputBlocks(data, transforms, inputs)
    with blocks.seeded(seed):
        particles = Constituents(blocks, block, features, "pfn")
        x = particles.values
        for number, units in enumerate(phi, start=1):
            x = _dense(units, activation, f"phi_{number}")(x)
        pool = (
            AttentionPooling(name="pooling")
            if pooling == "attention"
            else MaskedPooling(pooling, name="pooling")
        )
        head = blocks.head(pool([x, particles.mask]), hidden, activation=activation, dropout=dropout)
        return blocks.model(head, name)


def efn(
    data: Any,
    phi: Sequence[int] = (100, 100, 256),
    hidden: Sequence[int] = (100, 100, 100),
    *,
    activation: str = "relu",
    dropout: float = 0.0,
    coordinates: Sequence[str] = ("delta_eta", "delta_phi"),
    pt: str | None = None,
    block: str | None = None,
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "efn",
) -> keras.Model:
    r"""Return an energy-flow network: infrared- and collinear-safe by its form.

    .. math:: y = F\Big( \sum_i z_i \, \Phi(\hat p_i) \Big), \qquad z_i = \frac{p_{T,i}}{\sum_j p_{T,j}}

    The network :math:`\Phi` of each constituent sees its direction alone, and the momenta enter as weights
    only. So a constituent that splits into two of the same direction changes nothing, and a soft one of
    fraction z changes each of the sums by at most :math:`2 z \max|\Phi|`. Each output of :math:`\Phi` is a
    picture in the plane of directions, a filter: :func:`hepml_root.evaluation.plot_filters` draws them.

    Takes the constituents ``(events, constituents, features)`` and their mask; of their columns it uses
    ``coordinates`` and ``pt`` only. "features" and "parameters" join before F, and the whole is as safe as
    these are. Likewise a limited number of constituents is only safe while none is cut off.

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()`` dictionary, or ``{block: shape}`` with labels.
    phi
        Neurons of each layer of :math:`\Phi`; the last is the number of filters.
    hidden
        Neurons of each hidden layer of F.
    activation
        Of all hidden layers: any name of Keras.
    dropout
        After each layer of F.
    coordinates
        Labels of the columns of the direction [rad], or of one of them. They are standardised, whatever
        ``transforms`` says. An absolute φ has a seam at ±π that Φ does not know of: take Δφ.
    pt
        Label of the column of the weights, raw; None: "pt", or exp("log_pt"), or the fractions.
    block
        Name of the block of constituents; None: the only one.
    transforms, inputs
        See :class:`~hepml_root.models.inputs.InputBlocks`; the transforms are those of "features" and
        "parameters".
    seed
        Of the initial weights and of dropout; None for different ones each time.
    name
        Of the model.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range, or a column is missing.

    Reference: arXiv:1810.05165.

    Example
    -------
    >>> import hepml_root as hr
    >>> model = hr.models.efn({"particles": (30, ["pt", "delta_eta", "delta_phi"])})
    >>> sum(weight.numpy().size for weight in model.trainable_weights)
    82257
    """
    phi, hidden = widths("phi", phi, least=1), widths("hidden", hidden)
    fraction(dropout=dropout)
    known_activation(activation)
    coordinates = (coordinates,) if isinstance(coordinates, str) else tuple(coordinates)
    blocks = InputBlocks(data, transforms, inputs)
    with blocks.seeded(seed):
        particles = Constituents(blocks, block, None, "efn")
        direction = particles.raw(coordinates, "coordinates")
        scale = Standardise(name="direction")
        if blocks.data is not None:
            data_block = np.asarray(blocks.data.X[particles.name])
            columns = [particles.labels.index(label) for label in coordinates]
            mask = np.asarray(blocks.data.X[f"{particles.name}_mask"])
            scale.adapt(data_block[..., columns], np.asarray(blocks.data.training_weight), mask)
        # One layer from the direction to the filters, so that they can be drawn.
        filters = keras.Sequential(
            [keras.Input((None, len(coordinates))), scale]
            + [_dense(units, activation, f"phi_{number}") for number, units in enumerate(phi, start=1)],
            name="filters",
        )
        weight = keras.layers.Reshape((-1,), name="weight")(particles.transverse_momentum(pt))
        pooled = WeightedPooling(name="pooling")([filters(direction), weight, particles.mask])
        head = blocks.head(pooled, hidden, activation=activation, dropout=dropout)
        return blocks.model(head, name)


def _dense(units: int, activation: str, name: str) -> keras.layers.Layer:
    return keras.layers.Dense(units, activation=activation, kernel_initializer="he_normal", name=name)
