"""Autoencoders: what cannot be squeezed through a few numbers and rebuilt is unlike what they learnt from.

Their output is the reconstruction error of each event, one number, large for what is unusual. The parts are
models of their own: :func:`encoder_of`, :func:`decoder_of`, :func:`reconstruction_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hepml_root.errors import ModelFileError, ShapeError
from hepml_root.layers.pooling import MaskedPooling
from hepml_root.models.inputs import InputBlocks, Transforms
from hepml_root.models.settings import known_activation, positive, widths

_SCORE = "reconstruction_error"
_FAR = 1e9


def autoencoder(
    data: Any,
    hidden: Sequence[int] = (64, 32),
    *,
    latent: int = 4,
    activation: str = "relu",
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "autoencoder",
) -> keras.Model:
    r"""Return a dense autoencoder, for numbers: the score is the mean squared error of the reconstruction.

    .. math:: s(x) = \frac{1}{n} \sum_{j=1}^{n} (x_j - D(E(x))_j)^2, \qquad E(x) \in R^{latent}

    The n inputs are those after the variable transforms, each with a spread of 1. Blocks of several axes are
    flattened, as in :func:`dense`. Output: ``(events, 1)``, called "score".

    Train it with ``hr.fit(model, background)``: the loss is its own output, whatever the classes are, so give
    it events of the background alone, as ``data[data.labels == 0]``. On data of two classes,
    ``hr.evaluate`` then draws how well the error tells the signal.

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()``, or ``{block: shape}``.
    hidden
        Neurons of the encoder's hidden layers; the decoder has the same in reverse.
    latent
        Numbers that an event is squeezed into.
    activation
        Of the hidden layers: any name of Keras.
    transforms
        As in :func:`dense`; without a standardisation large inputs outweigh small ones.
    inputs
        Names of the dataset's blocks to take; None: all.
    seed
        Of the initial weights.
    name
        Of the model.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range.

    Reference: arXiv:1808.08979, arXiv:1808.08992.

    Example
    -------
    >>> model = autoencoder({"features": (6,)}, hidden=(8,), latent=2)
    >>> encoder_of(model).output_shape, reconstruction_of(model).output_shape
    ((None, 2), (None, 6))
    """
    hidden = widths("hidden", hidden)
    positive(latent=latent)
    known_activation(activation)
    blocks = InputBlocks(data, transforms, inputs)
    with blocks.seeded(seed):
        x = blocks.flat()
        code = _latent(_layers(x, hidden, activation, "encoder"), latent)
        start = keras.Input((latent,), name="code")
        end = _layers(start, hidden[::-1], activation, "decoder")
        decoder = keras.Model(start, keras.layers.Dense(x.shape[-1], name="rebuilt")(end), name="decoder")
        error = ops.mean(ops.square(x - decoder(code)), axis=-1, keepdims=True)
        return _finished(blocks, error, name)


def conv_autoencoder(
    data: Any,
    filters: Sequence[int] = (16, 32),
    *,
    latent: int = 8,
    kernel: int = 3,
    hidden: Sequence[int] = (64,),
    activation: str = "relu",
    scaling: str | None = "rms",
    image: str | None = None,
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "conv_autoencoder",
) -> keras.Model:
    r"""Return a convolutional autoencoder, for images: the score is the mean squared error of the pixels.

    .. math:: s(x) = \frac{1}{HWC} \sum_{h,w,c} (x_{hwc} - D(E(x))_{hwc})^2

    The pixels are those after scaling. Input: an image ``(events, height, width, channels)``; output:
    ``(events, 1)``, called "score". Training and evaluation as for :func:`autoencoder`.

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()``, or ``{block: shape}``.
    filters
        Channels of each stage; each halves height and width on the way in, and doubles them on the way out.
    latent
        Numbers that an image is squeezed into.
    kernel
        Height and width of the filters, in pixels.
    hidden
        Neurons of the dense layers between the last maps and the latent numbers, on both sides.
    activation
        Of the hidden layers: any name of Keras.
    scaling
        Of the pixels: None, "rms" or "log" (:class:`hepml_root.layers.image.ScaleImage`).
    image
        Name of the image block, where there are several.
    inputs
        Names of the dataset's blocks to take; None: all.
    seed
        Of the initial weights.
    name
        Of the model.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range, or there is no image, or several and none was chosen.
    ShapeError
        The image is too small for so many stages.

    Reference: arXiv:1808.08979, arXiv:1808.08992.

    Example
    -------
    >>> model = conv_autoencoder({"jet_image": (10, 10, 1)}, filters=(4, 8), latent=3)
    >>> encoder_of(model).output_shape, reconstruction_of(model).output_shape
    ((None, 3), (None, 10, 10, 1))
    """
    filters, hidden = widths("filters", filters, least=1), widths("hidden", hidden)
    positive(latent=latent, kernel=kernel)
    known_activation(activation)
    blocks = InputBlocks(data, None, inputs, images=scaling)
    with blocks.seeded(seed):
        block = blocks.one_of_kind("image", image, name)
        height, width, channels = blocks.shape(block)
        if min(height, width) < 2 ** len(filters):
            raise ShapeError(
                f"an image of {height} × {width} pixels cannot be halved {len(filters)} times. "
                "Take fewer stages or more pixels."
            )
        pixels = x = blocks.tensor(block)
        for number, units in enumerate(filters, start=1):
            x = keras.layers.Conv2D(
                units, kernel, strides=2, padding="same", activation=activation,
                kernel_initializer="he_normal", name=f"conv_{number}",
            )(x)  # fmt: skip
        maps = tuple(x.shape[1:])
        code = _latent(_layers(keras.layers.Flatten(name="maps")(x), hidden, activation, "encoder"), latent)
        start = keras.Input((latent,), name="code")
        numbers = maps[0] * maps[1] * maps[2]
        y = _layers(start, (*hidden[::-1], numbers), activation, "decoder")
        y = keras.layers.Reshape(maps, name="maps")(y)
        for number, units in enumerate((*filters[-2::-1], filters[0]), start=1):
            y = keras.layers.Conv2DTranspose(
                units, kernel, strides=2, padding="same", activation=activation,
                kernel_initializer="he_normal", name=f"upward_{number}",
            )(y)  # fmt: skip
        y = keras.layers.Conv2D(channels, kernel, padding="same", name="pixels")(y)
        decoder = keras.Model(start, y[:, :height, :width], name="decoder")
        error = ops.mean(ops.square(pixels - decoder(code)), axis=(1, 2, 3))
        return _finished(blocks, ops.expand_dims(error, -1), name)


def set_autoencoder(
    data: Any,
    phi: Sequence[int] = (64, 64),
    *,
    latent: int = 8,
    hidden: Sequence[int] = (64,),
    slots: int = 16,
    activation: str = "relu",
    block: str | None = None,
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "set_autoencoder",
) -> keras.Model:
    r"""Return an autoencoder of sets: constituents in any order, compared with the nearest of those rebuilt.

    .. math:: s(x) = \frac{1}{n} \sum_{i=1}^{n} \min_j |x_i - y_j|^2
              + \frac{\sum_j p_j \min_i |x_i - y_j|^2}{\sum_j p_j}
              + \Big( \frac{\sum_j p_j - \min(n, J)}{J} \Big)^2

    Encoder: a deep set, the mean of :math:`\Phi(x_i)` over the n constituents that are there. Decoder: J
    "slots", each with the features of one constituent and the probability p that it exists. |…|² is the mean
    over the features, after their transforms. The order of the constituents does not matter, padding changes
    nothing, and an event without any has the last term alone. Input: constituents
    ``(events, constituents, features)`` with their mask; output: ``(events, 1)``, called "score". Training
    and evaluation as for :func:`autoencoder`.

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()``, or ``{block: shape}``.
    phi
        Neurons of each layer of the network of single constituents.
    latent
        Numbers that a set is squeezed into.
    hidden
        Neurons of the decoder's hidden layers.
    slots
        Constituents that the decoder rebuilds at most.
    activation
        Of the hidden layers: any name of Keras.
    block
        Name of the block of constituents, where there are several.
    transforms
        As in :func:`dense`.
    inputs
        Names of the dataset's blocks to take; None: all.
    seed
        Of the initial weights.
    name
        Of the model.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range, or there are no constituents, or several blocks and none was
        chosen.

    Reference: arXiv:1703.06114 for the encoder, arXiv:1612.00603 for the distance of sets (Chamfer).

    Example
    -------
    >>> model = set_autoencoder({"particles": (30, 4)}, slots=5, latent=3)
    >>> encoder_of(model).output_shape, reconstruction_of(model).output_shape
    ((None, 3), (None, 5, 5))
    """
    phi, hidden = widths("phi", phi, least=1), widths("hidden", hidden)
    positive(latent=latent, slots=slots)
    known_activation(activation)
    blocks = InputBlocks(data, transforms, inputs)
    with blocks.seeded(seed):
        chosen = blocks.one_of_kind("jagged", block, name)
        x, mask = blocks.tensor(chosen), blocks.mask(chosen)
        features = x.shape[-1]
        each = _layers(x, phi, activation, "encoder")
        code = _latent(MaskedPooling("mean", name="pooling")([each, mask]), latent)
        start = keras.Input((latent,), name="code")
        y = _layers(start, hidden, activation, "decoder")
        y = keras.layers.Dense(slots * (features + 1), name="rebuilt")(y)
        y = keras.layers.Reshape((slots, features + 1), name="slots")(y)
        decoder = keras.Model(start, y, name="decoder")
        return _finished(blocks, SetDistance(name="distance")([x, mask, decoder(code)]), name)


@keras.saving.register_keras_serializable(package="hepml_root")
class SetDistance(keras.layers.Layer):
    """The distance of a set of constituents from rebuilt slots: the formula of :func:`set_autoencoder`.

    Takes constituents ``(events, constituents, features)``, zero where padded, their mask
    ``(events, constituents)``, and slots ``(events, slots, features + 1)``, whose last column is the logit of
    their existence; gives ``(events, 1)``.

    Example
    -------
    >>> import numpy as np
    >>> x, mask = np.array([[[1.0], [0.0]]]), np.array([[1.0, 0.0]])
    >>> round(float(SetDistance()([x, mask, np.array([[[3.0, 50.0]]])])[0, 0]), 3)
    8.0
    """

    def call(self, inputs: Sequence[Any]) -> Any:
        x, mask, slots = inputs
        y, exists = slots[..., :-1], ops.sigmoid(slots[..., -1])
        distance = ops.mean(ops.square(ops.expand_dims(x, 2) - ops.expand_dims(y, 1)), axis=-1)
        number = ops.sum(mask, axis=1)
        to_slots = ops.sum(mask * ops.min(distance, axis=2), axis=1) / ops.maximum(number, 1.0)
        there = ops.expand_dims(mask, 2) > 0.5
        nearest = ops.min(ops.where(there, distance, ops.full_like(distance, _FAR)), axis=1)
        nearest = ops.where(ops.expand_dims(number, 1) > 0.5, nearest, ops.zeros_like(nearest))
        expected = ops.sum(exists, axis=1)
        to_set = ops.sum(exists * nearest, axis=1) / (expected + 1e-6)
        most = float(slots.shape[1])
        count = ops.square((expected - ops.minimum(number, most)) / most)
        return ops.expand_dims(to_slots + to_set + count, -1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (input_shape[0][0], 1)


def encoder_of(model: keras.Model) -> keras.Model:
    """Return the encoder of an autoencoder: its inputs to the latent numbers ``(events, latent)``.

    Weights are shared with the model. Also for one that was loaded from a file.

    Raises
    ------
    ModelFileError
        The model is no autoencoder of this package.
    """
    return keras.Model(model.input, _part(model, "latent").output, name=f"{model.name}_encoder")


def decoder_of(model: keras.Model) -> keras.Model:
    """Return the decoder of an autoencoder: latent numbers ``(events, latent)`` to what it rebuilds.

    That is in the units of the network, after the transforms of the inputs. Weights are shared.

    Raises
    ------
    ModelFileError
        The model is no autoencoder of this package.
    """
    return _part(model, "decoder")


def reconstruction_of(model: keras.Model) -> keras.Model:
    """Return the model from an autoencoder's inputs to what it rebuilds of them, after their transforms.

    Shapes as the inputs, flattened for :func:`autoencoder`; for sets ``(events, slots, features + 1)``.

    Raises
    ------
    ModelFileError
        The model is no autoencoder of this package.
    """
    rebuilt = decoder_of(model)(_part(model, "latent").output)
    return keras.Model(model.input, rebuilt, name=f"{model.name}_reconstruction")


def _part(model: keras.Model, name: str) -> Any:
    try:
        return model.get_layer(name)
    except ValueError:
        raise ModelFileError(
            f"the model '{model.name}' is no autoencoder: it has no part '{name}'."
        ) from None


def _layers(x: Any, units: Sequence[int], activation: str, name: str) -> Any:
    for number, width in enumerate(units, start=1):
        x = keras.layers.Dense(
            width, activation=activation, kernel_initializer="he_normal", name=f"{name}_{number}"
        )(x)
    return x


def _latent(x: Any, units: int) -> Any:
    return keras.layers.Dense(units, name="latent")(x)


def _finished(blocks: InputBlocks, error: Any, name: str) -> keras.Model:
    """Return the model whose score is the error: for two classes it ranks signal, else it is a regression."""
    words: dict[str, Any] = {"loss": "mean_score", "score": _SCORE}
    labels = [str(blocks.description.get("signal") or "signal")]
    if blocks.description["task"] != "binary":
        labels = [_SCORE]
        words |= {"task": "regression", "classes": [], "signal": None}
        words["targets"] = [{"label": _SCORE, "expression": _SCORE, "units": ""}]
    words["outputs"] = [{"name": "score", "shape": [1], "labels": labels}]
    return blocks.finish(error, name, words)
