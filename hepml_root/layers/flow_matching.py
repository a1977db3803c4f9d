"""Flow matching: a velocity that carries noise to data, its training target, and integrators of few steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hepml_root.errors import SettingError, unknown

# Passes of the network that each step of a solver takes.
SOLVERS = {"euler": 1, "midpoint": 2, "heun": 2}


def integrate(velocity: Callable[[Any, float], Any], x: Any, steps: int, solver: str = "midpoint") -> Any:
    r"""Carry x from time 0 to time 1 along :math:`dx / dt = v(x, t)`, in steps of 1 / steps.

    "euler" is of the first order, "midpoint" and "heun" of the second: halving the steps makes the error 2
    or 4 times smaller. The steps are written out, so that an exported graph holds them all.

    Arguments
    ---------
    velocity
        A function of x ``(events, …)`` and of the time, a Python number.
    x
        At time 0.
    steps
        Their number.
    solver
        "euler", "midpoint" or "heun".

    Raises
    ------
    SettingError
        There is no such solver, or no step.

    Example
    -------
    >>> round(float(integrate(lambda x, t: x, np.ones(()), 100)), 3)
    2.718
    """
    check_solver(solver, steps)
    size = 1.0 / steps
    for step in range(steps):
        time = step * size
        first = velocity(x, time)
        if solver == "euler":
            x = x + size * first
        elif solver == "midpoint":
            x = x + size * velocity(x + 0.5 * size * first, time + 0.5 * size)
        else:
            x = x + 0.5 * size * (first + velocity(x + size * first, time + size))
    return x


def check_solver(solver: str, steps: int) -> None:
    """Raise SettingError unless there is such a solver and at least one step."""
    if solver not in SOLVERS:
        raise SettingError(unknown("solver", str(solver), SOLVERS))
    if int(steps) != steps or steps < 1:
        raise SettingError(f"solver_steps={steps}: a whole number from 1 is needed.")


@keras.saving.register_keras_serializable(package="hepml_root")
class Velocity(keras.layers.Layer):
    r"""The network of a velocity, and the loss of conditional flow matching.

    With data x, noise z and a time t uniform in [0, 1],

    .. math:: x_t = (1 - t) z + t x, \qquad
              L = \frac{1}{n} | v(x_t, t, c) - (x - z) |^2

    whose minimum carries the normal distribution of z to that of x. The network: dense layers on x_t, the
    condition and sine and cosine of multiples of the time, with shortcuts between layers of the same width.

    Arguments
    ---------
    features, conditions
        Numbers of x and of c.
    hidden, activation
        Of the network.
    frequencies
        Of the time.
    seed
        Of noise and times.

    Reference: arXiv:2210.02747, arXiv:2302.00482.
    """

    def __init__(
        self,
        features: int,
        conditions: int,
        hidden: Sequence[int] = (256, 256),
        activation: str = "relu",
        frequencies: int = 4,
        seed: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.features, self.conditions = int(features), int(conditions)
        self.hidden, self.activation = tuple(hidden), activation
        self.frequencies, self.seed = int(frequencies), int(seed)
        self.noise = keras.random.SeedGenerator(seed)
        self.stack = [
            keras.layers.Dense(units, kernel_initializer="he_normal", name=f"dense_{k}")
            for k, units in enumerate(self.hidden, start=1)
        ]
        self.last = keras.layers.Dense(self.features, kernel_initializer="zeros", name="velocity")
        width = self.features + self.conditions + 1 + 2 * self.frequencies
        for layer, inputs in zip([*self.stack, self.last], [width, *self.hidden], strict=True):
            layer.build((None, inputs))
        self._rates = np.pi * np.arange(1, self.frequencies + 1, dtype=np.float32)

    def build(self, *shapes: Any) -> None:  # noqa: ARG002
        self.built = True

    def call(self, x: Any, time: Any, condition: Any) -> Any:
        """Return the velocity ``(events, features)`` at x, of times ``(events, 1)`` for conditions."""
        phase = time * self._rates
        x = ops.concatenate([x, condition, time, ops.sin(phase), ops.cos(phase)], axis=-1)
        for number, layer in enumerate(self.stack):
            y = keras.activations.get(self.activation)(layer(x))
            x = x + y if number and y.shape[-1] == x.shape[-1] else y
        return self.last(x)

    def compute_output_shape(self, x_shape: Any, time_shape: Any, condition_shape: Any) -> Any:  # noqa: ARG002
        return x_shape

    def loss(self, x: Any, condition: Any) -> Any:
        """Return the loss of each event ``(events,)``, at a time and with noise drawn for it."""
        events = ops.shape(x)[0]
        z = keras.random.normal((events, self.features), seed=self.noise)
        time = keras.random.uniform((events, 1), seed=self.noise)
        error = self((1.0 - time) * z + time * x, time, condition) - (x - z)
        return ops.mean(ops.square(error), axis=-1)

    def sample(self, condition: Any, steps: int, solver: str = "midpoint") -> Any:
        """Draw ``(events, features)`` for conditions ``(events, conditions)``."""
        z = keras.random.normal((ops.shape(condition)[0], self.features), seed=self.noise)

        def velocity(x: Any, time: float) -> Any:
            return self(x, time * ops.ones_like(x[:, :1]), condition)

        return integrate(velocity, z, steps, solver)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "features": self.features, "conditions": self.conditions,
            "hidden": list(self.hidden), "activation": self.activation, "frequencies": self.frequencies,
            "seed": self.seed,
        }  # fmt: skip
