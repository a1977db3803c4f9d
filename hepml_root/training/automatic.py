"""What :func:`fit` chooses by itself: the loss of a task, the batch size, XLA, the events of a prediction."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from hepml_root import losses
from hepml_root.errors import ModelFileError, UnsupportedOperationError
from hepml_root.layers.linear import TargetScale
from hepml_root.layers.manifest import manifest_layer
from hepml_root.models.cost import flops

# Measured with `python -m benchmarks train --scan [--hidden ...]`. Compiling with XLA costs half a second
# more than without, and saves 2 microseconds an event in small batches; in large ones TensorFlow's own
# products are faster. Processor time an event without and with XLA, batches of 128, on one core: LSTM of 32
# units on 30 constituents 186 and 79 µs, GRU 174 and 91, PFN 397 and 299, ParticleNet-Lite 2430 and 1620,
# small Particle Transformer 3210 and 2750, where compiling costs 3 to 17 s more. Convolutions are compiled to
# plain loops: the small CNN 260 and 8030, the residual CNN 320 and 1040. Recurrent networks of 18 k
# parameters gain, those of 110 k lose a third to a half.
_LARGE_RECURRENT = 50_000
_JIT_EVENTS = 250_000
_JIT_BATCH = 256
# A loss that is a function of sums has some hundred operations of a few numbers, whatever the batch: by
# `python -m benchmarks losses --jit true` and `false`, at 1024 events a binned significance costs 1.2 and 1.4
# times as much as a cross entropy in the network 28-64-64-1; at 4096 it makes no difference any more.
_JIT_BATCH_OF_SUMS = 2048
_SMALL_NETWORK = 50_000
# Weights that are used this often in an event, as those of convolutions and of sets, need no large batches.
_SHARED = 8
_PREDICT_EVENTS = 8192
# Of a call to predict: bounds its memory, also for networks of pairs of constituents.
_PREDICT_OPERATIONS = 4e9


def default_loss(model: keras.Model, task: str) -> Any:
    """Return the loss that a model brings with it, or else that of the task."""
    own = _manifest(model).get("loss")
    if own is not None:  # an autoencoder's, which has nothing to do with the classes
        return own
    if task == "binary":
        return "binary_crossentropy"
    if task == "multiclass":
        return "categorical_crossentropy"
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, TargetScale):
            return losses.ScaledSquaredError(keras.ops.convert_to_numpy(layer.factor).tolist())
    return "mean_squared_error"


def _manifest(model: keras.Model) -> dict[str, Any]:
    """Return a model's manifest; empty for a Keras model of one's own, not yet attached to its data."""
    try:
        return manifest_layer(model).manifest
    except ModelFileError:
        return {}


def parameters_of(model: keras.Model) -> int:
    """Return the number of trained parameters."""
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def operations_of(model: keras.Model, parameters: int) -> int:
    """Return the operations with which the model scores an event; a guess for one that cannot be traced."""
    try:
        return flops(model)
    except (UnsupportedOperationError, AttributeError, ValueError):
        return 2 * parameters


def compiles_well(model: keras.Model) -> bool:
    """Whether XLA makes the training of a model faster, once it is compiled.

    Convolutions and the products of large recurrent layers are slower with it.
    """
    if _has_layer(model, ("Conv", "Depthwise", "Separable")):
        return False
    return parameters_of(model) <= _LARGE_RECURRENT or not _has_layer(model, ("LSTM", "GRU", "SimpleRNN"))


def _has_layer(model: keras.Model, beginnings: tuple[str, ...]) -> bool:
    """Whether one of Keras's layers whose names begin so is in the model."""
    kinds = tuple(
        kind
        for name, kind in vars(keras.layers).items()
        if isinstance(kind, type) and name.startswith(beginnings)
    )
    return any(isinstance(layer, kinds) for layer in model._flatten_layers())


def auto_batch(events: int, parameters: int, operations: int) -> int:
    """Return the batch size that learns and runs well for a number of events and a network.

    Small networks run fastest at 128 to 256, where XLA keeps a batch in the cache, and learn most from many
    steps; so do those that use each weight many times in an event. In large ones the matrix products decide,
    and they want 512 or more once there are steps enough.
    """
    if parameters <= _SMALL_NETWORK or operations >= _SHARED * parameters:
        return 128 if events <= 200_000 else 256
    return int(min(max(128, 2 ** math.floor(math.log2(max(events, 1) / 400))), 1024))


def worth_compiling(model: keras.Model, loss: Any, batch_size: int, trained_events: int) -> bool:
    """Whether XLA wins back the time that it takes, for so many events over all epochs."""
    small = _JIT_BATCH_OF_SUMS if isinstance(loss, losses.BatchLoss) else _JIT_BATCH
    return batch_size <= small and trained_events > _JIT_EVENTS and compiles_well(model)


def predict_events(operations: int) -> int:
    """Return the events of one call that predicts."""
    return 2 ** int(math.log2(max(64.0, min(_PREDICT_EVENTS, _PREDICT_OPERATIONS / max(operations, 1)))))
