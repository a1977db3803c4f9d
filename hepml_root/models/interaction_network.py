"""Interaction networks: message passing among the constituents of a jet or event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from hepml_root.errors import SettingError
from hepml_root.layers.message_passing import Messages
from hepml_root.layers.pooling import MaskedPooling
from hepml_root.models.constituents import Constituents
from hepml_root.models.inputs import InputBlocks, Transforms
from hepml_root.models.settings import fraction, known_activation, one_of, positive, widths

GRAPHS = ("auto", "all", "given")

# Constituents of a typical jet: sums over them are brought to the size of one.
_TYPICAL = 32


def interaction_network(
    data: Any,
    relation: Sequence[int] = (32, 32, 16),
    objects: Sequence[int] = (64, 32),
    *,
    hidden: Sequence[int] = (64,),
    rounds: int = 1,
    graph: str = "auto",
    activation: str = "relu",
    dropout: float = 0.0,
    features: Sequence[str] | None = None,
    block: str | None = None,
    pooling: str = "sum",
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "interaction_network",
) -> keras.Model:
    r"""Return an interaction network: each constituent learns from messages of the others.

    .. math:: E_i = \sum_{j} f_R(x_i, x_j), \qquad o_i = f_O(x_i, E_i), \qquad y = F\Big( \sum_i o_i \Big)

    Messages pass between all ordered pairs of constituents, or along the edges of the dataset's own graph
    (blocks ``…_neighbours`` and ``…_edges``), whose pair features then enter f_R as well. With several
    ``rounds``, o takes the place of x and messages pass again, with new networks. Both sums are divided by
    32, which weights can undo: on the messages of a whole jet, networks would start saturated.

    Takes the constituents ``(events, constituents, features)``, their mask, and the graph; "features" and
    "parameters" join before F. Padding changes nothing.

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()`` dictionary, or ``{block: shape}``.
    relation
        Neurons of the layers of f_R; the last is the length of a message.
    objects
        Neurons of the layers of f_O.
    hidden
        Neurons of the hidden layers of F.
    rounds
        How often messages pass.
    graph
        "all" pairs, the "given" graph, or "auto": the given one where there is one.
    activation
        Of all hidden layers: any name of Keras.
    dropout
        After each layer of F.
    features
        Labels of the columns that the network is given; None: all of the block.
    block
        Name of the block of constituents; None: the only one.
    pooling
        "sum" as published, "mean" or "max".
    transforms, inputs
        See :class:`~hepml_root.models.inputs.InputBlocks`.
    seed
        Of the initial weights and of dropout; None for different ones each time.
    name
        Of the model.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range, or a given graph was asked for and there is none.

    Reference: arXiv:1908.05318 (JEDI-net); arXiv:1612.00222.

    Example
    -------
    >>> import hepml_root as hr
    >>> hr.models.interaction_network({"particles": (20, 4)}, relation=(8, 4), objects=(8,)).output.shape
    (None, 1)
    """
    relation, objects = widths("relation", relation, least=1), widths("objects", objects, least=1)
    hidden = widths("hidden", hidden)
    positive(rounds=rounds)
    fraction(dropout=dropout)
    known_activation(activation)
    one_of("graph", graph, GRAPHS)
    blocks = InputBlocks(data, transforms, inputs)
    with blocks.seeded(seed):
        particles = Constituents(blocks, block, features, "interaction_network")
        x, mask = particles.values, particles.mask
        edges = [] if graph == "all" else _given_graph(blocks, particles.name)
        if graph == "given" and not edges:
            raise SettingError(
                f"interaction_network: the data have no graph of '{particles.name}'. Read one with "
                "hr.representations, or let all pairs interact: graph='all'."
            )
        for number in range(1, rounds + 1):
            messages = Messages(relation, activation, name=f"messages_{number}")([x, mask, *edges])
            messages = messages / _TYPICAL
            x = keras.layers.Concatenate(name=f"received_{number}")([x, messages])
            for layer, units in enumerate(objects, start=1):
                x = keras.layers.Dense(
                    units,
                    activation=activation,
                    kernel_initializer="he_normal",
                    name=f"object_{number}_{layer}",
                )(x)
        pooled = MaskedPooling(pooling, name="pooling")([x, mask])
        if pooling == "sum":
            pooled = pooled / _TYPICAL
        head = blocks.head(pooled, hidden, activation=activation, dropout=dropout)
        return blocks.model(head, name)


def _given_graph(blocks: InputBlocks, name: str) -> list[Any]:
    """Return positions of neighbours, which of them are there, and pair features; nothing without a graph."""
    index, edges = f"{name}_neighbours", f"{name}_edges"
    if index not in blocks.of_kind("index") or edges not in blocks.of_kind("edges"):
        return []
    return [blocks.tensor(index), blocks.mask(edges), blocks.tensor(edges)]
