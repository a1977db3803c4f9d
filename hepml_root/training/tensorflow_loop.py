"""The inner loop on TensorFlow: all steps of a block in one compiled function.

``keras.Model.fit`` enters the backend once for every step, which for a small network costs ten times the
step. Here a ``while`` loop over the batches, with gradients and the optimizer's update inside, is one
function; with XLA its operations are fused as well. It is the only module of the package that knows
TensorFlow.
"""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hepml_root.training.loop import InputNames, Inputs, magnitude_of


class TensorFlowLoop:
    """Steps through a model, compiled as a whole.

    Arguments
    ---------
    model, optimizer, loss
        What to train, and how. The model's penalties are added to the loss.
    names
        How the model takes the blocks.
    batch_size
        Events of each step.
    jit
        Compile with XLA.
    may_fall_back
        Go on without XLA, with a warning, if it cannot compile the model.
    predict_events
        Events of each call that predicts.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: keras.losses.Loss,
        names: InputNames,
        batch_size: int,
        jit: bool,
        may_fall_back: bool = True,
        predict_events: int = 8192,
    ) -> None:
        self.model, self.optimizer, self.loss, self.names = model, optimizer, loss, names
        self.batch_size = batch_size
        self.jit, self.may_fall_back = jit, may_fall_back
        self.predict_events = predict_events
        self.magnitude = magnitude_of(loss)
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        self._train = tf.function(self._steps, jit_compile=jit, autograph=False)
        self._predict = tf.function(self._forward, reduce_retracing=True, autograph=False)

    def run(
        self, X: Inputs, target: NDArray[np.float32], weight: NDArray[np.float32], rates: NDArray[np.float32]
    ) -> float:
        """Train on consecutive batches of a block, one for each learning rate; return the mean loss."""
        blocks = {name: tf.constant(array) for name, array in self.names.select(X).items()}
        arguments = (blocks, tf.constant(target), tf.constant(weight), tf.constant(rates))
        try:
            total = self._train(*arguments)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            # XLA compiles before the first step, so nothing has been trained when it fails.
            if not (self.jit and self.may_fall_back):
                raise
            warnings.warn(
                f"XLA cannot compile '{self.model.name}', training goes on without it: {error}", stacklevel=2
            )
            self.jit = False
            self._train = tf.function(self._steps, autograph=False)
            total = self._train(*arguments)
        return float(total) / len(rates)

    def predict(self, X: Inputs) -> NDArray[np.float32]:
        """Return the model's outputs, ``(events, outputs)``."""
        inputs = self.names.select(X)
        events = len(next(iter(X.values())))
        parts = []
        for first in range(0, events, self.predict_events):
            rows = slice(first, first + self.predict_events)
            part = {name: tf.constant(array[rows]) for name, array in inputs.items()}
            parts.append(self._predict(part))
        return np.concatenate([part.numpy() for part in parts])

    def _forward(self, inputs: dict[str, Any]) -> Any:
        return self.model(self.names.argument(inputs), training=False)

    def _steps(self, inputs: dict[str, Any], target: Any, weight: Any, rates: Any) -> Any:
        variables = self.model.trainable_variables

        def rows(array: Any, step: Any) -> Any:
            begin = [step * self.batch_size] + [0] * (len(array.shape) - 1)
            return tf.slice(array, begin, [self.batch_size, *array.shape[1:]])

        def one_step(step: Any, total: Any) -> Any:
            batch = self.names.argument({name: rows(array, step) for name, array in inputs.items()})
            with tf.GradientTape() as tape:
                score = self.model(batch, training=True)
                data_loss = self.loss(rows(target, step), score, sample_weight=rows(weight, step))
                loss = tf.add_n([data_loss / self.magnitude, *self.model.losses])
            gradients = tape.gradient(loss, variables)
            self.optimizer.learning_rate.assign(rates[step])
            self.optimizer.apply(gradients, variables)
            return step + 1, total + tf.cast(data_loss, tf.float32)

        steps = tf.shape(rates)[0]
        start = (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda step, _: step < steps, one_step, start)[1]
