"""Set transformer: attention among the constituents, pooled by attention, with no kinematics built in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from hepml_root.errors import SettingError
from hepml_root.layers.particle_attention import ClassToken
from hepml_root.layers.set_attention import InducedSetBlock, SetBlock
from hepml_root.models.constituents import Constituents
from hepml_root.models.inputs import InputBlocks, Transforms
from hepml_root.models.settings import fraction, known_activation, positive, widths


def set_transformer(
    data: Any,
    units: int = 64,
    *,
    heads: int = 4,
    blocks: int = 2,
    points: int = 16,
    seeds: int = 1,
    hidden: Sequence[int] = (64,),
    activation: str = "relu",
    dropout: float = 0.0,
    norm: bool = True,
    features: Sequence[str] | None = None,
    block: str | None = None,
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "set_transformer",
) -> keras.Model:
    r"""Return a set transformer.

    .. math:: y = F(\mathrm{PMA}(\mathrm{ISAB}^L(W x))), \qquad \mathrm{PMA}(Z) = \mathrm{MAB}(S, Z)

    Constituents attend to one another, by way of a few learnt points (ISAB) or directly (SAB), and learnt
    seeds S attend to them to sum up the event (PMA). The published PMA has one more layer on Z, and attention
    among several seeds after it; here F follows at once.

    Takes the constituents ``(events, constituents, features)`` and their mask; "features" and "parameters"
    join before F. Padding changes nothing.

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()`` dictionary, or ``{block: shape}``.
    units
        Width of a constituent's embedding.
    heads
        Of all attention; ``units`` is a multiple of it.
    blocks
        Attention blocks among the constituents.
    points
        Learnt points of each ISAB; 0: SAB, attention of all pairs.
    seeds
        Learnt seeds of the pooling; their answers stand side by side before F.
    hidden
        Neurons of the hidden layers of F.
    activation
        Of all hidden layers: any name of Keras.
    dropout
        After each layer of F.
    norm
        Layer normalisations.
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
        A setting is out of its range.

    Reference: arXiv:1810.00825.

    Example
    -------
    >>> import hepml_root as hr
    >>> hr.models.set_transformer({"particles": (20, 4)}, units=16, blocks=1).output.shape
    (None, 1)
    """
    positive(units=units, heads=heads, blocks=blocks, seeds=seeds)
    if isinstance(points, bool) or int(points) != points or points < 0:
        raise SettingError(f"points={points!r}: a whole number from 0 is needed.")
    hidden = widths("hidden", hidden)
    fraction(dropout=dropout)
    known_activation(activation)
    ends = InputBlocks(data, transforms, inputs)
    with ends.seeded(seed):
        particles = Constituents(ends, block, features, "set_transformer")
        mask = particles.mask
        x = keras.layers.Dense(units, name="embedding")(particles.values)
        for number in range(1, blocks + 1):
            x = InducedSetBlock(units, heads, points, activation, norm, name=f"block_{number}")([x, mask])
        pooled = SetBlock(units, heads, activation, norm, name="pooling")(
            [ClassToken(units, seeds, spread=1.0, name="seeds")(mask), x, mask]
        )
        pooled = keras.layers.Flatten(name="summary")(pooled)
        head = ends.head(pooled, hidden, activation=activation, dropout=dropout)
        return ends.model(head, name)
