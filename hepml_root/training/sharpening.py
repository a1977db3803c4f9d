"""The output of a pretrained network made steep around the cut that a loss of counts wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hepml_root.errors import SettingError
from hepml_root.training.blocks import Block
from hepml_root.training.loop import Loop

# More events say no more about two numbers.
_MOST_EVENTS = 500_000
_STEEPNESS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_PLACES = 64
_SMALLEST = 1e-7
# Of arguments up to this, a sigmoid in float32 tells differences of 0.01.
_LARGEST = 12.0
# A score in float32 this far from 0 and 1 tells its argument to 1e-4, that of the steepest output to 0.003.
_ROUNDED, _CLOSE = 1e-3, 5e-3


def sharpen(
    model: keras.Model, loop: Loop, chunks: Iterable[Block], loss: keras.losses.Loss
) -> tuple[float, float]:
    r"""Scale and shift the argument of the output so that a loss is smallest; return both numbers.

    .. math:: \sigma(x) \to \sigma(a\,(x - t))

    A cross entropy gives probabilities; a significance takes them for the share of each event that is kept,
    and with those, most of the background is. What a cut would reach is then hidden behind a flat stretch,
    and the first steps lose the separation that was learnt. Scaled and shifted, the network begins where the
    best cut on it is, and no event changes its place in the order: the output is not made so steep that
    float32 would give the most signal-like events all the same score, 1, which no cut divides any more.

    Arguments
    ---------
    model
        Whose output is one number of a Dense layer with a sigmoid.
    loop
        Predicts.
    chunks
        Inputs, targets and weights; the first 500 000 events count.
    loss
        To be made small, of all these events together.

    Raises
    ------
    SettingError
        The output is another one, or there is no signal among the events. The model is as it was.
    """
    layer = _output(model)
    scores, targets, weights = [], [], []
    events = 0
    first: Mapping[str, NDArray[Any]] = {}
    for inputs, target, weight in chunks:
        first = first or inputs
        scores.append(loop.predict(inputs).reshape(-1))
        targets.append(target.reshape(len(target), -1)[:, :1])
        weights.append(weight)
        events += len(target)
        if events >= _MOST_EVENTS:
            break
    score = np.clip(np.concatenate(scores).astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    argument = np.log(score) - np.log1p(-score)
    target = np.concatenate(targets)
    if not (target > 0.5).any():
        raise SettingError("sharpen=True: there is no signal event, so that no cut is better than another.")
    steepness, place = _best(argument, target, np.concatenate(weights), loss)
    kernel, bias = layer.get_weights()
    layer.set_weights([steepness * kernel, steepness * (bias - place)])
    # A Dense layer of this form may also stand elsewhere, before an output that is made otherwise.
    expected = _sigmoid(steepness * (argument[: len(scores[0])] - place))
    told = np.abs(scores[0] - 0.5) < 0.5 - _ROUNDED
    if np.abs(loop.predict(first).reshape(-1) - expected)[told].max(initial=0.0) > _CLOSE:
        layer.set_weights([kernel, bias])
        raise _refused(model)
    return steepness, place


def _best(
    argument: NDArray[np.float64], target: NDArray[np.float32], weight: NDArray[np.float32], loss: Any
) -> tuple[float, float]:
    """Return steepness and place with the smallest loss; (1, 0) where nothing is better."""
    # (1, 0) keeps what is there, however steep the network has become by itself.
    places = np.unique(np.quantile(argument[target[:, 0] > 0.5], np.linspace(0, 1, _PLACES)))
    y, w = ops.convert_to_tensor(target), ops.convert_to_tensor(weight)

    def value(steepness: float, place: float) -> float:
        kept = _sigmoid(steepness * (argument - place))
        return float(loss(y, ops.convert_to_tensor(kept[:, None].astype(np.float32)), sample_weight=w))

    pairs = ((steepness, float(place)) for steepness in _STEEPNESS for place in places)
    top = argument.max()
    tried = [(1.0, 0.0), *(pair for pair in pairs if pair[0] * (top - pair[1]) <= _LARGEST)]
    return min(tried, key=lambda one: value(*one))


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -60.0, 60.0)))


def _output(model: keras.Model) -> keras.layers.Dense:
    """Return the layer of the output."""
    dense = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dense)]
    if dense and tuple(model.output_shape)[1:] == (1,):
        last = dense[-1]
        if last.units == 1 and last.use_bias and last.activation is keras.activations.sigmoid:
            return last
    raise _refused(model)


def _refused(model: keras.Model) -> SettingError:
    return SettingError(
        f"sharpen=True: the output of '{model.name}' is no single number of a Dense layer with a sigmoid, "
        "which is what is scaled and shifted. Leave it out for this model."
    )
