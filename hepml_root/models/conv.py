"""Convolutional networks for images of jets, events and calorimeters: a plain one, and one with shortcuts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from hepml_root.errors import SettingError, ShapeError
from hepml_root.models.inputs import InputBlocks, Transforms
from hepml_root.models.settings import fraction, known_activation, one_of, positive, widths

_BORDERS = ("same", "valid")
_GROUP_CHANNELS = 8


def cnn(
    data: Any,
    filters: Sequence[Sequence[int]] = ((16, 16), (32, 32)),
    *,
    kernel: int = 3,
    borders: str | Sequence[str] = "same",
    pooling: str = "max",
    reduce: str = "flatten",
    hidden: Sequence[int] = (64,),
    activation: str = "relu",
    normalisation: str | None = None,
    dropout: float = 0.0,
    scaling: str | None = "rms",
    image: str | None = None,
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "cnn",
) -> keras.Model:
    r"""Return a convolutional network for images: stages of convolutions, each ended by pooling, then a head.

    .. math:: h_{l+1} = a(W_l * h_l + b_l), \qquad (W * h)_{xyc} = \sum_{ijk} W_{ijkc} \, h_{x+i, y+j, k}

    Input: an image ``(events, height, width, channels)``; "features" and "parameters" ``(events, numbers)``
    join it at the head. Output: ``(events, outputs)``, called "score". Pixels are in any units; their scale
    is learnt from the training images.

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()``, or ``{block: shape}``.
    filters
        Channels of each convolution, in stages: ((16, 16), (32, 32)) is two convolutions, pooling, two more,
        pooling. Each pooling halves height and width.
    kernel
        Height and width of the filters, in pixels.
    borders
        "same": images keep their size, with zeros beyond the border; "valid": they lose ``kernel - 1``
        pixels. One for all stages, or one for each.
    pooling
        "max" or "average", over 2 × 2 pixels.
    reduce
        What the head sees of the last maps: "flatten", all of them, or "average", the mean of each channel.
    hidden
        Neurons of each layer of the head.
    activation
        Of all layers: any name of Keras.
    normalisation
        After each convolution: None, "batch", or "group" (groups of 8 channels, independent of other events).
    dropout
        Fraction of the head's neurons left out in each training step.
    scaling
        Of the pixels: None, "rms" or "log" (:class:`hepml_root.layers.image.ScaleImage`).
    image
        Name of the image block, where there are several.
    transforms
        Of numbers, and of channels that are named in a dictionary, as in :func:`dense`.
    inputs
        Names of the dataset's blocks to take; None: all.
    seed
        Of the initial weights and of dropout.
    name
        Of the model.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range, or there is no image, or several and none was chosen.
    ShapeError
        The image is too small for so many stages.

    Reference: the preset "top_tagger" is the tagger of arXiv:1803.00107 as compared in arXiv:1902.09914,
    with about 610 000 parameters on 40 × 40 pixels.

    Example
    -------
    >>> model = cnn({"jet_image": (16, 16, 1)}, filters=((4,), (8,)), hidden=(16,))
    >>> model.get_layer("conv_2_1").output.shape
    (None, 8, 8, 8)
    """
    stages = _stages("filters", filters)
    positive(kernel=kernel)
    each = (borders,) * len(stages) if isinstance(borders, str) else tuple(borders)
    if len(each) != len(stages):
        raise SettingError(
            f"borders={borders!r}: one for all is needed, or one for each of {len(stages)} stages."
        )
    for border in each:
        one_of("treatment of borders", border, _BORDERS)
    one_of("pooling", pooling, ("max", "average"))
    _check_shared(reduce, activation, normalisation, dropout)
    blocks = InputBlocks(data, transforms, inputs, images=scaling)
    with blocks.seeded(seed):
        block = blocks.one_of_kind("image", image, name)
        x = blocks.tensor(block)
        pool = keras.layers.MaxPooling2D if pooling == "max" else keras.layers.AveragePooling2D
        for stage, (channels, border) in enumerate(zip(stages, each, strict=True), start=1):
            for number, units in enumerate(channels, start=1):
                # What is left must hold a window of the pooling.
                if min(x.shape[1:3]) < (kernel + (number == len(channels)) if border == "valid" else 2):
                    raise ShapeError(_too_small(blocks.shape(block), len(stages)))
                x = _convolved(x, units, kernel, 1, border, normalisation, f"{stage}_{number}")
                x = keras.layers.Activation(activation, name=f"activation_{stage}_{number}")(x)
            x = pool(2, name=f"pool_{stage}")(x)
        x = _reduced(x, reduce)
        x = blocks.head(x, hidden, activation=activation, dropout=dropout)
        return blocks.model(x, name)


def residual_cnn(
    data: Any,
    filters: Sequence[int] = (16, 32, 64),
    *,
    depth: int | Sequence[int] = 2,
    bottleneck: Sequence[int] | None = None,
    groups: int = 1,
    stem: Sequence[int] = (16, 3, 1),
    hidden: Sequence[int] = (),
    activation: str = "relu",
    normalisation: str | None = "batch",
    dropout: float = 0.0,
    scaling: str | None = "rms",
    image: str | None = None,
    transforms: Transforms = "auto",
    inputs: Sequence[str] | None = None,
    seed: int | None = 1,
    name: str = "residual_cnn",
) -> keras.Model:
    r"""Return a convolutional network with shortcuts: deep, and still easy to train.

    .. math:: h_{l+1} = a(h_l + F_l(h_l)), \qquad F = W_2 * a(W_1 * h)
              \quad \text{or with a bottleneck} \quad W_3 * a(W_2 * a(W_1 * h))

    Every stage after the first halves height and width; the head sees the mean of each channel. Input: an
    image ``(events, height, width, channels)``; "features" and "parameters" join at the head. Output:
    ``(events, outputs)``, called "score".

    Arguments
    ---------
    data
        A :class:`Dataset`, its ``describe()``, or ``{block: shape}``.
    filters
        Channels of each stage.
    depth
        Residual blocks of each stage: one number for all, or one for each.
    bottleneck
        None: a block has two convolutions of 3 × 3. Else, for each stage, the channels of the 3 × 3 that lies
        between two of 1 × 1.
    groups
        Of the 3 × 3 in a bottleneck: channels see only those of their group (arXiv:1611.05431). Grouped
        convolutions are slow on CPUs.
    stem
        Channels, kernel and stride of the first convolution; with a stride above 1 pooling follows.
    hidden
        Neurons of each layer of the head, behind the mean of each channel.
    activation
        Of all layers: any name of Keras.
    normalisation
        After each convolution: "batch", "group" (groups of 8 channels, independent of other events), or None.
    dropout
        Fraction of the head's inputs and neurons left out in each training step.
    scaling
        Of the pixels: None, "rms" or "log" (:class:`hepml_root.layers.image.ScaleImage`).
    image
        Name of the image block, where there are several.
    transforms
        Of numbers, and of channels that are named in a dictionary, as in :func:`dense`.
    inputs
        Names of the dataset's blocks to take; None: all.
    seed
        Of the initial weights and of dropout.
    name
        Of the model.

    Raises
    ------
    SettingError
        A setting is unknown or out of its range, or there is no image, or several and none was chosen.
    ShapeError
        The image is too small for so many stages.

    Reference: arXiv:1512.03385; the preset "resnext" is the ResNeXt-50 of arXiv:1902.09914 with a fourth of
    the channels, 1.46 million parameters, for 64 × 64 pixels.

    Example
    -------
    >>> model = residual_cnn({"jet_image": (16, 16, 1)}, filters=(8, 16), depth=1)
    >>> model.get_layer("add_2_1").output.shape
    (None, 8, 8, 16)
    """
    channels = widths("filters", filters, least=1)
    blocks_of = (depth,) * len(channels) if isinstance(depth, int) else tuple(depth)
    inner = (None,) * len(channels) if bottleneck is None else widths("bottleneck", bottleneck)
    if len(blocks_of) != len(channels) or len(inner) != len(channels):
        raise SettingError(
            f"depth={depth!r}, bottleneck={bottleneck!r}: one for each of filters={filters!r} is needed."
        )
    if len(stem) != 3:
        raise SettingError(f"stem={stem!r}: channels, kernel and stride are needed.")
    first, kernel, stride = stem
    positive(channels=first, kernel=kernel, stride=stride, groups=groups)
    for number in blocks_of:
        positive(depth=number)
    if groups > 1 and (bottleneck is None or any(width % groups for width in inner if width)):
        raise SettingError(f"groups={groups}: a bottleneck of multiples of it is needed, got {bottleneck!r}.")
    _check_shared("average", activation, normalisation, dropout)
    blocks = InputBlocks(data, transforms, inputs, images=scaling)
    with blocks.seeded(seed):
        block = blocks.one_of_kind("image", image, name)
        reach = 2 ** (len(channels) - 1) * stride * (2 if stride > 1 else 1)
        if min(blocks.shape(block)[:2]) < reach:
            raise ShapeError(_too_small(blocks.shape(block), len(channels)))
        x = _convolved(blocks.tensor(block), first, kernel, stride, "same", normalisation, "stem")
        x = keras.layers.Activation(activation, name="activation_stem")(x)
        if stride > 1:
            x = keras.layers.MaxPooling2D(3, 2, padding="same", name="pool_stem")(x)
        for stage, (units, number, width) in enumerate(zip(channels, blocks_of, inner, strict=True), start=1):
            for place in range(1, number + 1):
                halve = 2 if stage > 1 and place == 1 else 1
                x = _residual(x, units, width, groups, halve, normalisation, activation, f"{stage}_{place}")
        x = keras.layers.GlobalAveragePooling2D(name="average")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name="dropout")(x)
        x = blocks.head(x, hidden, activation=activation, dropout=dropout)
        return blocks.model(x, name)


def _residual(
    x: Any,
    units: int,
    width: int | None,
    groups: int,
    stride: int,
    normalisation: str | None,
    activation: str,
    place: str,
) -> Any:
    """Return the output of one residual block."""
    if width is None:
        steps = [(units, 3, stride, 1), (units, 3, 1, 1)]
    else:
        steps = [(width, 1, 1, 1), (width, 3, stride, groups), (units, 1, 1, 1)]
    y = x
    for number, (channels, kernel, step, parts) in enumerate(steps, start=1):
        label = f"{place}_{number}"
        y = _convolved(y, channels, kernel, step, "same", normalisation, label, parts)
        if number < len(steps):
            y = keras.layers.Activation(activation, name=f"activation_{label}")(y)
    if x.shape[-1] != units or stride > 1:
        x = _convolved(x, units, 1, stride, "same", normalisation, f"{place}_shortcut")
    x = keras.layers.Add(name=f"add_{place}")([x, y])
    return keras.layers.Activation(activation, name=f"activation_{place}")(x)


def _convolved(
    x: Any,
    channels: int,
    kernel: int,
    stride: int,
    borders: str,
    normalisation: str | None,
    label: str,
    groups: int = 1,
) -> Any:
    """Return a convolution and its normalisation, which makes a bias of its own unnecessary."""
    x = keras.layers.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding=borders,
        groups=groups,
        use_bias=normalisation is None,
        kernel_initializer="he_normal",
        name=f"conv_{label}",
    )(x)
    if normalisation == "batch":
        return keras.layers.BatchNormalization(name=f"norm_{label}")(x)
    if normalisation == "group":
        parts = math.gcd(channels, max(1, channels // _GROUP_CHANNELS))
        return keras.layers.GroupNormalization(parts, name=f"norm_{label}")(x)
    return x


def _reduced(x: Any, reduce: str) -> Any:
    if reduce == "average":
        return keras.layers.GlobalAveragePooling2D(name="average")(x)
    return keras.layers.Flatten(name="flatten")(x)


def _stages(name: str, filters: Any) -> list[tuple[int, ...]]:
    """Return the channels of each stage; a plain list of numbers is one convolution a stage."""
    if isinstance(filters, (str, int)) or not len(filters):
        raise SettingError(f"{name}={filters!r}: channels in stages are needed, as ((16, 16), (32, 32)).")
    return [widths(name, [stage] if isinstance(stage, int) else stage, least=1) for stage in filters]


def _check_shared(reduce: str, activation: str, normalisation: str | None, dropout: float) -> None:
    one_of("way to reduce the maps", reduce, ("flatten", "average"))
    known_activation(activation)
    fraction(dropout=dropout)
    if normalisation is not None:
        one_of("normalisation", normalisation, ("batch", "group"))


def _too_small(shape: Sequence[int], stages: int) -> str:
    return (
        f"an image of {shape[0]} × {shape[1]} pixels is too small for {stages} stage(s), which halve it each "
        "(and take kernel - 1 pixels more for each convolution with borders='valid'). Take fewer stages or "
        "more pixels."
    )
