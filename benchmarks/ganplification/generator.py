"""Many small generators at once: one for each repetition, each with a training sample of its own."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """How the generators look and how they are trained.

    In each step ``batch`` points are generated, and ``real`` training points drawn, or all taken if there are
    fewer.
    """

    latent: int = 1
    units: int = 32
    layers: int = 2
    batch: int = 128
    real: int = 512
    steps: int = 6000
    learning_rate: float = 3e-3
    average: float = 0.99


class Ensemble:
    r"""Generators trained against the best critic of the energy distance, side by side.

    A network maps normal random numbers to points; an adversary looks for the function that tells generated
    from real points best. Among the functions of the energy distance's kernel this critic is known in closed
    form, so that there is no second network to train, and what the generator minimises is

    .. math:: 2 \langle |x - y| \rangle - \langle |y - y'| \rangle - \langle |x - x'| \rangle

    with training points x and generated points y. The weights are tensors (repetitions, inputs, units), so
    that one product of stacked matrices does the work of all networks. The latent numbers of a batch are
    stratified in each dimension, which takes most of the noise out of the gradients; samples come from the
    running average of the weights, with independent latent numbers.

    Arguments
    ---------
    points
        Training points (repetitions, points, dimensions), one sample for each repetition.
    settings, seed
        How to train, and the seed of everything random.

    References: arXiv:1502.02761 and arXiv:1505.03906 (kernel critics), arXiv:1705.10743 (energy distance).
    """

    def __init__(self, points: Floats, settings: Settings, seed: int = 1) -> None:
        import tensorflow as tf

        self.settings, self.seed = settings, seed
        self.repetitions, _, self.dimensions = points.shape
        self.shift = points.mean(axis=1, keepdims=True)
        self.scale = points.std(axis=1, keepdims=True)
        self.points = tf.constant((points - self.shift) / self.scale, tf.float32)
        numbers = np.random.default_rng(seed)
        sizes = [settings.latent, *([settings.units] * settings.layers), self.dimensions]
        self.weights: list[Any] = []
        for inputs, units in itertools.pairwise(sizes):
            kernel = numbers.normal(0, math.sqrt(2.0 / (inputs + units)), (self.repetitions, inputs, units))
            self.weights.append(tf.Variable(kernel.astype("float32")))
            self.weights.append(tf.Variable(np.zeros((self.repetitions, 1, units), "float32")))
        self.averaged = [tf.Variable(weight) for weight in self.weights]

    def train(self) -> None:
        """Train all networks; the learning rate falls to zero along a cosine."""
        import tensorflow as tf

        s, rows = self.settings, self.points.shape[1]
        first, second = ([tf.Variable(tf.zeros_like(weight)) for weight in self.weights] for _ in range(2))

        def one(step: Any) -> tuple[Any]:
            real = self.points
            if rows > s.real:
                chosen = tf.random.stateless_uniform(
                    (self.repetitions, s.real), [self.seed, 3 * step], 0, rows, tf.int32
                )
                real = tf.gather(self.points, chosen, batch_dims=1)
            latent = self._stratified(step)
            with tf.GradientTape() as tape:
                made = forward(self.weights, latent)
                among = tf.reduce_sum(_distances(made, made), axis=(1, 2)) / (s.batch * (s.batch - 1))
                loss = tf.reduce_sum(2.0 * tf.reduce_mean(_distances(real, made), axis=(1, 2)) - among)
            gradients = tape.gradient(loss, self.weights)
            count = tf.cast(step, tf.float32) + 1.0
            rate = s.learning_rate * 0.5 * (1.0 + tf.cos(math.pi * (count - 1.0) / s.steps))
            for place, (weight, gradient) in enumerate(zip(self.weights, gradients, strict=True)):  # Adam
                first[place].assign(0.9 * first[place] + 0.1 * gradient)
                second[place].assign(0.99 * second[place] + 0.01 * tf.square(gradient))
                spread = tf.sqrt(second[place] / (1.0 - tf.pow(0.99, count))) + 1e-6
                weight.assign_sub(rate * first[place] / (1.0 - tf.pow(0.9, count)) / spread)
                self.averaged[place].assign(s.average * self.averaged[place] + (1.0 - s.average) * weight)
            return (step + 1,)

        @tf.function(autograph=False)
        def steps(begin: Any, end: Any) -> None:
            tf.while_loop(lambda step: step < end, one, (begin,))

        for begin in range(0, s.steps, 500):  # so that Ctrl-C is heard
            steps(tf.constant(begin), tf.constant(min(begin + 500, s.steps)))

    def _stratified(self, step: Any) -> Any:
        """Return normal numbers (repetitions, batch, latent), one in each equally probable stratum."""
        import tensorflow as tf

        s = self.settings
        shape = (self.repetitions, s.latent, s.batch)
        order = tf.argsort(tf.random.stateless_uniform(shape, [self.seed, 3 * step + 1]))
        inside = tf.random.stateless_uniform(shape, [self.seed, 3 * step + 2], 0.01, 0.99)
        numbers = tf.math.ndtri((tf.cast(order, tf.float32) + inside) / s.batch)
        return tf.transpose(numbers, [0, 2, 1])

    def draw(self, points: int, seed: int, block: int = 20_000) -> Floats:
        """Return generated points (repetitions, points, dimensions)."""
        import tensorflow as tf

        made = []
        for number, begin in enumerate(range(0, points, block)):
            shape = (self.repetitions, min(block, points - begin), self.settings.latent)
            made.append(forward(self.averaged, tf.random.stateless_normal(shape, (seed, number))).numpy())
        return np.concatenate(made, axis=1) * self.scale + self.shift


def _distances(x: Any, y: Any) -> Any:
    """Return the distances (repetitions, points of x, points of y)."""
    import tensorflow as tf

    squares = tf.reduce_sum(x * x, axis=2)[:, :, None] + tf.reduce_sum(y * y, axis=2)[:, None, :]
    return tf.sqrt(tf.maximum(squares - 2.0 * tf.matmul(x, y, transpose_b=True), 0.0) + 1e-6)


def forward(weights: list[Any], x: Any) -> Any:
    """Return what stacked dense networks with ELU units give for x (repetitions, points, inputs)."""
    import tensorflow as tf

    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = tf.nn.elu(tf.matmul(x, kernel) + bias)
    return tf.matmul(x, weights[-2]) + weights[-1]
