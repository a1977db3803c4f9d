"""From a Layout to a Keras model: shapes are followed, and a layer that does not fit is named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.errors import SettingError
from hepml_root.layers.linear import Standardise
from hepml_root.tmva.methods.layout import (
    FORMS,
    BatchNorm,
    Convolution,
    Dense,
    Layer,
    MaxPool,
    Recurrent,
    Reshape,
    evaluate_width,
)


@keras.saving.register_keras_serializable(package="hepml_root")
def symmetric_relu(x: Any) -> Any:
    """Return |x|, TMVA's SYMMRELU."""
    return ops.abs(x)


@keras.saving.register_keras_serializable(package="hepml_root")
def gauss(x: Any) -> Any:
    """Return exp(−x²), TMVA's GAUSS."""
    return ops.exp(-ops.square(x))


_ACTIVATIONS = {
    "RELU": "relu",
    "TANH": "tanh",
    "FTANH": "tanh",
    "SYMMRELU": symmetric_relu,
    "SOFTSIGN": "softsign",
    "SIGMOID": "sigmoid",
    "LINEAR": "linear",
    "GAUSS": gauss,
}
_RECURRENT = {"RNN": keras.layers.SimpleRNN, "LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU}
_OUTPUT = {"Classification": "sigmoid", "Multiclass": "softmax", "Regression": "linear"}


@dataclass
class Built:
    """A model with what training changes from phase to phase.

    Arguments
    ---------
    model
        ``(events, variables)`` → ``(events, outputs)``.
    drops
        The dropout before each layer of the Layout, or None.
    penalties
        Of the layers with weights.
    """

    model: keras.Model
    drops: list[keras.layers.Dropout | None] = field(default_factory=list)
    penalties: list[keras.regularizers.L1L2] = field(default_factory=list)


@dataclass(frozen=True)
class Input:
    """What the network takes.

    Arguments
    ---------
    variables
        ``(events, variables)`` and ``weights (events,)``: those that mean and spread are taken of.
    layout
        As ``layout.parse_input_layout`` gives it.
    """

    variables: NDArray[np.float32]
    weights: NDArray[np.float64]
    layout: tuple[int, ...]


class Builder:
    """Adds layers to a model, one after the other.

    The values are a row, a sequence ``(steps, features)``, or an image; that of TMVA is ``(channels, height,
    width)`` with the width running fastest, in Keras the channels come last.
    """

    def __init__(self, given: Input, initializer: str, seed: int | None, what: str) -> None:
        self.what = what
        self.initializer = initializer
        self._seeds = None if seed is None else np.random.default_rng(seed)
        count = given.variables.shape[1]
        if given.layout and math.prod(given.layout) != count:
            raise SettingError(
                f"{what}: InputLayout={'|'.join(map(str, given.layout))} holds {math.prod(given.layout)} "
                f"values; there are {count} variables."
            )
        self.variables = count
        self.inputs = keras.Input((count,), name="features")
        self.tensor: Any = self.inputs
        self.shape: tuple[int, ...] = (count,)
        self.drops: list[keras.layers.Dropout | None] = []
        self.penalties: list[keras.regularizers.L1L2] = []
        layout = given.layout
        self._positive = np.maximum(given.weights, 0.0)
        if len(layout) == 2 and layout[0] > 1:
            self._to((layout[0], layout[1]))
            self._standardise(given.variables.reshape(-1, *self.shape))
        elif len(layout) == 3 and layout[0] * layout[1] > 1:
            self._image_scale(given.variables)
            self._to(layout)
        else:
            self._standardise(given.variables)

    def _standardise(self, values: NDArray[np.float32]) -> None:
        layer = Standardise(name="standardise").adapt(values, self._positive)
        self.tensor = layer(self.tensor)

    def _image_scale(self, values: NDArray[np.float32]) -> None:
        """Pixels keep their relative sizes: one mean and one spread for all of them."""
        mean = float(np.average(values.mean(axis=1), weights=self._positive))
        square = float(np.average(((values - mean) ** 2).mean(axis=1), weights=self._positive))
        spread = math.sqrt(square) or 1.0
        self.tensor = keras.layers.Rescaling(1.0 / spread, -mean / spread, name="scale")(self.tensor)

    def seed(self) -> int | None:
        return None if self._seeds is None else int(self._seeds.integers(1 << 31))

    # -- shapes ----------------------------------------------------------------------------------------------

    def _flat(self) -> None:
        """Bring the values to a row, channels outermost as TMVA has them."""
        if len(self.shape) == 3:
            if self.shape[0] > 1:
                self.tensor = keras.layers.Permute((3, 1, 2))(self.tensor)
            self.tensor = keras.layers.Flatten()(self.tensor)
        elif len(self.shape) == 2:
            self.tensor = keras.layers.Flatten()(self.tensor)
        self.shape = (math.prod(self.shape),)

    def _to(self, shape: tuple[int, ...]) -> None:
        """Bring the values to a sequence, or to channels, height and width."""
        if shape == self.shape:
            return
        self._flat()
        if len(shape) == 3 and shape[0] == 1:
            self.tensor = keras.layers.Reshape((*shape[1:], 1))(self.tensor)
        else:
            self.tensor = keras.layers.Reshape(shape)(self.tensor)
            if len(shape) == 3:
                self.tensor = keras.layers.Permute((2, 3, 1))(self.tensor)
        self.shape = shape

    # -- layers ----------------------------------------------------------------------------------------------

    def add(self, layer: Layer, number: int, drop: float, width: int) -> None:
        """Add a layer.

        Arguments
        ---------
        number
            In the Layout, from 1, for names and messages.
        drop
            The largest part that a phase leaves out before it.
        width
            Of a dense layer.

        Raises
        ------
        SettingError
            It does not fit to what comes before it.
        """
        where = f"{self.what}: Layout: layer {number}"
        dropout = None
        if drop:
            dropout = keras.layers.Dropout(drop, seed=self.seed(), name=f"dropout_{number}")
            self.tensor = dropout(self.tensor)
        self.drops.append(dropout)
        if isinstance(layer, Dense):
            self._flat()
            self.tensor = keras.layers.Dense(
                width, activation=_ACTIVATIONS[layer.activation], name=f"dense_{number}", **self._weights()
            )(self.tensor)
            self.shape = (width,)
        elif isinstance(layer, Convolution):
            self._convolve(layer, number, where)
        elif isinstance(layer, MaxPool):
            self._image(where, "MAXPOOL")
            height, width = self._windows(layer.size, layer.stride, (0, 0), where, FORMS["MAXPOOL"])
            self.tensor = keras.layers.MaxPooling2D(layer.size, layer.stride, name=f"maxpool_{number}")(
                self.tensor
            )
            self.shape = (self.shape[0], height, width)
        elif isinstance(layer, Reshape):
            self._reshape(layer, where)
        elif isinstance(layer, BatchNorm):
            self.tensor = keras.layers.BatchNormalization(
                momentum=0.9, epsilon=1e-4, name=f"batch_norm_{number}"
            )(self.tensor)
        else:
            self._recur(layer, number, where)

    def _convolve(self, layer: Convolution, number: int, where: str) -> None:
        self._image(where, "CONV")
        height, width = self._windows(layer.size, layer.stride, layer.padding, where, FORMS["CONV"])
        if any(layer.padding):
            self.tensor = keras.layers.ZeroPadding2D(layer.padding, name=f"padding_{number}")(self.tensor)
        self.tensor = keras.layers.Conv2D(
            layer.filters, layer.size, layer.stride, activation=_ACTIVATIONS[layer.activation],
            name=f"conv_{number}", **self._weights(),
        )(self.tensor)  # fmt: skip
        self.shape = (layer.filters, height, width)

    def _reshape(self, layer: Reshape, where: str) -> None:
        if layer.shape is None:
            self._flat()
            return
        if math.prod(layer.shape) != math.prod(self.shape):
            raise SettingError(
                f"{where}: RESHAPE to {_words(layer.shape)} is {math.prod(layer.shape)} values; there are "
                f"{math.prod(self.shape)} ({_words(self.shape)})."
            )
        self._to(layer.shape)

    def _recur(self, layer: Recurrent, number: int, where: str) -> None:
        wanted = (layer.steps, layer.features)
        if math.prod(wanted) != math.prod(self.shape):
            raise SettingError(
                f"{where}: {layer.kind} of {layer.steps} steps with {layer.features} features takes "
                f"{math.prod(wanted)} values; there are {math.prod(self.shape)} ({_words(self.shape)}). "
                f"{FORMS[layer.kind]} is needed."
            )
        self._to(wanted)
        settings = {"reset_after": layer.reset_after} if layer.kind == "GRU" else {}
        self.tensor = _RECURRENT[layer.kind](
            layer.units,
            return_sequences=layer.sequence,
            name=f"{layer.kind.lower()}_{number}",
            **settings,
            **self._weights(),
        )(self.tensor)
        self.shape = (layer.steps, layer.units) if layer.sequence else (layer.units,)

    def _weights(self) -> dict[str, Any]:
        penalty = keras.regularizers.L1L2(0.0, 0.0)
        self.penalties.append(penalty)
        return {
            "kernel_initializer": _initializer(self.initializer, self.seed()),
            "kernel_regularizer": penalty,
        }

    def _image(self, where: str, kind: str) -> None:
        if len(self.shape) != 3:
            raise SettingError(
                f"{where}: {kind} needs an image, channels|height|width; there are {_words(self.shape)}. "
                "Give InputLayout=channels|height|width, or put RESHAPE|channels|height|width before it."
            )

    def _windows(
        self, size: Sequence[int], stride: Sequence[int], padding: Sequence[int], where: str, form: str
    ) -> list[int]:
        """Return height and width of what comes out."""
        found = []
        names = ("height", "width")
        for name, length, window, step, pad in zip(names, self.shape[1:], size, stride, padding, strict=True):
            rest = length + 2 * pad - window
            if rest < 0 or rest % step:
                why = "do not fit" if rest < 0 else f"leave {rest % step} over"
                raise SettingError(
                    f"{where}: windows of {name} {window} in steps of {step} {why} in a {name} of {length} "
                    f"with a padding of {pad}: {form}."
                )
            found.append(rest // step + 1)
        return found


def build(
    layers: Sequence[Layer],
    given: Input,
    analysis: str,
    outputs: int,
    *,
    drops: Sequence[float] = (),
    initializer: str = "XAVIER",
    seed: int | None = None,
    what: str = "DL",
) -> Built:
    """Return the model of a Layout, its output function included.

    Raises
    ------
    SettingError
        A layer does not fit to the one before it, or the last one not to the analysis.

    Example
    -------
    >>> from hepml_root.tmva.methods.layout import parse_layout
    >>> given = Input(np.eye(4, 12, dtype=np.float32), np.ones(4), (3, 2, 2))
    >>> layers = parse_layout("CONV|5|2|2|1|1|1|1|RELU,MAXPOOL|3|3|1|1,RESHAPE|FLAT,DENSE|N*2|TANH,LINEAR")
    >>> model = build(layers, given, "Classification", 1).model
    >>> [layer.output.shape[1:] for layer in model.layers if layer.weights]
    [(3, 3, 5), (24,), (1,)]
    """
    builder = Builder(given, initializer, seed, what)
    for number, layer in enumerate(layers, start=1):
        width = 0
        if isinstance(layer, Dense):
            where = f"{what}: Layout: layer {number}"
            width = evaluate_width(layer.width or "0", builder.variables, where)
            if number == len(layers):
                width = width or outputs
                if width != outputs:
                    raise SettingError(
                        f"{where}, the last one, gives {width} values; {outputs} are needed for the "
                        f"{analysis.lower()}. End the Layout with LINEAR, which has as many as are needed."
                    )
            elif not width:
                raise SettingError(
                    f"{where}: its width '{layer.width}' is 0 with {builder.variables} variables."
                )
        builder.add(layer, number, drops[number - 1] if number <= len(drops) else 0.0, width)
    function = _OUTPUT[analysis]
    last = layers[-1]
    if function != "linear" and not (isinstance(last, Dense) and last.activation == function.upper()):
        builder.tensor = keras.layers.Activation(function, name="response")(builder.tensor)
    return Built(keras.Model(builder.inputs, builder.tensor), builder.drops, builder.penalties)


def _initializer(name: str, seed: int | None) -> keras.initializers.Initializer:
    if name == "IDENTITY":
        return keras.initializers.GlorotUniform(seed)  # TMVA has it so, too: an identity needs equal widths
    if name == "ZERO":
        return keras.initializers.Zeros()
    made = {
        "XAVIER": lambda: keras.initializers.GlorotNormal(seed),
        "XAVIERUNIFORM": lambda: keras.initializers.GlorotUniform(seed),
        "GAUSS": lambda: keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal", seed=seed),
        "UNIFORM": lambda: keras.initializers.VarianceScaling(1.0, "fan_in", "uniform", seed=seed),
    }
    return made[name]()


def _words(shape: Sequence[int]) -> str:
    if len(shape) == 1:
        return f"a row of {shape[0]}"
    return "|".join(map(str, shape))
