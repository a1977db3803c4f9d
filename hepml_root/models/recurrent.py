"""Recurrent networks on sequences: constituents in an order, read one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.models.inputs import InputBlocks, Transforms
from hepml_root.models.settings import fraction, widths


@keras.saving.register_keras_serializable(package="hepml_root")
class MaskedLSTM(keras.layers.LSTM):
    """The LSTM of Keras, with any mask on any machine.

    cuDNN, which Keras takes on GPUs, refuses a batch with an event that has no constituent; and the choice
    not to take it is lost when a model is saved. Arguments, shapes and weights are those of Keras.

    Example
    -------
    >>> import numpy as np
    >>> MaskedLSTM(4)(np.ones((2, 5, 3)), mask=np.zeros((2, 5), bool)).numpy().any()
    np.False_
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "use_cudnn": False})


@keras.saving.register_keras_serializable(package="hepml_root")
class MaskedGRU(keras.layers.GRU):
    """The GRU of Keras, with any mask on any machine: see :class:`MaskedLSTM`.

    Example
    -------
    >>> import numpy as np
    >>> MaskedGRU(4)(np.ones((2, 5, 3)), mask=np.zeros((2, 5), bool)).numpy().any()
    np.False_
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "use_cudnn": False})


def lstm(
    data: Any,
    units: Sequence[int] = (64,),
    *,
    bidirectional: bool = False,
    hidden: Sequence[int] = (64,),
    activation: str = "relu",
    dropout: float = 0.0,
    sequence: str | None = None,
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "lstm",
) -> keras.Model:
    r"""Return a network of long short-term memories for sequences.

    .. math:: i, f, o = \sigma(W x_t + U h_{t-1} + b), \quad
              c_t = f c_{t-1} + i \tanh(W_c x_t + U_c h_{t-1} + b_c), \quad h_t = o \tanh(c_t)

    Input: constituents ``(events, constituents, features)`` in the order in which they are to be read, such
    as falling p_T or the clustering history, with their mask; "features" and "parameters" join at the head.
    Where the mask is 0 the state stays as it is, exactly: padding changes nothing, and an event without
    constituents has the state zero. Output: ``(events, outputs)``, called "score".

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()``, or ``{block: shape}``.
    units
        Size of the state of each layer, one on top of the other.
    bidirectional
        Read each sequence from both ends, and join the two states.
    hidden
        Neurons of each layer of the head, which sees the last state.
    activation
        Of the head.
    dropout
        Fraction of the states between layers and of the head's neurons left out in each training step.
    sequence
        Name of the block of constituents, where there are several.
    transforms
        Of constituents and numbers, as in :func:`dense`.
    inputs
        Names of the dataset's blocks to take; None: all.
    seed
        Of the initial weights and of dropout.
    name
        Of the model.

    Raises
    ------
    SettingError
        A setting is out of its range, or there are no constituents, or several blocks and none was chosen.

    Reference: for jets arXiv:1607.08633 and arXiv:1711.09059.

    Example
    -------
    >>> model = lstm({"particles": (30, 4)}, units=(8, 8), hidden=())
    >>> [layer.count_params() for layer in model.layers if "lstm" in layer.name]
    [416, 544]
    """
    return _recurrent(
        MaskedLSTM, "lstm", data, units, bidirectional, hidden, activation, dropout, sequence, transforms,
        inputs, seed, name,
    )  # fmt: skip


def gru(
    data: Any,
    units: Sequence[int] = (64,),
    *,
    bidirectional: bool = False,
    hidden: Sequence[int] = (64,),
    activation: str = "relu",
    dropout: float = 0.0,
    sequence: str | None = None,
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "gru",
) -> keras.Model:
    r"""Return a network of gated recurrent units for sequences: as :func:`lstm`, with one state and fewer
    weights.

    .. math:: z, r = \sigma(W x_t + U h_{t-1} + b), \quad
              h_t = z h_{t-1} + (1 - z) \tanh(W_h x_t + r (U_h h_{t-1} + c) + b_h)

    Shapes, masks, arguments and errors are those of :func:`lstm`.

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()``, or ``{block: shape}``.
    units
        Size of the state of each layer, one on top of the other.
    bidirectional
        Read each sequence from both ends, and join the two states.
    hidden
        Neurons of each layer of the head, which sees the last state.
    activation
        Of the head.
    dropout
        Fraction of the states between layers and of the head's neurons left out in each training step.
    sequence
        Name of the block of constituents, where there are several.
    transforms
        Of constituents and numbers, as in :func:`dense`.
    inputs
        Names of the dataset's blocks to take; None: all.
    seed
        Of the initial weights and of dropout.
    name
        Of the model.

    Raises
    ------
    SettingError
        A setting is out of its range, or there are no constituents, or several blocks and none was chosen.

    Reference: arXiv:1406.1078.

    Example
    -------
    >>> model = gru({"particles": (30, 4)}, units=(8,), bidirectional=True, hidden=())
    >>> tuple(model.get_layer("output").kernel.shape)
    (16, 1)
    """
    return _recurrent(
        MaskedGRU, "gru", data, units, bidirectional, hidden, activation, dropout, sequence, transforms,
        inputs, seed, name,
    )  # fmt: skip


def _recurrent(
    layer: Any,
    kind: str,
    data: Any,
    units: Sequence[int],
    bidirectional: bool,
    hidden: Sequence[int],
    activation: str,
    dropout: float,
    sequence: str | None,
    transforms: Transforms,
    inputs: Sequence[str] | None,
    seed: int | None,
    name: str,
) -> keras.Model:
    states = widths("units", units, least=1)
    fraction(dropout=dropout)
    blocks = InputBlocks(data, transforms, inputs)
    with blocks.seeded(seed):
        block = blocks.one_of_kind("jagged", sequence, name)
        x = blocks.tensor(block)
        there = ops.greater(blocks.mask(block), 0.5)
        for number, size in enumerate(states, start=1):
            label = f"{kind}_{number}"
            last = number == len(states)
            one = layer(size, return_sequences=not last, name=label)
            if bidirectional:
                one = keras.layers.Bidirectional(one, name=label)
            x = one(x, mask=there)
            if dropout and not last:
                x = keras.layers.Dropout(dropout, name=f"dropout_{number}")(x)
        x = blocks.head(x, hidden, activation=activation, dropout=dropout)
        return blocks.model(x, name)
