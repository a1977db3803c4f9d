"""The inner loop of a training: many steps of one block of events for each call into the backend.

:class:`KerasLoop` works with every Keras backend; :mod:`hepml_root.training.tensorflow_loop` compiles the
whole block into one function, several times faster for small networks. Both do the same steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from hepml_root.errors import ShapeError

Inputs = Mapping[str, NDArray[Any]]


class Loop(Protocol):
    """What a training needs of a backend."""

    def run(
        self, X: Inputs, target: NDArray[np.float32], weight: NDArray[np.float32], rates: NDArray[np.float32]
    ) -> float:
        """Train on consecutive batches of a block, one for each learning rate; return the mean loss."""

    def predict(self, X: Inputs) -> NDArray[np.float32]:
        """Return the model's outputs, ``(events, outputs)``."""


class InputNames:
    """How a model takes the blocks of a dataset: by name, or as its only input.

    Raises
    ------
    ShapeError
        The model has inputs that the dataset lacks.
    """

    def __init__(self, model: keras.Model, blocks: Mapping[str, Any]) -> None:
        given = [tensor.name for tensor in model.inputs] if getattr(model, "inputs", None) else []
        if given and set(given) <= set(blocks):
            self.names, self.by_name = given, True
        elif len(given) == 1 and len(blocks) == 1:
            self.names, self.by_name = list(blocks), False
        else:
            raise ShapeError(
                f"the model '{model.name}' has the inputs {given}, the dataset the blocks {list(blocks)}. "
                "Name the keras.Input layers after the blocks, and build the model before fitting."
            )

    def select(self, X: Mapping[str, Any]) -> dict[str, NDArray[np.float32]]:
        """Return the blocks that the model takes, in float32; masks become 0 and 1."""
        return {name: np.asarray(X[name], dtype=np.float32) for name in self.names}

    def argument(self, tensors: dict[str, Any]) -> Any:
        """Return selected blocks as the model is called with them."""
        return tensors if self.by_name else tensors[self.names[0]]


def magnitude_of(loss: keras.losses.Loss) -> float:
    """Return the size of a loss, by which it is divided before penalties are added: 1 unless it tells."""
    return float(getattr(loss, "magnitude", 1.0))


def seed_states(model: keras.Model) -> list[Any]:
    """Return the variables that hold the random states of a model's layers (dropout and its like)."""
    return [
        generator.state
        for layer in model._flatten_layers()
        for generator in getattr(layer, "_seed_generators", [])
    ]


class KerasLoop:
    """Steps through ``keras.Model.fit``, one call a block; the learning rate is constant in a block.

    ``batch_size`` is the events of a step: batches that are accumulated are one large batch here, which is
    the same step in more memory.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: keras.losses.Loss,
        names: InputNames,
        batch_size: int,
        jit: bool,
        steps_per_execution: int = 16,
        predict_events: int = 8192,
    ) -> None:
        self.model, self.names, self.batch_size = model, names, batch_size
        self.predict_events = predict_events
        self.magnitude = magnitude_of(loss)
        model.compile(
            optimizer=optimizer,
            loss=loss,
            loss_weights=1.0 / self.magnitude,
            jit_compile=jit,
            steps_per_execution=steps_per_execution,
            auto_scale_loss=False,
        )

    def run(
        self, X: Inputs, target: NDArray[np.float32], weight: NDArray[np.float32], rates: NDArray[np.float32]
    ) -> float:
        """Train on consecutive batches of a block; return the mean loss, penalties included."""
        self.model.optimizer.learning_rate = float(rates.mean())
        fitted = self.model.fit(
            self.names.argument(self.names.select(X)),
            target,
            sample_weight=weight,
            batch_size=self.batch_size,
            shuffle=False,
            verbose=0,
        )
        return float(fitted.history["loss"][0]) * self.magnitude

    def predict(self, X: Inputs) -> NDArray[np.float32]:
        """Return the model's outputs, ``(events, outputs)``."""
        return np.asarray(
            self.model.predict(
                self.names.argument(self.names.select(X)), batch_size=self.predict_events, verbose=0
            )
        )
