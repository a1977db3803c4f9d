"""The inner loop on TensorFlow: all steps of a block in one compiled function.

``keras.Model.fit`` enters the backend once for every step, which for a small network costs ten times the
step. Here a ``while`` loop over the batches, with gradients and the optimizer's update inside, is one
function; with XLA its operations are fused as well. It is the only module of the package that knows
TensorFlow.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hepml_root.training.accumulation import LossOfSums, accumulation_of
from hepml_root.training.loop import InputNames, Inputs, magnitude_of, seed_states

# The inputs by name, the targets and the weights of one batch.
Batch = tuple[dict[str, Any], Any, Any]


class TensorFlowLoop:
    """Steps through a model, compiled as a whole.

    Arguments
    ---------
    model, optimizer, loss
        What to train, and how. The model's penalties are added to the loss.
    names
        How the model takes the blocks.
    batch_size
        Events of each batch.
    jit
        Compile with XLA.
    may_fall_back
        Go on without XLA, with a warning, if it cannot compile the model.
    predict_events
        Events of each call that predicts.
    accumulate
        Batches of each step, taken together as :mod:`hepml_root.training.accumulation` says.

    Raises
    ------
    SettingError
        Batches are to be accumulated, and the loss cannot say how.
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
        accumulate: int = 1,
    ) -> None:
        self.model, self.optimizer, self.loss, self.names = model, optimizer, loss, names
        self.batch_size, self.accumulate = batch_size, accumulate
        self.together = accumulation_of(loss, accumulate) if accumulate > 1 else 1.0
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
        """Train on consecutive batches of a block, ``accumulate`` for each learning rate; return the mean
        loss."""
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

    def _score(self, inputs: dict[str, Any]) -> Any:
        return self.model(self.names.argument(inputs), training=True)

    def _steps(self, inputs: dict[str, Any], target: Any, weight: Any, rates: Any) -> Any:
        def rows(array: Any, number: Any) -> Any:
            begin = [number * self.batch_size] + [0] * (len(array.shape) - 1)
            return tf.slice(array, begin, [self.batch_size, *array.shape[1:]])

        def batch(number: Any) -> Batch:
            X = {name: rows(array, number) for name, array in inputs.items()}
            return X, rows(target, number), rows(weight, number)

        def one_step(step: Any, total: Any) -> Any:
            if self.accumulate == 1:
                data_loss, gradients = self._of_batch(batch(step))
            elif isinstance(self.together, float):
                data_loss, gradients = self._of_batches(batch, step)
            else:
                data_loss, gradients = self._of_sums(batch, step, target.shape[1:])
            self.optimizer.learning_rate.assign(rates[step])
            self.optimizer.apply(gradients, self.model.trainable_variables)
            return step + 1, total + tf.cast(data_loss, tf.float32)

        steps = tf.shape(rates)[0]
        start = (tf.constant(0), tf.constant(0.0))
        return tf.while_loop(lambda step, _: step < steps, one_step, start)[1]

    def _of_batch(self, batch: Batch) -> tuple[Any, list[Any]]:
        """Return the loss of a batch, and the gradients of it and the penalties."""
        inputs, target, weight = batch
        with tf.GradientTape() as tape:
            data_loss = self.loss(target, self._score(inputs), sample_weight=weight)
            loss = tf.add_n([data_loss / self.magnitude, *self.model.losses])
        return data_loss, tape.gradient(loss, self.model.trainable_variables)

    def _of_batches(self, batch: Callable[[Any], Batch], step: Any) -> tuple[Any, list[Any]]:
        """Return loss and gradients of the batches of a step whose losses add up."""

        def part(inputs: dict[str, Any], target: Any, weight: Any) -> Any:
            return self.together * self.loss(target, self._score(inputs), sample_weight=weight)

        return self._collected(batch, step, part)

    def _of_sums(self, batch: Callable[[Any], Batch], step: Any, target_shape: Any) -> tuple[Any, list[Any]]:
        """Return loss and gradients of the batches of a step taken together: the sums in a first pass, the
        gradient of the loss in them, and its product with theirs in a second."""
        first = step * self.accumulate
        loss: Any = self.together
        seeds = seed_states(self.model)

        def add(number: Any, sums: Any, *seeded: Any) -> Any:
            # Nothing is changed here: the second pass drops the same neurons, and moving averages move once.
            with keras.StatelessScope(state_mapping=list(zip(seeds, seeded, strict=True))) as scope:
                inputs, target, weight = batch(first + number)
                more = loss.sums(target, self._score(inputs), weight)
            return number + 1, sums + more, *[scope.get_current_value(seed) for seed in seeds]

        start = (
            tf.constant(0),
            self._no_sums(target_shape),
            *[tf.convert_to_tensor(seed.value) for seed in seeds],
        )
        sums = tf.while_loop(lambda number, *_: number < self.accumulate, add, start)[1]
        with tf.GradientTape() as tape:
            tape.watch(sums)
            value = loss.value(sums)
        slope = tape.gradient(value, sums)

        def part(inputs: dict[str, Any], target: Any, weight: Any) -> Any:
            return tf.reduce_sum(slope * loss.sums(target, self._score(inputs), weight))

        return value, self._collected(batch, step, part)[1]

    def _no_sums(self, target_shape: Any) -> Any:
        """Return the sums of no events, zeros in the shape that the loss gives them."""
        loss = self.together
        assert isinstance(loss, LossOfSums)
        outputs = [length or 1 for length in self.model.outputs[0].shape[1:]]
        one = tf.zeros([1, *target_shape]), tf.zeros([1, *outputs]), tf.ones([1])
        return tf.zeros_like(loss.sums(*one))

    def _collected(
        self, batch: Callable[[Any], Batch], step: Any, part: Callable[..., Any]
    ) -> tuple[Any, list[Any]]:
        """Return the sum over a step's batches of ``part``, and the gradients of it and the penalties."""
        variables = self.model.trainable_variables

        def add(number: Any, total: Any, *gradients: Any) -> Any:
            with tf.GradientTape() as tape:
                value = part(*batch(step * self.accumulate + number))
                # Penalties stand in every batch's pass, and count once in a step.
                penalties = [penalty / self.accumulate for penalty in self.model.losses]
                loss = tf.add_n([value / self.magnitude, *penalties])
            more = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            summed = [kept + tf.convert_to_tensor(new) for kept, new in zip(gradients, more, strict=True)]
            return number + 1, total + tf.cast(value, tf.float32), *summed

        zeros = [tf.zeros(variable.shape, variable.dtype) for variable in variables]
        start = (tf.constant(0), tf.constant(0.0), *zeros)
        _, total, *gradients = tf.while_loop(lambda number, *_: number < self.accumulate, add, start)
        return total, gradients
