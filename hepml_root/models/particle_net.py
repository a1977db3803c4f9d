"""ParticleNet: dynamic graph convolutions on the cloud of a jet's constituents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from hepml_root.errors import SettingError
from hepml_root.layers.edge_conv import EdgeConv
from hepml_root.layers.neighbours import NearestNeighbours
from hepml_root.layers.pooling import MaskedPooling
from hepml_root.models.constituents import Constituents
from hepml_root.models.inputs import InputBlocks, Transforms
from hepml_root.models.settings import fraction, known_activation, positive, widths

#: Settings of the published networks: 366 k and 26 k parameters with the seven features of arXiv:1902.08570.
PUBLISHED: dict[str, dict[str, Any]] = {
    "full": {
        "channels": ((64, 64, 64), (128, 128, 128), (256, 256, 256)),
        "k": 16,
        "hidden": (256,),
        "dropout": 0.1,
    },
    "lite": {"channels": ((32, 32, 32), (64, 64, 64)), "k": 7, "hidden": (128,), "dropout": 0.1},
}


def particle_net(
    data: Any,
    channels: Sequence[Sequence[int]] = ((32, 32, 32), (64, 64, 64)),
    *,
    k: int = 7,
    hidden: Sequence[int] = (128,),
    dropout: float = 0.1,
    activation: str = "relu",
    coordinates: Sequence[str] = ("delta_eta", "delta_phi"),
    features: Sequence[str] | None = None,
    block: str | None = None,
    pooling: str = "mean",
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "particle_net",
) -> keras.Model:
    r"""Return ParticleNet: edge convolutions over the k nearest neighbours, found anew before each.

    .. math:: x_i^{l+1} = a\Big( \frac{1}{k} \sum_{j \in \mathrm{kNN}_l(i)} h_l(x_i^l, x_j^l - x_i^l)
        + S_l x_i^l \Big), \qquad y = F\Big( \frac{1}{n} \sum_i x_i^L \Big)

    The first neighbours are those in the plane of ``coordinates`` [rad]; those of later layers are nearest in
    the features that the layer before has learnt. By default it is the published ParticleNet-Lite (26 k
    parameters); ``particle_net(data, **PUBLISHED["full"])`` is the full one (366 k).

    Takes the constituents ``(events, constituents, features)`` and their mask; "features" and "parameters"
    join after the pooling. Padding changes nothing, in the statistics of training too: neighbours are only
    those that are there, and a jet with n < k + 1 constituents has n - 1 neighbours for each. (In
    the authors' code padding fills up the neighbours, and enters the statistics of training.)

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()`` dictionary, or ``{block: shape}`` with labels.
    channels
        Widths of the layers of h for each edge convolution.
    k
        Neighbours.
    hidden
        Neurons of the layers after the pooling.
    dropout
        After each of these.
    activation
        Any name of Keras that maps 0 to 0.
    coordinates
        Labels of the columns in which the first neighbours are near. Differences are taken as they are: an
        absolute φ has a seam at ±π, so take Δφ.
    features
        Labels of the columns that the network is given; None: all of the block.
    block
        Name of the block of constituents; None: the only one.
    pooling
        "mean" as published, "sum" or "max".
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

    Reference: arXiv:1902.08570.

    Example
    -------
    >>> import hepml_root as hr
    >>> labels = ["delta_eta", "delta_phi", "log_pt", "log_energy", "log_pt_fraction",
    ...           "log_energy_fraction", "delta_r"]
    >>> model = hr.models.particle_net({"particles": (20, labels)})
    >>> sum(int(weight.shape.num_elements()) for weight in model.trainable_weights)
    26273
    """
    if not channels or isinstance(channels[0], int):
        raise SettingError(
            f"channels={channels!r}: widths for each edge convolution, as ((32, 32), (64, 64))."
        )
    channels = [widths("channels", each, least=1) for each in channels]
    positive(k=k)
    hidden = widths("hidden", hidden)
    fraction(dropout=dropout)
    known_activation(activation)
    blocks = InputBlocks(data, transforms, inputs)
    with blocks.seeded(seed):
        particles = Constituents(blocks, block, features, "particle_net")
        points, x, mask = particles.raw(coordinates, "coordinates"), particles.values, particles.mask
        for number, each in enumerate(channels, start=1):
            index, there = NearestNeighbours(k, name=f"neighbours_{number}")([points, mask])
            x = EdgeConv(each, activation, name=f"edge_conv_{number}")([x, index, there, mask])
            points = x
        pooled = MaskedPooling(pooling, name="pooling")([x, mask])
        head = blocks.head(pooled, hidden, activation=activation, dropout=dropout)
        return blocks.model(head, name)
