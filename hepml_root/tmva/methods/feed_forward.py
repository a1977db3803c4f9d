"""Small feed-forward networks in numpy: response, estimator and gradient, for the training of kMLP.

    aₗ₊₁ = f(g(aₗ) V(W) + U(b))      with g, V, U of the neuron input:
    sum: a, W, b        sqsum: a², W², b²        abssum: |a|, |W|, |b|

A network of TMVA has a few dozen weights: the steps of a framework would cost more than what they compute.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepml_root.tmva.weights.network import Network

Array = NDArray[np.float64]
_MOST = 60.0  # beyond it a sigmoid is 0 or 1 in double precision


@dataclass(frozen=True)
class Events:
    """Inputs ``(events, variables)``, wanted outputs ``(events, outputs)`` and weights ``(events,)``."""

    inputs: Array
    wanted: Array
    weights: Array

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, rows: Any) -> Events:
        return Events(self.inputs[rows], self.wanted[rows], self.weights[rows])


class FeedForward:
    """Layers of neurons with all weights in one vector.

    Arguments
    ---------
    sizes
        Variables, neurons of each hidden layer, outputs.
    activation, neuron_input
        As :class:`hepml_root.tmva.weights.network.Network` has them.
    estimator
        ``CE`` (one sigmoid: −2 ln of the likelihood), ``softmax`` (the same of several classes) or ``MSE``
        (linear outputs: squared deviations).

    Example
    -------
    >>> network = FeedForward([1, 1], "tanh", "sum", "MSE")
    >>> network.vector[:] = [2.0, 1.0]  # weight, bias
    >>> network.response(np.array([[3.0]])).tolist()
    [[7.0]]
    """

    def __init__(self, sizes: Sequence[int], activation: str, neuron_input: str, estimator: str) -> None:
        self.sizes = tuple(sizes)
        self.activation, self.neuron_input, self.estimator = activation, neuron_input, estimator
        shapes = [(a + 1, b) for a, b in itertools.pairwise(sizes)]
        self.vector = np.zeros(sum(a * b for a, b in shapes))
        self._slices = []
        begin = 0
        for a, b in shapes:
            self._slices.append((slice(begin, begin + a * b), (a, b)))
            begin += a * b
        self.tables = self.split(self.vector)

    def split(self, vector: Array) -> list[Array]:
        """Return a vector of all weights as tables ``(neurons + 1, next neurons)``: views."""
        return [vector[place].reshape(shape) for place, shape in self._slices]

    def start(self, rng: np.random.Generator) -> None:
        """Draw weights: evenly, as wide as keeps the spread of the values from layer to layer."""
        for table in self.tables:
            width = np.sqrt(6.0 / sum(table.shape))
            table[:] = rng.uniform(-width, width, table.shape)

    def response(self, inputs: Array) -> Array:
        """Return ``(events, outputs)``: sigmoid, softmax, or linear, by the estimator."""
        return self._output(self._last_sums(inputs))

    def deviations(self, events: Events) -> Array:
        """Return what each event adds to the estimator, without its weight, ``(events,)``."""
        sums = self._last_sums(events.inputs)
        if self.estimator == "MSE":
            return np.sum((sums - events.wanted) ** 2, axis=1)
        if self.estimator == "softmax":
            return 2.0 * (np.logaddexp.reduce(sums, axis=1) - np.sum(sums * events.wanted, axis=1))
        return 2.0 * np.logaddexp(0.0, np.where(events.wanted > 0.5, -sums, sums))[:, 0]

    def _last_sums(self, inputs: Array) -> Array:
        values = inputs
        for table in self.tables[:-1]:
            values = self._function(self._sums(values, table))[0]
        return self._sums(values, self.tables[-1])

    def gradient(self, events: Events, gradient: Array | None = None) -> Array:
        """Return the gradient of Σ weight × deviation in all weights, ``(weights,)``."""
        gradient = np.empty_like(self.vector) if gradient is None else gradient
        kept: list[tuple[Array, Any]] = []
        values = events.inputs
        for table in self.tables[:-1]:
            made, slope = self._function(self._sums(values, table))
            kept.append((values, slope))
            values = made
        kept.append((values, None))
        output = self._output(self._sums(values, self.tables[-1]))
        error = (2.0 * events.weights[:, None]) * (output - events.wanted)
        self._back(kept, error, self.split(gradient))
        return gradient

    def _back(self, kept: Sequence[tuple[Array, Any]], error: Array, gradients: Sequence[Array]) -> None:
        for number in range(len(kept) - 1, -1, -1):
            values, _ = kept[number]
            table, made = self.tables[number], gradients[number]
            plain = self.neuron_input == "sum"
            np.matmul((values if plain else self._entering(values)).T, error, out=made[:-1])
            error.sum(axis=0, out=made[-1])
            if not plain:
                made *= 2.0 * table if self.neuron_input == "sqsum" else np.sign(table)
            if number == 0:
                return
            matrix = table if plain else self._effective(table)
            error = error @ matrix[:-1].T
            if not plain:
                error *= 2.0 * values if self.neuron_input == "sqsum" else np.sign(values)
            error *= kept[number - 1][1]

    def sensitivities(self, inputs: Array) -> Array:
        """Return the slopes of the outputs' sums in all weights, ``(outputs, events, weights)``."""
        kept: list[tuple[Array, Any]] = []
        values = inputs
        for table in self.tables[:-1]:
            made, slope = self._function(self._sums(values, table))
            kept.append((values, slope))
            values = made
        kept.append((values, None))
        outputs = self.sizes[-1]
        found = np.empty((outputs, len(inputs), len(self.vector)))
        for output in range(outputs):
            error = np.zeros((len(inputs), outputs))
            error[:, output] = 1.0
            for number in range(len(kept) - 1, -1, -1):
                table, values = self.tables[number], self._entering(kept[number][0])
                with_bias = np.concatenate([values, np.ones((len(values), 1))], axis=1)
                made = with_bias[:, :, None] * error[:, None, :]
                if self.neuron_input == "sqsum":
                    made *= 2.0 * table
                elif self.neuron_input == "abssum":
                    made *= np.sign(table)
                found[output, :, self._slices[number][0]] = made.reshape(len(inputs), -1)
                if number:
                    error = error @ self._effective(table)[:-1].T
                    if self.neuron_input == "sqsum":
                        error *= 2.0 * kept[number][0]
                    elif self.neuron_input == "abssum":
                        error *= np.sign(kept[number][0])
                    error *= kept[number - 1][1]
        return found

    def network(self, shift: Array, scale: Array) -> Network:
        """Return the weights for inputs that were shifted and scaled before: ``(x − shift) / scale``.

        ``shift`` is zero where the neuron input is not a sum: there it cannot be put into the weights.
        """
        tables = [table.copy() for table in self.tables]
        tables[0][:-1] /= scale[:, None]
        if self.neuron_input == "sum":
            tables[0][-1] -= shift @ tables[0][:-1]
        output = "sigmoid" if self.estimator == "CE" else "linear"
        return Network(
            tuple(table.astype(np.float32) for table in tables),
            self.activation, self.neuron_input, output, fast_tanh=True,
        )  # fmt: skip

    def _entering(self, values: Array) -> Array:
        if self.neuron_input == "sum":
            return values
        return values * values if self.neuron_input == "sqsum" else np.abs(values)

    def _effective(self, table: Array) -> Array:
        return self._entering(table)

    def _sums(self, values: Array, table: Array) -> Array:
        if self.neuron_input == "sum":
            return values @ table[:-1] + table[-1]
        matrix = self._effective(table)
        return self._entering(values) @ matrix[:-1] + matrix[-1]

    def _function(self, sums: Array) -> tuple[Array, Array]:
        """Return the function of hidden neurons and its slope."""
        if self.activation == "tanh":
            made = np.tanh(sums)
            return made, 1.0 - made * made
        if self.activation == "sigmoid":
            made = _sigmoid(sums)
            return made, made * (1.0 - made)
        if self.activation == "radial":
            made = np.exp(-0.5 * sums * sums)
            return made, -sums * made
        if self.activation == "ReLU":
            return np.maximum(sums, 0.0), (sums > 0.0).astype(float)
        return sums, np.ones_like(sums)

    def _output(self, sums: Array) -> Array:
        if self.estimator == "MSE":
            return sums
        if self.estimator == "CE":
            return _sigmoid(sums)
        raised = np.exp(sums - sums.max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)


def _sigmoid(sums: Array) -> Array:
    return 1.0 / (1.0 + np.exp(np.clip(-sums, -_MOST, _MOST)))
