"""The inner loop of two networks on TensorFlow: all steps of a block, of both, in one compiled function."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hepml_root.errors import ShapeError
from hepml_root.losses.critic import AdversarialLoss
from hepml_root.training.loop import Inputs

_METRICS = ("critic_loss", "critic_distance", "gradient_penalty")
_LEAST_NORM = 1e-12  # under a square root, whose slope at 0 is infinite


class TensorFlowAdversarialLoop:
    """Ping-pong: the critic makes some steps, each on events of its own, then the generator makes one.

    Arguments
    ---------
    model
        What :class:`hepml_root.training.adversarial.TwoNetworks` describes.
    loss
        What they fight over.
    generator, critic
        Their optimizers, built.
    critic_rate
        The critic's learning rate over the generator's.
    batch_size
        Events of each step of either.
    seed
        Of the points between real and generated events.
    jit
        Compile with XLA.
    """

    def __init__(
        self,
        model: Any,
        loss: AdversarialLoss,
        generator: keras.optimizers.Optimizer,
        critic: keras.optimizers.Optimizer,
        critic_rate: float,
        batch_size: int,
        seed: int,
        jit: bool,
    ) -> None:
        self.model, self.loss = model, loss
        self.generator, self.critic, self.critic_rate = generator, critic, critic_rate
        self.batch_size, self.seed = batch_size, seed
        self._train = tf.function(self._steps, jit_compile=jit, autograph=False)
        self._generate = tf.function(model.generate, reduce_retracing=True, autograph=False)
        self._sums, self._blocks = np.zeros(len(_METRICS)), 0

    def run(
        self, X: Inputs, target: NDArray[np.float32], weight: NDArray[np.float32], rates: NDArray[np.float32]
    ) -> float:
        """Train on consecutive batches of a block, ``critic_steps`` of them for each learning rate; return
        the generator's mean loss."""
        del target  # there is nothing to predict
        found = self._train(
            tf.constant(np.asarray(X["cells"], np.float32)),
            tf.constant(np.asarray(X["conditions"], np.float32)),
            tf.constant(np.asarray(weight, np.float32)),
            tf.constant(rates),
        ).numpy()
        self._sums += found[1:] / (len(rates) * self.loss.critic_steps)
        self._blocks += 1
        return float(found[0]) / len(rates)

    def predict(self, X: Inputs) -> NDArray[np.float32]:
        """Return generated events for the conditions, in the order of the model's random numbers."""
        conditions = np.asarray(X["conditions"], np.float32)
        parts = [
            self._generate(tf.constant(conditions[first : first + self.batch_size])).numpy()
            for first in range(0, len(conditions), self.batch_size)
        ]
        return np.concatenate(parts)

    def epoch_metrics(self) -> dict[str, float]:
        """Return the critic's metrics since the last call, and begin anew."""
        means = self._sums / max(self._blocks, 1)
        self._sums, self._blocks = np.zeros(len(_METRICS)), 0
        return dict(zip(_METRICS, map(float, means), strict=True))

    def _steps(self, cells: Any, conditions: Any, weight: Any, rates: Any) -> Any:
        critic_steps = self.loss.critic_steps

        def batch(number: Any) -> tuple[Any, Any, Any]:
            first = number * self.batch_size
            rows = [
                tf.slice(array, [first, 0], [self.batch_size, array.shape[1]])
                for array in (cells, conditions)
            ]
            return rows[0], rows[1], tf.slice(weight, [first], [self.batch_size])[:, None]

        def one_step(step: Any, sums: Any) -> Any:
            self.generator.learning_rate.assign(rates[step])
            self.critic.learning_rate.assign(self.critic_rate * rates[step])

            def critic_step(number: Any, so_far: Any) -> Any:
                return number + 1, so_far + self._critic_step(*batch(step * critic_steps + number))

            begin = (tf.constant(0), tf.zeros([len(_METRICS)]))
            of_critic = tf.while_loop(lambda number, _: number < critic_steps, critic_step, begin)[1]
            # The generator answers on the batch that the critic saw last.
            of_generator = self._generator_step(*batch(step * critic_steps + critic_steps - 1))
            return step + 1, sums + tf.concat([of_generator[None], of_critic], axis=0)

        start = (tf.constant(0), tf.zeros([1 + len(_METRICS)]))
        steps = tf.shape(rates)[0]
        return tf.while_loop(lambda step, _: step < steps, one_step, start)[1]

    def _critic_step(self, cells: Any, conditions: Any, weight: Any) -> Any:
        real, fake, _ = self.model.sides(cells, conditions)
        real, fake = tf.stop_gradient(real), tf.stop_gradient(fake)
        variables = self.model.critic_variables
        with tf.GradientTape() as tape:
            of_real = self.model.criticise(real, conditions)
            of_fake = self.model.criticise(fake, conditions)
            loss = _mean_of_sums(weight, self.loss.critic(of_real, of_fake))
            penalty = tf.constant(0.0)
            if self.loss.gradient_weight:
                norm = self.slopes(real, fake, conditions)
                penalty = _mean_of_sums(weight, self.loss.penalty(norm))
            total = loss + penalty
        self.critic.apply(_gradients(tape, total, variables), variables)
        return tf.stack([loss, _mean_of_sums(weight, of_real - of_fake), penalty])

    def slopes(self, real: Any, fake: Any, conditions: Any) -> Any:
        """Return the norms of the critics' gradients on the lines between real and generated,
        ``(events, critics)``."""
        # A function of the seed and the step alone, so that a resumed training draws the same.
        state = tf.stack([tf.constant(self.seed, tf.int64), tf.cast(self.critic.iterations.value, tf.int64)])
        share = tf.random.stateless_uniform([self.batch_size, 1], state)
        between = share * real + (1.0 - share) * fake
        with tf.GradientTape() as tape:
            tape.watch(between)
            score = self.model.criticise(between, conditions)
        # Of the sum over the critics: each of them has features of its own, so its part is its gradient.
        squares = tf.square(tape.gradient(score, between))
        parts = [squares] if score.shape[-1] == 1 else tf.split(squares, self._features(score), axis=-1)
        norms = [tf.sqrt(tf.reduce_sum(part, axis=-1, keepdims=True) + _LEAST_NORM) for part in parts]
        return tf.concat(norms, axis=-1)

    def _features(self, score: Any) -> list[int]:
        """Return how many features each critic has, one number for each of the scores."""
        features = list(getattr(self.model, "critic_features", ()))
        if len(features) != score.shape[-1]:
            raise ShapeError(
                f"the critics of '{self.model.name}' give {score.shape[-1]} scores; critic_features has to "
                f"say how many features each of them sees, and is {features}."
            )
        return features

    def _generator_step(self, cells: Any, conditions: Any, weight: Any) -> Any:
        variables = self.model.generator_variables
        with tf.GradientTape() as tape:
            _, fake, own = self.model.sides(cells, conditions)
            terms = self.loss.generator(self.model.criticise(fake, conditions))
            loss = _mean_of_sums(weight, terms if own is None else tf.concat([terms, own], axis=-1))
        self.generator.apply(_gradients(tape, loss, variables), variables)
        return loss


def _mean_of_sums(weight: Any, terms: Any) -> Any:
    """Return the weighted mean over events of the sum over columns, one for each critic."""
    return tf.reduce_mean(weight * tf.reduce_sum(terms, axis=-1, keepdims=True))


def _gradients(tape: Any, loss: Any, variables: list[Any]) -> list[Any]:
    """Return the gradients in Keras variables; 0 where the loss does not depend on one."""
    own = [variable.value for variable in variables]
    return tape.gradient(loss, own, unconnected_gradients=tf.UnconnectedGradients.ZERO)
